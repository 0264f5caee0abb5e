//! Everything of an environment, kept up to date by watching.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::KubernetesTarget;
use crate::api::{Kind, encoded};
use crate::error::KubernetesError;
use crate::names;
use crate::view::View;
use crate::watch::{Patience, Watched};
use crate::workload::{Workload, WorkloadKind};

/// Everything that is watched.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) home: Home,
    pub(super) candidate: Option<Watched<Deployment>>,
    pub(super) service: Watched<Service>,
    pub(super) preview: Option<Watched<Service>>,
    pub(super) replica_sets: Option<Watched<ReplicaSet>>,
    pub(super) pods: Watched<Pod>,
    pub(super) slices: Watched<EndpointSlice>,
}

#[derive(Debug)]
pub(super) enum Home {
    Deployment(Watched<Deployment>),
    StatefulSet(Watched<StatefulSet>),
}

impl KubernetesTarget {
    pub(super) async fn lists(&self) -> Result<&Lists, KubernetesError> {
        self.lists
            .get_or_try_init(|| async {
                let home = self.workload().await?;
                let patience = Patience { poll: self.options.poll, silence: self.options.silence };
                let named =
                    |name: &str| format!("fieldSelector={}", encoded(&format!("metadata.name={name}")));
                let own = &self.options.workload;
                let other = names::candidate_deployment(own);
                let selector = home.selector().map(query_of).unwrap_or_default();
                let is_deployment = home.kind() == WorkloadKind::Deployment;
                let api = || self.api.clone();
                let slices = format!(
                    "labelSelector={}",
                    encoded(&format!("kubernetes.io/service-name={}", self.options.service))
                );
                let preview = names::preview_service(&self.options.service);
                Ok(Lists {
                    home: match home.kind() {
                        WorkloadKind::Deployment => {
                            let kept = Watched::begin(api(), Kind::DEPLOYMENT, named(own), patience);
                            Home::Deployment(kept)
                        }
                        WorkloadKind::StatefulSet => {
                            let kept = Watched::begin(api(), Kind::STATEFUL_SET, named(own), patience);
                            Home::StatefulSet(kept)
                        }
                    },
                    candidate: is_deployment
                        .then(|| Watched::begin(api(), Kind::DEPLOYMENT, named(&other), patience)),
                    service: Watched::begin(api(), Kind::SERVICE, named(&self.options.service), patience),
                    preview: is_deployment
                        .then(|| Watched::begin(api(), Kind::SERVICE, named(&preview), patience)),
                    replica_sets: is_deployment
                        .then(|| Watched::slim(api(), Kind::REPLICA_SET, selector.clone(), patience)),
                    pods: Watched::slim(api(), Kind::POD, selector, patience),
                    slices: Watched::slim(api(), Kind::ENDPOINT_SLICE, slices, patience),
                })
            })
            .await
    }

    /// The newest that is known of everything. The workload first: what it
    /// has taken in may only be claimed of pods that were looked at later.
    pub(crate) async fn view(&self) -> Result<View, KubernetesError> {
        let lists = self.lists().await?;
        let home = match &lists.home {
            Home::Deployment(kept) => kept.items().await?.into_iter().next().map(Workload::Deployment),
            Home::StatefulSet(kept) => kept.items().await?.into_iter().next().map(Workload::StatefulSet),
        };
        let candidate = async {
            match &lists.candidate {
                Some(kept) => Ok(kept.items().await?.into_iter().next()),
                None => Ok(None),
            }
        };
        let preview = async {
            match &lists.preview {
                Some(kept) => Ok(kept.items().await?.into_iter().next()),
                None => Ok(None),
            }
        };
        let replica_sets = async {
            match &lists.replica_sets {
                Some(kept) => kept.items().await,
                None => Ok(Vec::new()),
            }
        };
        let (candidate, service, preview, replica_sets, pods, slices) = tokio::join!(
            candidate,
            lists.service.items(),
            preview,
            replica_sets,
            lists.pods.items(),
            lists.slices.items()
        );
        let slices = match slices {
            Ok(slices) => Some(slices),
            // Pods and selector tell as well, a little later.
            Err(KubernetesError::Forbidden { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(View {
            home,
            candidate: candidate?,
            service: service?.into_iter().next(),
            preview: preview?,
            replica_sets: replica_sets?,
            pods: pods?,
            slices,
        })
    }

    /// Reads anew what is written to.
    pub(super) async fn refresh(&self, view: &mut View) -> Result<(), KubernetesError> {
        let lists = self.lists().await?;
        let (own, service) = (&self.options.workload, &self.options.service);
        let other = names::candidate_deployment(own);
        match &lists.home {
            Home::Deployment(kept) => {
                let (home, candidate, found) = tokio::try_join!(
                    self.api.get::<Deployment>(Kind::DEPLOYMENT, own),
                    self.api.get::<Deployment>(Kind::DEPLOYMENT, &other),
                    self.api.get::<Service>(Kind::SERVICE, service)
                )?;
                if let Some(home) = &home {
                    kept.put(home.clone());
                }
                if let Some(list) = &lists.candidate {
                    match &candidate {
                        Some(candidate) => list.put(candidate.clone()),
                        None => list.forget(&other),
                    }
                }
                view.home = home.map(Workload::Deployment);
                view.candidate = candidate;
                view.service = found;
            }
            Home::StatefulSet(kept) => {
                let (home, found) = tokio::try_join!(
                    self.api.get::<StatefulSet>(Kind::STATEFUL_SET, own),
                    self.api.get::<Service>(Kind::SERVICE, service)
                )?;
                if let Some(home) = &home {
                    kept.put(home.clone());
                }
                view.home = home.map(Workload::StatefulSet);
                view.service = found;
            }
        }
        if let Some(service) = &view.service {
            lists.service.put(service.clone());
        }
        Ok(())
    }
}

/// A label selector as a query.
pub(crate) fn query_of(selector: &LabelSelector) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        parts.push(format!("{key}={value}"));
    }
    for rule in selector.match_expressions.iter().flatten() {
        let values = rule.values.clone().unwrap_or_default().join(",");
        parts.push(match rule.operator.as_str() {
            "In" => format!("{} in ({values})", rule.key),
            "NotIn" => format!("{} notin ({values})", rule.key),
            "DoesNotExist" => format!("!{}", rule.key),
            _ => rule.key.clone(),
        });
    }
    format!("labelSelector={}", encoded(&parts.join(",")))
}
