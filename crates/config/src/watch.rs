//! `[environments.<name>.watch]`: what is compared between two releases, where
//! it is read from, and what comes of it (DEP-6).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::environment::TargetKind;
use crate::error::{Problem, ProblemKind};
use crate::secret::SecretSource;
use crate::table::Table;
use crate::values;

/// `[environments.<name>.watch]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Watch {
    /// How long the new release is watched: beside the old one where metrics are
    /// declared and the target can share requests, else after it took them all.
    /// Default: 5m.
    pub bake: Duration,
    /// Between two looks at the metrics. Default: 10s.
    pub interval: Duration,
    /// How long a difference has to be seen before it decides. Default: 45s.
    pub persist: Duration,
    /// What to do when comparing has shown too little to say. Default: promote.
    pub on_insufficient_data: OnInsufficientData,
    /// How long to go on comparing after `bake` for want of data. Default: 0s.
    pub wait: Duration,
    /// The new release's part of the requests while both serve, between 0 and 1.
    /// Default: in proportion to the replicas.
    pub share: Option<f64>,
    /// What is compared between the old release and the new.
    pub metrics: Vec<Metric>,
    /// `[environments.<name>.watch.prometheus]`; needed where a metric is read there.
    pub prometheus: Option<Prometheus>,
    /// `[environments.<name>.watch.traces]`; needed where a metric counts spans.
    pub traces: Option<Traces>,
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
    /// Selector of a counter or a histogram; of a Prometheus server an expression.
    pub query: String,
    /// Selector of the denominator. Default: none, the query is taken per second.
    pub of: Option<String>,
    /// Where it is read. Default: the replicas, or whose counters `query` names.
    pub source: Source,
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

/// Where a [`Metric`] is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `replicas`: each replica's own metrics.
    Replicas,
    /// `switch`: the counters of the traffic switch.
    Switch,
    /// `prometheus`: a Prometheus server.
    Prometheus,
    /// `traces`: spans that are sent over OTLP.
    Traces,
}

/// Which direction of a [`Metric`] is a regression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// More is worse: errors.
    Higher,
    /// Less is worse: successes.
    Lower,
}

/// `[environments.<name>.watch.prometheus]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    /// Where its API is, as `https://prometheus.example.com`.
    pub url: String,
    /// The label that tells releases apart: its value is the commit, its first
    /// twelve digits, or the image's digest.
    pub label: String,
    /// The label that tells replicas apart. Default: `instance`.
    pub replica: String,
    /// How often it scrapes; windows are twice as long. Default: 1m.
    pub scrape_interval: Duration,
    /// Bearer token. Default: none.
    pub token: Option<SecretSource>,
    /// Certificates (PEM) that its own is signed by, relative to
    /// `plimsoll.toml`. Default: those of the system.
    pub ca: Option<PathBuf>,
}

/// `[environments.<name>.watch.traces]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    /// Where spans are received while the rollout compares.
    pub listen: SocketAddr,
    /// The resource attribute that tells releases apart, as
    /// [`Prometheus::label`] does. Default: `service.version`.
    pub attribute: String,
}

const DIRECTIONS: [(&str, Worse); 2] = [("higher", Worse::Higher), ("lower", Worse::Lower)];

const SOURCES: [(&str, Source); 4] = [
    ("replicas", Source::Replicas),
    ("switch", Source::Switch),
    ("prometheus", Source::Prometheus),
    ("traces", Source::Traces),
];

const ON_INSUFFICIENT_DATA: [(&str, OnInsufficientData); 3] = [
    ("promote", OnInsufficientData::Promote),
    ("hold", OnInsufficientData::Hold),
    ("go-back", OnInsufficientData::GoBack),
];

/// `[environments.<name>.watch]` of an environment with this target.
pub(crate) fn watch(mut table: Table<'_>, target: Option<TargetKind>) -> Option<Watch> {
    let bake = table.or("bake", "5m", values::duration);
    let interval = table.or("interval", "10s", values::some_time);
    let persist = table.or("persist", "45s", values::some_time);
    let on_insufficient_data =
        table.or("on_insufficient_data", "promote", values::choice(&ON_INSUFFICIENT_DATA));
    let wait = table.or("wait", "0s", values::duration);
    let share = table.opt("share", values::part);
    let metrics: Vec<Metric> = table.tables("metrics").into_iter().filter_map(metric).collect();
    for (at, metric) in metrics.iter().enumerate() {
        if metrics[..at].iter().any(|other| other.name == metric.name) {
            let message = format!("two metrics are called `{}`", metric.name.escape_debug());
            table.conflict(message, "give each its own name: verdicts are told apart by it");
        }
    }
    let prometheus = table.table("prometheus").map(prometheus);
    let traces = table.table("traces").map(traces);
    let read = |source| metrics.iter().find(|metric| metric.source == source);
    for (source, key, given) in [
        (Source::Prometheus, "prometheus", prometheus.is_some()),
        (Source::Traces, "traces", traces.is_some()),
    ] {
        if let Some(metric) = read(source).filter(|_| !given) {
            let needs = if key == "traces" { "listen = \"127.0.0.1:4318\"" } else { "url, label" };
            table.missing(
                key,
                format!(
                    "metric `{}` is read there: add `[{}.{key}]` with {needs}",
                    metric.name,
                    table.path()
                ),
            );
        }
    }
    if let Some(metric) = read(Source::Switch).filter(|_| target == Some(TargetKind::Kubernetes)) {
        table.conflict(
            format!(
                "metric `{}` is read of the traffic switch, which target `kubernetes` has none of",
                metric.name
            ),
            "write `source = \"replicas\"`, `\"prometheus\"` or `\"traces\"`",
        );
    }
    table.finish();
    Some(Watch {
        bake: bake?,
        interval: interval?,
        persist: persist?,
        on_insufficient_data: on_insufficient_data?,
        wait: wait?,
        share,
        metrics,
        prometheus: crate::project::all_or_nothing(prometheus)?,
        traces: crate::project::all_or_nothing(traces)?,
    })
}

fn metric(mut table: Table<'_>) -> Option<Metric> {
    let name = table.need("name", "\"payout failures\"", values::words);
    let query = table.need("query", "'payout_attempts_total{result=\"failed\"}'", values::words);
    let of = table.opt("of", values::words);
    let named = match query.as_deref() {
        Some(query) if query.starts_with("plimsoll_switch_") => "switch",
        Some(query) if query.starts_with("plimsoll_span") => "traces",
        _ => "replicas",
    };
    let source = table.or("source", named, values::choice(&SOURCES));
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
        source: source?,
        worse: worse?,
        bound,
        quantile,
        limit,
        min_ratio: min_ratio?,
        min_excess,
    })
}

fn prometheus(mut table: Table<'_>) -> Option<Prometheus> {
    let url = table.need("url", "\"http://127.0.0.1:9090\"", values::web_address);
    let label = table.need("label", "\"image_sha\"", values::metric_label);
    let replica = table.or("replica", "instance", values::metric_label);
    let scrape_interval = table.or("scrape_interval", "1m", values::some_time);
    let token = table.opt_shown("token", values::secret, |_, token| token.to_string());
    let ca = table.opt("ca", values::relative_path);
    let plain = url.as_deref().is_some_and(|url| url.starts_with("http://") && !values::is_loopback(url));
    if plain && token.is_some() {
        let at = table.place();
        let message = "the token would go over plain http to another machine".to_owned();
        table.push(Problem::new(ProblemKind::Conflict, &at, message).hint("write `https://`"));
    }
    table.finish();
    Some(Prometheus {
        url: url?,
        label: label?,
        replica: replica?,
        scrape_interval: scrape_interval?,
        token,
        ca,
    })
}

fn traces(mut table: Table<'_>) -> Option<Traces> {
    let listen = table.need("listen", "\"127.0.0.1:4318\"", values::listen);
    let attribute = table.or("attribute", "service.version", values::words);
    table.finish();
    Some(Traces { listen: listen?, attribute: attribute? })
}
