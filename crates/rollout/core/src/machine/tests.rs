//! The transitions one by one, and any inputs in any order.
#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use plimsoll_health::{Decision, InsufficientData, Then};
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Digest, Event, Release, RepositoryType, Strategy};

use super::{
    Command, End, Inputs, Judged, LockStatus, Migrations, Phase, State, Step, Trouble, Verdict, desired_for,
    step,
};
use crate::{
    Canary, Cause, Deadlines, Desired, Failing, Fence, Fleet, Observed, Plan, PlanRecord, Traffic, codes,
};

fn release(n: u8) -> Release {
    let sha = format!("{n:02x}").repeat(20);
    Release::new(format!("r.example/a:{sha}@{}", Digest::from_sha256([n; 32])).parse().unwrap())
}

fn record(strategy: Strategy, from: Option<u8>, replicas: u32) -> PlanRecord {
    PlanRecord {
        rollout: "r".into(),
        environment: "production".into(),
        kind: RolloutKind::Deploy,
        from: from.map(release),
        from_replicas: None,
        to: release(9),
        repository_type: RepositoryType::Canonical,
        strategy,
        replicas,
        max_unavailable: 1,
        insufficient_data: Default::default(),
        canary: None,
        in_place: false,
        deadlines: Deadlines {
            rollout_sec: 100,
            compare_sec: 0,
            bake_sec: 20,
            keep_sec: 40,
            drain_sec: 5,
            probe_grace_sec: 10,
        },
        actor: "a".into(),
        created: Timestamp::UNIX_EPOCH,
        decision_entry: 1,
    }
}

/// A world that does at once what is desired of it.
struct Obedient {
    plan: Plan,
    state: State,
    inputs: Inputs,
    now: Timestamp,
    desired: Vec<Desired>,
}

impl Obedient {
    fn new(record: PlanRecord) -> Self {
        let inputs = Inputs { lock: LockStatus::Held { fence: Fence(3) }, ..Inputs::default() };
        let (plan, state) = (Plan::simulated(record), State::new());
        Self { plan, state, inputs, now: Timestamp::UNIX_EPOCH, desired: Vec::new() }
    }

    fn step(&mut self, seconds: i64) -> Step {
        self.now += SignedDuration::from_secs(seconds);
        let step = step(&self.plan, &self.state, &self.inputs, self.now);
        self.state = step.state.clone();
        for command in &step.commands {
            match command {
                Command::Desire(desired) => {
                    if self.desired.last() != Some(desired) {
                        self.desired.push(Desired::clone(desired));
                    }
                    self.inputs.observed = Some(obeyed(desired, self.now));
                }
                Command::Judge { complete, .. } => {
                    self.inputs.judged = Some(Judged { verdict: Verdict::NoEvidence, complete: *complete });
                }
                _ => {}
            }
        }
        step
    }

    fn until(&mut self, phase: Phase) {
        for _ in 0..200 {
            if self.state.phase == phase {
                return;
            }
            self.step(1);
        }
        panic!("never {phase}: {:?}", self.state);
    }

    fn fleet(&mut self, n: u8) -> &mut Fleet {
        self.inputs.observed.as_mut().unwrap().fleets.entry(release(n).digest()).or_default()
    }
}

fn obeyed(desired: &Desired, at: Timestamp) -> Observed {
    let fleets = desired.shares().map(|share| {
        let digest = share.release.digest();
        let serving = if desired.serves(&digest) { share.replicas } else { 0 };
        (digest, Fleet { ready: share.replicas, serving, ..Fleet::default() })
    });
    Observed {
        at,
        generation_seen: desired.generation,
        fleets: fleets.collect(),
        traffic: Some(desired.traffic),
        scale: None,
    }
}

/// `stable/candidate/traffic` of everything that was desired.
fn sizes(desired: &[Desired]) -> Vec<(u32, u32, Traffic)> {
    let of = |share: &Option<crate::Share>| share.as_ref().map_or(0, |s| s.replicas);
    desired.iter().map(|d| (of(&d.stable), of(&d.candidate), d.traffic)).collect()
}

fn failing(cause: Cause) -> Failing {
    let last_lines = vec!["no such table".into()];
    Failing { instance: "i".into(), cause, message: "exit status 1".into(), last_lines, heals: false }
}

#[test]
fn rolling_replaces_one_after_the_other() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 3));
    world.until(Phase::Committed);
    use Traffic::{Candidate, Shared, Stable};
    let waves = [
        (3, 1, Stable),
        (2, 1, Shared),
        (1, 2, Shared),
        (0, 3, Candidate),
        (0, 3, Candidate),
        (3, 0, Stable),
    ];
    assert_eq!(sizes(&world.desired), waves);
    let generations: Vec<u64> = world.desired.iter().map(|d| d.generation).collect();
    assert_eq!(generations, [30_001, 30_002, 30_003, 30_004, 30_005, 30_006]);
    let end = world.step(1);
    assert_eq!(end.end, Some(End::Committed));
    assert_eq!(end.commands.last(), Some(&Command::Release));
    assert_eq!(world.state.outcome(&world.plan), Some(RolloutOutcome::Succeeded));
}

#[test]
fn blue_green_keeps_the_old_until_the_keep_time_is_over() {
    let mut world = Obedient::new(record(Strategy::BlueGreen, Some(1), 3));
    world.until(Phase::Baking);
    let since = world.now;
    world.until(Phase::Settling);
    assert!(world.now.duration_since(since).as_secs() >= 40);
    world.until(Phase::Committed);
    use Traffic::{Candidate, Stable};
    let expected = [(3, 3, Stable), (3, 3, Candidate), (3, 3, Candidate), (3, 0, Stable)];
    assert_eq!(sizes(&world.desired), expected);
    assert_eq!(world.desired[3].stable.as_ref().unwrap().release, release(9));
}

/// DEP-6: what is compared serves side by side, and the old release has all its
/// instances still.
#[test]
fn releases_are_compared_before_anything_is_taken_away() {
    use Traffic::{Candidate, Shared, Stable};
    let compared = |strategy| {
        let mut record = record(strategy, Some(1), 3);
        record.deadlines.compare_sec = 30;
        Obedient::new(record)
    };
    let mut rolling = compared(Strategy::Rolling);
    rolling.until(Phase::Comparing);
    let since = rolling.now;
    rolling.until(Phase::Shifting(1));
    assert!(rolling.now.duration_since(since).as_secs() >= 30);
    rolling.until(Phase::Committed);
    assert_eq!(sizes(&rolling.desired)[..3], [(3, 1, Stable), (3, 1, Shared), (2, 1, Shared)]);
    let mut blue = compared(Strategy::BlueGreen);
    blue.until(Phase::Committed);
    assert_eq!(sizes(&blue.desired)[..3], [(3, 3, Stable), (3, 3, Shared), (3, 3, Candidate)]);
    // Worse than what serves: back at once, and it had traffic.
    let mut worse = compared(Strategy::BlueGreen);
    worse.until(Phase::Comparing);
    worse.inputs.judged = Some(Judged { verdict: Verdict::Regressed("5 times".into()), complete: false });
    worse.until(Phase::Reverted);
    assert_eq!(worse.state.outcome(&worse.plan), Some(RolloutOutcome::RolledBack));
    assert_eq!(worse.state.stop.as_ref().map(|stop| stop.code.as_str()), Some(codes::REGRESSED));
}

/// A rollout that is compared for 30 s and, with too little to say, 15 s more.
fn unsure(then: Then) -> Obedient {
    let mut record = record(Strategy::Rolling, Some(1), 3);
    record.deadlines.compare_sec = 30;
    record.insufficient_data = InsufficientData { wait_sec: 15, then };
    let mut world = Obedient::new(record);
    world.until(Phase::Comparing);
    world
}

/// Steps with the same verdict until the phase is left; how long that took.
fn left_after(world: &mut Obedient, verdict: &Verdict) -> i64 {
    let since = world.now;
    while world.state.phase == Phase::Comparing {
        let complete = world.state.clocks.phase_ms >= 30_000;
        world.inputs.judged = Some(Judged { verdict: verdict.clone(), complete });
        world.step(1);
    }
    world.now.duration_since(since).as_secs()
}

fn kept(step: &Step) -> Option<Decision> {
    step.commands.iter().find_map(|command| match command {
        Command::Keep(decided) => Some(decided.decision),
        _ => None,
    })
}

/// DEP-6: waited for up to a bound, and then what the environment says.
#[test]
fn too_little_data_is_waited_for_and_then_the_policy_decides() {
    let verdict = Verdict::InsufficientData("no replica was asked".into());
    let mut promoted = unsure(Then::Promote);
    assert!((45..48).contains(&left_after(&mut promoted, &verdict)));
    assert_eq!(promoted.state.phase, Phase::Shifting(1));
    promoted.until(Phase::Committed);
    assert_eq!(promoted.state.verdict, Some(verdict.clone()));

    let mut back = unsure(Then::GoBack);
    assert!((45..48).contains(&left_after(&mut back, &verdict)));
    back.until(Phase::Reverted);
    assert_eq!(back.state.stop.as_ref().map(|stop| stop.code.as_str()), Some(codes::NOT_PROVEN));
    // Nobody saw it to be worse: it failed, and is not called rolled back.
    assert_eq!(back.state.outcome(&back.plan), Some(RolloutOutcome::Failed));

    // Enough to say comes in time: nothing more is waited for.
    let mut sure = unsure(Then::GoBack);
    assert!((30..33).contains(&left_after(&mut sure, &Verdict::NoEvidence)));
    assert_eq!(sure.state.phase, Phase::Shifting(1));
}

#[test]
fn what_is_held_leaves_everything_as_it_is_and_a_person_decides() {
    let verdict = Verdict::InsufficientData("12 requests".into());
    let mut world = unsure(Then::Hold);
    let before = world.desired.len();
    let mut last = world.step(0);
    while last.end.is_none() {
        let complete = world.state.clocks.phase_ms >= 30_000;
        world.inputs.judged = Some(Judged { verdict: verdict.clone(), complete });
        last = world.step(1);
    }
    assert!(
        matches!(&last.end, Some(End::Held(stop)) if stop.code == codes::HELD && stop.reason == "12 requests")
    );
    assert_eq!(kept(&last), Some(Decision::Hold));
    assert_eq!((last.commands.last(), world.desired.len()), (Some(&Command::Release), before));
    let text = serde_json::to_string(&world.state).unwrap();
    let resumed = || serde_json::from_str::<State>(&text).unwrap().resumed();
    let again = |state: State| {
        let mut world = unsure(Then::Hold);
        world.state = state;
        world.inputs = Inputs { lock: LockStatus::Held { fence: Fence(8) }, ..Inputs::default() };
        world
    };
    // The same command compares once more.
    let mut once_more = again(resumed());
    once_more.step(1);
    assert_eq!((once_more.state.phase, once_more.state.clocks.phase_ms), (Phase::Comparing, 0));
    once_more.until(Phase::Committed);
    assert_eq!(once_more.state.verdict, Some(Verdict::NoEvidence));
    // A person lets it take over.
    let mut promoted = again(resumed().promoted("looked at it"));
    promoted.step(1);
    assert_eq!(promoted.state.phase, Phase::Shifting(1));
    promoted.until(Phase::Committed);
    assert_eq!(promoted.state.verdict, Some(verdict));
    let Command::Record(event) = &promoted.step(1).commands[0] else { panic!() };
    assert!(matches!(&**event, Event::RolloutFinished { reason, .. } if reason.contains("looked at it")));
    // A person takes it back.
    let mut undone = again(resumed());
    undone.inputs.interrupt = true;
    undone.until(Phase::Reverted);
    assert_eq!(undone.desired.last().map(|desired| desired.traffic), Some(Traffic::Stable));
    // Only what is held can be promoted.
    assert_eq!(unsure(Then::Hold).state.promoted("early").promoted, None);
}

#[test]
fn a_part_of_the_requests_is_desired_only_while_both_are_compared() {
    let parts = |strategy, canary, replicas| {
        let mut record = record(strategy, Some(1), replicas);
        record.deadlines.compare_sec = 30;
        record.canary = Some(canary);
        let mut world = Obedient::new(record);
        world.until(Phase::Committed);
        let sizes = sizes(&world.desired);
        (world.desired.iter().map(Desired::part).collect::<Vec<_>>(), sizes)
    };
    use Traffic::{Shared, Stable};
    let by_weight = Canary { permille: 100, by_instances: false };
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let (parts, _) = parts(strategy, by_weight, 3);
        assert_eq!(parts[..3], [None, Some(100), None], "{strategy}");
        assert!(parts[3..].iter().all(Option::is_none), "{strategy}");
    }
    // Where requests follow the instances, so many of them are made.
    for (permille, new) in [(100, 1), (250, 2), (500, 6), (900, 6)] {
        let (parts, sizes) = parts(Strategy::Rolling, Canary { permille, by_instances: true }, 6);
        assert!(parts.iter().all(Option::is_none));
        assert_eq!(sizes[..2], [(6, new, Stable), (6, new, Shared)], "{permille}");
    }
}

/// Pods of a StatefulSet: each of the new release is one less of the old, and one
/// of the old stays to be compared with.
#[test]
fn in_place_the_new_release_is_compared_in_the_place_of_old_instances() {
    use Traffic::{Shared, Stable};
    let share = |permille| Some(Canary { permille, by_instances: true });
    for (canary, new) in [(None, 1), (share(10), 1), (share(500), 3), (share(990), 5)] {
        let mut record = record(Strategy::Rolling, Some(1), 6);
        record.deadlines.compare_sec = 30;
        (record.canary, record.in_place) = (canary, true);
        let mut world = Obedient::new(record);
        world.until(Phase::Committed);
        let compared = [(6 - new, new, Stable), (6 - new, new, Shared)];
        assert_eq!(sizes(&world.desired)[..2], compared, "{canary:?}");
        let beside: Vec<bool> = world.desired.iter().map(|desired| desired.beside).collect();
        assert!(beside[..2] == [true, true] && !beside[2..].contains(&true), "{beside:?}");
    }
}

/// What is said of a phase is about that phase.
#[test]
fn migrations_are_waited_for_only_where_there_are_some() {
    let plan = Plan::simulated(record(Strategy::Rolling, None, 2));
    let state = State { phase: Phase::Locked, fence: Some(Fence(1)), ..State::new() };
    let said = |migrations| {
        let inputs = Inputs { lock: LockStatus::Held { fence: Fence(1) }, migrations, ..Inputs::default() };
        let step = step(&plan, &state, &inputs, Timestamp::UNIX_EPOCH);
        (step.state.phase, step.waiting)
    };
    assert_eq!(said(Migrations::Pending), (Phase::Locked, "for migrations".into()));
    for migrations in [Migrations::None, Migrations::Done] {
        assert_eq!(said(migrations), (Phase::Expanding, "for the first instances".into()));
    }
}

#[test]
fn a_first_deployment_has_no_stable() {
    let mut world = Obedient::new(record(Strategy::Rolling, None, 2));
    world.until(Phase::Committed);
    use Traffic::{Candidate, Stable};
    assert_eq!(sizes(&world.desired), [(0, 2, Stable), (0, 2, Candidate), (0, 2, Candidate), (2, 0, Stable)]);
}

#[test]
fn the_same_release_again_repairs_and_scales() {
    let mut world =
        Obedient::new(PlanRecord { from_replicas: Some(1), ..record(Strategy::Rolling, Some(9), 3) });
    world.until(Phase::Committed);
    assert!(sizes(&world.desired)[..3].iter().all(|d| *d == (0, 3, Traffic::Candidate)));
}

#[test]
fn a_repair_waits_for_no_old_instances() {
    for strategy in [Strategy::Rolling, Strategy::BlueGreen] {
        let mut world = Obedient::new(record(strategy, Some(9), 2));
        world.until(Phase::Baking);
        world.until(Phase::Committed);
        let (bake, keep) = (20, 40);
        let took = world.now.duration_since(Timestamp::UNIX_EPOCH).as_secs();
        assert!((bake..keep).contains(&took), "{strategy:?}: {took} s");
    }
}

#[test]
fn replicas_may_change_between_releases() {
    for (old, new) in [(1, 4), (4, 1), (5, 2)] {
        let plan = PlanRecord { from_replicas: Some(old), ..record(Strategy::Rolling, Some(1), new) };
        let mut world = Obedient::new(plan);
        world.until(Phase::Committed);
        for (stable, candidate, _) in sizes(&world.desired) {
            assert!(stable + candidate >= old.min(new), "{old} -> {new}: {stable} + {candidate}");
        }
    }
}

#[test]
fn each_cause_stops_with_its_code_and_the_first_is_kept() {
    for cause in [
        Cause::ImageUnavailable,
        Cause::CannotStart,
        Cause::ExitedAtOnce,
        Cause::CrashLoop,
        Cause::CannotBeScheduled,
        Cause::NotAdmitted,
        Cause::Lost,
    ] {
        let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 2));
        world.until(Phase::Shifting(1));
        world.fleet(9).failing.push(failing(cause));
        world.step(1);
        assert_eq!(world.state.phase, Phase::Reverting);
        world.inputs.interrupt = true;
        world.until(Phase::Reverted);
        let stop = world.state.stop.clone().unwrap();
        assert_eq!((stop.code.as_str(), stop.last_lines.len()), (cause.code(), 1));
        assert_eq!(world.desired.last().map(|d| d.traffic), Some(Traffic::Stable));
        assert_eq!(world.state.outcome(&world.plan), Some(RolloutOutcome::Failed));
    }
}

#[test]
fn a_probe_may_fail_for_its_grace_only() {
    let mut world = Obedient::new(record(Strategy::BlueGreen, Some(1), 2));
    world.until(Phase::Expanding);
    let fail = |world: &mut Obedient| {
        let fleet = world.fleet(9);
        *fleet = Fleet { ready: 1, failing: vec![failing(Cause::ProbeFailed)], ..Fleet::default() };
    };
    for _ in 0..9 {
        fail(&mut world);
        world.step(1);
        assert_eq!(world.state.phase, Phase::Expanding);
    }
    // A probe that answers in between begins the grace anew.
    *world.fleet(9) = Fleet { ready: 1, starting: 1, ..Fleet::default() };
    world.step(1);
    for _ in 0..9 {
        fail(&mut world);
        world.step(1);
    }
    assert_eq!(world.state.phase, Phase::Expanding);
    for _ in 0..2 {
        fail(&mut world);
        world.step(1);
    }
    assert_eq!(world.state.stop.as_ref().unwrap().code, "DEP-105");
}

#[test]
fn stale_and_lost_observations_change_nothing() {
    let mut world = Obedient::new(record(Strategy::BlueGreen, Some(1), 2));
    world.until(Phase::Expanding);
    let generation = world.state.generation;
    world.inputs.observed.as_mut().unwrap().generation_seen = generation - 1;
    let phase = step(&world.plan, &world.state, &world.inputs, world.now).state.phase;
    assert_eq!(phase, Phase::Expanding);
    world.inputs.observed = None;
    assert!(!step(&world.plan, &world.state, &world.inputs, world.now).state.decided_otherwise(&world.state));
}

#[test]
fn a_lost_lock_ends_it_without_a_command() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 2));
    world.until(Phase::Shifting(1));
    let other = LockStatus::HeldByOther { holder: "h".into(), since: world.now };
    for lock in [LockStatus::Lost, LockStatus::NotHeld, other, LockStatus::Held { fence: Fence(4) }] {
        let inputs = Inputs { lock, interrupt: true, ..world.inputs.clone() };
        let step = step(&world.plan, &world.state, &inputs, world.now);
        assert!(matches!(&step.end, Some(End::LockLost(stop)) if stop.code == codes::LOCK_LOST));
        assert_eq!(step.commands, []);
        assert_eq!(step.state.phase, Phase::Shifting(1));
        // It is not written down as the rollout's cause: the new owner goes on.
        assert_eq!(step.state.stop, None);
    }
}

#[test]
fn a_new_owner_desires_the_same_under_a_newer_generation() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 2));
    world.until(Phase::Shifting(2));
    let text = serde_json::to_string(&world.state).unwrap();
    let before = desired_for(&world.plan, &world.state).unwrap();
    world.state = serde_json::from_str::<State>(&text).unwrap().resumed();
    world.inputs.lock = LockStatus::Held { fence: Fence(8) };
    world.inputs.observed = None;
    world.step(1);
    let after = desired_for(&world.plan, &world.state).unwrap();
    assert_eq!(after.generation, 80_001);
    assert_eq!(Desired { generation: before.generation, ..after }, before);
}

#[test]
fn migrations_come_first_and_their_failure_stops() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 2));
    world.inputs.migrations = Migrations::Pending;
    world.until(Phase::Locked);
    let step = world.step(1);
    assert!(step.commands.contains(&Command::Migrate) && world.desired.is_empty());
    world.inputs.migrations = Migrations::Failed { why: "no such table".into(), last_lines: Vec::new() };
    world.until(Phase::Reverted);
    assert_eq!(world.state.stop.as_ref().unwrap().code, codes::MIGRATION);
    assert!(!world.state.took_traffic);
}

#[test]
fn a_regression_rolls_back_and_says_so() {
    let mut world = Obedient::new(record(Strategy::BlueGreen, Some(1), 2));
    world.until(Phase::Baking);
    world.inputs.judged = Some(Judged { verdict: Verdict::Regressed("worse".into()), complete: false });
    world.step(1);
    assert_eq!(world.state.phase, Phase::Reverting);
    world.until(Phase::Reverted);
    assert_eq!(world.state.outcome(&world.plan), Some(RolloutOutcome::RolledBack));
}

#[test]
fn no_data_is_neither_a_pass_nor_a_failure() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 1));
    world.until(Phase::Baking);
    for _ in 0..30 {
        world.inputs.judged =
            Some(Judged { verdict: Verdict::InsufficientData("12 requests".into()), complete: true });
        world.step(1);
        if world.state.phase == Phase::Settling {
            assert!(matches!(world.state.verdict, Some(Verdict::InsufficientData(_))));
            return;
        }
    }
    panic!("never settled");
}

#[test]
fn what_cannot_be_told_is_named_when_the_deadline_is_over() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 2));
    world.until(Phase::Expanding);
    world.inputs.trouble = Some(Trouble { message: "the engine does not answer".into(), transient: true });
    for _ in 0..200 {
        world.inputs.observed = None;
        world.step(1);
    }
    assert_eq!(world.state.phase, Phase::Reverting);
    let stop = world.state.stop.clone().unwrap();
    assert_eq!(stop.code, codes::TARGET);
    assert!(stop.reason.starts_with("the engine does not answer"), "{}", stop.reason);
    // Nobody can see whether going back worked, and nothing lasts for ever.
    for _ in 0..110 {
        world.inputs.observed = None;
        world.step(1);
    }
    assert_eq!(world.state.phase, Phase::Reverted);
    assert!(world.state.incomplete.is_some());
}

#[test]
fn a_clock_that_jumps_neither_exhausts_nor_prolongs_much() {
    let mut world = Obedient::new(record(Strategy::BlueGreen, Some(1), 2));
    world.until(Phase::Expanding);
    *world.fleet(9) = Fleet { starting: 2, ..Fleet::default() };
    let observed = world.inputs.observed.clone();
    for jump in [86_400, -86_400] {
        world.inputs.observed.clone_from(&observed);
        world.step(jump);
        assert_eq!(world.state.phase, Phase::Expanding);
    }
    assert_eq!(world.state.clocks.rollout_ms / 1000, 60 + 1);
}

/// Whatever is fed in whatever order: it ends, keeps the first cause, never
/// leaves an end, commands nothing without the lock and commits only on what a
/// fresh observation shows.
#[test]
fn any_inputs_in_any_order() {
    for seed in 0..4_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let from = [None, Some(1), Some(9)][rng.usize(..3)];
        let strategy = if rng.bool() { Strategy::Rolling } else { Strategy::BlueGreen };
        let mut drawn_plan = record(strategy, from, rng.u32(1..=3));
        if rng.bool() {
            drawn_plan.deadlines.compare_sec = 20;
            let then = [Then::Promote, Then::Hold, Then::GoBack][rng.usize(..3)];
            drawn_plan.insufficient_data = InsufficientData { wait_sec: rng.u32(..30), then };
        }
        let plan = Plan::simulated(drawn_plan);
        let (mut state, mut now) = (State::new(), Timestamp::UNIX_EPOCH);
        let mut cause = None;
        let mut ended = false;
        for _ in 0..3_000 {
            let inputs = drawn(&mut rng, &plan, &state, now);
            let next = step(&plan, &state, &inputs, now);
            let held =
                matches!(&inputs.lock, LockStatus::Held { fence } if state.fence.is_none_or(|f| f == *fence));
            if !held && !state.phase.is_terminal() {
                assert!(next.commands.iter().all(|c| *c == Command::Hold), "seed {seed}");
                assert!(!next.state.decided_otherwise(&state), "seed {seed}");
            }
            assert!(next.state.generation >= state.generation, "seed {seed}");
            if cause.is_some() {
                assert_eq!(next.state.stop, cause, "seed {seed}");
            }
            if next.state.phase == Phase::Committed && !state.phase.is_terminal() {
                let observed = inputs.observed.as_ref().unwrap();
                assert_eq!(observed.generation_seen, state.generation, "seed {seed}");
                assert!(observed.fleet(&plan.to.digest()).serving >= plan.replicas, "seed {seed}");
            }
            if state.phase.is_terminal() {
                assert_eq!((next.state.phase, next.end.is_some()), (state.phase, true), "seed {seed}");
                ended = true;
                break;
            }
            cause.clone_from(&next.state.stop);
            let held = matches!(next.end, Some(End::Held(_)));
            let entered = next.state.phase == Phase::Held && state.phase != Phase::Held;
            assert_eq!(held, entered, "seed {seed}");
            let resumed = held || rng.u8(..100) == 0;
            state = if resumed { next.state.resumed() } else { next.state };
            now += SignedDuration::from_millis(rng.i64(0..5_000));
        }
        assert!(ended || state.phase == Phase::Prepared, "seed {seed}: {state:?}");
    }
}

fn drawn(rng: &mut fastrand::Rng, plan: &Plan, state: &State, at: Timestamp) -> Inputs {
    let fence = state.fence.unwrap_or(Fence(rng.u64(1..5)));
    let observed = desired_for(plan, state).filter(|_| rng.u8(..4) > 0).map(|desired| {
        let mut seen = obeyed(&desired, at);
        seen.generation_seen -= u64::from(rng.u8(..4) == 0);
        for fleet in seen.fleets.values_mut() {
            fleet.ready = fleet.ready.saturating_sub(u32::from(rng.u8(..3) == 0));
            fleet.serving = fleet.serving.min(fleet.ready);
            if rng.u8(..200) == 0 {
                let cause = if rng.bool() { Cause::CrashLoop } else { Cause::ProbeFailed };
                fleet.failing.push(failing(cause));
            }
        }
        seen
    });
    let verdicts =
        [Verdict::NoEvidence, Verdict::Regressed("w".into()), Verdict::InsufficientData("i".into())];
    Inputs {
        observed,
        trouble: (rng.u8(..10) == 0).then(|| Trouble { message: "t".into(), transient: rng.u8(..50) > 0 }),
        lock: match rng.u8(..40) {
            0 => LockStatus::NotHeld,
            1 => LockStatus::Lost,
            2 => LockStatus::Unknown("u".into()),
            _ => LockStatus::Held { fence },
        },
        migrations: [Migrations::None, Migrations::Pending, Migrations::Done][rng.usize(..3)].clone(),
        judged: Some(Judged {
            verdict: verdicts[if rng.u8(..50) == 0 { 1 } else { rng.usize(..2) * 2 }].clone(),
            complete: rng.bool(),
        }),
        interrupt: rng.u8(..200) == 0,
    }
}

#[test]
fn a_target_that_scales_by_itself_is_measured_by_its_own_number() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 3));
    world.until(Phase::Expanding);
    // An autoscaler wants five; nobody is done with three.
    for step in 0..40 {
        if world.state.phase == Phase::Committed {
            break;
        }
        assert!(step < 39, "never committed: {:?}", world.state);
        if let Some(observed) = &mut world.inputs.observed {
            observed.scale = Some(5);
        }
        world.step(1);
    }
    let last = world.desired.last().unwrap();
    assert_eq!((last.replicas, last.stable.as_ref().map(|s| s.replicas)), (5, Some(5)));
    let waves = world.desired.iter().filter(|d| d.traffic == Traffic::Shared).map(|d| d.generation);
    assert!(waves.collect::<std::collections::BTreeSet<_>>().len() >= 4, "waves of five, not of three");
}

#[test]
fn waves_that_a_target_has_done_already_are_not_asked_for() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 50));
    world.until(Phase::Shifting(1));
    *world.fleet(1) = Fleet { ready: 10, serving: 10, ..Fleet::default() };
    *world.fleet(9) = Fleet { ready: 40, serving: 40, ..Fleet::default() };
    world.step(1);
    assert_eq!(world.state.phase, Phase::Shifting(41));
    let old = world.plan.from.clone().unwrap().digest();
    world.inputs.observed.as_mut().unwrap().fleets.remove(&old);
    *world.fleet(9) = Fleet { ready: 50, serving: 50, ..Fleet::default() };
    world.step(1);
    assert_eq!(world.state.phase, Phase::Shifting(50), "the last wave is always asked for");
}

#[test]
fn what_may_heal_is_tolerated_for_the_grace_and_said_at_once() {
    let mut world = Obedient::new(record(Strategy::Rolling, Some(1), 2));
    world.until(Phase::Expanding);
    for _ in 0..9 {
        let waits = Failing { heals: true, ..failing(Cause::CannotBeScheduled) };
        *world.fleet(9) = Fleet { failing: vec![waits], ..Fleet::default() };
        let said = world.step(1);
        assert_eq!(world.state.phase, Phase::Expanding);
        assert!(said.waiting.contains("exit status 1"), "{}", said.waiting);
    }
    let waits = Failing { heals: true, ..failing(Cause::CannotBeScheduled) };
    *world.fleet(9) = Fleet { failing: vec![waits], ..Fleet::default() };
    world.step(1);
    world.step(1);
    assert_eq!(world.state.stop.as_ref().map(|s| s.code.as_str()), Some("DEP-106"));
}
