//! A report for people: as text, as Markdown, as annotations of a pull request.
//! For programs it is serialised as it is.

mod github;
mod markdown;
mod text;

use crate::finding::{Finding, Level};

/// So many operations of a finding are named.
const NAMED: usize = 3;

/// The levels, worst first, and what they are called.
const LEVELS: [(Level, &str); 3] =
    [(Level::Breaking, "Breaking"), (Level::Additive, "Additive"), (Level::Editorial, "Editorial")];

/// The operations of a finding, for the end of a line; nothing where the
/// message has said it.
fn operations(finding: &Finding) -> String {
    let operations = &finding.operations;
    match &operations[..] {
        [] => String::new(),
        [only] if finding.message.starts_with(only.as_str()) => String::new(),
        [..] if operations.len() <= NAMED => operations.join(", "),
        [first, ..] => format!("{first} and {} more operations", operations.len() - 1),
    }
}
