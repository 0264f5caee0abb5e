//! Why the server does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot serve {what} on {address}")]
    Listen {
        /// What would be served there.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The authority, or a file that was named, cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Certificate and key cannot be served with.
    #[error("the certificate in {} cannot be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is nothing to judge images by.
    #[error("no environment of plimsoll.toml is on a cluster, so no namespace could be judged")]
    NoEnvironment,
}

impl Diagnose for ServerError {
    fn class(&self) -> Class {
        match self {
            Self::Listen { .. } | Self::NoEnvironment => Class::Usage,
            Self::File { .. } | Self::Certificate { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "SRV-001",
            Self::File { .. } | Self::Certificate { .. } => "ADM-007",
            Self::NoEnvironment => "ADM-008",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Certificate { .. } => Some("a certificate chain and its private key, in PEM".into()),
            Self::NoEnvironment => Some("an environment with `target = \"kubernetes\"`".into()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Certificate { why, .. } => Some(why.clone()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Listen { what, .. } => format!(
                "nothing was started; give another address with `plimsoll serve {}`",
                if *what == "admission" { "--admission-listen ADDR" } else { "--listen ADDR" }
            ),
            Self::File { .. } => "nothing was started; look at the file and its owner with `ls -l`".into(),
            Self::Certificate { .. } => {
                "nothing was started; correct `certificate` and `key` in [admission.tls]".into()
            }
            Self::NoEnvironment => {
                "nothing was started; add [environments.NAME] with `target = \"kubernetes\"` and its namespace, or \
                 name existing ones in `environments` of [admission]"
                    .into()
            }
        })
    }
}
