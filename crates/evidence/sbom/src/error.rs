//! What can go wrong with making and reading an SBOM, and the pages about it.

use std::io;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Page};

/// Why there is no SBOM. What could merely not be read *inside* of an image is
/// a [`crate::Warning`] in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image itself is damaged, absent, or not one that is read.
    #[error("cannot read the image that an SBOM is made of")]
    Image {
        /// What is wrong with it.
        #[from]
        source: plimsoll_oci::Error,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A document that is no SBOM.
    #[error("the SBOM cannot be understood: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// A document that is larger, or nested deeper, than is read.
    #[error("the SBOM is more than is read: {limit}")]
    TooLarge {
        /// The limit that it exceeds, in words.
        limit: String,
    },
    /// A time that is none.
    #[error("the creation time `{given}` is not an RFC 3339 time")]
    Time {
        /// What was given.
        given: String,
    },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }

    pub(crate) fn malformed(reason: impl std::fmt::Display) -> Self {
        let text: String = reason.to_string();
        Self::Malformed { reason: text.chars().take(300).collect() }
    }
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Image { source } => source.class(),
            Self::Io { .. } => Class::Failed,
            Self::Malformed { .. } | Self::TooLarge { .. } | Self::Time { .. } => Class::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Image { source } => source.code(),
            Self::Io { .. } => "SBM-101",
            Self::Malformed { .. } => "SBM-102",
            Self::TooLarge { .. } => "SBM-103",
            Self::Time { .. } => "SBM-104",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Image { source } => source.expected(),
            Self::Malformed { .. } => Some("CycloneDX or SPDX 2 in JSON".into()),
            Self::Time { .. } => Some("a time such as 2026-01-31T12:00:00Z".into()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Image { source } => source.found(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Image { source } => source.hint(),
            Self::Io { .. } => {
                Some("nothing was written; correct what the cause says and run the same command again".into())
            }
            Self::Malformed { .. } => Some(
                "nothing was written; see which tool wrote it, or make one with `plimsoll sbom generate`"
                    .into(),
            ),
            Self::TooLarge { .. } => Some("nothing was written; check where the document comes from".into()),
            Self::Time { .. } => Some("nothing was written; correct the time that was given".into()),
        }
    }
}

/// One page for each code that an error of this crate can have.
pub const PAGES: &[Page] = &[
    Page {
        code: "SBM-101",
        name: "sbom-source-access",
        what: "The directory or file that an SBOM is made of could not be read.",
        why: "Permissions, a missing directory or a failing disk; the cause below the error says which. A file *inside* of it that cannot be read is no error: it is named in the SBOM, which then says that it is incomplete.",
        how: "Correct what the cause says and run `plimsoll sbom generate PATH` again.",
    },
    Page {
        code: "SBM-102",
        name: "sbom-format",
        what: "A document that should be an SBOM is neither CycloneDX nor SPDX 2 in JSON.",
        why: "What is not understood is never taken for an SBOM without components: that would make every advisory vanish.",
        how: "`plimsoll sbom generate REF > sbom.json` writes one. Convert XML, protobuf and tag-value forms, and SPDX 3, with the tool that wrote them.",
    },
    Page {
        code: "SBM-103",
        name: "sbom-bounded-reading",
        what: "An SBOM is larger, has more components, or is nested deeper than is read.",
        why: "Whatever comes from elsewhere is bounded, so that a hostile document cannot exhaust memory.",
        how: "Check where it comes from. Documents may have 256 MiB and a million components.",
    },
    Page {
        code: "SBM-104",
        name: "sbom-time",
        what: "The creation time that was given for an SBOM is not a time.",
        why: "An SBOM has no time of its own, so that the same image always gives the same bytes; the time comes from the image or from whoever asks for it.",
        how: "Give it as RFC 3339, e.g. `2026-01-31T12:00:00Z`, or leave it out.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_page() {
        let errors = [
            Error::io("list", "/x", io::ErrorKind::NotFound.into()),
            Error::malformed("x"),
            Error::TooLarge { limit: "x".into() },
            Error::Time { given: "x".into() },
        ];
        for error in &errors {
            assert!(PAGES.iter().any(|page| page.code == error.code()), "{}", error.code());
            assert!(error.hint().is_some());
        }
        assert_eq!(errors.len(), PAGES.len());
    }
}
