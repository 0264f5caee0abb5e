//! The controllers: each looks at everything there is and does the next thing
//! that it would do. They are run one after the other until nothing changes.

mod budgets;
mod deployment;
mod endpoints;
mod events;
mod garbage;
mod job;
mod namespaces;
mod nodes;
mod owned;
mod replica_set;
mod scheduler;
mod stateful_set;

pub(crate) use events::{About, event_of_core, event_of_new_group};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::kinds::by_any_name;
use crate::store::Key;
use crate::world::World;

/// What controllers remember beside the objects.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When something may be done again, by whom and what.
    again: BTreeMap<(String, String), u64>,
    /// Where an event of the same words is.
    told: BTreeMap<(String, String, String), Key>,
    /// The revision up to which garbage was collected.
    collected: u64,
}

/// One pass of all of them.
pub(crate) fn pass(world: &mut World) {
    namespaces::pass(world);
    nodes::pass(world);
    replica_set::pass(world);
    stateful_set::pass(world);
    job::pass(world);
    scheduler::pass(world);
    world.run_pods();
    endpoints::pass(world);
    deployment::pass(world);
    budgets::pass(world);
    garbage::pass(world);
}

/// FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A hash as names of replica sets have it: letters that spell nothing.
fn name_of_hash(hash: u64) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = hash;
    let mut name = String::new();
    for _ in 0..10 {
        let index = usize::try_from(rest % 27).unwrap_or_default();
        name.push(char::from(LETTERS[index]));
        rest /= 27;
    }
    name
}

impl World {
    /// All objects of a kind, as they are now.
    pub(crate) fn all(&self, kind: &str, namespace: &str) -> Vec<(Key, Arc<Value>)> {
        let Some(kind) = by_any_name(kind) else { return Vec::new() };
        self.store.list(kind, namespace).map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// Whether `who` may do `what` again; then not before `period`.
    pub(crate) fn due_again(&mut self, who: &str, what: &str, period: u64) -> bool {
        let key = (who.to_owned(), what.to_owned());
        let due = self.memory.again.get(&key).is_none_or(|at| *at <= self.now);
        if due {
            self.memory.again.insert(key, self.now + period);
        }
        due
    }
}
