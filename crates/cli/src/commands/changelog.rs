//! `plimsoll changelog`.

use plimsoll_model::{Class, Decision, Failure};
use plimsoll_pipeline::release::{ChangelogReport, ChangelogRequest, Section};
use plimsoll_release::changelog::NoteKind;

use super::Session;
use super::rollout::checks;
use super::version::{asked, version};
use crate::args::Changelog;
use crate::error::CliError;
use crate::printer::{Printer, bold};

/// Prints, writes or checks a section.
pub(crate) fn run(session: &Session, arguments: Changelog) -> Result<u8, Failure> {
    let Changelog { of, release, date, file, write, check, restore, other } = arguments;
    let section = match release.as_deref() {
        None => Section::Found,
        Some("next") => Section::Next,
        Some("unreleased") => Section::Unreleased,
        Some(text) => Section::Version(version(text)?),
    };
    let expected = "a date such as 2026-11-25";
    if let Some(text) = date.as_ref().filter(|text| text.parse::<jiff::civil::Date>().is_err()) {
        return Err(CliError::Argument { text: text.clone(), expected }.into());
    }
    let file = file.map(|path| session.path_here(&path));
    let request =
        ChangelogRequest { asked: asked(session, of), section, date, file, write, check, restore, other };
    let report = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::release::changelog(context.as_ref(), &request).await
    })?;
    session.printer.result(&report, || text(&report));
    if !session.printer.is_json() {
        notes(&session.printer, &report);
    }
    Ok(report.class.map_or(0, Class::exit_code))
}

fn text(report: &ChangelogReport) -> String {
    let Some(allowed) = report.allowed else { return report.text.clone() };
    let decision = Decision { allowed, checks: report.checks.clone() };
    let mut text = checks(&decision, true);
    for problem in &report.problems {
        let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
        text.push_str(&format!("{}{line}: {} ({})\n", report.file.display(), problem.found, problem.rule));
        text.push_str(&format!("  expected {}\n", problem.expected));
    }
    let word = if allowed { "says what the evidence says" } else { "does not say what the evidence says" };
    text.push_str(&format!("{} of {} {word}\n", bold(&report.section), report.file.display()));
    text
}

/// What a person should know beside the section.
fn notes(printer: &Printer, report: &ChangelogReport) {
    for note in &report.notes {
        let what = match note.kind {
            NoteKind::Reworded => "kept as reworded",
            NoteKind::Altered => "kept, but it is not what the evidence says (`--restore` puts it back)",
            NoteKind::LeftOut => "left out by hand (`--restore` puts it back)",
            NoteKind::Restored => "put back",
            NoteKind::Orphaned => "kept, but the evidence does not have it any more",
            NoteKind::Dropped => "taken out: it is no longer so",
        };
        printer.note(&format!("{what}: {}", note.line));
    }
    for contradiction in &report.contradictions {
        printer.note(&format!("contradiction: {} ({})", contradiction.message, contradiction.rule));
    }
    for doubt in &report.doubts {
        printer.note(&format!("not known, and not told of: {}: {}", doubt.about, doubt.why));
    }
    if report.written {
        let what =
            if report.added == 1 { "1 new line".into() } else { format!("{} new lines", report.added) };
        printer.note(&format!("{}: section {}, {what}", report.file.display(), report.section));
    }
}
