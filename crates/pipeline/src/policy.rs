//! The policy by itself: decide without rolling out, test it against recorded
//! facts, decide past decisions again, answer for exceptions (POL-1, SIG-4).

use std::time::Duration;

use jiff::Timestamp;
use plimsoll_decision::{Facts, InForce, Override, PolicyFacts, decide};
use plimsoll_ledger::Filter;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Class, Commit, Decision, Event, Failure, Outcome};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::PipelineError;
use crate::gather::{self, Asked};
use crate::{blocking, target};

/// What a person answers for, as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The check's code; one of the guard's.
    pub code: String,
    /// Why; never empty.
    pub reason: String,
}

/// What `policy check` prints.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyReport {
    /// `plimsoll/policy-check/v1`.
    pub schema: &'static str,
    /// The environment.
    pub environment: String,
    /// The commit.
    pub image_sha: Commit,
    /// Deploy or rollback.
    pub rollout: RolloutKind,
    /// The checks.
    pub decision: Decision,
    /// Everything that was decided on: what `policy test` takes.
    pub facts: Facts,
}

impl PolicyReport {
    /// The exit class, or nothing when it would be allowed.
    pub fn class(&self) -> Option<Class> {
        self.decision.refusal_class()
    }
}

/// Decides about a commit, and does nothing else; nothing is recorded.
///
/// # Errors
/// When the ledger cannot be read or there is no such environment.
pub async fn check(context: &Context, asked: Asked) -> Result<PolicyReport, Failure> {
    let environment = context.environment(&asked.environment)?.clone();
    let target = target::Running::open(context, &environment)?;
    let facts = gather::facts(context, &asked, &target).await?;
    let decision = decide(&facts).decision;
    Ok(PolicyReport {
        schema: "plimsoll/policy-check/v1",
        environment: asked.environment,
        image_sha: asked.sha,
        rollout: asked.rollout,
        decision,
        facts,
    })
}

/// Writes down what somebody answers for, before anything is decided on it.
///
/// # Errors
/// When the ledger cannot be written.
pub(crate) async fn approve(context: &Context, asked: &Asked) -> Result<(), Failure> {
    for approval in &asked.approvals {
        let event = Event::Overridden {
            environment: asked.environment.clone(),
            sha: asked.sha.clone(),
            code: approval.code.clone(),
            reason: approval.reason.clone(),
            until: until(asked.approve_for.unwrap_or(override_for(context, &asked.environment)?)),
        };
        append(context, event).await?;
    }
    Ok(())
}

/// The same for a decision that is not recorded.
pub(crate) fn unrecorded(context: &Context, asked: &Asked, now: Timestamp) -> Result<Vec<Override>, Failure> {
    let long = asked.approve_for.unwrap_or(override_for(context, &asked.environment)?);
    let given = asked.approvals.iter().map(|approval| Override {
        code: approval.code.clone(),
        reason: approval.reason.clone(),
        by: context.actor().to_owned(),
        at: now,
        until: now.saturating_add(jiff::SignedDuration::try_from(long).unwrap_or_default()).unwrap_or(now),
        entry: None,
    });
    Ok(given.collect())
}

fn override_for(context: &Context, environment: &str) -> Result<Duration, Failure> {
    Ok(context.environment(environment)?.policy.override_for)
}

/// That long from now, RFC 3339.
fn until(long: Duration) -> String {
    let now = Timestamp::now();
    now.saturating_add(jiff::SignedDuration::try_from(long).unwrap_or_default()).unwrap_or(now).to_string()
}

async fn append(context: &Context, event: Event) -> Result<u64, Failure> {
    let (ledger, actor) = (context.ledger.clone(), context.actor().to_owned());
    let receipt = blocking("writing the ledger", move || ledger.append(&actor, &event)).await??;
    Ok(receipt.seq)
}

/// Writes the ratchet down when these facts make it click, and puts the entry
/// into them (SIG-4).
///
/// # Errors
/// When the ledger cannot be written.
pub(crate) async fn escalate(context: &Context, facts: &mut Facts) -> Result<(), Failure> {
    let Some(policy) = &mut facts.policy else { return Ok(()) };
    if policy.verification.in_force(facts.at) != InForce::Escalating {
        return Ok(());
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let verification = &mut policy.verification;
    let event = Event::VerificationEscalated {
        environment: facts.request.environment.clone(),
        signed: count(verification.coverage.signed()),
        samples: count(verification.coverage.samples.len()),
        threshold: verification.threshold,
        min_samples: verification.min_samples,
    };
    let entry = append(context, event).await?;
    tracing::warn!(
        environment = %facts.request.environment,
        entry,
        "verification of signatures is mandatory from now on"
    );
    verification.coverage.escalated = Some(plimsoll_decision::Escalated { entry, at: facts.at });
    Ok(())
}

/// What `policy soften` prints.
#[derive(Debug, Clone, Serialize)]
pub struct SoftenReport {
    /// `plimsoll/policy-soften/v1`.
    pub schema: &'static str,
    /// The environment.
    pub environment: String,
    /// Why.
    pub reason: String,
    /// When the escalation holds again.
    pub until: String,
    /// The ledger's entry.
    pub ledger_entry: u64,
}

/// Takes the escalation back for a time: the only way from mandatory to soft.
///
/// # Errors
/// `POL-002` when verification is not escalated there; when the ledger cannot
/// be read or written.
pub async fn soften(
    context: &Context,
    environment: &str,
    reason: &str,
    long: Duration,
) -> Result<SoftenReport, Failure> {
    let name = context.environment(environment)?.name.clone();
    let (ledger, asked) = (context.ledger.clone(), name.clone());
    let escalated = blocking("reading the ledger", move || ledger.escalation(&asked)).await??;
    if escalated.is_none() {
        return Err(PipelineError::NotEscalated { environment: name }.into());
    }
    let until = until(long);
    let event = Event::VerificationSoftened {
        environment: name.clone(),
        reason: reason.to_owned(),
        until: until.clone(),
    };
    let ledger_entry = append(context, event).await?;
    Ok(SoftenReport {
        schema: "plimsoll/policy-soften/v1",
        environment: name,
        reason: reason.to_owned(),
        until,
        ledger_entry,
    })
}

/// Which past decisions are decided again.
#[derive(Debug, Clone, Default)]
pub struct ReplayRequest {
    /// One entry; none: all of `environment`, or of every one.
    pub entry: Option<u64>,
    /// Of this environment only.
    pub environment: Option<String>,
    /// At most so many, newest first.
    pub limit: u64,
    /// Under today's configured policy instead of the one of then.
    pub current_policy: bool,
}

/// One decision, decided again.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Its ledger entry.
    pub ledger_entry: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub by: String,
    /// The environment.
    pub environment: String,
    /// The commit.
    pub image_sha: Commit,
    /// What it was then.
    pub recorded: bool,
    /// What it is now.
    pub allowed: bool,
    /// Whether every check came out as it did.
    pub same: bool,
    /// Checks that came out otherwise, in words.
    pub differences: Vec<String>,
}

/// What `policy replay` prints.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// `plimsoll/policy-replay/v1`.
    pub schema: &'static str,
    /// Under today's policy, or that of then.
    pub current_policy: bool,
    /// The decisions, newest first.
    pub decisions: Vec<Replayed>,
}

impl ReplayReport {
    /// Under the policy of then, a decision that comes out otherwise is a
    /// violation: the same facts give the same verdict (invariant 3).
    pub fn class(&self) -> Option<Class> {
        let differs = self.decisions.iter().any(|decision| !decision.same);
        (differs && !self.current_policy).then_some(Class::Integrity)
    }
}

/// Decides past decisions again, over the facts that the ledger kept.
///
/// # Errors
/// `POL-003` when the entry is no decision; when the ledger cannot be read.
pub async fn replay(context: &Context, request: ReplayRequest) -> Result<ReplayReport, Failure> {
    let (ledger, asked) = (context.ledger.clone(), request.clone());
    let entries = blocking("reading the ledger", move || match asked.entry {
        Some(entry) => ledger.entry(entry).map(|found| found.into_iter().collect()),
        None => {
            let filter =
                Filter { kinds: vec!["decision"], environment: asked.environment, ..Filter::default() };
            ledger.entries(&filter, true, asked.limit)
        }
    })
    .await??;
    let mut decisions = Vec::with_capacity(entries.len());
    for entry in entries {
        let Event::Decided { environment, sha, facts, decision, .. } = entry.event else { continue };
        let unreadable = |source| PipelineError::FactsUnreadable { entry: entry.seq, source };
        let mut facts: Facts = serde_json::from_value(facts).map_err(unreadable)?;
        if request.current_policy
            && let Ok(environment) = context.environment(&environment)
        {
            with_configured(
                &mut facts,
                gather::policy::configured(&context.config.config, &environment.policy),
            );
        }
        let again = decide(&facts).decision;
        let differences = differences(&decision, &again);
        decisions.push(Replayed {
            ledger_entry: entry.seq,
            at: entry.at,
            by: entry.actor,
            environment,
            image_sha: sha,
            recorded: decision.allowed,
            allowed: again.allowed,
            same: differences.is_empty() && decision.allowed == again.allowed,
            differences,
        });
    }
    if let (Some(entry), true) = (request.entry, decisions.is_empty()) {
        return Err(PipelineError::NotADecision { entry }.into());
    }
    Ok(ReplayReport {
        schema: "plimsoll/policy-replay/v1",
        current_policy: request.current_policy,
        decisions,
    })
}

/// Puts the configured policy into facts; what the ledger knew stays.
fn with_configured(facts: &mut Facts, mut configured: PolicyFacts) {
    if let Some(policy) = facts.policy.take() {
        configured.verification.coverage = policy.verification.coverage;
        configured.overrides = policy.overrides;
    }
    facts.policy = Some(configured);
}

fn differences(recorded: &Decision, again: &Decision) -> Vec<String> {
    let outcome = |decision: &Decision, code: &str| {
        decision.checks.iter().find(|check| check.code == code).map(|check| check.outcome)
    };
    let word = |outcome: Option<Outcome>| match outcome {
        Some(Outcome::Pass) => "pass",
        Some(Outcome::Warn) => "warn",
        Some(Outcome::Fail) => "fail",
        None => "not asked",
    };
    let mut codes: Vec<&str> =
        recorded.checks.iter().chain(&again.checks).map(|check| check.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
        .into_iter()
        .filter_map(|code| {
            let (then, now) = (outcome(recorded, code), outcome(again, code));
            (then != now).then(|| format!("{code}: {} then, {} now", word(then), word(now)))
        })
        .collect()
}

/// What a case of `policy test` expects.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Codes of every check that fails; none given: any.
    #[serde(default)]
    pub fail: Option<Vec<String>>,
    /// Codes of checks that warn, among others; none given: any.
    #[serde(default)]
    pub warn: Option<Vec<String>>,
}

/// One case: facts, with changes, and what is to come of them.
#[derive(Debug, Clone)]
pub struct PolicyCase {
    /// What it is called.
    pub name: String,
    /// The facts, as `policy check` prints them.
    pub facts: serde_json::Value,
    /// Values to put into them, by JSON pointer (RFC 6901).
    pub set: Vec<(String, serde_json::Value)>,
    /// The environment whose policy decides; none: that of the facts.
    pub environment: Option<String>,
    /// What is to come of it.
    pub expect: Expected,
}

/// How a case came out.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyCaseReport {
    /// What it is called.
    pub name: String,
    /// Whether it came out as expected.
    pub passed: bool,
    /// What did not, in words.
    pub problems: Vec<String>,
    /// The checks that came out.
    pub decision: Option<Decision>,
}

/// Decides a case under the configured policy.
///
/// # Errors
/// When there is no such environment.
pub fn test(config: &plimsoll_config::Config, case: &PolicyCase) -> Result<PolicyCaseReport, Failure> {
    let report = |problems: Vec<String>, decision| PolicyCaseReport {
        name: case.name.clone(),
        passed: problems.is_empty(),
        problems,
        decision,
    };
    let mut value = case.facts.clone();
    for (pointer, new) in &case.set {
        if let Err(why) = put(&mut value, pointer, new.clone()) {
            return Ok(report(vec![why], None));
        }
    }
    let mut facts: Facts = match serde_json::from_value(value) {
        Ok(facts) => facts,
        Err(error) => return Ok(report(vec![format!("these are no facts: {error}")], None)),
    };
    let name = case.environment.clone().unwrap_or_else(|| facts.request.environment.clone());
    with_configured(&mut facts, gather::policy::configured(config, &config.environment(&name)?.policy));
    let decision = decide(&facts).decision;
    let mut problems = Vec::new();
    if decision.allowed != case.expect.allowed {
        let word = |allowed| if allowed { "allowed" } else { "refused" };
        problems.push(format!("expected {}, is {}", word(case.expect.allowed), word(decision.allowed)));
    }
    let codes = |outcome| -> Vec<&str> {
        decision.checks.iter().filter(|check| check.outcome == outcome).map(|check| &*check.code).collect()
    };
    if let Some(expected) = &case.expect.fail {
        let (mut wanted, mut found) =
            (expected.iter().map(String::as_str).collect::<Vec<_>>(), codes(Outcome::Fail));
        wanted.sort_unstable();
        found.sort_unstable();
        if wanted != found {
            problems.push(format!("expected to fail: {}; fails: {}", listed(&wanted), listed(&found)));
        }
    }
    if let Some(expected) = &case.expect.warn {
        let found = codes(Outcome::Warn);
        for code in expected.iter().filter(|code| !found.contains(&code.as_str())) {
            problems.push(format!("expected to warn: {code}; warns: {}", listed(&found)));
        }
    }
    Ok(report(problems, Some(decision)))
}

fn listed(codes: &[&str]) -> String {
    if codes.is_empty() { "nothing".into() } else { codes.join(", ") }
}

/// Puts a value at a JSON pointer whose parent exists.
fn put(value: &mut serde_json::Value, pointer: &str, new: serde_json::Value) -> Result<(), String> {
    let missing = || format!("`{pointer}` names nothing in these facts");
    let (parent, key) = pointer.rsplit_once('/').ok_or_else(missing)?;
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent).ok_or_else(missing)? {
        serde_json::Value::Object(fields) => {
            fields.insert(key, new);
            Ok(())
        }
        serde_json::Value::Array(items) => match key.parse::<usize>() {
            Ok(index) if index < items.len() => {
                items[index] = new;
                Ok(())
            }
            _ => Err(missing()),
        },
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::Check;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_put_where_a_pointer_names_a_place() {
        let mut value = json!({"a": {"b/c": 1}, "l": [1, 2]});
        put(&mut value, "/a/b~1c", json!(2)).unwrap();
        put(&mut value, "/a/new", json!({"x": true})).unwrap();
        put(&mut value, "/l/1", json!(9)).unwrap();
        assert_eq!(value, json!({"a": {"b/c": 2, "new": {"x": true}}, "l": [1, 9]}));
        for bad in ["", "a", "/x/y", "/l/2", "/l/x", "/a/b~1c/d"] {
            put(&mut value, bad, json!(0)).unwrap_err();
        }
    }

    #[test]
    fn a_check_that_came_out_otherwise_is_named() {
        let check = |code: &str, outcome| Check {
            code: code.into(),
            name: String::new(),
            outcome,
            expected: String::new(),
            found: String::new(),
            hint: String::new(),
            severity: None,
        };
        let then = Decision::from_checks(vec![check("A", Outcome::Pass), check("B", Outcome::Warn)]);
        let now = Decision::from_checks(vec![check("B", Outcome::Fail), check("C", Outcome::Pass)]);
        assert_eq!(
            differences(&then, &now),
            ["A: pass then, not asked now", "B: warn then, fail now", "C: not asked then, pass now"]
        );
        assert!(differences(&then, &then).is_empty());
    }
}
