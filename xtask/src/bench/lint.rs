//! Judging a long history of migrations, replay and all.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use super::figures::{Figure, Figures, median};
use super::measure::{self, Usage, measure};
use super::{Bench, Outcome};

const FILES: usize = 2_000;
const TIMES: usize = 7;

/// `plimsoll migrate lint` over 2,000 files.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let folder = bench.folder.join("migrations");
    std::fs::create_dir_all(&folder)?;
    for number in 0..FILES {
        std::fs::write(folder.join(format!("{number:014}_step.sql")), file(number))?;
    }
    // Findings that refuse are what half of the files are there for: exit 3.
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$@\" >\"$0\" || test $? = 3"])
        .arg(bench.folder.join("lint.json"))
        .arg(&bench.plimsoll);
    shell.args(["migrate", "lint", "--output", "json", "--no-progress"]).arg(&folder);
    measure::once(&mut shell)?;
    let report: Value = serde_json::from_slice(&std::fs::read(bench.folder.join("lint.json"))?)?;
    let files = report["files"].as_array().ok_or("no files in the report")?;
    let lost: u64 = files.iter().filter_map(|file| file["not_understood"].as_u64()).sum();
    if files.len() != FILES || lost > 0 {
        return Err(format!("{} files judged, {lost} statements not understood", files.len()).into());
    }
    let runs: Vec<Usage> = (0..bench.repetitions(TIMES))
        .map(|_| Ok(measure(&shell, &bench.folder)?.usage))
        .collect::<Outcome<_>>()?;
    let walls: Vec<f64> = runs.iter().map(|usage| usage.wall).collect();
    let peak = runs.iter().map(|usage| usage.peak).fold(f64::NAN, f64::max);
    figures.add(Figure::new("lint: 2,000 migrations", median(&walls), "s").at_most(2.0));
    figures.add(Figure::new("lint: 2,000 migrations, peak memory", peak, "MB"));
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// A history as services have them: tables that grow columns, indexes and keys.
fn file(number: usize) -> String {
    let table = number / 10;
    let mut sql = String::new();
    let written = match number % 10 {
        0 => write!(
            sql,
            "CREATE TABLE t{table} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner bigint NOT NULL, \
             name text NOT NULL, state varchar(20) NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done')), \
             created_at timestamptz NOT NULL DEFAULT now());\nCREATE INDEX t{table}_owner ON t{table} (owner);\n"
        ),
        1 => writeln!(
            sql,
            "ALTER TABLE t{table} ADD COLUMN note text, ADD COLUMN amount numeric(12, 2) NOT NULL DEFAULT 0;"
        ),
        2 => writeln!(sql, "CREATE INDEX t{table}_name ON t{table} (lower(name)) WHERE state = 'new';"),
        3 => writeln!(
            sql,
            "ALTER TABLE t{table} ADD CONSTRAINT t{table}_parent FOREIGN KEY (owner) REFERENCES t{} (id) NOT VALID;",
            table.saturating_sub(1)
        ),
        4 => writeln!(sql, "ALTER TABLE t{table} VALIDATE CONSTRAINT t{table}_parent;"),
        5 => writeln!(sql, "UPDATE t{table} SET note = name WHERE note IS NULL;"),
        6 => writeln!(sql, "ALTER TABLE t{table} ALTER COLUMN note SET NOT NULL;"),
        7 => writeln!(
            sql,
            "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_type WHERE typname = 'kind{table}') THEN CREATE TYPE kind{table} AS ENUM ('a', 'b'); END IF; END $$;"
        ),
        8 => writeln!(
            sql,
            "CREATE VIEW v{table} AS SELECT id, name, amount FROM t{table} WHERE state = 'done';"
        ),
        _ => writeln!(sql, "ALTER TABLE t{table} DROP COLUMN note;"),
    };
    written.expect("a text takes everything");
    sql
}
