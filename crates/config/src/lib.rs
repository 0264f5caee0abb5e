//! `plimsoll.toml`: typed, layered, and sure of where each value came from
//! (CFG-1, CFG-2).
//!
//! Layers, later wins: built-in default, `plimsoll.toml`, mounted files
//! (`--config FILE`, else `PLIMSOLL_CONFIG`), environment
//! (`PLIMSOLL_REPOSITORY__CANONICAL=…`), flags (`--set section.key=value`).
//!
//! There are two ways in, because an image is made of what its own commit
//! says while environments are what the operator says today:
//!
//! * [`Project::for_build`] reads the bytes of a commit's own `plimsoll.toml`
//!   and leaves its environments aside;
//! * [`Config::load`] finds and reads the working copy's.
//!
//! ```
//! use plimsoll_config::{Overlays, Project};
//!
//! let file = br#"
//!     [service]
//!     name = "payouts"
//!     [repository]
//!     canonical = "registry.example.com/acme/payouts"
//!     [build.dockerfile]
//!     path = "Dockerfile"
//! "#;
//! let overlays = Overlays::new().set("repository.main_branch=trunk");
//! let loaded = Project::for_build(file, &overlays)?;
//! assert_eq!(loaded.config.repository.main_branch, "trunk");
//! assert_eq!(loaded.origin("repository.main_branch").unwrap().to_string(), "--set");
//! # Ok::<(), plimsoll_config::ConfigError>(())
//! ```

mod content;
mod decode;
mod discover;
mod environment;
mod error;
mod layers;
mod node;
mod origin;
mod pages;
mod policy;
mod project;
mod record;
mod secret;
mod serve;
mod suggest;
mod table;
mod telemetry;
mod trust;
mod values;
mod watch;

pub mod init;

pub use content::{AllowedSecret, Ignored, Sbom, SbomPolicy, Secrets, Severity};
pub use decode::{Config, Loaded};
pub use discover::{FILE_NAME, MAX_FILE_BYTES, discover};
pub use environment::{
    Bounds, Engine, Environment, Kubernetes, Local, MetricsVia, MigrateJob, PodMetrics, Target, TargetKind,
};
pub use error::{ConfigError, Excerpt, Problem, ProblemKind};
pub use layers::{Overlays, RESERVED_VARIABLES, VARIABLE_PREFIX};
pub use origin::{Origin, Row};
pub use pages::PAGES;
pub use policy::{Demand, Policy};
pub use project::{
    Base, Build, Compression, CopyFile, Image, ImageSource, Mode, Port, Project, Protocol, Repositories,
    Service,
};
pub use record::{Contract, Database, DatabaseUrl, Ledger, MigrationLayout, Migrations, SqlDialect};
pub use secret::{SecretContext, SecretError, SecretSource};
pub use serve::{Admission, AdmissionMode, AdmissionTls, Answer, ExemptImage, RepositoryPattern, Serve};
pub use telemetry::{OtlpProtocol, Telemetry};
pub use trust::{Identity, Role, SignWith, Signing, TrustedKey, Verification, VerificationMode};
pub use watch::{Metric, OnInsufficientData, Prometheus, Source, Traces, Watch, Worse};
