//! PEP 440: epochs, pre-, post- and development releases, local labels, and
//! the spellings that are normalised away (appendix B).

use std::cmp::Ordering;

use super::{compare_numbers, is_number, strip_prefix_fold, take_digits};

/// A version as the PEP orders it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pep440<'a> {
    epoch: &'a str,
    /// Numbers joined by dots.
    release: &'a str,
    /// Rank of `a`, `b`, `rc` (0, 1, 2), and its number.
    pre: Option<(u8, &'a str)>,
    post: Option<&'a str>,
    dev: Option<&'a str>,
    /// What follows `+`; empty where there is none.
    pub(super) local: &'a str,
}

const PRE: [(&str, u8); 8] =
    [("alpha", 0), ("beta", 1), ("preview", 2), ("pre", 2), ("rc", 2), ("a", 0), ("b", 1), ("c", 2)];
const POST: [(&str, u8); 3] = [("post", 0), ("rev", 0), ("r", 0)];
const DEV: [(&str, u8); 1] = [("dev", 0)];

pub(super) fn parse(text: &str) -> Option<Pep440<'_>> {
    let text = strip_prefix_fold(text, "v").unwrap_or(text);
    let (text, local) = text.split_once('+').map_or((text, None), |(head, local)| (head, Some(local)));
    if local.is_some_and(|local| !local.split(SEPARATORS).all(alphanumeric)) {
        return None;
    }
    let (epoch, text) = text.split_once('!').unwrap_or(("0", text));
    let mut end = take_digits(text).0.len();
    if !is_number(epoch) || end == 0 {
        return None;
    }
    // `.N` as often as it comes; `.post` is not part of the release.
    while let Some(after) = text[end..].strip_prefix('.') {
        match take_digits(after).0.len() {
            0 => break,
            digits => end += 1 + digits,
        }
    }
    let (release, rest) = text.split_at(end);
    let (pre, rest) =
        segment(rest, &PRE).map_or((None, rest), |(rank, number, rest)| (Some((rank, number)), rest));
    let (post, rest) = match segment(rest, &POST) {
        Some((_, number, rest)) => (Some(number), rest),
        // `1.0-1` is `1.0.post1`.
        None => match rest.strip_prefix('-').map(take_digits) {
            Some((number, after)) if !number.is_empty() => (Some(number), after),
            _ => (None, rest),
        },
    };
    let (dev, rest) = segment(rest, &DEV).map_or((None, rest), |(_, number, rest)| (Some(number), rest));
    rest.is_empty().then_some(Pep440 { epoch, release, pre, post, dev, local: local.unwrap_or("") })
}

const SEPARATORS: [char; 3] = ['-', '_', '.'];

fn alphanumeric(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `[separator] word [separator] [number]`; a missing number is 0.
fn segment<'a>(text: &'a str, words: &[(&str, u8)]) -> Option<(u8, &'a str, &'a str)> {
    let inner = text.strip_prefix(SEPARATORS).unwrap_or(text);
    let (rank, after) =
        words.iter().find_map(|(word, rank)| strip_prefix_fold(inner, word).map(|rest| (*rank, rest)))?;
    let (number, rest) = take_digits(after.strip_prefix(SEPARATORS).unwrap_or(after));
    // Without a number the separator belongs to what follows.
    Some(if number.is_empty() { (rank, "", after) } else { (rank, number, rest) })
}

impl<'a> Pep440<'a> {
    /// The version without its local label.
    pub(super) fn public(&self) -> Self {
        Self { local: "", ..*self }
    }

    pub(super) fn compare(&self, other: &Pep440<'_>) -> Ordering {
        compare_numbers(self.epoch, other.epoch)
            .then_with(|| compare_release(self.release, other.release))
            .then_with(|| self.pre_key().cmp(&other.pre_key()))
            .then_with(|| compare_optional(self.pre_number(), other.pre_number()))
            // No post-release is below every one.
            .then_with(|| self.post.is_some().cmp(&other.post.is_some()))
            .then_with(|| compare_optional(self.post, other.post))
            // No development release is above every one.
            .then_with(|| self.dev.is_none().cmp(&other.dev.is_none()))
            .then_with(|| compare_optional(self.dev, other.dev))
            .then_with(|| compare_local(self.local, other.local))
    }

    /// A bare development release is below every pre-release, a release above.
    fn pre_key(&self) -> i8 {
        match (self.pre, self.post, self.dev) {
            (Some((rank, _)), _, _) => i8::try_from(rank).unwrap_or(i8::MAX),
            (None, None, Some(_)) => -1,
            (None, _, _) => 3,
        }
    }

    fn pre_number(&self) -> Option<&'a str> {
        self.pre.map(|(_, number)| number)
    }
}

fn compare_optional(left: Option<&str>, right: Option<&str>) -> Ordering {
    compare_numbers(left.unwrap_or(""), right.unwrap_or(""))
}

fn compare_release(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let (a, b) = (left.next(), right.next());
        if a.is_none() && b.is_none() {
            return Ordering::Equal;
        }
        let order = compare_optional(a, b);
        if order.is_ne() {
            return order;
        }
    }
}

/// Numbers are above words; more parts are above fewer; none is lowest.
fn compare_local(left: &str, right: &str) -> Ordering {
    let parts = |text: &'_ str| -> Vec<(bool, String)> {
        let parts = text.split(SEPARATORS).filter(|part| !part.is_empty());
        parts.map(|part| (is_number(part), part.to_ascii_lowercase())).collect()
    };
    let (left, right) = (parts(left), parts(right));
    for ((a_number, a), (b_number, b)) in left.iter().zip(&right) {
        let order =
            a_number.cmp(b_number).then_with(|| if *a_number { compare_numbers(a, b) } else { a.cmp(b) });
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}
