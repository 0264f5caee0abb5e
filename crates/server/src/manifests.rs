//! The first manifests of admission in a cluster: what `plimsoll init
//! --admission` prints. Pure.

use std::collections::BTreeSet;

use plimsoll_config::{Answer, Config, Target};
use serde_json::{Value, json};

/// Seconds that the API server waits longer than the server takes.
const SLACK_SEC: u64 = 2;

/// The manifests, as one YAML file. `kubectl apply -f` takes it; afterwards it
/// is the user's to change. `file` is the text of `plimsoll.toml`, `image` holds
/// the program.
pub fn manifests(config: &Config, file: &str, image: &str) -> String {
    let settings = &config.admission;
    let (name, namespace) = (&settings.service, &settings.namespace);
    let labels = json!({"app.kubernetes.io/name": name});
    let meta = |kind_has_namespace: bool| match kind_has_namespace {
        true => json!({"name": name, "namespace": namespace, "labels": labels}),
        false => json!({"name": name, "labels": labels}),
    };
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(true)}),
    ];
    // Only the two configurations by name: it can neither make nor list any.
    let configurations = json!(["validatingwebhookconfigurations", "mutatingwebhookconfigurations"]);
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta(false),
        "rules": [{
            "apiGroups": ["admissionregistration.k8s.io"], "resources": configurations,
            "resourceNames": [settings.webhook], "verbs": ["get", "update"],
        }],
    }));
    objects.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta(false),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }));
    objects.push(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(true), "data": {"plimsoll.toml": file},
    }));
    objects.push(deployment(config, image, &labels));
    objects.push(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta(true),
        "spec": {"selector": labels, "ports": [{"name": "webhook", "port": 443, "targetPort": "webhook"}]},
    }));
    objects.push(json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta(true),
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }));
    if settings.resolve_tags {
        objects.push(webhooks(config, "MutatingWebhookConfiguration", "/admission/mutate"));
    }
    objects.push(webhooks(config, "ValidatingWebhookConfiguration", "/admission/validate"));
    let mut text = String::from(HEAD);
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_json::to_string_pretty(&object).unwrap_or_default());
        text.push('\n');
    }
    text
}

const HEAD: &str = "\
# Admission by Plimsoll, as its first manifests. Yours to change. JSON is YAML.
#
# The webhook configurations come last: with failurePolicy Fail nothing new runs
# in the judged namespaces until a pod of the Deployment is ready.
# Files that plimsoll.toml names (file:cosign.pub) have to be mounted beside it.
";

fn deployment(config: &Config, image: &str, labels: &Value) -> Value {
    let settings = &config.admission;
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "probes"}, "periodSeconds": 5});
    let container = json!({
        "name": "plimsoll",
        "image": image,
        "args": ["-C", "/plimsoll", "serve", "--listen", "0.0.0.0:8686", "--admission",
            "--admission-listen", "0.0.0.0:8443", "--log-format", "json"],
        "ports": [{"name": "webhook", "containerPort": 8443}, {"name": "probes", "containerPort": 8686}],
        "readinessProbe": probe("/readyz"),
        "livenessProbe": probe("/healthz"),
        // Until every node has heard that the pod is out of the Service.
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "work", "mountPath": "/plimsoll"},
            {"name": "configuration", "mountPath": "/plimsoll/plimsoll.toml", "subPath": "plimsoll.toml"},
        ],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": settings.service, "namespace": settings.namespace, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": settings.service,
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels},
                    }],
                    "containers": [container],
                    "volumes": [
                        {"name": "work", "emptyDir": {}},
                        {"name": "configuration", "configMap": {"name": settings.service}},
                    ],
                },
            },
        },
    })
}

fn webhooks(config: &Config, kind: &str, path: &str) -> Value {
    let settings = &config.admission;
    let operations = json!(["CREATE", "UPDATE"]);
    let rule = |group: &str, resources: &[&str]| {
        json!({"apiGroups": [group], "apiVersions": ["v1"], "operations": operations, "scope": "Namespaced",
            "resources": resources})
    };
    let webhook = json!({
        "name": "images.plimsoll.dev",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {
            "name": settings.service, "namespace": settings.namespace, "path": path, "port": 443,
        }},
        "rules": [
            rule("", &["pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"]),
            rule("apps", &["deployments", "replicasets", "statefulsets", "daemonsets"]),
            rule("batch", &["jobs", "cronjobs"]),
        ],
        "matchPolicy": "Equivalent",
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": (settings.budget.as_secs_f64().ceil() as u64 + SLACK_SEC).min(30),
        "namespaceSelector": {"matchExpressions": [namespaces(config)]},
    });
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": settings.webhook, "labels": {"app.kubernetes.io/name": settings.service}},
        "webhooks": [webhook],
    })
}

/// As few namespaces as can be: what the webhook does not judge must not hang on it.
fn namespaces(config: &Config) -> Value {
    let settings = &config.admission;
    let exempt = |name: &&str| !settings.exempt_namespaces.iter().any(|exempt| exempt == name);
    let (operator, values): (_, BTreeSet<&str>) = match settings.other_namespaces {
        Answer::Allow => {
            let named = config.environments.values().filter_map(|environment| match &environment.target {
                Target::Kubernetes(kubernetes) => Some(kubernetes.namespace.as_str()),
                _ => None,
            });
            ("In", named.filter(exempt).collect())
        }
        Answer::Deny => {
            let own = ["kube-system", "kube-node-lease", "kube-public", settings.namespace.as_str()];
            ("NotIn", own.into_iter().chain(settings.exempt_namespaces.iter().map(String::as_str)).collect())
        }
    };
    json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": values})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
    use k8s_openapi::api::apps::v1::Deployment;
    use plimsoll_config::Overlays;

    use super::*;

    fn objects(more: &str) -> Vec<Value> {
        let text = format!(
            "[service]\nname = \"a\"\n[repository]\ncanonical = \"r.example.com/a\"\n[image]\n\
             entrypoint = [\"/a\"]\ncopy = [{{ from = \"a\", to = \"/a\" }}]\n\
             [environments.production]\ntarget = \"kubernetes\"\n[environments.production.kubernetes]\n\
             namespace = \"shop\"\n{more}"
        );
        let loaded =
            Config::parse("plimsoll.toml".into(), text.clone().into_bytes(), &Overlays::new()).unwrap();
        let yaml = manifests(&loaded.config, &text, "r.example.com/plimsoll@sha256:aa");
        yaml.split("---\n").skip(1).map(|one| serde_json::from_str(one).unwrap()).collect()
    }

    fn of<'a>(objects: &'a [Value], kind: &str) -> Option<&'a Value> {
        objects.iter().find(|object| object["kind"] == kind)
    }

    #[test]
    fn they_are_what_a_cluster_takes() {
        let objects = objects("");
        let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        assert_eq!(
            kinds,
            [
                "Namespace",
                "ServiceAccount",
                "ClusterRole",
                "ClusterRoleBinding",
                "ConfigMap",
                "Deployment",
                "Service",
                "PodDisruptionBudget",
                "ValidatingWebhookConfiguration",
            ]
        );
        let deployment: Deployment =
            serde_json::from_value(of(&objects, "Deployment").unwrap().clone()).unwrap();
        let pod = deployment.spec.unwrap().template.spec.unwrap();
        assert_eq!(
            pod.containers[0]
                .lifecycle
                .as_ref()
                .unwrap()
                .pre_stop
                .as_ref()
                .unwrap()
                .sleep
                .as_ref()
                .unwrap()
                .seconds,
            5
        );
        let webhooks: ValidatingWebhookConfiguration =
            serde_json::from_value(of(&objects, "ValidatingWebhookConfiguration").unwrap().clone()).unwrap();
        let webhook = &webhooks.webhooks.unwrap()[0];
        assert_eq!((webhook.timeout_seconds, webhook.failure_policy.as_deref()), (Some(10), Some("Fail")));
        assert_eq!(
            (webhook.side_effects.as_str(), webhook.match_policy.as_deref()),
            ("None", Some("Equivalent"))
        );
    }

    #[test]
    fn only_what_is_judged_hangs_on_the_webhook() {
        let selector = |objects: &[Value]| {
            of(objects, "ValidatingWebhookConfiguration").unwrap()["webhooks"][0]["namespaceSelector"]
                ["matchExpressions"][0]
                .clone()
        };
        let few = selector(&objects(""));
        assert_eq!((&few["operator"], &few["values"]), (&json!("In"), &json!(["shop"])));
        let most = selector(&objects(
            "[admission]\nother_namespaces = \"deny\"\nexempt_namespaces = [\"monitoring\"]",
        ));
        assert_eq!(most["operator"], "NotIn");
        for namespace in ["kube-system", "plimsoll", "monitoring"] {
            assert!(most["values"].as_array().unwrap().contains(&json!(namespace)), "{namespace}");
        }
    }

    #[test]
    fn the_mutating_webhook_is_there_when_tags_are_resolved() {
        assert!(of(&objects(""), "MutatingWebhookConfiguration").is_none());
        assert!(of(&objects("[admission]\nresolve_tags = true"), "MutatingWebhookConfiguration").is_some());
    }
}
