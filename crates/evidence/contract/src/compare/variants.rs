//! `anyOf` and `oneOf`: variants that correspond are found by what they are, not
//! by their index.

use std::collections::{BTreeSet, HashMap};

use super::Engine;
use super::schemas::Two;
use crate::delta::What;
use crate::error::Error;
use crate::schema::{Flat, Side, Term, Union};
use crate::tree::Id;

/// What a variant is recognised by.
type Key = fn(&mut Side<'_>, Term) -> Result<Option<String>, Error>;

/// Variants that are left over are compared with each other by their
/// properties; more than so many are not.
const MOST: usize = 64;

impl Engine<'_> {
    /// Compares unions. Gives whether nothing else is to be compared.
    pub(super) fn unions(&mut self, two: &Two<'_, '_>) -> Result<bool, Error> {
        let (old, new) = (&two.old.unions, &two.new.unions);
        self.discriminators(two)?;
        match (&old[..], &new[..]) {
            ([], []) => return Ok(false),
            ([], [union]) if two.new.is_bare() && !two.old.is_anything() => {
                self.null(two);
                let alone = [two.terms.0];
                self.variants(
                    two,
                    (&alone, &[two.places.0]),
                    (&union.variants, &union.written),
                    (two.places.0, union.node),
                )?;
                self.annotations(two);
                return Ok(true);
            }
            ([union], []) if two.old.is_bare() && !two.new.is_anything() => {
                self.null(two);
                let alone = [two.terms.1];
                self.variants(
                    two,
                    (&union.variants, &union.written),
                    (&alone, &[two.places.1]),
                    (union.node, two.places.1),
                )?;
                self.annotations(two);
                return Ok(true);
            }
            _ => {}
        }
        for (was, is) in old.iter().zip(new) {
            self.variants(
                two,
                (&was.variants, &was.written),
                (&is.variants, &is.written),
                (was.node, is.node),
            )?;
        }
        let flow = Some(two.flow);
        for Union { node, .. } in old.iter().skip(new.len()) {
            self.gone(two.at, What::UnionVanished, flow, *node, two.places.1);
        }
        for Union { node, .. } in new.iter().skip(old.len()) {
            self.changed(two.at, What::UnionAppeared, flow, two.places.0, *node);
        }
        Ok(false)
    }

    fn variants(
        &mut self,
        two: &Two<'_, '_>,
        old: (&[Term], &[Id]),
        new: (&[Term], &[Id]),
        nodes: (Id, Id),
    ) -> Result<(), Error> {
        let mut left_old: Vec<usize> = (0..old.0.len()).collect();
        let mut left_new: Vec<usize> = (0..new.0.len()).collect();
        let keys: [Key; 4] = [identity, word_for_word, constants, title];
        self.steps.take(old.0.len() + new.0.len())?;
        let mut taken = vec![false; new.0.len()];
        for key in keys {
            let mut by_key: HashMap<String, usize> = HashMap::new();
            for &at in &left_new {
                if let Some(key) = key(&mut self.new, new.0[at])? {
                    by_key.entry(key).or_insert(at);
                }
            }
            let mut rest = Vec::new();
            for at in std::mem::take(&mut left_old) {
                let other = key(&mut self.old, old.0[at])?.and_then(|key| by_key.remove(&key));
                match other {
                    Some(other) => {
                        taken[other] = true;
                        self.visit_terms(two.at, old.0[at], new.0[other], two.flow)?;
                    }
                    None => rest.push(at),
                }
            }
            left_old = rest;
            left_new.retain(|at| !taken[*at]);
        }
        self.alike(two, old.0, new.0, &mut left_old, &mut left_new)?;
        if !left_old.is_empty() {
            let names =
                left_old.iter().map(|at| self.old.describe(old.0[*at])).collect::<Result<Vec<_>, _>>()?;
            let node = if left_old.len() == 1 { old.1[left_old[0]] } else { nodes.0 };
            self.gone(two.at, What::VariantsRemoved { names }, Some(two.flow), node, nodes.1);
        }
        if !left_new.is_empty() {
            let names =
                left_new.iter().map(|at| self.new.describe(new.0[*at])).collect::<Result<Vec<_>, _>>()?;
            let node = if left_new.len() == 1 { new.1[left_new[0]] } else { nodes.1 };
            self.changed(two.at, What::VariantsAdded { names }, Some(two.flow), nodes.0, node);
        }
        Ok(())
    }

    /// Pairs what is left by type and by the properties in common.
    fn alike(
        &mut self,
        two: &Two<'_, '_>,
        old: &[Term],
        new: &[Term],
        left_old: &mut Vec<usize>,
        left_new: &mut Vec<usize>,
    ) -> Result<(), Error> {
        let mut scored = Vec::new();
        for &at in left_old.iter().take(MOST) {
            let flat = self.old.flat(old[at])?;
            let marks = self.old.constants(old[at])?;
            for &other in left_new.iter().take(MOST) {
                let other_flat = self.new.flat(new[other])?;
                self.steps.take(1 + flat.properties.len().min(other_flat.properties.len()))?;
                let other_marks = self.new.constants(new[other])?;
                // Another value where there can be one only is another variant.
                let told_apart = marks.is_some() && other_marks.is_some() && marks != other_marks;
                let score = likeness(&flat, &other_flat);
                if score >= 40 && !told_apart {
                    scored.push((std::cmp::Reverse(score), at, other));
                }
            }
        }
        scored.sort_unstable();
        for (_, at, other) in scored {
            if left_old.contains(&at) && left_new.contains(&other) {
                left_old.retain(|known| *known != at);
                left_new.retain(|known| *known != other);
                self.visit_terms(two.at, old[at], new[other], two.flow)?;
            }
        }
        Ok(())
    }

    fn discriminators(&mut self, two: &Two<'_, '_>) -> Result<(), Error> {
        let (Some(old), Some(new)) = (two.old.discriminator, two.new.discriminator) else {
            if let (Some(old), None) = (two.old.discriminator, two.new.discriminator) {
                let name = self.old.contract.tree.get_text(old, "propertyName").map(str::to_owned);
                let what = What::DiscriminatorChanged { old: name, new: None };
                self.gone(two.at, what, Some(two.flow), old, two.places.1);
            }
            return Ok(());
        };
        let (was, is) = (self.old.contract, self.new.contract);
        let name =
            |side: &crate::load::Contract, id| side.tree.get_text(id, "propertyName").map(str::to_owned);
        let (before, after) = (name(was, old), name(is, new));
        if before != after {
            let what = What::DiscriminatorChanged { old: before, new: after };
            self.changed(two.at, what, Some(two.flow), old, new);
        }
        let mapping = |side: &crate::load::Contract, id| -> HashMap<String, (String, Id)> {
            let map = side.tree.get(id, "mapping");
            let entries = map.into_iter().flat_map(|map| side.tree.entries(map));
            entries
                .filter_map(|(value, target)| {
                    let text = side.tree.text(target)?;
                    let meant = if text.contains(['/', '#', '.']) {
                        side.file(target).name.identity(text)
                    } else {
                        format!("#/components/schemas/{text}")
                    };
                    Some((value.to_owned(), (meant, target)))
                })
                .collect()
        };
        let (before, after) = (mapping(was, old), mapping(is, new));
        // Without an entry, a value means the schema of that name.
        let implied = |value: &str| format!("#/components/schemas/{value}");
        let values: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        self.steps.take(values.len())?;
        for value in values {
            let (one, other) = (before.get(value), after.get(value));
            let meant = |entry: Option<&(String, Id)>| {
                entry.map_or_else(|| implied(value), |(meant, _)| meant.clone())
            };
            if meant(one) == meant(other) {
                continue;
            }
            let nodes = (one.map_or(old, |(_, id)| *id), other.map_or(new, |(_, id)| *id));
            let value = value.clone();
            match (one, other) {
                (Some(_), Some(_)) => {
                    self.changed(two.at, What::MappingChanged { value }, Some(two.flow), nodes.0, nodes.1);
                }
                (Some(_), None) => {
                    self.gone(two.at, What::MappingRemoved { value }, Some(two.flow), nodes.0, nodes.1);
                }
                _ => self.changed(two.at, What::MappingAdded { value }, Some(two.flow), nodes.0, nodes.1),
            }
        }
        Ok(())
    }
}

/// The component that a variant is.
fn identity(side: &mut Side<'_>, term: Term) -> Result<Option<String>, Error> {
    let place = side.place(term);
    let tree = &side.contract.tree;
    // An element of a list has its index in its name, which says nothing.
    let inline = tree.way(place).iter().any(|step| tree.index(*step).is_some());
    Ok((side.parts(term).len() == 1 && !inline).then(|| side.contract.identity(place)))
}

fn word_for_word(side: &mut Side<'_>, term: Term) -> Result<Option<String>, Error> {
    let hash = side.contract.tree.hash(side.place(term));
    Ok((side.parts(term).len() == 1).then(|| hash.to_string()))
}

fn constants(side: &mut Side<'_>, term: Term) -> Result<Option<String>, Error> {
    side.constants(term)
}

fn title(side: &mut Side<'_>, term: Term) -> Result<Option<String>, Error> {
    let place = side.place(term);
    Ok(side.contract.tree.get_text(place, "title").map(str::to_owned))
}

/// How much two variants have in common, up to 100.
fn likeness(one: &Flat<'_>, two: &Flat<'_>) -> usize {
    let types = one.types.as_ref().zip(two.types.as_ref());
    if types.is_some_and(|(one, two)| one.value.and(two.value).is_empty()) {
        return 0;
    }
    if one.properties.is_empty() && two.properties.is_empty() {
        return if types.is_some_and(|(one, two)| one.value == two.value) { 60 } else { 40 };
    }
    let common = one.properties.keys().filter(|name| two.properties.contains_key(*name)).count();
    100 * common / (one.properties.len() + two.properties.len() - common).max(1)
}
