//! Makes the section of a release, where and how this changelog has them.

use super::Target;
use super::document::{Changelog, Name};
use super::edits::Edits;
use super::links;

/// Makes the section if it is not there.
pub(super) fn ensure(changelog: &mut Changelog, target: &Target) {
    if changelog.section(&target.name()).is_some() {
        return;
    }
    let (level, bracket, prefix, round) = style(changelog);
    let marks = "#".repeat(level);
    let (open, close) = if bracket { ("[", "]") } else { ("", "") };
    let first = changelog.sections().first().map(|section| section.lines.start);
    match target {
        Target::Unreleased => {
            let heading = format!("{marks} {open}Unreleased{close}");
            insert(changelog, first, vec![heading]);
        }
        Target::Version { version, date } => {
            let date = match date {
                Some(date) if round => format!(" ({date})"),
                Some(date) => format!(" - {date}"),
                None => String::new(),
            };
            let heading = format!("{marks} {open}{prefix}{version}{close}{date}");
            let newest = changelog.names().all(|name| match name {
                Name::Unreleased => true,
                Name::Version(other) => other < version,
            });
            let unreleased = changelog.section(&Name::Unreleased).filter(|_| newest).cloned();
            if let Some(section) = unreleased {
                // What was unreleased is released now, with everything that people wrote.
                // Its groups stand under a heading of its level.
                let heading = format!("{}{}", "#".repeat(section.level), heading.trim_start_matches('#'));
                let at = section.lines.start + section.heading;
                let end = changelog.end();
                changelog.splice(at..at, vec![end.to_owned(), format!("{heading}{end}")]);
            } else {
                let older = changelog
                    .sections()
                    .iter()
                    .find(|section| matches!(&section.name, Name::Version(other) if other < version));
                insert(changelog, older.map(|section| section.lines.start), vec![heading]);
            }
            links::link(changelog, version);
        }
    }
}

/// How the releases of this changelog are headed: level, brackets, prefix of
/// the version, date in parentheses.
fn style(changelog: &Changelog) -> (usize, bool, &'static str, bool) {
    let like = changelog.sections().iter().find(|section| matches!(section.name, Name::Version(_)));
    let Some(section) = like.or(changelog.sections().first()) else { return (2, true, "", false) };
    let heading = &changelog.lines[section.lines.start];
    let text = heading.trim_start_matches(['#', ' ']).trim_end();
    let prefix = if text.trim_start_matches('[').starts_with('v') { "v" } else { "" };
    (section.level, text.starts_with('['), prefix, text.ends_with(')'))
}

/// Inserts a block before a line; without one, before the links at the end.
fn insert(changelog: &mut Changelog, before: Option<usize>, block: Vec<String>) {
    let mut at = before.unwrap_or(changelog.footer);
    // Blank lines stay where they were, after the block.
    if before.is_none() {
        while at > 0 && changelog.lines[at - 1].trim().is_empty() {
            at -= 1;
        }
    }
    let mut edits = Edits::default();
    edits.separate(at, block);
    *changelog = edits.apply(changelog);
}
