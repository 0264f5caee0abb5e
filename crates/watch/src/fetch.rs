//! One answer over HTTP, bounded in bytes and time; each way to fail has its
//! own reason.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Client, RequestBuilder};

/// Time and size of one answer.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the request to the last byte. Default: 5 s.
    pub deadline: Duration,
    /// Bytes of the body. Default: 16 MiB.
    pub body: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), body: 16 << 20 }
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer to use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("it did not answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer broke off: {0}")]
    BrokenOff(String),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// Whether the proxies that the environment names are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// As for any other program.
    System,
    /// Replicas are near; a proxy would not know them.
    Never,
}

/// A client for metrics. It follows no redirects: a log-in page is no answer.
///
/// `ca` are certificates (PEM) that are trusted beside those of the system.
pub(crate) fn client(proxy: Proxy, ca: Option<&[u8]>) -> Result<Client, String> {
    let mut builder = match proxy {
        Proxy::System => Client::builder(),
        Proxy::Never => Client::builder().no_proxy(),
    };
    if let Some(pem) = ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| innermost(&error))?;
        if certificates.is_empty() {
            return Err("the file of trusted certificates has none".into());
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(3))
        .pool_idle_timeout(Duration::from_secs(60))
        .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| innermost(&error))
}

pub(crate) async fn fetch(request: RequestBuilder, bounds: Bounds) -> Result<Answer, FetchError> {
    match tokio::time::timeout(bounds.deadline, read(request, bounds.body)).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::Late(bounds.deadline)),
    }
}

async fn read(request: RequestBuilder, most: usize) -> Result<Answer, FetchError> {
    let response = request.send().await.map_err(|error| FetchError::Unreachable(innermost(&error)))?;
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    if response.content_length().is_some_and(|length| length > most as u64) {
        return Err(FetchError::TooLarge(most));
    }
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| FetchError::BrokenOff(innermost(&error)))?;
        if body.len() + chunk.len() > most {
            return Err(FetchError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, content_type, body })
}

/// The last cause of an error, which is what the system said.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
