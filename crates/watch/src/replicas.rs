//! The replicas' own `/metrics`, all of them side by side.

use std::sync::atomic::{AtomicBool, Ordering};

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

/// Another way to what a replica shows than its own address.
pub trait Detour: Send + Sync {
    /// The text that a replica shows at its [`Replica::metrics`]. Ends within a
    /// bound of its own, in time and in size.
    fn text<'a>(&'a self, replica: &'a Replica) -> BoxFuture<'a, Lookup<Vec<u8>>>;
}

/// Which way to a replica's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By its own address.
    Direct,
    /// By its own address; where none of them was ever reached, by the detour. The
    /// way on which one answered is the first that the next look takes.
    Try,
    /// By the detour alone.
    Detour,
}

/// Asks each replica itself.
pub struct Replicas {
    client: Client,
    queries: Vec<Query>,
    bounds: Bounds,
    detour: Option<(Box<dyn Detour>, Way)>,
    /// Whether some replica was reached by its own address.
    direct: AtomicBool,
    /// Whether one was reached by the detour that was not by its own address.
    around: AtomicBool,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas").field("queries", &self.queries).finish_non_exhaustive()
    }
}

/// What came of asking.
struct Text {
    body: Vec<u8>,
    openmetrics: bool,
}

impl Replicas {
    /// Asks for these metrics.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(queries: Vec<Query>, bounds: Bounds) -> Result<Self, WatchError> {
        let client = fetch::client(Proxy::Never, None)
            .map_err(|reason| WatchError::Server { server: "the replicas".into(), reason })?;
        Ok(Self {
            client,
            queries,
            bounds,
            detour: None,
            direct: AtomicBool::new(false),
            around: AtomicBool::new(false),
        })
    }

    /// The same with another way to the replicas.
    #[must_use]
    pub fn by(mut self, detour: Box<dyn Detour>, way: Way) -> Self {
        self.detour = Some((detour, way));
        self
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
        let text = match &self.detour {
            Some((detour, Way::Detour)) => around(&**detour, replica).await,
            Some((detour, Way::Try)) if !self.direct.load(Ordering::Relaxed) => {
                self.either_way(&**detour, replica, url).await
            }
            _ => self.ask_itself(url).await,
        };
        let wanted = |name: &str| self.queries.iter().any(|query| query.wants(name));
        match text {
            Lookup::Found(text) => match Exposition::parse(&text.body, text.openmetrics, wanted) {
                Ok(exposition) => Lookup::Found(exposition),
                Err(error) => Lookup::Invalid(format!("{url}: {error}")),
            },
            Lookup::Absent => Lookup::Absent,
            Lookup::Invalid(why) => Lookup::Invalid(why),
            Lookup::Unknown(why) => Lookup::Unknown(why),
        }
    }

    /// One way, and the other where nothing is answered. An address whose packets
    /// are dropped costs seconds at each try, so that it is not tried again as long
    /// as the detour answers.
    async fn either_way(&self, detour: &dyn Detour, replica: &Replica, url: &str) -> Lookup<Text> {
        let around_first = self.around.load(Ordering::Relaxed);
        let first = if around_first { around(detour, replica).await } else { self.ask_itself(url).await };
        let Lookup::Unknown(why) = first else { return first };
        let second = if around_first { self.ask_itself(url).await } else { around(detour, replica).await };
        match second {
            Lookup::Unknown(also) => Lookup::Unknown(format!("{why}; {also}")),
            answered => {
                self.around.store(!around_first, Ordering::Relaxed);
                answered
            }
        }
    }

    async fn ask_itself(&self, url: &str) -> Lookup<Text> {
        let request = self.client.get(url).header(http::header::ACCEPT, ACCEPT);
        let answer = match fetch::fetch(request, self.bounds).await {
            Ok(answer) => answer,
            Err(error @ FetchError::TooLarge(_)) => return Lookup::Invalid(format!("{url}: {error}")),
            Err(error) => return Lookup::Unknown(format!("{url}: {error}")),
        };
        self.direct.store(true, Ordering::Relaxed);
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
        Lookup::Found(Text { body: answer.body, openmetrics })
    }
}

/// What the detour brings. It does not say which format that is: OpenMetrics
/// ends with a line of its own.
async fn around(detour: &dyn Detour, replica: &Replica) -> Lookup<Text> {
    match detour.text(replica).await {
        Lookup::Found(body) => {
            let openmetrics = body.trim_ascii_end().ends_with(b"# EOF");
            Lookup::Found(Text { body, openmetrics })
        }
        Lookup::Absent => Lookup::Absent,
        Lookup::Invalid(why) => Lookup::Invalid(why),
        Lookup::Unknown(why) => Lookup::Unknown(why),
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
