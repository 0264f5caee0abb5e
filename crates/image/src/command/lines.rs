//! The output of a build as lines: reported one by one, the last ones kept.

use std::collections::VecDeque;
use std::sync::Mutex;

use plimsoll_model::{Observer, Progress, Stream};
use tokio::io::{AsyncRead, AsyncReadExt};

/// As many lines are kept for the error.
const KEPT: usize = 50;
/// Longer lines are cut in pieces of this many bytes.
const LINE_LIMIT: usize = 8 << 10;

/// Reports lines to an observer and remembers the last of them.
pub(crate) struct Tail<'a> {
    step: &'a str,
    observer: &'a dyn Observer,
    last: Mutex<VecDeque<String>>,
}

impl<'a> Tail<'a> {
    pub(crate) fn new(step: &'a str, observer: &'a dyn Observer) -> Self {
        Self { step, observer, last: Mutex::new(VecDeque::with_capacity(KEPT)) }
    }

    /// Takes one line without its end.
    pub(crate) fn line(&self, stream: Stream, line: &[u8]) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        {
            let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if last.len() == KEPT {
                last.pop_front();
            }
            last.push_back(text.clone());
        }
        self.observer.report(Progress::Line { step: self.step.into(), stream, text });
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
        self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).iter().cloned().collect()
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
}
