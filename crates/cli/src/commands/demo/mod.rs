//! `plimsoll demo`: the whole path on this machine, with nothing installed but
//! Rust and git. It runs this program's own commands, one after the other, as a
//! person would, and shows what they print.

mod forgery;
mod load;
mod sample;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_model::Failure;
use serde_json::{Value, json};

use self::load::{Load, Tally};
use super::Session;
use crate::args::Demo;
use crate::error::CliError;
use crate::printer::{bold, dim, duration};

/// Password of the demonstration's keys, which nobody uses for anything else.
const KEY_PASSWORD: &str = "demonstration";
/// What the demonstration adds to the sample's configuration: who signs, and
/// that two releases are enough to judge by.
const SIGNING: &str = r#"
[signing]
key      = "file:../keys/release.key"
password = "env:COSIGN_PASSWORD"

[verification]
public_keys = ["file:../keys/release.pub"]
min_samples = 2
"#;
/// A step that the first release does not survive.
const DROP: (&str, &str) = (
    "migrations/0004_drop_failure.sql",
    "-- Nobody reads it any more.\nALTER TABLE payouts DROP COLUMN failure;\n",
);
/// Clients that ask without pause.
const CONNECTIONS: usize = 4;

/// Runs the demonstration.
pub(crate) fn run(session: &Session, arguments: &Demo) -> Result<u8, Failure> {
    let started = Instant::now();
    let folder = tempfile::Builder::new()
        .prefix("plimsoll-demo-")
        .tempdir()
        .map_err(|source| CliError::File { action: "write", path: std::env::temp_dir(), source })?;
    let mut stage = Stage::set(session, folder.path(), arguments)?;
    let played = stage.play();
    stage.clear(arguments.keep);
    let kept = if arguments.keep { Some(folder.keep()) } else { None };
    let story = played?;
    let document = json!({
        "schema": "plimsoll/demo/v1",
        "duration_sec": started.elapsed().as_secs_f64(),
        "requests": story.requests,
        "failed_requests": story.failed,
        "steps": story.steps,
        "kept": kept,
    });
    session.printer.result(&document, || closing(&story, kept.as_deref(), started.elapsed()));
    Ok(0)
}

/// What happened, for the end.
struct Story {
    requests: u64,
    failed: u64,
    steps: Vec<Value>,
}

fn closing(story: &Story, kept: Option<&Path>, took: Duration) -> String {
    let mut text = format!(
        "{}: two commits were built, signed, published, deployed; a rollback needed no build, and the schema still served it; a break of the API was found; a stranger's image was \
         refused, one that never became ready was stopped by itself, borrowed proof and a tampered image were found out.\n{} requests were served meanwhile, {} failed. ({})\n",
        bold("done"),
        story.requests,
        story.failed,
        duration(took.as_secs_f64()),
    );
    match kept {
        Some(folder) => {
            let service = folder.join("payouts");
            text.push_str(&format!(
                "look around: cd {}; the registry and the service were stopped.\n  plimsoll history\n  plimsoll ledger \
                 verify\n  plimsoll registry --root {} --listen 127.0.0.1:0\n",
                service.display(),
                folder.join("registry").display(),
            ));
        }
        None => text
            .push_str("everything was removed again; `plimsoll demo --keep` leaves it to look around in.\n"),
    }
    text
}

/// The things the demonstration plays with.
struct Stage<'a> {
    session: &'a Session,
    executable: PathBuf,
    service: PathBuf,
    registry: Child,
    registry_root: PathBuf,
    registry_address: SocketAddr,
    listen: SocketAddr,
    steps: Vec<Value>,
    load: Option<Load>,
}

impl<'a> Stage<'a> {
    /// A registry, a repository of the sample service, a free address.
    fn set(session: &'a Session, folder: &Path, arguments: &Demo) -> Result<Self, Failure> {
        let executable = std::env::current_exe().map_err(|source| CliError::File {
            action: "find",
            path: "plimsoll".into(),
            source,
        })?;
        let registry_root = folder.join("registry");
        let (registry, registry_address) = start_registry(&executable, &registry_root)?;
        let listen = free_address()?;
        let service = folder.join("payouts");
        write_sample(&service, registry_address, listen, &arguments.strategy)?;
        let stage = Self {
            session,
            executable,
            service,
            registry,
            registry_root,
            registry_address,
            listen,
            steps: Vec::new(),
            load: None,
        };
        stage.say(&format!("{} in {}", bold("Plimsoll demo"), folder.display()));
        stage.say(&format!(
            "registry on http://{registry_address}, service on http://{listen}, {} replicas replaced {}\n",
            2, arguments.strategy
        ));
        stage.git(&["init", "--quiet", "--initial-branch=main", "."])?;
        Ok(stage)
    }

    fn play(&mut self) -> Result<Story, Failure> {
        self.scene("1. A key pair to sign with, and a stranger's");
        self.plimsoll(&["keys", "generate", "--out", "../keys/release"], 0)?;
        self.plimsoll(&["keys", "generate", "--out", "../keys/stranger"], 0)?;

        let first = self.commit("First release")?;
        self.scene(
            "2. Build the first commit: reproducible, scanned for credentials, signed, with SBOM, provenance, API and migrations",
        );
        self.plimsoll(&["build"], 0)?;

        self.scene("3. Deploy it: guard, migrations, rollout, ledger; and look at its proof step by step");
        self.plimsoll(&["deploy", &first, "--env", "trial"], 0)?;
        self.plimsoll(&["verify", &first], 0)?;

        self.scene(
            "4. Build and deploy a second commit while four clients ask without pause. Its migration drops what the first one uses, and waits",
        );
        self.write(DROP.0, DROP.1)?;
        self.edit("Cargo.toml", "version = \"0.1.0\"", "version = \"0.2.0\"")?;
        self.edit(
            "Cargo.lock",
            "name = \"payouts\"\nversion = \"0.1.0\"",
            "name = \"payouts\"\nversion = \"0.2.0\"",
        )?;
        let second = self.commit("Second release")?;
        self.plimsoll(&["build"], 0)?;
        self.load = Some(Load::start(self.listen, "/version", CONNECTIONS, Duration::ZERO));
        self.served_by(&first)?;
        self.plimsoll(&["deploy", &second, "--env", "trial"], 0)?;
        self.served_by(&second)?;

        self.scene("5. Roll back: the schema still serves the first commit; nothing is built or pushed");
        self.plimsoll(&["rollback", "--to", &first, "--env", "trial"], 0)?;
        self.served_by(&first)?;

        self.scene("6. A commit that breaks clients of the API, and whose version does not say so");
        self.edit("openapi.json", "          \"failure\",\n", "")?;
        let breaking = self.commit("fix: leave the failure out where there is none")?;
        self.plimsoll(&["contract", "diff", &second, &breaking], 0)?;
        self.plimsoll(&["version", "check", "--since", &second], 3)?;
        self.git(&["revert", "--no-edit", "HEAD"])?;

        self.scene(
            "7. Both releases are signed: verification is mandatory from here on. A third commit, signed by a stranger, is refused",
        );
        self.edit("src/defaults.rs", "PAYER_FAIL_RATIO: f64 = 0.0", "PAYER_FAIL_RATIO: f64 = 1.0")?;
        let third = self.commit("Third release: the payer refuses everything")?;
        self.plimsoll(&["build", "--set", "signing.key=file:../keys/stranger.key"], 0)?;
        self.plimsoll(&["deploy", &third, "--env", "trial"], 3)?;
        self.served_by(&first)?;

        self.scene("8. Signed by the right key it may go; its payer always fails: never ready, stopped, the old one goes on");
        self.plimsoll(&["sign", &third], 0)?;
        self.plimsoll(&["deploy", &third, "--env", "trial"], 1)?;
        self.served_by(&first)?;

        self.scene("9. Somebody puts the proof of the first image on the third: an integrity violation");
        let borrowed = forgery::borrow_evidence(self.registry_address, &first, &third)?;
        self.say(&dim(&format!(
            "# {borrowed} statements about {first} are now attached to the image of {third}"
        )));
        self.plimsoll(&["deploy", &third, "--env", "trial"], 4)?;

        self.scene("10. Somebody with the registry's disk puts a tampered image behind the second commit's tag: refused");
        let tampered = forgery::tamper(&self.registry_root.join("acme/payouts"), &second)?;
        self.say(&dim(&format!("# the tag {second} now names {tampered}")));
        self.plimsoll(&["deploy", &second, "--env", "trial"], 4)?;

        self.scene("11. What the guard says to a name that can move");
        self.plimsoll(&["deploy", "latest", "--env", "trial"], 3)?;

        let tally = self.load.take().map(Load::stop).unwrap_or_default();
        self.tell(&tally);
        self.scene("12. Status, history, and whether anybody changed the ledger");
        for command in [vec!["status"], vec!["history"], vec!["stats"], vec!["ledger", "verify"]] {
            self.plimsoll(&command, 0)?;
        }
        if tally.failed > 0 {
            return Err(stopped(format!("{} requests failed: {}", tally.failed, tally.failures.join("; "))));
        }
        Ok(Story { requests: tally.requests, failed: tally.failed, steps: std::mem::take(&mut self.steps) })
    }

    /// Stops what was started.
    fn clear(&mut self, keep: bool) {
        if let Some(load) = self.load.take() {
            load.stop();
        }
        let stopping = self.own(&["down", "--env", "trial", "--quiet"]).output();
        if !stopping.as_ref().is_ok_and(|output| output.status.success()) {
            let said = stopping.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
            let why = said.unwrap_or_else(|error| error.to_string());
            self.session.printer.note(&format!("the replicas were not stopped: {why}"));
        }
        let _ = self.registry.kill();
        let _ = self.registry.wait();
        if keep {
            self.say(&dim("stopped registry, switch and replicas"));
        }
    }

    fn say(&self, text: &str) {
        if !self.session.printer.is_json() {
            self.session.printer.text(text);
        }
    }

    fn scene(&self, title: &str) {
        self.say(&format!("\n{}", bold(title)));
    }

    /// This program in the service's folder.
    fn own(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(arguments).current_dir(&self.service).stdin(Stdio::null());
        // A configuration of the user's own must not reach the demonstration.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PLIMSOLL_") {
                command.env_remove(name);
            }
        }
        command.env("COSIGN_PASSWORD", KEY_PASSWORD);
        command
    }

    /// Runs this program in the service's folder and expects an exit code.
    fn plimsoll(&mut self, arguments: &[&str], expected: i32) -> Result<(), Failure> {
        self.say(&dim(&format!("$ plimsoll {}", arguments.join(" "))));
        let started = Instant::now();
        let json = self.session.printer.is_json();
        let mut command = self.own(arguments);
        command.args(self.passed_on(json));
        let status = if json {
            let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
            let output = output.map_err(|error| stopped(format!("`plimsoll` cannot be run: {error}")))?;
            let mut step = json!({
                "command": arguments,
                "exit_code": output.status.code(),
                "duration_sec": started.elapsed().as_secs_f64(),
            });
            if let Ok(result) = serde_json::from_slice::<Value>(&output.stdout) {
                step["result"] = result;
            }
            self.steps.push(step);
            output.status
        } else {
            command.status().map_err(|error| stopped(format!("`plimsoll` cannot be run: {error}")))?
        };
        if status.code() == Some(expected) {
            return Ok(());
        }
        let what = arguments.join(" ");
        Err(stopped(format!("`plimsoll {what}` ended with {status}, expected exit code {expected}")))
    }

    /// Options that go on to every command.
    fn passed_on(&self, json: bool) -> Vec<OsString> {
        let global = &self.session.global;
        let mut options: Vec<OsString> = Vec::new();
        if json {
            options.extend(["--output".into(), "json".into()]);
        }
        if global.no_progress {
            options.push("--no-progress".into());
        }
        if global.quiet {
            options.push("--quiet".into());
        }
        options.extend((0..global.verbose).map(|_| OsString::from("-v")));
        options
    }

    fn git(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = Command::new("git")
            .args(["-c", "user.name=demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false"])
            .args(["-c", "core.hooksPath=/dev/null"])
            .args(arguments)
            .current_dir(&self.service)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .output()
            .map_err(|error| stopped(format!("git cannot be run: {error}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let what = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(stopped(format!("`git {}`: {what}", arguments.join(" "))))
    }

    fn commit(&self, message: &str) -> Result<String, Failure> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        let sha = self.git(&["rev-parse", "HEAD"])?;
        self.say(&dim(&format!("$ git commit -m '{message}'   # {sha}")));
        Ok(sha)
    }

    fn edit(&self, path: &str, old: &str, new: &str) -> Result<(), Failure> {
        let file = self.service.join(path);
        let failed = |source| CliError::File { action: "edit", path: file.clone(), source };
        let text = std::fs::read_to_string(&file).map_err(failed)?;
        if !text.contains(old) {
            return Err(stopped(format!("{path} has no `{old}`")));
        }
        std::fs::write(&file, text.replace(old, new)).map_err(failed)?;
        Ok(())
    }

    fn write(&self, path: &str, text: &str) -> Result<(), Failure> {
        let file = self.service.join(path);
        let failed = |source| CliError::File { action: "write", path: file.clone(), source };
        std::fs::write(&file, text).map_err(failed)?;
        Ok(())
    }

    /// Waits until the clients have been answered by this commit.
    fn served_by(&self, sha: &str) -> Result<(), Failure> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let Some(load) = &self.load else { return Ok(()) };
        let seen = |tally: &Tally| tally.by_version.get(sha).copied().unwrap_or(0);
        let before = seen(&load.tally());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if seen(&load.tally()) > before {
                return Ok(());
            }
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let tally = load.tally();
        Err(stopped(format!(
            "no answer by {sha}; answers so far: {:?}, {:?}",
            tally.by_version, tally.failures
        )))
    }

    fn tell(&self, tally: &Tally) {
        self.scene(&format!("Meanwhile {} requests were answered, {} failed", tally.requests, tally.failed));
        for (sha, count) in &tally.by_version {
            self.say(&format!("  {count:>8} by {sha}"));
        }
        for failure in &tally.failures {
            self.say(&format!("  failed: {failure}"));
        }
    }
}

fn stopped(what: String) -> Failure {
    CliError::Demo { what }.into()
}

fn free_address() -> Result<SocketAddr, Failure> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| stopped(format!("no free port: {error}")))
}

/// Starts this program's registry on a free port and reads where it listens.
fn start_registry(executable: &Path, root: &Path) -> Result<(Child, SocketAddr), Failure> {
    use std::io::{BufRead, BufReader, Read};
    const MOST_BYTES: u64 = 64 * 1024;
    let mut child = Command::new(executable)
        .args(["registry", "--output", "json", "--listen", "127.0.0.1:0", "--root"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| stopped(format!("the registry cannot be started: {error}")))?;
    let output = child.stdout.take().expect("standard output was piped");
    let mut text = String::new();
    for line in BufReader::new(output.take(MOST_BYTES)).lines() {
        text.push_str(&line.map_err(|error| stopped(format!("the registry said nothing: {error}")))?);
        if let Some(address) = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|document| document["listen"].as_str()?.parse().ok())
        {
            return Ok((child, address));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(stopped("the registry ended at once".into()))
}

fn write_sample(
    service: &Path,
    registry: SocketAddr,
    listen: SocketAddr,
    strategy: &str,
) -> Result<(), Failure> {
    let failed = |source| CliError::File { action: "write", path: service.into(), source };
    for (path, content) in sample::FILES {
        let file = service.join(path);
        let folder = file.parent().expect("every file lies in the service's folder");
        std::fs::create_dir_all(folder).map_err(failed)?;
        let content = match *path {
            "plimsoll.toml" => content
                .replace("localhost:5000", &registry.to_string())
                .replace("127.0.0.1:8080", &listen.to_string())
                .replace("dir = \"migrations\"", "dir = \"migrations\"\ndatabase = \"sqlite://.plimsoll/payouts.db\"")
                .replace(
                    "target   = \"local\"",
                    &format!(
                        "target   = \"local\"\nstrategy = \"{strategy}\"\nkeep_previous = \"1s\"\nprobe_grace = \"3s\"\nrollout_timeout = \"1m\""
                    ),
                ),
            _ => (*content).to_owned(),
        };
        let content = if *path == "plimsoll.toml" { content + SIGNING } else { content };
        std::fs::write(&file, content).map_err(failed)?;
    }
    // The keys lie beside the repository, not in it.
    std::fs::create_dir_all(service.with_file_name("keys")).map_err(failed)?;
    Ok(())
}
