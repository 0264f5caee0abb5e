//! `plimsoll serve --admission`, as a cluster's API server and a person meet
//! it: over TLS, under the bundle that the server itself wrote, by registered
//! webhooks with their failure policy.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll_testkit::faults::Fault;
use plimsoll_testkit_cluster::{Cluster, Pace, Settings};
use serde_json::{Value, json};

use crate::evidence::signing_world;
use crate::http;
use crate::world::{World, until};

/// The server, ended with the test.
struct Serve {
    child: Child,
    document: Value,
}

impl Serve {
    fn start(world: &World) -> Self {
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admission",
            "--admission-listen",
            "127.0.0.1:0",
            "--output",
            "json",
        ];
        let started = Instant::now();
        let mut child =
            world.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        // One document over several lines; its end is a line of its own.
        while !line.ends_with("\n}\n") {
            assert!(out.read_line(&mut line).unwrap() > 0, "it ended: {line}");
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        Self { child, document: serde_json::from_str(&line).unwrap() }
    }

    fn text(&self, key: &str) -> &str {
        self.document[key].as_str().unwrap()
    }

    fn metrics(&self) -> String {
        http::get(self.text("listen"), "/metrics").text()
    }

    /// The value of a sample.
    fn sample(&self, name: &str) -> Option<f64> {
        let metrics = self.metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    fn register(&self, cluster: &Cluster) {
        self.register_as(cluster, "ValidatingWebhookConfiguration", "validate");
    }

    fn register_as(&self, cluster: &Cluster, kind: &str, path: &str) {
        let url = format!("https://{}/admission/{path}", self.text("admission_listen"));
        cluster.apply_json(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": "plimsoll-admission"},
            "webhooks": [{
                "name": "images.plimsoll.dev", "admissionReviewVersions": ["v1"], "clientConfig": {"url": url},
                "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 10,
                "rules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]},
                    {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]},
                ],
                "namespaceSelector": {"matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop"]},
                ]},
            }],
        }));
    }

    /// SIGTERM, and an end without a complaint.
    fn ends(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CLUSTER: &str = r#"
mode = "mandatory"

[environments.cluster]
target = "kubernetes"

[environments.cluster.kubernetes]
context   = "test"
namespace = "shop"

[serve]
drift_interval = "300ms"

[admission]
budget     = "3s"
refuse_for = "200ms"

[admission.tls]
validity = "6s"

[[admission.exempt_images]]
repository = "registry.k8s.io/*"
reason     = "part of the cluster"
"#;

/// A signed world, its cluster, and the server between them.
fn admitting() -> (World, Cluster, Serve) {
    admitting_within("8s")
}

/// The same, with a budget for each review.
fn admitting_within(budget: &str) -> (World, Cluster, Serve) {
    admitting_as(&CLUSTER.replace("\"3s\"", &format!("\"{budget}\"")))
}

/// The same, by this configuration.
fn admitting_as(configuration: &str) -> (World, Cluster, Serve) {
    let world = signing_world(configuration);
    let cluster = Cluster::start(Settings { pace: Pace::Real { speed: 20 }, ..Settings::default() });
    let folder = world.path().join(".git/.kube");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config"), cluster.kubeconfig()).unwrap();
    cluster.apply_yaml("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n");
    let serve = Serve::start(&world);
    let ready = |serve: &Serve| http::get(serve.text("listen"), "/readyz");
    let answer = ready(&serve).text();
    assert!(answer.contains("certificate: ok\nwebhook: not ready"), "nothing is registered: {answer}");
    serve.register(&cluster);
    if configuration.contains("resolve_tags = true") {
        serve.register_as(&cluster, "MutatingWebhookConfiguration", "mutate");
    }
    until_ready(&serve);
    (world, cluster, serve)
}

fn containers(object: Value, template: bool, name: &str) -> Value {
    let (kind, api, spec) = if template {
        let labels = json!({"app": name});
        let template = json!({"metadata": {"labels": labels}, "spec": object});
        ("Deployment", "apps/v1", json!({"selector": {"matchLabels": labels}, "template": template}))
    } else {
        ("Pod", "v1", object)
    };
    json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn apply(cluster: &Cluster, name: &str, image: &str) -> Result<(), String> {
    let spec = json!({"containers": [{"name": "echo", "image": image}]});
    let applied = cluster.apply_as("kubectl", containers(spec, true, name), true);
    applied.map(drop).map_err(|failure| failure.message)
}

#[track_caller]
fn refused(cluster: &Cluster, image: &str, words: &[&str]) {
    let message = apply(cluster, "refused", image).unwrap_err();
    for word in words {
        assert!(message.contains(word), "{word} is not in: {message}");
    }
}

fn reference(world: &World, sha: &str) -> String {
    world.json(["verify", sha])["image_ref"].as_str().unwrap().to_owned()
}

/// POL-1, POL-2, TAG-4.
#[test]
fn a_cluster_runs_what_the_guard_lets_in() {
    let (mut world, cluster, serve) = admitting();
    let first = world.built("first", "well");
    let good = reference(&world, first.as_str());
    apply(&cluster, "good", &good).unwrap();

    let webhook = "admission webhook \"images.plimsoll.dev\" denied the request: plimsoll does not let";
    let tag = format!("{}:latest", world.repository());
    refused(
        &cluster,
        &tag,
        &[webhook, "container `echo`", "ADM-001", "found    tag `latest`", "plimsoll deploy"],
    );
    refused(&cluster, "nginx:1.25", &["ADM-002", "docker.io/library/nginx", "exempt_images"]);
    let (other_digest, digest) = (format!("sha256:{}", "e".repeat(64)), good.split_once('@').unwrap().1);
    refused(&cluster, &good.replace(digest, &other_digest), &["DIG-002", digest, &other_digest]);
    refused(&cluster, &good.replace(first.as_str(), &"f".repeat(40)), &["GRD-001", "TAG-001"]);
    let elsewhere = good.replace("/acme/echo", "/acme/echo-evil");
    refused(&cluster, &elsewhere, &["ADM-002", "acme/echo-evil"]);
    apply(&cluster, "exempt", "registry.k8s.io/pause:3.9").unwrap();

    // Init containers too, and a pod by itself.
    let spec = json!({"containers": [{"name": "a", "image": good}], "initContainers": [{"name": "i", "image": tag}]});
    let failure = cluster.apply_as("kubectl", containers(spec, false, "pod"), true).unwrap_err();
    assert!(failure.message.contains("init container `i`"), "{}", failure.message);

    // Unsigned: refused; signed a moment later: let in.
    let whole = world.configuration() + CLUSTER.split_once("\n\n").unwrap().1;
    let before = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    world.repo.write("plimsoll.toml", whole);
    let second = world.built("second", "well");
    world.repo.write("plimsoll.toml", before.clone());
    let unsigned = reference(&world, second.as_str());
    let mut number = 0;
    until("signatures are mandatory again", || {
        // Another name each time: one that was let in before keeps its image without a question.
        number += 1;
        apply(&cluster, &format!("unsigned-{number}"), &unsigned)
            .is_err_and(|why| why.contains("SIG-001") && why.contains("plimsoll sign"))
    });
    world.plimsoll(["sign", second.as_str()]).exits(0);
    until("the signature counts", || apply(&cluster, "second", &unsigned).is_ok());

    // Audit is in use within a second, without a restart.
    world.repo.write("plimsoll.toml", before.replace("[admission]\n", "[admission]\nmode = \"audit\"\n"));
    until("audit lets in", || apply(&cluster, "audited", &tag).is_ok());
    assert!(
        serve.metrics().contains("plimsoll_admission_reviews_total{verdict=\"audited\",namespace=\"shop\"}")
    );
    // A configuration that cannot be read changes nothing.
    world.repo.write("plimsoll.toml", "[admission");
    until("it is said", || serve.sample("plimsoll_configuration_current") == Some(0.0));
    apply(&cluster, "still-audited", &tag).unwrap();
    serve.ends();
}

/// What cannot be asked is neither signed nor unsigned.
#[test]
fn a_registry_that_is_away_is_the_configured_answer_in_time() {
    let (mut world, cluster, serve) = admitting_within("3s");
    let first = world.built("first", "well");
    let good = reference(&world, first.as_str());
    world.registry.stop();
    let started = Instant::now();
    refused(&cluster, &good, &["no verdict", "container `echo`", "ADM-004"]);
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
    let toml = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    world.repo.write("plimsoll.toml", toml.replace("[admission]\n", "[admission]\nunknown = \"allow\"\n"));
    until("it is let in", || apply(&cluster, "unknown", &good).is_ok());
    world.repo.write("plimsoll.toml", toml);
    world.registry.restart();
    until("it is known again", || {
        apply(&cluster, "known", &good).is_ok()
            && serve.sample("plimsoll_admission_cache_entries").is_some_and(|kept| kept > 0.0)
    });
    // From memory, the registry is not needed.
    world.registry.stop();
    apply(&cluster, "remembered", &good).unwrap();
    serve.ends();
}

/// What served before does not hang on a registry, be it gone or only silent:
/// the ledger knows it. What is new does.
#[test]
fn what_served_before_is_let_in_by_the_ledger_where_the_registry_says_nothing() {
    let (mut world, cluster, serve) = admitting_within("3s");
    let (first, second) = (world.built("first", "well"), world.built("second", "well"));
    let (known, new) = (reference(&world, first.as_str()), reference(&world, second.as_str()));
    cluster.apply_yaml(&crate::kubernetes::service(known.clone(), 8080));
    world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(0);
    world.registry.faults().on("*", "").then(Fault::Stall);
    apply(&cluster, "silent", &known).unwrap();
    refused(&cluster, &new, &["ADM-004"]);
    world.registry.faults().clear();
    world.registry.faults().release();
    world.registry.stop();
    serve.ends();
    // Of a server that has seen nothing before.
    let again = Serve::start(&world);
    again.register(&cluster);
    until_ready(&again);
    apply(&cluster, "gone", &known).unwrap();
    refused(&cluster, &new, &["ADM-004"]);
}

/// Certificates change under the API server's hands, and nobody notices.
#[test]
fn a_certificate_is_replaced_while_reviews_go_on() {
    let (mut world, cluster, serve) = admitting();
    let first = world.built("first", "well");
    let good = reference(&world, first.as_str());
    let expiry = "plimsoll_admission_certificate_expiry_timestamp_seconds";
    let before = serve.sample(expiry).unwrap();
    let mut number = 0;
    until("the certificate is another", || {
        number += 1;
        apply(&cluster, &format!("good-{number}"), &good).unwrap();
        serve.sample(expiry).unwrap() > before + 1.0
    });
    apply(&cluster, "after", &good).unwrap();
    // Nothing was rolled out, and the cluster has nothing: that is looked at, too.
    until("drift is looked at", || {
        let metrics = serve.metrics();
        metrics.contains("plimsoll_drift{environment=\"cluster\"}")
            || metrics.contains("plimsoll_drift_unknown{environment=\"cluster\"} 1")
    });
    drop(serve);
    // The server is away: the failure policy decides.
    refused(&cluster, &good, &["failed calling webhook \"images.plimsoll.dev\"", "dial tcp"]);
}

/// The certificates of the bundle, as the cluster has it.
fn bundle(cluster: &Cluster) -> Vec<String> {
    let object = cluster.get("validatingwebhookconfigurations", "", "plimsoll-admission");
    let bundle = object["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
    let mut decode = std::process::Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut decode.stdin.take().unwrap(), bundle.as_bytes()).unwrap();
    let text = String::from_utf8(decode.wait_with_output().unwrap().stdout).unwrap();
    text.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect()
}

/// An authority ends, and nobody notices: the next one is trusted before it is
/// used, and the former one until nothing of it is.
#[test]
fn an_authority_is_replaced_while_reviews_go_on() {
    let short = CLUSTER
        .replace("budget     = \"3s\"", "budget     = \"8s\"")
        .replace("validity = \"6s\"", "validity = \"3s\"\nauthority_validity = \"15s\"");
    let (mut world, cluster, serve) = admitting_as(&short);
    let first = world.built("first", "well");
    let good = reference(&world, first.as_str());
    let mut seen: Vec<Vec<String>> = Vec::new();
    let mut number = 0;
    until("one authority has followed another", || {
        number += 1;
        apply(&cluster, &format!("good-{number}"), &good).unwrap();
        let now = bundle(&cluster);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        // The old one; both; the new one.
        matches!(&seen[..], [.., one, two, three] if [one.len(), two.len(), three.len()] == [1, 2, 1])
    });
    let last = &seen[seen.len() - 3..];
    assert_eq!((&last[1][0], &last[1][1]), (&last[0][0], &last[2][0]));
    let until = serve.sample("plimsoll_admission_authority_expiry_timestamp_seconds").unwrap();
    let certificate = serve.sample("plimsoll_admission_certificate_expiry_timestamp_seconds").unwrap();
    assert!(until >= certificate, "{until} {certificate}");
    // A restart goes on with the same one.
    let before = bundle(&cluster);
    drop(serve);
    let again = Serve::start(&world);
    again.register(&cluster);
    until_ready(&again);
    assert!(bundle(&cluster).contains(before.last().unwrap()));
    apply(&cluster, "after", &good).unwrap();
}

fn until_ready(serve: &Serve) {
    until("the bundle is written", || http::get(serve.text("listen"), "/readyz").status == 200);
}

/// What no API server sends: told apart, counted, and never waited for.
#[test]
fn a_review_that_is_none_is_answered_in_time() {
    let (_world, cluster, serve) = admitting_within("2s");
    let send = |body: &[u8], length: usize| {
        let started = Instant::now();
        let answer =
            cluster.send_to_webhook("validatingwebhookconfigurations", "plimsoll-admission", body, length);
        let (status, body) = answer.unwrap();
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        (status, String::from_utf8(body).unwrap())
    };
    let (status, said) = send(b"{", 9 << 20);
    assert_eq!(status, 413, "{said}");
    assert!(said.contains("more than 8388608 bytes"), "{said}");
    // It says that it fits, and goes on for ever.
    let (status, said) = send(b"{\"kind\":", 100);
    assert_eq!(status, 408, "{said}");
    let (status, said) = send(b"<html>", 6);
    assert_eq!(status, 400, "{said}");
    assert!(said.contains("ADM-005") && said.contains("no JSON"), "{said}");
    let old = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "u-1"}});
    let old = old.to_string();
    let (status, said) = send(old.as_bytes(), old.len());
    let review: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &review["response"]["uid"]), (200, &"u-1".into()));
    assert_eq!(
        (&review["response"]["allowed"], &review["response"]["status"]["code"]),
        (&false.into(), &400.into())
    );
    assert!(said.contains("expected admission.k8s.io/v1 AdmissionReview"), "{said}");
    let invalid = "plimsoll_admission_reviews_total{verdict=\"invalid\",namespace=\"other\"}";
    assert_eq!(serve.sample(invalid), Some(2.0));
    serve.ends();
}

/// A full SHA gets its digest before it is judged, in a pod and in what makes pods.
#[test]
fn a_commit_gets_its_digest_on_the_way_in() {
    let resolving = CLUSTER.replace("budget     = \"3s\"", "budget     = \"8s\"\nresolve_tags = true");
    let (mut world, cluster, serve) = admitting_as(&resolving);
    let first = world.built("first", "well");
    let good = reference(&world, first.as_str());
    let by_sha = format!("{}:{first}", world.repository());
    apply(&cluster, "resolved", &by_sha).unwrap();
    let spec = json!({"containers": [{"name": "echo", "image": by_sha}]});
    cluster.apply_as("kubectl", containers(spec, false, "pod"), true).unwrap();
    let deployment = cluster.get("deployments", "shop", "resolved");
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], good);
    assert_eq!(cluster.get("pods", "shop", "pod")["spec"]["containers"][0]["image"], good);
    // Other tags move: they are not resolved, and refused as they are.
    refused(&cluster, &format!("{}:latest", world.repository()), &["ADM-001", "tag `latest`"]);
    let unknown = format!("{}:{}", world.repository(), "f".repeat(40));
    assert!(apply(&cluster, "unknown", &unknown).is_err());
    serve.ends();
}

#[test]
fn what_cannot_be_served_is_said_before_anything_starts() {
    let world = World::new();
    let admission = ["serve", "--listen", "127.0.0.1:0", "--admission"];
    world.plimsoll(admission).exits(2).says(&["ADM-008", "target = \"kubernetes\""]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    world.plimsoll(["serve", "--listen", &address]).exits(2).says(&["SRV-001", &address, "--listen"]);
}
