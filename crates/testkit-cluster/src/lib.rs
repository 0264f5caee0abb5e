//! A Kubernetes API server for tests, in process, on a free port of loopback:
//! it behaves like the real one where a client of workloads notices.
//!
//! ```no_run
//! use plimsoll_testkit_cluster::{Behaviour, Cluster, Settings};
//! let cluster = Cluster::start(Settings::default());
//! cluster.image("registry.test/shop@sha256:aa", Behaviour::starts_after(2_000));
//! cluster.apply_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n");
//! cluster.advance(5_000);
//! ```
//!
//! A development dependency only; nothing that ships depends on it.

mod api;
mod apply;
mod cluster;
mod controllers;
mod failure;
mod faults;
mod kinds;
mod kubelet;
mod object;
mod patch;
mod schema;
mod selector;
mod server;
mod settings;
mod store;
mod tls;
mod traffic;
mod world;

pub use api::access::Forbid;
pub use api::admission::Verdict;
pub use api::{Actor, Review, Verb};
pub use cluster::Cluster;
pub use failure::Failure;
pub use faults::{Chaos, Fault, Seen, When};
pub use kinds::Kind;
pub use kubelet::Behaviour;
pub use settings::{Node, Pace, Settings};
pub use traffic::{Load, Outcome};

/// The version that the server says it is.
pub const VERSION: &str = "v1.36.0";
