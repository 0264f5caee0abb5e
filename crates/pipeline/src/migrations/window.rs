//! Which migrations may run now, which have to wait, and which releases the
//! schema serves before and after (MIG-2, MIG-4, RBK-2). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use plimsoll_evidence_migration_lint::{
    Class, File, FileReport, Missing, Needs, Offer, Options, Released, Schema, Serves, Severity, lint, schema,
};
use plimsoll_model::{Commit, Failure, Lookup};

/// The code of the rule about backfills that are not finished: what it finds has
/// to wait, and is no fault of the file.
const BACKFILL_OPEN: &str = "MIG-057";

/// A release that runs, or that ran, and what it needs of the schema.
#[derive(Debug, Clone)]
pub(crate) struct Needed {
    pub(crate) sha: Commit,
    /// Absent: nobody recorded it.
    pub(crate) needs: Lookup<Needs>,
}

/// What is pending, judged.
#[derive(Debug)]
pub(crate) struct Judged {
    /// In the order in which they run.
    pub(crate) pending: Vec<FileReport>,
    /// Files that have to wait, and why.
    pub(crate) held: BTreeMap<String, Wait>,
    /// What the schema gives before any of them runs.
    pub(crate) before: Offer,
}

/// For whom or what a file waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A release of the window lacks something afterwards, e.g. `users.fax`.
    Needed { sha: Commit, what: String },
    /// What a release of the window needs is not known.
    NotKnown(String),
    /// A backfill is not finished.
    Backfill(String),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed { sha, what } => write!(f, "{} needs `{what}`", sha.short()),
            Self::NotKnown(why) | Self::Backfill(why) => f.write_str(why),
        }
    }
}

/// Judges what has not run: a file that takes something from a release in the
/// window or demands more of its rows, or whose backfill is not finished, has to
/// wait.
///
/// # Errors
/// The files are more than is read.
pub(crate) fn judge(
    files: &[File],
    applied: &BTreeSet<String>,
    window: &[Needed],
    options: &Options,
) -> Result<Judged, Failure> {
    let options = Options { released: Released::Files(applied.clone()), ..options.clone() };
    let pending = lint(files, &options)?.files;
    let ran = ran(files, applied, &options)?;
    let (before, everything) = (ran.offers(), ran.needs(&BTreeSet::new()));
    let mut held: BTreeMap<String, Wait> =
        pending.iter().filter_map(|file| Some((file.file.clone(), unfinished(file)?))).collect();
    let all = |held: &BTreeMap<String, Wait>| -> BTreeSet<String> {
        let free = pending.iter().map(|file| &file.file).filter(|path| !held.contains_key(*path));
        applied.iter().chain(free).cloned().collect()
    };
    // Mostly nobody loses anything, which one replay shows.
    let mut run = all(&held);
    if needed_by(window, &everything, &before, &offer(files, &run, &options)?).is_some() {
        run = applied.clone();
        for file in &pending {
            if held.contains_key(&file.file) {
                continue;
            }
            let mut then = run.clone();
            then.insert(file.file.clone());
            let (now, after) = (offer(files, &run, &options)?, offer(files, &then, &options)?);
            match needed_by(window, &everything, &now, &after) {
                // What must not run as it is does not become better by waiting.
                Some(reason) if file.class != Class::Unsafe => {
                    held.insert(file.file.clone(), reason);
                }
                _ => run = then,
            }
        }
    }
    Ok(Judged { pending, held, before })
}

/// What the schema gives once these files have run.
///
/// # Errors
/// The files are more than is read.
pub(crate) fn offer(files: &[File], run: &BTreeSet<String>, options: &Options) -> Result<Offer, Failure> {
    Ok(ran(files, run, options)?.offers())
}

fn ran(files: &[File], run: &BTreeSet<String>, options: &Options) -> Result<Schema, Failure> {
    let those: Vec<File> = files.iter().filter(|file| run.contains(&file.path)).cloned().collect();
    Ok(schema(&those, options)?)
}

/// That a backfill is not finished, where that is all that is wrong with a file.
fn unfinished(file: &FileReport) -> Option<Wait> {
    let mut errors = file.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let first = errors.next().filter(|finding| finding.rule == BACKFILL_OPEN)?;
    errors.all(|finding| finding.rule == BACKFILL_OPEN).then(|| Wait::Backfill(first.message.clone()))
}

/// Who of the window loses something by a file.
fn needed_by(window: &[Needed], everything: &Needs, now: &Offer, then: &Offer) -> Option<Wait> {
    window.iter().find_map(|release| match &release.needs {
        Lookup::Found(needs) => match (now.serves(needs), then.serves(needs)) {
            // What it lacks already is not taken from it by this file.
            (Serves::No(before), Serves::No(after)) => {
                let new = after.into_iter().find(|missing| !before.contains(missing))?;
                Some(needs_it(&release.sha, &new))
            }
            (Serves::Yes, Serves::No(missing)) => Some(needs_it(&release.sha, missing.first()?)),
            (_, Serves::Yes) => None,
        },
        // What nobody knows may be anything that is there now.
        _ if matches!(then.serves(everything), Serves::Yes) => None,
        Lookup::Absent => Some(Wait::NotKnown(format!("nobody recorded what {} needs", release.sha.short()))),
        Lookup::Invalid(why) | Lookup::Unknown(why) => {
            Some(Wait::NotKnown(format!("what {} needs is not known: {why}", release.sha.short())))
        }
    })
}

fn needs_it(sha: &Commit, missing: &Missing) -> Wait {
    Wait::Needed { sha: sha.clone(), what: missing.what.clone() }
}

/// What a release lacks, in words; nothing: it is served.
pub(crate) fn lacks(offer: &Offer, needs: &Lookup<Needs>) -> Lookup<Vec<String>> {
    needs.clone().map(|needs| match offer.serves(&needs) {
        Serves::Yes => Vec::new(),
        Serves::No(missing) => missing.iter().map(in_words).collect(),
    })
}

fn in_words(missing: &Missing) -> String {
    format!("`{}`: {}", missing.what, missing.why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(path: &str, sql: &str) -> File {
        File { path: path.into(), bytes: sql.into() }
    }

    fn files() -> Vec<File> {
        vec![
            file("1_users.sql", "CREATE TABLE users (id bigint PRIMARY KEY, email text, fax text);"),
            file("2_name.sql", "ALTER TABLE users ADD COLUMN name text;"),
            file("3_fax.sql", "ALTER TABLE users DROP COLUMN fax;"),
        ]
    }

    fn release(sha: &str, unused: &[&str], known: usize) -> Needed {
        let unused = unused.iter().map(|name| (*name).to_owned()).collect();
        let needs = schema(&files()[..known], &Options::default()).unwrap().needs(&unused);
        Needed { sha: sha.repeat(40).parse().unwrap(), needs: Lookup::Found(needs) }
    }

    fn applied(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    fn held(window: &[Needed]) -> BTreeMap<String, String> {
        let judged = judge(&files(), &applied(&["1_users.sql"]), window, &Options::default()).unwrap();
        judged.held.into_iter().map(|(path, wait)| (path, wait.to_string())).collect()
    }

    #[test]
    fn a_drop_waits_for_whoever_uses_the_column() {
        let uses = held(&[release("a", &[], 1)]);
        assert_eq!(uses.keys().collect::<Vec<_>>(), ["3_fax.sql"]);
        assert!(uses["3_fax.sql"].contains("aaaaaaaaaaaa needs `users.fax`"), "{uses:?}");
        assert!(held(&[release("a", &["users.fax"], 1)]).is_empty());
        assert!(held(&[]).is_empty());
        // One that uses it among those that do not.
        assert_eq!(held(&[release("a", &["users.fax"], 2), release("b", &[], 1)]).len(), 1);
    }

    #[test]
    fn a_release_that_said_nothing_is_waited_for() {
        let silent = Needed { sha: "c".repeat(40).parse().unwrap(), needs: Lookup::Absent };
        assert!(held(&[silent])["3_fax.sql"].contains("nobody recorded what cccccccccccc needs"));
    }

    /// A constraint is known to the code that comes with it, and to none before.
    #[test]
    fn what_demands_more_of_rows_waits() {
        let mut files = files();
        files.truncate(1);
        files.push(file("2_unique.sql", "CREATE UNIQUE INDEX users_email ON users (email);"));
        let judged = |known: usize| {
            let needs = schema(&files[..known], &Options::default()).unwrap().needs(&BTreeSet::new());
            let window = [Needed { sha: "a".repeat(40).parse().unwrap(), needs: Lookup::Found(needs) }];
            judge(&files, &applied(&["1_users.sql"]), &window, &small()).unwrap().held
        };
        assert_eq!(judged(1).keys().collect::<Vec<_>>(), ["2_unique.sql"]);
        assert!(judged(2).is_empty());
    }

    fn small() -> Options {
        Options { small_tables: ["users".to_owned()].into(), ..Options::default() }
    }

    #[test]
    fn what_a_release_lacks_already_is_not_taken_from_it() {
        let mut files = files();
        files.push(file("4_email.sql", "ALTER TABLE users DROP COLUMN email;"));
        let window = [release("a", &["users.email"], 1)];
        // `fax` is gone although the release uses it; somebody answered for that.
        let ran = applied(&["1_users.sql", "2_name.sql", "3_fax.sql"]);
        assert!(judge(&files, &ran, &window, &Options::default()).unwrap().held.is_empty());
    }

    #[test]
    fn the_window_is_open_before_and_closed_after() {
        let (files, options) = (files(), Options::default());
        let needs = release("a", &[], 1).needs;
        let before = offer(&files, &applied(&["1_users.sql"]), &options).unwrap();
        let all = files.iter().map(|file| file.path.clone()).collect();
        let after = offer(&files, &all, &options).unwrap();
        assert_eq!(lacks(&before, &needs), Lookup::Found(vec![]));
        let missing = lacks(&after, &needs);
        assert!(missing.found().unwrap()[0].starts_with("`users.fax`: the column is gone"), "{missing:?}");
    }
}
