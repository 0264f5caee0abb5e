//! Bringing blobs and whole images into a layout (DIG-3): streamed, bounded by
//! the descriptor, verified before they become visible, resumed after a break.

use std::collections::HashSet;
use std::io::Write as _;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderValue, StatusCode, header};
use plimsoll_model::{Digest, PinnedRef};
use plimsoll_oci::source::Fetch;
use plimsoll_oci::{BlobWriter, Descriptor, ImageSource, Layout, ManifestKind, SourceError, limits};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::error::Error;
use super::meter::Meter;
use super::reader::Reader;
use super::retry::Tries;
use super::wire::{Call, ERROR_BODY, Trouble};

/// Pieces of a body that may wait for the disk.
const QUEUE: usize = 16;
/// A try that brought this many bytes was worth it: the count of failures in
/// a row begins again.
const WORTHWHILE: u64 = 256 << 10;

/// Runs work that blocks on a thread made for it.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
        // The runtime is shutting down and will not poll this again.
        Err(_) => std::future::pending().await,
    }
}

impl Reader {
    /// Brings one blob into the layout, unless it is there; returns the bytes
    /// that were received.
    ///
    /// # Errors
    /// [`Error::Absent`]; [`Error::Content`] when size or digest are wrong;
    /// [`Error::Store`] when it cannot be written; those of reaching the
    /// registry. Then the layout is as it was.
    pub async fn fetch_blob(&self, blob: &Descriptor, layout: &Layout) -> Result<u64, Error> {
        let operation = format!("fetch blob {}", blob.digest);
        let store = |source: plimsoll_oci::Error| self.stored(&operation, source);
        let (here, digest) = (layout.clone(), blob.digest);
        let present = blocking(move || match here.size(&digest) {
            Ok(size) => Ok(Some(size)),
            Err(plimsoll_oci::Error::BlobAbsent { .. }) => Ok(None),
            Err(error) => Err(error),
        });
        // A file of another size is damaged; committing replaces it.
        if present.await.map_err(store)? == Some(blob.size) {
            return Ok(0);
        }
        let mut writer = {
            let layout = layout.clone();
            blocking(move || layout.writer()).await.map_err(store)?
        };
        // If this future is dropped, so is the sender, and then the writer,
        // which discards what it has.
        let (sender, mut pieces) = mpsc::channel::<Bytes>(QUEUE);
        let path = layout.path().to_path_buf();
        let disk = blocking(move || -> plimsoll_oci::Result<BlobWriter> {
            while let Some(piece) = pieces.blocking_recv() {
                writer
                    .write_all(&piece)
                    .map_err(|e| plimsoll_oci::Error::from_read("write a blob in", &path, e))?;
            }
            Ok(writer)
        });
        let (received, writer) = tokio::join!(self.receive(blob, &operation, sender), disk);
        let writer = writer.map_err(store)?;
        received?;
        blocking(move || writer.commit(Some(&digest))).await.map_err(|error| match error {
            plimsoll_oci::Error::DigestMismatch { expected, found, .. } => Error::Content {
                at: self.wire.at(&operation),
                expected: expected.to_string(),
                found: found.to_string(),
            },
            other => store(other),
        })?;
        Ok(blob.size)
    }

    pub(super) fn stored(&self, operation: &str, source: plimsoll_oci::Error) -> Error {
        Error::Store { at: self.wire.at(operation), source: Box::new(source) }
    }

    /// Receives exactly `blob.size` bytes, in as many tries as it takes.
    pub(super) async fn receive(
        &self,
        blob: &Descriptor,
        operation: &str,
        into: mpsc::Sender<Bytes>,
    ) -> Result<(), Error> {
        let wire = &self.wire;
        let mut call = wire.get(wire.at_repository(&format!("blobs/{}", blob.digest)), operation);
        call.access = self.access.clone();
        let meter = Meter::new(self.observer.clone(), "fetch", blob.digest.short(), blob.size);
        let limit = wire.options.timeouts.transfer(blob.size);
        let deadline = Instant::now() + limit;
        let mut tries = Tries::new(wire.options.retry);
        let mut received = 0;
        loop {
            let before = received;
            let once = self.receive_once(&call, blob, &mut received, &into, &meter);
            let trouble = match timeout_at(deadline, once).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(trouble)) => trouble,
                Err(_) => {
                    let slow = format!("only {received} of {} bytes within {} s", blob.size, limit.as_secs());
                    return Err(Trouble::Broken(slow.into()).into_error(wire.at(operation), tries.made() + 1));
                }
            };
            if received - before >= WORTHWHILE {
                tries.progressed();
            }
            wire.pause(&mut tries, trouble, operation).await?;
        }
    }

    /// One try, from the first byte that is still missing.
    async fn receive_once(
        &self,
        call: &Call,
        blob: &Descriptor,
        received: &mut u64,
        into: &mpsc::Sender<Bytes>,
        meter: &Meter,
    ) -> Result<(), Trouble> {
        let wire = &self.wire;
        let limits = wire.options.timeouts;
        let wrong = |found: String| Error::Content {
            at: wire.at(&call.operation),
            expected: format!("{} bytes", blob.size),
            found,
        };
        let mut call = call.clone();
        if *received > 0 {
            let range = format!("bytes={received}-{}", blob.size.saturating_sub(1));
            call.headers
                .insert(header::RANGE, HeaderValue::try_from(range).expect("digits are a header value"));
        }
        let mut response = timeout(limits.request, wire.once(&call, None))
            .await
            .map_err(|_| Trouble::silence(limits.request))??;
        // Bytes at the start of this body that are here already.
        let mut skip = match response.status() {
            StatusCode::OK => *received,
            StatusCode::PARTIAL_CONTENT => {
                let from = content_range_start(response.headers());
                if from != Some(*received) {
                    let found = format!("a part that begins at {from:?} where byte {received} was asked for");
                    return Err(Error::Nonsense { at: wire.at(&call.operation), found }.into());
                }
                0
            }
            StatusCode::RANGE_NOT_SATISFIABLE if *received > 0 => {
                return Err(wrong(format!("{received} bytes, and no more where that ends")).into());
            }
            _ => {
                let answer = wire.read(response, ERROR_BODY).await?;
                let described = answer.describe();
                return Err(match wire.judge(answer, &call.operation).await? {
                    None => Error::Absent { at: wire.at(&call.operation) },
                    Some(_) => Error::Nonsense { at: wire.at(&call.operation), found: described },
                }
                .into());
            }
        };
        if let Some(length) = response.content_length() {
            let all = length + *received - skip;
            if all != blob.size {
                return Err(wrong(format!("{all} bytes")).into());
            }
        }
        loop {
            let piece = timeout(limits.idle, response.chunk())
                .await
                .map_err(|_| Trouble::silence(limits.idle))?
                .map_err(|e| Trouble::Broken(Box::new(e.without_url())))?;
            let Some(mut piece) = piece else { break };
            let dropped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            let _ = piece.split_to(dropped);
            skip -= dropped as u64;
            if piece.len() as u64 > blob.size - *received {
                return Err(wrong("more".into()).into());
            }
            *received += piece.len() as u64;
            if into.send(piece).await.is_err() {
                // The disk failed; its own error is the one that is told.
                return Ok(());
            }
            meter.at(*received);
        }
        if *received == blob.size {
            return Ok(());
        }
        Err(Trouble::Broken(format!("the body ended after {received} of {} bytes", blob.size).into()))
    }

    /// Brings the image of a digest into the layout: configuration and layers,
    /// several at once, then its manifest, so that a manifest in a layout has
    /// its blobs beside it. What is there already is not brought again.
    ///
    /// # Errors
    /// As [`Reader::fetch_blob`]; [`Error::NotAnImage`] for an index.
    pub async fn pull(&self, digest: &Digest, layout: &Layout) -> Result<Descriptor, Error> {
        let operation = format!("pull {digest}");
        let (bytes, from_registry) = match self.local_manifest(digest, layout, &operation).await? {
            Some(bytes) => (bytes, false),
            None => match self.by_digest(digest).await? {
                Some(found) => (found.bytes, true),
                None => return Err(Error::Absent { at: self.wire.at(&operation) }),
            },
        };
        let manifest = ManifestKind::parse(&bytes, None)
            .and_then(|kind| kind.into_image(&digest.to_string()))
            .map_err(|e| Error::NotAnImage { at: self.wire.at(&operation), source: Box::new(e) })?;
        let descriptor = Descriptor::new(manifest.effective_media_type(), *digest, bytes.len() as u64);

        let mut seen = HashSet::new();
        let blobs: Vec<Descriptor> =
            manifest.blobs().filter(|blob| seen.insert(blob.digest)).cloned().collect();
        stream::iter(blobs)
            .map(|blob| async move { self.fetch_blob(&blob, layout).await })
            .buffer_unordered(self.wire.options.parallelism.max(1))
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
        if from_registry {
            let here = layout.clone();
            blocking(move || here.put(&bytes)).await.map_err(|e| self.stored(&operation, e))?;
        }
        Ok(descriptor)
    }

    async fn local_manifest(
        &self,
        digest: &Digest,
        layout: &Layout,
        operation: &str,
    ) -> Result<Option<Bytes>, Error> {
        let (here, digest) = (layout.clone(), *digest);
        match blocking(move || here.read_blob(&digest, limits::MANIFEST)).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            // Absent or damaged: the registry's copy replaces it.
            Err(plimsoll_oci::Error::BlobAbsent { .. } | plimsoll_oci::Error::DigestMismatch { .. }) => {
                Ok(None)
            }
            Err(error) => Err(self.stored(operation, error)),
        }
    }
}

impl ImageSource for Reader {
    /// Images of other repositories are fetched with the same options.
    fn fetch<'a>(&'a self, image: &'a PinnedRef, into: &'a Layout) -> Fetch<'a> {
        Box::pin(async move {
            let result = if image.repository() == self.repository() {
                self.pull(&image.digest(), into).await
            } else {
                match Self::new(image.repository().clone(), self.wire.options.clone()) {
                    Ok(other) => other.observed(self.observer.clone()).pull(&image.digest(), into).await,
                    Err(error) => Err(error),
                }
            };
            result.map_err(|error| source_error(error, image.clone()))
        })
    }
}

fn source_error(error: Error, image: PinnedRef) -> SourceError {
    use plimsoll_model::{Class, Diagnose as _};
    match error {
        Error::Absent { .. } => SourceError::Absent { image },
        Error::Store { source, .. } => SourceError::Store { image, source },
        error if matches!(error.class(), Class::Integrity | Class::Refused) => {
            SourceError::Integrity { image, source: error.into() }
        }
        error => SourceError::Unreachable { image, source: error.into() },
    }
}

/// The first byte of a `Content-Range: bytes 5-9/10` (RFC 9110, 14.4).
fn content_range_start(headers: &http::HeaderMap) -> Option<u64> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    text.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
