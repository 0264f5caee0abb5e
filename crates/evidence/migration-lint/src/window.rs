//! What a release needs of the schema, and whether a later schema still gives it
//! (the computed half of MIG-4).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::Demand;
use crate::schema::{Relation, Schema};

/// What code may use of a schema: all that was there when it was released, less
/// what is declared unused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Tables and views by name, e.g. `users` or `billing.invoices`.
    pub relations: BTreeMap<String, NeededRelation>,
    /// Values of enums by type.
    #[serde(default)]
    pub enums: BTreeMap<String, BTreeSet<String>>,
}

/// A table or view that a release uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NeededRelation {
    /// Its columns.
    pub columns: BTreeMap<String, NeededColumn>,
    /// Columns that it knows of and does not use; it need not fill them either.
    #[serde(default)]
    pub unused: BTreeSet<String>,
    /// What rows had to fulfil; more must not be demanded of this code.
    #[serde(default)]
    pub demands: BTreeSet<String>,
    /// Whether the columns are all known. Of views they are not.
    #[serde(default)]
    pub complete: bool,
}

/// A column that a release uses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NeededColumn {
    /// Its type, without arguments.
    pub sql_type: String,
    /// The type's arguments, e.g. a length.
    #[serde(default)]
    pub arguments: Vec<u32>,
    /// Whether it is an array.
    #[serde(default)]
    pub array: bool,
    /// Whether code may write null.
    pub nullable: bool,
    /// Whether code may leave it out of an INSERT.
    pub may_be_left_out: bool,
}

/// What a schema does not give to a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Missing {
    /// What it is, e.g. `users.name`.
    pub what: String,
    /// Why that breaks the release.
    pub why: String,
}

/// Whether a schema serves a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serves {
    /// It gives everything that the release needs.
    Yes,
    /// It does not give these.
    No(Vec<Missing>),
}

impl Schema {
    /// What code that was released with this schema may use of it. `unused` names
    /// tables (`users`) and columns (`users.name`) that it is known not to use.
    pub fn needs(&self, unused: &BTreeSet<String>) -> Needs {
        let mut needs = Needs::default();
        let kept = self.relations.iter().filter(|(_, relation)| !relation.temporary);
        for (name, relation) in kept.filter(|(name, _)| !unused.contains(&name.to_string())) {
            let table = name.to_string();
            let is_unused = |column: &str| unused.contains(&format!("{table}.{column}"));
            let columns = relation.columns.iter().filter(|column| !is_unused(&column.name)).map(|column| {
                let needed = NeededColumn {
                    sql_type: column.sql_type.name.clone(),
                    arguments: column.sql_type.arguments.clone(),
                    array: column.sql_type.array,
                    nullable: !column.not_null,
                    may_be_left_out: !column.must_be_given(),
                };
                (column.name.clone(), needed)
            });
            let needed = NeededRelation {
                columns: columns.collect(),
                unused: relation
                    .columns
                    .iter()
                    .map(|column| column.name.clone())
                    .filter(|it| is_unused(it))
                    .collect(),
                demands: self.demands(name, relation),
                complete: relation.complete,
            };
            needs.relations.insert(table, needed);
        }
        for (name, found) in &self.enums {
            needs.enums.insert(name.to_string(), found.values.iter().cloned().collect());
        }
        needs
    }

    /// What is demanded of a table's rows, in words that do not depend on names.
    pub(crate) fn demands(&self, name: &crate::name::Name, relation: &Relation) -> BTreeSet<String> {
        let constraints = relation.constraints.iter().filter_map(|constraint| match &constraint.demand {
            Demand::Check { text, .. } => Some(format!("CHECK ({text})")),
            Demand::Unique { columns, .. } | Demand::Primary { columns, .. } => Some(unique(columns)),
            Demand::Foreign { columns, to } => {
                Some(format!("FOREIGN KEY ({}) REFERENCES {to}", columns.join(", ")))
            }
            Demand::Exclude => Some(format!("EXCLUDE {}", constraint.name)),
            Demand::NotNull { .. } => None,
        });
        let indexes = self.indexes.values().filter(|index| index.unique && index.table == *name);
        constraints.chain(indexes.map(|index| unique(&index.columns))).collect()
    }
}

fn unique(columns: &[String]) -> String {
    format!("UNIQUE ({})", columns.join(", "))
}

/// Whether code with these needs runs on this schema. What cannot be known counts
/// as missing: a rollback that was called safe must be.
pub fn serves(schema: &Schema, needs: &Needs) -> Serves {
    schema.offers().serves(needs)
}

pub(crate) fn lost(what: &str, why: &str) -> Missing {
    Missing { what: what.into(), why: why.into() }
}

/// What code with these needs may run into in rows that newer code wrote.
pub fn cautions(_: &Schema, _: &Needs) -> Vec<Missing> {
    Vec::new()
}
