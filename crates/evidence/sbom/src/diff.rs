//! What changed between two bills of materials (SBM-4). A new version of a
//! package is one change, never a removal and an addition.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::version::compare;
use crate::{Bom, Component, Purl};

/// What happened to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is there now.
    Added,
    /// It is not there any more.
    Removed,
    /// A newer version took the place of an older one.
    Upgraded,
    /// An older version took the place of a newer one.
    Downgraded,
    /// Another version, and which one is newer cannot be said.
    Changed,
}

/// One package that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// Package URL without version.
    pub package: String,
    /// What happened.
    pub change: Change,
    /// Version before; nothing where it was added.
    pub from: Option<String>,
    /// Version after; nothing where it was removed.
    pub to: Option<String>,
}

/// What changed from `old` to `new`, sorted by package.
///
/// Packages are compared by type, namespace and name. Where several versions
/// of one are present, those on both sides stay as they are, and of the others
/// each takes the place of the one whose version is closest.
pub fn diff(old: &Bom, new: &Bom) -> Vec<Difference> {
    let mut packages: BTreeMap<String, [Vec<&Component>; 2]> = BTreeMap::new();
    for (side, bom) in [old, new].into_iter().enumerate() {
        for component in &bom.components {
            packages.entry(package(component)).or_default()[side].push(component);
        }
    }
    let mut differences = Vec::new();
    for (package, [old, new]) in packages {
        let version = |c: &Component| (c.version.clone(), c.qualifiers.get("epoch").cloned());
        let other = |these: &[&Component], those: &[&Component]| {
            let mut left: Vec<Component> = these
                .iter()
                .filter(|this| those.iter().all(|that| version(that) != version(this)))
                .map(|this| (*this).clone())
                .collect();
            left.sort_by(|a, b| compare(a, b).then_with(|| version(a).cmp(&version(b))));
            left.dedup_by(|a, b| version(a) == version(b));
            left
        };
        // Thousands of versions of one package are nobody's image.
        let (old, new) = (&old[..old.len().min(MOST)], &new[..new.len().min(MOST)]);
        let (gone, come) = (other(old, new), other(new, old));
        differences.extend(pair(&package, &gone, &come));
    }
    differences.sort();
    differences
}

/// Versions of one package that are compared.
const MOST: usize = 256;

/// Pairs versions that went with versions that came.
fn pair(package: &str, gone: &[Component], come: &[Component]) -> Vec<Difference> {
    let difference = |change, from: Option<&Component>, to: Option<&Component>| Difference {
        package: package.to_owned(),
        change,
        from: from.map(shown),
        to: to.map(shown),
    };
    let (mut gone, mut come): (Vec<&Component>, Vec<&Component>) =
        (gone.iter().collect(), come.iter().collect());
    let mut differences = Vec::new();
    while !gone.is_empty() && !come.is_empty() {
        // As many as there are on the smaller side; the closest first, and
        // among equals in the order of the versions.
        let (mut best, mut closest) = ((0, 0), 0);
        if gone.len() != come.len() {
            for (i, from) in gone.iter().enumerate() {
                for (j, to) in come.iter().enumerate() {
                    let closeness = common(&from.version, &to.version) + 1;
                    // The later ones are the newer ones, which are the ones
                    // that are kept up to date.
                    if closeness >= closest {
                        (best, closest) = ((i, j), closeness);
                    }
                }
            }
        }
        let (from, to) = (gone.remove(best.0), come.remove(best.1));
        let change = match compare(from, to) {
            Ordering::Less => Change::Upgraded,
            Ordering::Greater => Change::Downgraded,
            Ordering::Equal => Change::Changed,
        };
        differences.push(difference(change, Some(from), Some(to)));
    }
    differences.extend(gone.into_iter().map(|from| difference(Change::Removed, Some(from), None)));
    differences.extend(come.into_iter().map(|to| difference(Change::Added, None, Some(to))));
    differences
}

/// The version as people write it; the epoch of an RPM is no part of its
/// package URL's version.
fn shown(component: &Component) -> String {
    match component.qualifiers.get("epoch").filter(|epoch| component.kind == "rpm" && *epoch != "0") {
        Some(epoch) => format!("{epoch}:{}", component.version),
        None => component.version.clone(),
    }
}

fn package(component: &Component) -> String {
    Purl { version: None, qualifiers: None, ..component.purl() }.to_string()
}

/// How many parts two versions have in common, from the left.
fn common(a: &str, b: &str) -> usize {
    let parts = |version: &'_ str| {
        version.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned).collect::<Vec<_>>()
    };
    parts(a).iter().zip(parts(b).iter()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bom(versions: &[(&'static str, &str, &str)]) -> Bom {
        let components = versions.iter().map(|(kind, name, version)| Component::new(*kind, *name, *version));
        Bom { components: components.collect(), ..Bom::default() }
    }

    fn changes(old: &[&str], new: &[&str]) -> Vec<(Change, String)> {
        let all = |versions: &[&str]| {
            bom(&versions.iter().map(|version| ("npm", "x", *version)).collect::<Vec<_>>())
        };
        diff(&all(old), &all(new))
            .into_iter()
            .map(|d| (d.change, format!("{}>{}", d.from.unwrap_or_default(), d.to.unwrap_or_default())))
            .collect()
    }

    #[test]
    fn sbm_4_a_new_version_is_one_change() {
        use Change::{Added, Downgraded, Removed, Upgraded};
        let one = |change, text: &str| (change, text.to_owned());
        assert_eq!(changes(&["1.9.0"], &["1.10.0"]), [one(Upgraded, "1.9.0>1.10.0")]);
        assert_eq!(changes(&["1.10.0"], &["1.9.0"]), [one(Downgraded, "1.10.0>1.9.0")]);
        assert_eq!(changes(&["1.0.0"], &["1.0.0"]), []);
        assert_eq!(changes(&[], &["1.0.0"]), [one(Added, ">1.0.0")]);
        assert_eq!(changes(&["1.0.0"], &[]), [one(Removed, "1.0.0>")]);
    }

    #[test]
    fn sbm_4_several_versions_are_paired_by_closeness() {
        use Change::{Added, Removed, Upgraded};
        let one = |change, text: &str| (change, text.to_owned());
        assert_eq!(changes(&["1.0.0", "2.0.0"], &["1.0.1", "2.0.0"]), [one(Upgraded, "1.0.0>1.0.1")]);
        assert_eq!(
            changes(&["1.0.0", "2.0.0"], &["1.0.1", "2.1.0"]),
            [one(Upgraded, "1.0.0>1.0.1"), one(Upgraded, "2.0.0>2.1.0")]
        );
        assert_eq!(
            changes(&["1.0.0"], &["1.0.1", "2.1.0"]),
            [one(Added, ">2.1.0"), one(Upgraded, "1.0.0>1.0.1")]
        );
        assert_eq!(
            changes(&["1.0.0", "2.0.0"], &["2.0.1"]),
            [one(Removed, "1.0.0>"), one(Upgraded, "2.0.0>2.0.1")]
        );
        assert_eq!(
            changes(&["1.0.0", "2.0.0"], &["3.0.0"]),
            [one(Removed, "1.0.0>"), one(Upgraded, "2.0.0>3.0.0")]
        );
    }

    #[test]
    fn types_and_namespaces_are_different_packages() {
        let old = bom(&[("npm", "x", "1"), ("deb", "y", "1:1.0-1")]);
        let mut new = bom(&[("pypi", "x", "1"), ("deb", "y", "1:1.0-2")]);
        assert_eq!(diff(&old, &new).len(), 3);
        new.components[0].kind = "npm".into();
        new.components[0].namespace = Some("@a".into());
        assert_eq!(diff(&old, &new).len(), 3);
        assert_eq!(diff(&old, &old), []);
    }

    #[test]
    fn thousands_of_versions_take_no_time() {
        let many = |start: usize| {
            let components = (start..start + 5000).map(|i| Component::new("npm", "x", format!("{i}.0.0")));
            Bom { components: components.collect(), ..Bom::default() }
        };
        assert!(!diff(&many(0), &many(5000)).is_empty());
    }
}
