//! The RustSec advisory-db: Markdown files that begin with a block of TOML, or
//! that TOML alone.
//!
//! RustSec says which versions are *not* affected (`patched`, `unaffected`), as
//! Cargo's version requirements. What is left over becomes ranges.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::Deserialize;

use crate::advisory::{Advisory, Affected, Event, EventKind, MOST_ALIASES, Range, summary};
use crate::severity::Rating;
use crate::version::Scheme;

#[derive(Deserialize)]
struct Document {
    advisory: Head,
    #[serde(default)]
    versions: Versions,
}

#[derive(Deserialize)]
struct Head {
    id: String,
    package: String,
    #[serde(default)]
    collection: Option<String>,
    date: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    cvss: Option<String>,
    #[serde(default)]
    informational: Option<String>,
    #[serde(default)]
    withdrawn: Option<String>,
    /// The form of 2020 and before had them here.
    #[serde(default)]
    patched_versions: Vec<String>,
    #[serde(default)]
    unaffected_versions: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Versions {
    #[serde(default)]
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// The advisory in a Markdown or TOML file, or nothing where the file is no
/// advisory at all (a README, a configuration file).
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn parse(text: &str) -> Result<Option<Advisory>, String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let (front, body) = match text.strip_prefix("```toml") {
        Some(rest) => rest.split_once("\n```").ok_or("its block of TOML does not end")?,
        // Markdown begins with a heading, and may show what an advisory looks like.
        None if text.contains("\n```") => return Ok(None),
        None => (text, ""),
    };
    if !front.lines().any(|line| line.trim() == "[advisory]") {
        return Ok(None);
    }
    let document: Document = toml::from_str(front).map_err(|why| why.message().to_owned())?;
    let head = document.advisory;
    if head.collection.as_deref().is_some_and(|collection| collection != "crates") {
        return Ok(None);
    }
    let heading = body.lines().find_map(|line| line.strip_prefix("# "));
    let text = head.title.as_deref().or(heading).or(head.description.as_deref()).unwrap_or_default();
    let patched = [document.versions.patched, head.patched_versions].concat();
    let unaffected = [document.versions.unaffected, head.unaffected_versions].concat();
    let day = |text: &str| format!("{}T00:00:00Z", text.trim()).parse::<Timestamp>().ok();
    let affected = Affected {
        ecosystem: "crates.io".into(),
        name: head.package,
        ranges: vec![Range { scheme: Scheme::SemVer, events: remainder(&patched, &unaffected)? }],
        versions: Vec::new(),
        rating: Rating::default(),
    };
    Ok(Some(Advisory {
        id: head.id,
        aliases: head.aliases.into_iter().take(MOST_ALIASES).collect(),
        upstream: Vec::new(),
        summary: summary(text),
        modified: day(&head.date).max(head.withdrawn.as_deref().and_then(day)),
        withdrawn: head.withdrawn.is_some(),
        rating: head.cvss.as_deref().and_then(Rating::from_vector).unwrap_or_default(),
        informational: head.informational.unwrap_or_default(),
        affected: vec![affected],
    }))
}

/// A stretch of versions. Nothing stands for "without end".
#[derive(Debug, Clone, PartialEq)]
struct Interval {
    from: Option<Point>,
    to: Option<Point>,
    /// Its versions have a fix; else they never had the flaw.
    patched: bool,
}

/// A version; `after` puts the point behind it instead of before it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Point {
    version: String,
    after: bool,
}

impl Point {
    fn compare(&self, other: &Self) -> Ordering {
        let order = Scheme::SemVer.compare(&self.version, &other.version).unwrap_or(Ordering::Equal);
        order.then(self.after.cmp(&other.after))
    }
}

/// The events of all versions that none of the requirements matches.
fn remainder(patched: &[String], unaffected: &[String]) -> Result<Vec<Event>, String> {
    const MOST_REQUIREMENTS: usize = 1000;
    if patched.len() + unaffected.len() > MOST_REQUIREMENTS {
        return Err(format!("it has more than {MOST_REQUIREMENTS} version requirements"));
    }
    let all = patched.iter().map(|text| (text, true)).chain(unaffected.iter().map(|text| (text, false)));
    let mut intervals = all.map(|(text, patched)| interval(text, patched)).collect::<Result<Vec<_>, _>>()?;
    // A requirement that contradicts itself matches nothing.
    intervals.retain(|interval| match (&interval.from, &interval.to) {
        (Some(from), Some(to)) => from.compare(to).is_lt(),
        _ => true,
    });
    // Stable: where both begin, it is the fix that counts.
    intervals.sort_by(|a, b| match (&a.from, &b.from) {
        (Some(a), Some(b)) => a.compare(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    let mut events = Vec::new();
    let introduced = |point: Option<&Point>| match point {
        None => Event { kind: EventKind::Introduced, version: "0".into() },
        Some(Point { version, after: false }) => {
            Event { kind: EventKind::Introduced, version: version.clone() }
        }
        Some(Point { version, after: true }) => Event { kind: EventKind::After, version: version.clone() },
    };
    // Everything before `reached` is settled.
    let mut reached: Option<Point> = None;
    for interval in intervals {
        if let Some(from) = interval.from
            && reached.as_ref().is_none_or(|reached| reached.compare(&from).is_lt())
        {
            events.push(introduced(reached.as_ref()));
            let kind = match (from.after, interval.patched) {
                (true, _) => EventKind::LastAffected,
                (false, true) => EventKind::Fixed,
                (false, false) => EventKind::Until,
            };
            events.push(Event { kind, version: from.version });
        }
        let Some(to) = interval.to else { return Ok(events) };
        if reached.as_ref().is_none_or(|reached| reached.compare(&to).is_lt()) {
            reached = Some(to);
        }
    }
    events.push(introduced(reached.as_ref()));
    Ok(events)
}

/// One of Cargo's version requirements, `>= 1.2, < 2`, as an interval.
fn interval(text: &str, patched: bool) -> Result<Interval, String> {
    let bad = || format!("`{}` is not a version requirement", text.chars().take(80).collect::<String>());
    let mut interval = Interval { from: None, to: None, patched };
    for comparator in text.split(',').map(str::trim) {
        let (operator, version) =
            comparator.split_at(comparator.find(|c: char| !"<>=^~ ".contains(c)).unwrap_or(0));
        let partial = Partial::parse(version).ok_or_else(bad)?;
        let at = |version: String| Some(Point { version, after: false });
        let (from, to) = match operator.trim() {
            "" if partial.numbers.is_empty() => (None, None),
            _ if partial.numbers.is_empty() => return Err(bad()),
            ">=" => (at(partial.lowest()), None),
            "<" => (None, at(partial.lowest())),
            ">" if partial.is_whole() => (Some(Point { version: partial.lowest(), after: true }), None),
            ">" => (at(partial.next(partial.numbers.len())), None),
            "<=" if partial.is_whole() => (None, Some(Point { version: partial.lowest(), after: true })),
            "<=" => (None, at(partial.next(partial.numbers.len()))),
            "=" if partial.is_whole() => {
                (at(partial.lowest()), Some(Point { version: partial.lowest(), after: true }))
            }
            "=" => (at(partial.lowest()), at(partial.next(partial.numbers.len()))),
            "~" => (at(partial.lowest()), at(partial.next(partial.numbers.len().min(2)))),
            "^" | "" => (at(partial.lowest()), at(partial.next(partial.caret()))),
            _ => return Err(bad()),
        };
        narrow(&mut interval.from, from, Ordering::Less);
        narrow(&mut interval.to, to, Ordering::Greater);
    }
    Ok(interval)
}

/// Replaces a bound by a stricter one: `wider` is how the old one compares then.
fn narrow(bound: &mut Option<Point>, other: Option<Point>, wider: Ordering) {
    let Some(other) = other else { return };
    if bound.as_ref().is_none_or(|bound| bound.compare(&other) == wider) {
        *bound = Some(other);
    }
}

/// A version that may stop early: `1`, `1.2`, `1.*`.
struct Partial {
    numbers: Vec<u64>,
    pre: String,
}

impl Partial {
    fn parse(text: &str) -> Option<Self> {
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (core, pre) = text.split_once('-').map_or((text, ""), |(core, pre)| (core, pre));
        let mut numbers = Vec::new();
        for part in core.split('.') {
            match part {
                "*" | "x" | "X" => break,
                part => numbers.push(part.parse().ok()?),
            }
        }
        let usable = numbers.len() <= 3 && (pre.is_empty() || numbers.len() == 3);
        // What is put together again must be a version.
        let partial = Self { numbers, pre: pre.into() };
        (usable && Scheme::SemVer.parse(&partial.lowest()).is_some()).then_some(partial)
    }

    fn is_whole(&self) -> bool {
        self.numbers.len() == 3
    }

    fn number(&self, at: usize) -> u64 {
        self.numbers.get(at).copied().unwrap_or(0)
    }

    fn lowest(&self) -> String {
        let hyphen = if self.pre.is_empty() { "" } else { "-" };
        format!("{}.{}.{}{hyphen}{}", self.number(0), self.number(1), self.number(2), self.pre)
    }

    /// The smallest version whose first `kept` numbers are larger, its
    /// pre-releases included: `2.0.0-alpha` does not satisfy `^1.2`.
    fn next(&self, kept: usize) -> String {
        let mut numbers = [0; 3];
        for (at, number) in numbers.iter_mut().enumerate().take(kept.max(1)) {
            *number = self.number(at);
        }
        let last = kept.max(1) - 1;
        numbers[last] = numbers[last].saturating_add(1);
        format!("{}.{}.{}-0", numbers[0], numbers[1], numbers[2])
    }

    /// How many numbers a caret holds fast: up to the first that is not 0.
    fn caret(&self) -> usize {
        let first = self.numbers.iter().position(|number| *number != 0);
        first.map_or(self.numbers.len(), |at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::range::{Extent, Verdict};

    fn events(requirements: &[&str]) -> Vec<(EventKind, String)> {
        let requirements: Vec<String> = requirements.iter().map(|text| (*text).into()).collect();
        let events = remainder(&requirements, &[]).unwrap_or_else(|why| panic!("{why}"));
        events.into_iter().map(|event| (event.kind, event.version)).collect()
    }

    #[test]
    fn what_no_requirement_matches_is_affected() {
        use EventKind::{After, Fixed, Introduced, LastAffected};
        for (requirements, expected) in [
            (&[][..], &[(Introduced, "0")][..]),
            (&[">= 1.2.3"], &[(Introduced, "0"), (Fixed, "1.2.3")]),
            (&["> 1.2.3"], &[(Introduced, "0"), (LastAffected, "1.2.3")]),
            (&[">= 1.2.3", "< 1.0.0"], &[(Introduced, "1.0.0"), (Fixed, "1.2.3")]),
            (&[">= 1.2.3", "<= 1.0.0"], &[(After, "1.0.0"), (Fixed, "1.2.3")]),
            (
                &["^1.2.3", ">= 2.0.1"],
                &[(Introduced, "0"), (Fixed, "1.2.3"), (Introduced, "2.0.0-0"), (Fixed, "2.0.1")],
            ),
            (
                &["^0.4.5", ">= 0.5.1, < 0.6", ">= 0.6.2"],
                &[
                    (Introduced, "0"),
                    (Fixed, "0.4.5"),
                    (Introduced, "0.5.0-0"),
                    (Fixed, "0.5.1"),
                    (Introduced, "0.6.0"),
                    (Fixed, "0.6.2"),
                ],
            ),
            (&["= 1.2.3"], &[(Introduced, "0"), (Fixed, "1.2.3"), (After, "1.2.3")]),
            (&["~1.2"], &[(Introduced, "0"), (Fixed, "1.2.0"), (Introduced, "1.3.0-0")]),
            (&["1.*"], &[(Introduced, "0"), (Fixed, "1.0.0"), (Introduced, "2.0.0-0")]),
            (&["*"], &[]),
            (&["^0.0.3"], &[(Introduced, "0"), (Fixed, "0.0.3"), (Introduced, "0.0.4-0")]),
            (&[">= 1.0.0-rc.2"], &[(Introduced, "0"), (Fixed, "1.0.0-rc.2")]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(kind, version)| (*kind, (*version).to_owned())).collect();
            assert_eq!(events(requirements), expected, "{requirements:?}");
        }
        for bad in ["", ">=", "1.2.3.4", ">> 1", "1.a", "latest", "1-alpha"] {
            assert!(interval(bad, true).is_err(), "{bad}");
        }
    }

    const MARKDOWN: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"sample\"\ndate = \"2099-01-02\"\n\
        aliases = [\"CVE-2099-1\"]\ncvss = \"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H\"\n\n[versions]\npatched = [\">= 1.2.3\"]\n\
        unaffected = [\"< 1.0.0\"]\n```\n\n# Reads past the end\n\nLong text.\n";

    #[test]
    fn markdown_and_toml_are_read() {
        let advisory = parse(MARKDOWN).ok().flatten().unwrap_or_else(|| panic!("not read"));
        assert_eq!((&*advisory.id, &*advisory.summary), ("RUSTSEC-2099-0001", "Reads past the end"));
        assert_eq!(advisory.rating.tenths, Some(98));
        assert_eq!(advisory.affected[0].name, "sample");
        let older = "[advisory]\nid = \"RUSTSEC-2017-0001\"\npackage = \"old\"\ndate = \"2017-01-01\"\ntitle = \"T\"\n\
                     patched_versions = [\">= 1.0.0\"]\n";
        assert_eq!(parse(older).ok().flatten().map(|a| a.affected[0].ranges[0].events.len()), Some(2));
    }

    #[test]
    fn what_never_had_the_flaw_is_no_fix() {
        let (patched, unaffected) = ([">= 0.2.23".to_owned()], ["= 0.2.0".to_owned(), "< 0.1.0".to_owned()]);
        let events = remainder(&patched, &unaffected).unwrap_or_else(|why| panic!("{why}"));
        let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.version.as_str())).collect();
        let expected = [
            (EventKind::Introduced, "0.1.0"),
            (EventKind::Until, "0.2.0"),
            (EventKind::After, "0.2.0"),
            (EventKind::Fixed, "0.2.23"),
        ];
        assert_eq!(kinds, expected);
    }

    /// Cargo's own crate for requirements decides the same for every release.
    #[test]
    fn semver_agrees() {
        let mut seed = 1_u64;
        let mut next = move |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let mut judged = [0; 2];
        for _ in 0..4000 {
            let mut requirement = || {
                let mut one = || {
                    let operator =
                        ["", "^", "~", "=", ">", ">=", "<", "<="][usize::try_from(next(8)).unwrap_or(0)];
                    let text = format!("{operator} {}.{}.{}", next(3), next(3), next(3));
                    let parts = 1 + usize::try_from(next(3)).unwrap_or(0);
                    text.split('.').take(parts).collect::<Vec<_>>().join(".").trim().to_owned()
                };
                let (first, second) = (one(), one());
                if next(3) == 0 { format!("{first}, {second}") } else { first }
            };
            let requirements = [requirement(), requirement()];
            let parsed = requirements
                .clone()
                .map(|text| semver::VersionReq::parse(&text).unwrap_or_else(|why| panic!("{text}: {why}")));
            let events =
                remainder(&requirements[..1], &requirements[1..]).unwrap_or_else(|why| panic!("{why}"));
            let extent =
                Extent::of(Scheme::SemVer, events.iter().map(|event| (event.kind, event.version.as_str())));
            for number in 0..64 {
                let version = format!("{}.{}.{}", number / 16, number / 4 % 4, number % 4);
                let release =
                    semver::Version::parse(&version).unwrap_or_else(|why| panic!("{version}: {why}"));
                let affected = !parsed.iter().any(|requirement| requirement.matches(&release));
                let ours = matches!(extent.judge(&version), Verdict::Inside(_));
                assert_eq!(ours, affected, "{version} by {requirements:?}: {events:?}");
                judged[usize::from(affected)] += 1;
            }
        }
        assert!(judged.iter().all(|count| *count > 10_000), "{judged:?}");
    }

    #[test]
    fn other_files_are_no_advisories_and_broken_ones_are_errors() {
        assert_eq!(parse("# Read me\n"), Ok(None));
        assert_eq!(parse(&format!("# How to\n\n{MARKDOWN}")), Ok(None));
        assert_eq!(parse("[package]\nname = 'a'\n"), Ok(None));
        assert_eq!(parse(&MARKDOWN.replace("date =", "collection = \"rust\"\ndate =")), Ok(None));
        for bad in [
            MARKDOWN.replace("\n```\n", ""),
            MARKDOWN.replace("id =", "ident ="),
            MARKDOWN.replace(">= 1.2.3", ">= x"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
