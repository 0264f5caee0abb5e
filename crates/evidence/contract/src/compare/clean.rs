//! Which values of the new document mean exactly what they meant in the old
//! one, so that whole subtrees are passed over at once.
//!
//! A value is the same when its fingerprint is and everything that it refers to
//! is the same too. The second is spread backwards along the references, so that
//! circles need no special care.

use std::collections::{HashMap, HashSet};

use crate::load::Contract;
use crate::tree::Id;

/// The values of the new document that refer to something that changed.
pub(super) struct Clean {
    stained: Vec<bool>,
}

impl Clean {
    pub(super) fn of(old: &Contract, new: &Contract) -> Self {
        let mut stained = vec![false; new.tree.len()];
        // Who refers to a value of the new document.
        let mut referring: HashMap<Id, Vec<Id>> = HashMap::new();
        for (&from, &to) in &new.references {
            referring.entry(to).or_default().push(from);
        }
        for (from, name) in &new.dynamic {
            for &to in new.anchors.get(name).into_iter().flatten() {
                referring.entry(to).or_default().push(*from);
            }
        }
        let referred: HashSet<Id> = referring.keys().copied().collect();
        // An alias has the fingerprint of what it means, but its own way up.
        for &(alias, meant) in new.tree.aliases() {
            referring.entry(meant).or_default().push(alias);
        }
        let before: HashMap<String, Id> = old
            .references
            .values()
            .copied()
            .chain(old.anchors.values().flatten().copied())
            .collect::<HashSet<Id>>()
            .into_iter()
            .map(|id| (old.identity(id), id))
            .collect();
        let mut changed: Vec<Id> = referred
            .into_iter()
            .filter(|&id| {
                before.get(&new.identity(id)).is_none_or(|&was| old.tree.hash(was) != new.tree.hash(id))
            })
            .collect();
        while let Some(target) = changed.pop() {
            for &from in referring.get(&target).into_iter().flatten() {
                let mut at = Some(from);
                while let Some(id) = at {
                    let stain = &mut stained[id.0 as usize];
                    if std::mem::replace(stain, true) {
                        break;
                    }
                    if referring.contains_key(&id) {
                        changed.push(id);
                    }
                    at = new.tree.parent(id);
                }
            }
        }
        Self { stained }
    }

    /// Whether two values mean the same.
    pub(super) fn same(&self, old: &Contract, new: &Contract, was: Id, is: Id) -> bool {
        old.tree.hash(was) == new.tree.hash(is) && !self.stained[is.0 as usize]
    }
}
