//! Rollouts on a cluster of what somebody else scales, and of a StatefulSet.

use serde_json::json;

use crate::kubernetes::{cluster, runs};
use crate::world::{World, until};

/// Whoever scales goes on scaling during a rollout.
#[test]
fn an_autoscaler_is_not_fought_over() {
    let mut world = World::new();
    let cluster = cluster(&world);
    let first = world.built("first", "well");
    let running = world.start(world.command(["deploy", first.as_str(), "--env", "cluster"]));
    until("the image is set", || runs(&cluster, &first));
    cluster.edit_as("kube-controller-manager", "deployments", "shop", "echo", |object| {
        object["spec"]["replicas"] = json!(4);
    });
    running.wait().exits(0);
    let deployment = cluster.get("deployments", "shop", "echo");
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["status"]["updatedReplicas"]),
        (&json!(4), &json!(4))
    );
    let second = world.built("second", "well");
    world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(0);
    assert_eq!(cluster.get("deployments", "shop", "echo")["spec"]["replicas"], 4);
    assert_eq!(world.drift("cluster")["ready"], 4, "{:#}", world.drift("cluster"));
}

#[test]
fn a_stateful_set_is_rolled_and_goes_back() {
    let mut world = World::new();
    let cluster = cluster(&world);
    cluster.delete("deployments", "shop", "echo").unwrap();
    let labels = "{app.kubernetes.io/name: echo}";
    cluster.apply_yaml(&format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: echo, namespace: shop}}\nspec:\n  replicas: 2\n  \
         serviceName: echo\n  minReadySeconds: 1\n  selector: {{matchLabels: {labels}}}\n  template:\n    metadata: {{labels: \
         {labels}}}\n    spec:\n      containers:\n      - name: echo\n        image: {:?}\n        ports: [{{containerPort: \
         8080}}]\n        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}\n        lifecycle: \
         {{preStop: {{sleep: {{seconds: 5}}}}}}\n",
        format!("{}:v1", world.repository())
    ));
    let first = world.built("first", "well");
    let second = world.built("second", "well");
    for command in [
        vec!["deploy", first.as_str()],
        vec!["deploy", second.as_str()],
        vec!["rollback", "--to", first.as_str()],
    ] {
        world.plimsoll(command.into_iter().chain(["--env", "cluster"])).exits(0);
    }
    let set = cluster.get("statefulsets", "shop", "echo");
    let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    assert!(image.contains(first.as_str()), "{image}");
    assert_eq!(world.drift("cluster")["state"], "none", "{:#}", world.drift("cluster"));
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    let blue = text.replace("target = \"kubernetes\"", "target = \"kubernetes\"\nstrategy = \"blue-green\"");
    world.repo.write("plimsoll.toml", blue);
    let refused = world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(2);
    refused.says(&["KUB-011", "it is a StatefulSet", "strategy = \"rolling\""]);
}
