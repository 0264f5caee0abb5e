//! The same requests to this cluster and to a real API server, and what they
//! answer differently.
//!
//! By hand: `kubectl proxy --port=0` against a cluster that may be written to,
//! and its address in `PLIMSOLL_REAL_CLUSTER`, e.g. `http://127.0.0.1:8001`.
//! Without that it is skipped, also in CI. It makes and removes the namespace
//! `plimsoll-compare`.

use plimsoll_testkit_cluster::{Cluster, Settings};
use serde_json::{Value, json};

const NAMESPACE: &str = "plimsoll-compare";

/// What is different each time, or is told by other components.
const VOLATILE: [&str; 12] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "time",
    "lastTransitionTime",
    "lastUpdateTime",
    "deletionTimestamp",
    "clusterIP",
    "clusterIPs",
    "status",
    "volumes",
    "volumeMounts",
];

struct Side {
    http: reqwest::Client,
    url: String,
}

impl Side {
    async fn ask(&self, method: &str, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).header("user-agent", "compare/1");
        if !body.is_null() {
            request = request.header("content-type", content_type).body(body.to_string());
        }
        let response = request.send().await.expect("it answers");
        let code = response.status().as_u16();
        let text = response.text().await.expect("the answer is whole");
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// Without what may differ.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(name, value)| {
                !VOLATILE.contains(&name.as_str()) || (*name == "status" && value.is_string())
            })
            .map(|(name, value)| (name.clone(), plain(value)))
            .filter(|(name, _)| !name.starts_with("deployment.kubernetes.io/"))
            .filter(|(name, value)| name != "annotations" || *value != json!({}))
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<Value> =
                items.iter().filter(|item| item["manager"] != "kube-controller-manager").map(plain).collect();
            if items.iter().any(|item| item["manager"].is_string()) {
                items.sort_by_key(|item| format!("{}{}", item["manager"], item["operation"]));
            }
            items.into()
        }
        other => other.clone(),
    }
}

fn differences(real: &Value, mine: &Value, at: &str, all: &mut Vec<String>) {
    match (real, mine) {
        (Value::Object(a), Value::Object(b)) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let of = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                differences(&of(a), &of(b), &format!("{at}/{name}"), all);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}/{index}"), all);
            }
        }
        _ if real != mine => all.push(format!("{at}\n  real {real}\n  mine {mine}")),
        _ => {}
    }
}

fn web(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{
                "name": "app", "image": image, "ports": [{"containerPort": 80}], "env": [{"name": "X", "value": "1"}],
                "readinessProbe": {"httpGet": {"port": 80}}, "resources": {"limits": {"cpu": "1"}},
            }]}},
        },
    })
}

fn ours(image: &str, more: &Value) -> Value {
    let mut container = json!({"name": "app", "image": image});
    for (name, value) in more.as_object().into_iter().flatten() {
        container[name] = value.clone();
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"team": "x"}, "annotations": {"a/b": "c"}},
        "spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}, "template": {"spec": {"containers": [container]}}},
    })
}

/// `(method, path, content type, body)`, in the order in which they are asked.
fn requests() -> Vec<(&'static str, String, &'static str, Value)> {
    const JSON: &str = "application/json";
    const APPLY: &str = "application/apply-patch+yaml";
    const MERGE: &str = "application/merge-patch+json";
    const STRATEGIC: &str = "application/strategic-merge-patch+json";
    const PATCH: &str = "application/json-patch+json";
    let all = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    let one = format!("{all}/web");
    let by = |manager: &str, more: &str| format!("{one}?fieldManager={manager}{more}");
    let core = |rest: &str| format!("/api/v1/namespaces/{NAMESPACE}/{rest}");
    let mut small = ours("img:4", &json!({"env": [{"name": "P", "value": "q"}]}));
    small["metadata"] = json!({"name": "web"});
    small["spec"].as_object_mut().expect("an object").remove("strategy");
    let bare = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
    let mut side = bare.clone();
    side["spec"] = json!({"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}});
    let mut other = web("img:1");
    other["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    let mut stale = web("img:1");
    stale["metadata"]["resourceVersion"] = "1".into();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    let selector = |labels: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": labels}});
    let none = Value::Null;
    vec![
        ("GET", one.clone(), "", none.clone()),
        ("POST", format!("{all}?fieldManager=maker"), JSON, web("img:1")),
        ("POST", format!("{all}?fieldManager=maker"), JSON, web("img:1")),
        ("PATCH", by("plimsoll", ""), APPLY, ours("img:2", &json!({}))),
        ("PATCH", by("plimsoll", "&force=true&dryRun=All"), APPLY, ours("img:2", &json!({}))),
        ("PATCH", by("plimsoll", "&force=true"), APPLY, ours("img:2", &json!({}))),
        ("PATCH", by("plimsoll", ""), APPLY, ours("img:2", &json!({}))),
        (
            "PATCH",
            by("editor", ""),
            MERGE,
            json!({"metadata": {"labels": {"x": "y"}}, "spec": {"paused": true}}),
        ),
        (
            "PATCH",
            by("kubectl-set", ""),
            STRATEGIC,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "img:3"}]}}}}),
        ),
        ("PATCH", by("plimsoll", ""), APPLY, ours("img:2", &json!({}))),
        ("PATCH", by("plimsoll", "&force=true"), APPLY, small),
        ("PATCH", by("mesh", ""), APPLY, side),
        ("PATCH", by("mesh", ""), APPLY, bare.clone()),
        (
            "PATCH",
            by("jp", ""),
            PATCH,
            json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "img:9"}]),
        ),
        ("PATCH", by("jp", ""), PATCH, json!([{"op": "test", "path": "/spec/replicas", "value": 7}])),
        ("PATCH", one.clone(), "application/xml", json!({})),
        ("PATCH", one.clone(), APPLY, bare),
        ("PATCH", format!("{one}/scale?fieldManager=scaler"), MERGE, json!({"spec": {"replicas": 0}})),
        (
            "PATCH",
            one.clone(),
            MERGE,
            json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}}),
        ),
        (
            "POST",
            all.clone(),
            JSON,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}),
        ),
        ("POST", all.clone(), JSON, {
            other["metadata"]["name"] = "other".into();
            other
        }),
        ("PUT", one.clone(), JSON, stale),
        ("PUT", by("putter", ""), JSON, web("img:1")),
        ("POST", one.clone(), JSON, web("img:1")),
        ("GET", "/apis/argoproj.io/v1alpha1/rollouts".into(), "", none.clone()),
        ("GET", "/apis/apps/v1/things".into(), "", none.clone()),
        ("GET", format!("{all}?fieldSelector=spec.foo%3Dx"), "", none.clone()),
        ("GET", format!("{all}?labelSelector=a%20b%20c"), "", none.clone()),
        ("GET", format!("{all}?resourceVersion=abc"), "", none.clone()),
        ("GET", core("pods/none/log"), "", none.clone()),
        ("POST", core("services"), JSON, service),
        ("PATCH", core("services/web?fieldManager=plimsoll"), APPLY, selector(json!({"app": "b"}))),
        ("PATCH", core("services/web?fieldManager=plimsoll&force=true"), APPLY, selector(json!({"c": "d"}))),
        ("PATCH", core("services/web?fieldManager=k"), MERGE, json!({"spec": {"selector": {"e": "f"}}})),
        (
            "POST",
            core("configmaps"),
            JSON,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}),
        ),
        ("DELETE", core("configmaps/c?dryRun=All"), "", none.clone()),
        ("DELETE", core("configmaps/c"), JSON, json!({"preconditions": {"uid": "none"}})),
        ("DELETE", core("configmaps/c"), "", none.clone()),
        ("DELETE", one, JSON, json!({"propagationPolicy": "Background"})),
    ]
}

#[tokio::test]
#[allow(clippy::print_stderr, reason = "a skip is to be seen in the test's output")]
async fn a_real_server_answers_the_same() {
    let Ok(url) = std::env::var("PLIMSOLL_REAL_CLUSTER") else {
        eprintln!("skipped: needs a real cluster in PLIMSOLL_REAL_CLUSTER");
        return;
    };
    let cluster = Cluster::start(Settings { namespaces: vec![NAMESPACE.into()], ..Settings::default() });
    let real = Side { http: reqwest::Client::new(), url };
    let mine = Side { http: reqwest::Client::new(), url: cluster.url() };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let (made, _) = real.ask("POST", "/api/v1/namespaces", "application/json", &namespace).await;
    assert_eq!(made, 201, "the namespace {NAMESPACE} must not be there yet");
    let mut all = Vec::new();
    for (method, path, content_type, body) in requests() {
        let (real_code, real_body) = real.ask(method, &path, content_type, &body).await;
        let (code, mine_body) = mine.ask(method, &path, content_type, &body).await;
        let mut found = Vec::new();
        if real_code != code {
            found.push(format!("status: real {real_code}, mine {code}"));
        }
        differences(&plain(&real_body), &plain(&mine_body), "", &mut found);
        if !found.is_empty() {
            all.push(format!("{method} {path}\n{}", found.join("\n")));
        }
    }
    real.ask("DELETE", &format!("/api/v1/namespaces/{NAMESPACE}"), "", &Value::Null).await;
    assert!(all.is_empty(), "{}", all.join("\n\n"));
}
