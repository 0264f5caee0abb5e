//! When a request is sent again, and how long before that.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;

/// Bounds on sending again.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Tries in all, the first one included; at least one.
    pub attempts: u32,
    /// The wait before the second try; doubled for each one after it.
    pub first_delay: Duration,
    /// The longest wait, also where a service asks for more with
    /// `Retry-After`: then it is given up at once, and its wish is told.
    pub longest_delay: Duration,
    /// After this long no new try begins. A certificate is good for ten
    /// minutes, and a token often for five.
    pub total: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(20),
            total: Duration::from_secs(90),
        }
    }
}

/// The tries of one request so far.
#[derive(Debug)]
pub(crate) struct Tries {
    policy: Policy,
    made: u32,
    began: Instant,
}

impl Tries {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, made: 0, began: Instant::now() }
    }

    /// Tries that ended, for messages.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// Counts a failed try; the wait before the next one, or `None` when it
    /// was the last.
    pub(crate) fn next_delay(&mut self, wish: Option<Duration>) -> Option<Duration> {
        self.made += 1;
        let Policy { attempts, first_delay, longest_delay, total } = self.policy;
        if self.made >= attempts {
            return None;
        }
        // A random share on top, so that many clients do not come back together.
        let delay = if let Some(wish) = wish {
            wish.checked_add(first_delay.mul_f64(fastrand::f64()))?
        } else {
            let ceiling = first_delay.saturating_mul(1 << (self.made - 1).min(20)).min(longest_delay);
            ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)
        };
        let within = wish.is_none_or(|wish| wish <= longest_delay);
        (within && self.began.elapsed() + delay <= total).then_some(delay)
    }
}

/// Whether an answer says "not now" rather than "no".
pub(crate) fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), measured from
/// `now`. A date in the past is no wait; nonsense is no wish.
pub(crate) fn wish(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = SystemTime::from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_within_bounds_and_end() {
        let policy = Policy { attempts: 9, ..Policy::default() };
        let mut tries = Tries::new(policy);
        let mut ceiling = policy.first_delay;
        for _ in 0..8 {
            let delay = tries.next_delay(None).unwrap();
            assert!(delay >= ceiling / 2 && delay <= ceiling, "{delay:?} of {ceiling:?}");
            ceiling = (ceiling * 2).min(policy.longest_delay);
        }
        assert_eq!(tries.next_delay(None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_kept_unless_it_is_too_long() {
        let mut tries = Tries::new(Policy::default());
        let wish = Duration::from_secs(7);
        assert!(tries.next_delay(Some(wish)).unwrap() >= wish);
        assert_eq!(tries.next_delay(Some(Duration::from_secs(21))), None);
        assert_eq!(tries.next_delay(Some(Duration::MAX)), None);
        let mut tries = Tries::new(Policy::default());
        tokio::time::advance(Duration::from_secs(89)).await;
        assert_eq!(tries.next_delay(Some(wish)), None);
    }

    #[test]
    fn a_wish_is_seconds_or_a_date() {
        // 2026-11-22T12:00:00Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800);
        for (text, expected) in [
            ("7", Some(7)),
            ("Sun, 22 Nov 2026 12:00:30 GMT", Some(30)),
            ("Sun, 22 Nov 2026 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-3", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(wish(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
