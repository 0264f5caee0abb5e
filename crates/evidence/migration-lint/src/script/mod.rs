//! Migrations as a runner needs them: in order, statement by statement, with what
//! belongs into one transaction, what cannot be in one, and what each touches
//! (MIG-2).

mod groups;
mod part;

use std::collections::{BTreeSet, HashMap};

use crate::Error;
use crate::layout::{Layout, directory, label, repeats};
use crate::lint::{deep, texts};
use crate::options::{File, Options, Released};
use crate::report::{Class, Finding, Ignored};

pub(crate) use part::Part;
pub use part::{Standalone, Touches};

/// A directory of migrations, ready to be run.
#[derive(Debug, Clone)]
pub struct Scripts {
    /// The tool whose rules order the files.
    pub layout: Layout,
    /// In the order in which they run.
    pub files: Vec<Script>,
    /// Files that are no migrations, with the reason.
    pub ignored: Vec<Ignored>,
}

/// One migration.
#[derive(Debug, Clone)]
pub struct Script {
    /// Its path, as given.
    pub path: String,
    /// The version by which its tool knows it, e.g. `20260101000000`, `1.2`; the
    /// revision that it comes to for Alembic.
    pub version: String,
    /// Whether it runs again when it was changed (flyway's `R__`).
    pub repeatable: bool,
    /// What it does to a running system; nothing for a file that counts as released,
    /// which is not judged.
    pub class: Option<Class>,
    /// What the rules say of it.
    pub findings: Vec<Finding>,
    /// The statements of the way forth, in order. BEGIN and COMMIT are not among
    /// them: see [`ScriptStatement::transaction`].
    pub statements: Vec<ScriptStatement>,
    /// What a checksum is made of: the way forth, with `\n` as the only line end,
    /// without a byte order mark and without blank lines at both ends.
    pub checksum_text: String,
    /// The file as it was given.
    pub source: String,
    /// Names of flyway's `${…}` in it, which somebody has to fill in.
    pub placeholders: BTreeSet<String>,
    /// What a runner cannot run.
    pub unsupported: Vec<Unsupported>,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct ScriptStatement {
    /// As written, with its semicolon.
    pub sql: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Statements with the same number belong into one transaction; numbers grow.
    pub transaction: usize,
    /// Why it cannot be in a transaction; nothing where it can.
    pub standalone: Option<Standalone>,
    /// The name of the backfill that it declares: it is run in batches elsewhere.
    pub backfill: Option<String>,
    /// Whether it changes settings that later statements are run with.
    pub setting: bool,
    /// What it does, as far as the file was judged.
    pub class: Class,
    /// What it changes and reads.
    pub touches: Touches,
    /// Backfills that are not proven to be finished and without whose end it must not run.
    pub demands: BTreeSet<String>,
}

/// Something in a file that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// From 1.
    pub line: usize,
    /// What it is, as a noun.
    pub what: String,
}

impl Script {
    /// What the statements do that a runner runs: backfills are run elsewhere.
    pub fn class_without_backfills(&self) -> Option<Class> {
        match self.class? {
            Class::Backfill => {
                let left = self.statements.iter().filter(|statement| statement.backfill.is_none());
                Some(left.map(|statement| statement.class).max().unwrap_or(Class::Expand))
            }
            class => Some(class),
        }
    }

    /// The backfills it declares, by name.
    pub fn backfills(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().filter_map(|statement| statement.backfill.as_deref())
    }

    /// Unfinished backfills without whose end it must not run.
    pub fn demands(&self) -> BTreeSet<&str> {
        self.statements.iter().flat_map(|statement| &statement.demands).map(String::as_str).collect()
    }

    /// Whether all that is run of it fits into one transaction.
    pub fn transactional(&self) -> bool {
        let mut run = self.statements.iter().filter(|statement| statement.backfill.is_none());
        let Some(first) = run.next() else { return true };
        first.standalone.is_none()
            && run.all(|other| other.standalone.is_none() && other.transaction == first.transaction)
    }

    /// What it changes and reads, all statements together.
    pub fn touches(&self) -> Touches {
        let mut all = Touches::default();
        self.statements.iter().for_each(|statement| all.extend(&statement.touches));
        all
    }
}

/// Orders the files of a directory, cuts them into statements and judges those
/// that are not released.
///
/// ```
/// use plimsoll_evidence_migration_lint::{File, Options, scripts};
///
/// let sql = "-- no-transaction\nCREATE INDEX CONCURRENTLY users_email ON users (email);\n";
/// let files = [File { path: "1_email.sql".into(), bytes: sql.into() }];
/// let found = scripts(&files, &Options::default())?;
/// assert_eq!(found.files[0].version, "1");
/// assert!(found.files[0].statements[0].standalone.is_some());
/// assert_eq!(found.files[0].statements[0].line, 2);
/// # Ok::<(), plimsoll_evidence_migration_lint::Error>(())
/// ```
///
/// # Errors
/// As [`crate::lint`].
pub fn scripts(files: &[File], options: &Options) -> Result<Scripts, Error> {
    let texts = texts(files, options)?;
    deep(|| {
        let directory = directory(&texts, options.layout);
        let ordered = directory.files.clone();
        let (layout, ignored) = (directory.layout, directory.ignored.clone());
        let (report, parts) = crate::lint::parts(directory, options);
        let mut reports = report.files.into_iter().peekable();
        let sources: HashMap<&str, &str> =
            texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let mut found = Vec::with_capacity(ordered.len());
        for (file, parts) in ordered.into_iter().zip(parts) {
            let source = sources.get(file.path.as_str()).copied().unwrap_or_default();
            let released = matches!(&options.released, Released::Files(of) if of.contains(&file.path));
            let report = if released { None } else { reports.next_if(|report| report.file == file.path) };
            let cut = groups::statements(&file, source, &parts, options.dialect);
            found.push(Script {
                version: label(layout, &file.path, &file.text),
                repeatable: repeats(layout, &file.path),
                class: report.as_ref().map(|report| report.class),
                findings: report.map(|report| report.findings).unwrap_or_default(),
                checksum_text: normal(&file.text, source),
                placeholders: if layout == Layout::Flyway { placeholders(source) } else { BTreeSet::new() },
                statements: cut.statements,
                unsupported: cut.unsupported,
                source: source.to_owned(),
                path: file.path,
            });
        }
        Scripts { layout, files: found, ignored }
    })
}

/// The way forth as it was written, whoever saved it: `file` has blanks where
/// something else stands, at the same offsets.
fn normal(text: &str, source: &str) -> String {
    let start = text.len() - text.trim_start().len();
    let end = text.trim_end().len().max(start);
    // Comments before and after the marks belong to neither way.
    let written = source.get(start..end).unwrap_or(text);
    written.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

/// The names of `${name}` in a text.
fn placeholders(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        rest = &rest[at + 2..];
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'))
            .count();
        if length > 0 && rest.as_bytes().get(length) == Some(&b'}') {
            found.insert(rest[..length].to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests;
