//! When to wait: any one signal above its threshold stops the next batch, and it
//! goes on when all are well below.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A sign of how the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Bytes that the farthest replica has not replayed.
    ReplicationBytes,
    /// Seconds that the farthest replica is behind.
    ReplicationSec,
    /// Bytes of WAL that a replication slot keeps.
    SlotBytes,
    /// Bytes of WAL per second, of everybody.
    WalBytesPerSec,
    /// Sessions that wait for a lock.
    LockWaits,
    /// Sessions that wait for a lock of ours.
    BlockedByUs,
    /// Sessions that run a statement.
    ActiveSessions,
    /// A vacuum of the table that must not be held up.
    Vacuum,
    /// The pause file is there.
    PauseFile,
}

impl Signal {
    /// What is measured, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::ReplicationBytes => "bytes not replayed by a replica",
            Self::ReplicationSec => "seconds that a replica is behind",
            Self::SlotBytes => "bytes of WAL kept for a replication slot",
            Self::WalBytesPerSec => "bytes of WAL per second",
            Self::LockWaits => "sessions waiting for a lock",
            Self::BlockedByUs => "sessions waiting for a lock of this backfill",
            Self::ActiveSessions => "active sessions",
            Self::Vacuum => "vacuums of the table",
            Self::PauseFile => "pause file",
        }
    }
}

/// Which vacuums of the table are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vacuums {
    /// None.
    None,
    /// Those that prevent wraparound. The default.
    #[default]
    Wraparound,
    /// Any.
    Any,
}

/// Above which value each signal stops the backfill; nothing: it is not looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Default 256 MiB.
    pub replication_bytes: Option<f64>,
    /// Default 10.
    pub replication_sec: Option<f64>,
    /// Default 4 GiB.
    pub slot_bytes: Option<f64>,
    /// Default 128 MiB.
    pub wal_bytes_per_sec: Option<f64>,
    /// Default 10.
    pub lock_waits: Option<f64>,
    /// Default 1.
    pub blocked_by_us: Option<f64>,
    /// Default 50.
    pub active_sessions: Option<f64>,
    /// Default [`Vacuums::Wraparound`].
    pub vacuums: Vacuums,
    /// While this file exists, nothing runs.
    pub pause_file: Option<PathBuf>,
}

impl Default for Thresholds {
    fn default() -> Self {
        const MIB: f64 = 1_048_576.0;
        Self {
            replication_bytes: Some(256.0 * MIB),
            replication_sec: Some(10.0),
            slot_bytes: Some(4096.0 * MIB),
            wal_bytes_per_sec: Some(128.0 * MIB),
            lock_waits: Some(10.0),
            blocked_by_us: Some(1.0),
            active_sessions: Some(50.0),
            vacuums: Vacuums::default(),
            pause_file: None,
        }
    }
}

impl Thresholds {
    /// The value above which a signal stops the backfill.
    pub fn of(&self, signal: Signal) -> Option<f64> {
        match signal {
            Signal::ReplicationBytes => self.replication_bytes,
            Signal::ReplicationSec => self.replication_sec,
            Signal::SlotBytes => self.slot_bytes,
            Signal::WalBytesPerSec => self.wal_bytes_per_sec,
            Signal::LockWaits => self.lock_waits,
            Signal::BlockedByUs => self.blocked_by_us,
            Signal::ActiveSessions => self.active_sessions,
            Signal::Vacuum => (self.vacuums != Vacuums::None).then_some(0.0),
            Signal::PauseFile => self.pause_file.as_ref().map(|_| 0.0),
        }
    }
}

/// What was seen of one signal.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Its value.
    Value(f64),
    /// It cannot be read by this account; why. It stops nothing, and is named.
    NotWatched(String),
    /// It can be read, and was not this time; why. That stops the backfill.
    Failed(String),
}

/// One signal at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Which.
    pub signal: Signal,
    /// What was seen.
    pub seen: Seen,
}

/// Why a backfill waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The signal.
    pub signal: Signal,
    /// Its value; nothing where it could not be read.
    pub value: Option<f64>,
    /// What it has to come down to.
    pub until: f64,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.signal.words();
        match (self.signal, &self.unreadable, self.value) {
            (_, Some(why), _) => write!(f, "{words}: cannot be read ({why})"),
            (Signal::PauseFile, ..) => f.write_str("the pause file is there"),
            (Signal::Vacuum, ..) => f.write_str("a vacuum of the table is under way"),
            (_, _, value) => {
                write!(f, "{words}: {}, until {}", number(value.unwrap_or(0.0)), number(self.until))
            }
        }
    }
}

/// A number as a person reads it.
pub(crate) fn number(value: f64) -> String {
    const MIB: f64 = 1_048_576.0;
    if value >= 10.0 * MIB {
        format!("{:.0} MiB", value / MIB)
    } else if value.fract() == 0.0 {
        format!("{value}")
    } else {
        format!("{value:.1}")
    }
}

/// A signal that stopped the backfill has to come down to this part of its
/// threshold: it would flutter otherwise.
const CALM: f64 = 0.8;

/// Which signals have stopped the backfill.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    tripped: Vec<Signal>,
}

impl Throttle {
    /// What the readings mean: empty, or why to wait.
    pub fn decide(&mut self, readings: &[Reading], thresholds: &Thresholds) -> Vec<Reason> {
        let mut reasons = Vec::new();
        for reading in readings {
            let Some(limit) = thresholds.of(reading.signal) else { continue };
            let before = self.tripped.contains(&reading.signal);
            let until = if before { limit * CALM } else { limit };
            let reason =
                |value, unreadable| Reason { signal: reading.signal, value, until: limit * CALM, unreadable };
            let why = match &reading.seen {
                Seen::Value(value) if *value > until => Some(reason(Some(*value), None)),
                Seen::Value(_) | Seen::NotWatched(_) => None,
                Seen::Failed(why) => Some(reason(None, Some(why.clone()))),
            };
            self.tripped.retain(|signal| *signal != reading.signal);
            if let Some(why) = why {
                self.tripped.push(reading.signal);
                reasons.push(why);
            }
        }
        reasons
    }
}

/// How often the signals are looked at.
pub(crate) const EACH: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(signal: Signal, value: f64) -> Vec<Reading> {
        vec![Reading { signal, seen: Seen::Value(value) }]
    }

    #[test]
    fn any_one_signal_stops_and_it_goes_on_well_below() {
        let thresholds = Thresholds::default();
        for signal in [
            Signal::ReplicationBytes,
            Signal::ReplicationSec,
            Signal::SlotBytes,
            Signal::WalBytesPerSec,
            Signal::LockWaits,
            Signal::BlockedByUs,
            Signal::ActiveSessions,
        ] {
            let limit = thresholds.of(signal).expect("it has a default");
            let mut throttle = Throttle::default();
            let mut waits = |value: f64| !throttle.decide(&seen(signal, value), &thresholds).is_empty();
            assert!(!waits(limit), "{signal:?}");
            assert!(waits(limit * 1.01), "{signal:?}");
            assert!(waits(limit * 0.9), "{signal:?} has only just come down");
            assert!(!waits(limit * 0.8), "{signal:?}");
            assert!(!waits(limit * 0.9), "{signal:?} has not stopped it again");
        }
    }

    #[test]
    fn what_may_not_be_read_stops_nothing_and_what_fails_does() {
        let (mut throttle, thresholds) = (Throttle::default(), Thresholds::default());
        let reading = |seen| vec![Reading { signal: Signal::LockWaits, seen }];
        assert!(throttle.decide(&reading(Seen::NotWatched("no".into())), &thresholds).is_empty());
        let reasons = throttle.decide(&reading(Seen::Failed("gone".into())), &thresholds);
        assert_eq!(reasons[0].to_string(), "sessions waiting for a lock: cannot be read (gone)");
    }

    #[test]
    fn a_signal_without_a_threshold_stops_nothing() {
        let thresholds = Thresholds { lock_waits: None, ..Thresholds::default() };
        assert!(Throttle::default().decide(&seen(Signal::LockWaits, 1e9), &thresholds).is_empty());
        assert!(Throttle::default().decide(&seen(Signal::PauseFile, 1.0), &thresholds).is_empty());
        assert_eq!(Throttle::default().decide(&seen(Signal::Vacuum, 1.0), &thresholds).len(), 1);
    }

    #[test]
    fn reasons_name_value_and_aim() {
        let thresholds = Thresholds::default();
        let said =
            |signal, value| Throttle::default().decide(&seen(signal, value), &thresholds)[0].to_string();
        assert_eq!(
            said(Signal::ReplicationBytes, 600.0 * 1_048_576.0),
            "bytes not replayed by a replica: 600 MiB, until 205 MiB"
        );
        assert_eq!(said(Signal::LockWaits, 11.0), "sessions waiting for a lock: 11, until 8");
    }
}
