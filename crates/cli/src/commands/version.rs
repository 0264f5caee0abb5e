//! `plimsoll version next` and `check`.

use plimsoll_model::{Class, Decision, Failure};
use plimsoll_pipeline::release::{Asked, VersionReport};
use semver::Version;

use super::Session;
use super::rollout::checks;
use crate::args::{Release, VersionCommand};
use crate::error::CliError;
use crate::printer::{Printer, bold};

/// Runs one of the two.
pub(crate) fn run(session: &Session, arguments: VersionCommand) -> Result<u8, Failure> {
    match arguments {
        VersionCommand::Next { of, pre } => next(session, of, pre),
        VersionCommand::Check { version, of } => check(session, version.as_deref(), of),
    }
}

/// What is asked about, from where the command works.
pub(super) fn asked(session: &Session, of: Release) -> Asked {
    Asked {
        directory: session.directory(),
        commit: of.commit,
        since: of.since,
        environment: of.env,
        service: of.service,
        private_database: of.private_database,
        advisories: of.database.map(|path| session.path_here(&path)),
    }
}

/// A version that somebody typed.
pub(super) fn version(text: &str) -> Result<Version, CliError> {
    let expected = "a version such as 1.2.3 or 1.3.0-rc.1 (SemVer 2.0.0)";
    let wrong = |_| CliError::Argument { text: text.to_owned(), expected };
    text.strip_prefix('v').unwrap_or(text).parse().map_err(wrong)
}

fn next(session: &Session, of: Release, pre: Option<String>) -> Result<u8, Failure> {
    let asked = asked(session, of);
    let report = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::release::next(context.as_ref(), &asked, pre.as_deref()).await
    })?;
    session.printer.result(&report, || {
        // The version alone, so that `$(plimsoll version next)` is one.
        report.version.as_ref().map_or_else(|| "unknown".into(), ToString::to_string)
    });
    if !session.printer.is_json() {
        explain(&session.printer, &report);
    }
    Ok(report.class.map_or(0, Class::exit_code))
}

fn check(session: &Session, named: Option<&str>, of: Release) -> Result<u8, Failure> {
    let named = named.map(version).transpose()?;
    let asked = asked(session, of);
    let report = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::release::check(context.as_ref(), &asked, named.as_ref()).await
    })?;
    session.printer.result(&report, || check_text(&report));
    if !session.printer.is_json() {
        contradictions(&session.printer, &report);
    }
    Ok(report.class.map_or(0, Class::exit_code))
}

fn check_text(report: &VersionReport) -> String {
    let decision = Decision { allowed: report.allowed.unwrap_or_default(), checks: report.checks.clone() };
    let version = report.version.as_ref().map_or_else(|| "no version".into(), ToString::to_string);
    let word = match report.class {
        None => "may be released as",
        Some(Class::Outside) => "cannot be judged as",
        Some(_) => "must not be released as",
    };
    format!("{}{} {word} {}\n", checks(&decision, true), report.commit.short(), bold(&version))
}

/// Why, for a person; a program reads the document.
fn explain(printer: &Printer, report: &VersionReport) {
    match (&report.previous, &report.version) {
        (Some(previous), _) => {
            printer.note(&format!("{} after {} ({})", report.level, previous.version, previous.name));
        }
        (None, Some(_)) => printer.note("the first release"),
        (None, None) => {}
    }
    if report.reasons.is_empty() && report.previous.is_some() {
        printer.note("nothing changed since then: there is nothing to release");
    }
    for reason in &report.reasons {
        printer.note(&format!(
            "  {} {:<5}  {}",
            bold(&reason.rule),
            reason.level.to_string(),
            reason.message
        ));
        for evidence in &reason.evidence {
            printer.note(&format!("                  {evidence}"));
        }
    }
    contradictions(printer, report);
}

fn contradictions(printer: &Printer, report: &VersionReport) {
    for contradiction in &report.contradictions {
        printer.note(&format!("contradiction: {} ({})", contradiction.message, contradiction.rule));
    }
    for doubt in &report.doubts {
        printer.note(&format!("not known: {}: {} (it could demand {})", doubt.about, doubt.why, doubt.most));
    }
}
