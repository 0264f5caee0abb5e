//! Semantic Versioning 2.0.0 (semver.org, items 9 to 11), and its dialects:
//! Go's prefixes, NuGet's fourth number, Pub's ordered build numbers.

use std::cmp::Ordering;

use super::{compare_numbers, is_number, take_digits, take_while};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    Strict,
    Go,
    NuGet,
    Pub,
}

/// `major.minor.patch[.revision][-pre][+build]`; missing numbers are 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct SemVer<'a> {
    core: [&'a str; 4],
    /// Identifiers joined by dots.
    pre: &'a str,
    /// The number of `go1.21rc2`, which Go's advisories write as `rc.2`.
    pre_number: &'a str,
    build: &'a str,
    flavour: Flavour,
}

pub(super) fn parse(text: &str, flavour: Flavour) -> Option<SemVer<'_>> {
    let text = match flavour {
        Flavour::Go => text.strip_prefix("go").or_else(|| text.strip_prefix('v')).unwrap_or(text),
        _ => text.trim_start_matches('=').trim_start().trim_start_matches(['v', 'V']),
    };
    let most = if flavour == Flavour::NuGet { 4 } else { 3 };
    let mut core = [""; 4];
    let mut rest = text;
    for (at, number) in core.iter_mut().enumerate().take(most) {
        let (digits, after) = take_digits(rest);
        if digits.is_empty() {
            return None;
        }
        (*number, rest) = (digits, after);
        match rest.strip_prefix('.') {
            Some(after) if at + 1 < most => rest = after,
            Some(_) => return None,
            None => break,
        }
    }
    let mut version = SemVer { core, pre: "", pre_number: "", build: "", flavour };
    if flavour == Flavour::Go && rest.starts_with(|c: char| c.is_ascii_lowercase()) {
        let (word, after) = take_while(rest, |b| b.is_ascii_lowercase());
        let (number, after) = take_digits(after);
        // `go1.21.3 X:experiment`, `go1.21.3-vendor` and the like name the same sources.
        (version.pre, version.pre_number, rest) = (word, number, after);
        if !matches!(word, "rc" | "beta") || number.is_empty() || !rest.is_empty() {
            return None;
        }
    }
    if let Some(tail) = rest.strip_prefix('-') {
        let (pre, after) = tail.find('+').map_or((tail, ""), |at| tail.split_at(at));
        if !identifiers(pre) {
            return None;
        }
        (version.pre, rest) = (pre, after);
    }
    if let Some(build) = rest.strip_prefix('+') {
        if !identifiers(build) {
            return None;
        }
        (version.build, rest) = (build, "");
    }
    rest.is_empty().then_some(version)
}

fn identifiers(text: &str) -> bool {
    text.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

impl SemVer<'_> {
    pub(super) fn compare(&self, other: &SemVer<'_>) -> Ordering {
        let core = self.core.iter().zip(other.core);
        core.map(|(a, b)| compare_numbers(a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
            .then_with(|| self.compare_pre(other))
            .then_with(
                || if self.flavour == Flavour::Pub { self.compare_build(other) } else { Ordering::Equal },
            )
    }

    fn compare_pre(&self, other: &SemVer<'_>) -> Ordering {
        match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let parts = |version: &Self| (version.pre, version.pre_number);
                let ((a, a_number), (b, b_number)) = (parts(self), (other.pre, other.pre_number));
                let number = |text| std::iter::once(text).filter(|text: &&str| !text.is_empty());
                self.compare_identifiers(
                    a.split('.').chain(number(a_number)),
                    b.split('.').chain(number(b_number)),
                )
            }
        }
    }

    /// Pub orders builds as it orders pre-releases, but above none.
    fn compare_build(&self, other: &SemVer<'_>) -> Ordering {
        match (self.build.is_empty(), other.build.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compare_identifiers(self.build.split('.'), other.build.split('.')),
        }
    }

    fn compare_identifiers<'b>(
        &self,
        left: impl Iterator<Item = &'b str>,
        right: impl Iterator<Item = &'b str>,
    ) -> Ordering {
        let fold = self.flavour == Flavour::NuGet;
        left.map(|text| Identifier { text, fold }).cmp(right.map(|text| Identifier { text, fold }))
    }
}

struct Identifier<'a> {
    text: &'a str,
    fold: bool,
}

impl Ord for Identifier<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (is_number(self.text), is_number(other.text)) {
            (true, true) => compare_numbers(self.text, other.text),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) if self.fold => {
                let fold = |text: &str| text.to_ascii_lowercase();
                fold(self.text).cmp(&fold(other.text))
            }
            (false, false) => self.text.cmp(other.text),
        }
    }
}

impl PartialOrd for Identifier<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Identifier<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Identifier<'_> {}
