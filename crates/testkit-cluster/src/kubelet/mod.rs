//! What runs the pods: one kubelet for all nodes, with images that do what a
//! test says.

mod behaviour;
mod container;
mod logs;

pub use behaviour::Behaviour;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::api::WriteOptions;
use crate::controllers::About;
use crate::kinds::by_any_name;
use crate::object::{at, condition, is_leaving, list, name, namespace, number, set, text, time, uid};
use crate::store::Key;
use crate::world::World;
use behaviour::Images;
use container::{Around, Container, State};

/// Everything the kubelets know.
#[derive(Debug, Default)]
pub(crate) struct Kubelet {
    images: Images,
    /// By the pod's uid.
    pods: BTreeMap<String, Run>,
    /// `(node, image)` that was pulled.
    present: BTreeSet<(String, String)>,
    /// Nodes that are silent, since when.
    pub(crate) lost: BTreeMap<String, u64>,
}

/// A pod that a kubelet runs.
#[derive(Debug, Clone)]
struct Run {
    containers: Vec<Container>,
    began: u64,
    address: String,
    /// When it was told to stop.
    stopping: Option<u64>,
    mounted: bool,
}

impl Kubelet {
    pub(crate) fn behave(&mut self, reference: &str, behaviour: Behaviour) {
        self.images.put(reference, behaviour);
    }

    pub(crate) fn behave_given(&mut self, reference: &str, argument: &str, behaviour: Behaviour) {
        self.images.put_given(reference, argument, behaviour);
    }

    /// Whether a pod takes a new connection now, and how it answers.
    pub(crate) fn serving(&self, pod: &Value, now: u64) -> Option<Behaviour> {
        if self.lost.contains_key(text(pod, "/spec/nodeName")) {
            return None;
        }
        let run = self.pods.get(uid(pod))?;
        let container = run
            .containers
            .iter()
            .find(|container| !container.init && !list(&container.spec, "/ports").is_empty());
        let container = container.or_else(|| run.containers.iter().find(|container| !container.init))?;
        let behaviour = self.images.of_container(&container.spec);
        let State::Running { since } = container.state else { return None };
        let told = run.stopping.map(|began| began + pre_stop(&container.spec));
        let open = told.is_none_or(|told| now < told || behaviour.accepts_while_stopping);
        (now >= since + behaviour.up_after && open).then_some(behaviour)
    }
}

impl World {
    /// One pass over all pods that are bound to a node.
    pub(crate) fn run_pods(&mut self) {
        let Some(pods) = by_any_name("pods") else { return };
        let bound: Vec<(Key, std::sync::Arc<Value>)> = self
            .store
            .list(pods, "")
            .filter(|(_, pod)| !text(pod, "/spec/nodeName").is_empty())
            .map(|(key, pod)| (key.clone(), pod.clone()))
            .collect();
        let known: BTreeSet<&str> = bound.iter().map(|(_, pod)| uid(pod)).collect();
        self.kubelet.pods.retain(|uid, _| known.contains(uid.as_str()));
        for (key, pod) in &bound {
            if !self.kubelet.lost.contains_key(text(pod, "/spec/nodeName")) {
                self.run_pod(key, pod);
            }
        }
    }

    fn run_pod(&mut self, key: &Key, pod: &Value) {
        let mut run = match self.kubelet.pods.remove(uid(pod)) {
            Some(run) => run,
            None => self.admit_pod(pod),
        };
        if is_leaving(pod) {
            if self.stop_pod(key, pod, &mut run) {
                return;
            }
        } else if run.mounted || self.mount(pod, &mut run) {
            self.run_containers(pod, &mut run);
        }
        self.show(key, pod, &run);
        self.kubelet.pods.insert(uid(pod).to_owned(), run);
    }

    fn admit_pod(&mut self, pod: &Value) -> Run {
        let of = |list_at: &str, init: bool| {
            list(pod, list_at).iter().map(|spec| Container::new(spec, init)).collect::<Vec<_>>()
        };
        let mut containers = of("/spec/initContainers", true);
        containers.extend(of("/spec/containers", false));
        let network = self.settings.pod_network.clone();
        Run { containers, began: self.now, address: self.address(&network), stopping: None, mounted: false }
    }

    /// Volumes of Secrets and ConfigMaps that are not there keep a pod from
    /// starting.
    fn mount(&mut self, pod: &Value, run: &mut Run) -> bool {
        let mut missing = None;
        for volume in list(pod, "/spec/volumes") {
            for (source, field, kind) in
                [("secret", "secretName", "secret"), ("configMap", "name", "configmap")]
            {
                let wanted = text(volume, &format!("/{source}/{field}"));
                let optional = at(volume, &format!("/{source}/optional")) == true;
                if !wanted.is_empty() && !optional && !self.is_there(kind, namespace(pod), wanted) {
                    missing =
                        Some((text(volume, "/name").to_owned(), format!("{kind} \"{wanted}\" not found")));
                }
            }
        }
        match missing {
            None => run.mounted = true,
            Some((volume, why)) => {
                let words = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
                if self.due_again(uid(pod), "mount", 10_000) {
                    self.event(&About::object(pod), true, "FailedMount", &words, "kubelet");
                }
                self.wake_at(self.now + 10_000);
            }
        }
        run.mounted
    }

    pub(crate) fn is_there(&self, kind: &str, namespace: &str, name: &str) -> bool {
        by_any_name(kind).is_some_and(|kind| self.store.get(&Key::new(kind, namespace, name)).is_some())
    }

    fn run_containers(&mut self, pod: &Value, run: &mut Run) {
        let full_name = format!("{}_{}", name(pod), namespace(pod));
        let node = text(pod, "/spec/nodeName").to_owned();
        let policy = match text(pod, "/spec/restartPolicy") {
            "" => "Always",
            policy => policy,
        };
        for index in 0..run.containers.len() {
            // Each waits for those that prepare the pod before it.
            let waits = run.containers[..index].iter().any(|before| {
                let sidecar = text(&before.spec, "/restartPolicy") == "Always";
                before.init && !before.has_succeeded() && !(sidecar && before.started)
            });
            if waits {
                break;
            }
            loop {
                let container = &mut run.containers[index];
                let image = container.image().to_owned();
                let behaviour = self.kubelet.images.of_container(&container.spec);
                let missing = missing_reference(self, namespace(pod), &container.spec);
                let around = Around {
                    now: self.now,
                    pod: &full_name,
                    uid: uid(pod),
                    restart_policy: policy,
                    missing,
                    present: text(&container.spec, "/imagePullPolicy") != "Always"
                        && self.kubelet.present.contains(&(node.clone(), image.clone())),
                };
                let mut told = Vec::new();
                let (changed, next) = container.step(&around, &behaviour, &mut told);
                if container.is_running() {
                    self.kubelet.present.insert((node.clone(), image));
                }
                let field = if container.init { "initContainers" } else { "containers" };
                let about = About::object(pod).field(&format!("spec.{field}{{{}}}", container.name()));
                for (warning, reason, message) in told {
                    self.event(&about, warning, reason, &message, "kubelet");
                }
                if let Some(next) = next {
                    self.wake_at(next);
                }
                if !changed {
                    break;
                }
            }
        }
    }

    /// Whether the pod is gone.
    fn stop_pod(&mut self, key: &Key, pod: &Value, run: &mut Run) -> bool {
        let now = self.now;
        if run.stopping.is_none() {
            run.stopping = Some(now);
            for container in run.containers.iter().filter(|container| container.is_running()) {
                let about = About::object(pod).field(&format!("spec.containers{{{}}}", container.name()));
                self.event(
                    &about,
                    false,
                    "Killing",
                    &format!("Stopping container {}", container.name()),
                    "kubelet",
                );
            }
        }
        let began = run.stopping.unwrap_or(now);
        let grace = u64::try_from(number(pod, "/metadata/deletionGracePeriodSeconds")).unwrap_or(0) * 1000;
        let mut last = began;
        for container in &mut run.containers {
            let State::Running { since } = container.state else { continue };
            let needs = pre_stop(&container.spec) + self.kubelet.images.of_container(&container.spec).stop;
            let end = began + needs.min(grace);
            if now >= end {
                let code = if needs > grace { 137 } else { 0 };
                container.end(now, since, code, if code == 0 { "Completed" } else { "Error" });
            }
            last = last.max(end);
        }
        if now < last {
            self.wake_at(last);
            return false;
        }
        for container in &mut run.containers {
            container.state = State::Done;
        }
        self.show(key, pod, run);
        if list(pod, "/metadata/finalizers").is_empty() {
            self.drop_object(key);
            return true;
        }
        if at(pod, "/metadata/deletionGracePeriodSeconds") != 0 {
            // Nothing runs any more: only finalizers keep it.
            let mut object = self.store.get(key).map(|pod| Value::clone(pod)).unwrap_or_default();
            set(&mut object, "/metadata/deletionGracePeriodSeconds", 0);
            self.persist(key, object);
        }
        false
    }

    /// Writes the pod's status, where it is another one.
    fn show(&mut self, key: &Key, pod: &Value, run: &Run) {
        let full_name = format!("{}_{}", name(pod), namespace(pod));
        let around = Around {
            now: self.now,
            pod: &full_name,
            uid: uid(pod),
            restart_policy: text(pod, "/spec/restartPolicy"),
            missing: None,
            present: true,
        };
        let status = |init: bool| -> Vec<Value> {
            let of = run.containers.iter().filter(|container| container.init == init);
            of.map(|container| container.status(&around, &self.kubelet.images.of_container(&container.spec)))
                .collect()
        };
        let phase = phase(run, text(pod, "/spec/restartPolicy"));
        let prepared = run.containers.iter().filter(|container| container.init).all(|container| {
            container.has_succeeded()
                || (text(&container.spec, "/restartPolicy") == "Always" && container.started)
        });
        let ended = phase == "Succeeded" || phase == "Failed";
        let unready: Vec<&str> = run
            .containers
            .iter()
            .filter(|container| !container.init && !container.ready)
            .map(Container::name)
            .collect();
        let ready = unready.is_empty() && !ended;
        let why = match phase {
            "Succeeded" => ("PodCompleted", String::new()),
            _ => ("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" "))),
        };
        let waiting = ("ContainersNotInitialized", "containers with incomplete status".to_owned());
        let conditions = [
            ("PodReadyToStartContainers", run.mounted && !ended, ("", String::new())),
            ("Initialized", prepared, waiting),
            ("Ready", ready, why.clone()),
            ("ContainersReady", ready, why),
        ];
        let mut wanted = at(pod, "/status").clone();
        wanted["phase"] = phase.into();
        wanted["startTime"] = time(run.began).into();
        wanted["observedGeneration"] = number(pod, "/metadata/generation").into();
        wanted["hostIP"] = "10.0.0.1".into();
        wanted["hostIPs"] = json!([{"ip": "10.0.0.1"}]);
        if run.mounted {
            wanted["podIP"] = run.address.as_str().into();
            wanted["podIPs"] = json!([{"ip": run.address}]);
        }
        wanted["containerStatuses"] = status(false).into();
        if run.containers.iter().any(|container| container.init) {
            wanted["initContainerStatuses"] = status(true).into();
        }
        let now = self.now;
        let mut all: Vec<Value> = conditions
            .into_iter()
            .map(|(kind, holds, (reason, message))| turned(pod, kind, holds, reason, &message, now))
            .collect();
        for kept in list(pod, "/status/conditions") {
            if !all.iter().any(|condition| condition["type"] == kept["type"]) {
                all.push(kept.clone());
            }
        }
        wanted["conditions"] = all.into();
        if wanted != *at(pod, "/status") {
            // A pod that went away in the meantime has no status to keep.
            drop(self.edit(key, &WriteOptions::system("kubelet").on("status"), |pod| pod["status"] = wanted));
        }
    }
}

/// A condition as it is now: its time of transition stays while it does.
pub(crate) fn turned(
    object: &Value,
    kind: &str,
    holds: bool,
    reason: &str,
    message: &str,
    now: u64,
) -> Value {
    let status = if holds { "True" } else { "False" };
    let since = condition(object, kind)
        .filter(|before| before["status"] == status)
        .map_or_else(|| time(now), |before| text(before, "/lastTransitionTime").to_owned());
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": since});
    if object["kind"] == "Pod" {
        condition["observedGeneration"] = number(object, "/metadata/generation").into();
    }
    if !holds && !reason.is_empty() {
        condition["reason"] = reason.into();
        if !message.is_empty() {
            condition["message"] = message.into();
        }
    }
    condition
}

fn phase(run: &Run, restart_policy: &str) -> &'static str {
    let main = || run.containers.iter().filter(|container| !container.init);
    let init_failed = run.containers.iter().any(|container| {
        container.init
            && container.state == State::Done
            && !container.has_succeeded()
            && restart_policy == "Never"
    });
    if init_failed {
        return "Failed";
    }
    if main().any(|container| container.starts == 0) {
        return "Pending";
    }
    if main().all(|container| container.state == State::Done) {
        return if main().all(Container::has_succeeded) { "Succeeded" } else { "Failed" };
    }
    "Running"
}

/// How long a container's `preStop` takes, where it only waits.
fn pre_stop(spec: &Value) -> u64 {
    let hook = at(spec, "/lifecycle/preStop");
    if let Some(seconds) = at(hook, "/sleep/seconds").as_u64() {
        return seconds * 1000;
    }
    let words: Vec<&str> = list(hook, "/exec/command").iter().filter_map(Value::as_str).collect();
    let line = words.join(" ");
    let mut words = line.split_whitespace().skip_while(|word| !word.trim_matches('"').ends_with("sleep"));
    let seconds = words.nth(1).and_then(|word| word.trim_matches(['"', ';']).parse::<f64>().ok());
    seconds.map_or(0, |seconds| (seconds * 1000.0) as u64)
}

/// A Secret or ConfigMap that the container's environment needs.
fn missing_reference(world: &World, namespace: &str, spec: &Value) -> Option<String> {
    let value_sources = list(spec, "/env").iter().map(|env| at(env, "/valueFrom"));
    let from = |source: &Value, secret: &str, config: &str| -> Option<String> {
        for (field, kind, shown) in [(secret, "secret", "Secret"), (config, "configmap", "ConfigMap")] {
            let reference = at(source, &format!("/{field}"));
            let wanted = text(reference, "/name");
            if wanted.is_empty() || reference["optional"] == true {
                continue;
            }
            let kind_of = by_any_name(kind)?;
            let Some(object) = world.store.get(&Key::new(kind_of, namespace, wanted)) else {
                return Some(format!("{kind} \"{wanted}\" not found"));
            };
            let key = text(reference, "/key");
            let has = |map: &str| at(object, map).get(key).is_some();
            if !key.is_empty() && !has("/data") && !has("/stringData") {
                return Some(format!("couldn't find key {key} in {shown} {namespace}/{wanted}"));
            }
        }
        None
    };
    let single = value_sources.filter_map(|source| from(source, "secretKeyRef", "configMapKeyRef")).next();
    single.or_else(|| {
        list(spec, "/envFrom").iter().filter_map(|source| from(source, "secretRef", "configMapRef")).next()
    })
}
