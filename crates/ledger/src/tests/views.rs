//! What the views say about known stories.

use plimsoll_model::Event;
use plimsoll_model::RepositoryType::{Canonical, Staging};
use plimsoll_model::event::RolloutKind::{Deploy, Rollback};
use plimsoll_model::event::RolloutOutcome::{Failed, RolledBack, Succeeded};

use super::events::{
    Fixture, build_failed, build_finished, build_started, by_hand, decided, finished, migrated, release, sha,
    started, step, story,
};
use crate::views::What;

#[test]
fn current_is_the_newest_success() {
    let Fixture { ledger, .. } = Fixture::new();
    assert_eq!(ledger.current("production").unwrap(), None);
    ledger.append_all("ada", &story()).unwrap();
    let running = ledger.current("production").unwrap().unwrap();
    assert_eq!((running.release, running.previous), (release(2), Some(release(1))));
    assert_eq!((running.decision_entry, running.entry, running.by.as_str()), (Some(10), 14, "ada"));
    assert_eq!(ledger.current("trial").unwrap(), None);

    // Neither a failure nor an automatic rollback changes what runs.
    for (n, outcome) in [(3, Failed), (4, RolledBack)] {
        ledger.append("bob", &finished("production", &format!("r{n}"), Deploy, Some(2), n, outcome)).unwrap();
        assert_eq!(ledger.current("production").unwrap().unwrap().release, release(2));
    }
    ledger.append("bob", &finished("production", "r5", Rollback, Some(2), 1, Succeeded)).unwrap();
    let running = ledger.current("production").unwrap().unwrap();
    assert_eq!((running.release, running.direction, running.by.as_str()), (release(1), Rollback, "bob"));
    assert_eq!(running.decision_entry, None);

    let back: Vec<_> = ledger
        .deployed_before("production", 10)
        .unwrap()
        .into_iter()
        .map(|d| (d.release, d.running, d.entry))
        .collect();
    assert_eq!(back, [(release(1), true, 17), (release(2), false, 14)]);
    assert_eq!(ledger.deployed_before("production", 1).unwrap().len(), 1);
    assert!(ledger.was_deployed("production", &sha(2)).unwrap().is_some());
    assert!(ledger.was_deployed("production", &sha(3)).unwrap().is_none());
}

#[test]
fn build_of_is_the_newest_of_its_type() {
    let Fixture { ledger, .. } = Fixture::new();
    for (kind, seconds) in [(Canonical, 1.0), (Staging, 2.0), (Canonical, 3.0)] {
        ledger.append("ci", &build_finished(7, kind, seconds)).unwrap();
    }
    let seconds = |kind| ledger.build_of(&sha(7), kind).unwrap().unwrap().metadata.build_duration_sec;
    assert_eq!((seconds(Canonical), seconds(Staging)), (3.0, 2.0));
    assert_eq!(ledger.build_of(&sha(8), Canonical).unwrap(), None);
    assert_eq!(ledger.builds(Some(&sha(7)), 10).unwrap().len(), 3);
    assert_eq!(ledger.builds(None, 2).unwrap().len(), 2);
}

#[test]
fn interrupted_work_is_listed_until_it_ends() {
    let Fixture { ledger, .. } = Fixture::new();
    ledger.append_all("ada", &story()).unwrap();
    assert!(ledger.unfinished(None).unwrap().is_empty());
    assert!(ledger.unfinished_builds().unwrap().is_empty());

    ledger.append("ada", &started("trial", "r9", 10)).unwrap();
    let begun = ledger.unfinished(Some("trial")).unwrap();
    assert_eq!((begun.len(), begun[0].decision_entry, begun[0].last_step.is_none()), (1, 10, true));
    ledger.append("ada", &step("trial", "r9", None)).unwrap();
    let last = ledger.append("ada", &step("trial", "r9", Some("done"))).unwrap();
    let stepped = ledger.unfinished(Some("trial")).unwrap().remove(0).last_step.unwrap();
    assert_eq!((stepped.entry, stepped.outcome.as_deref()), (last.seq, Some("done")));
    assert_eq!(stepped.state["phase"], "expanding");
    assert_eq!(ledger.steps("r9", 10).unwrap().len(), 2);
    assert!(ledger.unfinished(Some("production")).unwrap().is_empty());
    assert_eq!(ledger.unfinished(None).unwrap().len(), 1);
    ledger.append("ada", &finished("trial", "r9", Deploy, None, 2, Failed)).unwrap();
    assert!(ledger.unfinished(None).unwrap().is_empty());

    ledger.append("ada", &build_started(5)).unwrap();
    ledger.append("ada", &build_started(6)).unwrap();
    assert_eq!(
        ledger.unfinished_builds().unwrap().iter().map(|b| &b.sha).collect::<Vec<_>>(),
        [&sha(6), &sha(5)]
    );
    ledger.append("ada", &build_failed(6)).unwrap();
    ledger.append("ada", &build_started(5)).unwrap();
    let again = ledger.unfinished_builds().unwrap();
    assert_eq!(again.len(), 1, "a second start takes the place of the first");
    ledger.append("ada", &build_finished(5, Canonical, 1.0)).unwrap();
    assert!(ledger.unfinished_builds().unwrap().is_empty());
}

#[test]
fn history_is_newest_first_and_counts_refusals() {
    let Fixture { ledger, .. } = Fixture::new();
    ledger.append_all("ada", &story()).unwrap();
    ledger.append("eve", &decided("production", 3, false)).unwrap();
    ledger.append("ada", &build_failed(4)).unwrap();
    let rows = ledger.history(None, 100).unwrap();
    let short: Vec<_> = rows.iter().map(|r| (r.entry, r.what, r.outcome.as_str())).collect();
    assert_eq!(
        short,
        [
            (16, What::Build, "failed"),
            (15, What::Deploy, "refused"),
            (14, What::Deploy, "succeeded"),
            (9, What::Build, "succeeded"),
            (7, What::Deploy, "succeeded"),
            (2, What::Build, "succeeded"),
        ]
    );
    assert_eq!((rows[1].code.as_str(), rows[1].by.as_str()), ("TAG-001", "eve"));
    assert_eq!(ledger.history(None, 2).unwrap(), rows[..2]);
    let production: Vec<_> =
        ledger.history(Some("production"), 100).unwrap().iter().map(|r| r.entry).collect();
    assert_eq!(production, [15, 14, 7]);
}

/// LED-2: what runs where, since when, who, on which evidence, what before.
#[test]
fn show_gathers_all_about_a_commit() {
    let Fixture { ledger, .. } = Fixture::new();
    ledger.append_all("ada", &story()).unwrap();
    let shown = ledger.show(&sha(2), 100).unwrap();
    assert_eq!((shown.builds.len(), shown.decisions.len(), shown.rollouts.len()), (1, 1, 1));
    assert_eq!(shown.running_in, ["production"]);
    assert_eq!(shown.decisions[0].facts["a"]["tag"], "found");
    assert_eq!(ledger.decision(10).unwrap().as_ref(), Some(&shown.decisions[0]));
    assert_eq!(ledger.decision(9).unwrap(), None);
    assert!(ledger.show(&sha(1), 100).unwrap().running_in.is_empty());
    assert!(ledger.show(&sha(77), 100).unwrap().entries.is_empty());
}

/// OBS-4.
#[test]
fn stats_against_the_targets() {
    let Fixture { ledger, .. } = Fixture::new();
    let empty = ledger.stats(None).unwrap();
    assert_eq!((empty.build.p95_sec, empty.build.within_target), (None, None));
    for n in 1..=20u64 {
        ledger.append("ci", &build_finished(n, Canonical, n as f64 * 35.0)).unwrap();
    }
    ledger.append("ci", &build_failed(1)).unwrap();
    ledger.append("ci", &finished("a", "r1", Deploy, None, 1, Succeeded)).unwrap();
    ledger.append("ci", &finished("b", "r2", Deploy, None, 1, Failed)).unwrap();
    let stats = ledger.stats(None).unwrap();
    assert_eq!((stats.build.p50_sec, stats.build.p95_sec), (Some(350.0), Some(665.0)));
    assert_eq!((stats.build.max_sec, stats.build.within_target), (Some(700.0), Some(false)));
    assert_eq!((stats.build.count, stats.build.failed), (20, 1));
    assert_eq!((stats.deploy.count, stats.deploy.failed), (1, 1));
    assert_eq!(stats.deploy.within_target, Some(true));
    assert_eq!(ledger.stats(Some("b")).unwrap().deploy.count, 0);
}

/// SIG-4: coverage is taken from the decisions that let each release in.
#[test]
fn coverage_counts_releases_by_their_newest_decision() {
    let fixture = Fixture::new();
    let ledger = &fixture.ledger;
    let none = || serde_json::Value::Null;
    let deploy = |n, state: &str, before: serde_json::Value| {
        let Event::Decided { environment, sha, rollout, decision, .. } = decided("production", n, true)
        else {
            unreachable!("decided makes a decision")
        };
        let facts =
            serde_json::json!({"evidence": {"signature": {"state": state}}, "verified_before": before});
        let event = Event::Decided { environment, sha, rollout, facts, decision };
        ledger.append("ada", &event).unwrap();
        let end = finished("production", &format!("r{n}"), Deploy, None, n, Succeeded);
        ledger.append("ada", &end).unwrap();
    };
    deploy(1, "missing", none());
    deploy(2, "verified", none());
    deploy(3, "unknown", none());
    ledger.append("ada", &decided("production", 2, false)).unwrap();
    let signed = |window| -> Vec<bool> {
        let samples = ledger.signature_samples("production", window).unwrap();
        samples.iter().map(|sample| sample.signed).collect()
    };
    assert_eq!(signed(50), [false, true, false]);
    // Signed later, and let in again.
    deploy(1, "verified", none());
    assert_eq!(signed(50), [true, false, true]);
    assert_eq!(signed(2), [true, false]);
    // Gone back to while nobody could be asked: what verified before counts.
    let before = serde_json::json!({"entry": 4});
    deploy(2, "unknown", before.clone());
    assert_eq!(signed(50), [true, true, false]);
    // A signature that is gone is gone, whatever was before.
    deploy(2, "missing", before);
    assert_eq!(signed(50), [false, true, false]);
    deploy(2, "verified", none());
    assert!(ledger.signature_samples("trial", 50).unwrap().is_empty());
    let metrics = ledger.metrics().unwrap();
    assert!(metrics.contains("signature_signed_releases{environment=\"production\"} 2\n"), "{metrics}");
}

/// The first escalation is the ratchet; the last softening counts.
#[test]
fn escalation_softening_and_approvals_are_found() {
    let fixture = Fixture::new();
    let ledger = &fixture.ledger;
    assert_eq!(ledger.escalation("production").unwrap(), None);
    let escalated = Event::VerificationEscalated {
        environment: "production".into(),
        signed: 10,
        samples: 10,
        threshold: 0.9,
        min_samples: 10,
    };
    let softened = |reason: &str, until: &str| Event::VerificationSoftened {
        environment: "production".into(),
        reason: reason.into(),
        until: until.into(),
    };
    for event in [
        escalated.clone(),
        softened("first", "2026-01-01T00:00:00Z"),
        softened("second", "not a time"),
        escalated,
        Event::Overridden {
            environment: "production".into(),
            sha: sha(1),
            code: "SIG-001".into(),
            reason: "the signer is down".into(),
            until: "2026-01-02T00:00:00Z".into(),
        },
    ] {
        ledger.append("ada", &event).unwrap();
    }
    assert_eq!(ledger.escalation("production").unwrap().unwrap().entry, 1);
    let softening = ledger.softening("production").unwrap().unwrap();
    assert_eq!((softening.entry, softening.reason.as_str()), (3, "second"));
    // An end that cannot be read has passed.
    assert_eq!(softening.until, jiff::Timestamp::MIN);
    let approvals = ledger.approvals("production", &sha(1)).unwrap();
    assert_eq!(approvals.iter().map(|a| (a.entry, a.code.as_str())).collect::<Vec<_>>(), [(5, "SIG-001")]);
    assert!(ledger.approvals("production", &sha(2)).unwrap().is_empty());
    assert!(ledger.approvals("trial", &sha(1)).unwrap().is_empty());
}

/// MIG-4: the newest deployment says what the schema is, each its own needs.
#[test]
fn the_schema_is_as_the_last_deployment_left_it() {
    let Fixture { ledger, .. } = &Fixture::new();
    for event in [migrated("production", 1), migrated("trial", 3), migrated("production", 2)] {
        ledger.append("ada", &event).unwrap();
    }
    let newest = ledger.schema("production").unwrap().unwrap();
    assert_eq!(
        (newest.sha.unwrap(), newest.schema["n"].as_u64(), newest.waiting.len()),
        (sha(2), Some(2), 1)
    );
    let first = ledger.schema_of("production", &sha(1)).unwrap().unwrap();
    assert_eq!((first.entry, first.applied[0].now), (1, true));
    assert!(ledger.schema_of("production", &sha(3)).unwrap().is_none());
    assert!(ledger.schema("elsewhere").unwrap().is_none());

    // What a person ran since is how it is now; what the release needs stays.
    ledger.append("ada", &by_hand("production", None)).unwrap();
    ledger.append("ada", &by_hand("production", Some(2))).unwrap();
    let newest = ledger.schema("production").unwrap().unwrap();
    assert_eq!((newest.entry, newest.sha, newest.needs.is_null()), (5, Some(sha(2)), true));
    assert_eq!(ledger.schema_of("production", &sha(2)).unwrap().unwrap().entry, 3);
}
