//! Answers: errors with the protocol's JSON body, and the headers that every
//! answer carries.

use std::io;

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use plimsoll_model::Digest;

use crate::error::{self, Code};

/// The digest of what is answered.
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The protocol's version, which Docker looks for.
pub(super) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// A refused or failed request.
pub(super) struct Failure(Box<Inner>);

struct Inner {
    /// `None`: a failure of this side, which has no row in the table.
    code: Option<Code>,
    status: StatusCode,
    message: String,
    detail: Option<serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// With the status and the sentence of the table.
    pub(super) fn new(code: Code) -> Self {
        Self(Box::new(Inner {
            code: Some(code),
            status: code.status(),
            message: code.message().into(),
            detail: None,
            headers: Vec::new(),
        }))
    }

    /// Says it in other words.
    pub(super) fn say(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Travels with another status than the table's.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// Adds what a program may want to read.
    pub(super) fn detail(mut self, detail: serde_json::Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// The code; none for failures of this side.
    #[cfg(test)]
    pub(super) fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// Storage or a task failed. The reason goes to the log, not to the
    /// client: it may name paths of this machine.
    pub(super) fn internal(what: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = error.to_string();
        let mut source = error.source();
        let mut full = false;
        let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = at {
            full |= error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::StorageFull);
            at = error.source();
        }
        while let Some(error) = source {
            chain = format!("{chain}: {error}");
            source = error.source();
        }
        tracing::error!(target: "plimsoll_registry::server", operation = what, error = chain, "request failed");
        let (status, message) = if full {
            (StatusCode::INSUFFICIENT_STORAGE, "the registry's disk is full; nothing was stored")
        } else {
            (StatusCode::INTERNAL_SERVER_ERROR, "the registry failed; its log says why")
        };
        Self(Box::new(Inner {
            code: None,
            status,
            message: message.into(),
            detail: None,
            headers: Vec::new(),
        }))
    }

    /// The answer itself.
    pub(super) fn into_response(self) -> Response<Body> {
        let Inner { code, status, message, detail, headers } = *self.0;
        let body = error::Body {
            errors: vec![error::Entry {
                // `distribution` answers this for what the table has no row for.
                code: code.map_or("UNKNOWN", Code::as_str).into(),
                message,
                detail,
            }],
        };
        let mut response = json(status, &body);
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    // 204 must not carry a length; the others say that nothing follows.
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    response
}

/// The answer to a path that is not served: text, as `distribution` gives it.
pub(super) fn no_such_page() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(value).expect("the answers are maps with text keys");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A header value from text that was built here or checked before.
pub(super) fn value(text: impl AsRef<str>) -> HeaderValue {
    HeaderValue::from_str(text.as_ref()).expect("made of checked names, digests and numbers")
}

/// The entity tag of content: its digest.
pub(super) fn etag(digest: Digest) -> HeaderValue {
    value(format!("\"{digest}\""))
}
