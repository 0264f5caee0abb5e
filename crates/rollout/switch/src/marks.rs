//! What a target on one host notes about an instance over its life. Each mark
//! is a file of its own, so that processes that set different ones at the same
//! time lose none.

use std::io;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::Status;
use crate::files::{read_json, write_json};

/// The marks in the folder of one instance. The folder has to exist for
/// setting one; reading finds none where it does not.
#[derive(Debug, Clone)]
pub struct Marks(PathBuf);

/// What the switch says about one instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Whether it receives new requests.
    pub routed: bool,
    /// Its part of them relative to the others'; 0 where that is not known.
    pub weight: u32,
    /// Requests it has not answered to the end.
    pub in_flight: u64,
}

impl Served {
    /// By the switch's status; without a switch nothing is served.
    pub fn of(switch: Option<&Status>, instance: &str) -> Self {
        switch.map_or_else(Self::default, |status| Self {
            routed: status.routed(instance),
            weight: status.weight(instance),
            in_flight: status.in_flight(instance),
        })
    }

    /// Whether an instance that drains until `deadline` has finished.
    pub fn is_over(&self, deadline: Timestamp) -> bool {
        !self.routed && (self.in_flight == 0 || Timestamp::now() >= deadline)
    }
}

impl Marks {
    /// Those in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Whether it was healthy once.
    pub fn was_ready(&self) -> bool {
        self.0.join("ready").exists()
    }

    /// Notes that it was healthy.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn mark_ready(&self) -> io::Result<()> {
        if self.was_ready() { Ok(()) } else { write_json(&self.0.join("ready"), &Timestamp::now()) }
    }

    /// When it must have finished its requests, once it is draining.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn drain_deadline(&self) -> io::Result<Option<Timestamp>> {
        read_json(&self.0.join("draining"))
    }

    /// Notes that it has this many seconds from now to finish its requests.
    /// The first deadline stands: draining twice gives no more time.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn mark_draining(&self, seconds: u32) -> io::Result<()> {
        self.mark_deadline("draining", seconds)
    }

    /// When it must have ended, once it was asked to.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn stop_deadline(&self) -> io::Result<Option<Timestamp>> {
        read_json(&self.0.join("stopping"))
    }

    /// Notes that it was asked to end and has this many seconds from now. The
    /// first deadline stands.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn mark_stopping(&self, seconds: u32) -> io::Result<()> {
        self.mark_deadline("stopping", seconds)
    }

    fn mark_deadline(&self, name: &str, seconds: u32) -> io::Result<()> {
        let path = self.0.join(name);
        if read_json::<Timestamp>(&path)?.is_some() {
            return Ok(());
        }
        write_json(&path, &(Timestamp::now() + SignedDuration::from_secs(i64::from(seconds))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_deadline_stands() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::new(folder.path());
        assert!(!marks.was_ready() && marks.drain_deadline().unwrap().is_none());
        marks.mark_ready().unwrap();
        marks.mark_draining(60).unwrap();
        let first = marks.drain_deadline().unwrap().unwrap();
        marks.mark_draining(3600).unwrap();
        assert_eq!(marks.drain_deadline().unwrap(), Some(first));
        assert!(marks.was_ready() && marks.stop_deadline().unwrap().is_none());
    }

    #[test]
    fn draining_is_over_without_requests_or_without_time() {
        let later = Timestamp::now() + SignedDuration::from_secs(60);
        let served = |routed, in_flight| Served { routed, weight: 1, in_flight };
        assert!(served(false, 0).is_over(later));
        assert!(!served(false, 1).is_over(later));
        assert!(served(false, 1).is_over(Timestamp::now()));
        assert!(!served(true, 0).is_over(Timestamp::now()));
    }
}
