//! What a person reads who was woken by it.

use plimsoll_health::{Count, Decision as Decided, Verdict as Judgement};
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Check, Commit, Decision, Outcome};
use plimsoll_pipeline::RolloutReport;
use plimsoll_pipeline::watch::{WatchReport, WatchedMetric};

fn sha(text: &str) -> Commit {
    text.repeat(40).chars().take(40).collect::<String>().parse().expect("forty digits")
}

/// A report with two checks that passed and two warnings.
fn report(outcome: RolloutOutcome, code: &str, reason: &str) -> RolloutReport {
    let check = |code: &str, name: &str, outcome, found: &str| Check {
        code: code.into(),
        name: name.into(),
        outcome,
        expected: "what should be".into(),
        found: found.into(),
        hint: "the deployment goes on".into(),
        severity: None,
    };
    RolloutReport {
        schema: "plimsoll/deploy/v1",
        environment: "production".into(),
        image_sha: sha("3f2a"),
        image_digest: None,
        image_ref: None,
        previous_sha: Some(sha("77e0")),
        previous_digest: None,
        decision: Decision::from_checks(vec![
            check("GRD-001", "build-recorded", Outcome::Pass, "ledger entry 2"),
            check("SIG-001", "signature", Outcome::Warn, "unverified: missing"),
            check("API-001", "api-compatible", Outcome::Warn, "2 changes break clients"),
        ]),
        outcome,
        code: code.into(),
        reason: reason.into(),
        left_undone: None,
        last_lines: Vec::new(),
        verdict: None,
        watch: None,
        plan: None,
        watch_plan: None,
        deploy_duration_sec: Some(21.4),
        rollback_duration_sec: None,
        ledger_entry: Some(7),
        kind: RolloutKind::Deploy,
    }
}

fn plain(report: &RolloutReport) -> String {
    anstream::adapter::strip_str(&super::text(report)).to_string()
}

#[test]
fn a_failure_says_cause_effect_and_command_before_anything_else() {
    let reason = "payouts-7d9f-abcde: container app exited with status 1, and was started again 3 times; see `kubectl -n \
                  shop logs payouts-7d9f-abcde -c app --previous`";
    let mut report = report(RolloutOutcome::Failed, "DEP-104", reason);
    report.last_lines = vec!["event: BackOff".into(), "DATABASE_URL is not set".into()];
    insta::assert_snapshot!(plain(&report), @"
    deploy failed [DEP-104]: 3f2a3f2a3f2a does not serve production (21.4 s)
    cause: payouts-7d9f-abcde: container app exited with status 1, and was started again 3 times
    serving: 77e077e077e0, as before; nothing of 3f2a3f2a3f2a runs
    hint: see `plimsoll explain DEP-104` and `plimsoll status --env production`
      | event: BackOff
      | DATABASE_URL is not set
    the guard had warned: SIG-001 signature: unverified: missing
    the guard had warned: API-001 api-compatible: 2 changes break clients
    ");
}

/// Its instances are gone, and what was said of them is here; of those that were
/// never made the cluster still knows more.
#[test]
fn a_command_that_still_shows_something_comes_first() {
    let reason = "Deployment payouts: exceeded quota: pods=3; see `kubectl -n shop get events`";
    let mut report = report(RolloutOutcome::Failed, "DEP-106", reason);
    report.decision.checks.clear();
    insta::assert_snapshot!(plain(&report), @"
    deploy failed [DEP-106]: 3f2a3f2a3f2a does not serve production (21.4 s)
    cause: Deployment payouts: exceeded quota: pods=3
    serving: 77e077e077e0, as before; nothing of 3f2a3f2a3f2a runs
    hint: `kubectl -n shop get events` shows more; see `plimsoll explain DEP-106` and `plimsoll status --env production`
    ");
}

#[test]
fn the_first_release_of_all_leaves_nothing() {
    let mut report = report(RolloutOutcome::Failed, "DEP-103", "trial-1: it exited with status 3");
    report.previous_sha = None;
    report.decision.checks.clear();
    insta::assert_snapshot!(plain(&report), @"
    deploy failed [DEP-103]: 3f2a3f2a3f2a does not serve production (21.4 s)
    cause: trial-1: it exited with status 3
    serving: nothing, as before; nothing of 3f2a3f2a3f2a runs
    hint: see `plimsoll explain DEP-103` and `plimsoll status --env production`
    ");
}

#[test]
fn what_was_not_put_back_is_said_where_it_is_said_what_serves() {
    let left = "after 330 s: still waiting 1 of 3 serve";
    let reason = format!("a-1: no room; see `kubectl get events`; left undone: {left}");
    let mut report = report(RolloutOutcome::Failed, "DEP-106", &reason);
    report.left_undone = Some(left.into());
    report.decision.checks.clear();
    insta::assert_snapshot!(plain(&report), @"
    deploy failed [DEP-106]: 3f2a3f2a3f2a does not serve production (21.4 s)
    cause: a-1: no room
    serving: 77e077e077e0 was not wholly put back: after 330 s: still waiting 1 of 3 serve
    hint: `plimsoll status --env production` shows what runs, and the next deploy or rollback goes on from there; see `plimsoll explain DEP-106`
    ");
}

/// The counts are of a watch that regressed; what was decided differs.
fn watched(decision: Decided, verdict: Judgement, sentence: &str) -> WatchReport {
    let count = |events, exposure| Count { events, exposure };
    WatchReport {
        verdict,
        decision: Some(decision),
        watched_sec: 60,
        ledger_entry: 6,
        metrics: vec![WatchedMetric {
            name: "failures".into(),
            verdict,
            sentence: sentence.into(),
            new: count(24.0, 631.0),
            old: count(1.0, 593.0),
            side_by_side_sec: 60,
            ratio: None,
            evidence: 2248.0,
            needed: 100.0,
            power_threefold: 0.9,
            power_tenfold: 1.0,
        }],
    }
}

#[test]
fn a_release_that_was_worse_shows_its_evidence_under_the_cause() {
    let sentence = "new 24 of 631 (3.8 %), old 1 of 593 (0.17 %), 22 times (at least 1.8)";
    let mut report =
        report(RolloutOutcome::RolledBack, "DEP-110", &format!("failures: regressed. {sentence}"));
    report.watch = Some(watched(Decided::GoBack { regressed: true }, Judgement::Regressed, sentence));
    insta::assert_snapshot!(plain(&report), @"
    deploy rolled back [DEP-110]: 3f2a3f2a3f2a was rolled back from production (21.4 s)
    cause: failures: regressed. new 24 of 631 (3.8 %), old 1 of 593 (0.17 %), 22 times (at least 1.8)
    serving: 77e077e077e0, as before; nothing of 3f2a3f2a3f2a runs
    hint: see `plimsoll explain DEP-110`; mend it and deploy the next commit, or `plimsoll deploy 3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a --env production --retry REASON`
    watch: regressed: go back
      failures: regressed. new 24 of 631 (3.8 %), old 1 of 593 (0.17 %), 22 times (at least 1.8)
    the guard had warned: SIG-001 signature: unverified: missing
    the guard had warned: API-001 api-compatible: 2 changes break clients
    ");
}

#[test]
fn a_release_that_is_held_says_which_commands_decide() {
    let sentence = "new 0 of 19 (0 %), old 0 of 20 (0 %)";
    let mut report = report(RolloutOutcome::Held, "DEP-118", "failures: insufficient data");
    report.watch = Some(watched(Decided::Hold, Judgement::InsufficientData, sentence));
    report.decision.checks.clear();
    insta::assert_snapshot!(plain(&report), @"
    deploy held [DEP-118]: 3f2a3f2a3f2a waits for a person to decide on it in production (21.4 s)
    cause: failures: insufficient data
    serving: 3f2a3f2a3f2a and 77e077e077e0, side by side, until a person decides
    hint: `plimsoll deploy 3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a3f2a --env production --promote REASON` lets it take over, the same without `--promote` compares once more, and `plimsoll rollback --to 77e077e077e077e077e077e077e077e077e077e0 --env production` takes it back; see `plimsoll explain DEP-118`
    watch: insufficient data: hold for a person
      failures: insufficient data. new 0 of 19 (0 %), old 0 of 20 (0 %)
    ");
}

#[test]
fn what_succeeds_says_what_to_know_first() {
    let text = plain(&report(RolloutOutcome::Succeeded, "", ""));
    insta::assert_snapshot!(text, @"
    warn SIG-001 signature
      expected what should be
      found    unverified: missing
      hint     the deployment goes on
    warn API-001 api-compatible
      expected what should be
      found    2 changes break clients
      hint     the deployment goes on
    deploy succeeded: 3f2a3f2a3f2a serves production; before: 77e077e077e0 (21.4 s)
    ");
}
