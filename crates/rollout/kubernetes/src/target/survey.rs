//! Whether the cluster answers, and what it allows: for `plimsoll doctor`.

use futures_util::StreamExt as _;
use plimsoll_model::Strategy;

use super::{KubernetesTarget, Options};
use crate::error::{KubernetesError, Operation};
use crate::init::Purpose;
use crate::workload::WorkloadKind;

/// Rules that are asked about at once. Each question under way has a connection
/// of its own, and a handshake costs more than an answer; the lists of a rollout
/// need about as many anyway.
const AT_ONCE: usize = 6;

/// What the API server says about itself and about whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The server's address.
    pub server: String,
    /// Its version; empty where it does not tell.
    pub version: String,
    /// How many rules were asked about.
    pub asked: usize,
    /// Of how many of them the server does not say whether they are there.
    pub unsaid: usize,
    /// Rules without which a rollout is refused.
    pub missing: Vec<Operation>,
    /// Rules without which it sees or explains less.
    pub wanted: Vec<Operation>,
}

/// A rule, and whether the credentials have it.
pub(super) struct Asked {
    pub(super) operation: Operation,
    /// Whether there is no other way where it is missing.
    pub(super) needed: bool,
    /// Nothing where the server does not say.
    pub(super) allowed: Option<bool>,
}

impl KubernetesTarget {
    /// Asks the API server for its version and, rule by rule, what is allowed.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn survey(&self, strategy: Strategy) -> Result<Survey, KubernetesError> {
        let version = match self.api.version().await {
            Err(KubernetesError::Forbidden { .. }) => String::new(),
            answer => answer.map_err(KubernetesError::before)?,
        };
        let kind = self.workload().await.map_or(WorkloadKind::Deployment, |home| home.kind());
        let asked = self.rules_asked(self.purpose(kind, strategy)).await;
        let refused = |needed: bool| {
            let refused = asked.iter().filter(|rule| rule.allowed == Some(false) && rule.needed == needed);
            refused.map(|rule| rule.operation.clone()).collect()
        };
        Ok(Survey {
            server: self.api.server(),
            version,
            asked: asked.len(),
            unsaid: asked.iter().filter(|rule| rule.allowed.is_none()).count(),
            missing: refused(true),
            wanted: refused(false),
        })
    }

    /// What the rules are needed for.
    pub(super) fn purpose(&self, kind: WorkloadKind, strategy: Strategy) -> Purpose {
        let Options { compare, proxy, jobs, .. } = self.options;
        Purpose { kind, strategy, compare, proxy, jobs }
    }

    /// Asks for every rule of the Role whether it is there.
    pub(super) async fn rules_asked(&self, purpose: Purpose) -> Vec<Asked> {
        let asked = crate::init::rules(purpose).into_iter().flat_map(|(group, resource, verbs, _)| {
            verbs.into_iter().map(move |verb| (group, resource, verb))
        });
        let asked = asked.map(|(group, resource, verb)| async move {
            let namespace = self.options.namespace.clone();
            let operation = Operation { verb, group, resource, name: None, namespace };
            // Lists and streams have other ways where they are not allowed.
            let needed = verb != "watch" && !["endpointslices", "events", "pods/log"].contains(&resource);
            let allowed = self.api.may(&operation).await;
            Asked { operation, needed, allowed }
        });
        futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await
    }
}
