//! A first set of manifests for a service: what `plimsoll init --kubernetes`
//! writes. Pure.

use plimsoll_model::Strategy;
use serde_json::json;

use crate::workload::WorkloadKind;

/// What the manifests are for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tells its pods from all others of the namespace, a DNS label: in labels, and
    /// the name of service accounts and roles.
    pub name: String,
    /// Name of the Deployment.
    pub deployment: String,
    /// Name of its container, a DNS label.
    pub container: String,
    /// Name of the Service, a DNS label.
    pub service: String,
    /// Where it runs, a DNS label.
    pub namespace: String,
    /// The environment of `plimsoll.toml`.
    pub environment: String,
    /// The image to begin with, best pinned by digest; the first rollout
    /// replaces it.
    pub image: String,
    /// Port the process listens on.
    pub port: u16,
    /// Path that answers 2xx when a pod may serve.
    pub health: String,
    /// User and group that the process runs as; never root.
    pub run_as: (u32, u32),
    /// Pods that serve when nothing moves.
    pub replicas: u32,
    /// Seconds a pod may finish its requests.
    pub drain_sec: u32,
    /// Whether rollouts are blue/green, which needs to make a second
    /// Deployment and a Service.
    pub blue_green: bool,
    /// Whether releases are compared.
    pub compare: bool,
    /// Whether pods are asked for their metrics through the API server.
    pub proxy: bool,
    /// Whether migrations run as a Job.
    pub jobs: bool,
}

/// Seconds a pod goes on serving after it was asked to end: until every node
/// has heard of it.
const PRE_STOP_SEC: u32 = crate::manifest::PRE_STOP_SEC as u32;

/// The manifests, as one YAML file. `kubectl apply -f` takes it; afterwards it
/// is the user's to change.
pub fn manifests(settings: &Settings) -> String {
    let Settings { port, replicas, run_as: (user, group), .. } = settings;
    let (name, namespace) = (scalar(&settings.name), scalar(&settings.namespace));
    let (deployment, container) = (scalar(&settings.deployment), scalar(&settings.container));
    let (service, environment) = (scalar(&settings.service), scalar(&settings.environment));
    let (image, health) = (quoted(&settings.image), quoted(&settings.health));
    let grace = settings.drain_sec + PRE_STOP_SEC + 5;
    let app = format!(
        "\
# The service {name}, as Plimsoll's first manifests for it. Yours to change.
#
# Plimsoll rolls releases out by changing the image of container {container} in
# Deployment {deployment}, its update strategy, and labels and annotations that begin
# with plimsoll.dev/. Everything else, the number of replicas too, is yours.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {name}
  namespace: {namespace}
# The service itself asks nothing of the cluster.
automountServiceAccountToken: false
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {deployment}
  namespace: {namespace}
  labels:
    app.kubernetes.io/name: {name}
    plimsoll.dev/environment: {environment}
spec:
  replicas: {replicas}
  # A pod counts once it has been ready for this long: one that crashes a
  # moment later replaces nobody.
  minReadySeconds: 3
  # How many old ReplicaSets are kept; going back finds the last one there.
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: {max_unavailable}
      maxSurge: 1
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {name}
        # Tells these pods from those of a second Deployment.
        plimsoll.dev/slot: home
    spec:
      serviceAccountName: {name}
      automountServiceAccountToken: false
      # preStop, then the requests in flight, then a little more.
      terminationGracePeriodSeconds: {grace}
      securityContext:
        runAsNonRoot: true
        runAsUser: {user}
        runAsGroup: {group}
        fsGroup: {group}
        seccompProfile:
          type: RuntimeDefault
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: {name}
      containers:
        - name: {container}
          image: {image}
          ports:
            - name: http
              containerPort: {port}
          env:
            - name: PORT
              value: \"{port}\"
          # Until it has started; then the other two take over.
          startupProbe:
            httpGet:
              path: {health}
              port: http
            periodSeconds: 1
            failureThreshold: 60
          # Who may receive requests.
          readinessProbe:
            httpGet:
              path: {health}
              port: http
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          # Who is beyond help. Only whether it still listens: by a path that
          # needs a database, every pod would end while the database is away.
          livenessProbe:
            tcpSocket:
              port: http
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            # A pod that is asked to end still gets requests until every node
            # has heard of it; without this, rollouts lose some.
            preStop:
              sleep:
                seconds: {PRE_STOP_SEC}
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              memory: 512Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [\"ALL\"]
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: tmp
          emptyDir: {{}}
---
apiVersion: v1
kind: Service
metadata:
  name: {service}
  namespace: {namespace}
  labels:
    app.kubernetes.io/name: {name}
spec:
  type: ClusterIP
  selector:
    app.kubernetes.io/name: {name}
  ports:
    - name: http
      port: 80
      targetPort: http
---
# Drains of nodes leave enough pods; rollouts have bounds of their own.
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {deployment}
  namespace: {namespace}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
",
        max_unavailable = u32::from(*replicas > 1),
    );
    format!("{app}---\n{}", access(settings))
}

/// Text in quotes: JSON's are YAML's.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

/// A name as YAML reads it back: in quotes where it would be taken for a number,
/// a truth value or nothing.
fn scalar(name: &str) -> String {
    const WORDS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase()) && name != "n" && !WORDS.contains(&name);
    if plain { name.to_owned() } else { quoted(name) }
}

/// One rule: group, resource, verbs, and why.
pub type Rule = (&'static str, &'static str, Vec<&'static str>, &'static str);

/// What rules are needed for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    /// What makes the pods.
    pub kind: WorkloadKind,
    /// How releases are rolled out.
    pub strategy: Strategy,
    /// Whether releases are compared, which needs pods of both.
    pub compare: bool,
    /// Whether pods are asked for their metrics through the API server.
    pub proxy: bool,
    /// Whether migrations run as a Job.
    pub jobs: bool,
}

/// The rules Plimsoll needs in the namespace, and no other.
pub fn rules(purpose: Purpose) -> Vec<Rule> {
    let Purpose { kind, strategy, compare, proxy, jobs } = purpose;
    let with = |makes: bool, mut verbs: Vec<&'static str>| {
        if makes {
            verbs.extend(["create", "delete"]);
        }
        verbs
    };
    let blue_green = strategy == Strategy::BlueGreen;
    let read = || vec!["get", "list", "watch"];
    let mut rules = match kind {
        WorkloadKind::Deployment => vec![
            (
                "apps",
                "deployments",
                with(blue_green || compare, vec!["get", "list", "watch", "patch"]),
                "the image, and a second Deployment for blue/green and for comparing",
            ),
            ("apps", "replicasets", read(), "whose pods are whose, and why some are not made"),
            ("", "pods", read(), "how the pods are"),
        ],
        WorkloadKind::StatefulSet => vec![
            ("apps", "statefulsets", vec!["get", "list", "watch", "patch"], "the image"),
            (
                "",
                "pods",
                vec!["get", "list", "watch", "delete"],
                "how the pods are; a broken one blocks the way back",
            ),
        ],
    };
    rules.extend([
        ("", "pods/log", vec!["get"], "last lines of a pod that fails"),
        ("", "events", vec!["list"], "why a pod does not start"),
        ("", "services", with(blue_green, vec!["get", "list", "watch", "patch"]), "who receives requests"),
        ("discovery.k8s.io", "endpointslices", vec!["list", "watch"], "who really receives requests"),
    ]);
    if compare && proxy {
        rules.push(("", "pods/proxy", vec!["get"], "the metrics of both releases"));
    }
    if jobs {
        rules.push(("batch", "jobs", vec!["get", "list", "watch", "create", "delete"], "migrations"));
    }
    rules
}

fn access(settings: &Settings) -> String {
    let account = scalar(&format!("{}-plimsoll", settings.name));
    let namespace = scalar(&settings.namespace);
    let mut text = format!(
        "\
# Whoever runs `plimsoll deploy` from within the cluster. From outside, bind
# the Role to your CI's user instead.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {account}
  namespace: {namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {account}
  namespace: {namespace}
rules:
"
    );
    let strategy = if settings.blue_green { Strategy::BlueGreen } else { Strategy::Rolling };
    let Settings { compare, proxy, jobs, .. } = *settings;
    let purpose = Purpose { kind: WorkloadKind::Deployment, strategy, compare, proxy, jobs };
    for (group, resource, verbs, why) in rules(purpose) {
        let verbs: Vec<String> = verbs.iter().map(|verb| format!("{verb:?}")).collect();
        text.push_str(&format!(
            "  # {why}\n  - apiGroups: [{group:?}]\n    resources: [{resource:?}]\n    verbs: [{}]\n",
            verbs.join(", ")
        ));
    }
    text.push_str(&format!(
        "\
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {account}
  namespace: {namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {account}
subjects:
  - kind: ServiceAccount
    name: {account}
    namespace: {namespace}
"
    ));
    text
}
