//! One module per command; each turns arguments into one call of the pipeline
//! and its answer into text and a document.

mod build;
mod changelog;
mod completions;
mod config;
mod contract;
mod demo;
mod doctor;
mod explain;
mod history;
mod init;
mod keys;
mod ledger;
mod metrics;
mod migrate;
mod policy;
mod registry;
mod rollout;
mod sbom;
mod serve;
mod show;
mod sign;
mod stats;
mod status;
mod verify;
mod verify_bundle;
mod version;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use plimsoll_config::Overlays;
use plimsoll_model::{BuildMetadata, Class, Commit, Failure};
use plimsoll_pipeline::{Context, Options};

use crate::args::{Cli, Command, Global};
use crate::error::CliError;
use crate::printer::Printer;
use crate::progress;

/// What every command is given.
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) printer: Printer,
    events: bool,
    /// Name of the command's trace, where it has one.
    traced: Option<&'static str>,
    began: SystemTime,
}

/// Runs the command and returns the exit code.
pub(crate) fn run(cli: Cli) -> u8 {
    let events = match &cli.command {
        Command::Build(arguments) => arguments.events.events,
        Command::Push(arguments) => arguments.events.events,
        Command::Verify(arguments) => arguments.events.events,
        Command::Deploy(arguments) => arguments.events.events,
        Command::Rollback(arguments) => arguments.events.events,
        Command::Migrate(crate::args::Migrate::Backfill(arguments)) => arguments.events.events,
        _ => false,
    };
    let printer = Printer::new(&cli.global, events);
    let traced = traced(&cli.command);
    let session = Session { global: cli.global, printer, events, traced, began: SystemTime::now() };
    let result = match cli.command {
        Command::Init(arguments) => init::run(&session, &arguments),
        Command::Build(arguments) => build::build(&session, arguments),
        Command::Push(arguments) => build::push(&session, &arguments),
        Command::Verify(arguments) => verify::run(&session, &arguments),
        Command::Deploy(arguments) => rollout::deploy(&session, &arguments),
        Command::Rollback(arguments) => rollout::rollback(&session, &arguments),
        Command::Status(arguments) => status::run(&session, &arguments),
        Command::History(arguments) => history::run(&session, &arguments),
        Command::Show(arguments) => show::run(&session, &arguments),
        Command::Stats => stats::run(&session),
        Command::Explain(arguments) => explain::run(&arguments, &session.printer).map_err(Into::into),
        Command::Sbom(arguments) => sbom::run(&session, arguments),
        Command::Contract(arguments) => contract::run(&session, arguments),
        Command::Migrate(arguments) => migrate::run(&session, arguments),
        Command::Version(arguments) => version::run(&session, arguments),
        Command::Changelog(arguments) => changelog::run(&session, arguments),
        Command::Sign(arguments) => sign::sign(&session, &arguments),
        Command::Attest(arguments) => sign::attest(&session, &arguments),
        Command::Keys(arguments) => keys::run(&session, &arguments),
        Command::VerifyBundle(arguments) => verify_bundle::run(&session, &arguments),
        Command::Watch(arguments) => watch::run(&session, arguments),
        Command::Policy(arguments) => policy::run(&session, arguments),
        Command::Ledger(arguments) => ledger::run(&session, &arguments),
        Command::Metrics(arguments) => metrics::run(&session, &arguments),
        Command::Config(arguments) => config::run(&session, &arguments),
        Command::Doctor => doctor::run(&session),
        Command::Registry(arguments) => registry::run(&session, &arguments),
        Command::Serve(arguments) => serve::run(&session, &arguments),
        Command::Demo(arguments) => demo::run(&session, &arguments),
        Command::Up(arguments) => rollout::up(&session, &arguments),
        Command::Down(arguments) => rollout::down(&session, &arguments),
        Command::Completions(arguments) => completions::completions(&session, &arguments),
        Command::Man(arguments) => completions::man(&session, &arguments),
    };
    let code = result.unwrap_or_else(|failure| session.printer.error(failure.diagnose()));
    session.printer.trace().finish(code);
    code
}

/// The commands that do something, by the name their trace has (OBS-3). What
/// only reads and prints is not worth one.
fn traced(command: &Command) -> Option<&'static str> {
    use crate::args::Migrate;
    Some(match command {
        Command::Build(_) => "build",
        Command::Push(_) => "push",
        Command::Sign(_) => "sign",
        Command::Attest(_) => "attest",
        Command::Verify(_) => "verify",
        Command::Deploy(_) => "deploy",
        Command::Rollback(_) => "rollback",
        Command::Up(_) => "up",
        Command::Down(_) => "down",
        Command::Migrate(Migrate::Apply(_)) => "migrate apply",
        Command::Migrate(Migrate::Backfill(_)) => "migrate backfill",
        _ => return None,
    })
}

impl Session {
    /// Where the command works.
    pub(crate) fn directory(&self) -> PathBuf {
        self.global.directory.clone().unwrap_or_else(|| PathBuf::from("."))
    }

    /// A path as the person who typed it means it: from where `-C` says.
    pub(crate) fn path_here(&self, path: &Path) -> PathBuf {
        match &self.global.directory {
            Some(directory) => directory.join(path),
            None => path.to_owned(),
        }
    }

    /// What is laid over `plimsoll.toml`.
    pub(crate) fn overlays(&self) -> Overlays {
        let mut overlays = Overlays::of_process();
        for file in &self.global.config {
            overlays = overlays.file(file);
        }
        for flag in &self.global.set {
            overlays = overlays.set(flag);
        }
        overlays
    }

    /// Opens configuration and ledger, and listens for Ctrl-C.
    async fn context(&self, interrupt: Arc<AtomicBool>) -> Result<Context, Failure> {
        let observer = Arc::from(progress::observer(&self.global, &self.printer, self.events));
        let executable = std::env::current_exe().map_err(|source| CliError::File {
            action: "find",
            path: "plimsoll".into(),
            source,
        })?;
        let mut context = Context::open(Options {
            directory: self.directory(),
            overlays: self.overlays(),
            observer,
            command: std::env::args().collect::<Vec<_>>().join(" "),
            executable,
            interrupt,
        })
        .await?;
        if let Some(name) = self.traced {
            self.printer.trace().begin(name, self.began, &mut context);
        }
        Ok(context)
    }

    /// Runs asynchronous work, with a context where there is a project here.
    /// What is wrong with a project that is here is told.
    pub(crate) fn block_on_anywhere<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        work: impl FnOnce(Option<Context>) -> F,
    ) -> Result<T, Failure> {
        if plimsoll_config::discover(&self.directory()).is_err() {
            return runtime()?.block_on(work(None));
        }
        self.block_on(|context| work(Some(context)))
    }

    /// Runs asynchronous work with a context. The first Ctrl-C or SIGTERM asks
    /// it to stop and undo; the second ends the process, and what was in
    /// flight is finished or undone by the next command.
    pub(crate) fn block_on<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        work: impl FnOnce(Context) -> F,
    ) -> Result<T, Failure> {
        let interrupt = Arc::new(AtomicBool::new(false));
        runtime()?.block_on(async {
            tokio::spawn(listen(interrupt.clone()));
            let context = self.context(interrupt).await?;
            work(context).await
        })
    }
}

/// A runtime for one command.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|source| {
        CliError::File { action: "start threads for", path: "plimsoll".into(), source }.into()
    })
}

async fn listen(interrupt: Arc<AtomicBool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut ctrl_c), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = ctrl_c.recv() => {}
            _ = terminate.recv() => {}
        }
        if interrupt.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(Class::Interrupted.exit_code()));
        }
    }
}

/// A full commit SHA, or a refusal that says why only that will do (TAG-4).
pub(crate) fn commit(text: &str, action: &'static str) -> Result<Commit, CliError> {
    text.parse().map_err(|source| CliError::NotPinned { text: text.to_owned(), action, source })
}

/// The document that `build --output json` printed, from a file.
pub(crate) fn metadata(file: Option<&Path>) -> Result<Option<(BuildMetadata, String)>, CliError> {
    const MOST_BYTES: u64 = 1 << 20;
    let Some(path) = file else { return Ok(None) };
    let bytes = read_file(path, MOST_BYTES)?;
    let metadata = serde_json::from_slice(&bytes).map_err(|source| CliError::Content {
        path: path.into(),
        expected: "a build's JSON document",
        source,
    })?;
    Ok(Some((metadata, path.display().to_string())))
}

/// The bytes of a file the user named, at most `most` of them.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, CliError> {
    use std::io::Read as _;
    let failed = |source| CliError::File { action: "read", path: path.into(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than {most} bytes");
        return Err(failed(std::io::Error::new(std::io::ErrorKind::FileTooLarge, why)));
    }
    Ok(bytes)
}

/// The text of a file the user named.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String, CliError> {
    let failed = |source| CliError::File { action: "read", path: path.into(), source };
    let text = String::from_utf8(read_file(path, most)?);
    text.map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())))
}

/// Writes a document that is not one of ours to standard output.
pub(crate) fn write_data(session: &Session, bytes: &[u8]) -> Result<(), CliError> {
    use std::io::Write as _;
    let mut out = session.printer.data();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::File { action: "write", path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// Writes a file the user named, in place of what was there.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    std::fs::write(path, bytes).map_err(|source| CliError::File {
        action: "write",
        path: path.into(),
        source,
    })
}

/// `90s`, `10m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, CliError> {
    let wrong =
        || CliError::Argument { text: text.to_owned(), expected: "a duration such as 90s, 10m or 1h30m" };
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let unit = match tail.as_bytes().first() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        seconds = number.checked_mul(unit).and_then(|n| n.checked_add(seconds)).ok_or_else(wrong)?;
        rest = &tail[1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds);
        }
        for bad in ["", "10", "m", "10 m", "1d", "-1s", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_full_shas_are_accepted() {
        for bad in ["latest", "main", "stable", "v1", "0123456789ab", &"A".repeat(40), ""] {
            let error = commit(bad, "deployed").unwrap_err();
            assert_eq!(plimsoll_model::Diagnose::class(&error), Class::Refused, "{bad}");
        }
    }
}
