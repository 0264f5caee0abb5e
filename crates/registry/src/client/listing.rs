//! Which manifests refer to one: the referrers API and the index at the tag
//! `sha256-<hex>` (distribution-spec 1.1, "Listing Referrers", "Referrers Tag
//! Schema"), read at once and merged.
//!
//! Both are read wherever there are both: a registry that learned the API
//! later should list what the tag lists, and not every one does. The list is
//! never filtered; labels in it are claims of whoever pushed, and some tools
//! label wrongly.

use std::collections::HashSet;

use http::{HeaderValue, Method, StatusCode, header};
use plimsoll_model::{Class, Diagnose as _, Digest, Lookup};
use plimsoll_oci::{Descriptor, media_type};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::document::Document;
use super::error::{Error, excerpt, lookup, reason};
use super::reader::{LARGEST_PAGE, MOST_PAGES, Reader};
use super::target;
use super::wire::{Answer, Call};
use crate::error::{Body, Code};

/// Most referrers that are read of one manifest.
const MOST_REFERRERS: usize = 10_000;

/// Where a referrer is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The registry's own list, which is made of the manifests' subjects.
    ReferrersApi,
    /// The index at the tag `sha256-<hex>`, which clients keep.
    TagSchema,
}

/// All that is listed for one subject.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Each digest once, the API's first.
    pub(super) entries: Vec<Descriptor>,
    /// How many of them the API lists.
    from_api: usize,
    /// Whether there is an API.
    pub(super) api: bool,
    /// Entries that cannot be read, e.g. of another digest algorithm; why.
    pub(super) unreadable: Vec<String>,
    seen: HashSet<Digest>,
}

/// An entry as far as it can be read; one that cannot does not spoil the rest.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Readable(Box<Descriptor>),
    Unreadable(Value),
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "schemaVersion")]
    schema_version: u32,
    /// `null` in some registries when there are none.
    manifests: Option<Vec<Entry>>,
}

impl Page {
    fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
        let page: Self = serde_json::from_slice(bytes).ok()?;
        // `manifests` may be null; a document without it is no index.
        if page.manifests.is_none()
            && !serde_json::from_slice::<Value>(bytes).ok()?.get("manifests")?.is_null()
        {
            return None;
        }
        (page.schema_version == 2).then(|| page.manifests.unwrap_or_default())
    }
}

impl Listing {
    /// Where a digest is listed, if it is.
    pub(super) fn via(&self, digest: &Digest) -> Option<Via> {
        let at = self.entries.iter().position(|entry| entry.digest == *digest)?;
        Some(if at < self.from_api { Via::ReferrersApi } else { Via::TagSchema })
    }

    /// Adds what was not there yet; how much that was.
    fn extend(&mut self, entries: Vec<Entry>) -> usize {
        let before = self.entries.len() + self.unreadable.len();
        for entry in entries {
            match entry {
                Entry::Readable(entry) => {
                    if self.seen.insert(entry.digest) {
                        self.entries.push(*entry);
                    }
                }
                Entry::Unreadable(entry) => {
                    let why = format!("an entry that cannot be read: `{}`", excerpt(&entry.to_string()));
                    if !self.unreadable.contains(&why) {
                        self.unreadable.push(why);
                    }
                }
            }
        }
        self.entries.len() + self.unreadable.len() - before
    }

    fn is_too_long(&self) -> bool {
        self.entries.len() + self.unreadable.len() > MOST_REFERRERS
    }
}

/// The tag that has the index of a subject's referrers.
pub(super) fn referrers_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

impl Reader {
    /// The manifests whose subject is `digest`, of any artifact type, as the
    /// registry's API and the fallback tag list them. None at all is an empty
    /// list. What a list says about a referrer is not verified until it is
    /// read; [`Reader::evidence`] does both.
    pub async fn referrers(&self, digest: &Digest) -> Lookup<Vec<Descriptor>> {
        let listed = self.listing(digest).await;
        lookup(listed.and_then(|listing| match listing.unreadable.first() {
            None => Ok(Some(listing.entries)),
            // A list without it would say that it does not exist.
            Some(why) => Err(Error::Nonsense { at: self.wire.at(&listing_of(digest)), found: why.clone() }),
        }))
    }

    /// Both lists in one round.
    pub(super) async fn listing(&self, subject: &Digest) -> Result<Listing, Error> {
        let (own, tagged) = tokio::join!(self.listed_by_api(subject), self.listed_by_tag(subject));
        let (mut listing, api) = match own? {
            Some(listing) => (listing, true),
            None => (Listing::default(), false),
        };
        listing.api = api;
        match tagged {
            Ok(entries) => {
                listing.extend(entries);
            }
            // Where the registry keeps the list itself, a tag that has
            // something else is no reason to know nothing.
            Err(error) if api && error.class() == Class::Integrity => listing.unreadable.push(reason(&error)),
            Err(error) => return Err(error),
        }
        if listing.is_too_long() {
            return Err(self.too_long(subject));
        }
        Ok(listing)
    }

    fn too_long(&self, subject: &Digest) -> Error {
        let found = format!("more than {MOST_REFERRERS} referrers");
        Error::Nonsense { at: self.wire.at(&listing_of(subject)), found }
    }

    /// What the API lists; `None` when there is no such API.
    async fn listed_by_api(&self, subject: &Digest) -> Result<Option<Listing>, Error> {
        let mut call = self.call(Method::GET, &format!("referrers/{subject}"), listing_of(subject));
        call.headers.insert(header::ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX));
        let nonsense = |found: String| Error::Nonsense { at: self.wire.at(&call.operation), found };
        let mut listing = Listing::default();
        let mut next: Option<Url> = Some(call.url.clone());
        let mut pages = 0;
        while let Some(url) = next {
            pages += 1;
            if pages > MOST_PAGES {
                return Err(nonsense(format!("more than {MOST_PAGES} pages of referrers")));
            }
            let answer = self.wire.small(&Call { url, ..call.clone() }, LARGEST_PAGE).await?;
            // On a later page it is no sign of anything: then what was read so
            // far would be half a list.
            if pages == 1 && self.says_no_api(&answer).await? {
                return Ok(None);
            }
            let Some(answer) = self.wire.judge(answer, &call.operation).await? else {
                return Err(nonsense("a next page that does not exist".into()));
            };
            if answer.over {
                return Err(nonsense(format!("a page of more than {LARGEST_PAGE} bytes")));
            }
            let entries = Page::parse(&answer.body).ok_or_else(|| nonsense(answer.describe()))?;
            next = target::next_page(&answer.url, &answer.headers).map_err(nonsense)?;
            let new = listing.extend(entries);
            if listing.is_too_long() {
                return Err(self.too_long(subject));
            }
            if next.is_some() && new == 0 {
                return Err(nonsense("pages of referrers that go on without new ones".into()));
            }
        }
        listing.from_api = listing.entries.len();
        Ok(Some(listing))
    }

    /// Whether an answer means that the registry has no such API. A page of
    /// something in front of it is no such sign: behind it there may be an API
    /// and a signature.
    async fn says_no_api(&self, answer: &Answer) -> Result<bool, Error> {
        let protocol = Body::parse(&answer.body);
        match answer.status {
            StatusCode::NOT_FOUND if protocol.is_some() => Ok(true),
            // `distribution` answers paths that it does not serve in text, and
            // others with an empty body or a page; but as registries.
            StatusCode::NOT_FOUND if answer.headers.contains_key("docker-distribution-api-version") => {
                Ok(true)
            }
            StatusCode::NOT_FOUND if answer.is_html() => Ok(false),
            StatusCode::NOT_FOUND => self.wire.is_registry().await,
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Ok(protocol.is_some_and(|body| body.codes().any(|code| code == Code::Unsupported)))
            }
            _ => Ok(false),
        }
    }

    /// What the index at the fallback tag lists; nothing when there is none.
    async fn listed_by_tag(&self, subject: &Digest) -> Result<Vec<Entry>, Error> {
        let tag = referrers_tag(subject);
        let operation = format!("read the referrers at tag {tag}");
        let Some(found) = self.document(&tag, &operation).await? else { return Ok(Vec::new()) };
        self.require_type(&found, media_type::OCI_INDEX, &operation)?;
        Page::parse(&found.bytes).ok_or_else(|| self.not_what_it_says(&found, &operation))
    }

    /// A document of another kind than it must be is worse than none.
    pub(super) fn require_type(&self, found: &Document, kind: &str, operation: &str) -> Result<(), Error> {
        if found.media_type == kind {
            return Ok(());
        }
        let (expected, found) = (kind.into(), excerpt(&found.media_type));
        Err(Error::Content { at: self.wire.at(operation), expected, found })
    }

    pub(super) fn not_what_it_says(&self, found: &Document, operation: &str) -> Error {
        let at = self.wire.at(operation);
        Error::Content { at, expected: found.media_type.clone(), found: "another document".into() }
    }
}

fn listing_of(subject: &Digest) -> String {
    format!("list the referrers of {subject}")
}
