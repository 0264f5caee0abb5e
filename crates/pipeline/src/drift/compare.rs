//! The comparison. Pure.

use plimsoll_model::{Digest, Release};
use plimsoll_rollout_core::{Desired, Observed, PlanRecord, Traffic};
use plimsoll_rollout_engine::{ByHand, Differing};
use plimsoll_rollout_kubernetes::{Drift as InCluster, DriftFacts, Moving, Recorded as OfCluster};

use super::{Compared, Difference, DriftKind, Explained};

/// What the ledger says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recorded<'a> {
    pub(super) current: Option<&'a Release>,
    /// The digests that were rolled out before.
    pub(super) earlier: &'a [Digest],
    /// The plan of the rollout that has no end.
    pub(super) rollout: Option<&'a PlanRecord>,
}

impl<'a> Recorded<'a> {
    pub(super) fn of_cluster(&self) -> OfCluster<'a> {
        let moving = |plan: &'a PlanRecord| Moving { to: &plan.to, max_unavailable: plan.max_unavailable };
        OfCluster { current: self.current, earlier: self.earlier, rollout: self.rollout.map(moving) }
    }
}

fn difference(kind: DriftKind, object: &str, expected: String, found: String, text: String) -> Difference {
    Difference { kind, object: object.into(), expected, found, by: None, at: None, text }
}

/// Of a cluster, whose own crate has compared already.
pub(super) fn cluster(facts: &DriftFacts, recorded: &Recorded<'_>) -> Compared {
    let ready = facts.pods.iter().filter(|pod| pod.ready).count();
    let running = || recorded.current.map(|release| release.digest().to_string()).unwrap_or_default();
    let differences = facts.drift.iter().map(|one| {
        let text = one.to_string();
        let pod = |name: &str| format!("pod {name}");
        match one {
            InCluster::ChangedByHand { object, expected, found, by, at } => Difference {
                by: by.clone(),
                at: *at,
                ..difference(DriftKind::ChangedByHand, object, expected.clone(), found.clone(), text)
            },
            InCluster::Differs { pod: name, expected, found } => {
                difference(DriftKind::OtherImage, &pod(name), expected.to_string(), found.to_string(), text)
            }
            InCluster::Older { pod: name, digest } => {
                difference(DriftKind::Older, &pod(name), running(), digest.to_string(), text)
            }
            InCluster::Extra { pod: name, image, .. } => {
                difference(DriftKind::Extra, &pod(name), String::new(), image.clone(), text)
            }
            InCluster::Missing { expected, found } => {
                let (expected, found) = (format!("{expected} ready"), format!("{found} ready"));
                difference(DriftKind::Missing, &facts.workload, expected, found, text)
            }
            InCluster::Service { service, expected, found, by, at, .. } => {
                let object = format!("service {service}");
                let traffic = difference(DriftKind::Traffic, &object, expected.clone(), found.clone(), text);
                Difference { by: by.clone(), at: *at, ..traffic }
            }
        }
    });
    let explained = facts.of_rollout.iter().map(|one| {
        let verb = if one.object == facts.workload { "asks for" } else { "runs" };
        let text = format!("{} {verb} {}", one.object, one.image);
        Explained { object: one.object.clone(), found: one.image.clone(), text }
    });
    Compared {
        differences: differences.collect(),
        explained: explained.collect(),
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
    }
}

/// Of a container that is not what it was made as.
pub(super) fn container(one: &Differing) -> Difference {
    let object = format!("container {}", one.name);
    let kind = match one.way {
        ByHand::OtherImage => DriftKind::OtherImage,
        ByHand::Paused | ByHand::Stopped | ByHand::Removed => DriftKind::ChangedByHand,
    };
    let text = match one.way {
        ByHand::OtherImage => {
            format!("{object} runs the image {} and was made for {}", one.found, one.expected)
        }
        _ => format!("{object} is {} and not {}", one.found, one.expected),
    };
    Difference { at: one.at, ..difference(kind, &object, one.expected.clone(), one.found.clone(), text) }
}

/// Of instances that Plimsoll itself starts and stops.
pub(super) fn fleets(recorded: &Recorded<'_>, desired: Option<&Desired>, observed: &Observed) -> Compared {
    let (mut differences, mut explained) = (Vec::new(), Vec::new());
    let current = recorded.current;
    let new = recorded.rollout.map(|plan| &plan.to);
    for (digest, fleet) in &observed.fleets {
        let alive = fleet.starting + fleet.ready;
        if current.is_some_and(|release| release.digest() == *digest) || alive == 0 {
            continue;
        }
        let found = format!("{alive} of {digest}");
        if let Some(release) = new.filter(|release| release.digest() == *digest) {
            let text = format!("{alive} instances of {} run", release.sha().short());
            explained.push(Explained { object: "instances".into(), found, text });
            continue;
        }
        let kind = if recorded.earlier.contains(digest) { DriftKind::Older } else { DriftKind::Extra };
        let expected = match (kind, current) {
            (DriftKind::Older, Some(release)) => release.digest().to_string(),
            _ => String::new(),
        };
        let text = format!("{alive} instances of {} run, which the ledger does not say", digest.short());
        differences.push(difference(kind, "instances", expected, found, text));
    }
    let new = new.map(|release| observed.fleet(&release.digest())).unwrap_or_default();
    let Some(release) = current else { return Compared { differences, explained, ready: new.ready } };
    let fleet = observed.fleet(&release.digest());
    // On the way both serve, and there are as many as both may have.
    let (serving, ready) = match recorded.rollout {
        Some(plan) if plan.to != *release => (fleet.serving + new.serving, fleet.ready + new.ready),
        _ => (fleet.serving, fleet.ready),
    };
    let (least, most) = bounds(recorded.rollout, desired);
    let (short, object) = (release.sha().short(), "instances");
    if ready < least {
        let mut text = format!("{ready} of {least} instances of {short} are ready");
        if let Some(failing) = fleet.failing.first() {
            text.push_str(&format!("; {}: {}", failing.instance, failing.message));
        }
        let (expected, found) = (format!("{least} ready"), format!("{ready} ready"));
        differences.push(difference(DriftKind::Missing, object, expected, found, text));
    } else if fleet.ready > most {
        let text = format!("{} instances of {short} run, {most} should", fleet.ready);
        let (expected, found) = (format!("{most} ready"), format!("{} ready", fleet.ready));
        differences.push(difference(DriftKind::Extra, object, expected, found, text));
    }
    let expected = release.digest().to_string();
    let shared = observed.traffic == Some(Traffic::Shared) && recorded.rollout.is_none();
    if observed.traffic.is_none() {
        let text = "nobody receives requests".to_owned();
        differences.push(difference(DriftKind::Traffic, "requests", expected, "to nobody".into(), text));
    } else if serving == 0 || shared {
        let text = "requests go to another release than the ledger says".to_owned();
        differences.push(difference(DriftKind::Traffic, "requests", expected, "elsewhere".into(), text));
    }
    Compared { differences, explained, ready }
}

/// How many instances have to be ready, and how many of the release that the ledger
/// says may be.
fn bounds(rollout: Option<&PlanRecord>, desired: Option<&Desired>) -> (u32, u32) {
    match rollout {
        Some(plan) => {
            let before = plan.from_replicas.unwrap_or(plan.replicas);
            let least = before.min(plan.replicas).saturating_sub(plan.max_unavailable);
            (least, before.max(plan.replicas))
        }
        None => {
            let wanted = desired.map_or(1, |desired| desired.replicas);
            (wanted, wanted)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use plimsoll_model::event::RolloutKind;
    use plimsoll_rollout_core::{Deadlines, Fleet};
    use plimsoll_rollout_kubernetes::{Astray, OfRollout};

    use super::*;

    fn release(n: u8) -> Release {
        let (sha, digest) = (format!("{n:02x}").repeat(20), Digest::from_sha256([n; 32]));
        Release::new(format!("r.example/a:{sha}@{digest}").parse().unwrap())
    }

    fn observed(fleets: &[(u8, u32, u32)], traffic: Option<Traffic>) -> Observed {
        let fleets = fleets.iter().map(|(n, ready, serving)| {
            (release(*n).digest(), Fleet { ready: *ready, serving: *serving, ..Fleet::default() })
        });
        Observed {
            at: jiff::Timestamp::UNIX_EPOCH,
            generation_seen: 1,
            fleets: fleets.collect(),
            traffic,
            scale: None,
        }
    }

    /// From release 1 to release 4, of which three run and one may be missing.
    fn plan() -> PlanRecord {
        PlanRecord {
            rollout: "trial-4".into(),
            environment: "trial".into(),
            kind: RolloutKind::Deploy,
            from: Some(release(1)),
            to: release(4),
            repository_type: plimsoll_model::RepositoryType::Canonical,
            strategy: plimsoll_model::Strategy::Rolling,
            replicas: 3,
            from_replicas: None,
            max_unavailable: 1,
            deadlines: Deadlines {
                rollout_sec: 1,
                compare_sec: 0,
                bake_sec: 0,
                keep_sec: 0,
                drain_sec: 1,
                probe_grace_sec: 1,
            },
            insufficient_data: Default::default(),
            canary: None,
            in_place: false,
            actor: "a".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            decision_entry: 1,
        }
    }

    fn kinds(compared: &Compared) -> BTreeMap<DriftKind, usize> {
        let mut kinds = BTreeMap::new();
        compared.differences.iter().for_each(|one| *kinds.entry(one.kind).or_default() += 1);
        kinds
    }

    #[test]
    fn each_way_to_differ_has_its_kind() {
        let (one, earlier) = (release(1), [release(2).digest()]);
        let serves = || Some(Traffic::Stable);
        let recorded = Recorded { current: Some(&one), earlier: &earlier, rollout: None };
        let of = |observed: &Observed| kinds(&fleets(&recorded, None, observed));
        assert_eq!(of(&observed(&[(1, 1, 1)], serves())), BTreeMap::new());
        for (what, observed, kind) in [
            ("an earlier release", observed(&[(1, 1, 1), (2, 1, 0)], serves()), DriftKind::Older),
            ("one nobody rolled out", observed(&[(1, 1, 1), (3, 1, 0)], serves()), DriftKind::Extra),
            ("one too many", observed(&[(1, 2, 2)], serves()), DriftKind::Extra),
            ("no requests", observed(&[(1, 1, 0)], None), DriftKind::Traffic),
            ("requests for both", observed(&[(1, 1, 1)], Some(Traffic::Shared)), DriftKind::Traffic),
        ] {
            assert_eq!(of(&observed), BTreeMap::from([(kind, 1)]), "{what}");
        }
        let gone = of(&observed(&[], serves()));
        assert_eq!(gone, BTreeMap::from([(DriftKind::Missing, 1), (DriftKind::Traffic, 1)]));
        let first = Recorded { current: None, ..recorded };
        assert_eq!(kinds(&fleets(&first, None, &observed(&[(2, 1, 1)], serves())))[&DriftKind::Older], 1);
    }

    #[test]
    fn what_a_rollout_on_its_way_explains_is_no_drift() {
        let (one, earlier, plan) = (release(1), [release(2).digest()], plan());
        let recorded = Recorded { current: Some(&one), earlier: &earlier, rollout: Some(&plan) };
        let shared = || Some(Traffic::Shared);
        let on_its_way = [
            (observed(&[(1, 3, 3), (4, 1, 0)], Some(Traffic::Stable)), 4),
            (observed(&[(1, 1, 1), (4, 1, 1)], shared()), 2),
            // Killed when the new one had all the requests.
            (observed(&[(4, 3, 3)], Some(Traffic::Candidate)), 3),
        ];
        for (observed, ready) in on_its_way {
            let compared = fleets(&recorded, None, &observed);
            assert_eq!((kinds(&compared), compared.ready), (BTreeMap::new(), ready), "{observed:?}");
            let explained: Vec<_> = compared.explained.iter().map(|one| one.text.as_str()).collect();
            assert_eq!(explained.len(), 1, "{observed:?}");
            assert!(explained[0].contains("instances of 040404040404 run"), "{explained:?}");
        }
        for (what, observed, kind) in [
            ("neither", observed(&[(1, 2, 2), (3, 1, 1)], shared()), DriftKind::Extra),
            ("an older one", observed(&[(1, 2, 2), (2, 1, 1)], shared()), DriftKind::Older),
            ("fewer than may be missing", observed(&[(1, 0, 0), (4, 1, 1)], shared()), DriftKind::Missing),
            ("more than ever were", observed(&[(1, 4, 4)], shared()), DriftKind::Extra),
            ("no requests", observed(&[(1, 3, 0), (4, 1, 0)], None), DriftKind::Traffic),
        ] {
            assert_eq!(kinds(&fleets(&recorded, None, &observed)), BTreeMap::from([(kind, 1)]), "{what}");
        }
        // The first one of all.
        let first = Recorded { current: None, ..recorded };
        let compared = fleets(&first, None, &observed(&[(4, 2, 2)], shared()));
        assert_eq!((kinds(&compared), compared.ready), (BTreeMap::new(), 2));
    }

    #[test]
    fn a_cluster_tells_who_and_when() {
        let by_hand = InCluster::ChangedByHand {
            object: "deployment a".into(),
            expected: "r.example/a@sha256:1".into(),
            found: "r.example/a:v1".into(),
            by: Some("kubectl-set".into()),
            at: Some(jiff::Timestamp::UNIX_EPOCH),
        };
        let older = InCluster::Older { pod: "a-1".into(), digest: release(2).digest() };
        let service = InCluster::Service {
            service: "a".into(),
            way: Astray::Selector,
            expected: "app=a".into(),
            found: "app=b".into(),
            by: Some("kubectl-edit".into()),
            at: Some(jiff::Timestamp::UNIX_EPOCH),
        };
        let facts = DriftFacts {
            workload: "deployment a".into(),
            image: "r.example/a:v1".into(),
            pods: Vec::new(),
            drift: vec![by_hand, older, InCluster::Missing { expected: 3, found: 0 }, service],
            of_rollout: vec![OfRollout { object: "pod a-2".into(), image: "r.example/a@sha256:4".into() }],
        };
        let one = release(1);
        let recorded = Recorded { current: Some(&one), earlier: &[], rollout: None };
        let Compared { differences: details, explained, .. } = cluster(&facts, &recorded);
        let who = |n: usize| (details[n].by.as_deref(), details[n].at);
        assert_eq!(who(0), (Some("kubectl-set"), Some(jiff::Timestamp::UNIX_EPOCH)));
        assert_eq!(
            (details[1].object.as_str(), &details[1].found),
            ("pod a-1", &release(2).digest().to_string())
        );
        assert_eq!((details[2].expected.as_str(), details[2].found.as_str()), ("3 ready", "0 ready"));
        assert_eq!((details[3].kind, details[3].object.as_str()), (DriftKind::Traffic, "service a"));
        assert_eq!(who(3), (Some("kubectl-edit"), Some(jiff::Timestamp::UNIX_EPOCH)));
        assert_eq!(
            details[3].text,
            "service a selects app=b, and the pods have app=a; changed by kubectl-edit at 1970-01-01T00:00:00Z"
        );
        assert_eq!(explained[0].text, "pod a-2 runs r.example/a@sha256:4");
    }
}
