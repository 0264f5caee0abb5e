//! The database as a chain of releases knows it. Each operation changes it, and is
//! written as the SQL of a migration.

use std::fmt::Write as _;

use plimsoll_evidence_migration_lint::Dialect;

pub(crate) use crate::table::{
    Check, Column, Does, Foreign, Own, Table, Trigger, Type, Unique, View, list, quoted,
};
use crate::table::{foreign_sql, index_sql};

/// The whole database.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Database {
    pub(crate) dialect: Dialect,
    pub(crate) tables: Vec<Table>,
    pub(crate) views: Vec<View>,
    pub(crate) enums: Vec<(String, Vec<String>)>,
}

/// One step of a migration. Names say what it is about, so that a chain can be cut
/// shorter: what is no longer there is passed over.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    CreateTable(Table),
    DropTable(String),
    RenameTable(String, String),
    /// And leaves a view under the old name.
    RenameTableBehindView(String, String),
    AddColumn(String, Column, Option<Unique>, Option<Foreign>, Option<Check>),
    DropColumn(String, String),
    RenameColumn(String, String, String),
    SetType(String, String, Type),
    SetNotNull(String, String),
    DropNotNull(String, String),
    SetDefault(String, String, String),
    DropDefault(String, String),
    Fill(String, String, String),
    AddUnique(String, Unique),
    DropUnique(String, String),
    AddForeign(String, Foreign),
    DropForeign(String, String),
    AddCheck(String, Check),
    DropCheck(String, String),
    AddTrigger(String, Trigger),
    DropTrigger(String, String),
    CreateView(View),
    ReplaceView(View),
    DropView(String),
    CreateEnum(String, Vec<String>),
    AddValue(String, String),
    RenameValue(String, String, String),
    RenameEnum(String, String),
    AddIdentity(String, String, bool),
    /// SQLite's way: the table is made again, and the indexes that somebody forgot are gone.
    Forget(String),
}

impl Database {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, tables: Vec::new(), views: Vec::new(), enums: Vec::new() }
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.name == name)
    }

    pub(crate) fn view(&self, name: &str) -> Option<&View> {
        self.views.iter().find(|view| view.name == name)
    }

    fn taken(&self, name: &str) -> bool {
        self.table(name).is_some() || self.view(name).is_some()
    }

    /// Changes the database as the step does, and says its SQL. Nothing, and no
    /// change, where it makes no sense.
    pub(crate) fn apply(&mut self, op: &Op) -> Option<String> {
        let mut next = self.clone();
        let sql = next.change(op)?;
        *self = next;
        Some(sql)
    }

    fn sqlite(&self) -> bool {
        self.dialect == Dialect::Sqlite
    }

    fn change(&mut self, op: &Op) -> Option<String> {
        let dialect = self.dialect;
        let sqlite = self.sqlite();
        Some(match op {
            Op::CreateTable(table) => {
                if self.taken(&table.name) {
                    return None;
                }
                let mut sql = table.create(&table.name, dialect);
                for unique in table.uniques.iter().filter(|unique| unique.index) {
                    sql.push_str(&index_sql(&table.name, unique));
                }
                self.tables.push(table.clone());
                sql
            }
            Op::DropTable(name) => {
                self.table(name)?;
                self.tables.retain(|table| table.name != *name);
                self.lose_views(|view| view.table == *name);
                for table in &mut self.tables {
                    table.foreigns.retain(|foreign| foreign.to != *name);
                }
                format!("DROP TABLE {}{};\n", quoted(name), if sqlite { "" } else { " CASCADE" })
            }
            Op::RenameTable(name, to) => {
                self.rename_table(name, to)?;
                format!("ALTER TABLE {} RENAME TO {};\n", quoted(name), quoted(to))
            }
            Op::RenameTableBehindView(name, to) => {
                self.rename_table(name, to)?;
                let columns = self.table(to)?.columns.iter();
                let columns = columns.map(|column| (column.name.clone(), column.name.clone())).collect();
                let view = View { name: name.clone(), table: to.clone(), columns, star: true };
                let select = view.select();
                self.views.push(view);
                format!(
                    "ALTER TABLE {} RENAME TO {};\nCREATE VIEW {} AS {select};\n",
                    quoted(name),
                    quoted(to),
                    quoted(name)
                )
            }
            Op::AddColumn(table, column, unique, foreign, check) => {
                if self.table(table)?.column(&column.name).is_some() {
                    return None;
                }
                let mut sql = format!("ALTER TABLE {} ADD COLUMN {}", quoted(table), column.sql(dialect));
                let mut after = String::new();
                if let Some(foreign) = foreign {
                    let _ = write!(
                        sql,
                        " CONSTRAINT {} REFERENCES {} ({}) {}",
                        quoted(&foreign.name),
                        quoted(&foreign.to),
                        quoted(&foreign.key),
                        foreign.action
                    );
                }
                if let Some(check) = check {
                    let _ = write!(sql, " CONSTRAINT {} CHECK ({})", quoted(&check.name), check.text);
                }
                if let Some(unique) = unique {
                    if unique.index || sqlite {
                        after = index_sql(table, &Unique { index: true, ..unique.clone() });
                    } else {
                        let _ = write!(sql, " CONSTRAINT {} UNIQUE", quoted(&unique.name));
                    }
                }
                let found = self.table_mut(table)?;
                found.columns.push(column.clone());
                found.uniques.extend(
                    unique.iter().map(|unique| Unique { index: unique.index || sqlite, ..unique.clone() }),
                );
                found.foreigns.extend(foreign.clone());
                found.checks.extend(check.clone());
                format!("{sql};\n{after}")
            }
            Op::DropColumn(table, column) => {
                let found = self.table_mut(table)?;
                found.column(column)?;
                if found.columns.len() < 2 {
                    return None;
                }
                found.columns.retain(|found| found.name != *column);
                if found.primary.contains(column) {
                    found.primary.clear();
                }
                found.uniques.retain(|unique| {
                    !unique.columns.contains(column)
                        && !unique.filter.as_ref().is_some_and(|filter| mentions(filter, column))
                });
                found.foreigns.retain(|foreign| foreign.column != *column);
                found.checks.retain(|check| !check.columns.contains(column));
                found.triggers.retain(|trigger| match &trigger.does {
                    Does::Notes => true,
                    Does::Fills(of, _) | Does::Refuses(of) => of != column,
                });
                for other in &mut self.tables {
                    other.foreigns.retain(|foreign| foreign.to != *table || foreign.key != *column);
                }
                self.lose_views(|view| {
                    view.table == *table && view.columns.iter().any(|(found, _)| found == column)
                });
                if sqlite {
                    self.rebuild(table)?
                } else {
                    format!("ALTER TABLE {} DROP COLUMN {} CASCADE;\n", quoted(table), quoted(column))
                }
            }
            Op::RenameColumn(table, column, to) => {
                let found = self.table_mut(table)?;
                if found.column(to).is_some() {
                    return None;
                }
                found.column_mut(column)?.name.clone_from(to);
                let rename = |name: &mut String| {
                    if name == column {
                        name.clone_from(to);
                    }
                };
                found.primary.iter_mut().for_each(rename);
                for unique in &mut found.uniques {
                    unique.columns.iter_mut().for_each(rename);
                    if let Some(filter) = &mut unique.filter {
                        *filter = replaced(filter, column, to);
                    }
                }
                found.foreigns.iter_mut().for_each(|foreign| rename(&mut foreign.column));
                for check in &mut found.checks {
                    check.columns.iter_mut().for_each(rename);
                    check.text = replaced(&check.text, column, to);
                }
                if !found.triggers.is_empty() {
                    // Their bodies name it, and are not changed by PostgreSQL.
                    return None;
                }
                for other in &mut self.tables {
                    for foreign in other.foreigns.iter_mut().filter(|foreign| foreign.to == *table) {
                        rename(&mut foreign.key);
                    }
                }
                for view in self.views.iter_mut().filter(|view| view.table == *table) {
                    if view.star && sqlite {
                        return None;
                    }
                    for (column, shown) in &mut view.columns {
                        if sqlite && column == shown {
                            // SQLite writes the query anew, and no `AS` keeps the old name.
                            rename(shown);
                        }
                        rename(column);
                    }
                }
                format!("ALTER TABLE {} RENAME COLUMN {} TO {};\n", quoted(table), quoted(column), quoted(to))
            }
            Op::SetType(table, column, kind) => {
                let found = self.table_mut(table)?.column_mut(column)?;
                if found.own != Own::No || found.kind == *kind {
                    return None;
                }
                found.kind = kind.clone();
                if sqlite {
                    return self.rebuild(table);
                }
                let (table, column, to) = (quoted(table), quoted(column), kind.sql(dialect, 0));
                format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE {to} USING {column}::{to};\n")
            }
            Op::SetNotNull(table, column) => {
                let found = self.table_mut(table)?.column_mut(column)?;
                if std::mem::replace(&mut found.not_null, true) {
                    return None;
                }
                self.alter(table, column, "SET NOT NULL")?
            }
            Op::DropNotNull(table, column) => {
                let table_now = self.table_mut(table)?;
                if table_now.primary.contains(column) {
                    return None;
                }
                let found = table_now.column_mut(column)?;
                if found.own != Own::No || !std::mem::replace(&mut found.not_null, false) {
                    return None;
                }
                self.alter(table, column, "DROP NOT NULL")?
            }
            Op::SetDefault(table, column, value) => {
                let found = self.table_mut(table)?.column_mut(column)?;
                if found.own != Own::No {
                    return None;
                }
                found.default = Some(value.clone());
                self.alter(table, column, &format!("SET DEFAULT {value}"))?
            }
            Op::DropDefault(table, column) => {
                let found = self.table_mut(table)?.column_mut(column)?;
                found.default.take()?;
                self.alter(table, column, "DROP DEFAULT")?
            }
            Op::Fill(table, column, value) => {
                if self.table(table)?.column(column)?.own != Own::No {
                    return None;
                }
                let (table, column) = (quoted(table), quoted(column));
                format!("UPDATE {table} SET {column} = {value} WHERE {column} IS NULL;\n")
            }
            Op::AddUnique(table, unique) => {
                let found = self.table_mut(table)?;
                if unique.columns.iter().any(|column| found.column(column).is_none())
                    || found.uniques.iter().any(|known| known.name == unique.name)
                {
                    return None;
                }
                let unique = Unique { index: unique.index || sqlite, ..unique.clone() };
                found.uniques.push(unique.clone());
                if unique.index {
                    index_sql(table, &unique)
                } else {
                    let columns = list(&unique.columns);
                    format!(
                        "ALTER TABLE {} ADD CONSTRAINT {} UNIQUE ({columns});\n",
                        quoted(table),
                        quoted(&unique.name)
                    )
                }
            }
            Op::DropUnique(table, name) => {
                let found = self.table_mut(table)?;
                let at = found.uniques.iter().position(|unique| unique.name == *name)?;
                let unique = found.uniques.remove(at);
                if unique.index {
                    format!("DROP INDEX {};\n", quoted(name))
                } else if sqlite {
                    self.rebuild(table)?
                } else {
                    format!("ALTER TABLE {} DROP CONSTRAINT {};\n", quoted(table), quoted(name))
                }
            }
            Op::AddForeign(table, foreign) => {
                let key = self.table(&foreign.to)?.column(&foreign.key)?.kind.clone();
                let found = self.table_mut(table)?;
                if found.column(&foreign.column)?.kind != key
                    || found.foreigns.iter().any(|known| known.name == foreign.name)
                {
                    return None;
                }
                found.foreigns.push(foreign.clone());
                if sqlite {
                    return self.rebuild(table);
                }
                format!("ALTER TABLE {} ADD {};\n", quoted(table), foreign_sql(foreign, &foreign.to))
            }
            Op::DropForeign(table, name) => {
                let found = self.table_mut(table)?;
                let at = found.foreigns.iter().position(|foreign| foreign.name == *name)?;
                found.foreigns.remove(at);
                self.drop_constraint(table, name)?
            }
            Op::AddCheck(table, check) => {
                let found = self.table_mut(table)?;
                if check.columns.iter().any(|column| found.column(column).is_none())
                    || found.checks.iter().any(|known| known.name == check.name)
                {
                    return None;
                }
                found.checks.push(check.clone());
                if sqlite {
                    return self.rebuild(table);
                }
                let (table, name, text) = (quoted(table), quoted(&check.name), &check.text);
                format!("ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({text});\n")
            }
            Op::DropCheck(table, name) => {
                let found = self.table_mut(table)?;
                let at = found.checks.iter().position(|check| check.name == *name)?;
                found.checks.remove(at);
                self.drop_constraint(table, name)?
            }
            Op::AddTrigger(table, trigger) => {
                if self
                    .tables
                    .iter()
                    .flat_map(|table| &table.triggers)
                    .any(|known| known.name == trigger.name)
                {
                    return None;
                }
                let found = self.table_mut(table)?;
                if let Does::Fills(column, _) | Does::Refuses(column) = &trigger.does {
                    found.column(column)?;
                }
                found.triggers.push(trigger.clone());
                trigger_sql(table, trigger, dialect)
            }
            Op::DropTrigger(table, name) => {
                let found = self.table_mut(table)?;
                let at = found.triggers.iter().position(|trigger| trigger.name == *name)?;
                found.triggers.remove(at);
                if sqlite {
                    format!("DROP TRIGGER {};\n", quoted(name))
                } else {
                    format!("DROP TRIGGER {} ON {};\n", quoted(name), quoted(table))
                }
            }
            Op::CreateView(view) => {
                let table = self.table(&view.table)?;
                if self.taken(&view.name)
                    || view.columns.iter().any(|(column, _)| table.column(column).is_none())
                {
                    return None;
                }
                self.views.push(view.clone());
                format!("CREATE VIEW {} AS {};\n", quoted(&view.name), view.select())
            }
            Op::ReplaceView(view) => {
                let table = self.table(&view.table)?;
                if view.columns.iter().any(|(column, _)| table.column(column).is_none()) {
                    return None;
                }
                let known = self.views.iter_mut().find(|known| known.name == view.name)?;
                *known = view.clone();
                let (name, select) = (quoted(&view.name), view.select());
                if sqlite {
                    format!("DROP VIEW {name};\nCREATE VIEW {name} AS {select};\n")
                } else {
                    format!("CREATE OR REPLACE VIEW {name} AS {select};\n")
                }
            }
            Op::DropView(name) => {
                self.view(name)?;
                self.views.retain(|view| view.name != *name);
                format!("DROP VIEW {};\n", quoted(name))
            }
            Op::CreateEnum(name, values) => {
                if sqlite || self.enums.iter().any(|(known, _)| known == name) {
                    return None;
                }
                self.enums.push((name.clone(), values.clone()));
                format!("CREATE TYPE {} AS ENUM ('{}');\n", quoted(name), values.join("', '"))
            }
            Op::AddValue(name, value) => {
                let (_, values) = self.enums.iter_mut().find(|(known, _)| known == name)?;
                if values.contains(value) {
                    return None;
                }
                values.push(value.clone());
                format!("ALTER TYPE {} ADD VALUE '{value}';\n", quoted(name))
            }
            Op::RenameValue(name, from, to) => {
                let (_, values) = self.enums.iter_mut().find(|(known, _)| known == name)?;
                if values.contains(to) {
                    return None;
                }
                values.iter_mut().find(|value| *value == from)?.clone_from(to);
                format!("ALTER TYPE {} RENAME VALUE '{from}' TO '{to}';\n", quoted(name))
            }
            Op::RenameEnum(name, to) => {
                if self.enums.iter().any(|(known, _)| known == to) {
                    return None;
                }
                self.enums.iter_mut().find(|(known, _)| known == name)?.0.clone_from(to);
                for column in self.tables.iter_mut().flat_map(|table| &mut table.columns) {
                    if column.kind == Type::Enum(name.clone()) {
                        column.kind = Type::Enum(to.clone());
                    }
                }
                format!("ALTER TYPE {} RENAME TO {};\n", quoted(name), quoted(to))
            }
            Op::AddIdentity(table, column, always) => {
                let found = self.table_mut(table)?.column_mut(column)?;
                if sqlite || found.own != Own::No || !found.not_null || found.default.is_some() {
                    return None;
                }
                found.own = if *always { Own::IdentityAlways } else { Own::IdentityByDefault };
                let how = if *always { "ALWAYS" } else { "BY DEFAULT" };
                format!(
                    "ALTER TABLE {} ALTER COLUMN {} ADD GENERATED {how} AS IDENTITY;\n",
                    quoted(table),
                    quoted(column)
                )
            }
            Op::Forget(table) => {
                if !sqlite {
                    return None;
                }
                let found = self.table_mut(table)?;
                found.uniques.retain(|unique| !unique.index);
                self.rebuild(table)?
            }
        })
    }

    /// PostgreSQL takes views away with what they show; SQLite leaves them broken.
    fn lose_views(&mut self, lost: impl Fn(&View) -> bool) {
        self.views.retain(|view| !lost(view));
    }

    fn rename_table(&mut self, name: &str, to: &str) -> Option<()> {
        if self.taken(to) {
            return None;
        }
        let table = self.table_mut(name)?;
        if !table.triggers.is_empty() {
            return None;
        }
        to.clone_into(&mut table.name);
        for table in &mut self.tables {
            for foreign in table.foreigns.iter_mut().filter(|foreign| foreign.to == name) {
                to.clone_into(&mut foreign.to);
            }
        }
        for view in self.views.iter_mut().filter(|view| view.table == name) {
            to.clone_into(&mut view.table);
        }
        Some(())
    }

    fn alter(&mut self, table: &str, column: &str, what: &str) -> Option<String> {
        if self.sqlite() {
            return self.rebuild(table);
        }
        Some(format!("ALTER TABLE {} ALTER COLUMN {} {what};\n", quoted(table), quoted(column)))
    }

    fn drop_constraint(&mut self, table: &str, name: &str) -> Option<String> {
        if self.sqlite() {
            return self.rebuild(table);
        }
        Some(format!("ALTER TABLE {} DROP CONSTRAINT {};\n", quoted(table), quoted(name)))
    }

    /// SQLite's manual, "Making Other Kinds Of Table Schema Changes".
    fn rebuild(&self, name: &str) -> Option<String> {
        let table = self.table(name)?;
        let fresh = format!("new_{name}");
        let mut sql = String::from("PRAGMA legacy_alter_table = ON;\n");
        sql.push_str(&table.create(&fresh, self.dialect));
        let kept: Vec<String> = table
            .columns
            .iter()
            .filter(|column| column.own != Own::Generated)
            .map(|column| column.name.clone())
            .collect();
        let columns = list(&kept);
        let _ = write!(
            sql,
            "INSERT INTO {new} ({columns}) SELECT {columns} FROM {old};\nDROP TABLE {old};\n\
             ALTER TABLE {new} RENAME TO {old};\n",
            new = quoted(&fresh),
            old = quoted(name),
        );
        for unique in table.uniques.iter().filter(|unique| unique.index) {
            sql.push_str(&index_sql(name, unique));
        }
        for trigger in &table.triggers {
            sql.push_str(&trigger_sql(name, trigger, self.dialect));
        }
        sql.push_str("PRAGMA legacy_alter_table = OFF;\n");
        Some(sql)
    }
}

fn trigger_sql(table: &str, trigger: &Trigger, dialect: Dialect) -> String {
    let (on, name) = (quoted(table), quoted(&trigger.name));
    if dialect == Dialect::Sqlite {
        let body = match &trigger.does {
            Does::Notes => "SELECT 1".to_owned(),
            Does::Fills(column, value) => {
                let column = quoted(column);
                format!("UPDATE {on} SET {column} = {value} WHERE rowid = NEW.rowid AND {column} IS NULL")
            }
            Does::Refuses(column) => {
                format!("SELECT RAISE(ABORT, 'refused') WHERE NEW.{} IS NULL", quoted(column))
            }
        };
        return format!("CREATE TRIGGER {name} AFTER INSERT ON {on} BEGIN {body}; END;\n");
    }
    let body = match &trigger.does {
        Does::Notes => String::new(),
        Does::Fills(column, value) => {
            format!("NEW.{column} := coalesce(NEW.{column}, {value}); ", column = quoted(column))
        }
        Does::Refuses(column) => {
            format!("IF NEW.{} IS NULL THEN RAISE EXCEPTION 'refused'; END IF; ", quoted(column))
        }
    };
    format!(
        "CREATE OR REPLACE FUNCTION do_{}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}RETURN NEW; END $$;\n\
         CREATE TRIGGER {name} BEFORE INSERT ON {on} FOR EACH ROW EXECUTE FUNCTION do_{}();\n",
        trigger.name, trigger.name
    )
}

/// Whether an expression names a column.
pub(crate) fn mentions(text: &str, column: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == column)
}

fn replaced(text: &str, column: &str, to: &str) -> String {
    let mut found = String::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            found.push_str(if word == column { to } else { &word });
            word.clear();
            found.push(c);
        }
    }
    found.trim_end().to_owned()
}
