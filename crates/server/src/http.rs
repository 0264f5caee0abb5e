//! Connections: bounded in number, in the size of heads and bodies, and in
//! time; plain or over TLS; ended gracefully.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Connections at once.
const MOST_CONNECTIONS: usize = 1_000;
/// A request's head, and a TLS handshake, must be complete within this time.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bounds a request's head.
const READ_BUFFER: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
/// Requests at once on one HTTP/2 connection: an API server has one.
const MOST_STREAMS: u32 = 1_000;
/// How long requests under way may take when the server ends.
const DRAIN: Duration = Duration::from_secs(10);
/// A body that does not come within this time is given up.
const BODY_TIME: Duration = Duration::from_secs(5);

/// Serves until `shutdown` ends, then waits for requests under way.
pub(crate) async fn serve<A, F>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    answer: Arc<A>,
    shutdown: impl Future<Output = ()>,
) where
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(builder());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let (tls, answer, builder, graceful) =
            (tls.clone(), answer.clone(), builder.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _slot = slot;
            match tls {
                None => connection(stream, &builder, graceful, answer).await,
                Some(tls) => match tokio::time::timeout(HEAD_TIME, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, &builder, graceful, answer).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake did not end in time"),
                },
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(READ_BUFFER)
        .max_headers(MAX_HEADERS)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(READ_BUFFER).unwrap_or(u32::MAX))
        .max_concurrent_streams(MOST_STREAMS)
        .keep_alive_interval(Some(HEAD_TIME));
    builder
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            // Out of descriptors: the next try would fail as fast.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection<S, A, F>(stream: S, builder: &Builder<TokioExecutor>, graceful: Watcher, answer: Arc<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = graceful.watch(connection).await {
        tracing::debug!(%error, "a connection ended");
    }
}

/// The whole body, if it has at most `most` bytes and comes in time.
///
/// # Errors
/// The answer to give instead.
pub(crate) async fn body(body: Incoming, most: usize) -> Result<Bytes, Answer> {
    let too_long = || text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {most} bytes\n"));
    // What says so itself is not waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(too_long());
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(text(StatusCode::BAD_REQUEST, "the body broke off\n")),
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n")),
    }
}

/// An answer in words.
pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

/// An answer of some type.
pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
