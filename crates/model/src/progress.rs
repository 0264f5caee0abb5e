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
    Rollout {
        /// Name of the machine's phase.
        phase: String,
        /// What is waited for, in words.
        detail: String,
        /// One row per release that has instances.
        releases: Vec<ReleaseRow>,
    },
    /// Something worth saying that is neither failure nor step.
    Note {
        /// The sentence.
        text: String,
    },
}

/// One release's instances in a [`Progress::Rollout`].
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
