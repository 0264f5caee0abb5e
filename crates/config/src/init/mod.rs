//! `plimsoll init`: a `plimsoll.toml` from what is found in a repository.
//!
//! [`inspect`] looks, [`template`] writes; the second is pure.

mod inspect;
mod template;

pub use inspect::inspect;
pub use template::template;

/// What a repository says about its service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Name of the folder.
    pub folder: String,
    /// What it is written in, as far as that can be seen.
    pub language: Option<Language>,
    /// Path of a Dockerfile.
    pub dockerfile: Option<String>,
    /// Path of an OpenAPI document.
    pub openapi: Option<String>,
    /// Path of a folder of SQL migrations.
    pub migrations: Option<String>,
    /// The branch that is checked out.
    pub branch: Option<String>,
    /// URL of the git remote `origin`.
    pub remote: Option<String>,
}

/// A language, with what its build leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Language {
    /// `Cargo.toml`.
    Rust {
        /// The package, and the program that it builds.
        binary: String,
        /// Whether `Cargo.lock` is there.
        locked: bool,
    },
    /// `go.mod`.
    Go {
        /// Last part of the module's path.
        module: String,
    },
    /// `package.json`.
    Node {
        /// Name of the package, without its scope.
        package: Option<String>,
    },
    /// `pyproject.toml`.
    Python {
        /// Name of the project.
        project: Option<String>,
    },
}
