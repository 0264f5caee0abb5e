//! The pages of `plimsoll explain` for running migrations.

use plimsoll_model::Page;

/// One page for each code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: "MGR-001",
        name: "migration-refused",
        what: "A migration that would run next must not run as it is: the lint calls it unsafe, a placeholder has no \
               value, it holds something that only psql understands, or it was never judged.",
        why: "What stops readers and writers, or cannot be judged, is found before anything was touched, not in the \
              middle of it.",
        how: "`plimsoll migrate lint` says what to write instead. A person who knows better names the file: `plimsoll \
              migrate apply --allow PATH`.",
    },
    Page {
        code: "MGR-002",
        name: "migration-edited",
        what: "A migration is not what it was when it ran. Line ends, a byte order mark and blank lines around it do not \
               count.",
        why: "Databases that ran the old text and those that run the new one differ from then on, and nobody sees it.",
        how: "Put back what ran (`git log -p -- PATH` shows the change) and write the change as a new migration.",
    },
    Page {
        code: "MGR-003",
        name: "migrated-by-another-tool",
        what: "The database has the table of another runner (sqlx, refinery, diesel, golang-migrate, goose, dbmate, \
               flyway, Prisma, Alembic), and none of Plimsoll's.",
        why: "Everything would run a second time.",
        how: "`plimsoll migrate adopt` compares what that tool recorded with the files, and takes it over. Its table is \
              left as it is. Let only one of them run migrations from then on. Where that table is about other migrations \
              than these, `plimsoll migrate apply --beside-other-tool`.",
    },
    Page {
        code: "MGR-004",
        name: "nothing-to-adopt",
        what: "There is no table of another tool, or Plimsoll's own has entries already, or the file named does not \
               exist.",
        why: "Adopting is for the first time only.",
        how: "For a database that was migrated by hand, `plimsoll migrate adopt --through PATH` records all files up to \
              that one as applied.",
    },
    Page {
        code: "MGR-005",
        name: "not-adoptable",
        what: "What another tool recorded cannot be taken over: a migration failed in the middle (golang-migrate: dirty), \
               a file is not what it was when it ran, or the recorded version is not among the files.",
        why: "What ran in part is neither applied nor pending, and only a person can tell what of it took effect.",
        how: "Finish or undo it with that tool. A file that differs only in a comment is accepted by `--accept PATH`.",
    },
    Page {
        code: "MGR-006",
        name: "another-runner",
        what: "Another runner migrates this database at the moment, and did not end within the time.",
        why: "Two at once would run the same statements.",
        how: "Run it again when the other has ended; `plimsoll migrate status` says who it is. It holds an advisory lock \
              of its session: one that was killed gives it back as soon as the server notices, within seconds.",
    },
    Page {
        code: "MGR-007",
        name: "lock-not-granted",
        what: "A statement did not get its lock on a table within `lock_timeout`, in any of its attempts.",
        why: "A statement that waits for a lock makes all others wait behind it, so that it gives way instead, and tries \
              again after a pause that grows.",
        how: "The error says who held it. Run it again at a quieter time, end that session, or give it longer with \
              `--lock-timeout` and `--attempts`.",
    },
    Page {
        code: "MGR-008",
        name: "statement-failed",
        what: "The database refused a statement of a migration, or ended it after `--statement-timeout`.",
        why: "A file in one transaction left nothing; of others the statements before it are done and recorded.",
        how: "Correct the statement that failed, then run `plimsoll migrate apply` again: it goes on there. Statements \
              that are done must stay as they are.",
    },
    Page {
        code: "MGR-009",
        name: "migration-lock-lost",
        what: "The session that runs the migrations does not hold their lock any more.",
        why: "Behind a pooler that gives each transaction another session, a lock of a session protects nothing.",
        how: "Give `[migrations] database` the address of the server itself, or of a pool in session mode.",
    },
    Page {
        code: "MGR-010",
        name: "migration-table",
        what: "The table `plimsoll_migrations` cannot be read or made: a newer Plimsoll wrote it, something else has \
               changed it, or there is no schema for it.",
        why: "Without it nobody knows what has run.",
        how: "Use the newer version. The table's format is in docs/migrations.md.",
    },
    Page {
        code: "MGR-011",
        name: "sqlite",
        what: "SQLite could not open, read or write its file.",
        why: "What was not committed is not there; what was, is.",
        how: "Look at the message: rights on the file and its folder, a full disk. Then run the command again.",
    },
    Page {
        code: "MGR-012",
        name: "migration-interrupted",
        what: "A person or a signal ended the command while it ran migrations.",
        why: "Files that ran to their end are recorded and stay. A file in one transaction that was in flight is rolled \
              back; of another one the statements that are done are recorded.",
        how: "`plimsoll migrate status` shows where each file stands; `plimsoll migrate apply` goes on from there.",
    },
];
