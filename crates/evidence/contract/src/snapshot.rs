//! One form of a document, whatever language it was written in and however many
//! files it has: what is kept as evidence of a release.
//!
//! JSON with sorted keys, two blanks per level and a line end. Other files are
//! kept under `x-plimsoll-files` and referred to there, so that the snapshot is an
//! OpenAPI document that every tool reads; comparing knows what they were.

use std::fmt::Write as _;

use crate::load::{BUNDLED, Contract, bundled};
use crate::tree::{Id, Kind, Tree, escape};

impl Contract {
    /// The document in its canonical form: the same bytes for the same
    /// document, in JSON or YAML, in whatever order its keys are.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut text = String::new();
        let writer = Writer { tree: &self.tree, contract: Some(self), indent: true };
        writer.document(self, &mut text);
        text.push('\n');
        text.into_bytes()
    }
}

/// A value as JSON in one line.
pub(crate) fn canonical(tree: &Tree, id: Id) -> String {
    let mut text = String::new();
    Writer { tree, contract: None, indent: false }.value(id, 0, &mut text);
    text
}

struct Writer<'a> {
    tree: &'a Tree,
    /// For rewriting references.
    contract: Option<&'a Contract>,
    indent: bool,
}

impl Writer<'_> {
    fn document(&self, contract: &Contract, text: &mut String) {
        let others: Vec<_> = contract.files.iter().skip(1).collect();
        let mut entries: Vec<(&str, Option<Id>)> =
            self.tree.entries(contract.root()).map(|(key, value)| (key, Some(value))).collect();
        if !others.is_empty() {
            entries.push((BUNDLED, None));
        }
        entries.sort_by_key(|(key, _)| *key);
        self.list(text, 0, ['{', '}'], entries.len(), |at, text| {
            let (key, value) = entries[at];
            self.key(key, text);
            match value {
                Some(value) => self.value(value, 1, text),
                None => self.files(contract, text),
            }
        });
    }

    fn files(&self, contract: &Contract, text: &mut String) {
        let mut others: Vec<_> = contract.files.iter().skip(1).collect();
        others.sort_by(|one, two| one.name.relative.cmp(&two.name.relative));
        self.list(text, 1, ['{', '}'], others.len(), |at, text| {
            self.key(&others[at].name.relative, text);
            self.value(others[at].root, 2, text);
        });
    }

    fn value(&self, id: Id, level: usize, text: &mut String) {
        match self.tree.kind(id) {
            Kind::Null => text.push_str("null"),
            Kind::True => text.push_str("true"),
            Kind::False => text.push_str("false"),
            Kind::Number => {
                if let Some(number) = self.tree.number(id) {
                    text.push_str(&number.canonical());
                }
            }
            Kind::Text => match self.reference(id) {
                Some(reference) => quote(&reference, text),
                None => quote(self.tree.text(id).unwrap_or_default(), text),
            },
            Kind::Array => {
                let items: Vec<Id> = self.tree.items(id).collect();
                self.list(text, level, ['[', ']'], items.len(), |at, text| {
                    self.value(items[at], level + 1, text)
                });
            }
            Kind::Object => {
                let mut entries: Vec<(&str, Id)> = self.tree.entries(id).collect();
                entries.sort_by_key(|(key, _)| *key);
                self.list(text, level, ['{', '}'], entries.len(), |at, text| {
                    self.key(entries[at].0, text);
                    self.value(entries[at].1, level + 1, text);
                });
            }
        }
    }

    /// What a reference to or from another file is here.
    fn reference(&self, id: Id) -> Option<String> {
        let contract = self.contract?;
        if self.tree.key(id) != Some("$ref") {
            return None;
        }
        let holder = self.tree.parent(id)?;
        let &target = contract.references.get(&holder)?;
        let (from, to) = (contract.file(holder), contract.file(target));
        if from.name.relative.is_empty() && to.name.relative.is_empty() {
            return None;
        }
        // Anchors and pointers alike become pointers.
        let pointer: String =
            self.tree.way(target).iter().skip(1).fold(String::new(), |mut pointer, step| {
                let index = self.tree.index(*step).map(|index| index.to_string());
                let step = index.unwrap_or_else(|| escape(self.tree.key(*step).unwrap_or_default()));
                let _ = write!(pointer, "/{step}");
                pointer
            });
        Some(bundled(&to.name.relative, &pointer))
    }

    fn key(&self, key: &str, text: &mut String) {
        quote(key, text);
        text.push_str(if self.indent { ": " } else { ":" });
    }

    fn list(
        &self,
        text: &mut String,
        level: usize,
        [start, end]: [char; 2],
        count: usize,
        mut each: impl FnMut(usize, &mut String),
    ) {
        text.push(start);
        for at in 0..count {
            if at > 0 {
                text.push(',');
            }
            self.line(level + 1, text);
            each(at, text);
        }
        if count > 0 {
            self.line(level, text);
        }
        text.push(end);
    }

    fn line(&self, level: usize, text: &mut String) {
        if self.indent {
            text.push('\n');
            for _ in 0..level {
                text.push_str("  ");
            }
        }
    }
}

fn quote(value: &str, text: &mut String) {
    text.push_str(&serde_json::Value::from(value).to_string());
}
