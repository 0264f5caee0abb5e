//! What a release says of its migrations: which they are, and what its code
//! needs of the schema (MIG-4). The predicate `https://plimsoll.dev/migrations/v1`.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_config::Migrations;
use plimsoll_evidence_migration_lint::{
    Class, Dialect, File, Layout, Needs, Options, Released, schema, scripts,
};
use plimsoll_model::Failure;
use plimsoll_rollout_migrate::checksum;
use serde::{Deserialize, Serialize};

/// What is attested about an image, and kept in the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationsRecord {
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// The tool whose rules order the files.
    pub layout: Layout,
    /// The folder, in the commit.
    pub dir: String,
    /// Each migration, in the order in which they run.
    pub files: Vec<RecordedFile>,
    /// Tables and columns that the code was declared not to use.
    #[serde(default)]
    pub unused: BTreeSet<String>,
    /// What the code may use of the schema.
    pub needs: Needs,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Its path within the folder.
    pub path: String,
    /// SHA-256 of the way forth with line feeds, hexadecimal.
    pub checksum: String,
    /// What it does, each file judged as a release of its own.
    pub class: Class,
}

/// How migrations are judged, by the configuration.
pub(crate) fn options(configured: &Migrations) -> Options {
    Options {
        dialect: super::dialect(Some(configured)),
        layout: super::layout(configured),
        small_tables: configured.small_tables.iter().cloned().collect(),
        ..Options::default()
    }
}

impl MigrationsRecord {
    /// What the files of a release say.
    ///
    /// # Errors
    /// They are more than is read, or their order cannot be told.
    pub(crate) fn of(files: &[File], configured: &Migrations) -> Result<Self, Failure> {
        let options = Options { released: Released::EachFile, ..options(configured) };
        let found = scripts(files, &options)?;
        let unused: BTreeSet<String> = configured.unused.iter().cloned().collect();
        let recorded = found.files.iter().map(|script| RecordedFile {
            path: script.path.clone(),
            checksum: checksum(&script.checksum_text),
            class: script.class.unwrap_or(Class::Unsafe),
        });
        Ok(Self {
            dialect: options.dialect,
            layout: found.layout,
            dir: configured.dir.display().to_string(),
            files: recorded.collect(),
            needs: schema(files, &options)?.needs(&unused),
            unused,
        })
    }

    /// Where files are not those that are recorded, in words.
    ///
    /// # Errors
    /// The files cannot be put in order.
    pub(crate) fn differing(&self, files: &[File]) -> Result<Vec<String>, Failure> {
        let options = Options { dialect: self.dialect, layout: Some(self.layout), ..Options::default() };
        let now = checksums(files, &options)?;
        Ok(self
            .files
            .iter()
            .filter_map(|recorded| match now.get(&recorded.path) {
                None => Some(format!("{} is not in the commit", recorded.path)),
                Some(checksum) if *checksum != recorded.checksum => {
                    Some(format!("{} has another checksum", recorded.path))
                }
                Some(_) => None,
            })
            .collect())
    }
}

/// The checksum of each migration, as the database's own record has it.
///
/// # Errors
/// The files are more than is read.
pub(crate) fn checksums(files: &[File], options: &Options) -> Result<BTreeMap<String, String>, Failure> {
    let all = files.iter().map(|file| file.path.clone()).collect();
    // What counts as released is not judged, which is not wanted here.
    let options = Options { released: Released::Files(all), ..options.clone() };
    let found = scripts(files, &options)?;
    Ok(found.files.into_iter().map(|script| (script.path, checksum(&script.checksum_text))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(path: &str, sql: &str) -> File {
        File { path: path.into(), bytes: sql.into() }
    }

    #[test]
    fn line_ends_do_not_count_and_words_do() {
        let of = |sql: &str| checksums(&[file("1_a.sql", sql)], &Options::default()).unwrap();
        let plain = of("CREATE TABLE a (id int);\nCREATE TABLE b (id int);\n");
        assert_eq!(of("CREATE TABLE a (id int);\r\nCREATE TABLE b (id int);"), plain);
        assert_ne!(of("CREATE TABLE a (id int);\nCREATE TABLE c (id int);\n"), plain);
    }
}
