//! `plimsoll serve`: what is asked of Plimsoll again and again. Metrics and
//! probes over HTTP, the look at what runs in the background, and a cluster's
//! admission over TLS.
//!
//! Nothing here changes what runs: reviews, looks and scrapes only read.

mod admission;
mod drift;
mod error;
mod http;
pub mod manifests;
mod metrics;
mod pages;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use ::http::{Method, Request, StatusCode};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use plimsoll_config::{Config, Target};
use plimsoll_model::{Commit, Digest, Failure, Lookup, PinnedRef};
use plimsoll_pipeline::{Context, ImageJudge};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use error::ServerError;
pub use pages::PAGES;

use admission::{Admission, Judging, Verdict};
use http::{Answer, text, typed};
use metrics::Metrics;
use tls::{Identity, bundle};

/// What is served, and where.
#[derive(Debug)]
pub struct Options {
    /// Configuration and ledger.
    pub context: Context,
    /// Metrics and probes.
    pub listen: SocketAddr,
    /// Admission; none: it is not served.
    pub admission: Option<SocketAddr>,
}

/// A review with two objects of the largest kind fits in.
const LARGEST_REVIEW: usize = 8 << 20;
/// How often ledger and configuration are compared with what is in use.
const CHANGES: Duration = Duration::from_secs(1);
/// Within which the ledger has to answer a probe.
const PROBE: Duration = Duration::from_secs(2);

/// A server whose addresses are taken.
pub struct Server {
    context: Context,
    plain: TcpListener,
    webhook: Option<(TcpListener, Identity)>,
    shared: Arc<Shared>,
}

/// What answers are made of.
struct Shared {
    context: watch::Sender<Context>,
    admission: RwLock<Option<Arc<Admission>>>,
    metrics: Arc<Metrics>,
    /// Why the cluster does not trust the webhook; none: it does, or that is not ours.
    bundle: bundle::Trouble,
}

impl Server {
    /// Takes the addresses and makes or reads the certificate.
    ///
    /// # Errors
    /// An address is taken, the certificate cannot be used, or there is no
    /// namespace to judge. Nothing was started.
    pub async fn bind(options: Options) -> Result<Self, Failure> {
        let Options { context, listen, admission } = options;
        let metrics = Arc::new(Metrics::default());
        let (mut webhook, mut judges, mut trouble) = (None, None, None);
        if let Some(address) = admission {
            let config = &context.config.config;
            if !config.environments.values().any(|one| matches!(one.target, Target::Kubernetes(_))) {
                return Err(ServerError::NoEnvironment.into());
            }
            judges = Some(judge(&context, &metrics)?);
            let identity = Identity::open(&config.admission, context.root(), &context.state_folder())?;
            // From the first probe on: one that comes before the first try is not told that all is well.
            if config.admission.patch_bundle && identity.is_own() {
                trouble = Some("it was not written yet".to_owned());
            }
            webhook = Some((bound("admission", address).await?, identity));
        }
        let plain = bound("metrics", listen).await?;
        let shared = Arc::new(Shared {
            context: watch::Sender::new(context.clone()),
            admission: RwLock::new(judges),
            metrics,
            bundle: Arc::new(Mutex::new(trouble)),
        });
        Ok(Self { context, plain, webhook, shared })
    }

    /// Where it serves: metrics, and admission where it does.
    ///
    /// # Errors
    /// None that happens: the addresses are taken.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, Option<SocketAddr>)> {
        let webhook = self.webhook.as_ref().map(|(listener, _)| listener.local_addr()).transpose()?;
        Ok((self.plain.local_addr()?, webhook))
    }

    /// Serves until `shutdown` ends, then lets requests under way finish.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Self { context, plain, webhook, shared } = self;
        let shutdown = shutdown.boxed().shared();
        let mut background = JoinSet::new();
        background.spawn(drift::keep(shared.context.subscribe(), shared.metrics.clone()));
        background.spawn(follow(shared.clone()));
        let (of_plain, of_webhook) = (shared.clone(), shared.clone());
        let plain = http::serve(
            plain,
            None,
            Arc::new(move |request| probe(of_plain.clone(), request)),
            shutdown.clone(),
        );
        let webhook = async {
            let Some((listener, mut identity)) = webhook else { return };
            let settings = context.config.config.admission.clone();
            if let Some(announced) = identity.announced().filter(|_| settings.patch_bundle) {
                let (metrics, trouble) = (shared.metrics.clone(), shared.bundle.clone());
                background.spawn(bundle::keep(settings, announced, metrics, trouble));
            }
            let acceptor = identity.acceptor();
            background.spawn(identity.keep(shared.metrics.clone()));
            let answer = Arc::new(move |request| reviewed(of_webhook.clone(), request));
            http::serve(listener, Some(acceptor), answer, shutdown.clone()).await;
        };
        tokio::join!(plain, webhook);
        background.shutdown().await;
    }
}

async fn bound(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Listen { what, address, source })
}

fn judge(context: &Context, metrics: &Arc<Metrics>) -> Result<Arc<Admission>, Failure> {
    let judge = Arc::new(ImageJudge::new(context.clone())?);
    Ok(Arc::new(Admission::new(&context.config.config, Arc::new(Asking(judge)), metrics.clone())))
}

/// The guard's rules, over ledger and registry.
struct Asking(Arc<ImageJudge>);

impl Judging for Asking {
    fn judge(&self, environment: Arc<str>, image: PinnedRef) -> BoxFuture<'static, Verdict> {
        let judge = self.0.clone();
        async move {
            match judge.judge(&environment, &image).await {
                Ok(decision) => decision.into(),
                Err(failure) => Verdict::Unknown(failure.to_string()),
            }
        }
        .boxed()
    }

    fn resolve(&self, environment: Arc<str>, sha: Commit) -> BoxFuture<'static, Lookup<Digest>> {
        let judge = self.0.clone();
        async move {
            match judge.resolve(&environment, &sha).await {
                Ok(found) => found,
                Err(failure) => Lookup::Unknown(failure.to_string()),
            }
        }
        .boxed()
    }
}

impl Shared {
    fn admission(&self) -> Option<Arc<Admission>> {
        self.admission.read().expect("no holder of this lock panics").clone()
    }

    fn context(&self) -> Context {
        self.context.borrow().clone()
    }

    /// What the ledger says, and what was counted here.
    async fn metrics(&self) -> Result<String, String> {
        let ledger = self.context().ledger;
        let asked = tokio::task::spawn_blocking(move || ledger.metrics());
        let of_ledger = asked.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok(of_ledger + &self.metrics.text(self.admission().as_deref()))
    }

    /// Each part, and why it is not ready.
    async fn parts(&self) -> Vec<(&'static str, Option<String>)> {
        let ledger = self.context().ledger;
        let asked = tokio::task::spawn_blocking(move || ledger.size().map(drop));
        let ledger = match tokio::time::timeout(PROBE, asked).await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error.to_string()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", PROBE.as_secs())),
        };
        let mut parts = vec![("ledger", ledger)];
        if self.admission().is_some() {
            // The server is not made without certificate and address.
            parts.push(("certificate", None));
            parts.push(("webhook", self.bundle.lock().expect("no holder of this lock panics").clone()));
        }
        parts
    }
}

/// `/metrics`, `/healthz`, `/readyz`.
async fn probe(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET is all there is\n");
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => {
            let parts = shared.parts().await;
            let ready = parts.iter().all(|(_, trouble)| trouble.is_none());
            let lines = parts.into_iter().map(|(part, trouble)| match trouble {
                None => format!("{part}: ok\n"),
                Some(why) => format!("{part}: not ready: {why}\n"),
            });
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            text(status, lines.collect::<String>())
        }
        "/metrics" => match shared.metrics().await {
            Ok(metrics) => typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("the ledger cannot be read: {why}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
    }
}

/// `/admission/validate`, `/admission/mutate`.
async fn reviewed(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let started = Instant::now();
    let mutating = match request.uri().path() {
        "/admission/validate" => false,
        "/admission/mutate" => true,
        _ => return text(StatusCode::NOT_FOUND, "there are /admission/validate and /admission/mutate\n"),
    };
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "a review is sent by POST\n");
    }
    let Some(admission) = shared.admission() else {
        return text(StatusCode::NOT_FOUND, "admission is not served\n");
    };
    let body = match tokio::time::timeout(admission.budget(), http::body(request.into_body(), LARGEST_REVIEW))
        .await
    {
        Ok(Ok(body)) => body,
        Ok(Err(answer)) => return answer,
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
    };
    match admission.answer(&body, mutating, started).await {
        Ok(review) => typed(StatusCode::OK, "application/json", review.to_string()),
        Err(why) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

/// Forgets verdicts when the ledger has a new entry, and takes a changed
/// configuration over; one that cannot be read is said, and the old one stays.
async fn follow(shared: Arc<Shared>) {
    let mut size = None;
    let mut said = String::new();
    let mut ticks = tokio::time::interval(CHANGES);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let context = shared.context();
        let (ledger, root, overlays) =
            (context.ledger.clone(), context.root().to_path_buf(), context.overlays.clone());
        let asked = tokio::task::spawn_blocking(move || (ledger.size().ok(), Config::load(&root, &overlays)));
        let Ok((now, loaded)) = asked.await else { continue };
        if now.is_some() && now != size {
            if let (Some(_), Some(admission)) = (size, shared.admission()) {
                admission.forget();
            }
            size = now;
        }
        let changed = match loaded {
            Ok(loaded) if loaded.config == context.config.config => None,
            Ok(loaded) => Some(Context { config: Arc::new(loaded), ..context.clone() }),
            Err(error) => {
                shared.metrics.configuration(false);
                let text = error.to_string();
                if said != text {
                    tracing::warn!(error = %text, "the configuration cannot be read; the one before stays");
                    said = text;
                }
                continue;
            }
        };
        let Some(context) = changed else {
            shared.metrics.configuration(true);
            said.clear();
            continue;
        };
        if shared.admission().is_some() {
            match judge(&context, &shared.metrics) {
                Ok(admission) => {
                    *shared.admission.write().expect("no holder of this lock panics") = Some(admission);
                }
                Err(failure) => {
                    shared.metrics.configuration(false);
                    tracing::warn!(error = %failure, "the configuration cannot be used; the one before stays");
                    continue;
                }
            }
        }
        shared.context.send_replace(context);
        tracing::info!(
            "the configuration has changed and is in use; addresses and certificates keep the one before"
        );
    }
}
