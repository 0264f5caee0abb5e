//! The fleet function on small cases; the simulation covers the rest.
#![allow(clippy::unwrap_used)]

use plimsoll_model::Release;

use super::{Instance, InstanceOp, InstanceState, LAST_LINES, converge, last_lines};
use crate::{Cause, Desired, Failing, Share, Traffic};

fn release(n: u8) -> Release {
    let text =
        format!("r.example/a:{}@sha256:{}", format!("{n:02x}").repeat(20), format!("{n:02x}").repeat(32));
    Release::new(text.parse().unwrap())
}

fn desired(stable: Option<(u8, u32)>, candidate: Option<(u8, u32)>, traffic: Traffic) -> Desired {
    let share = |(n, replicas)| Share { release: release(n), replicas };
    Desired {
        environment: "production".into(),
        rollout: "new".into(),
        generation: 7,
        stable: stable.map(share),
        candidate: candidate.map(share),
        traffic,
        max_unavailable: 1,
        max_surge: 1,
        replicas: 2,
        strategy: plimsoll_model::Strategy::Rolling,
        permille: None,
        beside: false,
        decision_entry: 1,
        drain_sec: 5,
    }
}

fn instance(id: &str, n: u8, rollout: &str, state: InstanceState, routed: bool) -> Instance {
    Instance {
        id: id.into(),
        release: release(n),
        rollout: rollout.into(),
        generation: 1,
        state,
        routed,
        restarts: 0,
        since: None,
        weight: u32::from(routed),
    }
}

fn failing(cause: Cause) -> InstanceState {
    InstanceState::Failing(Failing {
        instance: "i".into(),
        cause,
        message: "m".into(),
        last_lines: vec![],
        heals: false,
    })
}

fn words(ops: &[InstanceOp]) -> Vec<String> {
    ops.iter().map(ToString::to_string).collect()
}

use InstanceState::{Drained, Draining, Ready, Starting};

#[test]
fn a_first_deployment_creates_and_routes_when_ready() {
    let desired = desired(None, Some((1, 2)), Traffic::Candidate);
    let name = |n| format!("production-010101010101-7-{n}");
    assert_eq!(
        words(&converge(&desired, &[])),
        [format!("create {}", name(0)), format!("create {}", name(1))]
    );
    let half = [instance(&name(0), 1, "new", Ready, false), instance(&name(1), 1, "new", Starting, false)];
    // Nobody serves: one is better than none.
    assert_eq!(words(&converge(&desired, &half)), [format!("send requests to {}", name(0))]);
}

#[test]
fn the_old_serve_until_all_of_a_switched_candidate_are_ready() {
    let desired = desired(Some((1, 2)), Some((2, 2)), Traffic::Candidate);
    let mut all = vec![
        instance("a", 1, "old", Ready, true),
        instance("b", 1, "old", Ready, true),
        instance("c", 2, "new", Ready, false),
        instance("d", 2, "new", Starting, false),
    ];
    assert_eq!(words(&converge(&desired, &all)), [""; 0]);
    all[3].state = Ready;
    assert_eq!(words(&converge(&desired, &all)), ["send requests to c, d"]);
}

#[test]
fn replacement_comes_before_removal() {
    let desired = desired(Some((1, 1)), Some((2, 1)), Traffic::Shared);
    let mut all = vec![instance("a", 1, "old", Ready, true), instance("b", 1, "old", Ready, true)];
    assert_eq!(words(&converge(&desired, &all)), ["create production-020202020202-7-0"]);
    all.push(instance("c", 2, "new", Starting, false));
    assert_eq!(words(&converge(&desired, &all)), [""; 0]);
    all[2].state = Ready;
    assert_eq!(words(&converge(&desired, &all)), ["send requests to a, c", "drain b"]);
    all[1].routed = false;
    (all[2].routed, all[2].weight) = (true, 1);
    all[1].state = Draining;
    assert_eq!(words(&converge(&desired, &all)), [""; 0]);
    all[1].state = Drained;
    assert_eq!(words(&converge(&desired, &all)), ["remove b"]);
}

#[test]
fn failing_candidates_are_left_as_evidence_and_others_replaced() {
    let trial = desired(None, Some((1, 2)), Traffic::Candidate);
    let of = |rollout: &str, cause| {
        [instance("a", 1, rollout, Ready, true), instance("b", 1, rollout, failing(cause), false)]
    };
    assert_eq!(words(&converge(&trial, &of("new", Cause::CannotStart))), [""; 0]);
    let replaced = ["create production-010101010101-7-0", "remove b"];
    assert_eq!(words(&converge(&trial, &of("old", Cause::CannotStart))), replaced);
    let trusted = desired(Some((1, 2)), None, Traffic::Stable);
    assert_eq!(words(&converge(&trusted, &of("new", Cause::CannotStart))), replaced);
    assert_eq!(words(&converge(&trusted, &of("new", Cause::ProbeFailed))), [""; 0]);
}

#[test]
fn going_back_replaces_within_the_surge() {
    let desired = desired(Some((1, 2)), None, Traffic::Stable);
    let mut all = vec![
        instance("c", 2, "old", Ready, true),
        instance("d", 2, "old", Ready, true),
        instance("e", 2, "old", failing(Cause::CrashLoop), false),
    ];
    assert_eq!(words(&converge(&desired, &all)), ["create production-010101010101-7-0", "remove e"]);
    all[2] = instance("production-010101010101-7-0", 1, "new", Ready, false);
    assert_eq!(
        words(&converge(&desired, &all)),
        ["send requests to production-010101010101-7-0, c", "drain d", "create production-010101010101-7-1"]
    );
}

#[test]
fn a_candidate_that_keeps_dying_is_not_started_for_ever() {
    let desired = desired(None, Some((1, 1)), Traffic::Candidate);
    let exited = |id: &str| {
        let state = InstanceState::Exited { message: "signal 9".into(), last_lines: vec![] };
        instance(id, 1, "new", state, false)
    };
    assert_eq!(converge(&desired, &[exited("a"), exited("b")]).len(), 1);
    assert_eq!(converge(&desired, &[exited("a"), exited("b"), exited("c")]).len(), 0);
}

#[test]
fn what_is_kept_of_the_old_helps_out_when_the_candidate_breaks_down() {
    let desired = desired(Some((1, 2)), Some((2, 2)), Traffic::Candidate);
    let gone = || InstanceState::Exited { message: "signal 9".into(), last_lines: vec![] };
    let all = [
        instance("a", 1, "old", Ready, false),
        instance("b", 1, "old", Ready, false),
        instance("c", 2, "new", gone(), true),
        instance("d", 2, "new", gone(), true),
    ];
    assert_eq!(words(&converge(&desired, &all))[0], "send requests to a");
}

/// What is routed with which weight, as `id x weight`.
fn routes(ops: &[InstanceOp]) -> Vec<String> {
    let entries = ops.iter().find_map(|op| match op {
        InstanceOp::Route(entries) => Some(entries),
        _ => None,
    });
    entries.into_iter().flatten().map(|entry| format!("{} x {}", entry.id, entry.weight)).collect()
}

#[test]
fn a_desired_part_of_the_requests_is_one_of_weights() {
    let mut desired = desired(Some((1, 2)), Some((2, 1)), Traffic::Shared);
    let all = |new_routed| {
        vec![
            instance("a", 1, "old", Ready, true),
            instance("b", 1, "old", Ready, true),
            instance("c", 2, "new", Ready, new_routed),
        ]
    };
    for (permille, expected) in [
        (None, ["a x 1", "b x 1", "c x 1"]),
        (Some(100), ["a x 9", "b x 9", "c x 2"]),
        (Some(500), ["a x 1", "b x 1", "c x 2"]),
        (Some(1), ["a x 999", "b x 999", "c x 2"]),
        (Some(999), ["a x 1", "b x 1", "c x 1000"]),
    ] {
        desired.permille = permille;
        let entries = routes(&converge(&desired, &all(false)));
        assert_eq!(entries, expected, "{permille:?}");
    }
    // Level-triggered: weights that are not as desired are made so, and then nothing more.
    desired.permille = Some(100);
    let mut there = all(true);
    assert_eq!(routes(&converge(&desired, &there)), ["a x 9", "b x 9", "c x 2"]);
    for (instance, weight) in there.iter_mut().zip([9, 9, 2]) {
        instance.weight = weight;
    }
    assert_eq!(words(&converge(&desired, &there)), [""; 0]);
    // One of the old is gone: the part is the same.
    there.remove(1);
    assert_eq!(routes(&converge(&desired, &there)), ["a x 9", "c x 1"]);
    // Only while both are to serve.
    desired.traffic = Traffic::Candidate;
    desired.candidate.as_mut().unwrap().replicas = 1;
    assert_eq!(routes(&converge(&desired, &there)), ["c x 1"]);
}

#[test]
fn nothing_desired_leaves_nothing() {
    let desired = desired(None, None, Traffic::Stable);
    let all = [instance("a", 1, "old", Ready, true), instance("b", 1, "old", Starting, false)];
    assert_eq!(words(&converge(&desired, &all)), ["send requests to nobody", "drain a", "remove b"]);
}

/// Whatever lies around, in whatever state, and whatever is desired.
#[test]
fn bounds_hold_for_any_fleet() {
    let mut rng = fastrand::Rng::with_seed(1);
    for round in 0..20_000 {
        let share = |rng: &mut fastrand::Rng, n| (rng.u8(..4) > 0).then(|| (n, rng.u32(1..=3)));
        let traffic = [Traffic::Stable, Traffic::Candidate, Traffic::Shared][rng.usize(..3)];
        let mut desired = desired(share(&mut rng, 1), share(&mut rng, 2), traffic);
        desired.replicas = rng.u32(1..=3);
        desired.max_unavailable = rng.u32(1..=2);
        let states = [
            Starting,
            Ready,
            Ready,
            Draining,
            Drained,
            failing(Cause::ProbeFailed),
            failing(Cause::CrashLoop),
            InstanceState::Exited { message: String::new(), last_lines: vec![] },
        ];
        let mut all: Vec<Instance> = (0..rng.u32(..8))
            .map(|i| {
                let state = states[rng.usize(..states.len())].clone();
                let routed = matches!(state, Ready | InstanceState::Failing(_)) && rng.bool();
                let rollout = if rng.bool() { "new" } else { "old" };
                instance(&format!("i{i}"), rng.u8(1..=3), rollout, state, routed)
            })
            .collect();
        let ready_routed = |all: &[Instance]| all.iter().filter(|i| i.routed && i.state == Ready).count();
        let before = ready_routed(&all);
        let promised = before.min(desired.serving().min(desired.replicas).max(1) as usize);
        let ops = converge(&desired, &all);
        let (mut created, mut routes) = (0, 0);
        for op in &ops {
            let of = |id: &str| all.iter().find(|i| i.id == id).unwrap().clone();
            match op {
                InstanceOp::Create { name, .. } => {
                    assert!(all.iter().all(|i| i.id != *name), "round {round}: {name} is taken");
                    created += 1;
                }
                InstanceOp::Route(entries) => {
                    routes += 1;
                    assert!(entries.iter().all(|e| of(&e.id).state == Ready), "round {round}");
                    for i in &mut all {
                        i.routed = entries.iter().any(|e| e.id == i.id);
                    }
                }
                InstanceOp::Drain { id } => {
                    assert!(
                        of(id).state == Ready && !of(id).routed,
                        "round {round}: {id} still has requests"
                    );
                }
                InstanceOp::Remove { id } => {
                    assert!(!matches!(of(id).state, Ready | Draining) && !of(id).routed, "round {round}");
                }
            }
        }
        assert!(routes <= 1 && created <= 6, "round {round}");
        if desired.shares().next().is_some() {
            assert!(ready_routed(&all) >= promised, "round {round}: {ops:?}");
        }
        // Strangers are never given requests that they did not have.
        assert!(
            all.iter().filter(|i| i.routed).all(|i| i.release != release(3) || before > 0),
            "round {round}"
        );
    }
}

#[test]
fn last_lines_are_bounded_and_clean() {
    assert!(last_lines("").is_empty());
    let long = "x".repeat(2000);
    let text: String = (0..100).map(|n| format!("line {n}\u{1b}[0m\n\n")).chain([long]).collect();
    let lines = last_lines(&text);
    assert_eq!(lines.len(), LAST_LINES);
    assert_eq!(lines[LAST_LINES - 2], "line 99[0m");
    assert_eq!(lines[LAST_LINES - 1].len(), 500);
}
