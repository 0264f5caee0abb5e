//! Where something is, in words that a client of the API understands.

use std::collections::HashSet;

use crate::load::{Contract, METHODS};
use crate::tree::{Id, Tree};

/// Places of one document.
pub(crate) struct Places<'a> {
    contract: &'a Contract,
    targets: HashSet<Id>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The named thing it belongs to, the same in two documents.
    pub(crate) home: String,
    /// Whether that is a component, and not an operation or the document.
    pub(crate) component: bool,
    /// The named thing in words.
    pub(crate) label: String,
    /// Which part of it, such as `request body`; empty for the thing itself.
    pub(crate) part: String,
    /// The path of a property in there, in backquotes; empty for the part itself.
    pub(crate) field: String,
}

impl<'a> Places<'a> {
    pub(crate) fn of(contract: &'a Contract) -> Self {
        Self { contract, targets: contract.references.values().copied().collect() }
    }

    pub(crate) fn place(&self, id: Id) -> Place {
        let tree = &self.contract.tree;
        let way = tree.way(id);
        let (at, label, component) = self.home(&way);
        let (part, field) = subject(tree, &way[at..]);
        Place { home: self.contract.identity(way[at]), component, label, part, field }
    }

    /// The named thing on the way, as an index, its name, and whether it is a
    /// component.
    fn home(&self, way: &[Id]) -> (usize, String, bool) {
        let tree = &self.contract.tree;
        let file = &self.contract.file(way[0]).name;
        let key = |at: usize| way.get(at).and_then(|id| tree.key(*id));
        if file.relative.is_empty() {
            match (key(1), key(2), key(3)) {
                (Some("components"), Some(kind), Some(name)) => {
                    let label = match kind {
                        "schemas" => name.to_owned(),
                        "securitySchemes" => format!("security scheme {name}"),
                        "requestBodies" => format!("request body {name}"),
                        "parameters" => parameter(tree, way[3]),
                        "pathItems" => format!("path {name}"),
                        _ => format!("{} {name}", kind.strip_suffix('s').unwrap_or(kind)),
                    };
                    return (3, label, true);
                }
                (Some("paths"), Some(path), Some(method)) if METHODS.contains(&method) => {
                    return (3, format!("{} {path}", method.to_ascii_uppercase()), false);
                }
                (Some("paths"), Some(path), _) => return (2, path.to_owned(), false),
                (Some("webhooks"), Some(name), method) => {
                    let at = if method.is_some_and(|method| METHODS.contains(&method)) { 3 } else { 2 };
                    return (at, format!("webhook {name}"), false);
                }
                (Some(part), ..) if part != crate::load::BUNDLED => {
                    return (1.min(way.len() - 1), "the API".into(), false);
                }
                (None, ..) => return (0, "the API".into(), false),
                _ => {}
            }
        }
        let at = way.iter().rposition(|id| self.targets.contains(id)).unwrap_or(0);
        let label = tree.key(way[at]).map_or_else(|| file.relative.clone(), str::to_owned);
        (at, label, true)
    }
}

/// What lies on the way below a named thing: parts of an operation in words, then
/// the path of a property.
fn subject(tree: &Tree, way: &[Id]) -> (String, String) {
    let mut words: Vec<String> = Vec::new();
    let mut field = String::new();
    let mut steps = way.iter().skip(1).copied();
    while let Some(step) = steps.next() {
        let Some(key) = tree.key(step) else { continue };
        match key {
            "properties" => {
                if let Some(name) = steps.next().and_then(|id| tree.key(id)) {
                    if !field.is_empty() {
                        field.push('.');
                    }
                    field.push_str(name);
                }
            }
            "patternProperties" | "additionalProperties" | "unevaluatedProperties" => {
                if key == "patternProperties" {
                    steps.next();
                }
                field.push_str(if field.is_empty() { "*" } else { ".*" });
            }
            "items" | "prefixItems" | "contains" => field.push_str("[]"),
            "$defs" | "definitions" | "dependentSchemas" => {
                steps.next();
            }
            "requestBody" => words.push("request body".into()),
            "responses" => {
                if let Some(status) = steps.next().and_then(|id| tree.key(id)) {
                    words.push(format!("response {status}"));
                }
            }
            "headers" | "callbacks" | "links" => {
                if let Some(name) = steps.next().and_then(|id| tree.key(id)) {
                    words.push(format!("{} `{name}`", key.trim_end_matches('s')));
                }
            }
            "content" => {
                // The only media type needs no word.
                if let Some(name) = steps.next().and_then(|id| tree.key(id))
                    && tree.entries(step).len() > 1
                    && !name.contains("json")
                {
                    words.push(format!("as {name}"));
                }
            }
            "parameters" => {
                if let Some(id) = steps.next() {
                    words.push(parameter(tree, id));
                }
            }
            _ => {}
        }
    }
    let field = if field.is_empty() { field } else { format!("`{field}`") };
    (words.join(" "), field)
}

fn parameter(tree: &Tree, id: Id) -> String {
    let text = |key| tree.get_text(id, key).unwrap_or_default();
    match (text("in"), text("name")) {
        ("", _) => "parameter".into(),
        (place, name) => format!("{place} parameter `{name}`"),
    }
}
