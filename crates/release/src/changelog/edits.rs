//! Changes to the lines of a changelog, made all at once.

use std::collections::BTreeMap;
use std::ops::Range;

use super::document::Changelog;

/// Changes to lines, all counted from the lines as they were.
#[derive(Default)]
pub(super) struct Edits {
    replaced: BTreeMap<usize, (usize, Vec<String>)>,
    inserted: BTreeMap<usize, Vec<Block>>,
}

struct Block {
    lines: Vec<String>,
    /// Whether blank lines stand around it.
    separate: bool,
}

impl Edits {
    pub(super) fn is_empty(&self) -> bool {
        self.replaced.is_empty() && self.inserted.is_empty()
    }

    pub(super) fn replace(&mut self, range: Range<usize>, with: Vec<String>) {
        // A group that goes takes the lines in it along.
        if self.replaced.range(..range.start).next_back().is_some_and(|(_, (end, _))| *end > range.start) {
            return;
        }
        let inner: Vec<usize> = self.replaced.range(range.clone()).map(|(start, _)| *start).collect();
        for start in inner {
            self.replaced.remove(&start);
        }
        self.replaced.insert(range.start, (range.end, with));
    }

    pub(super) fn insert(&mut self, at: usize, lines: Vec<String>) {
        self.inserted.entry(at).or_default().push(Block { lines, separate: false });
    }

    pub(super) fn separate(&mut self, at: usize, lines: Vec<String>) {
        self.inserted.entry(at).or_default().push(Block { lines, separate: true });
    }

    pub(super) fn apply(mut self, changelog: &Changelog) -> Changelog {
        let stop = changelog.end();
        let mut out = Out { lines: Vec::new(), stop, pending: false };
        let mut at = 0;
        while at <= changelog.lines.len() {
            for block in self.inserted.remove(&at).unwrap_or_default() {
                out.block(block);
            }
            match self.replaced.remove(&at) {
                Some((end, lines)) => {
                    for line in lines {
                        out.line(line);
                    }
                    // Blocks within what is replaced stand after it.
                    let inner: Vec<usize> = self.inserted.range(at..end).map(|(at, _)| *at).collect();
                    for inner in inner {
                        for block in self.inserted.remove(&inner).unwrap_or_default() {
                            out.block(block);
                        }
                    }
                    at = end;
                }
                None => {
                    if let Some(line) = changelog.lines.get(at) {
                        out.line(line.clone());
                    }
                    at += 1;
                }
            }
        }
        Changelog::of_lines(out.lines)
    }
}

/// Lines on their way out, with blank lines where blocks need them.
struct Out {
    lines: Vec<String>,
    stop: &'static str,
    /// Whether a block ended that wants a blank line before what follows.
    pending: bool,
}

impl Out {
    fn line(&mut self, line: String) {
        if std::mem::take(&mut self.pending) && !line.trim().is_empty() {
            self.lines.push(self.stop.to_owned());
        }
        // The file may not have ended with a line end.
        if let Some(last) = self.lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push_str(self.stop);
        }
        self.lines.push(line);
    }

    fn block(&mut self, block: Block) {
        if block.separate && self.lines.last().is_some_and(|last| !last.trim().is_empty()) {
            self.pending = true;
        }
        for line in block.lines {
            let line = if line.ends_with('\n') { line } else { format!("{line}{}", self.stop) };
            self.line(line);
        }
        self.pending |= block.separate;
    }
}
