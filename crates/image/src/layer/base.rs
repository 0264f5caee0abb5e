//! The directories and symbolic links of a base image, so that copies are
//! placed where a container of the image would place them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

use plimsoll_oci::media_type::{self, Compression};
use plimsoll_oci::{Descriptor, Layout};

use crate::error::Error;

/// A base image is unpacked up to this many bytes when it is looked through.
const MOST_BYTES: u64 = 64 << 30;
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
    /// Reads the headers of all layers, lowest first.
    ///
    /// # Errors
    /// A layer is absent, damaged, or no tar.
    pub(crate) fn read(layout: &Layout, layers: &[Descriptor]) -> Result<Self, Error> {
        let mut tree = Self::default();
        for layer in layers {
            let unusable = |source| Error::BaseUnusable { source };
            let blob = layout.open_blob(layer).map_err(unusable)?;
            let blob = io::BufReader::with_capacity(256 << 10, blob);
            let reader: Box<dyn Read> = match media_type::layer_compression(&layer.media_type) {
                Some(Compression::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(blob)),
                Some(Compression::Zstd) => {
                    Box::new(zstd::Decoder::with_buffer(blob).map_err(|e| damaged(layer, e))?)
                }
                Some(Compression::None) => Box::new(blob),
                None => {
                    return Err(unusable(plimsoll_oci::Error::UnsupportedMediaType {
                        object: layer.digest.to_string(),
                        media_type: layer.media_type.clone(),
                    }));
                }
            };
            tree.apply(reader.take(MOST_BYTES)).map_err(|e| damaged(layer, e))?;
        }
        Ok(tree)
    }

    fn apply(&mut self, reader: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries()? {
            let entry = entry?;
            let Some(path) = components(&entry.path_bytes()) else { continue };
            let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
                Some(at) => (&path[..at], &path[at + 1..]),
                None => (&b""[..], &path[..]),
            };
            if name == b".wh..wh..opq" {
                self.remove_below(parent);
                continue;
            }
            if let Some(gone) = name.strip_prefix(b".wh.") {
                let gone = if parent.is_empty() { gone.to_owned() } else { [parent, b"/", gone].concat() };
                self.0.remove(&gone);
                self.remove_below(&gone);
                continue;
            }
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => Some(Kind::Directory),
                tar::EntryType::Symlink => {
                    entry.link_name_bytes().map(|target| Kind::Link(target.into_owned()))
                }
                _ => None,
            };
            if kind != Some(Kind::Directory) {
                self.remove_below(&path);
            }
            match kind {
                Some(kind) => self.0.insert(path, kind),
                None => self.0.remove(&path),
            };
            if self.0.len() > MOST_ENTRIES {
                return Err(io::Error::other("it has more than 4,000,000 directories and links"));
            }
        }
        Ok(())
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

fn damaged(layer: &Descriptor, source: io::Error) -> Error {
    Error::BaseUnusable {
        source: plimsoll_oci::Error::Malformed {
            object: format!("layer {}", layer.digest),
            reason: source.to_string(),
        },
    }
}

/// A tar path without `./`, leading and trailing slashes; `None` for the root
/// and for what unpackers refuse.
fn components(path: &[u8]) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
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
        let mut tar = tar::Builder::new(Vec::new());
        for name in [".wh.a", "c/.wh..wh..opq", "ab"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            tar.append_data(&mut header, name, io::empty()).unwrap();
        }
        base.apply(&tar.into_inner().unwrap()[..]).unwrap();
        assert_eq!(base.0.keys().collect::<Vec<_>>(), [b"c"]);
    }
}
