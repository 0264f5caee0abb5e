//! An API server that does not answer for a while: waited out, as the rollout's
//! own loop does, and no longer than a bound. The Job goes on meanwhile.

use std::time::Duration;

use plimsoll_model::{Observer, Progress};
use tokio::time::Instant;

use super::LOOK_EVERY;
use crate::error::KubernetesError;

/// An answer that is missing for longer is worth a line.
const SAID_AFTER: Duration = Duration::from_millis(500);

/// Since when there was no answer.
pub(super) struct Away<'a> {
    observer: &'a dyn Observer,
    within: Duration,
    since: Option<Instant>,
    said: bool,
}

impl<'a> Away<'a> {
    /// Nothing was asked yet; without an answer for longer than `within` it is
    /// given up.
    pub(super) fn new(observer: &'a dyn Observer, within: Duration) -> Self {
        Self { observer, within, since: None, said: false }
    }

    /// What a call came to; nothing: it is to be made again.
    ///
    /// # Errors
    /// Trying again cannot help, or did not for too long.
    pub(super) fn answered<T>(
        &mut self,
        answer: Result<T, KubernetesError>,
    ) -> Result<Option<T>, KubernetesError> {
        let error = match answer {
            Ok(answer) => {
                let since = self.since.take();
                if let Some(since) = since.filter(|_| std::mem::take(&mut self.said)) {
                    let text = format!("the API server answers again, after {} s", since.elapsed().as_secs());
                    self.observer.report(Progress::Note { text });
                }
                return Ok(Some(answer));
            }
            Err(error) => error,
        };
        let away = self.since.get_or_insert_with(Instant::now).elapsed();
        if !error.is_transient() || away >= self.within {
            return Err(error);
        }
        if away >= SAID_AFTER && !std::mem::replace(&mut self.said, true) {
            self.observer.report(Progress::Note { text: format!("waiting for the API server: {error}") });
        }
        Ok(None)
    }

    /// Asks until there is an answer.
    ///
    /// # Errors
    /// As [`Away::answered`].
    pub(super) async fn through<T, F>(&mut self, ask: impl Fn() -> F) -> Result<T, KubernetesError>
    where
        F: Future<Output = Result<T, KubernetesError>>,
    {
        loop {
            if let Some(answer) = self.answered(ask().await)? {
                return Ok(answer);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
