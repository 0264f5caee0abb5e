//! What can go wrong between us and a cluster.

use plimsoll_model::{Class, Diagnose};

use crate::workload::ChangedBy;

/// One thing asked of the API: for error texts, and for the rule that would
/// allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// As in RBAC: `get`, `list`, `watch`, `create`, `patch`, `delete`.
    pub verb: &'static str,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plural, with a subresource: `pods/log`.
    pub resource: &'static str,
    /// Of one object, its name.
    pub name: Option<String>,
    /// Where; empty for what is in no namespace.
    pub namespace: String,
}

impl Operation {
    /// As `kubectl auth can-i` has it: `patch deployments.apps`.
    pub fn words(&self) -> String {
        match self.group {
            "" => format!("{} {}", self.verb, self.resource),
            group => format!("{} {}.{group}", self.verb, self.resource),
        }
    }

    /// The rule that allows it, to be added to a Role.
    pub fn rule(&self) -> String {
        format!(
            "{{apiGroups: [\"{}\"], resources: [\"{}\"], verbs: [\"{}\"]}}",
            self.group, self.resource, self.verb
        )
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        if self.namespace.is_empty() {
            return Ok(());
        }
        write!(f, " in namespace {}", self.namespace)
    }
}

/// A cluster that cannot be used as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// There is no usable kubeconfig, and this is not a pod either.
    #[error("there is no way to a cluster: {reason}")]
    Config {
        /// Why.
        reason: String,
    },
    /// The kubeconfig has no such context.
    #[error("the kubeconfig has no context {context}")]
    Context {
        /// The one asked for.
        context: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Credentials could not be had.
    #[error("no credentials for the cluster could be had: {reason}")]
    Login {
        /// Why: mostly what an exec plugin said.
        reason: String,
    },
    /// Nobody answers, not in time, or only that it is busy.
    #[error("{operation} got no answer from the API server at {server}: {reason}")]
    Unreachable {
        /// What was asked.
        operation: Box<Operation>,
        /// Whom.
        server: String,
        /// Why not.
        reason: String,
    },
    /// The credentials are not taken, any more or at all.
    #[error("the API server at {server} does not take the credentials: {operation} was answered with 401")]
    Unauthorized {
        /// What was asked.
        operation: Box<Operation>,
        /// Whom.
        server: String,
    },
    /// The credentials do not allow it.
    #[error("not allowed: {operation}")]
    Forbidden {
        /// What was asked.
        operation: Box<Operation>,
        /// What the API server said.
        message: String,
    },
    /// There is neither a Deployment nor a StatefulSet of that name.
    #[error("there is no Deployment and no StatefulSet {name} in namespace {namespace}")]
    NoWorkload {
        /// Where.
        namespace: String,
        /// Its name.
        name: String,
        /// What makes the Service's pods instead, if anything does.
        instead: Option<String>,
    },
    /// Its pods have no container of that name.
    #[error("{workload} has no container {container}")]
    NoContainer {
        /// The workload.
        workload: String,
        /// The name asked for.
        container: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Several containers run the same image, and nobody said which one is meant.
    #[error("{workload} has more than one container that runs this image, and `container` is not set")]
    Ambiguous {
        /// The workload.
        workload: String,
        /// Their names.
        alike: Vec<String>,
    },
    /// There is no Service of that name.
    #[error("there is no Service {name} in namespace {namespace}")]
    NoService {
        /// Where.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The Service does not send its requests to the workload's pods.
    #[error("the selector of service {service} matches no pod of {workload}")]
    Selector {
        /// The Service.
        service: String,
        /// The workload.
        workload: String,
        /// What it selects.
        selector: String,
        /// What the pods carry.
        labels: String,
    },
    /// The workload is of a kind that cannot be rolled out as asked.
    #[error("{object} cannot be rolled out: {reason}")]
    Unsuitable {
        /// Which object.
        object: String,
        /// Why.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// Somebody else changed the image during the rollout.
    #[error("the image of {object} was changed during the rollout {}", by.as_ref().map_or_else(
        || "as it was applied: an admission webhook may rewrite it".into(), ToString::to_string))]
    Changed {
        /// Which object.
        object: String,
        /// What this rollout had set.
        set: String,
        /// What is there.
        found: String,
        /// Who did it, where the cluster knows.
        by: Option<ChangedBy>,
    },
    /// The API server understood and said no.
    #[error("{operation} was refused: {message}")]
    Refused {
        /// What was asked.
        operation: Box<Operation>,
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{operation} was answered with something else than the API's answer: {reason}")]
    Nonsense {
        /// What was asked.
        operation: Box<Operation>,
        /// What is wrong with it.
        reason: String,
    },
    /// The record in the cluster is not one that Plimsoll wrote.
    #[error("the record of the environment cannot be used: {reason}")]
    Record {
        /// What is wrong.
        reason: String,
    },
    /// Any of these, before anything was touched.
    #[error("{0}")]
    Before(Box<Self>),
    /// A Job ended without having done its work.
    #[error("job {job} failed: {reason}")]
    Job {
        /// Its name.
        job: String,
        /// Why.
        reason: String,
        /// The last lines it wrote, oldest first.
        last_lines: Vec<String>,
        /// What was left, and what to type next.
        next: String,
    },
}

impl KubernetesError {
    /// Whether trying again can help. Credentials are read anew each time:
    /// somebody may log in meanwhile.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unauthorized { .. } | Self::Nonsense { .. } => true,
            Self::Login { .. } => true,
            Self::Before(error) => error.is_transient(),
            Self::Refused { status, .. } => *status == 409 || *status == 404,
            _ => false,
        }
    }

    /// Whether the API server said that it does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether somebody else was faster.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// Whether what was asked about is too long ago.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status: 410, .. })
    }

    /// As it is before anything moves: nothing was touched, and nothing is asked
    /// again by itself.
    pub(crate) fn before(self) -> Self {
        match self {
            Self::Before(_) => self,
            error => Self::Before(Box::new(error)),
        }
    }

    fn hint_before(&self) -> Option<String> {
        let next = match self {
            Self::Unreachable { reason, .. } if reason.contains("certificate") => {
                "the server's certificate is not of the authority that the kubeconfig names: `kubectl version` says the \
                 same, or the provider's tool writes a new kubeconfig"
                    .into()
            }
            Self::Unreachable { .. } => "`kubectl version` asks the same server; then run it again".into(),
            Self::Login { .. } | Self::Unauthorized { .. } => {
                "log in again with your provider's tool; `kubectl auth whoami` tries it".into()
            }
            Self::Forbidden { operation, .. } => rule_to_add(operation),
            Self::Refused { .. } => "the message is the API server's own".into(),
            Self::Nonsense { .. } => {
                "is the kubeconfig's `server` really a cluster's? A proxy may answer instead; `kubectl version` asks \
                 the same server"
                    .into()
            }
            Self::Record { .. } => "remove that annotation from the workload and deploy again".into(),
            // Those that are only ever told beforehand say it themselves.
            other => return other.hint(),
        };
        Some(format!("nothing was touched; {next}"))
    }

    /// The sentence, with what was expected and found: for places that have
    /// no room for more.
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        for (word, part) in [("expected", self.expected()), ("found", self.found())] {
            if let Some(part) = part {
                text.push_str(&format!("; {word} {part}"));
            }
        }
        if let (Self::Forbidden { .. } | Self::Login { .. } | Self::Unauthorized { .. }, Some(hint)) =
            (self, self.hint())
        {
            text.push_str(&format!("; {hint}"));
        }
        text
    }
}

impl Diagnose for KubernetesError {
    fn class(&self) -> Class {
        match self {
            Self::Config { .. }
            | Self::Context { .. }
            | Self::NoWorkload { .. }
            | Self::NoContainer { .. }
            | Self::Ambiguous { .. }
            | Self::NoService { .. }
            | Self::Selector { .. }
            | Self::Unsuitable { .. } => Class::Usage,
            Self::Login { .. }
            | Self::Unreachable { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::Nonsense { .. } => Class::Outside,
            Self::Changed { .. } | Self::Job { .. } => Class::Failed,
            Self::Before(error) => error.class(),
            Self::Record { .. } => Class::Integrity,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "KUB-001",
            Self::Context { .. } => "KUB-002",
            Self::Login { .. } => "KUB-003",
            Self::Unreachable { .. } => "KUB-004",
            Self::Unauthorized { .. } => "KUB-005",
            Self::Forbidden { .. } => "KUB-006",
            Self::NoWorkload { .. } => "KUB-007",
            Self::NoContainer { .. } | Self::Ambiguous { .. } => "KUB-008",
            Self::NoService { .. } => "KUB-009",
            Self::Selector { .. } => "KUB-010",
            Self::Unsuitable { .. } => "KUB-011",
            Self::Changed { .. } => "KUB-012",
            Self::Refused { .. } => "KUB-013",
            Self::Nonsense { .. } => "KUB-014",
            Self::Record { .. } => "KUB-015",
            Self::Job { .. } => "KUB-016",
            Self::Before(error) => error.code(),
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Context { known, .. }
            | Self::NoContainer { known, .. }
            | Self::Ambiguous { alike: known, .. } => Some(format!("one of {}", listed(known))),
            Self::Selector { labels, .. } => Some(labels.clone()),
            Self::Changed { set, .. } => Some(set.clone()),
            Self::Before(error) => error.expected(),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Selector { selector, .. } => Some(selector.clone()),
            Self::Changed { found, .. } => Some(found.clone()),
            Self::Forbidden { message, .. } => Some(message.clone()),
            Self::NoWorkload { instead, .. } => instead.clone(),
            Self::Before(error) => error.found(),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Before(error) => return error.hint_before(),
            Self::Config { .. } => {
                "nothing was touched; set KUBECONFIG, or write ~/.kube/config with your provider's tool".into()
            }
            Self::Context { .. } => {
                "nothing was touched; `kubectl config get-contexts` lists them; the environment's `context` \
                 chooses one"
                    .into()
            }
            Self::Unreachable { .. } => {
                "what serves goes on; `kubectl version` asks the same server; it is asked again until the \
                 rollout's deadline"
                    .into()
            }
            Self::Login { .. } | Self::Unauthorized { .. } => {
                "what serves goes on; log in again in another terminal: the kubeconfig is read anew, and the \
                 rollout goes on"
                    .into()
            }
            Self::Forbidden { operation, .. } => rule_to_add(operation),
            Self::NoWorkload { namespace, instead: None, .. } => format!(
                "nothing was touched; `kubectl -n {namespace} get deployments,statefulsets` lists them; \
                 `plimsoll init --kubernetes ENV` prints a first one"
            ),
            Self::NoWorkload { .. } => {
                "nothing was touched; only Deployments and StatefulSets are driven: another controller would \
                 undo what is done to its pods"
                    .into()
            }
            Self::NoContainer { .. } => {
                "nothing was touched; set `container` in the environment's [kubernetes] section".into()
            }
            Self::Ambiguous { .. } => {
                "nothing was touched; set `container` in the environment's [kubernetes] section; the others keep \
                 the image they have"
                    .into()
            }
            Self::NoService { namespace, .. } => format!(
                "nothing was touched; `kubectl -n {namespace} get services` lists them; set `service` in the \
                 environment's [kubernetes] section"
            ),
            Self::Selector { .. } => {
                "nothing was touched; users would not reach the new release: correct the Service's selector or \
                 the pods' labels"
                    .into()
            }
            Self::Unsuitable { hint, .. } => format!("nothing was touched; {hint}"),
            Self::Changed { .. } => {
                "somebody else is at work on it: agree with them, then deploy again; a GitOps controller must \
                 not own the image"
                    .into()
            }
            Self::Refused { .. } => "what serves goes on; the message is the API server's own".into(),
            Self::Nonsense { .. } => {
                "what serves goes on; is the kubeconfig's server really a cluster's? A proxy may answer instead"
                    .into()
            }
            Self::Record { .. } => {
                "remove that annotation from the workload and deploy again; what runs is not touched by that"
                    .into()
            }
            Self::Job { next, .. } => next.clone(),
        })
    }
}

fn rule_to_add(operation: &Operation) -> String {
    format!(
        "add the rule {} to a Role in namespace {} that is bound to whoever runs Plimsoll; `plimsoll init --kubernetes \
         ENV` prints the whole Role",
        operation.rule(),
        operation.namespace
    )
}

fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    if names.is_empty() {
        return "none".into();
    }
    let mut text = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page() {
        let codes: Vec<_> = (1..=16).map(|n| format!("KUB-{n:03}")).collect();
        assert_eq!(crate::PAGES.iter().map(|page| page.code).collect::<Vec<_>>(), codes);
    }

    #[test]
    fn what_is_not_allowed_comes_with_the_rule_that_would_allow_it() {
        let operation = Operation {
            verb: "patch",
            group: "apps",
            resource: "deployments",
            name: Some("payouts".into()),
            namespace: "prod".into(),
        };
        let error = KubernetesError::Forbidden { operation: Box::new(operation), message: "no".into() };
        assert_eq!(error.to_string(), "not allowed: patch deployments payouts in namespace prod");
        let hint = error.hint().unwrap_or_default();
        let rule = "{apiGroups: [\"apps\"], resources: [\"deployments\"], verbs: [\"patch\"]}";
        assert!(hint.contains(rule), "{hint}");
        assert!(!error.is_transient());
    }
}
