//! The embedded registry: OCI distribution-spec 1.1 over image layouts on disk.
//!
//! One layout per repository, at `<root>/<repository>/`, so that any tool that
//! reads a layout reads a repository: `skopeo inspect oci:<root>/acme/payouts:<tag>`.
//!
//! Invariants:
//! - What was answered with 201 or 202 to a manifest or a finished blob is on
//!   the disk. Upload sessions are not: a restart forgets them.
//! - A tag that is a commit SHA, full or of twelve digits, never moves to
//!   another digest (TAG-1..3); two pushes at once have one winner.
//! - A name becomes a path only through `route`, which knows the grammar.
//! - Memory does not depend on the size of blobs, and everything that a client
//!   can open, send or leave open is bounded by [`Options`].

mod access;
mod answer;
mod blobs;
mod error;
mod listing;
mod manifests;
mod pages;
mod range;
mod route;
mod serve;
mod store;
mod stream;
mod uploads;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use plimsoll_model::Secret;
use tokio::net::TcpListener;

pub use self::error::OpenError;
pub use self::pages::PAGES;

use self::answer::{API_VERSION, Failure};
use self::route::Endpoint;
use self::store::Store;
use self::uploads::Uploads;
use crate::error::Code;

/// A user name and password that every request must carry.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The name; without a colon (RFC 7617).
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// What the registry allows. The default is open to whoever reaches the
/// listener, which belongs on a loopback address then.
#[derive(Debug, Clone)]
pub struct Options {
    /// Basic authentication; none: everybody may.
    pub credentials: Option<Credentials>,
    /// Refuse everything that writes.
    pub read_only: bool,
    /// Allow deleting tags that are commit SHAs, and what they point to.
    pub delete_commits: bool,
    /// Offer the referrers API. Without it a client must keep the index at the
    /// tag `sha256-<hex>` by itself, as with `distribution` 2.
    pub referrers_api: bool,
    /// Largest blob, in bytes.
    pub max_blob: u64,
    /// Request bodies received at the same time; more wait.
    pub max_receiving: usize,
    /// Upload sessions open at the same time; more are refused with 429.
    pub max_sessions: usize,
    /// An upload session that is idle for longer is forgotten.
    pub session_idle: Duration,
    /// A request body of which nothing arrives for longer is given up.
    pub stall: Duration,
    /// Connections open at the same time; more wait to be accepted.
    pub max_connections: usize,
    /// How long requests under way may take to finish after the shutdown.
    pub drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: None,
            read_only: false,
            delete_commits: false,
            referrers_api: true,
            max_blob: 20_000_000_000,
            max_receiving: 64,
            max_sessions: 256,
            session_idle: Duration::from_secs(60 * 60),
            stall: Duration::from_secs(60),
            max_connections: 512,
            drain: Duration::from_secs(10),
        }
    }
}

/// An open registry. Clones are the same registry.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    options: Options,
    store: Arc<Store>,
    uploads: Uploads,
}

impl Registry {
    /// Opens the registry at `root`, which is created if it does not exist,
    /// and removes what uploads of an earlier run left behind.
    ///
    /// # Errors
    /// `root` cannot be used, or another process serves it.
    pub fn open(root: impl Into<PathBuf>, options: Options) -> Result<Self, OpenError> {
        let store = Arc::new(Store::open(root.into())?);
        let uploads = Uploads::new(&options);
        Ok(Self(Arc::new(Inner { options, store, uploads })))
    }

    /// The folder it keeps its repositories in.
    pub fn root(&self) -> &Path {
        self.0.store.root()
    }

    /// What it allows.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// The endpoints, to mount in another server.
    ///
    /// # Caveats
    /// Bounds on connections and headers, and the end of idle sessions
    /// without further requests, are of [`Registry::serve`].
    pub fn router(&self) -> Router {
        Router::new().fallback(respond).with_state(self.clone())
    }

    /// Serves plain HTTP on `listener` until `shutdown` ends, then waits for
    /// requests under way.
    ///
    /// # Errors
    /// None that is of a single connection; those are logged.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        serve::run(self, listener, shutdown).await
    }

    /// Forgets idle upload sessions.
    fn sweep(&self) {
        self.0.uploads.sweep();
    }
}

/// A request without its body.
struct Call {
    parts: Parts,
    query: Vec<(String, String)>,
}

impl Call {
    /// The first value of a query parameter.
    fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A header as text; none where it is absent or not ASCII.
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

async fn respond(State(registry): State<Registry>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let entry = access::Entry::begin(&parts);
    let mut response = registry.dispatch(parts, body).await.unwrap_or_else(Failure::into_response);
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    entry.end(&response);
    response
}

impl Registry {
    async fn dispatch(&self, parts: Parts, body: Body) -> Result<Response<Body>, Failure> {
        access::check(&self.0.options, &parts.method, &parts.headers)?;
        let endpoint = Endpoint::parse(parts.uri.path())?;
        let query = Query::try_from_uri(&parts.uri)
            .map_err(|_| {
                Failure::new(Code::Unsupported)
                    .status(StatusCode::BAD_REQUEST)
                    .say("the query cannot be read")
            })?
            .0;
        let allow = endpoint.methods();
        let call = Call { parts, query };
        let method = call.parts.method.clone();
        let read = matches!(method, Method::GET | Method::HEAD);
        match endpoint {
            Endpoint::Base if read => Ok(answer::json(StatusCode::OK, &serde_json::json!({}))),
            Endpoint::Catalog if read => self.catalog(&call).await,
            Endpoint::Tags(name) if read => self.tags(name, &call).await,
            // What a registry answers that does not know the path at all.
            Endpoint::Referrers(..) if !self.0.options.referrers_api => Ok(answer::no_such_page()),
            Endpoint::Referrers(name, subject) if read => self.referrers(name, subject, &call).await,
            Endpoint::Blob(name, digest) if read => self.get_blob(name, digest, &call).await,
            Endpoint::Blob(name, digest) if method == Method::DELETE => self.delete_blob(name, digest).await,
            Endpoint::Manifest(name, reference) if read => self.get_manifest(name, reference, &call).await,
            Endpoint::Manifest(name, reference) if method == Method::PUT => {
                self.put_manifest(name, reference, &call, body).await
            }
            Endpoint::Manifest(name, reference) if method == Method::DELETE => {
                self.delete_manifest(name, reference).await
            }
            Endpoint::Uploads(name) if method == Method::POST => self.begin_upload(name, &call, body).await,
            Endpoint::Upload(name, id) if read => self.upload_status(&name, &id).await,
            Endpoint::Upload(name, id) if method == Method::PATCH => {
                self.append_upload(name, id, &call, body).await
            }
            Endpoint::Upload(name, id) if method == Method::PUT => {
                self.finish_upload(name, id, &call, body).await
            }
            Endpoint::Upload(name, id) if method == Method::DELETE => self.cancel_upload(&name, &id),
            _ => {
                Err(Failure::new(Code::Unsupported)
                    .header(http::header::ALLOW, HeaderValue::from_static(allow)))
            }
        }
    }
}
