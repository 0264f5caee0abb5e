//! What the cluster holds: objects by key, one counter of revisions, and the
//! history that watches and pages are answered from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::kinds::Kind;
use crate::object::{name, namespace, set};

/// Where an object is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        let kind = kind.storage();
        let namespace = if kind.namespaced { namespace } else { "" };
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// Of an object that says where it lives.
    pub(crate) fn of(kind: &'static Kind, object: &Value) -> Self {
        Self::new(kind, namespace(object), name(object))
    }

    fn order(&self) -> (&'static str, &'static str, &str, &str) {
        (self.kind.group, self.kind.plural, &self.namespace, &self.name)
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// One write.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    /// Virtual time.
    pub(crate) at: u64,
    pub(crate) key: Key,
    /// None: it was made.
    pub(crate) before: Option<Arc<Value>>,
    /// None: it was removed.
    pub(crate) after: Option<Arc<Value>>,
}

/// Objects and their history.
#[derive(Debug)]
pub(crate) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    revision: u64,
    changes: VecDeque<Change>,
    /// Revisions up to this one cannot be told any more.
    compacted: u64,
    keep: usize,
    /// Virtual time of the next write.
    pub(crate) clock: u64,
}

impl Store {
    /// An empty one that keeps so many changes.
    pub(crate) fn new(keep: usize) -> Self {
        Self { objects: BTreeMap::new(), revision: 1, changes: VecDeque::new(), compacted: 0, keep, clock: 0 }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// All objects of a kind, of one namespace where it is not empty, by key.
    pub(crate) fn list<'a>(
        &'a self,
        kind: &'static Kind,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(kind, namespace, "");
        let kind = first.kind;
        self.objects.range(first..).take_while(move |(key, _)| {
            key.kind == kind && (namespace.is_empty() || !kind.namespaced || key.namespace == namespace)
        })
    }

    /// All keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    /// Keeps it at the next revision.
    pub(crate) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        set(&mut object, "/metadata/resourceVersion", self.revision.to_string());
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        self.note(key, before, Some(object.clone()));
        object
    }

    /// Removes it at the next revision; its last state carries that revision.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.revision += 1;
        self.note(key, Some(before.clone()), None);
        Some(before)
    }

    fn note(&mut self, key: &Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        self.changes.push_back(Change {
            revision: self.revision,
            at: self.clock,
            key: key.clone(),
            before,
            after,
        });
        while self.changes.len() > self.keep {
            if let Some(change) = self.changes.pop_front() {
                self.compacted = change.revision;
            }
        }
    }

    /// Forgets all history up to now.
    pub(crate) fn compact(&mut self) {
        self.changes.clear();
        self.compacted = self.revision;
    }

    /// The next change after `revision`, or None at the end. `Err` with the
    /// oldest revision that can be told, where that is later.
    pub(crate) fn after(&self, revision: u64) -> Result<Option<&Change>, u64> {
        if revision < self.compacted {
            return Err(self.compacted);
        }
        let next = self.changes.partition_point(|change| change.revision <= revision);
        Ok(self.changes.get(next))
    }

    /// What was written last.
    pub(crate) fn last_keys(&self, count: usize) -> Vec<String> {
        let last = self.changes.iter().rev().take(count);
        last.map(|change| format!("{}/{}/{}", change.key.kind.plural, change.key.namespace, change.key.name))
            .collect()
    }

    /// All objects as they were at `revision`; `Err` as in [`Store::after`].
    pub(crate) fn snapshot(
        &self,
        kind: &'static Kind,
        namespace: &str,
        revision: u64,
    ) -> Result<BTreeMap<Key, Arc<Value>>, u64> {
        if revision < self.compacted {
            return Err(self.compacted);
        }
        let mut objects: BTreeMap<Key, Arc<Value>> =
            self.list(kind, namespace).map(|(key, object)| (key.clone(), object.clone())).collect();
        let kind = kind.storage();
        let concerned = |key: &Key| key.kind == kind && (namespace.is_empty() || key.namespace == namespace);
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            if !concerned(&change.key) {
                continue;
            }
            match &change.before {
                Some(before) => drop(objects.insert(change.key.clone(), before.clone())),
                None => drop(objects.remove(&change.key)),
            }
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::by_any_name;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key::new(by_any_name("configmaps").expect("served"), "a", name)
    }

    #[test]
    fn a_snapshot_is_what_was() {
        let mut store = Store::new(100);
        let kind = by_any_name("configmaps").expect("served");
        store.put(&key("x"), json!({"data": 1}));
        store.put(&key("y"), json!({"data": 2}));
        let then = store.revision();
        store.put(&key("x"), json!({"data": 3}));
        store.remove(&key("y"));
        store.put(&key("z"), json!({"data": 4}));
        let old = store.snapshot(kind, "a", then).expect("nothing was compacted");
        let data: Vec<_> = old.values().map(|object| object["data"].clone()).collect();
        assert_eq!(data, [json!(1), json!(2)]);
        store.compact();
        assert_eq!(store.snapshot(kind, "a", then).map(drop), Err(store.revision()));
        assert!(store.after(then).is_err());
        assert!(store.after(store.revision()).is_ok_and(|next| next.is_none()));
    }

    #[test]
    fn a_list_stops_at_the_namespace() {
        let mut store = Store::new(1);
        let kind = by_any_name("configmaps").expect("served");
        for namespace in ["a", "ab", "b"] {
            store.put(&Key::new(kind, namespace, "x"), json!({}));
        }
        store.put(&Key::new(by_any_name("secrets").expect("served"), "a", "x"), json!({}));
        assert_eq!(store.list(kind, "a").count(), 1);
        assert_eq!(store.list(kind, "").count(), 3);
        assert_eq!(store.compacted(), store.revision() - 1);
    }
}
