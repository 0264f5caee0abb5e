//! What a rule may ask about the moment before a statement runs.

use std::collections::{HashMap, HashSet};

use crate::action::{Action, Backfill, Kind, Mode, Statement};
use crate::layout::RUNNER_TABLES;
use crate::name::Name;
use crate::options::{Dialect, Options};
use crate::schema::{Column, Made, Schema};

/// What happened in this file so far.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Values that were added to enums in this transaction, by number of the transaction.
    pub(crate) added_values: Vec<(usize, String, Name)>,
    /// Enums of released code that are renamed or dropped, with their values.
    pub(crate) gone_enums: HashMap<Name, Vec<String>>,
    /// Relations that were dropped or renamed away, with their columns.
    pub(crate) gone_relations: HashMap<Name, Vec<Column>>,
    /// Locks that writes wait for, by number of the transaction.
    pub(crate) strong_locks: Vec<(usize, Name, Mode)>,
    /// Whether lock_timeout is set.
    pub(crate) lock_timeout: bool,
    /// Names that relations got in this file: released code knows none of them.
    pub(crate) renamed: HashSet<Name>,
    /// Tables that the file emptied.
    pub(crate) cleared: HashSet<Name>,
}

/// What the rest of the file says: some things are only steps on a way.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// Relations that the file drops or renames away and makes again.
    pub(crate) made_again: HashSet<Name>,
    /// Relations that it drops or renames away: made here, they only help on the way.
    pub(crate) gone: HashSet<Name>,
    /// Triggers that it makes again or enables again.
    pub(crate) triggers_again: HashSet<(Name, String)>,
    /// Columns that get a default.
    pub(crate) defaults: HashSet<(Name, String)>,
    /// How many statements it has.
    pub(crate) statements: usize,
}

impl Ahead {
    /// Reads a whole file.
    pub(crate) fn read(statements: &[Statement]) -> Self {
        let mut ahead = Self { statements: statements.len(), ..Self::default() };
        let mut gone: HashSet<Name> = HashSet::new();
        let mut triggers: HashSet<(Name, String)> = HashSet::new();
        for action in statements.iter().flat_map(|statement| &statement.actions).map(|placed| &placed.action)
        {
            match action {
                Action::DropRelation { name, .. } => {
                    gone.insert(name.clone());
                }
                Action::RenameRelation { name, to, .. } => {
                    if gone.contains(to) {
                        ahead.made_again.insert(to.clone());
                    }
                    gone.insert(name.clone());
                }
                Action::CreateTable { name, .. } | Action::CreateView { name, .. } if gone.contains(name) => {
                    ahead.made_again.insert(name.clone());
                }
                Action::SetDefault { table, column, .. } => {
                    ahead.defaults.insert((table.clone(), column.clone()));
                }
                Action::DropTrigger { table, name } | Action::DisableTrigger { table, name } => {
                    triggers.insert((table.clone(), name.to_ascii_lowercase()));
                }
                Action::CreateTrigger { table, name, .. } | Action::EnableTrigger { table, name } => {
                    let key = (table.clone(), name.to_ascii_lowercase());
                    if triggers.contains(&key) {
                        ahead.triggers_again.insert(key);
                    }
                }
                _ => {}
            }
        }
        ahead.gone = gone;
        ahead
    }
}

/// What is known of the use of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Use {
    /// These releases use it.
    By(Vec<String>),
    /// Releases have said what they use, and none of them uses it.
    Nobody,
    /// No release has said anything.
    Unknown,
}

/// The moment before an action.
pub(crate) struct Context<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) options: &'a Options,
    pub(crate) made: Made,
    pub(crate) past: &'a Past,
    pub(crate) ahead: &'a Ahead,
    pub(crate) statement: &'a Statement,
    pub(crate) in_transaction: bool,
    pub(crate) backfills: &'a [Backfill],
}

impl Context<'_> {
    /// Whether it is PostgreSQL.
    pub(crate) fn postgres(&self) -> bool {
        self.options.dialect == Dialect::Postgres
    }

    /// Whether released code may use a relation: it was there before this release.
    /// What is not known was made by something that was not understood. The table in
    /// which a tool notes what it ran is no code's: Alembic's files change it each time.
    pub(crate) fn in_use(&self, name: &Name) -> bool {
        if RUNNER_TABLES.iter().any(|(table, _)| *table == name.name) {
            return false;
        }
        match self.schema.relation(name) {
            Some(relation) => relation.made.release < self.made.release && !relation.temporary,
            None => !self.past.gone_relations.contains_key(name),
        }
    }

    /// Whether a table may be so large that reading it under a lock is an outage.
    pub(crate) fn large(&self, name: &Name) -> bool {
        self.postgres()
            && self.in_use(name)
            && !self.schema.relation(name).is_some_and(|relation| relation.kind == Kind::View)
            && !self.past.cleared.contains(&self.schema.resolve(name))
            && !self.options.small_tables.contains(&name.to_string())
    }

    /// Whether released code may use a column.
    pub(crate) fn column_in_use(&self, table: &Name, column: &str) -> bool {
        self.in_use(table)
            && !self.past.renamed.contains(&self.schema.resolve(table))
            && match self.schema.relation(table) {
                Some(relation) => match relation.columns.iter().find(|found| found.name == column) {
                    Some(found) => found.made.release < self.made.release,
                    None => !relation.complete || !self.column_known_absent(table, column),
                },
                None => true,
            }
    }

    /// Whether the history says that there is no such column.
    pub(crate) fn column_known_absent(&self, table: &Name, column: &str) -> bool {
        self.schema.relation(table).is_some_and(|relation| {
            relation.complete
                && !relation.columns.is_empty()
                && relation.columns.iter().all(|found| found.name != column)
        })
    }

    /// Who uses a relation, or a column of it.
    pub(crate) fn used(&self, table: &Name, column: Option<&str>) -> Use {
        if self.options.declared.is_empty() {
            return Use::Unknown;
        }
        let table = self.schema.resolve(table).to_string();
        let releases = self.options.declared.iter().filter(|declared| {
            declared.needs.relations.get(&table).is_some_and(|needed| match column {
                None => true,
                Some(column) => {
                    needed.columns.contains_key(column)
                        || (!needed.complete && !needed.unused.contains(column))
                }
            })
        });
        let releases: Vec<String> = releases.map(|declared| declared.release.clone()).collect();
        if releases.is_empty() { Use::Nobody } else { Use::By(releases) }
    }

    /// A backfill of a table that is not proven to be finished.
    pub(crate) fn open_backfill(&self, table: &Name) -> Option<&Backfill> {
        let table = self.schema.resolve(table);
        self.backfills.iter().find(|backfill| {
            self.schema.resolve(&backfill.table) == table
                && !self.options.finished_backfills.contains(&backfill.name)
        })
    }

    /// Whether a strong lock is held that this statement makes others wait for.
    pub(crate) fn held(&self) -> Option<&(usize, Name, Mode)> {
        self.past
            .strong_locks
            .iter()
            .find(|(transaction, _, mode)| *transaction == self.made.transaction && mode.stops_writes())
    }

    /// The table that an action puts in a released one's place, with the released
    /// columns that it lacks: SQLite changes tables so, and others do.
    pub(crate) fn lost_columns(&self, action: &Action) -> Option<(Name, Vec<String>)> {
        let (name, now): (&Name, Vec<&str>) = match action {
            Action::RenameRelation { name, to, .. } => {
                let relation = self.schema.relation(name).filter(|relation| relation.complete)?;
                (to, relation.columns.iter().map(|column| column.name.as_str()).collect())
            }
            Action::CreateTable { name, table } if table.derived_from.is_empty() && !table.from_query => {
                (name, table.columns.iter().map(|column| column.name.as_str()).collect())
            }
            _ => return None,
        };
        let gone =
            self.past.gone_relations.get(name)?.iter().filter(|column| !now.contains(&column.name.as_str()));
        let lost: Vec<String> = gone.map(|column| column.name.clone()).collect();
        (!lost.is_empty()).then(|| (name.clone(), lost))
    }

    /// Whether the file gives a column a default: dropping one is a step on the way.
    pub(crate) fn default_returns(&self, table: &Name, column: &str) -> bool {
        self.ahead.defaults.contains(&(table.clone(), column.to_owned()))
    }
}
