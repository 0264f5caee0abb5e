//! What goes wrong between a client and the cluster.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This answer, with the real server's body for it; the request does
    /// nothing.
    Status {
        /// 429, 500, 503, 504.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// Somebody else was faster: 409.
    Conflict,
    /// The connection is reset before the request does anything.
    Reset,
    /// What was asked is done, and then the connection is reset.
    LoseAnswer,
    /// Nothing happens until [`crate::Cluster::release`]; then the right
    /// answer.
    Stall,
    /// 200 with a page of HTML, as proxies and login portals answer.
    Html,
}

/// A request that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`.
    pub method: String,
    /// `/api/v1/namespaces/shop/pods`.
    pub path: String,
    /// What follows the `?`; empty without one.
    pub query: String,
    /// Who asked.
    pub user: String,
    /// The body as text; empty without one.
    pub body: String,
    /// `Content-Type`.
    pub content_type: String,
    /// Virtual milliseconds since 1970.
    pub at: u64,
    /// Status of the answer; 0 while there is none, or where the connection
    /// was reset.
    pub code: u16,
}

/// What goes wrong by chance, for every request. Shares from 0 to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chaos {
    /// Answers 500 or 503.
    pub errors: u8,
    /// Answers 429 with `Retry-After: 1`.
    pub throttled: u8,
    /// Connections reset before anything was done.
    pub resets: u8,
    /// Connections reset after it was done.
    pub lost_answers: u8,
    /// Watches ended after an event.
    pub dropped_watches: u8,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) skip: usize,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

/// What is wrong now.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) rules: Vec<Rule>,
    pub(crate) chaos: Chaos,
    /// Cached reads are so many revisions behind.
    pub(crate) lag: u64,
    /// The server cannot be reached before this virtual time.
    pub(crate) away_until: u64,
    pub(crate) watches: WatchFaults,
    /// How often stalled requests were released.
    pub(crate) released: watch::Sender<u64>,
    /// How many requests are stalled.
    pub(crate) stalled: watch::Sender<usize>,
    /// Raised for every connection to break.
    pub(crate) broken: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            chaos: Chaos::default(),
            lag: 0,
            away_until: 0,
            watches: WatchFaults::default(),
            released: watch::Sender::new(0),
            stalled: watch::Sender::new(0),
            broken: watch::Sender::new(0),
        }
    }
}

/// What is wrong with streams.
#[derive(Debug, Clone, Default)]
pub(crate) struct WatchFaults {
    /// Virtual milliseconds between a change and its event.
    pub(crate) delay: u64,
    /// So many events are not told.
    pub(crate) lose: usize,
    /// Nothing is told.
    pub(crate) silent: bool,
    /// Streams that began before this count end.
    pub(crate) dropped: u64,
    /// Streams that began before this count are told 410, and end.
    pub(crate) expired: u64,
    /// The next event is cut in half, and the connection reset.
    pub(crate) cut: bool,
    /// New watches are refused with 410 as HTTP status.
    pub(crate) refuse: bool,
}

impl Faults {
    /// The fault of this request, if any; each rule counts.
    pub(crate) fn of(&mut self, method: &str, target: &str, rng: &mut fastrand::Rng) -> Option<Fault> {
        for rule in &mut self.rules {
            if rule.method != method || !target.contains(&rule.path) || rule.times == 0 {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        let chance = |rng: &mut fastrand::Rng, share: u8| share > 0 && rng.u8(..100) < share;
        let Chaos { errors, throttled, resets, lost_answers, .. } = self.chaos;
        if chance(rng, errors) {
            let code = if rng.bool() { 500 } else { 503 };
            return Some(Fault::Status { code, retry_after: None });
        }
        if chance(rng, throttled) {
            return Some(Fault::Status { code: 429, retry_after: Some(1) });
        }
        if chance(rng, resets) {
            return Some(Fault::Reset);
        }
        chance(rng, lost_answers).then_some(Fault::LoseAnswer)
    }
}

/// A fault being described; nothing happens before [`When::then`].
#[must_use = "a fault begins with `then`"]
#[derive(Debug)]
pub struct When {
    pub(crate) world: Arc<Mutex<crate::world::World>>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) skip: usize,
    pub(crate) times: usize,
}

impl When {
    /// So many matching requests go well first.
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// It happens so many times; without this, once.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// From now on.
    pub fn then(self, fault: Fault) {
        let rule = Rule { method: self.method, path: self.path, skip: self.skip, times: self.times, fault };
        crate::cluster::lock(&self.world).faults.rules.push(rule);
    }
}
