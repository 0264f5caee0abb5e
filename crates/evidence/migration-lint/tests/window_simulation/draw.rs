//! Draws steps at random: careful ones, careless ones, and some that make no sense.

use fastrand::Rng;
use plimsoll_evidence_migration_lint::Dialect;

use crate::plan::{
    Check, Column, Database, Does, Foreign, Op, Own, Table, Trigger, Type, Unique, View, quoted,
};

/// Few names, so that what is dropped is soon made again.
const TABLES: &[&str] = &["users", "teams", "orders", "Notes", "log"];
const COLUMNS: &[&str] = &["name", "email", "age", "kind", "total", "Rank", "seen"];
const VIEWS: &[&str] = &["overview", "Report"];
const ENUMS: &[&str] = &["state", "Role"];
const VALUES: &[&str] = &["new", "open", "done", "lost"];
const ACTIONS: &[&str] = &["", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT"];

/// A pick from a list that is not empty.
fn one<'a, T>(random: &mut Rng, of: &'a [T]) -> Option<&'a T> {
    if of.is_empty() { None } else { of.get(random.usize(0..of.len())) }
}

fn named(random: &mut Rng, of: &[&str]) -> String {
    of[random.usize(0..of.len())].to_owned()
}

/// A number that makes names of constraints differ.
fn number(random: &mut Rng) -> u16 {
    random.u16(0..1000)
}

fn kind(random: &mut Rng, database: &Database) -> Type {
    let postgres = database.dialect == Dialect::Postgres;
    if postgres
        && random.u8(0..6) == 0
        && let Some((name, _)) = one(random, &database.enums)
    {
        return Type::Enum(name.clone());
    }
    match random.u8(0..if postgres { 12 } else { 9 }) {
        0 | 1 => Type::Int,
        2 => Type::Big,
        3 | 4 => Type::Text,
        5 => Type::Varchar(if random.bool() { 12 } else { 40 }),
        6 => Type::Numeric(if random.bool() { 8 } else { 12 }, 2),
        7 => Type::Bool,
        8 => Type::Double,
        9 => Type::Small,
        10 => Type::Timestamp,
        _ => {
            if random.bool() {
                Type::Json
            } else {
                Type::Jsonb
            }
        }
    }
}

/// A value for a default, which the checks may not like.
fn default(random: &mut Rng, kind: &Type, database: &Database) -> Option<String> {
    Some(match kind {
        Type::Bool => if random.bool() { "true" } else { "false" }.into(),
        Type::Text | Type::Varchar(_) => (*one(random, &["''", "'abc'", "'x y'"])?).into(),
        Type::Timestamp if database.dialect == Dialect::Sqlite => "CURRENT_TIMESTAMP".into(),
        Type::Timestamp => "now()".into(),
        Type::Json | Type::Jsonb => "'{}'".into(),
        Type::Enum(name) => {
            let (_, values) = database.enums.iter().find(|(known, _)| known == name)?;
            format!("'{}'", one(random, values)?)
        }
        _ => (*one(random, &["0", "1", "-7"])?).into(),
    })
}

/// The same each time.
fn steady(value: String) -> String {
    if matches!(value.as_str(), "now()" | "CURRENT_TIMESTAMP") {
        "'2026-02-03 04:05:06'".into()
    } else {
        value
    }
}

fn column(random: &mut Rng, database: &Database) -> Column {
    let kind = kind(random, database);
    let default = if random.u8(0..3) == 0 { default(random, &kind, database) } else { None };
    let own = if random.u8(0..20) == 0 && kind == Type::Int && default.is_none() {
        Own::Generated
    } else {
        Own::No
    };
    Column {
        name: named(random, COLUMNS),
        not_null: own == Own::No && random.u8(0..3) == 0,
        own,
        kind,
        spelling: random.u8(..),
        default,
    }
}

fn key(random: &mut Rng, database: &Database) -> Column {
    let own = match (database.dialect, random.u8(0..6)) {
        (Dialect::Sqlite, 0..=2) | (Dialect::Postgres, 0 | 1) => Own::Serial,
        (Dialect::Postgres, 2) => Own::IdentityByDefault,
        (Dialect::Postgres, 3) => Own::IdentityAlways,
        _ => Own::No,
    };
    let kind = match (own, random.u8(0..5)) {
        (Own::No, 0) => Type::Text,
        (_, 1 | 2) => Type::Big,
        _ => Type::Int,
    };
    // SQLite lets the key of an ordinary table be null.
    let not_null = database.dialect == Dialect::Postgres || random.bool();
    Column { name: "id".into(), kind, spelling: random.u8(..), not_null, default: None, own }
}

pub(crate) fn create_table(random: &mut Rng, database: &Database) -> Op {
    let mut table = Table { name: named(random, TABLES), ..Table::default() };
    table.columns.push(key(random, database));
    for _ in 0..random.usize(2..6) {
        let column = column(random, database);
        if table.column(&column.name).is_none() {
            table.columns.push(column);
        }
    }
    table.primary = vec!["id".into()];
    if random.u8(0..12) == 0 && table.columns[0].own == Own::No && table.columns[1].own == Own::No {
        let second = &mut table.columns[1];
        second.not_null = true;
        let second = second.name.clone();
        table.primary.push(second);
    }
    if random.u8(0..2) == 0 {
        table.uniques.extend(unique(random, &table));
    }
    if random.u8(0..2) == 0 {
        table.foreigns.extend(foreign(random, database, &table));
    }
    if random.u8(0..3) == 0 {
        table.checks.extend(check(random, &table, database));
    }
    Op::CreateTable(table)
}

fn unique(random: &mut Rng, table: &Table) -> Option<Unique> {
    let ordinary: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.own != Own::Generated && !matches!(column.kind, Type::Json))
        .collect();
    let first = one(random, &ordinary)?;
    let mut columns = vec![first.name.clone()];
    if random.u8(0..3) == 0 {
        let second = one(random, &ordinary)?;
        if second.name != first.name {
            columns.push(second.name.clone());
        }
    }
    let index = random.bool();
    let filter = (index && random.u8(0..3) == 0).then(|| format!("{} IS NOT NULL", quoted(&first.name)));
    Some(Unique { name: format!("u{}", number(random)), columns, index, filter })
}

fn foreign(random: &mut Rng, database: &Database, table: &Table) -> Option<Foreign> {
    let to = one(random, &database.tables)?;
    let key = to.column(to.primary.first().filter(|_| to.primary.len() == 1)?)?;
    let fitting: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.kind == key.kind && column.own == Own::No && column.name != "id")
        .collect();
    Some(Foreign {
        name: format!("f{}", number(random)),
        column: one(random, &fitting)?.name.clone(),
        to: to.name.clone(),
        key: key.name.clone(),
        action: one(random, ACTIONS)?,
    })
}

fn check(random: &mut Rng, table: &Table, database: &Database) -> Option<Check> {
    let column = one(random, &table.columns).filter(|column| column.own == Own::No)?;
    let name = quoted(&column.name);
    let text = if random.u8(0..5) == 0 {
        format!("{name} IS NOT NULL")
    } else if column.kind.number() {
        match random.u8(0..4) {
            0 => format!("{name} > 0"),
            1 => format!("{name} >= -100"),
            2 => format!("{name} IS NULL OR {name} < 1000000"),
            _ => format!("{name} <> 3"),
        }
    } else if column.kind.textual() {
        match random.u8(0..3) {
            0 => format!("length({name}) > 2"),
            1 => format!("{name} <> ''"),
            _ => format!("{name} IS NULL OR {name} <> 'abc'"),
        }
    } else if column.kind == Type::Bool && database.dialect == Dialect::Postgres {
        format!("{name} OR NOT {name}")
    } else {
        return None;
    };
    Some(Check { name: format!("c{}", number(random)), columns: vec![column.name.clone()], text })
}

fn view(random: &mut Rng, database: &Database, name: String) -> Option<View> {
    let table = one(random, &database.tables)?;
    let star = random.u8(0..4) == 0;
    let mut columns = Vec::new();
    for column in &table.columns {
        if star || random.u8(0..3) > 0 {
            let renamed = !star && random.u8(0..4) == 0;
            let shown =
                if renamed { format!("the_{}", column.name.to_lowercase()) } else { column.name.clone() };
            columns.push((column.name.clone(), shown));
        }
    }
    (!columns.is_empty()).then(|| View { name, table: table.name.clone(), columns, star })
}

/// One step, or several that belong together.
pub(crate) fn ops(random: &mut Rng, database: &Database) -> Vec<Op> {
    draw(random, database).unwrap_or_default()
}

fn draw(random: &mut Rng, database: &Database) -> Option<Vec<Op>> {
    let sqlite = database.dialect == Dialect::Sqlite;
    if database.tables.is_empty() || random.u8(0..12) == 0 {
        return Some(vec![create_table(random, database)]);
    }
    let table = one(random, &database.tables)?.clone();
    let on = table.name.clone();
    let found = one(random, &table.columns)?.clone();
    let of = found.name.clone();
    let value = default(random, &found.kind, database);
    let one_op = match random.u8(0..44) {
        0 => Op::DropTable(on),
        1 => Op::RenameTable(on, named(random, TABLES)),
        2 => Op::RenameTableBehindView(on, named(random, TABLES)),
        3..=9 => {
            let column = column(random, database);
            let mut with = table.clone();
            with.columns = vec![column.clone()];
            let plain = random.u8(0..3) > 0;
            let foreign = if plain { None } else { foreign(random, database, &with) };
            let unique = if plain || random.bool() { None } else { unique(random, &with) };
            let check = if plain || random.bool() { None } else { check(random, &with, database) };
            let unique = unique.map(|unique| Unique { columns: vec![column.name.clone()], ..unique });
            Op::AddColumn(on, column, unique, foreign, check)
        }
        10..=12 => Op::DropColumn(on, of),
        13 | 14 => Op::RenameColumn(on, of, named(random, COLUMNS)),
        15 | 16 => Op::SetType(on, of, kind(random, database)),
        17 => {
            let wider = match found.kind {
                Type::Small => Type::Int,
                Type::Int => Type::Big,
                Type::Varchar(_) => Type::Text,
                Type::Numeric(_, scale) => Type::Numeric(16, scale),
                Type::Json => Type::Jsonb,
                other => other,
            };
            Op::SetType(on, of, wider)
        }
        18 => Op::SetNotNull(on, of),
        19 | 20 => return Some(vec![Op::Fill(on.clone(), of.clone(), value?), Op::SetNotNull(on, of)]),
        21 => Op::DropNotNull(on, of),
        22 | 23 => Op::SetDefault(on, of, value?),
        24 => Op::DropDefault(on, of),
        25 | 26 => Op::AddUnique(on, unique(random, &table)?),
        27 => Op::DropUnique(on, one(random, &table.uniques)?.name.clone()),
        28 => Op::AddForeign(on, foreign(random, database, &table)?),
        29 => Op::DropForeign(on, one(random, &table.foreigns)?.name.clone()),
        30 | 31 => Op::AddCheck(on, check(random, &table, database)?),
        32 => Op::DropCheck(on, one(random, &table.checks)?.name.clone()),
        33 => {
            // Another check in the place of one.
            let old = one(random, &table.checks)?.name.clone();
            return Some(vec![
                Op::DropCheck(on.clone(), old),
                Op::AddCheck(on, check(random, &table, database)?),
            ]);
        }
        34 => {
            // The expanding half of a rename: add, copy, and fill what old code leaves out.
            let fresh = Column { name: named(random, COLUMNS), default: value.clone(), ..found };
            let fresh = Column { not_null: fresh.default.is_some() && fresh.not_null, own: Own::No, ..fresh };
            return Some(vec![Op::AddColumn(on, fresh, None, None, None)]);
        }
        35 => {
            // And the contracting one.
            let unused: Vec<&Column> = table.columns.iter().filter(|column| column.name != "id").collect();
            return Some(vec![Op::DropColumn(on, one(random, &unused)?.name.clone())]);
        }
        36 => {
            // A required column that a trigger fills for old code.
            let fresh = column(random, database);
            let value = default(random, &fresh.kind, database)?;
            if fresh.own != Own::No {
                return None;
            }
            let value = steady(value);
            let trigger = Trigger {
                name: format!("t{}", number(random)),
                does: Does::Fills(fresh.name.clone(), value.clone()),
            };
            let late = Column { not_null: false, default: None, ..fresh };
            let name = late.name.clone();
            let mut steps =
                vec![Op::AddColumn(on.clone(), late, None, None, None), Op::AddTrigger(on.clone(), trigger)];
            if !sqlite {
                steps.push(Op::Fill(on.clone(), name.clone(), value));
                steps.push(Op::SetNotNull(on, name));
            }
            return Some(steps);
        }
        37 => {
            let does = match random.u8(0..3) {
                0 => Does::Refuses(of),
                1 => Does::Fills(of, steady(value?)),
                _ => Does::Notes,
            };
            Op::AddTrigger(on, Trigger { name: format!("t{}", number(random)), does })
        }
        38 => {
            let with: Vec<&Table> =
                database.tables.iter().filter(|table| !table.triggers.is_empty()).collect();
            let table = one(random, &with)?;
            Op::DropTrigger(table.name.clone(), one(random, &table.triggers)?.name.clone())
        }
        39 => {
            let name = named(random, VIEWS);
            Op::CreateView(view(random, database, name)?)
        }
        40 => {
            let known = one(random, &database.views)?.clone();
            let fresh = view(random, database, known.name.clone())?;
            if random.bool() {
                return Some(vec![Op::DropView(known.name), Op::CreateView(fresh)]);
            }
            // PostgreSQL lets OR REPLACE only add columns.
            let table = database.table(&known.table)?;
            let more =
                table.columns.iter().filter(|column| known.columns.iter().all(|(of, _)| *of != column.name));
            let mut columns = known.columns.clone();
            columns.extend(more.map(|column| (column.name.clone(), column.name.clone())));
            Op::ReplaceView(if random.bool() { fresh } else { View { columns, star: false, ..known } })
        }
        41 => Op::DropView(one(random, &database.views)?.name.clone()),
        42 if sqlite => Op::Forget(on),
        42 => Op::AddIdentity(on, of, random.bool()),
        _ if sqlite => return None,
        _ => {
            let name = named(random, ENUMS);
            match (database.enums.iter().find(|(known, _)| *known == name), random.u8(0..4)) {
                (None, _) => {
                    Op::CreateEnum(name, VALUES[..2].iter().map(|value| (*value).to_owned()).collect())
                }
                (Some(_), 0 | 1) => Op::AddValue(name, named(random, VALUES)),
                (Some((_, values)), 2) => {
                    Op::RenameValue(name, one(random, values)?.clone(), named(random, VALUES))
                }
                _ => Op::RenameEnum(name, named(random, ENUMS)),
            }
        }
    };
    Some(vec![one_op])
}
