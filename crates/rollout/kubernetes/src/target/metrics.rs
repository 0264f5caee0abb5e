//! Where the pods of both releases show their metrics, and reading them through
//! the API server where a pod's own address cannot be reached.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use plimsoll_model::Digest;

use super::KubernetesTarget;
use crate::error::KubernetesError;
use crate::observe::digest_of;
use crate::view::{View, is_ready};
use crate::workload::WorkloadKind;

/// Which port and path of a pod shows its metrics. What is not said is found
/// in the pod: annotations `prometheus.io/port` and `prometheus.io/path`, else
/// its container's port `metrics`, `http` or first one, and `/metrics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricsAt {
    /// The port.
    pub port: Option<u16>,
    /// The path, with a slash before it.
    pub path: Option<String>,
}

/// A pod that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingPod {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub digest: Digest,
    /// Where its metrics are, by its own address; none where it shows no port.
    pub metrics: Option<String>,
    /// When its container started.
    pub started: Option<Timestamp>,
}

/// How two releases of a workload serve at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideBySide {
    /// All of the old one, and pods of the new one beside them.
    Beside,
    /// Pods of the new one in the place of as many old ones.
    InPlace,
    /// Only one of them can.
    Not,
}

const PORT: &str = "prometheus.io/port";
const PATH: &str = "prometheus.io/path";

impl KubernetesTarget {
    /// The pods that are ready, of every release.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn serving_pods(&self, at: &MetricsAt) -> Result<Vec<ServingPod>, KubernetesError> {
        Ok(serving(&self.view().await?, &self.options.container, at))
    }

    /// What a pod answers at a port and a path, asked through the API server
    /// (`pods/proxy`).
    ///
    /// # Errors
    /// When that is not allowed, the pod does not answer, or too much.
    pub async fn ask_pod(&self, pod: &str, port: u16, path: &str) -> Result<bytes::Bytes, KubernetesError> {
        self.api.proxied(pod, port, path).await
    }

    /// How both releases can serve side by side: pods of a StatefulSet have
    /// identities that cannot exist twice, so that new ones take the place of old
    /// ones, of which one has to stay.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn side_by_side(&self) -> Result<SideBySide, KubernetesError> {
        let workload = self.workload().await?;
        Ok(match (workload.kind(), workload.replicas()) {
            (WorkloadKind::Deployment, _) => SideBySide::Beside,
            (WorkloadKind::StatefulSet, 0 | 1) => SideBySide::Not,
            (WorkloadKind::StatefulSet, _) => SideBySide::InPlace,
        })
    }
}

/// Pure, as all of what a look means.
fn serving(view: &View, container: &str, at: &MetricsAt) -> Vec<ServingPod> {
    view.own_pods()
        .map(|(_, pod)| pod)
        .filter(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| {
            Some(ServingPod {
                name: pod.metadata.name.clone()?,
                digest: digest_of(pod, container)?,
                metrics: metrics_of(pod, container, at),
                started: started(pod, container),
            })
        })
        .collect()
}

fn metrics_of(pod: &Pod, container: &str, at: &MetricsAt) -> Option<String> {
    let note = |key: &str| pod.metadata.annotations.as_ref()?.get(key).map(String::as_str);
    let port = at.port.or_else(|| note(PORT)?.parse().ok()).or_else(|| port_of(pod, container))?;
    let path = at.path.as_deref().or_else(|| note(PATH).filter(|path| path.starts_with('/')));
    let address = pod.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())?;
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    Some(format!("http://{host}:{port}{}", path.unwrap_or("/metrics")))
}

fn port_of(pod: &Pod, container: &str) -> Option<u16> {
    let own = pod.spec.as_ref()?.containers.iter().find(|c| c.name == container)?;
    let ports = own.ports.as_deref().unwrap_or_default();
    let named = |name: &str| ports.iter().find(|port| port.name.as_deref() == Some(name));
    let port = named("metrics").or_else(|| named("http")).or_else(|| ports.first())?;
    u16::try_from(port.container_port).ok()
}

fn started(pod: &Pod, container: &str) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let state = statuses.iter().find(|status| status.name == container)?.state.as_ref()?;
    state.running.as_ref()?.started_at.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn pod(ports: Value, annotations: Value) -> Pod {
        let object = json!({
            "metadata": { "name": "a", "annotations": annotations },
            "spec": { "containers": [{ "name": "web", "ports": ports }, { "name": "side", "ports": [{ "containerPort": 1 }] }] },
            "status": {
                "podIP": "10.0.0.7",
                "containerStatuses": [{ "name": "web", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                                        "state": { "running": { "startedAt": "2026-11-25T12:00:00Z" } } }],
            },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_metrics_are_where_the_pod_or_the_configuration_says() {
        let at = |port, path: Option<&str>| MetricsAt { port, path: path.map(Into::into) };
        let two =
            json!([{ "name": "grpc", "containerPort": 9000 }, { "name": "metrics", "containerPort": 9090 }]);
        let noted = json!({ PORT: "9100", PATH: "/internal" });
        for (pod, at, found) in [
            (pod(two.clone(), json!({})), at(None, None), Some("http://10.0.0.7:9090/metrics")),
            (
                pod(json!([{ "containerPort": 8080 }]), json!({})),
                at(None, None),
                Some("http://10.0.0.7:8080/metrics"),
            ),
            (pod(two.clone(), noted.clone()), at(None, None), Some("http://10.0.0.7:9100/internal")),
            (pod(two, noted), at(Some(7), Some("/m")), Some("http://10.0.0.7:7/m")),
            (pod(json!([]), json!({})), at(None, Some("/m")), None),
            (pod(json!([]), json!({ PORT: "none" })), at(None, None), None),
        ] {
            assert_eq!(metrics_of(&pod, "web", &at).as_deref(), found);
            assert_eq!(started(&pod, "web").unwrap().to_string(), "2026-11-25T12:00:00Z");
        }
    }
}
