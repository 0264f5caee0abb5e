//! The schema as the migrations so far have made it.

use std::collections::{BTreeMap, HashMap};

use crate::action::{Default, Demand, Kind, NewColumn, NewConstraint, NewTable};
use crate::name::Name;
use crate::options::Dialect;
use crate::sql_type::SqlType;

/// What a directory of migrations makes of an empty database.
#[derive(Debug, Clone, std::default::Default)]
pub struct Schema {
    pub(crate) relations: BTreeMap<Name, Relation>,
    pub(crate) indexes: BTreeMap<Name, Index>,
    pub(crate) enums: BTreeMap<Name, Enum>,
    pub(crate) sequences: BTreeMap<Name, u8>,
    /// With their texts.
    pub(crate) triggers: BTreeMap<(Name, String), String>,
    pub(crate) dialect: Dialect,
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
    /// Of a view: its query, and those that it took over from.
    pub(crate) texts: Vec<String>,
    /// Of a view: what it reads.
    pub(crate) sources: Vec<Name>,
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Default>,
    pub(crate) numbered: bool,
    /// Whether an INSERT must not give it.
    pub(crate) refused: bool,
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
    pub(crate) filter: Option<String>,
    pub(crate) nulls: bool,
    pub(crate) made: Made,
}

/// An enum type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Enum {
    pub(crate) values: Vec<String>,
    pub(crate) made: Made,
}

impl Schema {
    /// An empty database.
    pub(crate) fn of(dialect: Dialect) -> Self {
        Self { dialect, ..Self::default() }
    }

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

    /// Whether all that a view reads is there: SQLite keeps it when that goes. `depth`
    /// is of views on views.
    pub(crate) fn works(&self, relation: &Relation, depth: u8) -> bool {
        self.dialect == Dialect::Postgres
            || relation.sources.iter().all(|source| match self.relations.get(&self.resolve(source)) {
                Some(found) => depth > 16 || self.works(found, depth + 1),
                None => false,
            })
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
            texts: Vec::new(),
            sources: Vec::new(),
        };
        let inline = table.columns.iter().flat_map(|column| &column.constraints);
        for column in &table.columns {
            relation.columns.push(Column::new(column, made));
        }
        let mut constraints: Vec<NewConstraint> = inline.chain(&table.constraints).cloned().collect();
        if self.dialect == Dialect::Postgres {
            merge_keys(&mut constraints);
        }
        for constraint in &constraints {
            relation.constrain(&name.name, constraint, made, self.dialect);
        }
        self.insert(name.clone(), relation);
    }

    /// A view. One that takes another's place keeps its columns.
    pub(crate) fn view(&mut self, name: &Name, kind: Kind, text: &str, sources: &[Name], made: Made) {
        let sources = sources.iter().map(|source| self.resolve(source)).collect();
        let before = self.relation(name).filter(|before| before.kind == kind);
        let mut texts = before.map(|before| before.texts.clone()).unwrap_or_default();
        texts.push(text.to_owned());
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
            texts,
            sources,
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
            other.sources.iter_mut().filter(|source| **source == from).for_each(|it| it.clone_from(to));
            other.retarget(&from, to);
        }
        let mut relation = relation;
        relation.retarget(&from, to);
        let moved: Vec<_> = self.triggers.keys().filter(|(table, _)| *table == from).cloned().collect();
        for key in moved {
            if let Some(text) = self.triggers.remove(&key) {
                self.triggers.insert((to.clone(), key.1), text);
            }
        }
        self.insert(to.clone(), relation);
    }
}

impl Relation {
    pub(crate) fn column_mut(&mut self, name: &str) -> Option<&mut Column> {
        self.columns.iter_mut().find(|column| column.name == name)
    }

    /// Foreign keys follow the table that they name.
    fn retarget(&mut self, from: &Name, name: &Name) {
        for constraint in &mut self.constraints {
            if let Demand::Foreign { to, .. } = &mut constraint.demand
                && (to == from || (to.schema.is_empty() && to.name == from.name))
            {
                to.clone_from(name);
            }
        }
    }

    pub(crate) fn constraint(&self, name: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.name == name)
    }

    /// Adds a constraint under the name that PostgreSQL would give it.
    pub(crate) fn constrain(&mut self, table: &str, new: &NewConstraint, made: Made, dialect: Dialect) {
        let of = |columns: &[String], suffix: &str| object_name(table, &columns.join("_"), suffix);
        let usual = match &new.demand {
            Demand::Primary { .. } => object_name(table, "", "pkey"),
            Demand::Unique { columns, .. } => of(columns, "key"),
            Demand::Foreign { columns, .. } => of(columns, "fkey"),
            Demand::Check { text, .. } => {
                let mut named = self.columns.iter().filter(|column| mentions(text, &column.name));
                match (named.next(), named.next()) {
                    (Some(only), None) => object_name(table, &only.name, "check"),
                    _ => object_name(table, "", "check"),
                }
            }
            Demand::Exclude => object_name(table, "", "excl"),
            Demand::NotNull { column } => format!("{table}_{column}_not_null"),
        };
        let primary = match &new.demand {
            Demand::Primary { columns, .. } => columns.as_slice(),
            Demand::NotNull { column } if !new.not_valid => std::slice::from_ref(column),
            _ => &[],
        };
        for column in &mut self.columns {
            column.not_null |= dialect == Dialect::Postgres && primary.contains(&column.name);
        }
        let free = |name: &String| self.constraint(name).is_none();
        let numbered = || (1..100).map(|number| format!("{usual}{number}")).find(free);
        let usual = if free(&usual) { usual } else { numbered().unwrap_or(usual) };
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
            refused: column.refused,
            made,
        }
    }

    /// Whether a row must name it.
    pub(crate) fn must_be_given(&self) -> bool {
        self.not_null && self.default.is_none() && !self.numbered && !self.refused
    }
}

/// Of keys with the same columns PostgreSQL makes one, the primary one, under the
/// first name that is given (`transformIndexConstraints`).
fn merge_keys(constraints: &mut Vec<NewConstraint>) {
    let columns_of = |constraint: &NewConstraint| match &constraint.demand {
        Demand::Primary { columns, .. } => Some((columns.clone(), false)),
        Demand::Unique { columns, nulls, .. } => Some((columns.clone(), *nulls)),
        _ => None,
    };
    constraints.sort_by_key(|constraint| !matches!(constraint.demand, Demand::Primary { .. }));
    let mut kept: Vec<NewConstraint> = Vec::with_capacity(constraints.len());
    for constraint in constraints.drain(..) {
        let key = columns_of(&constraint);
        match kept.iter_mut().find(|known| key.is_some() && columns_of(known) == key) {
            Some(known) => known.name = known.name.take().or(constraint.name),
            None => kept.push(constraint),
        }
    }
    *constraints = kept;
}

/// The name that PostgreSQL gives: its parts are cut, the longer one first, until all
/// of it has 63 bytes (`makeObjectName`).
pub(crate) fn object_name(table: &str, columns: &str, suffix: &str) -> String {
    let (mut first, mut second) = (table.len(), columns.len());
    let rest = suffix.len() + 1 + usize::from(second > 0);
    while first + second + rest > 63 {
        if first > second { first -= 1 } else { second -= 1 }
    }
    let cut = |text: &str, mut end: usize| {
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].to_owned()
    };
    match columns {
        "" => format!("{}_{suffix}", cut(table, first)),
        _ => format!("{}_{}_{suffix}", cut(table, first), cut(columns, second)),
    }
}

/// Whether an expression names a column, by its words.
pub(crate) fn mentions(text: &str, column: &str) -> bool {
    words(text).any(|word| word.eq_ignore_ascii_case(column))
}

/// The words of an expression.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).filter(|word| !word.is_empty())
}

/// The expression with a column's name in the place of another.
pub(crate) fn renamed(text: &str, from: &str, to: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().map(Some).chain([None]) {
        match c {
            Some(c) if c.is_alphanumeric() || matches!(c, '_' | '$') => word.push(c),
            other => {
                found.push_str(if word.eq_ignore_ascii_case(from) { to } else { &word });
                word.clear();
                found.extend(other);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_postgresql_cuts_them() {
        assert_eq!(object_name("users", "email", "key"), "users_email_key");
        assert_eq!(object_name("users", "", "pkey"), "users_pkey");
        let long = object_name(&"t".repeat(60), &"c".repeat(20), "key");
        assert_eq!((long.len(), long), (63, format!("{}_{}_key", "t".repeat(38), "c".repeat(20))));
    }

    #[test]
    fn only_whole_words_are_renamed() {
        assert_eq!(renamed("age > 1 AND page < Age", "age", "years"), "years > 1 AND page < years");
    }
}
