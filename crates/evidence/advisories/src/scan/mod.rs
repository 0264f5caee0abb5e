//! Components against advisories.

pub(crate) mod group;
pub(crate) mod range;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use plimsoll_model::Digest;

use crate::advisory::EventKind;
use crate::ecosystem::{self, NoQuery, Query};
use crate::index::{self, Cursor, Damaged, Details, Index};
use crate::purl::Purl;
use crate::report::{DatabaseInfo, Gap, Report, Uncovered};
use crate::severity::Rating;
use crate::version::Scheme;
use range::{Extent, Verdict};

/// What one advisory says about one component that it affects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Match {
    pub(crate) fixed_in: Option<String>,
    pub(crate) rating: Rating,
}

/// Compares every component with the index.
pub(crate) fn scan(index: &Index, sources: &[PathBuf], purls: &[String]) -> Result<Report, Damaged> {
    let mut uncovered = Vec::new();
    let unique: BTreeSet<&String> = purls.iter().collect();
    let mut asked: Vec<(&str, Query)> = Vec::new();
    for purl in &unique {
        let gap = |kind, why: String| Uncovered { purl: shown(purl), kind, why };
        match Purl::parse(purl) {
            Err(why) => uncovered.push(gap(Gap::NotAPurl, format!("it is not a package URL: {why}"))),
            Ok(parsed) => match ecosystem::query(&parsed) {
                Ok(query) => asked.push((purl, query)),
                Err(why) => uncovered.push(without_query(purl, &parsed, why)),
            },
        }
    }

    // Every name in every ecosystem that may have it, in the index's order.
    let mut keys: Vec<(Vec<u8>, usize)> = Vec::new();
    let mut ecosystems = Ecosystems { index, known: BTreeMap::new() };
    for (at, (purl, query)) in asked.iter().enumerate() {
        let numbers = ecosystems.matching(query);
        if numbers.is_empty() {
            let names: Vec<_> = query.ecosystems.iter().map(ecosystem::Pattern::describe).collect();
            let why = format!("the database has no advisories for {}", names[0]);
            uncovered.push(Uncovered { purl: shown(purl), kind: Gap::NoSource, why });
        }
        for name in &query.names {
            keys.extend(numbers.iter().map(|number| (index::package_key(*number, name), at)));
        }
    }
    keys.sort_unstable();

    let mut matches: BTreeMap<(usize, u32), Match> = BTreeMap::new();
    let mut unreadable: BTreeMap<usize, (String, Scheme, u64)> = BTreeMap::new();
    let (keys, components): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    index.packages(&keys, |position, mut value| {
        let component = components[position];
        let query = &asked[component].1;
        while !value.is_empty() {
            let number = u32::try_from(value.number()?).map_err(|_| Damaged("a number is too large"))?;
            match judge(Cursor(value.bytes()?), query)? {
                Judged::Affected(found) => {
                    let known = matches.remove(&(component, number));
                    let found = known.map_or(found.clone(), |known| known.join(found, query.scheme));
                    matches.insert((component, number), found);
                }
                Judged::Not => {}
                Judged::Unreadable(text, scheme) => {
                    unreadable.entry(component).or_insert((text, scheme, 0)).2 += 1;
                }
            }
        }
        Ok(())
    })?;
    for (component, (text, scheme, count)) in unreadable {
        let purl = shown(asked[component].0);
        uncovered.push(Uncovered { purl, kind: Gap::Version, why: without_order(&text, scheme, count) });
    }

    let numbers: Vec<u32> =
        matches.keys().map(|(_, number)| *number).collect::<BTreeSet<_>>().into_iter().collect();
    let details: BTreeMap<u32, Details> = numbers.iter().copied().zip(index.details(&numbers)?).collect();
    let matches =
        matches.into_iter().map(|((component, number), found)| (component, &details[&number], found));
    let mut by_component: BTreeMap<usize, Vec<(&Details, Match)>> = BTreeMap::new();
    matches.for_each(|(component, details, found)| {
        by_component.entry(component).or_default().push((details, found))
    });
    let mut findings = Vec::new();
    for (component, found) in by_component {
        let (purl, query) = &asked[component];
        findings.extend(group::findings(purl, query.scheme, found));
    }
    findings.sort_by(group::order);
    uncovered.sort();
    Ok(Report {
        findings,
        uncovered,
        components: unique.len() as u64,
        database: info(index, sources),
        ignores: Vec::new(),
    })
}

fn info(index: &Index, sources: &[PathBuf]) -> DatabaseInfo {
    let root = &index.root;
    let time = |seconds: Option<i64>| seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    DatabaseInfo {
        sources: sources.iter().map(|path| path.display().to_string()).collect(),
        advisories: root.advisories,
        newest_modified: time(root.newest_modified),
        newest_file: time(root.newest_file),
        digest: Digest::from_sha256(root.content()),
        unreadable: root.warned,
        warnings: root.warnings.clone(),
    }
}

/// A text out of an SBOM, fit to be shown.
fn shown(text: &str) -> String {
    const MOST: usize = 1024;
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}

fn without_query(text: &str, purl: &Purl, why: NoQuery) -> Uncovered {
    let (kind, why) = match why {
        NoQuery::Kind => (Gap::Kind, format!("there are no advisories for packages of type `{}`", purl.kind)),
        NoQuery::NoDistribution => {
            (Gap::NoDistribution, "its package URL does not name its distribution (`distro=…`)".into())
        }
        NoQuery::Distribution => {
            let distribution = purl.qualifier("distro").unwrap_or(&purl.namespace);
            (Gap::NoSource, format!("nobody publishes OSV advisories for `{distribution}`"))
        }
    };
    Uncovered { purl: shown(text), kind, why: shown(&why) }
}

fn without_order(text: &str, scheme: Scheme, count: u64) -> String {
    let advisories = if count == 1 { "1 advisory".into() } else { format!("{count} advisories") };
    if text.is_empty() {
        return format!("its version is not known, and there are advisories about it ({advisories})");
    }
    let text: String = text.chars().take(80).collect();
    format!(
        "`{text}` cannot be compared as a version of {}, so {advisories} could not be judged",
        scheme.name()
    )
}

/// Numbers of the ecosystems that a query asks. Many components ask the same.
struct Ecosystems<'a> {
    index: &'a Index,
    known: BTreeMap<String, Vec<usize>>,
}

impl Ecosystems<'_> {
    fn matching(&mut self, query: &Query) -> Vec<usize> {
        let name =
            query.ecosystems.iter().fold(String::new(), |name, pattern| name + &pattern.describe() + "\n");
        let all = &self.index.root.ecosystems;
        let matching = || {
            let wanted =
                |(name, _): &&(String, u64)| query.ecosystems.iter().any(|pattern| pattern.matches(name));
            all.iter().enumerate().filter(|(_, entry)| wanted(entry)).map(|(number, _)| number).collect()
        };
        self.known.entry(name).or_insert_with(matching).clone()
    }
}

enum Judged {
    Affected(Match),
    Not,
    Unreadable(String, Scheme),
}

/// Reads what an advisory says about a package and applies it to a version.
fn judge(mut cursor: Cursor<'_>, query: &Query) -> Result<Judged, Damaged> {
    let version = query.version.as_str();
    let rating = index::rating(&mut cursor)?;
    let mut extents = Vec::new();
    for _ in 0..cursor.count()? {
        let scheme = cursor.choice(&Scheme::ALL)?;
        let mut events = Vec::new();
        for _ in 0..cursor.count()? {
            events.push((cursor.choice(&EventKind::ALL)?, cursor.text()?));
        }
        extents.push(Extent::of(scheme, events.into_iter()));
    }
    let (mut inside, mut fixes, mut unreadable) = (false, Vec::new(), None);
    for extent in &extents {
        match extent.judge(version) {
            Verdict::Inside(fix) => {
                inside = true;
                fixes.extend(fix);
            }
            Verdict::Outside => {}
            Verdict::Unreadable(text, scheme) => unreadable = unreadable.or(Some((text, scheme))),
        }
    }
    let scheme = cursor.choice(&Scheme::ALL)?;
    let singles = cursor.count()?;
    let parsed = scheme.parse(version);
    for _ in 0..singles {
        let single = cursor.text()?;
        let same = || {
            let pair = parsed.as_ref().zip(scheme.parse(single));
            pair.is_some_and(|(version, single)| version.compare_to_bound(&single).is_eq())
        };
        if !inside && !version.is_empty() && (single == version || same()) {
            inside = true;
            fixes.extend(extents.iter().filter_map(|extent| extent.fix_for(version)));
        }
    }
    if inside {
        let larger = |a: &&str, b: &&str| scheme.compare(a, b).unwrap_or(std::cmp::Ordering::Equal);
        let fixed_in = fixes.into_iter().max_by(larger).map(Into::into);
        return Ok(Judged::Affected(Match { fixed_in, rating }));
    }
    // A list of single versions can be compared as texts, but not with nothing,
    // and another spelling of a version that has no order may be the same one.
    if singles > 0 && parsed.is_none() {
        unreadable = unreadable.or(Some((version.into(), scheme)));
    }
    Ok(unreadable.map_or(Judged::Not, |(text, scheme)| Judged::Unreadable(text, scheme)))
}

impl Match {
    /// The same advisory, said twice of one component.
    fn join(self, other: Self, scheme: Scheme) -> Self {
        Self {
            fixed_in: later(self.fixed_in, other.fixed_in, scheme),
            rating: self.rating.worse(other.rating),
        }
    }
}

/// The later of two versions: only that one is free of both.
pub(crate) fn later(left: Option<String>, right: Option<String>, scheme: Scheme) -> Option<String> {
    match (left, right) {
        (Some(a), Some(b)) => {
            Some(if scheme.compare(&a, &b).is_some_and(std::cmp::Ordering::is_lt) { b } else { a })
        }
        (a, b) => a.or(b),
    }
}
