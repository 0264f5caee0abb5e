//! [`KubernetesTarget`]: looks by watching, acts by one write after another,
//! each decided on what is there now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use plimsoll_model::Strategy;
use plimsoll_rollout_core::fleet::last_lines;
use plimsoll_rollout_core::{Applied, BoxFuture, Desired, Fence, Observed, Target, TargetError};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::api::{Api, Connection, Kind, encoded};
use crate::check;
use crate::converge::{self, Next, Setting, Write};
use crate::error::{KubernetesError, Operation};
use crate::names;
use crate::observe::{self, Evidence, Troubled};
use crate::record::Record;
use crate::view::View;
use crate::watch::{Patience, Watched};
use crate::workload::{Workload, WorkloadKind};

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
    /// Where everything is.
    pub namespace: String,
    /// A Deployment, or a StatefulSet where there is no such Deployment.
    pub workload: String,
    /// The container whose image is rolled out.
    pub container: String,
    /// The Service that users reach it by.
    pub service: String,
    /// Pods that may exist beyond the workload's number while they are
    /// replaced; none: as many as may be missing.
    pub max_surge: Option<u32>,
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
            namespace: namespace.into(),
            workload: name.into(),
            container: name.into(),
            service: name.into(),
            max_surge: None,
            poll: Duration::from_secs(1),
            silence: Duration::from_secs(10),
            settle: Duration::from_secs(5),
        }
    }
}

/// At most so many writes in one turn; the next turn goes on.
const MOST_WRITES: usize = 8;
/// Attempts at one write that others are faster than.
const MOST_CONFLICTS: usize = 5;
/// Pods that events and output are fetched of, at a time.
const MOST_TROUBLED: usize = 4;
/// Events of a pod are fetched again after this.
const EVIDENCE_EVERY: Duration = Duration::from_secs(1);

/// A workload of a cluster as a [`Target`].
#[derive(Debug)]
pub struct KubernetesTarget {
    options: Options,
    api: Arc<Api>,
    lists: OnceCell<Lists>,
    gathered: Mutex<Gathered>,
}

/// Everything that is watched.
#[derive(Debug)]
struct Lists {
    home: Home,
    candidate: Option<Watched<Deployment>>,
    service: Watched<Service>,
    preview: Option<Watched<Service>>,
    replica_sets: Option<Watched<ReplicaSet>>,
    pods: Watched<Pod>,
    slices: Watched<EndpointSlice>,
}

#[derive(Debug)]
enum Home {
    Deployment(Watched<Deployment>),
    StatefulSet(Watched<StatefulSet>),
}

#[derive(Debug, Default)]
struct Gathered {
    evidence: Evidence,
    /// When it was fetched, and about which run.
    about: BTreeMap<String, (Instant, i32, bool)>,
}

impl KubernetesTarget {
    /// A target that connects when it is first asked.
    pub fn open(options: Options) -> Self {
        let connection = Connection::new(options.context.clone(), options.kubeconfig.clone());
        let api = Arc::new(Api::new(connection, &options.namespace));
        Self { options, api, lists: OnceCell::new(), gathered: Mutex::default() }
    }

    /// Everything that can be found out before anything moves; what is worth
    /// telling a person. Refuses what cannot be rolled out as asked.
    ///
    /// # Errors
    /// When the cluster cannot be asked, something is missing, or does not fit.
    pub async fn check(&self, strategy: Strategy, drain_sec: u32) -> Result<Vec<String>, KubernetesError> {
        let home = self.workload().await?;
        let service = self.service().await?;
        check::suitable(&home, &service, &self.options.container, strategy)?;
        Record::of(&home).map_err(|reason| KubernetesError::Record { reason })?;
        // The lists are begun now, so that the first look is not slower than
        // the others.
        let (allowed, view) = tokio::join!(self.allowed(home.kind(), strategy), self.view());
        allowed?;
        view?;
        Ok(check::warnings(&home, &self.options.container, drain_sec))
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

    /// Refuses before anything is touched what would be refused on the way.
    async fn allowed(&self, kind: WorkloadKind, strategy: Strategy) -> Result<(), KubernetesError> {
        let rules = crate::init::rules(kind, strategy == Strategy::BlueGreen, false);
        let asked = rules.into_iter().flat_map(|(group, resource, verbs, _)| {
            verbs.into_iter().map(move |verb| (group, resource, verb))
        });
        let asked = asked.map(|(group, resource, verb)| async move {
            let namespace = self.options.namespace.clone();
            let operation = Operation { verb, group, resource, name: None, namespace };
            // Lists and streams have other ways where they are not allowed.
            let needed = verb != "watch" && resource != "endpointslices" && resource != "events";
            let refused = needed && self.api.may(&operation).await == Some(false);
            refused.then_some(operation)
        });
        let mut refused = futures_util::future::join_all(asked).await.into_iter().flatten();
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
    async fn made_by_others(&self) -> Option<String> {
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

    async fn lists(&self) -> Result<&Lists, KubernetesError> {
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

    async fn look(&self) -> Result<Observed, KubernetesError> {
        let view = self.view().await?;
        let Some(home) = &view.home else { return Err(self.no_workload()) };
        let record = Record::of(home).map_err(|reason| KubernetesError::Record { reason })?;
        let now = Timestamp::now();
        let (mut observed, mut troubled) = self.observed(&view, &record, now);
        // Events say what is wrong, and that says whose output explains it.
        for _ in 0..2 {
            if !self.gather(&troubled).await {
                break;
            }
            (observed, troubled) = self.observed(&view, &record, now);
        }
        Ok(observed)
    }

    fn observed(&self, view: &View, record: &Record, now: Timestamp) -> (Observed, Vec<Troubled>) {
        let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let next =
            |pod: &str, container: Option<&str>, previous: bool| self.next_step(pod, container, previous);
        observe::observed(view, record, &self.options.container, &gathered.evidence, &next, now)
    }

    /// The command that shows more.
    fn next_step(&self, pod: &str, container: Option<&str>, previous: bool) -> String {
        let namespace = &self.options.namespace;
        let context =
            self.options.context.as_ref().map(|name| format!(" --context {name}")).unwrap_or_default();
        let kubectl = format!("kubectl{context} -n {namespace}");
        match (pod, container) {
            ("", _) => format!("see `{kubectl} get events --sort-by=.lastTimestamp`"),
            (pod, None) => format!("see `{kubectl} describe pod {pod}`"),
            (pod, Some(container)) => {
                let previous = if previous { " --previous" } else { "" };
                format!("see `{kubectl} logs {pod} -c {container}{previous}`")
            }
        }
    }

    /// Fetches what is not known yet about pods in trouble; whether anything
    /// was. What cannot be fetched is left out: it explains, it decides nothing
    /// that a later look would not decide.
    async fn gather(&self, troubled: &[Troubled]) -> bool {
        let due: Vec<&Troubled> = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            if troubled.is_empty() && !gathered.about.is_empty() {
                *gathered = Gathered::default();
            }
            let is_due = |pod: &&Troubled| match gathered.about.get(&pod.uid) {
                None => true,
                Some((at, restarts, output)) => {
                    at.elapsed() >= EVIDENCE_EVERY
                        || *restarts != pod.restarts
                        || (pod.output.is_some() && !output)
                }
            };
            troubled.iter().filter(is_due).take(MOST_TROUBLED).collect()
        };
        let fetched = due.iter().map(|pod| async {
            let selector = encoded(&format!("involvedObject.uid={}", pod.uid));
            let events = self.api.list::<Event>(Kind::EVENT, &format!("fieldSelector={selector}")).await;
            let output = match &pod.output {
                None => None,
                Some((container, previous)) => {
                    let most = plimsoll_rollout_core::fleet::LAST_LINES;
                    let text = self.api.log(&pod.name, container, *previous, most).await;
                    // The run before may have left nothing.
                    let text = match (text, previous) {
                        (Err(_), true) => self.api.log(&pod.name, container, false, most).await,
                        (text, _) => text,
                    };
                    text.ok().map(|text| last_lines(&text))
                }
            };
            (*pod, events.ok().map(|listed| listed.items), output)
        });
        let fetched = futures_util::future::join_all(fetched).await;
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        for (pod, events, output) in &fetched {
            if let Some(events) = events {
                gathered.evidence.events.insert(pod.uid.clone(), events.clone());
            }
            if let Some(lines) = output {
                gathered.evidence.last_lines.insert(pod.uid.clone(), lines.clone());
            }
            gathered.about.insert(pod.uid.clone(), (Instant::now(), pod.restarts, pod.output.is_some()));
        }
        !fetched.is_empty()
    }

    async fn act(&self, desired: &Desired, fence: Fence) -> Result<Applied, KubernetesError> {
        let setting = Setting {
            environment: self.options.environment.clone(),
            container: self.options.container.clone(),
            max_surge: self.options.max_surge,
            settle: jiff::SignedDuration::try_from(self.options.settle).unwrap_or_default(),
        };
        let mut conflicts = 0;
        let mut view = self.view().await?;
        // One time for the whole turn: the same decision is the same write.
        let now = Timestamp::now();
        for _ in 0..MOST_WRITES {
            if view.home.is_none() {
                return Err(self.no_workload());
            }
            let write = match converge::next(&setting, desired, fence, &view, now) {
                Next::Write(write) => write,
                Next::Wait(what) => {
                    tracing::debug!(what, generation = desired.generation, "waiting");
                    return Ok(Applied::Accepted);
                }
                Next::Fenced(seen) => return Ok(Applied::Fenced { seen }),
                Next::Changed { set, found, by } => {
                    let object = view.home.as_ref().map(|home| format!("{} {}", home.kind(), home.name()));
                    let object = object.unwrap_or_default();
                    return Err(KubernetesError::Changed { object, set, found, by });
                }
                Next::Impossible(error) => return Err(*error),
            };
            // What is not under the record's own resourceVersion is done only
            // after a fresh look at the record.
            if !matches!(*write, Write::Home(_)) {
                self.refresh(&mut view).await?;
                if converge::next(&setting, desired, fence, &view, now) != Next::Write(write.clone()) {
                    continue;
                }
            }
            match self.write(&write, &mut view).await {
                Ok(true) => {}
                Ok(false) => return Ok(Applied::Accepted),
                Err(error) if error.is_conflict() && conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    self.refresh(&mut view).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Applied::Accepted)
    }

    fn no_workload(&self) -> KubernetesError {
        let (namespace, name) = (self.options.namespace.clone(), self.options.workload.clone());
        KubernetesError::NoWorkload { namespace, name, instead: None }
    }

    /// Reads anew what is written to.
    async fn refresh(&self, view: &mut View) -> Result<(), KubernetesError> {
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

    /// One write; whether the next can be decided on at once.
    async fn write(&self, write: &Write, view: &mut View) -> Result<bool, KubernetesError> {
        let lists = self.lists().await?;
        let (own, service) = (&self.options.workload, &self.options.service);
        tracing::debug!(?write, "write");
        match write {
            Write::Home(document) => match &lists.home {
                Home::Deployment(kept) => {
                    let home: Deployment = self.api.apply(Kind::DEPLOYMENT, own, document).await?;
                    kept.put(home.clone());
                    view.home = Some(Workload::Deployment(home));
                }
                Home::StatefulSet(kept) => {
                    let home: StatefulSet = self.api.apply(Kind::STATEFUL_SET, own, document).await?;
                    kept.put(home.clone());
                    view.home = Some(Workload::StatefulSet(home));
                }
            },
            Write::Candidate(document) => {
                let name = names::candidate_deployment(own);
                // One that is not known of is created, never written over.
                let made: Deployment = match &view.candidate {
                    Some(_) => self.api.apply(Kind::DEPLOYMENT, &name, document).await?,
                    None => self.api.create(Kind::DEPLOYMENT, &name, document).await?,
                };
                if let Some(list) = &lists.candidate {
                    list.put(made.clone());
                }
                view.candidate = Some(made);
            }
            Write::Preview(document) => {
                let name = names::preview_service(service);
                let made: Service = self.api.apply(Kind::SERVICE, &name, document).await?;
                if let Some(list) = &lists.preview {
                    list.put(made.clone());
                }
                view.preview = Some(made);
            }
            Write::Bind(patch) => {
                let bound: Service = self.api.merge(Kind::SERVICE, service, patch).await?;
                lists.service.put(bound.clone());
                view.service = Some(bound);
            }
            Write::RemoveCandidate { uid } => {
                let name = names::candidate_deployment(own);
                self.api.delete(Kind::DEPLOYMENT, &name, uid).await?;
                return Ok(false);
            }
            Write::RemovePreview { uid } => {
                self.api.delete(Kind::SERVICE, &names::preview_service(service), uid).await?;
                return Ok(false);
            }
            Write::RemovePod { name, uid } => {
                self.api.delete(Kind::POD, name, uid).await?;
                return Ok(false);
            }
        }
        Ok(true)
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
}

/// A label selector as a query.
fn query_of(selector: &LabelSelector) -> String {
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
