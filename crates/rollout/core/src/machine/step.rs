//! The transitions.

use jiff::Timestamp;
use plimsoll_health::{Decided, Decision, InsufficientData};
use plimsoll_model::Event;

use super::desires::{candidate_size, compares, desired_for, old_replicas, waves};
use super::{Command, End, Inputs, LockStatus, Migrations, Phase, State, Step, Stop, Verdict};
use crate::{Fleet, Observed, Plan, codes};

/// Looks once and says what is to be done. Pure: the same arguments give the
/// same answer. At most one transition per step.
pub fn step(plan: &Plan, state: &State, inputs: &Inputs, now: Timestamp) -> Step {
    let mut next = state.clone();
    next.tick(now);
    if next.phase.is_terminal() {
        return finish(plan, next, now);
    }
    if let Some(step) = without_lock(&mut next, plan, inputs) {
        return step;
    }

    let mut commands = vec![Command::Hold];
    let seen = inputs.observed.as_ref().filter(|o| o.generation_seen == next.generation);
    if let Some(scale) = seen.and_then(|o| o.scale) {
        next.scale = Some(scale);
    }
    let scaled = plan.at_scale(next.scale);
    let waiting = advance(&mut next, &scaled, inputs, seen, &mut commands);
    if next.phase.is_terminal() {
        return finish(plan, next, now);
    }
    if next.phase == Phase::Held {
        return hold(plan, next, commands);
    }
    if next.phase == Phase::Locked && inputs.migrations == Migrations::Pending {
        next.migrating = true;
        commands.push(Command::Migrate);
    }
    commands.extend(desired_for(plan, &next).map(|d| Command::Desire(Box::new(d))));
    let watched = match next.phase {
        Phase::Comparing => Some(plan.deadlines.compare_sec),
        // What was compared while both served is not judged again.
        Phase::Baking if !compares(plan) => Some(plan.deadlines.bake_sec),
        _ => None,
    };
    if let Some(long) = watched {
        let window_sec = u32::try_from(next.clocks.phase_ms / 1000).unwrap_or(u32::MAX);
        commands.push(Command::Judge { window_sec, complete: window_sec >= long });
    }
    Step { state: next, commands, end: None, waiting }
}

/// What to do without the lock; `None` with it.
fn without_lock(next: &mut State, plan: &Plan, inputs: &Inputs) -> Option<Step> {
    let prepared = next.phase == Phase::Prepared;
    let ended = |next: &State, end, waiting: &str| {
        Some(Step { state: next.clone(), commands: Vec::new(), end: Some(end), waiting: waiting.into() })
    };
    let lost = |next: &State| {
        let reason = "another process may have the environment's lock now and goes on from here";
        ended(next, End::LockLost(Stop::new(codes::LOCK_LOST, reason)), "")
    };
    if prepared && inputs.interrupt {
        let stop = Stop::new(codes::INTERRUPTED, "interrupted before anything was touched");
        return ended(next, End::NotStarted(stop), "");
    }
    match (&inputs.lock, next.fence) {
        (LockStatus::Held { fence }, None) => {
            next.fence = Some(*fence);
            // A former owner's desired state, and what was seen of it, is old.
            if next.generation > 0 {
                next.next_generation();
            }
            None
        }
        // Another number than before: the lock was lost in between, and
        // somebody may have finished this rollout meanwhile.
        (LockStatus::Held { fence }, Some(own)) if *fence != own => lost(next),
        (LockStatus::Held { .. }, Some(_)) => None,
        (LockStatus::HeldByOther { holder, since }, None) if prepared => {
            let reason = format!("{} is locked by {holder} since {since}", plan.environment);
            ended(next, End::NotStarted(Stop::new(codes::LOCK_HELD, reason)), "")
        }
        (LockStatus::Lost, None) if prepared => {
            let reason = "the environment's lock was lost before anything was touched";
            ended(next, End::NotStarted(Stop::new(codes::LOCK_LOST, reason)), "")
        }
        (LockStatus::HeldByOther { .. } | LockStatus::Lost, _) | (LockStatus::NotHeld, Some(_)) => lost(next),
        (LockStatus::Unknown(why), None) if seconds(next.clocks.phase_ms) >= plan.deadlines.rollout_sec => {
            let stop = Stop::new(codes::TARGET, format!("the lock cannot be asked: {why}"));
            let end = if prepared { End::NotStarted(stop) } else { End::LockLost(stop) };
            ended(next, end, "")
        }
        (LockStatus::NotHeld | LockStatus::Unknown(_), _) => Some(Step {
            state: next.clone(),
            commands: vec![Command::Hold],
            end: None,
            waiting: format!("for the lock of {}", plan.environment),
        }),
    }
}

/// At most one transition; says what is waited for.
fn advance(
    next: &mut State,
    plan: &Plan,
    inputs: &Inputs,
    seen: Option<&Observed>,
    commands: &mut Vec<Command>,
) -> String {
    let decided = decided(next, plan, inputs);
    if let Some(stop) = reason_to_stop(next, plan, inputs, seen, decided.as_ref()) {
        if let Some((decided, verdict)) = decided.filter(|_| is_verdict(&stop)) {
            next.verdict = Some(verdict.clone());
            commands.push(Command::Keep(Box::new(decided)));
        }
        let waiting = format!("going back: {}", stop.reason);
        next.turn_back(stop);
        return waiting;
    }
    let digest = plan.to.digest();
    let to = seen.map(|o| o.fleet(&digest)).unwrap_or_default();
    let size = candidate_size(plan, next.phase);
    match next.phase {
        Phase::Prepared => {
            commands.push(Command::Record(Box::new(started(plan))));
            next.enter(Phase::Locked);
            "for the lock".into()
        }
        Phase::Locked => {
            if matches!(inputs.migrations, Migrations::None | Migrations::Done) {
                next.enter(Phase::Expanding);
                return "for the first instances".into();
            }
            "for migrations".into()
        }
        Phase::Expanding => {
            if seen.is_some() && to.ready >= size {
                next.enter(if compares(plan) { Phase::Comparing } else { Phase::Shifting(1) });
            }
            format!("{} of {size} ready{}", to.ready.min(size), tolerated(&to))
        }
        Phase::Comparing => {
            let both = to.ready >= size && to.serving >= size;
            let spent = compared(next, plan, decided.filter(|_| both), commands);
            format!("{spent}{}", tolerated(&to))
        }
        // What is seen once more is judged for itself.
        Phase::Held if next.promoted.is_none() => {
            next.verdict = None;
            next.enter(Phase::Comparing);
            "comparing once more".into()
        }
        Phase::Held => {
            next.enter(Phase::Shifting(1));
            "promoted by a person".into()
        }
        Phase::Shifting(wave) => {
            let last = wave >= waves(plan);
            if let Some(observed) = seen.filter(|o| shifted(plan, o, size, last)) {
                next.enter(if last { Phase::Baking } else { wave_after(plan, observed, wave) });
            }
            format!("{} of {size} serve{}", to.serving.min(size), tolerated(&to))
        }
        Phase::Baking => {
            // Only a blue/green rollout between two releases keeps instances.
            let keeps = plan.strategy == plimsoll_model::Strategy::BlueGreen
                && plan.from.is_some()
                && !super::desires::is_repair(plan);
            let long = plan.deadlines.bake_sec.max(if keeps { plan.deadlines.keep_sec } else { 0 });
            let over = seconds(next.clocks.phase_ms) >= long;
            let decided = decided.filter(|(decided, _)| matches!(decided.decision, Decision::Promote { .. }));
            if over && to.ready >= size && (decided.is_some() || compares(plan)) {
                if let Some((_, verdict)) = decided.filter(|_| !compares(plan)) {
                    next.verdict = Some(verdict.clone());
                }
                next.enter(Phase::Settling);
            }
            match long {
                0 => "for a last look".into(),
                _ => format!("{} of {long} s watched", seconds(next.clocks.phase_ms).min(long)),
            }
        }
        Phase::Settling => settle(next, plan, seen, Some((&plan.to, size)), Phase::Committed),
        Phase::Reverting => {
            let from = plan.from.as_ref().map(|from| (from, old_replicas(plan)));
            settle(next, plan, seen, from, Phase::Reverted)
        }
        Phase::Committed | Phase::Reverted => String::new(),
    }
}

/// What the policy makes of the newest verdict, which is of this phase; nothing
/// where there is none.
fn decided<'a>(next: &State, plan: &Plan, inputs: &'a Inputs) -> Option<(Decided, &'a Verdict)> {
    let judged = inputs.judged.as_ref()?;
    let (bake, policy) = match next.phase {
        Phase::Comparing => (plan.deadlines.compare_sec, plan.insufficient_data),
        // Nothing is compared there: what it cannot show is nothing new.
        Phase::Baking => (plan.deadlines.bake_sec, InsufficientData::default()),
        _ => return None,
    };
    let watched = seconds(next.clocks.phase_ms);
    // An early look is about less than the time that there was to be.
    let watched = if judged.complete { watched } else { watched.min(bake.saturating_sub(1)) };
    if !judged.complete && judged.verdict.kind() != plimsoll_health::Verdict::Regressed {
        return None;
    }
    Some((Decided::by(judged.verdict.kind(), watched, bake, policy), &judged.verdict))
}

/// Whether it is the watch's verdict that stops it.
fn is_verdict(stop: &Stop) -> bool {
    [codes::REGRESSED, codes::NOT_PROVEN].contains(&stop.code.as_str())
}

/// Both releases serve: goes on, or stays, as it was decided. Says how far
/// comparing is.
fn compared(
    next: &mut State,
    plan: &Plan,
    decided: Option<(Decided, &Verdict)>,
    commands: &mut Vec<Command>,
) -> String {
    let long = plan.deadlines.compare_sec;
    let spent = seconds(next.clocks.phase_ms);
    if let Some((decided, verdict)) = decided {
        let phase = match decided.decision {
            Decision::Promote { .. } => Phase::Shifting(1),
            Decision::Hold => Phase::Held,
            Decision::Watch { left_sec } => {
                return format!("{spent} s compared, too little seen to say; {left_sec} s left");
            }
            // That is a reason to stop and has been looked for before.
            Decision::GoBack { .. } => return format!("{spent} s compared"),
        };
        next.verdict = Some(verdict.clone());
        commands.push(Command::Keep(Box::new(decided)));
        next.enter(phase);
    }
    format!("{} of {long} s compared", spent.min(long))
}

/// What is wrong with the candidate and not yet a reason to stop: said at once,
/// so that nobody has to wait for the end of a grace to learn it (DEP-5).
fn tolerated(candidate: &Fleet) -> String {
    match candidate.failing.first() {
        Some(failing) => format!("; {}: {}", failing.instance, failing.message),
        None => String::new(),
    }
}

/// The wave after `wave`. A target that replaces instances by itself may be
/// further already: what is so need not be asked for.
fn wave_after(plan: &Plan, observed: &Observed, wave: u32) -> Phase {
    let done = |wave| shifted(plan, observed, candidate_size(plan, Phase::Shifting(wave)), false);
    Phase::Shifting((wave + 1..waves(plan)).find(|wave| !done(*wave)).unwrap_or(waves(plan)))
}

/// Whether a wave is done: the candidate has its part of the requests and, at
/// the last one, nobody else has any.
fn shifted(plan: &Plan, observed: &Observed, size: u32, last: bool) -> bool {
    let digest = plan.to.digest();
    let others: u32 = observed.fleets.iter().filter(|(d, _)| **d != digest).map(|(_, f)| f.serving).sum();
    let old = old_replicas(plan).saturating_sub(size);
    observed.fleet(&digest).serving >= size && others <= if last { 0 } else { old }
}

/// The end of both directions: what should serve does, with as many instances
/// as planned, and nothing else is left.
fn settle(
    next: &mut State,
    plan: &Plan,
    seen: Option<&Observed>,
    wanted: Option<(&plimsoll_model::Release, u32)>,
    end: Phase,
) -> String {
    let digest = wanted.map(|(release, _)| release.digest());
    let replicas = wanted.map_or(0, |(_, n)| n);
    let fleet = match (seen, &digest) {
        (Some(observed), Some(digest)) => observed.fleet(digest),
        _ => Fleet::default(),
    };
    let rest = || seen.iter().flat_map(|o| &o.fleets).filter(|(d, _)| Some(**d) != digest);
    let serves = seen.is_some()
        && fleet.ready >= replicas
        && fleet.serving >= replicas
        && rest().all(|(_, f)| f.serving == 0);
    let alone = fleet.ready == replicas && fleet.draining == 0 && rest().all(|(_, f)| f.is_gone());
    let limit = plan.deadlines.rollout_sec.saturating_add(plan.deadlines.drain_sec);
    let late = seconds(next.clocks.phase_ms) >= limit;

    let waiting = match (seen.is_some(), serves) {
        (false, _) => "for the target to answer".into(),
        (true, false) => format!("{} of {replicas} serve", fleet.serving.min(replicas)),
        (true, true) => "for the last instances to finish their requests".to_owned(),
    };
    if serves && alone {
        next.enter(end);
    } else if late && (serves || end == Phase::Reverted) {
        next.incomplete = Some(format!("after {limit} s: still waiting {waiting}"));
        next.enter(end);
    } else if late {
        next.turn_back(Stop::new(codes::DEADLINE, format!("not settled within {limit} s: {waiting}")));
    }
    waiting
}

/// Why this rollout cannot go on, if so; only while there is a way back to choose.
fn reason_to_stop(
    next: &mut State,
    plan: &Plan,
    inputs: &Inputs,
    seen: Option<&Observed>,
    decided: Option<&(Decided, &Verdict)>,
) -> Option<Stop> {
    if !(Phase::Locked..=Phase::Baking).contains(&next.phase) {
        return None;
    }
    let candidate = seen.map(|o| o.fleet(&plan.to.digest()));
    let failing = candidate.iter().flat_map(|f| &f.failing);
    let probe = failing.clone().find(|f| f.may_heal());
    if candidate.is_some() && probe.is_none() {
        next.clocks.probe_ms = 0;
    }
    // First what the instances say: it is nearest to the cause.
    if let Some(doomed) = failing.clone().find(|f| !f.may_heal()) {
        return Some(Stop::from_failing(doomed));
    }
    if let Some(probe) = probe.filter(|_| seconds(next.clocks.probe_ms) >= plan.deadlines.probe_grace_sec) {
        return Some(Stop::from_failing(probe));
    }
    if let (Phase::Locked, Migrations::Failed { why, last_lines }) = (next.phase, &inputs.migrations) {
        let stop = Stop::new(codes::MIGRATION, format!("a migration failed: {why}"));
        return Some(Stop { last_lines: last_lines.clone(), ..stop });
    }
    if let Some((Decided { decision: Decision::GoBack { regressed }, .. }, verdict)) = decided {
        let code = if *regressed { codes::REGRESSED } else { codes::NOT_PROVEN };
        return Some(Stop::new(code, verdict.reason()));
    }
    if let Some(trouble) = inputs.trouble.as_ref().filter(|t| !t.transient) {
        return Some(Stop::new(codes::TARGET, trouble.message.clone()));
    }
    if inputs.interrupt {
        return Some(Stop::new(codes::INTERRUPTED, "it was interrupted"));
    }
    let (spent, limit) = if next.phase == Phase::Comparing {
        let watched = plan.deadlines.compare_sec.saturating_add(plan.insufficient_data.wait_sec);
        (next.clocks.phase_ms, watched.saturating_add(plan.deadlines.rollout_sec))
    } else if next.phase == Phase::Baking {
        let watched = plan.deadlines.bake_sec.max(plan.deadlines.keep_sec);
        (next.clocks.phase_ms, watched.saturating_add(plan.deadlines.rollout_sec))
    } else {
        (next.clocks.rollout_ms, plan.deadlines.rollout_sec)
    };
    (seconds(spent) >= limit).then(|| too_late(next, plan, inputs, candidate, limit))
}

/// The deadline is over: what was it that took so long?
fn too_late(next: &State, plan: &Plan, inputs: &Inputs, candidate: Option<Fleet>, limit: u32) -> Stop {
    if let Some(probe) = candidate.iter().flat_map(|f| &f.failing).next() {
        return Stop::from_failing(probe);
    }
    let size = candidate_size(plan, next.phase);
    // Blame what could not be asked or told only where that explains it.
    let missing = candidate.as_ref().is_none_or(|f| f.ready + f.starting < size);
    if let Some(trouble) = inputs.trouble.as_ref().filter(|_| missing) {
        return Stop::new(codes::TARGET, format!("{} (tried for {limit} s)", trouble.message));
    }
    let reason = match (next.phase, candidate) {
        (Phase::Locked, _) => format!("the migrations did not end within {limit} s"),
        (phase, None) => format!("the target reported nothing about {phase} within {limit} s"),
        (_, Some(f)) => {
            format!("{} of {size} instances ready after {limit} s, {} still starting", f.ready, f.starting)
        }
    };
    Stop::new(codes::DEADLINE, reason)
}

fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

fn started(plan: &Plan) -> Event {
    Event::RolloutStarted {
        rollout: plan.rollout.clone(),
        environment: plan.environment.clone(),
        direction: plan.kind,
        decision_entry: plan.decision_entry,
        plan: serde_json::to_value(plan.record()).expect("a plan has string keys only"),
    }
}

/// Writes down that a person decides, and gives the lock back.
fn hold(plan: &Plan, state: State, mut commands: Vec<Command>) -> Step {
    let stop = Stop::new(codes::HELD, state.verdict.as_ref().map_or("", Verdict::reason));
    let event = Event::RolloutStep {
        rollout: plan.rollout.clone(),
        environment: plan.environment.clone(),
        phase: state.phase.to_string(),
        state: serde_json::to_value(&state).expect("a state has string keys only"),
        command: "hold for a person".into(),
        outcome: Some(stop.reason.clone()),
    };
    commands.extend([Command::Record(Box::new(event)), Command::Release]);
    Step { state, commands, waiting: "for a person to decide".into(), end: Some(End::Held(stop)) }
}

/// Records the end and gives the lock back.
fn finish(plan: &Plan, state: State, now: Timestamp) -> Step {
    let end = if state.phase == Phase::Committed { End::Committed } else { End::Reverted };
    let outcome = state.outcome(plan).expect("only called in a terminal phase");
    let mut reason = state.stop.as_ref().map(|s| s.reason.clone()).unwrap_or_default();
    if let (Some(left), true) = (&state.incomplete, state.phase == Phase::Reverted) {
        reason = format!("{reason}; going back was not completed {left}");
    }
    if let (Some(why), Phase::Committed) = (&state.promoted, state.phase) {
        reason = format!("not proven, promoted by a person: {why}");
    }
    let passed = now.as_millisecond().saturating_sub(plan.created.as_millisecond()).max(0);
    let event = Event::RolloutFinished {
        rollout: plan.rollout.clone(),
        environment: plan.environment.clone(),
        direction: plan.kind,
        repository_type: plan.repository_type,
        from: plan.from.clone(),
        to: plan.to.clone(),
        outcome,
        code: state.stop.as_ref().map(|s| s.code.clone()).unwrap_or_default(),
        reason,
        duration_sec: passed as f64 / 1000.0,
    };
    Step {
        commands: vec![Command::Record(Box::new(event)), Command::Release],
        end: Some(end),
        waiting: outcome.to_string(),
        state,
    }
}
