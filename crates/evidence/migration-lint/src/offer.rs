//! What a schema gives to code, in a form that can be kept: so that the question
//! of [`serves`](crate::serves) can be answered later, without the migrations.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::Kind;
use crate::schema::{Relation, Schema};
use crate::sql_type::SqlType;
use crate::window::{Missing, NeededRelation, Needs, Serves, lost};

/// Everything that code can notice of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// Tables and views by name.
    pub relations: BTreeMap<String, OfferedRelation>,
    /// Values of enums by type.
    #[serde(default)]
    pub enums: BTreeMap<String, BTreeSet<String>>,
}

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OfferedRelation {
    /// Its columns by name.
    pub columns: BTreeMap<String, OfferedColumn>,
    /// What rows have to fulfil.
    #[serde(default)]
    pub demands: BTreeSet<String>,
    /// Whether it is a table, into which rows are written.
    pub table: bool,
    /// Whether all columns are known.
    pub complete: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OfferedColumn {
    /// Its type, without arguments.
    pub sql_type: String,
    /// The type's arguments, e.g. a length.
    #[serde(default)]
    pub arguments: Vec<u32>,
    /// Whether it is an array.
    #[serde(default)]
    pub array: bool,
    /// Whether null is refused.
    pub not_null: bool,
    /// Whether every INSERT has to give it.
    pub must_be_given: bool,
}

impl OfferedColumn {
    fn sql_type(&self) -> SqlType {
        SqlType { name: self.sql_type.clone(), arguments: self.arguments.clone(), array: self.array }
    }
}

impl Schema {
    /// What it gives to code. Temporary tables are nobody else's.
    pub fn offers(&self) -> Offer {
        let kept = self.relations.iter().filter(|(_, relation)| !relation.temporary);
        Offer {
            relations: kept.map(|(name, found)| (name.to_string(), self.offered(name, found))).collect(),
            enums: self
                .enums
                .iter()
                .map(|(name, found)| (name.to_string(), found.values.iter().cloned().collect()))
                .collect(),
        }
    }

    fn offered(&self, name: &crate::name::Name, found: &Relation) -> OfferedRelation {
        let columns = found.columns.iter().map(|column| {
            let offered = OfferedColumn {
                sql_type: column.sql_type.name.clone(),
                arguments: column.sql_type.arguments.clone(),
                array: column.sql_type.array,
                not_null: column.not_null,
                must_be_given: column.must_be_given(),
            };
            (column.name.clone(), offered)
        });
        OfferedRelation {
            columns: columns.collect(),
            demands: self.demands(name, found),
            table: found.kind == Kind::Table,
            complete: found.complete,
        }
    }
}

impl Offer {
    /// Whether code with these needs runs on it. What cannot be known counts as
    /// missing: a rollback that was called safe must be.
    pub fn serves(&self, needs: &Needs) -> Serves {
        let mut missing = Vec::new();
        for (table, needed) in &needs.relations {
            match self.relations.get(table) {
                Some(found) => relation(table, needed, found, &mut missing),
                None => missing.push(lost(table, "it is gone, and the release reads or writes it")),
            }
        }
        for (name, values) in &needs.enums {
            let Some(found) = self.enums.get(name) else {
                missing.push(lost(name, "the type is gone"));
                continue;
            };
            for value in values.difference(found) {
                let what = format!("{name} '{value}'");
                missing.push(lost(&what, "the release may write a value that is gone"));
            }
        }
        if missing.is_empty() { Serves::Yes } else { Serves::No(missing) }
    }
}

fn relation(table: &str, needed: &NeededRelation, found: &OfferedRelation, missing: &mut Vec<Missing>) {
    for (column, wanted) in &needed.columns {
        let place = format!("{table}.{column}");
        let Some(now) = found.columns.get(column) else {
            if found.complete {
                missing.push(lost(&place, "the column is gone, and the release uses it"));
            }
            continue;
        };
        let old = SqlType {
            name: wanted.sql_type.clone(),
            arguments: wanted.arguments.clone(),
            array: wanted.array,
        };
        let sql_type = now.sql_type();
        if !sql_type.still_serves(&old) {
            missing.push(lost(&place, &format!("its type was {old} and is {sql_type}")));
        }
        if wanted.nullable && now.not_null {
            missing.push(lost(&place, "the release may write null, which is refused now"));
        }
        if !wanted.nullable && !now.not_null {
            missing.push(lost(&place, "it may hold null now, which the release does not expect"));
        }
        if wanted.may_be_left_out && now.must_be_given && !(wanted.nullable && now.not_null) {
            missing.push(lost(&place, "the release may leave it out of an INSERT, which is refused now"));
        }
    }
    if !needed.complete || !found.table {
        return;
    }
    for (name, now) in &found.columns {
        if now.must_be_given && !needed.columns.contains_key(name) {
            let place = format!("{table}.{name}");
            missing.push(lost(&place, "every INSERT must give it, and the release does not know it"));
        }
    }
    for demand in found.demands.difference(&needed.demands) {
        missing.push(lost(table, &format!("rows must fulfil {demand} now, which the release does not know")));
    }
}
