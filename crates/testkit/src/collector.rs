//! A collector of spans: OTLP over HTTP and gRPC on one port, read with the
//! official message types, that refuses and is silent on demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::StreamBody;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use prost::Message as _;

/// What it does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes it.
    Takes,
    /// Refuses it: 401, or `UNAUTHENTICATED`.
    Refuses,
    /// Reads it, and never answers.
    Hangs,
    /// Answers a web page.
    Page,
}

/// One span that arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// In hexadecimal.
    pub trace_id: String,
    /// In hexadecimal.
    pub span_id: String,
    /// In hexadecimal; empty for a root.
    pub parent: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Message of an error; none where the status is none.
    pub error: Option<String>,
    /// Attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// Name and attributes of each event.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    /// Attributes of the process.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct Seen {
    spans: Vec<Span>,
    headers: Vec<HeaderMap>,
    exports: usize,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Seen>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A collector on a free port of loopback; it ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Collector {
    /// Starts one that takes everything.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn start() -> Self {
        let shared = Arc::new(Shared { behaviour: Mutex::new(Behaviour::Takes), seen: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads can be started");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let router = Router::new()
            .route("/v1/traces", post(over_http))
            .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", post(over_grpc))
            .with_state(shared.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, shared, runtime: Some(runtime) }
    }

    /// `http://127.0.0.1:PORT`, of both protocols.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From here on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// What was taken so far.
    pub fn spans(&self) -> Vec<Span> {
        self.shared.seen().spans.clone()
    }

    /// Exports that arrived, taken or not.
    pub fn exports(&self) -> usize {
        self.shared.seen().exports
    }

    /// Headers of each export.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.shared.seen().headers.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// What becomes of an export: nothing where it is taken.
    async fn meet(&self, headers: HeaderMap, message: &[u8]) -> Option<Behaviour> {
        let behaviour = *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut seen = self.seen();
            seen.exports += 1;
            seen.headers.push(headers);
        }
        match behaviour {
            Behaviour::Takes => {
                let request =
                    ExportTraceServiceRequest::decode(message).expect("an SDK sends what it should");
                let spans = spans(request);
                self.seen().spans.extend(spans);
                None
            }
            Behaviour::Hangs => std::future::pending().await,
            other => Some(other),
        }
    }
}

async fn over_http(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = |status: StatusCode, kind: &'static str, body: Vec<u8>| {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    };
    match shared.meet(headers, &body).await {
        None => {
            let taken = ExportTraceServiceResponse::default().encode_to_vec();
            answer(StatusCode::OK, "application/x-protobuf", taken)
        }
        Some(Behaviour::Page) => answer(StatusCode::FOUND, "text/html", b"<html>log in</html>".to_vec()),
        Some(_) => answer(StatusCode::UNAUTHORIZED, "text/plain", b"who are you?".to_vec()),
    }
}

async fn over_grpc(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    // One byte of flags and four of length before the message (gRPC over HTTP/2).
    let outcome = shared.meet(headers, body.get(5..).unwrap_or_default()).await;
    let (status, message) = match outcome {
        None => ("0", Some([0; 5].to_vec())),
        Some(_) => ("16", None),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let data = message.map(|bytes| Ok::<_, Infallible>(Frame::data(Bytes::from(bytes))));
    let frames: Vec<_> = data.into_iter().chain([Ok(Frame::trailers(trailers))]).collect();
    let mut response = Response::new(Body::new(StreamBody::new(stream::iter(frames))));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for of_process in request.resource_spans {
        let resource =
            attributes(of_process.resource.map(|resource| resource.attributes).unwrap_or_default());
        for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let status = span.status.unwrap_or_default();
            all.push(Span {
                name: span.name,
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
                error: (status.code == 2).then_some(status.message),
                attributes: attributes(span.attributes),
                events: span.events.into_iter().map(|one| (one.name, attributes(one.attributes))).collect(),
                resource: resource.clone(),
            });
        }
    }
    all
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|any| any.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(flag)) => flag.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        _ => String::new(),
    };
    all.into_iter().map(|one| (one.key, text(one.value))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
