//! Reading SBOMs that anybody wrote: which format, within which bounds.
//!
//! A list is read element by element from the raw text, and counted, so that
//! a document of a hundred megabytes of empty objects does not become
//! gigabytes of values.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{read_cyclonedx, read_spdx};
use crate::component::{Component, Hash};
use crate::purl::ParsedPurl;
use crate::{Bom, Error, merge};

/// How much of a document is read.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    bytes: usize,
    components: usize,
    /// Everything that is listed: components, hashes, locations, dependencies.
    entries: usize,
}

const BOUNDS: Bounds = Bounds { bytes: 256 << 20, components: 1_000_000, entries: 5_000_000 };

/// Components within components.
pub(super) const NESTING: u32 = 16;

/// What tells the formats apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<String>,
    /// Of an in-toto statement.
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
}

/// Reads a document of either format.
pub(super) fn read(bytes: &[u8]) -> Result<Bom, Error> {
    read_bounded(bytes, BOUNDS)
}

fn read_bounded(bytes: &[u8], bounds: Bounds) -> Result<Bom, Error> {
    if bytes.len() > bounds.bytes {
        return Err(Error::TooLarge { limit: format!("{} bytes", bounds.bytes) });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::malformed("it is not UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}');
    check_depth(text)?;
    read_within(text, bounds, true)
}

fn read_within(text: &str, bounds: Bounds, may_be_statement: bool) -> Result<Bom, Error> {
    let probe: Probe<'_> = serde_json::from_str(text).map_err(Error::malformed)?;
    let mut collected = Collected::new(bounds);
    match (probe.bom_format.as_deref(), probe.spdx_version.as_deref(), probe.predicate) {
        (Some(format), None, _) if format.eq_ignore_ascii_case("CycloneDX") => {
            read_cyclonedx::read(text, &mut collected)?;
        }
        (None, Some(version), _) if version.starts_with("SPDX-2.") => {
            read_spdx::read(text, &mut collected)?;
        }
        (None, Some(version), _) => {
            return Err(Error::malformed(format!("it is {version}; SPDX 2 is read")));
        }
        (None, None, Some(predicate)) if may_be_statement => {
            return read_within(predicate.get(), bounds, false);
        }
        _ => return Err(Error::malformed("it has neither `bomFormat` CycloneDX nor `spdxVersion`")),
    }
    Ok(collected.finish())
}

/// Refuses what is nested deeper than any SBOM: raw values are passed over
/// without a bound of their own.
fn check_depth(text: &str) -> Result<(), Error> {
    const DEPTH: u32 = 128;
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > DEPTH {
                    return Err(Error::TooLarge { limit: format!("{DEPTH} levels of nesting") });
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// What was read so far.
pub(super) struct Collected {
    bounds: Bounds,
    pub(super) bom: Bom,
    /// Base package URLs by the document's own references.
    pub(super) references: HashMap<String, String>,
    /// From and to, by the document's own references.
    pub(super) edges: Vec<(String, String)>,
    entries: usize,
}

impl Collected {
    fn new(bounds: Bounds) -> Self {
        let (references, edges) = (HashMap::new(), Vec::new());
        Self { bounds, bom: Bom::default(), references, edges, entries: 0 }
    }

    /// Adds a component that the document calls `reference`.
    pub(super) fn add(&mut self, reference: Option<String>, component: Component) -> Result<(), Error> {
        if self.bom.components.len() >= self.bounds.components {
            return Err(Error::TooLarge { limit: format!("{} components", self.bounds.components) });
        }
        if let Some(reference) = reference {
            self.references.insert(reference, component.base_purl());
        }
        self.bom.components.push(component);
        Ok(())
    }

    /// Calls `visit` for each element of a list; what is no list is none.
    pub(super) fn each<'a, T: Deserialize<'a>>(
        &mut self,
        list: Option<&'a RawValue>,
        mut visit: impl FnMut(&mut Self, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(list) = list.filter(|list| list.get().starts_with('[')) else { return Ok(()) };
        let mut stopped = None;
        let mut one = |element: T| {
            self.entries += 1;
            let done = if self.entries > self.bounds.entries {
                Err(Error::TooLarge { limit: format!("{} entries in its lists", self.bounds.entries) })
            } else {
                visit(self, element)
            };
            done.map_err(|error| stopped = Some(error)).is_ok()
        };
        let read = Elements { visit: &mut one, of: std::marker::PhantomData::<T> }
            .deserialize(&mut serde_json::Deserializer::from_str(list.get()));
        match (stopped, read) {
            (Some(error), _) => Err(error),
            (None, read) => read.map_err(Error::malformed),
        }
    }

    fn finish(mut self) -> Bom {
        let mut needs: HashMap<&str, Vec<&str>> = HashMap::new();
        for (from, to) in &self.edges {
            if let (Some(from), Some(to)) = (self.references.get(from), self.references.get(to)) {
                needs.entry(from).or_default().push(to);
            }
        }
        for component in &mut self.bom.components {
            if let Some(needed) = needs.get(component.base_purl().as_str()) {
                component.depends_on.extend(needed.iter().map(|&purl| purl.to_owned()));
            }
        }
        self.bom.components = merge::merge(std::mem::take(&mut self.bom.components));
        self.bom.warnings.sort();
        self.bom.warnings.dedup();
        self.bom
    }
}

/// Reads a list without keeping it.
struct Elements<'v, T, V> {
    visit: &'v mut V,
    of: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, V: FnMut(T) -> bool> DeserializeSeed<'de> for Elements<'_, T, V> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, V: FnMut(T) -> bool> Visitor<'de> for Elements<'_, T, V> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if !(self.visit)(element) {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// A component from a package URL, where there is one, or else from the rest.
pub(super) fn component(
    purl: Option<&str>,
    group: Option<String>,
    name: String,
    version: Option<String>,
) -> Component {
    let Some(parsed) = purl.and_then(ParsedPurl::parse) else {
        let component = Component::new("generic", name, version.unwrap_or_default());
        return component.within(group.unwrap_or_default());
    };
    let mut component =
        Component::new(parsed.kind, parsed.name, parsed.version.or(version).unwrap_or_default());
    component.namespace = parsed.namespace;
    component.qualifiers = parsed.qualifiers;
    // The package URL may have the name in a normal form; the document has it
    // as the ecosystem writes it.
    let written = Component { name, ..component.clone() };
    if written.base_purl() == component.base_purl() { written } else { component }
}

/// A checksum of any document; those of other algorithms are passed over.
pub(super) fn hash(algorithm: &str, hex: &str) -> Option<Hash> {
    Hash::new(algorithm, hex)
}

/// A text that is one of a document's warnings, taken apart again.
pub(super) fn warning(text: &str) -> Option<crate::Warning> {
    let (path, reason) = text.split_once(": ")?;
    Some(crate::Warning { path: path.into(), reason: reason.into() })
}

/// Several licences of one component: all of them apply.
pub(super) fn licences(mut texts: Vec<String>) -> Option<String> {
    texts.retain(|text| !matches!(text.as_str(), "" | "NOASSERTION" | "NONE"));
    texts.sort();
    texts.dedup();
    match texts.len() {
        0 | 1 => texts.pop(),
        _ if texts.iter().all(|text| super::is_expression(text)) => {
            let grouped = texts
                .iter()
                .map(|text| if text.contains(" OR ") { format!("({text})") } else { text.clone() });
            Some(grouped.collect::<Vec<_>>().join(" AND "))
        }
        _ => Some(texts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(element: &str, times: usize, bounds: Bounds) -> Result<Bom, Error> {
        let list = vec![element; times].join(",");
        read_bounded(format!(r#"{{"bomFormat":"CycloneDX","components":[{list}]}}"#).as_bytes(), bounds)
    }

    /// Neither much of nothing nor much in one element becomes much memory.
    #[test]
    fn what_is_listed_is_counted_wherever_it_is() {
        const BOUNDS: Bounds = Bounds { bytes: 1 << 20, components: 100, entries: 1000 };
        let limit = |result: Result<Bom, Error>| match result {
            Err(Error::TooLarge { limit }) => limit,
            other => panic!("{other:?}"),
        };
        assert!(read("{}", 1000, BOUNDS).is_ok());
        assert_eq!(limit(read("{}", 1001, BOUNDS)), "1000 entries in its lists");
        let named = r#"{"name":"a"}"#;
        assert_eq!(read(named, 100, BOUNDS).unwrap().components.len(), 1);
        assert_eq!(limit(read(named, 101, BOUNDS)), "100 components");
        let hashes = format!(r#"{{"name":"a","hashes":[{}]}}"#, vec!["{}"; 99].join(","));
        assert!(read(&hashes, 10, BOUNDS).is_ok());
        assert_eq!(limit(read(&hashes, 11, BOUNDS)), "1000 entries in its lists");
        let nested = format!(r#"{{"components":[{}]}}"#, vec![named; 51].join(","));
        assert_eq!(limit(read(&nested, 2, BOUNDS)), "100 components");
        let long = format!(r#"{{"name":"a","description":"{}"}}"#, "x".repeat(1000));
        assert!(read(&long, 99, BOUNDS).is_ok());
        assert_eq!(limit(read_bounded(&vec![b' '; (1 << 20) + 1], BOUNDS)), "1048576 bytes");
        let edges = format!(r#"{{"ref":"a","dependsOn":[{}]}}"#, vec![r#""b""#; 999].join(","));
        let document = |edges: &str| format!(r#"{{"bomFormat":"CycloneDX","dependencies":[{edges}]}}"#);
        assert!(read_bounded(document(&edges).as_bytes(), BOUNDS).is_ok());
        assert_eq!(
            limit(read_bounded(document(&format!("{edges},{edges}")).as_bytes(), BOUNDS)),
            "1000 entries in its lists"
        );
    }
}
