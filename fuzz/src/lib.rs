//! Hostile input for every parser of evidence, on the stable toolchain.
//!
//! ```console
//! $ cargo run --release -p plimsoll-fuzz -- jar --seconds 60 --seed 7
//! $ cargo run -p plimsoll-fuzz -- jar --replay fuzz/crashes/jar/5f0c…
//! ```
//!
//! A [`Target`] is a function of bytes that must neither panic nor hang nor
//! grow without bound, whatever the bytes; some assert more. Inputs are
//! mutations of the seeds in `seeds/<target>/` (`mutate`). There is no
//! instrumentation: a target says in what *way* it went (which error, which
//! warnings, how many components), and an input that goes a new way is mutated
//! further. The same target, seed and number of executions give the same
//! inputs.

mod mutate;
mod run;
mod targets;

pub use run::{Bounds, Failure, Report, Why, execute, fuzz};
pub use targets::{TARGETS, Target};
