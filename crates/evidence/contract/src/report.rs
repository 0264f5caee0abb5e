//! From single changes to findings: judged by the rules, gathered by component,
//! with the operations that each affects.

use std::collections::{BTreeMap, BTreeSet};

use crate::compare::{Comparison, Operation};
use crate::delta::{Delta, Standing, What};
use crate::finding::{Detail, Document, Finding, Level};
use crate::load::Contract;
use crate::place::{Place, Places};
use crate::rules::{RULES, Rule};
use crate::tree::Id;

/// Names of so many subjects are spelt out in a sentence.
const SPELT: usize = 6;

/// Who uses what is looked up in so many steps; real documents need a thousandth.
const LOOKS: u64 = 200_000_000;

/// Says to parts to fields.
type Clauses = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What one rule says about one component.
struct Group {
    rule: &'static Rule,
    place: Place,
    /// What is said, and about what: parts, and the fields of each.
    clauses: Clauses,
    details: BTreeMap<(Standing, Id, String), Detail>,
    at: BTreeSet<u32>,
    /// Whether it is told alone, whatever else is like it: a whole operation.
    alone: bool,
}

/// The findings, worst first.
pub(crate) fn findings(old: &Contract, new: &Contract, comparison: &Comparison) -> Vec<Finding> {
    let places = (Places::of(old), Places::of(new));
    let mut groups: BTreeMap<(usize, String), Group> = BTreeMap::new();
    for delta in &comparison.deltas {
        for (number, rule) in RULES.iter().enumerate() {
            let Some(says) = (rule.says)(delta) else { continue };
            let place = match delta.standing {
                Standing::Old => places.0.place(delta.old),
                Standing::New => places.1.place(delta.new),
            };
            // People read all words at once, whatever they are about.
            let home = if rule.level == Level::Editorial { String::new() } else { place.home.clone() };
            let detail = detail(old, new, delta, &place, &says);
            let group = groups.entry((number, home)).or_insert_with(|| Group {
                rule,
                place: place.clone(),
                clauses: BTreeMap::new(),
                details: BTreeMap::new(),
                at: BTreeSet::new(),
                alone: matches!(delta.what, What::OperationAdded | What::OperationRemoved { .. }),
            });
            let id = if delta.standing == Standing::Old { delta.old } else { delta.new };
            group.clauses.entry(says.clone()).or_default().entry(place.part).or_default().insert(place.field);
            group.details.insert((delta.standing, id, says), detail);
            group.at.insert(delta.at);
        }
    }
    let mut users = Users::new(comparison);
    let mut findings: Vec<Finding> =
        fold(groups.into_values()).into_iter().map(|groups| finding(groups, &mut users)).collect();
    findings.sort_by(|one, two| {
        let key = |finding: &Finding| {
            (std::cmp::Reverse(finding.level), finding.location.clone(), finding.rule.clone())
        };
        key(one).cmp(&key(two))
    });
    findings
}

/// The same change made in several components is one finding.
fn fold(groups: impl Iterator<Item = Group>) -> Vec<Vec<Group>> {
    let mut folded: BTreeMap<(&str, Clauses, String), Vec<Group>> = BTreeMap::new();
    for group in groups {
        let home = if group.alone { group.place.home.clone() } else { String::new() };
        folded.entry((group.rule.page.code, group.clauses.clone(), home)).or_default().push(group);
    }
    folded.into_values().collect()
}

fn finding(groups: Vec<Group>, users: &mut Users<'_>) -> Finding {
    let first = &groups[0];
    let at: BTreeSet<u32> = groups.iter().flat_map(|group| &group.at).copied().collect();
    let (operations, complete) = users.operations(&at);
    let rule = first.rule;
    let mut message = if rule.level == Level::Editorial {
        let count = first.details.len();
        format!("{}: {}", counted(count, "place"), clauses(first))
    } else {
        let more = if groups.len() > 1 { format!(" and {} more", groups.len() - 1) } else { String::new() };
        format!("{}{more}: {}", first.place.label, clauses(first))
    };
    let mut level = rule.level;
    let early = |operation: &&Operation| matches!(operation.stability.as_deref(), Some("draft" | "alpha"));
    if level == Level::Breaking && complete && !operations.is_empty() && operations.iter().all(early) {
        level = Level::Additive;
        message.push_str(" (only in operations that are not stable yet)");
    }
    if !complete {
        message.push_str(" (not all operations that it affects are listed)");
    }
    let shown: BTreeSet<String> =
        operations.iter().map(|operation| format!("{} {}", operation.method, operation.path)).collect();
    let lead = operations.iter().min_by_key(|operation| (&operation.path, &operation.method));
    let components: Vec<String> =
        groups.iter().filter(|group| group.place.component).map(|group| group.place.home.clone()).collect();
    let (method, path) = match lead {
        Some(operation) => (Some(operation.method.clone()), Some(operation.path.clone())),
        None => (None, None),
    };
    let mut components = if rule.level == Level::Editorial { Vec::new() } else { components }.into_iter();
    let details: Vec<Detail> = groups.iter().flat_map(|group| group.details.values().cloned()).collect();
    Finding {
        rule: rule.page.code.into(),
        name: rule.page.name.into(),
        level,
        method,
        path,
        location: details.first().map(|detail| detail.location.clone()).unwrap_or_default(),
        message,
        operations: shown.into_iter().collect(),
        component: components.next(),
        also: components.collect(),
        details,
        accepted: None,
    }
}

/// `a, b no longer sent; c no longer accepted`.
fn clauses(group: &Group) -> String {
    let clauses: Vec<String> = group
        .clauses
        .iter()
        .map(|(says, parts)| {
            let named: Vec<String> = parts.iter().map(|(part, fields)| spelt(part, fields)).collect();
            let named: Vec<&str> = named.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            if named.is_empty() || group.rule.level == Level::Editorial {
                return says.clone();
            }
            let text = some_of(&named);
            format!("{text} {says}")
        })
        .collect();
    let more = clauses.len().saturating_sub(SPELT);
    let mut text = clauses[..clauses.len() - more].join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more changes of this kind"));
    }
    text
}

/// `request body `a`, `b``.
fn spelt(part: &str, fields: &BTreeSet<String>) -> String {
    let fields: Vec<&str> = fields.iter().map(String::as_str).filter(|field| !field.is_empty()).collect();
    let blank = if part.is_empty() || fields.is_empty() { "" } else { " " };
    format!("{part}{blank}{}", some_of(&fields))
}

/// The first few of many.
fn some_of(names: &[&str]) -> String {
    let more = names.len().saturating_sub(SPELT);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn detail(old: &Contract, new: &Contract, delta: &Delta, place: &Place, says: &String) -> Detail {
    let (contract, id, document) = match delta.standing {
        Standing::Old => (old, delta.old, Document::Old),
        Standing::New => (new, delta.new, Document::New),
    };
    // What is gone has no line in the new document; what it stood in has one.
    let position = new.position(delta.new);
    Detail {
        location: contract.identity(id),
        document,
        file: position.file,
        line: position.line,
        column: position.column,
        message: [&place.part, &place.field, says]
            .into_iter()
            .filter(|s| !s.is_empty())
            .cloned()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Who uses what, backwards.
struct Users<'a> {
    comparison: &'a Comparison,
    /// The round in which a part was last seen.
    seen: Vec<u32>,
    round: u32,
    /// Parts that may still be looked at.
    left: u64,
}

impl<'a> Users<'a> {
    fn new(comparison: &'a Comparison) -> Self {
        Self { comparison, seen: vec![0; comparison.users.len()], round: 0, left: LOOKS }
    }

    /// The operations that use any of these parts, and whether these are all.
    fn operations(&mut self, parts: &BTreeSet<u32>) -> (Vec<&'a Operation>, bool) {
        self.round += 1;
        let mut found = Vec::new();
        let mut open: Vec<u32> = parts.iter().copied().collect();
        while let Some(part) = open.pop() {
            if std::mem::replace(&mut self.seen[part as usize], self.round) == self.round {
                continue;
            }
            if let Some(operation) = self.comparison.operations.get(&part)
                && !operation.method.is_empty()
            {
                found.push(operation);
            }
            let users = &self.comparison.users[part as usize];
            let Some(left) = self.left.checked_sub(users.len() as u64 + 1) else { return (found, false) };
            self.left = left;
            open.extend(users);
        }
        (found, true)
    }
}
