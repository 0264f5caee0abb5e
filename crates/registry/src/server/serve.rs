//! The accept loop: bounded connections, headers and header time; graceful end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Registry;

/// The other end of a connection, for the access log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// A request's head must be complete within this time.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Most header lines of one request.
const MAX_HEADERS: usize = 100;
/// Bounds a request's head on HTTP/1, and is the largest read of a body.
const READ_BUFFER: usize = 256 << 10;
/// Bounds a request's head on HTTP/2.
const HEADER_LIST: u32 = 64 << 10;
/// How often idle upload sessions are looked at.
const SWEEP: Duration = Duration::from_secs(30);

/// Accepts until `shutdown` ends, then lets requests under way finish for as
/// long as the options allow.
pub(super) async fn run(
    registry: &Registry,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let builder = Arc::new(builder());
    let options = registry.options();
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let router = registry.router();
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            _ = sweep.tick() => {
                registry.sweep();
                continue;
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                // Out of file descriptors or memory: others must end first.
                tracing::warn!(target: "plimsoll_registry::server", %error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Answers are written whole; waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(with_peer(&router, peer));
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(target: "plimsoll_registry::server", %peer, error, "connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(target: "plimsoll_registry::server", "requests were still under way at the end of the drain time");
    }
    connections.shutdown().await;
    Ok(())
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_LIST)
        .max_concurrent_streams(64)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(HEAD_TIME);
    builder
}

fn with_peer(router: &Router, peer: SocketAddr) -> Router {
    router.clone().layer(axum::Extension(Peer(peer)))
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
