//! Steps as they are reported to the observer.

use std::time::Instant;

use plimsoll_model::{Observer, Progress};

/// A step that has begun.
pub(crate) struct Step<'a> {
    observer: &'a dyn Observer,
    name: &'static str,
    since: Instant,
}

impl<'a> Step<'a> {
    pub(crate) fn start(observer: &'a dyn Observer, name: &'static str, detail: impl Into<String>) -> Self {
        observer.report(Progress::StepStarted { step: name.into(), detail: detail.into() });
        Self { observer, name, since: Instant::now() }
    }

    pub(crate) fn finish(self, detail: impl Into<String>) {
        self.observer.report(Progress::StepFinished {
            step: self.name.into(),
            detail: detail.into(),
            duration_sec: self.since.elapsed().as_secs_f64(),
        });
    }
}
