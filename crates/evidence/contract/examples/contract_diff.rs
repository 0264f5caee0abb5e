//! Compares two API descriptions by hand:
//! `cargo run -p plimsoll-evidence-contract --example contract_diff -- [--json|--markdown|--github|--snapshot] OLD NEW`.

use std::path::Path;
use std::process::ExitCode;

use plimsoll_evidence_contract::{Contract, Limits, Loader, Options, diff};
use plimsoll_model::{Diagnose as _, Lookup};

/// Any file that a path leads to.
struct Files;

impl Loader for Files {
    fn load(&self, path: &str) -> Lookup<Vec<u8>> {
        match std::fs::read(Path::new(path)) {
            Ok(bytes) => Lookup::Found(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Lookup::Absent,
            Err(error) => Lookup::Unknown(error.to_string()),
        }
    }
}

fn read(path: &str) -> Result<Contract, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    Contract::load(path, &bytes, &Files, &Limits::default()).map_err(|error| {
        format!(
            "{error}\nexpected {:?}, found {:?}\nhint: {:?}",
            error.expected(),
            error.found(),
            error.hint()
        )
    })
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "an example that is run by hand")]
fn main() -> ExitCode {
    let mut form = String::new();
    let mut paths = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.strip_prefix("--") {
            Some(flag) => form = flag.into(),
            None => paths.push(argument),
        }
    }
    let run = || -> Result<String, String> {
        let [old, new] = &paths[..] else {
            let [one] = &paths[..] else { return Err("two files are needed".into()) };
            return Ok(String::from_utf8_lossy(&read(one)?.snapshot()).into_owned());
        };
        let (old, new) = (read(old)?, read(new)?);
        let report = diff(&old, &new, &Options::default()).map_err(|error| error.to_string())?;
        Ok(match form.as_str() {
            "json" => serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?,
            "markdown" => report.markdown(),
            "github" => report.github(),
            "quiet" => format!("{:?} {} findings\n", report.level, report.changes.len()),
            _ => report.text(),
        })
    };
    match run() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::from(2)
        }
    }
}
