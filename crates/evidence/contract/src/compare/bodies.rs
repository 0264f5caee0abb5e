//! Request bodies, responses, and what is in them by media type.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::named;
use super::{Engine, Part};
use crate::delta::{Flow, What};
use crate::error::Error;
use crate::load::Contract;
use crate::tree::Id;

impl Engine<'_> {
    pub(super) fn body(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        match (was.tree.flag(old, "required"), is.tree.flag(new, "required")) {
            (false, true) => self.changed(at, What::BodyRequired, Some(flow), old, new),
            (true, false) => self.changed(at, What::BodyOptional, Some(flow), old, new),
            _ => {}
        }
        self.content(at, was.get(old, "content"), is.get(new, "content"), (old, new), flow)
    }

    pub(super) fn responses(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        let before = named(was, was.get(old, "responses"));
        let after: BTreeMap<String, (String, Id)> = named(is, is.get(new, "responses"))
            .into_iter()
            .map(|(status, response)| (status.to_ascii_uppercase(), (status, response)))
            .collect();
        let place = is.get(new, "responses").unwrap_or(new);
        let mut met = BTreeSet::new();
        for (status, response) in before {
            let range = format!("{}XX", status.get(..1).unwrap_or_default());
            let candidates = [status.to_ascii_uppercase(), range, "DEFAULT".into()];
            match candidates.iter().find_map(|candidate| after.get(candidate)) {
                Some((covering, other)) => {
                    met.insert(covering.clone());
                    self.visit_part(at, Part::Response, response, *other, flow)?;
                }
                None => {
                    // Where it is written, and not the component that it may be.
                    let written = was.get(old, "responses").and_then(|map| was.tree.get(map, &status));
                    let what = What::ResponseRemoved { success: status.starts_with('2') };
                    self.gone(at, what, Some(flow), written.unwrap_or(response), place);
                }
            }
        }
        for (status, response) in after.into_values().filter(|(status, _)| !met.contains(status)) {
            let written = is.tree.get(place, &status).unwrap_or(response);
            self.changed(at, What::ResponseAdded, Some(flow), old, written);
        }
        Ok(())
    }

    pub(super) fn response(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        self.headers(at, old, new, flow)?;
        self.content(at, was.get(old, "content"), is.get(new, "content"), (old, new), flow)?;
        let before = named(was, was.get(old, "links"));
        let mut after = named(is, is.get(new, "links"));
        for (name, link) in before {
            match after.remove(&name) {
                Some(other) => self.visit_part(at, Part::Link, link, other, flow)?,
                None => self.gone(at, What::LinkRemoved { name }, None, link, new),
            }
        }
        for (name, link) in after {
            self.changed(at, What::LinkAdded { name }, None, old, link);
        }
        Ok(())
    }

    pub(super) fn link(&mut self, at: u32, old: Id, new: Id) -> Result<(), Error> {
        let (was, is) = (&self.old.contract.tree, &self.new.contract.tree);
        let differs = ["operationId", "operationRef", "parameters", "requestBody"].iter().any(|key| {
            let hash = |tree: &crate::tree::Tree, id| tree.get(id, key).map(|value| tree.hash(value));
            hash(was, old) != hash(is, new)
        });
        if differs {
            let name = is.key(new).unwrap_or_default().to_owned();
            self.changed(at, What::LinkChanged { name }, None, old, new);
        }
        Ok(())
    }

    /// What is in a body, a response, or a parameter of the given places.
    pub(super) fn content(
        &mut self,
        at: u32,
        old: Option<Id>,
        new: Option<Id>,
        places: (Id, Id),
        flow: Flow,
    ) -> Result<(), Error> {
        let before = media_types(self.old.contract, old);
        let mut after = media_types(self.new.contract, new);
        let ranges: Vec<(String, Id)> = after
            .iter()
            .filter(|(key, _)| key.contains('*'))
            .map(|(key, (_, id))| (key.clone(), *id))
            .collect();
        for (key, (name, was)) in before {
            self.steps.take(ranges.len() + 1)?;
            let covering =
                ranges.iter().filter(|(range, _)| covers(range, &key)).max_by_key(|(range, _)| range.len());
            if let Some(is) = after.remove(&key).map(|(_, id)| id).or(covering.map(|(_, id)| *id)) {
                self.visit_part(at, Part::Media, was, is, flow)?;
            } else {
                self.gone(at, What::MediaTypeRemoved { name }, Some(flow), was, new.unwrap_or(places.1));
            }
        }
        let mut old_ranges = media_types(self.old.contract, old);
        old_ranges.retain(|key, _| key.contains('*'));
        for (key, (name, is)) in after {
            self.steps.take(old_ranges.len() + 1)?;
            if !old_ranges.keys().any(|known| covers(known, &key)) {
                self.changed(at, What::MediaTypeAdded { name }, Some(flow), old.unwrap_or(places.0), is);
            }
        }
        Ok(())
    }

    pub(super) fn media(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        let schemas = (was.tree.get(old, "schema"), is.tree.get(new, "schema"));
        match schemas {
            (Some(before), Some(after)) => self.visit_schema(at, before, after, flow)?,
            // The bytes as they are, in 3.0 and in 3.1.
            (Some(binary), None) if was.tree.get_text(binary, "format") == Some("binary") => {}
            (None, Some(binary)) if is.tree.get_text(binary, "format") == Some("binary") => {}
            (None, Some(after)) => {
                let what = What::Types { lost: "anything".into(), gained: String::new() };
                self.changed(at, what, Some(flow), old, after);
            }
            (Some(before), None) => {
                let what = What::Types { lost: String::new(), gained: "anything".into() };
                self.changed(at, what, Some(flow), before, new);
            }
            (None, None) => {}
        }
        self.encoding(at, old, new, flow)
    }

    /// How the properties of a form are written. A property that is new brings
    /// its own way.
    fn encoding(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        let (before, after) = (named(was, was.get(old, "encoding")), named(is, is.get(new, "encoding")));
        if before.is_empty() && after.is_empty() {
            return Ok(());
        }
        let schemas = (was.tree.get(old, "schema"), is.tree.get(new, "schema"));
        let (Some(old_schema), Some(new_schema)) = schemas else { return Ok(()) };
        let (old_term, new_term) = (self.old.term(old_schema), self.new.term(new_schema));
        let (old_flat, new_flat) = (self.old.flat(old_term)?, self.new.flat(new_term)?);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let terms = old_flat.properties.get(name.as_str()).zip(new_flat.properties.get(name.as_str()));
            let Some((&old_property, &new_property)) = terms else { continue };
            let pair = (before.get(name).copied(), after.get(name).copied());
            if pair.0.zip(pair.1).is_some_and(|(one, two)| self.same(one, two)) {
                continue;
            }
            // One value alone is written the same way in every style.
            let single = self.old.is_single(old_property)? && self.new.is_single(new_property)?;
            let told = |contract: &Contract, encoding: Option<Id>| -> BTreeMap<String, u64> {
                let entries = encoding.into_iter().flat_map(|encoding| contract.tree.entries(encoding));
                entries
                    .filter(|(key, _)| !single || !["style", "explode", "allowReserved"].contains(key))
                    .map(|(key, value)| (key.to_owned(), contract.tree.hash(value)))
                    .collect()
            };
            if told(was, pair.0) != told(is, pair.1) {
                let what = What::EncodingChanged { property: name.clone() };
                self.changed(at, what, Some(flow), pair.0.unwrap_or(old), pair.1.unwrap_or(new));
            }
        }
        Ok(())
    }
}

/// The media types of a map in one form, as written, and what is there.
fn media_types(contract: &Contract, map: Option<Id>) -> BTreeMap<String, (String, Id)> {
    let entries = map.into_iter().flat_map(|map| contract.tree.entries(map));
    entries.map(|(name, value)| (media_type(name), (name.to_owned(), contract.resolve(value)))).collect()
}

/// A media type in lower case without what makes no difference: blanks, the
/// order of parameters, and the character set, which JSON fixes.
fn media_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let mut parts = name.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_owned();
    let mut parameters: Vec<String> = parts
        .filter(|part| !part.is_empty() && !part.starts_with("charset"))
        .map(|part| part.replace(' ', ""))
        .collect();
    parameters.sort();
    parameters.insert(0, essence);
    parameters.join(";")
}

/// Whether a range such as `application/*` includes a media type.
fn covers(range: &str, name: &str) -> bool {
    range == "*/*"
        || range.strip_suffix('*').is_some_and(|start| start.ends_with('/') && name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_by_meaning() {
        for (one, two) in [
            ("application/json", "Application/JSON; charset=utf-8"),
            ("text/plain;b=2;a=1", "text/plain; a=1; b=2"),
        ] {
            assert_eq!(media_type(one), media_type(two));
        }
        assert_ne!(media_type("application/json;version=1"), media_type("application/json;version=2"));
        assert!(covers("application/*", "application/json") && covers("*/*", "a/b"));
        assert!(!covers("application/*", "text/json") && !covers("application/json", "application/json"));
    }
}
