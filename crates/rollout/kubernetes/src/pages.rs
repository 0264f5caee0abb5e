//! A page of `plimsoll explain` for every code of this crate.

use plimsoll_model::Page;

/// A page for every code of [`crate::KubernetesError`].
pub const PAGES: &[Page] = &[
    Page {
        code: "KUB-001",
        name: "kubernetes-no-configuration",
        what: "No kubeconfig could be read, and this process does not run in a pod with a service account.",
        why: "Which cluster is meant is never guessed.",
        how: "Set `KUBECONFIG`, or write `~/.kube/config` with your provider's tool. In a pod, mount a service account token.",
    },
    Page {
        code: "KUB-002",
        name: "kubernetes-context",
        what: "The environment names a context that the kubeconfig does not have.",
        why: "The current context may be another cluster; it is not used instead.",
        how: "`kubectl config get-contexts` lists them. Set `context` in `[environments.NAME.kubernetes]`, or leave it out to use the current one.",
    },
    Page {
        code: "KUB-003",
        name: "kubernetes-login",
        what: "Credentials could not be had: an exec plugin failed or did not end within `login_timeout`, or a token file cannot be read.",
        why: "Without them nothing can be asked, and what cannot be asked is not called \"nothing runs\". A plugin that hangs is ended.",
        how: "Log in with your provider's tool and try `kubectl auth whoami`. In CI, check that the plugin is installed and its own variables are set.",
    },
    Page {
        code: "KUB-004",
        name: "kubernetes-unreachable",
        what: "The API server did not answer in time, or only that it is busy.",
        why: "Pods go on serving without it. The rollout asks again until its deadline, and goes on as soon as there is an answer.",
        how: "`kubectl version` asks the same server. Check network, VPN and proxy.",
    },
    Page {
        code: "KUB-005",
        name: "kubernetes-unauthorized",
        what: "The API server answered 401: the token expired, was revoked, or is for another cluster.",
        why: "The kubeconfig and its plugin are read anew every few seconds, so that a rollout survives a login that ran out.",
        how: "Log in again in another terminal; the rollout goes on by itself. For long rollouts use credentials that outlive them.",
    },
    Page {
        code: "KUB-006",
        name: "kubernetes-forbidden",
        what: "The credentials do not allow an operation that the rollout needs. The message says which verb on which resource.",
        why: "Trying again cannot help, so it is not tried again.",
        how: "Add the rule that the hint shows to a Role in that namespace, or apply the Role that `plimsoll init --kubernetes ENV` prints: it has all rules, and no other.",
    },
    Page {
        code: "KUB-007",
        name: "kubernetes-no-workload",
        what: "There is neither a Deployment nor a StatefulSet of the configured name.",
        why: "Plimsoll adopts a workload that exists; it does not invent one. Pods of another controller, such as a Rollout or a DeploymentConfig, would be changed back by it.",
        how: "Set `deployment` and `namespace` in `[environments.NAME.kubernetes]`, or apply what `plimsoll init --kubernetes ENV` prints.",
    },
    Page {
        code: "KUB-008",
        name: "kubernetes-no-container",
        what: "The workload's pods have no container of the configured name; or several of their containers run the image's repository, and `container` is not set.",
        why: "With several containers, a wrong guess would roll out the wrong one.",
        how: "Set `container` in `[environments.NAME.kubernetes]` to one of the names that are shown.",
    },
    Page {
        code: "KUB-009",
        name: "kubernetes-no-service",
        what: "There is no Service of the configured name.",
        why: "Whether users reach a release is read from the Service's endpoints, and a blue/green rollout moves its selector.",
        how: "Set `service` in `[environments.NAME.kubernetes]`, or apply what `plimsoll init --kubernetes ENV` prints. A worker without users needs one as well: any port will do.",
    },
    Page {
        code: "KUB-010",
        name: "kubernetes-selector",
        what: "The Service's selector asks for labels that the workload's pods do not have.",
        why: "The new release would be ready and nobody would reach it.",
        how: "Correct the selector of the Service or the labels of the pods' template; both are shown.",
    },
    Page {
        code: "KUB-011",
        name: "kubernetes-unsuitable",
        what: "The workload cannot be rolled out as asked: it stops all pods before it starts new ones (`Recreate`), is scaled to zero, is paused, is a StatefulSet and the strategy is blue-green, or has a controller of its own that would set the image back (an operator and its custom resource).",
        why: "A rollout that cannot succeed, or only with an outage, is not begun.",
        how: "The reason says which; the hint says what to change.",
    },
    Page {
        code: "KUB-012",
        name: "kubernetes-changed",
        what: "During the rollout the container's image was changed by somebody else; who and when is shown as the cluster recorded it.",
        why: "What is judged would not be what was approved. The rollout stops, and what served before is put back.",
        how: "Agree with whoever it was. A GitOps controller that owns the image has to leave it out (Argo CD: `ignoreDifferences` with `RespectIgnoreDifferences=true`; Flux: leave the field out of the manifest).",
    },
    Page {
        code: "KUB-013",
        name: "kubernetes-refused",
        what: "The API server understood a change and refused it: invalid, or an admission webhook said no.",
        why: "What was refused did not happen.",
        how: "The message is the API server's own. Change the workload or the rule, then deploy again.",
    },
    Page {
        code: "KUB-014",
        name: "kubernetes-nonsense",
        what: "What answers at the kubeconfig's server does not answer like a cluster, or its answer is larger than any real one.",
        why: "An answer that cannot be understood is neither yes nor no.",
        how: "Check `server` in the kubeconfig. A proxy or a login page in between answers with HTML.",
    },
    Page {
        code: "KUB-015",
        name: "kubernetes-record",
        what: "An annotation of the workload that Plimsoll keeps its record in has a value that Plimsoll did not write.",
        why: "Without a sound record nobody can tell who owns the environment.",
        how: "Remove the annotation that is named: `kubectl annotate deployment NAME plimsoll.dev/desired-`. What runs is not touched by that.",
    },
    Page {
        code: "KUB-016",
        name: "kubernetes-job-failed",
        what: "The Job that runs the release's migrations ended without success, cannot even start, was deleted while it was waited for, or cannot be seen any more.",
        why: "A release that meets a schema it does not know fails in front of users; none of its pods was started.",
        how: "The last lines are shown, and what is known of the work and what is not; the Job runs what `[environments.NAME.kubernetes.migrate]` says; `kubectl logs job/NAME` in the environment's context and namespace has the rest as long as the Job is kept (an hour). Fix the cause and deploy again: the Job is made anew. One that is still at work is waited for first.",
    },
];
