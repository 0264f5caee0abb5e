//! `plimsoll`: one commit of a containerised service to production, and back.

mod args;
mod commands;
mod error;
mod logging;
mod printer;
mod progress;
mod trace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

/// The hidden command that enters a replica's root and becomes its program.
const ENTER_REPLICA: &str = "__replica_enter";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // What Plimsoll starts of itself is no command of the user's; it comes
    // first, in a process that has no threads yet.
    let hidden = arguments.next();
    match hidden.as_ref().and_then(|name| name.to_str()) {
        Some(plimsoll_image::enter::ARGUMENT) => {
            return ExitCode::from(plimsoll_image::enter::main(arguments));
        }
        Some(ENTER_REPLICA) => {
            return ExitCode::from(plimsoll_rollout_local::enter::main(&folder(arguments)));
        }
        Some(plimsoll_pipeline::REPLICA_COMMAND) => return replica(&folder(arguments)),
        Some(plimsoll_pipeline::SWITCH_COMMAND) => return switch(arguments),
        _ => {}
    }
    let cli = args::Cli::parse();
    logging::init(&cli.global);
    ExitCode::from(commands::run(cli))
}

fn folder(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> PathBuf {
    arguments.next().map(PathBuf::from).unwrap_or_default()
}

fn replica(folder: &Path) -> ExitCode {
    let Ok(executable) = std::env::current_exe() else { return ExitCode::FAILURE };
    match plimsoll_rollout_local::supervise::main(folder, &[executable, ENTER_REPLICA.into()]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the instance's supervisor.log.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn switch(arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.collect();
    let replace = arguments.iter().any(|argument| argument == "--replace");
    let options = plimsoll_rollout_switch::DaemonOptions {
        state_dir: folder(arguments.into_iter()),
        version: env!("CARGO_PKG_VERSION").into(),
        replace,
    };
    logging::init_daemon();
    match plimsoll_rollout_switch::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the switch ended");
            ExitCode::from(plimsoll_model::Diagnose::class(&error).exit_code())
        }
    }
}
