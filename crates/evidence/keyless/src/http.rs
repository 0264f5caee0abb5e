//! The one way requests leave: TLS or loopback, no redirects, time limits,
//! bounded bodies, sent again where that is safe.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode, header};
use plimsoll_model::Secret;
use reqwest::{Client, Response, Url};

use crate::endpoint::{excerpt, is_loopback};
use crate::error::{At, Beneath, Cause, Error, Service};
use crate::retry::{self, Policy, Tries};

/// How services are spoken to. There is no switch for plain http: it is used
/// for loopback and refused everywhere else.
#[derive(Debug, Clone)]
pub struct Options {
    /// PEM files with certificate authorities trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Until a connection stands, TLS included.
    pub connect_timeout: Duration,
    /// One try with its whole answer. Rekor v2 answers only once the entry is
    /// in the log, which takes seconds.
    pub request_timeout: Duration,
    /// When and how often a request is sent again.
    pub retry: Policy,
    /// How many statements are logged and stamped at once; at least one.
    pub parallelism: usize,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_files: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            retry: Policy::default(),
            parallelism: 6,
            user_agent: concat!("plimsoll/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// A request that can be sent more than once.
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// What is in it that must not come back in a message.
    pub(crate) secret: Option<Secret>,
}

impl Call {
    pub(crate) fn get(service: Service, url: Url) -> Self {
        let headers = HeaderMap::new();
        Self { service, method: Method::GET, url, headers, body: Vec::new(), secret: None }
    }

    pub(crate) fn post(service: Service, url: Url, content: &'static str, body: Vec<u8>) -> Self {
        let content = header::HeaderValue::from_static(content);
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content)]);
        Self { service, method: Method::POST, url, headers, body, secret: None }
    }

    pub(crate) fn with_secret(mut self, secret: Secret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// An answer without the secret: whatever echoes requests would put it
    /// into our messages.
    fn mask(&self, body: Vec<u8>) -> Vec<u8> {
        match &self.secret {
            Some(secret) if holds(&body, secret.reveal().as_bytes()) => b"an echo of the request".to_vec(),
            _ => body,
        }
    }

    /// Who is asked, for messages. The query stays out: it may name things.
    pub(crate) fn at(&self) -> At {
        let mut url = self.url.clone();
        url.set_query(None);
        At { service: self.service, endpoint: url.into() }
    }
}

/// A whole answer that is neither "not now" nor unreadable.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) at: At,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer, if it says yes.
    pub(crate) fn accepted(self) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        if self.status.is_client_error() {
            let says = self.says();
            return Err(Cause::Refused { at: self.at, status: self.status, says }.into());
        }
        // A redirect is not followed: the request carries a token or a signature.
        Err(self.nonsense("an answer"))
    }

    /// The body as JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, expected: &str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|e| match self.is_html() {
            true => self.nonsense(expected),
            false => self.wrong(expected, &format!("{e}, in {}", self.describe())),
        })
    }

    /// It is not what such a service answers: the whole of it.
    pub(crate) fn nonsense(&self, expected: &str) -> Error {
        self.wrong(expected, &self.describe())
    }

    /// It is not what such a service answers: something in it.
    pub(crate) fn wrong(&self, expected: &str, found: &str) -> Error {
        let (expected, found) = (expected.to_owned(), excerpt(found));
        Cause::Nonsense { at: self.at.clone(), expected, found }.into()
    }

    /// The message in an error body, or the start of the body.
    pub(crate) fn says(&self) -> String {
        says(&self.body)
    }

    fn is_html(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }

    /// Status, type and the first words.
    fn describe(&self) -> String {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(120)]);
        format!("status {}, {}, `{}`", self.status.as_u16(), kind.unwrap_or("no media type"), start.trim())
    }
}

/// All of them write `message` into an error's JSON.
fn says(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match value.get("message").and_then(serde_json::Value::as_str) {
        Some(message) => excerpt(message),
        None if body.trim_ascii().is_empty() => "nothing more".into(),
        None => excerpt(&String::from_utf8_lossy(&body[..body.len().min(400)])),
    }
}

/// Why one try failed.
enum Trouble {
    /// It may work later.
    Broken(Beneath),
    NotNow {
        status: StatusCode,
        retry_after: Option<Duration>,
        says: String,
    },
    /// It will not.
    Final(Error),
}

/// The client for all services.
#[derive(Debug)]
pub(crate) struct Http {
    options: Options,
    plain: OnceLock<Client>,
    tls: OnceLock<Client>,
}

/// The most an error's body is read for.
const ERROR_BODY: usize = 16 << 10;

impl Http {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, plain: OnceLock::new(), tls: OnceLock::new() }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Sends a request and reads its answer of at most `most` bytes, again and
    /// again within the policy.
    ///
    /// # Errors
    /// Nothing came, or "not now", after all tries; TLS; too much came.
    pub(crate) async fn ask(&self, call: &Call, most: usize) -> Result<Answer, Error> {
        let mut tries = Tries::new(self.options.retry);
        loop {
            let limit = self.options.request_timeout;
            let trouble = match tokio::time::timeout(limit, self.once(call, most)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Trouble::Final(error))) => return Err(error),
                Ok(Err(trouble)) => trouble,
                Err(_) => Trouble::Broken(format!("nothing came for {} s", limit.as_secs_f32()).into()),
            };
            let wish = match &trouble {
                Trouble::NotNow { retry_after, .. } => *retry_after,
                _ => None,
            };
            match tries.next_delay(wish) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(trouble.into_error(call.at(), tries.made())),
            }
        }
    }

    async fn once(&self, call: &Call, most: usize) -> Result<Answer, Trouble> {
        let mut request = reqwest::Request::new(call.method.clone(), call.url.clone());
        *request.headers_mut() = call.headers.clone();
        if call.method == Method::POST {
            *request.body_mut() = Some(call.body.clone().into());
        }
        let client = self.client(&call.url).map_err(Trouble::Final)?;
        let response = client.execute(request).await.map_err(|e| broken(e, call))?;
        let status = response.status();
        let headers = response.headers().clone();
        if retry::is_transient(status) {
            let body = read(response, ERROR_BODY).await.ok().flatten().unwrap_or_default();
            let retry_after = retry::wish(&headers, SystemTime::now());
            return Err(Trouble::NotNow { status, retry_after, says: says(&call.mask(body)) });
        }
        let most = if status.is_success() { most } else { ERROR_BODY };
        match read(response, most).await.map_err(|e| broken(e, call))? {
            Some(body) => Ok(Answer { at: call.at(), status, headers, body: call.mask(body) }),
            None => {
                let found = format!("status {} with more than that", status.as_u16());
                let expected = format!("an answer of at most {most} bytes");
                Err(Trouble::Final(Cause::Nonsense { at: call.at(), expected, found }.into()))
            }
        }
    }

    /// The client for `url`. Plain http goes to loopback only (an endpoint is
    /// nothing else), past any proxy, and needs no certificates.
    fn client(&self, url: &Url) -> Result<&Client, Error> {
        let tls = url.scheme() == "https";
        let cell = if tls { &self.tls } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let Options { ca_files, connect_timeout, user_agent, .. } = &self.options;
        let unusable = |option: String, reason: String| Error::from(Cause::Options { option, reason });
        let mut builder = Client::builder()
            .user_agent(user_agent)
            .connect_timeout(*connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        if tls {
            let mut extra = Vec::new();
            for path in ca_files {
                let option = format!("CA file {}", path.display());
                let pem = std::fs::read(path).map_err(|e| unusable(option.clone(), e.to_string()))?;
                match reqwest::Certificate::from_pem_bundle(&pem) {
                    Ok(certificates) if !certificates.is_empty() => extra.extend(certificates),
                    _ => return Err(unusable(option, "it holds no certificate in PEM format".into())),
                }
            }
            builder = builder.tls_certs_merge(extra);
        } else {
            builder = builder.tls_certs_only([]).no_proxy();
            debug_assert!(is_loopback(url));
        }
        let client = builder.build().map_err(|e| unusable("TLS or user agent".into(), chain(&e)))?;
        Ok(cell.get_or_init(|| client))
    }
}

impl Trouble {
    fn into_error(self, at: At, attempts: u32) -> Error {
        match self {
            Self::Broken(source) => Cause::Unreachable { at, attempts, source }.into(),
            Self::NotNow { status, retry_after, says } => {
                Cause::Busy { at, status, attempts, retry_after, says }.into()
            }
            Self::Final(error) => error,
        }
    }
}

/// Whether `needle` is somewhere in `body`.
fn holds(body: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && body.windows(needle.len()).any(|window| window == needle)
}

/// What a failed send means. The URL goes: messages have one of their own.
fn broken(error: reqwest::Error, call: &Call) -> Trouble {
    let error = error.without_url();
    match tls_verdict(&error) {
        Some(verdict) => Trouble::Final(Cause::Untrusted { at: call.at(), source: verdict.into() }.into()),
        None => Trouble::Broken(Box::new(error)),
    }
}

/// A body of at most `most` bytes; `None` when there is more.
async fn read(mut response: Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if piece.len() > most - body.len() {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Some(body))
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

/// An error and what lies beneath it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
