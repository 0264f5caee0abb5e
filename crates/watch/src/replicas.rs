//! The replicas' own `/metrics`, all of them side by side.

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use plimsoll_health::{Look, Reading};
use plimsoll_model::Lookup;
use reqwest::Client;

use crate::exposition::Exposition;
use crate::fetch::{self, Bounds, FetchError, Proxy};
use crate::{BoxFuture, Query, Replica, Source, WatchError};

/// Replicas that are asked at the same time.
const AT_ONCE: usize = 32;

/// OpenMetrics where it is spoken: it tells when counters began.
const ACCEPT: &str =
    "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.8,*/*;q=0.1";

/// Asks each replica itself.
#[derive(Debug, Clone)]
pub struct Replicas {
    client: Client,
    queries: Vec<Query>,
    bounds: Bounds,
}

impl Replicas {
    /// Asks for these metrics.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(queries: Vec<Query>, bounds: Bounds) -> Result<Self, WatchError> {
        let client = fetch::client(Proxy::Never, None)
            .map_err(|reason| WatchError::Server { server: "the replicas".into(), reason })?;
        Ok(Self { client, queries, bounds })
    }

    /// `at` is one moment for the whole round: whether replicas are seen side by
    /// side must not depend on which answers faster.
    async fn ask(&self, replica: &Replica, at: Timestamp) -> Look {
        let exposition = self.read(replica).await;
        let readings = self.queries.iter().map(|query| reading(query, &exposition)).collect();
        Look {
            digest: replica.digest,
            replica: replica.name.clone(),
            at,
            born: replica.born.or(match &exposition {
                Lookup::Found(exposition) => exposition.born,
                _ => None,
            }),
            readings,
        }
    }

    async fn read(&self, replica: &Replica) -> Lookup<Exposition> {
        let Some(url) = &replica.metrics else {
            return Lookup::Unknown(format!("replica {} has no address for metrics", replica.name));
        };
        let request = self.client.get(url).header(http::header::ACCEPT, ACCEPT);
        let answer = match fetch::fetch(request, self.bounds).await {
            Ok(answer) => answer,
            Err(error @ FetchError::TooLarge(_)) => return Lookup::Invalid(format!("{url}: {error}")),
            Err(error) => return Lookup::Unknown(format!("{url}: {error}")),
        };
        match answer.status {
            200 => {}
            // It answers for itself: there are no metrics here.
            300..=499 => return Lookup::Invalid(format!("{url} answers {}", answer.status)),
            status => return Lookup::Unknown(format!("{url} answers {status}")),
        }
        if answer.content_type.starts_with("text/html") {
            return Lookup::Invalid(format!("{url}: {}", crate::exposition::FormatError::Html));
        }
        let openmetrics = answer.content_type.starts_with("application/openmetrics-text");
        let wanted = |name: &str| self.queries.iter().any(|query| query.wants(name));
        match Exposition::parse(&answer.body, openmetrics, wanted) {
            Ok(exposition) => Lookup::Found(exposition),
            Err(error) => Lookup::Invalid(format!("{url}: {error}")),
        }
    }
}

/// What is known of one metric, where the whole text may not be.
pub(crate) fn reading(query: &Query, exposition: &Lookup<Exposition>) -> Lookup<Reading> {
    match exposition {
        Lookup::Found(exposition) => query.read(exposition),
        Lookup::Absent => Lookup::Absent,
        Lookup::Invalid(why) => Lookup::Invalid(why.clone()),
        Lookup::Unknown(why) => Lookup::Unknown(why.clone()),
    }
}

impl Source for Replicas {
    fn look<'a>(&'a self, replicas: &'a [Replica]) -> BoxFuture<'a, Vec<Look>> {
        let at = Timestamp::now();
        Box::pin(stream::iter(replicas).map(move |replica| self.ask(replica, at)).buffered(AT_ONCE).collect())
    }
}
