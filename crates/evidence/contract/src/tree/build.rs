//! Building the table of values from what a parser reports, within bounds.

use std::collections::HashMap;

use super::texts::{Text, fingerprint};
use super::{Id, Kind, LARGE, Number, Slot, Tree};
use crate::Limits;
use crate::error::{Error, Position};
use crate::load::FileName;

/// Takes values one after the other.
pub(crate) struct Builder<'a> {
    tree: &'a mut Tree,
    limits: &'a Limits,
    file: &'a FileName,
    open: Vec<Open>,
    pending: Vec<(u32, u32)>,
    /// What the values stand for, aliases written out, counted over all files.
    weight: &'a mut u64,
    /// Keys that an object has twice, with their place.
    pub(super) twice: Vec<(Position, String)>,
    root: Option<Id>,
}

struct Open {
    id: Id,
    /// Where its children begin among the pending ones.
    first: usize,
    key: Option<Text>,
    /// The weight when it was opened.
    weight: u64,
    /// Levels within it so far.
    height: usize,
}

/// A finished value that an alias can stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    id: Id,
    weight: u64,
    /// Levels within it, itself included if it has any.
    height: usize,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        tree: &'a mut Tree,
        limits: &'a Limits,
        file: &'a FileName,
        weight: &'a mut u64,
    ) -> Self {
        Self {
            tree,
            limits,
            file,
            open: Vec::new(),
            pending: Vec::new(),
            weight,
            twice: Vec::new(),
            root: None,
        }
    }

    pub(super) fn position(&self, line: u32, column: u32) -> Position {
        Position { file: self.file.shown.clone(), line, column }
    }

    fn too_large(&self, line: u32, column: u32, limit: String) -> Error {
        Error::TooLarge { position: self.position(line, column), limit }
    }

    /// Whether the next value of the innermost object is a key.
    pub(super) fn awaits_key(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| self.tree.slot(open.id).kind == Kind::Object && open.key.is_none())
    }

    pub(super) fn key(&mut self, key: &str) {
        let text = self.tree.texts.add(key);
        if let Some(open) = self.open.last_mut() {
            open.key = Some(text);
        }
    }

    fn add(&mut self, kind: Kind, start: u32, hash: u64, line: u32, column: u32) -> Result<Id, Error> {
        *self.weight += 1;
        if *self.weight > self.limits.nodes {
            return Err(self.too_large(line, column, format!("{} values", self.limits.nodes)));
        }
        let id = u32::try_from(self.tree.slots.len()).expect("values are fewer than bytes, which are capped");
        let (parent, key) = match self.open.last_mut() {
            None => {
                self.root = Some(Id(id));
                (id, 0)
            }
            Some(open) => {
                let key = match open.key.take() {
                    Some(key) => key.0,
                    None => u32::try_from(self.pending.len() - open.first).expect("as above"),
                };
                self.pending.push((key, id));
                (open.id.0, key)
            }
        };
        self.tree.slots.push(Slot { kind, start, end: start, parent, key, line, column });
        self.tree.hashes.push(hash);
        Ok(Id(id))
    }

    pub(super) fn scalar(&mut self, kind: Kind, text: &str, line: u32, column: u32) -> Result<Anchor, Error> {
        let reference = kind == Kind::Text
            && self
                .open
                .last()
                .is_some_and(|open| open.key.is_some_and(|key| self.tree.texts.get(key) == "$ref"));
        let (start, hash) = match kind {
            // A reference means its target, however it is written.
            Kind::Text if reference => {
                (self.tree.texts.add(text).0, fingerprint((0u8, self.file.identity(text))))
            }
            Kind::Text => (self.tree.texts.add(text).0, fingerprint((1u8, text))),
            Kind::Number => (self.tree.texts.add(text).0, fingerprint((2u8, Number::new(text).canonical()))),
            _ => (0, fingerprint((3u8, kind as u8))),
        };
        Ok(Anchor { id: self.add(kind, start, hash, line, column)?, weight: 1, height: 0 })
    }

    pub(super) fn begin(&mut self, kind: Kind, line: u32, column: u32) -> Result<(), Error> {
        if self.open.len() >= self.limits.depth {
            return Err(self.too_large(line, column, format!("{} levels", self.limits.depth)));
        }
        let weight = *self.weight;
        let id = self.add(kind, 0, 0, line, column)?;
        self.open.push(Open { id, first: self.pending.len(), key: None, weight, height: 0 });
        Ok(())
    }

    /// Ends the innermost list or object. `merge` gives `<<` its meaning in YAML.
    pub(super) fn end(&mut self, merge: bool) -> Anchor {
        let open = self.open.pop().expect("parsers end only what they have begun");
        let mut children = self.pending.split_off(open.first);
        let kind = self.tree.slot(open.id).kind;
        if kind == Kind::Object {
            self.unique(&mut children);
            if merge {
                self.merge(&mut children);
            }
        }
        let tree = &mut *self.tree;
        let start = u32::try_from(tree.children.len()).expect("children are values, which are capped");
        let mut hash = if kind == Kind::Object { 0u64 } else { fingerprint(4u8) };
        for &(key, child) in &children {
            tree.keys.push(if kind == Kind::Object { key } else { 0 });
            tree.children.push(child);
            let below = tree.hashes[child as usize];
            // The order of keys means nothing, that of elements does.
            hash = match kind {
                Kind::Object => hash.wrapping_add(fingerprint((tree.texts.get(Text(key)), below))),
                _ => fingerprint((hash, below)),
            };
        }
        let end = u32::try_from(tree.children.len()).expect("as above");
        if kind == Kind::Object && end - start > LARGE {
            for &(key, child) in &children {
                tree.large.insert((start, fingerprint(tree.texts.get(Text(key)))), child);
            }
        }
        let slot = &mut tree.slots[open.id.0 as usize];
        (slot.start, slot.end) = (start, end);
        tree.hashes[open.id.0 as usize] = fingerprint((5u8, kind as u8, hash, children.len()));
        let height = open.height + 1;
        self.stands_in(height);
        Anchor { id: open.id, weight: *self.weight - open.weight, height }
    }

    /// Keeps the last of keys that are written twice, and remembers that.
    fn unique(&mut self, children: &mut Vec<(u32, u32)>) {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(children.len());
        let mut lost = Vec::new();
        for (at, (key, _)) in children.iter().enumerate() {
            if let Some(earlier) = seen.insert(self.tree.texts.get(Text(*key)), at) {
                lost.push((earlier, at));
            }
        }
        if lost.is_empty() {
            return;
        }
        for &(_, at) in &lost {
            let (key, child) = children[at];
            let slot = self.tree.slot(Id(child));
            let position = self.position(slot.line, slot.column);
            if self.twice.len() < 100 {
                self.twice.push((position, self.tree.texts.get(Text(key)).into()));
            }
        }
        let gone: std::collections::HashSet<usize> = lost.iter().map(|(earlier, _)| *earlier).collect();
        let mut at = 0;
        children.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }

    /// YAML 1.1 merge keys: entries of the merged objects that are not written.
    fn merge(&mut self, children: &mut Vec<(u32, u32)>) {
        let Some(at) = children.iter().position(|(key, _)| self.tree.texts.get(Text(*key)) == "<<") else {
            return;
        };
        let merged = Id(children[at].1);
        let sources: Vec<Id> = match self.tree.kind(merged) {
            Kind::Object => vec![merged],
            Kind::Array => self.tree.items(merged).filter(|item| self.tree.is_object(*item)).collect(),
            _ => return,
        };
        children.remove(at);
        let mut known: std::collections::HashSet<String> =
            children.iter().map(|(key, _)| self.tree.texts.get(Text(*key)).to_owned()).collect();
        for source in sources {
            let slot = *self.tree.slot(source);
            for child in slot.start as usize..slot.end as usize {
                let key = self.tree.keys[child];
                if known.insert(self.tree.texts.get(Text(key)).to_owned()) {
                    children.push((key, self.tree.children[child]));
                }
            }
        }
    }

    /// A value that stands for another one.
    pub(super) fn alias(&mut self, anchor: Anchor, line: u32, column: u32) -> Result<Anchor, Error> {
        // Aliases of aliases nest deeper than anything that is written.
        if self.open.len() + anchor.height > self.limits.depth {
            return Err(self.too_large(line, column, format!("{} levels", self.limits.depth)));
        }
        let meant = *self.tree.slot(anchor.id);
        let hash = self.tree.hashes[anchor.id.0 as usize];
        *self.weight = self.weight.saturating_add(anchor.weight.saturating_sub(1));
        let id = self.add(meant.kind, meant.start, hash, line, column)?;
        self.tree.slots[id.0 as usize].end = meant.end;
        self.tree.aliases.push((id, anchor.id));
        self.stands_in(anchor.height);
        Ok(Anchor { id, ..anchor })
    }

    /// Something of this height stands in what is open.
    fn stands_in(&mut self, height: usize) {
        if let Some(open) = self.open.last_mut() {
            open.height = open.height.max(height);
        }
    }

    /// Whether something is still open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether there is a value.
    pub(super) fn is_done(&self) -> bool {
        self.root.is_some() && self.open.is_empty()
    }

    /// The root of what was built.
    pub(super) fn finish(self) -> Option<Id> {
        self.root
    }
}

impl Tree {
    /// To be called once after the last file.
    pub(crate) fn finish(&mut self) {
        self.texts.finish();
        self.slots.shrink_to_fit();
        self.children.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.hashes.shrink_to_fit();
    }

    /// Adds a file. Also gives the keys that it has twice.
    ///
    /// # Errors
    /// When it is not the language that its name and first character say, or
    /// exceeds a limit.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        name: &FileName,
        limits: &Limits,
        weight: &mut u64,
    ) -> Result<(Id, Vec<(Position, String)>), Error> {
        let text = utf8(bytes, &name.shown)?;
        let json = text.trim_start().starts_with(['{', '[']);
        let yaml = [".yaml", ".yml"].iter().any(|end| name.shown.ends_with(end));
        let mut builder = Builder::new(self, limits, name, weight);
        if json && !yaml {
            super::json::parse(text, &mut builder)?;
        } else {
            super::yaml::parse(text, &mut builder)?;
        }
        let twice = std::mem::take(&mut builder.twice);
        let root = builder.finish().expect("both parsers refuse a file without a value");
        Ok((root, twice))
    }
}

/// The text of a file, without its byte order mark.
fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            let cap = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            Err(Error::Syntax {
                position: Position { file: name.into(), line: cap(line), column: cap(column) },
                language: "JSON or YAML",
                reason: "the bytes here are not UTF-8".into(),
            })
        }
    }
}
