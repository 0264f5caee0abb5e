//! Compares what the lint says of a history of migrations with what they really do:
//! `cargo run -p plimsoll-evidence-lock-trace --example history -- DIR postgres://…`.
//! With `sqlite` in the place of the URL only the schemas are compared. Each file is a release of its own. Printed are statements whose locks or work the
//! lint misjudges, columns in which the modelled schema differs from the database's
//! catalogue, and the counts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use plimsoll_evidence_lock_trace::{FoundColumn, Options, merge, trace};
use plimsoll_evidence_migration_lint::{
    Dialect, File, Needs, Options as Judge, Statement, Traced, Work, lint, schema, scripts,
};
use plimsoll_model::Secret;

fn collect(root: &Path, at: &Path, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "sql" || extension == "toml") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.push(File { path: name, bytes: std::fs::read(&path)? });
        }
    }
    Ok(())
}

const MODES: [&str; 8] = [
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
];

fn strength(mode: &str) -> usize {
    MODES.iter().position(|known| *known == mode).unwrap_or(0)
}

/// What the lint and the trace disagree on, of one statement.
fn disagreements(judged: Option<&Statement>, seen: &Traced) -> Vec<String> {
    let mut found = Vec::new();
    let foreseen: BTreeMap<&str, (usize, bool)> = judged
        .into_iter()
        .flat_map(|statement| &statement.locks)
        .map(|lock| (lock.on.as_str(), (strength(&lock.mode), lock.in_use)))
        .collect();
    let mut really: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    for lock in seen.locks.iter().filter(|lock| lock.in_use && !lock.index) {
        really.insert(&lock.on, (strength(&lock.mode), lock.earlier));
    }
    for (on, (mode, earlier)) in &really {
        let said = foreseen.get(on).map_or(0, |(mode, _)| *mode);
        if *mode > 3 && said < *mode && !earlier {
            found.push(format!("lock: {} on {on}, lint says {}", MODES[*mode], MODES[said]));
        }
    }
    for (on, (said, in_use)) in &foreseen {
        let mode = really.get(on).map_or(0, |(mode, _)| *mode);
        if *in_use && *said > 3 && mode < *said {
            found.push(format!("no lock: lint says {} on {on}, taken {}", MODES[*said], MODES[mode]));
        }
    }
    let used = |name: &String| seen.locks.iter().any(|lock| lock.in_use && lock.on == *name);
    let work = judged.map_or(Work::Catalogue, |statement| statement.work);
    let rewritten = seen.rewritten.iter().any(used);
    if rewritten && work != Work::Rewrite {
        found.push(format!("rewrite: {}, lint says {work:?}", seen.rewritten.join(", ")));
    }
    let any_used = foreseen.values().any(|(_, in_use)| *in_use);
    if !rewritten && work == Work::Rewrite && any_used {
        found.push("no rewrite: lint says Rewrite".into());
    }
    let strong = |name: &&String| {
        seen.locks
            .iter()
            .any(|lock| lock.in_use && lock.on == **name && strength(&lock.mode) > 3 && !lock.earlier)
    };
    let scanned: Vec<&String> = seen.scanned.iter().filter(strong).collect();
    if !scanned.is_empty() && work == Work::Catalogue {
        found.push(format!("scan: {scanned:?}, lint says Catalogue"));
    }
    if seen.scanned.iter().all(|name| !used(name))
        && !rewritten
        && work == Work::Scan
        && any_used
        && !seen.sampled
    {
        found.push("no scan: lint says Scan".into());
    }
    found
}

/// Where the modelled schema differs from what is there.
fn model(needs: &Needs, columns: &[FoundColumn]) -> Vec<String> {
    let mut found = Vec::new();
    let mut tables: BTreeMap<&str, Vec<&FoundColumn>> = BTreeMap::new();
    for column in columns {
        tables.entry(&column.table).or_default().push(column);
    }
    for (table, columns) in &tables {
        let Some(modelled) = needs.relations.get(*table) else {
            found.push(format!("table {table} is missing in the model"));
            continue;
        };
        for column in columns {
            let place = format!("{table}.{}", column.name);
            let Some(here) = modelled.columns.get(&column.name) else {
                if modelled.complete {
                    found.push(format!("column {place} is missing in the model"));
                }
                continue;
            };
            if here.nullable != column.nullable {
                found.push(format!("{place}: nullable {} in the database", column.nullable));
            }
            if here.may_be_left_out != column.may_be_left_out {
                found.push(format!("{place}: may be left out {} in the database", column.may_be_left_out));
            }
            let written = written(&column.sql_type);
            let mut said = here.sql_type.trim_start_matches("public.").to_owned();
            if !here.arguments.is_empty() {
                let arguments: Vec<String> = here.arguments.iter().map(u32::to_string).collect();
                said = format!("{said}({})", arguments.join(","));
            }
            let said = if here.array { format!("{said}[]") } else { said };
            if said != written {
                found.push(format!("{place}: type {written} in the database, {said} in the model"));
            }
        }
        for name in modelled.columns.keys() {
            if !columns.iter().any(|column| column.name == *name) {
                found.push(format!("column {table}.{name} is only in the model"));
            }
        }
    }
    for (name, modelled) in &needs.relations {
        if modelled.view.is_none() && !tables.contains_key(name.as_str()) {
            found.push(format!("table {name} is only in the model"));
        }
    }
    found
}

/// `format_type`'s names as the catalogue keeps them.
fn written(sql_type: &str) -> String {
    let (base, array) = match sql_type.strip_suffix("[]") {
        Some(base) => (base, "[]"),
        None => (sql_type, ""),
    };
    // The arguments of `timestamp(3) without time zone` are in its middle.
    let (words, arguments) = match (base.find('('), base.find(')')) {
        (Some(open), Some(close)) => {
            (format!("{}{}", &base[..open], &base[close + 1..]), base[open..=close].to_owned())
        }
        _ => (base.to_owned(), String::new()),
    };
    let name = match words.as_str() {
        "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "boolean" => "bool",
        "character varying" => "varchar",
        "character" => "bpchar",
        "double precision" => "float8",
        "real" => "float4",
        "bit varying" => "varbit",
        "timestamp with time zone" => "timestamptz",
        "timestamp without time zone" => "timestamp",
        "time with time zone" => "timetz",
        "time without time zone" => "time",
        "\"char\"" => "char",
        other => other.trim_matches('"'),
    };
    format!("{}{arguments}{array}", name.replace('"', ""))
}

/// The columns that the files make in SQLite, and which of them fail.
#[expect(clippy::print_stdout, reason = "an example that a person runs")]
fn sqlite(files: &[File], judge: &Judge) -> Result<Vec<FoundColumn>, Box<dyn std::error::Error>> {
    let base = rusqlite::Connection::open_in_memory()?;
    for file in scripts(files, judge)?.files {
        for statement in &file.statements {
            if let Err(error) = base.execute_batch(&statement.sql) {
                println!("{}:{}\tfailed\t{error}", file.path, statement.line);
            }
        }
    }
    let mut tables =
        base.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")?;
    let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for table in tables {
        let mut columns = base.prepare(
            "SELECT name, type, \"notnull\", dflt_value IS NOT NULL OR hidden > 0, pk, \
             (SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0) FROM pragma_table_xinfo(?1)",
        )?;
        let columns = columns.query_map([&table], |row| {
            let (kind, not_null): (String, bool) = (row.get(1)?, row.get(2)?);
            let number = kind.eq_ignore_ascii_case("integer")
                && row.get::<_, i64>(4)? == 1
                && row.get::<_, i64>(5)? == 1;
            let nullable = !not_null && !number;
            Ok(FoundColumn {
                table: table.to_lowercase(),
                name: row.get::<_, String>(0)?.to_lowercase(),
                sql_type: kind.to_lowercase(),
                nullable,
                may_be_left_out: nullable || number || row.get(3)?,
            })
        })?;
        found.extend(columns.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

#[expect(clippy::print_stdout, reason = "an example that a person runs")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, url, ..] = arguments.as_slice() else { return Err("usage: history DIR URL".into()) };
    let mut files = Vec::new();
    collect(Path::new(root), Path::new(root), &mut files)?;
    if url == "sqlite" {
        let judge = Judge { dialect: Dialect::Sqlite, ..Judge::default() };
        let columns = sqlite(&files, &judge)?;
        let report = lint(&files, &judge)?;
        let needs = schema(&files, &judge)?.needs(&std::collections::BTreeSet::new());
        let differing = model(&needs, &columns);
        for difference in &differing {
            println!("model\t{difference}");
        }
        let not_understood: usize = report.files.iter().map(|file| file.not_understood).sum();
        let statements: usize = report.files.iter().map(|file| file.statement_count).sum();
        println!(
            "{root}: {} files, {statements} statements, {not_understood} not understood, {} columns, {} differences \
             of the model",
            report.files.len(),
            columns.len(),
            differing.len()
        );
        return Ok(());
    }
    let judge = Judge::default();
    let report = lint(&files, &judge)?;
    let cut = scripts(&files, &judge)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let options = Options {
        keep_going: true,
        statement: Duration::from_secs(20),
        whole: Duration::from_secs(3_000),
        ..Options::default()
    };
    let seen = runtime.block_on(trace(&Secret::new(url.as_str()), &files, &judge, &options))?;
    let (mut statements, mut failed, mut not_run, mut different) = (0, 0, 0, 0);
    let judged = |file: &str, line: usize, column: usize| {
        let file = report.files.iter().find(|found| found.file == file)?;
        file.statements.iter().find(|found| (found.line, found.column) == (line, column))
    };
    for file in &seen.files {
        if let Some(ended) = &file.ended {
            println!("{}\tended\t{ended}", file.file);
        }
        for statement in &file.statements {
            statements += 1;
            let place = format!("{}:{}", file.file, statement.line);
            if let Some(why) = &statement.traced.failed {
                failed += 1;
                println!("{place}\tfailed\t{why}");
                continue;
            }
            if let Some(why) = &statement.traced.not_run {
                not_run += 1;
                println!("{place}\tnot run\t{why}");
                continue;
            }
            let found =
                disagreements(judged(&file.file, statement.line, statement.column), &statement.traced);
            different += usize::from(!found.is_empty());
            let sql = cut.files.iter().find(|found| found.path == file.file).and_then(|found| {
                found.statements.iter().find(|it| (it.line, it.column) == (statement.line, statement.column))
            });
            let sql: String =
                sql.map(|it| it.sql.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default();
            for what in found {
                println!("{place}\t{what}\t{}", sql.chars().take(160).collect::<String>());
            }
        }
    }
    let findings: usize = report.files.iter().map(|file| file.findings.len()).sum();
    let not_understood: usize = report.files.iter().map(|file| file.not_understood).sum();
    let merged = merge(report, &seen);
    let mut withdrawn = 0;
    for file in &merged.files {
        for gone in &file.withdrawn {
            withdrawn += 1;
            println!("{}:{}\twithdrawn\t{} {}", file.file, gone.finding.line, gone.finding.rule, gone.reason);
        }
        for added in file.findings.iter().filter(|finding| finding.rule == "MIG-095") {
            println!("{}:{}\tadded\t{}", file.file, added.line, added.message);
        }
    }
    let differing = model(&schema(&files, &judge)?.needs(&std::collections::BTreeSet::new()), &seen.columns);
    for difference in &differing {
        println!("model\t{difference}");
    }
    println!(
        "{root}: {} files, {statements} statements, {failed} failed, {not_run} not run, {not_understood} not \
         understood, {different} judged otherwise, {findings} findings, {withdrawn} withdrawn, {} columns, {} \
         differences of the model",
        seen.files.len(),
        seen.columns.len(),
        differing.len()
    );
    Ok(())
}
