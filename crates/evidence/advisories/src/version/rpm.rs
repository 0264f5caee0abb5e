//! rpm's order: epoch, then version, then release, each by `rpmvercmp`
//! (rpm-version(7)), with `~` before and `^` after.

use std::cmp::Ordering;

use super::{compare_numbers, is_number, take_digits, take_while};

/// `[epoch:]version[-release]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rpm<'a> {
    epoch: &'a str,
    version: &'a str,
    pub(super) release: Option<&'a str>,
}

pub(super) fn parse(text: &str) -> Option<Rpm<'_>> {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (version, release) = match rest.rsplit_once('-') {
        Some((version, release)) => (version, Some(release)),
        None => (rest, None),
    };
    let plain = |text: &str| !text.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control());
    let usable = is_number(epoch)
        && version.bytes().any(|b| b.is_ascii_alphanumeric())
        && plain(version)
        && release.is_none_or(|release| !release.is_empty() && plain(release));
    usable.then_some(Rpm { epoch, version, release })
}

impl Rpm<'_> {
    /// Epoch and version alone.
    pub(super) fn without_release(&self) -> Self {
        Self { release: None, ..*self }
    }

    pub(super) fn compare(&self, other: &Rpm<'_>) -> Ordering {
        compare_numbers(self.epoch, other.epoch).then_with(|| vercmp(self.version, other.version)).then_with(
            || match (self.release, other.release) {
                (Some(a), Some(b)) => vercmp(a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            },
        )
    }
}

fn vercmp(mut left: &str, mut right: &str) -> Ordering {
    loop {
        left = take_while(left, separates).1;
        right = take_while(right, separates).1;
        match (left.strip_prefix('~'), right.strip_prefix('~')) {
            (Some(a), Some(b)) => {
                (left, right) = (a, b);
                continue;
            }
            (Some(_), None) => return Ordering::Less,
            (None, Some(_)) => return Ordering::Greater,
            (None, None) => {}
        }
        match (left.strip_prefix('^'), right.strip_prefix('^')) {
            (Some(a), Some(b)) => {
                (left, right) = (a, b);
                continue;
            }
            // After the end, before anything else.
            (Some(_), None) => return if right.is_empty() { Ordering::Greater } else { Ordering::Less },
            (None, Some(_)) => return if left.is_empty() { Ordering::Less } else { Ordering::Greater },
            (None, None) => {}
        }
        if left.is_empty() || right.is_empty() {
            return left.len().cmp(&right.len());
        }
        let numeric = left.starts_with(|c: char| c.is_ascii_digit());
        let order = if numeric {
            let ((a, after_a), (b, after_b)) = (take_digits(left), take_digits(right));
            (left, right) = (after_a, after_b);
            // A number is above a word.
            if b.is_empty() { Ordering::Greater } else { compare_numbers(a, b) }
        } else {
            fn word(text: &str) -> (&str, &str) {
                take_while(text, |b| b.is_ascii_alphabetic())
            }
            let ((a, after_a), (b, after_b)) = (word(left), word(right));
            (left, right) = (after_a, after_b);
            if b.is_empty() { Ordering::Less } else { a.cmp(b) }
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn separates(byte: u8) -> bool {
    !byte.is_ascii_alphanumeric() && byte != b'~' && byte != b'^'
}
