//! OSV JSON (ossf.github.io/osv-schema, 1.x): one advisory a file, or an array
//! of them.

use std::fmt;

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    aliases: Option<Vec<String>>,
    #[serde(default)]
    upstream: Option<Vec<String>>,
    #[serde(default)]
    related: Option<Vec<String>>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    severity: Option<Vec<Entry>>,
    #[serde(default)]
    affected: Option<Vec<Package>>,
    #[serde(default)]
    database_specific: Specific,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    score: String,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    package: Option<Name>,
    #[serde(default)]
    severity: Option<Vec<Entry>>,
    #[serde(default)]
    ranges: Option<Vec<RawRange>>,
    #[serde(default)]
    versions: Option<Vec<String>>,
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
    events: Option<Vec<RawEvent>>,
}

#[derive(Deserialize)]
struct RawEvent {
    #[serde(default)]
    introduced: Option<String>,
    #[serde(default)]
    fixed: Option<String>,
    #[serde(default)]
    last_affected: Option<String>,
    #[serde(default)]
    limit: Option<String>,
}

/// The few members of `database_specific` and `ecosystem_specific` that are
/// known. Both may be anything at all, so nothing about them is an error.
#[derive(Default)]
struct Specific {
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
                "severity" => found.severity = map.next_value::<Word>()?.0,
                // Debian's word for it.
                "urgency" if found.severity.is_none() => found.severity = map.next_value::<Word>()?.0,
                "informational" => found.informational = map.next_value::<Word>()?.0,
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

    fn visit_str<E>(self, _: &str) -> Result<Specific, E> {
        Ok(Specific::default())
    }
}

/// A text, or anything else, which counts as none.
struct Word(Option<String>);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(value.as_str().map(Into::into)))
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
    let documents: Vec<Document> = if array {
        serde_json::from_slice(bytes).map_err(|why| why.to_string())?
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
    let names = |names: Option<Vec<String>>| -> Vec<String> {
        names.unwrap_or_default().into_iter().filter(|name| usable(name)).take(MOST_ALIASES).collect()
    };
    let rating = entries(document.severity.as_deref())
        .or_else(|| document.database_specific.severity.as_deref().and_then(Rating::from_word));
    let mut informational = document.database_specific.informational;
    let mut affected = Vec::new();
    for package in document.affected.unwrap_or_default() {
        let Some(name) = package.package else { continue };
        if !usable(&name.name) || !usable(&name.ecosystem) {
            return Err("it names a package that cannot be one".into());
        }
        let Some(scheme) = ecosystem::scheme(&name.ecosystem) else { continue };
        informational = informational.or(package.database_specific.informational);
        let word = [package.ecosystem_specific.severity, package.database_specific.severity];
        let rating = entries(package.severity.as_deref())
            .or_else(|| word.iter().flatten().find_map(|word| Rating::from_word(word)));
        affected.push(Affected {
            ecosystem: name.ecosystem,
            name: name.name,
            ranges: ranges(package.ranges.unwrap_or_default(), scheme)?,
            versions: package.versions.unwrap_or_default(),
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

fn entries(entries: Option<&[Entry]>) -> Option<Rating> {
    Rating::from_entries(entries?.iter().map(|entry| (entry.kind.as_str(), entry.score.as_str())))
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
        let mut events = Vec::new();
        for event in range.events.unwrap_or_default() {
            let parts = [
                (EventKind::Introduced, event.introduced),
                (EventKind::Fixed, event.fixed),
                (EventKind::LastAffected, event.last_affected),
                (EventKind::Limit, event.limit),
            ];
            events.extend(
                parts
                    .into_iter()
                    .filter_map(|(kind, version)| version.map(|version| Event { kind, version })),
            );
        }
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
        let deep_word = deep.replace("\"x\":", "\"database_specific\":{\"severity\":").replace("]}", "]}}");
        let long = format!(r#"{{"id":"{}"}}"#, "A".repeat(5000));
        for bad in [
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
