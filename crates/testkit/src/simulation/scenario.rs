//! What happens in a history: drawn from the seed before it begins.

use jiff::Timestamp;
use plimsoll_health::{InsufficientData, Then};
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Digest, Release, RepositoryType, Strategy};
use plimsoll_rollout_core::executor::Transition;
use plimsoll_rollout_core::fleet::Converge;
use plimsoll_rollout_core::{Canary, Cause, Deadlines, PlanRecord, fleet, machine};

/// How the instances of a release behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Ready after some time, for ever.
    Good {
        /// Longest time to start.
        start_ms: u64,
    },
    /// Fails its probe at first and is ready then.
    SlowProbe {
        /// How long it fails.
        ms: u64,
    },
    /// Never ready, for this cause.
    Doomed(Cause),
    /// Stays starting.
    Stuck,
    /// Ready, and dead this long after.
    Dies {
        /// Time it lives.
        ms: u64,
    },
}

/// One kind of fault: where it is switched.
pub type Kind = fn(&mut Faults) -> &mut bool;

/// Which kinds of faults happen. Switching one off leaves the rest of the
/// history as it is as far as possible, which is how a failing one is reduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Calls to the target fail, before or after taking effect.
    pub target: bool,
    /// Calls take long, some longer than anyone waits.
    pub slow: bool,
    /// Observations are lost, or older than they should be.
    pub stale: bool,
    /// Ready instances die.
    pub deaths: bool,
    /// Ledger writes fail, persisted or not.
    pub journal: bool,
    /// Processes are killed.
    pub crashes: bool,
    /// Processes are paused and wake up later.
    pub pauses: bool,
    /// The lock cannot be asked.
    pub lock: bool,
    /// The wall clock jumps.
    pub jumps: bool,
    /// A person interrupts.
    pub interrupts: bool,
    /// A second process wants the lock all the time.
    pub rival: bool,
}

impl Faults {
    /// A world without faults.
    pub const NONE: Self = Self {
        target: false,
        slow: false,
        stale: false,
        deaths: false,
        journal: false,
        crashes: false,
        pauses: false,
        lock: false,
        jumps: false,
        interrupts: false,
        rival: false,
    };

    /// Every kind of fault, each with its name.
    pub const ALL: [(&'static str, Kind); 11] = [
        ("target", |f| &mut f.target),
        ("slow", |f| &mut f.slow),
        ("stale", |f| &mut f.stale),
        ("deaths", |f| &mut f.deaths),
        ("journal", |f| &mut f.journal),
        ("crashes", |f| &mut f.crashes),
        ("pauses", |f| &mut f.pauses),
        ("lock", |f| &mut f.lock),
        ("jumps", |f| &mut f.jumps),
        ("interrupts", |f| &mut f.interrupts),
        ("rival", |f| &mut f.rival),
    ];

    fn drawn(rng: &mut fastrand::Rng) -> Self {
        let mut faults = Self::NONE;
        // One history in eight is quiet; the others mix a few kinds.
        if rng.u8(..8) > 0 {
            for (_, of) in Self::ALL {
                *of(&mut faults) = rng.u8(..5) < 2;
            }
        }
        faults
    }
}

/// What is run: the real machine, or one broken on purpose.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The transition function.
    pub machine: Transition,
    /// The fleet function.
    pub converge: Converge,
    /// Whether intents are written to the ledger at all.
    pub intents: bool,
    /// Whether fences are compared where the target's record is replaced.
    pub compares: bool,
    /// Only these faults, if given.
    pub faults: Option<Faults>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            machine: machine::step,
            converge: fleet::converge,
            intents: true,
            compares: true,
            faults: None,
        }
    }
}

/// A drawn history.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What is deployed one after the other; `from` is filled in on the way.
    pub plans: Vec<PlanRecord>,
    /// How the releases behave, by index.
    pub behaviours: Vec<Behaviour>,
    /// Instances of release 0 that serve at the beginning; 0: nothing does.
    pub serving_at_start: u32,
    /// Whether something unknown and unapproved lies around at the beginning.
    pub leftovers: u32,
    /// The rollouts whose candidate is judged worse, by name.
    pub worse: Vec<String>,
    /// The faults.
    pub faults: Faults,
}

/// The releases of a history, by index.
pub fn release(index: usize) -> Release {
    let byte = u8::try_from(index + 1).unwrap_or(u8::MAX);
    let sha = format!("{byte:02x}").repeat(20);
    let digest = Digest::from_sha256([byte; 32]);
    let text = format!("r.example/acme/payouts:{sha}@{digest}");
    Release::new(text.parse().expect("built to the grammar"))
}

/// The time at which every history begins.
pub(super) fn dawn() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("within the range of timestamps")
}

impl Scenario {
    /// How instances of a release behave.
    pub fn behaviour_of(&self, of: &Release) -> Behaviour {
        let found = self.behaviours.iter().enumerate().find(|(index, _)| release(*index) == *of);
        found.map_or(Behaviour::Good { start_ms: 1 }, |(_, behaviour)| *behaviour)
    }

    pub(super) fn drawn(rng: &mut fastrand::Rng, options: &Options) -> Self {
        let mut faults = Faults::drawn(rng);
        if let Some(only) = options.faults {
            faults = only;
        }
        let rollouts = rng.usize(1..=3);
        let serving_at_start = if rng.u8(..4) == 0 { 0 } else { rng.u32(1..=4) };
        let behaviours = (0..=rollouts)
            .map(|i| if i == 0 { Behaviour::Good { start_ms: 2_000 } } else { behaviour(rng) })
            .collect();
        let plans: Vec<PlanRecord> = (1..=rollouts).map(|i| plan(rng, i)).collect();
        let worse = plans.iter().map(|p| p.rollout.clone()).filter(|_| rng.u8(..5) == 0).collect();
        let leftovers = if rng.u8(..6) == 0 { rng.u32(1..=2) } else { 0 };
        Self { plans, behaviours, serving_at_start, leftovers, worse, faults }
    }
}

fn behaviour(rng: &mut fastrand::Rng) -> Behaviour {
    match rng.u8(..12) {
        0..=5 => Behaviour::Good { start_ms: rng.u64(1..20_000) },
        6 => Behaviour::SlowProbe { ms: rng.u64(1..40_000) },
        7 | 8 => Behaviour::Doomed(*pick(
            rng,
            &[
                Cause::ImageUnavailable,
                Cause::CannotStart,
                Cause::ExitedAtOnce,
                Cause::CrashLoop,
                Cause::ProbeFailed,
                Cause::CannotBeScheduled,
            ],
        )),
        9 => Behaviour::Stuck,
        _ => Behaviour::Dies { ms: rng.u64(1..60_000) },
    }
}

fn pick<'a, T>(rng: &mut fastrand::Rng, items: &'a [T]) -> &'a T {
    &items[rng.usize(..items.len())]
}

/// A plan without `from`: what serves when its turn comes is only known then.
fn plan(rng: &mut fastrand::Rng, index: usize) -> PlanRecord {
    // Now and then what serves already is deployed again.
    let to = if rng.u8(..6) == 0 { index - 1 } else { index };
    let mut record = PlanRecord {
        rollout: format!("rollout-{index}"),
        environment: "production".into(),
        kind: if rng.u8(..4) == 0 { RolloutKind::Rollback } else { RolloutKind::Deploy },
        from: None,
        from_replicas: None,
        to: release(to),
        repository_type: RepositoryType::Canonical,
        strategy: if rng.bool() { Strategy::Rolling } else { Strategy::BlueGreen },
        replicas: rng.u32(1..=5),
        max_unavailable: rng.u32(1..=2),
        insufficient_data: Default::default(),
        canary: None,
        in_place: false,
        deadlines: Deadlines {
            rollout_sec: rng.u32(60..=300),
            compare_sec: 0,
            bake_sec: *pick(rng, &[0, 10, 60]),
            keep_sec: *pick(rng, &[0, 30]),
            drain_sec: rng.u32(0..=10),
            probe_grace_sec: rng.u32(5..=30),
        },
        actor: "simulation".into(),
        created: dawn(),
        decision_entry: 1,
    };
    // Drawn from what is drawn anyway, so that old seeds stay what they were.
    if record.deadlines.probe_grace_sec.is_multiple_of(3) {
        record.deadlines.compare_sec = 20;
        if record.deadlines.drain_sec.is_multiple_of(2) {
            let permille = [1, 50, 100, 333, 900, 999][record.deadlines.rollout_sec as usize % 6];
            record.canary = Some(Canary { permille, by_instances: record.replicas == 4 });
        }
        record.insufficient_data = InsufficientData {
            wait_sec: record.deadlines.drain_sec,
            then: [Then::Promote, Then::Hold, Then::GoBack][record.deadlines.rollout_sec as usize % 3],
        };
    }
    record
}
