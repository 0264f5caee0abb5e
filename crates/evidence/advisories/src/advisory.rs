//! An advisory as every format is read into, before it is indexed.

use jiff::Timestamp;

use crate::severity::Rating;
use crate::version::Scheme;

/// Longest summary that is kept, in bytes.
const MOST_SUMMARY: usize = 240;
/// Longest id, alias or package name that is kept, in bytes; longer ones are refused.
pub(crate) const MOST_NAME: usize = 1024;
/// Most aliases that are kept of one advisory.
pub(crate) const MOST_ALIASES: usize = 4096;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Advisory {
    pub(crate) id: String,
    pub(crate) aliases: Vec<String>,
    /// What it was made from: a distribution's advisory names the CVEs it fixes.
    pub(crate) upstream: Vec<String>,
    pub(crate) summary: String,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) withdrawn: bool,
    pub(crate) rating: Rating,
    /// `unmaintained`, `unsound`, `notice`: no vulnerability. Else empty.
    pub(crate) informational: String,
    pub(crate) affected: Vec<Affected>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Affected {
    /// As OSV spells it: `crates.io`, `Debian:12`.
    pub(crate) ecosystem: String,
    pub(crate) name: String,
    pub(crate) ranges: Vec<Range>,
    /// Versions that are affected besides those in `ranges`.
    pub(crate) versions: Vec<String>,
    /// Where this package's severity differs from the advisory's.
    pub(crate) rating: Rating,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Range {
    pub(crate) scheme: Scheme,
    pub(crate) events: Vec<Event>,
}

/// A point of a range, in OSV's words; [`EventKind::After`] and
/// [`EventKind::Until`] are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// `0` of an `introduced` stands for "before every version".
    pub(crate) version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// Affected from here on, this version included.
    Introduced,
    /// Affected from here on, this version not: RustSec's `unaffected = ["<= 1.2"]`.
    After,
    /// Not affected from here on.
    Fixed,
    /// Not affected from here on, but not because it was fixed: RustSec's
    /// `unaffected = [">= 0.2.0, < 0.2.7"]`.
    Until,
    /// Affected up to and including this version.
    LastAffected,
    /// Nothing from here on belongs to the range.
    Limit,
}

impl EventKind {
    /// Every kind; the position is its number in the index.
    pub(crate) const ALL: [Self; 6] =
        [Self::Introduced, Self::After, Self::Fixed, Self::Until, Self::LastAffected, Self::Limit];
}

/// The first line, cut at a length that fits on a screen.
pub(crate) fn summary(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.len() <= MOST_SUMMARY {
        return line;
    }
    let end = (0..=MOST_SUMMARY).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &line[..end])
}
