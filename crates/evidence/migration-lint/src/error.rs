//! What stops a lint. A statement that is not understood does not: it is a finding.

use plimsoll_model::{Class, Diagnose, Page};

/// Why a directory could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than [`crate::Limits`] allows.
    #[error("reading {what} exceeds a bound")]
    TooLarge {
        /// The file, or the directory.
        what: String,
        /// The bound, with its unit.
        most: String,
        /// What is there, with its unit.
        found: String,
    },
    /// Not a text.
    #[error("{file} is not UTF-8")]
    NotText {
        /// The file.
        file: String,
        /// From 1.
        line: usize,
    },
    /// The thread that parses could not run to its end.
    #[error("parsing the migrations did not come to an end")]
    Parser {
        /// What the operating system, or the parser, said.
        found: String,
    },
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::TooLarge { .. } | Self::NotText { .. } => Class::Usage,
            Self::Parser { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "MIG-901",
            Self::NotText { .. } => "MIG-902",
            Self::Parser { .. } => "MIG-903",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { most, .. } => Some(format!("at most {most}")),
            Self::NotText { .. } => Some("UTF-8".into()),
            Self::Parser { .. } => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::TooLarge { found, .. } | Self::Parser { found } => Some(found.clone()),
            Self::NotText { line, .. } => Some(format!("other bytes in line {line}")),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::TooLarge { .. } => {
                "nothing was changed. Rows to load belong into a backfill, not into a migration".into()
            }
            Self::NotText { file, .. } => {
                format!("nothing was changed. Convert it: `iconv -f latin1 -t utf-8 {file}`")
            }
            Self::Parser { .. } => {
                "nothing was changed. Run `plimsoll migrate lint` on one file after the other".into()
            }
        })
    }
}

/// One page per error code.
pub const PAGES: &[Page] = &[
    Page {
        code: "MIG-901",
        name: "migrations-too-large",
        what: "A migration exceeds 64 MB, or the directory 512 MB or 50,000 files.",
        why: "Whoever writes a migration must not be able to stop the pipeline with it.",
        how: "Load rows by a backfill instead: `plimsoll migrate backfill`.",
    },
    Page {
        code: "MIG-902",
        name: "migration-not-text",
        what: "A migration is not UTF-8.",
        why: "The database would be sent other characters than a reviewer saw.",
        how: "Convert the file: `iconv -f latin1 -t utf-8 FILE`.",
    },
    Page {
        code: "MIG-903",
        name: "migrations-not-parsed",
        what: "The parser did not come to an end.",
        why: "No verdict is better than a wrong one.",
        how: "Lint one file after the other to find which one it is, and report it.",
    },
];
