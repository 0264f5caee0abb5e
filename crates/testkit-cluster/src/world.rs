//! Everything that the cluster is, behind one lock: objects, time, nodes, and
//! what goes wrong. Time is virtual and moves only when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::api::access::Forbid;
use crate::api::admission::Webhook;
use crate::api::{Actor, WriteOptions};
use crate::controllers::Memory;
use crate::faults::{Faults, Seen};
use crate::kinds::by_any_name;
use crate::kubelet::Kubelet;
use crate::object::{set, time};
use crate::settings::Settings;
use crate::store::{Key, Store};
use crate::traffic::Traffic;

/// So many passes of all controllers without time passing: then something
/// never comes to rest, which is a defect of this crate.
const MOST_PASSES: usize = 2_000;

/// A user that a token stands for.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) actor: Actor,
    pub(crate) expired: bool,
}

/// The state behind the lock.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    /// Virtual milliseconds since 1970.
    pub(crate) now: u64,
    pub(crate) settings: Settings,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) forbidden: Vec<Forbid>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) faults: Faults,
    pub(crate) requests: Vec<Seen>,
    pub(crate) kubelet: Kubelet,
    pub(crate) memory: Memory,
    pub(crate) traffic: Traffic,
    pub(crate) rng: fastrand::Rng,
    timers: BTreeSet<u64>,
    addresses: u16,
    /// Something was written since the controllers looked.
    dirty: bool,
    /// When they look next, where they take their time.
    due: Option<u64>,
    changed: watch::Sender<u64>,
    ticks: u64,
}

impl World {
    /// A cluster with the namespaces, nodes and accounts of `settings`.
    pub(crate) fn new(settings: Settings) -> Self {
        let now = settings.starts_at;
        let mut world = Self {
            store: Store::new(settings.history),
            now,
            webhooks: Vec::new(),
            forbidden: Vec::new(),
            users: BTreeMap::new(),
            faults: Faults::default(),
            requests: Vec::new(),
            kubelet: Kubelet::default(),
            memory: Memory::default(),
            traffic: Traffic::default(),
            rng: fastrand::Rng::with_seed(settings.seed),
            timers: BTreeSet::new(),
            addresses: 0,
            dirty: false,
            due: None,
            changed: watch::Sender::new(0),
            ticks: 0,
            settings,
        };
        world.store.clock = now;
        world.furnish();
        world
    }

    fn furnish(&mut self) {
        let options = WriteOptions::system("kube-apiserver");
        for namespace in ["default", "kube-system", "kube-public", "kube-node-lease"]
            .into_iter()
            .map(str::to_owned)
            .chain(self.settings.namespaces.clone())
        {
            self.make("namespaces", "", json!({"metadata": {"name": namespace}}), &options);
        }
        for node in self.settings.nodes.clone() {
            let object = node.to_object(self.now);
            self.make(
                "nodes",
                "",
                json!({"metadata": object["metadata"], "spec": object["spec"]}),
                &WriteOptions::system("kubelet"),
            );
            let status = object["status"].clone();
            let Some(kind) = by_any_name("nodes") else { return };
            let key = Key::new(kind, "", &node.name);
            // A node that was just made is there.
            drop(self.edit(&key, &WriteOptions::system("kubelet").on("status"), |node| {
                set(node, "/status", status)
            }));
        }
        self.settle();
    }

    /// Makes an object of the cluster's own; what is there stays.
    pub(crate) fn make(&mut self, kind: &str, namespace: &str, mut object: Value, options: &WriteOptions) {
        let Some(kind) = by_any_name(kind) else { return };
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        drop(self.create(kind, namespace, object, options));
    }

    /// Keeps an object and tells everybody.
    pub(crate) fn persist(&mut self, key: &Key, object: Value) -> Arc<Value> {
        let kept = self.store.put(key, object);
        self.touched();
        kept
    }

    /// Something changed that others look at.
    pub(crate) fn touched(&mut self) {
        self.dirty = true;
        self.notify();
    }

    /// Wakes everybody who waits for a change.
    pub(crate) fn notify(&mut self) {
        self.ticks += 1;
        self.changed.send_replace(self.ticks);
    }

    /// To be told of changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Somebody has to look again at this virtual time.
    pub(crate) fn wake_at(&mut self, at: u64) {
        if at > self.now {
            self.timers.insert(at);
        }
    }

    /// The next virtual time at which something happens by itself.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.timers
            .iter()
            .copied()
            .chain(self.due)
            .find(|at| *at > self.now)
            .map(|first| self.due.filter(|due| *due > self.now && *due < first).unwrap_or(first))
    }

    /// A client has written: the controllers look, at once or after their
    /// delay.
    pub(crate) fn written(&mut self) {
        let delay = self.settings.controller_delay;
        if delay == 0 {
            self.settle();
        } else if self.dirty {
            self.due.get_or_insert(self.now + delay);
        }
    }

    /// Lets every controller work until nothing changes any more. No time
    /// passes.
    pub(crate) fn settle(&mut self) {
        self.due = None;
        for _ in 0..MOST_PASSES {
            self.dirty = false;
            crate::controllers::pass(self);
            if !self.dirty {
                return;
            }
        }
        panic!(
            "the controllers of the test cluster do not come to rest at {}: {:?}",
            time(self.now),
            self.store.last_keys(12)
        );
    }

    /// Moves time on, stopping wherever something happens.
    pub(crate) fn advance_to(&mut self, target: u64) {
        while let Some(next) = self.next_timer().filter(|next| *next <= target) {
            self.go_to(next);
        }
        if target > self.now {
            self.go_to(target);
        }
    }

    /// To the next time at which something happens; false where nothing ever
    /// will.
    pub(crate) fn hop(&mut self) -> bool {
        let next = self.next_timer();
        if let Some(next) = next {
            self.go_to(next);
        }
        next.is_some()
    }

    fn go_to(&mut self, at: u64) {
        self.now = at;
        self.store.clock = at;
        self.timers = self.timers.split_off(&(at + 1));
        self.settle();
        self.send_due();
        self.notify();
    }

    /// A random name's end, of letters that spell nothing.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(LETTERS[self.rng.usize(..LETTERS.len())])).collect()
    }

    /// A random UUID of version 4.
    pub(crate) fn uid(&mut self) -> String {
        let bits = self.rng.u128(..);
        let bits = bits & !(0xf << 76) | (4 << 76);
        let bits = bits & !(0x3 << 62) | (2 << 62);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The next free address of a network, e.g. `10.244`.
    pub(crate) fn address(&mut self, network: &str) -> String {
        self.addresses += 1;
        format!("{network}.{}.{}", self.addresses / 250, self.addresses % 250 + 1)
    }
}
