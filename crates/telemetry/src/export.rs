//! Sending spans: the OTLP exporters, kept within time and to their own threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{RetryPolicy, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::TelemetryError;
use crate::settings::{Protocol, Settings};

/// Bytes of a collector's answer that are read; a whole one has a few.
const MOST_ANSWER: usize = 64 << 10;

/// Headers that an exporter may set by itself; all others are ours to say, as
/// the exporters also take some from the environment, unasked.
const OWN: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::TE];

pub(crate) fn exporter(
    settings: &Settings,
    trouble: &Arc<Trouble>,
) -> Result<opentelemetry_otlp::SpanExporter, TelemetryError> {
    let unusable = |why: String| TelemetryError::Unusable { what: settings.endpoint.clone(), why };
    let headers = headers(settings);
    // One more try: the collector may just have closed a kept connection.
    let retry = RetryPolicy::recommended().with_max_retries(1);
    let built = match settings.protocol {
        Protocol::Http => opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(&settings.endpoint)
            .with_timeout(settings.timeout)
            .with_retry_policy(retry)
            .with_http_client(Client {
                client: client(settings).map_err(unusable)?,
                headers,
                trouble: trouble.clone(),
            })
            .build(),
        Protocol::Grpc => {
            let mut tls = ClientTlsConfig::new().with_native_roots();
            if let Some(pem) = &settings.ca {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            let builder = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&settings.endpoint)
                .with_timeout(settings.timeout)
                .with_retry_policy(retry)
                .with_interceptor(move |mut request: tonic::Request<()>| {
                    let mut map = std::mem::take(request.metadata_mut()).into_headers();
                    only(&mut map, &headers);
                    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(map);
                    Ok(request)
                });
            match settings.endpoint.starts_with("https://") {
                true => builder.with_tls_config(tls).build(),
                false => builder.build(),
            }
        }
    };
    built.map_err(|error| unusable(error.to_string()))
}

fn headers(settings: &Settings) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert(header::USER_AGENT, HeaderValue::from_static(concat!("plimsoll/", env!("CARGO_PKG_VERSION"))));
    for (name, value) in &settings.headers {
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value.reveal()))
        {
            value.set_sensitive(true);
            map.insert(name, value);
        }
    }
    map
}

/// Leaves of `map` what describes the body, and adds what was asked for.
fn only(map: &mut HeaderMap, asked: &HeaderMap) {
    let described: Vec<_> =
        OWN.iter().filter_map(|name| map.remove(name).map(|value| (name, value))).collect();
    map.clear();
    map.extend(asked.clone());
    for (name, value) in described {
        map.insert(name, value);
    }
}

fn client(settings: &Settings) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder();
    if let Some(pem) = &settings.ca {
        let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|error| innermost(&error))?;
        if certificates.is_empty() {
            return Err("the file of trusted certificates has none".into());
        }
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder
        // A log-in page is no collector.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(settings.timeout)
        .build()
        .map_err(|error| innermost(&error))
}

/// The cause that names the trouble; those above only name the layer.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    headers: HeaderMap,
    trouble: Arc<Trouble>,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request).await;
        // The exporter keeps this to itself.
        match &answer {
            Ok(answer) if answer.status().is_success() => self.trouble.taken(),
            Ok(answer) => self.trouble.because(format!("it answered {}", answer.status())),
            Err(error) => self.trouble.because(error.to_string()),
        }
        answer
    }
}

impl Client {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut head, body) = request.into_parts();
        only(&mut head.headers, &self.headers);
        let url: reqwest::Url = head.uri.to_string().parse()?;
        let sent = self.client.request(head.method, url).headers(head.headers).body(body).send().await;
        let mut answer = sent.map_err(|error| innermost(&error))?;
        let mut read = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
            if read.len() + chunk.len() > MOST_ANSWER {
                return Err(Box::new(ResponseBodyTooLarge::new()));
            }
            read.extend_from_slice(&chunk);
        }
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            *headers = std::mem::take(answer.headers_mut());
        }
        Ok(response.body(read.freeze())?)
    }
}

/// The first thing that went wrong.
#[derive(Debug)]
pub(crate) struct Trouble {
    endpoint: String,
    /// Of the newest request; the export may try again and succeed.
    cause: Mutex<Option<String>>,
    first: Mutex<Option<String>>,
}

impl Trouble {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { endpoint: endpoint.into(), cause: Mutex::new(None), first: Mutex::new(None) }
    }

    fn because(&self, cause: String) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause);
    }

    /// A request was taken: what kept the one before from it explains nothing any more.
    fn taken(&self) {
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn saw(&self, why: String) {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner).take();
        let why = cause.unwrap_or(why);
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    pub(crate) fn first(&self) -> Option<TelemetryError> {
        let why = self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(TelemetryError::Undelivered { endpoint: self.endpoint.clone(), why })
    }

    /// The end came before the last answer.
    pub(crate) fn late(&self) -> TelemetryError {
        let why = format!("no answer within {} s of the command's end", crate::LAST_EXPORT.as_secs());
        TelemetryError::Undelivered { endpoint: self.endpoint.clone(), why }
    }
}

/// Exports on a runtime, within a time, whatever thread asks for it: the SDK's
/// own thread has neither reactor nor timer.
#[derive(Debug)]
pub(crate) struct OnRuntime<E> {
    inner: Arc<E>,
    runtime: tokio::runtime::Handle,
    timeout: Duration,
    trouble: Arc<Trouble>,
}

impl<E> OnRuntime<E> {
    pub(crate) fn new(
        inner: E,
        runtime: tokio::runtime::Handle,
        timeout: Duration,
        trouble: Arc<Trouble>,
    ) -> Self {
        Self { inner: Arc::new(inner), runtime, timeout, trouble }
    }
}

impl<E: SpanExporter + 'static> SpanExporter for OnRuntime<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (inner, timeout) = (self.inner.clone(), self.timeout);
        let sent =
            self.runtime.spawn(async move { tokio::time::timeout(timeout, inner.export(batch)).await });
        let result = match sent.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(OTelSdkError::Timeout(timeout)),
            Err(_) => Err(OTelSdkError::InternalFailure("the command ended first".into())),
        };
        if let Err(error) = &result {
            self.trouble.saw(match error {
                OTelSdkError::Timeout(time) => format!("no answer within {} s", time.as_secs_f64()),
                other => other.to_string(),
            });
        }
        result
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Called once, before the first export: nothing else holds it yet.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_cause_is_of_the_export_that_failed() {
        let trouble = Trouble::new("http://collector");
        trouble.because("connection reset".into());
        trouble.taken();
        assert!(trouble.first().is_none(), "the second try was taken");
        trouble.saw("no answer within 5 s".into());
        trouble.because("it answered 401".into());
        trouble.saw("the exporter's own words".into());
        let first = trouble.first().unwrap().to_string();
        assert!(first.ends_with("http://collector: no answer within 5 s"), "{first}");
    }

    #[test]
    fn only_what_describes_the_body_is_left_beside_what_was_asked_for() {
        let mut sent = HeaderMap::new();
        sent.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        sent.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        sent.insert(header::AUTHORIZATION, HeaderValue::from_static("of another collector"));
        let mut asked = HeaderMap::new();
        asked.insert("x-tenant", HeaderValue::from_static("pay"));
        only(&mut sent, &asked);
        let mut names: Vec<_> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-encoding", "content-type", "x-tenant"]);
    }
}
