//! Versions, ordered by the rules of the ecosystem they belong to: one file
//! for each set of rules.
//!
//! A text that is no version under its rules has no order. It is never taken
//! for the smallest or the largest one.

use std::cmp::Ordering;

mod apk;
mod dpkg;
mod maven;
mod packagist;
mod pep440;
mod rpm;
mod rubygems;
mod semver;
#[cfg(test)]
mod tests;

/// Longest version that is read, in bytes.
const MOST_BYTES: usize = 512;

/// A set of rules by which versions are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Semantic Versioning 2.0.0: crates.io, npm, Hex, SwiftURL.
    SemVer,
    /// SemVer with Go's `v` and `go` prefixes, pseudo-versions included.
    Go,
    /// SemVer with a fourth number, labels without case.
    NuGet,
    /// SemVer where build numbers count too.
    Pub,
    /// PEP 440: PyPI.
    Pep440,
    /// Debian Policy 5.6.12: Debian, Ubuntu.
    Dpkg,
    /// `rpmvercmp` over epoch, version, release.
    Rpm,
    /// apk-tools 3: Alpine, Chainguard, Wolfi.
    Apk,
    /// Maven's version order specification.
    Maven,
    /// `Gem::Version`.
    RubyGems,
    /// Composer's normalisation and PHP's `version_compare`.
    Packagist,
}

impl Scheme {
    /// Every scheme; the position is its number in the index.
    pub(crate) const ALL: [Self; 11] = [
        Self::SemVer,
        Self::Go,
        Self::NuGet,
        Self::Pub,
        Self::Pep440,
        Self::Dpkg,
        Self::Rpm,
        Self::Apk,
        Self::Maven,
        Self::RubyGems,
        Self::Packagist,
    ];

    /// Its name, for text meant for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::SemVer => "SemVer",
            Self::Go => "Go",
            Self::NuGet => "NuGet",
            Self::Pub => "Pub",
            Self::Pep440 => "PEP 440",
            Self::Dpkg => "dpkg",
            Self::Rpm => "rpm",
            Self::Apk => "apk",
            Self::Maven => "Maven",
            Self::RubyGems => "RubyGems",
            Self::Packagist => "Composer",
        }
    }

    /// Whether it is SemVer or one of its dialects.
    pub(crate) fn is_semver(self) -> bool {
        matches!(self, Self::SemVer | Self::Go | Self::NuGet | Self::Pub)
    }

    /// The version that `text` is, or nothing where it is none.
    pub fn parse(self, text: &str) -> Option<Version<'_>> {
        let text = text.trim();
        if text.is_empty() || text.len() > MOST_BYTES || !text.is_ascii() {
            return None;
        }
        Some(Version(match self {
            Self::SemVer => Rules::SemVer(semver::parse(text, semver::Flavour::Strict)?),
            Self::Go => Rules::SemVer(semver::parse(text, semver::Flavour::Go)?),
            Self::NuGet => Rules::SemVer(semver::parse(text, semver::Flavour::NuGet)?),
            Self::Pub => Rules::SemVer(semver::parse(text, semver::Flavour::Pub)?),
            Self::Pep440 => Rules::Pep440(pep440::parse(text)?),
            Self::Dpkg => Rules::Dpkg(dpkg::parse(text)?),
            Self::Rpm => Rules::Rpm(rpm::parse(text)?),
            Self::Apk => Rules::Apk(apk::parse(text)?),
            Self::Maven => Rules::Maven(maven::parse(text)?),
            Self::RubyGems => Rules::RubyGems(rubygems::parse(text)?),
            Self::Packagist => Rules::Packagist(packagist::parse(text)?),
        }))
    }

    /// The order of two texts, or nothing where one of them is no version.
    pub fn compare(self, left: &str, right: &str) -> Option<Ordering> {
        Some(self.parse(left)?.compare(&self.parse(right)?))
    }
}

/// A version that was understood. It borrows from its text.
#[derive(Debug, Clone)]
pub struct Version<'a>(Rules<'a>);

#[derive(Debug, Clone)]
enum Rules<'a> {
    SemVer(semver::SemVer<'a>),
    Pep440(pep440::Pep440<'a>),
    Dpkg(dpkg::Dpkg<'a>),
    Rpm(rpm::Rpm<'a>),
    Apk(apk::Apk<'a>),
    Maven(maven::Maven<'a>),
    RubyGems(rubygems::Gem<'a>),
    Packagist(packagist::Packagist<'a>),
}

impl Version<'_> {
    /// The order of two versions of one scheme.
    ///
    /// Versions of different schemes have none; they compare as equal, which
    /// no caller asks for: both sides come from one [`Scheme::parse`].
    pub fn compare(&self, other: &Version<'_>) -> Ordering {
        match (&self.0, &other.0) {
            (Rules::SemVer(a), Rules::SemVer(b)) => a.compare(b),
            (Rules::Pep440(a), Rules::Pep440(b)) => a.compare(b),
            (Rules::Dpkg(a), Rules::Dpkg(b)) => a.compare(b),
            (Rules::Rpm(a), Rules::Rpm(b)) => a.compare(b),
            (Rules::Apk(a), Rules::Apk(b)) => a.compare(b),
            (Rules::Maven(a), Rules::Maven(b)) => a.compare(b),
            (Rules::RubyGems(a), Rules::RubyGems(b)) => a.compare(b),
            (Rules::Packagist(a), Rules::Packagist(b)) => a.compare(b),
            _ => Ordering::Equal,
        }
    }

    /// The order of this installed version and a bound of an advisory.
    ///
    /// Differs from [`Version::compare`] where a bound means less than it
    /// says: PEP 440 ignores the local label (`2.0.0+cpu` is `2.0.0`) unless
    /// the bound has one, rpm ignores the release unless the bound has one.
    pub fn compare_to_bound(&self, bound: &Version<'_>) -> Ordering {
        match (&self.0, &bound.0) {
            (Rules::Pep440(a), Rules::Pep440(b)) if b.local.is_empty() => a.public().compare(b),
            (Rules::Rpm(a), Rules::Rpm(b)) if b.release.is_none() => a.without_release().compare(b),
            _ => self.compare(bound),
        }
    }
}

/// The order of two digit strings as numbers of any length; an empty one is 0.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Splits off the longest beginning whose bytes all satisfy `wanted`.
fn take_while(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !wanted(b)).unwrap_or(text.len());
    text.split_at(end)
}

/// Splits off the digits a text begins with.
fn take_digits(text: &str) -> (&str, &str) {
    take_while(text, |b| b.is_ascii_digit())
}

/// Strips a prefix, whatever its case.
fn strip_prefix_fold<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}
