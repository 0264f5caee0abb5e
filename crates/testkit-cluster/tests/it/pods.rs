//! What pods go through.

use plimsoll_testkit_cluster::{Behaviour, Cluster, Node, Settings};
use serde_json::{Value, json};

use crate::support::{deployment, image, is_complete, reason, running, waits_for};

fn one(cluster: &Cluster) -> Value {
    cluster.pods("shop", "app", "web").first().expect("there is one").clone()
}

fn single(image: &str) -> Value {
    let mut web = deployment(image);
    web["spec"]["replicas"] = 1.into();
    web
}

fn started(behaviour: Behaviour) -> Cluster {
    let cluster = Cluster::start(Settings::default());
    cluster.image(&image('a'), behaviour);
    cluster.apply_json(single(&image('a')));
    cluster
}

#[test]
fn a_pod_becomes_ready_step_by_step() {
    let cluster = started(Behaviour::starts_after(3_000).pulled_in(2_000).with_log(&["listening"]));
    let pod = one(&cluster);
    assert_eq!(pod["status"]["phase"], "Pending");
    assert_eq!(waits_for(&pod), "ContainerCreating");
    cluster.advance(2_000);
    let pod = one(&cluster);
    assert_eq!(pod["status"]["phase"], "Running");
    assert_eq!(reason(&pod, "Ready"), "ContainersNotReady");
    assert_eq!(pod["status"]["containerStatuses"][0]["imageID"], image('a'));
    cluster.advance(3_000);
    assert_eq!(reason(&one(&cluster), "Ready"), "");
    assert_eq!(
        cluster
            .events("pod", "web-")
            .iter()
            .map(|event| event.split(':').next().unwrap_or_default())
            .collect::<Vec<_>>(),
        ["Scheduled", "Pulling", "Pulled", "Created", "Started", "Unhealthy"]
    );
}

#[test]
fn a_crash_loop_waits_longer_and_longer() {
    let cluster = started(Behaviour::exits_after(1_000, 1).with_log(&["panic: no database"]));
    let restarts =
        |cluster: &Cluster| one(cluster)["status"]["containerStatuses"][0]["restartCount"].as_i64();
    let mut at = Vec::new();
    for wanted in 1..=5 {
        at.push(cluster.settle_until(400_000, |cluster| restarts(cluster) == Some(wanted)) / 1000);
    }
    assert_eq!(at, [2, 12, 22, 42, 82], "at once, then after 10, 20, 40, 80 seconds");
    cluster.settle_until(60_000, |cluster| waits_for(&one(cluster)) == "CrashLoopBackOff");
    let pod = one(&cluster);
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    let words = status["state"]["waiting"]["message"].as_str().expect("it has words");
    assert!(words.starts_with("back-off 2m40s restarting failed container=app pod=web-"), "{words}");
    assert_eq!(pod["status"]["phase"], "Running");
    let events = cluster.events("pod", "web-");
    assert!(
        events
            .iter()
            .any(|event| event.starts_with("BackOff: Back-off restarting failed container app in pod web-"))
    );
}

#[test]
fn a_crash_that_ends_leaves_a_ready_pod() {
    let cluster = started(Behaviour::exits_after(1_000, 1).only_first(2));
    cluster
        .settle_until(60_000, |cluster| one(cluster)["status"]["containerStatuses"][0]["restartCount"] == 2);
    cluster.settle_until(60_000, is_complete);
    cluster.advance(600_000);
    assert_eq!(one(&cluster)["status"]["containerStatuses"][0]["restartCount"], 2);
}

#[test]
fn out_of_memory_is_a_reason_of_its_own() {
    let cluster = started(Behaviour::out_of_memory_after(2_000));
    cluster.advance(2_500);
    let ended = one(&cluster)["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    assert_eq!((&ended["reason"], &ended["exitCode"]), (&json!("OOMKilled"), &json!(137)));
}

#[test]
fn an_image_that_cannot_be_pulled_is_tried_again() {
    let words = "failed to resolve reference: not found";
    let cluster = started(Behaviour::cannot_be_pulled(words));
    cluster.advance(500);
    assert_eq!(waits_for(&one(&cluster)), "ErrImagePull");
    assert_eq!(one(&cluster)["status"]["containerStatuses"][0]["state"]["waiting"]["message"], words);
    cluster.advance(1_000);
    assert_eq!(waits_for(&one(&cluster)), "ImagePullBackOff");
    let events = cluster.events("pod", "web-");
    let told = format!("Failed: Failed to pull image {:?}: {words}", image('a'));
    assert!(events.contains(&told), "{events:?}");
    assert!(events.contains(&"Failed: Error: ErrImagePull".to_owned()));
    cluster.image(&image('a'), Behaviour::default());
    cluster.settle_until(120_000, is_complete);
}

#[test]
fn what_a_container_needs_has_to_be_there() {
    let cluster = Cluster::start(Settings::default());
    let mut web = single(&image('a'));
    web["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "URL", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}]);
    cluster.apply_json(web);
    cluster.advance(1_000);
    let waiting = one(&cluster)["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    assert_eq!(
        waiting,
        json!({"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"})
    );
    let secret = |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}, "data": data});
    cluster.apply_json(secret(json!({"other": "eA=="})));
    cluster.advance(10_000);
    let waiting = one(&cluster)["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    assert_eq!(waiting["message"], "couldn't find key url in Secret shop/db");
    cluster.apply_json(secret(json!({"url": "eA=="})));
    cluster.settle_until(60_000, is_complete);
}

#[test]
fn a_liveness_probe_restarts() {
    let cluster = Cluster::start(Settings::default());
    cluster.image(
        &image('a'),
        Behaviour::starts_after(0).dies_from(20_000, "HTTP probe failed with statuscode: 500"),
    );
    let mut web = single(&image('a'));
    web["spec"]["template"]["spec"]["containers"][0]["livenessProbe"] =
        json!({"httpGet": {"port": 8080}, "periodSeconds": 5, "failureThreshold": 2});
    cluster.apply_json(web);
    cluster
        .settle_until(60_000, |cluster| one(cluster)["status"]["containerStatuses"][0]["restartCount"] == 1);
    let events = cluster.events("pod", "web-");
    assert!(
        events.contains(&"Killing: Container app failed liveness probe, will be restarted".to_owned()),
        "{events:?}"
    );
}

#[test]
fn a_pod_that_fits_nowhere_says_so() {
    let settings = Settings {
        nodes: vec![
            Node::new("small").with_capacity("1", "1Gi"),
            Node::new("gpu").with_taint("gpu", "yes", "NoSchedule"),
        ],
        ..Settings::default()
    };
    let cluster = Cluster::start(settings);
    let mut web = single(&image('a'));
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "4"}});
    cluster.apply_json(web);
    // The words of kube-scheduler 1.36 for the same two nodes.
    let words = "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). no new claims to \
                 deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert_eq!(cluster.events("pod", "web-"), [format!("FailedScheduling: {words}")]);
    assert_eq!(reason(&one(&cluster), "PodScheduled"), "Unschedulable");
    cluster.add_node(&Node::new("big").with_capacity("8", "8Gi"));
    cluster.settle_until(60_000, is_complete);
    assert_eq!(one(&cluster)["spec"]["nodeName"], "big");
}

#[test]
fn a_lost_node_loses_its_pods_after_their_patience() {
    let cluster = running();
    let node = one(&cluster)["spec"]["nodeName"].as_str().expect("it runs").to_owned();
    cluster.lose_node(&node);
    cluster.settle_until(60_000, |cluster| {
        reason(&cluster.get("node", "", &node), "Ready") == "NodeStatusUnknown"
    });
    let lost = |cluster: &Cluster| {
        let mut pods = cluster.pods("shop", "app", "web");
        pods.retain(|pod| pod["spec"]["nodeName"] == node);
        pods
    };
    assert!(
        lost(&cluster)
            .iter()
            .all(|pod| pod["status"].to_string().contains(r#""status":"False","type":"Ready""#))
    );
    let took = cluster.settle_until(400_000, |cluster| {
        lost(cluster).iter().all(|pod| pod["metadata"]["deletionTimestamp"].is_string())
    });
    assert!((290_000..310_000).contains(&took), "{took}");
    cluster.settle_until(60_000, is_complete);
    assert_eq!(cluster.pods("shop", "app", "web").len(), 4, "the lost one stays until its node is back");
    assert!(
        cluster
            .events("pod", "web-")
            .iter()
            .any(|event| event.starts_with("TaintManagerEviction: Marking for deletion Pod shop/"))
    );
    cluster.return_node(&node);
    cluster.advance(31_000);
    assert_eq!(cluster.pods("shop", "app", "web").len(), 3);
    assert_eq!(reason(&cluster.get("node", "", &node), "Ready"), "KubeletReady");
}

#[test]
fn a_pod_that_is_deleted_has_its_grace() {
    let cluster = Cluster::start(Settings::default());
    cluster.image(&image('a'), Behaviour::starts_after(0).stops_in(60_000));
    let mut web = single(&image('a'));
    web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 10.into();
    cluster.apply_json(web);
    cluster.settle_until(60_000, is_complete);
    let name = one(&cluster)["metadata"]["name"].as_str().expect("it has one").to_owned();
    let answer = cluster.delete("pod", "shop", &name).expect("it is there");
    assert_eq!(answer["metadata"]["deletionGracePeriodSeconds"], 10);
    assert_eq!(cluster.pods("shop", "app", "web").len(), 2, "another one at once");
    cluster.advance(9_900);
    assert!(cluster.get("pod", "shop", &name)["metadata"]["deletionTimestamp"].is_string());
    cluster.advance(100);
    assert!(cluster.get("pod", "shop", &name).is_null());
    assert!(cluster.events("pod", &name).contains(&"Killing: Stopping container app".to_owned()));
}

#[test]
fn what_prepares_a_pod_comes_first() {
    let cluster = Cluster::start(Settings::default());
    cluster.image("registry.test/init", Behaviour::exits_after(1_000, 2).only_first(1));
    let mut web = single(&image('a'));
    web["spec"]["template"]["spec"]["initContainers"] =
        json!([{"name": "init", "image": "registry.test/init:1"}]);
    cluster.apply_json(web);
    cluster.advance(1_600);
    assert_eq!(one(&cluster)["status"]["phase"], "Pending");
    assert_eq!(reason(&one(&cluster), "Initialized"), "ContainersNotInitialized");
    cluster.settle_until(60_000, is_complete);
    assert_eq!(one(&cluster)["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 0);
}

#[test]
fn owners_take_what_they_own_with_them() {
    let cluster = running();
    cluster.delete("deployment", "shop", "web").expect("it is there");
    cluster.advance(31_000);
    assert_eq!(cluster.list("replicasets", "shop").len(), 0);
    assert_eq!(cluster.list("pods", "shop").len(), 0);
    cluster.apply_json(deployment(&image('a')));
    cluster.settle_until(60_000, is_complete);
    cluster.delete("namespace", "", "shop").expect("it is there");
    cluster.advance(31_000);
    assert!(cluster.get("namespace", "", "shop").is_null());
    assert_eq!(cluster.list("deployments", "").len(), 0);
}
