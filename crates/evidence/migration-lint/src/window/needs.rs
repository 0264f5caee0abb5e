//! What a release may use.

use std::collections::BTreeSet;

use super::{NeededColumn, NeededRelation, Needs};
use crate::action::Kind;
use crate::schema::Schema;

impl Schema {
    /// What code that was released with this schema may use of it. `unused` names
    /// tables (`users`) and columns (`users.name`) that it is known not to use.
    pub fn needs(&self, unused: &BTreeSet<String>) -> Needs {
        let mut needs = Needs::default();
        let kept =
            self.relations.iter().filter(|(_, relation)| !relation.temporary && self.works(relation, 0));
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
                    default: column.default.as_ref().map(|default| default.text.clone()),
                    refused: column.refused,
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
                unused_defaults: relation
                    .columns
                    .iter()
                    .filter(|column| is_unused(&column.name))
                    .filter_map(|column| Some((column.name.clone(), column.default.clone()?.text)))
                    .collect(),
                demands: self.demands(name, relation),
                complete: relation.complete,
                view: (relation.kind != Kind::Table)
                    .then(|| relation.texts.last().cloned().unwrap_or_default()),
                triggers: self.triggers_of(name),
            };
            needs.relations.insert(table, needed);
        }
        for (name, found) in &self.enums {
            needs.enums.insert(name.to_string(), found.values.iter().cloned().collect());
        }
        needs
    }
}
