//! Making one list of what several catalogers, layers and lock files said.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Component, Scope};

/// Merges components of one package URL, sorts them by it, prefers what is
/// installed to what is declared, and drops dependencies on what is not there.
pub(crate) fn merge(components: impl IntoIterator<Item = Component>) -> Vec<Component> {
    let mut merged: BTreeMap<String, Component> = BTreeMap::new();
    for component in components {
        match merged.entry(component.purl().to_string()) {
            std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(component)),
            std::collections::btree_map::Entry::Occupied(mut entry) => join(entry.get_mut(), component),
        }
    }
    prefer_installed(&mut merged);
    let known: BTreeSet<String> = merged.values().map(Component::base_purl).collect();
    let mut components: Vec<Component> = merged.into_values().collect();
    for component in &mut components {
        let own = component.base_purl();
        component.depends_on.retain(|purl| *purl != own && known.contains(purl));
    }
    components
}

/// A lock file names packages without what makes the installed one's package
/// URL longer (architecture, checksum): it is the same package.
fn prefer_installed(merged: &mut BTreeMap<String, Component>) {
    let mut installed: HashMap<String, String> = HashMap::new();
    for (purl, component) in merged.iter().filter(|(_, component)| component.scope == Scope::Installed) {
        installed.entry(component.base_purl()).or_insert_with(|| purl.clone());
    }
    let seen: Vec<(String, String)> = merged
        .iter()
        .filter(|(_, component)| component.scope == Scope::Declared)
        .filter_map(|(purl, component)| Some((purl.clone(), installed.get(&component.base_purl())?.clone())))
        .collect();
    for (declared, found) in seen {
        if let Some(declared) = merged.remove(&declared)
            && let Some(found) = merged.get_mut(&found)
        {
            join(found, declared);
        }
    }
}

/// Adds to `one` what `other`, the same package, has more.
fn join(one: &mut Component, other: Component) {
    one.scope = one.scope.min(other.scope);
    one.licence = match (one.licence.take(), other.licence) {
        // Which one came first must not matter.
        (Some(a), Some(b)) => Some(better_licence(a, b)),
        (a, b) => a.or(b),
    };
    one.qualifiers.extend(other.qualifiers);
    one.hashes.extend(other.hashes);
    one.locations.extend(other.locations);
    one.lock_files.extend(other.lock_files);
    one.depends_on.extend(other.depends_on);
    one.found_by.extend(other.found_by);
    one.owner = one.owner.take().max(other.owner);
    // Spellings that one package URL unites (`Foo_Bar`, `foo-bar`).
    if other.name < one.name {
        one.name = other.name;
    }
}

/// An expression says more than a text.
fn better_licence(a: String, b: String) -> String {
    let rank = |text: &String| (spdx::Expression::parse(text).is_err(), text.clone());
    if rank(&b) < rank(&a) { b } else { a }
}

/// Notes which operating system package owns each component that is none:
/// one of which every location belongs to the same package.
pub(crate) fn find_owners(components: &mut [Component], owner: impl Fn(&str) -> Option<String>) {
    for component in components.iter_mut().filter(|c| !is_system(&c.kind)) {
        let mut owners = component.locations.iter().map(|path| {
            // What is in an archive belongs to whom the archive belongs to.
            let file = path.split('!').next().unwrap_or(path);
            owner(file)
        });
        if let Some(Some(first)) = owners.next()
            && owners.all(|other| other.as_ref() == Some(&first))
        {
            component.owner = Some(first);
        }
    }
}

/// Whether packages of this kind make up the operating system.
pub(crate) fn is_system(kind: &str) -> bool {
    matches!(kind, "deb" | "apk" | "rpm")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(mut component: Component, path: &str) -> Component {
        component.locations.insert(path.into());
        component
    }

    fn declared(kind: &'static str, name: &str, version: &str) -> Component {
        Component { scope: Scope::Declared, ..Component::new(kind, name, version) }
    }

    #[test]
    fn one_package_url_is_one_component_in_any_order() {
        let mut parts = vec![
            at(Component::new("pypi", "Foo_Bar", "1"), "/b"),
            at(Component::new("pypi", "foo-bar", "1"), "/a"),
            Component { licence: Some("MIT".into()), ..declared("pypi", "foo.bar", "1") },
            Component { licence: Some("as is".into()), ..Component::new("pypi", "foo-bar", "1") },
            Component::new("pypi", "foo-bar", "2"),
        ];
        let merged = merge(parts.clone());
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[0].scope, Scope::Installed);
        assert_eq!(merged[0].licence.as_deref(), Some("MIT"));
        assert_eq!(merged[0].locations.iter().collect::<Vec<_>>(), ["/a", "/b"]);
        parts.reverse();
        assert_eq!(merge(parts), merged);
    }

    #[test]
    fn what_is_installed_is_preferred_and_what_is_not_seen_is_kept() {
        let mut linked = at(Component::new("cargo", "serde", "1.0.1"), "/bin/app");
        linked.qualifiers.insert("arch".into(), "amd64".into());
        let merged = merge([linked, declared("cargo", "serde", "1.0.1"), declared("cargo", "cc", "1.2.0")]);
        let seen: Vec<_> = merged.iter().map(|c| (c.name.as_str(), c.scope)).collect();
        assert_eq!(seen, [("cc", Scope::Declared), ("serde", Scope::Installed)]);
    }

    #[test]
    fn dependencies_on_nothing_are_dropped() {
        let mut a = Component::new("npm", "a", "1");
        a.depends_on.extend(["pkg:npm/b@1", "pkg:npm/c@1", "pkg:npm/a@1"].map(str::to_owned));
        let merged = merge([a, Component::new("npm", "b", "1")]);
        assert_eq!(merged[0].depends_on.iter().collect::<Vec<_>>(), ["pkg:npm/b@1"]);
    }

    #[test]
    fn an_owner_owns_every_location() {
        let owner =
            |path: &str| (path.starts_with("/usr/") && !path.contains("local")).then(|| "deb".to_owned());
        let both = at(at(Component::new("pypi", "a", "1"), "/usr/lib/a"), "/usr/local/a");
        let mut components = [
            at(Component::new("pypi", "b", "1"), "/usr/lib/b"),
            both,
            Component::new("pypi", "c", "1"),
            at(Component::new("maven", "d", "1"), "/usr/share/java/x.jar!/META-INF/d"),
            at(Component::new("deb", "e", "1"), "/usr/lib/e"),
        ];
        find_owners(&mut components, owner);
        let owned: Vec<_> = components.iter().map(|c| c.owner.is_some()).collect();
        assert_eq!(owned, [true, false, false, true, false]);
    }
}
