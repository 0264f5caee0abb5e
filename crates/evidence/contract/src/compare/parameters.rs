//! Parameters and headers: which there are, whether they have to be sent, and
//! how their values are written.

use std::collections::BTreeMap;

use super::operations::Around;
use super::{Engine, Part};
use crate::delta::{Flow, What};
use crate::error::Error;
use crate::load::Contract;
use crate::schema::Side;
use crate::tree::Id;

/// `in` and `name`; header names in lower case.
type Key = (String, String);

impl Engine<'_> {
    pub(super) fn parameters(&mut self, at: u32, old: Id, new: Id, around: &Around) -> Result<(), Error> {
        let before = effective(self.old.contract, around.items.0, old);
        let mut after = effective(self.new.contract, around.items.1, new);
        let flow = around.flow;
        for ((place, name), was) in before {
            let renamed = around.renamed.get(&name).filter(|_| place == "path");
            let key = (place.clone(), renamed.cloned().unwrap_or_else(|| name.clone()));
            match after.remove(&key) {
                Some(is) => {
                    if let Some(renamed) = renamed {
                        let what = What::ParameterRenamed { old: name, new: renamed.clone() };
                        self.changed(at, what, Some(flow), was, is);
                    }
                    self.visit_part(at, Part::Parameter, was, is, flow)?;
                }
                // A template that lost the parameter is another path.
                None if place == "path" => {}
                None => self.gone(at, What::ParameterRemoved, Some(flow), was, new),
            }
        }
        for ((place, _), is) in after {
            if place != "path" {
                let required = self.new.contract.tree.flag(is, "required");
                self.changed(at, What::ParameterAdded { required }, Some(flow), old, is);
            }
        }
        Ok(())
    }

    pub(super) fn parameter(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (&self.old.contract.tree, &self.new.contract.tree);
        let path = is.get_text(new, "in") == Some("path");
        let required = (was.flag(old, "required"), is.flag(new, "required"));
        let deprecated = !was.flag(old, "deprecated") && is.flag(new, "deprecated");
        match required {
            (false, true) if !path => self.changed(at, What::ParameterRequired, Some(flow), old, new),
            (true, false) if !path => self.changed(at, What::ParameterOptional, Some(flow), old, new),
            _ => {}
        }
        if deprecated {
            self.changed(at, What::ParameterDeprecated, Some(flow), old, new);
        }
        let (before, after) = (written(&mut self.old, old)?, written(&mut self.new, new)?);
        if before != after {
            let what = What::ParameterSerialization { old: before, new: after };
            self.changed(at, what, Some(flow), old, new);
        }
        self.value(at, old, new, flow)
    }

    pub(super) fn header(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (&self.old.contract.tree, &self.new.contract.tree);
        match (was.flag(old, "required"), is.flag(new, "required")) {
            (false, true) => self.changed(at, What::HeaderRequired, Some(flow), old, new),
            (true, false) => self.changed(at, What::HeaderOptional, Some(flow), old, new),
            _ => {}
        }
        self.value(at, old, new, flow)
    }

    /// The schema or content of a parameter or header.
    fn value(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        if let (Some(old), Some(new)) = (was.tree.get(old, "schema"), is.tree.get(new, "schema")) {
            self.visit_schema(at, old, new, flow)?;
        }
        if let (Some(before), Some(after)) = (was.get(old, "content"), is.get(new, "content")) {
            self.content(at, Some(before), Some(after), (old, new), flow)?;
        }
        Ok(())
    }

    pub(super) fn headers(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let before = headers(self.old.contract, old);
        let mut after = headers(self.new.contract, new);
        for (key, (name, was)) in before {
            match after.remove(&key) {
                Some((_, is)) => self.visit_part(at, Part::Header, was, is, flow)?,
                None => self.gone(at, What::HeaderRemoved { name }, Some(flow), was, new),
            }
        }
        for (name, is) in after.into_values() {
            self.changed(at, What::HeaderAdded { name }, Some(flow), old, is);
        }
        Ok(())
    }
}

/// The headers of a response by their name in lower case. `Content-Type` is
/// described by the media types (OpenAPI 3.1.1, section 4.8.17).
fn headers(contract: &Contract, response: Id) -> BTreeMap<String, (String, Id)> {
    let map = contract.get(response, "headers");
    map.into_iter()
        .flat_map(|map| contract.tree.entries(map))
        .map(|(name, value)| (name.to_ascii_lowercase(), (name.to_owned(), contract.resolve(value))))
        .filter(|(key, _)| key != "content-type")
        .collect()
}

/// The parameters of an operation: its own before those of its path.
fn effective(contract: &Contract, item: Id, operation: Id) -> BTreeMap<Key, Id> {
    let mut found = BTreeMap::new();
    for place in [item, operation] {
        let Some(list) = contract.get(place, "parameters") else { continue };
        for parameter in contract.tree.items(list) {
            let parameter = contract.resolve(parameter);
            let text = |key| contract.tree.get_text(parameter, key);
            let (Some(place), Some(name)) = (text("in"), text("name")) else { continue };
            let name = if place == "header" { name.to_ascii_lowercase() } else { name.to_owned() };
            // These are described elsewhere (OpenAPI 3.1.1, section 4.8.12.1).
            if place == "header" && ["accept", "content-type", "authorization"].contains(&name.as_str()) {
                continue;
            }
            found.insert((place.to_owned(), name), parameter);
        }
    }
    found
}

/// How the value of a parameter is written, in words; defaults written out, and
/// what makes no difference for the values of its schema left out.
fn written(side: &mut Side<'_>, parameter: Id) -> Result<String, Error> {
    let contract = side.contract;
    let tree = &contract.tree;
    if let Some(content) = contract.get(parameter, "content") {
        let types: Vec<&str> = tree.entries(content).map(|(name, _)| name).collect();
        return Ok(if types.is_empty() { "text".into() } else { "a document".into() });
    }
    let place = tree.get_text(parameter, "in").unwrap_or_default();
    let usual = if matches!(place, "query" | "cookie") { "form" } else { "simple" };
    let style = tree.get_text(parameter, "style").unwrap_or(usual);
    let explode = tree.get(parameter, "explode").and_then(|id| tree.boolean(id)).unwrap_or(style == "form");
    let reserved = place == "query" && tree.flag(parameter, "allowReserved");
    let lists = match tree.get(parameter, "schema") {
        None => true,
        Some(schema) => {
            let term = side.term(schema);
            !side.is_single(term)?
        }
    };
    let mut words = match style {
        // One value alone is written the same way in each of these.
        "form" | "simple" | "spaceDelimited" | "pipeDelimited" if !lists => "plain".to_owned(),
        _ if explode && lists => format!("`{style}` exploded"),
        _ => format!("`{style}`"),
    };
    if reserved {
        words.push_str(" with reserved characters");
    }
    Ok(words)
}
