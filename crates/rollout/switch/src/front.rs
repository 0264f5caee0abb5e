//! The users' side of a connection: its socket and what it is doing now.
//!
//! Time limits are not timers of each request but a note of since when the
//! connection has been in its phase; one sweep looks at all of them.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::HeaderValue;
use hyper::rt::ReadBufCursor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::settings::Settings;
use crate::shared::Shared;

const IDLE: u8 = 0;
const WAITING: u8 = 1;
const ANSWERING: u8 = 2;

/// What one user's connection is doing.
pub(crate) struct FrontState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    /// The peer's address as it stands in `X-Forwarded-For`.
    pub(crate) peer_text: HeaderValue,
    phase: AtomicU8,
    phase_since: AtomicU32,
    /// When the last byte moved.
    moved: AtomicU32,
    instance: AtomicU64,
    /// A request body is awaited.
    uploading: AtomicBool,
    /// The client does not take what is written.
    blocked: AtomicBool,
    cut: AtomicBool,
    late: AtomicBool,
    waker: AtomicWaker,
    writer: AtomicWaker,
}

/// The time limits in tenths of a second.
pub(crate) struct Limits {
    header: u32,
    response: u32,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        let tenths = |sec: f64| (sec * 10.0).ceil().max(1.0) as u32;
        Self { header: tenths(settings.header_sec), response: tenths(settings.response_sec) }
    }
}

impl FrontState {
    pub(crate) fn new(shared: &Arc<Shared>, worker: usize, peer: SocketAddr) -> Arc<Self> {
        let now = shared.ticks();
        let peer_text = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
            .expect("an IP address is printable ASCII");
        let state = Arc::new(Self {
            shared: Arc::clone(shared),
            worker,
            peer_text,
            phase: AtomicU8::new(IDLE),
            phase_since: AtomicU32::new(now),
            moved: AtomicU32::new(now),
            instance: AtomicU64::new(0),
            uploading: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            late: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        shared.connected(&state);
        state
    }

    fn phase(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.phase_since.store(self.shared.ticks(), Relaxed);
    }

    /// A request has arrived.
    pub(crate) fn arrive(&self) {
        self.late.store(false, Relaxed);
        self.phase(WAITING);
    }

    /// The request goes to an instance.
    pub(crate) fn enter(&self, instance: u64) {
        self.instance.store(instance, Relaxed);
    }

    /// The head of the answer is there.
    pub(crate) fn answering(&self) {
        self.phase(ANSWERING);
    }

    /// The instance is no longer used.
    pub(crate) fn leave(&self) {
        self.instance.store(0, Relaxed);
    }

    /// The answer is complete.
    pub(crate) fn rest(&self) {
        self.uploading.store(false, Relaxed);
        self.phase(IDLE);
    }

    /// Whether a request body is being waited for.
    pub(crate) fn uploading(&self, waiting: bool) {
        self.uploading.store(waiting, Relaxed);
    }

    /// Whether the instance took too long to answer.
    pub(crate) fn is_late(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        self.late.load(Relaxed)
    }

    fn wake(&self) {
        self.waker.wake();
        self.writer.wake();
    }

    pub(crate) fn check(&self, now: u32, limits: &Limits, cut: &[u64]) {
        let since = |tick: &AtomicU32| now.saturating_sub(tick.load(Relaxed));
        let phase = self.phase.load(Relaxed);
        let stalled = since(&self.moved) > limits.header
            && (self.uploading.load(Relaxed) || self.blocked.load(Relaxed));
        let silent = phase == IDLE && since(&self.phase_since) > limits.header;
        let drained = cut.contains(&self.instance.load(Relaxed)) && !cut.is_empty();
        if stalled || silent || drained {
            self.cut.store(true, Relaxed);
            self.wake();
        } else if phase == WAITING
            && !self.uploading.load(Relaxed)
            && since(&self.phase_since).min(since(&self.moved)) > limits.response
        {
            self.late.store(true, Relaxed);
            self.wake();
        }
    }

    pub(crate) fn close_if_idle(&self) {
        if self.phase.load(Relaxed) == IDLE {
            self.cut.store(true, Relaxed);
            self.wake();
        }
    }
}

impl Drop for FrontState {
    fn drop(&mut self) {
        self.shared.disconnected();
    }
}

/// A user's socket that notes progress and can be closed from outside.
pub(crate) struct FrontIo {
    stream: TokioIo<TcpStream>,
    state: Arc<FrontState>,
}

impl FrontIo {
    pub(crate) fn new(stream: TcpStream, state: Arc<FrontState>) -> Self {
        Self { stream: TokioIo::new(stream), state }
    }

    fn open(&self) -> io::Result<()> {
        match self.state.cut.load(Relaxed) {
            false => Ok(()),
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by a time limit")),
        }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(_) => {
                self.state.moved.store(self.state.shared.ticks(), Relaxed);
                self.state.blocked.store(false, Relaxed);
            }
            Poll::Pending => {
                self.state.blocked.store(true, Relaxed);
                self.state.writer.register(cx.waker());
            }
        }
        result
    }
}

impl hyper::rt::Read for FrontIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.open()?;
        let result = Pin::new(&mut self.stream).poll_read(cx, cursor);
        match &result {
            Poll::Ready(_) => self.state.moved.store(self.state.shared.ticks(), Relaxed),
            Poll::Pending => self.state.waker.register(cx.waker()),
        }
        result
    }
}

impl hyper::rt::Write for FrontIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.open()?;
        let result = Pin::new(&mut self.stream).poll_write(cx, data);
        self.wrote(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.open()?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
