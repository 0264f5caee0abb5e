//! What can go wrong before anything runs.

use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Page, Release};
use plimsoll_rollout_switch::env_file::EnvFileError;

/// A local target that cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A folder or file of the environment cannot be used.
    #[error("cannot use {path} for environment `{environment}`")]
    State {
        /// The environment.
        environment: String,
        /// Which path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The image cannot be unpacked or does not say how it is started.
    #[error("image {release} cannot be unpacked")]
    Unpack {
        /// Which image.
        release: Box<Release>,
        /// Why.
        #[source]
        source: plimsoll_oci::Error,
    },
    /// The image names no program.
    #[error("image {release} has neither entrypoint nor command")]
    NoProgram {
        /// Which image.
        release: Box<Release>,
    },
    /// `env_file` cannot be read or has a line that is not `NAME=value`.
    #[error(transparent)]
    EnvFile(#[from] EnvFileError),
}

impl Diagnose for LocalError {
    fn class(&self) -> Class {
        match self {
            Self::State { .. } => Class::Failed,
            Self::Unpack { source, .. } => source.class(),
            Self::NoProgram { .. } | Self::EnvFile(_) => Class::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::State { .. } => "LOC-001",
            Self::Unpack { source, .. } => source.code(),
            Self::NoProgram { .. } => "LOC-002",
            Self::EnvFile(_) => "LOC-003",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::State { path, .. } => {
                format!("nothing that serves was touched; check space and permissions of {}", path.display())
            }
            Self::Unpack { source, .. } => return source.hint(),
            Self::NoProgram { .. } => {
                "nothing was touched; set `entrypoint` in [image] and build the commit that does".into()
            }
            Self::EnvFile(_) => "nothing was touched; correct the line; its value is not shown here".into(),
        })
    }
}

/// A page for every code above.
pub const PAGES: &[Page] = &[
    Page {
        code: "LOC-001",
        name: "local-state",
        what: "The folder in which the local target keeps images, instances and its record cannot be used.",
        why: "Without a durable record a later command would not find what runs.",
        how: "Check free space and permissions of `.plimsoll/environments`. A file that is called damaged was changed \
              by something else than Plimsoll: stop the instances, remove the file, deploy again.",
    },
    Page {
        code: "LOC-002",
        name: "image-without-program",
        what: "The image's configuration has neither an entrypoint nor a command.",
        why: "There is nothing that could be started.",
        how: "Set `entrypoint = [\"/usr/local/bin/NAME\"]` in the commit's [image] section and build that commit.",
    },
    Page {
        code: "LOC-003",
        name: "env-file",
        what: "A line of the environment's `env_file` is not of the form `NAME=value`.",
        why: "A variable that is silently left out is found when the service misbehaves.",
        how: "One `NAME=value` on each line; empty lines and lines that begin with `#` are left out; quotes are kept as \
              they are.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page() {
        for code in ["LOC-001", "LOC-002", "LOC-003"] {
            assert!(PAGES.iter().any(|page| page.code == code), "{code}");
        }
    }
}
