//! The state all parts of a running switch share: the routes in force, the
//! counters, the coarse clock, the open connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_model::{Commit, Digest};
use tokio::sync::watch;

use crate::counters::{Counters, DigestCounters};
use crate::front::FrontState;
use crate::protocol::{InstanceStatus, Leftover, Status};
use crate::settings::Settings;
use crate::split::Split;
use crate::upstream::Link;
use crate::{SwitchError, Table};

/// Locks are held for a few instructions that do not panic; if one did, the
/// state behind it is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One instance that is or was routed.
pub(crate) struct Instance {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) sha: Commit,
    pub(crate) address: SocketAddr,
    weight: AtomicU32,
    pub(crate) counters: Arc<DigestCounters>,
    in_flight: AtomicU64,
    /// Set by the active probe and by failed connections, cleared by a probe.
    pub(crate) failing: AtomicBool,
    pub(crate) requests: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Idle connections, one stack per worker, because a connection belongs
    /// to the event loop it was made on.
    #[expect(clippy::vec_box, reason = "a link is large and moves between here and requests")]
    pub(crate) idle: Box<[Mutex<Vec<Box<Link>>>]>,
}

struct Draining {
    instance: Arc<Instance>,
    since: Timestamp,
    deadline: Instant,
}

struct Routes {
    table: Table,
    active: Vec<Arc<Instance>>,
    draining: Vec<Draining>,
    /// Declared parts of the requests, where there are some.
    split: Option<Split>,
    next_id: u64,
}

/// A replaced switch that still finishes requests.
struct Predecessor {
    heard: Instant,
    last: Leftover,
}

/// See the module's first line.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) version: String,
    pub(crate) workers: usize,
    started: Timestamp,
    epoch: Instant,
    /// Tenths of a second since `epoch`, advanced by the sweep.
    ticks: AtomicU32,
    routes: RwLock<Routes>,
    counters: Mutex<Counters>,
    turn: AtomicU32,
    pub(crate) unserved: AtomicU64,
    /// From now on each answer asks the client to close its connection.
    pub(crate) closing: AtomicBool,
    /// The generation in force; requests that nobody can serve wait for it to change.
    pub(crate) changed: watch::Sender<u64>,
    fronts: Mutex<Vec<Weak<FrontState>>>,
    connections: AtomicU64,
    predecessor: Mutex<Option<Predecessor>>,
    /// Wakes the prober when an instance has just failed.
    pub(crate) suspect: tokio::sync::Notify,
}

/// An instance being used by one request; releases it when dropped.
pub(crate) struct Flight {
    pub(crate) instance: Arc<Instance>,
    front: Arc<FrontState>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.front.leave();
        self.instance.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Routes {
    fn described(&self) -> impl Iterator<Item = InstanceStatus> {
        let active = self.active.iter().map(|instance| instance.describe(None));
        active.chain(self.draining.iter().map(|d| d.instance.describe(Some(d.since))))
    }
}

impl Shared {
    pub(crate) fn new(settings: Settings, version: &str, workers: usize, table: Table) -> Arc<Self> {
        let (changed, _) = watch::channel(table.generation);
        let shared = Self {
            settings,
            version: version.into(),
            workers,
            started: Timestamp::now(),
            epoch: Instant::now(),
            ticks: AtomicU32::new(0),
            routes: RwLock::new(Routes {
                table: Table::empty(),
                active: Vec::new(),
                draining: Vec::new(),
                split: None,
                next_id: 1,
            }),
            counters: Mutex::default(),
            turn: AtomicU32::new(0),
            unserved: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            changed,
            fronts: Mutex::default(),
            connections: AtomicU64::new(0),
            predecessor: Mutex::new(None),
            suspect: tokio::sync::Notify::new(),
        };
        shared.install(table);
        Arc::new(shared)
    }

    /// The table in force.
    pub(crate) fn table(&self) -> Table {
        self.read().table.clone()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Routes> {
        self.routes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a table against the one in force.
    pub(crate) fn admit(&self, table: &Table) -> Result<(), SwitchError> {
        table.validate()?;
        table.may_replace(&self.read().table)
    }

    /// Puts a table in force. Requests are assigned under the read half of
    /// this lock, so once it is released an instance that left the table
    /// gets no more, and its in-flight count is exact.
    pub(crate) fn install(&self, table: Table) {
        let mut left = Vec::new();
        {
            let mut counters = lock(&self.counters);
            let mut guard = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            let routes = &mut *guard;
            let mut known: Vec<Arc<Instance>> = std::mem::take(&mut routes.active);
            let (now, deadline) =
                (Timestamp::now(), Instant::now() + Duration::from_secs(u64::from(table.drain_sec)));
            let mut draining = std::mem::take(&mut routes.draining);
            for entry in &table.entries {
                let same = |instance: &Instance| {
                    instance.name == entry.instance
                        && instance.address == entry.address
                        && instance.digest == entry.digest
                };
                // An instance that comes back keeps its count of open requests.
                let instance = if let Some(at) = known.iter().position(|i| same(i)) {
                    known.swap_remove(at)
                } else if let Some(at) = draining.iter().position(|d| same(&d.instance)) {
                    draining.swap_remove(at).instance
                } else {
                    let id = routes.next_id;
                    routes.next_id += 1;
                    Arc::new(Instance {
                        id,
                        name: entry.instance.clone(),
                        digest: entry.digest,
                        sha: entry.sha.clone(),
                        address: entry.address,
                        weight: AtomicU32::new(entry.weight),
                        counters: counters.of(entry.digest, &entry.sha),
                        in_flight: AtomicU64::new(0),
                        failing: AtomicBool::new(false),
                        requests: AtomicU64::new(0),
                        errors: AtomicU64::new(0),
                        idle: (0..self.workers).map(|_| Mutex::default()).collect(),
                    })
                };
                instance.weight.store(entry.weight, Ordering::Relaxed);
                routes.active.push(instance);
            }
            for instance in known {
                left.push(Arc::clone(&instance));
                draining.push(Draining { instance, since: now, deadline });
            }
            routes.draining = draining;
            routes.split = Split::of(&table.entries);
            routes.table = table;
        }
        for instance in &left {
            instance.forget_idle();
        }
        self.changed.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Assigns a request to the least loaded instance that is well and was
    /// not tried yet; when none is well, to any not tried yet. Where releases have
    /// declared parts of the requests, the part goes before the load: a release
    /// whose instances are all unwell has none.
    pub(crate) fn pick(&self, front: &Arc<FrontState>, tried: &[u64]) -> Option<Flight> {
        let routes = self.read();
        let count = routes.active.len();
        if count == 0 {
            return None;
        }
        let number = self.turn.fetch_add(1, Ordering::Relaxed);
        let turn = number as usize % count;
        let part = routes.split.as_ref().filter(|_| tried.is_empty()).map(|split| split.release(number));
        let best = |well: bool, of: Option<Digest>| {
            let mut best: Option<(&Arc<Instance>, u64, u64)> = None;
            for instance in routes.active[turn..].iter().chain(&routes.active[..turn]) {
                if tried.contains(&instance.id) || (well && instance.failing.load(Ordering::Relaxed)) {
                    continue;
                }
                if of.is_some_and(|of| instance.digest != of) {
                    continue;
                }
                let load = instance.in_flight.load(Ordering::Relaxed) + 1;
                let weight = u64::from(instance.weight.load(Ordering::Relaxed));
                // load / weight < best load / best weight, without division
                if best.is_none_or(|(_, most, its)| load * its < most * weight) {
                    best = Some((instance, load, weight));
                }
            }
            best.map(|(instance, ..)| instance)
        };
        let own = part.and_then(|part| best(true, Some(part)));
        let instance = Arc::clone(own.or_else(|| best(true, None)).or_else(|| best(false, None))?);
        instance.in_flight.fetch_add(1, Ordering::AcqRel);
        front.enter(instance.id);
        Some(Flight { instance, front: Arc::clone(front) })
    }

    /// Whether any instance is routed.
    pub(crate) fn serves(&self) -> bool {
        !self.read().active.is_empty()
    }

    /// The routed instances and the health path, for the prober.
    pub(crate) fn routed(&self) -> (Vec<Arc<Instance>>, Option<String>) {
        let routes = self.read();
        (routes.active.clone(), routes.table.health.clone())
    }

    /// Tenths of a second since the start, as of the last sweep.
    pub(crate) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    pub(crate) fn connected(&self, front: &Arc<FrontState>) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut fronts = lock(&self.fronts);
        // Amortised: the list is at most twice as long as connections are open.
        if fronts.len() == fronts.capacity() {
            fronts.retain(|front| front.strong_count() > 0);
        }
        fronts.push(Arc::downgrade(front));
    }

    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// The instances with requests, streams or tunnels of this process.
    pub(crate) fn open_requests(&self) -> Vec<InstanceStatus> {
        let routes = self.read();
        let all = routes.described();
        all.filter(|instance| instance.in_flight > 0).collect()
    }

    /// Run every tenth of a second or two: advances the clock, closes what
    /// has outlived its limit, forgets instances that have drained.
    pub(crate) fn sweep(&self) {
        let ticks = u32::try_from(self.epoch.elapsed().as_millis() / 100).unwrap_or(u32::MAX);
        self.ticks.store(ticks, Ordering::Relaxed);
        let mut cut = Vec::new();
        let watched = self.predecessor().is_some();
        {
            let now = Instant::now();
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            routes.draining.retain(|draining| {
                let open = draining.instance.in_flight.load(Ordering::Acquire);
                if open > 0 && now >= draining.deadline {
                    cut.push(draining.instance.id);
                }
                // A predecessor that is behind may still send it requests.
                open > 0 || watched
            });
        }
        let limits = crate::front::Limits::of(&self.settings);
        for front in lock(&self.fronts).iter() {
            if let Some(front) = front.upgrade() {
                front.check(ticks, &limits, &cut);
            }
        }
        let (active, _) = self.routed();
        for instance in active {
            instance.prune_idle();
        }
    }

    /// Closes connections that carry no request now.
    pub(crate) fn close_idle(&self) {
        for front in lock(&self.fronts).iter() {
            if let Some(front) = front.upgrade() {
                front.close_if_idle();
            }
        }
    }

    pub(crate) fn absorb(&self, digests: &[crate::counters::DigestStats]) {
        lock(&self.counters).absorb(digests);
    }

    pub(crate) fn take_counters(&self) -> Vec<crate::counters::DigestStats> {
        lock(&self.counters).take()
    }

    pub(crate) fn stats(&self) -> Vec<crate::counters::DigestStats> {
        lock(&self.counters).stats()
    }

    /// Takes in what a replaced switch still does.
    pub(crate) fn hear(&self, leftover: Leftover) {
        self.absorb(&leftover.digests);
        let mut predecessor = lock(&self.predecessor);
        *predecessor = (!leftover.finished).then(|| Predecessor { heard: Instant::now(), last: leftover });
    }

    /// What a replaced switch last said, while it is not known to have ended.
    fn predecessor(&self) -> Option<Leftover> {
        /// One not heard of for this long has died.
        const SILENT: Duration = Duration::from_secs(3);
        let mut predecessor = lock(&self.predecessor);
        if predecessor.as_ref().is_some_and(|p| p.heard.elapsed() > SILENT) {
            *predecessor = None;
        }
        predecessor.as_ref().map(|p| p.last.clone())
    }

    pub(crate) fn status(&self) -> Status {
        let predecessor = self.predecessor();
        let routes = self.read();
        let mut instances: Vec<InstanceStatus> = routes.described().collect();
        if let Some(last) = &predecessor {
            // Until it routes by this table it may still choose an instance that left.
            let behind = (last.fence, last.generation) < (routes.table.fence, routes.table.generation);
            for instance in &mut instances {
                instance.in_flight += u64::from(!instance.routed && behind);
            }
            for theirs in &last.instances {
                let same = |ours: &&mut InstanceStatus| {
                    ours.instance == theirs.instance && ours.address == theirs.address
                };
                match instances.iter_mut().find(same) {
                    Some(ours) => ours.in_flight += theirs.in_flight,
                    None => instances.push(InstanceStatus {
                        routed: false,
                        draining_since: theirs.draining_since.or(Some(self.started)),
                        ..theirs.clone()
                    }),
                }
            }
        }
        instances.retain(|instance| instance.routed || instance.in_flight > 0);
        Status {
            schema: "plimsoll/switch-status/v1".into(),
            pid: std::process::id(),
            version: self.version.clone(),
            environment: self.settings.environment.clone(),
            listen: self.settings.listen,
            started: self.started,
            generation: routes.table.generation,
            fence: routes.table.fence,
            connections: self.connections(),
            unserved_total: self.unserved.load(Ordering::Relaxed),
            stopping: self.closing.load(Ordering::Relaxed),
            predecessor_pid: predecessor.map(|last| last.pid),
            instances,
            digests: self.stats(),
        }
    }
}

impl Instance {
    fn describe(&self, draining_since: Option<Timestamp>) -> InstanceStatus {
        InstanceStatus {
            instance: self.name.clone(),
            digest: self.digest,
            sha: self.sha.clone(),
            address: self.address,
            weight: self.weight.load(Ordering::Relaxed),
            routed: draining_since.is_none(),
            healthy: !self.failing.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Acquire),
            draining_since,
            requests_total: self.requests.load(Ordering::Relaxed),
            errors_total: self.errors.load(Ordering::Relaxed),
        }
    }

    /// Closes the idle connections to it.
    fn forget_idle(&self) {
        for pool in &self.idle {
            lock(pool).clear();
        }
    }

    /// Closes idle connections that are old or that the instance has closed.
    fn prune_idle(&self) {
        for pool in &self.idle {
            lock(pool).retain_mut(|link| link.still_good());
        }
    }

    /// Marks it failing; a probe brings it back.
    pub(crate) fn suspect(&self, shared: &Shared) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(instance = %self.name, address = %self.address, "instance cannot be reached");
            shared.suspect.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Entry;

    fn entry(name: &str, port: u16, weight: u32) -> Entry {
        Entry {
            instance: name.into(),
            digest: Digest::from_sha256([1; 32]),
            sha: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            weight,
        }
    }

    fn table(generation: u64, entries: &[Entry]) -> Table {
        Table { generation, fence: 1, entries: entries.to_vec(), ..Table::empty() }
    }

    fn shared(entries: &[Entry]) -> (Arc<Shared>, Arc<FrontState>) {
        let settings = Settings::new("test", SocketAddr::from(([127, 0, 0, 1], 1)));
        let shared = Shared::new(settings, "1", 1, table(1, entries));
        let front = FrontState::new(&shared, 0, SocketAddr::from(([127, 0, 0, 1], 2)));
        (shared, front)
    }

    #[test]
    fn the_least_loaded_by_weight_is_chosen_and_the_failing_only_when_all_are() {
        let (shared, front) = shared(&[entry("a", 1, 3), entry("b", 2, 1)]);
        let flights: Vec<Flight> = (0..8).map(|_| shared.pick(&front, &[]).unwrap()).collect();
        let on_a = flights.iter().filter(|flight| flight.instance.name == "a").count();
        assert_eq!(on_a, 6);
        drop(flights);
        for instance in shared.routed().0 {
            instance.failing.store(instance.name == "a", Ordering::Relaxed);
        }
        assert!((0..8).all(|_| shared.pick(&front, &[]).unwrap().instance.name == "b"));
        let b = shared.pick(&front, &[]).unwrap().instance.id;
        assert_eq!(shared.pick(&front, &[b]).unwrap().instance.name, "a");
        let a = shared.pick(&front, &[b]).unwrap().instance.id;
        assert!(shared.pick(&front, &[a, b]).is_none());
    }

    #[test]
    fn a_declared_part_is_kept_whatever_the_load_is() {
        let mut canary = entry("c", 3, 2);
        canary.digest = Digest::from_sha256([2; 32]);
        let (shared, front) = shared(&[entry("a", 1, 9), entry("b", 2, 9), canary]);
        // One after the other, many at a time, and while the old ones are slow.
        for held in [0, 50, 400] {
            let mut flights: std::collections::VecDeque<Flight> = std::collections::VecDeque::new();
            let mut new = 0;
            for _ in 0..1_000 {
                let flight = shared.pick(&front, &[]).unwrap();
                if flight.instance.name == "c" {
                    new += 1;
                } else {
                    flights.push_back(flight);
                }
                while flights.len() > held {
                    flights.pop_front();
                }
            }
            assert_eq!(new, 100, "{held} at a time");
        }
        // A release that is unwell gets none, and nobody is turned away.
        for instance in shared.routed().0 {
            instance.failing.store(instance.name == "c", Ordering::Relaxed);
        }
        assert!((0..100).all(|_| shared.pick(&front, &[]).unwrap().instance.name != "c"));
    }

    #[test]
    fn what_leaves_the_table_drains_and_is_then_forgotten() {
        let (shared, front) = shared(&[entry("a", 1, 1)]);
        let flight = shared.pick(&front, &[]).unwrap();
        shared.install(table(2, &[entry("b", 2, 1)]));
        assert_eq!(shared.pick(&front, &[]).unwrap().instance.name, "b");
        let status = shared.status();
        assert!(!status.drained("a") && status.in_flight("a") == 1 && status.routed("b"));
        drop(flight);
        assert!(shared.status().drained("a"));
        shared.sweep();
        assert!(shared.open_requests().is_empty());
    }

    #[test]
    fn a_predecessor_that_is_behind_keeps_what_left_from_being_drained() {
        let (shared, front) = shared(&[entry("a", 1, 1)]);
        let mut leftover = Leftover { pid: 1, fence: 1, generation: 1, ..Leftover::default() };
        shared.hear(leftover.clone());
        drop(shared.pick(&front, &[]).unwrap());
        shared.install(table(2, &[entry("b", 2, 1)]));
        shared.sweep();
        assert!(!shared.status().drained("a"));
        leftover.generation = 2;
        shared.hear(leftover.clone());
        assert!(shared.status().drained("a"));
        // What it still serves counts, known here or not.
        let theirs = InstanceStatus { in_flight: 2, ..shared.status().instances[0].clone() };
        leftover.instances = vec![InstanceStatus { instance: "gone".into(), ..theirs.clone() }, theirs];
        shared.hear(leftover.clone());
        let status = shared.status();
        assert_eq!((status.in_flight("b"), status.in_flight("gone")), (2, 2));
        assert!(!status.drained("gone") && !status.routed("gone"));
        shared.hear(Leftover { finished: true, ..leftover });
        assert!(shared.status().drained("gone") && shared.status().predecessor_pid.is_none());
    }
}
