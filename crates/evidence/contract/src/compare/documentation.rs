//! Words for people: descriptions, titles, examples. They are compared where
//! they stand, without regard to what they describe.

use std::collections::HashSet;

use super::{Engine, WHOLE};
use crate::delta::What;
use crate::error::Error;
use crate::load::is_map;
use crate::tree::{Id, Kind, Tree};

/// Keywords that only people read.
const WORDS: [&str; 9] = [
    "title",
    "description",
    "summary",
    "example",
    "examples",
    "externalDocs",
    "tags",
    "termsOfService",
    "contact",
];

impl Engine<'_> {
    pub(super) fn documentation(&mut self) -> Result<(), Error> {
        let (was, is) = (self.old.contract, self.new.contract);
        let mut open: Vec<(Id, Id, bool)> = Vec::new();
        for file in &is.files {
            if let Some(other) = was.files.iter().find(|other| other.name.relative == file.name.relative) {
                open.push((other.root, file.root, false));
            }
        }
        while let Some((old, new, map)) = open.pop() {
            self.steps.take(1)?;
            if was.tree.hash(old) == is.tree.hash(new) {
                continue;
            }
            match (was.tree.kind(old), is.tree.kind(new)) {
                (Kind::Object, Kind::Object) => {
                    for (key, value) in is.tree.entries(new) {
                        let other = was.tree.get(old, key);
                        if !map && WORDS.contains(&key) {
                            let same = other.is_some_and(|other| was.tree.hash(other) == is.tree.hash(value));
                            // `example` became `examples` in 3.1; what is new needs no word.
                            if !same && (other.is_some() || key == "description") {
                                let what = What::Documentation { keyword: key.into() };
                                self.changed(WHOLE, what, None, other.unwrap_or(old), value);
                            }
                        } else if let Some(other) = other {
                            open.push((other, value, !map && is_map(key)));
                        }
                    }
                    if !map
                        && was.tree.get(old, "description").is_some()
                        && is.tree.get(new, "description").is_none()
                    {
                        let what = What::Documentation { keyword: "description".into() };
                        self.changed(WHOLE, what, None, old, new);
                    }
                }
                (Kind::Array, Kind::Array) => {
                    // What stands somewhere else word for word was only moved.
                    let hashes = |tree: &Tree, list| tree.items(list).map(|item| tree.hash(item)).collect();
                    let (before, after): (HashSet<u64>, HashSet<u64>) =
                        (hashes(&was.tree, old), hashes(&is.tree, new));
                    let left_old = was.tree.items(old).filter(|item| !after.contains(&was.tree.hash(*item)));
                    let left_new = is.tree.items(new).filter(|item| !before.contains(&is.tree.hash(*item)));
                    open.extend(left_old.zip(left_new).map(|(old, new)| (old, new, false)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
