//! What there is: tags (end-8), repositories, referrers (end-12), in pages.

use std::sync::Arc;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderName, LINK};
use http::{HeaderValue, Response, StatusCode};
use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, Index, ManifestKind, media_type};

use super::answer::{Failure, json, value};
use super::route::Name;
use super::store::Repository;
use super::stream::blocking;
use super::{Call, Registry};
use crate::error::Code;

/// Most names in one answer.
const MOST_NAMES: usize = 10_000;
/// Most referrers in one answer, and most bytes of their descriptors; a
/// client need not read an index of more than four mebibytes.
const MOST_REFERRERS: usize = 1000;
const MOST_BYTES: usize = 3 << 20;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// What `n` and `last` ask for.
struct Window {
    most: usize,
    last: String,
}

impl Window {
    fn of(call: &Call) -> Result<Self, Failure> {
        let most = match call.query("n") {
            None => MOST_NAMES,
            Some(text) => text.parse::<usize>().map_err(|_| {
                Failure::new(Code::Unsupported)
                    .status(StatusCode::BAD_REQUEST)
                    .say("`n` is the number of results, a whole number")
            })?,
        };
        Ok(Self { most: most.min(MOST_NAMES), last: call.query("last").unwrap_or_default().into() })
    }

    /// The page of sorted names, and whether more follow.
    fn page(&self, names: impl Iterator<Item = String>) -> (Vec<String>, bool) {
        let mut rest = names.filter(|name| self.last.is_empty() || *name > self.last);
        let page: Vec<String> = rest.by_ref().take(self.most).collect();
        // With n=0 there is no name to go on from.
        let more = !page.is_empty() && rest.next().is_some();
        (page, more)
    }

    fn link(&self, path: &str, page: &[String], more: bool) -> Option<HeaderValue> {
        let last = page.last().filter(|_| more)?;
        // Names and tags have no character that a query would escape.
        Some(value(format!("<{path}?n={}&last={last}>; rel=\"next\"", self.most)))
    }
}

fn with_link(mut response: Response<Body>, link: Option<HeaderValue>) -> Response<Body> {
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

impl Registry {
    /// end-8.
    pub(super) async fn tags(&self, name: Name, call: &Call) -> Result<Response<Body>, Failure> {
        let window = Window::of(call)?;
        let path = format!("/v2/{name}/tags/list");
        let (store, of) = (Arc::clone(&self.0.store), name.clone());
        let tags = blocking(move || -> Result<Vec<String>, Failure> {
            let refs = store.require(&of)?.layout.refs();
            let refs = refs.map_err(|error| Failure::internal("read the tags", &error))?;
            let mut tags: Vec<String> = refs.into_iter().map(|(tag, _)| tag).collect();
            tags.sort_unstable();
            tags.dedup();
            // Another tool may have written names here that are no tags.
            tags.retain(|tag| plimsoll_model::reference::valid_tag(tag));
            Ok(tags)
        });
        let tags = tags.await.map_err(|error| Failure::internal("read the tags", &error))??;
        let (page, more) = window.page(tags.into_iter());
        let link = window.link(&path, &page, more);
        let body = serde_json::json!({ "name": name.as_str(), "tags": page });
        Ok(with_link(json(StatusCode::OK, &body), link))
    }

    /// `/v2/_catalog`.
    pub(super) async fn catalog(&self, call: &Call) -> Result<Response<Body>, Failure> {
        let window = Window::of(call)?;
        let store = Arc::clone(&self.0.store);
        let names = blocking(move || store.names()).await.flatten();
        let names = names.map_err(|error| Failure::internal("list the repositories", &error))?;
        let (page, more) = window.page(names.into_iter().map(|name| name.to_string()));
        let link = window.link("/v2/_catalog", &page, more);
        Ok(with_link(json(StatusCode::OK, &serde_json::json!({ "repositories": page })), link))
    }

    /// end-12.
    pub(super) async fn referrers(
        &self,
        name: Name,
        subject: Digest,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let wanted = call.query("artifactType").filter(|wanted| !wanted.is_empty()).map(str::to_owned);
        let last = call.query("last").and_then(|last| last.parse::<Digest>().ok());
        let (store, of, filter) = (Arc::clone(&self.0.store), name.clone(), wanted.clone());
        let found = blocking(move || match store.find(&of)? {
            Some(repository) => page_of_referrers(&repository, &subject, last, filter.as_deref()),
            // An artifact may be pushed before its repository has anything
            // else, so nothing refers to it yet.
            None => Ok((Vec::new(), false)),
        });
        let found = found.await.map_err(|error| Failure::internal("list referrers", &error))?;
        let (page, more) = found?;
        let link = page.last().filter(|_| more).map(|last| {
            let filter = wanted.as_deref().map(|wanted| format!("&artifactType={}", escape(wanted)));
            let path = format!("/v2/{name}/referrers/{subject}?last={}", last.digest);
            value(format!("<{path}{}>; rel=\"next\"", filter.unwrap_or_default()))
        });
        let mut response = json(StatusCode::OK, &Index::oci(page));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type::OCI_INDEX));
        if wanted.is_some() {
            response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
        }
        Ok(with_link(response, link))
    }
}

/// For a query value: everything but unreserved characters (RFC 3986, 2.3).
fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn page_of_referrers(
    repository: &Repository,
    subject: &Digest,
    last: Option<Digest>,
    filter: Option<&str>,
) -> Result<(Vec<Descriptor>, bool), Failure> {
    let mut page = Vec::new();
    let mut bytes = 0;
    for entry in
        repository.referrers(subject)?.into_iter().filter(|entry| last.is_none_or(|last| entry.digest > last))
    {
        let kind = repository.parse(&entry).map_err(|error| Failure::internal("read a manifest", &error))?;
        let descriptor = describe(&entry, kind);
        if filter.is_some_and(|wanted| descriptor.artifact_type.as_deref() != Some(wanted)) {
            continue;
        }
        bytes += serde_json::to_vec(&descriptor).map_or(0, |text| text.len());
        if page.len() == MOST_REFERRERS || (bytes > MOST_BYTES && !page.is_empty()) {
            return Ok((page, true));
        }
        page.push(descriptor);
    }
    Ok((page, false))
}

/// A referrer's descriptor (distribution-spec, "Listing Referrers").
fn describe(entry: &Descriptor, kind: ManifestKind) -> Descriptor {
    let mut descriptor = Descriptor::new(entry.media_type.clone(), entry.digest, entry.size);
    match kind {
        ManifestKind::Image(manifest) => {
            let own = manifest.artifact_type.filter(|own| !own.is_empty());
            descriptor.artifact_type = Some(own.unwrap_or(manifest.config.media_type));
            descriptor.annotations = manifest.annotations;
        }
        ManifestKind::Index(index) => {
            descriptor.artifact_type = index.artifact_type.filter(|own| !own.is_empty());
            descriptor.annotations = index.annotations;
        }
        ManifestKind::Other { .. } => {}
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(most: usize, last: &str, names: &[&str]) -> (Vec<String>, bool) {
        Window { most, last: last.into() }.page(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn pages_of_names() {
        let names = ["a", "b", "c"];
        assert_eq!(page(2, "", &names), (vec!["a".into(), "b".into()], true));
        assert_eq!(page(2, "b", &names), (vec!["c".into()], false));
        assert!(!page(3, "", &names).1);
        assert_eq!(page(0, "", &names), (vec![], false));
        assert_eq!(page(9, "zz", &names), (vec![], false));
        assert_eq!(page(9, "aa", &names), (vec!["b".into(), "c".into()], false));
    }

    #[test]
    fn media_types_are_escaped() {
        assert_eq!(escape("application/vnd.a+json"), "application%2Fvnd.a%2Bjson");
    }
}
