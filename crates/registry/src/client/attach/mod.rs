//! Attaching evidence to an image: SBOMs, signatures, provenance.
//!
//! # Order, and what a crash leaves
//! 1. What is listed for the image is read. An artifact that is listed and
//!    reads back is attached already; nothing is written for it.
//! 2. Blobs go up. A crash leaves blobs that nothing refers to; the next run
//!    finds them and skips them.
//! 3. Manifests are written by digest, each with the image as its subject, and
//!    read back. On a registry with the referrers API they are listed from
//!    here on. On others a crash leaves manifests that nobody finds: as good
//!    as not attached. The next run writes them again, to no effect, and goes on.
//! 4. The list is read again (referrers API), or the index at the tag
//!    `sha256-<hex>` is read, merged, written and read back until it has
//!    everything (`shared` says how, and what cannot be promised). A crash
//!    leaves an index with our entries or without them; the next run adds them.
//!
//! Nothing is ever removed, and no tag of a commit is touched.
//!
//! The legacy tags `.sig` and `.att` are written likewise: layers first, then
//! configuration, then the manifest at the tag.

mod artifact;
mod index;
mod legacy;
mod shared;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use plimsoll_model::{Digest, Observer, Repository};
use plimsoll_oci::{Descriptor, limits};
use serde_json::Value;

use self::artifact::Packed;
pub use self::artifact::{Artifact, Blob};
use self::index::Referrers;
use self::legacy::Layers;
pub use self::legacy::LegacyTag;
use self::shared::Shared;
use self::write::Writer;
use super::auth::Access;
use super::error::Error;
use super::listing::{Listing, Via, referrers_tag};
use super::options::Options;
use super::reader::Reader;
use super::retry::Tries;

/// Attaches to images of one repository. It pushes no image, moves no tag of
/// a commit and deletes nothing.
#[derive(Clone, Debug)]
pub struct Attacher {
    writer: Writer,
}

/// What attaching one artifact did.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// The artifact's manifest.
    pub descriptor: Descriptor,
    /// It was attached before; nothing was written for it.
    pub already_present: bool,
    /// Where it is listed.
    pub via: Via,
}

/// What attaching to a legacy tag did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyAttached {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest that has all layers.
    pub digest: Digest,
    /// All layers were there before; nothing was written.
    pub already_present: bool,
}

impl Attacher {
    /// An attacher for `repository`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Options`] when a CA file cannot be used.
    pub fn new(repository: Repository, options: Options) -> Result<Self, Error> {
        let access = Access::push(&repository);
        Ok(Self { writer: Writer { reader: Reader { access, ..Reader::new(repository, options)? } } })
    }

    /// Reports bytes moved to `observer`.
    #[must_use]
    pub fn observed(mut self, observer: Arc<dyn Observer>) -> Self {
        self.writer.reader = self.writer.reader.observed(observer);
        self
    }

    /// A reader of the same repository, on the same connections.
    pub fn reader(&self) -> Reader {
        self.writer.reader.clone()
    }

    /// Attaches one artifact to the manifest `subject`. The module describes
    /// the order. The same artifact again is a
    /// no-op, said so.
    ///
    /// # Errors
    /// As [`Attacher::attach_all`].
    pub async fn attach(&self, subject: &Descriptor, artifact: &Artifact) -> Result<Attached, Error> {
        let mut attached = self.attach_all(subject, std::slice::from_ref(artifact)).await?;
        Ok(attached.pop().expect("one artifact, one answer"))
    }

    /// Attaches several artifacts at once, in the order of `artifacts`: where
    /// the list is a tag, it is written once for all of them.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when a registry would not accept a manifest;
    /// [`Error::Unlisted`] when the registry does not list what it has;
    /// [`Error::Content`] when something reads back as something else, or the
    /// referrers' tag has no index; those of reaching the registry. Running it
    /// again continues where this ended.
    pub async fn attach_all(
        &self,
        subject: &Descriptor,
        artifacts: &[Artifact],
    ) -> Result<Vec<Attached>, Error> {
        let packed: Vec<Packed> =
            artifacts.iter().map(|artifact| self.pack(artifact, subject)).collect::<Result<_, _>>()?;
        let listing = self.reader_ref().listing(&subject.digest).await?;
        let present = self.present(&listing, &packed).await?;
        let mut seen = HashSet::new();
        let missing: Vec<&Packed> = packed
            .iter()
            .filter(|packed| {
                !present.contains(&packed.descriptor.digest) && seen.insert(packed.descriptor.digest)
            })
            .collect();
        let mut via = None;
        if !missing.is_empty() {
            let mut seen = HashSet::new();
            let blobs: Vec<_> = missing
                .iter()
                .flat_map(|packed| &packed.blobs)
                .filter(|(blob, _)| seen.insert(blob.digest))
                .cloned()
                .collect();
            self.writer.blobs(blobs).await?;
            let manifests: Vec<Packed> = missing.iter().map(|packed| (*packed).clone()).collect();
            let announced = stream::iter(manifests)
                .map(|packed| self.writer.manifest(packed))
                .buffer_unordered(self.reader_ref().wire.options.parallelism.max(1))
                .try_fold(true, |all, one| std::future::ready(Ok(all && one)))
                .await?;
            via = Some(self.list(subject, &missing, announced, listing.api).await?);
        }
        Ok(packed
            .into_iter()
            .map(|packed| {
                let already_present = present.contains(&packed.descriptor.digest);
                let before = listing.via(&packed.descriptor.digest).filter(|_| already_present);
                let via = before.or(via).expect("what was not listed before was listed now");
                Attached { descriptor: packed.descriptor, already_present, via }
            })
            .collect())
    }

    fn reader_ref(&self) -> &Reader {
        &self.writer.reader
    }

    fn pack(&self, artifact: &Artifact, subject: &Descriptor) -> Result<Packed, Error> {
        artifact.pack(subject).map_err(|found| {
            let operation = format!("attach `{}`", super::error::excerpt(&artifact.artifact_type));
            Error::TooLarge { at: self.reader_ref().wire.at(&operation), limit: limits::MANIFEST, found }
        })
    }

    /// Which are listed and there. A list may name what was deleted.
    async fn present(&self, listing: &Listing, packed: &[Packed]) -> Result<HashSet<Digest>, Error> {
        let mut listed = HashSet::new();
        for one in packed.iter().filter(|one| listing.via(&one.descriptor.digest).is_some()) {
            listed.insert(one.descriptor.digest);
        }
        stream::iter(listed)
            .map(|digest| async move { Ok(self.reader_ref().by_digest(&digest).await?.map(|_| digest)) })
            .buffer_unordered(self.reader_ref().wire.options.parallelism.max(1))
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await
    }

    /// Sees to it that what was written is listed.
    async fn list(
        &self,
        subject: &Descriptor,
        written: &[&Packed],
        announced: bool,
        api: bool,
    ) -> Result<Via, Error> {
        // Without its word a registry may list it all the same; with its word
        // it may do so a moment later.
        if announced {
            self.wait_for_api(subject, written).await?;
            return Ok(Via::ReferrersApi);
        }
        if api && self.unlisted_by_api(subject, written).await?.is_empty() {
            return Ok(Via::ReferrersApi);
        }
        let entries: Vec<Value> = written
            .iter()
            .map(|packed| serde_json::to_value(&packed.descriptor).expect("a descriptor has text keys"))
            .collect();
        let tag = referrers_tag(&subject.digest);
        Shared { reader: self.reader_ref(), tag: &tag, form: &Referrers }.include(&entries).await?;
        Ok(Via::TagSchema)
    }

    async fn wait_for_api(&self, subject: &Descriptor, written: &[&Packed]) -> Result<(), Error> {
        let mut tries = Tries::new(self.reader_ref().wire.options.retry);
        loop {
            let unlisted = self.unlisted_by_api(subject, written).await?;
            let Some(first) = unlisted.first() else { return Ok(()) };
            match tries.next_delay(None) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => {
                    let operation = format!("list the referrers of {}", subject.digest);
                    let at = self.reader_ref().wire.at(&operation);
                    let found = "a list without it, from a registry that said it keeps one".into();
                    return Err(Error::Unlisted { at, expected: first.to_string(), found });
                }
            }
        }
    }

    async fn unlisted_by_api(&self, subject: &Descriptor, written: &[&Packed]) -> Result<Vec<Digest>, Error> {
        let listing = self.reader_ref().listing(&subject.digest).await?;
        let digests = written.iter().map(|packed| packed.descriptor.digest);
        Ok(digests.filter(|digest| listing.via(digest) != Some(Via::ReferrersApi)).collect())
    }

    /// Appends layers to the manifest at a legacy tag of `subject`, for cosign
    /// 2 and older. Layers whose bytes and annotations are there already are
    /// not appended again.
    ///
    /// # Errors
    /// [`Error::Options`] when there is no layer; else as [`Attacher::attach_all`].
    pub async fn attach_legacy(
        &self,
        subject: &Digest,
        kind: LegacyTag,
        layers: &[Blob],
    ) -> Result<LegacyAttached, Error> {
        let tag = kind.of(subject);
        if layers.is_empty() {
            return Err(Error::Options {
                option: "layers".into(),
                reason: "there is nothing to attach".into(),
            });
        }
        let (mut blobs, mut entries) = (Vec::new(), Vec::new());
        for layer in layers {
            let descriptor = layer.descriptor();
            entries.push(serde_json::to_value(&descriptor).expect("a descriptor has text keys"));
            blobs.push((descriptor, layer.bytes.clone()));
        }
        self.writer.blobs(blobs).await?;
        let form = Layers { writer: &self.writer };
        let (digest, written) =
            Shared { reader: self.reader_ref(), tag: &tag, form: &form }.include(&entries).await?;
        Ok(LegacyAttached { tag, digest, already_present: !written })
    }
}
