//! Deployments, stateful sets and jobs on virtual time.

use plimsoll_testkit_cluster::{Behaviour, Cluster, Settings, Verb, Verdict};
use serde_json::{Value, json};

use crate::support::{deployment, image, is_complete, reason, running, waits_for};

fn images(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.pods("shop", "app", "web");
    pods.iter()
        .map(|pod| pod["spec"]["containers"][0]["image"].as_str().expect("it has one").to_owned())
        .collect()
}

#[test]
fn a_rolling_update_never_has_too_few_or_too_many() {
    let cluster = running();
    cluster.apply_json(deployment(&image('b')));
    let ready = |cluster: &Cluster| {
        let ready =
            |pod: &Value| reason(pod, "Ready").is_empty() && pod["metadata"]["deletionTimestamp"].is_null();
        cluster
            .pods("shop", "app", "web")
            .iter()
            .filter(|pod| ready(pod) && pod["status"]["podIP"].is_string())
            .count()
    };
    let took = cluster.settle_until(120_000, |cluster| {
        let living = cluster
            .pods("shop", "app", "web")
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .count();
        assert!((2..=4).contains(&living), "{living} pods");
        assert!(ready(cluster) >= 2, "{} ready", ready(cluster));
        is_complete(cluster)
    });
    assert!((1_000..30_000).contains(&took), "{took}");
    cluster.advance(60_000);
    assert_eq!(images(&cluster), vec![image('b'); 3]);
    let web = cluster.get("deployment", "shop", "web");
    assert_eq!(reason(&web, "Progressing"), "NewReplicaSetAvailable");
    assert_eq!(reason(&web, "Available"), "MinimumReplicasAvailable");
    assert_eq!(web["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    assert_eq!(cluster.list("replicasets", "shop").len(), 2);
}

#[test]
fn going_back_uses_the_replica_set_that_is_there() {
    let cluster = running();
    for letter in ['b', 'a'] {
        cluster.apply_json(deployment(&image(letter)));
        cluster.settle_until(120_000, is_complete);
    }
    let sets = cluster.list("replicasets", "shop");
    assert_eq!(sets.len(), 2);
    let of = |letter| {
        let found = sets
            .iter()
            .find(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] == image(letter));
        found.expect("it is there")["metadata"]["annotations"].clone()
    };
    assert_eq!(of('a')["deployment.kubernetes.io/revision"], "3");
    assert_eq!(of('a')["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(of('b')["deployment.kubernetes.io/revision"], "2");
}

#[test]
fn a_broken_release_runs_into_its_deadline_and_the_old_one_serves_on() {
    let cluster = running();
    cluster.image(&image('b'), Behaviour::never_ready("HTTP probe failed with statuscode: 503"));
    let mut next = deployment(&image('b'));
    next["spec"]["progressDeadlineSeconds"] = 60.into();
    cluster.apply_json(next);
    let took = cluster.settle_until(120_000, |cluster| {
        reason(&cluster.get("deployment", "shop", "web"), "Progressing") == "ProgressDeadlineExceeded"
    });
    assert!((60_000..70_000).contains(&took), "{took}");
    let web = cluster.get("deployment", "shop", "web");
    assert_eq!(web["status"]["availableReplicas"], 2);
    assert_eq!(reason(&web, "Available"), "MinimumReplicasAvailable");
    let set = web["status"]["conditions"].to_string();
    assert!(set.contains("has timed out progressing."), "{set}");
    let events = cluster.events("pod", "web-");
    assert!(
        events.contains(
            &"Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503".to_owned()
        ),
        "{events:?}"
    );
}

#[test]
fn recreate_has_nothing_of_both() {
    let cluster = running();
    cluster.edit_as("kubectl-edit", "deployment", "shop", "web", |web| {
        web["spec"]["strategy"] = json!({"type": "Recreate"});
        web["spec"]["template"]["spec"]["containers"][0]["image"] = image('b').into();
    });
    cluster.settle_until(120_000, |cluster| {
        let mut all = images(cluster);
        all.dedup();
        assert!(all.len() <= 1, "{all:?}");
        is_complete(cluster)
    });
    assert_eq!(images(&cluster), vec![image('b'); 3]);
}

#[test]
fn a_paused_deployment_does_not_roll_but_scales() {
    let cluster = running();
    cluster.edit_as("kubectl-rollout", "deployment", "shop", "web", |web| {
        web["spec"]["paused"] = true.into();
        web["spec"]["template"]["spec"]["containers"][0]["image"] = image('b').into();
        web["spec"]["replicas"] = 5.into();
    });
    cluster.advance(60_000);
    assert_eq!(images(&cluster), vec![image('a'); 5]);
    assert_eq!(reason(&cluster.get("deployment", "shop", "web"), "Progressing"), "DeploymentPaused");
    cluster
        .edit_as("kubectl-rollout", "deployment", "shop", "web", |web| web["spec"]["paused"] = false.into());
    cluster.settle_until(120_000, is_complete);
    assert_eq!(images(&cluster), vec![image('b'); 5]);
}

#[test]
fn scaling_in_the_middle_keeps_the_share() {
    let cluster = running();
    cluster.image(&image('b'), Behaviour::never_ready("connection refused"));
    cluster.apply_json(deployment(&image('b')));
    cluster.advance(20_000);
    cluster.edit_as("autoscaler", "deployment", "shop", "web", |web| web["spec"]["replicas"] = 6.into());
    cluster.advance(60_000);
    let sizes: Vec<i64> = cluster
        .list("replicasets", "shop")
        .iter()
        .filter_map(|set| set["spec"]["replicas"].as_i64())
        .collect();
    assert_eq!(sizes.iter().sum::<i64>(), 7, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size >= 2), "{sizes:?}");
}

#[test]
fn a_quota_that_is_full_is_said_by_the_replica_set_and_the_deployment() {
    let cluster = running();
    cluster.apply_json(json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": "shop"},
        "spec": {"hard": {"pods": "3"}},
    }));
    cluster.apply_json(deployment(&image('b')));
    cluster.advance(1_000);
    let web = cluster.get("deployment", "shop", "web");
    assert_eq!(reason(&web, "ReplicaFailure"), "FailedCreate");
    let said = web["status"]["conditions"].to_string();
    assert!(
        said.contains(
            "is forbidden: exceeded quota: small, requested: pods=1, used: pods=3, limited: pods=3"
        ),
        "{said}"
    );
    assert!(
        cluster
            .events("replicaset", "web-")
            .iter()
            .any(|event| event.starts_with("FailedCreate: Error creating: pods \"web-"))
    );
    // One old pod may go, and makes room.
    cluster.settle_until(300_000, is_complete);
    assert_eq!(reason(&cluster.get("deployment", "shop", "web"), "ReplicaFailure"), "");
    assert_eq!(cluster.get("quota", "shop", "small")["status"]["used"]["pods"], "3");
}

#[test]
fn a_webhook_that_refuses_pods_is_said_likewise() {
    let cluster = running();
    cluster.webhook("pods.policy.test", |review| {
        if review.kind.kind == "Pod" && review.verb == Verb::Create {
            Verdict::Deny("image is not signed".into())
        } else {
            Verdict::Allow
        }
    });
    cluster.apply_json(deployment(&image('b')));
    cluster.advance(10_000);
    let said = cluster.get("deployment", "shop", "web")["status"]["conditions"].to_string();
    assert!(
        said.contains("admission webhook \\\"pods.policy.test\\\" denied the request: image is not signed"),
        "{said}"
    );
    cluster.remove_webhooks();
    cluster.settle_until(300_000, is_complete);
}

#[test]
fn a_stateful_set_goes_one_by_one_from_the_end() {
    let cluster = Cluster::start(Settings::default());
    let mut set = deployment(&image('a'));
    set["kind"] = "StatefulSet".into();
    set["spec"]["serviceName"] = "web".into();
    set["spec"].as_object_mut().expect("an object").remove("strategy");
    cluster.apply_json(set.clone());
    let ready = |cluster: &Cluster| {
        cluster.get("sts", "shop", "web")["status"]["readyReplicas"].as_i64().unwrap_or(0)
    };
    cluster.settle_until(60_000, |cluster| {
        let (pods, ready) =
            (cluster.list("pods", "shop").len(), usize::try_from(ready(cluster)).expect("a count"));
        assert!(pods <= ready + 1, "one after the other");
        ready == 3
    });
    let before = cluster.get("sts", "shop", "web")["status"]["currentRevision"].clone();
    set["spec"]["template"]["spec"]["containers"][0]["image"] = image('b').into();
    set["spec"]["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    cluster.apply_json(set.clone());
    cluster.settle_until(120_000, |cluster| {
        assert!(ready(cluster) >= 2);
        cluster.get("sts", "shop", "web")["status"]["updatedReplicas"] == 2 && ready(cluster) == 3
    });
    assert_eq!(images(&cluster), [image('a'), image('b'), image('b')]);
    set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0.into();
    cluster.apply_json(set.clone());
    cluster.settle_until(120_000, |cluster| images(cluster) == vec![image('b'); 3] && ready(cluster) == 3);
    let status = cluster.get("sts", "shop", "web")["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_ne!(status["currentRevision"], before);
    // A broken last pod holds the rest up, and is not mended by going back
    // before somebody removes it.
    cluster.image(&image('c'), Behaviour::cannot_be_pulled("not found"));
    for letter in ['c', 'b'] {
        set["spec"]["template"]["spec"]["containers"][0]["image"] = image(letter).into();
        cluster.apply_json(set.clone());
        cluster.advance(120_000);
        assert_eq!(images(&cluster), [image('b'), image('b'), image('c')]);
    }
    cluster.delete("pod", "shop", "web-2").expect("it is there");
    cluster.settle_until(120_000, |cluster| images(cluster) == vec![image('b'); 3] && ready(cluster) == 3);
}

fn job(image: &str, limit: i64) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "namespace": "shop"},
        "spec": {"backoffLimit": limit, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "migrate", "image": image}],
        }}},
    })
}

#[test]
fn a_job_completes_or_fails_for_good() {
    let cluster = Cluster::start(Settings::default());
    cluster.image(&image('a'), Behaviour::completes_after(5_000).with_log(&["migrated"]));
    cluster.image(&image('b'), Behaviour::exits_after(1_000, 3).with_log(&["no such table"]));
    cluster.apply_json(job(&image('a'), 0));
    cluster.settle_until(60_000, |cluster| {
        !reason(&cluster.get("job", "shop", "migrate"), "Complete").is_empty()
    });
    assert_eq!(cluster.get("job", "shop", "migrate")["status"]["succeeded"], 1);
    cluster.delete("job", "shop", "migrate").expect("it is there");
    assert_eq!(cluster.list("pods", "shop").len(), 0);

    cluster.apply_json(job(&image('b'), 2));
    let took = cluster.settle_until(300_000, |cluster| {
        !reason(&cluster.get("job", "shop", "migrate"), "Failed").is_empty()
    });
    assert_eq!(reason(&cluster.get("job", "shop", "migrate"), "Failed"), "BackoffLimitExceeded");
    assert_eq!(cluster.list("pods", "shop").len(), 3);
    assert!((30_000..60_000).contains(&took), "two pauses of 10 and 20 seconds: {took}");
    let pod = &cluster.list("pods", "shop")[0];
    assert_eq!(pod["status"]["phase"], "Failed");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    assert_eq!(waits_for(pod), "");
}
