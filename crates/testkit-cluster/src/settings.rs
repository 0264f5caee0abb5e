//! How a cluster is made.

use serde_json::{Value, json};

use crate::object::time;

/// A machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Processors, as a quantity.
    pub cpu: String,
    /// Memory, as a quantity.
    pub memory: String,
    /// Labels beside those of its name.
    pub labels: Vec<(String, String)>,
    /// Taints: `(key, value, effect)`.
    pub taints: Vec<(String, String, String)>,
}

impl Node {
    /// Four processors, 16 GiB.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            cpu: "4".into(),
            memory: "16Gi".into(),
            labels: Vec::new(),
            taints: Vec::new(),
        }
    }

    /// The same with so much room.
    #[must_use]
    pub fn with_capacity(mut self, cpu: &str, memory: &str) -> Self {
        self.cpu = cpu.into();
        self.memory = memory.into();
        self
    }

    /// The same with a label more.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// The same with a taint more.
    #[must_use]
    pub fn with_taint(mut self, key: &str, value: &str, effect: &str) -> Self {
        self.taints.push((key.into(), value.into(), effect.into()));
        self
    }

    pub(crate) fn to_object(&self, now: u64) -> Value {
        let mut labels = json!({"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
        for (key, value) in &self.labels {
            labels[key] = value.as_str().into();
        }
        let taints: Vec<Value> = self
            .taints
            .iter()
            .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
            .collect();
        let room = json!({"cpu": self.cpu, "memory": self.memory, "pods": "110"});
        json!({
            "metadata": {"name": self.name, "labels": labels},
            "spec": {"taints": taints},
            "status": {
                "capacity": room, "allocatable": room,
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "KubeletReady",
                    "message": "kubelet is posting ready status",
                    "lastHeartbeatTime": time(now), "lastTransitionTime": time(now),
                }],
                "nodeInfo": {"kubeletVersion": crate::VERSION, "operatingSystem": "linux", "architecture": "amd64"},
            },
        })
    }
}

/// How virtual time moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// Only by [`crate::Cluster::advance`] and its like.
    #[default]
    Manual,
    /// By itself, so many times as fast as real time.
    Real {
        /// 1: as fast as real time.
        speed: u32,
    },
    /// To the next event whenever no request has been at work for this long:
    /// for clients that wait for what the cluster does.
    WhenIdle {
        /// Real milliseconds.
        quiet_ms: u64,
    },
}

/// How a cluster is made. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Of everything random: names, uids, faults.
    pub seed: u64,
    /// Namespaces beside those that every cluster has.
    pub namespaces: Vec<String>,
    /// Machines.
    pub nodes: Vec<Node>,
    /// How time moves.
    pub pace: Pace,
    /// Virtual milliseconds since 1970 at the start.
    pub starts_at: u64,
    /// So many changes are told to watches; older ones are 410.
    pub history: usize,
    /// How long after a write the controllers look.
    pub controller_delay: u64,
    /// How long after a pod's readiness changed traffic follows.
    pub endpoint_delay: u64,
    /// How often a silent watch says where it is.
    pub bookmark_every: u64,
    /// A silent node counts as lost after this.
    pub node_grace: u64,
    /// Requests need a token that [`crate::Cluster::add_user`] knows.
    pub authentication: bool,
    /// HTTPS with a certificate of its own.
    pub tls: bool,
    /// The network of the pods, its first two bytes. Nobody answers there; what
    /// tries to reach one is refused at once in a network of loopback.
    pub pod_network: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            namespaces: vec!["shop".into()],
            nodes: vec![Node::new("node-a"), Node::new("node-b"), Node::new("node-c")],
            pace: Pace::Manual,
            // 2026-01-01T00:00:00Z
            starts_at: 1_767_225_600_000,
            history: 10_000,
            controller_delay: 0,
            endpoint_delay: 0,
            bookmark_every: 60_000,
            node_grace: 50_000,
            authentication: false,
            tls: false,
            pod_network: "10.244".into(),
        }
    }
}
