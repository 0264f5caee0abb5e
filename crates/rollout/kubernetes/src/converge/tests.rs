//! The order of writes, played against a cluster that does at once what is
//! written, as documents and patches say.
#![allow(clippy::unwrap_used)]

use k8s_openapi::api::apps::v1::Deployment;
use plimsoll_model::Digest;
use plimsoll_rollout_core::Share;
use serde_json::json;

use super::*;

fn release(n: u8) -> Release {
    let (sha, digest) = (format!("{n:02x}").repeat(20), Digest::from_sha256([n; 32]));
    Release::new(format!("r.example/payouts:{sha}@{digest}").parse().unwrap())
}

fn desired(generation: u64, stable: Option<u8>, candidate: Option<u8>, traffic: Traffic) -> Desired {
    let share = |n| Share { release: release(n), replicas: 3 };
    Desired {
        environment: "production".into(),
        rollout: "new".into(),
        generation,
        stable: stable.map(share),
        candidate: candidate.map(share),
        traffic,
        max_unavailable: 1,
        max_surge: 1,
        replicas: 3,
        strategy: Strategy::BlueGreen,
        permille: None,
        beside: false,
        decision_entry: 4,
        drain_sec: 5,
    }
}

fn setting() -> Setting {
    Setting {
        environment: "production".into(),
        container: "payouts".into(),
        max_surge: None,
        settle: SignedDuration::from_secs(5),
    }
}

/// A cluster whose pods are ready as soon as `work` is called.
struct World {
    home: Value,
    candidate: Option<Value>,
    service: Value,
    preview: Option<Value>,
    pods: Vec<Value>,
    version: u64,
    now: Timestamp,
    log: Vec<&'static str>,
}

impl World {
    fn new(image: &str) -> Self {
        let home = json!({
            "metadata": { "name": "payouts", "namespace": "shop", "uid": "d1", "generation": 1, "resourceVersion": "1" },
            "spec": {
                "replicas": 3,
                "selector": { "matchLabels": { "app": "payouts" } },
                "template": {
                    "metadata": { "labels": { "app": "payouts" } },
                    "spec": { "containers": [{ "name": "payouts", "image": image, "env": [{ "name": "A", "value": "b" }] },
                                             { "name": "proxy", "image": "proxy:1" }],
                              "imagePullSecrets": [{ "name": "registry" }] },
                },
            },
        });
        let service = json!({
            "metadata": { "name": "payouts", "namespace": "shop", "uid": "s1", "resourceVersion": "1" },
            "spec": { "selector": { "app": "payouts" }, "ports": [{ "port": 80, "nodePort": 30000 }] },
        });
        let now = "2026-11-25T12:00:00Z".parse().unwrap();
        let mut world = Self {
            home,
            candidate: None,
            service,
            preview: None,
            pods: vec![],
            version: 1,
            now,
            log: vec![],
        };
        world.work();
        world
    }

    /// Every controller does its work.
    fn work(&mut self) {
        self.pods.clear();
        for (workload, uid) in [(Some(&mut self.home), "d1"), (self.candidate.as_mut(), "d2")] {
            let Some(workload) = workload else { continue };
            let replicas = workload["spec"]["replicas"].as_i64().unwrap();
            workload["status"] = json!({ "observedGeneration": workload["metadata"]["generation"], "replicas": replicas,
                "updatedReplicas": replicas, "availableReplicas": replicas });
            for n in 0..replicas {
                self.pods.push(json!({
                    "metadata": { "name": format!("{uid}-{n}"), "uid": format!("{uid}-{n}"),
                        "labels": workload["spec"]["template"]["metadata"]["labels"],
                        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid,
                                              "uid": format!("rs-{uid}"), "controller": true }] },
                    "spec": workload["spec"]["template"]["spec"],
                    "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
                }));
            }
        }
    }

    fn view(&self) -> View {
        let parse = |value: &Value| serde_json::from_value(value.clone()).unwrap();
        let sets = ["d1", "d2"].map(|uid| {
            serde_json::from_value(json!({ "metadata": { "name": uid, "uid": format!("rs-{uid}"), "ownerReferences":
                [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": uid, "uid": uid, "controller": true }] } }))
            .unwrap()
        });
        View {
            home: Some(Workload::Deployment(serde_json::from_value(self.home.clone()).unwrap())),
            candidate: self
                .candidate
                .as_ref()
                .map(|value| serde_json::from_value::<Deployment>(value.clone()).unwrap()),
            service: Some(serde_json::from_value(self.service.clone()).unwrap()),
            preview: self.preview.as_ref().map(|value| serde_json::from_value(value.clone()).unwrap()),
            replica_sets: sets.to_vec(),
            pods: self.pods.iter().map(parse).collect(),
            slices: None,
        }
    }

    fn receiving(&self) -> Vec<String> {
        let view = self.view();
        view.receiving().into_iter().map(Into::into).collect()
    }

    fn bump(&mut self, object: &str) {
        self.version += 1;
        let value = match object {
            "home" => &mut self.home,
            _ => &mut self.service,
        };
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    fn write(&mut self, write: &Write) {
        let users = self.receiving();
        match write {
            Write::Home(document) => {
                assert_eq!(document["metadata"]["resourceVersion"], self.home["metadata"]["resourceVersion"]);
                assert_eq!(document["spec"].get("replicas"), None, "their number is the user's");
                let before = self.home["spec"]["template"].clone();
                merge(&mut self.home["metadata"]["annotations"], &document["metadata"]["annotations"]);
                merge(&mut self.home["spec"]["strategy"], &document["spec"]["strategy"]);
                let template = &document["spec"]["template"];
                merge(&mut self.home["spec"]["template"]["metadata"], &template["metadata"]);
                for container in template["spec"]["containers"].as_array().into_iter().flatten() {
                    self.home["spec"]["template"]["spec"]["containers"][0]["image"] =
                        container["image"].clone();
                }
                if before != self.home["spec"]["template"] {
                    self.home["metadata"]["generation"] =
                        json!(self.home["metadata"]["generation"].as_i64().unwrap() + 1);
                }
                self.bump("home");
                self.log.push("home");
            }
            Write::Candidate(document) => {
                let mut made = document.clone();
                made["metadata"]["uid"] = json!("d2");
                made["metadata"]["generation"] = json!(1);
                made["metadata"]["resourceVersion"] = json!("9");
                self.candidate = Some(made);
                self.log.push("candidate");
            }
            Write::Preview(document) => {
                assert_eq!(document["spec"]["ports"], json!([{ "port": 80 }]));
                self.preview = Some(document.clone());
                self.log.push("preview");
            }
            Write::Bind(patch) => {
                assert_eq!(patch["metadata"]["resourceVersion"], self.service["metadata"]["resourceVersion"]);
                merge(&mut self.service, patch);
                self.bump("service");
                self.log.push(match patch["spec"]["selector"][names::SLOT].as_str() {
                    Some("home") => "to home",
                    Some(_) => "to candidate",
                    None => "to all",
                });
                assert!(!self.receiving().is_empty(), "somebody always receives requests: {:?}", self.log);
                let left = patch["spec"]["selector"][names::SLOT].is_null()
                    && self.receiving().iter().any(|pod| pod.starts_with("d2"));
                assert!(!left, "pods that are about to go get no requests: {:?}", self.log);
            }
            Write::RemoveCandidate { uid } => {
                assert_eq!(uid, "d2");
                assert!(users.iter().all(|pod| pod.starts_with("d1")), "it is out of traffic: {users:?}");
                // Its pods go when the garbage collector comes.
                self.candidate = None;
                self.log.push("remove candidate");
            }
            Write::RemovePreview { .. } => {
                self.preview = None;
                self.log.push("remove preview");
            }
            Write::RemovePod { .. } => self.log.push("remove pod"),
        }
    }

    /// Turns until there is nothing to do; every controller works in between.
    fn bring(&mut self, desired: &Desired) -> Vec<&'static str> {
        self.log.clear();
        for _ in 0..30 {
            match next(&setting(), desired, Fence(3), &self.view(), self.now) {
                Next::Write(write) => self.write(&write),
                Next::Wait(_) => {
                    let before = self.view();
                    self.work();
                    self.now += SignedDuration::from_secs(6);
                    if self.view() == before
                        && matches!(
                            next(&setting(), desired, Fence(3), &self.view(), self.now),
                            Next::Wait(_)
                        )
                    {
                        return self.log.clone();
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        panic!("it never ends: {:?}", self.log);
    }

    fn image(&self) -> &str {
        self.home["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap()
    }
}

/// RFC 7386, without what a null means at the top.
fn merge(into: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else { return };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(into.as_object_mut().unwrap().remove(key)),
            Value::Object(_) => merge(&mut into[key], value),
            other => into[key] = other.clone(),
        }
    }
}

fn text(n: u8) -> String {
    release(n).image.to_string()
}

#[test]
fn blue_green_from_adoption_to_the_end_leaves_the_users_objects_as_they_were() {
    let mut world = World::new("r.example/payouts:v1");
    let selector = world.service["spec"]["selector"].clone();
    let way_in = world.bring(&desired(1, None, Some(9), Traffic::Stable));
    // The label first, then the binding: nobody is ever without pods.
    assert_eq!(way_in, ["home", "to home", "candidate", "preview"]);
    assert_eq!(world.image(), "r.example/payouts:v1", "what serves is left alone");
    let candidate = world.candidate.clone().unwrap();
    let spec = &candidate["spec"]["template"]["spec"];
    assert_eq!(spec["containers"][0]["image"], json!(text(9)));
    assert_eq!(spec["containers"][0]["env"], json!([{ "name": "A", "value": "b" }]));
    assert_eq!(spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"], json!(5));
    assert_eq!(
        (&spec["containers"][1]["image"], &spec["imagePullSecrets"][0]["name"]),
        (&json!("proxy:1"), &json!("registry"))
    );
    assert_eq!(
        candidate["spec"]["selector"]["matchLabels"],
        json!({ "app": "payouts", names::SLOT: "candidate" })
    );
    assert_eq!(candidate["metadata"]["ownerReferences"][0]["uid"], json!("d1"));
    assert!(world.receiving().iter().all(|pod| pod.starts_with("d1")));

    assert_eq!(world.bring(&desired(2, None, Some(9), Traffic::Candidate)), ["home", "to candidate"]);
    assert!(world.receiving().iter().all(|pod| pod.starts_with("d2")));
    let settling = world.bring(&desired(3, Some(9), None, Traffic::Stable));
    assert_eq!(settling, ["home", "to home", "remove candidate", "remove preview", "to all"]);
    assert_eq!(world.image(), text(9));
    assert_eq!(world.service["spec"]["selector"], selector);
    assert_eq!(world.receiving().len(), 3);
}

#[test]
fn going_back_from_blue_green_is_one_binding() {
    let mut world = World::new(&text(1));
    world.bring(&desired(1, Some(1), Some(9), Traffic::Stable));
    world.bring(&desired(2, Some(1), Some(9), Traffic::Candidate));
    let back = world.bring(&desired(3, Some(1), None, Traffic::Stable));
    assert_eq!(back, ["home", "to home", "remove candidate", "remove preview", "to all"]);
    assert_eq!(world.image(), text(1));
}

#[test]
fn requests_move_only_when_every_pod_of_the_candidate_is_ready() {
    let mut world = World::new(&text(1));
    world.bring(&desired(1, Some(1), Some(9), Traffic::Stable));
    world.candidate.as_mut().unwrap()["status"]["availableReplicas"] = json!(2);
    let wanted = desired(2, Some(1), Some(9), Traffic::Candidate);
    let first = next(&setting(), &wanted, Fence(3), &world.view(), world.now);
    let Next::Write(write) = first else { panic!("{first:?}") };
    world.write(&write);
    let then = next(&setting(), &wanted, Fence(3), &world.view(), world.now);
    assert_eq!(then, Next::Wait("for every pod of the candidate"));
}

#[test]
fn going_back_does_not_wait_for_the_last_home_pod() {
    let mut world = World::new(&text(1));
    world.bring(&desired(1, Some(1), Some(9), Traffic::Stable));
    world.bring(&desired(2, Some(1), Some(9), Traffic::Candidate));
    // A node died: two of three home pods are there.
    world.home["status"]["availableReplicas"] = json!(2);
    world.pods.retain(|pod| pod["metadata"]["name"] != "d1-0");
    let back = desired(3, Some(1), None, Traffic::Stable);
    for expected in ["home", "to home"] {
        let Next::Write(write) = next(&setting(), &back, Fence(3), &world.view(), world.now) else {
            panic!("{expected}")
        };
        world.write(&write);
        assert_eq!(world.log.last(), Some(&expected));
    }
}

#[test]
fn the_former_pods_are_kept_until_every_node_has_heard() {
    let mut world = World::new(&text(1));
    world.bring(&desired(1, Some(1), Some(9), Traffic::Stable));
    world.bring(&desired(2, Some(1), Some(9), Traffic::Candidate));
    let back = desired(3, Some(1), None, Traffic::Stable);
    for _ in 0..2 {
        let Next::Write(write) = next(&setting(), &back, Fence(3), &world.view(), world.now) else {
            panic!()
        };
        world.write(&write);
    }
    let at = |seconds| world.now + SignedDuration::from_secs(seconds);
    let then = |now| next(&setting(), &back, Fence(3), &world.view(), now);
    assert_eq!(then(at(4)), Next::Wait("for the nodes to hear of the switch"));
    assert!(matches!(then(at(5)), Next::Write(_)));
}

fn rolling(generation: u64, stable: Option<u8>, candidate: Option<u8>) -> Desired {
    Desired { strategy: Strategy::Rolling, ..desired(generation, stable, candidate, Traffic::Shared) }
}

#[test]
fn rolling_is_one_document_for_each_generation() {
    let mut world = World::new(&text(1));
    assert_eq!(world.bring(&rolling(1, Some(1), Some(9))), ["home"]);
    assert_eq!(world.image(), text(9));
    let annotations = &world.home["metadata"]["annotations"];
    assert_eq!(annotations[names::FENCE], json!("3"));
    assert_eq!(annotations[names::SHA], json!(release(9).sha().as_str()));
    assert_eq!(annotations[names::LEDGER_ENTRY], json!("4"));
    assert_eq!(annotations[names::ADOPTED_IMAGE], json!(text(1)));
    assert_eq!(annotations[names::BEFORE].as_str().unwrap().split(',').count(), 3);
    assert_eq!(
        world.home["spec"]["strategy"]["rollingUpdate"],
        json!({ "maxUnavailable": 1, "maxSurge": 1 })
    );
    assert_eq!(
        world.bring(&rolling(1, Some(1), Some(9))),
        Vec::<&str>::new(),
        "asked again, nothing is written"
    );
    let generation = world.home["metadata"]["generation"].clone();
    assert_eq!(world.bring(&rolling(2, Some(1), Some(9))), ["home"]);
    assert_eq!(world.home["metadata"]["generation"], generation, "the pods are not touched by that");
    assert_eq!(world.bring(&rolling(3, Some(1), None)), ["home"]);
    assert_eq!(world.image(), text(1));
}

#[test]
fn a_first_rollout_that_fails_goes_back_to_what_was_adopted() {
    let mut world = World::new("r.example/payouts:v1");
    world.bring(&rolling(1, None, Some(9)));
    assert_eq!(world.image(), text(9));
    world.bring(&rolling(2, None, None));
    assert_eq!(world.image(), "r.example/payouts:v1");
    // The next one remembers the same.
    world.bring(&rolling(3, None, Some(8)));
    assert_eq!(world.home["metadata"]["annotations"][names::ADOPTED_IMAGE], json!("r.example/payouts:v1"));
}

#[test]
fn never_all_of_them_at_once() {
    for (replicas, unavailable, surge, expected) in [
        (1, 1, None, (0, 1)),
        (1, 1, Some(0), (0, 1)),
        (3, 1, None, (1, 1)),
        (3, 5, None, (2, 5)),
        (3, 2, Some(0), (2, 0)),
    ] {
        let wanted = Desired { max_unavailable: unavailable, ..rolling(1, None, Some(9)) };
        let bounds = Bounds::of(&wanted, replicas, surge);
        assert_eq!((bounds.max_unavailable, bounds.max_surge), expected, "{replicas} pods");
    }
}

#[test]
fn an_older_fence_or_generation_writes_nothing() {
    let mut world = World::new(&text(1));
    world.bring(&rolling(20_000, Some(1), Some(9)));
    let ask = |fence, generation| {
        next(&setting(), &rolling(generation, Some(1), Some(9)), Fence(fence), &world.view(), world.now)
    };
    assert_eq!(ask(2, 30_000), Next::Fenced(Fence(3)));
    assert_eq!(ask(3, 19_999), Next::Fenced(Fence(3)));
    assert!(matches!(ask(4, 40_000), Next::Write(_)));
}

#[test]
fn an_image_that_somebody_else_sets_is_named_and_going_back_puts_it_back() {
    let mut world = World::new(&text(1));
    let wanted = rolling(1, Some(1), Some(9));
    world.bring(&wanted);
    world.home["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil:1");
    let key = "k:{\"name\":\"payouts\"}";
    world.home["metadata"]["managedFields"] = json!([{ "manager": "kubectl-set", "operation": "Update",
        "time": "2026-11-25T12:00:00Z",
        "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": { key: { "f:image": {} } } } } } } }]);
    let found = next(&setting(), &wanted, Fence(3), &world.view(), world.now);
    let Next::Changed { set, found, by } = found else { panic!("{found:?}") };
    assert_eq!((set, found.as_str()), (text(9), "evil:1"));
    assert_eq!(by.unwrap().manager, "kubectl-set");
    world.bring(&rolling(2, Some(1), None));
    assert_eq!(world.image(), text(1));
}

#[test]
fn other_edits_are_the_users_and_reach_the_second_deployment() {
    let mut world = World::new(&text(1));
    let wanted = desired(1, Some(1), Some(9), Traffic::Stable);
    world.bring(&wanted);
    world.home["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("c");
    world.home["spec"]["replicas"] = json!(5);
    assert_eq!(world.bring(&wanted), ["candidate"]);
    let spec = &world.candidate.as_ref().unwrap()["spec"];
    assert_eq!(spec["template"]["spec"]["containers"][0]["env"][0]["value"], json!("c"));
    assert_eq!(spec["replicas"], json!(5));
    // An autoscaler that sees idle home pods does not shrink what serves.
    world.home["spec"]["replicas"] = json!(1);
    world.bring(&wanted);
    assert_eq!(world.candidate.as_ref().unwrap()["spec"]["replicas"], json!(5));
}
