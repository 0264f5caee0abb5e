//! Writing a manifest, for those with the right to push.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::time::timeout;

use super::error::Error;
use super::reader::Reader;
use super::wire::{Answer, Call, ERROR_BODY, Trouble};
use crate::error::{Body, Code};

/// The manifest to write, and where.
pub(super) struct Put<'a> {
    pub(super) reader: &'a Reader,
    /// A tag or a digest.
    pub(super) reference: &'a str,
    pub(super) media_type: &'a str,
    pub(super) bytes: &'a Bytes,
    pub(super) operation: &'a str,
}

/// How a write that must not be repeated blindly ended.
pub(super) enum Written {
    /// It is there; what the registry said.
    Stored(Answer),
    /// The condition did not hold: somebody else was faster.
    Moved,
    /// Something that the manifest names is not in the registry.
    Dangling(Error),
    /// Perhaps it happened, perhaps not.
    Unclear(Trouble),
}

impl Put<'_> {
    fn call(&self, conditions: HeaderMap) -> Result<Call, Error> {
        let wire = &self.reader.wire;
        let mut call = wire.get(wire.at_repository(&format!("manifests/{}", self.reference)), self.operation);
        call.method = Method::PUT;
        call.access = self.reader.access.clone();
        call.headers = conditions;
        let kind = HeaderValue::from_str(self.media_type).map_err(|_| Error::Options {
            option: "manifest media type".into(),
            reason: "it cannot stand in a header".into(),
        })?;
        call.headers.insert(header::CONTENT_TYPE, kind);
        call.body = self.bytes.clone();
        Ok(call)
    }

    async fn accepted(&self, answer: Answer) -> Result<Answer, Error> {
        if answer.status.is_success() && !answer.is_html() {
            return Ok(answer);
        }
        let wire = &self.reader.wire;
        let (status, says) = (answer.status, answer.says().unwrap_or_else(|| answer.describe()));
        let at = wire.at(self.operation);
        Err(match wire.judge(answer, self.operation).await {
            Ok(Some(_)) => Error::Nonsense { at, found: says },
            Ok(None) => Error::Refused { at, status, says },
            Err(error) => error,
        })
    }

    /// Writes it, again and again within the policy: for what stays the same
    /// however often it is written.
    pub(super) async fn repeatedly(&self) -> Result<(), Error> {
        let answer = self.reader.wire.small(&self.call(HeaderMap::new())?, ERROR_BODY).await?;
        self.accepted(answer).await.map(drop)
    }

    /// Writes it once, if the conditions hold where a registry knows them.
    pub(super) async fn once(&self, conditions: HeaderMap) -> Result<Written, Error> {
        let wire = &self.reader.wire;
        let call = self.call(conditions)?;
        let limit = wire.options.timeouts.request;
        let send = async { wire.read(wire.once(&call, None).await?, ERROR_BODY).await };
        let answer = match timeout(limit, send).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(Trouble::Final(error))) => return Err(error),
            Ok(Err(trouble)) => return Ok(Written::Unclear(trouble)),
            Err(_) => return Ok(Written::Unclear(Trouble::silence(limit))),
        };
        if answer.status == StatusCode::PRECONDITION_FAILED {
            return Ok(Written::Moved);
        }
        let dangling = Body::parse(&answer.body)
            .is_some_and(|body| body.codes().any(|code| code == Code::ManifestBlobUnknown));
        match self.accepted(answer).await {
            Ok(answer) => Ok(Written::Stored(answer)),
            Err(error) if dangling => Ok(Written::Dangling(error)),
            Err(error) => Err(error),
        }
    }
}
