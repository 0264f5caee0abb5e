//! What a person is shown of a rollout: the machine's own knowledge, row by
//! row. Pure.

use plimsoll_model::progress::{
    Condition, InstanceRow, MetricRow, ReleaseRow, RolloutView, TimeLeft, Until, WatchRow,
};

use crate::machine::{Inputs, Phase, Step, Verdict, desired_for};
use crate::{Desired, Fleet, Plan, State};

/// Instances that are listed one by one; of more, those that are well are left
/// out, and the releases' rows still count them.
const MOST_INSTANCES: usize = 200;

/// The view of one step. `counts` is what the watch's last verdict rests on.
pub(super) fn view(plan: &Plan, step: &Step, inputs: &Inputs, counts: Vec<MetricRow>) -> RolloutView {
    let desired = desired_for(plan, &step.state);
    let observed = inputs.observed.as_ref();
    let all: u32 = observed.iter().flat_map(|o| o.fleets.values()).map(weight).sum();
    let mut releases = Vec::new();
    let mut instances = Vec::new();
    for (role, release) in [("stable", plan.from.as_ref()), ("candidate", Some(&plan.to))] {
        let (Some(release), Some(observed)) = (release, observed) else { continue };
        // A rollout of what runs already is one release.
        if role == "stable" && release.digest() == plan.to.digest() {
            continue;
        }
        let fleet = observed.fleet(&release.digest());
        let wanted = desired.iter().flat_map(Desired::shares);
        let wanted = wanted.filter(|s| s.release.digest() == release.digest()).map(|s| s.replicas).sum();
        if fleet.is_gone() && fleet.leaving == 0 && wanted == 0 {
            continue;
        }
        // What the machine waits for is on its way; only what stops it has failed.
        let waits: Vec<&str> =
            fleet.failing.iter().filter(|f| f.may_heal()).map(|f| f.instance.as_str()).collect();
        let (waiting, failed) = (waits.len(), fleet.failing.len() - waits.len());
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        releases.push(ReleaseRow {
            sha: release.sha().clone(),
            digest: release.digest(),
            role: role.into(),
            desired: wanted,
            starting: fleet.starting + count(waiting),
            ready: fleet.ready,
            failing: count(failed) + fleet.failing_before,
            draining: fleet.draining + fleet.leaving,
            traffic: fleet.serving > 0,
            traffic_percent: percent(weight(&fleet), all),
        });
        instances.extend(fleet.instances.iter().map(|seen| InstanceRow {
            name: seen.name.clone(),
            sha: release.sha().clone(),
            role: role.into(),
            state: match seen.state {
                Condition::Failing if waits.contains(&seen.name.as_str()) => Condition::Starting,
                state => state,
            },
            reason: seen.reason.clone(),
            restarts: seen.restarts,
            traffic: seen.serving,
            age_sec:
                seen.since.map(|since| {
                    u64::try_from(observed.at.duration_since(since).as_secs()).unwrap_or_default()
                }),
        }));
    }
    if instances.len() > MOST_INSTANCES {
        // Sorting is stable: what is wrong comes first, each release in order.
        instances.sort_by_key(|row| row.state == Condition::Ready);
        instances.truncate(MOST_INSTANCES);
    }
    RolloutView {
        rollout: plan.rollout.clone(),
        environment: plan.environment.clone(),
        phase: step.state.phase.to_string(),
        detail: detail(step, inputs),
        left: time_left(plan, &step.state),
        releases,
        instances,
        watch: watch(plan, &step.state, inputs, counts),
    }
}

/// What is waited for, and why nothing is known of it where the target does not
/// answer.
fn detail(step: &Step, inputs: &Inputs) -> String {
    match (&inputs.observed, &inputs.trouble) {
        (None, Some(trouble)) => format!("{}; {}", step.waiting, trouble.message),
        _ => step.waiting.clone(),
    }
}

/// A fleet's part of the requests, relative to the others': instances may get
/// more or fewer than each other. Those that are not known one by one count one.
fn weight(fleet: &Fleet) -> u32 {
    match fleet.instances.is_empty() {
        true => fleet.serving,
        false => fleet.instances.iter().filter(|seen| seen.serving).map(|seen| seen.weight).sum(),
    }
}

fn percent(part: u32, all: u32) -> u32 {
    let (part, all) = (u64::from(part), u64::from(all));
    let percent = (part * 100 + all / 2).checked_div(all).unwrap_or(0);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

/// How long a phase may still take.
fn time_left(plan: &Plan, state: &State) -> Option<TimeLeft> {
    let deadlines = &plan.deadlines;
    let spent = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
    let (long, spent, until) = match state.phase {
        Phase::Prepared | Phase::Held | Phase::Committed | Phase::Reverted => return None,
        Phase::Comparing => (deadlines.compare_sec, spent(state.clocks.phase_ms), Until::Watched),
        Phase::Baking => {
            let long = deadlines.bake_sec.max(deadlines.keep_sec);
            (long, spent(state.clocks.phase_ms), Until::Watched)
        }
        Phase::Locked | Phase::Expanding | Phase::Shifting(_) => {
            (deadlines.rollout_sec, spent(state.clocks.rollout_ms), Until::GivenUp)
        }
        Phase::Settling | Phase::Reverting => {
            let long = deadlines.rollout_sec.saturating_add(deadlines.drain_sec);
            (long, spent(state.clocks.phase_ms), Until::GivenUp)
        }
    };
    (long > 0).then(|| TimeLeft { sec: long.saturating_sub(spent), until })
}

/// What the watch says, in the phases in which there is one, and after it said
/// the word that ended them.
fn watch(plan: &Plan, state: &State, inputs: &Inputs, metrics: Vec<MetricRow>) -> Option<WatchRow> {
    if plan.deadlines.compare_sec == 0 && plan.deadlines.bake_sec == 0 {
        return None;
    }
    let verdict = match state.phase {
        Phase::Comparing | Phase::Held | Phase::Baking => {
            inputs.judged.as_ref().map(|judged| &judged.verdict)
        }
        _ => None,
    };
    let verdict = verdict.or(state.verdict.as_ref())?;
    let word = match verdict {
        Verdict::NoEvidence => "no evidence",
        Verdict::Regressed(_) => "regressed",
        Verdict::InsufficientData(_) => "insufficient data",
    };
    Some(WatchRow { verdict: word.into(), reason: verdict.reason().to_owned(), metrics })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::Digest;

    use super::*;
    use crate::machine::{Judged, Trouble};
    use crate::{Cause, Failing, Fleet, Observed, Seen};

    fn seen(name: &str, state: Condition, serving: bool) -> Seen {
        let since = Some("2026-11-25T12:00:00Z".parse().unwrap());
        Seen { name: name.into(), state, reason: String::new(), restarts: 0, serving, weight: 1, since }
    }

    fn inputs() -> Inputs {
        let why = Failing {
            instance: "new-2".into(),
            cause: Cause::CrashLoop,
            message: "it exited".into(),
            last_lines: Vec::new(),
            heals: false,
        };
        let crashing = Seen { reason: why.reason(), ..seen("new-2", Condition::Failing, false) };
        let old = Fleet {
            ready: 2,
            serving: 2,
            instances: vec![seen("old-1", Condition::Ready, true), seen("old-2", Condition::Ready, true)],
            ..Fleet::default()
        };
        let new = Fleet {
            ready: 1,
            serving: 1,
            failing: vec![why],
            instances: vec![seen("new-1", Condition::Ready, true), crashing],
            ..Fleet::default()
        };
        let digest = |n| Digest::from_sha256([n; 32]);
        let observed = Observed {
            at: "2026-11-25T12:00:42Z".parse().unwrap(),
            generation_seen: 1,
            fleets: [(digest(1), old), (digest(2), new)].into(),
            traffic: None,
            scale: None,
        };
        Inputs { observed: Some(observed), ..Inputs::default() }
    }

    fn in_phase(phase: Phase) -> (Plan, Step) {
        let mut record = super::super::tests::plan().record().clone();
        record.deadlines.compare_sec = 60;
        record.deadlines.rollout_sec = 300;
        let mut state = State { phase, ..State::new() };
        state.clocks.phase_ms = 18_000;
        state.clocks.rollout_ms = 48_000;
        let step = Step { state, commands: Vec::new(), end: None, waiting: "for this".into() };
        (Plan::simulated(record), step)
    }

    #[test]
    fn every_instance_is_shown_with_its_release_its_trouble_and_its_age() {
        let (plan, step) = in_phase(Phase::Shifting(1));
        let view = view(&plan, &step, &inputs(), Vec::new());
        let rows: Vec<String> = view
            .instances
            .iter()
            .map(|row| format!("{} {} {} {} {:?}", row.role, row.name, row.state, row.reason, row.age_sec))
            .collect();
        assert_eq!(
            rows,
            [
                "stable old-1 ready  Some(42)",
                "stable old-2 ready  Some(42)",
                "candidate new-1 ready  Some(42)",
                "candidate new-2 failing DEP-104 it exited Some(42)",
            ]
        );
        let shares: Vec<u32> = view.releases.iter().map(|row| row.traffic_percent).collect();
        assert_eq!(shares, [67, 33]);
        assert_eq!(view.left, Some(TimeLeft { sec: 252, until: Until::GivenUp }));
        assert_eq!(view.watch, None, "nothing has been judged");
    }

    /// A startup probe says no until the service has started: nothing is wrong yet.
    #[test]
    fn what_is_waited_for_is_starting_with_its_reason() {
        let (plan, step) = in_phase(Phase::Expanding);
        let mut inputs = inputs();
        let new = inputs.observed.as_mut().unwrap().fleets.get_mut(&Digest::from_sha256([2; 32])).unwrap();
        new.failing[0].cause = Cause::ProbeFailed;
        let view = view(&plan, &step, &inputs, Vec::new());
        let row = view.instances.last().unwrap();
        assert_eq!((row.state, row.reason.as_str()), (Condition::Starting, "DEP-104 it exited"));
        assert_eq!((view.releases[1].starting, view.releases[1].failing), (1, 0));
    }

    /// A canary share: few requests to the one new instance, most to the old.
    #[test]
    fn shares_are_of_the_requests_and_not_of_the_instances() {
        let (plan, step) = in_phase(Phase::Comparing);
        let mut inputs = inputs();
        let fleets = &mut inputs.observed.as_mut().unwrap().fleets;
        let old = &mut fleets.get_mut(&Digest::from_sha256([1; 32])).unwrap().instances;
        old.iter_mut().for_each(|seen| seen.weight = 9);
        let view = view(&plan, &step, &inputs, Vec::new());
        let shares: Vec<u32> = view.releases.iter().map(|row| row.traffic_percent).collect();
        assert_eq!(shares, [95, 5]);
    }

    #[test]
    fn the_watch_is_shown_with_its_counts_and_when_it_ends() {
        let (plan, step) = in_phase(Phase::Comparing);
        let verdict = Verdict::InsufficientData("few requests".into());
        let inputs = Inputs { judged: Some(Judged { verdict, complete: false }), ..inputs() };
        let row = MetricRow {
            name: "failures".into(),
            verdict: "insufficient data".into(),
            stable: "1 of 20".into(),
            candidate: "0 of 10".into(),
        };
        let view = view(&plan, &step, &inputs, vec![row.clone()]);
        assert_eq!(view.left, Some(TimeLeft { sec: 42, until: Until::Watched }));
        let watch = view.watch.unwrap();
        assert_eq!((watch.verdict.as_str(), watch.reason.as_str()), ("insufficient data", "few requests"));
        assert_eq!(watch.metrics, [row]);
    }

    #[test]
    fn a_target_that_does_not_answer_is_named() {
        let (plan, step) = in_phase(Phase::Expanding);
        let trouble = Some(Trouble { message: "looking failed: refused".into(), transient: true });
        let seen = view(&plan, &step, &Inputs { trouble: trouble.clone(), ..inputs() }, Vec::new());
        assert_eq!(seen.detail, "for this", "it answered after all");
        let away = view(&plan, &step, &Inputs { trouble, ..Inputs::default() }, Vec::new());
        assert_eq!(away.detail, "for this; looking failed: refused");
    }

    #[test]
    fn of_very_many_instances_what_is_wrong_is_kept() {
        let (plan, step) = in_phase(Phase::Shifting(1));
        let mut inputs = inputs();
        let fleets = &mut inputs.observed.as_mut().unwrap().fleets;
        let many = (0..1000).map(|n| seen(&format!("old-{n}"), Condition::Ready, true));
        fleets.get_mut(&Digest::from_sha256([1; 32])).unwrap().instances = many.collect();
        let view = view(&plan, &step, &inputs, Vec::new());
        assert_eq!(view.instances.len(), MOST_INSTANCES);
        assert_eq!(view.instances[0].name, "new-2");
    }
}
