//! What one statement does, as far as whoever runs it has to know.

use std::collections::BTreeSet;

use crate::action::{Action, Backfill, Demand, NewConstraint, Placed, Statement};
use crate::name::Name;
use crate::report::Class;
use crate::schema::Schema;

/// A statement that cannot be in a transaction, and how to tell afterwards whether
/// it was done. Names are written as in SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standalone {
    /// `CREATE INDEX CONCURRENTLY`.
    CreateIndex {
        /// Nothing where PostgreSQL chooses the name.
        index: Option<String>,
        /// The table, in whose schema the index is.
        table: String,
    },
    /// `DROP INDEX CONCURRENTLY`.
    DropIndex {
        /// The index.
        index: String,
    },
    /// `ALTER TABLE … DETACH PARTITION … CONCURRENTLY`.
    DetachPartition {
        /// The partitioned table.
        table: String,
        /// The partition.
        partition: String,
    },
    /// Another one; it can be run again.
    Other {
        /// E.g. `VACUUM`.
        what: String,
    },
}

/// Relations, types and functions by name, as the database keeps them; types with
/// `type ` before them, functions with `function `, sequences with `sequence `.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touches {
    /// What is made, changed or filled.
    pub changes: BTreeSet<String>,
    /// What must be there.
    pub reads: BTreeSet<String>,
    /// What is there under this name before or after, and not both.
    pub moves: BTreeSet<String>,
    /// Whether it is not known what a statement touches.
    pub unknown: bool,
}

impl Touches {
    /// What of it something else has to come before or after: the first name that
    /// both are about.
    pub fn meets<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let both = self.changes.intersection(&other.changes).next();
        let gone = || self.reads.intersection(&other.moves).next();
        let going = || self.moves.intersection(&other.reads).next();
        both.or_else(gone).or_else(going).map(String::as_str)
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.changes.extend(other.changes.iter().cloned());
        self.reads.extend(other.reads.iter().cloned());
        self.moves.extend(other.moves.iter().cloned());
        self.unknown |= other.unknown;
    }
}

/// One statement on its way through the replay.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) offset: usize,
    pub(crate) class: Class,
    pub(crate) begins: bool,
    pub(crate) commits: bool,
    pub(crate) rolls_back: bool,
    pub(crate) setting: bool,
    pub(crate) standalone: Option<Standalone>,
    pub(crate) backfill: Option<String>,
    pub(crate) touches: Touches,
    pub(crate) demands: BTreeSet<String>,
}

impl Part {
    pub(crate) fn new(statement: &Statement) -> Self {
        let unknown = statement.problem.is_some() || !statement.dynamic.is_empty();
        Self {
            offset: statement.offset,
            class: Class::Expand,
            begins: false,
            commits: false,
            rolls_back: false,
            setting: false,
            standalone: None,
            backfill: statement.backfill.as_ref().map(|backfill| backfill.name.clone()),
            touches: Touches { unknown, ..Touches::default() },
            demands: BTreeSet::new(),
        }
    }

    /// Adds what an action does, at the moment before it.
    pub(crate) fn add(
        &mut self,
        placed: &Placed,
        schema: &Schema,
        backfills: &[Backfill],
        finished: &BTreeSet<String>,
    ) {
        let action = &placed.action;
        if !placed.in_block {
            match action {
                Action::Begin => self.begins = true,
                Action::Commit => self.commits = true,
                Action::Rollback => self.rolls_back = true,
                Action::Setting { .. } => self.setting = true,
                _ => {}
            }
            self.standalone = self.standalone.take().or_else(|| standalone(action));
        }
        let mut touch = Touch { schema, to: &mut self.touches };
        touch.action(action);
        // The same as rule MIG-057 asks for.
        let needs_rows = match action {
            Action::DropColumn { table, .. } | Action::SetNotNull { table, .. } => Some(table),
            Action::DropRelation { name, .. } => Some(name),
            _ => None,
        };
        if let Some(table) = needs_rows.map(|table| schema.resolve(table)) {
            let open = backfills.iter().filter(|it| schema.resolve(&it.table) == table);
            let open = open.map(|it| &it.name).filter(|name| !finished.contains(*name));
            self.demands.extend(open.cloned());
        }
    }
}

fn standalone(action: &Action) -> Option<Standalone> {
    let other = |what: &str| Standalone::Other { what: what.into() };
    Some(match action {
        Action::CreateIndex { name, table, concurrently: true, .. } => Standalone::CreateIndex {
            index: name.as_ref().map(|name| table.renamed(&name.name).sql()),
            table: table.sql(),
        },
        Action::DropIndex { name, concurrently: true } => Standalone::DropIndex { index: name.sql() },
        Action::Reindex { concurrently: true, .. } => other("REINDEX CONCURRENTLY"),
        Action::DetachPartition { table, partition, concurrently: true } => {
            Standalone::DetachPartition { table: table.sql(), partition: partition.sql() }
        }
        Action::VacuumFull { .. } => other("VACUUM FULL"),
        Action::Cluster { table: None } => other("CLUSTER"),
        Action::Alone { what } => other(what),
        _ => return None,
    })
}

/// Collects names, each as the schema knows it.
struct Touch<'a> {
    schema: &'a Schema,
    to: &'a mut Touches,
}

impl Touch<'_> {
    fn name(&self, name: &Name) -> String {
        self.schema.resolve(name).to_string()
    }

    fn changes(&mut self, name: &Name) {
        let name = self.name(name);
        self.to.changes.insert(name);
    }

    fn reads(&mut self, name: &Name) {
        let name = self.name(name);
        self.to.reads.insert(name);
    }

    fn moves(&mut self, name: &Name) {
        self.changes(name);
        let name = self.name(name);
        self.to.moves.insert(name);
    }

    fn other(&mut self, kind: &str, name: &Name) {
        self.to.changes.insert(format!("{kind} {name}"));
    }

    fn constraint(&mut self, constraint: &NewConstraint) {
        if let Demand::Foreign { to, .. } = &constraint.demand {
            self.reads(to);
        }
    }

    fn index(&mut self, name: &Name) {
        match self.schema.index(name) {
            Some((_, index)) => {
                let table = index.table.clone();
                self.changes(&table);
            }
            None => self.other("index", name),
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::CreateTable { name, table } => {
                self.moves(name);
                let inline = table.columns.iter().flat_map(|column| &column.constraints);
                inline.chain(&table.constraints).for_each(|it| self.constraint(it));
                table.derived_from.iter().for_each(|from| self.reads(from));
                table.partition_of.iter().for_each(|parent| self.changes(parent));
            }
            Action::CreateView { name, .. } | Action::DropRelation { name, .. } => self.moves(name),
            Action::RenameRelation { name, to, .. } => {
                self.moves(name);
                let to = name.renamed(&to.name);
                self.moves(&to);
            }
            Action::AddColumn { table, column, .. } => {
                self.changes(table);
                column.constraints.iter().for_each(|it| self.constraint(it));
            }
            Action::AddConstraint { table, constraint } => {
                self.changes(table);
                self.constraint(constraint);
            }
            Action::DropColumn { table, .. }
            | Action::RenameColumn { table, .. }
            | Action::SetType { table, .. }
            | Action::SetDefault { table, .. }
            | Action::DropDefault { table, .. }
            | Action::SetNotNull { table, .. }
            | Action::DropNotNull { table, .. }
            | Action::AddIdentity { table, .. }
            | Action::SetIdentity { table, .. }
            | Action::DropGenerated { table, .. }
            | Action::DropConstraint { table, .. }
            | Action::ValidateConstraint { table, .. }
            | Action::RenameConstraint { table, .. }
            | Action::CreateIndex { table, .. }
            | Action::SetStorage { table, .. }
            | Action::CreateTrigger { table, .. }
            | Action::DropTrigger { table, .. }
            | Action::DisableTrigger { table, .. }
            | Action::EnableTrigger { table, .. }
            | Action::Update { table, .. }
            | Action::Delete { table, .. } => self.changes(table),
            Action::Insert { table, from, .. } => {
                self.changes(table);
                from.iter().for_each(|from| self.reads(from));
            }
            Action::AttachPartition { table, partition, .. }
            | Action::DetachPartition { table, partition, .. } => {
                self.changes(table);
                self.changes(partition);
            }
            Action::DropIndex { name, .. } | Action::RenameIndex { name, .. } => self.index(name),
            Action::Refresh { view, .. } => self.changes(view),
            Action::Truncate { tables, .. } => tables.iter().for_each(|table| self.changes(table)),
            Action::CreateEnum { name, .. }
            | Action::AddValue { name, .. }
            | Action::RenameValue { name, .. }
            | Action::DropType { name }
            | Action::RenameType { name, .. }
            | Action::ChangeComposite { name }
            | Action::AddDomainConstraint { name, .. } => self.other("type", name),
            Action::CreateSequence { name, .. }
            | Action::SetSequenceType { name, .. }
            | Action::DropSequence { name } => self.other("sequence", name),
            Action::CreateFunction { name, .. } | Action::DropFunction { name } => {
                self.other("function", name);
            }
            Action::DropSchema { .. } => self.to.unknown = true,
            // Maintenance, settings, and what says nothing of names: none of it
            // has to come before or after something else.
            _ => {}
        }
    }
}
