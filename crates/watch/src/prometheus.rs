//! A Prometheus server, by its HTTP API: for releases whose replicas cannot be
//! asked themselves.
//!
//! Each expression is evaluated as an instant query (`/api/v1/query`), and each
//! element of the answer is a counter of one release, told by a label. The
//! watch does not ask for rates: it needs counts of both releases in the same
//! windows. The server scrapes every 15 to 60 seconds, so the windows of the
//! watch are to be at least twice as long ([`WINDOW_SEC`]).
//!
//! Source: Prometheus documentation, HTTP API, "Instant queries".

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_health::{Look, Metric, Point, Reading};
use plimsoll_model::{Digest, Lookup, Secret};
use reqwest::{Client, Url};
use serde::Deserialize;

use crate::exposition::Sample;
use crate::fetch::{self, Bounds, Proxy};
use crate::{BoxFuture, Declaration, Query, Replica, Source, WatchError};

/// Length of a window that suits a server which scrapes every minute or
/// oftener, in seconds.
pub const WINDOW_SEC: u32 = 120;

/// A metric whose expressions the server evaluates.
#[derive(Debug, Clone)]
pub struct Expression {
    /// What is judged.
    pub metric: Metric,
    /// Counters of the events.
    pub events: String,
    /// Counters of the denominator, where the metric has one.
    pub exposure: Option<String>,
}

impl From<&Query> for Expression {
    fn from(query: &Query) -> Self {
        let mut selectors = query.selectors().map(ToString::to_string);
        Self {
            metric: query.metric.clone(),
            events: selectors.next().unwrap_or_default(),
            exposure: selectors.next(),
        }
    }
}

/// Functions of PromQL that take the difference of a counter.
const RATES: [&str; 6] = ["rate", "irate", "increase", "delta", "idelta", "deriv"];

impl Expression {
    /// Reads a declaration for a server: selectors as for anybody, and whatever
    /// else only the server can read, as `sum by (pod, image_sha) (…)`. Of the
    /// latter the kind cannot be told from how they are written: with a
    /// denominator they are a ratio.
    ///
    /// # Errors
    /// When the options contradict each other, or it gives rates where counters
    /// are needed.
    pub fn new(declaration: &Declaration) -> Result<Self, WatchError> {
        let error = match Query::new(declaration) {
            Ok(query) => return Ok(Self::from(&query)),
            Err(error @ WatchError::Selector { .. }) => error,
            Err(error) => return Err(error),
        };
        let texts = || std::iter::once(declaration.query.as_str()).chain(declaration.of.as_deref());
        if let Some(function) = texts().find_map(rate_in) {
            return Err(WatchError::Declaration {
                metric: declaration.name.clone(),
                reason: format!(
                    "`{function}` gives a rate, and the watch needs the counter itself: it takes the differences of \
                     both releases over the same windows"
                ),
            });
        }
        if texts().any(|text| text.trim().is_empty()) {
            return Err(error);
        }
        // Everything but the selectors is as of any metric of that shape.
        let stand_in = |text: &str| if text.is_empty() { String::new() } else { "stand_in".to_owned() };
        let of = declaration.of.as_deref().map(|_| "denominator".to_owned());
        let shape = Declaration { query: stand_in(&declaration.query), of, ..declaration.clone() };
        Ok(Self {
            metric: Query::new(&shape)?.metric,
            events: declaration.query.clone(),
            exposure: declaration.of.clone(),
        })
    }
}

/// The first function in an expression that takes differences.
fn rate_in(expression: &str) -> Option<&'static str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    RATES.into_iter().find(|name| {
        expression.match_indices(name).any(|(at, _)| {
            let (before, after) = (&expression[..at], &expression[at + name.len()..]);
            !before.ends_with(word) && after.trim_start().starts_with('(')
        })
    })
}

/// How series tell which release they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Releases {
    /// The label.
    pub label: String,
    /// What its value may be for each release.
    pub values: Vec<(Digest, Vec<String>)>,
    /// The label that tells replicas apart, as `instance` or `pod`.
    pub replica: String,
}

/// How one gets at a server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Bearer token.
    pub token: Option<Secret>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca: Option<Vec<u8>>,
}

/// Asks a Prometheus server.
#[derive(Debug, Clone)]
pub struct Prometheus {
    client: Client,
    server: String,
    query: Url,
    token: Option<Secret>,
    expressions: Vec<Expression>,
    releases: Releases,
    bounds: Bounds,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    result_type: String,
    #[serde(default)]
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Element {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Why an expression gave nothing.
#[derive(Debug)]
enum Refusal {
    /// The server says the expression is wrong.
    Expression(String),
    /// It cannot be asked.
    Server(String),
}

impl Prometheus {
    /// Asks the server at `server`, as `http://prometheus:9090`; a path is
    /// kept, since servers may live under one.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(
        server: &str,
        access: Access,
        expressions: Vec<Expression>,
        releases: Releases,
        bounds: Bounds,
    ) -> Result<Self, WatchError> {
        let wrong = |reason: String| WatchError::Server { server: server.into(), reason };
        let base = format!("{}/", server.trim_end_matches('/'));
        let base = Url::parse(&base).map_err(|error| wrong(format!("it is no address: {error}")))?;
        if !["http", "https"].contains(&base.scheme()) {
            return Err(wrong("its address begins with neither http:// nor https://".into()));
        }
        let query = base.join("api/v1/query").map_err(|error| wrong(error.to_string()))?;
        let client = fetch::client(Proxy::System, access.ca.as_deref()).map_err(wrong)?;
        Ok(Self { client, server: server.into(), query, token: access.token, expressions, releases, bounds })
    }

    /// Has the server evaluate every expression, before anything moves.
    ///
    /// # Errors
    /// When it refuses one, or cannot be asked.
    pub async fn check(&self) -> Result<(), WatchError> {
        for expression in &self.expressions {
            for text in std::iter::once(&expression.events).chain(&expression.exposure) {
                self.evaluate(text, Timestamp::now()).await.map_err(|refusal| match refusal {
                    Refusal::Expression(reason) => WatchError::Expression {
                        server: self.server.clone(),
                        metric: expression.metric.name.clone(),
                        expression: text.clone(),
                        reason,
                    },
                    Refusal::Server(reason) => WatchError::Server { server: self.server.clone(), reason },
                })?;
            }
        }
        Ok(())
    }

    /// The elements of an instant vector at a moment.
    async fn evaluate(&self, expression: &str, at: Timestamp) -> Result<Vec<Sample>, Refusal> {
        let mut url = self.query.clone();
        url.query_pairs_mut()
            .append_pair("query", expression)
            .append_pair("time", &format!("{:.3}", at.as_millisecond() as f64 / 1000.0))
            .append_pair("timeout", &format!("{}ms", self.bounds.deadline.as_millis()));
        let mut request = self.client.get(url).header(http::header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.reveal());
        }
        let answer =
            fetch::fetch(request, self.bounds).await.map_err(|error| Refusal::Server(error.to_string()))?;
        let parsed: Answer = serde_json::from_slice(&answer.body).map_err(|_| {
            Refusal::Server(format!("it answers {} with something else than its API", answer.status))
        })?;
        let said = || parsed.error.clone().unwrap_or_else(|| format!("status {}", answer.status));
        // 400: bad parameters; 422: the expression cannot be executed.
        match answer.status {
            200 if parsed.status == "success" => {}
            400 | 422 => return Err(Refusal::Expression(said())),
            _ => return Err(Refusal::Server(said())),
        }
        let data = parsed.data.ok_or_else(|| Refusal::Server("its answer has no data".into()))?;
        if data.result_type != "vector" {
            return Err(Refusal::Expression(format!(
                "it gives a {}, not an instant vector",
                data.result_type
            )));
        }
        let elements: Vec<Element> = serde_json::from_value(data.result)
            .map_err(|error| Refusal::Server(format!("its answer cannot be read: {error}")))?;
        Ok(elements.into_iter().map(sample).collect())
    }

    /// What each metric is at one moment, or why nobody knows.
    async fn evaluate_all(&self, at: Timestamp) -> Vec<Lookup<(Vec<Sample>, Vec<Sample>)>> {
        let one = async |expression: &Expression| {
            let events = self.evaluate(&expression.events, at).await?;
            let exposure = match &expression.exposure {
                Some(text) => self.evaluate(text, at).await?,
                None => Vec::new(),
            };
            Ok::<_, Refusal>((events, exposure))
        };
        futures_util::future::join_all(self.expressions.iter().map(async |expression| {
            match one(expression).await {
                Ok(found) => Lookup::Found(found),
                Err(Refusal::Expression(why)) => Lookup::Invalid(format!("{}: {why}", self.server)),
                Err(Refusal::Server(why)) => Lookup::Unknown(format!("{}: {why}", self.server)),
            }
        }))
        .await
    }
}

fn sample(element: Element) -> Sample {
    let mut labels = element.metric;
    let name = labels.remove("__name__").unwrap_or_default();
    // Values are texts, so that NaN and infinity fit; anything else is none.
    let value = element.value.1.parse().unwrap_or(f64::NAN);
    Sample { name, labels: labels.into_iter().collect(), value }
}

impl Source for Prometheus {
    /// Replicas are those that the server knows; the list is not used.
    fn look<'a>(&'a self, _: &'a [Replica]) -> BoxFuture<'a, Vec<Look>> {
        Box::pin(async move {
            let at = Timestamp::now();
            let answers = self.evaluate_all(at).await;
            let mut looks = Vec::new();
            for (digest, values) in &self.releases.values {
                looks.extend(self.looks_at(*digest, values, at, &answers));
            }
            looks
        })
    }
}

impl Prometheus {
    fn looks_at(
        &self,
        digest: Digest,
        values: &[String],
        at: Timestamp,
        answers: &[Lookup<(Vec<Sample>, Vec<Sample>)>],
    ) -> Vec<Look> {
        let of_release = |sample: &&Sample| {
            let label = sample.label(&self.releases.label);
            label.is_some_and(|label| values.iter().any(|value| value == label))
        };
        let replica = |sample: &Sample| sample.label(&self.releases.replica).unwrap_or_default().to_owned();
        // Every replica that any metric is seen of.
        let mut names: Vec<String> = answers
            .iter()
            .filter_map(Lookup::found)
            .flat_map(|(events, exposure)| events.iter().chain(exposure))
            .filter(of_release)
            .map(replica)
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            // Nothing of the release is known: that is to be said, too.
            names.push(String::new());
        }
        let mut by_name: BTreeMap<&str, Vec<Lookup<Reading>>> =
            names.iter().map(|name| (name.as_str(), Vec::with_capacity(answers.len()))).collect();
        for answer in answers {
            let mut found: BTreeMap<String, Reading> = BTreeMap::new();
            if let Lookup::Found((events, exposure)) = answer {
                for sample in events.iter().filter(of_release) {
                    found.entry(replica(sample)).or_default().events.push(point(sample));
                }
                for sample in exposure.iter().filter(of_release) {
                    found.entry(replica(sample)).or_default().exposure.push(point(sample));
                }
            }
            for (name, readings) in &mut by_name {
                readings.push(match answer {
                    Lookup::Found(_) => found.remove(*name).map_or(Lookup::Absent, Lookup::Found),
                    Lookup::Absent => Lookup::Absent,
                    Lookup::Invalid(why) => Lookup::Invalid(why.clone()),
                    Lookup::Unknown(why) => Lookup::Unknown(why.clone()),
                });
            }
        }
        by_name
            .into_iter()
            .map(|(name, readings)| Look { digest, replica: name.into(), at, born: None, readings })
            .collect()
    }
}

fn point(sample: &Sample) -> Point {
    Point { series: sample.series(), bound: sample.bound(), value: sample.value, created: None }
}
