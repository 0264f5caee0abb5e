//! The output of a build as lines: reported one by one, the last ones kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use plimsoll_model::{Observer, Progress, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};

/// As many lines are kept for the error, at least half of them from each stream
/// that has as many: one that writes much does not hide what the other said.
const KEPT: usize = 50;
/// Longer lines are cut in pieces of this many bytes.
const LINE_LIMIT: usize = 8 << 10;

/// Reports lines to an observer and remembers the last of them.
pub(crate) struct Tail<'a> {
    step: &'a str,
    observer: &'a dyn Observer,
    last: Mutex<Last>,
}

/// The last lines of each stream, numbered in the order in which they came.
#[derive(Default)]
struct Last {
    count: u64,
    stdout: VecDeque<(u64, String)>,
    stderr: VecDeque<(u64, String)>,
}

impl<'a> Tail<'a> {
    pub(crate) fn new(step: &'a str, observer: &'a dyn Observer) -> Self {
        Self { step, observer, last: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes one line without its end.
    pub(crate) fn line(&self, stream: Stream, line: &[u8]) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        {
            let mut last = self.lock();
            last.count += 1;
            let entry = (last.count, text.clone());
            let lines = match stream {
                Stream::Stdout => &mut last.stdout,
                Stream::Stderr => &mut last.stderr,
            };
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(entry);
        }
        self.observer.report(Progress::Line { step: self.step.into(), stream, text });
    }

    /// Takes text of any number of lines.
    pub(crate) fn text(&self, stream: Stream, text: &str) {
        let pieces = text.lines().flat_map(|line| match line {
            "" => vec![&b""[..]],
            line => line.as_bytes().chunks(LINE_LIMIT).collect(),
        });
        pieces.for_each(|piece| self.line(stream, piece));
    }

    /// Reads to the end, or to the first error: the other side is gone then.
    pub(crate) async fn read(&self, mut reader: impl AsyncRead + Unpin, stream: Stream) {
        let mut buffer = Vec::with_capacity(2 * LINE_LIMIT);
        loop {
            let read = reader.read_buf(&mut buffer).await;
            let end = !matches!(read, Ok(count) if count > 0);
            let mut start = 0;
            loop {
                let rest = &buffer[start..];
                let newline = rest.iter().take(LINE_LIMIT + 1).position(|&byte| byte == b'\n');
                let (length, skip) = match newline {
                    Some(at) => (at, at + 1),
                    None if rest.len() >= LINE_LIMIT => (LINE_LIMIT, LINE_LIMIT),
                    None => break,
                };
                self.line(stream, &rest[..length]);
                start += skip;
            }
            buffer.drain(..start);
            if end {
                if !buffer.is_empty() {
                    self.line(stream, &buffer);
                }
                return;
            }
        }
    }

    /// The last lines, oldest first.
    pub(crate) fn last(&self) -> Vec<String> {
        let last = self.lock();
        let (out, err) = (&last.stdout, &last.stderr);
        let from_out = out.len().min(KEPT.saturating_sub(err.len()).max(KEPT / 2));
        let from_err = err.len().min(KEPT - from_out);
        let mut lines: Vec<_> =
            out.range(out.len() - from_out..).chain(err.range(err.len() - from_err..)).collect();
        lines.sort();
        lines.into_iter().map(|(_, text)| text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_model::Silent;

    async fn lines(input: &[u8]) -> Vec<String> {
        let tail = Tail::new("build", &Silent);
        tail.read(input, Stream::Stdout).await;
        tail.last()
    }

    #[tokio::test]
    async fn lines_are_bounded_in_length_and_number() {
        assert_eq!(lines(b"a\r\nb\n\nc").await, ["a", "b", "", "c"]);
        let long = vec![b'x'; 3 * LINE_LIMIT + 5];
        assert_eq!(lines(&long).await.iter().map(String::len).collect::<Vec<_>>(), [8192, 8192, 8192, 5]);
        let many: String = (0..200).map(|n| format!("{n}\n")).collect();
        let kept = lines(many.as_bytes()).await;
        assert_eq!((kept.len(), &*kept[0], &*kept[49]), (KEPT, "150", "199"));
        assert_eq!(lines(b"\xff\n").await, ["\u{fffd}"]);
    }
    #[test]
    fn one_stream_does_not_hide_the_other() {
        let tail = Tail::new("build", &Silent);
        tail.text(Stream::Stderr, "oops");
        (0..200).for_each(|n| tail.line(Stream::Stdout, n.to_string().as_bytes()));
        let kept = tail.last();
        assert_eq!((kept.len(), &*kept[0], &*kept[1], &*kept[49]), (50, "oops", "151", "199"));
        (0..200).for_each(|n| tail.line(Stream::Stderr, format!("e{n}").as_bytes()));
        let kept = tail.last();
        assert_eq!((kept.len(), &*kept[0], &*kept[24], &*kept[25]), (50, "175", "199", "e175"));
    }
}
