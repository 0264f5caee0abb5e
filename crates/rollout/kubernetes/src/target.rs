//! [`KubernetesTarget`]: looks by watching, acts by one write after another,
//! each decided on what is there now.

mod act;
mod lists;
mod look;
mod metrics;
mod preflight;
mod survey;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use plimsoll_rollout_core::{Applied, BoxFuture, Desired, Fence, Observed, OutputLine, Target, TargetError};
use tokio::sync::OnceCell;

use crate::api::{Api, Connection, Kind, LOGIN_WITHIN};
use crate::error::KubernetesError;
use crate::output::Output;
use crate::record::Record;
use crate::workload::Workload;
pub use survey::Survey;

use lists::Lists;
pub(crate) use lists::query_of;
use look::Gathered;
pub use metrics::{MetricsAt, ServingPod, SideBySide};

/// Which workload of which cluster, and how to go about it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The environment; becomes a label.
    pub environment: String,
    /// Context of the kubeconfig; none: its current one, or, where there is no
    /// kubeconfig, the service account of this pod.
    pub context: Option<String>,
    /// The kubeconfig; none: `KUBECONFIG`, then `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// How long the login of the kubeconfig, such as its exec plugin, may take.
    pub login_timeout: Duration,
    /// Where everything is.
    pub namespace: String,
    /// A Deployment, or a StatefulSet where there is no such Deployment.
    pub workload: String,
    /// The container whose image is rolled out.
    pub container: String,
    /// Whether somebody chose it. A default is refused where another container
    /// runs the same image: which one is meant is not guessed.
    pub container_is_named: bool,
    /// The Service that users reach it by.
    pub service: String,
    /// Pods that may exist beyond the workload's number while they are
    /// replaced; none: as many as may be missing.
    pub max_surge: Option<u32>,
    /// Whether releases are compared: a few pods of the new one are then made
    /// beside the others, by a second Deployment.
    pub compare: bool,
    /// Whether pods are asked through the API server.
    pub proxy: bool,
    /// Whether migrations run as a Job, which needs rules of its own.
    pub jobs: bool,
    /// How often to list where watching is not possible.
    pub poll: Duration,
    /// How long a watch may be silent before it is checked by listing.
    pub silence: Duration,
    /// How long after requests were moved to other pods the former ones are
    /// kept: until every node has heard of it.
    pub settle: Duration,
}

impl Options {
    /// The usual ones, for a workload and a Service of the same name.
    pub fn new(environment: &str, namespace: &str, name: &str) -> Self {
        Self {
            environment: environment.into(),
            context: None,
            kubeconfig: None,
            login_timeout: LOGIN_WITHIN,
            namespace: namespace.into(),
            workload: name.into(),
            container: name.into(),
            container_is_named: true,
            service: name.into(),
            max_surge: None,
            compare: false,
            proxy: false,
            jobs: false,
            poll: Duration::from_secs(1),
            silence: Duration::from_secs(10),
            settle: Duration::from_secs(5),
        }
    }
}

/// A workload of a cluster as a [`Target`].
#[derive(Debug)]
pub struct KubernetesTarget {
    options: Options,
    api: Arc<Api>,
    lists: OnceCell<Lists>,
    gathered: Mutex<Gathered>,
    output: Output,
}

impl KubernetesTarget {
    /// A target that connects when it is first asked.
    pub fn open(options: Options) -> Self {
        let connection =
            Connection::new(options.context.clone(), options.kubeconfig.clone(), options.login_timeout);
        let api = Arc::new(Api::new(connection, &options.namespace));
        Self { options, api, lists: OnceCell::new(), gathered: Mutex::default(), output: Output::default() }
    }

    /// What was last desired, if anything ever was.
    ///
    /// # Errors
    /// When the cluster cannot be asked, or the record is damaged.
    pub async fn desired(&self) -> Result<Option<Desired>, KubernetesError> {
        let record = Record::of(&self.workload().await?);
        Ok(record.map_err(|reason| KubernetesError::Record { reason })?.desired)
    }

    /// How many pods the workload shall have now, by whoever decides that.
    ///
    /// # Errors
    /// When the cluster cannot be asked.
    pub async fn replicas(&self) -> Result<u32, KubernetesError> {
        Ok(self.workload().await?.replicas())
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// `kubectl` as a person types it for this environment.
    pub(crate) fn kubectl(&self) -> String {
        let context =
            self.options.context.as_ref().map(|name| format!(" --context {name}")).unwrap_or_default();
        format!("kubectl{context} -n {}", self.options.namespace)
    }

    pub(crate) fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// The workload as it is now.
    pub(crate) async fn workload(&self) -> Result<Workload, KubernetesError> {
        let name = &self.options.workload;
        if let Some(found) = self.api.get::<Deployment>(Kind::DEPLOYMENT, name).await? {
            return Ok(Workload::Deployment(found));
        }
        match self.api.get::<StatefulSet>(Kind::STATEFUL_SET, name).await {
            Ok(Some(found)) => Ok(Workload::StatefulSet(found)),
            // Who may not ask for those has none of them in mind.
            Ok(None) | Err(KubernetesError::Forbidden { .. }) => Err(KubernetesError::NoWorkload {
                namespace: self.options.namespace.clone(),
                name: name.clone(),
                instead: self.made_by_others().await,
            }),
            Err(error) => Err(error),
        }
    }

    fn no_workload(&self) -> KubernetesError {
        let (namespace, name) = (self.options.namespace.clone(), self.options.workload.clone());
        KubernetesError::NoWorkload { namespace, name, instead: None }
    }

    fn failed(&self, operation: &str, error: &KubernetesError) -> TargetError {
        TargetError {
            operation: operation.into(),
            target: format!("{} in namespace {}", self.options.workload, self.options.namespace),
            reason: error.in_full(),
            transient: error.is_transient(),
        }
    }
}

impl Target for KubernetesTarget {
    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        self.output.new_lines(&self.api, &self.options.container, of)
    }

    fn observe(&self) -> BoxFuture<'_, Result<Observed, TargetError>> {
        Box::pin(async { self.look().await.map_err(|error| self.failed("looking", &error)) })
    }

    fn apply<'a>(
        &'a self,
        desired: &'a Desired,
        fence: Fence,
    ) -> BoxFuture<'a, Result<Applied, TargetError>> {
        Box::pin(async move {
            let done = self.act(desired, fence).await;
            done.map_err(|error| self.failed("changing the workload", &error))
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.api.news().notified())
    }
}
