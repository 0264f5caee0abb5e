//! OSV JSON (ossf.github.io/osv-schema, 1.x): one advisory a file, or an array
//! of them.

use std::fmt;

use jiff::Timestamp;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::advisory::{Advisory, Affected, Event, EventKind, MOST_ALIASES, MOST_NAME, Range, summary};
use crate::ecosystem;
use crate::severity::Rating;
use crate::version::Scheme;

#[derive(Deserialize)]
struct Document {
    id: String,
    #[serde(default)]
    modified: Option<String>,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Many<String, 4096>,
    #[serde(default)]
    upstream: Many<String, 4096>,
    #[serde(default)]
    related: Many<String, 4096>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    severity: Many<Entry, 256>,
    #[serde(default)]
    affected: Many<Package, 65_536>,
    #[serde(default)]
    database_specific: Specific,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    package: Option<Name>,
    #[serde(default)]
    severity: Many<Entry, 256>,
    #[serde(default)]
    ranges: Many<RawRange, 65_536>,
    #[serde(default)]
    versions: Many<String, 262_144>,
    #[serde(default)]
    ecosystem_specific: Specific,
    #[serde(default)]
    database_specific: Specific,
}

#[derive(Deserialize)]
struct Name {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct RawRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Many<RawEvent, 65_536>,
}

/// An object with one or more of the schema's words for an event.
struct RawEvent(Vec<Event>);

impl<'de> Deserialize<'de> for RawEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawEventVisitor)
    }
}

struct RawEventVisitor;

impl<'de> Visitor<'de> for RawEventVisitor {
    type Value = RawEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of a range")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEvent, A::Error> {
        let mut events = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let kind = match key.as_str() {
                "introduced" => EventKind::Introduced,
                "fixed" => EventKind::Fixed,
                "last_affected" => EventKind::LastAffected,
                "limit" => EventKind::Limit,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            events.extend(map.next_value::<Option<String>>()?.map(|version| Event { kind, version }));
        }
        Ok(RawEvent(events))
    }
}

/// A list of at most so many things; `null` is an empty one. What is in a file
/// must not take hundreds of times its bytes.
struct Many<T, const MOST: usize>(Vec<T>);

impl<T, const MOST: usize> Default for Many<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Many<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ManyVisitor(std::marker::PhantomData))
    }
}

struct ManyVisitor<T, const MOST: usize>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for ManyVisitor<T, MOST> {
    type Value = Many<T, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST} things")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Many::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(one) = seq.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::custom(format_args!("a list has more than {MOST} things")));
            }
            list.push(one);
        }
        Ok(Many(list))
    }
}

/// The few members of `database_specific` and `ecosystem_specific` that are
/// known. Both may be anything at all, so nothing about them is an error.
#[derive(Default)]
struct Specific {
    /// What it says itself, where it is a text.
    text: Option<String>,
    severity: Option<String>,
    informational: Option<String>,
}

impl<'de> Deserialize<'de> for Specific {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpecificVisitor)
    }
}

struct SpecificVisitor;

impl<'de> Visitor<'de> for SpecificVisitor {
    type Value = Specific;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Specific, A::Error> {
        let mut found = Specific::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "severity" => found.severity = map.next_value::<Specific>()?.text,
                // Debian's word for it.
                "urgency" if found.severity.is_none() => found.severity = map.next_value::<Specific>()?.text,
                "informational" => found.informational = map.next_value::<Specific>()?.text,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Specific, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Specific::default())
    }

    fn visit_unit<E>(self) -> Result<Specific, E> {
        Ok(Specific::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Specific, E> {
        Ok(Specific::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Specific, E> {
        Ok(Specific::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Specific, E> {
        Ok(Specific::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Specific, E> {
        Ok(Specific::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Specific, E> {
        Ok(Specific { text: Some(text.into()), ..Specific::default() })
    }
}

/// The advisories in a JSON file.
///
/// # Errors
/// What is wrong with it, in words. One broken advisory of an array spoils
/// that array.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Advisory>, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let array = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    let documents = if array {
        let documents: Many<Document, 65_536> =
            serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
        documents.0
    } else {
        vec![serde_json::from_slice(bytes).map_err(|why| why.to_string())?]
    };
    documents.into_iter().map(advisory).collect()
}

fn advisory(document: Document) -> Result<Advisory, String> {
    let usable = |name: &str| !name.is_empty() && name.len() <= MOST_NAME && !name.contains(char::is_control);
    if !usable(&document.id) {
        return Err("its id is not one".into());
    }
    let names = |names: Many<String, 4096>| -> Vec<String> {
        names.0.into_iter().filter(|name| usable(name)).take(MOST_ALIASES).collect()
    };
    let rating = entries(&document.severity.0)
        .or_else(|| document.database_specific.severity.as_deref().and_then(Rating::from_word));
    let mut informational = document.database_specific.informational;
    let mut affected = Vec::new();
    for package in document.affected.0 {
        let Some(name) = package.package else { continue };
        if !usable(&name.name) || !usable(&name.ecosystem) {
            return Err("it names a package that cannot be one".into());
        }
        let Some(scheme) = ecosystem::scheme(&name.ecosystem) else { continue };
        informational = informational.or(package.database_specific.informational);
        let word = [package.ecosystem_specific.severity, package.database_specific.severity];
        let rating = entries(&package.severity.0)
            .or_else(|| word.iter().flatten().find_map(|word| Rating::from_word(word)));
        affected.push(Affected {
            ecosystem: name.ecosystem,
            name: name.name,
            ranges: ranges(package.ranges.0, scheme)?,
            versions: package.versions.0,
            rating: rating.unwrap_or_default(),
        });
    }
    let mut upstream = names(document.upstream);
    // Some distributions name the CVEs they fix here instead.
    let distribution = |affected: &Affected| {
        matches!(ecosystem::scheme(&affected.ecosystem), Some(Scheme::Rpm | Scheme::Dpkg | Scheme::Apk))
    };
    if upstream.is_empty() && affected.iter().all(distribution) && !affected.is_empty() {
        upstream = names(document.related);
        upstream.retain(|name| name.starts_with("CVE-"));
    }
    let text = document.summary.filter(|text| !text.trim().is_empty()).or(document.details);
    Ok(Advisory {
        id: document.id,
        aliases: names(document.aliases),
        upstream,
        summary: summary(text.as_deref().unwrap_or_default()),
        modified: document.modified.and_then(|text| text.parse::<Timestamp>().ok()),
        withdrawn: document.withdrawn.is_some_and(|text| !text.is_empty()),
        rating: rating.unwrap_or_default(),
        informational: informational.unwrap_or_default(),
        affected,
    })
}

fn entries(entries: &[Entry]) -> Option<Rating> {
    Rating::from_entries(entries.iter().map(|entry| (entry.kind.as_str(), entry.score.as_str())))
}

/// The ranges over versions; those over git commits say nothing about a package.
fn ranges(ranges: Vec<RawRange>, scheme: Scheme) -> Result<Vec<Range>, String> {
    let mut usable = Vec::new();
    for range in ranges {
        let scheme = match range.kind.as_str() {
            "GIT" => continue,
            "ECOSYSTEM" => scheme,
            // A range of this type in an ecosystem with rules of its own.
            "SEMVER" if !scheme.is_semver() => Scheme::SemVer,
            "SEMVER" => scheme,
            other => return Err(format!("a range has the unknown type `{other}`")),
        };
        let events = range.events.0.into_iter().flat_map(|event| event.0).collect();
        usable.push(Range { scheme, events });
    }
    Ok(usable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::severity::Severity;

    fn one(json: &str) -> Advisory {
        parse(json.as_bytes()).unwrap_or_else(|why| panic!("{why}: {json}")).remove(0)
    }

    #[test]
    fn members_may_be_absent_null_or_of_another_kind() {
        for specific in
            ["null", "7", "-7", "1.5", "true", "\"x\"", "[1]", "{\"severity\":[1]}", "{\"severity\":null}"]
        {
            let json = format!(
                r#"{{"id":"A-1","aliases":null,"database_specific":{specific},"affected":[
                    {{"package":{{"ecosystem":"npm","name":"a"}},"ranges":null,"ecosystem_specific":{specific}}}]}}"#
            );
            assert_eq!(one(&json).affected.len(), 1, "{specific}");
        }
        assert_eq!(one(r#"{"id":"A-1"}"#).affected, []);
    }

    #[test]
    fn severity_comes_from_vectors_then_from_words() {
        let json = r#"{"id":"A-1","summary":"S","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "database_specific":{"severity":"LOW"},
            "affected":[{"package":{"ecosystem":"npm","name":"a"},"ecosystem_specific":{"urgency":"medium"}}]}"#;
        let advisory = one(json);
        assert_eq!(advisory.rating.severity, Some(Severity::Critical));
        assert_eq!(advisory.affected[0].rating.severity, Some(Severity::Medium));
        assert_eq!(
            one(r#"{"id":"A","database_specific":{"severity":"MODERATE"}}"#).rating.severity,
            Some(Severity::Medium)
        );
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = format!(r#"{{"id":"A","x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(
            parse(deep.as_bytes()).map(|found| found.len()),
            Ok(1),
            "what is not read nests as it likes"
        );
        let deep_word = format!(
            r#"{{"id":"A","database_specific":{}1{}}}"#,
            r#"{"severity":"#.repeat(100_000),
            "}".repeat(100_000)
        );
        let long = format!(r#"{{"id":"{}"}}"#, "A".repeat(5000));
        let many = format!(r#"{{"id":"A","affected":[{}{{}}]}}"#, "{},".repeat(70_000));
        for bad in [
            &many,
            "",
            "[",
            "null",
            "{}",
            "{\"id\":1}",
            "{\"id\":\"\"}",
            "{\"id\":\"a\\nb\"}",
            &deep_word,
            &long,
            r#"{"id":"A","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"ODD"}]}]}"#,
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(80)]);
        }
    }
}
