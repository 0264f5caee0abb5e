//! Puts a trace beside what the lint says without one. What was seen wins.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_evidence_migration_lint::{
    Class, FileReport, Finding, Lock, Report, Severity, Statement, Traced, Withdrawn, Work,
};
use plimsoll_model::Page;

use crate::run::strong;
use crate::{Trace, TracedFile};

/// What the trace finds and no rule does.
pub const PAGE: Page = Page {
    code: "MIG-095",
    name: "seen-only-in-trace",
    what: "On the scratch database a statement rewrote a table in use, or read all of it under a lock that \
           writes wait for, and no rule had said so.",
    why: "The lint judges by what it reads. Functions, extensions, inheritance and what a DO block puts together \
          only show when they run.",
    how: "Look at the locks of the statement in the report, and split it as its kind demands: NOT VALID and \
          VALIDATE, CONCURRENTLY, a new column and a backfill.",
};

/// Rules that say that a table is written again.
const REWRITES: &[&str] = &["MIG-011", "MIG-013", "MIG-040", "MIG-043"];
/// Rules that say that a table is read under a lock.
const SCANS: &[&str] = &["MIG-012", "MIG-020", "MIG-021", "MIG-023", "MIG-030", "MIG-033", "MIG-081"];
/// Rules that say that a lock is held.
const LOCKS: &[&str] = &["MIG-032", "MIG-041", "MIG-042", "MIG-082"];

/// The report with what the trace saw: findings that it refutes are withdrawn, with
/// the reason; what no rule foresaw is added.
#[must_use]
pub fn merge(mut report: Report, trace: &Trace) -> Report {
    let files: BTreeMap<&str, &TracedFile> =
        trace.files.iter().map(|file| (file.file.as_str(), file)).collect();
    for file in &mut report.files {
        if let Some(traced) = files.get(file.file.as_str()) {
            merge_file(file, traced);
        }
    }
    report.trace = Some(trace.on.clone());
    report
}

/// Where a statement begins.
type Place = (usize, usize);

fn merge_file(file: &mut FileReport, traced: &TracedFile) {
    file.untraced.clone_from(&traced.ended);
    let mut places: Vec<(Place, &Traced)> =
        traced.statements.iter().map(|it| ((it.line, it.column), &it.traced)).collect();
    places.sort_by_key(|(place, _)| *place);
    // A finding within a block is further on than its statement.
    let statement_of = |place: Place| {
        let at = places.partition_point(|(start, _)| *start <= place);
        at.checked_sub(1).map(|at| places[at])
    };
    let mut kept = Vec::new();
    for finding in file.findings.drain(..) {
        let seen = statement_of((finding.line, finding.column)).and_then(|(_, seen)| refuted(&finding, seen));
        match seen {
            Some(reason) => file.withdrawn.push(Withdrawn { finding, reason }),
            None => kept.push(finding),
        }
    }
    file.findings = kept;
    let judged: BTreeSet<Place> = file
        .findings
        .iter()
        .filter(|finding| {
            let code = finding.rule.as_str();
            REWRITES.contains(&code) || SCANS.contains(&code) || code == "MIG-062" || code == "MIG-010"
        })
        .filter_map(|finding| Some(statement_of((finding.line, finding.column))?.0))
        .collect();
    for (place, seen) in &places {
        let at = file.statements.iter().position(|it| (it.line, it.column) == *place);
        let shows = seen.locks.iter().any(strong) || seen.failed.is_some() || seen.not_run.is_some();
        match at {
            Some(at) => file.statements[at].trace = Some((*seen).clone()),
            None if shows => file.statements.push(Statement {
                line: place.0,
                column: place.1,
                locks: Vec::<Lock>::new(),
                work: Work::Catalogue,
                trace: Some((*seen).clone()),
            }),
            None => {}
        }
        if !judged.contains(place)
            && let Some(finding) = unforeseen(*place, seen)
        {
            file.findings.push(finding);
        }
    }
    file.statements.sort_by_key(|statement| (statement.line, statement.column));
    file.findings.sort_by_key(|finding| (finding.line, finding.column));
    let stops = file.findings.iter().any(|finding| finding.severity == Severity::Error);
    if stops {
        file.class = Class::Unsafe;
    } else if file.class == Class::Unsafe {
        file.class = calmer(file);
    }
}

/// What a file is whose errors were all withdrawn.
fn calmer(file: &FileReport) -> Class {
    let takes_away = file.findings.iter().any(|finding| finding.rule.starts_with("MIG-05"));
    let fills = file.findings.iter().any(|finding| finding.rule.starts_with("MIG-06"));
    match (takes_away, fills) {
        (true, _) => Class::Contract,
        (false, true) => Class::Backfill,
        (false, false) => Class::Expand,
    }
}

/// Whether it ran to its end, so that what was not seen was not there.
fn complete(seen: &Traced) -> bool {
    seen.failed.is_none() && seen.not_run.is_none()
}

/// Why a finding does not hold.
fn refuted(finding: &Finding, seen: &Traced) -> Option<String> {
    let code = finding.rule.as_str();
    if !complete(seen) {
        return None;
    }
    let stops =
        |name: &&String| seen.locks.iter().any(|lock| lock.in_use && strong(lock) && lock.on == **name);
    if REWRITES.contains(&code) {
        let rewritten = seen.rewritten.iter().any(|name| stops(&name));
        let indexes = !seen.indexes.is_empty() || seen.scanned.iter().any(|name| stops(&name));
        return (!rewritten && !indexes && !seen.sampled)
            .then(|| "no table in use was written or read again when it ran".into());
    }
    if SCANS.contains(&code) {
        let read = seen.scanned.iter().chain(&seen.rewritten).any(|name| stops(&name)) || built(seen);
        return (!read && !seen.sampled).then(|| "no table in use was read under a lock when it ran".into());
    }
    if LOCKS.contains(&code) {
        let held = seen.locks.iter().any(|lock| lock.in_use && strong(lock));
        return (!held && !seen.sampled)
            .then(|| "no lock that others wait for was taken on anything in use when it ran".into());
    }
    None
}

/// Whether an index of a table in use was built while writes wait.
fn built(seen: &Traced) -> bool {
    !seen.indexes.is_empty() && seen.locks.iter().any(|lock| lock.in_use && strong(lock))
}

/// What was seen and no rule had said.
fn unforeseen(place: Place, seen: &Traced) -> Option<Finding> {
    if !complete(seen) || seen.sampled {
        return None;
    }
    let lock_on = |name: &String| {
        seen.locks.iter().find(|lock| lock.in_use && strong(lock) && !lock.earlier && lock.on == *name)
    };
    let rewritten = seen.rewritten.iter().find_map(|name| Some((name, lock_on(name)?)));
    let scanned = seen.scanned.iter().find_map(|name| Some((name, lock_on(name)?)));
    let (what, (name, lock)) = match (rewritten, scanned) {
        (Some(found), _) => ("wrote all of", found),
        (None, Some(found)) => ("read all of", found),
        (None, None) => return None,
    };
    Some(Finding {
        rule: PAGE.code.into(),
        name: PAGE.name.into(),
        severity: Severity::Error,
        line: place.0,
        column: place.1,
        message: format!("when it ran it {what} `{name}` under {}, which no rule foresaw", lock.mode),
        hint: "split it so that rows are read or written without a lock that others wait for".into(),
    })
}
