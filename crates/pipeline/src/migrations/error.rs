//! Why migrations cannot be had.

use std::path::PathBuf;

use plimsoll_model::{Class, Commit, Diagnose, Page};

/// What keeps migrations from being read. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum MigrationsError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No database is configured.
    #[error("there is no database to migrate")]
    NoDatabase,
    /// A Job of the environment's cluster runs them.
    #[error("the migrations of {environment} are run by a Job of its cluster, at each deployment")]
    InCluster {
        /// The environment.
        environment: String,
    },
    /// Files of several folders were named.
    #[error("migrations of several folders cannot be judged together")]
    SeveralFolders {
        /// What was named.
        paths: Vec<PathBuf>,
    },
    /// More files than are read.
    #[error("{} has more than {most} migrations", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
        /// How many are read.
        most: usize,
    },
    /// The folder is not in the repository.
    #[error("{} is not in the repository", folder.display())]
    OutsideRepository {
        /// The folder.
        folder: PathBuf,
    },
    /// The database does not answer.
    #[error("the database did not answer within {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The migrations of a release were there when it was decided, and are not now.
    #[error("the migrations of commit {sha} are not there any more")]
    Gone {
        /// The commit.
        sha: Commit,
        /// What is there instead.
        found: String,
    },
    /// A rollout of the environment has no end yet.
    #[error("no migration runs by hand: rollout {rollout} of {environment} is unfinished")]
    Unfinished {
        /// The environment.
        environment: String,
        /// The rollout.
        rollout: String,
    },
    /// Somebody took the environment's lock over.
    #[error("the lock of {environment} was lost while its migrations ran")]
    LockLost {
        /// The environment.
        environment: String,
    },
    /// The migrations ran, and the ledger does not say so.
    #[error("the migrations of {environment} ran, and the ledger could not be told")]
    NotWrittenDown {
        /// The environment.
        environment: String,
        /// Why.
        why: String,
    },
    /// A migration of a commit cannot be read.
    #[error("the migration {} of commit {sha} cannot be read", path.display())]
    Unreadable {
        /// The commit.
        sha: Commit,
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Diagnose for MigrationsError {
    fn class(&self) -> Class {
        match self {
            Self::Silent { .. } | Self::Gone { .. } | Self::LockLost { .. } | Self::NotWrittenDown { .. } => {
                Class::Outside
            }
            Self::Unfinished { .. } => Class::Refused,
            _ => Class::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::Unreadable { .. } => "MIG-911",
            Self::SeveralFolders { .. } => "MIG-912",
            Self::TooMany { .. } => "MIG-913",
            Self::OutsideRepository { .. } => "MIG-914",
            Self::Silent { .. } => "MIG-917",
            Self::Gone { .. } => "MIG-916",
            Self::NoDatabase => "MIG-915",
            Self::Unfinished { .. } => "MIG-918",
            Self::LockLost { .. } => "MIG-919",
            Self::NotWrittenDown { .. } => "MIG-920",
            Self::InCluster { .. } => "MIG-927",
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Unreadable { why, .. } => Some(why.clone()),
            Self::Gone { found, .. } => Some(found.clone()),
            Self::NotWrittenDown { why, .. } => Some(why.clone()),
            Self::SeveralFolders { paths } => {
                Some(paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => {
                "nothing was touched; name a file or a folder, or set `[migrations] dir`".into()
            }
            Self::NoDatabase => {
                "nothing was touched; name it in plimsoll.toml: `[migrations] database = \"env:DATABASE_URL\"`".into()
            }
            Self::InCluster { environment } => format!(
                "nothing was touched; `plimsoll deploy SHA --env {environment}` runs them; `plimsoll migrate plan --env {environment}` \
                 shows which, by the ledger"
            ),
            Self::SeveralFolders { .. } => "nothing was touched; judge one folder after the other".into(),
            Self::TooMany { .. } => "nothing was touched; is this the folder of the migrations?".into(),
            Self::OutsideRepository { .. } => {
                "nothing was touched; leave `--since` out, or work in the repository that has the folder (`-C DIR`)".into()
            }
            Self::Silent { .. } => "nothing was touched; check the database with `plimsoll migrate status`".into(),
            Self::Unfinished { environment, .. } => format!(
                "nothing was touched; the next `plimsoll deploy SHA --env {environment}` or rollback finishes or undoes it first"
            ),
            Self::LockLost { environment } => format!(
                "the statement that ran was rolled back; `plimsoll migrate status --env {environment}` shows what had run before it, `plimsoll status --env {environment}` who is at work there"
            ),
            Self::NotWrittenDown { environment, .. } => format!(
                "once the ledger can be written, `plimsoll migrate apply --env {environment}` runs nothing again and writes it down"
            ),
            Self::Gone { sha, .. } => {
                format!("no migration was run; `git cat-file -t {sha}` tells whether the commit is here; `git fetch` brings it")
            }
            Self::Unreadable { path, sha, .. } => {
                format!("nothing was touched; see what it is with `git ls-tree {sha} -- {}`", path.display())
            }
        })
    }
}

/// A page for every code above.
pub const PAGES: &[Page] = &[
    Page {
        code: "MIG-911",
        name: "migrations-not-read",
        what: "A migration, or the folder they are in, cannot be read: it is not there, may not be read, is longer than is \
               read, a link or a Git LFS pointer.",
        why: "A migration that is not read is not judged, and its effect on the schema is not known.",
        how: "Name the folder in `[migrations] dir`, or on the command line; commit migrations as plain files.",
    },
    Page {
        code: "MIG-915",
        name: "no-database",
        what: "Migrations are to be run, and plimsoll.toml names no database.",
        why: "Which database is migrated is never guessed.",
        how: "`[migrations] database = \"env:DATABASE_URL\"`, or `sqlite://PATH`, or a `postgres://` URL without a password.",
    },
    Page {
        code: "MIG-927",
        name: "migrations-in-cluster",
        what: "Migrations, backfills or what another tool recorded are to be worked on from here in an environment whose \
               `[environments.NAME.kubernetes.migrate]` lets a Job of the cluster run migrations.",
        why: "Its database is reached from the cluster only; another one is never taken for it.",
        how: "`plimsoll deploy` runs them. `plimsoll migrate plan --env NAME` and `plimsoll migrate status --env NAME` show what \
              the ledger knows. Where the database can be reached from here after all, name it as the environment's `database` \
              and remove the section.",
    },
    Page {
        code: "MIG-912",
        name: "several-folders",
        what: "Files of several folders were named at once.",
        why: "A folder is one history of one schema; two histories cannot be replayed together.",
        how: "`plimsoll migrate lint FOLDER` for one after the other.",
    },
    Page {
        code: "MIG-913",
        name: "too-many-migrations",
        what: "The folder has more `.sql` and `.toml` files than are read.",
        why: "Most likely it is not a folder of migrations.",
        how: "Name the folder itself in `[migrations] dir`.",
    },
    Page {
        code: "MIG-914",
        name: "migrations-outside-repository",
        what: "`--since` compares with a commit, and the folder is not in the repository's working directory.",
        why: "Then no commit can say which of its files were released.",
        how: "Leave `--since` out, or name a folder of this repository.",
    },
    Page {
        code: "MIG-917",
        name: "database-silent",
        what: "The database that `[migrations] database` names did not answer in time.",
        why: "Which migrations ran is what the database says; without it nothing can be decided about the next ones.",
        how: "Check address, network and credentials; `plimsoll migrate status` asks the same question.",
    },
    Page {
        code: "MIG-918",
        name: "rollout-unfinished",
        what: "Migrations are to be run by hand on an environment whose last rollout was interrupted and has no end yet.",
        why: "That rollout may run migrations itself when it is taken up again, as they were decided on.",
        how: "`plimsoll deploy` or `plimsoll rollback` for the environment finishes or undoes it; then run them.",
    },
    Page {
        code: "MIG-919",
        name: "lock-lost",
        what: "Somebody else took the environment's lock while migrations ran there by hand: this process did not renew it for \
               longer than its lease, or the lock was broken.",
        why: "Two at work in one environment would decide on what the other one is changing.",
        how: "`plimsoll migrate status --env ENV` shows what had run; run the rest once nobody else is at work.",
    },
    Page {
        code: "MIG-920",
        name: "not-written-down",
        what: "Migrations ran by hand, and the ledger could not be written afterwards.",
        why: "Until it is, a rollback knows from the database alone that something ran, and with the database away not at all.",
        how: "Mend the ledger (`plimsoll ledger verify`), then `plimsoll migrate apply --env ENV` again: it runs nothing twice, \
              and writes down what had run.",
    },
    Page {
        code: "MIG-916",
        name: "migrations-gone",
        what: "The commit's migrations could be read when the deployment was decided, and cannot be read when they are to \
               be run.",
        why: "What is run is what was judged, from the commit itself.",
        how: "`git fetch` brings the commit; then deploy again.",
    },
];
