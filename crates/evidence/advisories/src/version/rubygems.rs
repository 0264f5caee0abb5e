//! `Gem::Version`: numbers and words by turns, a word marks a pre-release.

use std::cmp::Ordering;

use super::{compare_numbers, is_number, take_digits, take_while};

/// Segments in canonical form: no zeros at the end of the release, nor of the
/// pre-release.
#[derive(Debug, Clone)]
pub(super) struct Gem<'a>(Vec<&'a str>);

pub(super) fn parse(text: &str) -> Option<Gem<'_>> {
    // `1.0-1` is `1.0.pre.1`.
    let (release, pre) = text.split_once('-').map_or((text, None), |(head, tail)| (head, Some(tail)));
    let word = |part: &str, hyphen: bool| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || (hyphen && b == b'-'))
    };
    let mut parts = release.split('.');
    let usable = parts.next().is_some_and(is_number)
        && parts.all(|part| word(part, false))
        && pre.is_none_or(|pre| pre.split('.').all(|part| word(part, true)));
    if !usable {
        return None;
    }
    let mut segments = Vec::new();
    release.split('.').for_each(|part| push_segments(part, &mut segments));
    for part in pre.into_iter().flat_map(|pre| std::iter::once("pre").chain(pre.split('.'))) {
        part.split('-').enumerate().for_each(|(at, part)| {
            if at > 0 {
                segments.push("pre");
            }
            push_segments(part, &mut segments);
        });
    }
    let first_word = segments.iter().position(|segment| !is_number(segment)).unwrap_or(segments.len());
    let tail = segments.split_off(first_word);
    drop_zeros(&mut segments);
    segments.extend(tail);
    if segments.iter().any(|segment| !is_number(segment)) {
        drop_zeros(&mut segments);
    }
    Some(Gem(segments))
}

fn push_segments<'a>(mut part: &'a str, segments: &mut Vec<&'a str>) {
    while !part.is_empty() {
        let (digits, rest) = take_digits(part);
        let (segment, rest) =
            if digits.is_empty() { take_while(part, |b| !b.is_ascii_digit()) } else { (digits, rest) };
        segments.push(segment);
        part = rest;
    }
}

fn drop_zeros(segments: &mut Vec<&str>) {
    while segments.last().is_some_and(|last| is_number(last) && last.bytes().all(|b| b == b'0')) {
        segments.pop();
    }
}

impl Gem<'_> {
    pub(super) fn compare(&self, other: &Gem<'_>) -> Ordering {
        let most = self.0.len().max(other.0.len());
        (0..most)
            .map(|at| {
                let (a, b) = (self.0.get(at).unwrap_or(&"0"), other.0.get(at).unwrap_or(&"0"));
                match (is_number(a), is_number(b)) {
                    (true, true) => compare_numbers(a, b),
                    (true, false) => Ordering::Greater,
                    (false, true) => Ordering::Less,
                    (false, false) => a.cmp(b),
                }
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}
