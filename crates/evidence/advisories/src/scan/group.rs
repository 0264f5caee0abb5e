//! One finding for each vulnerability: advisories that name each other as
//! aliases are put together.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::index::Details;
use crate::report::Finding;
use crate::severity::{Rating, Severity};
use crate::version::Scheme;

use super::{Match, later};

/// The findings in one component.
pub(crate) fn findings(purl: &str, scheme: Scheme, matches: Vec<(&Details, Match)>) -> Vec<Finding> {
    let names: Vec<BTreeSet<String>> = matches.iter().map(|(details, _)| names(details)).collect();
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (at, group) in together(&names).into_iter().enumerate() {
        groups.entry(group).or_default().push(at);
    }
    let findings = groups.into_values().map(|members| finding(purl, scheme, &members, &names, &matches));
    without_bundles(findings.collect())
}

/// A distribution's advisory fixes several vulnerabilities. Where each of them
/// was found on its own, it is told there and is no finding besides.
fn without_bundles(findings: Vec<Finding>) -> Vec<Finding> {
    let is_told = |name: &String| findings.iter().any(|finding| finding.is_named(name));
    let bundle = |finding: &Finding| !finding.upstream.is_empty() && finding.upstream.iter().all(is_told);
    let (bundles, mut findings): (Vec<_>, Vec<_>) = findings.iter().cloned().partition(bundle);
    for bundle in &bundles {
        for finding in
            findings.iter_mut().filter(|finding| bundle.upstream.iter().any(|name| finding.is_named(name)))
        {
            finding.part_of.push(bundle.id.clone());
            finding.fixed_in = finding.fixed_in.take().or_else(|| bundle.fixed_in.clone());
        }
    }
    findings
}

/// Order of findings: most severe first.
pub(crate) fn order(a: &Finding, b: &Finding) -> Ordering {
    let score = |finding: &Finding| finding.score.unwrap_or(-1.0);
    b.severity
        .cmp(&a.severity)
        .then_with(|| score(b).total_cmp(&score(a)))
        .then_with(|| a.id.cmp(&b.id))
        .then_with(|| a.purl.cmp(&b.purl))
}

/// All names of an advisory. `DEBIAN-CVE-2099-1` is the CVE that its id ends
/// with; an advisory that fixes several has names of its own.
fn names(details: &Details) -> BTreeSet<String> {
    let within = |upstream: &&String| {
        details.id.strip_suffix(upstream.as_str()).is_some_and(|rest| rest.ends_with('-'))
    };
    let own = std::iter::once(&details.id);
    own.chain(&details.aliases).chain(details.upstream.iter().filter(within)).cloned().collect()
}

/// For each set of names the number of its group: sets that share a name,
/// directly or not, are one group.
fn together(names: &[BTreeSet<String>]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..names.len()).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (at, names) in names.iter().enumerate() {
        for name in names {
            let other = *first.entry(name).or_insert(at);
            let (a, b) = (root(&mut parent, at), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    (0..names.len()).map(|at| root(&mut parent, at)).collect()
}

/// The ecosystem's own database knows its packages best, GitHub's next.
fn preference(id: &str) -> u8 {
    match id {
        id if id.starts_with("CVE-") => 2,
        id if id.starts_with("GHSA-") => 1,
        _ => 0,
    }
}

fn finding(
    purl: &str,
    scheme: Scheme,
    members: &[usize],
    names: &[BTreeSet<String>],
    matches: &[(&Details, Match)],
) -> Finding {
    let key = |at: &&usize| (preference(&matches[**at].0.id), matches[**at].0.id.as_str());
    let chosen = members.iter().min_by_key(key).copied().unwrap_or_default();
    let (details, _) = &matches[chosen];
    let mut rating = Rating::default();
    let mut fixed_in = None;
    for (details, found) in members.iter().map(|at| &matches[*at]) {
        // What is said about this package counts before what is said in general.
        let own = if found.rating.severity.is_some() { &found.rating } else { &details.rating };
        rating = rating.worse(own.clone());
        fixed_in = later(fixed_in, found.fixed_in.clone(), scheme);
    }
    let all = || members.iter().map(|at| matches[*at].0);
    // As soon as one calls it a vulnerability, it is one.
    let informational =
        if all().all(|details| !details.informational.is_empty()) { &*details.informational } else { "" };
    let summary = all().map(|details| details.summary.as_str()).find(|summary| !summary.is_empty());
    let summary = Some(details.summary.as_str()).filter(|summary| !summary.is_empty()).or(summary);
    let aliases: BTreeSet<&String> = members.iter().flat_map(|at| &names[*at]).collect();
    let upstream: BTreeSet<&String> = all().flat_map(|details| &details.upstream).collect();
    Finding {
        id: details.id.clone(),
        upstream: upstream.difference(&aliases).map(|name| (*name).clone()).collect(),
        aliases: aliases.into_iter().filter(|name| **name != details.id).cloned().collect(),
        purl: purl.into(),
        severity: rating.severity.unwrap_or(Severity::Unknown),
        fixed_in,
        score: rating.tenths.map(|tenths| f64::from(tenths) / 10.0),
        vector: rating.vector,
        summary: summary.unwrap_or_default().into(),
        informational: informational.into(),
        part_of: Vec::new(),
        suppressed: None,
    }
}
