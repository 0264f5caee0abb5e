//! Reviews, judged by a script.

#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use base64::Engine as _;
use plimsoll_config::Overlays;
use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Decision, Outcome};

use super::*;

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn digest() -> String {
    format!("sha256:{}", "a".repeat(64))
}

fn pinned() -> String {
    format!("r.example.com/acme/payouts:{SHA}@{}", digest())
}

/// What the script says of every image.
#[derive(Clone)]
enum Says {
    Verdict(Verdict),
    Nothing,
    Panics,
}

struct Script {
    says: Says,
    asked: Mutex<Vec<String>>,
}

impl Judging for Script {
    fn judge(&self, environment: Arc<str>, image: PinnedRef) -> BoxFuture<'static, Verdict> {
        self.asked.lock().unwrap().push(format!("{environment} {image}"));
        match self.says.clone() {
            Says::Verdict(verdict) => std::future::ready(verdict).boxed(),
            Says::Nothing => std::future::pending().boxed(),
            Says::Panics => async { panic!("a defect") }.boxed(),
        }
    }

    fn resolve(&self, _: Arc<str>, _: Commit) -> BoxFuture<'static, Lookup<Digest>> {
        let found = match self.says {
            Says::Verdict(Verdict::Allow { .. }) => Lookup::Found(digest().parse().unwrap()),
            _ => Lookup::Absent,
        };
        std::future::ready(found).boxed()
    }
}

struct Case {
    admission: Admission,
    script: Arc<Script>,
    metrics: Arc<Metrics>,
}

fn case(says: Says, more: &str) -> Case {
    let text = format!(
        r#"
        [service]
        name = "payouts"
        [repository]
        canonical = "r.example.com/acme/payouts"
        [image]
        entrypoint = ["/a"]
        copy = [{{ from = "a", to = "/a" }}]
        [environments.production]
        target = "kubernetes"
        [environments.production.kubernetes]
        namespace = "shop"
        {more}
        "#
    );
    let loaded = Config::parse("plimsoll.toml".into(), text.into_bytes(), &Overlays::new()).unwrap();
    let script = Arc::new(Script { says, asked: Mutex::default() });
    let metrics = Arc::new(Metrics::default());
    let admission = Admission::new(&loaded.config, script.clone(), metrics.clone());
    Case { admission, script, metrics }
}

fn allow() -> Says {
    Says::Verdict(Verdict::Allow { warnings: Vec::new() })
}

fn check(code: &str, outcome: Outcome, severity: Option<Severity>) -> Check {
    let text = |text: &str| text.to_owned();
    Check {
        code: code.into(),
        name: text("signature"),
        outcome,
        expected: text("a signature"),
        found: text("missing"),
        hint: text("sign it"),
        severity,
    }
}

fn unsigned() -> Says {
    Says::Verdict(
        Decision::from_checks(vec![check("SIG-001", Outcome::Fail, Some(Severity::Refused))]).into(),
    )
}

fn pod(images: &[&str]) -> Value {
    let containers =
        images.iter().enumerate().map(|(n, image)| json!({"name": format!("c{n}"), "image": image}));
    json!({"spec": {"containers": containers.collect::<Vec<_>>()}})
}

impl Case {
    async fn ask(&self, request: Value) -> Value {
        self.ask_as(request, false).await
    }

    async fn ask_as(&self, mut request: Value, mutating: bool) -> Value {
        request["uid"] = "u".into();
        if request["kind"].is_null() {
            request["kind"] = json!({"group": "", "version": "v1", "kind": "Pod"});
        }
        if request["namespace"].is_null() {
            request["namespace"] = "shop".into();
        }
        let review = json!({"apiVersion": review::VERSION, "kind": "AdmissionReview", "request": request});
        let answer =
            self.admission.answer(review.to_string().as_bytes(), mutating, Instant::now()).await.unwrap();
        assert_eq!(answer["response"]["uid"], "u");
        answer["response"].clone()
    }

    async fn create(&self, images: &[&str]) -> Value {
        self.ask(json!({"operation": "CREATE", "object": pod(images)})).await
    }

    fn asked(&self) -> usize {
        self.script.asked.lock().unwrap().len()
    }
}

#[tokio::test]
async fn a_good_image_is_let_in_and_asked_once() {
    let case = case(allow(), "");
    for _ in 0..3 {
        assert_eq!(case.create(&[&pinned()]).await["allowed"], true);
    }
    assert_eq!(*case.script.asked.lock().unwrap(), [format!("production {}", pinned())]);
    case.admission.forget();
    case.create(&[&pinned()]).await;
    assert_eq!(case.asked(), 2);
}

#[tokio::test]
async fn a_refusal_names_container_code_and_what_to_do() {
    let case = case(unsigned(), "");
    let answer = case.create(&[&pinned(), "nginx:latest"]).await;
    assert_eq!((&answer["allowed"], &answer["status"]["code"]), (&json!(false), &json!(403)));
    let message = answer["status"]["message"].as_str().unwrap();
    for part in [
        "does not let 2 images into environment `production`:\ncontainer `c0`: r.example.com",
        "SIG-001 signature\n    expected a signature\n    found    missing\n    hint     sign it",
        "container `c1`: nginx:latest\n  ADM-002 image-repository",
        "see      `plimsoll explain ADM-002`",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let text = case.metrics.text(Some(&case.admission));
    assert!(
        text.contains("plimsoll_admission_reviews_total{verdict=\"refused\",namespace=\"shop\"} 1"),
        "{text}"
    );
    assert!(text.contains("plimsoll_admission_refusals_total{code=\"SIG-001\"} 1"), "{text}");
}

#[tokio::test]
async fn a_soft_lack_is_a_warning() {
    let warn = Decision::from_checks(vec![check("SIG-001", Outcome::Warn, None)]);
    let case = case(Says::Verdict(warn.into()), "");
    let answer = case.create(&[&pinned()]).await;
    assert_eq!(answer["allowed"], true);
    assert!(answer["warnings"][0].as_str().unwrap().contains("SIG-001 signature"), "{answer}");
}

#[tokio::test]
async fn audit_lets_in_and_says_what_it_would_have_refused() {
    let case = case(unsigned(), "[admission]\nmode = \"audit\"");
    let answer = case.create(&[&pinned()]).await;
    assert_eq!(answer["allowed"], true);
    assert!(answer["warnings"][0].as_str().unwrap().contains("would refuse (audit)"), "{answer}");
    assert!(case.metrics.text(Some(&case.admission)).contains("verdict=\"audited\""));
}

/// Silence, panic and "unknown" get the configured answer, in time.
#[tokio::test]
async fn no_verdict_is_the_configured_answer_within_the_budget() {
    for says in [Says::Nothing, Says::Panics, Says::Verdict(Verdict::Unknown("429".into()))] {
        for (unknown, allowed) in [("deny", false), ("allow", true)] {
            let more = format!("[admission]\nbudget = \"200ms\"\nunknown = \"{unknown}\"");
            let case = case(says.clone(), &more);
            let started = Instant::now();
            let answer = case.create(&[&pinned()]).await;
            assert_eq!(answer["allowed"], allowed, "{answer}");
            assert!(started.elapsed() < Duration::from_secs(5));
            let said = if allowed { &answer["warnings"][0] } else { &answer["status"]["message"] };
            assert!(said.as_str().unwrap().contains("no verdict"), "{answer}");
            // It is not remembered.
            assert_eq!(case.admission.cache_size().entries, 0);
        }
    }
}

#[tokio::test]
async fn a_plain_no_needs_no_registry() {
    let case = case(Says::Nothing, "[admission]\nbudget = \"200ms\"\nunknown = \"allow\"");
    let answer = case.create(&[&pinned(), "r.example.com/acme/payouts:latest"]).await;
    assert_eq!(answer["allowed"], false, "{answer}");
}

#[tokio::test]
async fn namespaces_and_images_can_be_exempt() {
    let more = r#"
        [admission]
        exempt_namespaces = ["monitoring"]
        other_namespaces = "deny"
        [[admission.exempt_images]]
        repository = "registry.k8s.io/*"
        reason = "part of the cluster"
    "#;
    let case = case(unsigned(), more);
    assert_eq!(case.create(&["registry.k8s.io/pause:3.9"]).await["allowed"], true);
    assert_eq!(case.create(&["registry.k8s.io.evil.example/pause:3.9"]).await["allowed"], false);
    assert_eq!(case.create(&["registry.k8s.io/pause:3.9", &pinned()]).await["allowed"], false);
    let within =
        |namespace: &str| json!({"operation": "CREATE", "namespace": namespace, "object": pod(&["nginx"])});
    for (namespace, allowed) in
        [("monitoring", true), ("plimsoll", true), ("elsewhere", false), ("shop", false)]
    {
        assert_eq!(case.ask(within(namespace)).await["allowed"], allowed, "{namespace}");
    }
    let text = case.metrics.text(Some(&case.admission));
    assert!(!text.contains("elsewhere"), "labels are bounded: {text}");
}

#[tokio::test]
async fn namespaces_of_others_are_none_of_ours_by_default() {
    let case = case(unsigned(), "");
    let request = json!({"operation": "CREATE", "namespace": "elsewhere", "object": pod(&["nginx"])});
    assert_eq!(case.ask(request).await["allowed"], true);
}

/// An object that is there may change its labels, status and finalizers.
#[tokio::test]
async fn what_ran_before_does_not_lock_out_an_update() {
    let case = case(unsigned(), "");
    let update = |before: &[&str], after: &[&str]| json!({"operation": "UPDATE", "oldObject": pod(before), "object": pod(after)});
    assert_eq!(case.ask(update(&["nginx"], &["nginx"])).await["allowed"], true);
    assert_eq!(case.ask(update(&["nginx"], &["nginx:2"])).await["allowed"], false);
    let mut debug = update(&["nginx"], &["nginx"]);
    debug["subResource"] = "ephemeralcontainers".into();
    debug["object"]["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": "busybox"}]);
    let answer = case.ask(debug.clone()).await;
    assert!(
        answer["status"]["message"].as_str().unwrap().contains("ephemeral container `debug`: busybox"),
        "{answer}"
    );
    for (operation, subresource) in
        [("UPDATE", "status"), ("DELETE", ""), ("CONNECT", "exec"), ("CREATE", "eviction")]
    {
        let mut other = debug.clone();
        (other["operation"], other["subResource"]) = (operation.into(), subresource.into());
        assert_eq!(case.ask(other).await["allowed"], true, "{operation} {subresource}");
    }
}

#[tokio::test]
async fn a_full_sha_gets_its_digest_where_that_is_wanted() {
    let by_sha = format!("r.example.com/acme/payouts:{SHA}");
    let request = json!({"operation": "CREATE", "object": pod(&["nginx", &by_sha])});
    let case_on = case(allow(), "[admission]\nresolve_tags = true");
    let answer = case_on.ask_as(request.clone(), true).await;
    let patch = base64::engine::general_purpose::STANDARD.decode(answer["patch"].as_str().unwrap()).unwrap();
    let patch: Value = serde_json::from_slice(&patch).unwrap();
    let path = "/spec/containers/1/image";
    assert_eq!(
        patch,
        json!([{"op": "test", "path": path, "value": by_sha}, {"op": "replace", "path": path, "value": pinned()}])
    );
    // The validating webhook judges; a mutable tag stays what it is.
    assert_eq!(case_on.ask(request.clone()).await["allowed"], false);
    let absent = case(unsigned(), "[admission]\nresolve_tags = true");
    assert_eq!(absent.ask_as(request.clone(), true).await["patch"], Value::Null);
    let off = case(allow(), "");
    assert_eq!(off.ask_as(request, true).await["patch"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_where_it_has_a_uid() {
    let case = case(allow(), "");
    let beta =
        json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "u"}});
    let answer = case.admission.answer(beta.to_string().as_bytes(), false, Instant::now()).await.unwrap();
    assert_eq!(
        (&answer["response"]["allowed"], &answer["response"]["status"]["code"]),
        (&json!(false), &json!(400))
    );
    assert!(case.admission.answer(b"<html>", false, Instant::now()).await.unwrap_err().contains("ADM-005"));
}

/// One cluster: the environments that are named, not all that share the namespace.
#[tokio::test]
async fn only_environments_of_this_cluster_count() {
    let more = r#"
        [environments.trial]
        target = "kubernetes"
        repository = "staging"
        [environments.trial.kubernetes]
        namespace = "shop"
        [admission]
        environments = ["production"]
    "#;
    let staging = format!("r.example.com/acme/payouts-staging:{SHA}@{}", digest());
    assert_eq!(case(allow(), more).create(&[&staging]).await["allowed"], false);
    let both = more.replace("environments = [\"production\"]", "");
    assert_eq!(case(allow(), &both).create(&[&staging]).await["allowed"], true);
}

#[tokio::test]
async fn an_object_of_very_many_containers_is_no_verdict() {
    let case = case(allow(), "");
    let many: Vec<String> = (0..200).map(|n| format!("{}{n}", pinned())).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(case.create(&many).await["status"]["message"].as_str().unwrap().contains("200 containers"));
    assert_eq!(case.asked(), 0);
}
