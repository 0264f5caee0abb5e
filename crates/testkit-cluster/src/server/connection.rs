//! Connections: accepted, served, and broken when they are to break.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::handle::answer;
use crate::cluster::{Activity, lock};
use crate::world::World;

/// Tells a connection to end with a reset.
#[derive(Debug, Clone, Default)]
pub(super) struct Cutter(Arc<AtomicBool>);

impl Cutter {
    /// The connection is reset when it is dropped, which comes next.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Serves until `stop`.
pub(crate) async fn serve(
    world: Arc<Mutex<World>>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    activity: Arc<Activity>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the socket is non-blocking");
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let _ = stream.set_nodelay(true);
        connections.spawn(one(world.clone(), stream, tls.clone(), activity.clone()));
    }
    connections.shutdown().await;
}

async fn one(world: Arc<Mutex<World>>, stream: TcpStream, tls: Option<TlsAcceptor>, activity: Arc<Activity>) {
    let cutter = Cutter::default();
    let (mut broken, away) = {
        let world = lock(&world);
        (world.faults.broken.subscribe(), world.faults.away_until > world.now)
    };
    let stream = Resettable { stream, cutter: cutter.clone() };
    if away {
        cutter.cut();
        return;
    }
    let serving = async {
        match tls {
            // A client that does not trust the certificate ends the handshake.
            Some(tls) => {
                if let Ok(stream) = tls.accept(stream).await {
                    http(world, TokioIo::new(stream), cutter.clone(), activity).await;
                }
            }
            None => http(world, TokioIo::new(stream), cutter.clone(), activity).await,
        }
    };
    tokio::select! {
        () = serving => {}
        _ = broken.changed() => cutter.cut(),
    }
}

async fn http<T>(world: Arc<Mutex<World>>, io: T, cutter: Cutter, activity: Arc<Activity>)
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let within = cutter.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (world, cutter, activity) = (world.clone(), within.clone(), activity.clone());
        async move {
            let busy = activity.begin();
            let response = answer(&world, request, &cutter).await;
            drop(busy);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new().serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    // A reset that is wanted comes before anything else is sent.
    std::future::poll_fn(|context| {
        let state = connection.as_mut().poll(context);
        if cutter.is_cut() { Poll::Ready(()) } else { state.map(drop) }
    })
    .await;
}

/// A stream that ends with a reset where that is wanted.
struct Resettable {
    stream: TcpStream,
    cutter: Cutter,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.cutter.is_cut() {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
