//! Upgraded connections: bytes both ways until one side ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::counters::DigestCounters;
use crate::front::FrontState;
use crate::shared::Flight;

/// Joins the two sides once both have switched protocols. The tunnel counts
/// as in flight until it ends; the sweep ends it when the drain time is over.
pub(crate) fn spawn(user: OnUpgrade, instance: OnUpgrade, flight: Flight, front: Arc<FrontState>) {
    tokio::spawn(async move {
        if let Ok((user, upstream)) = tokio::try_join!(user, instance) {
            let counters = Arc::clone(&flight.instance.counters);
            let (mut user, mut upstream) =
                (TokioIo::new(user), Counted { io: TokioIo::new(upstream), counters });
            // However a tunnel ends, both sides are closed by dropping them.
            let _ = tokio::io::copy_bidirectional(&mut user, &mut upstream).await;
        }
        drop(flight);
        front.rest();
    });
}

/// The instance's side, counting as bytes pass: a tunnel may last for days.
struct Counted {
    io: TokioIo<Upgraded>,
    counters: Arc<DigestCounters>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.counters.bytes_out.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, data))?;
        self.counters.bytes_in.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
