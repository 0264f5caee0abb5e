//! Calls of the Kubernetes API, each with a time limit, a size limit, and its
//! failures told apart. Connection, credentials and TLS are `kube`'s.

mod connect;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, BodyStream, Limited};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{KubernetesError, Operation};
use crate::names::FIELD_MANAGER;

pub(crate) use connect::Connection;

/// A single object may be this large; etcd's own limit is below it.
const LARGEST_OBJECT: usize = 8 << 20;
/// One page of a list.
const LARGEST_PAGE: usize = 64 << 20;
/// Items on a page, and pages in all.
const PAGE: u32 = 500;
const MOST_PAGES: usize = 100;
/// Of a container's output.
const LARGEST_LOG: usize = 256 << 10;
/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The server ends a watch after this, and it is begun again where it was.
const WATCH_SEC: u32 = 240;

/// A kind of object, as the API's paths name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
}

impl Kind {
    pub(crate) const DEPLOYMENT: Self = Self { group: "apps", version: "v1", plural: "deployments" };
    pub(crate) const STATEFUL_SET: Self = Self { group: "apps", version: "v1", plural: "statefulsets" };
    pub(crate) const REPLICA_SET: Self = Self { group: "apps", version: "v1", plural: "replicasets" };
    pub(crate) const POD: Self = Self { group: "", version: "v1", plural: "pods" };
    pub(crate) const SERVICE: Self = Self { group: "", version: "v1", plural: "services" };
    pub(crate) const EVENT: Self = Self { group: "", version: "v1", plural: "events" };
    pub(crate) const JOB: Self = Self { group: "batch", version: "v1", plural: "jobs" };
    pub(crate) const ENDPOINT_SLICE: Self =
        Self { group: "discovery.k8s.io", version: "v1", plural: "endpointslices" };

    fn path(self, namespace: &str, name: Option<&str>) -> String {
        let root = match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        let path = format!("{root}/namespaces/{namespace}/{}", self.plural);
        name.map_or(path.clone(), |name| format!("{path}/{name}"))
    }
}

/// One event of a watch.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// It is there, like this.
    Is(K),
    /// It is gone; this was its last state.
    Gone(K),
    /// Nothing happened up to this resourceVersion.
    Bookmark(String),
}

/// A list, and what it is a list of.
pub(crate) struct Listed<K> {
    pub(crate) items: Vec<K>,
    pub(crate) version: String,
}

/// The API of one namespace.
#[derive(Debug)]
pub(crate) struct Api {
    connection: Connection,
    namespace: String,
}

#[derive(Deserialize)]
struct Page<K> {
    #[serde(default)]
    metadata: ListMeta,
    // An absent list is one without items to some servers.
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

/// The answer to a request that was not taken.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    code: u16,
}

impl Api {
    pub(crate) fn new(connection: Connection, namespace: &str) -> Self {
        Self { connection, namespace: namespace.into() }
    }

    fn operation(&self, verb: &'static str, kind: Kind, name: Option<&str>) -> Operation {
        Operation {
            verb,
            group: kind.group,
            resource: kind.plural,
            name: name.map(Into::into),
            namespace: self.namespace.clone(),
        }
    }

    /// One object; nothing when the server says that there is none.
    pub(crate) async fn get<K: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
    ) -> Result<Option<K>, KubernetesError> {
        let operation = self.operation("get", kind, Some(name));
        let path = kind.path(&self.namespace, Some(name));
        match self.object(operation, Method::GET, path, None).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every object that the query (`labelSelector=…`) selects.
    pub(crate) async fn list<K: DeserializeOwned>(
        &self,
        kind: Kind,
        query: &str,
    ) -> Result<Listed<K>, KubernetesError> {
        let operation = self.operation("list", kind, None);
        let mut items = Vec::new();
        let mut from = String::new();
        for _ in 0..MOST_PAGES {
            let mut path = format!("{}?limit={PAGE}", kind.path(&self.namespace, None));
            for part in [query, &from] {
                if !part.is_empty() {
                    path.push('&');
                    path.push_str(part);
                }
            }
            let bytes = self.ask(&operation, Method::GET, &path, None, LARGEST_PAGE).await?;
            let page: Page<K> = parse(&operation, &bytes)?;
            items.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => from = format!("continue={}", encoded(&token)),
                None => {
                    let version = page.metadata.resource_version.unwrap_or_default();
                    return Ok(Listed { items, version });
                }
            }
        }
        let reason = format!("a list of more than {} items", PAGE as usize * MOST_PAGES);
        Err(KubernetesError::Nonsense { operation: Box::new(operation), reason })
    }

    /// What happens after a resourceVersion. An item that is an error is the
    /// last one.
    pub(crate) async fn watch<K: DeserializeOwned + Send + 'static>(
        &self,
        kind: Kind,
        query: &str,
        version: &str,
    ) -> Result<BoxStream<'static, Result<Change<K>, KubernetesError>>, KubernetesError> {
        let operation = self.operation("watch", kind, None);
        let mut path = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SEC}&resourceVersion={}",
            kind.path(&self.namespace, None),
            encoded(version)
        );
        if !query.is_empty() {
            path.push('&');
            path.push_str(query);
        }
        let body = self.open(&operation, Method::GET, &path, None).await?;
        let server = self.connection.server();
        let lines = lines(body, LARGEST_OBJECT, operation.clone(), server);
        Ok(lines.map(move |line| change(&operation, &line?)).boxed())
    }

    /// Server-side apply under our field manager. What is in the document is
    /// ours from now on, whoever had it before; a `resourceVersion` in it must
    /// still be the present one.
    pub(crate) async fn apply<K: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        document: &Value,
    ) -> Result<K, KubernetesError> {
        let operation = self.operation("patch", kind, Some(name));
        let path =
            format!("{}?fieldManager={FIELD_MANAGER}&force=true", kind.path(&self.namespace, Some(name)));
        let body = ("application/apply-patch+yaml", document.to_string());
        self.object(operation, Method::PATCH, path, Some(body)).await
    }

    /// A JSON merge patch under our field manager.
    pub(crate) async fn merge<K: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        patch: &Value,
    ) -> Result<K, KubernetesError> {
        let operation = self.operation("patch", kind, Some(name));
        let path = format!("{}?fieldManager={FIELD_MANAGER}", kind.path(&self.namespace, Some(name)));
        let body = ("application/merge-patch+json", patch.to_string());
        self.object(operation, Method::PATCH, path, Some(body)).await
    }

    /// Creates an object; it must not exist.
    pub(crate) async fn create<K: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        document: &Value,
    ) -> Result<K, KubernetesError> {
        let operation = self.operation("create", kind, Some(name));
        let path = format!("{}?fieldManager={FIELD_MANAGER}", kind.path(&self.namespace, None));
        let body = ("application/json", document.to_string());
        self.object(operation, Method::POST, path, Some(body)).await
    }

    /// Deletes an object, and in the background what it owns, if it is still
    /// the one with this uid. One that is gone is no error.
    pub(crate) async fn delete(&self, kind: Kind, name: &str, uid: &str) -> Result<(), KubernetesError> {
        let operation = self.operation("delete", kind, Some(name));
        let path = kind.path(&self.namespace, Some(name));
        let options = serde_json::json!({
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid },
        });
        let body = ("application/json", options.to_string());
        match self.ask(&operation, Method::DELETE, &path, Some(body), LARGEST_OBJECT).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The last lines a container wrote.
    pub(crate) async fn log(
        &self,
        pod: &str,
        container: &str,
        previous: bool,
        lines: usize,
    ) -> Result<String, KubernetesError> {
        let operation = Operation {
            resource: "pods/log",
            ..self.operation("get", Kind { plural: "pods/log", ..Kind::POD }, Some(pod))
        };
        let path = format!(
            "{}/log?container={}&tailLines={lines}&limitBytes={LARGEST_LOG}{}",
            Kind::POD.path(&self.namespace, Some(pod)),
            encoded(container),
            if previous { "&previous=true" } else { "" }
        );
        let bytes = self.ask(&operation, Method::GET, &path, None, 2 * LARGEST_LOG).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The lines a container writes, as it writes them, from the beginning.
    pub(crate) async fn follow(
        &self,
        pod: &str,
        container: &str,
    ) -> Result<BoxStream<'static, Result<Vec<u8>, KubernetesError>>, KubernetesError> {
        let operation = Operation { resource: "pods/log", ..self.operation("get", Kind::POD, Some(pod)) };
        let path = format!(
            "{}/log?container={}&follow=true",
            Kind::POD.path(&self.namespace, Some(pod)),
            encoded(container)
        );
        let body = self.open(&operation, Method::GET, &path, None).await?;
        Ok(lines(body, LARGEST_LOG, operation, self.connection.server()).boxed())
    }

    /// Whether the credentials allow an operation; nothing where the server
    /// does not say.
    pub(crate) async fn may(&self, operation: &Operation) -> Option<bool> {
        let (resource, subresource) = operation.resource.split_once('/').unwrap_or((operation.resource, ""));
        let review = serde_json::json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": operation.namespace, "verb": operation.verb, "group": operation.group,
                "resource": resource, "subresource": subresource, "name": operation.name.as_deref().unwrap_or_default(),
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let body = ("application/json", review.to_string());
        let answer: Value = self.object(operation.clone(), Method::POST, path, Some(body)).await.ok()?;
        answer["status"]["allowed"].as_bool()
    }

    async fn object<K: DeserializeOwned>(
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
    async fn ask(
        &self,
        operation: &Operation,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
        limit: usize,
    ) -> Result<Bytes, KubernetesError> {
        let asked = async {
            let answer = self.open(operation, method, path, body).await?;
            let read = Limited::new(answer, limit).collect().await;
            read.map(http_body_util::Collected::to_bytes).map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    let reason = format!("more than {limit} bytes");
                    KubernetesError::Nonsense { operation: Box::new(operation.clone()), reason }
                } else {
                    self.unreachable(operation, &with_causes(&*error))
                }
            })
        };
        let late = || self.unreachable(operation, &format!("none within {} s", ANSWER_WITHIN.as_secs()));
        tokio::time::timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// The answer to a request that was taken, its body unread. Credentials
    /// that are not taken are read anew, once.
    async fn open(
        &self,
        operation: &Operation,
        method: Method,
        path: &str,
        body: Option<(&'static str, String)>,
    ) -> Result<Body, KubernetesError> {
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
            let sent = tokio::time::timeout(ANSWER_WITHIN, client.send(request)).await;
            let answer = match sent {
                Ok(Ok(answer)) => answer,
                Ok(Err(kube::Error::Auth(error))) => {
                    return Err(KubernetesError::Login { reason: connect::without_secrets(&error) });
                }
                Ok(Err(error)) => return Err(self.unreachable(operation, &with_causes(&error))),
                Err(_) => {
                    let reason = format!("none within {} s", ANSWER_WITHIN.as_secs());
                    return Err(self.unreachable(operation, &reason));
                }
            };
            match answer.status() {
                status if status.is_success() => return Ok(answer.into_body()),
                StatusCode::UNAUTHORIZED if !renewed && self.connection.renew().await => renewed = true,
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
fn refused(operation: &Operation, server: String, status: u16, message: String) -> KubernetesError {
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

fn parse<K: DeserializeOwned>(operation: &Operation, bytes: &[u8]) -> Result<K, KubernetesError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let reason = format!("{error}; it begins with {start:?}");
        KubernetesError::Nonsense { operation: Box::new(operation.clone()), reason }
    })
}

/// One line of a watch.
fn change<K: DeserializeOwned>(operation: &Operation, line: &[u8]) -> Result<Change<K>, KubernetesError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "type")]
        kind: String,
        object: Box<serde_json::value::RawValue>,
    }
    let raw: Raw = parse(operation, line)?;
    let object = raw.object.get().as_bytes();
    Ok(match raw.kind.as_str() {
        "ADDED" | "MODIFIED" => Change::Is(parse(operation, object)?),
        "DELETED" => Change::Gone(parse(operation, object)?),
        "BOOKMARK" => {
            let object: Value = parse(operation, object)?;
            let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            Change::Bookmark(version.into())
        }
        _ => {
            let said: Refusal = parse(operation, object)?;
            return Err(refused(operation, String::new(), said.code, said.message));
        }
    })
}

/// The lines of a body, each below a limit. A line that is cut off by the end
/// of the stream is no line.
fn lines(
    body: Body,
    limit: usize,
    operation: Operation,
    server: String,
) -> impl futures_util::Stream<Item = Result<Vec<u8>, KubernetesError>> + Send + 'static {
    struct Reading {
        body: BodyStream<Body>,
        buffer: Vec<u8>,
        searched: usize,
        over: bool,
    }
    let reading = Reading { body: BodyStream::new(body), buffer: Vec::new(), searched: 0, over: false };
    futures_util::stream::unfold(reading, move |mut reading| {
        let (operation, server) = (operation.clone(), server.clone());
        async move {
            loop {
                if reading.over {
                    return None;
                }
                let fresh = &reading.buffer[reading.searched..];
                if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                    let rest = reading.buffer.split_off(reading.searched + at + 1);
                    let mut line = std::mem::replace(&mut reading.buffer, rest);
                    line.pop();
                    reading.searched = 0;
                    if line.is_empty() {
                        continue;
                    }
                    return Some((Ok(line), reading));
                }
                reading.searched = reading.buffer.len();
                let operation = || Box::new(operation.clone());
                if reading.buffer.len() > limit {
                    reading.over = true;
                    let reason = format!("a line of more than {limit} bytes");
                    return Some((
                        Err(KubernetesError::Nonsense { operation: operation(), reason }),
                        reading,
                    ));
                }
                match reading.body.next().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            reading.buffer.extend_from_slice(&data);
                        }
                    }
                    Some(Err(error)) => {
                        reading.over = true;
                        let reason = format!("the stream broke off: {}", with_causes(&error));
                        let (operation, server) = (operation(), server.clone());
                        return Some((
                            Err(KubernetesError::Unreachable { operation, server, reason }),
                            reading,
                        ));
                    }
                    None => return None,
                }
            }
        }
    })
}

/// An error with its causes, without saying the same twice.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
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

/// A value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn operation() -> Operation {
        let (verb, group, resource) = ("watch", "", "pods");
        Operation { verb, group, resource, name: None, namespace: "n".into() }
    }

    async fn read(text: &'static str, limit: usize) -> Vec<Result<String, String>> {
        let body = Body::from(text.as_bytes().to_vec());
        let lines = lines(body, limit, operation(), "s".into());
        let lines = lines.map(|line| match line {
            Ok(line) => Ok(String::from_utf8(line).unwrap()),
            Err(error) => Err(error.to_string()),
        });
        lines.collect().await
    }

    #[tokio::test]
    async fn lines_are_whole_and_bounded() {
        assert_eq!(read("a\n\nbb\ncut", 8).await, [Ok("a".into()), Ok("bb".into())]);
        let long = read("0123456789", 8).await;
        assert!(matches!(&long[..], [Err(why)] if why.contains("more than 8 bytes")), "{long:?}");
    }

    #[test]
    fn an_event_of_a_watch_may_be_an_error() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        let error = change::<Value>(&operation(), line).unwrap_err();
        assert!(error.is_gone(), "{error}");
        let line = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#;
        assert!(matches!(change::<Value>(&operation(), line).unwrap(), Change::Bookmark(at) if at == "7"));
        assert!(change::<Value>(&operation(), b"<html>").unwrap_err().to_string().contains("<html>"));
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
