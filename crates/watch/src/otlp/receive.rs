//! Both protocols of OTLP over one listener.

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::MAX_EXPORT;
use super::counts::Counts;
use super::wire;

const HTTP: &str = "/v1/traces";
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Connections at the same time.
const MAX_CONNECTIONS: usize = 512;
/// How long one export may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

type Body = BoxBody<Bytes, Infallible>;

/// Status codes of gRPC that are used (grpc/status codes).
const OK: u8 = 0;
const INVALID_ARGUMENT: u8 = 3;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;

/// Accepts until it is dropped; connections end with it.
pub(super) async fn accept(listener: TcpListener, counts: Arc<Counts>, attribute: String) {
    let attribute: Arc<str> = attribute.into();
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&free).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, or a connection that ended at once.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (counts, attribute) = (Arc::clone(&counts), Arc::clone(&attribute));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (counts, attribute) = (Arc::clone(&counts), Arc::clone(&attribute));
                async move { Ok::<_, Infallible>(answer(request, &counts, &attribute).await) }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(ARRIVAL);
            builder.http2().timer(TokioTimer::new()).max_concurrent_streams(32).keep_alive_interval(ARRIVAL);
            // A connection that breaks is the sender's affair.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(slot);
        });
    }
}

/// Why an export was not taken.
enum Refusal {
    TooLarge,
    Late,
    Broken(String),
    Encoding,
}

async fn answer(request: Request<Incoming>, counts: &Counts, attribute: &str) -> Response<Body> {
    let (head, body) = request.into_parts();
    let grpc = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if grpc {
        if head.uri.path() != GRPC {
            return trailers(UNIMPLEMENTED, "only traces are received");
        }
        let taken = take_grpc(&head.headers, body, counts, attribute).await;
        return match taken {
            Ok(()) => trailers(OK, ""),
            Err(Refusal::TooLarge) => trailers(RESOURCE_EXHAUSTED, "the export is too large"),
            Err(Refusal::Late) => trailers(RESOURCE_EXHAUSTED, "the export took too long to arrive"),
            Err(Refusal::Encoding) => trailers(UNIMPLEMENTED, "only gzip and identity are understood"),
            Err(Refusal::Broken(why)) => trailers(INVALID_ARGUMENT, &why),
        };
    }
    if head.uri.path() != HTTP {
        return plain(StatusCode::NOT_FOUND, "spans are taken at /v1/traces");
    }
    if head.method != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "spans are posted");
    }
    let binary = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-protobuf"));
    if !binary {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "spans come as application/x-protobuf");
    }
    match take_http(&head.headers, body, counts, attribute).await {
        // An empty ExportTraceServiceResponse: everything was taken.
        Ok(()) => protobuf(),
        Err(Refusal::TooLarge) => plain(StatusCode::PAYLOAD_TOO_LARGE, "the export is too large"),
        Err(Refusal::Late) => plain(StatusCode::REQUEST_TIMEOUT, "the export took too long to arrive"),
        Err(Refusal::Encoding) => {
            plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "only gzip and identity are understood")
        }
        Err(Refusal::Broken(why)) => plain(StatusCode::BAD_REQUEST, &why),
    }
}

async fn take_http(
    headers: &HeaderMap,
    body: Incoming,
    counts: &Counts,
    attribute: &str,
) -> Result<(), Refusal> {
    let body = collect(body).await?;
    let body = match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => body,
        Some(b"gzip") => unpack(&body)?,
        Some(_) => return Err(Refusal::Encoding),
    };
    take(&body, counts, attribute)
}

/// One message in a frame of five bytes before it: whether it is compressed,
/// and its length.
async fn take_grpc(
    headers: &HeaderMap,
    body: Incoming,
    counts: &Counts,
    attribute: &str,
) -> Result<(), Refusal> {
    let body = collect(body).await?;
    let broken = || Refusal::Broken("it is not one message of gRPC".into());
    let (frame, message) = body.split_at_checked(5).ok_or_else(broken)?;
    if u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize != message.len() {
        return Err(broken());
    }
    if frame[0] == 0 {
        return take(message, counts, attribute);
    }
    if headers.get("grpc-encoding").is_none_or(|value| value != "gzip") {
        return Err(Refusal::Encoding);
    }
    take(&unpack(message)?, counts, attribute)
}

fn take(message: &[u8], counts: &Counts, attribute: &str) -> Result<(), Refusal> {
    let exported = wire::export(message).map_err(|error| Refusal::Broken(error.to_string()))?;
    let dropped = counts.take(&exported, attribute);
    if dropped > 0 {
        tracing::debug!(dropped, attribute, "spans without a release were not counted");
    }
    Ok(())
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    // The five bytes before a message of gRPC do not count.
    let collected = Limited::new(body, MAX_EXPORT + 5).collect();
    match tokio::time::timeout(ARRIVAL, collected).await {
        Err(_) => Err(Refusal::Late),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(error)) => Err(Refusal::Broken(error.to_string())),
    }
}

fn unpack(packed: &[u8]) -> Result<Bytes, Refusal> {
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(packed)
        .take(MAX_EXPORT as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|_| Refusal::Broken("it is not gzip".into()))?;
    if body.len() > MAX_EXPORT { Err(Refusal::TooLarge) } else { Ok(body.into()) }
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    with_type(status, "text/plain", Full::new(Bytes::from(format!("{text}\n"))).boxed())
}

fn protobuf() -> Response<Body> {
    with_type(StatusCode::OK, "application/x-protobuf", Full::new(Bytes::new()).boxed())
}

/// An answer of gRPC: an empty message where all is well, and the status.
fn trailers(status: u8, message: &str) -> Response<Body> {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from(u16::from(status)));
    if let Ok(message) = HeaderValue::from_str(message)
        && !message.is_empty()
    {
        map.insert("grpc-message", message);
    }
    let mut frames = Vec::new();
    if status == OK {
        frames.push(Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 5]))));
    }
    frames.push(Ok(Frame::trailers(map)));
    with_type(StatusCode::OK, "application/grpc", StreamBody::new(stream::iter(frames)).boxed())
}
