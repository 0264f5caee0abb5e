//! How far a version has to move, and where that leads (VER-1).

use std::fmt;

use semver::{Prerelease, Version};
use serde::{Deserialize, Serialize};

/// What a release means for those who use it; the greatest is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// Nothing changed at all.
    Nothing,
    /// Whoever uses it need not do anything and can do nothing new.
    Fix,
    /// Whoever uses it can do more.
    Addition,
    /// Whoever uses it may have to change something.
    Break,
}

/// Which number of a version moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// None.
    None,
    /// The third.
    Patch,
    /// The second.
    Minor,
    /// The first.
    Major,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        })
    }
}

impl Meaning {
    /// VER-1: from 1.0 as SemVer has it; before 1.0 a break is a minor version,
    /// never silently 1.0.0.
    pub fn level(self, previous: &Version) -> Level {
        match self {
            Self::Nothing => Level::None,
            Self::Fix => Level::Patch,
            Self::Addition => Level::Minor,
            Self::Break if previous.major == 0 => Level::Minor,
            Self::Break => Level::Major,
        }
    }
}

/// The version without pre-release and build metadata.
pub fn base(version: &Version) -> Version {
    Version::new(version.major, version.minor, version.patch)
}

/// The version one step on. Numbers at their limit stay there.
pub fn bump(previous: &Version, level: Level) -> Version {
    let up = |number: u64| number.saturating_add(1);
    match level {
        Level::None => previous.clone(),
        Level::Patch => Version::new(previous.major, previous.minor, up(previous.patch)),
        Level::Minor => Version::new(previous.major, up(previous.minor), 0),
        Level::Major => Version::new(up(previous.major), 0, 0),
    }
}

/// The next pre-release of `target` in the series `name`: one more than the
/// highest number that is taken. None: `name` cannot be part of a version.
pub fn prerelease<'a>(
    target: &Version,
    name: &str,
    taken: impl Iterator<Item = &'a Version>,
) -> Option<Version> {
    let prefix = format!("{name}.");
    let number = taken
        .filter(|version| base(version) == *target)
        .filter_map(|version| version.pre.as_str().strip_prefix(&prefix)?.parse::<u64>().ok())
        .max()
        .map_or(1, |last| last.saturating_add(1));
    // `rc+1` would otherwise become build metadata of another name.
    if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let pre = Prerelease::new(&format!("{name}.{number}")).ok()?;
    Some(Version { pre, ..target.clone() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// VER-1.
    #[test]
    fn before_and_from_one() {
        for (previous, meaning, next) in [
            ("0.3.4", Meaning::Fix, "0.3.5"),
            ("0.3.4", Meaning::Addition, "0.4.0"),
            ("0.3.4", Meaning::Break, "0.4.0"),
            ("0.0.4", Meaning::Break, "0.1.0"),
            ("1.2.3", Meaning::Fix, "1.2.4"),
            ("1.2.3", Meaning::Addition, "1.3.0"),
            ("1.2.3", Meaning::Break, "2.0.0"),
            ("1.2.3", Meaning::Nothing, "1.2.3"),
        ] {
            let previous = version(previous);
            assert_eq!(bump(&previous, meaning.level(&previous)), version(next), "{previous} {meaning:?}");
        }
        let last = Version::new(u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(bump(&last, Level::Patch).patch, u64::MAX);
    }

    #[test]
    fn prereleases_count_on() {
        let taken = ["1.3.0-rc.1", "1.3.0-rc.9", "1.3.0-rc.10", "1.3.0-beta.40", "1.4.0-rc.77", "1.3.0-rc.x"]
            .map(version);
        let next = |name| prerelease(&version("1.3.0"), name, taken.iter());
        assert_eq!(next("rc"), Some(version("1.3.0-rc.11")));
        assert_eq!(next("alpha"), Some(version("1.3.0-alpha.1")));
        for bad in ["", "r c", "rc+1", "ü", "1"] {
            assert_eq!(next(bad), None, "{bad}");
        }
    }
}
