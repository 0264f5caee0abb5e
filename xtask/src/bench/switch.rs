//! The traffic switch beside HAProxy: its crate has the benchmark, which is run
//! and judged here.

use std::process::Command;

use serde_json::Value;

use super::figures::{Figure, Figures};
use super::{Bench, Outcome, measure, peers};

/// Memory after all rounds, relative to that after the first: flat.
const FLAT: f64 = 1.1;

pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    for tool in ["haproxy", "wrk"] {
        if peers::find(tool).is_none() {
            figures.note(format!("missing: {tool}; the switch was not measured"));
            return Ok(());
        }
    }
    let (rounds, seconds) = if bench.quick { (1, 1) } else { ((2 * bench.rounds).max(5), 4) };
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "plimsoll-rollout-switch",
        "--example",
        "bench",
    ]);
    command.args(["--", &rounds.to_string(), &seconds.to_string()]).current_dir(&bench.root);
    let printed = measure::output(&mut command)?;
    let last = printed.lines().last().unwrap_or_default();
    let result: Value = serde_json::from_str(last)?;
    let number = |key: &str| result[key].as_f64().ok_or_else(|| format!("it gave no `{key}`: {last}"));
    let rate = number("requests_per_sec")?;
    let throughput = Figure::new("switch: throughput", rate, "1/s");
    figures.add(throughput.beside("haproxy", rate / number("throughput_ratio")?).ratio_at_least(0.7));
    // The example gives the ratios of the medians.
    let ratio = |name: &str, ratio: f64| Figure::new(name, ratio, "").beside("haproxy", 1.0);
    figures.add(ratio("switch: p99", number("p99_ratio")?).ratio_at_most(1.0));
    figures.add(ratio("switch: processor time of a request", number("processor_ratio")?));
    let resident: Vec<f64> =
        result["resident_kib"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    if let [first, .., last] = resident[..] {
        let memory = Figure::new("switch: memory after all rounds", last / 1024.0, "MiB");
        figures.add(memory.beside("first round", first / 1024.0).ratio_at_most(FLAT));
    }
    let (requests, failures) = (number("requests")?, number("failures")? + number("unserved")?);
    figures.add(Figure::new("switch: failed requests", failures, "").at_most(0.0));
    figures.note(format!("switch: {requests:.0} requests in {} rounds of {seconds} s", rounds + 1));
    Ok(())
}
