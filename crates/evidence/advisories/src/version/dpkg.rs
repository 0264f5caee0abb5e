//! Debian Policy 5.6.12 and deb-version(7): `[epoch:]upstream[-revision]`.

use std::cmp::Ordering;

use super::{compare_numbers, is_number, take_digits, take_while};

/// The three parts of a Debian version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dpkg<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

pub(super) fn parse(text: &str) -> Option<Dpkg<'_>> {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'~');
    let usable = is_number(epoch)
        && upstream.starts_with(|c: char| c.is_ascii_digit())
        && upstream.bytes().all(|b| plain(b) || matches!(b, b'-' | b':'))
        && !revision.is_empty()
        && revision.bytes().all(plain);
    usable.then_some(Dpkg { epoch, upstream, revision })
}

impl Dpkg<'_> {
    pub(super) fn compare(&self, other: &Dpkg<'_>) -> Ordering {
        compare_numbers(self.epoch, other.epoch)
            .then_with(|| compare_part(self.upstream, other.upstream))
            .then_with(|| compare_part(self.revision, other.revision))
    }
}

/// Alternates between a stretch without digits and a number.
fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (a, after_a) = take_while(left, |b| !b.is_ascii_digit());
        let (b, after_b) = take_while(right, |b| !b.is_ascii_digit());
        let order = compare_words(a, b);
        if order.is_ne() {
            return order;
        }
        let ((a, after_a), (b, after_b)) = (take_digits(after_a), take_digits(after_b));
        let order = compare_numbers(a, b);
        if order.is_ne() {
            return order;
        }
        (left, right) = (after_a, after_b);
    }
    Ordering::Equal
}

/// `~` is before the end, the end before letters, letters before the rest.
fn compare_words(left: &str, right: &str) -> Ordering {
    let rank = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    };
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let positions = 0..left.len().max(right.len());
    positions
        .map(|at| rank(left.get(at)).cmp(&rank(right.get(at))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}
