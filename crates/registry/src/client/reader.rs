//! Reading a repository: manifests and tags. Everything is hashed here;
//! no header is believed.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use plimsoll_model::reference::valid_tag;
use plimsoll_model::{Digest, Lookup, Observer, Repository, Silent};
use plimsoll_oci::{Descriptor, ManifestKind, digest_of, limits, media_type};
use serde::Deserialize;

use super::auth::Access;
use super::error::{Error, lookup};
use super::options::Options;
use super::target;
use super::wire::{Answer, Call, ERROR_BODY, Wire};

/// Most tags that are read of one repository.
const MOST_TAGS: usize = 200_000;
/// Most pages that are read of one list.
pub(super) const MOST_PAGES: usize = 2_000;
/// A page of a list is read up to this many bytes.
pub(super) const LARGEST_PAGE: u64 = 8 << 20;

/// The kinds of manifest that are asked for.
const ACCEPT: [&str; 4] = [
    media_type::OCI_MANIFEST,
    media_type::OCI_INDEX,
    media_type::DOCKER_MANIFEST,
    media_type::DOCKER_MANIFEST_LIST,
];

/// Reads one repository. It has no way to write (invariant 2); clones share
/// connections and tokens.
#[derive(Clone)]
pub struct Reader {
    pub(super) wire: Arc<Wire>,
    pub(super) access: Access,
    pub(super) observer: Arc<dyn Observer>,
}

/// A manifest as it was received, and what its bytes are.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestAt {
    /// Media type, digest and size of the bytes, computed here.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Bytes,
}

impl ManifestAt {
    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.descriptor.digest
    }

    /// The document.
    ///
    /// # Errors
    /// None in practice: it was parsed when it was received.
    pub fn parse(&self) -> plimsoll_oci::Result<ManifestKind> {
        ManifestKind::parse(&self.bytes, Some(&self.descriptor.media_type))
    }
}

#[derive(Deserialize)]
struct TagPage {
    /// `null` in some registries when there are none.
    tags: Option<Vec<String>>,
}

/// The media type that an answer announces, if it is a manifest's.
pub(super) fn announced(answer: &Answer) -> Option<&str> {
    answer.media_type().filter(|kind| {
        media_type::is_image_manifest(kind)
            || media_type::is_index(kind)
            || kind.starts_with("application/vnd.docker.distribution.manifest.")
    })
}

impl Reader {
    /// A reader of `repository`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Options`] when a CA file cannot be used.
    pub fn new(repository: Repository, options: Options) -> Result<Self, Error> {
        let access = Access::pull(&repository);
        Ok(Self { wire: Arc::new(Wire::new(repository, options)?), access, observer: Arc::new(Silent) })
    }

    /// Reports bytes moved to `observer`.
    #[must_use]
    pub fn observed(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The repository that is read.
    pub fn repository(&self) -> &Repository {
        &self.wire.repository
    }

    /// The manifest that a tag names now (DIG-2).
    ///
    /// Absent only when a registry said so; bytes that contradict the
    /// registry's own digest header, or are no manifest, are invalid; every
    /// failure to find out is unknown.
    pub async fn resolve_tag(&self, tag: &str) -> Lookup<ManifestAt> {
        lookup(self.by_tag(tag).await)
    }

    /// The manifest of a digest.
    pub async fn manifest(&self, digest: &Digest) -> Lookup<ManifestAt> {
        lookup(self.by_digest(digest).await)
    }

    /// Whether a blob of this digest and size is there.
    pub async fn head_blob(&self, blob: &Descriptor) -> Lookup<()> {
        lookup(self.has_blob(blob).await.map(|there| there.then_some(())))
    }

    /// All tags, in the registry's order.
    pub async fn tags(&self) -> Lookup<Vec<String>> {
        lookup(self.all_tags().await)
    }

    pub(super) async fn by_tag(&self, tag: &str) -> Result<Option<ManifestAt>, Error> {
        let operation = format!("read tag {tag}");
        if !valid_tag(tag) {
            return Err(Error::Content {
                at: self.wire.at("read a tag"),
                expected: "a tag".into(),
                found: format!("`{}`", super::error::excerpt(tag)),
            });
        }
        self.get_manifest(tag, None, operation).await
    }

    pub(super) async fn by_digest(&self, digest: &Digest) -> Result<Option<ManifestAt>, Error> {
        self.get_manifest(&digest.to_string(), Some(digest), format!("read manifest {digest}")).await
    }

    pub(super) fn call(&self, method: Method, rest: &str, operation: String) -> Call {
        let mut call = self.wire.get(self.wire.at_repository(rest), operation);
        call.method = method;
        call.access = self.access.clone();
        call
    }

    async fn get_manifest(
        &self,
        reference: &str,
        expected: Option<&Digest>,
        operation: String,
    ) -> Result<Option<ManifestAt>, Error> {
        match self.get_document(reference, &operation).await? {
            Some(answer) => self.verify_manifest(answer, expected, &operation).map(Some),
            None => Ok(None),
        }
    }

    /// What a tag or digest has, as it came; nothing about it is verified yet.
    pub(super) async fn get_document(
        &self,
        reference: &str,
        operation: &str,
    ) -> Result<Option<Answer>, Error> {
        let mut call = self.call(Method::GET, &format!("manifests/{reference}"), operation.into());
        for kind in ACCEPT {
            call.headers.append(header::ACCEPT, HeaderValue::from_static(kind));
        }
        let answer = self.wire.small(&call, limits::MANIFEST).await?;
        self.wire.judge(answer, operation).await
    }

    /// A 200 is believed to be a manifest only after its bytes were looked at.
    fn verify_manifest(
        &self,
        answer: Answer,
        expected: Option<&Digest>,
        operation: &str,
    ) -> Result<ManifestAt, Error> {
        let wrong =
            |expected: String, found: String| Error::Content { at: self.wire.at(operation), expected, found };
        let digest = self.verify_document(&answer, expected, operation)?;
        let announced = announced(&answer);
        let kind = match (ManifestKind::parse(&answer.body, announced), announced) {
            (Ok(kind), _) => kind,
            // It was announced as a manifest, or is known to be one by its digest.
            (Err(e), Some(announced)) => return Err(wrong(announced.into(), e.to_string())),
            (Err(e), None) if expected.is_some() => return Err(wrong("a manifest".into(), e.to_string())),
            (Err(_), None) => {
                return Err(Error::Nonsense { at: self.wire.at(operation), found: answer.describe() });
            }
        };
        let descriptor = Descriptor::new(kind.media_type(), digest, answer.body.len() as u64);
        Ok(ManifestAt { descriptor, bytes: answer.body })
    }

    /// The digest of what came in a manifest's place, if it can be one: no
    /// page, not too long, and what the registry itself says that it is.
    pub(super) fn verify_document(
        &self,
        answer: &Answer,
        expected: Option<&Digest>,
        operation: &str,
    ) -> Result<Digest, Error> {
        let wrong =
            |expected: String, found: String| Error::Content { at: self.wire.at(operation), expected, found };
        if announced(answer).is_none() && answer.is_html() {
            return Err(Error::Nonsense { at: self.wire.at(operation), found: answer.describe() });
        }
        if answer.over {
            return Err(wrong(
                format!("a manifest of at most {} bytes", limits::MANIFEST),
                "a longer one".into(),
            ));
        }
        let digest = digest_of(&answer.body);
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            return Err(wrong(expected.to_string(), digest.to_string()));
        }
        let stated = answer.header("docker-content-digest").filter(|text| text.starts_with("sha256:"));
        if let Some(stated) = stated
            && stated.parse() != Ok(digest)
        {
            return Err(wrong(
                format!("{}, says the registry's own header", super::error::excerpt(stated)),
                digest.to_string(),
            ));
        }
        Ok(digest)
    }

    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool, Error> {
        let operation = format!("look for blob {}", blob.digest);
        let call = self.call(Method::HEAD, &format!("blobs/{}", blob.digest), operation);
        let answer = self.wire.small(&call, 0).await?;
        let Some(answer) = self.wire.judge(answer, &call.operation).await? else { return Ok(false) };
        let at = self.wire.at(&call.operation);
        if answer.is_html() {
            return Err(Error::Nonsense { at, found: answer.describe() });
        }
        match answer.header("content-length").map(str::parse::<u64>) {
            Some(Ok(size)) if size != blob.size => Err(Error::Content {
                at,
                expected: format!("{} bytes", blob.size),
                found: format!("{size} bytes"),
            }),
            _ => Ok(true),
        }
    }

    async fn all_tags(&self) -> Result<Option<Vec<String>>, Error> {
        let mut call = self.call(Method::GET, "tags/list", "list the tags".into());
        call.url.set_query(Some("n=1000"));
        let nonsense = |found: String| Error::Nonsense { at: self.wire.at(&call.operation), found };
        let (mut tags, mut seen) = (Vec::new(), HashSet::new());
        let mut next = Some(call.url.clone());
        let mut pages = 0;
        while let Some(url) = next {
            pages += 1;
            if pages > MOST_PAGES {
                return Err(nonsense(format!("more than {MOST_PAGES} pages of tags")));
            }
            let answer = self.wire.small(&Call { url, ..call.clone() }, LARGEST_PAGE).await?;
            let Some(answer) = self.wire.judge(answer, &call.operation).await? else { return Ok(None) };
            let page: TagPage = self.page(&answer).map_err(nonsense)?;
            next = target::next_page(&answer.url, &answer.headers).map_err(nonsense)?;
            let before = tags.len();
            for tag in page.tags.unwrap_or_default() {
                if valid_tag(&tag) && seen.insert(tag.clone()) {
                    tags.push(tag);
                }
            }
            if tags.len() > MOST_TAGS {
                return Err(nonsense(format!("more than {MOST_TAGS} tags")));
            }
            if next.is_some() && tags.len() == before {
                return Err(nonsense("pages of tags that go on without new ones".into()));
            }
        }
        Ok(Some(tags))
    }

    /// The JSON of a page of a list.
    fn page<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, String> {
        if answer.over {
            return Err(format!("a page of more than {LARGEST_PAGE} bytes"));
        }
        serde_json::from_slice(&answer.body).map_err(|_| answer.describe())
    }

    /// Whether this is a registry that lets us in: what `doctor` asks.
    /// Found means both.
    pub async fn ping(&self) -> Lookup<()> {
        let operation = "ask for the registry's API";
        let mut call = self.wire.get(self.wire.api(""), operation);
        call.access = self.access.clone();
        lookup(match self.wire.small(&call, ERROR_BODY).await {
            Ok(answer) if answer.status.is_success() && !answer.is_html() => Ok(Some(())),
            Ok(answer) => Err(Error::Nonsense { at: self.wire.at(operation), found: answer.describe() }),
            Err(error) => Err(error),
        })
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.wire.repository).finish()
    }
}
