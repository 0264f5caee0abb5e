//! `plimsoll init`: a `plimsoll.toml` from what is found in a repository.
//!
//! [`inspect`] looks, [`template`] writes; the second is pure.

mod cluster;
mod inspect;
mod manifests;
mod template;

use std::collections::BTreeMap;

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
    /// What its Kubernetes manifests name.
    pub manifests: Manifests,
}

/// What Kubernetes manifests name, by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifests {
    /// Deployments and StatefulSets.
    pub workloads: Vec<WorkloadFound>,
    /// Services.
    pub services: Vec<ServiceFound>,
}

/// A Deployment or StatefulSet of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadFound {
    /// Path of the manifest.
    pub path: String,
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its own, or that of the kustomization beside it.
    pub namespace: Option<String>,
    /// Names of its containers, in order.
    pub containers: Vec<String>,
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
}

/// A Service of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceFound {
    /// Path of the manifest.
    pub path: String,
    /// Its name.
    pub name: String,
    /// As of a workload.
    pub namespace: Option<String>,
    /// Labels of the pods that it selects.
    pub selector: BTreeMap<String, String>,
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
