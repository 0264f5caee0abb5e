//! What can be wrong with a changelog, and the pages about it.

use plimsoll_model::{Class, Diagnose, Page};

/// Why a changelog cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than any that people read.
    #[error("the changelog has {bytes} bytes")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// Whatever is written behind it would not be seen.
    #[error("the changelog has a comment or a code block in line {line} that never ends")]
    Unclosed {
        /// From 1.
        line: usize,
    },
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "CHG-010",
            Self::Unclosed { .. } => "CHG-011",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some(format!("at most {} bytes", super::MOST_BYTES)),
            Self::Unclosed { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TooLarge { .. } => {
                "nothing was touched; move old releases to a file of their own, or name another with `--file FILE`".into()
            }
            Self::Unclosed { line } => format!("nothing was touched; end what begins in line {line} with `-->`, or the fence with its like"),
        })
    }
}

pub(super) const ALTERED: Page = Page {
    code: "CHG-001",
    name: "evidence-altered",
    what: "Each line that is marked as evidence says what the evidence says. Line breaks do not count. In other sections \
           than the one that was asked about, the words are compared with the sum in the mark.",
    why: "A changelog is believed. Whoever softens `no longer returns` to `improves` misleads the people it was written for.",
    how: "`plimsoll changelog --write --restore` puts the line back as the evidence has it. Say what you want to add on a \
          line of your own.",
};

pub(super) const INVENTED: Page = Page {
    code: "CHG-002",
    name: "evidence-unknown",
    what: "Each line that is marked as evidence is one that the evidence has: same source, same id.",
    why: "A mark that no evidence stands behind claims what nobody verified; or the change was undone and its line stayed.",
    how: "`plimsoll changelog --write --restore` removes it; or take the comment off to make it a line of your own.",
};

pub(super) const BREAK_LEFT_OUT: Page = Page {
    code: "CHG-003",
    name: "break-left-out",
    what: "Every break that the evidence shows is told in the section. Other lines may be removed by hand; one that \
           tells of a break may not.",
    why: "Clients read the changelog to learn what breaks. Releases with dozens of breaks and none in the changelog are \
          known.",
    how: "`plimsoll changelog --write --restore` puts it back; or undo the break; or accept it in the file of accepted \
          breaks, with a reason and a date.",
};

pub(super) const NOT_TOLD: Page = Page {
    code: "CHG-004",
    name: "not-up-to-date",
    what: "The section has everything that commits and evidence have. For what is not released yet this is a warning.",
    why: "A release whose changelog was written before its last commits says less than it contains.",
    how: "`plimsoll changelog --write` adds what is missing and keeps what people wrote.",
};

pub(super) const UNVERIFIABLE: Page = Page {
    code: "CHG-005",
    name: "evidence-not-known",
    what: "The evidence that marked lines cite can be had here: both API documents, both sets of migrations, both sets of \
           lock files, and the history between the two releases.",
    why: "What cannot be read is neither right nor wrong.",
    how: "Mend what is named. In CI, fetch the whole history: `git fetch --unshallow --tags`.",
};

/// A page for every code.
pub const PAGES: &[Page] = &[
    ALTERED,
    INVENTED,
    BREAK_LEFT_OUT,
    NOT_TOLD,
    UNVERIFIABLE,
    Page {
        code: "CHG-010",
        name: "changelog-too-large",
        what: "The changelog has more than 8 MiB.",
        why: "Everything that is read has a bound; no changelog that people read comes near it.",
        how: "Move old releases to a file of their own, or name another file with `--file FILE`.",
    },
    Page {
        code: "CHG-011",
        name: "changelog-unclosed",
        what: "A comment (`<!--`) or a code block (three backquotes or tildes) begins and never ends.",
        why: "Everything behind it is part of it, and what would be written there would not be seen.",
        how: "End it with `-->`, or with a fence like the one that begins it.",
    },
];
