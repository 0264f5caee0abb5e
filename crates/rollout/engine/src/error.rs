//! What can go wrong between us and the engine.

use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Digest, Release};
use plimsoll_oci::SourceError;
use plimsoll_rollout_switch::env_file::EnvFileError;

/// An engine that cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A folder or file of the environment cannot be used.
    #[error("cannot use {path} for the environment's engine")]
    State {
        /// Which path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// `env_file` cannot be used.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
    /// Nobody answers at the socket, or not in time.
    #[error("{operation} got no answer from the container engine at {}: {reason}", socket.display())]
    Unreachable {
        /// What was attempted.
        operation: String,
        /// The socket.
        socket: PathBuf,
        /// Why.
        reason: String,
    },
    /// The socket is there and may not be used by this user.
    #[error("the container engine's socket {} may not be used by this user", socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// The engine understood and said no.
    #[error("{operation} was refused by the container engine at {}: {message}", socket.display())]
    Refused {
        /// What was attempted.
        operation: String,
        /// The socket.
        socket: PathBuf,
        /// HTTP status; 200 when the refusal came within a stream of reports.
        status: u16,
        /// What the engine said.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{operation} was answered by {} with something else than an engine's answer: {reason}", socket.display())]
    Nonsense {
        /// What was attempted.
        operation: String,
        /// The socket.
        socket: PathBuf,
        /// What was wrong with it.
        reason: String,
    },
    /// The engine's API is older than what is needed.
    #[error("the container engine at {} is too old", socket.display())]
    TooOld {
        /// The socket.
        socket: PathBuf,
        /// Its API version.
        found: String,
    },
    /// The engine has another image than the one that was asked for.
    #[error("the engine's image for {release} is not that image")]
    WrongImage {
        /// Which image.
        release: Box<Release>,
        /// What it should be, manifest or configuration digest.
        expected: Digest,
        /// What the engine says it is.
        found: String,
    },
    /// The engine could neither pull the image nor take it.
    #[error("image {release} could not be brought into the engine: pulling failed ({pull}), and loading")]
    NotBrought {
        /// Which image.
        release: Box<Release>,
        /// Why the engine could not pull it.
        pull: String,
        /// Why it could not be loaded.
        #[source]
        load: Box<EngineError>,
    },
    /// The image could not be fetched for the engine.
    #[error(transparent)]
    Source(Box<SourceError>),
    /// The stored image could not be read for the engine.
    #[error("image {release} cannot be read from the local store")]
    Store {
        /// Which image.
        release: Box<Release>,
        /// Why.
        #[source]
        source: Box<plimsoll_oci::Error>,
    },
    /// A container that is not ours has the name of an instance.
    #[error("the name {name} belongs to a container that this environment did not create")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A container with our label does not say what it is.
    #[error("container {name} is labelled as this environment's and cannot be understood: {reason}")]
    Unknown {
        /// Its name.
        name: String,
        /// What is missing or wrong.
        reason: String,
    },
}

impl From<SourceError> for EngineError {
    fn from(error: SourceError) -> Self {
        Self::Source(Box::new(error))
    }
}

impl EngineError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Nonsense { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::State { source, .. } => source.kind() != std::io::ErrorKind::InvalidData,
            _ => false,
        }
    }

    /// With its causes, on one line.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

impl Diagnose for EngineError {
    fn class(&self) -> Class {
        match self {
            Self::State { .. } => Class::Failed,
            Self::EnvFile(_) | Self::TooOld { .. } | Self::NameTaken { .. } | Self::Unknown { .. } => {
                Class::Usage
            }
            Self::Unreachable { .. }
            | Self::Denied { .. }
            | Self::Refused { .. }
            | Self::Nonsense { .. }
            | Self::NotBrought { .. } => Class::Outside,
            Self::WrongImage { .. } => Class::Integrity,
            Self::Source(source) => source.class(),
            Self::Store { source, .. } => source.class(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::State { .. } => "ENG-001",
            Self::EnvFile(_) => "ENG-002",
            Self::Unreachable { .. } => "ENG-003",
            Self::Denied { .. } => "ENG-004",
            Self::Refused { .. } => "ENG-005",
            Self::Nonsense { .. } => "ENG-006",
            Self::TooOld { .. } => "ENG-007",
            Self::WrongImage { .. } => "ENG-008",
            Self::NotBrought { .. } => "ENG-009",
            Self::NameTaken { .. } => "ENG-010",
            Self::Unknown { .. } => "ENG-011",
            Self::Source(source) => source.code(),
            Self::Store { source, .. } => source.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::WrongImage { expected, .. } => Some(expected.to_string()),
            Self::TooOld { .. } => Some("API 1.41 or later".into()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::WrongImage { found, .. } | Self::TooOld { found, .. } => Some(found.clone()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::State { path, .. } => {
                format!("nothing that serves was touched; check space and permissions of {}", path.display())
            }
            Self::EnvFile(_) => "nothing was touched; correct the file; values are not shown here".into(),
            Self::Unreachable { socket, .. } => format!(
                "what serves goes on; is the engine running? `docker -H unix://{} version` asks it, and `socket` in \
                 the environment's section names another",
                socket.display()
            ),
            Self::Denied { socket } => format!(
                "nothing was touched; let this user use {}: `sudo usermod -aG docker $USER` and a new login, or \
                 set `socket` to a rootless engine's",
                socket.display()
            ),
            Self::Refused { .. } => "what serves goes on; the engine's own log says more".into(),
            Self::Nonsense { socket, .. } => {
                format!("what serves goes on; is {} really a container engine's?", socket.display())
            }
            Self::TooOld { .. } => "nothing was touched; update to Docker 20.10, Podman 4, or later".into(),
            Self::WrongImage { release, .. } => format!(
                "nothing was started; `docker image rm {}` removes the engine's copy, then deploy again",
                release.image
            ),
            Self::NotBrought { .. } => {
                "nothing was touched; see both reasons: the engine's way to the registry, and ours".into()
            }
            Self::NameTaken { name } => {
                format!("that container was left alone; `docker inspect {name}` shows whose it is")
            }
            Self::Unknown { name, .. } => {
                format!("that container was left alone; `docker inspect {name}` shows its labels")
            }
            Self::Source(source) => return source.hint(),
            Self::Store { source, .. } => return source.hint(),
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_has_a_page() {
        let codes: Vec<_> = (1..=11).map(|n| format!("ENG-{n:03}")).collect();
        assert_eq!(crate::PAGES.iter().map(|page| page.code).collect::<Vec<_>>(), codes);
    }
}
