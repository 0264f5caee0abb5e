//! What can be found out before anything moves.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_model::Strategy;

use super::KubernetesTarget;
use super::lists::query_of;
use crate::api::Kind;
use crate::check;
use crate::error::KubernetesError;
use crate::record::Record;
use crate::workload::WorkloadKind;

impl KubernetesTarget {
    /// Everything that can be found out before anything moves; what is worth
    /// telling a person. Refuses what cannot be rolled out as asked.
    ///
    /// # Errors
    /// When the cluster cannot be asked, something is missing, or does not fit.
    pub async fn check(&self, strategy: Strategy, drain_sec: u32) -> Result<Vec<String>, KubernetesError> {
        self.checked(strategy, drain_sec).await.map_err(KubernetesError::before)
    }

    async fn checked(&self, strategy: Strategy, drain_sec: u32) -> Result<Vec<String>, KubernetesError> {
        let home = self.workload().await?;
        let service = self.service().await?;
        check::suitable(&home, &service, &self.options.container, strategy)?;
        if !self.options.container_is_named {
            check::unambiguous(&home, &self.options.container)?;
        }
        Record::of(&home).map_err(|reason| KubernetesError::Record { reason })?;
        // The lists are begun now, so that the first look is not slower than
        // the others.
        let (allowed, view) = tokio::join!(self.allowed(home.kind(), strategy), self.view());
        allowed?;
        view?;
        Ok(check::warnings(&home, &self.options.container, drain_sec))
    }

    /// Refuses before anything is touched what would be refused on the way.
    async fn allowed(&self, kind: WorkloadKind, strategy: Strategy) -> Result<(), KubernetesError> {
        let asked = self.rules_asked(self.purpose(kind, strategy)).await.into_iter();
        let refused = asked.filter(|rule| rule.needed && rule.allowed == Some(false));
        let mut refused = refused.map(|rule| rule.operation);
        let Some(first) = refused.next() else { return Ok(()) };
        let others: Vec<String> = refused.map(|operation| operation.rule()).collect();
        let message = match others.is_empty() {
            true => "the API server says that it would be refused".into(),
            false => format!("the API server says that it would be refused, and also {}", others.join(", ")),
        };
        Err(KubernetesError::Forbidden { operation: Box::new(first), message })
    }

    async fn service(&self) -> Result<Service, KubernetesError> {
        let name = &self.options.service;
        let found = self.api.get::<Service>(Kind::SERVICE, name).await?;
        found.ok_or_else(|| KubernetesError::NoService {
            namespace: self.options.namespace.clone(),
            name: name.clone(),
        })
    }

    /// What makes the Service's pods, where it is none of the two kinds.
    pub(super) async fn made_by_others(&self) -> Option<String> {
        let service = self.service().await.ok()?;
        let selector = service.spec?.selector.filter(|selector| !selector.is_empty())?;
        let selector = LabelSelector { match_labels: Some(selector), match_expressions: None };
        let pods = self.api.list::<Pod>(Kind::POD, &query_of(&selector)).await.ok()?.items;
        let owner = pods.iter().find_map(|pod| crate::view::controller(&pod.metadata))?;
        let mut owner = owner.clone();
        if owner.kind == "ReplicaSet"
            && let Ok(Some(set)) = self.api.get::<ReplicaSet>(Kind::REPLICA_SET, &owner.name).await
            && let Some(above) = crate::view::controller(&set.metadata)
        {
            owner = above.clone();
        }
        let (kind, name, version) = (owner.kind, owner.name, owner.api_version);
        Some(format!("the Service's pods are made by {kind} {name} ({version})"))
    }
}
