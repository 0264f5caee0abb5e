//! A rollout for tests of the views.

use plimsoll_model::progress::{
    Condition, InstanceRow, MetricRow, ReleaseRow, RolloutView, TimeLeft, Until, WatchRow,
};
use plimsoll_model::{Commit, Digest};

const OLD: &str = "77e01234abcd0123456789abcdef0123456789ab";
const NEW: &str = "3f2a9c01b7d40123456789abcdef0123456789ab";

fn sha(text: &str) -> Commit {
    text.parse().expect("forty digits")
}

pub(in crate::progress) fn instance(role: &str, name: &str, state: Condition) -> InstanceRow {
    InstanceRow {
        name: name.into(),
        sha: sha(if role == "stable" { OLD } else { NEW }),
        role: role.into(),
        state,
        reason: String::new(),
        restarts: 0,
        traffic: state == Condition::Ready,
        age_sec: Some(12),
    }
}

/// A rolling update with one pod in a crash loop and a watch.
pub(in crate::progress) fn view() -> RolloutView {
    let release = |sha_of, n, role: &str, desired, ready, percent| ReleaseRow {
        sha: sha(sha_of),
        digest: Digest::from_sha256([n; 32]),
        role: role.into(),
        desired,
        starting: 0,
        ready,
        failing: 0,
        draining: 0,
        traffic: true,
        traffic_percent: percent,
    };
    let mut crashing = instance("candidate", "payouts-7d9f8b6c5d-abcde", Condition::Failing);
    crashing.restarts = 3;
    crashing.reason =
        "DEP-104 container app exited with status 1, and was started again 3 times; see `kubectl \
                       -n payouts logs payouts-7d9f8b6c5d-abcde -c app --previous`"
            .into();
    let mut old = instance("stable", "payouts-66c7d5f4b9-qqqqq", Condition::Ready);
    old.age_sec = Some(3 * 86_400);
    RolloutView {
        rollout: "production-3f2a9c01b7d4-20261122T182000.123Z".into(),
        environment: "production".into(),
        phase: "shifting(2)".into(),
        detail: "2 of 3 serve".into(),
        left: Some(TimeLeft { sec: 252, until: Until::GivenUp }),
        releases: vec![
            ReleaseRow { draining: 1, ..release(OLD, 1, "stable", 1, 1, 33) },
            ReleaseRow { failing: 1, ..release(NEW, 2, "candidate", 3, 2, 67) },
        ],
        instances: vec![
            instance("candidate", "payouts-7d9f8b6c5d-x2x9z", Condition::Ready),
            crashing,
            instance("candidate", "payouts-7d9f8b6c5d-k8k8k", Condition::Ready),
            old,
            instance("stable", "payouts-66c7d5f4b9-ddddd", Condition::Draining),
        ],
        watch: Some(WatchRow {
            verdict: "insufficient data".into(),
            reason: "18 of 300 s side by side".into(),
            metrics: vec![MetricRow {
                name: "payout failures".into(),
                verdict: "insufficient data".into(),
                stable: "12 of 40210".into(),
                candidate: "9 of 4011".into(),
            }],
        }),
    }
}
