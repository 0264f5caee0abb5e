//! Lists and maps of somebody else's document, read up to a number: what is
//! beyond it is refused before it takes memory.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A list with at most `MOST` elements, for `deserialize_with`.
pub(crate) fn list<'de, const MOST: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_seq(List::<MOST, T>(PhantomData))
}

/// A map from text to text with at most `MOST` keys, each once.
pub(crate) fn map<'de, const MOST: usize, D>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Map::<MOST>)
}

struct List<const MOST: usize, T>(PhantomData<T>);

impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for List<MOST, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while let Some(element) = list.next_element()? {
            if kept.len() == MOST {
                return Err(A::Error::custom(format_args!("a list has more than {MOST} elements")));
            }
            kept.push(element);
        }
        Ok(kept)
    }
}

struct Map<const MOST: usize>;

impl<'de, const MOST: usize> Visitor<'de> for Map<MOST> {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map of at most {MOST} texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            if kept.len() == MOST {
                return Err(A::Error::custom(format_args!("a map has more than {MOST} keys")));
            }
            // Two parsers could otherwise take two values for the same key.
            if kept.insert(key, value).is_some() {
                return Err(A::Error::custom("a map has the same key twice"));
            }
        }
        Ok(kept)
    }
}
