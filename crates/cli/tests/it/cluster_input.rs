//! What can be wrong with a cluster, a kubeconfig or what is in the way: said before
//! anything moves, with its exit code and what to do.

use plimsoll_model::Commit;
use plimsoll_testkit_cluster::{Cluster, Fault, Forbid, Settings};
use serde_json::json;

use crate::kubernetes::{cluster, image, kubeconfig};
use crate::world::World;

struct Scene {
    world: World,
    cluster: Cluster,
    first: Commit,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new();
        let cluster = cluster(&world);
        let first = world.built("first", "well");
        Self { world, cluster, first }
    }

    /// A deployment ends with this code, says these words, and has written nothing.
    #[track_caller]
    fn refused(&self, what: &str, code: i32, words: &[&str]) {
        let (image, writes) = (image(&self.cluster), self.writes());
        let run = self.world.plimsoll(["deploy", self.first.as_str(), "--env", "cluster"]);
        assert_eq!(run.code(), code, "{what}: {}{}", run.stdout, run.stderr);
        run.says(words);
        assert_eq!((image, writes), (crate::kubernetes::image(&self.cluster), self.writes()), "{what}");
    }

    fn writes(&self) -> usize {
        ["PATCH", "PUT", "DELETE"].into_iter().map(|method| self.cluster.count(method, "")).sum()
    }

    /// Replaces a part of the configuration for one look.
    fn configured(&self, from: &str, to: &str, look: impl FnOnce(&Self)) {
        let path = self.world.path().join("plimsoll.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        look(self);
        std::fs::write(&path, text).unwrap();
    }
}

#[test]
fn what_is_named_and_is_not_there() {
    let scene = Scene::new();
    scene.configured("namespace = \"shop\"", "namespace = \"shop\"\ndeployment = \"ehco\"", |scene| {
        let words = [
            "KUB-007",
            "no Deployment and no StatefulSet ehco in namespace shop",
            "the Service's pods are made by \
                     Deployment echo",
        ];
        scene.refused("deployment", 2, &words);
    });
    scene.configured("namespace = \"shop\"", "namespace = \"shop\"\ncontainer = \"web\"", |scene| {
        scene.refused("container", 2, &["KUB-008", "has no container web", "one of echo", "set `container`"]);
    });
    scene.configured("namespace = \"shop\"", "namespace = \"shop\"\nservice = \"ehco\"", |scene| {
        scene.refused("service", 2, &["KUB-009", "no Service ehco in namespace shop", "get services"]);
    });
    scene.configured("context = \"test\"", "context = \"prod\"", |scene| {
        scene.refused(
            "context",
            2,
            &["KUB-002", "no context prod", "one of test", "kubectl config get-contexts"],
        );
    });
    scene.cluster.edit_as("kubectl-edit", "services", "shop", "echo", |object| {
        object["spec"]["selector"] = json!({ "app": "ehco" });
    });
    scene.refused(
        "selector",
        2,
        &["KUB-010", "app=ehco", "app.kubernetes.io/name=echo", "nothing was touched"],
    );
}

#[test]
fn what_is_not_allowed_is_named_with_its_rule() {
    let scene = Scene::new();
    let (verb, resource) = ("patch".to_owned(), "deployments".to_owned());
    scene.cluster.forbid(Forbid { verb, resource, ..Forbid::default() });
    let rule = "{apiGroups: [\"apps\"], resources: [\"deployments\"], verbs: [\"patch\"]}";
    scene.refused("rule", 5, &["KUB-006", "not allowed: patch deployments in namespace shop", rule]);
}

#[test]
fn a_kubeconfig_that_cannot_be_used() {
    let scene = Scene::new();
    kubeconfig(&scene.world, "{ this is: [no kubeconfig");
    scene.refused("garbage", 2, &["KUB-001", "not valid YAML", "kubectl config view"]);
    std::fs::remove_file(scene.world.path().join(".git/.kube/config")).unwrap();
    scene.refused("missing", 2, &["KUB-001", "set KUBECONFIG"]);
    let plugin = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, \
                  'echo your session has ended >&2; exit 3']}}";
    kubeconfig(&scene.world, &scene.cluster.kubeconfig_with(plugin));
    scene.refused(
        "plugin",
        5,
        &["KUB-003", "your session has ended", "log in again with your provider's tool"],
    );
}

#[test]
fn a_server_that_is_not_the_cluster() {
    let scene = Scene::new();
    scene.cluster.fault("GET", "/").times(usize::MAX).then(Fault::Html);
    scene.refused("a page", 5, &["KUB-014", "<html", "A proxy may answer instead"]);
    // A certificate that another authority signed.
    let tls = || Cluster::start(Settings { tls: true, ..Settings::default() });
    let (one, other) = (tls(), tls());
    let data = |cluster: &Cluster| {
        let text = cluster.kubeconfig();
        let (_, rest) = text.split_once("certificate-authority-data: ").unwrap();
        rest.split('}').next().unwrap().to_owned()
    };
    kubeconfig(&scene.world, &one.kubeconfig().replace(&data(&one), &data(&other)));
    scene.refused("certificate", 5, &["KUB-004", "certificate", "nothing was touched"]);
}
