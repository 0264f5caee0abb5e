//! Random chains of releases on real databases: the code of each release runs its
//! queries against every later schema, and [`serves`] must never say yes where one of
//! them fails.
//!
//! `PLIMSOLL_WINDOW_SEEDS` is how many chains are run on SQLite, and a tenth of it on
//! PostgreSQL; `PLIMSOLL_WINDOW_SEED` is the first of them, or the only one.

mod base;
mod code;
mod draw;
mod plan;
mod postgres;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastrand::Rng;
use plimsoll_evidence_migration_lint::{
    Dialect, File, Needs, Options, Schema, Serves, cautions, schema, serves,
};

use base::{Base, Sqlite};
use code::{Broken, Code, Unused, code};
use plan::{Database, Op};

/// A release: what its migration does.
type Chain = Vec<Vec<Op>>;

/// A release that was made.
struct Release {
    needs: Needs,
    unused: Unused,
    code: Code,
}

/// What was asked, and how often the answer was needlessly no.
#[derive(Debug, Default)]
struct Count {
    chains: usize,
    asked: usize,
    yes: usize,
    no: usize,
    needless: BTreeMap<String, usize>,
    cautioned: usize,
    needless_cautions: usize,
    migrations: usize,
}

impl Count {
    fn needless(&self) -> usize {
        self.needless.values().sum()
    }
}

/// Draws a chain.
fn draw(seed: u64, dialect: Dialect) -> Chain {
    let mut random = Rng::with_seed(seed);
    let mut database = Database::new(dialect);
    let mut chain = Chain::new();
    for at in 0..random.usize(3..7) {
        let mut ops = Vec::new();
        let steps = if at == 0 { random.usize(2..5) } else { random.usize(1..4) };
        for _ in 0..steps {
            let drawn = if at == 0 && random.u8(0..4) > 0 {
                vec![draw::create_table(&mut random, &database)]
            } else {
                draw::ops(&mut random, &database)
            };
            for op in drawn {
                if database.apply(&op).is_some() {
                    ops.push(op);
                }
            }
        }
        chain.push(ops);
    }
    chain
}

/// What the files make, by the model.
fn modelled(files: &[File], dialect: Dialect) -> Schema {
    schema(files, &Options { dialect, ..Options::default() }).expect("it is small and a text")
}

/// Runs a chain; why the answers are wrong, with the migrations.
fn run(
    seed: u64,
    chain: &Chain,
    dialect: Dialect,
    base: &mut dyn Base,
    count: &mut Count,
) -> Result<(), String> {
    let mut database = Database::new(dialect);
    let mut files: Vec<File> = Vec::new();
    let mut releases: Vec<Release> = Vec::new();
    count.chains += 1;
    for (at, ops) in chain.iter().enumerate() {
        for op in ops {
            let before = database.clone();
            let Some(sql) = database.apply(op) else { continue };
            if base.migrate(&sql).is_err() {
                database = before;
                continue;
            }
            count.migrations += 1;
            files.push(File { path: format!("{:04}_m.sql", files.len()), bytes: sql.into() });
        }
        // Each release draws from a seed of its own, so that a shorter chain does not
        // change what its code does.
        let mut random = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(at as u64));
        let model = modelled(&files, dialect);
        let unused = draw_unused(&mut random, &database);
        let needs = model.needs(&unused);
        if let Err(why) = same(&model.needs(&Unused::new()), base) {
            return Err(format!("the model is wrong: {why}\n{}", listing(&files)));
        }
        let code = code(&mut random, &database, &unused, base);
        releases.push(Release { needs, unused, code });
        let newest = &releases[at];
        for (old, release) in releases.iter().enumerate() {
            let answer = serves(&model, &release.needs);
            let careful = cautions(&model, &release.needs);
            let broken = release.code.broken(&newest.code, base);
            count.asked += 1;
            let wrong = |what: &str, why: &str| {
                Err(format!(
                    "{what}: release {old} on the schema of release {at}: {why}\nunused: {:?}\n{}",
                    release.unused,
                    listing(&files)
                ))
            };
            match (&answer, &broken) {
                (Serves::Yes, Some(Broken::Statement(why))) => return wrong("called safe", why),
                (Serves::Yes, Some(Broken::NewRows(why))) if careful.is_empty() => {
                    return wrong("no caution", why);
                }
                (Serves::No(missing), _) if old == at => {
                    return wrong("does not serve itself", &format!("{missing:?}"));
                }
                (Serves::Yes, _) => count.yes += 1,
                (Serves::No(missing), Some(Broken::Statement(_))) => {
                    assert!(!missing.is_empty());
                    count.no += 1;
                }
                (Serves::No(missing), _) => {
                    count.no += 1;
                    let why = missing.first().map(|missing| missing.why.clone()).unwrap_or_default();
                    let words: Vec<&str> = why.split_whitespace().take(6).collect();
                    *count.needless.entry(words.join(" ")).or_default() += 1;
                }
            }
            if answer == Serves::Yes && !careful.is_empty() {
                count.cautioned += 1;
                count.needless_cautions += usize::from(broken.is_none());
            }
        }
    }
    Ok(())
}

/// Columns that the release does not use; those that it must fill it uses.
fn draw_unused(random: &mut Rng, database: &Database) -> Unused {
    let mut unused = Unused::new();
    for table in &database.tables {
        for column in table.columns.iter().filter(|column| column.may_be_left_out()) {
            let shown = database.views.iter().any(|view| {
                view.table == table.name && view.columns.iter().any(|(shown, _)| *shown == column.name)
            });
            if random.u8(0..12) == 0 && !table.primary.contains(&column.name) && !shown {
                unused.insert(format!("{}.{}", table.name, column.name));
            }
        }
    }
    unused
}

/// Whether the model says the same as the database itself.
fn same(needs: &Needs, base: &mut dyn Base) -> Result<(), String> {
    let real = base.catalogue();
    for (table, columns) in &real {
        let Some(modelled) = needs.relations.get(table) else { return Err(format!("no {table}")) };
        for (column, (nullable, left_out)) in columns {
            let Some(found) = modelled.columns.get(column) else {
                return Err(format!("no {table}.{column}"));
            };
            if (found.nullable, found.may_be_left_out) != (*nullable, *left_out) {
                return Err(format!(
                    "{table}.{column}: (nullable, may be left out) is {:?}, and the model says {:?}",
                    (nullable, left_out),
                    (found.nullable, found.may_be_left_out)
                ));
            }
        }
        if let Some(more) = modelled.columns.keys().find(|column| !columns.contains_key(*column)) {
            return Err(format!("{table}.{more} is only in the model"));
        }
    }
    Ok(())
}

fn listing(files: &[File]) -> String {
    let mut text = String::new();
    for file in files {
        let _ = writeln!(text, "-- {}\n{}", file.path, String::from_utf8_lossy(&file.bytes));
    }
    text
}

/// Leaves out step after step as long as the chain fails; the shortest, and why.
fn shorten<'b>(
    seed: u64,
    mut chain: Chain,
    dialect: Dialect,
    fresh: &mut dyn FnMut() -> Box<dyn Base + 'b>,
    mut why: String,
) -> String {
    let kind = |why: &str| why.split(':').next().unwrap_or_default().to_owned();
    loop {
        let mut shorter = None;
        'search: for release in (0..chain.len()).rev() {
            for step in (0..=chain[release].len()).rev() {
                let mut candidate = chain.clone();
                if step == candidate[release].len() {
                    candidate.remove(release);
                } else {
                    candidate[release].remove(step);
                }
                let ran = run(seed, &candidate, dialect, &mut *fresh(), &mut Count::default());
                if let Err(found) = ran
                    && kind(&found) == kind(&why)
                {
                    shorter = Some((candidate, found));
                    break 'search;
                }
            }
        }
        match shorter {
            Some((candidate, found)) => (chain, why) = (candidate, found),
            None => return why,
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs chain after chain, and says what came of them.
#[expect(clippy::print_stderr, reason = "the figures of a run by hand")]
fn simulate<'b>(dialect: Dialect, seeds: u64, fresh: &mut dyn FnMut() -> Box<dyn Base + 'b>) {
    let mut count = Count::default();
    let chosen = number("PLIMSOLL_WINDOW_SEED");
    let count_of = if number("PLIMSOLL_WINDOW_SEEDS").is_some() { seeds } else { 1 };
    let seeds = chosen.map_or(0..seeds, |seed| seed..seed + count_of);
    let mut failed = Vec::new();
    for seed in seeds {
        let chain = draw(seed, dialect);
        if let Err(why) = run(seed, &chain, dialect, &mut *fresh(), &mut count) {
            let short = shorten(seed, chain, dialect, fresh, why);
            failed.push(format!("seed {seed}: {short}"));
            if failed.len() >= 5 {
                break;
            }
        }
    }
    eprintln!("{count:#?}\nneedlessly no: {} of {}", count.needless(), count.no);
    assert!(failed.is_empty(), "{}", failed.join("\n=====\n"));
    if chosen.is_none() {
        assert!(count.yes > 0 && count.no > 0 && count.needless() < count.no, "{count:?}");
    }
}

#[test]
fn on_sqlite_no_broken_rollback_is_called_safe() {
    let seeds = number("PLIMSOLL_WINDOW_SEEDS").unwrap_or(100);
    simulate(Dialect::Sqlite, seeds, &mut || Box::new(Sqlite::new()));
}

#[test]
fn on_postgresql_no_broken_rollback_is_called_safe() {
    let Some(server) = plimsoll_testkit::postgres::shared() else { return };
    let seeds = number("PLIMSOLL_WINDOW_SEEDS").unwrap_or(100) / 10;
    let session = postgres::Session::new(server);
    simulate(Dialect::Postgres, seeds, &mut || Box::new(session.chain()));
}
