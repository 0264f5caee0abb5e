//! `plimsoll policy`: check, test, replay, soften.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_config::Config;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Class, Failure};
use plimsoll_pipeline::Asked;
use plimsoll_pipeline::policy::{
    Approval, Expected, PolicyCase, PolicyCaseReport, PolicyReport, ReplayReport, ReplayRequest, SoftenReport,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rollout::checks;
use super::{Session, commit, duration, metadata, read_text, write_file};
use crate::args::{Approvals, Policy};
use crate::error::CliError;
use crate::printer::{bold, columns, dim, pass_word};

/// Runs one of the four.
pub(crate) fn run(session: &Session, arguments: Policy) -> Result<u8, Failure> {
    match arguments {
        Policy::Check { sha, env, rollback, facts, metadata: record } => {
            let asked = Asked {
                sha: commit(&sha, "checked")?,
                environment: env,
                rollout: if rollback { RolloutKind::Rollback } else { RolloutKind::Deploy },
                metadata: metadata(record.as_deref())?,
                approvals: Vec::new(),
                approve_for: None,
            };
            check(session, asked, facts.as_deref())
        }
        Policy::Test { files } => test(session, files),
        Policy::Replay { entry, env, limit, current_policy } => {
            replay(session, ReplayRequest { entry, environment: env, limit, current_policy })
        }
        Policy::Soften { env, reason, long } => {
            const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
            let long = duration(&long)?;
            if long.is_zero() || long > LONGEST {
                let text = format!("{} s", long.as_secs());
                return Err(CliError::Argument { text, expected: "a time of at most 7 days" }.into());
            }
            if reason.trim().is_empty() {
                return Err(CliError::Argument { text: reason, expected: "a reason" }.into());
            }
            soften(session, env, reason, long)
        }
    }
}

fn check(session: &Session, asked: Asked, facts: Option<&Path>) -> Result<u8, Failure> {
    let report =
        session.block_on(|context| async move { plimsoll_pipeline::policy::check(&context, asked).await })?;
    if let Some(path) = facts {
        let mut text = serde_json::to_string_pretty(&report.facts)
            .expect("facts have string keys and no failing serialisers");
        text.push('\n');
        write_file(path, text.as_bytes())?;
    }
    session.printer.result(&report, || check_text(&report));
    Ok(report.class().map_or(0, Class::exit_code))
}

fn check_text(report: &PolicyReport) -> String {
    let word = if report.decision.allowed { "allowed" } else { "refused" };
    format!(
        "{}{}: {} of {} to {}; nothing was touched\n",
        checks(&report.decision, true),
        bold(word),
        report.rollout,
        report.image_sha.short(),
        report.environment
    )
}

fn soften(session: &Session, environment: String, reason: String, long: Duration) -> Result<u8, Failure> {
    let report: SoftenReport = session.block_on(|context| async move {
        plimsoll_pipeline::policy::soften(&context, &environment, &reason, long).await
    })?;
    session.printer.result(&report, || {
        format!(
            "verification is soft in {} until {}; ledger entry {}",
            report.environment, report.until, report.ledger_entry
        )
    });
    Ok(0)
}

fn replay(session: &Session, request: ReplayRequest) -> Result<u8, Failure> {
    let report = session
        .block_on(|context| async move { plimsoll_pipeline::policy::replay(&context, request).await })?;
    session.printer.result(&report, || replay_text(&report));
    Ok(report.class().map_or(0, Class::exit_code))
}

fn replay_text(report: &ReplayReport) -> String {
    if report.decisions.is_empty() {
        return "no decisions yet".into();
    }
    let word = |allowed| if allowed { "allowed" } else { "refused" };
    let rows = report.decisions.iter().map(|row| {
        let verdict = if row.recorded == row.allowed {
            word(row.allowed).to_owned()
        } else {
            format!("{} then, {} now", word(row.recorded), word(row.allowed))
        };
        vec![
            row.ledger_entry.to_string(),
            row.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            row.environment.clone(),
            row.image_sha.short().to_owned(),
            verdict,
            if row.same { "same".to_owned() } else { bold(&row.differences.join("; ")) },
        ]
    });
    let text = columns(&rows.collect::<Vec<_>>());
    let differing = report.decisions.iter().filter(|decision| !decision.same).count();
    match (differing, report.current_policy) {
        (0, _) => format!("{text}{} decided again, every verdict the same\n", report.decisions.len()),
        (n, true) => format!("{text}{n} would be decided otherwise under the policy of now\n"),
        (n, false) => format!("{text}{n} came out otherwise: run `plimsoll ledger verify`\n"),
    }
}

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    /// The facts all cases begin with: a path, relative to this file.
    facts: Option<PathBuf>,
    /// The cases.
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    facts: Option<PathBuf>,
    environment: Option<String>,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    expect: Expected,
}

const CASES: &str = "a file of policy cases";
/// The most a file of cases or facts may have.
const MOST_BYTES: u64 = 16 << 20;

fn test(session: &Session, files: Vec<PathBuf>) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    let files = if files.is_empty() { found(&config.root().join("policy-tests"))? } else { files };
    let mut reports: Vec<(PathBuf, PolicyCaseReport)> = Vec::new();
    for file in &files {
        for case in cases(file)? {
            reports.push((file.clone(), plimsoll_pipeline::policy::test(&config.config, &case)?));
        }
    }
    if reports.is_empty() {
        let expected = "a folder `policy-tests` with TOML files of cases, or files named on the command line";
        return Err(CliError::Argument { text: "no case".into(), expected }.into());
    }
    let failed = reports.iter().filter(|(_, report)| !report.passed).count();
    let document = json!({
        "schema": "plimsoll/policy-test/v1",
        "passed": reports.len() - failed,
        "failed": failed,
        "cases": reports.iter().map(|(file, report)| {
            let mut value = serde_json::to_value(report).unwrap_or_default();
            value["file"] = json!(file);
            value
        }).collect::<Vec<_>>(),
    });
    session.printer.result(&document, || {
        let mut text = String::new();
        for (file, report) in &reports {
            text.push_str(&format!(
                "{} {}  {}\n",
                pass_word(report.passed),
                report.name,
                dim(&file.display().to_string())
            ));
            for problem in &report.problems {
                text.push_str(&format!("  {problem}\n"));
            }
        }
        text + &format!("{} passed, {failed} failed\n", reports.len() - failed)
    });
    Ok(if failed == 0 { 0 } else { Class::Refused.exit_code() })
}

/// The TOML files of a folder, by name.
fn found(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |source| CliError::File { action: "read", path: folder.into(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn cases(file: &Path) -> Result<Vec<PolicyCase>, CliError> {
    let text = read_text(file, MOST_BYTES)?;
    let wrong = |why: String| CliError::Malformed { path: file.into(), expected: CASES, why };
    let parsed: Cases = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    parsed
        .cases
        .into_iter()
        .map(|case| {
            let Some(path) = case.facts.as_ref().or(parsed.facts.as_ref()) else {
                return Err(wrong(format!("case `{}` names no `facts`", case.name)));
            };
            let path = folder.join(path);
            let facts =
                serde_json::from_str(&read_text(&path, MOST_BYTES)?).map_err(|source| CliError::Content {
                    path,
                    expected: "facts as `plimsoll policy check --facts FILE` writes them",
                    source,
                })?;
            Ok(PolicyCase {
                name: case.name,
                facts,
                set: case.set.into_iter().collect(),
                environment: case.environment,
                expect: case.expect,
            })
        })
        .collect()
}

impl Approvals {
    /// What is answered for: codes of the guard, each with a reason.
    pub(crate) fn given(&self) -> Result<Vec<Approval>, CliError> {
        self.approve
            .iter()
            .map(|text| {
                let wrong = |expected| CliError::Argument { text: text.clone(), expected };
                let (code, reason) = text
                    .split_once('=')
                    .ok_or_else(|| wrong("CODE=REASON, such as `SIG-001=the signer is down`"))?;
                if !plimsoll_decision::RULES.iter().any(|rule| rule.page.code == code) {
                    return Err(wrong(
                        "the code of a check, a `=` and a reason; `plimsoll explain` lists the codes",
                    ));
                }
                if reason.trim().is_empty() {
                    return Err(wrong("a code with a reason: somebody will ask why"));
                }
                Ok(Approval { code: code.to_owned(), reason: reason.trim().to_owned() })
            })
            .collect()
    }

    /// How long that counts.
    pub(crate) fn long(&self) -> Result<Option<Duration>, CliError> {
        self.approve_for.as_deref().map(duration).transpose()
    }
}
