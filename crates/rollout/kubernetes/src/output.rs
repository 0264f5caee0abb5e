//! What new pods write, read beside the rollout while somebody follows it.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use plimsoll_rollout_core::OutputLine;
use plimsoll_rollout_core::output::Collector;
use tokio::task::JoinSet;

use crate::api::Api;

/// The readers of one target; they end with it.
#[derive(Debug, Default)]
pub(crate) struct Output {
    lines: Collector,
    readers: Mutex<JoinSet<()>>,
}

impl Output {
    /// What these pods have written since the last call. A pod whose container
    /// does not run yet cannot be read and is tried again at the next look.
    pub(crate) fn new_lines(&self, api: &Arc<Api>, container: &str, of: &[&str]) -> Vec<OutputLine> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is done with.
        while readers.try_join_next().is_some() {}
        for pod in of.iter().filter(|pod| self.lines.begin(pod)) {
            let (api, lines) = (api.clone(), self.lines.clone());
            let (pod, container) = ((*pod).to_owned(), container.to_owned());
            readers.spawn(async move {
                let Ok(mut stream) = api.follow(&pod, &container).await else {
                    // Not at once: its container may take a while to start.
                    tokio::time::sleep(TRY_AGAIN).await;
                    return lines.ended(&pod);
                };
                while let Some(Ok(line)) = stream.next().await {
                    if !lines.push(&pod, &String::from_utf8_lossy(&line)) {
                        return;
                    }
                }
            });
        }
        self.lines.take(of)
    }
}

/// How long after a pod could not be read it is tried again.
const TRY_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);
