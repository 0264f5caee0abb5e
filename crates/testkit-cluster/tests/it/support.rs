//! What these tests have in common.

use std::time::Duration;

use plimsoll_testkit_cluster::{Cluster, Settings};
use serde_json::{Value, json};

/// An image of the test's registry, by digest.
pub(crate) fn image(letter: char) -> String {
    format!("registry.test/shop@sha256:{}", letter.to_string().repeat(64))
}

/// A deployment of three pods with a readiness probe.
pub(crate) fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "app", "image": image, "ports": [{"containerPort": 8080, "name": "http"}],
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
                }]},
            },
        },
    })
}

pub(crate) fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    })
}

/// A cluster in which the deployment of image `a` is complete.
pub(crate) fn running() -> Cluster {
    let cluster = Cluster::start(Settings::default());
    cluster.apply_json(deployment(&image('a')));
    cluster.settle_until(60_000, is_complete);
    cluster
}

/// Whether the deployment has got where its spec wants it.
pub(crate) fn is_complete(cluster: &Cluster) -> bool {
    let web = cluster.get("deployment", "shop", "web");
    let (status, wanted) = (&web["status"], &web["spec"]["replicas"]);
    status["observedGeneration"] == web["metadata"]["generation"]
        && status["updatedReplicas"] == *wanted
        && status["replicas"] == *wanted
        && status["availableReplicas"] == *wanted
}

/// The reason of a condition; empty without it.
pub(crate) fn reason(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let found = conditions.into_iter().find(|condition| condition["type"] == kind);
    found.and_then(|found| found["reason"].as_str()).unwrap_or_default().into()
}

/// The `reason` for which the first container of a pod waits.
pub(crate) fn waits_for(pod: &Value) -> &str {
    pod.pointer("/status/containerStatuses/0/state/waiting/reason")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A client over HTTP.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) text: String,
    pub(crate) retry_after: Option<String>,
}

impl Client {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        // A connection for each request: a pool would repeat what was reset.
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(20)).pool_max_idle_per_host(0).build();
        Self { http: http.expect("a client can be built"), url: cluster.url(), token: None }
    }

    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request =
            self.http.request(method, format!("{}{path}", self.url)).header("user-agent", "tests/1");
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request.header("content-type", content_type).body(body.to_string());
        }
        let response = request.send().await.expect("the server answers");
        let code = response.status().as_u16();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = response.text().await.expect("the answer is whole");
        Answer { code, body: serde_json::from_str(&text).unwrap_or_default(), text, retry_after }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", &Value::Null).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body).await
    }

    pub(crate) async fn apply(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, "application/apply-patch+yaml", body).await
    }
}

/// The events of a watch, one after the other.
pub(crate) struct Stream {
    response: reqwest::Response,
    rest: String,
}

impl Stream {
    pub(crate) async fn open(client: &Client, path: &str) -> Self {
        let response = client.request("GET", path).send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
        Self { response, rest: String::new() }
    }

    /// The next event; `None` where the stream has ended, `Err` where it broke.
    pub(crate) async fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                let event = serde_json::from_str(line).map_err(|error| error.to_string())?;
                self.rest = rest.to_owned();
                return Ok(Some(event));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.rest.push_str(&String::from_utf8_lossy(&chunk)),
                Ok(None) if self.rest.is_empty() => return Ok(None),
                Ok(None) => return Err("ended within an event".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The next event, as `TYPE name`.
    pub(crate) async fn shown(&mut self) -> String {
        let event = self.next().await.expect("the stream is whole").expect("the stream goes on");
        let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default();
        format!("{} {name}", event["type"].as_str().unwrap_or_default()).trim().into()
    }
}
