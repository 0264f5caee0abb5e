//! `plimsoll migrate lint`.

use plimsoll_evidence_migration_lint::{
    Class, Dialect, FileReport, Layout, Report, Severity, Statement, Traced, Work,
};
use plimsoll_model::{Class as Ending, Failure};
use plimsoll_pipeline::migrations::LintRequest;
use plimsoll_pipeline::migrations::trace::{TraceRequest, lint_traced};

use super::Session;
use crate::args::{Form, Lint};
use crate::commands::explain::wrapped;
use crate::error::CliError;
use crate::printer::{bold, dim, severity_word};

/// Judges, prints, and refuses where a finding is an error.
pub(super) fn run(session: &Session, arguments: Lint) -> Result<u8, Failure> {
    let form = arguments.form;
    let request = LintRequest {
        paths: arguments.files.iter().map(|path| session.path_here(path)).collect(),
        since: arguments.since,
        dialect: arguments.dialect.as_deref().map(|name| match name {
            "sqlite" => Dialect::Sqlite,
            _ => Dialect::Postgres,
        }),
        layout: arguments.layout.as_deref().map(layout).transpose()?,
        small: arguments.small.into_iter().collect(),
        finished: arguments.finished.into_iter().collect(),
    };
    let trace = arguments
        .trace
        .map(|at| TraceRequest { at, rows: arguments.trace_rows.map(|path| session.path_here(&path)) });
    let report = session.block_on_anywhere(|context| async move {
        match trace {
            None => plimsoll_pipeline::migrations::lint(context.as_ref(), request).await,
            Some(trace) => lint_traced(context.as_ref(), request, trace).await,
        }
    })?;
    session.printer.result(&report, || match form {
        Form::Text => text(&report),
        Form::Markdown => markdown(&report),
        Form::Github => github(&report),
    });
    Ok(if report.allowed() { 0 } else { Ending::Refused.exit_code() })
}

/// The layout by its name, as reports write it.
fn layout(name: &str) -> Result<Layout, CliError> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|_| CliError::Argument {
        text: name.to_owned(),
        expected: "sqlx, refinery, diesel, golang-migrate, goose, dbmate, flyway, prisma, alembic or plain",
    })
}

/// Files without findings are only counted; a file has its statements that
/// lock what is in use, and its findings below.
fn text(report: &Report) -> String {
    const WIDTH: usize = 96;
    let mut text = String::new();
    for file in report.files.iter().filter(|file| !file.findings.is_empty() || traced(file)) {
        text.push_str(&format!("{}  {}\n", bold(&file.file), file.class));
        let mut shown = 0;
        for finding in &file.findings {
            while let Some(statement) =
                file.statements.get(shown).filter(|statement| statement.line <= finding.line)
            {
                text.push_str(&locks(statement));
                shown += 1;
            }
            let word = severity_word(finding.severity == Severity::Error);
            let lines = wrapped(&finding.message, WIDTH - 6);
            text.push_str(&format!(
                "  {}:{}  {word} {} {}\n",
                finding.line, finding.column, finding.rule, finding.name
            ));
            for line in lines {
                text.push_str(&format!("      {line}\n"));
            }
            for line in finding.hint.lines() {
                text.push_str(&format!("      {}\n", dim(line)));
            }
        }
        for statement in &file.statements[shown..] {
            text.push_str(&locks(statement));
        }
        for gone in &file.withdrawn {
            let finding = &gone.finding;
            let line =
                format!("{}:{}  withdrawn {} {}", finding.line, finding.column, finding.rule, finding.name);
            text.push_str(&format!("  {line}\n      {}\n", gone.reason));
        }
        if let Some(why) = &file.untraced {
            text.push_str(&format!("  not traced to its end: {why}\n"));
        }
        text.push('\n');
    }
    for file in &report.ignored {
        text.push_str(&format!("{}  {}\n", bold(&file.file), dim(&format!("not run: {}", file.reason))));
    }
    text.push_str(&summary(report));
    text.push('\n');
    text
}

/// Whether the trace says something of a file that has no findings.
fn traced(file: &FileReport) -> bool {
    !file.withdrawn.is_empty()
        || file.untraced.is_some()
        || file.statements.iter().any(|it| it.trace.as_ref().is_some_and(|it| it.failed.is_some()))
}

/// What a statement takes on what others use, by the lint and by the trace; nothing
/// where it is nothing.
fn locks(statement: &Statement) -> String {
    let seen = statement.trace.as_ref().map(|trace| seen(statement, trace)).unwrap_or_default();
    judged(statement) + &seen
}

/// What the trace saw of a statement.
fn seen(statement: &Statement, trace: &Traced) -> String {
    let place = format!("{}:{}", statement.line, statement.column);
    let said = if let Some(why) = &trace.not_run {
        format!("not run: {why}")
    } else if let Some(says) = &trace.failed {
        format!("failed: {says}")
    } else {
        let tables = trace.locks.iter().filter(|lock| lock.in_use && !lock.index && !lock.earlier);
        let locks: Vec<String> = tables.map(|lock| format!("{} on {}", lock.mode, lock.on)).collect();
        let mut said = if locks.is_empty() { "nothing new".into() } else { locks.join(", ") };
        for (what, names) in
            [("rewrote", &trace.rewritten), ("read", &trace.scanned), ("built", &trace.indexes)]
        {
            if !names.is_empty() {
                said.push_str(&format!(", {what} {}", names.join(", ")));
            }
        }
        format!("took {said}, in {} ms", trace.duration_us / 1_000)
    };
    dim(&format!("  {place}  {said}")) + "\n"
}

/// What the lint says that a statement takes.
fn judged(statement: &Statement) -> String {
    let taken: Vec<String> = statement
        .locks
        .iter()
        .filter(|lock| lock.in_use)
        .map(|lock| format!("{} on {}", lock.mode, lock.on))
        .collect();
    if taken.is_empty() {
        return String::new();
    }
    let work = match statement.work {
        Work::Catalogue => "",
        Work::Scan => ", reads every row",
        Work::Rewrite => ", rewrites every row",
    };
    let line = format!("  {}:{}  takes {}{work}\n", statement.line, statement.column, taken.join(", "));
    dim(line.trim_end_matches('\n')) + "\n"
}

fn summary(report: &Report) -> String {
    let of = |class| report.files.iter().filter(|file| file.class == class).count();
    let (errors, warnings) = (report.count(Severity::Error), report.count(Severity::Warning));
    let not_understood: usize = report.files.iter().map(|file| file.not_understood).sum();
    let classes: Vec<String> = [Class::Expand, Class::Backfill, Class::Contract, Class::Unsafe]
        .into_iter()
        .map(|class| (of(class), class))
        .filter(|(count, _)| *count > 0)
        .map(|(count, class)| format!("{count} {class}"))
        .collect();
    let mut line = format!(
        "{} ({}): {}, {}",
        counted(report.files.len(), "migration"),
        report.layout,
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    if !classes.is_empty() {
        line.push_str(&format!("; {}", classes.join(", ")));
    }
    if let Some(trace) = &report.trace {
        let withdrawn: usize = report.files.iter().map(|file| file.withdrawn.len()).sum();
        let rows = if trace.rows { "with rows" } else { "without rows" };
        line.push_str(&format!("; traced on PostgreSQL {} {rows}", trace.server));
        if withdrawn > 0 {
            line.push_str(&format!(", {} withdrawn", counted(withdrawn, "finding")));
        }
        if let Some(name) = &trace.left_behind {
            line.push_str(&format!("; left behind, drop it: DROP DATABASE {name};"));
        }
    }
    if not_understood > 0 {
        line.push_str(&format!("; not understood: {}", counted(not_understood, "statement")));
    }
    line
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// For a comment of a pull request.
fn markdown(report: &Report) -> String {
    let mut text = format!("**{}**\n", summary(report));
    let rows = report.files.iter().flat_map(|file| file.findings.iter().map(move |finding| (file, finding)));
    for (at, (file, finding)) in rows.enumerate() {
        if at == 0 {
            text.push_str("\n| file | severity | rule | what happens |\n|---|---|---|---|\n");
        }
        let message = finding.message.replace('|', "\\|").replace('\n', " ");
        text.push_str(&format!(
            "| {}:{} | {} | `{}` {} | {message} |\n",
            file.file, finding.line, finding.severity, finding.rule, finding.name
        ));
    }
    text
}

/// Workflow commands ("Workflow commands for GitHub Actions").
fn github(report: &Report) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let line = |file: &FileReport, finding: &plimsoll_evidence_migration_lint::Finding| {
        format!(
            "::{} file={},line={},col={},title={}::{}\n",
            finding.severity,
            property(&file.file),
            finding.line,
            finding.column,
            property(&format!("{} {}", finding.rule, finding.name)),
            escape(&format!("{}\n{}", finding.message, finding.hint)),
        )
    };
    report
        .files
        .iter()
        .flat_map(|file| file.findings.iter().map(move |finding| line(file, finding)))
        .collect()
}
