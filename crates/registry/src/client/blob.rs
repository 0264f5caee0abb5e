//! A blob in memory: bounded before it is asked for, verified by its digest
//! (DIG-3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use plimsoll_model::Lookup;
use plimsoll_oci::{Descriptor, digest_of};
use tokio::sync::mpsc;

use super::error::{Error, lookup};
use super::reader::Reader;

/// Pieces of a body that may wait to be joined.
const QUEUE: usize = 4;
/// Memory taken before anything has come: a descriptor's size is a claim.
const FIRST: u64 = 256 << 10;

/// The bytes that a descriptor carries itself (image-spec, descriptor.md,
/// "data"), if they are what its size and digest say. Others are as good as
/// none: the blob is what counts.
pub(super) fn embedded(descriptor: &Descriptor) -> Option<Bytes> {
    let bytes = STANDARD.decode(descriptor.data.as_deref()?).ok()?;
    (bytes.len() as u64 == descriptor.size && digest_of(&bytes) == descriptor.digest).then(|| bytes.into())
}

impl Reader {
    /// The bytes of a blob of at most `limit` bytes. Those that the descriptor
    /// embeds, once verified, need no request.
    ///
    /// Unknown, without a request, when the descriptor claims more than
    /// `limit`; invalid when size or digest are wrong.
    pub async fn read_blob(&self, blob: &Descriptor, limit: u64) -> Lookup<Bytes> {
        lookup(self.blob_bytes(blob, limit).await)
    }

    pub(super) async fn blob_bytes(&self, blob: &Descriptor, limit: u64) -> Result<Option<Bytes>, Error> {
        let operation = format!("read blob {}", blob.digest);
        if blob.size > limit {
            return Err(Error::TooLong { at: self.wire.at(&operation), limit, found: blob.size });
        }
        if let Some(bytes) = embedded(blob) {
            return Ok(Some(bytes));
        }
        let (sender, mut pieces) = mpsc::channel::<Bytes>(QUEUE);
        let first = usize::try_from(blob.size.min(FIRST)).unwrap_or_default();
        let join = async {
            let mut bytes = BytesMut::with_capacity(first);
            while let Some(piece) = pieces.recv().await {
                bytes.extend_from_slice(&piece);
            }
            bytes.freeze()
        };
        let (received, bytes) = tokio::join!(self.receive(blob, &operation, sender), join);
        match received {
            Ok(()) => {}
            Err(Error::Absent { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let found = digest_of(&bytes);
        if found != blob.digest {
            let (at, expected) = (self.wire.at(&operation), blob.digest.to_string());
            return Err(Error::Content { at, expected, found: found.to_string() });
        }
        Ok(Some(bytes))
    }
}
