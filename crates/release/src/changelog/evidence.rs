//! Lines that evidence gives: what clients, operators and auditors notice.

use super::entries::{Entry, Group, inline};
use super::marker::Source;
use crate::facts::{
    Advisory, ApiEvidence, ApiLevel, Dependency, DependencyChange, DependencyEvidence, SchemaEvidence,
    SchemaStep, StepClass,
};
use crate::wording::{capital, sentence};

/// Lines of one kind of evidence; of the rest there is a number. Nobody reads
/// thousands, and the comparison itself is at hand.
const MOST: usize = 200;

pub(super) fn of_api(api: &ApiEvidence, entries: &mut Vec<Entry>) {
    let told: Vec<_> = api.changes.iter().filter(|change| change.level > ApiLevel::Editorial).collect();
    for change in told.iter().take(MOST) {
        let mut text = sentence(change);
        if let Some(reason) = &change.accepted {
            text = format!("{text} (accepted: {reason})");
        }
        let first = change.operations.first().map(String::as_str).unwrap_or_default();
        let key = [change.rule.as_str(), first, &change.location];
        let cited = format!("{} {}", change.rule, change.location);
        let entry = Entry::new(Group::Api, Source::Api, &key, inline(&text), cited);
        entries.push(if change.level == ApiLevel::Breaking { entry.breaking() } else { entry });
    }
    let more = told.len().saturating_sub(MOST);
    if more > 0 {
        let text = format!("{more} more changes, which `plimsoll contract diff` lists");
        entries.push(Entry::new(Group::Api, Source::Api, &["more"], text, "more"));
    }
}

pub(super) fn of_schema(schema: &SchemaEvidence, shared: bool, entries: &mut Vec<Entry>) {
    for step in schema.steps.iter().take(MOST) {
        let entry = Entry::new(
            Group::Schema,
            Source::Schema,
            &[&step.file],
            inline(&step_text(step)),
            format!("{} {}", step.file, rules(step)),
        );
        entries.push(if step.breaks() && shared { entry.breaking() } else { entry });
    }
    for difference in schema.differences.iter().take(MOST) {
        let (kind, name) = difference.what.split_once(' ').unwrap_or(("part", &difference.what));
        let text = match difference.added {
            true => format!("New {kind} `{name}`"),
            false => format!("{} `{name}` is gone", capital(kind)),
        };
        let key = ["difference", difference.what.as_str()];
        let cited = difference.what.replace(' ', ":");
        entries.push(Entry::new(Group::Schema, Source::Schema, &key, inline(&text), cited));
    }
    let more = schema.steps.len().saturating_sub(MOST) + schema.differences.len().saturating_sub(MOST);
    if more > 0 {
        let text = format!("{more} more changes, which `plimsoll migrate lint` lists");
        entries.push(Entry::new(Group::Schema, Source::Schema, &["more"], text, "more"));
    }
}

/// The file and what it does, for whoever runs the service or shares its database.
fn step_text(step: &SchemaStep) -> String {
    let file = format!("Migration `{}`", step.file);
    if !step.taken.is_empty() {
        let taken: Vec<&str> = step.taken.iter().map(|taken| taken.message.as_str()).collect();
        return format!("{file} takes away what older code may use: {}", taken.join("; "));
    }
    let does = match step.class {
        StepClass::Expand => "adds to the database; older code goes on working",
        StepClass::Backfill => "changes rows that are there",
        StepClass::Contract => "takes away what older code may use",
        StepClass::Unsafe => "may stop readers or writers while it runs",
    };
    format!("{file} {does}")
}

fn rules(step: &SchemaStep) -> String {
    let mut rules: Vec<&str> = step.taken.iter().map(|taken| taken.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    if rules.is_empty() { step.class.to_string() } else { rules.join(",") }
}

pub(super) fn of_dependencies(dependencies: &DependencyEvidence, entries: &mut Vec<Entry>) {
    for change in dependencies.changes.iter().take(MOST) {
        let key = [
            change.package.as_str(),
            change.from.as_deref().unwrap_or_default(),
            // A package that moves on within one release stays one line.
            if change.change == DependencyChange::Removed { "removed" } else { "" },
        ];
        entries.push(Entry::new(
            Group::Dependencies,
            Source::Dependency,
            &key,
            inline(&dependency_text(change)),
            change.package.clone(),
        ));
    }
    let more = dependencies.changes.len().saturating_sub(MOST);
    if more > 0 {
        let text = format!("{more} more changes, which `plimsoll sbom diff` lists");
        entries.push(Entry::new(Group::Dependencies, Source::Dependency, &["more"], text, "more"));
    }
}

fn dependency_text(change: &Dependency) -> String {
    let (kind, name) = package(&change.package);
    let (from, to) = (change.from.as_deref().unwrap_or_default(), change.to.as_deref().unwrap_or_default());
    let name = format!("`{name}` ({kind})");
    match change.change {
        DependencyChange::Added => format!("Added {name} {to}"),
        DependencyChange::Removed => format!("Removed {name} {from}"),
        DependencyChange::Upgraded => format!("Upgraded {name} from {from} to {to}"),
        DependencyChange::Downgraded => format!("Downgraded {name} from {from} to {to}"),
        DependencyChange::Changed => format!("Changed {name} from {from} to {to}"),
    }
}

/// `pkg:npm/%40acme/ui@1.0` as kind and name.
fn package(purl: &str) -> (&str, String) {
    let rest = purl.strip_prefix("pkg:").unwrap_or(purl);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (kind, name) = rest.split_once('/').unwrap_or(("package", rest));
    let name = name.split('@').next().unwrap_or(name);
    (kind, name.replace("%40", "@").replace("%2F", "/"))
}

pub(super) fn of_advisories(dependencies: &DependencyEvidence, entries: &mut Vec<Entry>) {
    for (advisories, word) in [(&dependencies.vanished, "vanished"), (&dependencies.appeared, "appeared")] {
        for advisory in advisories.found().into_iter().flatten().take(MOST) {
            let key = [word, advisory.id.as_str(), &advisory.package];
            let text = advisory_text(advisory, word == "vanished");
            let cited = format!("{} {}", advisory.id, advisory.package);
            entries.push(Entry::new(Group::Security, Source::Security, &key, inline(&text), cited));
        }
    }
}

fn advisory_text(advisory: &Advisory, vanished: bool) -> String {
    let (_, name) = package(&advisory.package);
    let version =
        advisory.package.rsplit_once('@').map(|(_, version)| format!(" {version}")).unwrap_or_default();
    let mut named: Vec<&str> = advisory.aliases.iter().map(String::as_str).take(2).collect();
    let severity = format!("severity {}", advisory.severity);
    named.push(&severity);
    let summary = if advisory.summary.is_empty() { String::new() } else { format!(": {}", advisory.summary) };
    let does = if vanished { "no longer affects this service" } else { "is known to affect this release" };
    format!("{} ({}) in `{name}`{version} {does}{summary}", advisory.id, named.join(", "))
}
