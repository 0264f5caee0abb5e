//! Whether a schema still gives what a release needs.

use std::collections::BTreeSet;

use super::demand::{RowDemand, RowDemandKind};
use super::truth::{Value, holds};
use super::{Missing, NeededColumn, NeededRelation, Needs, Serves};
use crate::offer::{Offer, OfferedColumn, OfferedRelation};
use crate::options::Dialect;
use crate::sql_type::SqlType;

impl Offer {
    /// Whether code with these needs runs on it. What cannot be known counts as
    /// missing: a rollback that was called safe must be. What such code may run into
    /// in rows that newer code wrote is said by [`Offer::cautions`].
    pub fn serves(&self, needs: &Needs) -> Serves {
        let mut asked = Asked { offer: self, missing: Vec::new() };
        for (table, needed) in &needs.relations {
            match self.relations.get(table) {
                Some(found) => asked.relation(table, needed, found),
                None => asked.lost(table, "it is gone, and the release reads or writes it"),
            }
        }
        for (name, values) in &needs.enums {
            let Some(found) = self.enums.get(name) else {
                asked.lost(name, "the type is gone");
                continue;
            };
            for value in values.difference(found) {
                asked.lost(&format!("{name} '{value}'"), "the release may write a value that is gone");
            }
        }
        if asked.missing.is_empty() { Serves::Yes } else { Serves::No(asked.missing) }
    }
}

impl NeededColumn {
    /// Its type.
    pub(super) fn sql_type(&self) -> SqlType {
        SqlType { name: self.sql_type.clone(), arguments: self.arguments.clone(), array: self.array }
    }
}

impl OfferedColumn {
    /// Its type.
    pub(super) fn sql_type(&self) -> SqlType {
        SqlType { name: self.sql_type.clone(), arguments: self.arguments.clone(), array: self.array }
    }
}

/// What is found while it is compared.
struct Asked<'a> {
    offer: &'a Offer,
    missing: Vec<Missing>,
}

impl Asked<'_> {
    fn lost(&mut self, what: &str, why: &str) {
        self.missing.push(Missing { what: what.into(), why: why.into() });
    }

    fn relation(&mut self, table: &str, needed: &NeededRelation, found: &OfferedRelation) {
        let is_view = !found.table;
        match &needed.view {
            None if is_view => return self.lost(table, "it is a view now, and the release may write to it"),
            Some(text) if is_view => self.view(table, text, found),
            Some(_) => {
                return self
                    .lost(table, "it is a table now, and may lack what the release reads of the view");
            }
            None => {}
        }
        for (column, wanted) in &needed.columns {
            let place = format!("{table}.{column}");
            match found.columns.get(column) {
                Some(now) => self.column(&place, column, wanted, now, &found.demands),
                None if found.complete => self.lost(&place, "the column is gone, and the release uses it"),
                None => {}
            }
        }
        if is_view {
            return;
        }
        if found.triggers != needed.triggers {
            self.lost(
                table,
                "its rows fire other triggers, which may refuse or change what the release writes",
            );
        }
        if !needed.complete {
            return;
        }
        let foreign = found.columns.iter().filter(|(name, _)| !needed.columns.contains_key(*name));
        for (name, _) in foreign.filter(|(_, now)| now.must_be_given) {
            let place = format!("{table}.{name}");
            self.lost(&place, "every INSERT must give it, and the release does not know it");
        }
        for demand in &found.demands {
            if left_alone(demand, needed, found) {
                continue;
            }
            if !needed.demands.contains(demand) {
                if narrower(demand, needed) {
                    continue;
                }
                let why = format!("rows must fulfil {} now, which the release does not know", demand.text);
                self.lost(table, &why);
            } else if demand.columns.iter().any(|name| filled_otherwise(name, needed, found)) {
                let why =
                    format!("rows must fulfil {}, and what the release leaves out changed", demand.text);
                self.lost(table, &why);
            }
        }
        let keys = needed.demands.iter().filter(|demand| demand.kind == RowDemandKind::Unique);
        for key in keys.filter(|key| !found.demands.contains(key)) {
            let why = format!("{} is gone, and the release may rely on it in ON CONFLICT", key.text);
            self.lost(table, &why);
        }
    }

    /// A view gives the same columns where it has the same query, or one that took
    /// its place by OR REPLACE.
    fn view(&mut self, table: &str, text: &str, found: &OfferedRelation) {
        if text.is_empty() || !found.texts.iter().any(|known| known == text) {
            self.lost(
                table,
                "the view was made again with another query, and may lack what the release reads",
            );
        }
    }

    fn column(
        &mut self,
        place: &str,
        column: &str,
        wanted: &NeededColumn,
        now: &OfferedColumn,
        demands: &BTreeSet<RowDemand>,
    ) {
        let (old, new) = (wanted.sql_type(), now.sql_type());
        if !self.type_serves(&new, &old) {
            self.lost(place, &format!("its type was {old} and is {new}"));
        }
        if wanted.nullable && now.not_null {
            self.lost(place, "the release may write null, which is refused now");
        }
        if !wanted.nullable && !now.not_null {
            self.lost(place, "it may hold null now, which the release does not expect");
        }
        if now.refused && !wanted.refused {
            self.lost(place, "the release may give it a value, which is refused now");
        }
        if wanted.may_be_left_out && now.must_be_given && !(wanted.nullable && now.not_null) {
            self.lost(place, "the release may leave it out of an INSERT, which is refused now");
        }
        if wanted.may_be_left_out && now.default != wanted.default {
            let value = match &now.default {
                None => Value::Null,
                Some(text) => Value::literal(text),
            };
            let values = |name: &str| if name == column { value.clone() } else { Value::Unknown };
            let about = demands.iter().filter(|demand| demand.columns.iter().any(|it| it == column));
            let refused = about.filter(|demand| match demand.kind {
                RowDemandKind::Check => !holds(&demand.text, &values),
                _ => value != Value::Null,
            });
            if let Some(demand) = refused.into_iter().next() {
                let why = format!(
                    "the release may leave it out, and it then holds another default, but rows must fulfil {}",
                    demand.text
                );
                self.lost(place, &why);
            }
        }
    }

    /// SQLite keeps to affinities, not to types.
    fn type_serves(&self, now: &SqlType, old: &SqlType) -> bool {
        match self.offer.dialect {
            Dialect::Postgres => now.still_serves(old),
            Dialect::Sqlite => now.affinity() == old.affinity(),
        }
    }
}

/// Whether a column that the release does not use holds something else than it did.
fn filled_otherwise(name: &str, needed: &NeededRelation, found: &OfferedRelation) -> bool {
    let now = found.columns.get(name).and_then(|column| column.default.as_ref());
    needed.unused.contains(name) && now != needed.unused_defaults.get(name)
}

/// Whether a key is part of one that the release never shared between rows.
fn narrower(demand: &RowDemand, needed: &NeededRelation) -> bool {
    demand.kind == RowDemandKind::Unique
        && needed.demands.iter().any(|known| {
            known.plain_key() && known.columns.iter().all(|column| demand.columns.contains(column))
        })
}

/// Whether rows fulfil a demand by what the release leaves out of them.
fn left_alone(demand: &RowDemand, needed: &NeededRelation, found: &OfferedRelation) -> bool {
    // What the release does not give holds null, or a default, unless a trigger fills it.
    let left = |name: &str| {
        if !found.triggers.is_empty() {
            return None;
        }
        let column = found.columns.get(name)?;
        (!needed.columns.contains_key(name)).then_some(column)
    };
    let null = |name: &String| {
        left(name).is_some_and(|column| column.default.is_none() && !column.numbered && !column.refused)
    };
    match demand.kind {
        RowDemandKind::Unique => {
            let numbered = |name: &String| left(name).is_some_and(|column| column.numbered);
            !demand.text.contains("NULLS NOT DISTINCT")
                && demand.columns.iter().any(|name| null(name) || numbered(name))
        }
        RowDemandKind::Foreign => !demand.text.contains("match full") && demand.columns.iter().any(null),
        RowDemandKind::Check => {
            let values = |name: &str| match left(name) {
                Some(column) if column.numbered || column.refused => Value::Unknown,
                Some(column) => match &column.default {
                    None => Value::Null,
                    Some(default) => Value::literal(default),
                },
                None => Value::Unknown,
            };
            holds(&demand.text, &values)
        }
        RowDemandKind::Exclude => false,
    }
}
