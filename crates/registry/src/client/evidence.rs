//! What is attached to an image, brought here: one round for the lists, then
//! one request for each manifest, and one for each layer that its manifest
//! does not embed.
//!
//! Everything has its own answer. A referrer that cannot be read is unknown,
//! one that is of another image is invalid; neither makes the others less
//! known, and none of it is ever "nothing attached". How much is read is
//! bounded in number, bytes and time; what is beyond a bound is unknown.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use plimsoll_model::{Digest, Lookup};
use plimsoll_oci::{Descriptor, Layout, Manifest, ManifestKind, limits, media_type};
use tokio::time::{Instant, timeout_at};

use super::attach::LegacyTag;
use super::blob::embedded;
use super::error::{Error, lookup, reason};
use super::fetch::blocking;
use super::reader::{ManifestAt, Reader};

/// Annotation with the predicate type of a bundle's statement, as cosign writes it.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// What to read of what is attached, and how much.
pub struct Wanted<'a> {
    /// Whether a listed referrer is to be read. A label is a claim of whoever
    /// pushed, and may be missing or wrong: say no only to what calls itself
    /// something else ([`may_be`]).
    pub want: &'a (dyn Fn(&Descriptor) -> bool + Sync),
    /// Also read the tags `.sig` and `.att` of cosign 2.
    pub legacy: bool,
    /// Most referrers that are read, and most layers of one manifest.
    pub most: usize,
    /// The longest layer that is read, in bytes.
    pub largest: u64,
    /// Most bytes that are read in all.
    pub total: u64,
    /// Requests at the same time.
    pub parallelism: usize,
    /// What is not here after this long is unknown.
    pub deadline: Duration,
    /// Where to look before asking the registry: content that was kept
    /// ([`Referrer::keep`]) once it was verified. Nothing is written there.
    pub store: Option<&'a Layout>,
}

impl Default for Wanted<'_> {
    /// Everything, both schemes; bounds that no honest image comes near.
    fn default() -> Self {
        Self {
            want: &|_| true,
            legacy: true,
            most: 256,
            largest: 64 << 20,
            total: 256 << 20,
            parallelism: 8,
            deadline: Duration::from_secs(60),
            store: None,
        }
    }
}

/// Whether a listed referrer may be of one of these artifact types and, where
/// it names a predicate type, of one of those. Missing labels, and the empty
/// type that some versions of cosign write, may be anything.
pub fn may_be(entry: &Descriptor, artifact_types: &[&str], predicate_types: &[&str]) -> bool {
    let artifact = match entry.artifact_type.as_deref() {
        None | Some("" | media_type::OCI_EMPTY | media_type::OCI_CONFIG) => true,
        Some(kind) => artifact_types.contains(&kind),
    };
    let predicate = entry.annotations.get(PREDICATE_TYPE);
    artifact && predicate.is_none_or(|kind| kind.is_empty() || predicate_types.contains(&kind.as_str()))
}

/// What is attached to one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The referrers that were wanted, in the order of the list. Found, though
    /// perhaps empty, or not known; never absent.
    pub referrers: Lookup<Vec<Referrer>>,
    /// Listed, and not wanted.
    pub unwanted: Vec<Descriptor>,
    /// Listed, in a way that cannot be read; why. There may be evidence in it.
    pub unreadable: Vec<String>,
    /// The layers at the tag `.sig`; absent also where it was not asked for.
    pub signatures: Lookup<Attachment>,
    /// The layers at the tag `.att`; absent also where it was not asked for.
    pub attestations: Lookup<Attachment>,
}

/// A listed referrer.
#[derive(Debug, Clone, PartialEq)]
pub struct Referrer {
    /// As it is listed: digest and size hold, the labels are claims.
    pub descriptor: Descriptor,
    /// What it is. Invalid when bytes contradict digest or size, when it is no
    /// manifest, or when its subject is another one.
    pub content: Lookup<Attachment>,
    /// It is a manifest whose subject is another image: listed here by a
    /// registry or a tag that says what is not so.
    pub is_of_another_image: bool,
}

/// A manifest and its layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// Media type, digest and size of the manifest, computed here.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// Its bytes.
    pub bytes: Bytes,
    /// Its layers, in order.
    pub layers: Vec<Layer>,
}

/// A layer of an attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// As the manifest says.
    pub descriptor: Descriptor,
    /// Its bytes, verified.
    pub bytes: Lookup<Bytes>,
}

impl Attachment {
    /// Keeps what was found in a store, so that reading it again needs no
    /// request. For what was verified: whoever may push could fill the disk
    /// otherwise. Nothing is flushed, since the registry has it too, and what
    /// the manifest embeds is kept with it. Blocks.
    ///
    /// # Errors
    /// Those of writing to the store.
    pub fn keep(&self, store: &Layout) -> plimsoll_oci::Result<()> {
        let apart = self.layers.iter().filter(|layer| embedded(&layer.descriptor).is_none());
        for bytes in apart.filter_map(|layer| layer.bytes.found()).chain([&self.bytes]) {
            store.put_cached(bytes)?;
        }
        Ok(())
    }
}

impl Referrer {
    /// As [`Attachment::keep`]; nothing where nothing was found.
    ///
    /// # Errors
    /// Those of writing to the store.
    pub fn keep(&self, store: &Layout) -> plimsoll_oci::Result<()> {
        self.content.found().map_or(Ok(()), |attachment| attachment.keep(store))
    }
}

impl Reader {
    /// Reads what is attached to `subject`: referrers of the API and of the
    /// fallback tag, and the legacy tags, all lists in one round.
    ///
    /// With 20 referrers that embed their layers, as [`Attacher`] writes them,
    /// these are 24 requests at most; a layer that is not embedded costs one
    /// more.
    ///
    /// [`Attacher`]: super::Attacher
    pub async fn evidence(&self, subject: &Digest, wanted: &Wanted<'_>) -> Evidence {
        let deadline = Instant::now() + wanted.deadline;
        let gathering = Gathering { reader: self, subject, wanted, deadline, bytes: AtomicU64::new(0) };
        let (listed, signatures, attestations) = tokio::join!(
            gathering.listed(),
            gathering.legacy(LegacyTag::Signatures),
            gathering.legacy(LegacyTag::Attestations)
        );
        let (referrers, unwanted, unreadable) = listed;
        Evidence { referrers, unwanted, unreadable, signatures, attestations }
    }
}

/// What was found, or the same answer about something else.
fn found_or<T, U>(lookup: Lookup<T>) -> Result<T, Lookup<U>> {
    match lookup {
        Lookup::Found(value) => Ok(value),
        Lookup::Absent => Err(Lookup::Absent),
        Lookup::Invalid(why) => Err(Lookup::Invalid(why)),
        Lookup::Unknown(why) => Err(Lookup::Unknown(why)),
    }
}

/// One call of [`Reader::evidence`].
struct Gathering<'a> {
    reader: &'a Reader,
    subject: &'a Digest,
    wanted: &'a Wanted<'a>,
    deadline: Instant,
    /// Bytes that were promised to be read.
    bytes: AtomicU64,
}

impl Gathering<'_> {
    /// What comes of `work`, if it comes in time.
    async fn in_time<T>(&self, work: impl Future<Output = Lookup<T>>) -> Lookup<T> {
        match timeout_at(self.deadline, work).await {
            Ok(found) => found,
            Err(_) => Lookup::Unknown(format!(
                "not read within {:.1} s, which is all that reading evidence may take",
                self.wanted.deadline.as_secs_f64()
            )),
        }
    }

    /// Whether so many bytes may be read yet.
    fn afford<T>(&self, size: u64) -> Result<(), Lookup<T>> {
        let before = self.bytes.fetch_add(size, Ordering::Relaxed);
        if before.saturating_add(size) <= self.wanted.total {
            return Ok(());
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        Err(Lookup::Unknown(format!(
            "not read: all evidence together would be more than {} bytes",
            self.wanted.total
        )))
    }

    async fn listed(&self) -> (Lookup<Vec<Referrer>>, Vec<Descriptor>, Vec<String>) {
        let listing = self.in_time(async { lookup(self.reader.listing(self.subject).await.map(Some)) });
        let listing = match found_or(listing.await) {
            Ok(listing) => listing,
            Err(other) => return (other, Vec::new(), Vec::new()),
        };
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            listing.entries.into_iter().partition(|entry| (self.wanted.want)(entry));
        let referrers: Vec<Referrer> = stream::iter(wanted.into_iter().enumerate())
            .map(|(at, descriptor)| async move {
                let of_another = AtomicBool::new(false);
                let content = if at < self.wanted.most {
                    self.in_time(self.referrer(&descriptor, &of_another)).await
                } else {
                    Lookup::Unknown(format!("not read: more than {} are listed", self.wanted.most))
                };
                Referrer { descriptor, content, is_of_another_image: of_another.into_inner() }
            })
            .buffered(self.wanted.parallelism.max(1))
            .collect()
            .await;
        (Lookup::Found(referrers), unwanted, listing.unreadable)
    }

    /// A listed referrer; `of_another` is set when its subject is another image.
    async fn referrer(&self, entry: &Descriptor, of_another: &AtomicBool) -> Lookup<Attachment> {
        let claims = format!("read manifest {}", entry.digest);
        if entry.size > limits::MANIFEST {
            let at = self.reader.wire.at(&claims);
            return lookup(Err(Error::TooLong { at, limit: limits::MANIFEST, found: entry.size }));
        }
        if let Err(over) = self.afford(entry.size) {
            return over;
        }
        let found = match self.stored_manifest(entry).await {
            Some(found) => found,
            None => match found_or(self.reader.manifest(&entry.digest).await) {
                Ok(found) => found,
                Err(other) => return other,
            },
        };
        let invalid = |expected: String, found: String| {
            let at = self.reader.wire.at(&claims);
            Lookup::Invalid(reason(&Error::Content { at, expected, found }))
        };
        if found.descriptor.size != entry.size {
            return invalid(format!("{} bytes", entry.size), format!("{} bytes", found.descriptor.size));
        }
        let manifest = match found.parse() {
            Ok(ManifestKind::Image(manifest)) => manifest,
            Ok(other) => return invalid("a manifest with layers".into(), other.media_type().into()),
            Err(error) => return invalid("a manifest".into(), error.to_string()),
        };
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        if subject != Some(*self.subject) {
            of_another.store(subject.is_some(), Ordering::Relaxed);
            let found = subject.map_or_else(
                || "a manifest without a subject".into(),
                |other| format!("the subject {other}: it is about another image"),
            );
            return invalid(format!("the subject {}", self.subject), found);
        }
        self.attachment(found, manifest).await
    }

    /// A legacy tag. It has no subject: what its layers are about is in them.
    async fn legacy(&self, kind: LegacyTag) -> Lookup<Attachment> {
        if !self.wanted.legacy {
            return Lookup::Absent;
        }
        let tag = kind.of(self.subject);
        let work = async {
            let found = match found_or(self.reader.resolve_tag(&tag).await) {
                Ok(found) => found,
                Err(other) => return other,
            };
            if let Err(over) = self.afford(found.descriptor.size) {
                return over;
            }
            match found.parse() {
                Ok(ManifestKind::Image(manifest)) => self.attachment(found, manifest).await,
                _ => {
                    let at = self.reader.wire.at(&format!("read tag {tag}"));
                    let (expected, found) = (media_type::OCI_MANIFEST.into(), found.descriptor.media_type);
                    Lookup::Invalid(reason(&Error::Content { at, expected, found }))
                }
            }
        };
        self.in_time(work).await
    }

    /// A manifest with its layers, each digest read once.
    async fn attachment(&self, found: ManifestAt, manifest: Manifest) -> Lookup<Attachment> {
        let mut seen = HashSet::new();
        let mut different = Vec::new();
        for layer in &manifest.layers {
            if seen.insert((layer.digest, layer.size)) {
                different.push(layer.clone());
            }
        }
        let read: HashMap<(Digest, u64), Lookup<Bytes>> = stream::iter(different.into_iter().enumerate())
            .map(|(at, layer)| async move {
                let bytes = if at < self.wanted.most {
                    self.in_time(self.layer(&layer)).await
                } else {
                    Lookup::Unknown(format!("not read: more than {} layers", self.wanted.most))
                };
                ((layer.digest, layer.size), bytes)
            })
            .buffer_unordered(self.wanted.parallelism.max(1))
            .collect()
            .await;
        let layers = manifest.layers.iter().map(|layer| Layer {
            descriptor: layer.clone(),
            bytes: read.get(&(layer.digest, layer.size)).expect("each one was read").clone(),
        });
        let layers = layers.collect();
        Lookup::Found(Attachment { descriptor: found.descriptor, manifest, bytes: found.bytes, layers })
    }

    async fn layer(&self, layer: &Descriptor) -> Lookup<Bytes> {
        if layer.size <= self.wanted.largest {
            if let Some(bytes) = embedded(layer) {
                return Lookup::Found(bytes);
            }
            if let Err(over) = self.afford(layer.size) {
                return over;
            }
            if let Some(bytes) = self.stored(&layer.digest, layer.size).await {
                return Lookup::Found(bytes);
            }
        }
        self.reader.read_blob(layer, self.wanted.largest).await
    }

    async fn stored_manifest(&self, entry: &Descriptor) -> Option<ManifestAt> {
        let bytes = self.stored(&entry.digest, entry.size).await?;
        let kind = ManifestKind::parse(&bytes, None).ok()?;
        Some(ManifestAt { descriptor: Descriptor::new(kind.media_type(), entry.digest, entry.size), bytes })
    }

    /// What the store has of a digest, verified. A store that cannot be read
    /// is as good as an empty one.
    async fn stored(&self, digest: &Digest, size: u64) -> Option<Bytes> {
        let (store, digest) = (self.wanted.store?.clone(), *digest);
        let read = blocking(move || store.read_blob(&digest, size)).await;
        read.ok().filter(|bytes| bytes.len() as u64 == size).map(Bytes::from)
    }
}
