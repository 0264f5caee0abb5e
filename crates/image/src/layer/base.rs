//! The directories and symbolic links of a base image, so that copies are
//! placed where a container of the image would place them.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, Entry, EntryKind, LayerReader, Layout, Limits};

use crate::error::Error;

const MOST_ENTRIES: usize = 4_000_000;
const MOST_LINKS: usize = 40;

/// What is at the paths of a base image; empty for `scratch`.
#[derive(Debug, Default)]
pub(crate) struct BaseTree(BTreeMap<Vec<u8>, Kind>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Directory,
    Link(Vec<u8>),
}

impl BaseTree {
    /// Reads the headers of all layers, lowest first, with their diff ids.
    ///
    /// # Errors
    /// A layer is absent, damaged, or no tar.
    pub(crate) fn read(layout: &Layout, layers: &[(Descriptor, Digest)]) -> Result<Self, Error> {
        let mut tree = Self::default();
        for (layer, diff_id) in layers {
            let unusable = |source| Error::BaseUnusable { source };
            let mut reader =
                LayerReader::open(layout, layer, Some(*diff_id), Limits::default()).map_err(unusable)?;
            while let Some(entry) = reader.next_entry().map_err(unusable)? {
                tree.apply(&entry);
                if tree.0.len() > MOST_ENTRIES {
                    let reason = "it has more than 4,000,000 directories and links";
                    return Err(unusable(plimsoll_oci::Error::malformed(layer.digest.to_string(), reason)));
                }
            }
        }
        Ok(tree)
    }

    fn apply(&mut self, entry: &Entry) {
        let Some(path) = components(&entry.path) else { return };
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], &path[..]),
        };
        if name == b".wh..wh..opq" {
            self.remove_below(parent);
            return;
        }
        if let Some(gone) = name.strip_prefix(b".wh.") {
            let gone = if parent.is_empty() { gone.to_owned() } else { [parent, b"/", gone].concat() };
            self.0.remove(&gone);
            self.remove_below(&gone);
            return;
        }
        let kind = match &entry.kind {
            EntryKind::Directory => Some(Kind::Directory),
            EntryKind::Symlink(target) => Some(Kind::Link(target.as_os_str().as_bytes().to_vec())),
            _ => None,
        };
        if kind != Some(Kind::Directory) {
            self.remove_below(&path);
        }
        match kind {
            Some(kind) => self.0.insert(path, kind),
            None => self.0.remove(&path),
        };
    }

    fn remove_below(&mut self, path: &[u8]) {
        let from = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let below: Vec<_> = self
            .0
            .range(from.clone()..)
            .take_while(|(at, _)| at.starts_with(&from))
            .map(|(at, _)| at.clone())
            .collect();
        for path in below {
            self.0.remove(&path);
        }
    }

    /// Whether the base has a directory there. The root always is one.
    pub(crate) fn is_directory(&self, path: &[u8]) -> bool {
        path.is_empty() || self.0.get(path) == Some(&Kind::Directory)
    }

    /// `path` with the base's symbolic links in its parent directories
    /// followed, inside of the image's root.
    pub(crate) fn resolve(&self, path: &[u8]) -> Vec<u8> {
        let mut todo: Vec<Vec<u8>> = path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match &part[..] {
                b"" | b"." => continue,
                b".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            let Some(Kind::Link(target)) = self.0.get(&done.join(&b'/')) else { continue };
            // The last component is what is written: it replaces a link.
            links += 1;
            if todo.is_empty() || links > MOST_LINKS {
                continue;
            }
            done.pop();
            if target.starts_with(b"/") {
                done.clear();
            }
            todo.extend(target.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
        }
        done.join(&b'/')
    }
}

/// A tar path without `./`, leading and trailing slashes; `None` for the root
/// and for what unpackers refuse.
fn components(path: &Path) -> Option<Vec<u8>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.as_bytes()),
            Component::ParentDir => return None,
            _ => {}
        }
    }
    (!parts.is_empty()).then(|| parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree(entries: &[(&str, Option<&str>)]) -> BaseTree {
        let mut tree = BaseTree::default();
        for (path, target) in entries {
            let kind = target.map_or(Kind::Directory, |target| Kind::Link(target.into()));
            tree.0.insert(path.as_bytes().into(), kind);
        }
        tree
    }

    #[test]
    fn links_of_the_base_are_followed_inside_of_it() {
        let base = tree(&[
            ("usr", None),
            ("usr/lib", None),
            ("lib", Some("usr/lib")),
            ("var/run", Some("/run")),
            ("up", Some("../../../lib")),
            ("loop", Some("loop")),
        ]);
        for (path, expected) in [
            ("lib/x", "usr/lib/x"),
            ("lib", "lib"),
            ("var/run/pid", "run/pid"),
            ("up/x/y", "usr/lib/x/y"),
            ("opt/x", "opt/x"),
        ] {
            assert_eq!(base.resolve(path.as_bytes()), expected.as_bytes(), "{path}");
        }
        // It ends; where to does not matter.
        base.resolve(b"loop/x");
    }

    #[test]
    fn whiteouts_remove() {
        let mut base = tree(&[("a", None), ("a/b", None), ("c", None), ("c/d", None), ("ab", None)]);
        for path in [".wh.a", "c/.wh..wh..opq", "./ab"] {
            base.apply(&Entry {
                path: path.into(),
                kind: EntryKind::File,
                size: 0,
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: (0, 0),
                xattrs: BTreeMap::new(),
                sparse: false,
            });
        }
        assert_eq!(base.0.keys().collect::<Vec<_>>(), [b"c"]);
    }
}
