//! Which pods a service reaches.

use std::sync::Arc;

use serde_json::{Value, json};

use super::owned::MANAGER;
use crate::api::WriteOptions;
use crate::kinds::by_any_name;
use crate::object::{at, is_finished, is_leaving, is_ready, list, name, namespace, owned_by, set, text, uid};
use crate::selector::selects_plainly;
use crate::store::Key;
use crate::world::World;

const SERVICE: &str = "kubernetes.io/service-name";

pub(super) fn pass(world: &mut World) {
    for (_, service) in world.all("services", "") {
        if at(&service, "/spec/selector").is_object() {
            sync(world, &service);
        }
    }
}

fn sync(world: &mut World, service: &Arc<Value>) {
    let pods: Vec<Arc<Value>> = world
        .all("pods", namespace(service))
        .into_iter()
        .map(|(_, pod)| pod)
        .filter(|pod| selects_plainly(at(service, "/spec/selector"), at(pod, "/metadata/labels")))
        .filter(|pod| !is_finished(pod) && !text(pod, "/status/podIP").is_empty())
        .collect();
    let anyway = at(service, "/spec/publishNotReadyAddresses") == true;
    let mut endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let serving = is_ready(pod);
            json!({
                "addresses": [text(pod, "/status/podIP")],
                "conditions": {
                    "ready": (serving && !is_leaving(pod)) || anyway, "serving": serving, "terminating": is_leaving(pod),
                },
                "nodeName": text(pod, "/spec/nodeName"),
                "targetRef": {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)},
            })
        })
        .collect();
    endpoints.sort_by_key(|endpoint| text(endpoint, "/addresses/0").to_owned());
    let ready: Vec<String> = endpoints
        .iter()
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .map(|endpoint| text(endpoint, "/targetRef/name").to_owned())
        .collect();
    let ports = ports(service, pods.first().map(|pod| &**pod));
    put_slice(world, service, &endpoints, &ports);
    put_endpoints(world, service, &endpoints, &ports);
    let now = world.now;
    let delay = world.settings.endpoint_delay;
    if world.traffic.note(namespace(service), name(service), ready, now, delay) && delay > 0 {
        world.wake_at(now + delay);
    }
}

fn ports(service: &Value, pod: Option<&Value>) -> Value {
    list(service, "/spec/ports")
        .iter()
        .filter_map(|port| {
            let target = &port["targetPort"];
            let number = match target.as_str() {
                None => target.clone(),
                Some(wanted) => list(pod?, "/spec/containers")
                    .iter()
                    .flat_map(|container| list(container, "/ports"))
                    .find(|port| port["name"] == wanted)
                    .map(|port| port["containerPort"].clone())?,
            };
            let mut shown = json!({"name": "", "port": number, "protocol": port["protocol"]});
            if port["name"].is_string() {
                shown["name"] = port["name"].clone();
            }
            Some(shown)
        })
        .collect()
}

fn put_slice(world: &mut World, service: &Value, endpoints: &[Value], ports: &Value) {
    let options = WriteOptions::system(MANAGER);
    let existing = world
        .all("endpointslices", namespace(service))
        .into_iter()
        .find(|(_, slice)| crate::object::label(slice, SERVICE) == name(service));
    let Some((key, slice)) = existing else {
        let slice = json!({
            "metadata": {
                "generateName": format!("{}-", name(service)),
                "labels": {SERVICE: name(service), "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
                "ownerReferences": owned_by(service),
            },
            "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
        });
        world.make("endpointslices", namespace(service), slice, &options);
        return;
    };
    if slice["endpoints"] != json!(endpoints) || slice["ports"] != *ports {
        // It was there just now.
        drop(world.edit(&key, &options, |slice| {
            set(slice, "/endpoints", endpoints.to_vec());
            set(slice, "/ports", ports.clone());
        }));
    }
}

fn put_endpoints(world: &mut World, service: &Value, endpoints: &[Value], ports: &Value) {
    let addresses = |ready: bool| -> Vec<Value> {
        endpoints
            .iter()
            .filter(|endpoint| endpoint["conditions"]["terminating"] == false)
            .filter(|endpoint| endpoint["conditions"]["ready"] == ready)
            .map(|endpoint| {
                json!({"ip": endpoint["addresses"][0], "nodeName": endpoint["nodeName"], "targetRef": endpoint["targetRef"]})
            })
            .collect()
    };
    let (ready, waiting) = (addresses(true), addresses(false));
    let mut subset = json!({"ports": ports});
    if !ready.is_empty() {
        subset["addresses"] = ready.clone().into();
    }
    if !waiting.is_empty() {
        subset["notReadyAddresses"] = waiting.clone().into();
    }
    let subsets = if ready.is_empty() && waiting.is_empty() { json!([]) } else { json!([subset]) };
    let options = WriteOptions::system(MANAGER);
    let Some(kind) = by_any_name("endpoints") else { return };
    let key = Key::new(kind, namespace(service), name(service));
    match world.store.get(&key) {
        None => {
            let object = json!({"metadata": {"name": name(service), "ownerReferences": owned_by(service)}, "subsets": subsets});
            world.make("endpoints", namespace(service), object, &options);
        }
        Some(found) if found["subsets"] != subsets => {
            // It was there just now.
            drop(world.edit(&key, &options, |object| set(object, "/subsets", subsets)));
        }
        Some(_) => {}
    }
}
