//! YAML documents as trees, for lock files: nothing is repeated by an alias,
//! and depth and number of nodes are bounded.
//!
//! Source: YAML 1.2.2. The parser is an event parser, so that a document never
//! becomes larger than it is written.

use saphyr_parser::{Event, Parser};

use crate::catalog::Unread;

/// The most nodes of one document; a lock file of 10,000 packages has 300,000.
const MOST_NODES: usize = 2_000_000;

/// The most nodes within each other; lock files have eight.
const DEEPEST: usize = 64;

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Any scalar, as text: `1.10` must not become a number.
    Scalar(String),
    Sequence(Vec<Node>),
    /// In the order of the document; keys that are no scalars are left out.
    Mapping(Vec<(String, Node)>),
}

impl Node {
    /// The first document of a text.
    ///
    /// # Errors
    /// When it is not YAML, has an alias, or is too deep or too large.
    pub(crate) fn parse(text: &str) -> Result<Self, Unread> {
        Self::parse_within(text, MOST_NODES)
    }

    fn parse_within(text: &str, most: usize) -> Result<Self, Unread> {
        // Open collections; a mapping has the key that awaits its value.
        let mut open: Vec<(Self, Option<Key>)> = Vec::new();
        for (count, event) in Parser::new_from_str(text).enumerate() {
            let (event, span) = event.map_err(|error| Unread::new(format!("it is not YAML: {error}")))?;
            if count > most {
                return Err(format!("it has more than {most} nodes").into());
            }
            let node = match event {
                Event::Alias(_) => {
                    return Err(format!("it has an alias in line {}", span.start.line()).into());
                }
                Event::Scalar(text, ..) => Self::Scalar(text.into_owned()),
                Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEEPEST => {
                    return Err(format!("it is more than {DEEPEST} levels deep").into());
                }
                Event::SequenceStart(..) => {
                    open.push((Self::Sequence(Vec::new()), None));
                    continue;
                }
                Event::MappingStart(..) => {
                    open.push((Self::Mapping(Vec::new()), None));
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some((node, _)) = open.pop() else { return Err("it is not YAML".into()) };
                    node
                }
                Event::DocumentEnd | Event::StreamEnd => break,
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            };
            match open.last_mut() {
                None => return Ok(node),
                Some((Self::Sequence(items), _)) => items.push(node),
                Some((Self::Mapping(entries), key)) => match (key.take(), node) {
                    (Some(Key(Some(name))), value) => entries.push((name, value)),
                    (Some(Key(None)), _) => {}
                    (None, Self::Scalar(name)) => *key = Some(Key(Some(name))),
                    (None, _) => *key = Some(Key(None)),
                },
                Some((Self::Scalar(_), _)) => return Err("it is not YAML".into()),
            }
        }
        Err("it has no document".into())
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The text of the scalar that is the value of a key.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            _ => &[],
        }
    }
}

/// A key that was read; `None` if it is no scalar.
#[derive(Debug)]
struct Key(Option<String>);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_subset_of_lock_files_is_read() {
        let node = Node::parse(
            "lockfileVersion: '9.0'\nplain: 1.10\npackages:\n  '@a/b@1.0.0(c@2)':\n    resolution: {integrity: sha512-x==, \
             tarball: https://example.com/a}\n    cpu: [x64, arm64]\n    deprecated: >-\n      folded\n      text\n    \
             engines:\n  ? odd\n  : value\n  ? [a]\n  : lost\n",
        )
        .unwrap();
        assert_eq!(node.text_of("lockfileVersion"), Some("9.0"));
        assert_eq!(node.text_of("plain"), Some("1.10"));
        let packages = node.get("packages").unwrap();
        assert_eq!(packages.entries().len(), 2);
        let package = packages.get("@a/b@1.0.0(c@2)").unwrap();
        assert_eq!(package.get("resolution").unwrap().text_of("integrity"), Some("sha512-x=="));
        assert_eq!(package.text_of("deprecated"), Some("folded text"));
        assert_eq!(packages.text_of("odd"), Some("value"));
    }

    #[test]
    fn bombs_are_refused() {
        for (text, why) in [
            ("a: &a [x]\nb: *a\n".to_owned(), "alias in line 2"),
            ("[".repeat(100_000), "it is"),
            ((0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect(), "64 levels"),
            ("[a,".to_owned() + &"a,".repeat(1000) + "a]", "more than 1000 nodes"),
            (String::new(), "no document"),
            ("a: b: c".into(), "not YAML"),
        ] {
            let error = Node::parse_within(&text, 1000).unwrap_err();
            assert!(error.reason().contains(why), "{}", error.reason());
        }
    }
}
