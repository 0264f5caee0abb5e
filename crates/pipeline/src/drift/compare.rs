//! The comparison. Pure.

use plimsoll_model::{Digest, Release};
use plimsoll_rollout_core::{Desired, Observed, Traffic};
use plimsoll_rollout_kubernetes::{Drift as InCluster, DriftFacts};

use super::{Difference, Drift, DriftKind};

fn difference(kind: DriftKind, object: &str, expected: String, found: String, text: String) -> Difference {
    Difference { kind, object: object.into(), expected, found, by: None, at: None, text }
}

/// Of a cluster, whose own crate has compared already.
pub(super) fn cluster(facts: &DriftFacts, running: &Release) -> Drift {
    let ready = facts.pods.iter().filter(|pod| pod.ready).count();
    let details = facts.drift.iter().map(|one| {
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
                let expected = running.digest().to_string();
                difference(DriftKind::Older, &pod(name), expected, digest.to_string(), text)
            }
            InCluster::Extra { pod: name, image, .. } => {
                difference(DriftKind::Extra, &pod(name), String::new(), image.clone(), text)
            }
            InCluster::Missing { expected, found } => {
                let (expected, found) = (format!("{expected} ready"), format!("{found} ready"));
                difference(DriftKind::Missing, &facts.workload, expected, found, text)
            }
        }
    });
    Drift::of(details.collect(), u32::try_from(ready).unwrap_or(u32::MAX))
}

/// Of instances that Plimsoll itself starts and stops. `earlier` are the digests
/// that were rolled out before.
pub(super) fn fleets(
    current: Option<&Release>,
    earlier: &[Digest],
    desired: Option<&Desired>,
    observed: &Observed,
) -> Drift {
    let mut details = Vec::new();
    let mut ready = 0;
    for (digest, fleet) in &observed.fleets {
        let alive = fleet.starting + fleet.ready;
        if current.is_none_or(|release| release.digest() != *digest) && alive > 0 {
            let kind = if earlier.contains(digest) { DriftKind::Older } else { DriftKind::Extra };
            let expected = match (kind, current) {
                (DriftKind::Older, Some(release)) => release.digest().to_string(),
                _ => String::new(),
            };
            let text = format!("{alive} instances of {} run, which the ledger does not say", digest.short());
            details.push(difference(kind, "instances", expected, format!("{alive} of {digest}"), text));
        }
    }
    if let Some(release) = current {
        let fleet = observed.fleet(&release.digest());
        ready = fleet.ready;
        let wanted = desired.map_or(1, |desired| desired.replicas);
        let (short, object) = (release.sha().short(), "instances");
        let (expected, found) = (format!("{wanted} ready"), format!("{ready} ready"));
        if ready < wanted {
            let mut text = format!("{ready} of {wanted} instances of {short} are ready");
            if let Some(failing) = fleet.failing.first() {
                text.push_str(&format!("; {}: {}", failing.instance, failing.message));
            }
            details.push(difference(DriftKind::Missing, object, expected, found, text));
        } else if ready > wanted {
            let text = format!("{ready} instances of {short} run, {wanted} should");
            details.push(difference(DriftKind::Extra, object, expected, found, text));
        }
        let expected = release.digest().to_string();
        if observed.traffic.is_none() {
            let text = "nobody receives requests".to_owned();
            details.push(difference(DriftKind::Traffic, "requests", expected, "to nobody".into(), text));
        } else if fleet.serving == 0 || observed.traffic == Some(Traffic::Shared) {
            let text = "requests go to another release than the ledger says".to_owned();
            details.push(difference(DriftKind::Traffic, "requests", expected, "elsewhere".into(), text));
        }
    }
    Drift::of(details, ready)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use plimsoll_rollout_core::Fleet;

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

    fn kinds(drift: &Drift) -> BTreeMap<DriftKind, usize> {
        match drift {
            Drift::Drifted { kinds, differences, details } => {
                assert_eq!(differences.len(), details.len());
                kinds.clone()
            }
            _ => BTreeMap::new(),
        }
    }

    #[test]
    fn each_way_to_differ_has_its_kind() {
        let (one, earlier) = (release(1), [release(2).digest()]);
        let serves = || Some(Traffic::Stable);
        let of = |observed: &Observed| kinds(&fleets(Some(&one), &earlier, None, observed));
        assert_eq!(
            fleets(Some(&one), &earlier, None, &observed(&[(1, 1, 1)], serves())),
            Drift::None { ready: 1 }
        );
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
        assert_eq!(
            kinds(&fleets(None, &earlier, None, &observed(&[(2, 1, 1)], serves())))[&DriftKind::Older],
            1
        );
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
        let facts = DriftFacts {
            workload: "deployment a".into(),
            image: "r.example/a:v1".into(),
            pods: Vec::new(),
            drift: vec![by_hand, older, InCluster::Missing { expected: 3, found: 0 }],
        };
        let Drift::Drifted { details, kinds, .. } = cluster(&facts, &release(1)) else { panic!() };
        assert_eq!(kinds.values().sum::<usize>(), 3);
        assert_eq!(
            (details[0].by.as_deref(), details[0].at),
            (Some("kubectl-set"), Some(jiff::Timestamp::UNIX_EPOCH))
        );
        assert_eq!(
            (details[1].object.as_str(), &details[1].found),
            ("pod a-1", &release(2).digest().to_string())
        );
        assert_eq!((details[2].expected.as_str(), details[2].found.as_str()), ("3 ready", "0 ready"));
    }
}
