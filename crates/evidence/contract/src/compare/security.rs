//! Security: what a client has to present.
//!
//! `security` is a list of alternatives; each is a set of schemes that are all
//! needed, with scopes. A client that satisfies an old alternative has to satisfy
//! some new one. Names of schemes are labels: what counts is what they stand for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Engine, Pair, Part};
use crate::delta::{Flow, What};
use crate::error::Error;
use crate::load::Contract;
use crate::tree::Id;

/// Scheme to scopes. Empty: nothing is needed.
type Alternative = BTreeMap<String, BTreeSet<String>>;

impl Engine<'_> {
    pub(super) fn security(&mut self, at: u32, old: Id, new: Id) -> Result<(), Error> {
        let before = alternatives(self.old.contract, old, &BTreeMap::new());
        let after = alternatives(self.new.contract, new, &self.labels);
        self.steps.take(2 * before.len() * after.len())?;
        self.used_schemes(at, &before, &after)?;
        for (was, place) in &before {
            if after.iter().any(|(is, _)| satisfies(was, is)) {
                continue;
            }
            // The same schemes with other scopes: the token is not enough any more.
            let closest = after.iter().find(|(is, _)| is.keys().eq(was.keys()));
            let Some((is, there)) = closest else {
                let what = What::SecurityRemoved { alternative: words(was) };
                self.gone(at, what, None, *place, new);
                continue;
            };
            for (scheme, scopes) in is {
                let more: Vec<String> = scopes.difference(&was[scheme]).cloned().collect();
                if !more.is_empty() {
                    let what = What::ScopeRequired { scheme: scheme.clone(), scopes: more };
                    self.changed(at, what, None, *place, *there);
                }
            }
        }
        for (is, place) in &after {
            if before.iter().any(|(was, _)| satisfies(is, was)) {
                continue;
            }
            let closest = before.iter().find(|(was, _)| was.keys().eq(is.keys()));
            let Some((was, there)) = closest else {
                self.changed(at, What::SecurityAdded { alternative: words(is) }, None, old, *place);
                continue;
            };
            for (scheme, scopes) in was {
                let less: Vec<String> = scopes.difference(&is[scheme]).cloned().collect();
                if !less.is_empty() {
                    let what = What::ScopeReleased { scheme: scheme.clone(), scopes: less };
                    self.changed(at, what, None, *there, *place);
                }
            }
        }
        Ok(())
    }

    /// The old names of the schemes of the new document.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let (was, is) = (self.old.contract, self.new.contract);
        let (before, after) = (schemes(was), schemes(is));
        // Schemes that are gone by name, by what they are.
        let mut gone: HashMap<u64, &String> = before
            .iter()
            .filter(|(name, _)| !after.contains_key(*name))
            .map(|(name, id)| (was.tree.hash(*id), name))
            .collect();
        let mut labels = BTreeMap::new();
        for (name, &scheme) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            if let Some(old_name) = gone.remove(&is.tree.hash(scheme)) {
                labels.insert(name.clone(), old_name.clone());
            }
        }
        labels
    }

    fn used_schemes(
        &mut self,
        at: u32,
        before: &[(Alternative, Id)],
        after: &[(Alternative, Id)],
    ) -> Result<(), Error> {
        let (was, is) = (schemes(self.old.contract), schemes(self.new.contract));
        let used: BTreeSet<&String> = before.iter().flat_map(|(alternative, _)| alternative.keys()).collect();
        let still: BTreeSet<&String> = after.iter().flat_map(|(alternative, _)| alternative.keys()).collect();
        for name in used {
            if let (true, Some(&old), Some(&new)) = (still.contains(name), was.get(name), is.get(name))
                && !self.same(old, new)
            {
                self.visit(at, Pair { part: Part::Scheme, old: old.0, new: new.0, flow: Flow::Request })?;
            }
        }
        Ok(())
    }

    /// The definition of a scheme.
    pub(super) fn scheme(&mut self, at: u32, old: Id, new: Id) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        for key in ["type", "in", "name", "scheme", "bearerFormat", "openIdConnectUrl"] {
            let text = |contract: &Contract, id| contract.tree.get_text(id, key).map(str::to_owned);
            let (before, after) = (text(was, old), text(is, new));
            // A hint for people (OpenAPI 3.1.1, section 4.8.27).
            let differs = match (&before, &after) {
                _ if key == "bearerFormat" => false,
                (Some(one), Some(two)) if key == "scheme" || key == "name" => !one.eq_ignore_ascii_case(two),
                _ => before != after,
            };
            if differs {
                let shown = |text: Option<String>| text.map_or("nothing".into(), |text| format!("`{text}`"));
                let detail = format!("`{key}` was {}, is {}", shown(before), shown(after));
                self.changed(at, What::SchemeChanged { detail }, None, old, new);
            }
        }
        let flows = |contract: &Contract, id| super::operations::named(contract, contract.get(id, "flows"));
        let mut after = flows(is, new);
        for (name, before) in flows(was, old) {
            match after.remove(&name) {
                Some(after) => self.flow(at, before, after, &name),
                None => self.gone(at, What::SchemeFlowRemoved { name }, None, before, new),
            }
        }
        for (name, added) in after {
            self.changed(at, What::SchemeFlowAdded { name }, None, old, added);
        }
        Ok(())
    }

    fn flow(&mut self, at: u32, old: Id, new: Id, name: &str) {
        let (was, is) = (self.old.contract, self.new.contract);
        for key in ["authorizationUrl", "tokenUrl", "refreshUrl"] {
            let (before, after) = (was.tree.get_text(old, key), is.tree.get_text(new, key));
            if let (Some(before), after) = (before, after.unwrap_or("nothing"))
                && before != after
            {
                let detail = format!("`{key}` of `{name}` was `{before}`, is `{after}`");
                self.changed(at, What::SchemeChanged { detail }, None, old, new);
            }
        }
        let scopes = |contract: &Contract, id| -> BTreeMap<String, Id> {
            let map = contract.get(id, "scopes");
            map.into_iter()
                .flat_map(|map| contract.tree.entries(map))
                .map(|(k, v)| (k.to_owned(), v))
                .collect()
        };
        let mut after = scopes(is, new);
        for (scope, before) in scopes(was, old) {
            if after.remove(&scope).is_none() {
                self.gone(at, What::SchemeScopeRemoved { name: scope }, None, before, new);
            }
        }
        for (scope, added) in after {
            self.changed(at, What::SchemeScopeAdded { name: scope }, None, old, added);
        }
    }
}

/// Whether who satisfies `one` also satisfies `other`.
fn satisfies(one: &Alternative, other: &Alternative) -> bool {
    other.iter().all(|(scheme, scopes)| one.get(scheme).is_some_and(|have| scopes.is_subset(have)))
}

/// The schemes of a document by name.
fn schemes(contract: &Contract) -> BTreeMap<String, Id> {
    let components = contract.get(contract.root(), "components");
    super::operations::named(contract, components.and_then(|id| contract.get(id, "securitySchemes")))
}

/// The alternatives of a list; the document itself stands for none, which is
/// the same as one that needs nothing.
fn alternatives(contract: &Contract, list: Id, names: &BTreeMap<String, String>) -> Vec<(Alternative, Id)> {
    let tree = &contract.tree;
    let mut found: Vec<(Alternative, Id)> = Vec::new();
    let mut known = BTreeSet::new();
    for item in tree.items(list) {
        let mut alternative = Alternative::new();
        for (name, scopes) in tree.entries(item) {
            let name = names.get(name).map_or(name, String::as_str).to_owned();
            let scopes = tree.items(scopes).filter_map(|scope| tree.text(scope)).map(str::to_owned).collect();
            alternative.insert(name, scopes);
        }
        if known.insert(alternative.clone()) {
            found.push((alternative, item));
        }
    }
    if found.is_empty() {
        found.push((Alternative::new(), list));
    }
    found
}

fn words(alternative: &Alternative) -> String {
    if alternative.is_empty() {
        return "no credentials".into();
    }
    let words: Vec<String> = alternative
        .iter()
        .map(|(scheme, scopes)| {
            let scopes: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
            match scopes.is_empty() {
                true => format!("`{scheme}`"),
                false => format!("`{scheme}` with {}", scopes.join(", ")),
            }
        })
        .collect();
    words.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternative(schemes: &[(&str, &[&str])]) -> Alternative {
        let set = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect();
        schemes.iter().map(|(name, scopes)| ((*name).to_owned(), set(scopes))).collect()
    }

    #[test]
    fn who_has_more_satisfies_less() {
        let rich = alternative(&[("oauth", &["read", "write"]), ("key", &[])]);
        assert!(satisfies(&rich, &alternative(&[("oauth", &["read"])])));
        assert!(satisfies(&rich, &alternative(&[])));
        assert!(!satisfies(&alternative(&[("oauth", &["read"])]), &rich));
        assert!(!satisfies(&alternative(&[]), &alternative(&[("key", &[])])));
    }
}
