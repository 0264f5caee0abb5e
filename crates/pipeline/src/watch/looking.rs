//! Looks at both releases, at a rhythm of its own: how often depends on nothing
//! else that a rollout does meanwhile.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_health::{Record, Settings};
use plimsoll_watch::Session;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::serving::Serving;

/// However short the time between two looks is declared to be.
const AT_LEAST: Duration = Duration::from_millis(100);

/// When to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    /// When the session began, from which its windows are counted.
    pub(super) began: Instant,
    /// Between two looks.
    pub(super) every: Duration,
}

impl Rhythm {
    /// The first look after one that is made now: in the middle of a window, so
    /// that one which is a little late is still in the window of its own. Only
    /// windows with a look in them are compared.
    fn next(self, now: Instant) -> Instant {
        let every = self.every.max(AT_LEAST);
        let into = now.duration_since(self.began).as_nanos() % every.as_nanos();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or_default());
        let middle = now + every / 2 - into;
        // Two looks close together would show next to nothing.
        if middle < now + every / 4 { middle + every } else { middle }
    }
}

/// Looks in the background until it is dropped.
pub(super) struct Looking {
    wanted: Arc<Notify>,
    newest: watch::Receiver<Option<Arc<Record>>>,
    task: JoinHandle<()>,
}

impl Looking {
    /// The first look is made when [`Looking::newest`] is asked for first.
    pub(super) fn begin(session: Session, serving: Serving, settings: Settings, rhythm: Rhythm) -> Self {
        let wanted = Arc::new(Notify::new());
        let (tell, newest) = watch::channel(None);
        let task = tokio::spawn(look(session, serving, settings, rhythm, wanted.clone(), tell));
        Self { wanted, newest, task }
    }

    /// What was seen up to the last look, judged; after the first look. Nothing
    /// when nobody looks any more.
    pub(super) async fn newest(&self) -> Option<Arc<Record>> {
        self.wanted.notify_one();
        let mut newest = self.newest.clone();
        newest.wait_for(Option::is_some).await.ok().and_then(|record| record.clone())
    }

    /// Ends it; what was seen last is still there.
    pub(super) fn end(&self) {
        self.task.abort();
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.end();
    }
}

async fn look(
    mut session: Session,
    serving: Serving,
    settings: Settings,
    rhythm: Rhythm,
    wanted: Arc<Notify>,
    tell: watch::Sender<Option<Arc<Record>>>,
) {
    wanted.notified().await;
    let mut ticks = interval_at(rhythm.next(Instant::now()), rhythm.every.max(AT_LEAST));
    // What was missed is in the next look: counters have gone on counting.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let replicas = serving.replicas().await;
        session.look(&replicas).await;
        // Nobody hears it where the rollout has just ended.
        tell.send_replace(Some(Arc::new(session.judge(&settings))));
        ticks.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn looks_are_in_the_middle_of_windows_and_not_close_together() {
        let began = Instant::now();
        let every = Duration::from_secs(10);
        let rhythm = Rhythm { began, every };
        for (now, next) in [(0, 5_000), (2_400, 5_000), (2_600, 15_000), (7_000, 15_000), (12_000, 15_000)] {
            let next_look = rhythm.next(began + Duration::from_millis(now)).duration_since(began);
            assert_eq!(next_look, Duration::from_millis(next), "{now}");
        }
        let often = Rhythm { every: Duration::from_nanos(1), ..rhythm };
        assert!(often.next(began) >= began + AT_LEAST / 4, "it never turns without a pause");
    }
}
