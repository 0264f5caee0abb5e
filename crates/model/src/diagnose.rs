//! How errors tell a person what happened: class, code, expected, found, hint.

use std::error::Error;

/// What kind of end an operation came to. Each is one exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The operation itself failed: build command, rollout, migration.
    Failed,
    /// Usage or configuration; nothing was touched.
    Usage,
    /// The guard, the policy or a lint said no; nothing was touched.
    Refused,
    /// A digest, tag, subject or ledger entry is not what was recorded.
    Integrity,
    /// Something outside could not be reached or answered nonsense.
    Outside,
    /// Rolled out, judged worse, and rolled back.
    RolledBack,
    /// Rolled out in part: nobody could tell whether it is worse, and a person decides.
    Held,
    /// Interrupted by a person or a signal.
    Interrupted,
}

impl Class {
    /// The process exit code of this class.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Integrity => 4,
            Self::Outside => 5,
            Self::RolledBack => 6,
            Self::Held => 7,
            Self::Interrupted => 130,
        }
    }
}

/// An error that can be read at three in the morning.
///
/// `Display` says operation and object in one sentence and never repeats its
/// `source`. Expected, found and hint are kept apart so that the terminal and
/// the JSON output can each place them.
pub trait Diagnose: Error {
    /// Which exit code this is.
    fn class(&self) -> Class;

    /// The stable code, e.g. `DIG-003`; `plimsoll explain` has a page for it.
    fn code(&self) -> &'static str;

    /// What should have been, where something was compared.
    fn expected(&self) -> Option<String> {
        None
    }

    /// What was there instead.
    fn found(&self) -> Option<String> {
        None
    }

    /// Whether anything was changed, and what to type next.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// One page of `plimsoll explain CODE`.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Stable code, e.g. `TAG-001`.
    pub code: &'static str,
    /// Short name, e.g. `full-sha-tag-exists`.
    pub name: &'static str,
    /// What is checked, in one or two sentences.
    pub what: &'static str,
    /// Why it matters: what goes wrong without it.
    pub why: &'static str,
    /// How to satisfy it, with the commands to type.
    pub how: &'static str,
}

/// Any error with a diagnosis, on its way to whoever renders it.
///
/// Like `Box<dyn Diagnose>`, with a conversion from every such error, so that
/// `?` works; therefore it is no `Error` itself.
#[derive(Debug)]
pub struct Failure(Box<dyn Diagnose + Send + Sync>);

impl Failure {
    /// The error with its diagnosis.
    pub fn diagnose(&self) -> &(dyn Diagnose + Send + Sync + 'static) {
        &*self.0
    }
}

impl<E: Diagnose + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
