//! Connections to instances.
//!
//! A connection has no task of its own: whoever uses it polls it, so an
//! exchange needs no hop between tasks. Idle connections wait in the
//! instance's stack and are looked at when taken and by the sweep.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;

use crate::counters::DigestCounters;
use crate::front::FrontState;
use crate::shared::{Instance, lock};

/// How long connecting to an instance may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(2);
/// Idle connections are closed after this time; common servers close after
/// five seconds or more.
const MAX_IDLE: Duration = Duration::from_secs(4);
/// A request that cannot be repeated takes only a connection used this
/// recently, because one that the instance is just closing would lose it.
const FRESH: Duration = Duration::from_secs(1);
/// Idle connections kept per worker and instance.
const MAX_POOL: usize = 512;

type Connection = http1::Connection<TokioIo<TcpStream>, RequestBody>;

/// One connection to an instance.
pub(crate) struct Link {
    sender: SendRequest<RequestBody>,
    /// `None` once it has ended. It must be dropped then and not just left:
    /// dropping is what tells a request waiting in it that it was not sent.
    connection: Option<Connection>,
    idle_since: Instant,
}

/// What [`Link::exchange`] came to when it was not an answer.
pub(crate) enum Unanswered {
    /// Nothing was sent; the request is intact.
    Unsent(Box<Request<RequestBody>>),
    /// Something may have been sent and no answer came.
    Lost(hyper::Error),
    /// No answer came in time.
    Late,
}

impl Link {
    /// Connects to an instance.
    pub(crate) async fn open(instance: &Instance) -> io::Result<Box<Self>> {
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(instance.address)).await??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Box::new(Self { sender, connection: Some(connection), idle_since: Instant::now() }))
    }

    /// Takes an idle connection of this worker.
    pub(crate) fn take(instance: &Instance, worker: usize, repeatable: bool) -> Option<Box<Self>> {
        loop {
            let link = lock(&instance.idle[worker]).pop()?;
            if !repeatable && link.idle_since.elapsed() > FRESH {
                lock(&instance.idle[worker]).push(link);
                return None;
            }
            // Whether the instance has closed it meanwhile shows when it is
            // used: nothing is sent then and the request goes elsewhere.
            if link.connection.is_some() && link.sender.is_ready() && link.idle_since.elapsed() < MAX_IDLE {
                return Some(link);
            }
        }
    }

    /// Puts the connection back when it can carry another request.
    pub(crate) fn give_back(mut self: Box<Self>, instance: &Instance, worker: usize) {
        self.drive(&mut Context::from_waker(Waker::noop()));
        if self.connection.is_none() || !self.sender.is_ready() {
            return;
        }
        self.idle_since = Instant::now();
        let mut pool = lock(&instance.idle[worker]);
        if pool.len() < MAX_POOL {
            pool.push(self);
        }
    }

    /// Whether an idle connection can be used, as far as is known here.
    pub(crate) fn still_good(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.connection.is_some() && self.sender.is_ready() && self.idle_since.elapsed() < MAX_IDLE
    }

    /// Moves bytes between the socket and the exchange.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, cx);
    }

    /// Sends a request and waits for the head of its answer.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        is_late: impl Fn(&Context<'_>) -> bool,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        std::future::poll_fn(|cx| {
            drive(connection, cx);
            // Only driving the connection brings the answer, and it was just
            // driven: the answer need not wake anybody.
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
                    Some(request) => Unanswered::Unsent(Box::new(request)),
                    None => Unanswered::Lost(error.into_error()),
                })),
                Poll::Pending if is_late(cx) => Poll::Ready(Err(Unanswered::Late)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Hands the connection to a task of its own, as an upgrade needs.
    pub(crate) fn into_task(self) -> SendRequest<RequestBody> {
        let Self { sender, connection, .. } = self;
        tokio::spawn(async move {
            // Its end is seen by whoever uses the sender or the tunnel.
            if let Some(connection) = connection {
                let _ = connection.with_upgrades().await;
            }
        });
        sender
    }
}

fn drive(connection: &mut Option<Connection>, cx: &mut Context<'_>) {
    if let Some(open) = connection
        && Pin::new(open).poll(cx).is_ready()
    {
        *connection = None;
    }
}

/// A request's body on its way to an instance.
pub(crate) struct RequestBody {
    body: Option<Incoming>,
    counters: Option<Arc<DigestCounters>>,
    front: Option<Arc<FrontState>>,
}

impl RequestBody {
    pub(crate) fn empty() -> Self {
        Self { body: None, counters: None, front: None }
    }

    pub(crate) fn streaming(body: Incoming, front: &Arc<FrontState>) -> Self {
        Self { body: Some(body), counters: None, front: Some(Arc::clone(front)) }
    }

    /// Says whose bytes these are.
    pub(crate) fn count_for(&mut self, instance: &Instance) {
        if self.body.is_some() {
            self.counters = Some(Arc::clone(&instance.counters));
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if let Some(front) = &self.front {
            front.uploading(polled.is_pending());
        }
        if let (Poll::Ready(Some(Ok(frame))), Some(counters)) = (&polled, &self.counters)
            && let Some(data) = frame.data_ref()
        {
            counters.bytes_in.fetch_add(data.len() as u64, Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
