//! Sets of fields, in the form of `FieldsV1`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::schema::{self, KEY_DEFAULTS, Shape};

/// A set of paths. Elements are kept as `FieldsV1` writes them: `f:name`,
/// `k:{"name":"app"}`, `v:"value"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    members: BTreeSet<String>,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Every field that `object` sets.
    pub(crate) fn of(object: &Value, root: &'static str) -> Self {
        let mut set = Self::default();
        set.add_object(object, root);
        set
    }

    /// The lists and maps of `after` that are not in `before` at all.
    pub(crate) fn made(before: &Value, after: &Value, root: &'static str) -> Self {
        let mut set = Self::default();
        set.add_made(before, after, root);
        set
    }

    /// The maps that hold something in `before` and nothing in `after`.
    pub(crate) fn emptied(before: &Value, after: &Value, root: &'static str) -> Self {
        let mut set = Self::default();
        set.add_emptied(before, after, root);
        set
    }

    fn add_emptied(&mut self, before: &Value, after: &Value, of: &'static str) {
        for (name, value) in after.as_object().into_iter().flatten() {
            let element = format!("f:{name}");
            let old = before.get(name).unwrap_or(&Value::Null);
            let mut inside = Self::default();
            match (schema::field(of, name), value, old) {
                (Shape::Plain(_), Value::Object(map), Value::Object(_)) if map.is_empty() => {
                    self.members.insert(element.clone());
                }
                (Shape::Plain(of), Value::Object(_), Value::Object(_)) => inside.add_emptied(old, value, of),
                (Shape::Keyed { keys, of }, Value::Array(items), Value::Array(old)) => {
                    for item in items {
                        let key = key_element(item, keys);
                        let Some(old) = old.iter().find(|old| key_element(old, keys) == key) else {
                            continue;
                        };
                        let mut fields = Self::default();
                        fields.add_emptied(old, item, of);
                        inside.put_child(key, fields);
                    }
                }
                _ => {}
            }
            self.put_child(element, inside);
        }
    }

    fn add_made(&mut self, before: &Value, after: &Value, of: &'static str) {
        for (name, value) in after.as_object().into_iter().flatten() {
            let element = format!("f:{name}");
            let old = before.get(name).unwrap_or(&Value::Null);
            let mut inside = Self::default();
            let is_new = old.is_null();
            match (schema::field(of, name), value) {
                (Shape::Plain(of), Value::Object(map)) if !map.is_empty() => inside.add_made(old, value, of),
                (Shape::Keyed { keys, of }, Value::Array(items)) => {
                    for item in items {
                        let key = key_element(item, keys);
                        let old =
                            old.as_array().into_iter().flatten().find(|old| key_element(old, keys) == key);
                        let mut fields = Self::default();
                        fields.add_made(old.unwrap_or(&Value::Null), item, of);
                        inside.put_child(key, fields);
                    }
                }
                (Shape::Set, _) => {}
                _ => continue,
            }
            if is_new {
                self.members.insert(element.clone());
            }
            self.put_child(element, inside);
        }
    }

    fn add_object(&mut self, object: &Value, of: &'static str) {
        for (name, value) in object.as_object().into_iter().flatten() {
            self.add(format!("f:{name}"), value, schema::field(of, name));
        }
    }

    fn add(&mut self, element: String, value: &Value, shape: Shape) {
        match (shape, value) {
            (Shape::Plain(of), Value::Object(map)) if !map.is_empty() => {
                self.children.entry(element).or_default().add_object(value, of);
            }
            (Shape::Keyed { keys, of }, Value::Array(items)) => {
                let within = self.children.entry(element.clone()).or_default();
                for item in items {
                    let key = key_element(item, keys);
                    within.members.insert(key.clone());
                    if of != schema::WHOLE {
                        within.children.entry(key).or_default().add_object(item, of);
                    }
                }
                self.tidy(&element);
            }
            (Shape::Set, Value::Array(items)) => {
                let within = self.children.entry(element.clone()).or_default();
                within.members.extend(items.iter().map(|item| format!("v:{item}")));
                self.tidy(&element);
            }
            _ => drop(self.members.insert(element)),
        }
    }

    fn tidy(&mut self, element: &str) {
        if self.children.get(element).is_some_and(Self::is_empty) {
            self.children.remove(element);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Whether it has this very element itself.
    pub(crate) fn has(&self, element: &str) -> bool {
        self.members.contains(element)
    }

    pub(crate) fn child(&self, element: &str) -> Option<&Self> {
        self.children.get(element).filter(|child| !child.is_empty())
    }

    /// Whether it has the element or anything beneath it.
    pub(crate) fn touches(&self, element: &str) -> bool {
        self.has(element) || self.child(element).is_some()
    }

    pub(crate) fn insert(&mut self, element: String) {
        self.members.insert(element);
    }

    pub(crate) fn put_child(&mut self, element: String, child: Self) {
        if !child.is_empty() {
            self.children.insert(element, child);
        }
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut result = self.clone();
        result.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let mine = result.children.entry(element.clone()).or_default();
            *mine = mine.union(child);
        }
        result
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.filtered(other, false)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.filtered(other, true)
    }

    fn filtered(&self, other: &Self, keep: bool) -> Self {
        let members = self.members.iter().filter(|member| other.has(member) == keep).cloned().collect();
        let nothing = Self::default();
        let children = self
            .children
            .iter()
            .map(|(element, child)| {
                let theirs = other.children.get(element).unwrap_or(&nothing);
                (element.clone(), child.filtered(theirs, keep))
            })
            .filter(|(_, child)| !child.is_empty())
            .collect();
        Self { members, children }
    }

    /// Every path, as messages show them: `.spec.containers[name="app"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.add_paths("", &mut all);
        all
    }

    fn add_paths(&self, before: &str, all: &mut Vec<String>) {
        for element in self.members.iter().chain(self.children.keys()).collect::<BTreeSet<_>>() {
            let path = format!("{before}{}", shown(element));
            if self.has(element) {
                all.push(path.clone());
            }
            if let Some(child) = self.child(element) {
                child.add_paths(&path, all);
            }
        }
    }

    /// As `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for element in self.members.iter().chain(self.children.keys()) {
            let mut inner = self.child(element).map_or(Value::Object(Map::new()), Self::to_json);
            if self.has(element) && self.child(element).is_some() {
                inner["."] = Value::Object(Map::new());
            }
            map.insert(element.clone(), inner);
        }
        Value::Object(map)
    }

    /// Of `fieldsV1`.
    pub(crate) fn from_json(json: &Value) -> Self {
        let mut set = Self::default();
        for (element, inner) in json.as_object().into_iter().flatten().filter(|(element, _)| *element != ".")
        {
            let inside = Self::from_json(inner);
            if inner.get(".").is_some() || inside.is_empty() {
                set.members.insert(element.clone());
            }
            set.put_child(element.clone(), inside);
        }
        set
    }
}

/// How an item of a keyed list is named: `k:{"name":"app"}`.
pub(crate) fn key_element(item: &Value, keys: &[&str]) -> String {
    let mut key = Map::new();
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    for name in sorted {
        let default = KEY_DEFAULTS.iter().find(|(key, _)| *key == name).map(|(_, value)| Value::from(*value));
        let value = item.get(name).cloned().or(default);
        if let Some(value) = value {
            key.insert(name.into(), value);
        }
    }
    format!("k:{}", Value::Object(key))
}

fn shown(element: &str) -> String {
    if let Some(name) = element.strip_prefix("f:") {
        return format!(".{name}");
    }
    if let Some(value) = element.strip_prefix("v:") {
        return format!("[={value}]");
    }
    let key: Value =
        element.strip_prefix("k:").and_then(|key| serde_json::from_str(key).ok()).unwrap_or_default();
    let parts: Vec<String> =
        key.as_object().into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    format!("[{}]", parts.join(","))
}
