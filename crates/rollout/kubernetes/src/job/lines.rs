//! What a Job's container writes: followed while it runs, gone on with where a
//! stream could not be opened or broke off, and complete at the end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use plimsoll_model::{Observer, Progress, Stream};
use plimsoll_rollout_core::fleet::{LAST_LINES, last_lines};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::api::Api;
use crate::error::KubernetesError;

/// How long its last lines may take after it ended.
const WITHIN: Duration = Duration::from_secs(5);
/// First and longest pause before a stream that ended is opened again: a
/// container that has written nothing yet may not be followed, and a stream may
/// end although its container goes on.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(4));
/// Lines that wait to be reported.
const MOST_WAITING: usize = 1_024;

enum Heard {
    Line(String),
    /// The stream ended by itself.
    Whole,
}

/// The lines of one Job.
pub(super) struct Lines<'a> {
    step: &'a str,
    observer: &'a dyn Observer,
    /// The last ones, oldest first.
    kept: Vec<String>,
    to: mpsc::Sender<Heard>,
    from: mpsc::Receiver<Heard>,
    reader: Option<Reader>,
    /// Whether nothing was heard since the stream ended by itself.
    whole: bool,
}

/// Ends the reading of lines when it is dropped.
struct Reader(tokio::task::JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a> Lines<'a> {
    /// None so far; reported under a step.
    pub(super) fn new(step: &'a str, observer: &'a dyn Observer) -> Self {
        let (to, from) = mpsc::channel(MOST_WAITING);
        Self { step, observer, kept: Vec::new(), to, from, reader: None, whole: false }
    }

    /// Follows a pod whose container runs or has run; once.
    pub(super) fn follow(&mut self, api: &Arc<Api>, pod: &str, container: &str) {
        if self.reader.is_none() {
            let read = read(api.clone(), pod.to_owned(), container.to_owned(), self.to.clone());
            self.reader = Some(Reader(tokio::spawn(read)));
        }
    }

    /// Reports what is there.
    pub(super) fn take(&mut self) {
        while let Ok(heard) = self.from.try_recv() {
            self.hear(heard);
        }
    }

    /// Waits for the next line.
    pub(super) async fn next(&mut self) {
        // The other end is held here, too.
        if let Some(heard) = self.from.recv().await {
            self.hear(heard);
        }
    }

    /// The last lines, once nothing more is written: those that the stream still
    /// has, and those that it may have lost.
    pub(super) async fn all(mut self, api: &Arc<Api>, pod: Option<&str>, container: &str) -> Vec<String> {
        let Some(pod) = pod else { return self.left() };
        self.follow(api, pod, container);
        let until = Instant::now() + WITHIN;
        while !self.whole {
            match timeout_at(until, self.from.recv()).await {
                Ok(Some(heard)) => self.hear(heard),
                Ok(None) | Err(_) => break,
            }
        }
        self.now(api, Some(pod), container).await
    }

    /// The last lines as they are now, of a container that may go on.
    pub(super) async fn now(mut self, api: &Arc<Api>, pod: Option<&str>, container: &str) -> Vec<String> {
        self.take();
        let Some(pod) = pod else { return self.left() };
        let tail = api.log(pod, container, false, LAST_LINES);
        if let Ok(Ok(text)) = tokio::time::timeout(WITHIN, tail).await {
            for line in not_in(&self.kept, last_lines(&text)) {
                self.say(line);
            }
        }
        self.left()
    }

    /// The last lines that were heard.
    pub(super) fn left(mut self) -> Vec<String> {
        self.take();
        self.kept
    }

    fn hear(&mut self, heard: Heard) {
        self.whole = matches!(heard, Heard::Whole);
        if let Heard::Line(line) = heard
            && let Some(text) = last_lines(&line).pop()
        {
            self.say(text);
        }
    }

    fn say(&mut self, text: String) {
        let (step, stream) = (self.step.to_owned(), Stream::Stdout);
        self.observer.report(Progress::Line { step, stream, text: text.clone() });
        self.kept.push(text);
        if self.kept.len() > LAST_LINES {
            self.kept.remove(0);
        }
    }
}

/// What of the newest lines comes after those that are known: as many as fit
/// are the same.
fn not_in(known: &[String], mut newest: Vec<String>) -> Vec<String> {
    let most = known.len().min(newest.len());
    let same = (0..=most).rev().find(|n| known[known.len() - n..] == newest[..*n]);
    newest.split_off(same.unwrap_or_default())
}

/// Reads until nobody listens any more.
async fn read(api: Arc<Api>, pod: String, container: String, to: mpsc::Sender<Heard>) {
    let mut told = 0;
    let mut pause = AGAIN.0;
    loop {
        let before = told;
        match once(&api, &pod, &container, &to, &mut told).await {
            Ok(()) if to.send(Heard::Whole).await.is_err() => return,
            Ok(()) => {}
            // A line longer than any that is read would be met again.
            Err(KubernetesError::Nonsense { .. }) => return,
            Err(error) => tracing::debug!(%error, pod, "its output could not be read to the end"),
        }
        pause = if told > before { AGAIN.0 } else { (pause * 2).min(AGAIN.1) };
        tokio::time::sleep(pause).await;
    }
}

/// Reads from the beginning, tells what was not told, and ends with the stream.
async fn once(
    api: &Api,
    pod: &str,
    container: &str,
    to: &mpsc::Sender<Heard>,
    told: &mut usize,
) -> Result<(), KubernetesError> {
    let mut stream = api.follow(pod, container).await?;
    let mut at = 0;
    while let Some(line) = stream.next().await {
        let line = line?;
        at += 1;
        if at > *told {
            *told = at;
            let line = String::from_utf8_lossy(&line).into_owned();
            if to.send(Heard::Line(line)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_not_told_again() {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let new = |known: &str, newest: &str| not_in(&lines(known), lines(newest)).concat();
        assert_eq!(new("", "ab"), "ab");
        assert_eq!(new("abc", "bc"), "");
        assert_eq!(new("abc", "bcde"), "de");
        assert_eq!(new("aa", "aaa"), "a");
        assert_eq!(new("abc", "xyz"), "xyz");
        assert_eq!(new("abc", ""), "");
    }
}
