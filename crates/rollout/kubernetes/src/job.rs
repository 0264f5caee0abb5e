//! Work that has to be done in the cluster before a release starts: a Job with
//! the release's own image. A Job that fails ends the wait at once.

mod away;
mod document;
mod lines;
mod state;
mod wait;

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use plimsoll_model::{Observer, Progress, Release};
use tokio::time::Instant;

use crate::KubernetesTarget;
use crate::api::{Kind, encoded};
use crate::diagnosis::{self, diagnose};
use crate::error::KubernetesError;
use crate::names;
use crate::view::uid;
use crate::watch::{Patience, Watched};
use crate::workload::Workload;

use away::Away;
use lines::Lines;
use wait::{Trouble, Wait};

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
    /// How long something that may heal keeps it from starting before it is given
    /// up, and how late the cluster may end it.
    pub grace: Duration,
    /// How long an API server that does not answer is waited for.
    pub away: Duration,
}

/// A Job that did its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// Its name.
    pub job: String,
    /// The last lines it wrote, oldest first.
    pub last_lines: Vec<String>,
}

/// How often to look where no change is heard of.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a Job is made that somebody else seems to have made, and that is not
/// there.
const MOST_CONFLICTS: usize = 40;
/// How often it is tried to take a Job away.
const MOST_DELETES: usize = 3;

impl KubernetesTarget {
    /// Runs a Job to its end and reports the lines it writes. Found again when
    /// called again for the same rollout: one that is done is not done twice.
    /// An API server that is away is waited for.
    ///
    /// # Errors
    /// [`KubernetesError::Job`] as soon as it failed, cannot start, was deleted, or
    /// nobody can tell any more; else when the cluster cannot be asked before there
    /// is a Job.
    pub async fn run_job(&self, spec: &JobSpec, observer: &dyn Observer) -> Result<JobEnd, KubernetesError> {
        let mut away = Away::new(observer, spec.away);
        let home = away.through(|| self.workload()).await?;
        let job = self.made(&home, spec, observer, &mut away).await?;
        let options = self.options();
        let name = job.metadata.name.clone().unwrap_or_default();
        let patience = Patience { poll: options.poll, silence: options.silence };
        let by_name = format!("fieldSelector={}", encoded(&format!("metadata.name={name}")));
        let wait = Wait {
            target: self,
            spec,
            observer,
            uid: uid(&job.metadata).to_owned(),
            jobs: Watched::slim(self.api().clone(), Kind::JOB, by_name, patience),
            pods: Watched::slim(self.api().clone(), Kind::POD, labelled(&name), patience),
            name,
            away,
            lines: Lines::new(&spec.purpose, observer),
            trouble: Trouble::default(),
            overdue: Instant::now() + Duration::from_secs(spec.deadline_sec.into()) + spec.grace,
        };
        wait.until_it_ends().await
    }

    /// The Job, found or made.
    async fn made(
        &self,
        home: &Workload,
        spec: &JobSpec,
        observer: &dyn Observer,
        away: &mut Away<'_>,
    ) -> Result<Job, KubernetesError> {
        let options = self.options();
        let document = document::document(home, &options.container, &options.environment, spec);
        let name = document["metadata"]["name"].as_str().unwrap_or_default();
        let mut conflicts = 0;
        loop {
            if let Some(job) = away.through(|| self.api().get::<Job>(Kind::JOB, name)).await? {
                return Ok(job);
            }
            self.others_end(home, spec, observer, away).await?;
            match self.api().create::<Job>(Kind::JOB, name, &document).await {
                Ok(job) => return Ok(job),
                // Made by an attempt whose answer was lost, or a quota that others
                // are counted in at the same time: the next look tells.
                Err(error) if error.is_conflict() && conflicts < MOST_CONFLICTS => conflicts += 1,
                Err(KubernetesError::Refused { message, .. }) => {
                    let reason = format!("it cannot be made: {}", diagnosis::refused(&message).message);
                    let next = "no instance of the release was started, and no migration was run".into();
                    return Err(KubernetesError::Job {
                        job: name.into(),
                        reason,
                        last_lines: Vec::new(),
                        next,
                    });
                }
                Err(error) => drop(away.answered(Err::<(), _>(error))?),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for Jobs of this workload that interrupted rollouts left at work, and
    /// for what is left of those that somebody deleted: two at once would be in each
    /// other's way, and one that is ended in the middle leaves who knows what. One
    /// that never began and cannot is taken away.
    async fn others_end(
        &self,
        home: &Workload,
        spec: &JobSpec,
        observer: &dyn Observer,
        away: &mut Away<'_>,
    ) -> Result<(), KubernetesError> {
        let options = self.options();
        let workload = names::with_suffix(home.name(), "");
        let (environment, of_workload) = (names::ENVIRONMENT, names::WORKLOAD);
        let ours = format!("{environment}={},{of_workload}={workload},{}", options.environment, names::JOB);
        let query = format!("labelSelector={}", encoded(&ours));
        let patience = Patience { poll: options.poll, silence: options.silence };
        let jobs = Watched::<Job>::slim(self.api().clone(), Kind::JOB, query.clone(), patience);
        let pods = Watched::<Pod>::slim(self.api().clone(), Kind::POD, query, patience);
        let begun = Instant::now();
        let mut said = None;
        loop {
            let listed = match jobs.items().await {
                Ok(jobs) => pods.items().await.map(|pods| (jobs, pods)),
                Err(error) => Err(error),
            };
            if let Some((jobs, pods)) = away.answered(listed)? {
                let Some(other) = Other::among(jobs, pods) else { return Ok(()) };
                if let Some(why) = other.never_begins(&options.container)
                    && let Some(job) = &other.job
                    && self.take_away(job).await.unwrap_or(false)
                {
                    let text = format!("{} cannot start and was taken away: {why}", other.words());
                    observer.report(Progress::Note { text });
                    continue;
                }
                if begun.elapsed() >= Duration::from_secs(spec.deadline_sec.into()) {
                    let limit = spec.deadline_sec;
                    let reason = format!("{} did not end within {limit} s", other.words());
                    let next = format!(
                        "no instance of the release was started, and no migration of it was run; `{} get jobs,pods -l \
                         {}={}` shows what is at work",
                        self.kubectl(),
                        names::JOB,
                        other.name
                    );
                    return Err(KubernetesError::Job {
                        job: other.name,
                        reason,
                        last_lines: Vec::new(),
                        next,
                    });
                }
                if said.as_ref() != Some(&other.name) {
                    observer.report(Progress::Note { text: format!("waiting for {} to end", other.words()) });
                    said = Some(other.name);
                }
            }
            tokio::select! {
                () = jobs.changed() => {}
                () = pods.changed() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Deletes a Job that has not begun, so that it does not start when nobody
    /// waits for it any more; whether it was, which it is not once it has begun.
    ///
    /// # Errors
    /// It may still be there.
    async fn take_away(&self, job: &Job) -> Result<bool, KubernetesError> {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let attempt = async || {
            // What was seen last may be over.
            let pods = self.api().list::<Pod>(Kind::POD, &labelled(name)).await?.items;
            if pods.iter().any(|pod| state::has_run(pod, &self.options().container)) {
                return Ok(false);
            }
            self.api().delete(Kind::JOB, name, uid(&job.metadata)).await.map(|()| true)
        };
        let mut last = attempt().await;
        for _ in 1..MOST_DELETES {
            match &last {
                Err(error) if error.is_transient() => {}
                _ => break,
            }
            tokio::time::sleep(LOOK_EVERY).await;
            last = attempt().await;
        }
        last
    }
}

/// The query for what is labelled as a Job's.
fn labelled(job: &str) -> String {
    format!("labelSelector={}", encoded(&format!("{}={job}", names::JOB)))
}

/// Somebody else's Job, or what is left of one.
struct Other {
    name: String,
    job: Option<Job>,
    pod: Option<Pod>,
}

impl Other {
    fn among(jobs: Vec<Job>, pods: Vec<Pod>) -> Option<Self> {
        let pods: Vec<Pod> = pods.into_iter().filter(|pod| !state::has_ended(pod)).collect();
        // One that is being deleted is what its pods are.
        let mut jobs = jobs.into_iter().filter(|job| state::end_of(job).is_none() && !state::is_leaving(job));
        let of = |name: &str| pods.iter().find(|pod| state::job_of(pod) == Some(name)).cloned();
        if let Some(job) = jobs.next() {
            let name = job.metadata.name.clone().unwrap_or_default();
            return Some(Self { pod: of(&name), job: Some(job), name });
        }
        let name = state::job_of(pods.first()?)?.to_owned();
        Some(Self { pod: of(&name), job: None, name })
    }

    fn words(&self) -> String {
        let annotations = self.job.as_ref().and_then(|job| job.metadata.annotations.as_ref());
        let rollout = annotations.and_then(|annotations| annotations.get(names::ROLLOUT));
        match (&self.job, rollout) {
            (Some(_), Some(rollout)) => format!("job {} of {rollout}", self.name),
            (Some(_), None) => format!("job {} of nobody knows which rollout", self.name),
            (None, _) => format!("the pod of job {}, which has ended or was deleted,", self.name),
        }
    }

    /// Why its container cannot begin, for good.
    fn never_begins(&self, container: &str) -> Option<String> {
        let pod = self.pod.as_ref().filter(|pod| !state::has_run(pod, container))?;
        diagnose(pod, &[]).filter(|finding| !finding.heals).map(|finding| finding.message)
    }
}
