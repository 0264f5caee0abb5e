//! The world: everything that outlives a process, and the properties.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use plimsoll_model::event::RolloutOutcome;
use plimsoll_model::{Digest, Event};
use plimsoll_rollout_core::fleet::{FleetRecord, Instance, InstanceState};
use plimsoll_rollout_core::machine::Migrations;
use plimsoll_rollout_core::{Cause, Failing, Fence};

use super::scenario::{Behaviour, Faults, dawn};

/// A lease runs this long.
pub(super) const LEASE_MS: u64 = 15_000;
/// Faults excuse missing instances for this long: about as long as a call
/// that was under way when it happened.
const EXCUSED_MS: u64 = 70_000;

/// The world, shared by the processes in it.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    pub(super) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The world. Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// An instance and its fate.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    pub(super) instance: Instance,
    /// When it becomes ready, unless it never does.
    ready_at: Option<u64>,
    /// When, and how, it goes wrong.
    fails: Option<(u64, Cause)>,
    dies_at: Option<u64>,
    drained_at: Option<u64>,
    /// Whether it has ever had requests.
    pub(super) served: bool,
}

/// Lock, as a database row would have it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lock {
    pub(super) fence: u64,
    pub(super) holder: Option<u64>,
    pub(super) expires: u64,
}

/// Everything that outlives a process.
#[derive(Debug)]
pub struct World {
    /// Milliseconds since the beginning, as they really pass.
    pub now_ms: u64,
    /// What the wall clock is wrong by, in milliseconds.
    pub wall_off_ms: i64,
    /// The ledger.
    pub journal: Vec<Event>,
    /// The first thing that should never happen, if it did.
    pub violation: Option<String>,
    /// What happened, a line each.
    pub trace: Vec<String>,
    pub(super) rng: fastrand::Rng,
    pub(super) faults: Faults,
    pub(super) fates: Vec<Fate>,
    pub(super) record: FleetRecord,
    pub(super) lock: Lock,
    /// The newest fence a process got.
    pub(super) fence_of: BTreeMap<u64, u64>,
    pub(super) behaviours: BTreeMap<Digest, Behaviour>,
    pub(super) approved: BTreeSet<Digest>,
    /// Migrations of rollouts that have some.
    pub(super) migrations: BTreeMap<String, Migrations>,
    /// Rollouts whose candidate is judged worse.
    pub(super) worse: BTreeSet<String>,
    /// Whether the switch itself refuses calls under an outdated fence.
    pub(super) switch_has_fences: bool,
    /// Ready instances that must be in traffic.
    pub(super) floor: u32,
    /// The earliest time somebody waits for.
    pub(super) next_wake: u64,
    /// Operations a process did after a newer one had come.
    late: BTreeMap<u64, u32>,
    /// Whether what is being done is such a late operation.
    acting_late: bool,
    /// Missing instances that the faults themselves explain, and until when.
    excused: u32,
    excused_until: u64,
}

impl World {
    pub(super) fn new(mut rng: fastrand::Rng, faults: Faults) -> Self {
        Self {
            switch_has_fences: rng.bool(),
            now_ms: 0,
            wall_off_ms: 0,
            journal: Vec::new(),
            violation: None,
            trace: Vec::new(),
            rng,
            faults,
            fates: Vec::new(),
            record: FleetRecord::default(),
            lock: Lock::default(),
            fence_of: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            approved: BTreeSet::new(),
            migrations: BTreeMap::new(),
            worse: BTreeSet::new(),
            floor: 0,
            next_wake: u64::MAX,
            late: BTreeMap::new(),
            acting_late: false,
            excused: 0,
            excused_until: 0,
        }
    }

    /// The wall clock.
    pub fn wall(&self) -> Timestamp {
        let off = i64::try_from(self.now_ms).unwrap_or(i64::MAX).saturating_add(self.wall_off_ms);
        dawn().saturating_add(SignedDuration::from_millis(off)).unwrap_or_else(|_| dawn())
    }

    /// Every instance as it is now.
    pub fn instances(&self) -> Vec<Instance> {
        self.fates.iter().map(|f| f.instance.clone()).collect()
    }

    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.rng.u32(..1000) < per_mille
    }

    pub(super) fn say(&mut self, what: impl FnOnce() -> String) {
        let line = format!("{:>9.3} s  {}", self.now_ms as f64 / 1000.0, what());
        self.trace.push(line);
    }

    pub(super) fn violate(&mut self, what: String) {
        if self.violation.is_none() {
            self.say(|| format!("VIOLATION: {what}"));
            self.violation = Some(what);
        }
    }

    /// Puts an instance there, as starting it would.
    pub(super) fn start(&mut self, instance: Instance, candidate: bool) {
        let migrations = self.migrations.get(&instance.rollout);
        if candidate && migrations.is_some_and(|m| *m != Migrations::Done) {
            self.violate(format!("{} was started before the migrations", instance.id));
        }
        if self.fates.iter().any(|f| f.instance.id == instance.id) {
            return;
        }
        let now = self.now_ms;
        let behaviour = self
            .behaviours
            .get(&instance.release.digest())
            .copied()
            .unwrap_or(Behaviour::Good { start_ms: 1 });
        let mut fate =
            Fate { instance, ready_at: None, fails: None, dies_at: None, drained_at: None, served: false };
        match behaviour {
            Behaviour::Good { start_ms } => fate.ready_at = Some(now + self.rng.u64(..=start_ms)),
            Behaviour::SlowProbe { ms } => {
                fate.fails = Some((now + 1, Cause::ProbeFailed));
                fate.ready_at = Some(now + ms);
            }
            Behaviour::Doomed(cause) => fate.fails = Some((now + self.rng.u64(..3_000), cause)),
            Behaviour::Stuck => {}
            Behaviour::Dies { ms } => {
                let ready = now + self.rng.u64(..3_000);
                fate.ready_at = Some(ready);
                fate.dies_at = Some(ready + ms);
            }
        }
        self.fates.push(fate);
    }

    /// Lets time pass up to now for every instance.
    pub(super) fn age(&mut self) {
        let now = self.now_ms;
        let mut deaths = 0;
        for fate in &mut self.fates {
            let state = &mut fate.instance.state;
            if let (InstanceState::Starting, Some((at, cause))) = (&*state, fate.fails)
                && now >= at
            {
                *state = InstanceState::Failing(Failing {
                    instance: fate.instance.id.clone(),
                    cause,
                    message: format!("{cause:?}"),
                    last_lines: vec!["the last line".into()],
                    heals: false,
                });
            }
            let waiting = match state {
                InstanceState::Starting => true,
                InstanceState::Failing(why) => why.cause == Cause::ProbeFailed,
                _ => false,
            };
            if waiting && fate.ready_at.is_some_and(|at| now >= at) {
                *state = InstanceState::Ready;
            }
            if *state == InstanceState::Ready && fate.dies_at.is_some_and(|at| now >= at) {
                *state = InstanceState::Exited { message: "died".into(), last_lines: Vec::new() };
                // One that is only about to serve may be counted on already.
                deaths += 1;
            }
            if *state == InstanceState::Draining && fate.drained_at.is_some_and(|at| now >= at) {
                *state = InstanceState::Drained;
            }
        }
        if deaths > 0 {
            self.excuse(deaths);
        }
    }

    /// Kills an instance that serves or could.
    pub(super) fn kill_one(&mut self) {
        let ready: Vec<usize> =
            (0..self.fates.len()).filter(|&i| self.fates[i].instance.state == InstanceState::Ready).collect();
        if ready.is_empty() {
            return;
        }
        let index = ready[self.rng.usize(..ready.len())];
        self.fates[index].dies_at = Some(self.now_ms);
        let id = self.fates[index].instance.id.clone();
        self.say(|| format!("{id} dies"));
        self.age();
    }

    pub(super) fn excuse(&mut self, missing: u32) {
        self.excused += missing;
        self.excused_until = self.now_ms + EXCUSED_MS;
    }

    pub(super) fn drain(&mut self, id: &str, ms: u64) {
        let now = self.now_ms;
        if let Some(fate) = self.fates.iter_mut().find(|f| f.instance.id == id) {
            fate.instance.routed = false;
            if fate.instance.state == InstanceState::Ready {
                fate.instance.state = InstanceState::Draining;
                fate.drained_at = Some(now + ms);
            }
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(index) = self.fates.iter().position(|f| f.instance.id == id) else { return };
        let fate = self.fates.remove(index);
        let undrained = matches!(fate.instance.state, InstanceState::Ready | InstanceState::Draining);
        // The one late operation of a paused process is the gap that the
        // design note names.
        if undrained && fate.served && !self.acting_late {
            self.violate(format!("{id} was removed with requests in flight"));
        }
    }

    pub(super) fn route(&mut self, weights: &BTreeMap<String, u32>) {
        for index in 0..self.fates.len() {
            let weight = weights.get(&self.fates[index].instance.id).copied();
            let routed = weight.is_some();
            self.fates[index].instance.routed = routed;
            self.fates[index].instance.weight = weight.unwrap_or_default();
            self.fates[index].served |= routed;
            let id = self.fates[index].instance.id.clone();
            let state = self.fates[index].instance.state.clone();
            if routed && matches!(state, InstanceState::Starting) {
                self.violate(format!("{id} receives requests and is not ready"));
            }
        }
        self.check_parts();
    }

    /// While a part of the requests is desired for the candidate and both serve,
    /// it is the candidate's.
    fn check_parts(&mut self) {
        let Some(desired) = self.record.desired.clone() else { return };
        let (Some(permille), Some(candidate), false) = (desired.part(), &desired.candidate, self.acting_late)
        else {
            return;
        };
        let digest = candidate.release.digest();
        let routed = || self.fates.iter().map(|f| &f.instance).filter(|i| i.routed);
        let all: u32 = routed().map(|i| i.weight).sum();
        let new: u32 = routed().filter(|i| i.release.digest() == digest).map(|i| i.weight).sum();
        if new > 0
            && new < all
            && (f64::from(new) / f64::from(all) - f64::from(permille) / 1000.0).abs() > 0.005
        {
            self.violate(format!("{new} of {all} requests go to the candidate, {permille} of 1000 should"));
        }
    }

    /// A process acts: late if somebody newer has been here.
    pub(super) fn acts(&mut self, process: u64) {
        let own = self.fence_of.get(&process).copied().unwrap_or(0);
        self.acting_late = self.record.fence > Fence(own);
        if self.acting_late {
            let late = self.late.entry(process).or_default();
            *late += 1;
            if *late > 1 {
                self.violate(format!(
                    "process {process} goes on although fence {} was seen",
                    self.record.fence.0
                ));
            }
            self.excuse(self.floor);
        }
    }

    pub(super) fn store(&mut self, process: u64, record: &FleetRecord) {
        if record.fence < self.record.fence || record.generation() < self.record.generation() {
            self.violate(format!("process {process} moved the target's record backwards"));
        }
        if let Some(desired) = &record.desired {
            let intended = self.journal.iter().any(|event| match event {
                Event::RolloutStep { rollout, state, outcome: None, .. } => {
                    *rollout == desired.rollout && state["generation"] == desired.generation
                }
                _ => false,
            });
            if !intended {
                let generation = desired.generation;
                self.violate(format!("generation {generation} was brought about without being recorded"));
            }
        }
        self.record = record.clone();
    }

    /// The ledger must be true when it says how a rollout ended.
    pub(super) fn recorded(&mut self, event: &Event) {
        let Event::RolloutFinished { from, to, outcome, reason, rollout, .. } = event else { return };
        let twice = self
            .journal
            .iter()
            .any(|e| matches!(e, Event::RolloutFinished { rollout: earlier, .. } if earlier == rollout));
        if twice {
            self.violate(format!("{rollout} ended twice"));
        }
        if reason.contains("going back was not completed") || self.excused > 0 {
            return;
        }
        let serves = match outcome {
            RolloutOutcome::Succeeded => Some(to),
            _ => from.as_ref(),
        };
        let wrong = self.fates.iter().map(|f| &f.instance).find(|i| {
            i.routed
                && i.state == InstanceState::Ready
                && Some(i.release.digest()) != serves.map(|r| r.digest())
        });
        if let Some(wrong) = wrong {
            let id = wrong.id.clone();
            self.violate(format!("{rollout} was recorded as {outcome} while {id} serves"));
        }
        let serving = self.serving();
        if serves.is_some() && serving < self.floor {
            let floor = self.floor;
            self.violate(format!("{rollout} was recorded as {outcome} with {serving} of {floor} serving"));
        }
    }

    pub(super) fn serving(&self) -> u32 {
        let serves = |f: &&Fate| f.instance.routed && f.instance.state == InstanceState::Ready;
        u32::try_from(self.fates.iter().filter(serves).count()).unwrap_or(u32::MAX)
    }

    /// The properties that hold at every moment.
    pub(super) fn check(&mut self) {
        self.age();
        let serving = self.serving();
        if self.now_ms > self.excused_until && serving >= self.floor {
            self.excused = 0;
        }
        if serving + self.excused < self.floor {
            let floor = self.floor;
            self.violate(format!("{serving} ready instances serve, {floor} must"));
        }
        let stranger = self.fates.iter().map(|f| &f.instance);
        let stranger =
            stranger.filter(|i| i.routed).find(|i| !self.approved.contains(&i.release.digest())).cloned();
        if let Some(stranger) = stranger {
            self.violate(format!("{} serves without an approval", stranger.id));
        }
    }
}
