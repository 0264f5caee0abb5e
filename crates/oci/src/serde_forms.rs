//! Serialised forms that Go programs write and serde does not know: `null` for
//! an empty list or map, and sets as objects with empty values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serializer};

/// `null` means the default value.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A set of names as `{"name": {}}`.
pub(crate) mod object_set {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(set: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|name| (name, BTreeMap::<(), ()>::new())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map: Option<BTreeMap<String, serde::de::IgnoredAny>> = Option::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}
