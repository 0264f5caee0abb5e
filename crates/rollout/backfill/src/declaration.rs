//! What is declared: in SQL by a comment, or in TOML (`*.backfill.toml`).

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use plimsoll_evidence_migration_lint::{
    self as lint, Dialect, File, Ranged, RefusedBackfill, Walk, backfills, ranged,
};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::Error;

/// Rows of the first batch where the declaration says nothing.
pub const FIRST_BATCH: u64 = 1_000;
/// What TOML files with declarations are called.
const SUFFIX: &str = ".backfill.toml";

/// Where a declaration is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// From the directory of the migrations on.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A backfill that can be run.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// Which rows, and by which key.
    pub walk: Walk,
    /// What is done with them.
    pub statement: Ranged,
    /// Where it is written.
    pub origin: Origin,
}

impl Declaration {
    /// What a run in progress is compared with: `sha256:…` over table, key and
    /// statement. Comments, spaces, name and size of the batches are left out.
    pub fn checksum(&self) -> String {
        let key = self.walk.key.join("\u{1f}");
        let text = format!("{}\u{1e}{key}\u{1e}{}", self.walk.table, self.statement.written());
        let hash = digest(&SHA256, text.as_bytes());
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// What the files of a directory declare.
#[derive(Debug, Clone, Default)]
pub struct Declarations {
    /// What can be run, in the order of the files.
    pub declared: Vec<Declaration>,
    /// What cannot, and why.
    pub refused: Vec<RefusedBackfill>,
}

impl Declarations {
    /// The one of this name.
    ///
    /// # Errors
    /// `BKF-001` where that one was refused, `BKF-002` where there is none.
    pub fn named(&self, name: &str) -> Result<&Declaration, Error> {
        if let Some(found) = self.declared.iter().find(|declaration| declaration.walk.name == name) {
            return Ok(found);
        }
        let refused: Vec<_> =
            self.refused.iter().filter(|refused| refused.name.as_deref() == Some(name)).cloned().collect();
        if refused.is_empty() {
            let known = self.declared.iter().map(|declaration| declaration.walk.name.clone()).collect();
            return Err(Error::Unknown { name: name.to_owned(), known });
        }
        Err(Error::NotBatchable { refused })
    }

    /// # Errors
    /// `BKF-001` where anything was refused.
    pub fn sound(&self) -> Result<&[Declaration], Error> {
        if self.refused.is_empty() {
            Ok(&self.declared)
        } else {
            Err(Error::NotBatchable { refused: self.refused.clone() })
        }
    }
}

/// Reads what the files of a directory of migrations declare.
///
/// # Errors
/// `MIG-901` to `MIG-903`: the files exceed a bound or are no text. What cannot be
/// run in batches is among the refused.
pub fn declarations(files: &[File], options: &lint::Options) -> Result<Declarations, Error> {
    let (toml, sql): (Vec<File>, Vec<File>) =
        files.iter().cloned().partition(|file| file.path.ends_with(SUFFIX));
    let found = backfills(&sql, options)?;
    let mut all = Declarations { declared: Vec::new(), refused: found.refused };
    all.declared.extend(found.declared.into_iter().map(|found| Declaration {
        walk: found.walk,
        statement: found.statement,
        origin: Origin { file: found.file, line: found.line, column: found.column },
    }));
    for file in &toml {
        read_toml(file, options, &mut all)?;
    }
    same_names(&mut all);
    Ok(all)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    backfill: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    table: String,
    key: Columns,
    batch: Option<u64>,
    sql: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Columns {
    One(String),
    Several(Vec<String>),
}

fn read_toml(file: &File, options: &lint::Options, all: &mut Declarations) -> Result<(), Error> {
    let mut refuse = |name: Option<String>, place: (usize, usize), message: String, hint: &str| {
        all.refused.push(RefusedBackfill {
            name,
            file: file.path.clone(),
            line: place.0,
            column: place.1,
            message,
            hint: hint.to_owned(),
        });
    };
    let form = "[[backfill]] with name, table, key, batch and sql; see docs/backfill.md";
    if file.bytes.len() > options.limits.file_bytes {
        refuse(None, (1, 1), format!("the file is larger than {} bytes", options.limits.file_bytes), form);
        return Ok(());
    }
    let Ok(text) = std::str::from_utf8(&file.bytes) else {
        refuse(None, (1, 1), "the file is not UTF-8".into(), form);
        return Ok(());
    };
    let document: Document = match toml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            refuse(None, place(text, at), error.message().to_owned(), form);
            return Ok(());
        }
    };
    for entry in document.backfill {
        let start = entry.span().start;
        let entry = entry.into_inner();
        let sql_at = entry.sql.span().start;
        let sql = entry.sql.into_inner();
        let walk = Walk {
            name: entry.name.unwrap_or_else(|| entry.table.clone()),
            table: entry.table,
            key: match entry.key {
                Columns::One(one) => one.split(',').map(|column| column.trim().to_owned()).collect(),
                Columns::Several(several) => several,
            },
            batch: entry.batch,
        };
        match ranged(&sql, &walk, options)? {
            Ok(statement) => {
                let (line, column) = place(text, start);
                let origin = Origin { file: file.path.clone(), line, column };
                all.declared.push(Declaration { walk, statement, origin });
            }
            Err(refused) => {
                all.refused.push(RefusedBackfill { file: file.path.clone(), ..moved(refused, text, sql_at) })
            }
        }
    }
    Ok(())
}

/// A place within a string of the file as a place of the file.
fn moved(refused: RefusedBackfill, text: &str, at: usize) -> RefusedBackfill {
    let (line, column) = place(text, at);
    let string = &text[at..];
    let fence = if string.starts_with("\"\"\"") || string.starts_with("'''") { 3 } else { 1 };
    // TOML leaves the line end after the opening quotes away.
    let trimmed = fence == 3 && string[3..].starts_with(['\n', '\r']);
    let line = line + usize::from(trimmed) + refused.line - 1;
    let column =
        if refused.line == 1 && !trimmed { column + fence + refused.column - 1 } else { refused.column };
    RefusedBackfill { line, column, ..refused }
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Two backfills of one name would share their progress.
fn same_names(all: &mut Declarations) {
    let mut first: BTreeMap<String, Origin> = BTreeMap::new();
    for declaration in std::mem::take(&mut all.declared) {
        match first.get(&declaration.walk.name) {
            None => {
                first.insert(declaration.walk.name.clone(), declaration.origin.clone());
                all.declared.push(declaration);
            }
            Some(other) => all.refused.push(RefusedBackfill {
                name: None,
                file: declaration.origin.file.clone(),
                line: declaration.origin.line,
                column: declaration.origin.column,
                message: format!("`{}` is declared at {other} already", declaration.walk.name),
                hint: "give each a name of its own: name=…".into(),
            }),
        }
    }
}

/// The dialect of a lint's options, for whoever opens the database.
pub(crate) fn describe(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => "postgres",
        Dialect::Sqlite => "sqlite",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(files: &[(&str, &str)]) -> Declarations {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File { path: (*path).into(), bytes: text.as_bytes().to_vec() })
            .collect();
        declarations(&files, &lint::Options::default()).unwrap()
    }

    const SQL: &str = "-- plimsoll: backfill table=users key=id\nUPDATE users SET a = 1 WHERE a IS NULL;";

    #[test]
    fn sql_and_toml_declare_the_same() {
        let toml = "[[backfill]]\nname = \"other\"\ntable = \"users\"\nkey = \"id\"\nbatch = 50\n\
                    sql = \"update users  set a = 1 WHERE a IS NULL /* why */\"\n\n\
                    [[backfill]]\nname = \"third\"\ntable = \"t\"\nkey = [\"a\", \"b\"]\n\
                    sql = '''\nDELETE FROM t\nWHERE (a, b) > (:from) AND (a, b) <= (:to)'''\n";
        let all = read(&[("1.sql", SQL), ("2.backfill.toml", toml)]);
        assert!(all.refused.is_empty(), "{:?}", all.refused);
        let [first, second, third] = all.declared.as_slice() else { panic!("{:?}", all.declared) };
        assert_eq!(first.origin.to_string(), "1.sql:2:1");
        assert_eq!(second.origin.to_string(), "2.backfill.toml:1:1");
        assert_eq!((second.walk.batch, third.walk.key.len()), (Some(50), 2));
        assert_eq!(all.named("third").unwrap().walk.table, "t");
        assert_eq!(all.named("x").unwrap_err().to_string(), "there is no backfill `x`");
    }

    #[test]
    fn the_checksum_is_of_what_is_done() {
        let of = |text: &str| read(&[("1.sql", text)]).declared[0].checksum();
        let first = of(SQL);
        assert!(first.starts_with("sha256:") && first.len() == 71);
        let same = "\r\n-- plimsoll: backfill table=users key=id batch=7 name=n\r\n\
                    UPDATE users /* x */ SET a = 1\r\n  WHERE a IS NULL";
        assert_eq!(of(same), first);
        assert_ne!(of(&SQL.replace("= 1", "= 2")), first);
        assert_ne!(of(&SQL.replace("key=id", "key=email")), first);
    }

    #[test]
    fn what_is_wrong_in_toml_has_its_place() {
        let refused = |text: &str| {
            let all = read(&[("x.backfill.toml", text)]);
            assert!(all.declared.is_empty());
            let refused = &all.refused[0];
            (refused.line, refused.column, refused.message.clone())
        };
        let one = |sql: &str| format!("[[backfill]]\ntable = \"users\"\nkey = \"id\"\nsql = {sql}\n");
        let (line, column, message) = refused(&one("\"UPDATE users SET a = 1 RETURNING id\""));
        assert_eq!((line, column), (4, 31), "{message}");
        let (line, column, _) = refused(&one("'''\nUPDATE users SET a = 1\n RETURNING id'''"));
        assert_eq!((line, column), (6, 2));
        let (line, column, _) = refused(&one("\"\"\"UPDATE users SET a = 1 RETURNING id\"\"\""));
        assert_eq!((line, column), (4, 33));
        let (line, _, message) = refused("[[backfill]]\ntable = 3\n");
        assert_eq!(line, 2, "{message}");
        assert!(
            refused("[[backfill]]\ntable = \"a\"\nkey = \"id\"\nsql = \"\"\nsize = 3").2.contains("size")
        );
        assert!(refused("x = ").2.len() > 3);
    }

    #[test]
    fn a_name_is_used_once() {
        let all = read(&[("1.sql", SQL), ("2.sql", SQL)]);
        assert_eq!(all.declared.len(), 1);
        assert_eq!(all.refused[0].message, "`users` is declared at 1.sql:2:1 already");
        assert!(all.sound().is_err());
    }
}
