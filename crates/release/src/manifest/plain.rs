//! `VERSION`: one line.

use plimsoll_model::Lookup;
use semver::Version;

use super::semver;

/// The first line that is not empty, with or without `v`.
pub(super) fn read(text: &str) -> Lookup<Version> {
    let line = text.trim_start_matches('\u{feff}').lines().map(str::trim).find(|line| !line.is_empty());
    match line {
        None => Lookup::Invalid("it is empty".into()),
        Some(line) => semver(line.strip_prefix(['v', 'V']).unwrap_or(line)),
    }
}
