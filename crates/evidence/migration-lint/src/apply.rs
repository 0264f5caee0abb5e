//! What each action makes of the schema.

use crate::action::{Action, Demand, Kind, NewConstraint};
use crate::name::Name;
use crate::options::Dialect;
use crate::schema::{Column, Enum, Index, Made, Relation, Schema, mentions, object_name, renamed, words};

impl Schema {
    /// Changes the schema as the action does. What it names and is not known is
    /// passed over: it was made by something that was not understood.
    pub(crate) fn apply(&mut self, action: &Action, made: Made) {
        match action {
            Action::CreateTable { name, table } => self.create_table(name, table, made),
            Action::CreateView { name, kind, text, sources, .. } => {
                self.view(name, *kind, text, sources, made)
            }
            Action::DropRelation { name, .. } => {
                let full = self.resolve(name);
                self.drop_relation(&full);
            }
            Action::DropSchema { name } => {
                let gone: Vec<_> =
                    self.relations.keys().filter(|found| found.schema == *name).cloned().collect();
                gone.iter().for_each(|name| self.drop_relation(name));
            }
            Action::RenameRelation { name, to, .. } => self.rename(name, to),
            Action::CreateIndex { name, table, columns, unique, filter, nulls, .. } => {
                let table = self.resolve(table);
                let name = name.clone().unwrap_or_else(|| {
                    // PostgreSQL calls an expression `expr`, a call by its function.
                    let parts: Vec<&str> = columns
                        .iter()
                        .map(|column| {
                            let plain = words(column).next() == Some(column);
                            if plain { column } else { column.split_once('(').map_or("expr", |(of, _)| of) }
                        })
                        .collect();
                    table.renamed(&object_name(&table.name, &parts.join("_"), "idx"))
                });
                let index = Index {
                    table,
                    columns: columns.clone(),
                    unique: *unique,
                    filter: filter.clone(),
                    nulls: *nulls,
                    made,
                };
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
                // What was of that type went with it, or else it could not be dropped.
                let of = name.to_string();
                for relation in self.relations.values_mut() {
                    relation.columns.retain(|column| column.sql_type.name != of);
                }
            }
            Action::CreateSequence { name, bits } | Action::SetSequenceType { name, bits } => {
                self.sequences.insert(name.clone(), *bits);
            }
            Action::DropSequence { name } => {
                self.sequences.remove(name);
                for column in self.relations.values_mut().flat_map(|relation| &mut relation.columns) {
                    let counted = column.default.as_ref().is_some_and(|default| {
                        mentions(&default.text, "nextval") && mentions(&default.text, &name.name)
                    });
                    if counted {
                        column.default = None;
                    }
                }
            }
            Action::CreateTrigger { table, name, text } => {
                let table = self.resolve(table);
                self.triggers.insert((table, name.clone()), text.clone());
            }
            Action::DropNamedTrigger { name } => self.triggers.retain(|(_, found), _| found != name),
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
        let dialect = self.dialect;
        match action {
            Action::AddColumn { table, column, .. } => {
                let full = self.resolve(table);
                let Some(relation) = self.relation_mut(table) else { return };
                if relation.columns.iter().any(|found| found.name == column.name) {
                    return;
                }
                relation.columns.push(Column::new(column, made));
                for constraint in &column.constraints {
                    relation.constrain(&full.name, constraint, made, dialect);
                }
            }
            Action::DropColumn { table, column, cascade, .. } => {
                let full = self.resolve(table);
                self.drop_column(&full, column, *cascade);
            }
            Action::RenameColumn { table, column, to } => {
                let full = self.resolve(table);
                self.rename_column(&full, column, to);
            }
            Action::SetType { table, column, to, .. } => {
                self.column_is(table, column, |found| found.sql_type = to.clone())
            }
            Action::SetDefault { table, column, default } => {
                self.column_is(table, column, |found| {
                    found.default = Some(default.clone()).filter(|it| !it.is_null());
                    // A serial is numbered by its default; an identity cannot have one.
                    found.numbered = false;
                });
            }
            Action::DropDefault { table, column } => self.column_is(table, column, |found| {
                found.default = None;
                found.numbered = false;
            }),
            Action::SetNotNull { table, column } => {
                self.column_is(table, column, |found| found.not_null = true)
            }
            Action::DropNotNull { table, column } => {
                self.column_is(table, column, |found| found.not_null = false)
            }
            Action::AddIdentity { table, column, always } => self.column_is(table, column, |found| {
                found.numbered = true;
                found.refused = *always;
            }),
            Action::SetIdentity { table, column, always } => {
                self.column_is(table, column, |found| found.refused = *always)
            }
            Action::DropGenerated { table, column } => self.column_is(table, column, |found| {
                found.numbered = false;
                found.refused = false;
            }),
            Action::AddConstraint { table, constraint } => {
                let full = self.resolve(table);
                let constraint = self.with_index(constraint);
                if let Some(relation) = self.relation_mut(table) {
                    relation.constrain(&full.name, &constraint, made, dialect);
                }
            }
            Action::DropConstraint { table, name } => {
                let full = self.resolve(table);
                self.drop_constraint(&full, name);
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

    /// A relation with all that cannot be without it. SQLite keeps views and foreign
    /// keys that name nothing.
    fn drop_relation(&mut self, full: &Name) {
        let Some(gone) = self.remove(full) else { return };
        self.indexes.retain(|_, index| index.table != *full);
        self.triggers.retain(|(table, _), _| table != full);
        if self.dialect == Dialect::Sqlite {
            return;
        }
        if gone.kind == Kind::Table {
            for relation in self.relations.values_mut() {
                relation.constraints.retain(
                    |constraint| !matches!(&constraint.demand, Demand::Foreign { to, .. } if to == full),
                );
            }
        }
        self.drop_views(|view| view.sources.contains(full));
    }

    fn drop_views(&mut self, lost: impl Fn(&Relation) -> bool) {
        let gone: Vec<Name> = self
            .relations
            .iter()
            .filter(|(_, relation)| relation.kind != Kind::Table && lost(relation))
            .map(|(name, _)| name.clone())
            .collect();
        gone.iter().for_each(|name| self.drop_relation(name));
    }

    fn drop_column(&mut self, full: &Name, column: &str, cascade: bool) {
        let Some(relation) = self.relation_mut(full) else { return };
        let in_key = relation.constraints.iter().any(|constraint| {
            matches!(&constraint.demand, Demand::Primary { columns, .. } if columns.iter().any(|it| it == column))
        });
        relation.columns.retain(|found| found.name != *column);
        relation.constraints.retain(|constraint| !demands(&constraint.demand, column));
        self.indexes.retain(|_, index| {
            index.table != *full
                || !(index.columns.iter().any(|found| mentions(found, column))
                    || index.filter.as_ref().is_some_and(|filter| mentions(filter, column)))
        });
        if !cascade {
            return;
        }
        for relation in self.relations.values_mut() {
            relation.constraints.retain(|constraint| match &constraint.demand {
                Demand::Foreign { to, keys, .. } if to == full => {
                    !(keys.iter().any(|key| key == column) || (keys.is_empty() && in_key))
                }
                _ => true,
            });
        }
        self.drop_views(|view| {
            let text = view.texts.last().map(String::as_str).unwrap_or_default();
            view.sources.contains(full) && (mentions(text, column) || text.contains('*'))
        });
    }

    /// A constraint; with a key go the foreign keys that lead to it.
    fn drop_constraint(&mut self, full: &Name, name: &str) {
        let Some(relation) = self.relation_mut(full) else { return };
        let Some(at) = relation.constraints.iter().position(|constraint| constraint.name == name) else {
            return;
        };
        let gone = relation.constraints.remove(at);
        let key = |demand: &Demand| match demand {
            Demand::Unique { columns, .. } => Some((columns.clone(), false)),
            Demand::Primary { columns, .. } => Some((columns.clone(), true)),
            _ => None,
        };
        let Some((columns, primary)) = key(&gone.demand) else { return };
        let stays = relation
            .constraints
            .iter()
            .any(|other| key(&other.demand).is_some_and(|(other, _)| other == columns));
        if stays || self.dialect == Dialect::Sqlite {
            return;
        }
        for relation in self.relations.values_mut() {
            relation.constraints.retain(|constraint| match &constraint.demand {
                Demand::Foreign { to, keys, .. } if to == full => {
                    *keys != columns && !(primary && keys.is_empty())
                }
                _ => true,
            });
        }
    }

    fn rename_column(&mut self, full: &Name, column: &str, to: &str) {
        let Some(relation) = self.relation_mut(full) else { return };
        if let Some(found) = relation.column_mut(column) {
            to.clone_into(&mut found.name);
        }
        for constraint in &mut relation.constraints {
            rename_in(&mut constraint.demand, column, to);
        }
        if relation.kind != Kind::Table {
            // Other columns than its text says: no text describes it.
            relation.texts.clear();
        }
        for index in self.indexes.values_mut().filter(|index| index.table == *full) {
            for found in &mut index.columns {
                *found = renamed(found, column, to);
            }
            index.filter = index.filter.as_ref().map(|filter| renamed(filter, column, to));
        }
        let rewrites = self.dialect == Dialect::Sqlite;
        for relation in self.relations.values_mut() {
            if rewrites && relation.sources.contains(full) {
                // SQLite changes the query, and with it the names that the view shows.
                relation.texts = relation.texts.iter().map(|text| renamed(text, column, to)).collect();
            }
            for constraint in &mut relation.constraints {
                if let Demand::Foreign { to: target, keys, .. } = &mut constraint.demand
                    && target == full
                {
                    keys.iter_mut().filter(|key| *key == column).for_each(|key| to.clone_into(key));
                }
            }
        }
    }

    /// A constraint that takes a ready index over has its columns.
    fn with_index(&mut self, constraint: &NewConstraint) -> NewConstraint {
        let mut new = constraint.clone();
        if let Demand::Unique { columns, using_index: Some(index), .. }
        | Demand::Primary { columns, using_index: Some(index) } = &mut new.demand
            && let Some(name) = self.index(&Name::plain(index.clone())).map(|(name, _)| name.clone())
            && let Some(found) = self.indexes.remove(&name)
        {
            *columns = found.columns;
            new.name.get_or_insert_with(|| index.clone());
        }
        new
    }

    fn column_is(&mut self, table: &Name, column: &str, change: impl FnOnce(&mut Column)) {
        if let Some(found) = self.relation_mut(table).and_then(|relation| relation.column_mut(column)) {
            change(found);
        }
    }

    /// Whether a relation is a view of any kind.
    pub(crate) fn is_view(&self, name: &Name) -> bool {
        self.relation(name).is_some_and(|relation| relation.kind != Kind::Table)
    }
}

/// A column of a constraint is called otherwise.
fn rename_in(demand: &mut Demand, column: &str, to: &str) {
    let change = |columns: &mut Vec<String>| {
        columns.iter_mut().filter(|found| *found == column).for_each(|found| to.clone_into(found));
    };
    match demand {
        Demand::Unique { columns, .. }
        | Demand::Primary { columns, .. }
        | Demand::Foreign { columns, .. } => change(columns),
        Demand::NotNull { column: named } => {
            if named == column {
                to.clone_into(named);
            }
        }
        Demand::Check { text, not_null } => {
            *text = renamed(text, column, to);
            if not_null.as_deref() == Some(column) {
                *not_null = Some(to.to_owned());
            }
        }
        Demand::Exclude => {}
    }
}

/// Whether a constraint cannot be without a column.
fn demands(demand: &Demand, column: &str) -> bool {
    match demand {
        Demand::Unique { columns, .. }
        | Demand::Primary { columns, .. }
        | Demand::Foreign { columns, .. } => columns.iter().any(|found| found == column),
        Demand::NotNull { column: named } => named == column,
        Demand::Check { text, .. } => mentions(text, column),
        Demand::Exclude => false,
    }
}
