//! From what should be and what is to the next operations. Pure.

use std::collections::BTreeSet;

use plimsoll_model::Digest;

use super::{CRASH_LOOP_DEATHS, Instance, InstanceOp, InstanceState, MAX_WEIGHT, RouteEntry, instance_name};
use crate::{Cause, Desired, Share, Traffic};

/// The operations that bring `instances` one step nearer to `desired`, in the
/// order in which they are to be done. Empty when all is as desired, or when
/// there is nothing to do but wait.
///
/// What it keeps, whatever the instances are:
/// - who serves goes on serving until those that should serve can take over,
///   so that as many instances as before, at most [`Desired::serving`], are in
///   traffic; only ready ones are routed;
/// - traffic moves to a candidate that receives none yet only when all of it
///   is ready;
/// - a ready instance is drained before it is removed;
/// - when too few of a candidate are left that has taken over, the trusted
///   release helps out with what is still there of it;
/// - failing instances of the candidate that this rollout created are left for
///   the machine to see; other failing ones are replaced, except those that run
///   and fail their probe, which may recover;
/// - instances nobody desires are drained and removed.
pub fn converge(desired: &Desired, instances: &[Instance]) -> Vec<InstanceOp> {
    let mut sorted: Vec<&Instance> = instances.iter().collect();
    sorted.sort_by_key(|i| (i.generation, &i.id));
    let shares = merged_shares(desired);
    let mut ops = Vec::new();

    let mut kept: BTreeSet<&str> = BTreeSet::new();
    let mut missing: Vec<(&Share, u32)> = Vec::new();
    for share in &shares {
        let members: Vec<&Instance> =
            sorted.iter().copied().filter(|i| i.release.digest() == share.release.digest()).collect();
        let on_trial = is_candidate(desired, &share.release.digest());
        let (keep, lacking) = keep_of_share(desired, share, &members, on_trial);
        kept.extend(keep);
        missing.push((share, lacking));
    }

    let routes = next_routes(desired, &sorted, &kept);
    let entries = weighted(desired, &routes);
    let routed: BTreeSet<(&str, u32)> =
        sorted.iter().filter(|i| i.routed).map(|i| (i.id.as_str(), i.weight)).collect();
    let wanted: BTreeSet<(&str, u32)> =
        entries.iter().map(|entry| (entry.id.as_str(), entry.weight)).collect();
    if routed != wanted {
        ops.push(InstanceOp::Route(entries));
    }
    let next: BTreeSet<&str> = routes.iter().map(|i| i.id.as_str()).collect();
    let unwanted = sorted.iter().filter(|i| !kept.contains(i.id.as_str()) && !next.contains(i.id.as_str()));
    for instance in unwanted.clone().filter(|i| i.state == InstanceState::Ready) {
        ops.push(InstanceOp::Drain { id: instance.id.clone() });
    }
    create_missing(desired, &sorted, &kept, &routes, &missing, &mut ops);
    for instance in unwanted {
        if !matches!(instance.state, InstanceState::Ready | InstanceState::Draining) {
            ops.push(InstanceOp::Remove { id: instance.id.clone() });
        }
    }
    ops
}

/// The routes with their weights: alike, or so that the candidate's instances
/// together get the part of the requests that is desired.
fn weighted(desired: &Desired, routes: &[&Instance]) -> Vec<RouteEntry> {
    let on_trial = |i: &Instance| is_candidate(desired, &i.release.digest());
    let new = routes.iter().filter(|i| on_trial(i)).count() as u32;
    let old = routes.len() as u32 - new;
    let (new_weight, old_weight) = match desired.part() {
        Some(permille) if new > 0 && old > 0 => weights(permille, new, old),
        _ => (1, 1),
    };
    let weight = |i: &Instance| if on_trial(i) { new_weight } else { old_weight };
    let entry =
        |i: &&Instance| RouteEntry { id: i.id.clone(), digest: i.release.digest(), weight: weight(i) };
    routes.iter().map(entry).collect()
}

/// The weight of each new and of each old instance, the smallest whole numbers
/// for this part of the requests, at most [`MAX_WEIGHT`].
fn weights(permille: u32, new: u32, old: u32) -> (u32, u32) {
    let (a, b) = (u64::from(permille) * u64::from(old), u64::from(1_000 - permille) * u64::from(new));
    let divisor = (1..=a.min(b)).rev().find(|d| a.is_multiple_of(*d) && b.is_multiple_of(*d)).unwrap_or(1);
    let (a, b) = (a / divisor, b / divisor);
    let most = u64::from(MAX_WEIGHT);
    let larger = a.max(b);
    let scaled = |n: u64| if larger > most { ((n * most + larger / 2) / larger).max(1) } else { n };
    (scaled(a) as u32, scaled(b) as u32)
}

/// The shares to hold; two of one digest are one.
fn merged_shares(desired: &Desired) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for share in desired.shares() {
        match shares.iter_mut().find(|s| s.release.digest() == share.release.digest()) {
            Some(same) => same.replicas += share.replicas,
            None => shares.push(share.clone()),
        }
    }
    shares
}

fn is_candidate(desired: &Desired, digest: &Digest) -> bool {
    desired.candidate.as_ref().is_some_and(|c| c.release.digest() == *digest)
}

/// Which members of a share stay, and how many are missing.
fn keep_of_share<'a>(
    desired: &Desired,
    share: &Share,
    members: &[&'a Instance],
    on_trial: bool,
) -> (Vec<&'a str>, u32) {
    let evidence = |i: &Instance| on_trial && i.rollout == desired.rollout;
    let mut alive: Vec<&Instance> = Vec::new();
    let mut dead: Vec<&Instance> = Vec::new();
    for &member in members {
        match &member.state {
            InstanceState::Starting | InstanceState::Ready => alive.push(member),
            InstanceState::Failing(why) if why.cause == Cause::ProbeFailed || evidence(member) => {
                alive.push(member);
            }
            InstanceState::Exited { .. } if evidence(member) => dead.push(member),
            InstanceState::Failing(_)
            | InstanceState::Exited { .. }
            | InstanceState::Draining
            | InstanceState::Drained => {}
        }
    }
    // Who goes first when there are too many: what does not serve anyway.
    alive.sort_by_key(|i| {
        let rank = match (&i.state, i.routed) {
            (InstanceState::Ready, true) => 0,
            (InstanceState::Ready, false) => 1,
            (InstanceState::Starting, _) => 2,
            _ => 3,
        };
        (rank, i.generation, &i.id)
    });
    let wanted = share.replicas as usize;
    let crash_loop = dead.len() >= CRASH_LOOP_DEATHS;
    let lacking = if crash_loop { 0 } else { wanted.saturating_sub(alive.len()) };
    // The dead are kept to be counted; an unlucky few, hence the bound.
    let keep = alive.iter().take(wanted).chain(dead.iter().take(CRASH_LOOP_DEATHS));
    (keep.map(|i| i.id.as_str()).collect(), u32::try_from(lacking).unwrap_or(u32::MAX))
}

/// Who receives requests next: those that should, and of those that do so far
/// as many as are needed until the former are enough.
fn next_routes<'a>(desired: &Desired, sorted: &[&'a Instance], kept: &BTreeSet<&str>) -> Vec<&'a Instance> {
    let ready = || sorted.iter().copied().filter(|i| i.state == InstanceState::Ready);
    let should = |i: &Instance| kept.contains(i.id.as_str()) && desired.serves(&i.release.digest());
    let mut routes: Vec<&Instance> = ready().filter(|i| should(i)).collect();
    let mut others: Vec<&Instance> = ready().filter(|i| i.routed && !should(i)).collect();

    let enough = match (desired.shares().next(), desired.serving()) {
        (None, _) => 0,
        (Some(_), 0) => desired.replicas,
        (Some(_), serving) => serving.min(desired.replicas).max(1),
    } as usize;
    let switch = desired.traffic == Traffic::Candidate && !routes.iter().any(|i| i.routed);
    let all_ready = routes.len() >= desired.serving() as usize && !routes.is_empty();
    if switch && !others.is_empty() && !all_ready {
        return others;
    }
    if routes.len() < enough {
        // Those that stay anyway before those that go.
        others.sort_by_key(|i| (!kept.contains(i.id.as_str()), i.generation, &i.id));
        others.truncate(enough - routes.len());
        routes.extend(others);
    }
    if routes.len() < desired.floor() as usize {
        let trusted =
            |i: &Instance| desired.stable.as_ref().is_some_and(|s| s.release.digest() == i.release.digest());
        let spare = ready().filter(|i| kept.contains(i.id.as_str()) && trusted(i));
        let spare: Vec<_> = spare.filter(|i| !routes.iter().any(|r| r.id == i.id)).collect();
        routes.extend(spare.into_iter().take(desired.floor() as usize - routes.len()));
    }
    routes
}

fn create_missing(
    desired: &Desired,
    sorted: &[&Instance],
    kept: &BTreeSet<&str>,
    routes: &[&Instance],
    missing: &[(&Share, u32)],
    ops: &mut Vec<InstanceOp>,
) {
    // With one trusted share whatever else runs is on its way out; it goes as
    // replacements become ready, and must not pile up beside them.
    let mut room = if desired.candidate.is_none() {
        let staying = sorted
            .iter()
            .filter(|i| kept.contains(i.id.as_str()) || routes.iter().any(|r| r.id == i.id))
            .count();
        (desired.replicas as usize + desired.max_surge.max(1) as usize).saturating_sub(staying)
    } else {
        usize::MAX
    };
    let mut taken: BTreeSet<String> = sorted.iter().map(|i| i.id.clone()).collect();
    for (share, lacking) in missing {
        for _ in 0..*lacking {
            if room == 0 {
                return;
            }
            room -= 1;
            let name = (0..)
                .map(|n| instance_name(desired, &share.release, n))
                .find(|name| !taken.contains(name))
                .expect("finitely many names are taken");
            taken.insert(name.clone());
            ops.push(InstanceOp::Create { release: share.release.clone(), name });
        }
    }
}
