//! One of the two documents, with what its schemas were found to mean.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::{At, Flat, Rest, Scoped, Term, Types, Union};
use crate::error::Error;
use crate::load::{Contract, Version};
use crate::tree::{Id, Kind};

/// Schemas that only refer to another one may be nested so deep.
const DEEPEST: usize = 128;

/// Different meanings of `$dynamicRef` that are told apart.
const SCOPES: usize = 4096;

/// Keywords that change nothing about which values are valid.
const ANNOTATIONS: [&str; 8] =
    ["title", "description", "summary", "example", "examples", "externalDocs", "$comment", "$schema"];

/// Counts the work, so that hostile documents end.
#[derive(Debug)]
pub(crate) struct Steps {
    left: Cell<u64>,
    all: u64,
}

impl Steps {
    pub(crate) fn new(all: u64) -> Self {
        Self { left: Cell::new(all), all }
    }

    pub(crate) fn take(&self, steps: usize) -> Result<(), Error> {
        match self.left.get().checked_sub(steps as u64) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Error::TooComplex { steps: self.all }),
        }
    }
}

/// A document and the terms and flats made of it so far.
pub(crate) struct Side<'a> {
    pub(crate) contract: &'a Contract,
    terms: Vec<Box<[Scoped]>>,
    numbers: HashMap<Box<[Scoped]>, Term>,
    flats: HashMap<Term, Rc<Flat<'a>>>,
    /// Terms that are being flattened, for unions that contain themselves.
    open: HashSet<Term>,
    /// What dynamic anchors mean, by number; 0 is nothing.
    scopes: Vec<Vec<(&'a str, Id)>>,
    scope_numbers: HashMap<Vec<(&'a str, Id)>, u32>,
    pub(super) steps: &'a Steps,
}

impl<'a> Side<'a> {
    pub(crate) fn new(contract: &'a Contract, steps: &'a Steps) -> Self {
        Self {
            contract,
            terms: Vec::new(),
            numbers: HashMap::new(),
            flats: HashMap::new(),
            open: HashSet::new(),
            scopes: vec![Vec::new()],
            scope_numbers: HashMap::from([(Vec::new(), 0)]),
            steps,
        }
    }

    /// The schemas of a term.
    pub(crate) fn parts(&self, term: Term) -> &[Scoped] {
        &self.terms[term.0 as usize]
    }

    /// Where a term is to be shown.
    pub(crate) fn place(&self, term: Term) -> Id {
        self.parts(term)[0].node
    }

    /// The required properties that have one value only, such as
    /// `object="charge"`: what a variant is recognised by.
    pub(crate) fn constants(&mut self, term: Term) -> Result<Option<String>, Error> {
        let flat = self.flat(term)?;
        let mut found = Vec::new();
        for (name, &property) in flat.properties.iter().filter(|(name, _)| flat.required.contains_key(*name))
        {
            let property = self.flat(property)?;
            if let Some(allowed) = property.allowed.as_ref().filter(|allowed| allowed.value.len() == 1) {
                found.push(format!("{name}={}", allowed.value[0]));
            }
        }
        Ok((!found.is_empty()).then(|| found.join(" ")))
    }

    /// Whether every value is one text, number or boolean: no list, no object.
    pub(crate) fn is_single(&mut self, term: Term) -> Result<bool, Error> {
        let single = |flat: &Flat<'_>| {
            let types = flat.types.as_ref().map(|types| types.value);
            types.is_some_and(|types| types.and(Types::ARRAY.or(Types::OBJECT)).is_empty())
        };
        let flat = self.flat(term)?;
        if single(&flat) {
            return Ok(true);
        }
        let Some(union) = flat.unions.first().filter(|_| flat.types.is_none()) else { return Ok(false) };
        self.steps.take(union.variants.len())?;
        for &variant in &union.variants {
            if !single(&*self.flat(variant)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A variant in words.
    pub(crate) fn describe(&mut self, term: Term) -> Result<String, Error> {
        let place = self.place(term);
        let tree = &self.contract.tree;
        if let Some(title) = tree.get_text(place, "title") {
            return Ok(title.to_owned());
        }
        let pointer = tree.pointer(place);
        if let Some(name) = pointer.strip_prefix("/components/schemas/").filter(|name| !name.contains('/')) {
            return Ok(name.replace("~1", "/").replace("~0", "~"));
        }
        if let Some(constants) = self.constants(term)? {
            return Ok(constants);
        }
        let flat = self.flat(term)?;
        if let Some(allowed) = &flat.allowed {
            return Ok(allowed.value.join(", "));
        }
        if !flat.properties.is_empty() {
            let names: Vec<&str> = flat.properties.keys().copied().take(4).collect();
            return Ok(format!("object with {}", names.join(", ")));
        }
        Ok(flat.types.as_ref().map_or_else(|| "other values".into(), |types| types.value.to_string()))
    }

    /// The term of one schema that does not stand in another one.
    pub(crate) fn term(&mut self, node: Id) -> Term {
        self.term_of(&[Scoped { node, scope: 0 }])
    }

    /// A term by its number.
    pub(crate) fn nth(&self, number: u32) -> Term {
        debug_assert!((number as usize) < self.terms.len());
        Term(number)
    }

    pub(super) fn term_of(&mut self, parts: &[Scoped]) -> Term {
        let mut parts: Vec<Scoped> = parts.iter().map(|part| self.follow(*part)).collect();
        if parts.len() > 1 {
            let mut seen = HashSet::new();
            parts.retain(|part| seen.insert(*part));
        }
        let parts = parts.into_boxed_slice();
        if let Some(&term) = self.numbers.get(&parts) {
            return term;
        }
        let term = Term(u32::try_from(self.terms.len()).expect("terms are bounded by steps"));
        self.terms.push(parts.clone());
        self.numbers.insert(parts, term);
        term
    }

    /// Follows schemas that only stand for another one: `$ref`, and `allOf`,
    /// `anyOf` or `oneOf` of one, with nothing beside it but annotations.
    fn follow(&mut self, part: Scoped) -> Scoped {
        let mut at = part;
        for _ in 0..DEEPEST {
            at.scope = self.scope(at);
            let next = match self.contract.references.get(&at.node) {
                Some(&target) if self.contract.version() == Version::V3_0 => Some(target),
                Some(&target) => self.alone(at.node, "$ref").then_some(target),
                None => ["allOf", "anyOf", "oneOf"].into_iter().find_map(|keyword| {
                    let list = self.contract.tree.get(at.node, keyword)?;
                    let mut items = self.contract.tree.items(list);
                    let only = items.next()?;
                    (items.next().is_none() && self.alone(at.node, keyword)).then_some(only)
                }),
            };
            match next {
                Some(node) => at.node = node,
                None => return at,
            }
        }
        at
    }

    /// Whether a schema has nothing beside a keyword but annotations.
    fn alone(&self, node: Id, keyword: &str) -> bool {
        self.contract.tree.entries(node).all(|(key, _)| {
            key == keyword
                || ANNOTATIONS.contains(&key)
                || (key.starts_with("x-") && key != "x-extensible-enum")
        })
    }

    /// The scope inside of a schema: outer dynamic anchors win (JSON Schema
    /// 2020-12 core, section 8.2.3.2).
    pub(super) fn scope(&mut self, at: Scoped) -> u32 {
        if self.contract.dynamic.is_empty() {
            return 0;
        }
        let tree = &self.contract.tree;
        let below =
            tree.get(at.node, "$defs").into_iter().flat_map(|defs| tree.entries(defs).map(|(_, id)| id));
        let own: Vec<(&'a str, Id)> = std::iter::once(at.node)
            .chain(below)
            .filter_map(|id| Some((tree.get_text(id, "$dynamicAnchor")?, id)))
            .collect();
        let mut scope = self.scopes[at.scope as usize].clone();
        for (name, id) in own {
            if !scope.iter().any(|(known, _)| *known == name) {
                scope.push((name, id));
            }
        }
        if let Some(&number) = self.scope_numbers.get(&scope) {
            return number;
        }
        if self.scopes.len() >= SCOPES {
            return at.scope;
        }
        let number = u32::try_from(self.scopes.len()).expect("there are few scopes");
        self.scopes.push(scope.clone());
        self.scope_numbers.insert(scope, number);
        number
    }

    /// What a `$dynamicRef` means in a scope.
    pub(super) fn dynamic(&self, at: Scoped, name: &str) -> Option<Id> {
        let bound = self.scopes[at.scope as usize].iter().find(|(known, _)| *known == name);
        bound.map(|(_, id)| *id).or_else(|| self.contract.anchors.get(name)?.first().copied())
    }

    /// What a term comes to.
    pub(crate) fn flat(&mut self, term: Term) -> Result<Rc<Flat<'a>>, Error> {
        if let Some(flat) = self.flats.get(&term) {
            return Ok(Rc::clone(flat));
        }
        let mut work = super::absorb::Work::default();
        let parts = self.parts(term).to_vec();
        for part in &parts {
            self.absorb(&mut work, *part, parts.len() == 1)?;
        }
        self.open.insert(term);
        let settled = self.settle(&mut work, parts[0].node);
        self.open.remove(&term);
        settled?;
        let flat = Rc::new(work.flat);
        self.flats.insert(term, Rc::clone(&flat));
        Ok(flat)
    }

    /// Unions by what they mean; then types that follow from other keywords.
    fn settle(&mut self, work: &mut super::absorb::Work<'a>, place: Id) -> Result<(), Error> {
        let mut nullable = work.nullable;
        // Merging a union of one may bring others; what was seen is not taken again.
        while let Some((node, variants)) = work.unions.pop() {
            self.steps.take(variants.len() + 1)?;
            let mut kept: Vec<(Id, Term)> = Vec::new();
            let mut null = false;
            self.spread(&variants, &mut kept, &mut null, 0)?;
            nullable |= null;
            if kept.len() == 1 {
                for part in self.parts(kept[0].1).to_vec() {
                    self.absorb(work, part, false)?;
                }
                continue;
            }
            let flats: Vec<Option<Rc<Flat<'a>>>> =
                kept.iter().map(|(_, term)| self.shallow(*term)).collect::<Result<_, _>>()?;
            if !kept.is_empty()
                && flats.iter().all(|flat| flat.as_ref().is_some_and(|flat| flat.is_types_only()))
            {
                let types = flats.iter().flatten().filter_map(|flat| flat.types.as_ref());
                let all = types.fold(Types::default(), |all, types| all.or(types.value));
                nullable |= flats.iter().flatten().any(|flat| flat.null == Some(true));
                work.types(all, node);
                continue;
            }
            let values = |flat: &Flat<'a>| flat.allowed.clone().filter(|_| flat.is_values_only());
            let allowed: Option<Vec<_>> = flats.iter().map(|flat| values(flat.as_ref()?)).collect();
            if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
                let types = flats.iter().flatten().filter_map(|flat| flat.types.as_ref());
                let all = types.fold(Types::default(), |all, types| all.or(types.value));
                work.types(all, node);
                work.allow(allowed.into_iter().flat_map(|values| values.value).collect(), node);
                continue;
            }
            let written = kept.iter().map(|(written, _)| *written).collect();
            let variants = kept.into_iter().map(|(_, term)| term).collect();
            work.flat.unions.push(Union { node, variants, written });
        }
        work.flat.unions.sort_by_key(|union| union.node);
        self.close(work, place, nullable)
    }

    fn close(&mut self, work: &mut super::absorb::Work<'a>, place: Id, nullable: bool) -> Result<(), Error> {
        for (name, parts) in std::mem::take(&mut work.properties) {
            let term = self.term_of(&parts);
            work.flat.properties.insert(name, term);
            work.flat.written.insert(name, parts[0].node);
        }
        for (pattern, parts) in std::mem::take(&mut work.pattern_properties) {
            let term = self.term_of(&parts);
            work.flat.pattern_properties.insert(pattern, term);
        }
        work.flat.prefix =
            std::mem::take(&mut work.prefix).into_iter().map(|parts| self.term_of(&parts)).collect();
        for rest in [&mut work.additional, &mut work.items] {
            rest.dedup();
        }
        work.flat.additional = self.rest(&work.additional);
        work.flat.items = self.rest(&work.items);
        let flat = &mut work.flat;
        flat.conditions.sort_by_key(|(keyword, _)| *keyword);
        // 3.0 says `format: byte` and `binary` where 3.1 says `contentEncoding`.
        if flat.encoding.as_ref().is_some_and(|at| at.value.eq_ignore_ascii_case("base64"))
            && flat.format.is_none()
        {
            flat.format = flat.encoding.take().map(|at| At { value: "byte", node: at.node });
        }
        if flat.media.as_ref().is_some_and(|at| at.value == "application/octet-stream")
            && flat.format.is_none()
        {
            flat.format = flat.media.take().map(|at| At { value: "binary", node: at.node });
        }
        if flat.types.is_none() && flat.unions.is_empty() {
            flat.types = infer(flat).map(|value| At { value, node: place });
            flat.inferred = flat.types.is_some();
        }
        let listed = work.null_listed;
        flat.null = match (&flat.types, work.null_typed) {
            _ if nullable => Some(true),
            (_, Some(null)) => Some(null && listed != Some(false)),
            (_, None) if listed.is_some() => listed,
            (Some(_), None) if !flat.inferred => Some(false),
            _ if !flat.unions.is_empty() => Some(false),
            _ => None,
        };
        Ok(())
    }

    fn rest(&mut self, parts: &[Scoped]) -> Option<At<Rest>> {
        let tree = &self.contract.tree;
        let told: Vec<Scoped> = parts
            .iter()
            .filter(|part| match tree.kind(part.node) {
                Kind::True => false,
                Kind::Object => tree.entries(part.node).len() > 0,
                _ => true,
            })
            .copied()
            .collect();
        let first = told.first()?.node;
        if let Some(closed) = told.iter().find(|part| tree.kind(part.node) == Kind::False) {
            return Some(At { value: Rest::Closed, node: closed.node });
        }
        Some(At { value: Rest::Is(self.term_of(&told)), node: first })
    }

    /// A flat, unless it is being made just now.
    fn shallow(&mut self, term: Term) -> Result<Option<Rc<Flat<'a>>>, Error> {
        if self.open.contains(&term) || self.open.len() >= DEEPEST {
            return Ok(None);
        }
        self.flat(term).map(Some)
    }

    /// The variants of a union, with unions that stand in it alone dissolved
    /// and `null` taken out.
    fn spread(
        &mut self,
        variants: &[Scoped],
        kept: &mut Vec<(Id, Term)>,
        null: &mut bool,
        depth: usize,
    ) -> Result<(), Error> {
        for &part in variants {
            self.steps.take(1)?;
            let term = self.term_of(&[part]);
            let Some(flat) = self.shallow(term)? else {
                kept.push((part.node, term));
                continue;
            };
            if flat.is_bare()
                && flat.unions.is_empty()
                && flat.null == Some(true)
                && flat.types.as_ref().is_some_and(|types| types.value.is_empty())
            {
                *null = true;
            } else if flat.is_bare() && flat.types.is_none() && flat.unions.len() == 1 && depth < 8 {
                *null |= flat.null == Some(true);
                let union = &flat.unions[0];
                let inner: Vec<(Id, Term)> =
                    union.written.iter().copied().zip(union.variants.iter().copied()).collect();
                kept.extend(inner);
            } else {
                // A variant that is or may be null makes the whole nullable.
                *null |= flat.null == Some(true) && flat.types.is_some();
                kept.push((part.node, term));
            }
        }
        let mut seen = HashSet::new();
        kept.retain(|(_, term)| seen.insert(*term));
        Ok(())
    }
}

/// The types that the keywords of a schema are about, where it names none.
fn infer(flat: &Flat<'_>) -> Option<Types> {
    if let Some(allowed) = &flat.allowed {
        let types = allowed.value.iter().map(|value| match value.bytes().next() {
            Some(b'"') => Types::STRING,
            Some(b'{') => Types::OBJECT,
            Some(b'[') => Types::ARRAY,
            Some(b't' | b'f') => Types::BOOLEAN,
            _ if value.contains('.') => Types::NUMBER,
            _ => Types::INTEGER,
        });
        return Some(types.fold(Types::default(), Types::or));
    }
    let size = |size: super::Size| flat.size(size).is_some();
    let object = !flat.properties.is_empty() || flat.additional.is_some() || !flat.required.is_empty();
    let array = flat.items.is_some()
        || !flat.prefix.is_empty()
        || size(super::Size::MinItems)
        || flat.unique.is_some();
    let string =
        flat.format.as_ref().is_some_and(|at| !matches!(at.value, "int32" | "int64" | "float" | "double"))
            || !flat.patterns.is_empty()
            || size(super::Size::MinLength)
            || size(super::Size::MaxLength);
    match (object, array, string) {
        (true, false, false) => Some(Types::OBJECT),
        (false, true, false) => Some(Types::ARRAY),
        (false, false, true) => Some(Types::STRING),
        _ => None,
    }
}
