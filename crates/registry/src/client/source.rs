//! The bytes of a blob on their way up: read and verified on a thread of their
//! own, handed over in pieces.

use std::io::Read as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use plimsoll_oci::{Descriptor, Layout};
use tokio::sync::mpsc;

use super::meter::Meter;

/// Bytes read at once.
const PIECE: usize = 256 << 10;
/// Pieces read ahead of the network.
const QUEUE: usize = 4;

type Failure = Arc<Mutex<Option<plimsoll_oci::Error>>>;

/// Where the bytes of a blob are.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// In a layout, on disk.
    Layout(&'a Layout),
    /// Here. They are the blob's: whoever has them made the descriptor.
    Memory(&'a Bytes),
}

/// What is left of a blob from some offset on.
pub(super) struct BlobSource {
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    failure: Failure,
}

/// What a [`BlobSource`] ended with, for the one who sent it as a body.
#[derive(Clone)]
pub(super) struct Watch {
    failure: Failure,
    taken: Arc<AtomicU64>,
}

/// A [`BlobSource`] as the body of one request.
pub(super) struct BlobBody {
    source: BlobSource,
    left: u64,
    offset: u64,
    meter: Meter,
    taken: Arc<AtomicU64>,
}

impl BlobSource {
    /// Starts reading at `offset`. The bytes before it are read too: the
    /// digest is that of the whole (DIG-3).
    pub(super) fn open(from: Origin<'_>, blob: &Descriptor, offset: u64) -> Self {
        let (sender, pieces) = mpsc::channel(QUEUE);
        let failure = Failure::default();
        let layout = match from {
            Origin::Layout(layout) => layout,
            Origin::Memory(bytes) => {
                let at = usize::try_from(offset).map_or(bytes.len(), |at| at.min(bytes.len()));
                let rest = bytes.slice(at..);
                if !rest.is_empty() {
                    sender.try_send(Ok(rest)).expect("a new channel has room");
                }
                return Self { pieces, failure };
            }
        };
        let (layout, blob, verdict) = (layout.clone(), blob.clone(), failure.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(&layout, &blob, offset, &sender) {
                *verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                // The receiver may be gone; then nobody asks.
                let _ = sender.blocking_send(Err(std::io::Error::other("the local blob cannot be read")));
            }
        });
        Self { pieces, failure }
    }

    /// The next `most` bytes, or what is left.
    pub(super) async fn chunk(&mut self, most: usize, rest: &mut BytesMut) -> plimsoll_oci::Result<Bytes> {
        while rest.len() < most {
            match self.pieces.recv().await {
                Some(Ok(piece)) => rest.extend_from_slice(&piece),
                Some(Err(e)) => return Err(self.take_failure(e)),
                None => break,
            }
        }
        Ok(rest.split_to(most.min(rest.len())).freeze())
    }

    fn take_failure(&self, fallback: std::io::Error) -> plimsoll_oci::Error {
        let taken = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| plimsoll_oci::Error::io("read", "a blob", fallback))
    }

    /// All of it as the body of one request.
    pub(super) fn into_body(self, blob: &Descriptor, offset: u64, meter: Meter) -> (reqwest::Body, Watch) {
        let taken = Arc::new(AtomicU64::new(0));
        let watch = Watch { failure: self.failure.clone(), taken: taken.clone() };
        let body = BlobBody { source: self, left: blob.size - offset, offset, meter, taken };
        (reqwest::Body::wrap(body), watch)
    }
}

fn read(
    layout: &Layout,
    blob: &Descriptor,
    offset: u64,
    to: &mpsc::Sender<std::io::Result<Bytes>>,
) -> plimsoll_oci::Result<()> {
    let failed = |e| plimsoll_oci::Error::from_read("read", layout.blob_path(&blob.digest), e);
    let mut reader = layout.open_blob(blob)?;
    std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink()).map_err(failed)?;
    loop {
        let mut piece = BytesMut::zeroed(PIECE);
        let n = match reader.read(&mut piece) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed)?,
        };
        piece.truncate(n);
        // Nobody listens any more: the request was given up.
        if n == 0 || to.blocking_send(Ok(piece.freeze())).is_err() {
            return Ok(());
        }
    }
}

impl Watch {
    /// Bytes the connection has taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// What went wrong on this side, if anything.
    pub(super) fn failure(&self) -> Option<plimsoll_oci::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl http_body::Body for BlobBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let piece = match self.source.pieces.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(e))),
            Poll::Ready(Some(Ok(piece))) => piece,
        };
        self.left -= piece.len() as u64;
        let taken = self.taken.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
        self.meter.at(self.offset + taken);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
