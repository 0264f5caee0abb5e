//! Waiting for a Job: until it has ended, cannot start, or is gone, and never
//! without a bound.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use plimsoll_model::{Observer, Progress};
use tokio::time::Instant;

use super::away::Away;
use super::document::KEPT_SEC;
use super::lines::Lines;
use super::state::{end_of, has_run, is_leaving, is_suspended, last_seen, newest};
use super::{JobEnd, JobSpec, LOOK_EVERY, labelled};
use crate::KubernetesTarget;
use crate::api::{Kind, encoded};
use crate::diagnosis::{self, Finding, diagnose};
use crate::error::KubernetesError;
use crate::view::uid;
use crate::watch::Watched;

/// Events of what does not start are fetched again after this.
const EVENTS_EVERY: Duration = Duration::from_millis(500);

pub(super) struct Wait<'a> {
    pub(super) target: &'a KubernetesTarget,
    pub(super) spec: &'a JobSpec,
    pub(super) observer: &'a dyn Observer,
    pub(super) name: String,
    /// Of the Job that is waited for; another one of its name is somebody else's.
    pub(super) uid: String,
    pub(super) jobs: Watched<Job>,
    pub(super) pods: Watched<Pod>,
    pub(super) away: Away<'a>,
    pub(super) lines: Lines<'a>,
    pub(super) trouble: Trouble,
    /// When even a cluster that ends it late would have.
    pub(super) overdue: Instant,
}

/// What keeps it from starting.
#[derive(Default)]
pub(super) struct Trouble {
    since: Option<Instant>,
    said: Option<String>,
    /// The newest events, about what, and when they were asked for.
    events: Option<(Instant, String, Vec<Event>)>,
}

/// The Job, as far as it can be told.
enum Seen {
    Is(Box<Job>),
    Gone,
    NotKnown,
}

impl Wait<'_> {
    pub(super) async fn until_it_ends(mut self) -> Result<JobEnd, KubernetesError> {
        loop {
            // The Job before its pods: what they wrote is complete once it has ended.
            match self.look().await {
                Err(error) => return Err(self.not_known(&error)),
                Ok(Seen::Gone) => return Err(self.deleted().await),
                // The cluster may be as late afterwards as it was before.
                Ok(Seen::NotKnown) => self.overdue = self.overdue.max(Instant::now() + self.spec.grace),
                Ok(Seen::Is(job)) => match end_of(&job) {
                    Some(end) => return self.ended(end).await,
                    None if is_leaving(&job) => return Err(self.deleted().await),
                    None if Instant::now() >= self.overdue => return Err(self.late(&job)),
                    None => {
                        if let Some(error) = self.cannot_start(&job).await {
                            return Err(error);
                        }
                    }
                },
            }
            self.lines.take();
            tokio::select! {
                () = self.jobs.changed() => {}
                () = self.pods.changed() => {}
                () = self.lines.next() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// What the Job is now. One that the list does not have is asked for by its
    /// name before anybody believes that it is gone.
    async fn look(&mut self) -> Result<Seen, KubernetesError> {
        let own = |job: &Job| uid(&job.metadata) == self.uid;
        let Some(jobs) = self.away.answered(self.jobs.items().await)? else { return Ok(Seen::NotKnown) };
        if let Some(job) = jobs.into_iter().find(own) {
            return Ok(Seen::Is(Box::new(job)));
        }
        let asked = self.target.api().get::<Job>(Kind::JOB, &self.name).await;
        Ok(match self.away.answered(asked)? {
            None => Seen::NotKnown,
            Some(found) => found.filter(own).map_or(Seen::Gone, |job| Seen::Is(Box::new(job))),
        })
    }

    /// Follows its pod once it runs; else looks why it does not, and gives up
    /// what cannot or did not in time. What is not known of the pod is no
    /// reason to end anything: the Job decides.
    async fn cannot_start(&mut self, job: &Job) -> Option<KubernetesError> {
        let container = self.target.options().container.clone();
        let pod = match self.pods.items().await {
            Ok(pods) => newest(pods),
            Err(error) => {
                tracing::debug!(%error, job = self.name, "its pod cannot be seen");
                return None;
            }
        };
        if let Some(pod) = pod.as_ref().filter(|pod| has_run(pod, &container)) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            self.lines.follow(self.target.api(), name, &container);
            self.trouble = Trouble::default();
            return None;
        }
        let Some(finding) = self.finding(job, pod.as_ref()).await else {
            self.trouble.since = None;
            return None;
        };
        let since = *self.trouble.since.get_or_insert_with(Instant::now);
        if finding.heals && since.elapsed() < self.spec.grace {
            if self.trouble.said.as_ref() != Some(&finding.message) {
                let grace = self.spec.grace.as_secs();
                let text = format!(
                    "job {} cannot start yet: {}; it is given up after {grace} s of that",
                    self.name, finding.message
                );
                self.observer.report(Progress::Note { text });
                self.trouble.said = Some(finding.message);
            }
            return None;
        }
        let left = match self.target.take_away(job).await {
            Ok(true) => String::new(),
            // It has begun meanwhile.
            Ok(false) => return None,
            Err(error) => format!("; the Job could not be taken away and may start yet: {error}"),
        };
        let next = format!(
            "no instance of the release was started, and no migration was run; mend that, then deploy again; `{} get \
             events --sort-by=.lastTimestamp` has more",
            self.target.kubectl()
        );
        let (job, reason) = (self.name.clone(), format!("it cannot start: {}{left}", finding.message));
        Some(KubernetesError::Job { job, reason, last_lines: Vec::new(), next })
    }

    /// Why it does not get to run, if so. A process that ended is the Job's
    /// to judge.
    async fn finding(&mut self, job: &Job, pod: Option<&Pod>) -> Option<Finding> {
        if pod.is_none() && is_suspended(job) {
            return Some(diagnosis::suspended());
        }
        let about = uid(pod.map_or(&job.metadata, |pod| &pod.metadata)).to_owned();
        let known = self.trouble.events.take();
        let known = known.filter(|(at, of, _)| *of == about && at.elapsed() < EVENTS_EVERY);
        let known = match known {
            Some(known) => known,
            None => {
                let selector = encoded(&format!("involvedObject.uid={about}"));
                let query = format!("fieldSelector={selector}");
                let events = self.target.api().list::<Event>(Kind::EVENT, &query).await;
                // They explain; what cannot be had explains nothing.
                (Instant::now(), about, events.map(|listed| listed.items).unwrap_or_default())
            }
        };
        let (_, _, events) = self.trouble.events.insert(known);
        match pod {
            Some(pod) => diagnose(pod, events),
            None => {
                let failed = events.iter().find(|event| event.reason.as_deref() == Some("FailedCreate"))?;
                Some(diagnosis::refused(failed.message.as_deref().unwrap_or_default()))
            }
        }
    }

    /// Its pods as they are now; nothing where nobody can tell.
    async fn pods_now(&self) -> Option<Vec<Pod>> {
        let listed = self.target.api().list::<Pod>(Kind::POD, &labelled(&self.name)).await;
        listed.ok().map(|listed| listed.items)
    }

    async fn ended(self, end: Result<(), String>) -> Result<JobEnd, KubernetesError> {
        // Those that were seen last may be older than the Job's end.
        let pods = self.pods_now().await;
        let container = self.target.options().container.clone();
        let api = self.target.api();
        let pod = newest(pods.clone().unwrap_or_default());
        let name = pod.as_ref().and_then(|pod| pod.metadata.name.as_deref());
        let (job, kubectl) = (self.name.clone(), self.target.kubectl());
        let environment = &self.target.options().environment;
        let last_lines = self.lines.all(api, name, &container).await;
        let Err(said) = end else { return Ok(JobEnd { job, last_lines }) };
        let reason = match (pod.as_ref(), &pods) {
            (Some(pod), _) => match diagnose(pod, &[]) {
                Some(finding) => format!("{} ({said})", finding.message),
                None => said,
            },
            // A cluster that ends a Job at its deadline deletes what runs.
            (None, Some(_)) if !said_late(&said) => {
                format!("{said}; its pod is gone: somebody may have deleted it")
            }
            (None, _) => said,
        };
        let more = match &pods {
            _ if said_late(&reason) => format!(
                "it was told to end in the middle: what it did is not known, and its log goes with its pod; a larger \
                 `timeout` in [environments.{}.kubernetes.migrate] gives it longer, and the next deployment waits until \
                 its pod has ended",
                environment
            ),
            Some(pods) if pods.is_empty() => {
                format!(
                    "its pod is gone, with what it wrote besides; `{kubectl} describe job {job}` shows its events"
                )
            }
            _ => format!(
                "`{kubectl} logs job/{job}` has all it wrote, as long as the Job is kept ({} min)",
                KEPT_SEC / 60
            ),
        };
        let next = format!("no instance of the release was started; {more}");
        Err(KubernetesError::Job { job, reason, last_lines, next })
    }

    async fn deleted(self) -> KubernetesError {
        let pods = self.pods_now().await;
        let container = self.target.options().container.clone();
        let seen = last_seen(pods.as_deref(), &container);
        let pod = newest(pods.unwrap_or_default());
        let name = pod.as_ref().and_then(|pod| pod.metadata.name.as_deref());
        let (job, api) = (self.name.clone(), self.target.api());
        let last_lines = self.lines.now(api, name, &container).await;
        let reason = format!("somebody deleted it while it was waited for; {seen}");
        let next = format!(
            "no instance of the release was started; see how the database's schema stands before the next deployment, which \
             runs the command again; `{} get pods -l plimsoll.dev/job={job}` shows whether something of it still runs",
            self.target.kubectl()
        );
        KubernetesError::Job { job, reason, last_lines, next }
    }

    /// The cluster did not end it in time.
    fn late(self, job: &Job) -> KubernetesError {
        let limit = self.spec.deadline_sec;
        let why = if is_suspended(job) { "it is suspended" } else { "is the Job controller at work?" };
        let reason =
            format!("it did not end within {limit} s, and the cluster did not end it at its deadline: {why}");
        let next = self.left_at_work();
        KubernetesError::Job { job: self.name, reason, last_lines: self.lines.left(), next }
    }

    /// The cluster could not be asked for too long, or not at all any more.
    fn not_known(self, error: &KubernetesError) -> KubernetesError {
        let reason = format!("how it ended is not known: {}", error.in_full());
        let next = self.left_at_work();
        KubernetesError::Job { job: self.name, reason, last_lines: self.lines.left(), next }
    }

    fn left_at_work(&self) -> String {
        format!(
            "no instance of the release was started; the Job was left as it is, and the next deployment waits until it has \
             ended; `{} logs job/{} --follow` shows what it writes",
            self.target.kubectl(),
            self.name
        )
    }
}

/// Whether the cluster ended it at its deadline.
fn said_late(said: &str) -> bool {
    said.contains("DeadlineExceeded")
}
