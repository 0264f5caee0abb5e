//! Two schemas that correspond: types, values, formats and limits.

use super::Engine;
use crate::delta::{Flow, Turn, What};
use crate::error::Error;
use crate::schema::{At, Flat, Limit, Rest, Size, Term, Types};
use crate::snapshot::canonical;
use crate::tree::{Id, Number};

/// Two flats that correspond, and where they are.
#[derive(Clone, Copy)]
pub(super) struct Two<'b, 'a> {
    pub(super) old: &'b Flat<'a>,
    pub(super) new: &'b Flat<'a>,
    pub(super) terms: (Term, Term),
    pub(super) places: (Id, Id),
    /// Whether what stands here is another component than before.
    pub(super) swapped: bool,
    pub(super) flow: Flow,
    pub(super) at: u32,
}

impl Two<'_, '_> {
    fn nodes<T, U>(&self, old: Option<&At<T>>, new: Option<&At<U>>) -> (Id, Id) {
        if self.swapped {
            return self.places;
        }
        (old.map_or(self.places.0, |at| at.node), new.map_or(self.places.1, |at| at.node))
    }
}

impl Engine<'_> {
    pub(super) fn schema(&mut self, at: u32, old: Term, new: Term, flow: Flow) -> Result<(), Error> {
        let mut places = (self.old.place(old), self.new.place(new));
        let swapped = match self.written.get(&at) {
            // Another component in the place of one: that place changed, and not the component.
            Some(&written)
                if self.old.contract.identity(places.0) != self.new.contract.identity(places.1) =>
            {
                places = written;
                true
            }
            _ => false,
        };
        let (before, after) = (self.old.flat(old)?, self.new.flat(new)?);
        let two = Two { old: &before, new: &after, terms: (old, new), places, swapped, flow, at };
        if self.unions(&two)? {
            return Ok(());
        }
        if self.types(&two) {
            return Ok(());
        }
        self.values(&two);
        // A list of values says more than any limit.
        if before.allowed.is_none() && after.allowed.is_none() {
            self.format(&two);
            self.limits(&two)?;
        }
        self.properties(&two)?;
        self.items(&two)?;
        self.conditions(&two)?;
        self.annotations(&two);
        Ok(())
    }

    fn tell<T, U>(&mut self, two: &Two<'_, '_>, what: What, old: Option<&At<T>>, new: Option<&At<U>>) {
        let (old, new) = two.nodes(old, new);
        self.changed(two.at, what, Some(two.flow), old, new);
    }

    /// Gives whether they have no type in common, so that nothing else counts.
    fn types(&mut self, two: &Two<'_, '_>) -> bool {
        let (old, new) = (&two.old.types, &two.new.types);
        let null = self.null(two);
        let open = |flat: &Flat<'_>| flat.types.is_none() && flat.unions.is_empty();
        let (lost, gained) = match (old, new) {
            _ if two.old.never != two.new.never => {
                let all = "every value".to_owned();
                if two.new.never { (all, String::new()) } else { (String::new(), all) }
            }
            (Some(old), Some(new)) => {
                (old.value.without(new.value).to_string(), new.value.without(old.value).to_string())
            }
            (None, Some(new)) if open(two.old) && !two.new.inferred => {
                (format!("everything but {}", new.value), String::new())
            }
            (Some(old), None) if open(two.new) && !two.old.inferred => {
                (String::new(), format!("everything but {}", old.value))
            }
            _ => return false,
        };
        if lost.is_empty() && gained.is_empty() {
            return false;
        }
        let disjoint = old.as_ref().zip(new.as_ref()).is_some_and(|(old, new)| {
            old.value.and(new.value).is_empty() && !old.value.is_empty() && !new.value.is_empty()
        });
        let only_null = |types: &Option<At<Types>>| types.as_ref().is_some_and(|at| at.value.is_empty());
        if null && (only_null(old) || only_null(new)) {
            return true;
        }
        self.tell(two, What::Types { lost, gained }, old.as_ref(), new.as_ref());
        disjoint || two.old.never || two.new.never
    }

    /// Gives whether `null` is valid in one of them only.
    pub(super) fn null(&mut self, two: &Two<'_, '_>) -> bool {
        let (Some(old), Some(new)) = (two.old.null, two.new.null) else { return false };
        if old != new {
            self.tell(two, What::Null { gained: new }, two.old.types.as_ref(), two.new.types.as_ref());
        }
        old != new
    }

    fn values(&mut self, two: &Two<'_, '_>) {
        let (old, new) = (two.old.allowed.as_ref(), two.new.allowed.as_ref());
        match (old, new) {
            (None, None) => {}
            (None, Some(now)) => {
                // A union of these values was as narrow.
                if two.old.unions.is_empty() {
                    self.tell(two, What::ValuesLimited { values: now.value.clone() }, old, new);
                }
            }
            (Some(_), None) => {
                if two.new.unions.is_empty() {
                    self.tell(two, What::ValuesUnlimited, old, new);
                }
            }
            (Some(was), Some(is)) => {
                let less = |one: &[String], two: &[String]| -> Vec<String> {
                    one.iter().filter(|value| two.binary_search(value).is_err()).cloned().collect()
                };
                let (removed, added) = (less(&was.value, &is.value), less(&is.value, &was.value));
                if !removed.is_empty() {
                    self.tell(two, What::ValuesRemoved { values: removed }, old, new);
                }
                let told = two.flow == Flow::Response && two.old.extensible;
                if !added.is_empty() && !told {
                    self.tell(two, What::ValuesAdded { values: added }, old, new);
                }
            }
        }
    }

    fn format(&mut self, two: &Two<'_, '_>) {
        let of = |flat: &Flat<'_>| {
            let all = [&flat.format, &flat.encoding, &flat.media];
            let words: Vec<&str> = all.into_iter().flatten().map(|at| at.value).collect();
            (!words.is_empty()).then(|| words.join(" "))
        };
        let (old, new) = (of(two.old), of(two.new));
        if old == new || (is_number(two.old) && is_number(two.new) && redundant(&old, &new)) {
            return;
        }
        let turn = match (&old, &new) {
            (None, Some(_)) => Turn::Narrower,
            (Some(_), None) => Turn::Wider,
            (Some(old), Some(new)) if includes(new, old) => Turn::Wider,
            (Some(old), Some(new)) if includes(old, new) => Turn::Narrower,
            _ => Turn::Other,
        };
        self.tell(two, What::Format { old, new, turn }, two.old.format.as_ref(), two.new.format.as_ref());
    }

    fn limits(&mut self, two: &Two<'_, '_>) -> Result<(), Error> {
        for (keyword, old, new) in
            [("minimum", &two.old.minimum, &two.new.minimum), ("maximum", &two.old.maximum, &two.new.maximum)]
        {
            let order = match (old, new) {
                (None, None) => continue,
                (None, Some(_)) => Turn::Narrower,
                (Some(_), None) => Turn::Wider,
                (Some(old), Some(new)) => match tighter(old.value, new.value, keyword == "minimum") {
                    Some(turn) => turn,
                    None => continue,
                },
            };
            let shown = |at: &Option<At<Limit<'_>>>| {
                at.as_ref().map(|at| {
                    let exclusive = if at.value.exclusive { " (exclusive)" } else { "" };
                    format!("{}{exclusive}", at.value.number.canonical())
                })
            };
            let what = What::Range { keyword, old: shown(old), new: shown(new), turn: order };
            self.tell(two, what, old.as_ref(), new.as_ref());
        }
        self.multiple(two);
        for size in Size::ALL {
            let (old, new) = (two.old.size(size), two.new.size(size));
            let (was, is) = (old.map(|at| at.value), new.map(|at| at.value));
            if was == is {
                continue;
            }
            let turn = match (was, is) {
                (None, _) => Turn::Narrower,
                (_, None) => Turn::Wider,
                (Some(was), Some(is)) if (is > was) == size.is_least() => Turn::Narrower,
                _ => Turn::Wider,
            };
            let what = What::Length { keyword: size.keyword(), old: was, new: is, turn };
            self.tell(two, what, old, new);
        }
        if two.old.unique.is_some() != two.new.unique.is_some() {
            let gained = two.new.unique.is_some();
            let nodes = (two.old.unique.unwrap_or(two.places.0), two.new.unique.unwrap_or(two.places.1));
            self.changed(two.at, What::Unique { gained }, Some(two.flow), nodes.0, nodes.1);
        }
        self.steps.take(two.old.patterns.len() * two.new.patterns.len())?;
        self.patterns(two);
        Ok(())
    }

    fn multiple(&mut self, two: &Two<'_, '_>) {
        let (old, new) = (two.old.multiple.as_ref(), two.new.multiple.as_ref());
        let number = |at: Option<&At<Number<'_>>>| at.map(|at| at.value.canonical());
        if number(old) == number(new) {
            return;
        }
        let turn = match (old, new) {
            (None, _) => Turn::Narrower,
            (_, None) => Turn::Wider,
            (Some(old), Some(new)) if new.value.is_multiple_of(old.value) => Turn::Narrower,
            (Some(old), Some(new)) if old.value.is_multiple_of(new.value) => Turn::Wider,
            _ => Turn::Other,
        };
        let what = What::Range { keyword: "multipleOf", old: number(old), new: number(new), turn };
        self.tell(two, what, old, new);
    }

    fn patterns(&mut self, two: &Two<'_, '_>) {
        let only = |one: &[At<&str>], other: &[At<&str>]| {
            one.iter()
                .find(|at| !other.iter().any(|known| known.value == at.value))
                .map(|at| (at.value.to_owned(), at.node))
        };
        let old = only(&two.old.patterns, &two.new.patterns);
        let new = only(&two.new.patterns, &two.old.patterns);
        let turn = match (&old, &new) {
            (None, None) => return,
            (None, Some(_)) => Turn::Narrower,
            (Some(_), None) => Turn::Wider,
            (Some(_), Some((new, _))) if matches!(new.as_str(), "" | ".*" | "^.*$") => Turn::Wider,
            _ => Turn::Other,
        };
        let nodes = (
            old.as_ref().map_or(two.places.0, |(_, node)| *node),
            new.as_ref().map_or(two.places.1, |(_, node)| *node),
        );
        let what = What::Pattern { old: old.map(|(text, _)| text), new: new.map(|(text, _)| text), turn };
        self.changed(two.at, what, Some(two.flow), nodes.0, nodes.1);
    }

    fn items(&mut self, two: &Two<'_, '_>) -> Result<(), Error> {
        let (old, new) = (&two.old.prefix, &two.new.prefix);
        for (old, new) in old.iter().zip(new) {
            self.visit_terms(two.at, *old, *new, two.flow)?;
        }
        // What has no place of its own falls under `items`.
        for &old in old.iter().skip(new.len()) {
            if let Some(At { value: Rest::Is(new), .. }) = two.new.items {
                self.visit_terms(two.at, old, new, two.flow)?;
            }
        }
        for &new in new.iter().skip(old.len()) {
            if let Some(At { value: Rest::Is(old), .. }) = two.old.items {
                self.visit_terms(two.at, old, new, two.flow)?;
            }
        }
        self.rest(two, two.old.items.as_ref(), two.new.items.as_ref(), "items")
    }

    /// What holds for what is not named.
    pub(super) fn rest(
        &mut self,
        two: &Two<'_, '_>,
        old: Option<&At<Rest>>,
        new: Option<&At<Rest>>,
        what: &'static str,
    ) -> Result<(), Error> {
        match (old.map(|at| at.value), new.map(|at| at.value)) {
            (Some(Rest::Is(old)), Some(Rest::Is(new))) => self.visit_terms(two.at, old, new, two.flow)?,
            (None, None) | (Some(Rest::Closed), Some(Rest::Closed)) => {}
            (_, Some(Rest::Closed)) => {
                self.tell(two, What::Closed { what }, old, new);
            }
            (Some(Rest::Closed), _) => {
                self.tell(two, What::Opened { what }, old, new);
            }
            // The values of a map have to be something now, or may be anything.
            (None, Some(_)) => {
                let what = What::Types { lost: "anything else".into(), gained: String::new() };
                self.tell(two, what, old, new);
            }
            (Some(_), None) => {
                let what = What::Types { lost: String::new(), gained: "anything".into() };
                self.tell(two, what, old, new);
            }
        }
        Ok(())
    }

    fn conditions(&mut self, two: &Two<'_, '_>) -> Result<(), Error> {
        let mut keywords: Vec<&str> =
            two.old.conditions.iter().chain(&two.new.conditions).map(|(keyword, _)| *keyword).collect();
        keywords.sort_unstable();
        keywords.dedup();
        for keyword in keywords {
            let of = |flat: &Flat<'_>| -> Vec<Id> {
                let all = flat.conditions.iter().filter(|(known, _)| *known == keyword);
                all.map(|(_, node)| *node).collect()
            };
            let (old, new) = (of(two.old), of(two.new));
            if old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| self.same(*old, *new)) {
                continue;
            }
            // These hold for a part of the value just as the schema itself does.
            let plain = ["contains", "propertyNames", "contentSchema", "unevaluatedItems"].contains(&keyword);
            if let ([old], [new], true) = (&old[..], &new[..], plain) {
                self.visit_schema(two.at, *old, *new, two.flow)?;
                continue;
            }
            let turn = match (old.is_empty(), new.is_empty()) {
                (true, _) => Turn::Narrower,
                (_, true) => Turn::Wider,
                _ => Turn::Other,
            };
            let what = match keyword {
                "xml" => What::Xml,
                _ => What::Condition { keyword: keyword.into(), turn },
            };
            let nodes =
                (old.first().copied().unwrap_or(two.places.0), new.first().copied().unwrap_or(two.places.1));
            self.changed(two.at, what, Some(two.flow), nodes.0, nodes.1);
        }
        Ok(())
    }

    pub(super) fn annotations(&mut self, two: &Two<'_, '_>) {
        let (was, is) = (&self.old.contract.tree, &self.new.contract.tree);
        let (old, new) = (two.old.default, two.new.default);
        let (before, after) = (old.map(|id| canonical(was, id)), new.map(|id| canonical(is, id)));
        if before != after {
            let nodes = (old.unwrap_or(two.places.0), new.unwrap_or(two.places.1));
            self.changed(two.at, What::Default { old: before, new: after }, Some(two.flow), nodes.0, nodes.1);
        }
        if two.old.deprecated != two.new.deprecated {
            let what = if two.new.deprecated { What::SchemaDeprecated } else { What::SchemaRevived };
            self.changed(two.at, what, None, two.places.0, two.places.1);
        }
    }
}

/// How a limit turned, if it did.
fn tighter(old: Limit<'_>, new: Limit<'_>, least: bool) -> Option<Turn> {
    let order = new.number.compare(old.number);
    let narrower = match (order, old.exclusive, new.exclusive) {
        (std::cmp::Ordering::Equal, one, two) if one == two => return None,
        (std::cmp::Ordering::Equal, _, exclusive) => exclusive,
        (order, ..) => order.is_gt() == least,
    };
    Some(if narrower { Turn::Narrower } else { Turn::Wider })
}

fn is_number(flat: &Flat<'_>) -> bool {
    flat.types.as_ref().is_some_and(|types| Types::NUMBER.has(types.value))
}

/// `double` says of a number no more than JSON does.
fn redundant(old: &Option<String>, new: &Option<String>) -> bool {
    let plain = |format: &Option<String>| format.as_deref().is_none_or(|format| format == "double");
    plain(old) && plain(new)
}

/// Whether every value of one format has the other, too.
fn includes(wider: &str, narrower: &str) -> bool {
    [
        ("int64", "int32"),
        ("double", "float"),
        ("uri-reference", "uri"),
        ("iri-reference", "iri"),
        ("iri", "uri"),
        ("iri-reference", "uri-reference"),
        ("iri-reference", "uri"),
        ("idn-email", "email"),
        ("idn-hostname", "hostname"),
        ("uri", "url"),
        ("url", "uri"),
    ]
    .contains(&(wider, narrower))
}
