//! Time, processor time and peak memory of a command and all its children.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use serde::{Deserialize, Serialize};

use super::Outcome;

/// The hidden task that runs a command and tells what it used: the kernel
/// counts the children of a process together, so each command gets a process
/// of its own that has no other.
pub(crate) const WRAPPER: &str = "__measure";

/// What a command took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Wall time in seconds.
    pub(crate) wall: f64,
    /// Processor time, user and system, of it and its children, in seconds.
    pub(crate) processor: f64,
    /// The most memory that any one of its processes had, in MB.
    pub(crate) peak: f64,
}

/// What a command took and printed.
pub(crate) struct Measured {
    pub(crate) usage: Usage,
    pub(crate) stdout: String,
}

/// Runs a command to its end.
pub(crate) fn measure(command: &Command, folder: &Path) -> Outcome<Measured> {
    let report = folder.join("usage.json");
    let mut wrapped = Command::new(std::env::current_exe()?);
    wrapped.arg(WRAPPER).arg(&report).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        wrapped.current_dir(directory);
    }
    let stdout = output(&mut wrapped)?;
    let usage = serde_json::from_slice(&std::fs::read(&report)?)?;
    std::fs::remove_file(&report)?;
    Ok(Measured { usage, stdout })
}

/// `__measure REPORT PROGRAM ARGUMENT…`
pub(crate) fn wrapper(arguments: &[String]) -> ExitCode {
    let [report, program, arguments @ ..] = arguments else { return ExitCode::from(2) };
    let since = Instant::now();
    let status = match Command::new(program).args(arguments).status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("{program}: {error}");
            return ExitCode::from(127);
        }
    };
    let wall = since.elapsed().as_secs_f64();
    let Ok(used) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return ExitCode::FAILURE };
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    let usage = Usage {
        wall,
        processor: seconds(used.user_time()) + seconds(used.system_time()),
        // In KiB on Linux (getrusage(2)).
        peak: used.max_rss() as f64 * 1024.0 / 1e6,
    };
    let text = serde_json::to_vec(&usage).expect("three numbers are JSON");
    match std::fs::write(report, text) {
        Ok(()) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Runs a command to its end; what it printed.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| failed(command, &error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    // With `--output json` errors are a document, too.
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Err(failed(command, &format!("{}\n{}", output.status, said.trim_end())).into())
}

/// How long a command takes from start to end, each of so many times, in
/// milliseconds. Nothing but its start and end is measured.
pub(crate) fn repeat(command: &mut Command, times: usize) -> Outcome<Vec<f64>> {
    // The first brings the files into memory.
    let runs = (0..=times).map(|_| once(command));
    Ok(runs.collect::<Outcome<Vec<_>>>()?.split_off(1))
}

/// How long a command takes from start to end, once, in milliseconds. What it
/// prints goes nowhere.
pub(crate) fn once(command: &mut Command) -> Outcome<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let since = Instant::now();
    let status = command.status().map_err(|error| failed(command, &error.to_string()))?;
    let took = milliseconds(since.elapsed());
    if status.success() { Ok(took) } else { Err(failed(command, &status.to_string()).into()) }
}

/// How many processes want a processor, over the last minute (proc(5)).
pub(crate) fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("not known").into()
}

/// Resident memory of a process, in MB (proc(5)).
pub(crate) fn resident(process: u32) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn failed(command: &Command, why: &str) -> String {
    let words = command.get_args().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    format!("{} {words}: {why}", command.get_program().display())
}
