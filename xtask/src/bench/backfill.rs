//! A backfill of millions of rows beside one hand-written keyset loop, with a load
//! of pgbench beside both: its crate has the benchmark, which is run and judged here.

use std::process::Command;

use serde_json::Value;

use super::figures::{Figure, Figures};
use super::{Bench, Outcome, measure};

/// Rows, as the target has them.
const ROWS: u64 = 5_000_000;

pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let (rows, rounds, seconds) = if bench.quick { (200_000, 1, 3) } else { (ROWS, bench.rounds.max(3), 15) };
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "plimsoll-rollout-backfill",
        "--example",
        "bench",
    ]);
    command.arg("--").args([rows, rounds as u64, seconds].map(|number: u64| number.to_string()));
    let printed = measure::output(command.current_dir(&bench.root))?;
    let last = printed.lines().last().unwrap_or_default();
    if last.is_empty() {
        figures.note("missing: PostgreSQL; backfills were not measured");
        return Ok(());
    }
    let result: Value = serde_json::from_str(last)?;
    let number = |key: &str| result[key].as_f64().ok_or_else(|| format!("it gave no `{key}`: {last}"));
    let rate = Figure::new("backfill: beside a load", number("rows_per_sec")?, "rows/s");
    figures.add(rate.beside("hand-written loop", number("loop_rows_per_sec")?).ratio_at_least(0.7));
    let load = Figure::new("backfill: pgbench beside it", number("load_beside")?, "1/s");
    figures.add(load.beside("pgbench alone", number("load_alone")?).ratio_at_least(0.9));
    let other = Figure::new("hand-written loop: pgbench beside it", number("load_beside_loop")?, "1/s");
    figures.add(other.beside("pgbench alone", number("load_alone")?));
    figures.note(format!(
        "backfill: {rows} rows, {rounds} rounds; the load is held at 0.4 of the {:.0} transactions a second that \
         the server gives it alone",
        number("load_most")?
    ));
    Ok(())
}
