//! Paths, operations, callbacks and webhooks.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::civil::Date;

use super::{Engine, Operation, Pair, Part, WHOLE};
use crate::delta::{Flow, What};
use crate::error::Error;
use crate::load::{Contract, METHODS};
use crate::tree::Id;

/// A path with the names of its parameters taken out.
struct Template {
    written: String,
    item: Id,
    names: Vec<String>,
}

/// What two operations that correspond stand in.
pub(super) struct Around {
    pub(super) items: (Id, Id),
    /// New names of path parameters by the old ones.
    pub(super) renamed: HashMap<String, String>,
    pub(super) flow: Flow,
}

impl Engine<'_> {
    /// The whole of both documents.
    pub(super) fn document(&mut self) -> Result<(), Error> {
        let whole = Operation { method: String::new(), path: String::new(), stability: None };
        self.operations.insert(WHOLE, whole);
        let (old, new) = (self.old.contract, self.new.contract);
        self.paths(old.get(old.root(), "paths"), new.get(new.root(), "paths"), Flow::Request)?;
        self.paths(old.get(old.root(), "webhooks"), new.get(new.root(), "webhooks"), Flow::Response)
    }

    fn paths(&mut self, old: Option<Id>, new: Option<Id>, flow: Flow) -> Result<(), Error> {
        let before = old.map(|map| templates(self.old.contract, map)).unwrap_or_default();
        let mut after = new.map(|map| templates(self.new.contract, map)).unwrap_or_default();
        let (old_root, new_root) = (self.old.contract.root(), self.new.contract.root());
        for (key, templates) in before {
            let mut others = after.remove(&key).unwrap_or_default();
            for template in templates {
                self.steps.take(others.len() + 1)?;
                // Two paths may differ in nothing but the names of parameters.
                let exact = others.iter().position(|other| other.written == template.written);
                let other = exact.or_else(|| (!others.is_empty()).then_some(0)).map(|at| others.remove(at));
                self.path(&template, other.as_ref(), new.unwrap_or(new_root), flow)?;
            }
            after.entry(key).or_default().extend(others);
        }
        for template in after.into_values().flatten() {
            for (method, operation) in operations(self.new.contract, template.item) {
                let at = self.enter(method, &template.written, None);
                self.changed(at, What::OperationAdded, None, old.unwrap_or(old_root), operation);
            }
        }
        Ok(())
    }

    fn path(&mut self, old: &Template, new: Option<&Template>, above: Id, flow: Flow) -> Result<(), Error> {
        let mut after: BTreeMap<&str, Id> =
            new.map(|new| operations(self.new.contract, new.item).into_iter().collect()).unwrap_or_default();
        for (method, was) in operations(self.old.contract, old.item) {
            let path = new.map_or(old.written.as_str(), |new| new.written.as_str());
            let Some((new, is)) = new.zip(after.remove(method)) else {
                let at = self.enter(method, path, Some(was));
                let (deprecated, sunset) = self.retirement(was);
                let passed =
                    sunset.as_deref().and_then(date).zip(self.today).is_some_and(|(end, today)| end <= today);
                let what = What::OperationRemoved { deprecated, sunset, passed };
                self.gone(at, what, None, was, new.map_or(above, |new| new.item));
                continue;
            };
            let at = self.enter(method, path, Some(was));
            let renamed = old.names.iter().cloned().zip(new.names.iter().cloned());
            let renamed = renamed.filter(|(old, new)| old != new).collect();
            let around = Around { items: (old.item, new.item), renamed, flow };
            self.operation(at, was, is, &around)?;
        }
        let Some(new) = new else { return Ok(()) };
        for (method, operation) in after {
            let at = self.enter(method, &new.written, None);
            self.changed(at, What::OperationAdded, None, old.item, operation);
        }
        Ok(())
    }

    /// Puts an operation into the graph. A path item that two paths refer to is
    /// two operations.
    fn enter(&mut self, method: &str, path: &str, old: Option<Id>) -> u32 {
        let at = self.number();
        let tree = &self.old.contract.tree;
        let stability = old.and_then(|id| tree.get_text(id, "x-stability-level")).map(str::to_owned);
        let operation = Operation { method: method.to_ascii_uppercase(), path: path.into(), stability };
        self.operations.insert(at, operation);
        at
    }

    /// Whether an operation of the old document is deprecated, and until when
    /// it is there.
    fn retirement(&self, operation: Id) -> (bool, Option<String>) {
        let tree = &self.old.contract.tree;
        (tree.flag(operation, "deprecated"), tree.get_text(operation, "x-sunset").map(str::to_owned))
    }

    pub(super) fn operation(&mut self, at: u32, old: Id, new: Id, around: &Around) -> Result<(), Error> {
        self.effective(at, Part::Security, "security", old, new, around)?;
        self.effective(at, Part::Servers, "servers", old, new, around)?;
        let listed = |contract: &Contract, item| contract.get(item, "parameters");
        let shared =
            match (listed(self.old.contract, around.items.0), listed(self.new.contract, around.items.1)) {
                (None, None) => true,
                (Some(old), Some(new)) => self.same(old, new),
                _ => false,
            };
        if self.same(old, new) && shared && around.renamed.is_empty() {
            return Ok(());
        }
        self.lifecycle(at, old, new);
        self.parameters(at, old, new, around)?;
        let (was, is) = (self.old.contract, self.new.contract);
        match (was.get(old, "requestBody"), is.get(new, "requestBody")) {
            (Some(old), Some(new)) => self.visit_part(at, Part::Body, old, new, around.flow)?,
            (Some(body), None) => self.gone(at, What::BodyRemoved, Some(around.flow), body, new),
            (None, Some(body)) => {
                let required = is.tree.flag(body, "required");
                self.changed(at, What::BodyAdded { required }, Some(around.flow), old, body);
            }
            (None, None) => {}
        }
        self.responses(at, old, new, around.flow.turned())?;
        self.callbacks(at, old, new, around.flow)
    }

    /// What holds for an operation, here or further up: one comparison for all
    /// operations that share it.
    fn effective(
        &mut self,
        at: u32,
        part: Part,
        key: &str,
        old: Id,
        new: Id,
        around: &Around,
    ) -> Result<(), Error> {
        let find = |contract: &Contract, own: Id, item: Id| {
            let places: &[Id] = if part == Part::Servers { &[own, item] } else { &[own] };
            let near = places.iter().find_map(|id| contract.get(*id, key));
            // The document itself stands for "nothing is said".
            near.or_else(|| contract.get(contract.root(), key)).unwrap_or_else(|| contract.root())
        };
        let was = find(self.old.contract, old, around.items.0);
        let is = find(self.new.contract, new, around.items.1);
        self.visit(at, Pair { part, old: was.0, new: is.0, flow: Flow::Request }).map(drop)
    }

    fn lifecycle(&mut self, at: u32, old: Id, new: Id) {
        let (was, is) = (&self.old.contract.tree, &self.new.contract.tree);
        let text = |tree: &crate::tree::Tree, id, key| tree.get_text(id, key).map(str::to_owned);
        let (before, after) = (was.flag(old, "deprecated"), is.flag(new, "deprecated"));
        let (sunset, later) = (text(was, old, "x-sunset"), text(is, new, "x-sunset"));
        let (level, next) = (text(was, old, "x-stability-level"), text(is, new, "x-stability-level"));
        let (name, renamed) = (text(was, old, "operationId"), text(is, new, "operationId"));
        if before != after {
            let what = if after {
                What::OperationDeprecated { sunset: later.clone() }
            } else {
                What::OperationRevived
            };
            self.changed(at, what, None, old, new);
        } else if after && sunset != later {
            let sooner = match (sunset.as_deref().and_then(date), later.as_deref().and_then(date)) {
                (Some(old), Some(new)) => new < old,
                (old, new) => old.is_some() && new.is_none(),
            };
            self.changed(at, What::SunsetChanged { old: sunset, new: later, sooner }, None, old, new);
        }
        if level != next {
            let (level, next) =
                (level.unwrap_or_else(|| "stable".into()), next.unwrap_or_else(|| "stable".into()));
            if level != next {
                let lower = rank(&next) < rank(&level);
                self.changed(at, What::StabilityChanged { old: level, new: next, lower }, None, old, new);
            }
        }
        if let (Some(old_name), Some(new_name)) = (name, renamed)
            && old_name != new_name
        {
            self.changed(at, What::OperationIdChanged { old: old_name, new: new_name }, None, old, new);
        }
    }

    fn callbacks(&mut self, at: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        let before = named(was, was.get(old, "callbacks"));
        let mut after = named(is, is.get(new, "callbacks"));
        for (name, callback) in before {
            let Some(other) = after.remove(&name) else {
                self.gone(at, What::CallbackRemoved { name }, None, callback, new);
                continue;
            };
            let mut others = named(is, Some(other));
            for (expression, item) in named(was, Some(callback)) {
                let Some(next) = others.remove(&expression) else {
                    self.gone(at, What::CallbackRemoved { name: name.clone() }, None, item, other);
                    continue;
                };
                let mut next_operations: HashMap<&str, Id> = operations(is, next).into_iter().collect();
                for (method, operation) in operations(was, item) {
                    match next_operations.remove(method) {
                        Some(other) => {
                            let around =
                                Around { items: (item, next), renamed: HashMap::new(), flow: flow.turned() };
                            self.operation(at, operation, other, &around)?;
                        }
                        None => {
                            self.gone(at, What::CallbackRemoved { name: name.clone() }, None, operation, next)
                        }
                    }
                }
                for (_, operation) in next_operations {
                    self.changed(at, What::CallbackAdded { name: name.clone() }, None, item, operation);
                }
            }
            for item in others.into_values() {
                self.changed(at, What::CallbackAdded { name: name.clone() }, None, callback, item);
            }
        }
        for (name, callback) in after {
            self.changed(at, What::CallbackAdded { name }, None, old, callback);
        }
        Ok(())
    }
}

/// Named parts of a map, references followed; extensions left out.
pub(super) fn named(contract: &Contract, map: Option<Id>) -> BTreeMap<String, Id> {
    let entries = map.into_iter().flat_map(|map| contract.tree.entries(map));
    entries
        .filter(|(key, _)| !key.starts_with("x-"))
        .map(|(key, value)| (key.to_owned(), contract.resolve(value)))
        .collect()
}

/// The operations of a path item.
fn operations(contract: &Contract, item: Id) -> Vec<(&'static str, Id)> {
    METHODS.iter().filter_map(|method| Some((*method, contract.get(item, method)?))).collect()
}

/// The paths of a map by what they match.
fn templates(contract: &Contract, map: Id) -> BTreeMap<String, Vec<Template>> {
    let mut found: BTreeMap<String, Vec<Template>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for (path, item) in contract.tree.entries(map) {
        if path.starts_with("x-") || !seen.insert(path) {
            continue;
        }
        let (mut plain, mut names) = (String::new(), Vec::new());
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            plain.push_str(before);
            plain.push_str("{}");
            names.push(name.to_owned());
            rest = after;
        }
        plain.push_str(rest);
        let item = contract.resolve(item);
        found.entry(plain).or_default().push(Template { written: path.into(), item, names });
    }
    found
}

/// A date, or a date and time of which only the date counts.
fn date(text: &str) -> Option<Date> {
    text.get(..10).and_then(|day| day.parse().ok())
}

/// How much one may rely on an operation.
fn rank(level: &str) -> u8 {
    match level {
        "draft" => 0,
        "alpha" => 1,
        "beta" => 2,
        _ => 3,
    }
}
