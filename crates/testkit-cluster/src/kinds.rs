//! The kinds that the cluster serves: one table, from which paths, discovery
//! and storage follow.

/// One served resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`, as in paths.
    pub plural: &'static str,
    /// What kubectl also takes.
    pub short: &'static [&'static str],
    /// Lives in a namespace.
    pub namespaced: bool,
    /// `status`, `scale`, `log`, `eviction`.
    pub subresources: &'static [&'static str],
    /// The server counts changes of the desired state in
    /// `metadata.generation`.
    pub generation: bool,
    /// Other verbs than create, delete, get, list, patch, update, watch; then
    /// only these.
    pub only: &'static [&'static str],
}

impl Kind {
    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, `pods`: how messages name a resource.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `Deployment.apps`, `Pod`: how messages of validation name a kind.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.kind.into() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// Whether the state that was seen is kept apart, under `/status`.
    pub fn has_status(&self) -> bool {
        self.subresources.contains(&"status")
    }

    /// Where objects are kept: events of both groups are the same objects.
    pub fn storage(&'static self) -> &'static Kind {
        if self.group == "events.k8s.io" { by_plural("", "events").unwrap_or(self) } else { self }
    }

    /// The path of a collection, or of one object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        let within = if self.namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{namespace}/{}", self.plural)
        } else {
            format!("{root}/{}", self.plural)
        };
        if name.is_empty() { within } else { format!("{within}/{name}") }
    }
}

const NONE: &[&str] = &[];
const STATUS: &[&str] = &["status"];
const SCALED: &[&str] = &["status", "scale"];

macro_rules! kinds {
    ($($group:literal $version:literal $kind:literal $plural:literal [$($short:literal)*] $namespaced:literal $subresources:expr, $generation:literal;)*) => {
        &[$(Kind { group: $group, version: $version, kind: $kind, plural: $plural, short: &[$($short),*],
            namespaced: $namespaced, subresources: $subresources, generation: $generation, only: NONE }),*]
    };
}

/// Every kind with ordinary storage.
pub(crate) static KINDS: &[Kind] = kinds! {
    "" "v1" "Namespace" "namespaces" ["ns"] false &["status", "finalize"], false;
    "" "v1" "Node" "nodes" ["no"] false STATUS, false;
    "" "v1" "Pod" "pods" ["po"] true &["status", "log", "proxy", "eviction", "binding", "ephemeralcontainers"], true;
    "" "v1" "Service" "services" ["svc"] true STATUS, false;
    "" "v1" "Endpoints" "endpoints" ["ep"] true NONE, false;
    "" "v1" "Event" "events" ["ev"] true NONE, false;
    "" "v1" "ConfigMap" "configmaps" ["cm"] true NONE, false;
    "" "v1" "Secret" "secrets" [] true NONE, false;
    "" "v1" "ServiceAccount" "serviceaccounts" ["sa"] true &["token"], false;
    "" "v1" "ResourceQuota" "resourcequotas" ["quota"] true STATUS, false;
    "" "v1" "LimitRange" "limitranges" ["limits"] true NONE, false;
    "" "v1" "PersistentVolumeClaim" "persistentvolumeclaims" ["pvc"] true STATUS, false;
    "apps" "v1" "Deployment" "deployments" ["deploy"] true SCALED, true;
    "apps" "v1" "ReplicaSet" "replicasets" ["rs"] true SCALED, true;
    "apps" "v1" "StatefulSet" "statefulsets" ["sts"] true SCALED, true;
    "apps" "v1" "DaemonSet" "daemonsets" ["ds"] true STATUS, true;
    "apps" "v1" "ControllerRevision" "controllerrevisions" [] true NONE, false;
    "batch" "v1" "Job" "jobs" [] true STATUS, true;
    "batch" "v1" "CronJob" "cronjobs" ["cj"] true STATUS, true;
    "autoscaling" "v2" "HorizontalPodAutoscaler" "horizontalpodautoscalers" ["hpa"] true STATUS, false;
    "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" ["pdb"] true STATUS, true;
    "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" [] true NONE, true;
    "events.k8s.io" "v1" "Event" "events" ["ev"] true NONE, false;
    "coordination.k8s.io" "v1" "Lease" "leases" [] true NONE, false;
    "networking.k8s.io" "v1" "Ingress" "ingresses" ["ing"] true STATUS, true;
    "rbac.authorization.k8s.io" "v1" "Role" "roles" [] true NONE, false;
    "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" [] true NONE, false;
    "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" [] false NONE, false;
    "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings" [] false NONE, false;
    "admissionregistration.k8s.io" "v1" "ValidatingWebhookConfiguration" "validatingwebhookconfigurations" [] false NONE, true;
    "admissionregistration.k8s.io" "v1" "MutatingWebhookConfiguration" "mutatingwebhookconfigurations" [] false NONE, true;
};

/// Kinds that are questions: they are answered and not kept.
pub(crate) static REVIEWS: &[Kind] = &[
    review("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews", false),
    review("authorization.k8s.io", "SelfSubjectRulesReview", "selfsubjectrulesreviews", false),
    review("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", false),
    review("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews", true),
    review("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", false),
    review("authentication.k8s.io", "TokenReview", "tokenreviews", false),
];

const fn review(group: &'static str, kind: &'static str, plural: &'static str, namespaced: bool) -> Kind {
    Kind {
        group,
        version: "v1",
        kind,
        plural,
        short: NONE,
        namespaced,
        subresources: NONE,
        generation: false,
        only: &["create"],
    }
}

/// The kind behind `/apis/{group}/…/{plural}`.
pub(crate) fn by_plural(group: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().chain(REVIEWS).find(|kind| kind.group == group && kind.plural == plural)
}

/// The kind of an object, by its own `apiVersion` and `kind`.
pub(crate) fn by_name(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    KINDS.iter().chain(REVIEWS).find(|k| k.group == group && k.version == version && k.kind == kind)
}

/// The kind that a person means: `Deployment`, `deployments`, `deploy`,
/// `deployments.apps`.
pub(crate) fn by_any_name(name: &str) -> Option<&'static Kind> {
    let lower = name.to_ascii_lowercase();
    KINDS.iter().find(|kind| {
        kind.kind.eq_ignore_ascii_case(name)
            || kind.plural == lower
            || kind.short.contains(&lower.as_str())
            || kind.qualified() == lower
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_however_it_is_named() {
        for name in ["Deployment", "deployments", "deploy", "deployments.apps"] {
            assert_eq!(by_any_name(name).map(|kind| kind.kind), Some("Deployment"), "{name}");
        }
        assert_eq!(by_any_name("rollouts"), None);
        let slice = by_name("discovery.k8s.io/v1", "EndpointSlice").expect("it is in the table");
        assert_eq!(slice.path("shop", "a"), "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/a");
        assert_eq!(by_plural("events.k8s.io", "events").expect("served").storage().group, "");
    }
}
