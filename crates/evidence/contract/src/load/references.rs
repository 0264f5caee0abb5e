//! Finding references, loading what they name, and resolving all of them
//! before anything is compared.

use std::collections::{HashMap, HashSet};

use plimsoll_model::Lookup;

use super::name::{BUNDLED, Target};
use super::{Contract, FileName, Loader, Reading};
use crate::error::{Error, Position};
use crate::tree::{Id, Kind, Tree};

/// Keys whose value is a map from names to things, so that a key in there is a
/// name and no keyword.
const MAPS: [&str; 23] = [
    "properties",
    "patternProperties",
    "$defs",
    "definitions",
    "dependentSchemas",
    "schemas",
    "responses",
    "parameters",
    "requestBodies",
    "headers",
    "securitySchemes",
    "links",
    "callbacks",
    "pathItems",
    "paths",
    "webhooks",
    "content",
    "encoding",
    "mapping",
    "variables",
    "scopes",
    "dependentRequired",
    BUNDLED,
];

/// Whether the value of this key is a map from names to things.
pub(crate) fn is_map(key: &str) -> bool {
    MAPS.contains(&key)
}

/// Keys whose value is data, not description.
const DATA: [&str; 6] = ["example", "examples", "default", "enum", "const", "value"];

/// Pointers that lead through other references, at most so often.
const DEEPEST: usize = 64;

/// Every object of the tree below a value that is not data.
fn each(tree: &Tree, root: Id, mut see: impl FnMut(Id)) {
    let mut open = vec![(root, false)];
    while let Some((id, map)) = open.pop() {
        match tree.kind(id) {
            Kind::Object => {
                see(id);
                for (key, value) in tree.entries(id) {
                    if !map && (DATA.contains(&key) || (key.starts_with("x-") && key != BUNDLED)) {
                        continue;
                    }
                    open.push((value, !map && is_map(key)));
                }
            }
            Kind::Array => open.extend(tree.items(id).map(|item| (item, false))),
            _ => {}
        }
    }
}

/// The text of a reference of an object, if it is one.
fn reference(tree: &Tree, id: Id) -> Option<&str> {
    tree.get_text(id, "$ref")
}

/// Loads every file that is referred to, directly or not.
pub(super) fn load_all(reading: &mut Reading<'_>, loader: &dyn Loader) -> Result<(), Error> {
    let mut known: HashSet<String> = HashSet::from([String::new()]);
    let mut done = 0;
    while done < reading.files.len() {
        let root = reading.files[done].root;
        let name = reading.files[done].name.clone();
        let mut wanted: Vec<(Id, String, String)> = Vec::new();
        let mut ids: HashSet<String> = HashSet::new();
        each(&reading.tree, root, |id| {
            if let Some(text) = reading.tree.get_text(id, "$id") {
                ids.insert(text.trim_end_matches('#').into());
            }
            if let Some(text) = reference(&reading.tree, id) {
                let Target { file, .. } = name.target(text);
                if known.insert(file.clone()) {
                    wanted.push((id, text.into(), file));
                }
            }
        });
        for (id, text, file) in wanted {
            // A schema inside of the document can have a name of its own.
            if ids.contains(text.split('#').next().unwrap_or_default()) {
                continue;
            }
            let (line, column) = reading.tree.line(id);
            let position = Position { file: name.shown.clone(), line, column };
            let fail = |reason: String| Error::Reference {
                position: position.clone(),
                reference: text.clone(),
                reason,
            };
            if file.contains("://") || file.starts_with("urn:") {
                return Err(fail("it leads to another host, and the network is never used".into()));
            }
            let other = name.other(&file);
            let bytes = match loader.load(&other.shown) {
                Lookup::Found(bytes) => bytes,
                Lookup::Absent => return Err(fail(format!("there is no file `{}`", other.shown))),
                Lookup::Invalid(why) | Lookup::Unknown(why) => {
                    return Err(fail(format!("`{}` cannot be read: {why}", other.shown)));
                }
            };
            reading.parse(other, &bytes)?;
        }
        done += 1;
    }
    Ok(())
}

/// Resolves every reference of a loaded document.
pub(super) fn resolve_all(contract: &mut Contract) -> Result<(), Error> {
    let mut found: Vec<(Id, Option<Id>)> = Vec::new();
    let mut resources: HashMap<String, Id> = HashMap::new();
    let mut dynamic = HashMap::new();
    let mut anchors: HashMap<String, Vec<Id>> = HashMap::new();
    let tree = &contract.tree;
    for file in &contract.files {
        each(tree, file.root, |id| {
            if let Some(text) = tree.get_text(id, "$id") {
                resources.entry(text.trim_end_matches('#').into()).or_insert(id);
            }
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(name) = tree.get_text(id, keyword) {
                    anchors.entry(name.into()).or_default().push(id);
                }
            }
            if let Some(text) = tree.get_text(id, "$dynamicRef") {
                dynamic.insert(id, text.rsplit('#').next().unwrap_or_default().to_owned());
            }
            if reference(tree, id).is_some() {
                found.push((id, None));
            }
        });
    }
    let files: HashMap<String, Id> =
        contract.files.iter().map(|file| (file.name.relative.clone(), file.root)).collect();
    let scope = Scope { contract, files, resources, anchors };
    let mut references = HashMap::with_capacity(found.len());
    for (id, _) in found {
        references.insert(id, scope.locate(id, 0)?);
    }
    let anchors = scope.anchors;
    refuse_circles(contract, &references)?;
    contract.references = references;
    contract.dynamic = dynamic;
    contract.anchors = anchors;
    Ok(())
}

struct Scope<'a> {
    contract: &'a Contract,
    files: HashMap<String, Id>,
    /// Schemas with an `$id`.
    resources: HashMap<String, Id>,
    anchors: HashMap<String, Vec<Id>>,
}

impl Scope<'_> {
    /// What the reference of an object leads to.
    fn locate(&self, id: Id, depth: usize) -> Result<Id, Error> {
        let tree = &self.contract.tree;
        let name: &FileName = &self.contract.file(id).name;
        let text = reference(tree, id).unwrap_or_default();
        let fail = |reason: String| Error::Reference {
            position: self.contract.position(id),
            reference: text.into(),
            reason,
        };
        if depth > DEEPEST {
            return Err(fail("it leads through too many other references".into()));
        }
        let Target { file, fragment } = name.target(text);
        let path = text.split('#').next().unwrap_or_default();
        if let Some(&resource) = self.resources.get(path).filter(|_| !path.is_empty()) {
            return self.within(resource, &fragment, depth, &fail);
        }
        if path.is_empty()
            && let Some(resource) = self.resource_around(id)
            && let Ok(found) = self.within(resource, &fragment, depth, &fail)
        {
            return Ok(found);
        }
        let Some(&root) = self.files.get(&file) else {
            return Err(fail("it leads to another host, and the network is never used".into()));
        };
        self.within(root, &fragment, depth, &fail)
    }

    /// The schema with an `$id` that a value stands in.
    fn resource_around(&self, id: Id) -> Option<Id> {
        if self.resources.is_empty() {
            return None;
        }
        let tree = &self.contract.tree;
        let mut at = Some(id);
        while let Some(id) = at {
            if tree.get_text(id, "$id").is_some() {
                return Some(id);
            }
            at = tree.parent(id);
        }
        None
    }

    fn within(
        &self,
        root: Id,
        fragment: &str,
        depth: usize,
        fail: &dyn Fn(String) -> Error,
    ) -> Result<Id, Error> {
        if fragment.is_empty() {
            return Ok(root);
        }
        let tree = &self.contract.tree;
        let Some(pointer) = fragment.strip_prefix('/') else {
            let file = self.contract.file(root).root;
            let named = self.anchors.get(fragment).and_then(|ids| {
                ids.iter().find(|id| self.contract.file(**id).root == file).or_else(|| ids.first())
            });
            return named.copied().ok_or_else(|| fail(format!("there is no anchor `{fragment}`")));
        };
        let mut at = root;
        let mut walked = String::new();
        for step in pointer.split('/') {
            let key = step.replace("~1", "/").replace("~0", "~");
            walked.push('/');
            walked.push_str(step);
            let mut next = self.child(at, &key);
            if next.is_none() && reference(tree, at).is_some() {
                next = self.child(self.locate(at, depth + 1)?, &key);
            }
            at = next.ok_or_else(|| fail(format!("there is no `{walked}`")))?;
        }
        Ok(at)
    }

    fn child(&self, id: Id, key: &str) -> Option<Id> {
        let tree = &self.contract.tree;
        match tree.kind(id) {
            Kind::Object => tree.get(id, key),
            Kind::Array => key.parse().ok().and_then(|index| tree.items(id).nth(index)),
            _ => None,
        }
    }
}

/// References that lead only to each other describe nothing.
fn refuse_circles(contract: &Contract, references: &HashMap<Id, Id>) -> Result<(), Error> {
    let mut sound: HashSet<Id> = HashSet::new();
    for &start in references.keys() {
        let mut chain = Vec::new();
        let mut here: HashSet<Id> = HashSet::new();
        let mut at = start;
        while let Some(&target) = references.get(&at) {
            if sound.contains(&at) {
                break;
            }
            if !here.insert(at) {
                return Err(Error::Reference {
                    position: contract.position(at),
                    reference: reference(&contract.tree, at).unwrap_or_default().into(),
                    reason: "it leads back to itself".into(),
                });
            }
            chain.push(at);
            at = target;
        }
        sound.extend(chain);
    }
    Ok(())
}
