//! Publishing an image under its commit (TAG-1, TAG-2, TAG-3, DIG-1).
//!
//! # Order, and what a crash leaves
//! 1. Both tags are read. Another digest at either stops everything.
//! 2. Blobs go up. A crash leaves blobs that nothing refers to; the next push
//!    finds them and skips them.
//! 3. Both tags are read again, since step 2 may have taken minutes.
//! 4. The short tag is written. A crash leaves a short tag alone: nothing is
//!    deployed by a short tag (TAG-4), the full one is absent, so a deployment
//!    of this commit finds nothing, and the next push writes the full one.
//! 5. The full tag is written, last: as long as it is absent the commit is not
//!    published. (The other way round, a crash would leave a deployable full
//!    tag without its twin.)
//! 6. Both tags are read and their bytes hashed. A crash before this leaves
//!    everything in place; the next push does this same reading as its step 1.
//!
//! Two pushers of different images for one commit: whoever comes later finds the
//! tag taken in step 1 or 3. Between 3 and 5 the protocol has no way to exclude
//! the other (the embedded registry refuses by itself); then the tag has one of
//! the two digests, and the other pusher finds that in step 6 and fails.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use plimsoll_model::{Class, Commit, Diagnose as _, Digest, Observer, Repository};
use plimsoll_oci::{Descriptor, Layout, ManifestKind, limits};

use super::auth::Access;
use super::error::{Changed, Error};
use super::fetch::blocking;
use super::options::Options;
use super::put::Put;
use super::reader::{ManifestAt, Reader};
use super::retry::Tries;
use super::source::Origin;
use super::upload::BlobUpload;

/// Publishes to one repository. It deletes nothing and moves no tag.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// A reader whose tokens also carry the right to push. Not handed out: it
    /// is [`Publisher::reader`] that others get.
    reader: Reader,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest computed here before anything was sent.
    pub pre_push_digest: Digest,
    /// The digest of the bytes that the registry gave for the full tag afterwards.
    pub post_push_digest: Digest,
    /// Both tags had this digest already; nothing was sent.
    pub already_present: bool,
    /// Bytes of blobs that were sent.
    pub uploaded_bytes: u64,
    /// Blobs that were sent.
    pub uploaded: Vec<Digest>,
    /// Blobs that were taken from another repository of the registry.
    pub mounted: Vec<Digest>,
    /// Blobs that the repository had already.
    pub skipped: Vec<Digest>,
}

/// What became of one blob.
enum Moved {
    Skipped,
    Mounted,
    Uploaded,
}

/// A push under way.
struct Push<'a> {
    reader: &'a Reader,
    layout: &'a Layout,
    digest: Digest,
    sha: &'a Commit,
}

/// Where the two tags stand: whether each exists, with our digest.
#[derive(Clone, Copy)]
struct Tags {
    full: bool,
    short: bool,
}

impl Publisher {
    /// A publisher to `repository`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Options`] when a CA file cannot be used.
    pub fn new(repository: Repository, options: Options) -> Result<Self, Error> {
        let access = Access::push(&repository);
        Ok(Self { reader: Reader { access, ..Reader::new(repository, options)? } })
    }

    /// Reports bytes moved to `observer`.
    #[must_use]
    pub fn observed(mut self, observer: Arc<dyn Observer>) -> Self {
        self.reader = self.reader.observed(observer);
        self
    }

    /// A reader of the same repository, on the same connections.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Publishes the image `manifest` of `layout` as commit `sha`: under the
    /// full and the short tag, or not at all. The module describes the order.
    ///
    /// # Errors
    /// [`Error::TagTaken`] (TAG-3) when either tag has another digest,
    /// [`Error::PushMismatch`] (DIG-1) and [`Error::Parity`] (TAG-2) when the
    /// tags are not what was pushed; [`Error::Store`] and
    /// [`Error::NotAnImage`] when the local image cannot be pushed; those of
    /// reaching the registry. Running the same push again continues where
    /// this one ended.
    pub async fn push(&self, layout: &Layout, manifest: &Descriptor, sha: &Commit) -> Result<Pushed, Error> {
        let push = Push { reader: &self.reader, layout, digest: manifest.digest, sha };
        push.run(manifest).await
    }
}

impl Push<'_> {
    async fn run(&self, descriptor: &Descriptor) -> Result<Pushed, Error> {
        let mut pushed = Pushed {
            pre_push_digest: self.digest,
            post_push_digest: self.digest,
            already_present: false,
            uploaded_bytes: 0,
            uploaded: Vec::new(),
            mounted: Vec::new(),
            skipped: Vec::new(),
        };
        let (local, tags) = tokio::join!(self.local_manifest(descriptor), self.tags(Changed::Nothing));
        let (bytes, kind) = local?;
        let tags = tags?;
        if tags.full && tags.short {
            pushed.already_present = true;
            return Ok(pushed);
        }

        let operation = format!("push {}", self.digest);
        let media_type = kind.media_type().to_owned();
        let image = kind
            .into_image(&self.digest.to_string())
            .map_err(|e| Error::NotAnImage { at: self.reader.wire.at(&operation), source: Box::new(e) })?;
        let mut seen = HashSet::new();
        let blobs: Vec<Descriptor> = image.blobs().filter(|blob| seen.insert(blob.digest)).cloned().collect();
        let mut moves = stream::iter(blobs)
            .map(|blob| async move { self.move_blob(&blob).await.map(|moved| (blob, moved)) })
            .buffer_unordered(self.reader.wire.options.parallelism.max(1));
        while let Some((blob, moved)) = moves.try_next().await? {
            match moved {
                Moved::Skipped => pushed.skipped.push(blob.digest),
                Moved::Mounted => pushed.mounted.push(blob.digest),
                Moved::Uploaded => {
                    pushed.uploaded_bytes += blob.size;
                    pushed.uploaded.push(blob.digest);
                }
            }
        }
        drop(moves);

        let tags = self.tags(Changed::Blobs).await?;
        if !tags.short {
            self.put(self.sha.short(), &media_type, &bytes, Changed::Blobs).await?;
        }
        if !tags.full {
            self.put(self.sha.as_str(), &media_type, &bytes, Changed::ShortTag).await?;
        }
        pushed.post_push_digest = self.verify().await?;
        Ok(pushed)
    }

    /// The manifest as it is in the layout: the digest that everything after
    /// the push is compared with (DIG-1).
    async fn local_manifest(&self, descriptor: &Descriptor) -> Result<(Bytes, ManifestKind), Error> {
        let operation = format!("push {}", self.digest);
        let (layout, digest) = (self.layout.clone(), self.digest);
        let announced = descriptor.media_type.clone();
        blocking(move || {
            let bytes = layout.read_blob(&digest, limits::MANIFEST)?;
            let kind = ManifestKind::parse(&bytes, Some(&announced))?;
            Ok((Bytes::from(bytes), kind))
        })
        .await
        .map_err(|e| self.reader.stored(&operation, e))
    }

    /// Reads both tags at once. Another digest at either is an error (TAG-3).
    async fn tags(&self, changed: Changed) -> Result<Tags, Error> {
        let (full, short) =
            tokio::join!(self.reader.by_tag(self.sha.as_str()), self.reader.by_tag(self.sha.short()));
        // The full tag's trouble is the one to tell.
        let full = self.is_ours(full, self.sha.as_str(), changed)?;
        let short = self.is_ours(short, self.sha.short(), changed)?;
        Ok(Tags { full, short })
    }

    /// Whether a tag that was read has our digest; false when there is no such tag.
    fn is_ours(
        &self,
        read: Result<Option<ManifestAt>, Error>,
        tag: &str,
        changed: Changed,
    ) -> Result<bool, Error> {
        let repository = || self.reader.wire.repository.clone();
        match read {
            Ok(None) => Ok(false),
            Ok(Some(found)) if found.digest() == self.digest => Ok(true),
            Ok(Some(found)) => Err(Error::TagTaken {
                repository: repository(),
                tag: tag.into(),
                expected: self.digest,
                found: found.digest(),
                changed,
            }),
            Err(error) if error.class() == Class::Integrity => Err(Error::TagBroken {
                repository: repository(),
                tag: tag.into(),
                found: super::error::reason(&error),
                changed,
            }),
            Err(error) => Err(error),
        }
    }

    async fn move_blob(&self, blob: &Descriptor) -> Result<Moved, Error> {
        if self.reader.has_blob(blob).await? {
            return Ok(Moved::Skipped);
        }
        let upload = BlobUpload { reader: self.reader, from: Origin::Layout(self.layout), blob };
        for from in &self.reader.wire.options.mount_from {
            if from != self.reader.repository().path() && upload.mount(from).await {
                return Ok(Moved::Mounted);
            }
        }
        upload.run().await?;
        Ok(Moved::Uploaded)
    }

    /// Writes the manifest under a tag. Writing it twice is writing it once.
    async fn put(&self, tag: &str, media_type: &str, bytes: &Bytes, changed: Changed) -> Result<(), Error> {
        let operation = format!("write tag {tag}");
        let put = Put { reader: self.reader, reference: tag, media_type, bytes, operation: &operation };
        let refusal = match put.repeatedly().await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // A registry that guards its tags refuses when another pusher was
        // faster: then that is what to tell. And the answer may have been lost
        // while the tag was written ("failed but persisted").
        match self.is_ours(self.reader.by_tag(tag).await, tag, changed) {
            Ok(true) => Ok(()),
            Err(taken) if taken.class() == Class::Integrity => Err(taken),
            Ok(false) | Err(_) => Err(refusal),
        }
    }

    /// Fetches both tags again and hashes them (DIG-1, TAG-2).
    async fn verify(&self) -> Result<Digest, Error> {
        let wire = &self.reader.wire;
        let mut tries = Tries::new(wire.options.retry);
        let (full, short) = loop {
            let (full, short) =
                tokio::join!(self.reader.by_tag(self.sha.as_str()), self.reader.by_tag(self.sha.short()));
            // Some registries show what was just written only after a moment.
            let unseen = matches!(full, Ok(None)) || matches!(short, Ok(None));
            match tries.next_delay(None).filter(|_| unseen) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => break (full, short),
            }
        };
        let repository = || self.reader.wire.repository.clone();
        let (tag, expected) = (self.sha.to_string(), self.digest);
        match self.compare(full)? {
            Ok(()) => {}
            Err(found) => return Err(Error::PushMismatch { repository: repository(), tag, expected, found }),
        }
        match self.compare(short)? {
            Ok(()) => Ok(expected),
            Err(found) => {
                let short = self.sha.short().to_owned();
                Err(Error::Parity { repository: repository(), tag, short, expected, found })
            }
        }
    }

    /// What a tag has that does not have our digest, in words.
    fn compare(&self, read: Result<Option<ManifestAt>, Error>) -> Result<Result<(), String>, Error> {
        match read {
            Ok(Some(found)) if found.digest() == self.digest => Ok(Ok(())),
            Ok(Some(found)) => Ok(Err(found.digest().to_string())),
            Ok(None) => Ok(Err("nothing".into())),
            Err(error) if error.class() == Class::Integrity => Ok(Err(super::error::reason(&error))),
            Err(error) => Err(error),
        }
    }
}
