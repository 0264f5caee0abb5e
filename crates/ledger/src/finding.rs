//! What verification compares with, and what it says.

use plimsoll_model::Digest;
use serde::Serialize;

use crate::Error;

/// What to compare with besides the ledger itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Checkpoints that were kept elsewhere: name and text.
    pub checkpoints: Vec<(String, String)>,
    /// The public key, as it was pinned elsewhere ([`crate::Ledger::public_key`]).
    /// Without it the key recorded in the ledger is believed.
    pub public_key: Option<String>,
}

/// What kind of tampering the evidence is consistent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tampering {
    /// An entry was replaced together with its hash, or its link was cut.
    Relinked,
    /// An entry's contents or its hash were changed.
    Changed,
    /// Entries are missing.
    Removed,
    /// Entries stand in another order.
    Reordered,
    /// The newest entries are missing.
    Truncated,
    /// The whole chain is consistent and is not the one that was signed.
    Rewritten,
    /// A checkpoint or key is not this ledger's.
    Checkpoint,
    /// Derived data disagree with the entries.
    Derived,
    /// Entries were added that were never signed.
    Inserted,
}

impl Tampering {
    /// The code of its page.
    pub fn code(self) -> &'static str {
        match self {
            Self::Relinked => "LED-010",
            Self::Changed => "LED-011",
            Self::Removed => "LED-012",
            Self::Reordered => "LED-013",
            Self::Truncated => "LED-014",
            Self::Rewritten => "LED-015",
            Self::Checkpoint => "LED-016",
            Self::Derived => "LED-017",
            Self::Inserted => "LED-018",
        }
    }
}

/// One thing that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Finding {
    /// What kind.
    pub tampering: Tampering,
    /// First position concerned, where there is one.
    pub seq: Option<u64>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Finding {
    /// The code of its page.
    pub fn code(&self) -> &'static str {
        self.tampering.code()
    }

    /// What should be.
    pub fn expected(&self) -> Option<String> {
        (!self.expected.is_empty()).then(|| self.expected.clone())
    }

    /// What is.
    pub fn found(&self) -> Option<String> {
        (!self.found.is_empty()).then(|| self.found.clone())
    }

    /// What to do.
    pub fn hint(&self) -> String {
        "nothing was changed. Keep the file as evidence, and compare it with a backup or an export; see \
         `plimsoll explain "
            .to_owned()
            + self.code()
            + "`."
    }
}

/// A checkpoint that agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Where it was kept.
    pub name: String,
    /// How many entries it attests.
    pub size: u64,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The ledger's name.
    pub origin: String,
    /// The key its checkpoints were verified with.
    pub public_key: String,
    /// Number of entries read.
    pub entries: u64,
    /// Merkle root over them.
    pub root: Digest,
    /// Checkpoints that agree.
    pub agreements: Vec<Agreement>,
    /// What is not as recorded, at most fifty.
    pub findings: Vec<Finding>,
    /// How many more findings there were.
    pub more_findings: u64,
}

impl Report {
    /// Whether everything is as recorded.
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    /// The report, or its first finding as an error of class integrity.
    ///
    /// # Errors
    /// [`Error::Tampered`].
    pub fn into_result(self) -> Result<Self, Error> {
        match self.findings.first() {
            None => Ok(self),
            Some(finding) => Err(Error::Tampered(Box::new(finding.clone()))),
        }
    }
}
