//! Composer: a version is normalised to four numbers and a stability, and
//! those are ordered as PHP's `version_compare` does. A branch (`dev-main`)
//! has no order.

use std::cmp::Ordering;

use super::{compare_numbers, strip_prefix_fold, take_digits};

/// Four numbers, a stability with its numbers, and whether it is a development state.
#[derive(Debug, Clone)]
pub(super) struct Packagist<'a> {
    core: [&'a str; 4],
    stability: u8,
    /// Numbers after the stability: `RC1.2` has two.
    numbers: Vec<&'a str>,
    dev: bool,
}

const STABLE: u8 = 4;
/// Longest spelling first, so that `patch` is not read as `p`.
const STABILITIES: [(&str, u8); 9] = [
    ("stable", STABLE),
    ("alpha", 1),
    ("beta", 2),
    ("patch", 5),
    ("rc", 3),
    ("pl", 5),
    ("a", 1),
    ("b", 2),
    ("p", 5),
];
/// What stands for `x` in `1.2.x-dev`.
const ANY: &str = "9999999";

pub(super) fn parse(text: &str) -> Option<Packagist<'_>> {
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    let text = strip_prefix_fold(text, "v").unwrap_or(text);
    let mut core = ["0"; 4];
    let (mut rest, mut branch) = (text, false);
    for (at, number) in core.iter_mut().enumerate() {
        let inner = if at == 0 { rest } else { rest.strip_prefix('.').unwrap_or("") };
        let (digits, after) = take_digits(inner);
        if !digits.is_empty() {
            if branch {
                return None;
            }
            (*number, rest) = (digits, after);
        } else if let Some(after) = inner.strip_prefix(['x', 'X', '*']).filter(|_| at > 0) {
            (*number, rest, branch) = (ANY, after, true);
        } else if at == 0 {
            return None;
        } else if branch {
            *number = ANY;
        }
    }
    let mut version = Packagist { core, stability: STABLE, numbers: Vec::new(), dev: false };
    let inner = rest.strip_prefix(['.', '-', '_']).unwrap_or(rest);
    let stability = STABILITIES
        .iter()
        .find_map(|(word, rank)| strip_prefix_fold(inner, word).map(|after| (*rank, after)));
    if let Some((rank, after)) = stability {
        (version.stability, rest) = (rank, after);
        while let Some((digits, after)) = split_number(rest) {
            version.numbers.push(digits);
            rest = after;
        }
    }
    if let Some(after) = strip_prefix_fold(rest.strip_prefix(['.', '-', '_']).unwrap_or(rest), "dev") {
        (version.dev, rest) = (true, after);
    }
    (rest.is_empty() && (!branch || version.dev)).then_some(version)
}

/// A number with an optional `.` or `-` before it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let (digits, rest) = take_digits(text.strip_prefix(['.', '-']).unwrap_or(text));
    (!digits.is_empty()).then_some((digits, rest))
}

impl Packagist<'_> {
    pub(super) fn compare(&self, other: &Packagist<'_>) -> Ordering {
        let core = self.core.iter().zip(other.core);
        core.map(|(a, b)| compare_numbers(a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
            // A development state is before everything of its numbers but is
            // compared after the stability where both have one.
            .then_with(|| self.rank().cmp(&other.rank()))
            .then_with(|| self.compare_numbers(other))
            .then_with(|| other.dev.cmp(&self.dev))
    }

    fn rank(&self) -> u8 {
        if self.dev && self.stability == STABLE { 0 } else { self.stability }
    }

    fn compare_numbers(&self, other: &Packagist<'_>) -> Ordering {
        for (a, b) in self.numbers.iter().zip(&other.numbers) {
            let order = compare_numbers(a, b);
            if order.is_ne() {
                return order;
            }
        }
        self.numbers.len().cmp(&other.numbers.len())
    }
}
