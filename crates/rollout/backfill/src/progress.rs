//! How far a backfill is, how fast, and when it may end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::state::Row;
use crate::throttle::Reason;

/// What is told while a backfill runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It begins, or goes on where another run ended.
    Started {
        /// Of the backfill.
        name: String,
        /// The table.
        table: String,
        /// Rows that earlier runs walked over.
        rows_walked: u64,
        /// Rows of the table, as the database estimates them.
        rows_estimated: Option<u64>,
        /// Signals that nobody looks at, and why.
        not_watched: Vec<String>,
    },
    /// A batch is done.
    Batch {
        /// Of the backfill.
        name: String,
        /// From 1; more than one where rows were written behind it.
        pass: u32,
        /// Rows walked over, in all.
        rows_walked: u64,
        /// Rows changed, in all.
        rows_changed: u64,
        /// Rows of the next batch.
        batch_rows: u64,
        /// Of this pass, from 0 to 1. An estimate.
        fraction: Option<f64>,
        /// Rows walked over per second, lately, with the time of waiting.
        rows_per_sec: f64,
        /// Seconds until the end of this pass. An estimate.
        eta_sec: Option<f64>,
    },
    /// A batch did not come off and is tried again.
    Retry {
        /// Of the backfill.
        name: String,
        /// What the database said.
        why: String,
        /// Rows of the next attempt.
        batch_rows: u64,
        /// From 1.
        attempt: u32,
    },
    /// It waits.
    Waiting {
        /// Of the backfill.
        name: String,
        /// What for.
        reasons: Vec<Reason>,
    },
    /// Somebody has paused it.
    Paused {
        /// Of the backfill.
        name: String,
    },
    /// It waits no longer.
    Resumed {
        /// Of the backfill.
        name: String,
    },
    /// The keys are walked over; it is looked whether any row is left.
    Checking {
        /// Of the backfill.
        name: String,
        /// From 1.
        pass: u32,
    },
}

/// Somewhere events go. Must not block for long.
pub trait Observer: Send + Sync {
    /// Takes one event.
    fn report(&self, event: &Event);
}

/// Discards everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn report(&self, _: &Event) {}
}

/// The rate is that of this time.
const WINDOW: Duration = Duration::from_secs(30);
/// Moments that are kept.
const MOST: usize = 600;

/// How many rows, when.
#[derive(Debug, Default)]
pub(crate) struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    pub(crate) fn note(&mut self, now: Instant, rows: u64) {
        self.0.push_back((now, rows));
        while self.0.len() > MOST
            || self.0.len() > 2 && self.0.front().is_some_and(|(then, _)| now - *then > WINDOW)
        {
            self.0.pop_front();
        }
    }

    /// Rows per second.
    pub(crate) fn rows_per_sec(&self) -> f64 {
        let (Some((first, before)), Some((last, after))) = (self.0.front(), self.0.back()) else {
            return 0.0;
        };
        let seconds = (*last - *first).as_secs_f64();
        if seconds > 0.0 { (after - before) as f64 / seconds } else { 0.0 }
    }
}

/// How far the pass is: by the key where it lies on a line, or else by rows.
pub(crate) fn fraction(row: &Row) -> Option<f64> {
    let Some(above) = &row.above else { return Some(0.0) };
    if row.up_to.as_ref() == Some(above) {
        return Some(1.0);
    }
    let ends = row.first.as_ref().zip(row.up_to.as_ref());
    let line = ends.and_then(|(first, last)| Some((first.position()?, above.position()?, last.position()?)));
    if let Some((first, now, last)) = line
        && last > first
    {
        return Some(((now - first) / (last - first)).clamp(0.0, 1.0));
    }
    let rows = row.rows_estimated.filter(|rows| *rows > 0 && row.pass == 1)?;
    // The estimate may be too low; an end that is not there is not claimed.
    Some((row.rows_walked as f64 / rows as f64).min(0.99))
}

/// Seconds until the end of the pass, from how far it was when this run began.
pub(crate) fn eta(began: (Instant, f64), now: Instant, fraction: f64) -> Option<f64> {
    let done = fraction - began.1;
    let seconds = (now - began.0).as_secs_f64();
    (done > 0.001 && seconds > 0.0).then(|| (1.0 - fraction) * seconds / done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, Part};
    use crate::state::tests::row;

    fn number(number: i64) -> Option<Key> {
        Some(Key(vec![Part::Integer(number)]))
    }

    #[test]
    fn the_fraction_is_that_of_the_key_or_of_the_rows() {
        let mut row = Row { first: number(100), above: number(150), up_to: number(200), ..row() };
        assert_eq!(fraction(&row), Some(0.5));
        row.above = number(200);
        assert_eq!(fraction(&row), Some(1.0));
        row.above = None;
        assert_eq!(fraction(&row), Some(0.0));
        let text = |text: &str| Some(Key(vec![Part::Text(text.into())]));
        let mut row = Row { first: text("a"), above: text("m"), up_to: text("z"), ..row };
        assert_eq!(fraction(&row), None);
        row.rows_estimated = Some(10_000);
        assert_eq!(fraction(&row), Some(0.25));
        row.rows_estimated = Some(100);
        assert_eq!(fraction(&row), Some(0.99));
    }

    #[test]
    fn rate_and_end_are_of_this_run() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut rate = Rate::default();
        for second in 0..100 {
            rate.note(at(second), if second < 50 { second * 10 } else { 500 + (second - 50) * 100 });
        }
        assert_eq!(rate.rows_per_sec().round(), 100.0);
        assert_eq!(eta((start, 0.5), at(10), 0.6).map(f64::round), Some(40.0));
        assert_eq!(eta((start, 0.5), at(10), 0.5), None);
        assert_eq!(Rate::default().rows_per_sec(), 0.0);
    }
}
