//! Blobs and manifests on their way up, from memory.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::HeaderMap;
use plimsoll_oci::{Descriptor, media_type};

use super::super::error::Error;
use super::super::put::{Put, Written};
use super::super::reader::Reader;
use super::super::retry::Tries;
use super::super::source::Origin;
use super::super::upload::BlobUpload;
use super::artifact::Packed;

/// Somebody with the right to push.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    /// Its tokens carry that right.
    pub(super) reader: Reader,
}

impl Writer {
    /// Brings a blob up, unless it is there.
    pub(super) async fn blob(&self, blob: &Descriptor, bytes: &Bytes) -> Result<(), Error> {
        if self.reader.has_blob(blob).await? {
            return Ok(());
        }
        BlobUpload { reader: &self.reader, from: Origin::Memory(bytes), blob }.run().await
    }

    /// Brings several up at once.
    pub(super) async fn blobs(&self, blobs: Vec<(Descriptor, Bytes)>) -> Result<(), Error> {
        stream::iter(blobs)
            .map(|(blob, bytes)| async move { self.blob(&blob, &bytes).await })
            .buffer_unordered(self.reader.wire.options.parallelism.max(1))
            .try_for_each(|()| std::future::ready(Ok(())))
            .await
    }

    /// Writes a manifest by its digest and reads it back; whether the registry
    /// says that it lists it for its subject.
    pub(super) async fn manifest(&self, packed: Packed) -> Result<bool, Error> {
        let digest = packed.descriptor.digest;
        let (reference, operation) = (digest.to_string(), format!("attach {digest}"));
        let put = Put {
            reader: &self.reader,
            reference: &reference,
            media_type: media_type::OCI_MANIFEST,
            bytes: &packed.bytes,
            operation: &operation,
        };
        let wire = &self.reader.wire;
        let mut tries = Tries::new(wire.options.retry);
        let answer = loop {
            match put.once(HeaderMap::new()).await? {
                Written::Stored(answer) => break answer,
                Written::Unclear(trouble) => wire.pause(&mut tries, trouble, &operation).await?,
                // `distribution` loses sight of a blob for a moment while
                // somebody else uploads the same one.
                Written::Dangling(error) => match tries.next_delay(None) {
                    Some(delay) => {
                        tokio::time::sleep(delay).await;
                        self.blobs(packed.blobs.clone()).await?;
                    }
                    None => return Err(error),
                },
                Written::Moved => {
                    let (at, found) = (wire.at(&operation), "a failed condition where there was none".into());
                    return Err(Error::Nonsense { at, found });
                }
            }
        };
        let listed = answer.headers.contains_key("oci-subject");
        // A header is not believed (DIG-1).
        match self.reader.by_digest(&digest).await? {
            Some(_) => Ok(listed),
            None => {
                let (at, expected) = (self.reader.wire.at(&operation), digest.to_string());
                Err(Error::Content { at, expected, found: "nothing, though it was just accepted".into() })
            }
        }
    }
}
