//! How long the program takes to start.

use std::process::Command;

use super::figures::{Figure, Figures, median};
use super::{Bench, Outcome, measure};

const TIMES: usize = 50;

/// `plimsoll --version`, beside a program that does nothing: what is left is
/// the price of starting any process here.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let times = bench.repetitions(TIMES);
    let ours = measure::repeat(Command::new(&bench.plimsoll).arg("--version"), times)?;
    let nothing = measure::repeat(&mut Command::new("true"), times)?;
    figures.add(
        Figure::new("start: plimsoll --version", median(&ours), "ms")
            .beside("true", median(&nothing))
            .at_most(10.0),
    );
    Ok(())
}
