//! What does not keep a release from running, and may still surprise it.

use std::collections::BTreeSet;

use super::demand::RowDemandKind;
use super::{Missing, Needs};
use crate::offer::Offer;

impl Offer {
    /// What code with these needs may run into in rows that newer code wrote, though
    /// the schema [serves](Offer::serves) it: values of enums that it does not know,
    /// numbers that are wider than it reads, rows of newer tables that keep it from
    /// deleting.
    pub fn cautions(&self, needs: &Needs) -> Vec<Missing> {
        let mut found = Vec::new();
        let mut say = |what: &str, why: String| found.push(Missing { what: what.into(), why });
        for (name, values) in &needs.enums {
            for value in self.enums.get(name).into_iter().flat_map(|now| now.difference(values)) {
                say(name, format!("newer code may write '{value}', which the release does not know"));
            }
        }
        for (table, needed) in &needs.relations {
            let Some(now) = self.relations.get(table) else { continue };
            for (name, column) in &needed.columns {
                let old = column.sql_type();
                let new = now.columns.get(name).map(crate::offer::OfferedColumn::sql_type);
                if let Some(new) = new.filter(|new| *new != old) {
                    let why = format!(
                        "it was {old} and is {new}: newer code may write what {old} does not hold, and a driver \
                         that compares types refuses to read it"
                    );
                    say(&format!("{table}.{name}"), why);
                }
            }
        }
        // What is deleted with a row that the release deletes.
        let mut deleted: BTreeSet<&String> = needs.relations.keys().collect();
        for _ in 0..self.relations.len() {
            let before = deleted.len();
            for (from, relation) in &self.relations {
                let along =
                    relation.demands.iter().filter(|demand| demand.text.contains("on delete cascade"));
                if along.filter_map(|demand| demand.to.as_ref()).any(|to| deleted.contains(to)) {
                    deleted.insert(from);
                }
            }
            if deleted.len() == before {
                break;
            }
        }
        for (from, relation) in &self.relations {
            let foreign = relation.demands.iter().filter(|demand| demand.kind == RowDemandKind::Foreign);
            for demand in foreign.filter(|demand| !demand.text.contains("on delete cascade")) {
                let known = needs.relations.get(from).is_some_and(|needed| needed.demands.contains(demand));
                let to = demand.to.as_ref().filter(|to| !known && deleted.contains(*to));
                if let Some(to) = to {
                    let why = format!(
                        "rows that newer code wrote to {from} may keep the release from deleting rows of it"
                    );
                    say(to, why);
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}
