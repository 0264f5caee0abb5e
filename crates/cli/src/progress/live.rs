//! The view for a terminal: what is finished scrolls up, what is under way is
//! drawn over again, ten times a second.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_model::progress::RolloutView;
use plimsoll_model::{Observer, Progress};

use super::table::{self, Look, Output};
use super::{moved, screen, waiting};
use crate::printer::{bold, dim, duration, terminal_size, to_terminal};

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(100);
/// Lines of instances that are kept to be shown.
const TAIL: usize = 8;

/// The view. Draws until it is dropped and leaves nothing behind.
pub(super) struct Live {
    shown: Arc<Mutex<Shown>>,
    verbose: bool,
    colours: bool,
    stop: Option<Sender<()>>,
    drawing: Option<JoinHandle<()>>,
}

/// What is shown now.
struct Shown {
    message: String,
    began: Instant,
    rollout: Option<RolloutView>,
    tail: VecDeque<Output>,
    frame: usize,
}

impl Live {
    pub(super) fn new(verbose: bool, colours: bool) -> Self {
        let shown = Shown {
            message: String::new(),
            began: Instant::now(),
            rollout: None,
            tail: VecDeque::new(),
            frame: 0,
        };
        let shown = Arc::new(Mutex::new(shown));
        let (stop, stopped) = channel();
        let drawn = shown.clone();
        let unicode = speaks_unicode(|name| std::env::var(name).ok());
        let drawing = std::thread::spawn(move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let lines = lock(&drawn).lines(unicode);
                screen::draw(&lines.iter().map(|line| coloured(line, colours)).collect::<Vec<_>>());
            }
        });
        Self { shown, verbose, colours, stop: Some(stop), drawing: Some(drawing) }
    }

    fn above(&self, line: &str) {
        let line = coloured(line, self.colours) + "\n";
        screen::above(|| to_terminal(line.as_bytes()));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(drawing) = self.drawing.take() {
            let _ = drawing.join();
        }
        screen::above(|| {});
    }
}

impl Observer for Live {
    fn report(&self, progress: Progress) {
        let message = match progress {
            Progress::StepStarted { step, detail } => format!("{} {detail}", bold(&step)),
            Progress::StepFinished { step, detail, duration_sec } => {
                self.above(&format!("  {} {detail} {}", bold(&step), dim(&duration(duration_sec))));
                String::new()
            }
            Progress::Line { step, text, .. } if self.verbose => {
                return self.above(&format!("  {} {text}", dim(&step)));
            }
            Progress::Line { step, text, .. } => format!("{} {}", bold(&step), dim(&text)),
            Progress::Bytes { step, what, done, total } => {
                format!("{} {what} {}", bold(&step), moved(done, total))
            }
            Progress::Rollout(view) => return self.rollout(*view),
            Progress::Output { instance, text } => {
                let tail = &mut lock(&self.shown).tail;
                if tail.len() >= TAIL {
                    tail.pop_front();
                }
                return tail.push_back(Output { instance, text });
            }
            Progress::Note { text } => return self.above(&format!("  {text}")),
        };
        let mut shown = lock(&self.shown);
        shown.message = message;
        shown.rollout = None;
    }
}

impl Live {
    fn rollout(&self, view: RolloutView) {
        let before = lock(&self.shown).rollout.replace(view.clone());
        // What turned it round stays to be read when the table has gone.
        if view.detail.starts_with("going back: ") && before.is_none_or(|b| b.detail != view.detail) {
            self.above(&format!("  {} {}", bold("rollout"), waiting(&view.detail)));
        }
    }
}

impl Shown {
    fn lines(&mut self, unicode: bool) -> Vec<String> {
        self.frame += 1;
        let (columns, rows) = terminal_size();
        let spinner: &[char] = if unicode {
            &['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
        } else {
            &['|', '/', '-', '\\']
        };
        let spinner = spinner[self.frame % spinner.len()];
        // One column is left free: a full line would break in some terminals.
        let look = Look { width: columns.saturating_sub(1).max(20), rows, unicode };
        match &self.rollout {
            Some(view) => table::lines(view, self.tail.make_contiguous(), &look, spinner),
            None => vec![table::status_line(spinner, &self.message, self.began.elapsed(), &look)],
        }
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn coloured(line: &str, colours: bool) -> String {
    if colours { line.to_owned() } else { anstream::adapter::strip_str(line).to_string() }
}

/// Whether the terminal is said to read UTF-8. Nothing said means yes: so it is
/// in most containers.
fn speaks_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let locale = names.into_iter().filter_map(variable).find(|value| !value.is_empty());
    locale.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_what_the_terminal_reads() {
        let of = |set: &'static [(&str, &str)]| {
            speaks_unicode(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(of(&[]));
        assert!(of(&[("LANG", "C.UTF-8")]));
        assert!(of(&[("LC_ALL", ""), ("LANG", "de_DE.utf8")]));
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]));
        assert!(!of(&[("LANG", "de_DE.ISO-8859-1")]));
    }
}
