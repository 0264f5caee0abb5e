//! Manifests: GET and HEAD (end-3), PUT (end-7), DELETE (end-9).

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderName, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, Error, ManifestKind, digest_of, limits, media_type};

use super::answer::{CONTENT_DIGEST, Failure, empty, etag, value};
use super::blobs::names_digest;
use super::route::{Name, Reference, parse_tag};
use super::store::{Repository, is_commit_tag};
use super::stream::blocking;
use super::{Call, Registry};
use crate::error::Code;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Most tags that one request may set.
const MOST_TAGS: usize = 32;
/// Most digests that an error lists.
const MOST_LISTED: usize = 16;

fn unknown(reference: &Reference) -> Failure {
    let shown = match reference {
        Reference::Tag(tag) => tag.clone(),
        Reference::Digest(digest) => digest.to_string(),
    };
    Failure::new(Code::ManifestUnknown).detail(serde_json::json!({ "reference": shown }))
}

/// Whether an `Accept` header admits a media type. Quality values are not
/// weighed: there is only one form to give.
fn accepts(header: &str, media_type: &str) -> bool {
    header.split(',').filter_map(|range| range.split(';').next()).map(str::trim).any(|range| {
        range.eq_ignore_ascii_case(media_type)
            || matches!(range, "*/*" | "application/*" | "application/json")
    })
}

fn find(repository: &Repository, reference: &Reference) -> Result<Option<Descriptor>, Error> {
    match reference {
        Reference::Tag(tag) => repository.layout.resolve(tag),
        Reference::Digest(digest) => repository.layout.listed(digest),
    }
}

/// A manifest that was checked and is to be kept.
struct Accepted {
    bytes: Bytes,
    descriptor: Descriptor,
    subject: Option<Digest>,
    /// What it names: configuration and layers, or manifests.
    kind: ManifestKind,
}

impl Accepted {
    fn check(bytes: Bytes, content_type: Option<String>, reference: &Reference) -> Result<Self, Failure> {
        let digest = digest_of(&bytes);
        if let Reference::Digest(expected) = reference
            && *expected != digest
        {
            return Err(Failure::new(Code::DigestInvalid)
                .say(format!("the manifest has the digest {digest}, not {expected}"))
                .detail(serde_json::json!({ "expected": expected, "found": digest })));
        }
        let invalid = |why: String| Failure::new(Code::ManifestInvalid).say(why);
        let kind = ManifestKind::parse(&bytes, content_type.as_deref()).map_err(|error| match error {
            Error::Malformed { reason, .. } => invalid(format!("the manifest cannot be accepted: {reason}")),
            other => invalid(other.to_string()),
        })?;
        if let ManifestKind::Other { media_type } = &kind {
            return Err(invalid(format!("manifests of the type `{media_type}` are not kept here")));
        }
        let media_type = content_type.unwrap_or_else(|| kind.media_type().to_owned());
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        let subject = kind.subject().map(|subject| subject.digest);
        Ok(Self { bytes, descriptor, subject, kind })
    }

    /// Whether everything that it names is there, in the size that it says.
    fn check_blobs(&self, repository: &Repository) -> Result<(), Failure> {
        let mut missing = Vec::new();
        let internal = |error: Error| Failure::internal("look for the blobs of a manifest", &error);
        match &self.kind {
            ManifestKind::Image(manifest) => {
                for blob in manifest.blobs().filter(|blob| !is_elsewhere(blob)) {
                    match repository.layout.size(&blob.digest) {
                        Ok(size) if size == blob.size => {}
                        Ok(size) => {
                            return Err(Failure::new(Code::SizeInvalid).say(format!(
                                "the manifest says that {} has {} bytes, but it has {size}",
                                blob.digest, blob.size
                            )));
                        }
                        Err(Error::BlobAbsent { .. }) => missing.push(blob.digest),
                        Err(error) => return Err(internal(error)),
                    }
                }
            }
            ManifestKind::Index(index) => {
                for entry in &index.manifests {
                    if repository.layout.listed(&entry.digest).map_err(internal)?.is_none() {
                        missing.push(entry.digest);
                    }
                }
            }
            ManifestKind::Other { .. } => {}
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.truncate(MOST_LISTED);
        Err(Failure::new(Code::ManifestBlobUnknown).detail(serde_json::json!({ "unknown": missing })))
    }
}

/// A layer that must not be pushed, and says where else it is.
fn is_elsewhere(blob: &Descriptor) -> bool {
    let kind = blob.media_type.as_str();
    kind.contains("nondistributable") || kind == media_type::DOCKER_LAYER_FOREIGN_GZIP
}

/// `If-Match` and `If-None-Match` of a PUT, against what the tag has.
struct Condition {
    matches: Option<String>,
    none_matches: Option<String>,
}

impl Condition {
    fn check(&self, found: Option<Digest>) -> Result<(), Failure> {
        let named = |header: &String| found.is_some_and(|found| names_digest(header, found));
        if self.matches.as_ref().is_some_and(|header| !named(header))
            || self.none_matches.as_ref().is_some_and(named)
        {
            return Err(Failure::new(Code::Denied)
                .status(StatusCode::PRECONDITION_FAILED)
                .say("the tag does not have the digest that the condition asks for; nothing was changed")
                .detail(serde_json::json!({ "found": found })));
        }
        Ok(())
    }
}

/// TAG-3: what a push gets that would move the tag of a commit.
fn commit_tag_taken(name: &Name, tag: &str, found: Digest, pushed: Digest) -> Failure {
    Failure::new(Code::Denied)
        .status(StatusCode::CONFLICT)
        .say(format!(
            "tag {tag} in {name} is a commit and already has the digest {found}; it does not move to {pushed}. \
             Nothing was changed"
        ))
        .detail(serde_json::json!({ "tag": tag, "found": found, "pushed": pushed }))
}

/// Stores a manifest and sets its tags, all or none as far as refusals go.
fn put(
    repository: &Repository,
    name: &Name,
    accepted: &Accepted,
    tags: &[String],
    condition: &Condition,
) -> Result<(), Failure> {
    let internal = |error: Error| Failure::internal("store a manifest", &error);
    let descriptor = &accepted.descriptor;
    let _changing = repository.change();
    accepted.check_blobs(repository)?;
    let mut before = Vec::new();
    for tag in tags {
        let found = repository.layout.resolve(tag).map_err(internal)?;
        let digest = found.as_ref().map(|found| found.digest);
        if let Some(digest) = digest.filter(|digest| *digest != descriptor.digest && is_commit_tag(tag)) {
            return Err(commit_tag_taken(name, tag, digest, descriptor.digest));
        }
        condition.check(digest)?;
        before.extend(found.filter(|found| found.digest != descriptor.digest));
    }
    repository.layout.put(&accepted.bytes).map_err(internal)?;
    // Listed without a name first, and so there by digest whatever becomes of
    // its tags; then the tags. After a crash in between, a tag is there or not.
    repository.layout.add(descriptor.clone()).map_err(internal)?;
    for tag in tags {
        if !is_commit_tag(tag) {
            repository.layout.tag(tag, descriptor.clone()).map_err(internal)?;
            continue;
        }
        // Another tool may write to the same layout; the winner keeps the tag.
        repository.layout.tag_if(tag, None, descriptor.clone()).map_err(|error| match error {
            Error::RefMoved { found: Some(found), .. } => {
                commit_tag_taken(name, tag, found, descriptor.digest)
            }
            other => internal(other),
        })?;
    }
    // What only another tool's tag listed is still there by digest.
    for entry in before {
        repository.layout.add(entry).map_err(internal)?;
    }
    Ok(())
}

/// Removes a tag; the manifest stays.
fn delete_tag(repository: &Repository, tag: &str, delete_commits: bool) -> Result<(), Failure> {
    let internal = |error: Error| Failure::internal("delete a tag", &error);
    let _changing = repository.change();
    let found = repository.layout.resolve(tag).map_err(internal)?;
    let found = found.ok_or_else(|| unknown(&Reference::Tag(tag.into())))?;
    if is_commit_tag(tag) && !delete_commits {
        return Err(kept(format!(
            "tag {tag} is a commit with the digest {}, and tags of commits stay",
            found.digest
        )));
    }
    repository.layout.untag(tag).map_err(internal)?;
    repository.layout.add(found).map_err(internal)
}

/// Removes a manifest and every tag that points to it.
fn delete_digest(repository: &Repository, digest: Digest, delete_commits: bool) -> Result<(), Failure> {
    let internal = |error: Error| Failure::internal("delete a manifest", &error);
    let _changing = repository.change();
    if repository.layout.listed(&digest).map_err(internal)?.is_none() {
        return Err(unknown(&Reference::Digest(digest)));
    }
    if !delete_commits && let Some(tag) = repository.held_by_commit(&digest)? {
        return Err(kept(format!(
            "{digest} belongs to the image of commit {tag}, and images of commits stay"
        )));
    }
    let needed = repository.needed(&digest)?;
    repository.layout.untag_digest(&digest).map_err(internal)?;
    // A crash here leaves bytes that nothing lists.
    if !needed {
        repository.layout.delete_blob(&digest).map_err(internal)?;
    }
    Ok(())
}

fn kept(why: String) -> Failure {
    Failure::new(Code::Denied).status(StatusCode::CONFLICT).say(format!("{why}. Nothing was changed"))
}

impl Registry {
    /// end-3.
    pub(super) async fn get_manifest(
        &self,
        name: Name,
        reference: Reference,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let store = Arc::clone(&self.0.store);
        let found = blocking(move || -> Result<(Descriptor, Vec<u8>), Failure> {
            let repository = store.require(&name)?;
            let internal = |error: Error| Failure::internal("read a manifest", &error);
            let entry = find(&repository, &reference).map_err(internal)?;
            let entry = entry.ok_or_else(|| unknown(&reference))?;
            let bytes = repository.read(&entry.digest).map_err(internal)?;
            Ok((entry, bytes))
        });
        let found = found.await.map_err(|error| Failure::internal("read a manifest", &error))?;
        let (entry, bytes) = found?;
        let mut headers =
            call.parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if headers.peek().is_some() && !headers.any(|header| accepts(header, &entry.media_type)) {
            // Not 404: it is there, and a client must not take it for absent.
            return Err(Failure::new(Code::Unsupported)
                .status(StatusCode::NOT_ACCEPTABLE)
                .say(format!("the manifest is `{}`, which the Accept header leaves out", entry.media_type)));
        }
        let current = call.header(IF_NONE_MATCH).is_some_and(|header| names_digest(header, entry.digest));
        let mut response =
            if current { empty(StatusCode::NOT_MODIFIED) } else { Response::new(Body::empty()) };
        let headers = response.headers_mut();
        headers.insert(CONTENT_DIGEST, value(entry.digest.to_string()));
        headers.insert(ETAG, etag(entry.digest));
        if !current {
            // Read from a file that another tool may have written.
            let media_type = http::HeaderValue::from_str(&entry.media_type);
            let media_type = media_type.map_err(|error| Failure::internal("answer a manifest", &error))?;
            headers.insert(CONTENT_TYPE, media_type);
            headers.insert(CONTENT_LENGTH, bytes.len().into());
            if call.parts.method != Method::HEAD {
                *response.body_mut() = Body::from(bytes);
            }
        }
        Ok(response)
    }

    /// end-7.
    pub(super) async fn put_manifest(
        &self,
        name: Name,
        reference: Reference,
        call: &Call,
        body: Body,
    ) -> Result<Response<Body>, Failure> {
        let mut tags = Vec::new();
        match &reference {
            Reference::Tag(tag) => tags.push(tag.clone()),
            Reference::Digest(_) => {
                for (_, tag) in call.query.iter().filter(|(key, _)| key == "tag") {
                    tags.push(parse_tag(tag)?);
                }
                if tags.len() > MOST_TAGS {
                    return Err(Failure::new(Code::Unsupported)
                        .status(StatusCode::URI_TOO_LONG)
                        .say(format!("one request may set {MOST_TAGS} tags at most")));
                }
            }
        }
        let text = |name: HeaderName| call.header(name).map(str::to_owned);
        let condition = Condition { matches: text(IF_MATCH), none_matches: text(IF_NONE_MATCH) };
        let content_type = call
            .header(CONTENT_TYPE)
            .and_then(|header| header.split(';').next())
            .map(|media_type| media_type.trim().to_ascii_lowercase())
            .filter(|media_type| !media_type.is_empty());
        let by_digest = matches!(reference, Reference::Digest(_));
        let bytes = self.receive_manifest(call, body).await?;
        let (store, into, set) = (Arc::clone(&self.0.store), name.clone(), tags.clone());
        let stored = blocking(move || -> Result<(Digest, Option<Digest>), Failure> {
            let accepted = Accepted::check(bytes, content_type, &reference)?;
            let repository = store.require_or_create(&into)?;
            put(&repository, &into, &accepted, &set, &condition)?;
            Ok((accepted.descriptor.digest, accepted.subject))
        });
        let (digest, subject) =
            stored.await.map_err(|error| Failure::internal("store a manifest", &error))??;
        let mut response = empty(StatusCode::CREATED);
        let headers = response.headers_mut();
        let location = if by_digest { digest.to_string() } else { tags.concat() };
        headers.insert(LOCATION, value(format!("/v2/{name}/manifests/{location}")));
        headers.insert(CONTENT_DIGEST, value(digest.to_string()));
        headers.insert(ETAG, etag(digest));
        // The header says that the referrers API lists it.
        if let Some(subject) = subject.filter(|_| self.0.options.referrers_api) {
            headers.insert(OCI_SUBJECT, value(subject.to_string()));
        }
        if by_digest && !tags.is_empty() {
            headers.insert(OCI_TAG, value(tags.join(", ")));
        }
        Ok(response)
    }

    async fn receive_manifest(&self, call: &Call, body: Body) -> Result<Bytes, Failure> {
        let most = usize::try_from(limits::MANIFEST).expect("four mebibytes fit in memory");
        let too_long = || {
            Failure::new(Code::SizeInvalid)
                .status(StatusCode::PAYLOAD_TOO_LARGE)
                .say(format!("manifests of more than {most} bytes are not accepted"))
        };
        let length = call.header(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        if length.is_some_and(|length| length > limits::MANIFEST) {
            return Err(too_long());
        }
        let _slot = self.0.uploads.slot().await?;
        let body = tokio::time::timeout(self.0.options.stall, Limited::new(body, most).collect());
        match body.await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
            Ok(Err(_)) => Err(Failure::new(Code::ManifestInvalid).say("the body broke off")),
            Err(_) => Err(Failure::new(Code::ManifestInvalid)
                .status(StatusCode::REQUEST_TIMEOUT)
                .say("the manifest did not arrive in time")),
        }
    }

    /// end-9.
    pub(super) async fn delete_manifest(
        &self,
        name: Name,
        reference: Reference,
    ) -> Result<Response<Body>, Failure> {
        let store = Arc::clone(&self.0.store);
        let delete_commits = self.0.options.delete_commits;
        let deleted = blocking(move || {
            let repository = store.require(&name)?;
            match reference {
                Reference::Tag(tag) => delete_tag(&repository, &tag, delete_commits),
                Reference::Digest(digest) => delete_digest(&repository, digest, delete_commits),
            }
        });
        deleted.await.map_err(|error| Failure::internal("delete a manifest", &error))??;
        Ok(empty(StatusCode::ACCEPTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_accept_header_admits() {
        for (header, admits) in [
            (media_type::OCI_MANIFEST.to_owned(), true),
            (format!("{}, {};q=0.5", media_type::DOCKER_MANIFEST, media_type::OCI_MANIFEST), true),
            ("*/*".into(), true),
            ("text/html, application/*".into(), true),
            ("application/json".into(), true),
            (media_type::DOCKER_MANIFEST.into(), false),
            ("text/html".into(), false),
            ("".into(), false),
        ] {
            assert_eq!(accepts(&header, media_type::OCI_MANIFEST), admits, "{header}");
        }
    }
}
