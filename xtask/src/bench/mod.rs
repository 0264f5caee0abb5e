//! `cargo xtask bench`: Plimsoll's speed beside its targets and its peers.
//!
//! What is measured is the release binary, run as a user runs it. Peers that
//! are installed run in the same run, alternating with ours, because what a
//! machine is worth changes from minute to minute: the ratios are the result.
//! Everything is on loopback, on free ports, in one temporary folder below
//! `target/`. `docs/benchmarks.md` says what each figure means.

mod admission;
mod again;
mod backfill;
mod cluster;
mod contract;
mod data;
mod evidence;
mod figures;
mod guard;
mod history;
mod kubernetes;
mod limits;
mod lint;
pub(crate) mod measure;
mod peers;
mod project;
mod push;
mod registry;
mod sbom;
mod scan;
mod secrets;
mod service;
mod start;
mod switch;
mod verify;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use figures::Figures;

/// What a benchmark comes to.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// What was asked for, and where to work.
pub(crate) struct Bench {
    /// The workspace.
    root: PathBuf,
    /// The release binary.
    plimsoll: PathBuf,
    /// A folder for everything, removed at the end.
    folder: PathBuf,
    /// Less data and fewer rounds: shows that it works, not how fast it is.
    quick: bool,
    /// Interleaved rounds of what takes seconds.
    rounds: usize,
    /// Context of the kubeconfig for a cluster to measure on; none: a scripted one.
    context: Option<String>,
}

impl Bench {
    /// How often to repeat what takes milliseconds.
    fn repetitions(&self, usual: usize) -> usize {
        if self.quick { usual.div_ceil(5) } else { usual }
    }

    /// Tells a person what goes on; results go to standard output.
    #[allow(clippy::unused_self, reason = "the one place that decides where notes go")]
    fn note(&self, text: &str) {
        eprintln!("  {text}");
    }
}

type Part = fn(&Bench, &mut Figures) -> Outcome<()>;

const PARTS: [(&str, Part); 17] = [
    ("start", start::run),
    ("push", push::run),
    ("again", again::run),
    ("guard", guard::run),
    ("history", history::history),
    ("append", history::append),
    ("switch", switch::run),
    ("verify", verify::run),
    ("sbom", sbom::run),
    ("scan", scan::run),
    ("secrets", secrets::run),
    ("evidence", evidence::run),
    ("contract", contract::run),
    ("lint", lint::run),
    ("backfill", backfill::run),
    ("kubernetes", kubernetes::run),
    ("admission", admission::run),
];

/// Runs what the arguments name and prints the figures.
pub(crate) fn run(root: &Path, arguments: &[String]) -> ExitCode {
    match parse(arguments).and_then(|asked| asked.run(root, arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Asked {
    parts: Vec<(&'static str, Part)>,
    quick: bool,
    rounds: Option<usize>,
    json: bool,
    context: Option<String>,
}

fn parse(arguments: &[String]) -> Outcome<Asked> {
    let mut asked = Asked { parts: Vec::new(), quick: false, rounds: None, json: false, context: None };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => asked.quick = true,
            "--json" => asked.json = true,
            "--rounds" => {
                let number = arguments.next().and_then(|text| text.parse().ok()).filter(|rounds| *rounds > 0);
                asked.rounds = Some(number.ok_or("--rounds takes a number from 1 on")?);
            }
            "--context" => {
                asked.context = Some(arguments.next().ok_or("--context takes a name")?.clone());
            }
            "all" => asked.parts = PARTS.to_vec(),
            name => match PARTS.iter().find(|(known, _)| *known == name) {
                Some(part) => asked.parts.push(*part),
                None => return Err(format!("there is no benchmark `{name}`\n{}", crate::USAGE).into()),
            },
        }
    }
    if asked.parts.is_empty() {
        asked.parts = PARTS.to_vec();
    }
    Ok(asked)
}

impl Asked {
    fn run(self, root: &Path, arguments: &[String]) -> Outcome<ExitCode> {
        let own = std::env::current_exe()?;
        let target = own.ancestors().nth(2).ok_or("the program is in no target folder")?;
        if cfg!(debug_assertions) {
            return again_in_release(root, target, arguments);
        }
        let plimsoll = target.join("release/plimsoll");
        cargo(root, &["build", "--release", "--package", "plimsoll-cli"])?;
        let bench = Bench {
            root: root.into(),
            plimsoll,
            folder: work_folder(target)?,
            quick: self.quick,
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 3 }),
            context: self.context,
        };
        let mut figures = Figures::default();
        let before = measure::load();
        let ran = self.parts.iter().try_for_each(|(name, part)| {
            eprintln!("{name}");
            part(&bench, &mut figures).map_err(|error| format!("{name}: {error}"))
        });
        std::fs::remove_dir_all(&bench.folder)?;
        figures.note(format!("load of the machine: {before} before, {} after", measure::load()));
        if self.json {
            println!("{}", serde_json::to_string_pretty(&figures.document(bench.quick))?);
        } else {
            print!("{}", figures.table());
        }
        ran?;
        // A quick run shows that the benchmark works; its figures judge nothing.
        Ok(if figures.all_met() || bench.quick { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Figures of an unoptimised program say nothing: its own release build does
/// the measuring.
fn again_in_release(root: &Path, target: &Path, arguments: &[String]) -> Outcome<ExitCode> {
    cargo(root, &["build", "--release", "--package", "xtask"])?;
    let status = Command::new(target.join("release/xtask")).arg("bench").args(arguments).status()?;
    Ok(u8::try_from(status.code().unwrap_or(1)).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs cargo; what it says goes to standard error.
fn cargo(root: &Path, arguments: &[&str]) -> Outcome<()> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .arg("--quiet")
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", arguments.join(" ")).into()) }
}

/// Builds an example of a crate that takes part in a benchmark; where it is.
fn example(bench: &Bench, package: &str, name: &str) -> Outcome<PathBuf> {
    cargo(&bench.root, &["build", "--release", "--package", package, "--example", name])?;
    Ok(bench.plimsoll.with_file_name("examples").join(name))
}

/// A new folder below `target/bench`. What a run left that was killed goes.
fn work_folder(target: &Path) -> Outcome<PathBuf> {
    let all = target.join("bench");
    std::fs::create_dir_all(&all)?;
    for entry in std::fs::read_dir(&all)? {
        let path = entry?.path();
        let owner = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !Path::new("/proc").join(owner).exists() {
            std::fs::remove_dir_all(&path)?;
        }
    }
    let own = all.join(std::process::id().to_string());
    std::fs::create_dir(&own)?;
    Ok(own)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(text: &str) -> Outcome<Asked> {
        parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn arguments_are_understood() {
        assert_eq!(asked("").unwrap().parts.len(), PARTS.len());
        let some = asked("guard push --quick --json --rounds 2 --context a").unwrap();
        assert_eq!(some.parts.iter().map(|part| part.0).collect::<Vec<_>>(), ["guard", "push"]);
        assert!(some.quick && some.json && some.rounds == Some(2) && some.context.as_deref() == Some("a"));
        for wrong in ["gard", "--rounds", "--rounds 0", "--rounds x", "--context", "--fast"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_killed_run_left_is_removed() {
        let target = tempfile::tempdir().unwrap();
        // No process has this number: it is above the kernel's limit of 2^22.
        let left = target.path().join("bench/99999999");
        std::fs::create_dir_all(&left).unwrap();
        let own = work_folder(target.path()).unwrap();
        assert!(own.is_dir() && !left.exists());
    }
}
