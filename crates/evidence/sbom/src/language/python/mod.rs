//! Python: installed distributions and lock files.

mod installed;
mod lock;
mod requirement;

pub(crate) use installed::Installed;

use super::lock::LockFiles;
use crate::catalog::Want;
use crate::{Component, Hash};

/// Lock files of pip, Pipenv, Poetry and uv, and `pylock.toml` (PEP 751).
pub(crate) const LOCKS: LockFiles = LockFiles {
    name: "python-lock",
    wants: &[
        Want::Name("Pipfile.lock"),
        Want::Name("poetry.lock"),
        Want::Name("pylock.toml"),
        Want::Name("requirements.lock"),
        Want::Name("requirements-prod.txt"),
        Want::Suffix("requirements.txt"),
        Want::Name("uv.lock"),
    ],
    parse: lock::parse,
};

/// A name in the spelling by which the ecosystem compares: lower case, each
/// run of `-`, `_` and `.` is one `-` (PEP 503).
fn normal(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

/// Where a distribution comes from that is not on an index, as a qualifier.
fn from_git(component: &mut Component, url: &str, commit: &str) {
    let url = if url.starts_with("git+") { url.to_owned() } else { format!("git+{url}") };
    let at = if commit.is_empty() { "" } else { "@" };
    component.qualifiers.insert("vcs_url".into(), format!("{url}{at}{commit}"));
}

/// Notes the checksum, if all texts (`sha256:…` or `sha256=…`) are one and the
/// same: a lock file lists those of every wheel, and which of them was
/// installed it does not say.
fn only_hash<'a>(component: &mut Component, texts: impl IntoIterator<Item = &'a str>) {
    let mut texts = texts.into_iter();
    let Some(first) = texts.next() else { return };
    if texts.all(|text| text == first) {
        let hash = first.split_once([':', '=']).and_then(|(algorithm, hex)| Hash::new(algorithm, hex));
        component.hashes.extend(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (name, expected) in [("Flask", "flask"), ("zope.interface", "zope-interface"), ("a_-.b", "a-b")] {
            assert_eq!(normal(name), expected);
        }
    }

    #[test]
    fn of_many_checksums_none_is_the_one() {
        let (one, other) = (format!("sha256:{}", "0a".repeat(32)), format!("sha256:{}", "0b".repeat(32)));
        let count = |texts: &[&str]| {
            let mut component = Component::new("pypi", "a", "1");
            only_hash(&mut component, texts.iter().copied());
            component.hashes.len()
        };
        assert_eq!(count(&[&one]), 1);
        assert_eq!(count(&[&one, &one]), 1);
        assert_eq!(count(&[&one, &other]), 0);
        assert_eq!(count(&["sha256:x"]), 0);
    }
}
