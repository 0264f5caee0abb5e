//! Simulates thousands of watches and prints the table of docs/watch.md: how
//! often a healthy release is called regressed, and how soon a sick one.
//!
//! `cargo run --release -p plimsoll-health --example watch_simulation [ROUNDS] [--write docs/watch.md]`

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../tests/simulation/mod.rs"]
mod simulation;

use std::fmt::Write as _;

use plimsoll_health::Settings;
use simulation::{HEALTHY, Outcome, SICK, Scenario};

const BEGIN: &str = "<!-- simulation: begin -->\n";
const END: &str = "<!-- simulation: end -->\n";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = arguments.iter().position(|a| a == "--write").and_then(|at| arguments.drain(at..).nth(1));
    let rounds = arguments.first().map_or(Ok(2000), |rounds| rounds.parse())?;
    let table = table(rounds);
    print!("{table}");
    if let Some(file) = file {
        let text = std::fs::read_to_string(&file)?;
        let (before, rest) = text.split_once(BEGIN).ok_or("the file has no place for the table")?;
        let (_, after) = rest.split_once(END).ok_or("the place for the table has no end")?;
        std::fs::write(&file, format!("{before}{BEGIN}{table}{END}{after}"))?;
    }
    Ok(())
}

fn table(rounds: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, so the results are of no interest.
    let _ = writeln!(
        text,
        "\n{rounds} watches of 30 minutes each; 0.5 % of the old release's requests fail, half of the requests go to \
         each release where nothing else is said; judged at alpha 0.01.\n\n\
         Healthy releases called regressed:\n\n\
         | requests (both releases together) | Plimsoll | over 1 % in a minute | the same, 4 failures | p < 0.05 each minute |\n\
         |---|---|---|---|---|"
    );
    let mut all = 0;
    for scenario in HEALTHY {
        let outcomes = outcomes(scenario, rounds);
        all += outcomes.iter().filter(|outcome| outcome.regressed_sec.is_some()).count();
        let rate = |of: fn(&Outcome) -> Option<f64>| {
            let found = outcomes.iter().filter(|outcome| of(outcome).is_some()).count();
            format!("{:.1} %", 100.0 * found as f64 / rounds as f64)
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            scenario.name,
            rate(|o| o.regressed_sec),
            rate(|o| o.naive.threshold),
            rate(|o| o.naive.with_least),
            rate(|o| o.naive.repeated_test),
        );
    }
    let watches = rounds as usize * HEALTHY.len();
    let _ = writeln!(text, "| all {watches} together | {:.2} % | | | |", 100.0 * all as f64 / watches as f64);
    let _ = writeln!(
        text,
        "\nSick releases: how many were found within the 30 minutes, and how soon.\n\n\
         | requests (both releases together) | found | median | 90 % within |\n|---|---|---|---|"
    );
    for scenario in SICK {
        let mut times: Vec<f64> = outcomes(scenario, rounds).iter().filter_map(|o| o.regressed_sec).collect();
        times.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (part * rounds as f64) as usize;
            times.get(index).map_or("never".into(), |seconds| {
                if *seconds < 120.0 {
                    format!("{seconds:.0} s")
                } else {
                    format!("{:.1} min", seconds / 60.0)
                }
            })
        };
        let found = 100.0 * times.len() as f64 / rounds as f64;
        let _ = writeln!(text, "| {} | {found:.1} % | {} | {} |", scenario.name, at(0.5), at(0.9));
    }
    text.push('\n');
    text
}

fn outcomes(scenario: &Scenario, rounds: u64) -> Vec<Outcome> {
    (0..rounds).map(|seed| simulation::run(scenario, &Settings::default(), seed)).collect()
}
