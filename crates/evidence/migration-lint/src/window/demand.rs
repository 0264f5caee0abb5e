//! What is demanded of a table's rows, in words that do not depend on names.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::Demand;
use crate::name::Name;
use crate::schema::{Relation, Schema, mentions};

/// What kind of demand it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowDemandKind {
    /// An expression that must not be false.
    Check,
    /// A key that no two rows share.
    Unique,
    /// A row of another table that must be there.
    Foreign,
    /// An exclusion constraint.
    Exclude,
}

/// One thing that rows must fulfil.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowDemand {
    /// What kind.
    pub kind: RowDemandKind,
    /// The columns that it is about, sorted; expressions as they are written.
    pub columns: Vec<String>,
    /// As SQL would say it, e.g. `UNIQUE (email)`.
    pub text: String,
    /// Of a foreign key: the other table. Nothing where that is gone, as SQLite allows:
    /// no row can be written then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl RowDemand {
    fn new(kind: RowDemandKind, columns: &[String], text: String) -> Self {
        let mut columns = columns.to_vec();
        columns.sort();
        Self { kind, columns, text, to: None }
    }

    fn unique(columns: &[String], filter: Option<&str>, nulls: bool) -> Self {
        let mut sorted = columns.to_vec();
        sorted.sort();
        let nulls = if nulls { " NULLS NOT DISTINCT" } else { "" };
        let filter = filter.map(|filter| format!(" {filter}")).unwrap_or_default();
        let text = format!("UNIQUE ({}){nulls}{filter}", sorted.join(", "));
        Self { kind: RowDemandKind::Unique, columns: sorted, text, to: None }
    }

    /// Whether it is a key of all rows, in which nulls differ.
    pub(super) fn plain_key(&self) -> bool {
        self.kind == RowDemandKind::Unique && self.text.ends_with(')')
    }
}

impl Schema {
    /// All that the rows of a table must fulfil.
    pub(crate) fn demands(&self, name: &Name, relation: &Relation) -> BTreeSet<RowDemand> {
        let constraints = relation.constraints.iter().filter_map(|constraint| match &constraint.demand {
            Demand::Check { text, .. } => {
                let named = relation.columns.iter().filter(|column| mentions(text, &column.name));
                let columns: Vec<String> = named.map(|column| column.name.clone()).collect();
                Some(RowDemand::new(RowDemandKind::Check, &columns, format!("CHECK ({text})")))
            }
            Demand::Unique { columns, nulls, .. } => Some(RowDemand::unique(columns, None, *nulls)),
            Demand::Primary { columns, .. } => Some(RowDemand::unique(columns, None, false)),
            Demand::Foreign { columns, to, then, .. } => {
                let text = format!("FOREIGN KEY ({}) REFERENCES {to} {then}", columns.join(", "));
                let demand = RowDemand::new(RowDemandKind::Foreign, columns, text.trim_end().into());
                let to = self.resolve(to);
                let there = self.relations.contains_key(&to);
                Some(RowDemand { to: there.then(|| to.to_string()), ..demand })
            }
            Demand::Exclude => {
                Some(RowDemand::new(RowDemandKind::Exclude, &[], format!("EXCLUDE {}", constraint.name)))
            }
            Demand::NotNull { .. } => None,
        });
        let indexes = self.indexes.values().filter(|index| index.unique && index.table == *name);
        constraints
            .chain(
                indexes.map(|index| RowDemand::unique(&index.columns, index.filter.as_deref(), index.nulls)),
            )
            .collect()
    }

    /// The triggers of a table, as they were written.
    pub(crate) fn triggers_of(&self, name: &Name) -> BTreeSet<String> {
        let of = self.triggers.iter().filter(|((table, _), _)| table == name);
        of.map(|(_, text)| text.clone()).collect()
    }
}
