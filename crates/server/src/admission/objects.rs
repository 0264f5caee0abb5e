//! Which images an object would run: pods, and whatever makes pods.

use serde_json::Value;

/// A container and what it is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerImage {
    /// Where the list of containers is: `/spec/template/spec/initContainers/0`.
    pub(crate) pointer: String,
    /// `container`, `init container`, `ephemeral container`.
    pub(crate) role: &'static str,
    /// Its name; empty where it has none.
    pub(crate) name: String,
    /// As written; empty where there is none.
    pub(crate) image: String,
}

/// Where a kind keeps the specification of its pods.
fn pod_spec_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Pod" => "/spec",
        "PodTemplate" => "/template/spec",
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicationController" => {
            "/spec/template/spec"
        }
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => return None,
    })
}

const LISTS: [(&str, &str); 3] = [
    ("initContainers", "init container"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral container"),
];

/// Every image of an object; none where the kind makes no pods.
pub(crate) fn images(kind: &str, object: &Value) -> Vec<ContainerImage> {
    let Some(spec) = pod_spec_of(kind) else { return Vec::new() };
    let mut all = Vec::new();
    for (list, role) in LISTS {
        let pointer = format!("{spec}/{list}");
        let containers = object.pointer(&pointer).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let text = |key: &str| container[key].as_str().unwrap_or_default().to_owned();
            all.push(ContainerImage {
                pointer: format!("{pointer}/{index}"),
                role,
                name: text("name"),
                image: text("image"),
            });
        }
    }
    all
}

/// The images of an object that were not in it before. What an object has run
/// all along is no reason to refuse a change of its labels, status, finalizers
/// or number of replicas; its new pods are judged when they are made.
pub(crate) fn new_images(kind: &str, object: &Value, before: &Value) -> Vec<ContainerImage> {
    let known: Vec<String> = images(kind, before).into_iter().map(|one| one.image).collect();
    images(kind, object).into_iter().filter(|one| !known.contains(&one.image)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(image: &str) -> Value {
        json!({
            "initContainers": [{"name": "init", "image": format!("{image}-init")}],
            "containers": [{"name": "a", "image": image}, {"name": "b"}],
            "ephemeralContainers": [{"name": "debug", "image": format!("{image}-debug")}],
        })
    }

    #[test]
    fn every_kind_that_makes_pods_is_looked_into() {
        let template = json!({"template": {"spec": spec("x")}});
        for (kind, object) in [
            ("Pod", json!({"spec": spec("x")})),
            ("PodTemplate", template.clone()),
            ("Deployment", json!({"spec": template})),
            ("ReplicaSet", json!({"spec": template})),
            ("StatefulSet", json!({"spec": template})),
            ("DaemonSet", json!({"spec": template})),
            ("Job", json!({"spec": template})),
            ("ReplicationController", json!({"spec": template})),
            ("CronJob", json!({"spec": {"jobTemplate": {"spec": template}}})),
        ] {
            let found = images(kind, &object);
            let named: Vec<_> = found.iter().map(|one| (one.role, one.image.as_str())).collect();
            let all = [
                ("init container", "x-init"),
                ("container", "x"),
                ("container", ""),
                ("ephemeral container", "x-debug"),
            ];
            assert_eq!(named, all, "{kind}");
            for one in found.iter().filter(|one| !one.image.is_empty()) {
                assert_eq!(object.pointer(&format!("{}/image", one.pointer)), Some(&json!(one.image)));
            }
        }
        assert_eq!(images("Service", &json!({"spec": spec("x")})), []);
    }

    #[test]
    fn what_was_there_before_is_not_new() {
        let (old, new) = (json!({"spec": spec("x")}), json!({"spec": spec("y")}));
        assert_eq!(new_images("Pod", &old, &old), []);
        assert_eq!(new_images("Pod", &new, &old).len(), 3);
        assert_eq!(new_images("Pod", &new, &Value::Null).len(), 4);
    }

    #[test]
    fn nonsense_has_no_images() {
        for object in
            [json!(null), json!([]), json!({"spec": "a"}), json!({"spec": {"containers": {"a": 1}}})]
        {
            assert_eq!(images("Pod", &object), []);
        }
        let odd = images("Pod", &json!({"spec": {"containers": ["a", {"name": 1, "image": ["b"]}]}}));
        assert!(odd.iter().all(|one| one.image.is_empty()) && odd.len() == 2);
    }
}
