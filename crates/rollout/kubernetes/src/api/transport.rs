//! One request and its answer: bounded, in time, with credentials that are
//! read anew once, and every way to fail told apart.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{ANSWER_WITHIN, Api, LARGEST_OBJECT, connect};
use crate::error::{KubernetesError, Operation};

/// The answer to a request that was not taken.
#[derive(Deserialize, Default)]
pub(super) struct Refusal {
    #[serde(default)]
    pub(super) message: String,
    #[serde(default)]
    pub(super) code: u16,
}

impl Api {
    pub(super) async fn object<K: DeserializeOwned>(
        &self,
        operation: Operation,
        method: Method,
        path: String,
        body: Option<(&'static str, String)>,
    ) -> Result<K, KubernetesError> {
        let bytes = self.ask(&operation, method, &path, body, LARGEST_OBJECT).await?;
        parse(&operation, &bytes)
    }

    /// A whole answer, in time.
    pub(super) async fn ask(
        &self,
        operation: &Operation,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
        limit: usize,
    ) -> Result<Bytes, KubernetesError> {
        let (answer, sent) = self.send(operation, method, path, body).await?;
        let read = Limited::new(answer, limit).collect();
        match tokio::time::timeout_at(sent + ANSWER_WITHIN, read).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                let reason = format!("more than {limit} bytes");
                Err(KubernetesError::Nonsense { operation: Box::new(operation.clone()), reason })
            }
            Ok(Err(error)) => Err(self.unreachable(operation, &with_causes(&*error))),
            Err(_) => Err(self.late(operation)),
        }
    }

    fn late(&self, operation: &Operation) -> KubernetesError {
        self.unreachable(operation, &format!("none within {} s", ANSWER_WITHIN.as_secs()))
    }

    /// The answer to a request that was taken, its body unread. Credentials
    /// that are not taken are read anew, once.
    pub(super) async fn open(
        &self,
        operation: &Operation,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<Body, KubernetesError> {
        Ok(self.send(operation, method, path, body).await?.0)
    }

    /// The same, and when it was sent: a login has its own time.
    async fn send(
        &self,
        operation: &Operation,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<(Body, Instant), KubernetesError> {
        let mut renewed = false;
        loop {
            let client = self.connection.client().await?;
            let request = Request::builder()
                .method(method.clone())
                .uri(path)
                .header(http::header::ACCEPT, "application/json")
                // Streams are read line by line as they come.
                .header(http::header::ACCEPT_ENCODING, "identity");
            let request = match &body {
                Some((kind, text)) => request
                    .header(http::header::CONTENT_TYPE, *kind)
                    .body(Body::from(text.clone().into_bytes())),
                None => request.body(Body::empty()),
            };
            let request = request.map_err(|error| KubernetesError::Nonsense {
                operation: Box::new(operation.clone()),
                reason: format!("{path} is no path: {error}"),
            })?;
            let sent = Instant::now();
            let answer = match tokio::time::timeout_at(sent + ANSWER_WITHIN, client.send(request)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(kube::Error::Auth(error))) => {
                    return Err(KubernetesError::Login { reason: connect::without_secrets(&error) });
                }
                Ok(Err(error)) => return Err(self.unreachable(operation, &with_causes(&error))),
                Err(_) => return Err(self.late(operation)),
            };
            match answer.status() {
                status if status.is_success() => return Ok((answer.into_body(), sent)),
                StatusCode::UNAUTHORIZED if !renewed && self.connection.renew().await? => renewed = true,
                status => return Err(self.refusal(operation, status, answer.into_body()).await),
            }
        }
    }

    async fn refusal(&self, operation: &Operation, status: StatusCode, body: Body) -> KubernetesError {
        let read = Limited::new(body, LARGEST_OBJECT).collect();
        let bytes = match tokio::time::timeout(ANSWER_WITHIN, read).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            _ => Bytes::new(),
        };
        let said: Refusal = serde_json::from_slice(&bytes).unwrap_or_default();
        let message = match said.message {
            message if message.is_empty() => status.to_string(),
            message => crate::diagnosis::shortened(&message),
        };
        refused(operation, self.connection.server(), status.as_u16(), message)
    }

    fn unreachable(&self, operation: &Operation, reason: &str) -> KubernetesError {
        KubernetesError::Unreachable {
            operation: Box::new(operation.clone()),
            server: self.connection.server(),
            reason: reason.into(),
        }
    }
}

/// What a status means.
pub(super) fn refused(
    operation: &Operation,
    server: String,
    status: u16,
    message: String,
) -> KubernetesError {
    let operation = Box::new(operation.clone());
    match status {
        401 => KubernetesError::Unauthorized { operation, server },
        // Admission says 403 as well, in other words; that is no matter of roles.
        403 if !message.contains("denied the request") && !message.contains("exceeded quota") => {
            KubernetesError::Forbidden { operation, message }
        }
        429 | 500..=599 => KubernetesError::Unreachable { operation, server, reason: message },
        _ => KubernetesError::Refused { operation, status, message },
    }
}

pub(super) fn parse<K: DeserializeOwned>(operation: &Operation, bytes: &[u8]) -> Result<K, KubernetesError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let reason = format!("{error}; it begins with {start:?}");
        KubernetesError::Nonsense { operation: Box::new(operation.clone()), reason }
    })
}

/// An error with its causes, without saying the same twice.
pub(super) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(&format!(": {said}"));
        }
        cause = error.source();
    }
    crate::diagnosis::shortened(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation() -> Operation {
        let (verb, group, resource) = ("watch", "", "pods");
        Operation { verb, group, resource, name: None, namespace: "n".into() }
    }

    #[test]
    fn a_refusal_by_admission_is_no_matter_of_roles() {
        let refused = |status, message: &str| refused(&operation(), "s".into(), status, message.into());
        assert!(matches!(refused(403, "cannot patch"), KubernetesError::Forbidden { .. }));
        let denied = "admission webhook \"w\" denied the request: no";
        assert!(matches!(refused(403, denied), KubernetesError::Refused { .. }));
        assert!(matches!(refused(503, "busy"), KubernetesError::Unreachable { .. }));
        assert!(matches!(refused(401, ""), KubernetesError::Unauthorized { .. }));
    }
}
