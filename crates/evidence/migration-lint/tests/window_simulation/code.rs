//! What the code of a release does: reads its columns, and inserts, changes and
//! deletes rows with values that the types and constraints allow.

use fastrand::Rng;
use plimsoll_evidence_migration_lint::Dialect;

use crate::base::Base;
use crate::plan::{Column, Database, Own, Table, Type, list, quoted};

/// What old code expects of a statement.
#[derive(Debug, Clone)]
enum Step {
    /// That it runs.
    Run(String),
    /// That it returns the same; what that is is found out at the release.
    Same(String, Vec<Vec<Option<String>>>),
}

/// Some statements of one transaction.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    steps: Vec<Step>,
}

/// A release's code.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) scenes: Vec<Scene>,
    /// Every table and view with all of its columns.
    reads: Vec<(String, Vec<Read>)>,
    /// Tables with a key: their rows are deleted, also those of other code.
    deletes: Vec<(String, String)>,
}

/// A column that it reads.
#[derive(Debug, Clone)]
struct Read {
    name: String,
    never_null: bool,
    /// The values that it knows, where they are few.
    values: Option<Vec<String>>,
}

/// How old code breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A statement fails, or returns something else.
    Statement(String),
    /// A statement fails, or surprises, on rows that newer code wrote.
    NewRows(String),
}

/// What unused columns are left out.
pub(crate) type Unused = std::collections::BTreeSet<String>;

struct Writer<'a> {
    database: &'a Database,
    unused: &'a Unused,
    /// Of values: no two are the same.
    count: u32,
}

/// The values of a row, by column.
type Row = Vec<(String, String)>;

impl Writer<'_> {
    fn uses(&self, table: &str, column: &str) -> bool {
        !self.unused.contains(&format!("{table}.{column}"))
    }

    /// A value that the type holds, like no other where the type has so many.
    fn value(&mut self, random: &mut Rng, kind: &Type) -> String {
        self.count += 1;
        let n = self.count;
        let sign = if random.u8(0..4) == 0 { "-" } else { "" };
        match kind {
            Type::Small => format!("{sign}{n}"),
            Type::Int if random.u8(0..4) == 0 => format!("{}", i32::MAX - i32::try_from(n).unwrap_or(0)),
            Type::Int => format!("{sign}{n}"),
            Type::Big if random.u8(0..4) == 0 => format!("{}", i64::MAX - i64::from(n)),
            Type::Big => format!("{sign}{n}"),
            Type::Text if random.u8(0..4) == 0 => format!("'{}{n}'", "long ".repeat(20)),
            Type::Text => format!("'v{n}'"),
            Type::Varchar(length) => {
                let length = usize::try_from(*length).unwrap_or(1);
                let text = format!("w{n}");
                if random.bool() { format!("'{text:x<length$}'") } else { format!("'{text}'") }
            }
            Type::Numeric(precision, scale) if random.bool() => {
                let whole = "9".repeat(usize::try_from(precision - scale).unwrap_or(1) - 3);
                format!("{whole}{:03}.25", n % 1000)
            }
            Type::Numeric(..) => format!("{sign}{n}.5"),
            Type::Double => format!("{sign}{n}.25"),
            Type::Bool => if random.bool() { "true" } else { "false" }.into(),
            Type::Timestamp => format!("'2026-01-{:02} 10:{:02}:00'", 1 + n % 28, n % 60),
            Type::Json | Type::Jsonb => format!("'{{\"n\": {n}}}'"),
            Type::Enum(name) => {
                let values = self.database.enums.iter().find(|(known, _)| known == name);
                let values = values.map(|(_, values)| values.as_slice()).unwrap_or_default();
                format!("'{}'", values.get(random.usize(0..values.len().max(1))).cloned().unwrap_or_default())
            }
        }
    }

    /// A row, after its parents, which go into `steps`. `full` columns are given,
    /// null or left out by the roll of `way`.
    fn row(
        &mut self,
        random: &mut Rng,
        table: &Table,
        way: Way,
        depth: u8,
        steps: &mut Vec<Step>,
    ) -> Option<Row> {
        let mut row = Row::new();
        for column in &table.columns {
            let used = self.uses(&table.name, &column.name);
            let given = match (way, column.own) {
                (_, Own::Generated | Own::IdentityAlways) => false,
                (_, Own::Serial | Own::IdentityByDefault) => used && (way == Way::Full || random.bool()),
                (Way::Full, _) => used,
                (Way::Least, _) => used && !column.may_be_left_out(),
                (Way::Nulls, _) => used && (!column.may_be_left_out() || !column.not_null),
                (Way::Mixed, _) => used && (!column.may_be_left_out() || random.bool()),
            };
            if !given {
                continue;
            }
            let key = table.primary.contains(&column.name);
            let null = !column.not_null
                && !key
                && (way == Way::Nulls || (way == Way::Mixed && random.u8(0..4) == 0));
            let value = if null {
                "NULL".into()
            } else if let Some(foreign) = table.foreigns.iter().find(|it| it.column == column.name) {
                match self.database.table(&foreign.to) {
                    Some(parent) if depth < 3 && parent.name != table.name => {
                        let row = self.row(random, parent, Way::Full, depth + 1, steps)?;
                        steps.push(Step::Run(insert(&parent.name, &row)));
                        row.iter().find(|(name, _)| *name == foreign.key)?.1.clone()
                    }
                    _ if column.not_null => return None,
                    _ => "NULL".into(),
                }
            } else {
                self.value(random, &column.kind)
            };
            row.push((column.name.clone(), value));
        }
        Some(row)
    }
}

/// Which columns an INSERT names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Full,
    Least,
    Nulls,
    Mixed,
}

fn insert(table: &str, row: &Row) -> String {
    if row.is_empty() {
        return format!("INSERT INTO {} DEFAULT VALUES", quoted(table));
    }
    let (names, values): (Vec<String>, Vec<String>) = row.iter().cloned().unzip();
    format!("INSERT INTO {} ({}) VALUES ({})", quoted(table), list(&names), values.join(", "))
}

/// Whether what was written is read back in the same words.
fn readable(column: &Column) -> bool {
    !matches!(column.kind, Type::Json | Type::Jsonb | Type::Numeric(..))
}

/// The code that was released with a database.
pub(crate) fn code(random: &mut Rng, database: &Database, unused: &Unused, base: &mut dyn Base) -> Code {
    let mut writer = Writer { database, unused, count: 0 };
    let mut scenes = Vec::new();
    for table in &database.tables {
        for way in [Way::Full, Way::Least, Way::Nulls, Way::Mixed, Way::Mixed, Way::Mixed] {
            scenes.extend(scene(&mut writer, random, table, way));
        }
        scenes.extend(upserts(&mut writer, random, table));
        scenes.extend(twins(&mut writer, random, table));
        scenes.extend(orphans(&mut writer, random, table));
    }
    // What the release's own database refuses is no code of it.
    scenes.retain_mut(|scene| scene.settle(base));
    let mut reads = Vec::new();
    for table in &database.tables {
        let columns = table.columns.iter().filter(|column| writer.uses(&table.name, &column.name));
        let columns = columns.map(|column| {
            let values = match &column.kind {
                Type::Enum(name) => {
                    database.enums.iter().find(|(known, _)| known == name).map(|(_, values)| values.clone())
                }
                _ => None,
            };
            let never_null = column.not_null
                || (database.dialect == Dialect::Postgres && table.primary.contains(&column.name))
                || column.own != Own::No;
            let never_null = never_null && column.own != Own::Generated;
            Read { name: column.name.clone(), never_null, values }
        });
        reads.push((table.name.clone(), columns.collect()));
    }
    for view in &database.views {
        let columns = view.columns.iter().map(|(_, shown)| Read {
            name: shown.clone(),
            never_null: false,
            values: None,
        });
        reads.push((view.name.clone(), columns.collect()));
    }
    // Where its own rows may keep others from being deleted, it reckons with that.
    let deletes =
        database.tables.iter().filter(|table| !kept(database, &table.name, 0)).filter_map(|table| {
            Some((
                table.name.clone(),
                table.primary.first().filter(|key| writer.uses(&table.name, key))?.clone(),
            ))
        });
    let deletes = deletes.collect();
    Code { scenes, reads, deletes }
}

/// Whether rows of the release itself may keep a row from being deleted.
fn kept(database: &Database, name: &str, depth: u8) -> bool {
    database.tables.iter().any(|table| {
        table.foreigns.iter().filter(|foreign| foreign.to == name).any(|foreign| {
            foreign.action != "ON DELETE CASCADE" || depth > 4 || kept(database, &table.name, depth + 1)
        })
    })
}

/// Insert, read, change, delete one row.
fn scene(writer: &mut Writer<'_>, random: &mut Rng, table: &Table, way: Way) -> Option<Scene> {
    let mut steps = Vec::new();
    let row = writer.row(random, table, way, 0, &mut steps)?;
    let on = quoted(&table.name);
    steps.push(Step::Run(insert(&table.name, &row)));
    let key = row.iter().find(|(name, _)| table.primary.contains(name))?;
    let here = format!("WHERE {} = {}", quoted(&key.0), key.1);
    let read: Vec<String> = row
        .iter()
        .map(|(name, _)| name.clone())
        .filter(|name| table.column(name).is_some_and(readable))
        .collect();
    if !read.is_empty() {
        steps.push(Step::Same(format!("SELECT {} FROM {on} {here}", list(&read)), Vec::new()));
    }
    for column in table.columns.iter().filter(|column| {
        column.own == Own::No
            && writer.unused.get(&format!("{}.{}", table.name, column.name)).is_none()
            && !table.primary.contains(&column.name)
    }) {
        if table.foreigns.iter().any(|foreign| foreign.column == column.name) {
            continue;
        }
        let value = if !column.not_null && random.u8(0..4) == 0 {
            "NULL".to_owned()
        } else {
            writer.value(random, &column.kind)
        };
        steps.push(Step::Run(format!("UPDATE {on} SET {} = {value} {here}", quoted(&column.name))));
    }
    steps.push(Step::Run(format!("DELETE FROM {on} {here}")));
    Some(Scene { steps })
}

/// `ON CONFLICT` on each key.
fn upserts(writer: &mut Writer<'_>, random: &mut Rng, table: &Table) -> Vec<Scene> {
    let mut found = Vec::new();
    let keys = table.uniques.iter().map(|unique| (unique.columns.clone(), unique.filter.clone()));
    for (columns, filter) in keys.chain([(table.primary.clone(), None)]) {
        if columns.is_empty() || columns.iter().any(|column| !writer.uses(&table.name, column)) {
            continue;
        }
        let mut steps = Vec::new();
        let Some(row) = writer.row(random, table, Way::Full, 0, &mut steps) else { continue };
        if columns.iter().any(|column| row.iter().all(|(name, _)| name != column)) {
            continue;
        }
        let filter = filter.map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
        let (names, values): (Vec<String>, Vec<String>) = row.iter().cloned().unzip();
        let other = names.iter().find(|name| !columns.contains(name));
        let then = match other.filter(|_| random.bool()) {
            Some(name) => format!("UPDATE SET {} = excluded.{}", quoted(name), quoted(name)),
            None => "NOTHING".into(),
        };
        let upsert = format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}){filter} DO {then}",
            quoted(&table.name),
            list(&names),
            values.join(", "),
            list(&columns)
        );
        steps.extend([Step::Run(upsert.clone()), Step::Run(upsert)]);
        found.push(Scene { steps });
    }
    found
}

/// Two rows that share every value that they may share.
fn twins(writer: &mut Writer<'_>, random: &mut Rng, table: &Table) -> Option<Scene> {
    let mut steps = Vec::new();
    let first = writer.row(random, table, Way::Full, 0, &mut steps)?;
    let mut second = first.clone();
    for (name, value) in &mut second {
        let alone =
            table.primary.contains(name) || table.uniques.iter().any(|unique| unique.columns.contains(name));
        let foreign = table.foreigns.iter().any(|foreign| foreign.column == *name);
        if alone && !foreign {
            *value = writer.value(random, &table.column(name)?.kind);
        }
    }
    steps.extend([Step::Run(insert(&table.name, &first)), Step::Run(insert(&table.name, &second))]);
    Some(Scene { steps })
}

/// A parent is deleted before its child, where the foreign key says what then.
fn orphans(writer: &mut Writer<'_>, random: &mut Rng, table: &Table) -> Option<Scene> {
    let foreign = table.foreigns.first()?;
    let mut steps = Vec::new();
    let row = writer.row(random, table, Way::Full, 0, &mut steps)?;
    let key = &row.iter().find(|(name, _)| *name == foreign.column)?.1;
    steps.push(Step::Run(insert(&table.name, &row)));
    steps.push(Step::Run(format!(
        "DELETE FROM {} WHERE {} = {key}",
        quoted(&foreign.to),
        quoted(&foreign.key)
    )));
    Some(Scene { steps })
}

impl Scene {
    /// Finds out what the release's own database answers; whether it takes it at all.
    fn settle(&mut self, base: &mut dyn Base) -> bool {
        base.mark();
        let works = self.steps.iter_mut().all(|step| match step {
            Step::Run(sql) => base.run(sql).is_ok(),
            Step::Same(sql, rows) => match base.rows(sql) {
                Ok(found) => {
                    *rows = found;
                    true
                }
                Err(_) => false,
            },
        });
        base.back();
        works
    }

    /// Runs it for good, for the rows that it leaves.
    fn leave(&self, base: &mut dyn Base) {
        for step in &self.steps {
            if let Step::Run(sql) = step
                && sql.starts_with("INSERT")
            {
                base.mark();
                if base.run(sql).is_ok() { base.keep() } else { base.back() }
            }
        }
    }

    fn broken(&self, base: &mut dyn Base) -> Option<String> {
        base.mark();
        let mut why = None;
        for step in &self.steps {
            match step {
                Step::Run(sql) => {
                    if let Err(error) = base.run(sql) {
                        why = Some(format!("{sql}: {error}"));
                    }
                }
                Step::Same(sql, rows) => match base.rows(sql) {
                    Err(error) => why = Some(format!("{sql}: {error}")),
                    Ok(found) if found != *rows => {
                        why = Some(format!("{sql}: returned {rows:?} and now {found:?}"));
                    }
                    Ok(_) => {}
                },
            }
            if why.is_some() {
                break;
            }
        }
        base.back();
        why
    }
}

impl Code {
    /// What of this code fails on a database that `newer` code writes to as well.
    pub(crate) fn broken(&self, newer: &Code, base: &mut dyn Base) -> Option<Broken> {
        if let Some(why) = self.scenes.iter().find_map(|scene| scene.broken(base)) {
            return Some(Broken::Statement(why));
        }
        base.mark();
        for scene in &newer.scenes {
            scene.leave(base);
        }
        let broken = self.surprised(base);
        base.back();
        broken
    }

    fn surprised(&self, base: &mut dyn Base) -> Option<Broken> {
        let mut late = None;
        for (table, columns) in &self.reads {
            let names: Vec<String> = columns.iter().map(|read| read.name.clone()).collect();
            if names.is_empty() {
                continue;
            }
            let sql = format!("SELECT {} FROM {}", list(&names), quoted(table));
            let rows = match base.rows(&sql) {
                Ok(rows) => rows,
                Err(error) => return Some(Broken::Statement(format!("{sql}: {error}"))),
            };
            for row in &rows {
                for (Read { name, never_null, values }, found) in columns.iter().zip(row) {
                    if *never_null && found.is_none() {
                        return Some(Broken::Statement(format!("{table}.{name} is null")));
                    }
                    if let (Some(values), Some(found)) = (values, found)
                        && !values.contains(found)
                    {
                        late = Some(Broken::NewRows(format!(
                            "{table}.{name} is {found}, which it does not know"
                        )));
                    }
                }
            }
        }
        for (table, key) in &self.deletes {
            let sql = format!("SELECT {} FROM {}", quoted(key), quoted(table));
            for row in base.rows(&sql).unwrap_or_default() {
                let Some(Some(value)) = row.first() else { continue };
                let sql = format!("DELETE FROM {} WHERE {} = '{value}'", quoted(table), quoted(key));
                base.mark();
                let deleted = base.run(&sql);
                base.back();
                if let Err(error) = deleted {
                    late.get_or_insert(Broken::NewRows(format!("{sql}: {error}")));
                }
            }
        }
        late
    }
}
