//! Bytes moved, reported now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_model::{Observer, Progress};

/// A report is made each time this many bytes have moved, and at the end.
const STRIDE: u64 = 1 << 20;

/// Counts the bytes of one blob.
#[derive(Clone)]
pub(super) struct Meter {
    observer: Arc<dyn Observer>,
    step: &'static str,
    what: String,
    total: u64,
    done: Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn new(observer: Arc<dyn Observer>, step: &'static str, what: String, total: u64) -> Self {
        Self { observer, step, what, total, done: Arc::default() }
    }

    /// Sets how far it is; after a resumed transfer this may go back.
    pub(super) fn at(&self, done: u64) {
        let before = self.done.swap(done, Ordering::Relaxed);
        if done / STRIDE != before / STRIDE || done == self.total {
            self.observer.report(Progress::Bytes {
                step: self.step.into(),
                what: self.what.clone(),
                done,
                total: Some(self.total),
            });
        }
    }
}
