//! `[environments.<name>]`: where a release runs, and how it gets there.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_model::{RepositoryType, Strategy};

use crate::error::{Problem, ProblemKind};
use crate::policy::{self, Policy};
use crate::record::{self, Database};
use crate::table::Table;
use crate::values;
use crate::watch::{self, Watch};

/// One environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its name: a DNS label, as in `[environments.production]`.
    pub name: String,
    /// Which repository its images must come from. Default: canonical.
    pub repository: RepositoryType,
    /// Default: rolling.
    pub strategy: Strategy,
    /// Instances that serve when nothing moves, at least 1. Default: 2.
    pub replicas: u32,
    /// Instances that may be missing during a rollout, from 1 to `replicas`.
    /// Default: 1.
    pub max_unavailable: u32,
    /// Refuse images that were not built clean (BLD-1). Default: true.
    pub clean_build: bool,
    /// Time limits of a rollout.
    pub bounds: Bounds,
    /// What runs the replicas.
    pub target: Target,
    /// `[environments.<name>.watch]`; none: nothing is watched.
    pub watch: Option<Watch>,
    /// Its database, in place of `[migrations] database`. Default: that one.
    pub database: Option<Database>,
    /// `[environments.<name>.policy]`, over `[policy]`.
    pub policy: Policy,
}

/// Time limits of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// `rollout_timeout`: from the first change to every replica ready. Default: 5m.
    pub rollout: Duration,
    /// `drain_timeout`: how long a replica may finish its requests. Default: 30s.
    pub drain: Duration,
    /// `probe_grace`: how long a starting replica may answer its health check
    /// with no before the rollout is stopped. Default: 30s.
    pub probe_grace: Duration,
    /// `keep_previous`: how long the old replicas of a blue/green rollout stay
    /// after the switch, so that going back is instant. Default: 1m.
    pub keep_previous: Duration,
}

/// What runs the replicas, with the keys that only it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The image's own files and entrypoint, as processes of this machine.
    Local(Local),
    /// Docker or Podman, by its API.
    Engine(Engine),
    /// A Kubernetes cluster.
    Kubernetes(Kubernetes),
}

/// The name of a [`Target`], as written after `target =`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// `local`
    Local,
    /// `engine`
    Engine,
    /// `kubernetes`
    Kubernetes,
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Engine => "engine",
            Self::Kubernetes => "kubernetes",
        })
    }
}

impl Target {
    /// Which one it is.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Local(_) => TargetKind::Local,
            Self::Engine(_) => TargetKind::Engine,
            Self::Kubernetes(_) => TargetKind::Kubernetes,
        }
    }
}

/// Keys of `target = "local"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where users connect. Needed.
    pub listen: SocketAddr,
    /// Path that answers 2xx when a replica may serve. Default: `/healthz`.
    pub health: String,
    /// `NAME=value` lines for the replicas, relative to `plimsoll.toml`. Default: none.
    pub env_file: Option<PathBuf>,
}

/// Keys of `target = "engine"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// The API's socket, absolute; written `unix:///run/podman/podman.sock`.
    /// Default: `/var/run/docker.sock`.
    pub socket: PathBuf,
    /// Where users connect. Needed.
    pub listen: SocketAddr,
    /// Port the service listens on in its container. Default: 8080.
    pub port: u16,
    /// Path that answers 2xx when a replica may serve. Default: `/healthz`.
    pub health: String,
    /// `NAME=value` lines for the replicas, relative to `plimsoll.toml`. Default: none.
    pub env_file: Option<PathBuf>,
}

/// `[environments.<name>.kubernetes]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// Context of the kubeconfig. Default: its current one.
    pub context: Option<String>,
    /// How long the kubeconfig's login, such as an exec plugin, may take. Default: 30s.
    pub login_timeout: Duration,
    /// Default: `default`.
    pub namespace: String,
    /// The Deployment. Default: the service's name.
    pub deployment: String,
    /// The container of its pods. Default: the service's name.
    pub container: String,
    /// Whether `container` is written there: a default is no choice between two
    /// containers of the same image.
    pub container_is_named: bool,
    /// The Service that selects them. Default: the service's name.
    pub service: String,
    /// `[environments.<name>.kubernetes.migrate]`; none: migrations are run from
    /// where Plimsoll runs.
    pub migrate: Option<MigrateJob>,
    /// Where the pods' own metrics are. Default: as their annotations
    /// `prometheus.io/…` or their container's ports say.
    pub metrics: PodMetrics,
    /// How pods are asked for them. Default: by trying.
    pub metrics_via: MetricsVia,
}

/// `metrics = ":9090/metrics"`: a port, a path, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodMetrics {
    /// The port.
    pub port: Option<u16>,
    /// The path.
    pub path: Option<String>,
}

/// How a pod's metrics are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsVia {
    /// `auto`: the pod itself, and through the API server where that cannot be reached.
    Auto,
    /// `pod`: the pod itself, by its address.
    Pod,
    /// `api`: through the API server (`pods/proxy`).
    Api,
}

/// `[environments.<name>.kubernetes.migrate]`: the release's own image runs its
/// migrations, as a Job of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateJob {
    /// In place of the image's entrypoint. Default: that one.
    pub command: Vec<String>,
    /// In place of the image's arguments. Default: those. One of the two is needed.
    pub args: Vec<String>,
    /// Whether the command runs no other files than `PLIMSOLL_MIGRATIONS` lists.
    /// Default: false.
    pub only_listed: bool,
    /// The Job is ended when it takes longer. Default: 10m.
    pub timeout: Duration,
}

/// Keys of one target only, and whose they are.
const KEYS_OF_TARGETS: [(&str, &[TargetKind]); 6] = [
    ("kubernetes", &[TargetKind::Kubernetes]),
    ("socket", &[TargetKind::Engine]),
    ("port", &[TargetKind::Engine]),
    ("listen", &[TargetKind::Local, TargetKind::Engine]),
    ("health", &[TargetKind::Local, TargetKind::Engine]),
    ("env_file", &[TargetKind::Local, TargetKind::Engine]),
];

/// `[environments]`; `service` is what Kubernetes objects are called by default.
pub(crate) fn environments(
    mut table: Table<'_>,
    service: &str,
    policy: &Policy,
) -> BTreeMap<String, Environment> {
    let mut environments = BTreeMap::new();
    for (name, at, inner) in table.named_tables() {
        if !values::is_label(&name) {
            let message = format!("`{}` cannot be the name of an environment", name.escape_debug());
            let hint = "1 to 63 lower-case letters, digits and `-`, with no `-` at either end";
            inner.push(Problem::new(ProblemKind::BadValue, &at, message).hint(hint));
        }
        if let Some(environment) = environment(&name, inner, service, policy) {
            environments.insert(name, environment);
        }
    }
    environments
}

fn environment(name: &str, mut table: Table<'_>, service: &str, policy: &Policy) -> Option<Environment> {
    let repository = table.or("repository", "canonical", values::choice(&REPOSITORIES));
    let kind = table.need("target", "\"local\"", values::choice(&TARGETS));
    let strategy = table.or("strategy", "rolling", values::choice(&STRATEGIES));
    let replicas = table.or("replicas", "2", values::number(1, 1_000));
    let max_unavailable = table.or("max_unavailable", "1", values::number(1, 1_000));
    if let (Some(replicas), Some(max_unavailable)) = (replicas, max_unavailable)
        && max_unavailable > replicas
    {
        table.conflict(
            format!("`max_unavailable` is {max_unavailable}, more than the {replicas} `replicas`"),
            format!("write a number from 1 to {replicas}"),
        );
    }
    let clean_build = table.or("clean_build", "true", values::boolean);
    let rollout = table.or("rollout_timeout", "5m", values::some_time);
    let drain = table.or("drain_timeout", "30s", values::duration);
    let probe_grace = table.or("probe_grace", "30s", values::duration);
    let keep_previous = table.or("keep_previous", "1m", values::duration);
    let target = kind.and_then(|kind| target(kind, &mut table, service));
    let watch = table.table("watch").map(|table| watch::watch(table, kind));
    let database = record::database(&mut table);
    if let (Some(_), Some(Target::Kubernetes(Kubernetes { migrate: Some(_), .. }))) = (&database, &target) {
        table.conflict(
            "`database` and `[kubernetes.migrate]` exclude each other: a Job runs the migrations where the database \
             cannot be reached from here",
            "leave one of them out",
        );
    }
    let policy = policy::of_environment(table.table("policy"), policy);
    table.finish();
    Some(Environment {
        name: name.into(),
        repository: repository?,
        strategy: strategy?,
        replicas: replicas?,
        max_unavailable: max_unavailable?,
        clean_build: clean_build?,
        bounds: Bounds {
            rollout: rollout?,
            drain: drain?,
            probe_grace: probe_grace?,
            keep_previous: keep_previous?,
        },
        target: target?,
        watch: crate::project::all_or_nothing(watch)?,
        database,
        policy: policy?,
    })
}

const REPOSITORIES: [(&str, RepositoryType); 2] =
    [("canonical", RepositoryType::Canonical), ("staging", RepositoryType::Staging)];

const STRATEGIES: [(&str, Strategy); 2] =
    [("rolling", Strategy::Rolling), ("blue-green", Strategy::BlueGreen)];

const METRICS_VIA: [(&str, MetricsVia); 3] =
    [("auto", MetricsVia::Auto), ("pod", MetricsVia::Pod), ("api", MetricsVia::Api)];

const TARGETS: [(&str, TargetKind); 3] =
    [("kubernetes", TargetKind::Kubernetes), ("engine", TargetKind::Engine), ("local", TargetKind::Local)];

fn target(kind: TargetKind, table: &mut Table<'_>, service: &str) -> Option<Target> {
    for (key, owners) in KEYS_OF_TARGETS {
        if table.has(key) && !owners.contains(&kind) {
            let owners: Vec<_> = owners.iter().map(|owner| format!("`{owner}`")).collect();
            let message = format!("`{key}` is for target {}; this one is `{kind}`", owners.join(" or "));
            table.reject(key, message);
        }
    }
    match kind {
        TargetKind::Kubernetes => {
            table.table_or_empty("kubernetes").and_then(|table| kubernetes(table, service))
        }
        TargetKind::Local => {
            let listen = table.need("listen", "\"127.0.0.1:8080\"", values::listen);
            let health = table.or("health", "/healthz", values::url_path);
            let env_file = table.opt("env_file", values::relative_path);
            Some(Target::Local(Local { listen: listen?, health: health?, env_file }))
        }
        TargetKind::Engine => {
            let socket = table.or("socket", "unix:///var/run/docker.sock", values::socket);
            let listen = table.need("listen", "\"127.0.0.1:8080\"", values::listen);
            let port = table.or("port", "8080", values::number(1, u16::MAX.into()));
            let health = table.or("health", "/healthz", values::url_path);
            let env_file = table.opt("env_file", values::relative_path);
            Some(Target::Engine(Engine {
                socket: socket?,
                listen: listen?,
                port: u16::try_from(port?).ok()?,
                health: health?,
                env_file,
            }))
        }
    }
}

fn kubernetes(mut table: Table<'_>, service: &str) -> Option<Target> {
    let context = table.opt("context", values::words);
    let login_timeout = table.or("login_timeout", "30s", values::some_time);
    let namespace = table.or("namespace", "default", values::label);
    let deployment = table.or("deployment", service, values::object_name);
    let container = table.or("container", service, values::label);
    let container_is_named = table.given("container");
    let service = table.or("service", service, values::label);
    let metrics = table.opt("metrics", values::pod_metrics);
    let metrics_via = table.or("metrics_via", "auto", values::choice(&METRICS_VIA));
    let migrate = table.table("migrate").map(migrate_job);
    table.finish();
    Some(Target::Kubernetes(Kubernetes {
        context,
        login_timeout: login_timeout?,
        namespace: namespace?,
        deployment: deployment?,
        container: container?,
        container_is_named,
        service: service?,
        metrics: metrics.unwrap_or_default(),
        metrics_via: metrics_via?,
        migrate: crate::project::all_or_nothing(migrate)?,
    }))
}

fn migrate_job(mut table: Table<'_>) -> Option<MigrateJob> {
    let arguments = || values::list("[\"/usr/local/bin/payouts\", \"migrate\"]", values::text);
    let command = table.or("command", "[]", arguments());
    let args = table.or("args", "[]", arguments());
    let only_listed = table.or("only_listed", "false", values::boolean);
    let timeout = table.or("timeout", "10m", values::some_time);
    if let (Some([]), Some([])) = (command.as_deref(), args.as_deref()) {
        table.conflict(
            "neither `command` nor `args` says what runs the migrations",
            "write `args = [\"migrate\"]`, or `command = [\"/usr/local/bin/…\", \"migrate\"]`",
        );
    }
    table.finish();
    Some(MigrateJob { command: command?, args: args?, only_listed: only_listed?, timeout: timeout? })
}
