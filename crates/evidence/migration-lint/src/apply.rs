//! What each action makes of the schema.

use crate::action::{Action, Demand, Kind};
use crate::schema::{Column, Enum, Index, Made, Schema};

impl Schema {
    /// Changes the schema as the action does. What it names and is not known is
    /// passed over: it was made by something that was not understood.
    pub(crate) fn apply(&mut self, action: &Action, made: Made) {
        match action {
            Action::CreateTable { name, table } => self.create_table(name, table, made),
            Action::CreateView { name, kind, .. } => self.view(name, *kind, made),
            Action::DropRelation { name, .. } => {
                let full = self.resolve(name);
                self.remove(&full);
                self.indexes.retain(|_, index| index.table != full);
                self.triggers.retain(|(table, _)| *table != full);
            }
            Action::DropSchema { name } => {
                let gone: Vec<_> =
                    self.relations.keys().filter(|found| found.schema == *name).cloned().collect();
                gone.iter().for_each(|name| {
                    self.remove(name);
                });
                self.indexes.retain(|_, index| index.table.schema != *name);
            }
            Action::RenameRelation { name, to, .. } => self.rename(name, to),
            Action::CreateIndex { name, table, columns, unique, partial, .. } => {
                let table = self.resolve(table);
                let name = name
                    .clone()
                    .unwrap_or_else(|| table.renamed(&format!("{}_{}_idx", table.name, columns.join("_"))));
                let index =
                    Index { table, columns: columns.clone(), unique: *unique, partial: *partial, made };
                self.indexes.entry(name).or_insert(index);
            }
            Action::DropIndex { name, .. } => {
                if let Some(name) = self.index(name).map(|(name, _)| name.clone()) {
                    self.indexes.remove(&name);
                }
            }
            Action::RenameIndex { name, to } => {
                if let Some(name) = self.index(name).map(|(name, _)| name.clone())
                    && let Some(index) = self.indexes.remove(&name)
                {
                    self.indexes.insert(name.renamed(to), index);
                }
            }
            Action::CreateEnum { name, values } => {
                self.enums.insert(name.clone(), Enum { values: values.clone(), made });
            }
            Action::AddValue { name, value } => {
                if let Some(found) = self.enums.get_mut(name)
                    && !found.values.contains(value)
                {
                    found.values.push(value.clone());
                }
            }
            Action::RenameValue { name, from, to } => {
                let values = self.enums.get_mut(name).map(|found| &mut found.values).into_iter().flatten();
                values.filter(|value| *value == from).for_each(|value| value.clone_from(to));
            }
            Action::RenameType { name, to } => {
                if let Some(found) = self.enums.remove(name) {
                    self.enums.insert(name.renamed(to), found);
                }
                // The columns go with the type.
                for column in self.relations.values_mut().flat_map(|relation| &mut relation.columns) {
                    if column.sql_type.name == name.name {
                        column.sql_type.name.clone_from(to);
                    }
                }
            }
            Action::DropType { name } => {
                self.enums.remove(name);
            }
            Action::CreateSequence { name, bits } | Action::SetSequenceType { name, bits } => {
                self.sequences.insert(name.clone(), *bits);
            }
            Action::DropSequence { name } => {
                self.sequences.remove(name);
            }
            Action::CreateTrigger { table, name } => {
                let table = self.resolve(table);
                self.triggers.insert((table, name.clone()));
            }
            Action::DropTrigger { table, name } => {
                let table = self.resolve(table);
                self.triggers.remove(&(table, name.clone()));
            }
            Action::CreateFunction { name, volatile } => {
                self.functions.insert(name.name.clone(), *volatile);
            }
            other => self.alter(other, made),
        }
    }

    /// What changes within one table.
    fn alter(&mut self, action: &Action, made: Made) {
        match action {
            Action::AddColumn { table, column, .. } => {
                let full = self.resolve(table);
                let Some(relation) = self.relation_mut(table) else { return };
                if relation.columns.iter().any(|found| found.name == column.name) {
                    return;
                }
                relation.columns.push(Column::new(column, made));
                for constraint in &column.constraints {
                    relation.constrain(&full.name, constraint, made);
                }
            }
            Action::DropColumn { table, column, .. } => {
                let full = self.resolve(table);
                if let Some(relation) = self.relation_mut(table) {
                    relation.columns.retain(|found| found.name != *column);
                    relation.constraints.retain(|constraint| !demands(&constraint.demand, column));
                }
                self.indexes.retain(|_, index| index.table != full || !index.columns.contains(column));
            }
            Action::RenameColumn { table, column, to } => {
                let full = self.resolve(table);
                if let Some(found) = self.relation_mut(table).and_then(|relation| relation.column_mut(column))
                {
                    found.name.clone_from(to);
                }
                for index in self.indexes.values_mut().filter(|index| index.table == full) {
                    index
                        .columns
                        .iter_mut()
                        .filter(|found| *found == column)
                        .for_each(|found| found.clone_from(to));
                }
            }
            Action::SetType { table, column, to, .. } => {
                self.column_is(table, column, |found| found.sql_type = to.clone())
            }
            Action::SetDefault { table, column, default } => {
                self.column_is(table, column, |found| {
                    found.default = Some(default.clone()).filter(|it| !it.is_null())
                });
            }
            Action::DropDefault { table, column } => {
                self.column_is(table, column, |found| found.default = None)
            }
            Action::SetNotNull { table, column } => {
                self.column_is(table, column, |found| found.not_null = true)
            }
            Action::DropNotNull { table, column } => {
                self.column_is(table, column, |found| found.not_null = false)
            }
            Action::AddIdentity { table, column } => {
                self.column_is(table, column, |found| found.numbered = true)
            }
            Action::AddConstraint { table, constraint } => {
                let full = self.resolve(table);
                if let Some(relation) = self.relation_mut(table) {
                    relation.constrain(&full.name, constraint, made);
                }
            }
            Action::DropConstraint { table, name } => {
                if let Some(relation) = self.relation_mut(table) {
                    relation.constraints.retain(|constraint| constraint.name != *name);
                }
            }
            Action::ValidateConstraint { table, name } => {
                let found =
                    self.relation_mut(table).map(|relation| &mut relation.constraints).into_iter().flatten();
                found
                    .filter(|constraint| constraint.name == *name)
                    .for_each(|constraint| constraint.valid = true);
            }
            Action::RenameConstraint { table, name, to } => {
                let found =
                    self.relation_mut(table).map(|relation| &mut relation.constraints).into_iter().flatten();
                found
                    .filter(|constraint| constraint.name == *name)
                    .for_each(|constraint| constraint.name.clone_from(to));
            }
            Action::AttachPartition { table, partition, .. } => {
                let parent = self.resolve(table);
                if let Some(relation) = self.relation_mut(partition) {
                    relation.partition_of = Some(parent);
                }
            }
            Action::DetachPartition { partition, .. } => {
                if let Some(relation) = self.relation_mut(partition) {
                    relation.partition_of = None;
                }
            }
            _ => {}
        }
    }

    fn column_is(&mut self, table: &crate::name::Name, column: &str, change: impl FnOnce(&mut Column)) {
        if let Some(found) = self.relation_mut(table).and_then(|relation| relation.column_mut(column)) {
            change(found);
        }
    }

    /// Whether a relation is a view of any kind.
    pub(crate) fn is_view(&self, name: &crate::name::Name) -> bool {
        self.relation(name).is_some_and(|relation| relation.kind != Kind::Table)
    }
}

/// Whether a constraint cannot be without a column.
fn demands(demand: &Demand, column: &str) -> bool {
    match demand {
        Demand::Unique { columns, .. }
        | Demand::Primary { columns, .. }
        | Demand::Foreign { columns, .. } => columns.iter().any(|found| found == column),
        Demand::NotNull { column: named } => named == column,
        Demand::Check { not_null, .. } => not_null.as_deref() == Some(column),
        Demand::Exclude => false,
    }
}
