//! What each phase wants to be: a function of plan and phase alone.

use plimsoll_model::Strategy;

use super::{Phase, State};
use crate::{Desired, Plan, PlanRecord, Share, Traffic};

/// Instances of `from` that serve when nothing moves.
pub(super) fn old_replicas(plan: &PlanRecord) -> u32 {
    plan.from_replicas.unwrap_or(plan.replicas)
}

/// The plan rolls out what runs already: it repairs and scales.
pub(super) fn is_repair(plan: &PlanRecord) -> bool {
    plan.from.as_ref().is_some_and(|from| from.digest() == plan.to.digest())
}

/// Whether instances are replaced wave by wave rather than all at once.
pub(super) fn in_waves(plan: &PlanRecord) -> bool {
    plan.strategy == Strategy::Rolling && plan.from.is_some() && !is_repair(plan)
}

/// Whether both releases are to serve side by side for a while: there are two of
/// them, and something is declared to be compared.
pub(super) fn compares(plan: &PlanRecord) -> bool {
    plan.deadlines.compare_sec > 0 && plan.from.is_some() && !is_repair(plan)
}

/// How many waves it takes.
pub(super) fn waves(plan: &PlanRecord) -> u32 {
    if in_waves(plan) { plan.replicas.max(1).div_ceil(plan.max_unavailable.max(1)) } else { 1 }
}

/// Instances of the candidate that must be ready for the phase to be done.
pub(super) fn candidate_size(plan: &PlanRecord, phase: Phase) -> u32 {
    let all = plan.replicas.max(1);
    match phase {
        // One proves that the release starts before any user meets it.
        Phase::Expanding | Phase::Comparing | Phase::Held if in_waves(plan) => {
            let canary = plan.canary.filter(|_| compares(plan));
            canary.map_or(1, |canary| match plan.in_place {
                true => canary.instances_of(all),
                false => canary.instances(old_replicas(plan), all),
            })
        }
        Phase::Shifting(wave) if in_waves(plan) => wave.saturating_mul(plan.max_unavailable.max(1)).min(all),
        _ => all,
    }
}

/// What a phase desires; `None` in phases that leave the target alone.
pub fn desired_for(plan: &Plan, state: &State) -> Option<Desired> {
    let plan = &*plan.at_scale(state.scale);
    let all = plan.replicas.max(1);
    let old = old_replicas(plan);
    let rolling = plan.strategy == Strategy::Rolling;
    let share = |release: &plimsoll_model::Release, replicas| Share { release: release.clone(), replicas };
    let from = |replicas| plan.from.as_ref().filter(|_| replicas > 0).map(|f| share(f, replicas));
    let to = |replicas| Some(share(&plan.to, replicas));
    let size = candidate_size(plan, state.phase);
    // What stays of the old release while both are compared.
    let whole = if plan.in_place && compares(plan) { old.saturating_sub(size) } else { old };
    // While two releases share the work, the smaller size is what is promised.
    let both = if plan.from.is_some() { all.min(old.max(1)) } else { all };

    let (stable, candidate, traffic, replicas) = match state.phase {
        Phase::Prepared | Phase::Locked | Phase::Held | Phase::Committed | Phase::Reverted => return None,
        Phase::Expanding | Phase::Comparing | Phase::Shifting(_) | Phase::Baking if is_repair(plan) => {
            (None, to(all), Traffic::Candidate, both)
        }
        Phase::Expanding => (from(whole), to(size), Traffic::Stable, both),
        // The instances that are there already; only the requests are shared.
        Phase::Comparing => (from(whole), to(size), Traffic::Shared, both),
        Phase::Shifting(_) if in_waves(plan) && size < all => {
            (from(old.saturating_sub(size)), to(size), Traffic::Shared, both)
        }
        Phase::Shifting(_) | Phase::Baking if in_waves(plan) => (None, to(all), Traffic::Candidate, all),
        Phase::Shifting(_) | Phase::Baking => (from(old), to(all), Traffic::Candidate, all),
        Phase::Settling => (to(all), None, Traffic::Stable, all),
        Phase::Reverting => (from(old), None, Traffic::Stable, if plan.from.is_some() { old } else { all }),
    };
    Some(Desired {
        environment: plan.environment.clone(),
        rollout: plan.rollout.clone(),
        generation: state.generation,
        stable,
        candidate,
        traffic,
        max_unavailable: plan.max_unavailable,
        max_surge: if rolling { plan.max_unavailable.max(1) } else { all.max(old) },
        replicas,
        strategy: plan.strategy,
        permille: plan
            .canary
            .filter(|canary| state.phase == Phase::Comparing && !canary.by_instances)
            .map(|canary| canary.permille),
        beside: compares(plan) && matches!(state.phase, Phase::Expanding | Phase::Comparing),
        decision_entry: plan.decision_entry,
        drain_sec: plan.deadlines.drain_sec,
    })
}
