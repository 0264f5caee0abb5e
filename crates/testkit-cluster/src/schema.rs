//! How fields merge: which lists are keyed and by what, which objects count as
//! one value. The one table behind server-side apply and the strategic merge
//! patch.
//!
//! Source: the `x-kubernetes-list-type`, `-list-map-keys`, `-map-type`,
//! `-patch-strategy` and `-patch-merge-key` extensions of Kubernetes' own
//! OpenAPI document (1.36). What is not named here is the rule: an object is a
//! map of fields that are owned one by one, a list is one value.

/// How one field merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// By the rule: an object's fields one by one, as this type; lists and
    /// scalars as one value.
    Plain(&'static str),
    /// One value, also where it is an object.
    Atomic,
    /// A list whose items have an identity: these of their fields.
    Keyed { keys: &'static [&'static str], of: &'static str },
    /// A list of scalars without order.
    Set,
}

/// The type of an item that is one value for all its fields.
pub(crate) const WHOLE: &str = "Whole";

/// Fields that a client may leave out of a key, and what they are then.
pub(crate) const KEY_DEFAULTS: &[(&str, &str)] = &[("protocol", "TCP")];

/// The type of a whole object of this kind.
pub(crate) fn root(kind: &str) -> &'static str {
    ROOTS.iter().find(|(name, _)| *name == kind).map_or("Object", |(_, root)| root)
}

/// How `field` of an object of type `of` merges.
pub(crate) fn field(of: &str, field: &str) -> Shape {
    TYPES
        .iter()
        .find(|(name, _)| *name == of)
        .and_then(|(_, fields)| fields.iter().find(|(name, _)| *name == field))
        .map_or(Shape::Plain(""), |(_, shape)| *shape)
}

/// The field by which a strategic merge patch finds an item: the first of its
/// keys, whatever the number.
pub(crate) fn patch_key(keys: &'static [&'static str]) -> &'static str {
    keys.first().copied().unwrap_or("name")
}

const ROOTS: &[(&str, &str)] = &[
    ("Deployment", "Workload"),
    ("ReplicaSet", "Workload"),
    ("StatefulSet", "Workload"),
    ("DaemonSet", "Workload"),
    ("Job", "Job"),
    ("Pod", "PodTemplate"),
    ("Service", "Service"),
    ("Node", "Node"),
    ("Endpoints", "Endpoints"),
    ("EndpointSlice", "EndpointSlice"),
    ("PodDisruptionBudget", "Budget"),
    ("HorizontalPodAutoscaler", "Autoscaler"),
    ("ServiceAccount", "ServiceAccount"),
    ("RoleBinding", "Binding"),
    ("ClusterRoleBinding", "Binding"),
    ("ValidatingWebhookConfiguration", "Webhooks"),
    ("MutatingWebhookConfiguration", "Webhooks"),
];

const NAME: &[&str] = &["name"];
const TYPE: &[&str] = &["type"];
const META: (&str, Shape) = ("metadata", Shape::Plain("Meta"));
const CONDITIONS: (&str, Shape) = ("conditions", Shape::Keyed { keys: TYPE, of: "" });
const CONDITIONED: (&str, Shape) = ("status", Shape::Plain("Conditioned"));

const fn named(of: &'static str) -> Shape {
    Shape::Keyed { keys: NAME, of }
}

const TYPES: &[(&str, &[(&str, Shape)])] = &[
    ("Object", &[META, CONDITIONED]),
    (
        "Meta",
        &[
            ("finalizers", Shape::Set),
            ("ownerReferences", Shape::Keyed { keys: &["uid"], of: WHOLE }),
            ("managedFields", Shape::Atomic),
        ],
    ),
    ("Workload", &[META, ("spec", Shape::Plain("WorkloadSpec")), CONDITIONED]),
    ("WorkloadSpec", &[("selector", Shape::Atomic), ("template", Shape::Plain("PodTemplate"))]),
    ("Job", &[META, ("spec", Shape::Plain("WorkloadSpec"))]),
    ("PodTemplate", &[META, ("spec", Shape::Plain("PodSpec")), ("status", Shape::Plain("PodStatus"))]),
    (
        "PodSpec",
        &[
            ("containers", named("Container")),
            ("initContainers", named("Container")),
            ("ephemeralContainers", named("Container")),
            ("volumes", named("Volume")),
            ("imagePullSecrets", named(WHOLE)),
            ("resourceClaims", named("")),
            ("schedulingGates", named("")),
            ("hostAliases", Shape::Keyed { keys: &["ip"], of: "" }),
            ("nodeSelector", Shape::Atomic),
            ("affinity", Shape::Plain("Affinity")),
            (
                "topologySpreadConstraints",
                Shape::Keyed { keys: &["topologyKey", "whenUnsatisfiable"], of: "Spread" },
            ),
        ],
    ),
    ("Spread", &[("labelSelector", Shape::Atomic)]),
    ("Affinity", &[("nodeAffinity", Shape::Plain("NodeAffinity"))]),
    ("NodeAffinity", &[("requiredDuringSchedulingIgnoredDuringExecution", Shape::Atomic)]),
    (
        "Container",
        &[
            ("env", named("Env")),
            ("ports", Shape::Keyed { keys: &["containerPort", "protocol"], of: "" }),
            ("volumeMounts", Shape::Keyed { keys: &["mountPath"], of: "" }),
            ("volumeDevices", Shape::Keyed { keys: &["devicePath"], of: "" }),
            ("resources", Shape::Plain("Resources")),
        ],
    ),
    ("Resources", &[("claims", named(""))]),
    ("Env", &[("valueFrom", Shape::Plain("EnvSource"))]),
    (
        "EnvSource",
        &[
            ("configMapKeyRef", Shape::Atomic),
            ("secretKeyRef", Shape::Atomic),
            ("fieldRef", Shape::Atomic),
            ("resourceFieldRef", Shape::Atomic),
        ],
    ),
    (WHOLE, &[]),
    ("Volume", &[]),
    ("PodStatus", &[CONDITIONS, ("podIPs", Shape::Keyed { keys: &["ip"], of: "" })]),
    ("Service", &[META, ("spec", Shape::Plain("ServiceSpec")), CONDITIONED]),
    (
        "ServiceSpec",
        &[("ports", Shape::Keyed { keys: &["port", "protocol"], of: "" }), ("selector", Shape::Atomic)],
    ),
    ("Node", &[META, ("status", Shape::Plain("NodeStatus"))]),
    ("NodeStatus", &[CONDITIONS, ("addresses", Shape::Keyed { keys: TYPE, of: "" })]),
    ("Conditioned", &[CONDITIONS]),
    ("Endpoints", &[META]),
    ("EndpointSlice", &[META]),
    ("Budget", &[META, ("spec", Shape::Plain("BudgetSpec")), CONDITIONED]),
    ("BudgetSpec", &[("selector", Shape::Atomic)]),
    ("Autoscaler", &[META, CONDITIONED]),
    ("ServiceAccount", &[META, ("secrets", named(""))]),
    ("Binding", &[META, ("roleRef", Shape::Atomic)]),
    ("Webhooks", &[META, ("webhooks", named("Webhook"))]),
    (
        "Webhook",
        &[
            ("matchConditions", named("")),
            ("namespaceSelector", Shape::Atomic),
            ("objectSelector", Shape::Atomic),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_in_the_table() {
        let known: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        let named = TYPES.iter().flat_map(|(_, fields)| fields.iter()).filter_map(|(_, shape)| match shape {
            Shape::Plain(of) | Shape::Keyed { of, .. } => Some(*of),
            Shape::Atomic | Shape::Set => None,
        });
        for name in named.chain(ROOTS.iter().map(|(_, root)| *root)).filter(|name| !name.is_empty()) {
            assert!(known.contains(&name), "{name} is named, but has no row");
        }
    }

    #[test]
    fn containers_are_found_by_name_from_the_root_of_a_deployment() {
        let Shape::Plain(spec) = field(root("Deployment"), "spec") else { panic!("spec is an object") };
        let Shape::Plain(template) = field(spec, "template") else { panic!("template is an object") };
        let Shape::Plain(pod) = field(template, "spec") else { panic!("the pod's spec is an object") };
        assert_eq!(field(pod, "containers"), Shape::Keyed { keys: &["name"], of: "Container" });
        assert_eq!(field(pod, "tolerations"), Shape::Plain(""));
    }
}
