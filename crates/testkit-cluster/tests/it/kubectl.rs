//! The real `kubectl` against the cluster, where it is installed.

use std::process::Command;

use plimsoll_testkit::peer;
use plimsoll_testkit_cluster::{Behaviour, Cluster, Pace, Settings};

use crate::support::{deployment, image, service};

struct Kubectl {
    cluster: Cluster,
    peers: peer::Peers,
    folder: tempfile::TempDir,
}

impl Kubectl {
    fn new() -> Option<Self> {
        let peers = peer::require(&["kubectl"])?;
        let cluster =
            Cluster::start(Settings { pace: Pace::WhenIdle { quiet_ms: 5 }, ..Settings::default() });
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("config"), cluster.kubeconfig()).expect("it is writable");
        Some(Self { cluster, peers, folder })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.peers.command("kubectl");
        command.current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.arg("--kubeconfig=config").args(arguments);
        command
    }

    /// Its standard output; it has to succeed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("kubectl can be run");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn write(&self, file: &str, object: &serde_json::Value) {
        std::fs::write(self.folder.path().join(file), object.to_string()).expect("it is writable");
    }
}

#[test]
fn kubectl_rolls_out_and_back() {
    let Some(kubectl) = Kubectl::new() else { return };
    kubectl.cluster.image(&image('a'), Behaviour::starts_after(1_000).with_log(&["hello from a"]));
    kubectl.write("web.json", &deployment(&image('a')));
    kubectl.write("service.json", &service());
    assert_eq!(kubectl.run(&["apply", "-f", "web.json", "-f", "service.json"]).lines().count(), 2);
    let done = "deployment \"web\" successfully rolled out";
    assert!(kubectl.run(&["rollout", "status", "deploy/web", "--timeout=60s"]).contains(done));
    assert_eq!(kubectl.run(&["get", "pods", "-l", "app=web", "-o", "name"]).lines().count(), 3);
    assert_eq!(kubectl.run(&["logs", "deploy/web", "--tail=1"]), "hello from a\n");
    let setting = format!("app={}", image('b'));
    assert!(kubectl.run(&["set", "image", "deploy/web", &setting]).contains("image updated"));
    assert!(kubectl.run(&["rollout", "status", "deploy/web", "--timeout=60s"]).contains(done));
    kubectl.run(&["rollout", "undo", "deploy/web"]);
    kubectl.run(&["wait", "--for=condition=Available", "deploy/web", "--timeout=60s"]);
    assert!(kubectl.run(&["rollout", "status", "deploy/web", "--timeout=60s"]).contains(done));
    let shown =
        kubectl.run(&["get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    assert_eq!(shown, image('a'));
    assert_eq!(kubectl.cluster.list("replicasets", "shop").len(), 2);
    kubectl.run(&["scale", "deploy/web", "--replicas=1"]);
    kubectl.run(&["patch", "deploy", "web", "--type=merge", "-p", r#"{"spec":{"paused":true}}"#]);
    assert!(kubectl.run(&["describe", "deploy", "web"]).contains("DeploymentPaused"));
    kubectl.run(&["delete", "deploy", "web", "--timeout=60s"]);
    assert!(kubectl.cluster.get("deploy", "shop", "web").is_null());
}

#[test]
fn kubectl_applies_on_the_server_and_shows_conflicts() {
    let Some(kubectl) = Kubectl::new() else { return };
    kubectl.write("web.json", &deployment(&image('a')));
    kubectl.run(&["apply", "--server-side", "--field-manager=user", "-f", "web.json"]);
    kubectl.write("web.json", &deployment(&image('b')));
    let refused =
        kubectl.command(&["apply", "--server-side", "--field-manager=me", "-f", "web.json"]).output();
    let refused = refused.expect("kubectl can be run");
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        error.contains("conflict with \"user\": .spec.template.spec.containers[name=\"app\"].image"),
        "{error}"
    );
    let forced =
        kubectl.run(&["apply", "--server-side", "--force-conflicts", "--field-manager=me", "-f", "web.json"]);
    assert!(forced.contains("serverside-applied"), "{forced}");
    let unknown = kubectl.command(&["get", "rollouts"]).output().expect("kubectl can be run");
    assert!(
        String::from_utf8_lossy(&unknown.stderr)
            .contains("the server doesn't have a resource type \"rollouts\"")
    );
}
