//! The rollout machine and the fleet under thousands of seeds (DEP-2, DEP-3,
//! RBK-3), and broken variants of both, to show that the checks can fail.
//! `PLIMSOLL_SEEDS=100000` runs more of them, `PLIMSOLL_SEEDS=829..830` one.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use jiff::Timestamp;
use plimsoll_model::Event;
use plimsoll_model::event::RolloutOutcome;
use plimsoll_rollout_core::fleet::{Instance, InstanceOp, InstanceState, RouteEntry, converge};
use plimsoll_rollout_core::machine::{Inputs, Phase, Step, step};
use plimsoll_rollout_core::{Desired, Plan, State};
use plimsoll_testkit::simulation::{Behaviour, Faults, Options, Report, check, seeds};

#[test]
fn every_history_keeps_the_properties() {
    let mut outcomes = std::collections::BTreeMap::new();
    let mut processes = 0;
    for seed in seeds(3_000) {
        let report = check(seed, &Options::default());
        if let Some(violation) = &report.violation {
            let skip = report.trace.len().saturating_sub(200);
            panic!("seed {seed}: {violation}\n{}", report.trace[skip..].join("\n"));
        }
        processes += report.processes;
        for outcome in report.outcomes {
            *outcomes.entry(outcome.to_string()).or_insert(0u64) += 1;
        }
    }
    println!("{outcomes:?} by {processes} processes");
    if processes < 1_000 {
        return;
    }
    // A simulation in which nothing ever fails, or everything does, proves nothing.
    for outcome in ["succeeded", "failed", "rolled back"] {
        assert!(outcomes.contains_key(outcome), "no rollout {outcome}");
    }
}

/// DEP-5: without other faults the recorded cause is the one the release has,
/// and what no waiting can heal is not waited for.
#[test]
fn a_rollout_ends_for_the_reason_its_release_gives() {
    let options = Options { faults: Some(Faults::NONE), ..Options::default() };
    let mut codes = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let report = check(seed, &options);
        assert_eq!(report.violation, None, "seed {seed}\n{}", report.trace.join("\n"));
        for event in &report.journal {
            let Event::RolloutFinished { rollout, from, code, outcome, duration_sec, .. } = event else {
                continue;
            };
            let can_go_back = from
                .as_ref()
                .is_none_or(|f| matches!(report.scenario.behaviour_of(f), Behaviour::Good { .. }));
            codes.insert(code.clone());
            let plan = report.scenario.plans.iter().find(|p| p.rollout == *rollout).unwrap();
            let allowed: &[&str] = match report.scenario.behaviour_of(&plan.to) {
                Behaviour::Good { .. } => &["", "DEP-108", "DEP-110", "DEP-117"],
                Behaviour::SlowProbe { .. } => &["", "DEP-105", "DEP-107", "DEP-108", "DEP-110", "DEP-117"],
                Behaviour::Doomed(cause) => &[cause.code(), "DEP-108"],
                Behaviour::Stuck => &["DEP-107", "DEP-108"],
                Behaviour::Dies { .. } => &["", "DEP-104", "DEP-107", "DEP-108", "DEP-110", "DEP-117"],
            };
            assert!(allowed.contains(&code.as_str()), "{code}\n{}", report.trace.join("\n"));
            assert_eq!(code.is_empty(), *outcome == RolloutOutcome::Succeeded);
            if ["DEP-101", "DEP-102", "DEP-103", "DEP-106"].contains(&code.as_str()) && can_go_back {
                assert!(*duration_sec < 60.0, "{code} took {duration_sec} s\n{}", report.trace.join("\n"));
            }
        }
    }
    for code in [
        "", "DEP-101", "DEP-102", "DEP-103", "DEP-104", "DEP-105", "DEP-106", "DEP-107", "DEP-108",
        "DEP-110", "DEP-117",
    ] {
        assert!(codes.contains(code), "no rollout ended with {code:?}");
    }
}

/// What a history did against the policy of one of its rollouts: one took over
/// although nobody could tell, and its environment asks for more.
fn against_policy(report: &Report) -> Option<String> {
    for event in &report.journal {
        let Event::RolloutFinished {
            rollout, from: Some(from), to, outcome: RolloutOutcome::Succeeded, ..
        } = event
        else {
            continue;
        };
        let plan = report.scenario.plans.iter().find(|plan| plan.rollout == *rollout)?;
        let strict = plan.insufficient_data.then != plimsoll_health::Then::Promote;
        let newest = report.journal.iter().rev().find_map(|event| match event {
            Event::RolloutStep { rollout: name, state, .. } if name == rollout => Some(state),
            _ => None,
        })?;
        if strict && plan.deadlines.compare_sec > 0 && from != to && newest["verdict"] != "no_evidence" {
            return Some(format!("{rollout} took over with {}", newest["verdict"]));
        }
    }
    None
}

/// DEP-6: no data is never a pass where the environment does not say so, and
/// what is held gets to an end by the command after it.
#[test]
fn the_environments_policy_for_too_little_data_is_kept() {
    let mut held = 0;
    for seed in seeds(1_500) {
        let report = check(seed, &Options::default());
        assert_eq!(against_policy(&report), None, "seed {seed}\n{}", report.trace.join("\n"));
        let holds = |event: &&Event| matches!(event, Event::RolloutStep { phase, .. } if phase == "held");
        held += report.journal.iter().filter(holds).count();
    }
    println!("{held} rollouts were held");
    assert!(held > 0, "no rollout was held");
    let lenient = |plan: &Plan, state: &State, inputs: &Inputs, now: Timestamp| {
        let mut record = plan.record().clone();
        record.insufficient_data.then = plimsoll_health::Then::Promote;
        step(&Plan::simulated(record), state, inputs, now)
    };
    let noticed = (0..1_500).any(|seed| {
        let report = check(seed, &broken_machine(lenient));
        against_policy(&report).is_some()
    });
    assert!(noticed, "no seed shows a machine that promotes whatever the policy is");
}

/// Runs a broken variant until a property catches it.
fn caught(options: &Options, by: &str) {
    for seed in 0..2_000 {
        let report = check(seed, options);
        if let Some(violation) = report.violation {
            println!("seed {seed}, {} lines: {violation}", report.trace.len());
            assert!(violation.contains(by), "caught by another property than `{by}`: {violation}");
            return;
        }
    }
    panic!("no seed shows it");
}

fn broken_fleet(converge: fn(&Desired, &[Instance]) -> Vec<InstanceOp>) -> Options {
    Options { converge, ..Options::default() }
}

fn broken_machine(machine: fn(&Plan, &State, &Inputs, Timestamp) -> Step) -> Options {
    Options { machine, ..Options::default() }
}

#[test]
fn removing_without_draining_is_caught() {
    let hasty = |desired: &Desired, instances: &[Instance]| {
        let ops = converge(desired, instances).into_iter();
        ops.map(|op| match op {
            InstanceOp::Drain { id } => InstanceOp::Remove { id },
            other => other,
        })
        .collect()
    };
    caught(&broken_fleet(hasty), "requests in flight");
}

#[test]
fn routing_what_is_not_ready_is_caught() {
    let eager = |desired: &Desired, instances: &[Instance]| {
        let mut ops = converge(desired, instances);
        let starting = instances.iter().filter(|i| i.state == InstanceState::Starting && !i.routed);
        let ready = instances.iter().filter(|i| i.routed && i.state == InstanceState::Ready);
        let all = starting.clone().chain(ready);
        let entries = all.map(|i| RouteEntry { id: i.id.clone(), digest: i.release.digest(), weight: 1 });
        if starting.count() > 0 {
            ops.push(InstanceOp::Route(entries.collect()));
        }
        ops
    };
    caught(&broken_fleet(eager), "is not ready");
}

#[test]
fn ignoring_the_candidates_part_of_the_requests_is_caught() {
    let alike = |desired: &Desired, instances: &[Instance]| {
        let ops = converge(desired, instances).into_iter();
        let one = |entry: RouteEntry| RouteEntry { weight: 1, ..entry };
        ops.map(|op| match op {
            InstanceOp::Route(entries) => InstanceOp::Route(entries.into_iter().map(one).collect()),
            other => other,
        })
        .collect()
    };
    caught(&broken_fleet(alike), "requests go to the candidate");
}

#[test]
fn dropping_the_old_before_the_new_are_ready_is_caught() {
    let rash = |desired: &Desired, instances: &[Instance]| {
        let mut ops = converge(desired, instances);
        let old = instances.iter().filter(|i| !desired.serves(&i.release.digest()) && i.routed);
        ops.extend(old.map(|i| InstanceOp::Drain { id: i.id.clone() }));
        ops
    };
    caught(&broken_fleet(rash), "must");
}

#[test]
fn leaving_old_instances_behind_is_caught() {
    let careless = |desired: &Desired, instances: &[Instance]| {
        let ops = converge(desired, instances).into_iter();
        ops.filter(|op| !matches!(op, InstanceOp::Remove { .. })).collect()
    };
    caught(&broken_fleet(careless), "in the end");
}

#[test]
fn believing_stale_observations_is_caught() {
    let gullible = |plan: &Plan, state: &State, inputs: &Inputs, now: Timestamp| {
        let mut inputs = inputs.clone();
        if let Some(observed) = &mut inputs.observed {
            observed.generation_seen = state.generation;
        }
        step(plan, state, &inputs, now)
    };
    caught(&broken_machine(gullible), "");
}

#[test]
fn committing_before_the_requests_have_moved_is_caught() {
    let boastful = |plan: &Plan, state: &State, inputs: &Inputs, now: Timestamp| {
        let next = step(plan, state, inputs, now);
        if !matches!(next.state.phase, Phase::Shifting(_)) {
            return next;
        }
        step(plan, &State { phase: Phase::Committed, ..next.state }, inputs, now)
    };
    caught(&broken_machine(boastful), "was recorded as succeeded");
}

#[test]
fn claiming_to_be_back_before_it_is_so_is_caught() {
    let boastful = |plan: &Plan, state: &State, inputs: &Inputs, now: Timestamp| {
        let next = step(plan, state, inputs, now);
        if next.state.phase != Phase::Reverting {
            return next;
        }
        step(plan, &State { phase: Phase::Reverted, ..next.state }, inputs, now)
    };
    caught(&broken_machine(boastful), "");
}

#[test]
fn waiting_for_ever_is_caught() {
    let patient =
        |plan: &Plan, state: &State, inputs: &Inputs, _: Timestamp| step(plan, state, inputs, plan.created);
    caught(&broken_machine(patient), "has no end");
}

#[test]
fn ignoring_migrations_is_caught() {
    let blind = |plan: &Plan, state: &State, inputs: &Inputs, now: Timestamp| {
        step(plan, state, &Inputs { migrations: Default::default(), ..inputs.clone() }, now)
    };
    caught(&broken_machine(blind), "before the migrations");
}

#[test]
fn acting_without_recording_is_caught() {
    caught(&Options { intents: false, ..Options::default() }, "without being recorded");
}

#[test]
fn replacing_the_record_without_comparing_fences_is_caught() {
    // Only a process that sleeps at the wrong moment shows it.
    let faults = Faults { slow: true, pauses: true, rival: true, ..Faults::NONE };
    caught(&Options { compares: false, faults: Some(faults), ..Options::default() }, "backwards");
}
