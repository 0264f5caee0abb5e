//! Who serves, on each target, and how their metrics are reached.

use std::path::PathBuf;
use std::sync::Arc;

use plimsoll_config::{Kubernetes, MetricsVia};
use plimsoll_model::Lookup;
use plimsoll_rollout_kubernetes::{KubernetesError, KubernetesTarget, MetricsAt};
use plimsoll_rollout_switch::settings::read_table;
use plimsoll_watch::{BoxFuture, Detour, Replica, Replicas, Way};

use crate::blocking;

/// Where it is told who receives requests.
pub(super) enum Serving {
    /// The table of the traffic switch in this folder.
    Switch(PathBuf),
    /// A cluster's pods.
    Pods(Arc<KubernetesTarget>, MetricsAt),
}

impl Serving {
    /// Of a cluster, as it is configured.
    pub(super) fn pods(target: Arc<KubernetesTarget>, configured: &Kubernetes) -> Self {
        let at = MetricsAt { port: configured.metrics.port, path: configured.metrics.path.clone() };
        Self::Pods(target, at)
    }

    /// Who receives requests now. Who cannot be asked shows nobody, which is no
    /// data.
    pub(super) async fn replicas(&self) -> Vec<Replica> {
        match self {
            Self::Switch(folder) => {
                let folder = folder.clone();
                let table =
                    blocking("reading the switch's table", move || read_table(&folder).ok().flatten());
                let entries = table.await.ok().flatten().map(|table| table.entries).unwrap_or_default();
                let replica = |entry: plimsoll_rollout_switch::Entry| Replica {
                    digest: entry.digest,
                    name: entry.instance,
                    metrics: Some(format!("http://{}/metrics", entry.address)),
                    born: None,
                };
                entries.into_iter().map(replica).collect()
            }
            Self::Pods(target, at) => match target.serving_pods(at).await {
                Ok(pods) => pods
                    .into_iter()
                    .map(|pod| Replica {
                        digest: pod.digest,
                        name: pod.name,
                        metrics: pod.metrics,
                        born: pod.started,
                    })
                    .collect(),
                Err(error) => {
                    tracing::warn!(%error, "the pods cannot be listed for the watch");
                    Vec::new()
                }
            },
        }
    }

    /// The way to their metrics.
    pub(super) fn reached(&self, replicas: Replicas, via: MetricsVia) -> Replicas {
        let Self::Pods(target, _) = self else { return replicas };
        let way = match via {
            MetricsVia::Pod => Way::Direct,
            MetricsVia::Auto => Way::Try,
            MetricsVia::Api => Way::Detour,
        };
        replicas.by(Box::new(Proxied(target.clone())), way)
    }
}

/// Of `http://ADDRESS:PORT/PATH`, as the pods' addresses are written.
fn port_and_path(url: &str) -> Option<(u16, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, _) = rest.split_once('/')?;
    let (_, port) = authority.rsplit_once(':')?;
    Some((port.parse().ok()?, &rest[authority.len()..]))
}

/// Through the API server.
struct Proxied(Arc<KubernetesTarget>);

impl Detour for Proxied {
    fn text<'a>(&'a self, replica: &'a Replica) -> BoxFuture<'a, Lookup<Vec<u8>>> {
        Box::pin(async move {
            let Some((port, path)) = replica.metrics.as_deref().and_then(port_and_path) else {
                return Lookup::Unknown(format!("{} shows no port for metrics", replica.name));
            };
            match self.0.ask_pod(&replica.name, port, path).await {
                Ok(body) => Lookup::Found(body.to_vec()),
                Err(error @ KubernetesError::Nonsense { .. }) => Lookup::Invalid(error.in_full()),
                Err(error) => Lookup::Unknown(error.in_full()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_path_of_a_pod() {
        assert_eq!(port_and_path("http://10.0.0.7:9090/metrics?a"), Some((9090, "/metrics?a")));
        assert_eq!(port_and_path("http://[fd00::7]:80/m"), Some((80, "/m")));
        assert_eq!(port_and_path("http://10.0.0.7/metrics"), None);
    }
}
