//! Target `kubernetes`, through the binary, against the scripted API server:
//! the same commands, ledger and exit codes as on the other targets.

use nix::sys::signal::Signal;
use plimsoll_model::Commit;
use plimsoll_rollout_kubernetes::{Settings, manifests};
use plimsoll_testkit_cluster::{Behaviour, Cluster, Pace, Settings as ClusterSettings};

use crate::world::{World, until};

/// A cluster in which time runs faster, and a service that somebody else put
/// there.
fn cluster(world: &World) -> Cluster {
    let settings = ClusterSettings { pace: Pace::Real { speed: 20 }, ..ClusterSettings::default() };
    let cluster = Cluster::start(settings);
    cluster.apply_yaml(&manifests(&Settings {
        name: "echo".into(),
        namespace: "shop".into(),
        environment: "cluster".into(),
        image: format!("{}:v1", world.repository()),
        port: 8080,
        health: "/healthz".into(),
        replicas: 2,
        drain_sec: 5,
        blue_green: false,
        jobs: false,
    }));
    let folder = world.path().join(".git/.kube");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config"), cluster.kubeconfig()).unwrap();
    let section = "\n[environments.cluster]\ntarget = \"kubernetes\"\nrollout_timeout = \"30s\"\nprobe_grace = \"2s\"\n\
                   \n[environments.cluster.kubernetes]\ncontext = \"test\"\nnamespace = \"shop\"\n";
    world.repo.write("plimsoll.toml", world.configuration() + section);
    cluster
}

fn image(cluster: &Cluster) -> String {
    let deployment = cluster.get("deployments", "shop", "echo");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}

fn runs(cluster: &Cluster, commit: &Commit) -> bool {
    image(cluster).contains(commit.as_str())
}

#[test]
fn a_release_gets_into_a_cluster_and_back() {
    let mut world = World::new();
    let cluster = cluster(&world);
    let first = world.built("first", "well");
    let report = world.json(["deploy", first.as_str(), "--env", "cluster"]);
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert_eq!(image(&cluster), report["image_ref"].as_str().unwrap());
    assert_eq!(world.drift("cluster")["state"], "none", "{:#}", world.drift("cluster"));

    // One that cannot be pulled: the first stays, and it is said why.
    let second = world.built("second", "well");
    let denied = Behaviour::cannot_be_pulled("pull access denied");
    cluster.image(&format!("{}:{}", world.repository(), second.as_str()), denied);
    let failed = world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(1);
    failed.says(&["DEP-101", "pull access denied", "kubectl --context test -n shop describe pod"]);
    assert!(runs(&cluster, &first), "{}", image(&cluster));

    // Killed on the way, and finished by the next command.
    let third = world.built("third", "well");
    let command = world.command(["deploy", third.as_str(), "--env", "cluster"]);
    let running = world.start(command);
    until("the image is set", || runs(&cluster, &third));
    running.signal(Signal::SIGKILL);
    drop(running.wait());
    world.plimsoll(["deploy", third.as_str(), "--env", "cluster"]).exits(0);
    assert!(runs(&cluster, &third));

    let back = world.json(["rollback", "--to", first.as_str(), "--env", "cluster"]);
    assert_eq!(back["outcome"], "succeeded", "{back:#}");
    assert!(runs(&cluster, &first));

    // Somebody changes it by hand: shown with who.
    let by_hand = format!("{}:v1", world.repository());
    cluster.edit_as("kubectl-set", "deployments", "shop", "echo", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = by_hand.as_str().into();
    });
    let drift = world.drift("cluster");
    assert_eq!(drift["state"], "drifted", "{drift:#}");
    assert!(drift["differences"][0].as_str().unwrap().contains("changed by kubectl-set"), "{drift:#}");
}

#[test]
fn what_is_missing_in_the_cluster_is_said_before_anything_moves() {
    let mut world = World::new();
    let cluster = cluster(&world);
    let first = world.built("first", "well");
    cluster.delete("services", "shop", "echo").unwrap();
    let refused = world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(2);
    refused.says(&["KUB-009", "there is no Service echo in namespace shop"]);
    assert!(!runs(&cluster, &first));
}
