//! Replays a directory of migrations and judges each statement by what is there
//! when it runs.

use std::collections::HashSet;

use crate::action::{Action, Backfill, Placed, Statement};
use crate::context::{Ahead, Context, Past};
use crate::effect::{class, effect};
use crate::layout::{Directory, Transactions, directory};
use crate::lines::Lines;
use crate::options::{Dialect, File, Options, Released};
use crate::report::{Class, FileReport, Finding, Lock, Report, Severity, Work};
use crate::rules::{Done, Judge, RULES, Rule, Said};
use crate::schema::{Made, Schema};
use crate::script::Part;
use crate::{Error, postgres, sql_type, sqlite};

/// The parsers recurse as deep as a statement is nested, and that is bounded.
const STACK: usize = 128 << 20;

/// Judges a directory of migrations.
///
/// # Errors
/// When the files exceed [`crate::Limits`] or are not text.
pub fn lint(files: &[File], options: &Options) -> Result<Report, Error> {
    Ok(replay(files, options)?.0)
}

/// The schema that a directory of migrations makes of an empty database.
///
/// # Errors
/// As [`lint`].
pub fn schema(files: &[File], options: &Options) -> Result<Schema, Error> {
    Ok(replay(files, options)?.1)
}

fn replay(files: &[File], options: &Options) -> Result<(Report, Schema), Error> {
    let texts = texts(files, options)?;
    deep(|| {
        let (report, schema, _) = Replay::new(directory(&texts, options.layout), options).run();
        (report, schema)
    })
}

/// As [`lint`], with what each statement does, file by file, for whoever runs them.
pub(crate) fn parts(directory: Directory, options: &Options) -> (Report, Vec<Vec<Part>>) {
    let (report, _, parts) = Replay::new(directory, options).run();
    (report, parts)
}

/// Runs what parses on a stack that is deep enough for the bounds.
pub(crate) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let work = thread.spawn_scoped(scope, work);
        let work = work.map_err(|error| Error::Parser { found: error.to_string() })?;
        work.join().map_err(|_| Error::Parser { found: "the parser failed".into() })
    })
}

/// The files as text, within the bounds.
pub(crate) fn texts(files: &[File], options: &Options) -> Result<Vec<(String, String)>, Error> {
    let limits = options.limits;
    let large = |what: &str, most: usize, found: usize, unit: &str| Error::TooLarge {
        what: what.into(),
        most: format!("{most} {unit}"),
        found: format!("{found} {unit}"),
    };
    if files.len() > limits.files {
        return Err(large("the directory", limits.files, files.len(), "files"));
    }
    let total: usize = files.iter().map(|file| file.bytes.len()).sum();
    if total > limits.total_bytes {
        return Err(large("the directory", limits.total_bytes, total, "bytes"));
    }
    let mut texts = Vec::with_capacity(files.len());
    for file in files {
        if file.bytes.len() > limits.file_bytes {
            return Err(large(&file.path, limits.file_bytes, file.bytes.len(), "bytes"));
        }
        let text = std::str::from_utf8(&file.bytes).map_err(|error| Error::NotText {
            file: file.path.clone(),
            line: 1 + file.bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count(),
        })?;
        texts.push((file.path.clone(), text.to_owned()));
    }
    Ok(texts)
}

/// A replay under way.
struct Replay<'a> {
    directory: Directory,
    options: &'a Options,
    schema: Schema,
    made: Made,
    backfills: Vec<Backfill>,
    /// Whether some file of the project sets lock_timeout by hand.
    sets_timeout: bool,
}

impl<'a> Replay<'a> {
    fn new(directory: Directory, options: &'a Options) -> Self {
        Self {
            directory,
            options,
            schema: Schema::of(options.dialect),
            made: Made { release: 1, transaction: 0 },
            backfills: Vec::new(),
            sets_timeout: false,
        }
    }

    fn run(mut self) -> (Report, Schema, Vec<Vec<Part>>) {
        let files = std::mem::take(&mut self.directory.files);
        let mut reports = Vec::new();
        let mut parts = Vec::with_capacity(files.len());
        for file in &files {
            let judged = match &self.options.released {
                Released::EachFile => {
                    self.made.release += 1;
                    true
                }
                Released::Files(released) => !released.contains(&file.path),
            };
            // Released files all count as one release before the one that is judged.
            if matches!(self.options.released, Released::Files(_)) {
                self.made.release = if judged { 2 } else { 1 };
            }
            let statements = match self.options.dialect {
                Dialect::Postgres => postgres::statements(&file.text),
                Dialect::Sqlite => sqlite::statements(&file.text),
            };
            self.made.transaction += 1;
            let mut one = OneFile::new(&file.text, file.transactions, &statements);
            for statement in &statements {
                one.statement(&mut self, statement, judged);
            }
            self.sets_timeout |= one.past.lock_timeout;
            parts.push(std::mem::take(&mut one.parts));
            if judged {
                reports.push(one.report(&file.path, &self));
            }
        }
        let report = Report {
            schema: "plimsoll/migrate-lint/v1".into(),
            layout: self.directory.layout,
            files: reports,
            ignored: self.directory.ignored,
            trace: None,
        };
        (report, self.schema, parts)
    }
}

/// One file on its way through the replay.
struct OneFile<'t> {
    lines: Lines<'t>,
    transactions: Transactions,
    explicit: bool,
    past: Past,
    ahead: Ahead,
    class: Class,
    findings: Vec<(usize, Finding)>,
    said: HashSet<(&'static str, String)>,
    statements: Vec<crate::report::Statement>,
    not_understood: usize,
    done: Done,
    parts: Vec<Part>,
}

impl<'t> OneFile<'t> {
    fn new(text: &'t str, transactions: Transactions, statements: &[Statement]) -> Self {
        let ahead = Ahead::read(statements);
        let transactions = match transactions {
            Transactions::Text if ahead.statements < 2 => Transactions::Explicit,
            other => other,
        };
        Self {
            lines: Lines::new(text),
            transactions,
            explicit: false,
            past: Past::default(),
            ahead,
            class: Class::Expand,
            findings: Vec::new(),
            said: HashSet::new(),
            statements: Vec::new(),
            not_understood: 0,
            done: Done::default(),
            parts: Vec::new(),
        }
    }

    fn in_transaction(&self) -> bool {
        self.explicit || self.transactions != Transactions::Explicit
    }

    fn statement(&mut self, replay: &mut Replay<'_>, statement: &Statement, judged: bool) {
        if !self.in_transaction() {
            replay.made.transaction += 1;
        }
        replay.backfills.extend(statement.backfill.clone());
        let class_before = std::mem::replace(&mut self.class, Class::Expand);
        let mut part = Part::new(statement);
        if let Some(problem) = &statement.problem {
            self.not_understood += 1;
            self.class = Class::Unsafe;
            self.find(
                statement,
                problem.offset,
                &RULES[0],
                Said::new(problem.message.clone(), crate::rules::not_understood_hint()),
            );
        }
        for offset in &statement.dynamic {
            let said = crate::rules::dynamic();
            self.find(statement, *offset, &RULES[1], said);
        }
        let mut locks = Vec::new();
        let mut work = sql_type::Work::Catalogue;
        let before = self.findings.len();
        for placed in &statement.actions {
            part.add(placed, &replay.schema, &replay.backfills, &replay.options.finished_backfills);
            if judged {
                self.judge(replay, statement, placed, &mut locks, &mut work);
            } else {
                self.past.lock_timeout |= is_timeout(&placed.action);
            }
            self.after(replay, &placed.action);
        }
        self.once(before);
        part.class = self.class;
        self.class = self.class.max(class_before);
        self.parts.push(part);
        if judged && locks.iter().any(|(_, mode, _)| *mode > crate::action::Mode::RowExclusive) {
            let (line, column) = self.lines.place(statement.offset);
            let locks = locks.into_iter().map(|(on, mode, in_use)| Lock {
                on: on.to_string(),
                mode: mode.sql().into(),
                in_use,
            });
            self.statements.push(crate::report::Statement {
                line,
                column,
                locks: locks.collect(),
                work: work.into(),
                trace: None,
            });
        }
    }

    fn judge(
        &mut self,
        replay: &Replay<'_>,
        statement: &Statement,
        placed: &Placed,
        locks: &mut Vec<(crate::name::Name, crate::action::Mode, bool)>,
        work: &mut sql_type::Work,
    ) {
        let in_transaction = placed.in_block || self.in_transaction();
        let cx = Context {
            schema: &replay.schema,
            options: replay.options,
            made: replay.made,
            past: &self.past,
            ahead: &self.ahead,
            statement,
            in_transaction,
            backfills: &replay.backfills,
        };
        let mut said = Vec::new();
        for rule in RULES {
            if let Judge::Action(judge) = rule.judge
                && let Some(found) = judge(&placed.action, &cx)
            {
                said.push((rule, found));
            }
        }
        let class = class(&placed.action, &cx);
        let mut strong = Vec::new();
        if cx.postgres() {
            let effect = effect(&placed.action, &cx);
            let used = effect.locks.first().is_none_or(|(name, _)| cx.in_use(name));
            for (name, mode) in effect.locks {
                let in_use = cx.in_use(&name);
                if in_use && mode.stops_writes() {
                    strong.push((replay.made.transaction, name.clone(), mode));
                }
                let name = replay.schema.resolve(&name);
                match locks.iter_mut().find(|(found, _, _)| *found == name) {
                    Some((_, found, _)) => *found = (*found).max(mode),
                    None => locks.push((name, mode, in_use)),
                }
            }
            // The rows of a new table are no work.
            if used {
                *work = (*work).max(effect.work.unwrap_or(sql_type::Work::Catalogue));
            }
        }
        self.done.step(placed, class, !strong.is_empty(), &self.ahead.gone);
        self.past.strong_locks.extend(strong);
        self.class = self.class.max(class);
        for (rule, said) in said {
            self.find(statement, placed.offset, rule, said);
        }
    }

    /// Adds what a rule says, unless a comment takes it back; the same only once.
    fn find(&mut self, statement: &Statement, offset: usize, rule: &Rule, said: Said) {
        if statement.allowed.iter().any(|code| code == rule.page.code) {
            return;
        }
        let (line, column) = self.lines.place(offset);
        // Statements that are not understood are named one by one.
        let each = rule.page.code < "MIG-010";
        if !each && !self.said.insert((rule.page.code, said.message.clone())) {
            return;
        }
        self.findings.push((
            offset,
            Finding {
                rule: rule.page.code.into(),
                name: rule.page.name.into(),
                severity: rule.severity,
                line,
                column,
                message: said.message,
                hint: said.hint,
            },
        ));
    }

    /// What one rule finds several times in one statement is one finding: thirty
    /// columns that change their type rewrite the table once.
    fn once(&mut self, before: usize) {
        let mut kept: Vec<((usize, Finding), usize)> = Vec::new();
        for (offset, finding) in self.findings.drain(before..) {
            match kept.iter_mut().find(|((_, first), _)| first.rule == finding.rule) {
                Some((_, more)) => *more += 1,
                None => kept.push(((offset, finding), 0)),
            }
        }
        self.findings.extend(kept.into_iter().map(|((offset, mut finding), more)| {
            if more > 0 {
                finding.message.push_str(&format!(" ({more} more in this statement)"));
            }
            (offset, finding)
        }));
    }

    /// What an action makes of the schema and of what later rules ask for.
    fn after(&mut self, replay: &mut Replay<'_>, action: &Action) {
        let schema = &mut replay.schema;
        match action {
            Action::Begin => {
                self.explicit = true;
                replay.made.transaction += 1;
            }
            Action::Commit | Action::Rollback => {
                self.explicit = false;
                replay.made.transaction += 1;
            }
            Action::AddValue { name, value } => {
                self.past.added_values.push((replay.made.transaction, value.clone(), name.clone()));
            }
            Action::DropType { name } | Action::RenameType { name, .. } => {
                if let Some(found) =
                    schema.enums.get(name).filter(|found| found.made.release < replay.made.release)
                {
                    self.past.gone_enums.insert(name.clone(), found.values.clone());
                }
            }
            Action::DropRelation { name, .. } | Action::RenameRelation { name, .. } => {
                let released = schema.relation(name).filter(|found| found.made.release < replay.made.release);
                let columns = released.map(|found| found.columns.clone()).unwrap_or_default();
                self.past.gone_relations.insert(name.clone(), columns);
            }
            Action::Truncate { tables, .. } => {
                self.past.cleared.extend(tables.iter().map(|table| schema.resolve(table)))
            }
            Action::Delete { table, filter: crate::action::Filter::None, joined: false } => {
                self.past.cleared.insert(schema.resolve(table));
            }
            _ => self.past.lock_timeout |= is_timeout(action),
        }
        // A table that takes a released one's place is one of the released.
        let replaced = match action {
            Action::RenameRelation { name, to, .. } => {
                let gone = self.past.gone_relations.get(to).cloned();
                if gone.is_none()
                    && schema.relation(name).is_some_and(|it| it.made.release < replay.made.release)
                {
                    self.past.renamed.insert(to.clone());
                }
                gone.map(|gone| (to.clone(), gone))
            }
            _ => None,
        };
        schema.apply(action, replay.made);
        if let Some((name, gone)) = replaced
            && let Some(relation) = schema.relations.get_mut(&name)
        {
            let before = Made { release: replay.made.release.saturating_sub(1), ..relation.made };
            relation.made = before;
            for column in &mut relation.columns {
                if gone.iter().any(|old| old.name == column.name) {
                    column.made = before;
                }
            }
        }
    }

    fn report(mut self, file: &str, replay: &Replay<'_>) -> FileReport {
        self.done.lock_timeout = self.past.lock_timeout;
        self.done.sets_timeout = replay.sets_timeout;
        for rule in RULES {
            if let Judge::File(judge) = rule.judge
                && let Some((offset, said)) = judge(&self.done)
            {
                let allowed = empty_statement();
                self.find(&allowed, offset, rule, said);
            }
        }
        if self.findings.iter().any(|(_, finding)| finding.severity == Severity::Error) {
            self.class = Class::Unsafe;
        }
        self.findings.sort_by_key(|(offset, _)| *offset);
        FileReport {
            file: file.into(),
            class: self.class,
            findings: self.findings.into_iter().map(|(_, finding)| finding).collect(),
            statements: self.statements,
            statement_count: self.ahead.statements,
            not_understood: self.not_understood,
            withdrawn: Vec::new(),
            untraced: None,
        }
    }
}

fn is_timeout(action: &Action) -> bool {
    matches!(action, Action::Setting { name, off: false } if name == "lock_timeout")
}

fn empty_statement() -> Statement {
    Statement {
        offset: 0,
        actions: Vec::new(),
        problem: None,
        dynamic: Vec::new(),
        literals: Vec::new(),
        backfill: None,
        allowed: Vec::new(),
    }
}

impl From<sql_type::Work> for Work {
    fn from(work: sql_type::Work) -> Self {
        match work {
            sql_type::Work::Catalogue => Self::Catalogue,
            sql_type::Work::Scan => Self::Scan,
            sql_type::Work::Rewrite => Self::Rewrite,
        }
    }
}
