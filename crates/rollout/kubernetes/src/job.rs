//! Work that has to be done in the cluster before a release starts: a Job with
//! the release's own image. A Job that fails ends the wait at once.

use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use plimsoll_model::{Observer, Progress, Release, Stream};
use plimsoll_rollout_core::fleet::{LAST_LINES, last_lines};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::KubernetesTarget;
use crate::api::{Kind, encoded};
use crate::diagnosis::{self, Finding, diagnose};
use crate::error::KubernetesError;
use crate::manifest::fingerprint;
use crate::names;
use crate::view::uid;
use crate::watch::{Patience, Watched};
use crate::workload::Workload;

/// What to run.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// What it is for, a DNS label: `migrate`. Also the step that its lines
    /// are reported under.
    pub purpose: String,
    /// The rollout that needs it: the same one finds its Job again, another
    /// one makes another.
    pub rollout: String,
    /// Whose image it runs.
    pub release: Release,
    /// Replaces the image's entrypoint; empty: that of the image.
    pub command: Vec<String>,
    /// Arguments; empty: those of the image.
    pub args: Vec<String>,
    /// Variables beside those of the workload's container.
    pub env: Vec<(String, String)>,
    /// It is ended when it takes longer.
    pub deadline_sec: u32,
}

/// A Job that did its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// Its name.
    pub job: String,
    /// The last lines it wrote, oldest first.
    pub last_lines: Vec<String>,
}

/// How long something that may heal keeps a Job from starting before it is
/// given up.
const HEALS_WITHIN: Duration = Duration::from_secs(60);
/// How long finished Jobs are kept, for whoever reads their output.
const KEPT_SEC: u32 = 3_600;
/// How often to look where no change is heard of.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long its last lines may take after it ended.
const LINES_WITHIN: Duration = Duration::from_secs(5);
/// Lines that wait to be reported.
const MOST_WAITING: usize = 1_024;

impl KubernetesTarget {
    /// Runs a Job to its end and reports the lines it writes. Found again when
    /// called again for the same rollout: one that is done is not done twice.
    ///
    /// # Errors
    /// [`KubernetesError::Job`] as soon as it failed or cannot start; else when
    /// the cluster cannot be asked.
    pub async fn run_job(&self, spec: &JobSpec, observer: &dyn Observer) -> Result<JobEnd, KubernetesError> {
        let home = self.workload().await?;
        let options = self.options();
        let document = document(&home, &options.container, &options.environment, spec);
        let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let api = self.api();
        if api.get::<Job>(Kind::JOB, &name).await?.is_none() {
            self.others_end(spec, observer).await?;
            match api.create::<Job>(Kind::JOB, &name, &document).await {
                Ok(_) => {}
                // Made by an attempt whose answer was lost.
                Err(error) if error.is_conflict() => {}
                Err(KubernetesError::Refused { message, .. }) => {
                    let reason = diagnosis::refused(&message).message;
                    return Err(KubernetesError::Job { job: name, reason, last_lines: Vec::new() });
                }
                Err(error) => return Err(error),
            }
        }
        let patience = Patience { poll: options.poll, silence: options.silence };
        let by_name = format!("fieldSelector={}", encoded(&format!("metadata.name={name}")));
        let by_label = format!("labelSelector={}", encoded(&format!("{}={name}", names::JOB)));
        let jobs = Watched::<Job>::slim(api.clone(), Kind::JOB, by_name, patience);
        let pods = Watched::<Pod>::slim(api.clone(), Kind::POD, by_label, patience);
        let wait = Wait { target: self, spec, observer, name, jobs, pods };
        wait.until_it_ends().await
    }
}

impl KubernetesTarget {
    /// Waits for Jobs that interrupted rollouts left at work: two at once would be
    /// in each other's way, and one that is ended in the middle leaves who knows what.
    async fn others_end(&self, spec: &JobSpec, observer: &dyn Observer) -> Result<(), KubernetesError> {
        let options = self.options();
        let of_environment = format!("{}={},{}", names::ENVIRONMENT, options.environment, names::JOB);
        let query = format!("labelSelector={}", encoded(&of_environment));
        let patience = Patience { poll: options.poll, silence: options.silence };
        let jobs = Watched::<Job>::slim(self.api().clone(), Kind::JOB, query, patience);
        let begun = Instant::now();
        let mut said = None;
        loop {
            let at_work = jobs.items().await?.into_iter().find(|job| end_of(job).is_none());
            let Some(other) = at_work else { return Ok(()) };
            let job = other.metadata.name.unwrap_or_default();
            let rollout = other.metadata.annotations.unwrap_or_default().remove(names::ROLLOUT);
            let rollout = rollout.unwrap_or_else(|| "nobody knows which rollout".into());
            if begun.elapsed() >= Duration::from_secs(spec.deadline_sec.into()) {
                let reason = format!("it is of {rollout} and did not end within {} s", spec.deadline_sec);
                return Err(KubernetesError::Job { job, reason, last_lines: Vec::new() });
            }
            if said.as_ref() != Some(&job) {
                observer
                    .report(Progress::Note { text: format!("waiting for job {job} of {rollout} to end") });
                said = Some(job);
            }
            tokio::select! {
                () = jobs.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

struct Wait<'a> {
    target: &'a KubernetesTarget,
    spec: &'a JobSpec,
    observer: &'a dyn Observer,
    name: String,
    jobs: Watched<Job>,
    pods: Watched<Pod>,
}

/// Ends the reading of lines when it is dropped.
struct Following(tokio::task::JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wait<'_> {
    async fn until_it_ends(&self) -> Result<JobEnd, KubernetesError> {
        let (to, mut lines) = mpsc::channel::<String>(MOST_WAITING);
        let mut following: Option<Following> = None;
        let mut kept: Vec<String> = Vec::new();
        let mut in_trouble: Option<Instant> = None;
        loop {
            let pod = self.pods.items().await?.into_iter().max_by_key(created);
            if let Some(pod) = pod.as_ref().filter(|pod| following.is_none() && has_run(pod)) {
                let (api, name) = (self.target.api().clone(), pod.metadata.name.clone().unwrap_or_default());
                let (container, to) = (self.target.options().container.clone(), to.clone());
                following = Some(Following(tokio::spawn(async move {
                    let Ok(mut stream) = api.follow(&name, &container).await else { return };
                    while let Some(Ok(line)) = stream.next().await {
                        if to.send(String::from_utf8_lossy(&line).into_owned()).await.is_err() {
                            return;
                        }
                    }
                })));
            }
            while let Ok(line) = lines.try_recv() {
                self.said(&mut kept, line);
            }
            let job = self.jobs.items().await?.into_iter().next();
            if let Some(end) = job.as_ref().and_then(end_of) {
                drop(to);
                let rest = async {
                    while let Some(line) = lines.recv().await {
                        self.said(&mut kept, line);
                    }
                };
                // Nobody writes when the stream could not be opened.
                let _ = tokio::time::timeout(LINES_WITHIN, rest).await;
                return self.ended(end, pod.as_ref(), kept).await;
            }
            if let Some(finding) = self.trouble(job.as_ref(), pod.as_ref()).await {
                let since = *in_trouble.get_or_insert_with(Instant::now);
                if !finding.heals || since.elapsed() >= HEALS_WITHIN {
                    self.give_up(job.as_ref()).await;
                    let reason = format!("it cannot start: {}", finding.message);
                    return Err(KubernetesError::Job { job: self.name.clone(), reason, last_lines: kept });
                }
            } else {
                in_trouble = None;
            }
            tokio::select! {
                () = self.jobs.changed() => {}
                () = self.pods.changed() => {}
                Some(line) = lines.recv() => self.said(&mut kept, line),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    fn said(&self, kept: &mut Vec<String>, line: String) {
        let Some(text) = last_lines(&line).pop() else { return };
        self.observer.report(Progress::Line {
            step: self.spec.purpose.clone(),
            stream: Stream::Stdout,
            text: text.clone(),
        });
        kept.push(text);
        if kept.len() > LAST_LINES {
            kept.remove(0);
        }
    }

    async fn ended(
        &self,
        end: Result<(), String>,
        pod: Option<&Pod>,
        mut kept: Vec<String>,
    ) -> Result<JobEnd, KubernetesError> {
        let container = &self.target.options().container;
        // Nothing was heard while it ran.
        if kept.is_empty()
            && let Some(name) = pod.and_then(|pod| pod.metadata.name.as_deref())
            && let Ok(text) = self.target.api().log(name, container, false, LAST_LINES).await
        {
            for line in text.lines() {
                self.said(&mut kept, line.to_owned());
            }
        }
        match end {
            Ok(()) => Ok(JobEnd { job: self.name.clone(), last_lines: kept }),
            Err(said) => {
                let how = pod.and_then(|pod| diagnose(pod, &[])).map(|finding| finding.message);
                let reason = how.map_or(said.clone(), |how| format!("{how} ({said})"));
                Err(KubernetesError::Job { job: self.name.clone(), reason, last_lines: kept })
            }
        }
    }

    /// Why it does not get to run, if so. A process that ended is the Job's
    /// to judge.
    async fn trouble(&self, job: Option<&Job>, pod: Option<&Pod>) -> Option<Finding> {
        let about = match (pod, job) {
            (Some(pod), _) if has_run(pod) => return None,
            (Some(pod), _) => uid(&pod.metadata),
            (None, Some(job)) => uid(&job.metadata),
            (None, None) => return None,
        };
        let selector = encoded(&format!("involvedObject.uid={about}"));
        let events = self.target.api().list::<Event>(Kind::EVENT, &format!("fieldSelector={selector}")).await;
        let events = events.map(|listed| listed.items).unwrap_or_default();
        match pod {
            Some(pod) => diagnose(pod, &events),
            None => {
                let failed = events.iter().find(|event| event.reason.as_deref() == Some("FailedCreate"))?;
                Some(diagnosis::refused(failed.message.as_deref().unwrap_or_default()))
            }
        }
    }

    /// Takes away what would start later, when nobody waits for it any more.
    async fn give_up(&self, job: Option<&Job>) {
        let Some(job) = job else { return };
        if let Err(error) = self.target.api().delete(Kind::JOB, &self.name, uid(&job.metadata)).await {
            tracing::warn!(job = self.name, %error, "the Job could not be removed");
        }
    }
}

fn created(pod: &Pod) -> Option<jiff::Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// Whether its container runs or has run.
fn has_run(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().any(|status| {
        status.state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    })
}

/// How it ended, once it has. Our own condition: a failed Job is at its end.
fn end_of(job: &Job) -> Option<Result<(), String>> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let is = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
    if is("Complete").or_else(|| is("SuccessCriteriaMet")).is_some() {
        return Some(Ok(()));
    }
    // The target comes before its pods are gone; nothing succeeds after it.
    let failed = is("Failed").or_else(|| is("FailureTarget"))?;
    let reason = failed.reason.as_deref().unwrap_or("Failed");
    Some(Err(match failed.message.as_deref() {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }))
}

/// The Job: the workload's pod without what makes it a service.
fn document(home: &Workload, container: &str, environment: &str, spec: &JobSpec) -> Value {
    let pod = home.pod_spec().cloned().unwrap_or_default();
    let image = spec.release.image.to_string();
    let key = fingerprint(&json!([spec.rollout, image, spec.command, spec.args]));
    let name = names::with_suffix(home.name(), &format!("-{}-{}", spec.purpose, &key[..8]));
    let mut own = json!({ "name": container, "image": image });
    if let Some(container) = home.container(container) {
        let from = serde_json::to_value(container).expect("a container is JSON");
        for field in [
            "env",
            "envFrom",
            "volumeMounts",
            "resources",
            "securityContext",
            "imagePullPolicy",
            "workingDir",
        ] {
            if !from[field].is_null() {
                own[field] = from[field].clone();
            }
        }
    }
    if !spec.command.is_empty() {
        own["command"] = json!(spec.command);
    }
    if !spec.args.is_empty() {
        own["args"] = json!(spec.args);
    }
    let mut env = own["env"].as_array().cloned().unwrap_or_default();
    env.retain(|entry| spec.env.iter().all(|(name, _)| entry["name"] != *name));
    env.extend(spec.env.iter().map(|(name, value)| json!({ "name": name, "value": value })));
    if !env.is_empty() {
        own["env"] = json!(env);
    }
    let mut template = json!({ "restartPolicy": "Never", "containers": [own] });
    let from = serde_json::to_value(&pod).expect("a pod is JSON");
    for field in [
        "serviceAccountName",
        "automountServiceAccountToken",
        "imagePullSecrets",
        "volumes",
        "securityContext",
        "nodeSelector",
        "tolerations",
        "affinity",
        "priorityClassName",
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "runtimeClassName",
    ] {
        if !from[field].is_null() {
            template[field] = from[field].clone();
        }
    }
    // Not the workload's labels: the Service would send it requests.
    let labels = json!({
        names::ENVIRONMENT: environment,
        names::JOB: name,
        names::SHA: spec.release.sha().as_str(),
    });
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": home.meta().namespace,
            "labels": labels,
            "annotations": { names::ROLLOUT: spec.rollout, names::IMAGE: image },
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": spec.deadline_sec.max(1),
            "ttlSecondsAfterFinished": KEPT_SEC,
            "template": { "metadata": { "labels": labels }, "spec": template },
        },
    })
}
