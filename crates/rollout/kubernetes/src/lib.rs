//! Target `kubernetes`: an existing Deployment or StatefulSet and the Service
//! in front of it, driven by server-side apply.

mod api;
mod check;
mod converge;
mod diagnosis;
mod drift;
mod error;
mod init;
mod job;
mod manifest;
pub mod names;
mod observe;
mod output;
mod pages;
mod record;
mod target;
mod view;
mod watch;
mod workload;

pub use api::client;
pub use diagnosis::{Finding, diagnose, event_lines, not_created};
pub use drift::{Astray, Drift, DriftFacts, Moving, OfRollout, Recorded, RunningPod};
pub use error::{KubernetesError, Operation};
pub use init::{Purpose, Rule, Settings, manifests, rules};
pub use job::{JobEnd, JobSpec};
pub use pages::PAGES;
pub use target::{KubernetesTarget, MetricsAt, Options, ServingPod, SideBySide, Survey};
pub use workload::{ChangedBy, Counts, Workload, WorkloadKind};
