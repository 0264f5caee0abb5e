//! The pages of `plimsoll explain BKF-…`.

use plimsoll_model::Page;

/// One page per error code.
pub const PAGES: &[Page] = &[
    Page {
        code: "BKF-001",
        name: "backfill-not-batchable",
        what: "A declared backfill is no statement that can be restricted to a range of keys.",
        why: "Run as a whole it locks every row until it ends. Cut in the wrong way it would change rows twice \
              or leave some out.",
        how: "One UPDATE, DELETE or INSERT … SELECT on the declared table; no WITH, RETURNING, LIMIT, GROUP BY or \
              DISTINCT; the key is not changed. The range is added by itself, or stands where the statement says \
              `key > :from AND key <= :to`. See docs/backfill.md.",
    },
    Page {
        code: "BKF-002",
        name: "backfill-unknown",
        what: "No migration and no *.backfill.toml declares a backfill of this name.",
        why: "A mistyped name must not pass for a backfill that is done.",
        how: "`plimsoll migrate backfill --status` lists them. Declare one by `-- plimsoll: backfill table=… key=… \
              batch=… name=…` before a statement.",
    },
    Page {
        code: "BKF-003",
        name: "backfill-not-in-database",
        what: "The table, the key or the statement of a backfill does not fit the database: there is no such \
               table, the key has no unique index, may be NULL, or has a type that is not walked by; or the \
               database does not understand the statement.",
        why: "Batches are cut by the order of a unique index. Without one each batch reads the whole table, and \
              rows of one key may be cut apart.",
        how: "Name the columns of a primary key, or of a unique index on NOT NULL columns (CREATE UNIQUE INDEX \
              CONCURRENTLY …), in its order: key=id, or key=tenant_id,id. Where the table is still missing, run \
              `plimsoll migrate apply` first.",
    },
    Page {
        code: "BKF-010",
        name: "backfill-held",
        what: "Another process holds the lock of this backfill: an advisory lock in PostgreSQL, a lock on the file \
               beside the database in SQLite.",
        why: "Two processes would do each other's batches.",
        how: "`plimsoll migrate backfill NAME --status` shows who it is and how far; `--pause` stops it.",
    },
    Page {
        code: "BKF-011",
        name: "backfill-paused",
        what: "Somebody has paused this backfill.",
        why: "Whoever paused it had a reason.",
        how: "`plimsoll migrate backfill NAME --resume`, and run it again if no process works on it.",
    },
    Page {
        code: "BKF-012",
        name: "backfill-changed",
        what: "Table, key or statement are not those with which this backfill began.",
        why: "Half of the rows would have the effect of one statement and half that of the other.",
        how: "Put the old statement back; or give the new one another name; or `--restart`, which runs the new one \
              on every row.",
    },
    Page {
        code: "BKF-013",
        name: "backfill-not-finished",
        what: "A fresh look found the backfill unfinished.",
        why: "A contract step takes away what rows that are not done yet still need.",
        how: "`plimsoll migrate backfill NAME`.",
    },
    Page {
        code: "BKF-020",
        name: "backfill-row-fails",
        what: "A row cannot go through the statement: a value is out of range, a constraint or a trigger says no. \
               Batches were halved down to that row.",
        why: "Leaving it out would make a proof of completion that is false.",
        how: "Mend the row, or the statement (`CASE`, `coalesce`, a condition in WHERE), and run it again.",
    },
    Page {
        code: "BKF-021",
        name: "backfill-keeps-failing",
        what: "A batch failed again and again, by lock time-outs, deadlocks or statement time-outs, though it was \
               halved and waited for, or the connection was lost again and again.",
        why: "Somebody holds locks for long, the statement is slow for each row, or the database is down.",
        how: "`SELECT * FROM pg_stat_activity WHERE wait_event_type = 'Lock'`; EXPLAIN the statement for one key; \
              then run it again.",
    },
    Page {
        code: "BKF-022",
        name: "backfill-disk-full",
        what: "The database has no space left. Nothing of the last batch was kept.",
        why: "An UPDATE writes each row anew before the old one can be cleaned up.",
        how: "Make room, or wait for vacuum, and run it again.",
    },
    Page {
        code: "BKF-023",
        name: "backfill-table-gone",
        what: "The table, or a column that the statement names, went away while the backfill ran.",
        why: "Another migration ran beside it.",
        how: "See what was dropped. Run it again where the table is back, or take the declaration away.",
    },
    Page {
        code: "BKF-024",
        name: "backfill-statement-fails",
        what: "The database refuses the statement for a reason that repeating does not mend, such as a missing \
               privilege.",
        why: "No batch can be done.",
        how: "Mend what the database says and run it again; batches that are done are kept.",
    },
    Page {
        code: "BKF-025",
        name: "backfill-rows-left",
        what: "After the whole table was walked over, rows still meet the WHERE of the statement.",
        why: "Either code still writes rows in the old shape, or the statement does not make its condition false \
              for some rows. In both cases a contract step would lose data.",
        how: "Deploy the code or trigger that writes the new shape first. Where the statement itself leaves rows, \
              mend its WHERE or its value and use `--restart`.",
    },
    Page {
        code: "BKF-030",
        name: "backfill-progress-unreadable",
        what: "The row of this backfill in plimsoll_backfills is not understood.",
        why: "Going on from a wrong place would leave rows out.",
        how: "Use the version of plimsoll that wrote it; docs/backfill.md describes the table.",
    },
    Page {
        code: "BKF-031",
        name: "backfill-sqlite",
        what: "SQLite could not open or change the database file.",
        why: "The file is missing, locked for long, or no database.",
        how: "See what SQLite says. `sqlite3 FILE 'PRAGMA integrity_check'` checks the file.",
    },
    Page {
        code: "BKF-040",
        name: "backfill-interrupted",
        what: "The process was asked to stop and did so between two batches.",
        why: "A batch and the note of it are one transaction, so nothing is half done.",
        how: "Run `plimsoll migrate backfill` again: it goes on where it was.",
    },
];
