//! A Kubernetes cluster for tests, in process: an API server on a free port of
//! loopback with its controllers, scheduler and kubelets, on virtual time. It
//! behaves like the real one where a client of workloads notices.
//!
//! ```no_run
//! use plimsoll_testkit_cluster::{Behaviour, Cluster, Fault, Settings};
//! let cluster = Cluster::start(Settings::default());
//! cluster.image("registry.test/shop@sha256:aa", Behaviour::starts_after(2_000));
//! cluster.image("registry.test/shop@sha256:bb", Behaviour::exits_after(500, 1).with_log(&["no database"]));
//! cluster.apply_yaml("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n");
//! cluster.fault("PATCH", "/deployments/").then(Fault::Conflict);
//! // Here the client under test works against `cluster.url()`.
//! cluster.settle_until(60_000, |cluster| !cluster.list("pods", "shop").is_empty());
//! ```
//!
//! # Time
//! Nothing happens by itself but at a virtual time, which [`Cluster::advance`]
//! and [`Cluster::settle_until`] move ([`Pace::Manual`]). For a client that
//! waits for what the cluster does, [`Pace::WhenIdle`] moves it to the next
//! event whenever no request has been at work for some milliseconds, and
//! [`Pace::Real`] lets it pass as it does. Clocks of the client are its own.
//! The same seed and the same requests in the same order are the same history.
//!
//! # Like the real one
//! Compared with kube-apiserver 1.36, request by request: status codes, reasons
//! and messages, `managedFields`, conflicts of applies, defaults of workloads.
//! * `resourceVersion`, `uid`, `generation`, optimistic concurrency, dry runs,
//!   writes that change nothing.
//! * JSON, merge and strategic merge patches; server-side apply with owners,
//!   conflicts, force and pruning. The table of lists and their keys is in
//!   `schema.rs`.
//! * Lists in pages of one moment, selectors, watches with bookmarks, streamed
//!   lists, 410 in the stream and before it.
//! * Deletion with grace, finalizers, preconditions and the three kinds of
//!   propagation; namespaces; evictions under disruption budgets; quotas.
//! * Roles and bindings, service accounts by token, access reviews.
//! * Deployments (rolling, recreate, paused, scaled in the middle, deadline,
//!   revisions), replica sets, stateful sets, jobs, endpoints, scheduling by
//!   resources, taints and node selectors, lost nodes.
//! * Containers: pulls, crash loops with their pauses, probes, init containers,
//!   missing Secrets and ConfigMaps, grace and `preStop` that sleeps; events
//!   in the words of the components.
//!
//! # Unlike the real one
//! * Objects have no schema: unknown fields are kept, types are not checked,
//!   and of the rules of validation there are only those that are tested.
//!   Defaults exist for workloads, services and what they consist of.
//! * JSON and YAML only, no protobuf, no tables, no OpenAPI schemas; HTTP/1.1.
//! * One version of each group. No custom resources: their groups are 404.
//! * Faults are calls of the test ([`Cluster::fault`]), and webhooks may be
//!   functions ([`Cluster::webhook`]). Registered webhooks are called over TLS by
//!   their URL, not by Service. Autoscalers are kept, and scale nothing.
//! * Hashes in names differ, and controllers need no time unless
//!   [`Settings::controller_delay`] says so. No leases, no volumes, no quality
//!   of service under pressure, no affinity between pods.
//! * The kubelet takes from images what [`Behaviour`] says, and runs nothing.
//! * Requests through a Service are calls ([`Cluster::request`],
//!   [`Cluster::begin_load`]), not packets. `pods/NAME:PORT/proxy/PATH` answers what
//!   the image's [`Behaviour::serving`] does, whatever the port.
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
