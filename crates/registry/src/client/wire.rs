//! One request to one registry: TLS or loopback, authorisation, redirects, time
//! limits, retries. What an answer means is decided by the callers; whether
//! there is an answer at all, here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use plimsoll_model::Repository;
use reqwest::{Client, Response, Url};

use super::auth::{Access, Authenticator};
use super::error::{At, Cause, Error, excerpt};
use super::options::Options;
use super::retry::{self, Tries};
use super::target;
use crate::error::Body;

/// Redirects followed in a row.
const MOST_REDIRECTS: usize = 5;
/// An error answer is read up to this many bytes.
pub(super) const ERROR_BODY: u64 = 64 << 10;

/// The connection of one repository's client to its registry.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) repository: Arc<Repository>,
    pub(super) options: Options,
    origin: Url,
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
    auth: Authenticator,
    /// Something answered here that only a registry answers.
    known_registry: AtomicBool,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) access: Access,
    /// A phrase that follows "could not".
    pub(super) operation: String,
}

/// A whole small answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The body, cut off where it grew over the bound.
    pub(super) body: Bytes,
    /// Whether it was cut off.
    pub(super) over: bool,
    /// Where it came from, redirects followed.
    pub(super) url: Url,
}

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Connection refused, reset, silence: another try may do better.
    Broken(Cause),
    /// The registry says "not now".
    NotNow { status: StatusCode, retry_after: Option<Duration>, says: Option<String> },
    /// Another try would end the same.
    Final(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Trouble {
    /// A try that ended because nothing came for `limit`.
    pub(super) fn silence(limit: Duration) -> Self {
        Self::Broken(format!("nothing came for {:.1} s", limit.as_secs_f64()).into())
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotNow { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The error when no further try is made.
    pub(super) fn into_error(self, at: At, attempts: u32) -> Error {
        match self {
            Self::Broken(source) => Error::Unreachable { at, attempts, source },
            Self::NotNow { status, retry_after, says } => {
                Error::Busy { at, status, attempts, retry_after, says }
            }
            Self::Final(error) => error,
        }
    }
}

impl Wire {
    pub(super) fn new(repository: Repository, options: Options) -> Result<Self, Error> {
        let scheme = if repository.is_loopback() && !options.tls_on_loopback { "http" } else { "https" };
        // Docker's registry answers at another name than the one in references.
        let host = match repository.host() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let origin = Url::parse(&format!("{scheme}://{host}/")).map_err(|e| Error::Options {
            option: "repository".into(),
            reason: format!("{host} is not a host: {e}"),
        })?;
        let wire = Self {
            auth: Authenticator::default(),
            known_registry: AtomicBool::new(false),
            plain: OnceLock::new(),
            tls: OnceLock::new(),
            repository: Arc::new(repository),
            options,
            origin,
        };
        // A CA file that cannot be read is told now, before anything is done.
        wire.client(&wire.origin)?;
        Ok(wire)
    }

    /// `path` beneath `/v2/`.
    pub(super) fn api(&self, path: &str) -> Url {
        self.origin.join("v2/").and_then(|v2| v2.join(path)).expect("repository paths and tags are URL paths")
    }

    /// `rest` beneath `/v2/<repository>/`.
    pub(super) fn at_repository(&self, rest: &str) -> Url {
        self.api(&format!("{}/{rest}", self.repository.path()))
    }

    pub(super) fn at(&self, operation: &str) -> At {
        At { repository: self.repository.clone(), operation: operation.into() }
    }

    /// A request without body for the right to pull.
    pub(super) fn get(&self, url: Url, operation: impl Into<String>) -> Call {
        Call {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            access: Access::pull(&self.repository),
            operation: operation.into(),
        }
    }

    /// The client for `url`. Plain http goes to loopback only, past any proxy,
    /// and needs no certificates (a minimal container has none).
    fn client(&self, url: &Url) -> Result<&Client, Error> {
        let tls = url.scheme() == "https";
        let cell = if tls { &self.tls } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let unusable =
            |option: &str, reason: String| Error::Options { option: option.into(), reason: excerpt(&reason) };
        let mut builder = Client::builder()
            .user_agent(&self.options.user_agent)
            .connect_timeout(self.options.timeouts.connect)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        if !tls || self.repository.is_loopback() {
            builder = builder.no_proxy();
        }
        if tls {
            let mut extra = Vec::new();
            for path in &self.options.ca_files {
                let name = format!("CA file {}", path.display());
                let pem = std::fs::read(path).map_err(|e| unusable(&name, e.to_string()))?;
                let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                    .map_err(|_| unusable(&name, "not in PEM format".into()))?;
                if certificates.is_empty() {
                    return Err(unusable(&name, "it holds no certificate".into()));
                }
                extra.extend(certificates);
            }
            builder = builder.tls_certs_merge(extra);
        } else {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| unusable("TLS or user agent", chain(&e)))?;
        Ok(cell.get_or_init(|| client))
    }

    /// Sends a request and reads its small answer of at most `most` bytes,
    /// again and again within the policy.
    ///
    /// # Errors
    /// Nothing came, or "not now", after all tries; access denied; sent
    /// somewhere unsafe. Any other status is an answer.
    pub(super) async fn small(&self, call: &Call, most: u64) -> Result<Answer, Error> {
        let mut tries = Tries::new(self.options.retry);
        loop {
            let limit = self.options.timeouts.request;
            let once = async { self.read(self.once(call, None).await?, most).await };
            let trouble = match tokio::time::timeout(limit, once).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) => trouble,
                Err(_) => Trouble::silence(limit),
            };
            self.pause(&mut tries, trouble, &call.operation).await?;
        }
    }

    /// Waits before the next try, or gives up with the error.
    pub(super) async fn pause(
        &self,
        tries: &mut Tries,
        trouble: Trouble,
        operation: &str,
    ) -> Result<(), Error> {
        if let Trouble::Final(error) = trouble {
            return Err(error);
        }
        match tries.next_delay(trouble.retry_after()) {
            Some(delay) => {
                tracing::debug!(host = self.repository.host(), operation, ?delay, ?trouble, "trying again");
                tokio::time::sleep(delay).await;
                Ok(())
            }
            None => Err(trouble.into_error(self.at(operation), tries.made())),
        }
    }

    /// One try: authorisation, redirects of GET and HEAD. The answer's body is
    /// not read. A `body` can be sent only once, so with one a 401 is final
    /// for this try; the token is forgotten, and the next try shows another.
    pub(super) async fn once(&self, call: &Call, body: Option<reqwest::Body>) -> Result<Response, Trouble> {
        let streamed = body.is_some();
        let mut body = body;
        for round in 0..3 {
            let own = same_origin(&call.url, &self.origin);
            let shown = if own { self.auth.header(self, &call.access).await? } else { None };
            let mut headers = call.headers.clone();
            if let Some(value) = &shown {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
            let body = body.take().unwrap_or_else(|| call.body.clone().into());
            let mut response = self.send(call, call.url.clone(), headers, body).await?;
            if matches!(call.method, Method::GET | Method::HEAD) {
                response = self.follow(call, response, shown.is_some()).await?;
            }
            if response.headers().contains_key("docker-distribution-api-version") {
                self.known_registry.store(true, Ordering::Relaxed);
            }
            let status = response.status();
            if own && status == StatusCode::UNAUTHORIZED && same_origin(response.url(), &self.origin) {
                let again = self.auth.learn(self, response.headers(), shown.as_ref()).await?;
                if again && streamed {
                    return Err(Trouble::Broken("the token expired".into()));
                }
                if again && round < 2 {
                    continue;
                }
                let says = self.read(response, ERROR_BODY).await.ok().and_then(|answer| answer.says());
                return Err(self.denied(call, status, shown.is_some(), says).into());
            }
            if status == StatusCode::FORBIDDEN && own {
                let says = self.read(response, ERROR_BODY).await.ok().and_then(|answer| answer.says());
                return Err(self.denied(call, status, shown.is_some(), says).into());
            }
            if retry::is_transient(status) {
                let retry_after = retry::retry_after(response.headers(), SystemTime::now());
                let says = self.read(response, ERROR_BODY).await.ok().and_then(|answer| answer.says());
                return Err(Trouble::NotNow { status, retry_after, says });
            }
            return Ok(response);
        }
        Err(self.denied(call, StatusCode::UNAUTHORIZED, true, None).into())
    }

    fn denied(&self, call: &Call, status: StatusCode, with_credentials: bool, says: Option<String>) -> Error {
        Error::Denied { at: self.at(&call.operation), status, with_credentials, says }
    }

    /// Puts one request on the wire; nothing more.
    pub(super) async fn send(
        &self,
        call: &Call,
        url: Url,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Response, Trouble> {
        let mut request = reqwest::Request::new(call.method.clone(), url);
        let client = self.client(request.url())?;
        *request.headers_mut() = headers;
        // A request that never has a body carries none, not one of length 0.
        if !matches!(call.method, Method::GET | Method::HEAD) {
            *request.body_mut() = Some(body);
        }
        client.execute(request).await.map_err(|e| self.broken(e, &call.operation))
    }

    /// Follows redirects. What leaves for another origin loses its
    /// authorisation; what would leave TLS is refused.
    async fn follow(&self, call: &Call, first: Response, authorised: bool) -> Result<Response, Trouble> {
        let mut response = first;
        let mut authorised = authorised;
        for _ in 0..MOST_REDIRECTS {
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let to = target::location(response.url(), response.headers())
                .and_then(|to| target::safe(response.url(), to))
                .map_err(|found| Error::Misdirected { at: self.at(&call.operation), found })?;
            let mut headers = call.headers.clone();
            authorised = authorised && same_origin(&to, &self.origin);
            if authorised && let Some(value) = self.auth.header(self, &call.access).await? {
                headers.insert(header::AUTHORIZATION, value);
            }
            response = self.send(call, to, headers, Bytes::new().into()).await?;
        }
        let found = format!("more than {MOST_REDIRECTS} redirects in a row");
        Err(Error::Misdirected { at: self.at(&call.operation), found }.into())
    }

    /// Reads a body of at most `most` bytes.
    pub(super) async fn read(&self, mut response: Response, most: u64) -> Result<Answer, Trouble> {
        let (status, url) = (response.status(), response.url().clone());
        let headers = std::mem::take(response.headers_mut());
        let mut body = BytesMut::new();
        let mut over = false;
        while let Some(piece) =
            response.chunk().await.map_err(|e| Trouble::Broken(Box::new(e.without_url())))?
        {
            let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(body.len());
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                over = true;
                break;
            }
        }
        Ok(Answer { status, headers, body: body.freeze(), over, url })
    }

    /// What a failed send means. The URL goes: it may carry a signature.
    fn broken(&self, error: reqwest::Error, operation: &str) -> Trouble {
        let error = error.without_url();
        if error.is_connect()
            && let Some(verdict) = tls_verdict(&error)
        {
            return Error::Untrusted { at: self.at(operation), source: verdict.into() }.into();
        }
        if error.is_builder() {
            return Error::Options { option: "request".into(), reason: chain(&error) }.into();
        }
        Trouble::Broken(Box::new(error))
    }

    /// Reads success, absence or error from an answer (invariant 4). `None` is
    /// absence: a 404 that carries an error body of the protocol, or one
    /// without a body from something that is known to be a registry.
    pub(super) async fn judge(&self, answer: Answer, operation: &str) -> Result<Option<Answer>, Error> {
        let at = || self.at(operation);
        let protocol_error = Body::parse(&answer.body);
        if protocol_error.is_some() {
            self.known_registry.store(true, Ordering::Relaxed);
        }
        match answer.status {
            status if status.is_success() => Ok(Some(answer)),
            StatusCode::NOT_FOUND if protocol_error.is_some() => Ok(None),
            StatusCode::NOT_FOUND if answer.body.is_empty() => {
                if self.is_registry().await? {
                    return Ok(None);
                }
                let found = "404, and nothing says that a registry answered".into();
                Err(Error::Nonsense { at: at(), found })
            }
            StatusCode::NOT_FOUND => Err(Error::Nonsense { at: at(), found: answer.describe() }),
            status if status.is_redirection() || status.is_informational() => {
                Err(Error::Nonsense { at: at(), found: answer.describe() })
            }
            status => Err(match protocol_error {
                Some(_) => Error::Refused { at: at(), status, says: answer.says().unwrap_or_default() },
                None if answer.is_html() => Error::Nonsense { at: at(), found: answer.describe() },
                None => Error::Refused { at: at(), status, says: answer.describe() },
            }),
        }
    }

    /// Whether `/v2/` answers as a registry's does.
    pub(super) async fn is_registry(&self) -> Result<bool, Error> {
        if self.known_registry.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let call = self.get(self.api(""), "ask for the registry's API");
        let known = match self.small(&call, ERROR_BODY).await {
            // The header was noted by `once`. Without it: JSON or nothing, not a page.
            Ok(answer) => {
                self.known_registry.load(Ordering::Relaxed)
                    || (answer.status == StatusCode::OK
                        && (answer.body.is_empty()
                            || serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok()))
            }
            Err(error @ Error::Denied { .. }) => {
                // Refused after a challenge that only a registry makes.
                if !self.auth.was_challenged() {
                    return Err(error);
                }
                true
            }
            Err(error) => return Err(error),
        };
        self.known_registry.fetch_or(known, Ordering::Relaxed);
        Ok(known)
    }
}

impl Answer {
    /// What an error body says, or `None` when it is not one.
    pub(super) fn says(&self) -> Option<String> {
        let body = Body::parse(&self.body)?;
        let parts: Vec<String> = body
            .errors
            .iter()
            .take(3)
            .map(|e| if e.message.is_empty() { e.code.clone() } else { format!("{}: {}", e.code, e.message) })
            .collect();
        Some(excerpt(&parts.join("; ")))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type without parameters.
    pub(super) fn media_type(&self) -> Option<&str> {
        Some(self.header("content-type")?.split(';').next().unwrap_or_default().trim())
    }

    pub(super) fn is_html(&self) -> bool {
        self.media_type() == Some("text/html") || self.body.trim_ascii_start().starts_with(b"<")
    }

    /// Status, type and the first words, for messages.
    pub(super) fn describe(&self) -> String {
        let kind = self.media_type().unwrap_or("no media type");
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(120)]);
        match start.trim() {
            "" => format!("status {}, {}, empty", self.status.as_u16(), excerpt(kind)),
            start => format!("status {}, {}, `{}`", self.status.as_u16(), excerpt(kind), excerpt(start)),
        }
    }
}

/// What rustls says when it does not trust the other side. It hands that over
/// as an I/O error of kind `InvalidData`, which others wrap in I/O errors of
/// their own; those show it by `get_ref`, not by `source`.
fn tls_verdict(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData) {
            return Some(error.to_string());
        }
        cause = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// An error and what lies beneath it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
