//! What new instances write, collected for people to follow while a rollout
//! is under way. It explains; nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::target::OutputLine;

/// Lines of one instance that are shown, from its first on; then one more says
/// that there are others.
pub const MOST_LINES: usize = 60;
/// Characters of a line that are shown.
const LONGEST_LINE: usize = 500;
/// Lines kept until somebody takes them.
const MOST_WAITING: usize = 1000;
/// Instances that are followed at the same time: the first ones show how a
/// release starts.
const MOST_FOLLOWED: usize = 8;

/// Lines on their way from whoever reads them to whoever shows them. Clones
/// share the lines.
#[derive(Debug, Clone, Default)]
pub struct Collector(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    waiting: VecDeque<OutputLine>,
    taken_in: BTreeMap<String, usize>,
    followed: BTreeSet<String>,
}

impl Collector {
    /// Whether reading this instance is to begin now: it is not read yet, and
    /// there is room for one more.
    pub fn begin(&self, instance: &str) -> bool {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collected.followed.len() < MOST_FOLLOWED && collected.followed.insert(instance.to_owned())
    }

    /// Its reader has ended; it may be read again, and makes room.
    pub fn ended(&self, instance: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).followed.remove(instance);
    }

    /// Takes a line in; whether more of this instance are wanted.
    pub fn push(&self, instance: &str, line: &str) -> bool {
        let Some(text) = clean(line) else { return true };
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = collected.taken_in.entry(instance.to_owned()).or_default();
        *so_far += 1;
        let (text, more) = match (*so_far).cmp(&(MOST_LINES + 1)) {
            std::cmp::Ordering::Less => (text, true),
            std::cmp::Ordering::Equal => {
                (format!("(more than {MOST_LINES} lines; no more are shown)"), false)
            }
            std::cmp::Ordering::Greater => return false,
        };
        if collected.waiting.len() >= MOST_WAITING {
            collected.waiting.pop_front();
        }
        collected.waiting.push_back(OutputLine { instance: instance.into(), text });
        more
    }

    /// What has been taken in of these since the last call, oldest first. What
    /// is there of others is nobody's concern any more, and goes.
    pub fn take(&self, of: &[&str]) -> Vec<OutputLine> {
        let mut collected = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut collected.waiting);
        waiting.into_iter().filter(|line| of.contains(&line.instance.as_str())).collect()
    }
}

/// A line as it is shown: no colours or other sequences that move a terminal,
/// no control characters, not endless; nothing for an empty one.
fn clean(line: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                // A control sequence ends with its first letter or the like.
                while characters.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            '\t' => text.push(' '),
            c if c.is_control() => {}
            c => text.push(c),
        }
        if text.len() >= 4 * LONGEST_LINE {
            break;
        }
    }
    let text: String = text.trim_end().chars().take(LONGEST_LINE).collect();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: Vec<OutputLine>) -> Vec<String> {
        lines.into_iter().map(|line| format!("{}|{}", line.instance, line.text)).collect()
    }

    #[test]
    fn lines_are_handed_on_once_and_only_of_those_asked_for() {
        let lines = Collector::default();
        for (instance, text) in [("a", "one"), ("b", "two"), ("a", "three"), ("c", "  ")] {
            assert!(lines.push(instance, text));
        }
        assert_eq!(texts(lines.take(&["a", "c"])), ["a|one", "a|three"]);
        assert!(lines.take(&["a", "b", "c"]).is_empty());
    }

    #[test]
    fn an_instance_that_never_stops_writing_is_cut_off_and_that_is_said() {
        let lines = Collector::default();
        let wanted = (0..1000).filter(|n| lines.push("a", &n.to_string())).count();
        assert_eq!(wanted, MOST_LINES);
        let shown = texts(lines.take(&["a"]));
        assert_eq!(shown.len(), MOST_LINES + 1);
        assert_eq!(shown.last().map(String::as_str), Some("a|(more than 60 lines; no more are shown)"));
        assert!(lines.push("b", "another is not cut off with it"));
    }

    #[test]
    fn a_line_cannot_move_the_terminal() {
        assert_eq!(clean("\u{1b}[31mred\u{1b}[0m\r\u{7}\tx").as_deref(), Some("red x"));
        assert_eq!(clean("\u{1b}[2J\u{1b}[1;1H"), None);
        assert_eq!(clean(&"ä".repeat(5000)).map(|text| text.chars().count()), Some(LONGEST_LINE));
    }

    #[test]
    fn only_so_many_are_followed_at_a_time() {
        let lines = Collector::default();
        let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(names.iter().filter(|name| lines.begin(name)).count(), MOST_FOLLOWED);
        assert!(!lines.begin("0"), "it is followed already");
        lines.ended("0");
        assert!(lines.begin("19"));
    }
}
