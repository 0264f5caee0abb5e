//! Between files and the wire, a block at a time and one block ahead.
//!
//! File work runs on the blocking pool, one block per task, so that a slow
//! client holds a buffer and not a thread; and while one block is read or
//! written the next one already moves on the wire.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;

/// One block. Larger ones stop paying off well before a mebibyte.
const BLOCK: u64 = 512 << 10;

/// Runs file work off the async threads.
///
/// # Errors
/// When the task panicked or the runtime is ending.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// A body that streams `length` bytes of a file from `start` on.
pub(super) fn file_body(mut file: File, start: u64, length: u64) -> Body {
    if length == 0 {
        return Body::empty();
    }
    let first = tokio::task::spawn_blocking(move || {
        file.seek(SeekFrom::Start(start))?;
        read_block(file, length)
    });
    Body::new(FileBody { reading: Some(first), left: length })
}

struct FileBody {
    /// The block after the one that is being sent; none after the last.
    reading: Option<JoinHandle<io::Result<(File, Bytes)>>>,
    /// Bytes not yet handed to the wire.
    left: u64,
}

fn read_block(mut file: File, left: u64) -> io::Result<(File, Bytes)> {
    let length = left.min(BLOCK);
    let mut block = Vec::with_capacity(usize::try_from(length).expect("a block fits in memory"));
    (&mut file).take(length).read_to_end(&mut block)?;
    if block.len() as u64 != length {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a blob became shorter while it was read"));
    }
    Ok((file, block.into()))
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let result = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
        self.reading = None;
        let (file, block) = match result {
            Ok(read) => read,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        self.left -= block.len() as u64;
        if self.left > 0 {
            let left = self.left;
            self.reading = Some(tokio::task::spawn_blocking(move || read_block(file, left)));
        }
        Poll::Ready(Some(Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Why a body was not received to its end. What came before is written.
#[derive(Debug)]
pub(super) enum Broken {
    /// More than the limit.
    TooLong,
    /// Nothing came for too long.
    Stalled,
    /// The connection ended or broke.
    Lost,
    /// Writing failed.
    Storage(io::Error),
}

/// A sink that is written to on the blocking pool, or waits for more.
enum Sink<W> {
    Idle(W),
    Busy(JoinHandle<io::Result<W>>),
}

impl<W: io::Write + Send + 'static> Sink<W> {
    /// Waits until what was handed over is written.
    async fn idle(self) -> io::Result<W> {
        match self {
            Self::Idle(sink) => Ok(sink),
            Self::Busy(task) => task.await.map_err(io::Error::other)?,
        }
    }

    /// Hands over a batch, once the one before is written.
    async fn write(self, batch: Vec<Bytes>) -> io::Result<Self> {
        let mut sink = self.idle().await?;
        Ok(Self::Busy(tokio::task::spawn_blocking(move || {
            for part in batch {
                sink.write_all(&part)?;
            }
            Ok(sink)
        })))
    }
}

/// Writes a body of at most `limit` bytes to `sink`.
///
/// Gives back the sink, the number of bytes that reached it and how the body
/// ended. The sink is gone only when writing failed: what came before a body
/// broke off is kept, so that an upload can go on from there.
pub(super) async fn receive<W: io::Write + Send + 'static>(
    mut body: Body,
    sink: W,
    limit: u64,
    stall: Duration,
) -> (Option<W>, u64, Result<(), Broken>) {
    let mut sink = Sink::Idle(sink);
    let (mut taken, mut batched, mut batch) = (0, 0, Vec::new());
    let end = loop {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Err(_) => break Err(Broken::Stalled),
            Ok(None) => break Ok(()),
            Ok(Some(Err(_))) => break Err(Broken::Lost),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let length = data.len() as u64;
        if length > limit - taken {
            break Err(Broken::TooLong);
        }
        taken += length;
        batched += length;
        batch.push(data);
        if batched >= BLOCK {
            batched = 0;
            sink = match sink.write(std::mem::take(&mut batch)).await {
                Ok(sink) => sink,
                Err(error) => return (None, taken, Err(Broken::Storage(error))),
            };
        }
    };
    let written = match sink.write(batch).await {
        Ok(sink) => sink.idle().await,
        Err(error) => Err(error),
    };
    match written {
        Ok(sink) => (Some(sink), taken, end),
        Err(error) => (None, taken, Err(Broken::Storage(error))),
    }
}
