//! Calls of the Kubernetes API, each with a time limit, a size limit, and its
//! failures told apart. Connection, credentials and TLS are `kube`'s.

mod connect;
mod plugin;
mod stream;
mod transport;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;

use crate::error::{KubernetesError, Operation};
use crate::names::FIELD_MANAGER;

pub use connect::client;
pub(crate) use connect::{Connection, LOGIN_WITHIN};
use stream::{Rest, change, lines};
use transport::parse;

/// A single object may be this large; etcd's own limit is below it.
const LARGEST_OBJECT: usize = 8 << 20;
/// One page of a list.
const LARGEST_PAGE: usize = 64 << 20;
/// Items on a page, and pages in all.
const PAGE: u32 = 500;
const MOST_PAGES: usize = 100;
/// What a pod answers.
const LARGEST_ANSWER: usize = 16 << 20;
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
    news: Notify,
}

#[derive(Deserialize)]
struct Page<K> {
    #[serde(default)]
    metadata: ListMeta,
    // An absent list is one without items to some servers.
    #[serde(default = "Vec::new")]
    items: Vec<K>,
}

impl Api {
    pub(crate) fn new(connection: Connection, namespace: &str) -> Self {
        Self { connection, namespace: namespace.into(), news: Notify::new() }
    }

    /// Told of every change that any list of these objects hears of; what was told
    /// while nobody waited is kept for who waits next.
    pub(crate) fn news(&self) -> &Notify {
        &self.news
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
        let lines = lines(body, LARGEST_OBJECT, Rest::CutOff, operation.clone(), server);
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

    /// What a pod answers at a port and a path, through the API server.
    pub(crate) async fn proxied(
        &self,
        pod: &str,
        port: u16,
        path: &str,
    ) -> Result<bytes::Bytes, KubernetesError> {
        let operation = Operation { resource: "pods/proxy", ..self.operation("get", Kind::POD, Some(pod)) };
        let pod = Kind::POD.path(&self.namespace, Some(pod));
        self.ask(&operation, Method::GET, &format!("{pod}:{port}/proxy{path}"), None, LARGEST_ANSWER).await
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
        Ok(lines(body, LARGEST_LOG, Rest::Line, operation, self.connection.server()).boxed())
    }

    /// The server's address, for texts.
    pub(crate) fn server(&self) -> String {
        self.connection.server()
    }

    /// The version that the server says it is.
    pub(crate) async fn version(&self) -> Result<String, KubernetesError> {
        let (verb, group, resource) = ("get", "", "version");
        let operation = Operation { verb, group, resource, name: None, namespace: String::new() };
        let answer: Value = self.object(operation, Method::GET, "/version".into(), None).await?;
        Ok(answer["gitVersion"].as_str().unwrap_or_default().to_owned())
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
