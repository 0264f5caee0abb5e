//! A layer in front of the registry and other services that counts, and lies on
//! demand.
//!
//! ```no_run
//! use plimsoll_testkit::registry::{Fault, TestRegistry};
//! let registry = TestRegistry::start();
//! // The second and third GET of a manifest are told to come back later.
//! registry.faults().on("GET", "/manifests/").skip(1).times(2).then(Fault::Status { status: 429, retry_after: Some(1) });
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;
use plimsoll_model::Digest;
use plimsoll_oci::digest_of;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

const CONTENT_DIGEST: &str = "docker-content-digest";

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer instead of the registry's; the registry does not see the
    /// request.
    Status {
        /// The status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// 200 with a page of HTML, as proxies and login portals answer.
    Html,
    /// The right answer with this digest in its header.
    DigestHeader(Digest),
    /// The right answer without the digest's header.
    NoDigestHeader,
    /// The right head, and then these bytes (the length says theirs).
    Body(Bytes),
    /// The right head and so many bytes of the body; then the connection ends.
    Truncate(usize),
    /// Another manifest, consistently: its own type, length and digest.
    Manifest {
        /// Its media type.
        media_type: String,
        /// Its bytes.
        bytes: Bytes,
    },
    /// The connection is reset before the registry sees the request.
    Reset,
    /// The connection is reset after so many bytes of the request's body; the
    /// registry sees those.
    ResetAfter(usize),
    /// The registry does what was asked, and then the connection is reset:
    /// failed, but persisted.
    LoseAnswer,
    /// Nothing happens until [`Faults::release`]; then the right answer.
    Stall,
}

/// A request that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`.
    pub method: String,
    /// `/v2/acme/payouts/manifests/latest`.
    pub path: String,
    /// What follows the `?`; empty without one.
    pub query: String,
}

/// The faults of one service, and the requests it has seen. Clones share.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

struct Inner {
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    /// How often stalled requests were released.
    released: watch::Sender<u64>,
    /// How many requests are stalled.
    stalled: watch::Sender<usize>,
}

struct Rule {
    method: String,
    path: String,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// A fault being described; nothing happens before [`When::then`].
#[must_use = "a fault begins with `then`"]
pub struct When<'a> {
    faults: &'a Faults,
    method: String,
    path: String,
    skip: usize,
    times: usize,
}

impl When<'_> {
    /// Lets the first `requests` that match pass.
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Ends after so many requests; without it there is no end.
    pub fn times(mut self, requests: usize) -> Self {
        self.times = requests;
        self
    }

    /// What goes wrong. Of several faults that match a request, the one
    /// described first is taken.
    pub fn then(self, fault: Fault) {
        let Self { faults, method, path, skip, times } = self;
        lock(&faults.0.rules).push(Rule { method, path, skip, times, fault });
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(Inner {
            rules: Mutex::default(),
            seen: Mutex::default(),
            released: watch::Sender::new(0),
            stalled: watch::Sender::new(0),
        }))
    }
}

impl Faults {
    /// Describes a fault of requests with this method (`*` for any) and with
    /// this text in their path.
    pub fn on(&self, method: &str, path: &str) -> When<'_> {
        When { faults: self, method: method.into(), path: path.into(), skip: 0, times: usize::MAX }
    }

    /// Ends all faults.
    pub fn clear(&self) {
        lock(&self.0.rules).clear();
        self.release();
    }

    /// Lets the stalled requests go on.
    pub fn release(&self) {
        self.0.released.send_modify(|count| *count += 1);
    }

    /// Waits until so many requests are stalled.
    pub async fn stalled(&self, requests: usize) {
        let mut stalled = self.0.stalled.subscribe();
        stalled.wait_for(|count| *count >= requests).await.expect("its sender is kept here");
    }

    /// The requests seen so far, in order.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.0.seen).clone()
    }

    /// How many requests had this method (`*` for any) and this text in their
    /// path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        lock(&self.0.seen).iter().filter(|seen| matches(method, path, &seen.method, &seen.path)).count()
    }

    /// Forgets the requests seen so far.
    pub fn forget_requests(&self) {
        lock(&self.0.seen).clear();
    }

    /// Notes a request, and says what is to go wrong with it.
    fn meet(&self, seen: Seen) -> Option<Fault> {
        let mut fault = None;
        for rule in lock(&self.0.rules).iter_mut() {
            if !matches(&rule.method, &rule.path, &seen.method, &seen.path) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 && fault.is_none() {
                rule.times -= 1;
                fault = Some(rule.fault.clone());
            }
        }
        lock(&self.0.seen).push(seen);
        fault
    }

    async fn stall(&self) {
        let mut released = self.0.released.subscribe();
        let before = *released.borrow_and_update();
        self.0.stalled.send_modify(|count| *count += 1);
        let _ = released.wait_for(|count| *count > before).await;
        self.0.stalled.send_modify(|count| *count -= 1);
    }
}

fn matches(method: &str, path: &str, seen_method: &str, seen_path: &str) -> bool {
    (method == "*" || method == seen_method) && seen_path.contains(path)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layer itself, for one connection.
#[derive(Clone)]
pub(crate) struct Service {
    faults: Faults,
    registry: TowerToHyperService<Router>,
    reset: Arc<AtomicBool>,
}

/// The connection is to be reset; the server ends it when it gets this.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection was reset on demand")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl Service {
    pub(crate) fn new(faults: Faults, registry: Router, reset: Arc<AtomicBool>) -> Self {
        Self { faults, registry: TowerToHyperService::new(registry), reset }
    }

    async fn pass(&self, request: Request<Body>) -> Result<Response<Body>, Broken> {
        Ok(hyper::service::Service::call(&self.registry, request).await?)
    }

    fn break_off<T>(&self) -> Result<T, Broken> {
        self.reset.store(true, Ordering::SeqCst);
        Err(Broken)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
        let request = request.map(Body::new);
        let uri = request.uri();
        let seen = Seen {
            method: request.method().to_string(),
            path: uri.path().into(),
            query: uri.query().unwrap_or_default().into(),
        };
        let Some(fault) = self.faults.meet(seen) else { return self.pass(request).await };
        match fault {
            Fault::Status { status, retry_after } => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::from_u16(status).expect("the test names a status");
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                Ok(response)
            }
            Fault::Html => {
                let mut response = Response::new(Body::from("<!doctype html><title>Sign in</title>"));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
                Ok(response)
            }
            Fault::DigestHeader(digest) => {
                let mut response = self.pass(request).await?;
                let value = digest.to_string().parse().expect("a digest is ASCII");
                response.headers_mut().insert(CONTENT_DIGEST, value);
                Ok(response)
            }
            Fault::NoDigestHeader => {
                let mut response = self.pass(request).await?;
                response.headers_mut().remove(CONTENT_DIGEST);
                Ok(response)
            }
            Fault::Body(bytes) => {
                let mut response = self.pass(request).await?;
                response.headers_mut().insert(CONTENT_LENGTH, bytes.len().into());
                *response.body_mut() = Body::from(bytes);
                Ok(response)
            }
            Fault::Truncate(length) => {
                let response = self.pass(request).await?;
                let (mut parts, body) = response.into_parts();
                let bytes = body.collect().await.map_err(|_| Broken)?.to_bytes();
                parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
                let some = bytes.slice(..length.min(bytes.len()));
                let end = async {
                    // What was written so far is sent when the body pauses.
                    tokio::task::yield_now().await;
                    Err(io::Error::other(Broken))
                };
                let body = stream::iter([Ok(some)]).chain(stream::once(end));
                Ok(Response::from_parts(parts, Body::from_stream(body)))
            }
            Fault::Manifest { media_type, bytes } => {
                let mut response = Response::new(Body::empty());
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, media_type.parse().expect("the test names a media type"));
                headers.insert(CONTENT_LENGTH, bytes.len().into());
                headers.insert(
                    CONTENT_DIGEST,
                    digest_of(&bytes).to_string().parse().expect("a digest is ASCII"),
                );
                if request.method() != http::Method::HEAD {
                    *response.body_mut() = Body::from(bytes);
                }
                Ok(response)
            }
            Fault::Reset => self.break_off(),
            Fault::ResetAfter(length) => {
                let request = request.map(|body| Body::new(Cut { body, left: length }));
                let _ = self.pass(request).await;
                self.break_off()
            }
            Fault::LoseAnswer => {
                let response = self.pass(request).await?;
                // What streams from the registry is part of doing it.
                let _ = response.into_body().collect().await;
                self.break_off()
            }
            Fault::Stall => {
                self.faults.stall().await;
                self.pass(request).await
            }
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Broken>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// A body that breaks off after so many bytes.
struct Cut {
    body: Body,
    left: usize,
}

impl http_body::Body for Cut {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(Some(Err(Box::new(Broken))));
        }
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(match frame.into_data() {
                Ok(mut data) => {
                    data.truncate(self.left);
                    self.left -= data.len();
                    Ok(http_body::Frame::data(data))
                }
                Err(frame) => Ok(frame),
            }),
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }
}

/// A connection that is closed with a reset where that was asked for, instead
/// of in order.
pub(crate) struct ResettableStream {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl ResettableStream {
    pub(crate) fn new(stream: TcpStream, reset: Arc<AtomicBool>) -> Self {
        // Tests count milliseconds too.
        let _ = stream.set_nodelay(true);
        Self { stream, reset }
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.reset.load(Ordering::SeqCst) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An orderly end would come before the reset.
        if self.reset.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
