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
    /// Default: `default`.
    pub namespace: String,
    /// The Deployment. Default: the service's name.
    pub deployment: String,
    /// The container of its pods. Default: the service's name.
    pub container: String,
    /// The Service that selects them. Default: the service's name.
    pub service: String,
}

/// `[environments.<name>.watch]` (DEP-6).
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// How long the new release is watched: beside the old one where metrics are
    /// declared and the target can share requests, else after it took them all.
    /// Default: 5m.
    pub bake: Duration,
    /// Between two looks at the metrics. Default: 10s.
    pub interval: Duration,
    /// What to do when comparing has shown too little to say. Default: promote.
    pub on_insufficient_data: OnInsufficientData,
    /// How long to go on comparing after `bake` for want of data. Default: 0s.
    pub wait: Duration,
    /// What is compared between the old release and the new.
    pub metrics: Vec<Metric>,
}

/// What to do when nobody can tell whether the new release is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInsufficientData {
    /// `promote`: it takes over, recorded as not proven.
    Promote,
    /// `hold`: both go on serving, and a person decides.
    Hold,
    /// `go-back`: the old release alone serves again.
    GoBack,
}

/// `[[environments.<name>.watch.metrics]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What to call it.
    pub name: String,
    /// Selector of a counter in the replicas' own `/metrics`.
    pub query: String,
    /// Selector of the denominator. Default: none, the query is taken per second.
    pub of: Option<String>,
    /// Which direction is a regression. Default: higher.
    pub worse: Worse,
    /// Of a histogram: what takes longer than this is too slow, in its own unit.
    pub bound: Option<f64>,
    /// Of a histogram: what takes longer than this share of the old release's
    /// observations did is too slow.
    pub quantile: Option<f64>,
    /// A rate that the new release may not exceed whatever the old one does.
    /// Default: none.
    pub limit: Option<f64>,
    /// The least ratio of the rates that is a regression, at least 1. Default: 1.5.
    pub min_ratio: f64,
    /// The least difference of the rates that is one. Default: 0.001 of shares
    /// and of histograms, 0 of the others.
    pub min_excess: Option<f64>,
}

/// Which direction of a [`Metric`] is a regression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// More is worse: errors.
    Higher,
    /// Less is worse: successes.
    Lower,
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
    let watch = table.table("watch").map(watch);
    let database = record::database(&mut table);
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

const TARGETS: [(&str, TargetKind); 3] =
    [("kubernetes", TargetKind::Kubernetes), ("engine", TargetKind::Engine), ("local", TargetKind::Local)];

const ON_INSUFFICIENT_DATA: [(&str, OnInsufficientData); 3] = [
    ("promote", OnInsufficientData::Promote),
    ("hold", OnInsufficientData::Hold),
    ("go-back", OnInsufficientData::GoBack),
];

const DIRECTIONS: [(&str, Worse); 2] = [("higher", Worse::Higher), ("lower", Worse::Lower)];

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
    let namespace = table.or("namespace", "default", values::label);
    let deployment = table.or("deployment", service, values::object_name);
    let container = table.or("container", service, values::label);
    let service = table.or("service", service, values::label);
    table.finish();
    Some(Target::Kubernetes(Kubernetes {
        context,
        namespace: namespace?,
        deployment: deployment?,
        container: container?,
        service: service?,
    }))
}

fn watch(mut table: Table<'_>) -> Option<Watch> {
    let bake = table.or("bake", "5m", values::duration);
    let interval = table.or("interval", "10s", values::some_time);
    let on_insufficient_data =
        table.or("on_insufficient_data", "promote", values::choice(&ON_INSUFFICIENT_DATA));
    let wait = table.or("wait", "0s", values::duration);
    let metrics: Vec<Metric> = table.tables("metrics").into_iter().filter_map(metric).collect();
    for (at, metric) in metrics.iter().enumerate() {
        if metrics[..at].iter().any(|other| other.name == metric.name) {
            let message = format!("two metrics are called `{}`", metric.name.escape_debug());
            table.conflict(message, "give each its own name: verdicts are told apart by it");
        }
    }
    table.finish();
    Some(Watch {
        bake: bake?,
        interval: interval?,
        on_insufficient_data: on_insufficient_data?,
        wait: wait?,
        metrics,
    })
}

fn metric(mut table: Table<'_>) -> Option<Metric> {
    let name = table.need("name", "\"payout failures\"", values::words);
    let query = table.need("query", "'payout_attempts_total{result=\"failed\"}'", values::words);
    let of = table.opt("of", values::words);
    let worse = table.or("worse", "higher", values::choice(&DIRECTIONS));
    let bound = table.opt("bound", values::positive);
    let quantile = table.opt("quantile", values::below_one);
    let limit = table.opt("limit", values::positive);
    let min_ratio = table.or("min_ratio", "1.5", values::at_least(1.0));
    let min_excess = table.opt("min_excess", values::at_least(0.0));
    let latency = [bound, quantile].into_iter().flatten().count();
    let contradiction = match (latency, &of, worse, limit) {
        (2, ..) => Some((
            "`bound` and `quantile` exclude each other",
            "a fixed bound, or the old release's own quantile",
        )),
        (1, Some(_), ..) => Some(("a histogram is its own denominator", "leave out `of`")),
        (1, _, Some(Worse::Lower), _) => {
            Some(("of observations that take too long, fewer cannot be worse", "leave out `worse`"))
        }
        (_, _, Some(Worse::Lower), Some(_)) => Some((
            "`limit` is for metrics of which more is worse",
            "leave out `limit`, or `worse = \"lower\"`",
        )),
        _ => None,
    };
    if let Some((message, hint)) = contradiction {
        table.conflict(message, hint);
    }
    table.finish();
    Some(Metric {
        name: name?,
        query: query?,
        of,
        worse: worse?,
        bound,
        quantile,
        limit,
        min_ratio: min_ratio?,
        min_excess,
    })
}
