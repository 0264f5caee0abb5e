//! The section `.dep-v0`, into which `cargo auditable` writes what an
//! executable was linked from: JSON, compressed with zlib.
//!
//! Source: the project's PARSING.md and JSON schema.

use std::io::Read as _;

use serde::Deserialize;

use super::FROM_TREE;
use crate::Component;
use crate::catalog::{Content, Unread};
use crate::language::elf::{Elf, Range};
use crate::language::reading::{Edges, MOST_COMPONENTS, impossible};

const SECTION: &str = ".dep-v0";

/// The most bytes of JSON; a thousand packages need 100 KB.
const MOST_JSON: u64 = 8 << 20;

/// What one executable or library was linked from.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub(super) packages: Vec<Package>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Package {
    pub(super) component: Component,
    /// It ran at build time: a build script, a macro.
    pub(super) build_only: bool,
    /// It comes from a git repository or another registry; the section does
    /// not say which.
    pub(super) elsewhere: bool,
    root: bool,
}

impl Linked {
    /// The packages whose program this is.
    pub(super) fn roots(&self) -> impl Iterator<Item = &Component> {
        self.packages.iter().filter(|package| package.root).map(|package| &package.component)
    }
}

#[derive(Deserialize)]
struct Document {
    packages: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    version: String,
    source: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    dependencies: Vec<usize>,
    #[serde(default)]
    root: bool,
}

/// What an ELF file has to say.
pub(super) enum Section {
    Read(Linked),
    /// It was compiled by Rust, and has no such section.
    Absent,
    NotRust,
}

/// Reads the section of an ELF file.
pub(super) fn read(content: &mut Content<'_>) -> Result<Section, Unread> {
    /// Compilers sign in this section; each once.
    const COMMENT: &str = ".comment";
    const MOST_COMMENT: u64 = 64 << 10;
    // Files that only begin like ELF are no concern of this cataloger.
    let Ok(elf) = Elf::read(content) else { return Ok(Section::NotRust) };
    if let Some(Range { offset, size }) = elf.section(SECTION) {
        let section = content.slice(offset, size)?;
        return parse(&section).map(Section::Read);
    }
    let Some(Range { offset, size }) = elf.section(COMMENT) else { return Ok(Section::NotRust) };
    let Ok(comment) = content.slice(offset, size.min(MOST_COMMENT)) else { return Ok(Section::NotRust) };
    let is_rust = comment.split(|byte| *byte == 0).any(|name| name.starts_with(b"rustc version "));
    Ok(if is_rust { Section::Absent } else { Section::NotRust })
}

/// Reads the content of the section.
pub(super) fn parse(section: &[u8]) -> Result<Linked, Unread> {
    let mut json = Vec::new();
    flate2::read::ZlibDecoder::new(section).take(MOST_JSON + 1).read_to_end(&mut json).map_err(|error| {
        Unread::new(format!("its section {SECTION} is not compressed with zlib: {error}"))
    })?;
    if json.len() as u64 > MOST_JSON {
        return Err(format!("its section {SECTION} has more than {MOST_JSON} bytes").into());
    }
    let document: Document = serde_json::from_slice(&json)
        .map_err(|error| Unread::new(format!("its section {SECTION} is not as expected: {error}")))?;
    let mut linked = Linked::default();
    if document.packages.len() > MOST_COMPONENTS {
        return Err(format!("its section {SECTION} names {} packages", document.packages.len()).into());
    }
    let components: Vec<Component> = document
        .packages
        .iter()
        .map(|row| Component::new("cargo", row.name.as_str(), row.version.as_str()))
        .collect();
    let purls: Vec<String> = components.iter().map(Component::base_purl).collect();
    let mut edges = Edges::new(&purls);
    for (row, mut component) in document.packages.into_iter().zip(components) {
        if let Some(why) = impossible(&component) {
            linked.warnings.push(format!("a package in {SECTION} was left out: {why}"));
            continue;
        }
        if row.source == "local" {
            component.qualifiers.insert(FROM_TREE.0.into(), FROM_TREE.1.into());
        }
        component.depends_on = edges.to(row.dependencies);
        linked.packages.push(Package {
            component,
            build_only: row.kind.as_deref() == Some("build"),
            elsewhere: !matches!(&*row.source, "local" | "crates.io"),
            root: row.root,
        });
    }
    linked.warnings.extend(edges.warning());
    Ok(linked)
}

#[cfg(test)]
pub(in crate::language) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::io::Write as _;

    use super::*;
    use crate::language::testing::torture;

    pub(in crate::language) fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn packages_edges_and_kinds_are_read() {
        let linked = parse(&deflate(
            br#"{"packages":[
                {"name":"a","version":"1.0.0","source":"crates.io","features":["x"]},
                {"name":"b","version":"2.0.0","source":"registry","kind":"build","dependencies":[0,0,99]},
                {"name":"c","version":"0.1.0","source":"local","root":true,"dependencies":[0,1]}],"format":1}"#,
        ))
        .unwrap();
        assert_eq!(linked.roots().map(|root| &*root.name).collect::<Vec<_>>(), ["c"]);
        let b = &linked.packages[1];
        assert!(b.build_only && b.elsewhere);
        assert_eq!(b.component.depends_on, BTreeSet::from(["pkg:cargo/a@1.0.0".into()]));
    }

    #[test]
    fn hostile_sections_are_refused() {
        let bomb = deflate(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(parse(&bomb).unwrap_err().reason().contains("more than"));
        for bad in [
            &b"no zlib"[..],
            b"",
            &deflate(b""),
            &deflate(b"[1]"),
            &deflate(b"{}"),
            &deflate("[".repeat(1 << 20).as_bytes()),
        ] {
            assert!(parse(bad).is_err());
        }
        let odd = parse(&deflate(br#"{"packages":[{"name":"","version":"1","source":"local"}]}"#)).unwrap();
        assert_eq!((odd.packages.len(), odd.warnings.len()), (0, 1));
        torture(&deflate(br#"{"packages":[{"name":"a","version":"1","source":"x"}]}"#), |bytes| {
            drop(parse(bytes))
        });
    }
}
