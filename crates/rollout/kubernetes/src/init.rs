//! A first set of manifests for a service: what `plimsoll init --kubernetes`
//! writes. Pure.

use serde_json::json;

use crate::workload::WorkloadKind;

/// What the manifests are for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The service: name of every object, a DNS label.
    pub name: String,
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
    /// Pods that serve when nothing moves.
    pub replicas: u32,
    /// Seconds a pod may finish its requests.
    pub drain_sec: u32,
    /// Whether rollouts are blue/green, which needs to make a second
    /// Deployment and a Service.
    pub blue_green: bool,
    /// Whether migrations run as a Job.
    pub jobs: bool,
}

/// Seconds a pod goes on serving after it was asked to end: until every node
/// has heard of it.
const PRE_STOP_SEC: u32 = crate::manifest::PRE_STOP_SEC as u32;

/// The manifests, as one YAML file. `kubectl apply -f` takes it; afterwards it
/// is the user's to change.
pub fn manifests(settings: &Settings) -> String {
    let Settings { name, namespace, environment, port, replicas, .. } = settings;
    // Text in quotes: JSON's are YAML's.
    let quoted = |text: &str| json!(text).to_string();
    let (image, health) = (quoted(&settings.image), quoted(&settings.health));
    let grace = settings.drain_sec + PRE_STOP_SEC + 5;
    let app = format!(
        "\
# The service {name}, as Plimsoll's first manifests for it. Yours to change.
#
# Plimsoll rolls releases out by changing the image of container {name} in
# Deployment {name}, its update strategy, and labels and annotations that begin
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
  name: {name}
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
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
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
        - name: {name}
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
          # Who is beyond help: slow to judge, since it ends the process.
          livenessProbe:
            httpGet:
              path: {health}
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
  name: {name}
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
  name: {name}
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

/// One rule: group, resource, verbs, and why.
pub type Rule = (&'static str, &'static str, Vec<&'static str>, &'static str);

/// The rules Plimsoll needs in the namespace, and no other.
pub fn rules(kind: WorkloadKind, blue_green: bool, jobs: bool) -> Vec<Rule> {
    let made = |verbs: &[&'static str]| {
        let mut verbs = verbs.to_vec();
        if blue_green {
            verbs.extend(["create", "delete"]);
        }
        verbs
    };
    let read = || vec!["get", "list", "watch"];
    let mut rules = match kind {
        WorkloadKind::Deployment => vec![
            (
                "apps",
                "deployments",
                made(&["get", "list", "watch", "patch"]),
                "the image, and the second Deployment of a blue/green rollout",
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
        ("", "services", made(&["get", "list", "watch", "patch"]), "who receives requests"),
        ("discovery.k8s.io", "endpointslices", vec!["list", "watch"], "who really receives requests"),
    ]);
    if jobs {
        rules.push(("batch", "jobs", vec!["get", "list", "watch", "create", "delete"], "migrations"));
    }
    rules
}

fn access(settings: &Settings) -> String {
    let Settings { name, namespace, .. } = settings;
    let mut text = format!(
        "\
# Whoever runs `plimsoll deploy` from within the cluster. From outside, bind
# the Role to your CI's user instead.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {name}-plimsoll
  namespace: {namespace}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {name}-plimsoll
  namespace: {namespace}
rules:
"
    );
    for (group, resource, verbs, why) in rules(WorkloadKind::Deployment, settings.blue_green, settings.jobs) {
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
  name: {name}-plimsoll
  namespace: {namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {name}-plimsoll
subjects:
  - kind: ServiceAccount
    name: {name}-plimsoll
    namespace: {namespace}
"
    ));
    text
}
