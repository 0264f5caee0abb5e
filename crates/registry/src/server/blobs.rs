//! Blobs: GET and HEAD with ranges (end-2), DELETE (end-10).

use std::fs::File;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE,
    RANGE,
};
use http::{HeaderValue, Method, Response, StatusCode};
use plimsoll_model::Digest;

use super::answer::{CONTENT_DIGEST, Failure, empty, etag, value};
use super::range::Wanted;
use super::route::Name;
use super::stream::{blocking, file_body};
use super::{Call, Registry};
use crate::error::Code;

/// Whether an `If-None-Match` or `If-Match` names this digest.
pub(super) fn names_digest(header: &str, digest: Digest) -> bool {
    let tag = format!("\"{digest}\"");
    header.split(',').map(str::trim).any(|given| {
        given == "*" || given.strip_prefix("W/").unwrap_or(given) == tag || given == digest.to_string()
    })
}

fn unknown(digest: Digest) -> Failure {
    Failure::new(Code::BlobUnknown).detail(serde_json::json!({ "digest": digest }))
}

impl Registry {
    /// end-2.
    pub(super) async fn get_blob(
        &self,
        name: Name,
        digest: Digest,
        call: &Call,
    ) -> Result<Response<Body>, Failure> {
        let store = Arc::clone(&self.0.store);
        let opened = blocking(move || -> Result<Option<(File, u64)>, Failure> {
            let repository = store.require(&name)?;
            let internal = |error: io::Error| Failure::internal("open a blob", &error);
            let file = match File::open(repository.layout.blob_path(&digest)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(internal(error)),
            };
            let size = file.metadata().map_err(internal)?.len();
            Ok(Some((file, size)))
        });
        let opened = opened.await.map_err(|error| Failure::internal("open a blob", &error))??;
        let (file, size) = opened.ok_or_else(|| unknown(digest))?;

        let current = call.header(IF_NONE_MATCH).is_some_and(|header| names_digest(header, digest));
        let wanted = match call.header(RANGE) {
            // RFC 9110, 13.1.5: a validator that does not match voids the range.
            Some(header)
                if call.parts.method == Method::GET
                    && call.header(IF_RANGE).is_none_or(|tag| names_digest(tag, digest)) =>
            {
                Wanted::parse(header, size)
            }
            _ => Wanted::All,
        };
        let (status, start, length) = match wanted {
            _ if current => (StatusCode::NOT_MODIFIED, 0, 0),
            Wanted::All => (StatusCode::OK, 0, size),
            Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end - start),
            Wanted::Unsatisfiable => {
                return Err(Failure::new(Code::RangeInvalid)
                    .say("one range of bytes that exist can be asked for")
                    .header(CONTENT_RANGE, value(format!("bytes */{size}"))));
            }
        };
        let body = match status {
            StatusCode::NOT_MODIFIED => Body::empty(),
            _ if call.parts.method == Method::HEAD => Body::empty(),
            _ => file_body(file, start, length),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_DIGEST, value(digest.to_string()));
        headers.insert(ETAG, etag(digest));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000, immutable"));
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(CONTENT_LENGTH, length.into());
        }
        if status == StatusCode::PARTIAL_CONTENT {
            headers.insert(CONTENT_RANGE, value(format!("bytes {start}-{}/{size}", start + length - 1)));
        }
        Ok(response)
    }

    /// end-10.
    pub(super) async fn delete_blob(&self, name: Name, digest: Digest) -> Result<Response<Body>, Failure> {
        let store = Arc::clone(&self.0.store);
        let delete_commits = self.0.options.delete_commits;
        let deleted = blocking(move || {
            let failed = |error: plimsoll_oci::Error| Failure::internal("delete a blob", &error);
            let repository = store.require(&name)?;
            let _changing = repository.change();
            if !repository.layout.has(&digest).map_err(failed)? {
                return Err(unknown(digest));
            }
            if repository.layout.listed(&digest).map_err(failed)?.is_some() {
                return Err(Failure::new(Code::Unsupported).say("this is a manifest; delete it as one"));
            }
            if !delete_commits && let Some(tag) = repository.held_by_commit(&digest)? {
                return Err(Failure::new(Code::Denied)
                    .status(StatusCode::CONFLICT)
                    .say(format!("the image of commit {tag} needs this blob, and images of commits stay")));
            }
            repository.layout.delete_blob(&digest).map_err(failed).map(drop)
        });
        deleted.await.map_err(|error| Failure::internal("delete a blob", &error))??;
        Ok(empty(StatusCode::ACCEPTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators() {
        let digest = Digest::from_sha256([1; 32]);
        let other = Digest::from_sha256([2; 32]);
        for (header, matches) in [
            (format!("\"{digest}\""), true),
            (format!("W/\"{digest}\""), true),
            (format!("\"{other}\", \"{digest}\""), true),
            (digest.to_string(), true),
            ("*".into(), true),
            (format!("\"{other}\""), false),
            (String::new(), false),
        ] {
            assert_eq!(names_digest(&header, digest), matches, "{header}");
        }
    }
}
