//! Why a registry cannot be opened.

use std::io;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose};

/// Why a registry cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, read or written.
    #[error("cannot {action} {path}, where the registry is to be kept")]
    Storage {
        /// What was being done, an infinitive.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process serves the same folder.
    #[error("the registry at {root} is served by another process")]
    InUse {
        /// The folder.
        root: PathBuf,
    },
}

impl Diagnose for OpenError {
    fn class(&self) -> Class {
        match self {
            Self::Storage { .. } => Class::Failed,
            Self::InUse { .. } => Class::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Storage { .. } => "REG-501",
            Self::InUse { .. } => "REG-502",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Storage { .. } => {
                "nothing was served; check that the folder may be written and that its disk is not full"
                    .into()
            }
            Self::InUse { .. } => "nothing was changed; end the other one, or name another folder".into(),
        })
    }
}
