//! What a person sees.

use plimsoll_model::progress::Condition;

use super::testing::{instance, view};
use super::*;

const WIDE: Look = Look { width: 80, rows: 40, unicode: true };

fn tail() -> Vec<Output> {
    let line = |text: &str| Output { instance: "payouts-7d9f8b6c5d-abcde".into(), text: text.into() };
    vec![line("reading /etc/payouts.toml"), line("error: no such file or directory")]
}

fn plain(view: &RolloutView, tail: &[Output], look: &Look) -> String {
    let lines = lines(view, tail, look, if look.unicode { '⠹' } else { '/' });
    assert!(lines.len() < look.rows.max(2), "{} lines in {} rows", lines.len(), look.rows);
    for line in &lines {
        let visible = crate::progress::screen::visible(line);
        assert!(visible <= look.width, "{visible} columns in {}: {line}", look.width);
    }
    anstream::adapter::strip_str(&lines.join("\n")).to_string()
}

#[test]
fn a_rollout_with_trouble_in_80_columns() {
    insta::assert_snapshot!(plain(&view(), &tail(), &WIDE), @r"
    ⠹ rollout shifting(2): 2 of 3 serve                       gives up in 4 min 12 s
      RELEASE, INSTANCE           STATE     RESTARTS  AGE     TRAFFIC
      stable    77e01234abcd  1/1 ready, 1 draining           33 %
        payouts-66c7d5f4b9-qqqqq  ready     0         3 d     yes
        payouts-66c7d5f4b9-ddddd  draining  0         12 s    no
      candidate 3f2a9c01b7d4  2/3 ready, 1 failing            67 %
        payouts-7d9f8b6c5d-x2x9z  ready     0         12 s    yes
        payouts-7d9f8b6c5d-abcde  failing   3         12 s    no
          DEP-104 container app exited with status 1, and was started again 3 times;
          see `kubectl -n payouts logs payouts-7d9f8b6c5d-abcde -c app --previous`
        payouts-7d9f8b6c5d-k8k8k  ready     0         12 s    yes
      watch insufficient data: 18 of 300 s side by side
        payout failures  stable 12 of 40210, candidate 9 of 4011: insufficient data
      …ts-7d9f8b6c5d-abcde | reading /etc/payouts.toml
      …ts-7d9f8b6c5d-abcde | error: no such file or directory
    ");
}

/// Not red, and not said twice: it may be ready in a moment.
#[test]
fn what_is_waited_for_is_said_once_at_its_instance() {
    let mut view = view();
    view.phase = "expanding".into();
    let row = &mut view.instances[1];
    row.state = Condition::Starting;
    row.restarts = 0;
    row.reason = "DEP-105 Startup probe failed: HTTP probe failed with statuscode: 503".into();
    view.detail = format!("2 of 3 ready; {}: Startup probe failed", row.name);
    (view.releases[1].starting, view.releases[1].failing, view.watch) = (1, 0, None);
    insta::assert_snapshot!(plain(&view, &[], &WIDE), @"
    ⠹ rollout expanding: 2 of 3 ready                         gives up in 4 min 12 s
      RELEASE, INSTANCE           STATE     RESTARTS  AGE     TRAFFIC
      stable    77e01234abcd  1/1 ready, 1 draining           33 %
        payouts-66c7d5f4b9-qqqqq  ready     0         3 d     yes
        payouts-66c7d5f4b9-ddddd  draining  0         12 s    no
      candidate 3f2a9c01b7d4  2/3 ready, 1 starting           67 %
        payouts-7d9f8b6c5d-x2x9z  ready     0         12 s    yes
        payouts-7d9f8b6c5d-abcde  starting  0         12 s    no
          DEP-105 Startup probe failed: HTTP probe failed with statuscode: 503
        payouts-7d9f8b6c5d-k8k8k  ready     0         12 s    yes
    ");
    let lines = lines(&view, &[], &WIDE, '⠹').join("\n");
    assert!(!lines.contains("\u{1b}[31m"), "{lines:?}");
    // The target itself is in trouble: that is said where nothing else says it.
    view.detail = "2 of 3 ready; looking failed: refused".into();
    assert!(
        plain(&view, &[], &Look { width: 120, ..WIDE }).contains("2 of 3 ready; looking failed: refused")
    );
}

#[test]
fn in_120_columns_the_columns_stay_together() {
    insta::assert_snapshot!(plain(&view(), &tail(), &Look { width: 120, ..WIDE }), @r"
    ⠹ rollout shifting(2): 2 of 3 serve                                                               gives up in 4 min 12 s
      RELEASE, INSTANCE           STATE     RESTARTS  AGE     TRAFFIC
      stable    77e01234abcd  1/1 ready, 1 draining           33 %
        payouts-66c7d5f4b9-qqqqq  ready     0         3 d     yes
        payouts-66c7d5f4b9-ddddd  draining  0         12 s    no
      candidate 3f2a9c01b7d4  2/3 ready, 1 failing            67 %
        payouts-7d9f8b6c5d-x2x9z  ready     0         12 s    yes
        payouts-7d9f8b6c5d-abcde  failing   3         12 s    no
          DEP-104 container app exited with status 1, and was started again 3 times; see `kubectl -n payouts logs
          payouts-7d9f8b6c5d-abcde -c app --previous`
        payouts-7d9f8b6c5d-k8k8k  ready     0         12 s    yes
      watch insufficient data: 18 of 300 s side by side
        payout failures  stable 12 of 40210, candidate 9 of 4011: insufficient data
      …ts-7d9f8b6c5d-abcde | reading /etc/payouts.toml
      …ts-7d9f8b6c5d-abcde | error: no such file or directory
    ");
}

#[test]
fn in_40_columns_without_unicode() {
    let look = Look { width: 40, rows: 24, unicode: false };
    insta::assert_snapshot!(plain(&view(), &tail(), &look), @r"
    / rollout shifting(2): 2 of 3 serve
      RELEASE, INSTANCE    STATE     TRAFFIC
      stable    77e01234abcd  1/1 ~  33 %
        ~66c7d5f4b9-qqqqq  ready     yes
        ~66c7d5f4b9-ddddd  draining  no
      candidate 3f2a9c01b7d4  2/3 ~  67 %
        ~7d9f8b6c5d-x2x9z  ready     yes
        ~7d9f8b6c5d-abcde  failing   no
          DEP-104 container app exited with
          status 1, and was started again 3~
        ~7d9f8b6c5d-k8k8k  ready     yes
      watch insufficient data: 18 of 300 s ~
        payout failures  stable 12 of 40210~
      ~ts-7d9f8b6c5d-abcde | reading /etc/p~
      ~ts-7d9f8b6c5d-abcde | error: no such~
    ");
}

#[test]
fn a_terminal_of_few_rows_shows_the_releases() {
    insta::assert_snapshot!(plain(&view(), &tail(), &Look { rows: 5, ..WIDE }), @r"
    ⠹ rollout shifting(2): 2 of 3 serve                       gives up in 4 min 12 s
      stable    77e01234abcd  1/1 ready, 1 draining           33 %
      candidate 3f2a9c01b7d4  2/3 ready, 1 failing            67 %
    ");
}

#[test]
fn many_instances_are_folded_and_what_is_wrong_is_not() {
    let mut view = view();
    for n in 0..40 {
        view.instances.push(instance("candidate", &format!("payouts-7d9f8b6c5d-{n:05}"), Condition::Ready));
    }
    let mut last = instance("candidate", "payouts-7d9f8b6c5d-zzzzz", Condition::Failing);
    last.reason = "DEP-106 it cannot be scheduled: 0/3 nodes are available".into();
    view.instances.push(last);
    insta::assert_snapshot!(plain(&view, &tail(), &Look { rows: 24, ..WIDE }), @r"
    ⠹ rollout shifting(2): 2 of 3 serve                       gives up in 4 min 12 s
      RELEASE, INSTANCE           STATE     RESTARTS  AGE     TRAFFIC
      stable    77e01234abcd  1/1 ready, 1 draining           33 %
        payouts-66c7d5f4b9-qqqqq  ready     0         3 d     yes
        … and 1 more draining
      candidate 3f2a9c01b7d4  2/3 ready, 1 failing            67 %
        payouts-7d9f8b6c5d-x2x9z  ready     0         12 s    yes
        payouts-7d9f8b6c5d-abcde  failing   3         12 s    no
          DEP-104 container app exited with status 1, and was started again 3 times;
          see `kubectl -n payouts logs payouts-7d9f8b6c5d-abcde -c app --previous`
        payouts-7d9f8b6c5d-k8k8k  ready     0         12 s    yes
        payouts-7d9f8b6c5d-00000  ready     0         12 s    yes
        payouts-7d9f8b6c5d-00001  ready     0         12 s    yes
        payouts-7d9f8b6c5d-00002  ready     0         12 s    yes
        payouts-7d9f8b6c5d-00003  ready     0         12 s    yes
        payouts-7d9f8b6c5d-00004  ready     0         12 s    yes
        payouts-7d9f8b6c5d-zzzzz  failing   0         12 s    no
          DEP-106 it cannot be scheduled: 0/3 nodes are available
        … and 35 more ready
      watch insufficient data: 18 of 300 s side by side
        payout failures  stable 12 of 40210, candidate 9 of 4011: insufficient data
      …ts-7d9f8b6c5d-abcde | reading /etc/payouts.toml
      …ts-7d9f8b6c5d-abcde | error: no such file or directory
    ");
}

#[test]
fn every_size_of_terminal_is_kept_to() {
    let mut view = view();
    view.instances.push(instance(
        "candidate",
        "支払い-7d9f8b6c5d-支払い-支払い-支払い-支払い-支払い",
        Condition::Starting,
    ));
    view.detail = "支払".repeat(60);
    for n in 0..30 {
        view.instances.push(instance("stable", &format!("payouts-{n}"), Condition::Ready));
    }
    for width in [20, 30, 59, 60, 80, 120, 300] {
        for rows in [1, 2, 5, 8, 10, 13, 24, 60] {
            for unicode in [true, false] {
                plain(&view, &tail(), &Look { width, rows, unicode });
            }
        }
    }
}

#[test]
fn colours_say_nothing_that_words_do_not() {
    let lines = lines(&view(), &[], &WIDE, '⠹').join("\n");
    assert!(lines.contains("\u{1b}[1m\u{1b}[31mfailing"), "{lines:?}");
    assert!(lines.contains("\u{1b}[32mready"), "{lines:?}");
}

#[test]
fn a_step_is_one_line_with_its_time() {
    let look = Look { width: 40, ..WIDE };
    let line = |message: &str| {
        let line = status_line('⠹', message, Duration::from_secs(73), &look);
        anstream::adapter::strip_str(&line).to_string()
    };
    insta::assert_snapshot!(line("guard 3f2a9c01b7d4 for production"), @"⠹ guard 3f2a9c01b7d4 for production 73 s");
    insta::assert_snapshot!(line("build a line of a child process that goes on and on"), @"⠹ build a line of a child process … 73 s");
}
