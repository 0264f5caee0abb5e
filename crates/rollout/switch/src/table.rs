//! The routing table: which instances receive users' requests.
//!
//! A table is a whole: applying one replaces everything before it, at once.
//! Two numbers keep a paused deployer from moving an environment backwards:
//! the fence of its lock, and within one fence the generation.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use plimsoll_model::{Commit, Digest};
use serde::{Deserialize, Serialize};

use crate::SwitchError;

/// The most instances one table can route.
pub const MAX_ENTRIES: usize = 1024;
/// The largest weight of an instance.
pub const MAX_WEIGHT: u32 = 1000;
const MAX_NAME: usize = 256;
const MAX_HEALTH_PATH: usize = 1024;

/// One instance that receives requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The instance's name, unique within the table.
    pub instance: String,
    /// The image manifest digest it runs; counters are kept by it.
    pub digest: Digest,
    /// The commit it was built from.
    pub sha: Commit,
    /// Where it listens.
    pub address: SocketAddr,
    /// Share of the load relative to the others, 1 to [`MAX_WEIGHT`].
    pub weight: u32,
}

/// Who receives requests, and how those that no longer do are let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Rises with every change within a fence.
    pub generation: u64,
    /// The fencing number of the environment lock that applies this.
    pub fence: u64,
    /// The instances. Empty: nobody serves, requests get 503.
    pub entries: Vec<Entry>,
    /// Seconds an instance that leaves the table keeps its open requests,
    /// streams and tunnels before they are closed.
    pub drain_sec: u32,
    /// Path that each instance answers with 2xx while it is well, e.g.
    /// `/healthz`. `None`: no active probes, only failed connections count.
    pub health: Option<String>,
}

impl Table {
    /// The table before anything was applied: nobody serves.
    pub fn empty() -> Self {
        Self { generation: 0, fence: 0, entries: Vec::new(), drain_sec: 30, health: None }
    }

    /// Checks everything that does not depend on what was applied before.
    ///
    /// # Errors
    /// [`SwitchError::InvalidTable`] with the first thing that is wrong.
    pub fn validate(&self) -> Result<(), SwitchError> {
        let wrong = |reason: String| Err(SwitchError::InvalidTable { reason });
        if self.entries.len() > MAX_ENTRIES {
            return wrong(format!("{} instances; at most {MAX_ENTRIES} can be routed", self.entries.len()));
        }
        if let Some(path) = &self.health {
            let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
            if !path.starts_with('/') || !plain || path.len() > MAX_HEALTH_PATH {
                return wrong(format!("health path {path:?} is not an absolute path"));
            }
        }
        let mut names = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for entry in &self.entries {
            let name = &entry.instance;
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                return wrong(format!("{name:?} cannot name an instance"));
            }
            if !names.insert(name) {
                return wrong(format!("instance {name} is listed twice"));
            }
            if !addresses.insert(entry.address) {
                return wrong(format!("address {} is listed twice", entry.address));
            }
            if entry.address.port() == 0 || entry.address.ip().is_unspecified() {
                return wrong(format!("{} of {name} cannot be connected to", entry.address));
            }
            if !(1..=MAX_WEIGHT).contains(&entry.weight) {
                return wrong(format!("weight {} of {name} is not in 1..={MAX_WEIGHT}", entry.weight));
            }
        }
        Ok(())
    }

    /// Whether this table may replace `current`: its fence is not older, and
    /// with the same fence its generation is not older. Applying the same
    /// table again is allowed, so that a caller who lost the answer can repeat.
    ///
    /// # Errors
    /// [`SwitchError::Fenced`] or [`SwitchError::Stale`].
    pub fn may_replace(&self, current: &Table) -> Result<(), SwitchError> {
        if self.fence < current.fence {
            return Err(SwitchError::Fenced { fence: self.fence, seen: current.fence });
        }
        if self.fence == current.fence && self.generation < current.generation {
            return Err(SwitchError::Stale { generation: self.generation, seen: current.generation });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(name: &str, port: u16) -> Entry {
        Entry {
            instance: name.into(),
            digest: Digest::from_sha256([1; 32]),
            sha: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            weight: 1,
        }
    }

    fn table(fence: u64, generation: u64, entries: Vec<Entry>) -> Table {
        Table { generation, fence, entries, drain_sec: 1, health: Some("/healthz".into()) }
    }

    #[test]
    fn an_older_fence_or_generation_is_refused_and_the_same_is_not() {
        let current = table(5, 10, vec![]);
        assert!(table(5, 10, vec![]).may_replace(&current).is_ok());
        assert!(table(5, 11, vec![]).may_replace(&current).is_ok());
        assert!(table(6, 1, vec![]).may_replace(&current).is_ok());
        assert!(matches!(
            table(4, 99, vec![]).may_replace(&current),
            Err(SwitchError::Fenced { fence: 4, seen: 5 })
        ));
        assert!(matches!(
            table(5, 9, vec![]).may_replace(&current),
            Err(SwitchError::Stale { generation: 9, seen: 10 })
        ));
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let mut weightless = entry("a", 1);
        weightless.weight = 0;
        let mut nowhere = entry("a", 1);
        nowhere.address = "0.0.0.0:80".parse().unwrap();
        for (entries, word) in [
            (vec![entry("a", 1), entry("a", 2)], "twice"),
            (vec![entry("a", 1), entry("b", 1)], "twice"),
            (vec![entry("", 1)], "name"),
            (vec![entry("a\n", 1)], "name"),
            (vec![entry("a", 0)], "connected"),
            (vec![nowhere], "connected"),
            (vec![weightless], "weight"),
            ((0..=MAX_ENTRIES).map(|i| entry(&format!("i{i}"), i as u16 + 1)).collect(), "at most"),
        ] {
            let error = table(1, 1, entries).validate().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        for path in ["healthz", "/a b", "/a\r\nX: y", "", "/a#b"] {
            let bad = Table { health: Some(path.into()), ..Table::empty() };
            assert!(bad.validate().is_err(), "{path:?}");
        }
        assert!(table(1, 1, vec![entry("a", 1), entry("b", 2)]).validate().is_ok());
    }

    #[test]
    fn a_table_survives_serialisation() {
        let table = table(7, 3, vec![entry("a", 1)]);
        let text = serde_json::to_string(&table).unwrap();
        assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
    }
}
