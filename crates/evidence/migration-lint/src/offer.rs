//! What a schema gives to code, in a form that can be kept: so that the question
//! of [`serves`](crate::serves) can be answered later, without the migrations.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::Kind;
use crate::options::Dialect;
use crate::schema::{Relation, Schema};
use crate::window::RowDemand;

/// Everything that code can notice of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Offer {
    /// Whose schema it is.
    #[serde(default)]
    pub dialect: Dialect,
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
    pub demands: BTreeSet<RowDemand>,
    /// Whether it is a table, into which rows are written.
    pub table: bool,
    /// Whether all columns are known.
    pub complete: bool,
    /// Of a view: its query, and those whose place it took by OR REPLACE.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<String>,
    /// The triggers that its rows fire, as they were written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub triggers: BTreeSet<String>,
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
    /// What it holds where it is left out, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether it numbers itself.
    #[serde(default)]
    pub numbered: bool,
    /// Whether code cannot give it a value: it is computed, or always numbered.
    #[serde(default)]
    pub refused: bool,
}

impl Schema {
    /// What it gives to code. Temporary tables are nobody else's.
    pub fn offers(&self) -> Offer {
        let kept =
            self.relations.iter().filter(|(_, relation)| !relation.temporary && self.works(relation, 0));
        Offer {
            dialect: self.dialect,
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
                default: column.default.as_ref().map(|default| default.text.clone()),
                numbered: column.numbered,
                refused: column.refused,
            };
            (column.name.clone(), offered)
        });
        OfferedRelation {
            columns: columns.collect(),
            demands: self.demands(name, found),
            table: found.kind == Kind::Table,
            complete: found.complete,
            texts: found.texts.clone(),
            triggers: self.triggers_of(name),
        }
    }
}
