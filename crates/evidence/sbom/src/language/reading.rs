//! What a parser hands back: components, and what of its file it did not read.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use crate::catalog::Unread;
use crate::{Component, Scope};

/// The most components that are taken from one file. The largest lock files of
/// real projects name a few thousand packages.
pub(crate) const MOST_COMPONENTS: usize = 50_000;

/// The most dependencies that are taken from one file. An edge is written as a
/// whole package URL, so a small file could name very many.
const MOST_EDGES: usize = 200_000;

/// The longest name or version that is taken from a file, in bytes. Longer
/// ones are no names of packages.
const LONGEST_NAME: usize = 512;

/// A document of TOML as what is expected.
///
/// # Errors
/// When it is something else, or larger than lock files are: the parser needs
/// thirty times as much memory.
pub(crate) fn toml<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unread> {
    const MOST: usize = 8 << 20;
    if bytes.len() > MOST {
        return Err(format!("it has {} bytes; {MOST} are the most that is read of TOML", bytes.len()).into());
    }
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?;
    ::toml::from_str(text)
        .map_err(|error| Unread::new(format!("not the TOML that was expected: {}", error.message())))
}

/// What one file names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The packages, without locations.
    pub(crate) components: Vec<Component>,
    /// What of the file was not read, and why; no full stops.
    pub(crate) warnings: Vec<String>,
    /// What it leaves open, e.g. versions. That matters where it was built
    /// from; in an image what is installed answers it.
    pub(crate) open: Vec<String>,
}

impl Reading {
    /// Packages of which each has the indices of those it depends on.
    pub(crate) fn linked(rows: Vec<(Component, Vec<usize>)>) -> Self {
        let purls: Vec<String> = rows.iter().map(|(component, _)| component.base_purl()).collect();
        let mut edges = Edges::new(&purls);
        let mut reading = Self::default();
        for (mut component, targets) in rows {
            component.depends_on = edges.to(targets);
            reading.push(component);
        }
        reading.warnings.extend(edges.warning());
        reading
    }

    /// Takes a component, unless it is impossible or one too many; either is
    /// said in a warning.
    pub(crate) fn push(&mut self, component: Component) {
        if self.components.len() >= MOST_COMPONENTS {
            let text = format!("it names more than {MOST_COMPONENTS} packages; the rest was not read");
            if self.warnings.last() != Some(&text) {
                self.warnings.push(text);
            }
        } else if let Some(why) = impossible(&component) {
            self.warn(format!("a package was left out: {why}"));
        } else {
            self.components.push(component);
        }
    }

    /// Says that something was not read. Past a hundred warnings a file is
    /// hopeless and more of them tell nothing.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        const MOST: usize = 100;
        match self.warnings.len() {
            0..MOST => self.warnings.push(text.into()),
            MOST => self.warnings.push("there is more that could not be read".into()),
            _ => {}
        }
    }
}

/// Makes dependencies of indices, as many as there is room for.
pub(crate) struct Edges<'a> {
    purls: &'a [String],
    room: usize,
    is_full: bool,
}

impl<'a> Edges<'a> {
    /// Between packages with these package URLs.
    pub(crate) fn new(purls: &'a [String]) -> Self {
        Self { purls, room: MOST_EDGES, is_full: false }
    }

    /// The package URLs of these; an index without a package is none.
    pub(crate) fn to(&mut self, targets: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
        let distinct: BTreeSet<usize> = targets.into_iter().collect();
        self.is_full |= distinct.len() > self.room;
        let edges: BTreeSet<String> =
            distinct.into_iter().take(self.room).filter_map(|index| self.purls.get(index).cloned()).collect();
        self.room -= edges.len();
        edges
    }

    /// That there was no room for all.
    pub(crate) fn warning(&self) -> Option<String> {
        self.is_full.then(|| format!("it names more than {MOST_EDGES} dependencies; the rest was not read"))
    }
}

/// Why no package can be called that.
pub(crate) fn impossible(component: &Component) -> Option<String> {
    let namespace = component.namespace.as_deref().unwrap_or_default();
    if component.name.is_empty() {
        return Some("it has no name".into());
    }
    for (what, text) in
        [("name", &*component.name), ("namespace", namespace), ("version", &*component.version)]
    {
        if text.len() > LONGEST_NAME {
            return Some(format!("its {what} has {} bytes", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Some(format!("its {what} {text:?} holds control characters"));
        }
    }
    None
}

/// A package that a lock file names.
pub(crate) fn declared(
    kind: impl Into<Cow<'static, str>>,
    name: impl Into<String>,
    version: impl Into<String>,
) -> Component {
    Component { scope: Scope::Declared, ..Component::new(kind, name, version) }
}

/// The part of a text that a message can quote.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 80;
    let mut short: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_package_is_left_out_and_said() {
        let mut reading = Reading::default();
        for (name, version) in
            [("", "1"), ("a\nb", "1"), ("a", "1\u{0}"), (&*"a".repeat(513), "1"), ("a", "1")]
        {
            reading.push(declared("npm", name, version));
        }
        assert_eq!(reading.components.len(), 1);
        assert_eq!(reading.warnings.len(), 4);
        assert!(reading.warnings[1].contains(r#""a\nb""#), "{:?}", reading.warnings);
    }

    #[test]
    fn large_toml_is_refused() {
        let text = format!("# {}", "x".repeat(8 << 20));
        assert!(toml::<::toml::Table>(text.as_bytes()).unwrap_err().reason().contains("the most"));
        assert!(toml::<::toml::Table>(&text.as_bytes()[..8 << 20]).is_ok());
    }

    #[test]
    fn edges_are_bounded() {
        let row = |name: &str, targets| (declared("npm", name, "1"), targets);
        let reading = Reading::linked(vec![row("a", vec![1, 1, 0, 7]), row("b", vec![])]);
        let purls: Vec<&String> = reading.components[0].depends_on.iter().collect();
        assert_eq!(purls, ["pkg:npm/a@1", "pkg:npm/b@1"]);
        let all: Vec<usize> = (0..1000).collect();
        let rows = (0..1000).map(|i| row(&format!("p{i}"), all.clone())).collect();
        let reading = Reading::linked(rows);
        assert_eq!(reading.components.iter().map(|c| c.depends_on.len()).sum::<usize>(), MOST_EDGES);
        assert_eq!(reading.warnings.len(), 1);
    }

    #[test]
    fn components_and_warnings_are_bounded() {
        let mut reading = Reading::default();
        for _ in 0..MOST_COMPONENTS + 1000 {
            reading.push(declared("npm", "a", "1"));
        }
        assert_eq!((reading.components.len(), reading.warnings.len()), (MOST_COMPONENTS, 1));
        for _ in 0..1000 {
            reading.warn("x");
        }
        assert_eq!(reading.warnings.len(), 101);
    }
}
