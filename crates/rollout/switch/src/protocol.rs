//! What is said over the control socket.
//!
//! One request, one answer, each a single line of JSON; then the connection
//! is closed. Requests are at most [`MAX_REQUEST`] bytes, answers at most
//! [`MAX_ANSWER`]. `handover` is the exception: its first answer carries the
//! file descriptors, and the connection stays open until the successor says
//! `handover_done` (see [`crate::handover`]).

use std::net::SocketAddr;

use jiff::Timestamp;
use plimsoll_model::{Commit, Digest};
use serde::{Deserialize, Serialize};

use crate::Table;
use crate::counters::DigestStats;

/// The longest request line in bytes; a full table fits several times.
pub const MAX_REQUEST: usize = 1 << 20;
/// The longest answer line in bytes.
pub const MAX_ANSWER: usize = 4 << 20;
/// Name of the control socket in the state directory.
pub const SOCKET: &str = "switch.sock";

/// A request to the running switch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Replace the routing table.
    Apply {
        /// The new table.
        table: Table,
    },
    /// What is running and how it does.
    Status,
    /// The counters in Prometheus' text format.
    Metrics,
    /// Give the listening socket to this process.
    Handover {
        /// Version of the asking program.
        version: String,
        /// Its process id.
        pid: u32,
    },
    /// The successor accepts connections; said on the handover's connection.
    HandoverDone,
    /// A predecessor that still finishes requests reports them.
    Leftover {
        /// What it still does and what it counted since its last report.
        leftover: Leftover,
    },
    /// Stop accepting, finish what is open, exit.
    Shutdown,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The table is in force: every request that arrives from now on is
    /// routed by it.
    Applied {
        /// Its generation.
        generation: u64,
    },
    /// See [`Status`].
    Status {
        /// The status.
        status: Box<Status>,
    },
    /// Prometheus text.
    Metrics {
        /// The text.
        text: String,
    },
    /// The state that the successor goes on from; the message carries the
    /// listening socket and the state directory's lock as descriptors.
    Handover {
        /// The table in force.
        table: Table,
        /// Counters so far; the predecessor starts again from zero.
        digests: Vec<DigestStats>,
        /// The instances that have requests of the predecessor now.
        instances: Vec<InstanceStatus>,
        /// Process id of the predecessor.
        pid: u32,
    },
    /// The table in force, for a predecessor that still serves.
    Table {
        /// The table.
        table: Table,
    },
    /// Done; nothing more to say.
    Ok,
    /// Nothing was changed.
    Error {
        /// Stable code, `SWI-0xx`.
        code: String,
        /// One sentence.
        message: String,
        /// With `SWI-004`: the newest fence or generation seen.
        #[serde(default)]
        seen: Option<u64>,
    },
}

/// What a replaced switch still does (said by it to its successor).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its process id.
    pub pid: u32,
    /// The generation and fence of the table it routes by.
    pub fence: u64,
    /// See `fence`.
    pub generation: u64,
    /// The instances that still have requests, streams or tunnels of it.
    pub instances: Vec<InstanceStatus>,
    /// What it counted since its last report.
    pub digests: Vec<DigestStats>,
    /// True in its last report.
    pub finished: bool,
}

/// How one instance does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its name.
    pub instance: String,
    /// What it runs.
    pub digest: Digest,
    /// The commit.
    pub sha: Commit,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is in the table in force. Otherwise it is draining; once
    /// drained it is no longer listed.
    pub routed: bool,
    /// Its weight in that table; 0 where a switch of an older version says nothing.
    #[serde(default)]
    pub weight: u32,
    /// Whether the last connection and probe succeeded. An unhealthy
    /// instance gets no requests while a healthy one is routed.
    pub healthy: bool,
    /// Open requests, streams and tunnels, those of a predecessor included.
    pub in_flight: u64,
    /// Since when it is draining.
    pub draining_since: Option<Timestamp>,
    /// Requests answered since it was first routed.
    pub requests_total: u64,
    /// Requests it failed (no connection, no answer, broken off).
    pub errors_total: u64,
}

/// What the switch says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `plimsoll/switch-status/v1`.
    pub schema: String,
    /// Process id.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Whose traffic it carries.
    pub environment: String,
    /// Where users connect.
    pub listen: SocketAddr,
    /// When this process took over.
    pub started: Timestamp,
    /// Generation of the table in force.
    pub generation: u64,
    /// Newest fence seen.
    pub fence: u64,
    /// Open connections of users.
    pub connections: u64,
    /// Requests that nobody could serve (503 and 502 of the switch itself).
    pub unserved_total: u64,
    /// Whether it was told to end and only finishes what is open.
    pub stopping: bool,
    /// Whether a replaced switch still finishes requests.
    pub predecessor_pid: Option<u32>,
    /// Routed and draining instances.
    pub instances: Vec<InstanceStatus>,
    /// Counters by digest.
    pub digests: Vec<DigestStats>,
}

impl Status {
    /// Whether an instance gets no more requests and has none open.
    pub fn drained(&self, instance: &str) -> bool {
        self.instances.iter().filter(|i| i.instance == instance).all(|i| !i.routed && i.in_flight == 0)
    }

    /// The weight of a routed instance; 0 for any other.
    pub fn weight(&self, instance: &str) -> u32 {
        let routed = self.instances.iter().find(|i| i.instance == instance && i.routed);
        routed.map_or(0, |i| i.weight)
    }

    /// Open requests of an instance, over all its addresses.
    pub fn in_flight(&self, instance: &str) -> u64 {
        self.instances.iter().filter(|i| i.instance == instance).map(|i| i.in_flight).sum()
    }

    /// Whether an instance is in the table in force.
    pub fn routed(&self, instance: &str) -> bool {
        self.instances.iter().any(|i| i.instance == instance && i.routed)
    }
}
