//! What an environment declares to be watched: read, and tried, before anything
//! moves.

use plimsoll_config::{Environment, Metric, OnInsufficientData, SecretContext, Source, Target, Worse};
use plimsoll_health::{Effect, InsufficientData, Latency, Then};
use plimsoll_model::{Digest, Failure, Release};
use plimsoll_rollout_core::Canary;
use plimsoll_watch::otlp::Spans;
use plimsoll_watch::prometheus::{Access, Expression, Releases};
use plimsoll_watch::{Bounds, Declaration, Prometheus, Query};

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;

/// A bundle of all public authorities has a quarter of that.
const MOST_CA_BYTES: u64 = 1 << 20;

/// How long both releases of a deployment are to serve side by side, in seconds.
pub(crate) fn compare_sec(environment: &Environment) -> u32 {
    match &environment.watch {
        Some(watch) if !watch.metrics.is_empty() => u32::try_from(watch.bake.as_secs()).unwrap_or(u32::MAX),
        _ => 0,
    }
}

/// What is to happen when comparing shows too little to say.
pub(crate) fn insufficient_data(environment: &Environment) -> InsufficientData {
    let Some(watch) = &environment.watch else { return InsufficientData::default() };
    InsufficientData {
        wait_sec: u32::try_from(watch.wait.as_secs()).unwrap_or(u32::MAX),
        then: match watch.on_insufficient_data {
            OnInsufficientData::Promote => Then::Promote,
            OnInsufficientData::Hold => Then::Hold,
            OnInsufficientData::GoBack => Then::GoBack,
        },
    }
}

/// The new release's part of the requests while both serve, where one is
/// declared. A cluster's Service sends requests to all pods alike.
pub(crate) fn canary(environment: &Environment) -> Option<Canary> {
    let share = environment.watch.as_ref()?.share?;
    // From 1 to 999: the configuration takes nothing else.
    let permille = (share * 1_000.0).round() as u32;
    Some(Canary { permille, by_instances: matches!(environment.target, Target::Kubernetes(_)) })
}

/// What is declared, read, by where it is to be looked at.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) replicas: Vec<Query>,
    pub(super) switch: Vec<Query>,
    pub(super) prometheus: Vec<Expression>,
    pub(super) traces: Vec<Query>,
}

impl Declared {
    /// Reads what is declared.
    ///
    /// # Errors
    /// A selector is none, or what is declared contradicts itself.
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let mut declared = Self::default();
        for metric in environment.watch.iter().flat_map(|watch| &watch.metrics) {
            let declaration = declaration(metric);
            match metric.source {
                Source::Replicas => declared.replicas.push(Query::new(&declaration)?),
                Source::Switch => declared.switch.push(Query::new(&declaration)?),
                Source::Traces => declared.traces.push(Query::new(&declaration)?),
                Source::Prometheus => declared.prometheus.push(Expression::new(&declaration)?),
            }
        }
        Ok(declared)
    }
}

fn declaration(metric: &Metric) -> Declaration {
    let latency = metric.bound.map(Latency::Above).or(metric.quantile.map(Latency::Quantile));
    Declaration {
        worse: match metric.worse {
            Worse::Higher => plimsoll_health::Worse::Higher,
            Worse::Lower => plimsoll_health::Worse::Lower,
        },
        latency,
        effect: Effect { ratio: metric.min_ratio, excess: metric.min_excess },
        limit: metric.limit,
        ..Declaration::new(&metric.name, &metric.query, metric.of.as_deref())
    }
}

/// Reads what is declared, has a Prometheus server evaluate its expressions, and
/// tries the address for spans: whatever would leave the release unwatched is
/// found before anything moves.
///
/// # Errors
/// What is declared is wrong, or where it is to be read cannot be asked.
pub(crate) async fn check(context: &Context, environment: &Environment) -> Result<(), Failure> {
    let declared = Declared::of(environment)?;
    if compare_sec(environment) == 0 {
        return Ok(());
    }
    if let Some(server) = prometheus(context, environment, declared.prometheus, Vec::new()).await? {
        server.check().await?;
    }
    // It is free again at once; what takes it meanwhile is found when it is needed.
    drop(spans(environment, declared.traces, Vec::new()).await?);
    Ok(())
}

/// What a label or an attribute may say of a release.
pub(super) fn told(release: &Release) -> (Digest, Vec<String>) {
    let sha = release.sha();
    (release.digest(), vec![sha.to_string(), sha.short().to_owned(), release.digest().to_string()])
}

/// The Prometheus server; nothing where no metric is read there.
pub(super) async fn prometheus(
    context: &Context,
    environment: &Environment,
    expressions: Vec<Expression>,
    values: Vec<(Digest, Vec<String>)>,
) -> Result<Option<Prometheus>, Failure> {
    let configured = environment.watch.as_ref().and_then(|watch| watch.prometheus.clone());
    let Some(configured) = configured.filter(|_| !expressions.is_empty()) else { return Ok(None) };
    let root = context.root().to_owned();
    let (token, ca) = (configured.token.clone(), configured.ca.clone());
    let access = blocking("reading the token for Prometheus", move || {
        let token = token.map(|token| token.resolve(&SecretContext::of_process(&root))).transpose()?;
        let read = |path: std::path::PathBuf| {
            let path = root.join(path);
            crate::contract::bounded(&path, MOST_CA_BYTES)
                .map_err(|source| PipelineError::Material { path, source })
        };
        Ok::<_, Failure>(Access { token, ca: ca.map(read).transpose()? })
    })
    .await??;
    let releases = Releases { label: configured.label, values, replica: configured.replica };
    Ok(Some(Prometheus::new(&configured.url, access, expressions, releases, Bounds::default())?))
}

/// The receiver of spans; nothing where no metric counts any.
pub(super) async fn spans(
    environment: &Environment,
    queries: Vec<Query>,
    values: Vec<(Digest, Vec<String>)>,
) -> Result<Option<Spans>, Failure> {
    let configured = environment.watch.as_ref().and_then(|watch| watch.traces.clone());
    let Some(configured) = configured.filter(|_| !queries.is_empty()) else { return Ok(None) };
    Ok(Some(Spans::listen(configured.listen, &configured.attribute, values, queries).await?))
}
