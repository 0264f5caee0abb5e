//! The outside services, both fake: who pays, and who knows about kills.
//! Either can be told to fail a share of its calls.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Fails a given share of calls, evenly spread and the same in every run.
#[derive(Debug)]
struct Failing {
    ratio: f64,
    calls: AtomicU64,
}

impl Failing {
    fn new(ratio: f64) -> Self {
        Self { ratio, calls: AtomicU64::new(0) }
    }

    /// Whether the next call fails: where `calls × ratio` passes a whole number.
    fn next(&self) -> bool {
        let call = self.calls.fetch_add(1, Relaxed) as f64;
        ((call + 1.0) * self.ratio).floor() > (call * self.ratio).floor()
    }
}

/// Why an outside service did not do what it was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// Pays players.
#[derive(Debug)]
pub struct Payer {
    failing: Failing,
    delay: Duration,
}

impl Payer {
    /// A payer that refuses a share of payments and takes `delay` for each.
    pub fn new(fail_ratio: f64, delay: Duration) -> Self {
        Self { failing: Failing::new(fail_ratio), delay }
    }

    /// Pays.
    ///
    /// # Errors
    /// Refused; nothing was paid.
    #[allow(clippy::disallowed_methods, reason = "taking time is what is asked of this fake")]
    pub fn pay(&self, _player: &str, _cents: u64) -> Result<(), Refused> {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        if self.failing.next() { Err(Refused("the payer refused the payment")) } else { Ok(()) }
    }

    /// Whether it would pay anybody at all.
    pub fn works(&self) -> bool {
        self.failing.ratio < 1.0
    }
}

/// Fortnite's statistics.
#[derive(Debug)]
pub struct Fortnite {
    failing: Failing,
}

impl Fortnite {
    /// Statistics that fail a share of look-ups.
    pub fn new(fail_ratio: f64) -> Self {
        Self { failing: Failing::new(fail_ratio) }
    }

    /// Confirms that a player made these kills.
    ///
    /// # Errors
    /// They could not be looked up.
    pub fn confirm(&self, _player: &str, _kills: u64) -> Result<(), Refused> {
        if self.failing.next() { Err(Refused("the Fortnite statistics did not answer")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_spread_evenly_and_repeat() {
        let sequence = |ratio| {
            let failing = Failing::new(ratio);
            (0..10).map(|_| if failing.next() { 'x' } else { '.' }).collect::<String>()
        };
        assert_eq!(sequence(0.0), "..........");
        assert_eq!(sequence(0.5), ".x.x.x.x.x");
        assert_eq!(sequence(0.25), "...x...x..");
        assert_eq!(sequence(1.0), "xxxxxxxxxx");
    }
}
