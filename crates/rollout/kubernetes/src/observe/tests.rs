//! What the machine is told of a look.
#![allow(clippy::unwrap_used)]

use plimsoll_model::{Release, Strategy};
use plimsoll_rollout_core::Fence;
use serde_json::{Value, json};

use super::*;

fn release(n: u8) -> Release {
    let (sha, digest) = (format!("{n:02x}").repeat(20), Digest::from_sha256([n; 32]));
    Release::new(format!("r.example/payouts:{sha}@{digest}").parse().unwrap())
}

fn desired(stable: Option<u8>, candidate: Option<u8>) -> Desired {
    let share = |n| Share { release: release(n), replicas: 3 };
    Desired {
        environment: "production".into(),
        rollout: "new".into(),
        generation: 7,
        stable: stable.map(share),
        candidate: candidate.map(share),
        traffic: Traffic::Shared,
        max_unavailable: 1,
        max_surge: 1,
        replicas: 3,
        strategy: Strategy::Rolling,
        permille: None,
        beside: false,
        decision_entry: 4,
        drain_sec: 5,
    }
}

fn pod(name: &str, n: u8, ready: bool, leaving: bool) -> Value {
    let state = if ready {
        json!({ "running": {} })
    } else {
        json!({ "waiting": { "reason": "ContainerCreating" } })
    };
    let mut pod = json!({
        "metadata": {
            "name": name, "uid": name, "creationTimestamp": "2026-11-25T12:00:00Z", "labels": { "app": "payouts" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "rs", "controller": true }],
        },
        "spec": { "containers": [{ "name": "payouts", "image": release(n).image.to_string() }, { "name": "proxy", "image": "p" }] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" },
                             "lastTransitionTime": "2026-11-25T12:00:10Z" }],
            "containerStatuses": [{ "name": "payouts", "image": "i", "imageID": "", "ready": ready, "restartCount": 0,
                                    "state": state }],
        },
    });
    if leaving {
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-25T12:00:20Z");
    }
    pod
}

struct Scene {
    replicas: i32,
    image: u8,
    seen: bool,
    counts: (i32, i32, i32),
    pods: Vec<Value>,
    receiving: Vec<&'static str>,
}

impl Scene {
    fn new(image: u8, pods: Vec<Value>, receiving: Vec<&'static str>) -> Self {
        Self { replicas: 3, image, seen: true, counts: (3, 3, 3), pods, receiving }
    }

    fn view(&self) -> View {
        let (all, updated, available) = self.counts;
        let deployment = json!({
            "metadata": { "name": "payouts", "uid": "d", "generation": 5 },
            "spec": {
                "replicas": self.replicas,
                "selector": { "matchLabels": { "app": "payouts" } },
                "template": { "spec": { "containers": [{ "name": "payouts", "image": release(self.image).image.to_string() }] } },
            },
            "status": { "observedGeneration": if self.seen { 5 } else { 4 }, "replicas": all,
                        "updatedReplicas": updated, "availableReplicas": available },
        });
        let set = json!({ "metadata": { "name": "rs", "uid": "rs",
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "payouts", "uid": "d", "controller": true }] } });
        let endpoints: Vec<Value> = self
            .receiving
            .iter()
            .map(|uid| json!({ "addresses": ["192.0.2.1"], "conditions": { "ready": true }, "targetRef": { "uid": uid } }))
            .collect();
        View {
            home: Some(Workload::Deployment(serde_json::from_value(deployment).unwrap())),
            replica_sets: vec![serde_json::from_value(set).unwrap()],
            pods: serde_json::from_value(json!(self.pods)).unwrap(),
            slices: Some(vec![
                serde_json::from_value(json!({
                "metadata": { "name": "s" }, "addressType": "IPv4", "endpoints": endpoints }))
                .unwrap(),
            ]),
            ..View::default()
        }
    }

    fn observed(&self, record: &Record) -> Observed {
        let next = |pod: &str, _: Option<&str>, _: bool| format!("see {pod}");
        let now = "2026-11-25T12:00:15Z".parse().unwrap();
        observed(&self.view(), record, "payouts", &Evidence::default(), &next, now).0
    }
}

fn record(stable: Option<u8>, candidate: Option<u8>) -> Record {
    Record { fence: Fence(1), desired: Some(desired(stable, candidate)), ..Record::default() }
}

fn three(n: u8, ready: bool) -> Vec<Value> {
    (0..3).map(|i| pod(["a", "b", "c"][i], n, ready, false)).collect()
}

#[test]
fn ready_pods_in_the_service_serve() {
    let scene = Scene::new(9, three(9, true), vec!["a", "b"]);
    let observed = scene.observed(&record(Some(1), Some(9)));
    let fleet = observed.fleet(&release(9).digest());
    assert_eq!((fleet.ready, fleet.serving, fleet.starting), (3, 2, 0));
    assert_eq!((observed.generation_seen, observed.scale), (7, Some(3)));
    assert_eq!(observed.traffic, Some(Traffic::Candidate));
}

#[test]
fn each_pod_is_shown_as_it_is() {
    let mut pods = three(9, true);
    pods[0]["status"]["containerStatuses"][0]["restartCount"] = json!(2);
    pods.push(pod("new-4", 9, false, false));
    pods.push(pod("new-5", 9, true, true));
    let scene = Scene::new(9, pods, vec!["a", "b"]);
    let fleet = scene.observed(&record(Some(1), Some(9))).fleet(&release(9).digest());
    let rows =
        fleet.instances.iter().map(|seen| (seen.name.as_str(), seen.state, seen.restarts, seen.serving));
    assert_eq!(
        rows.collect::<Vec<_>>(),
        [
            ("a", Condition::Ready, 2, true),
            ("b", Condition::Ready, 0, true),
            ("c", Condition::Ready, 0, false),
            ("new-4", Condition::Starting, 0, false),
            ("new-5", Condition::Draining, 0, false),
        ]
    );
    assert_eq!(fleet.instances[0].since, Some("2026-11-25T12:00:00Z".parse().unwrap()));
}

#[test]
fn counts_about_an_older_specification_are_stale() {
    let mut scene = Scene::new(9, three(9, true), vec!["a"]);
    scene.seen = false;
    assert_eq!(scene.observed(&record(None, Some(9))).generation_seen, 6);
}

/// The last pod counts only once the controller has counted it, too.
#[test]
fn our_count_is_never_ahead_of_the_controllers() {
    for counts in [(4, 3, 3), (3, 2, 3), (3, 3, 2)] {
        let mut scene = Scene::new(9, three(9, true), vec!["a", "b", "c"]);
        scene.counts = counts;
        let fleet = scene.observed(&record(None, Some(9))).fleet(&release(9).digest());
        assert_eq!((fleet.ready, fleet.serving, fleet.starting), (2, 2, 1), "{counts:?}");
    }
}

#[test]
fn a_pod_that_ends_is_waited_for_only_while_it_gets_requests() {
    let mut pods = three(9, true);
    pods.push(pod("old-1", 1, true, true));
    pods.push(pod("old-2", 1, true, true));
    let scene = Scene::new(9, pods, vec!["a", "b", "c", "old-1"]);
    let old = scene.observed(&record(Some(1), Some(9))).fleet(&release(1).digest());
    assert_eq!((old.draining, old.leaving, old.ready, old.is_gone()), (1, 1, 0, false));
    let gone = Fleet { leaving: 2, ..Fleet::default() };
    assert!(gone.is_gone());
}

#[test]
fn what_failed_before_the_rollout_says_nothing_about_it() {
    let mut failing = pod("a", 9, false, false);
    failing["status"]["containerStatuses"][0]["state"] =
        json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let scene = Scene::new(9, vec![failing], vec![]);
    let fleet = scene.observed(&record(None, Some(9))).fleet(&release(9).digest());
    assert_eq!((fleet.failing.len(), fleet.failing_before), (1, 0));
    assert!(fleet.failing[0].message.ends_with("; see a"), "{}", fleet.failing[0].message);
    let before = Record { before: Record::before_of(["a"].into_iter()), ..record(None, Some(9)) };
    let fleet = scene.observed(&before).fleet(&release(9).digest());
    assert_eq!((fleet.failing.len(), fleet.failing_before), (0, 1));
}

#[test]
fn pods_of_others_are_not_counted_and_what_was_adopted_is_the_users() {
    let mut foreign = pod("f", 5, true, false);
    foreign["metadata"]["ownerReferences"][0]["uid"] = json!("other");
    let mut pods = three(9, true);
    pods.push(foreign);
    let scene = Scene::new(9, pods, vec!["a", "b", "c", "f"]);
    assert_eq!(scene.observed(&record(None, Some(9))).fleets.len(), 1);

    // Nothing of Plimsoll's was there before, and the first rollout failed.
    let scene = Scene::new(1, three(1, true), vec!["a", "b", "c"]);
    let adopted = Some(release(1).image.to_string());
    let nothing = Record { adopted_image: adopted, ..record(None, None) };
    assert!(scene.observed(&nothing).fleets.is_empty());
    assert_eq!(scene.observed(&record(None, Some(9))).fleets.len(), 1);
}

#[test]
fn an_image_known_by_a_tag_only_is_counted_by_what_runs() {
    let mut tagged = pod("a", 9, true, false);
    tagged["spec"]["containers"][0]["image"] = json!("r.example/payouts:latest");
    let digest = Digest::from_sha256([5; 32]);
    tagged["status"]["containerStatuses"][0]["imageID"] =
        json!(format!("docker-pullable://r.example/payouts@{digest}"));
    let mut unknown = pod("b", 9, false, false);
    unknown["spec"]["containers"][0]["image"] = json!("r.example/payouts:latest");
    let scene = Scene::new(9, vec![tagged, unknown], vec!["a"]);
    let fleets = scene.observed(&record(None, Some(9))).fleets;
    assert_eq!(fleets.get(&digest).map(|fleet| fleet.serving), Some(1));
    assert_eq!(fleets.len(), 2, "what is not known yet is counted under a key of its own");
}

#[test]
fn what_a_kubelet_said_last_is_old_where_its_node_is_silent() {
    let on = |mut pod: Value| {
        pod["spec"]["nodeName"] = json!("node-1");
        pod
    };
    let mut lost = on(pod("a", 9, false, false));
    lost["status"]["conditions"][0]["status"] = json!("Unknown");
    let scene = Scene::new(9, vec![lost, on(pod("b", 9, false, false)), pod("c", 9, false, false)], vec![]);
    let fleet = scene.observed(&record(None, Some(9))).fleet(&release(9).digest());
    let causes: Vec<_> = fleet.failing.iter().map(|f| (f.instance.as_str(), f.cause, f.heals)).collect();
    assert_eq!(causes, [("a", Cause::Lost, true), ("b", Cause::Lost, true)]);
    assert_eq!(fleet.starting, 1);
}

/// Otherwise a rollout would end with the Service still bound.
#[test]
fn a_rollout_does_not_end_before_everything_of_it_is_gone() {
    let scene = Scene::new(9, three(9, true), vec!["a", "b", "c"]);
    let next = |_: &str, _: Option<&str>, _: bool| String::new();
    let mut view = scene.view();
    let draining = |view: &View, record: &Record| {
        let now = "2026-11-25T12:00:15Z".parse().unwrap();
        let observed = observed(view, record, "payouts", &Evidence::default(), &next, now).0;
        observed.fleet(&release(9).digest()).draining
    };
    assert_eq!(draining(&view, &record(Some(9), None)), 0);
    let bound = json!({ "metadata": {}, "spec": { "selector": { "plimsoll.dev/slot": "home" } } });
    view.service = Some(serde_json::from_value(bound).unwrap());
    assert_eq!(draining(&view, &record(Some(9), None)), 1);
    assert_eq!(draining(&view, &record(Some(1), Some(9))), 0, "on the way there it is as it should be");
    view.service = None;
    view.preview = Some(serde_json::from_value(json!({ "metadata": {} })).unwrap());
    assert_eq!(draining(&view, &record(Some(9), None)), 1);
}
