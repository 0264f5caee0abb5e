//! The fleet function on small cases; the simulation covers the rest.
#![allow(clippy::unwrap_used)]

use plimsoll_model::Release;

use super::{Instance, InstanceOp, InstanceState, converge};
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
        drain_sec: 5,
    }
}

fn instance(id: &str, n: u8, rollout: &str, state: InstanceState, routed: bool) -> Instance {
    Instance { id: id.into(), release: release(n), rollout: rollout.into(), generation: 1, state, routed }
}

fn failing(cause: Cause) -> InstanceState {
    InstanceState::Failing(Failing { instance: "i".into(), cause, message: "m".into(), last_lines: vec![] })
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
    all[2].routed = true;
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
        ["create production-010101010101-7-1", "send requests to production-010101010101-7-0, c", "drain d"]
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
