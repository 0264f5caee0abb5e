//! `cargo run --release -p plimsoll-fuzz -- TARGET [--seconds N] [--seed S] [--replay FILE] [--last FILE]`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for whoever works here")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use plimsoll_fuzz::{Bounds, TARGETS, Target, execute, fuzz};

const USAGE: &str = "TARGET|all|list [--seconds N] [--executions N] [--seed S] [--replay FILE] [--last FILE]";

struct Arguments {
    target: String,
    seed: u64,
    replay: Option<PathBuf>,
    bounds: Bounds,
}

fn arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let mut arguments = Arguments { target: words.next()?, seed: 1, replay: None, bounds: Bounds::default() };
    while let Some(option) = words.next() {
        let value = words.next()?;
        match option.as_str() {
            "--seconds" => arguments.bounds.time = Duration::from_secs(value.parse().ok()?),
            "--executions" => arguments.bounds.executions = value.parse().ok()?,
            "--seed" => arguments.seed = value.parse().ok()?,
            "--replay" => arguments.replay = Some(value.into()),
            "--last" => arguments.bounds.last = Some(value.into()),
            _ => return None,
        }
    }
    Some(arguments)
}

fn main() -> ExitCode {
    let Some(arguments) = arguments() else {
        eprintln!("usage: plimsoll-fuzz {USAGE}");
        return ExitCode::from(2);
    };
    if arguments.target == "list" {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    let all = arguments.target == "all";
    let chosen: Vec<_> = TARGETS.iter().filter(|target| all || target.name == arguments.target).collect();
    if chosen.is_empty() {
        eprintln!("there is no target `{}`; `list` shows them", arguments.target);
        return ExitCode::from(2);
    }
    if let Some(path) = &arguments.replay {
        return replay(chosen[0], path, &arguments.bounds);
    }
    let mut code = ExitCode::SUCCESS;
    for target in chosen {
        let report = fuzz(target, arguments.seed, &arguments.bounds);
        println!(
            "{:16} {:>9} executions, {:>4} ways, slowest {:?}",
            target.name, report.executions, report.ways, report.slowest
        );
        if let Some(failure) = report.failure {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target.name);
            let name = plimsoll_oci::digest_of(&failure.input).hex();
            let path = folder.join(&name[..16]);
            std::fs::create_dir_all(&folder).expect("the tree is writable");
            std::fs::write(&path, &failure.input).expect("the tree is writable");
            println!("  {:?}\n  {}", failure.why, path.display());
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn replay(target: &Target, path: &Path, bounds: &Bounds) -> ExitCode {
    let input = match std::fs::read(path) {
        Ok(input) => input,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::from(2);
        }
    };
    match execute(target, &input, bounds) {
        Ok((way, took)) => {
            println!("{}: nothing wrong, way {way:016x}, {took:?}", target.name);
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{}: {why:?}", target.name);
            ExitCode::FAILURE
        }
    }
}
