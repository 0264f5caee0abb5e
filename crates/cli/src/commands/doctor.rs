//! `plimsoll doctor`: what works here and what is missing. Changes nothing.

mod cluster;

use std::process::{Command, Stdio};

use plimsoll_config::{Config, Loaded, Target};
use plimsoll_model::{Failure, Lookup, RepositoryType};
use serde::Serialize;

use plimsoll_pipeline::{existing_ledger, reader};

use super::explain::wrapped;
use super::{Session, runtime};
use crate::printer::{bold, columns, dim};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    name: String,
    state: State,
    found: String,
    hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Works,
    Limited,
    Missing,
}

fn works(name: impl Into<String>, found: impl Into<String>) -> Finding {
    Finding { name: name.into(), state: State::Works, found: found.into(), hint: String::new() }
}

fn limited(name: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { name: name.into(), state: State::Limited, found: found.into(), hint: hint.into() }
}

fn missing(name: impl Into<String>, found: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { name: name.into(), state: State::Missing, found: found.into(), hint: hint.into() }
}

/// Looks at everything a command could need. Exit code 1 when something that
/// the configuration asks for is missing.
pub(crate) fn run(session: &Session) -> Result<u8, Failure> {
    let mut findings = vec![git(), namespaces()];
    findings.extend(tools());
    match Config::load(&session.directory(), &session.overlays()) {
        Ok(config) => {
            let file = config.file.display().to_string();
            findings.push(works("configuration", file));
            findings.extend(configured(&config)?);
        }
        Err(error) => {
            let hint = "correct it, or write one with `plimsoll init`";
            findings.push(missing("configuration", error.to_string(), hint));
        }
    }
    let document = serde_json::json!({ "schema": "plimsoll/doctor/v1", "findings": findings });
    session.printer.result(&document, || text(&findings));
    Ok(u8::from(findings.iter().any(|finding| finding.state == State::Missing)))
}

fn text(findings: &[Finding]) -> String {
    let rows = findings.iter().flat_map(|finding| {
        let word = match finding.state {
            State::Works => "works".to_owned(),
            State::Limited => bold("limited"),
            State::Missing => bold("MISSING"),
        };
        let below = |line: String| vec![String::new(), String::new(), line];
        let mut found = wrapped(&finding.found, 80).into_iter();
        let mut rows = vec![vec![word, finding.name.clone(), found.next().unwrap_or_default()]];
        rows.extend(found.map(below));
        if !finding.hint.is_empty() {
            rows.push(below(dim(&format!("hint: {}", finding.hint))));
        }
        rows
    });
    columns(&rows.collect::<Vec<_>>())
}

/// Who signs, whose signatures count, and the advisories: whether what the
/// configuration names can be read.
fn trust(config: &plimsoll_config::Loaded<Config>) -> Vec<Finding> {
    use plimsoll_config::{SecretContext, SignWith};
    use plimsoll_evidence_trust::{PublicKey, Root};
    let secrets = SecretContext::of_process(config.root());
    let configured = &config.config;
    let mut findings = Vec::new();
    if let Some(signing) = &configured.signing {
        let (source, found) = match &signing.with {
            SignWith::Key { key, .. } => (Some(key), format!("by key {key}")),
            SignWith::Command { public_key, .. } => (Some(public_key), "by a program".into()),
            SignWith::Keyless { token, .. } => (token.as_ref(), "by an identity".into()),
        };
        findings.push(match source.map(|source| source.resolve(&secrets)).transpose() {
            Ok(_) => works("signing", found),
            Err(error) => missing("signing", error.to_string(), "correct [signing], or set what it names"),
        });
    }
    let verification = &configured.verification;
    let sources = verification.public_keys.iter().chain(verification.keys.iter().map(|key| &key.key));
    for source in sources {
        let key = source
            .resolve(&secrets)
            .map_err(|error| error.to_string())
            .and_then(|text| PublicKey::from_pem(text.reveal()).map_err(|error| error.to_string()));
        findings.push(match key {
            Ok(key) => works("trusted key", format!("{source}: {}", key.fingerprint())),
            Err(why) => missing("trusted key", format!("{source}: {why}"), "correct [verification]"),
        });
    }
    if let Some(source) = &verification.trusted_root {
        let root = source
            .resolve(&secrets)
            .map_err(|error| error.to_string())
            .and_then(|text| Root::from_json(text.reveal()).map_err(|error| error.to_string()));
        findings.push(match root {
            Ok(_) => works("trusted root", source.to_string()),
            Err(why) => missing("trusted root", why, "correct [verification] trusted_root"),
        });
    }
    if let Some(advisories) = &configured.project.sbom.advisories {
        let path = config.root().join(advisories);
        findings.push(match path.exists() {
            true => works("advisories", path.display().to_string()),
            false => {
                missing("advisories", format!("nothing at {}", path.display()), "correct [sbom] advisories")
            }
        });
    }
    findings
}

/// First line of what a program prints, if it is there.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    output.status.success().then_some(text)
}

fn git() -> Finding {
    match first_line("git", &["--version"]) {
        Some(version) => works("git", version),
        None => missing("git", "not found", "install git; it reads commits"),
    }
}

/// What isolation the kernel allows: asked by looking, not by trying.
fn namespaces() -> Finding {
    const NAME: &str = "own roots for local replicas";
    if nix_root() {
        return works(NAME, "root: mount namespaces");
    }
    let allowed = std::fs::read_to_string("/proc/sys/user/max_user_namespaces")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok())
        .is_some_and(|most| most > 0);
    let denied = std::fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone")
        .is_ok_and(|text| text.trim() == "0");
    if allowed && !denied {
        works(NAME, "user namespaces")
    } else {
        let hint = "replicas of `local` run without a root of their own, and builds see their real path";
        limited(NAME, "this kernel forbids user namespaces", hint)
    }
}

fn nix_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Tools that only some configurations need.
fn tools() -> Vec<Finding> {
    let optional = [
        ("docker", "--version", "builds Dockerfiles, runs `target = \"engine\"`"),
        ("podman", "--version", "runs `target = \"engine\"`"),
        ("buildah", "--version", "builds Dockerfiles where there is no engine"),
    ];
    optional
        .into_iter()
        .map(|(program, argument, what)| match first_line(program, &[argument]) {
            Some(version) => works(program, version),
            None => limited(program, "not found", format!("only needed where it {what}")),
        })
        .collect()
}

fn configured(config: &Loaded<Config>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for (name, environment) in &config.config.environments {
        let label = format!("environment {name}");
        findings.push(match &environment.target {
            Target::Local(local) => works(label, format!("local processes on {}", local.listen)),
            Target::Engine(engine) if engine.socket.exists() => {
                works(label, format!("engine at {}", engine.socket.display()))
            }
            Target::Engine(engine) => missing(
                label,
                format!("no engine at {}", engine.socket.display()),
                "start Docker or Podman, or correct `socket`",
            ),
            Target::Kubernetes(kubernetes) => {
                findings.extend(cluster::findings(environment, kubernetes)?);
                continue;
            }
        });
    }
    findings.extend(trust(config));
    findings.push(match existing_ledger(config)? {
        Some(ledger) => works("ledger", format!("{} entries", ledger.size()?)),
        None => works("ledger", "none yet; the first command that records something makes it"),
    });
    runtime()?.block_on(async {
        for kind in [RepositoryType::Canonical, RepositoryType::Staging] {
            let repository = config.config.project.repository.get(kind).clone();
            let label = format!("{kind} repository");
            findings.push(match reader(&config.config, &repository)?.ping().await {
                Lookup::Found(()) => works(label, repository.to_string()),
                Lookup::Absent => {
                    missing(label, format!("{repository}: no registry there"), "correct [repository]")
                }
                Lookup::Invalid(why) | Lookup::Unknown(why) => {
                    missing(label, why, "start the registry (`plimsoll registry`), or log in to it")
                }
            });
        }
        Ok(findings)
    })
}
