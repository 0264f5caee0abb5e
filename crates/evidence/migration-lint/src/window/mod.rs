//! What a release needs of the schema, and whether a later schema still gives it
//! (the computed half of MIG-4).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::schema::Schema;

mod cautions;
mod demand;
mod needs;
mod serves;
mod truth;

pub use demand::{RowDemand, RowDemandKind};

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
    /// What those of them hold that have a default, as it was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unused_defaults: BTreeMap<String, String>,
    /// What rows had to fulfil; more must not be demanded of this code.
    #[serde(default)]
    pub demands: BTreeSet<RowDemand>,
    /// Whether the columns are all known. Of views they are not.
    #[serde(default)]
    pub complete: bool,
    /// Of a view: its query; none of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    /// The triggers that its rows fire, as they were written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub triggers: BTreeSet<String>,
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
    /// What it holds then, as it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether code cannot give it a value: it is computed, or always numbered.
    #[serde(default)]
    pub refused: bool,
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

/// Whether code with these needs runs on this schema.
pub fn serves(schema: &Schema, needs: &Needs) -> Serves {
    schema.offers().serves(needs)
}

/// What code with these needs may run into in rows that newer code wrote.
pub fn cautions(schema: &Schema, needs: &Needs) -> Vec<Missing> {
    schema.offers().cautions(needs)
}
