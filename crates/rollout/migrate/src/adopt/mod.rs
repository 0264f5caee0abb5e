//! Databases that another tool migrated so far: its table is read, compared with the
//! files, and taken over. The other table is left as it is.

mod compare;

use std::collections::BTreeSet;
use std::fmt;

use plimsoll_evidence_migration_lint::{Layout, RUNNER_TABLES, Script, Scripts};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::record::{Record, checksum, run_here};
use crate::report::AdoptReport;
use crate::session::{Session, Stop};
use crate::table::MOST;
use compare::Sum;

/// A tool whose table is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tool(pub Layout);

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Another tool's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// The tool.
    pub tool: Tool,
    /// Its table.
    pub table: String,
}

/// What to adopt.
#[derive(Debug, Clone, Default)]
pub struct AdoptOptions {
    /// Without a table of another tool: the file up to which all were run by hand.
    pub through: Option<String>,
    /// Files that may differ from what the other tool recorded.
    pub accept: BTreeSet<String>,
    /// The commit whose migrations these are.
    pub release: Option<String>,
    /// Who says so.
    pub actor: String,
}

/// One line of another tool's table.
#[derive(Debug, Clone)]
struct Entry {
    /// The version, or the file's name where there is none.
    version: String,
    sum: Option<Sum>,
    /// Why it does not count as applied.
    problem: Option<String>,
}

/// The table of another tool, if there is one.
pub(crate) async fn find<S: Session>(session: &mut S) -> Result<Option<Foreign>, Error> {
    for (table, layout) in RUNNER_TABLES {
        if !session.has(table, None).await? {
            continue;
        }
        let tool = match layout {
            Layout::Dbmate if session.has(table, Some("dirty")).await? => Layout::GolangMigrate,
            other => other,
        };
        return Ok(Some(Foreign { tool: Tool(tool), table: table.into() }));
    }
    Ok(None)
}

/// Records what another tool ran.
pub(crate) async fn adopt<S: Session>(
    session: &mut S,
    scripts: &Scripts,
    options: &AdoptOptions,
) -> Result<AdoptReport, Error> {
    if let Err(holder) = session.lock().await? {
        return Err(Error::Busy { database: session.name().into(), holder, waited_sec: 0.0 });
    }
    let result = adopt_locked(session, scripts, options).await;
    let _ = session.rollback().await;
    let _ = session.unlock().await;
    result
}

async fn adopt_locked<S: Session>(
    session: &mut S,
    scripts: &Scripts,
    options: &AdoptOptions,
) -> Result<AdoptReport, Error> {
    let database = session.name().to_owned();
    let history = session.history().await?;
    if history.records.as_ref().is_some_and(|records| !records.is_empty()) {
        let reason = "it has Plimsoll's table already, with entries".into();
        return Err(Error::NothingToAdopt { database, reason });
    }
    let (origin, table, taken) = match (&options.through, find(session).await?) {
        (Some(through), _) => {
            let Some(last) = scripts.files.iter().position(|script| script.path == *through) else {
                let reason = format!("there is no migration `{through}`");
                return Err(Error::NothingToAdopt { database, reason });
            };
            let files = scripts.files[..=last].iter().filter(|script| !script.repeatable).collect();
            ("by-hand".to_owned(), None, Taken { files, ..Taken::default() })
        }
        (None, Some(foreign)) => {
            let entries = entries(session, &foreign).await?;
            let taken = compare(&database, &foreign, &entries, scripts, &options.accept)?;
            (foreign.tool.to_string(), Some(foreign.table), taken)
        }
        (None, None) => {
            let reason = "no table of another tool is there".into();
            return Err(Error::NothingToAdopt { database, reason });
        }
    };
    session.prepare().await?;
    let run = format!("{:032x}", fastrand::u128(..));
    let adopted: Vec<String> = taken.files.iter().map(|script| script.path.clone()).collect();
    let other = |stop: Stop| match stop {
        Stop::Other(error) => error,
        Stop::Lock(_) => Error::Busy { database: database.clone(), holder: "a lock".into(), waited_sec: 0.0 },
        Stop::Refused { message, .. } => {
            Error::Table { database: database.clone(), table: crate::record::TABLE.into(), reason: message }
        }
    };
    session.begin("").await.map_err(other)?;
    for script in taken.files {
        let record = record(script, &origin, &run, options);
        session.write(&record, true, true).await.map_err(other)?;
    }
    session.commit().await.map_err(other)?;
    Ok(AdoptReport {
        schema: "plimsoll/migrate-adopt/v1".into(),
        database,
        origin,
        table,
        adopted,
        compared: taken.compared,
        unknown: taken.unknown,
    })
}

fn record(script: &Script, origin: &str, run: &str, options: &AdoptOptions) -> Record {
    let statements = i32::try_from(run_here(script).len()).unwrap_or(i32::MAX);
    Record {
        path: script.path.clone(),
        version: script.version.clone(),
        checksum: checksum(&script.checksum_text),
        class: String::new(),
        release: options.release.clone(),
        origin: origin.into(),
        applied_by: options.actor.clone(),
        run: run.into(),
        started_at: String::new(),
        finished_at: None,
        duration_ms: 0,
        statements,
        done: statements,
        done_checksum: None,
        in_doubt: None,
        failure: None,
        // Whatever ran it ran them, too.
        backfills: Vec::new(),
    }
}

/// Which files another tool ran.
#[derive(Default)]
struct Taken<'a> {
    files: Vec<&'a Script>,
    /// How many were compared by a checksum.
    compared: usize,
    /// Versions that it ran and that are not among the files.
    unknown: Vec<String>,
}

fn compare<'a>(
    database: &str,
    foreign: &Foreign,
    entries: &[Entry],
    scripts: &'a Scripts,
    accept: &BTreeSet<String>,
) -> Result<Taken<'a>, Error> {
    let refuse = |reason: String, next: &str| Error::NotAdoptable {
        database: database.into(),
        tool: foreign.tool.to_string(),
        reason,
        next: next.into(),
    };
    if let Some((entry, problem)) = entries.iter().find_map(|it| Some((it, it.problem.as_ref()?))) {
        return Err(refuse(
            format!("version {} {problem}", entry.version),
            "look what of it took effect, finish or undo it with that tool, then adopt",
        ));
    }
    let mut taken = Taken::default();
    match foreign.tool.0 {
        // Both write down only where they are.
        Layout::GolangMigrate | Layout::Alembic => {
            let entry = match entries {
                [] => return Ok(taken),
                [entry] => entry,
                heads => {
                    let heads: Vec<&str> = heads.iter().map(|entry| entry.version.as_str()).collect();
                    return Err(refuse(
                        format!("it is at several versions at once: {}", heads.join(", ")),
                        "merge them (`alembic merge heads`), upgrade with that tool, then adopt",
                    ));
                }
            };
            let last = scripts.files.iter().position(|script| same(&script.version, &entry.version));
            let Some(last) = last else {
                return Err(refuse(
                    format!("it is at version {}, which is not among the files", entry.version),
                    "adopt with the release that is deployed, whose files are complete",
                ));
            };
            taken.files.extend(&scripts.files[..=last]);
        }
        _ => {
            for entry in entries {
                let script = scripts.files.iter().find(|script| {
                    if script.repeatable {
                        script.path.ends_with(&entry.version)
                    } else {
                        same(&script.version, &entry.version)
                    }
                });
                let Some(script) = script else {
                    taken.unknown.push(entry.version.clone());
                    continue;
                };
                if let Some(sum) = &entry.sum {
                    if !sum.fits(&script.source) && !script.repeatable && !accept.contains(&script.path) {
                        return Err(refuse(
                            format!("`{}` is not what it was when it ran", script.path),
                            "put back what ran, or `plimsoll migrate adopt --accept PATH` where only comments differ",
                        ));
                    }
                    // A repeatable one that was changed runs again.
                    if script.repeatable && !sum.fits(&script.source) {
                        continue;
                    }
                    taken.compared += 1;
                }
                taken.files.push(script);
            }
        }
    }
    Ok(taken)
}

/// Whether two versions are the same, however many zeros they have.
fn same(a: &str, b: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u128>().ok()).collect::<Option<Vec<_>>>()?;
        while parts.len() > 1 && parts.last() == Some(&0) {
            parts.pop();
        }
        Some(parts)
    };
    a == b || numbers(a).is_some_and(|a| numbers(b) == Some(a))
}

/// Reads another tool's table. `1`, `t` and `true` are true.
async fn entries<S: Session>(session: &mut S, foreign: &Foreign) -> Result<Vec<Entry>, Error> {
    let postgres = session.postgres();
    let hex = |column: &str| {
        if postgres { format!("encode({column}, 'hex')") } else { format!("lower(hex({column}))") }
    };
    let table = &foreign.table;
    let sql = match foreign.tool.0 {
        Layout::Sqlx => {
            format!("SELECT version, success, {} FROM {table} ORDER BY version", hex("checksum"))
        }
        Layout::Refinery => format!("SELECT version FROM {table} ORDER BY version"),
        Layout::Diesel | Layout::Dbmate => format!("SELECT version FROM {table} ORDER BY version"),
        Layout::GolangMigrate => format!("SELECT version, dirty FROM {table}"),
        Layout::Goose => format!("SELECT version_id, is_applied FROM {table} ORDER BY id"),
        Layout::Flyway => {
            format!("SELECT version, success, checksum, script, type FROM {table} ORDER BY installed_rank")
        }
        Layout::Prisma => format!(
            "SELECT migration_name, finished_at, checksum, rolled_back_at FROM {table} ORDER BY started_at"
        ),
        Layout::Alembic | Layout::Plain => format!("SELECT version_num FROM {table}"),
    };
    let rows = session.rows(&format!("{sql} LIMIT {}", MOST + 1)).await?;
    if rows.len() > MOST {
        return Err(Error::NotAdoptable {
            database: session.name().into(),
            tool: foreign.tool.to_string(),
            reason: format!("its table has more than {MOST} rows"),
            next: "is this the table of that tool?".into(),
        });
    }
    Ok(read(foreign.tool.0, rows))
}

fn read(tool: Layout, rows: Vec<Vec<Option<String>>>) -> Vec<Entry> {
    let truth = |value: Option<&str>| matches!(value, Some("1" | "t" | "true"));
    let mut found: Vec<Entry> = Vec::new();
    for row in &rows {
        let value = |at: usize| row.get(at).and_then(|value| value.as_deref());
        let version = value(0).unwrap_or_default().to_owned();
        let mut entry = Entry { version, sum: None, problem: None };
        match tool {
            Layout::Sqlx => {
                entry.sum = value(2).map(|hex| Sum::Sha384(hex.into()));
                if !truth(value(1)) {
                    entry.problem = Some("failed and was not finished".into());
                }
            }
            Layout::GolangMigrate if truth(value(1)) => {
                entry.problem = Some("is marked dirty: it failed in the middle".into());
            }
            Layout::Goose => {
                // The last line of a version says whether it is applied.
                found.retain(|before| before.version != entry.version);
                if entry.version == "0" || !truth(value(1)) {
                    continue;
                }
            }
            Layout::Flyway => {
                if matches!(value(4), Some("SCHEMA" | "BASELINE" | "DELETE")) {
                    continue;
                }
                if value(0).is_none() {
                    entry.version = value(3).unwrap_or_default().to_owned();
                    found.retain(|before| before.version != entry.version);
                }
                entry.sum = value(2).and_then(|sum| sum.parse().ok()).map(Sum::Flyway);
                if !truth(value(1)) {
                    entry.problem = Some("failed".into());
                }
            }
            Layout::Prisma => {
                if value(3).is_some() {
                    continue;
                }
                entry.sum = value(2).map(|hex| Sum::Sha256(hex.into()));
                if value(1).is_none() {
                    entry.problem = Some("failed and was not resolved".into());
                }
            }
            _ => {}
        }
        found.push(entry);
    }
    found
}

#[cfg(test)]
mod tests;
