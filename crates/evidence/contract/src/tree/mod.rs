//! JSON and YAML values with their places, in one flat table.
//!
//! A document of 13 MB has some 700,000 values; a table of small slots keeps
//! them, the line and column of each, and a fingerprint of what is below it, in
//! about twice the size of the text.

mod build;
mod json;
mod number;
mod texts;
mod yaml;

use std::collections::HashMap;

pub(crate) use build::Builder;
pub(crate) use number::Number;
pub(crate) use texts::Text;
use texts::Texts;

/// The number of a value. Children have greater numbers than their parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(crate) u32);

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    False,
    True,
    Number,
    Text,
    Array,
    Object,
}

impl Kind {
    /// In words, with its article.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::False | Self::True => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    kind: Kind,
    /// The text of a text or number; the first child of a list or object.
    start: u32,
    /// One past the last child.
    end: u32,
    /// The list or object it stands in; itself for the root of a file.
    parent: u32,
    /// Its key (a text) or its index in there.
    key: u32,
    line: u32,
    column: u32,
}

/// Objects with more keys than this are looked up by hash.
const LARGE: u32 = 16;

/// All values of all files of a document.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    slots: Vec<Slot>,
    children: Vec<u32>,
    keys: Vec<u32>,
    hashes: Vec<u64>,
    texts: Texts,
    /// The values of large objects by object and hash of the key.
    large: HashMap<(u32, u64), u32>,
    /// Values that stand for another one: YAML aliases, and what they mean.
    aliases: Vec<(Id, Id)>,
}

impl Tree {
    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, id: Id) -> &Slot {
        &self.slots[id.0 as usize]
    }

    pub(crate) fn kind(&self, id: Id) -> Kind {
        self.slot(id).kind
    }

    pub(crate) fn is_object(&self, id: Id) -> bool {
        self.kind(id) == Kind::Object
    }

    /// Line and column, from 1.
    pub(crate) fn line(&self, id: Id) -> (u32, u32) {
        (self.slot(id).line, self.slot(id).column)
    }

    /// A fingerprint of the value and all below it. Keys may be in any order,
    /// numbers written in any way.
    pub(crate) fn hash(&self, id: Id) -> u64 {
        self.hashes[id.0 as usize]
    }

    /// The text of a text.
    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        let slot = self.slot(id);
        (slot.kind == Kind::Text).then(|| self.texts.get(Text(slot.start)))
    }

    /// The number of a number.
    pub(crate) fn number(&self, id: Id) -> Option<Number<'_>> {
        let slot = self.slot(id);
        (slot.kind == Kind::Number).then(|| Number::new(self.texts.get(Text(slot.start))))
    }

    pub(crate) fn boolean(&self, id: Id) -> Option<bool> {
        match self.kind(id) {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// The elements of a list; nothing for anything else.
    pub(crate) fn items(&self, id: Id) -> impl ExactSizeIterator<Item = Id> + '_ {
        let slot = self.slot(id);
        let range = if slot.kind == Kind::Array { slot.start as usize..slot.end as usize } else { 0..0 };
        self.children[range].iter().map(|&child| Id(child))
    }

    /// The keys and values of an object in the order of the file; nothing for
    /// anything else.
    pub(crate) fn entries(&self, id: Id) -> impl ExactSizeIterator<Item = (&str, Id)> + '_ {
        let slot = self.slot(id);
        let range = if slot.kind == Kind::Object { slot.start as usize..slot.end as usize } else { 0..0 };
        self.keys[range.clone()]
            .iter()
            .zip(&self.children[range])
            .map(|(&key, &child)| (self.texts.get(Text(key)), Id(child)))
    }

    /// The value of a key.
    pub(crate) fn get(&self, id: Id, key: &str) -> Option<Id> {
        let slot = self.slot(id);
        if slot.kind != Kind::Object {
            return None;
        }
        if slot.end - slot.start > LARGE
            && let Some(&child) = self.large.get(&(slot.start, texts::fingerprint(key)))
        {
            // The hash decides only where to look.
            let child = Id(child);
            if self.key(child) == Some(key) {
                return Some(child);
            }
        } else if slot.end - slot.start > LARGE {
            return None;
        }
        self.entries(id).find(|(name, _)| *name == key).map(|(_, child)| child)
    }

    /// The text of a key, if it is there and is one.
    pub(crate) fn get_text(&self, id: Id, key: &str) -> Option<&str> {
        self.get(id, key).and_then(|value| self.text(value))
    }

    /// Whether a key is there and `true`.
    pub(crate) fn flag(&self, id: Id, key: &str) -> bool {
        self.get(id, key).is_some_and(|value| self.kind(value) == Kind::True)
    }

    /// What it stands in.
    pub(crate) fn parent(&self, id: Id) -> Option<Id> {
        let parent = Id(self.slot(id).parent);
        (parent != id).then_some(parent)
    }

    /// Its key in an object.
    pub(crate) fn key(&self, id: Id) -> Option<&str> {
        let parent = self.parent(id)?;
        (self.kind(parent) == Kind::Object).then(|| self.texts.get(Text(self.slot(id).key)))
    }

    /// Its index in a list.
    pub(crate) fn index(&self, id: Id) -> Option<u32> {
        let parent = self.parent(id)?;
        (self.kind(parent) == Kind::Array).then(|| self.slot(id).key)
    }

    /// The way to it from the root of its file, the root first.
    pub(crate) fn way(&self, id: Id) -> Vec<Id> {
        let mut way = vec![id];
        let mut at = id;
        while let Some(parent) = self.parent(at) {
            way.push(parent);
            at = parent;
        }
        way.reverse();
        way
    }

    /// Its JSON pointer in its file (RFC 6901), without `#`.
    pub(crate) fn pointer(&self, id: Id) -> String {
        let mut pointer = String::new();
        for &step in self.way(id).iter().skip(1) {
            pointer.push('/');
            match (self.key(step), self.index(step)) {
                (Some(key), _) => pointer.push_str(&escape(key)),
                (None, Some(index)) => pointer.push_str(&index.to_string()),
                (None, None) => {}
            }
        }
        pointer
    }

    /// Values that stand for others, and for which.
    pub(crate) fn aliases(&self) -> &[(Id, Id)] {
        &self.aliases
    }
}

/// One step of a JSON pointer (RFC 6901, section 3).
pub(crate) fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}
