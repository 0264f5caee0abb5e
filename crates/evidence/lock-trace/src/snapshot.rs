//! What is there, what is locked and what was read, at one moment; and what lies
//! between two moments.

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_database::tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};
use plimsoll_evidence_migration_lint::{Traced, TracedLock};

/// Objects of the server itself have smaller numbers (`FirstNormalObjectId`).
pub(crate) const FIRST: u32 = 16_384;

/// Relations, locks of this session, and counted scans, as three queries in one.
pub(crate) const QUERY: &str = "\
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, i.indrelid, c.relpersistence
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'i', 'I') AND n.nspname <> 'pg_toast';
SELECT l.relation, l.mode FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND l.relation >= 16384 AND l.pid = pg_catalog.pg_backend_pid();
SELECT s.relid, s.seq_scan FROM pg_catalog.pg_stat_xact_all_tables s
WHERE s.relid >= 16384 AND s.seq_scan > 0";

/// Two of its queries, for what cannot be in a transaction.
pub(crate) const RELATIONS: &str = "\
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, i.indrelid, c.relpersistence
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'i', 'I') AND n.nspname <> 'pg_toast'";

/// A table, a view or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    /// `public` is left out, as in reports.
    pub(crate) name: String,
    pub(crate) kind: char,
    /// 0 where it has none.
    file: u32,
    /// Of an index: its table.
    pub(crate) table: Option<u32>,
    temporary: bool,
}

impl Relation {
    fn index(&self) -> bool {
        matches!(self.kind, 'i' | 'I')
    }
}

/// One moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) relations: BTreeMap<u32, Relation>,
    /// Relation and mode, weakest first.
    pub(crate) locks: BTreeSet<(u32, usize)>,
    scans: BTreeMap<u32, u64>,
}

/// The modes of locks, weakest first, as `pg_locks` and as SQL say it.
const MODES: [(&str, &str); 8] = [
    ("AccessShareLock", "ACCESS SHARE"),
    ("RowShareLock", "ROW SHARE"),
    ("RowExclusiveLock", "ROW EXCLUSIVE"),
    ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
    ("ShareLock", "SHARE"),
    ("ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"),
    ("ExclusiveLock", "EXCLUSIVE"),
    ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
];

/// The strength of a mode as `pg_locks` says it.
pub(crate) fn strength(mode: &str) -> Option<usize> {
    MODES.iter().position(|(known, _)| *known == mode)
}

/// The strength of a mode as SQL says it.
pub(crate) fn strength_of_sql(mode: &str) -> Option<usize> {
    MODES.iter().position(|(_, known)| *known == mode)
}

fn number<T: std::str::FromStr>(row: &SimpleQueryRow, at: usize) -> Option<T> {
    row.get(at)?.parse().ok()
}

impl Snapshot {
    /// From what the server answered to [`QUERY`], or to [`RELATIONS`].
    pub(crate) fn read(messages: &[SimpleQueryMessage]) -> Self {
        let mut found = Self::default();
        let mut query = 0;
        for message in messages {
            let row = match message {
                SimpleQueryMessage::CommandComplete(_) => {
                    query += 1;
                    continue;
                }
                SimpleQueryMessage::Row(row) => row,
                _ => continue,
            };
            let Some(oid) = number::<u32>(row, 0) else { continue };
            match query {
                0 => {
                    let text = |at: usize| row.get(at).unwrap_or_default().to_owned();
                    let name = match text(1).as_str() {
                        "public" => text(2),
                        schema => format!("{schema}.{}", text(2)),
                    };
                    let relation = Relation {
                        name,
                        kind: text(3).chars().next().unwrap_or(' '),
                        file: number(row, 4).unwrap_or(0),
                        table: number(row, 5),
                        temporary: row.get(6) == Some("t"),
                    };
                    found.relations.insert(oid, relation);
                }
                1 => {
                    if let Some(mode) = row.get(1).and_then(strength) {
                        found.locks.insert((oid, mode));
                    }
                }
                _ => {
                    found.scans.insert(oid, number(row, 1).unwrap_or(0));
                }
            }
        }
        found
    }

    /// What a statement did that ran between two moments of one transaction.
    /// `released` is what was there before the release.
    pub(crate) fn since(&self, before: &Self, released: &BTreeSet<u32>, truncates: bool) -> Traced {
        let mut traced = Traced::default();
        let named = |oid: &u32| before.relations.get(oid).or_else(|| self.relations.get(oid));
        let mut strongest: BTreeMap<u32, (usize, bool)> = BTreeMap::new();
        for (oid, mode) in &self.locks {
            let earlier = before.locks.contains(&(*oid, *mode));
            let entry = strongest.entry(*oid).or_insert((*mode, earlier));
            if *mode >= entry.0 {
                *entry = (*mode, earlier);
            }
        }
        for (oid, (mode, earlier)) in strongest {
            let Some(relation) = named(&oid) else { continue };
            traced.locks.push(TracedLock {
                on: relation.name.clone(),
                mode: MODES[mode].1.into(),
                index: relation.index(),
                in_use: released.contains(&oid) && !relation.temporary,
                earlier,
            });
        }
        self.files(before, truncates, &mut traced);
        for (oid, scans) in &self.scans {
            let Some(relation) = before.relations.get(oid) else { continue };
            // An emptied table has its indexes built over nothing.
            if scans > before.scans.get(oid).unwrap_or(&0) && !relation.temporary && !truncates {
                traced.scanned.push(relation.name.clone());
            }
        }
        traced.locks.sort_by(|one, other| one.on.cmp(&other.on));
        traced.scanned.sort();
        traced
    }

    /// Which files changed.
    pub(crate) fn files(&self, before: &Self, truncates: bool, traced: &mut Traced) {
        let mut rewritten = BTreeSet::new();
        for (oid, old) in before.relations.iter().filter(|(_, old)| !old.index() && !old.temporary) {
            let changed = self.relations.get(oid).is_some_and(|now| now.file != old.file);
            if changed && !truncates {
                rewritten.insert(*oid);
                traced.rewritten.push(old.name.clone());
            }
        }
        for (oid, now) in self.relations.iter().filter(|(_, now)| now.index() && !now.temporary) {
            let Some(table) = now.table else { continue };
            let there = before.relations.get(&table).is_some_and(|table| !table.temporary);
            let changed = before.relations.get(oid).is_none_or(|old| old.file != now.file);
            if there && changed && !truncates && !rewritten.contains(&table) && now.kind == 'i' {
                traced.indexes.push(now.name.clone());
            }
        }
        traced.rewritten.sort();
        traced.indexes.sort();
    }
}
