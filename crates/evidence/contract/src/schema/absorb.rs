//! Taking the keywords of schemas that all have to hold into one.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use super::{At, Flat, Limit, Scoped, Side, Size, Types};
use crate::error::Error;
use crate::load::Version;
use crate::snapshot::canonical;
use crate::tree::{Id, Kind, Tree};

/// A flat in the making.
#[derive(Default)]
pub(super) struct Work<'a> {
    pub(super) flat: Flat<'a>,
    pub(super) properties: BTreeMap<&'a str, Vec<Scoped>>,
    pub(super) pattern_properties: BTreeMap<&'a str, Vec<Scoped>>,
    pub(super) prefix: Vec<Vec<Scoped>>,
    pub(super) additional: Vec<Scoped>,
    pub(super) items: Vec<Scoped>,
    pub(super) unions: Vec<(Id, Vec<Scoped>)>,
    /// `nullable` of 3.0.
    pub(super) nullable: bool,
    /// Whether all `type` lists have `null`.
    pub(super) null_typed: Option<bool>,
    /// Whether all `enum` lists have `null`.
    pub(super) null_listed: Option<bool>,
    seen: HashSet<Scoped>,
}

impl<'a> Work<'a> {
    /// Only these types.
    pub(super) fn types(&mut self, types: Types, node: Id) {
        match &mut self.flat.types {
            Some(known) => known.value = known.value.and(types),
            none => *none = Some(At { value: types, node }),
        }
    }

    /// Only these values.
    pub(super) fn allow(&mut self, mut values: Vec<String>, node: Id) {
        values.sort();
        values.dedup();
        match &mut self.flat.allowed {
            Some(known) => known.value.retain(|value| values.binary_search(value).is_ok()),
            none => *none = Some(At { value: values, node }),
        }
    }

    fn list(&mut self, values: impl Iterator<Item = Id>, tree: &Tree, node: Id) {
        let (mut allowed, mut null) = (Vec::new(), false);
        for value in values {
            if tree.kind(value) == Kind::Null {
                null = true;
            } else {
                allowed.push(canonical(tree, value));
            }
        }
        self.null_listed = Some(self.null_listed.unwrap_or(true) && null);
        self.allow(allowed, node);
    }

    fn limit(&mut self, limit: Limit<'a>, node: Id, least: bool) {
        let known = if least { &mut self.flat.minimum } else { &mut self.flat.maximum };
        let tighter = match known {
            None => true,
            Some(known) => {
                let order = limit.number.compare(known.value.number);
                order == if least { Ordering::Greater } else { Ordering::Less }
                    || (order == Ordering::Equal && limit.exclusive)
            }
        };
        if tighter {
            *known = Some(At { value: limit, node });
        }
    }

    fn size(&mut self, size: Size, value: u64, node: Id) {
        // The least that is valid anyway says nothing.
        if size.is_least() && value == 0 && size != Size::MinContains {
            return;
        }
        let known = &mut self.flat.sizes[size as usize];
        let tighter = known
            .as_ref()
            .is_none_or(|known| if size.is_least() { value > known.value } else { value < known.value });
        if tighter {
            *known = Some(At { value, node });
        }
    }
}

impl<'a> Side<'a> {
    /// Takes a schema and all that it combines by `$ref` and `allOf`.
    pub(super) fn absorb(&mut self, work: &mut Work<'a>, part: Scoped, top: bool) -> Result<(), Error> {
        let tree = &self.contract.tree;
        // A whole that says it may be null means it, whatever its `allOf` says; that
        // of one part does not make the others accept null.
        work.nullable |= top && self.says_null(part.node);
        let mut open = vec![part];
        while let Some(at) = open.pop() {
            let scope = self.scope(at);
            let at = Scoped { scope, ..at };
            if !work.seen.insert(at) {
                continue;
            }
            self.steps.take(1 + tree.entries(at.node).len())?;
            match tree.kind(at.node) {
                Kind::False => work.flat.never = true,
                Kind::Object => {}
                _ => continue,
            }
            let below = |node| Scoped { node, scope };
            if let Some(&target) = self.contract.references.get(&at.node) {
                open.push(below(target));
                if self.contract.version() == Version::V3_0 {
                    continue;
                }
            }
            if let Some(name) = self.contract.dynamic.get(&at.node)
                && let Some(target) = self.dynamic(at, name)
            {
                open.push(below(target));
            }
            for (key, value) in tree.entries(at.node) {
                match key {
                    "allOf" => open.extend(tree.items(value).map(below)),
                    "anyOf" | "oneOf" => {
                        work.unions.push((value, tree.items(value).map(below).collect()));
                    }
                    "properties" | "patternProperties" => {
                        let map = if key == "properties" {
                            &mut work.properties
                        } else {
                            &mut work.pattern_properties
                        };
                        self.steps.take(tree.entries(value).len())?;
                        for (name, schema) in tree.entries(value) {
                            map.entry(name).or_default().push(below(schema));
                        }
                    }
                    "additionalProperties" | "unevaluatedProperties" => work.additional.push(below(value)),
                    "items" if tree.kind(value) == Kind::Array => prefix(work, tree.items(value).map(below)),
                    "prefixItems" => prefix(work, tree.items(value).map(below)),
                    "items" => work.items.push(below(value)),
                    _ => self.keyword(work, at.node, key, value)?,
                }
            }
        }
        Ok(())
    }

    /// Whether a schema itself says that `null` is valid.
    fn says_null(&self, schema: Id) -> bool {
        let tree = &self.contract.tree;
        let listed = tree.get(schema, "type").is_some_and(|types| {
            tree.text(types) == Some("null") || tree.items(types).any(|name| tree.text(name) == Some("null"))
        });
        listed || (self.contract.version() == Version::V3_0 && tree.flag(schema, "nullable"))
    }

    /// A keyword without schemas in it.
    fn keyword(&self, work: &mut Work<'a>, schema: Id, key: &'a str, value: Id) -> Result<(), Error> {
        let tree = &self.contract.tree;
        let text = |make: &dyn Fn(&'a str) -> At<&'a str>| tree.text(value).map(make);
        let at = |value_text: &'a str| At { value: value_text, node: value };
        match key {
            "type" => {
                let names: Vec<&str> = tree
                    .text(value)
                    .into_iter()
                    .chain(tree.items(value).filter_map(|item| tree.text(item)))
                    .collect();
                let types =
                    names.iter().filter_map(|name| Types::named(name)).fold(Types::default(), Types::or);
                if !types.is_empty() {
                    let null = self.says_null(schema);
                    work.null_typed = Some(work.null_typed.unwrap_or(true) && null);
                    work.types(types.without(Types::NULL), value);
                }
            }
            "enum" => {
                self.steps.take(tree.items(value).len())?;
                work.list(tree.items(value), tree, value);
            }
            "const" => work.list(std::iter::once(value), tree, value),
            "x-extensible-enum" => work.flat.extensible = true,
            "format" => work.flat.format = text(&at).filter(|format| format.value != "password"),
            "contentEncoding" => work.flat.encoding = text(&at),
            "contentMediaType" => work.flat.media = text(&at),
            "pattern" => work.flat.patterns.extend(text(&at)),
            "minimum" | "maximum" => {
                let Some(number) = tree.number(value) else { return Ok(()) };
                let least = key == "minimum";
                let sibling = if least { "exclusiveMinimum" } else { "exclusiveMaximum" };
                work.limit(Limit { number, exclusive: tree.flag(schema, sibling) }, value, least);
            }
            "exclusiveMinimum" | "exclusiveMaximum" => {
                if let Some(number) = tree.number(value) {
                    work.limit(Limit { number, exclusive: true }, value, key == "exclusiveMinimum");
                }
            }
            "multipleOf" => {
                work.flat.multiple = tree.number(value).map(|number| At { value: number, node: value });
            }
            "uniqueItems" if tree.flag(schema, key) => work.flat.unique = Some(value),
            "required" => {
                for name in tree.items(value) {
                    if let Some(text) = tree.text(name) {
                        work.flat.required.entry(text).or_insert(name);
                    }
                }
            }
            "default" => work.flat.default = work.flat.default.or(Some(value)),
            "discriminator" => work.flat.discriminator = work.flat.discriminator.or(Some(value)),
            "readOnly" => work.flat.read_only |= tree.flag(schema, key),
            "writeOnly" => work.flat.write_only |= tree.flag(schema, key),
            "deprecated" => work.flat.deprecated |= tree.flag(schema, key),
            "not" | "if" | "then" | "else" | "contains" | "dependentRequired" | "dependentSchemas"
            | "dependencies" | "unevaluatedItems" | "contentSchema" | "propertyNames" | "xml" => {
                work.flat.conditions.push((key, value));
            }
            _ => {
                if let Some(size) = Size::ALL.into_iter().find(|size| size.keyword() == key)
                    && let Some(count) = tree.number(value).and_then(|number| number.size())
                {
                    work.size(size, count, value);
                }
            }
        }
        Ok(())
    }
}

fn prefix<'a>(work: &mut Work<'a>, items: impl Iterator<Item = Scoped>) {
    for (at, item) in items.enumerate() {
        if at == work.prefix.len() {
            work.prefix.push(Vec::new());
        }
        work.prefix[at].push(item);
    }
}
