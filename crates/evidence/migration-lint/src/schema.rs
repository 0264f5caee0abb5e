//! The schema as the migrations so far have made it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::action::{Default, Demand, Kind, NewColumn, NewConstraint, NewTable};
use crate::name::Name;
use crate::sql_type::SqlType;

/// What a directory of migrations makes of an empty database.
#[derive(Debug, Clone, std::default::Default)]
pub struct Schema {
    pub(crate) relations: BTreeMap<Name, Relation>,
    pub(crate) indexes: BTreeMap<Name, Index>,
    pub(crate) enums: BTreeMap<Name, Enum>,
    pub(crate) sequences: BTreeMap<Name, u8>,
    pub(crate) triggers: BTreeSet<(Name, String)>,
    /// By last part: whether PostgreSQL takes the function for volatile.
    pub(crate) functions: HashMap<String, bool>,
    /// Names without their schema, for look-ups that leave it out.
    short: HashMap<String, Vec<Name>>,
}

/// When something was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, std::default::Default)]
pub(crate) struct Made {
    /// Number of the release.
    pub(crate) release: usize,
    /// Number of the transaction.
    pub(crate) transaction: usize,
}

/// A table or a view.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) kind: Kind,
    pub(crate) columns: Vec<Column>,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) made: Made,
    pub(crate) temporary: bool,
    pub(crate) partitioned: bool,
    pub(crate) partition_of: Option<Name>,
    /// Whether all columns are known: not those of views and of CREATE TABLE AS.
    pub(crate) complete: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Default>,
    pub(crate) numbered: bool,
    pub(crate) stored: bool,
    pub(crate) made: Made,
}

/// A constraint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constraint {
    pub(crate) name: String,
    pub(crate) demand: Demand,
    pub(crate) valid: bool,
    pub(crate) made: Made,
}

/// An index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Index {
    pub(crate) table: Name,
    pub(crate) columns: Vec<String>,
    pub(crate) unique: bool,
    pub(crate) partial: bool,
    pub(crate) made: Made,
}

/// An enum type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Enum {
    pub(crate) values: Vec<String>,
    pub(crate) made: Made,
}

impl Schema {
    /// The full name of a relation: as given, or the only one so called.
    pub(crate) fn resolve(&self, name: &Name) -> Name {
        if self.relations.contains_key(name) {
            return name.clone();
        }
        match self.short.get(&name.name).map(Vec::as_slice) {
            Some([only]) if name.schema.is_empty() => only.clone(),
            _ => name.clone(),
        }
    }

    /// A relation.
    pub(crate) fn relation(&self, name: &Name) -> Option<&Relation> {
        self.relations.get(&self.resolve(name))
    }

    pub(crate) fn relation_mut(&mut self, name: &Name) -> Option<&mut Relation> {
        let name = self.resolve(name);
        self.relations.get_mut(&name)
    }

    /// A column.
    pub(crate) fn column(&self, table: &Name, column: &str) -> Option<&Column> {
        self.relation(table)?.columns.iter().find(|found| found.name == column)
    }

    /// An index: its schema is its table's, so often it is left out.
    pub(crate) fn index(&self, name: &Name) -> Option<(&Name, &Index)> {
        self.indexes.get_key_value(name).or_else(|| {
            self.indexes.iter().find(|(found, _)| name.schema.is_empty() && found.name == name.name)
        })
    }

    /// An enum.
    pub(crate) fn enumeration(&self, name: &Name) -> Option<&Enum> {
        self.enums
            .get(name)
            .or_else(|| self.enums.iter().find(|(found, _)| found.name == name.name).map(|(_, found)| found))
    }

    /// How many tables and views there are.
    pub fn relations(&self) -> usize {
        self.relations.len()
    }

    pub(crate) fn insert(&mut self, name: Name, relation: Relation) {
        let short = self.short.entry(name.name.clone()).or_default();
        if !short.contains(&name) {
            short.push(name.clone());
        }
        self.relations.insert(name, relation);
    }

    pub(crate) fn remove(&mut self, name: &Name) -> Option<Relation> {
        let name = self.resolve(name);
        if let Some(short) = self.short.get_mut(&name.name) {
            short.retain(|found| *found != name);
        }
        self.relations.remove(&name)
    }

    /// What CREATE TABLE makes.
    pub(crate) fn create_table(&mut self, name: &Name, table: &NewTable, made: Made) {
        if table.if_not_exists && self.relations.contains_key(name) {
            return;
        }
        let mut complete = !table.from_query;
        let mut columns = Vec::new();
        for parent in &table.derived_from {
            match self.relation(parent) {
                Some(parent) if !table.from_query => {
                    complete &= parent.complete;
                    columns.extend(parent.columns.iter().cloned().map(|column| Column { made, ..column }));
                }
                _ => complete = false,
            }
        }
        let mut relation = Relation {
            kind: Kind::Table,
            columns,
            constraints: Vec::new(),
            made,
            temporary: table.temporary,
            partitioned: table.partitioned,
            partition_of: table.partition_of.clone(),
            complete,
        };
        let inline = table.columns.iter().flat_map(|column| &column.constraints);
        for column in &table.columns {
            relation.columns.push(Column::new(column, made));
        }
        for constraint in inline.chain(&table.constraints) {
            relation.constrain(&name.name, constraint, made);
        }
        self.insert(name.clone(), relation);
    }

    /// A relation of which nothing is known but that it is used.
    pub(crate) fn view(&mut self, name: &Name, kind: Kind, made: Made) {
        let made = self.relation(name).map_or(made, |relation| relation.made);
        let view = Relation {
            kind,
            columns: Vec::new(),
            constraints: Vec::new(),
            made,
            temporary: false,
            partitioned: false,
            partition_of: None,
            complete: false,
        };
        self.insert(name.clone(), view);
    }

    /// Moves a relation to another name, and everything that names it.
    pub(crate) fn rename(&mut self, name: &Name, to: &Name) {
        let from = self.resolve(name);
        let Some(relation) = self.remove(&from) else { return };
        for index in self.indexes.values_mut().filter(|index| index.table == from) {
            index.table = to.clone();
        }
        for other in self.relations.values_mut() {
            if other.partition_of.as_ref() == Some(&from) {
                other.partition_of = Some(to.clone());
            }
        }
        self.insert(to.clone(), relation);
    }
}

impl Relation {
    pub(crate) fn column_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.columns.iter_mut().find(|column| column.name == name)
    }

    pub(crate) fn constraint(&self, name: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.name == name)
    }

    /// Adds a constraint under the name that PostgreSQL would give it.
    pub(crate) fn constrain(&mut self, table: &str, new: &NewConstraint, made: Made) {
        let of = |columns: &[String], suffix: &str| match columns {
            [] => format!("{table}_{suffix}"),
            columns => format!("{table}_{}_{suffix}", columns.join("_")),
        };
        let usual = match &new.demand {
            Demand::Primary { .. } => format!("{table}_pkey"),
            Demand::Unique { columns, .. } => of(columns, "key"),
            Demand::Foreign { columns, .. } => of(columns, "fkey"),
            Demand::Check { .. } => format!("{table}_check"),
            Demand::Exclude => format!("{table}_excl"),
            Demand::NotNull { column } => format!("{table}_{column}_not_null"),
        };
        let primary = match &new.demand {
            Demand::Primary { columns, .. } => columns.as_slice(),
            Demand::NotNull { column } if !new.not_valid => std::slice::from_ref(column),
            _ => &[],
        };
        for column in &mut self.columns {
            column.not_null |= primary.contains(&column.name);
        }
        self.constraints.push(Constraint {
            name: new.name.clone().unwrap_or(usual),
            demand: new.demand.clone(),
            valid: !new.not_valid,
            made,
        });
    }

    /// Whether a validated check proves that a column is never null, so that SET
    /// NOT NULL need not look (PostgreSQL 12 and later).
    pub(crate) fn proves_not_null(&self, column: &str) -> bool {
        self.constraints.iter().any(|constraint| {
            constraint.valid
                && match &constraint.demand {
                    Demand::Check { not_null, .. } => not_null.as_deref() == Some(column),
                    Demand::NotNull { column: named } => named == column,
                    _ => false,
                }
        })
    }
}

impl Column {
    pub(crate) fn new(column: &NewColumn, made: Made) -> Self {
        Self {
            name: column.name.clone(),
            sql_type: column.sql_type.clone(),
            not_null: column.not_null,
            default: column.default.clone().filter(|default| !default.is_null()),
            numbered: column.numbered,
            stored: column.stored,
            made,
        }
    }

    /// Whether a row must name it.
    pub(crate) fn must_be_given(&self) -> bool {
        self.not_null && self.default.is_none() && !self.numbered && !self.stored
    }
}
