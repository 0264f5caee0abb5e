//! What an operation reports while it works. Views of it (terminal, plain
//! lines, JSON events) have no logic of their own (DEP-7).

use serde::{Deserialize, Serialize};

/// Which output stream of a child process a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One report. With `--events` each is one JSON object on a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// A named step begins, e.g. `checkout`, `build`, `assemble`, `push`,
    /// `guard`, `rollout`, `watch`.
    StepStarted {
        /// Name of the step.
        step: String,
        /// What it works on, in words.
        detail: String,
    },
    /// The step ended.
    StepFinished {
        /// Name of the step.
        step: String,
        /// What came of it, in words.
        detail: String,
        /// How long it took.
        duration_sec: f64,
    },
    /// A line a child process wrote.
    Line {
        /// The step that runs it.
        step: String,
        /// Which stream.
        stream: Stream,
        /// The line, without its end.
        text: String,
    },
    /// Bytes moved so far.
    Bytes {
        /// The step.
        step: String,
        /// What is moved, e.g. a short digest.
        what: String,
        /// Bytes done.
        done: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// Where a rollout stands.
    Rollout(Box<RolloutView>),
    /// A line that an instance of the new release wrote before it was ready.
    Output {
        /// The instance.
        instance: String,
        /// The line, without its end and without control characters.
        text: String,
    },
    /// Something worth saying that is neither failure nor step.
    Note {
        /// The sentence.
        text: String,
    },
}

/// Everything that is known of a rollout at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutView {
    /// The rollout's name.
    #[serde(default)]
    pub rollout: String,
    /// The environment.
    #[serde(default)]
    pub environment: String,
    /// Name of the machine's phase.
    pub phase: String,
    /// What is waited for, in words.
    pub detail: String,
    /// How long this may still take; absent where the phase has no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<TimeLeft>,
    /// One row per release that has instances.
    pub releases: Vec<ReleaseRow>,
    /// One row per instance, release by release.
    #[serde(default)]
    pub instances: Vec<InstanceRow>,
    /// What the watch says, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchRow>,
}

/// How long a phase may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeLeft {
    /// In seconds.
    pub sec: u32,
    /// What happens then.
    pub until: Until,
}

/// What happens at the end of a phase's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The new release has been watched for as long as was asked for.
    Watched,
    /// The rollout is given up.
    GivenUp,
}

/// One release's instances in a [`RolloutView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Full commit SHA.
    pub sha: crate::Commit,
    /// Image digest.
    pub digest: crate::Digest,
    /// `stable` or `candidate`.
    pub role: String,
    /// Instances wanted.
    pub desired: u32,
    /// Created, not ready yet.
    pub starting: u32,
    /// Ready to serve.
    pub ready: u32,
    /// Failing.
    pub failing: u32,
    /// Finishing their last requests.
    pub draining: u32,
    /// Whether it receives traffic.
    pub traffic: bool,
    /// Its part of the instances that receive traffic, in percent.
    #[serde(default)]
    pub traffic_percent: u32,
}

/// One instance in a [`RolloutView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// Its name.
    pub name: String,
    /// The release that runs in it.
    pub sha: crate::Commit,
    /// That release's role.
    pub role: String,
    /// How it is.
    pub state: Condition,
    /// Why it is not ready: code and one sentence; empty when nothing is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it receives traffic.
    pub traffic: bool,
    /// For how long it has existed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_sec: Option<u64>,
}

/// How an instance is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Something is wrong with it.
    Failing,
    /// It ended without having been asked to.
    Ended,
    /// Created, not ready yet.
    Starting,
    /// Ready to serve.
    Ready,
    /// Finishing its last requests, or on its way out.
    Draining,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Failing => "failing",
            Self::Ended => "ended",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        })
    }
}

/// What the watch over the new release says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchRow {
    /// `no evidence`, `regressed`, `insufficient data`.
    pub verdict: String,
    /// Why, in a sentence; may be empty.
    pub reason: String,
    /// One row per metric.
    #[serde(default)]
    pub metrics: Vec<MetricRow>,
}

/// One metric under watch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricRow {
    /// As it is declared.
    pub name: String,
    /// `no evidence`, `regressed`, `insufficient data`.
    pub verdict: String,
    /// What was counted of the former release, e.g. `12 of 40210`.
    pub stable: String,
    /// What was counted of the new one.
    pub candidate: String,
}

/// Somewhere progress goes. Implementations must not block for long.
pub trait Observer: Send + Sync {
    /// Takes one report.
    fn report(&self, progress: Progress);
}

/// Discards everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn report(&self, _: Progress) {}
}
