//! Which tool a directory of migrations is for, in which order that tool runs the
//! files, and which part of each.

mod section;
mod version;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::Ignored;
use version::Version;
pub(crate) use version::{label, repeats};

/// A tool that runs migrations, by its layout of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `20260101000000_name.sql`, `.up.sql`; a transaction for each file.
    Sqlx,
    /// `V1__name.sql`; a transaction for each file.
    Refinery,
    /// `2026-01-01-000000_name/up.sql`; a transaction for each.
    Diesel,
    /// `000001_name.up.sql`; a file is sent as one text.
    GolangMigrate,
    /// `-- +goose Up`; a transaction for each file.
    Goose,
    /// `-- migrate:up`; a transaction for each file.
    Dbmate,
    /// `V1.2__name.sql`, `R__name.sql`; a transaction where the statements allow it.
    Flyway,
    /// `20260101000000_name/migration.sql`; a file is sent as one text.
    Prisma,
    /// What `alembic upgrade --sql` writes, with its own BEGIN and COMMIT.
    Alembic,
    /// Plain files in the order of their names, sent as psql does.
    Plain,
}

/// The tables in which tools write down what they ran. golang-migrate's has dbmate's
/// name, and a column `dirty`.
pub const RUNNER_TABLES: [(&str, Layout); 8] = [
    ("_sqlx_migrations", Layout::Sqlx),
    ("refinery_schema_history", Layout::Refinery),
    ("__diesel_schema_migrations", Layout::Diesel),
    ("goose_db_version", Layout::Goose),
    ("flyway_schema_history", Layout::Flyway),
    ("_prisma_migrations", Layout::Prisma),
    ("alembic_version", Layout::Alembic),
    ("schema_migrations", Layout::Dbmate),
];

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlx => "sqlx",
            Self::Refinery => "refinery",
            Self::Diesel => "diesel",
            Self::GolangMigrate => "golang-migrate",
            Self::Goose => "goose",
            Self::Dbmate => "dbmate",
            Self::Flyway => "flyway",
            Self::Prisma => "prisma",
            Self::Alembic => "alembic",
            Self::Plain => "plain",
        })
    }
}

/// How a file's statements are put into transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transactions {
    /// The runner opens one around the file.
    File,
    /// Sent as one text: one around all where there are several statements.
    Text,
    /// What the file itself says; otherwise each statement is alone.
    Explicit,
}

/// A file, ready to be parsed.
#[derive(Debug, Clone)]
pub(crate) struct Ordered {
    pub(crate) path: String,
    /// The part that runs, at the offsets and lines at which it stands in the file:
    /// everything else is blank.
    pub(crate) text: String,
    pub(crate) transactions: Transactions,
}

/// A directory, as its tool sees it.
pub(crate) struct Directory {
    pub(crate) layout: Layout,
    pub(crate) files: Vec<Ordered>,
    pub(crate) ignored: Vec<Ignored>,
}

/// Detects the layout where none is given, and orders the files.
pub(crate) fn directory(files: &[(String, String)], given: Option<Layout>) -> Directory {
    let layout = given.unwrap_or_else(|| detect(files));
    let mut ignored = Vec::new();
    let mut versions: BTreeMap<(Version, String), Ordered> = BTreeMap::new();
    for (path, text) in files {
        match version::of(layout, path, text) {
            Ok(version) => {
                let (transactions, text) = section::up(layout, path, text, files);
                versions.insert((version, path.clone()), Ordered { path: path.clone(), text, transactions });
            }
            Err(reason) => ignored.push(Ignored { file: path.clone(), reason: reason.into() }),
        }
    }
    let mut files: Vec<Ordered> = versions.into_values().collect();
    if layout == Layout::Alembic {
        section::chain(&mut files);
    }
    Directory { layout, files, ignored }
}

/// The tool whose layout the most files have. What a file says is believed before
/// what it is called.
fn detect(files: &[(String, String)]) -> Layout {
    let mut votes: Vec<(Layout, usize)> = Vec::new();
    for (path, text) in files {
        let Some(layout) = looks_like(path, text) else { continue };
        match votes.iter_mut().find(|(found, _)| *found == layout) {
            Some((_, count)) => *count += 1,
            None => votes.push((layout, 1)),
        }
    }
    let most = votes.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let first = votes.into_iter().find(|(_, count)| *count == most);
    first.map_or(Layout::Plain, |(layout, _)| layout)
}

fn looks_like(path: &str, text: &str) -> Option<Layout> {
    let name = version::file_name(path);
    if !name.ends_with(".sql") {
        return None;
    }
    if section::has(text, "+goose Up") {
        return Some(Layout::Goose);
    }
    if section::has(text, "migrate:up") {
        return Some(Layout::Dbmate);
    }
    if section::has(text, "Running upgrade") || text.contains("INSERT INTO alembic_version") {
        return Some(Layout::Alembic);
    }
    if name == "migration.sql" {
        return Some(Layout::Prisma);
    }
    if name == "up.sql" || name == "down.sql" {
        return Some(Layout::Diesel);
    }
    if version::versioned(name).is_some() || name.starts_with("R__") {
        let java = path.contains("db/migration") || name.starts_with("R__");
        let dotted = name.split("__").next().is_some_and(|version| version.contains(['.', '_']));
        return Some(if java || dotted { Layout::Flyway } else { Layout::Refinery });
    }
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || name.as_bytes().get(digits) != Some(&b'_') {
        return None;
    }
    // Both name files alike; sqlx counts time, golang-migrate counts files.
    let both = name.ends_with(".up.sql") || name.ends_with(".down.sql");
    Some(if both && digits < 14 { Layout::GolangMigrate } else { Layout::Sqlx })
}

#[cfg(test)]
mod tests;
