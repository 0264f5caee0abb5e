//! How a rollout ended, in words. Of one that was stopped, first what a person
//! needs who was woken by it: the first cause, what serves now, what to type.

#[cfg(test)]
mod tests;

use plimsoll_health::Then;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Decision, Outcome};
use plimsoll_pipeline::RolloutReport;
use plimsoll_pipeline::watch::{WatchPlan, WatchReport};
use plimsoll_rollout_core::machine::Verdict;

use crate::printer::{bold, columns, dim, duration, outcome_word, shorten};

/// The whole of what is said about it.
pub(super) fn text(report: &RolloutReport) -> String {
    match report.outcome {
        RolloutOutcome::Failed | RolloutOutcome::RolledBack | RolloutOutcome::Held => stopped(report),
        RolloutOutcome::Succeeded | RolloutOutcome::Planned | RolloutOutcome::Refused => decided(report),
    }
}

/// What was stopped, or waits for a person: cause, effect and command together,
/// then what they rest on, and last what was known before and stopped nothing.
fn stopped(report: &RolloutReport) -> String {
    let (cause, command) = cause(report);
    let mut text = headline(report);
    text.push_str(&format!("{} {cause}\n", bold("cause:")));
    text.push_str(&format!("{} {}\n", bold("serving:"), serving(report)));
    text.push_str(&format!("{} {}\n", bold("hint:"), what_to_type(report, command)));
    text.push_str(&last_lines(report));
    text.push_str(&judged(report));
    let warned = report.decision.checks.iter().filter(|check| check.outcome != Outcome::Pass);
    for check in warned {
        let line = format!("the guard had warned: {} {}: {}", check.code, check.name, shorten(&check.found));
        text.push_str(&format!("{}\n", dim(&line)));
    }
    text
}

/// The first cause, without what was left undone, which is said where it is said
/// what serves, and the command that shows more of it, which is said where it is
/// said what to type; not one about an instance that is gone now.
fn cause(report: &RolloutReport) -> (String, Option<&str>) {
    let reason = match &report.left_undone {
        Some(left) => report.reason.strip_suffix(&format!("; left undone: {left}")).unwrap_or(&report.reason),
        None => &report.reason,
    };
    match reason.split_once("; see `").and_then(|(cause, rest)| Some((cause, rest.split_once('`')?))) {
        Some((cause, (command, rest))) => {
            let instance = cause.split_once(": ").map_or("", |(instance, _)| instance);
            let gone = report.left_undone.is_none() && command.split(' ').any(|word| word == instance);
            (format!("{cause}{rest}"), (!gone).then_some(command))
        }
        None => (reason.to_owned(), None),
    }
}

/// What receives requests now, and what is left of the new release.
fn serving(report: &RolloutReport) -> String {
    let new = report.image_sha.short();
    let old = report.previous_sha.as_ref().map_or("nothing", plimsoll_model::Commit::short);
    match (&report.left_undone, report.outcome) {
        (_, RolloutOutcome::Held) => format!("{new} and {old}, side by side, until a person decides"),
        (Some(left), _) => format!("{old} was not wholly put back: {left}"),
        (None, _) => format!("{old}, as before; nothing of {new} runs"),
    }
}

/// What to type first, and then.
fn what_to_type(report: &RolloutReport, command: Option<&str>) -> String {
    let RolloutReport { environment, image_sha, code, .. } = report;
    let status = format!("`plimsoll status --env {environment}`");
    match (report.outcome, command) {
        (RolloutOutcome::Held, _) => format!(
            "`plimsoll deploy {image_sha} --env {environment} --promote REASON` lets it take over, the same without \
             `--promote` compares once more, and `plimsoll rollback --to {} --env {environment}` takes it back; see \
             `plimsoll explain {code}`",
            report.previous_sha.as_ref().map_or("PREVIOUS", plimsoll_model::Commit::as_str),
        ),
        _ if report.left_undone.is_some() => format!(
            "{status} shows what runs, and the next deploy or rollback goes on from there; see `plimsoll explain {code}`"
        ),
        (RolloutOutcome::RolledBack, _) => format!(
            "see `plimsoll explain {code}`; mend it and deploy the next commit, or `plimsoll deploy {image_sha} --env \
             {environment} --retry REASON`"
        ),
        (_, Some(command)) => format!("`{command}` shows more; see `plimsoll explain {code}` and {status}"),
        (_, None) => format!("see `plimsoll explain {code}` and {status}"),
    }
}

fn last_lines(report: &RolloutReport) -> String {
    report.last_lines.iter().map(|line| format!("  {} {line}\n", dim("|"))).collect()
}

/// What the watch said, if there was one.
fn judged(report: &RolloutReport) -> String {
    match (&report.watch, &report.verdict) {
        (Some(watch), _) => watched(watch),
        (None, Some(Verdict::InsufficientData(why))) => format!("watch: insufficient data: {why}\n"),
        _ => String::new(),
    }
}

/// What serves, what would, or what was refused: first why.
fn decided(report: &RolloutReport) -> String {
    let mut text = checks(&report.decision, report.outcome == RolloutOutcome::Planned);
    if let Some(plan) = &report.plan {
        let from =
            plan.from.as_ref().map_or_else(|| "nothing".into(), |release| release.sha().short().to_owned());
        text.push_str(&format!(
            "plan: {} -> {}, {}, {} replicas, at most {} missing, within {} s\n",
            from,
            plan.to.sha().short(),
            plan.strategy,
            plan.replicas,
            plan.max_unavailable,
            plan.deadlines.rollout_sec,
        ));
    }
    if let Some(plan) = &report.watch_plan {
        text.push_str(&to_watch(plan));
    }
    text.push_str(&headline(report));
    text.push_str(&judged(report));
    if report.outcome == RolloutOutcome::Succeeded && !report.reason.is_empty() {
        text.push_str(&format!("note: {}\n", report.reason));
    }
    if report.outcome == RolloutOutcome::Refused
        && let Some(check) = report.decision.failures().next()
    {
        text.push_str(&format!("hint: see `plimsoll explain {}`\n", check.code));
    }
    text
}

/// What will be compared, from where, and what comes of too little to see.
fn to_watch(plan: &WatchPlan) -> String {
    let then = match plan.on_insufficient_data {
        Then::Promote => "promote, not proven",
        Then::Hold => "hold for a person",
        Then::GoBack => "go back",
    };
    let wait = match plan.wait_sec {
        0 => String::new(),
        more => format!(" after {more} s more"),
    };
    let mut text = format!(
        "watch: both releases side by side for {} s, a look every {} s; too little to say: {then}{wait}\n  requests to the \
         new release: {}\n",
        plan.bake_sec, plan.interval_sec, plan.share
    );
    for metric in &plan.metrics {
        let of = metric.of.as_ref().map_or_else(|| " per second".into(), |of| format!(" of {of}"));
        text.push_str(&format!("  {}: {}{of}; {}\n", metric.name, metric.query, metric.from));
    }
    text
}

/// What was decided, and a line for each metric with its numbers and power.
fn watched(watch: &WatchReport) -> String {
    let decision = watch.decision.map_or_else(String::new, |decision| format!(": {decision}"));
    let mut text = format!("watch: {}{decision}\n", watch.verdict);
    for metric in &watch.metrics {
        text.push_str(&format!("  {}: {}. {}\n", metric.name, metric.verdict, metric.sentence));
    }
    text
}

/// Failed and doubtful checks in full; passed ones too when only deciding.
pub(crate) fn checks(decision: &Decision, all: bool) -> String {
    let shown = decision.checks.iter().filter(|check| all || check.outcome != Outcome::Pass);
    let mut text = String::new();
    let mut passed = Vec::new();
    for check in shown {
        if check.outcome == Outcome::Pass {
            passed.push(vec![
                outcome_word(check.outcome),
                check.code.clone(),
                check.name.clone(),
                dim(&shorten(&check.found)),
            ]);
            continue;
        }
        text.push_str(&format!("{} {} {}\n", outcome_word(check.outcome), bold(&check.code), check.name));
        text.push_str(&format!(
            "  expected {}\n  found    {}\n  hint     {}\n",
            check.expected, check.found, check.hint
        ));
    }
    columns(&passed) + &text
}

fn headline(report: &RolloutReport) -> String {
    let (verb, took) = match report.kind {
        RolloutKind::Deploy => ("deploy", report.deploy_duration_sec),
        RolloutKind::Rollback => ("rollback", report.rollback_duration_sec),
    };
    let took = duration(took.unwrap_or_default());
    let (sha, environment) = (report.image_sha.short(), &report.environment);
    let previous =
        report.previous_sha.as_ref().map_or_else(|| "nothing".into(), |sha| sha.short().to_owned());
    let sentence = match report.outcome {
        RolloutOutcome::Succeeded => format!("{sha} serves {environment}; before: {previous}"),
        RolloutOutcome::Refused => format!("{sha} was refused for {environment}; nothing was touched"),
        RolloutOutcome::Planned if report.decision.allowed => {
            format!("{sha} may go to {environment}; nothing was touched (--dry-run)")
        }
        RolloutOutcome::Planned => {
            format!("{sha} would be refused for {environment}; nothing was touched (--dry-run)")
        }
        RolloutOutcome::Failed => format!("{sha} does not serve {environment}"),
        RolloutOutcome::RolledBack => format!("{sha} was rolled back from {environment}"),
        RolloutOutcome::Held => format!("{sha} waits for a person to decide on it in {environment}"),
    };
    let code = if report.code.is_empty() { String::new() } else { format!(" [{}]", report.code) };
    let mut text = format!("{}{code}: {sentence} ({took})\n", bold(&format!("{verb} {}", report.outcome)));
    if let (RolloutOutcome::Succeeded, Some(image)) = (report.outcome, &report.image_ref) {
        text.push_str(&format!("{}\n", bold(&image.to_string())));
    }
    text
}
