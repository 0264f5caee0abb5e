//! `plimsoll status`: what runs, drift, ways back.

use plimsoll_model::Failure;
use plimsoll_pipeline::report::{Drift, EnvironmentStatus, StatusReport};

use super::Session;
use crate::args::Status;
use crate::printer::{bold, columns, dim};

/// Prints one block per environment.
pub(crate) fn run(session: &Session, arguments: &Status) -> Result<u8, Failure> {
    let environment = arguments.env.clone();
    let report = session.block_on(|context| async move {
        plimsoll_pipeline::status(&context, environment.as_deref()).await
    })?;
    session.printer.result(&report, || text(&report));
    Ok(0)
}

fn text(report: &StatusReport) -> String {
    if report.environments.is_empty() {
        return "no environments; add an [environments.NAME] section to plimsoll.toml".into();
    }
    report.environments.iter().map(block).collect::<Vec<_>>().join("\n")
}

fn block(status: &EnvironmentStatus) -> String {
    let at = status.listen.as_ref().map(|listen| format!(" on {listen}")).unwrap_or_default();
    let mut rows = Vec::new();
    let mut row = |key: &str, value: String| rows.push(vec![format!("  {key}"), value]);
    match &status.running {
        Some(running) => {
            row("serves", running.image_ref.to_string());
            row("since", format!("{} by {}", running.since.strftime("%Y-%m-%d %H:%M:%SZ"), running.by));
            if let Some(previous) = &running.previous {
                row("before", previous.sha().to_string());
            }
        }
        None => row("serves", "nothing yet".into()),
    }
    match &status.drift {
        Drift::None { ready, .. } if status.running.is_some() => {
            row("drift", format!("none; {ready} instances ready"));
        }
        Drift::None { .. } => row("drift", "none".into()),
        Drift::Unknown { reason } => row("drift", format!("unknown: {reason}")),
        Drift::Drifted { differences, kinds, details, .. } => {
            for difference in differences {
                row("DRIFT", difference.clone());
            }
            let service = details.iter().find(|one| one.object.starts_with("service "));
            if status.unfinished.is_some() {
                row("", "a rollout is unfinished: see below what ends it, before anything else".into());
            } else if let Some(running) = &status.running {
                let environment = &status.environment;
                row(
                    "",
                    match (status.target.as_str(), service) {
                        // Selector and number of pods are the user's: no deployment changes them.
                        ("kubernetes", Some(service)) if kinds.len() == 1 && service.found == "to nobody" => {
                            "what is wrong with its pods: `kubectl get pods`; their number is yours to set"
                                .into()
                        }
                        ("kubernetes", Some(service)) if kinds.len() == 1 => {
                            format!("it is yours to put back: `kubectl edit {}`", service.object)
                        }
                        ("kubernetes", _) => format!(
                            "`plimsoll deploy {} --env {environment}` puts it back",
                            running.image_sha
                        ),
                        _ => format!("`plimsoll up --env {environment}` brings back what should run"),
                    },
                );
            }
        }
    }
    if let Some(on_its_way) = status.drift.rollout() {
        for one in &on_its_way.explains {
            let (rollout, entry) = (&on_its_way.rollout, on_its_way.ledger_entry);
            row("on its way", format!("{}, by {rollout} (ledger entry {entry})", one.text));
        }
    }
    if let Some(rollout) = &status.unfinished {
        let next = match &status.held {
            Some(sha) => format!(
                "held for a person to decide: `plimsoll deploy {sha} --env {} --promote REASON`, or undone by the next deploy or rollback of another",
                status.environment
            ),
            None => "the next deploy or rollback finishes or undoes it".into(),
        };
        row("unfinished", format!("{rollout}; {next}"));
    }
    if let Some(lock) = &status.lock {
        row("locked by", format!("{} since {}", lock.holder, lock.since.strftime("%H:%M:%SZ")));
    }
    if let Some(schema) = &status.schema {
        let database = schema.database.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
        row("schema", format!("{database}{} migrations ran; {}", schema.applied, schema.state));
        for waiting in &schema.waiting {
            row("waits", format!("{}: {}", waiting.path, waiting.reason));
        }
    }
    let coverage = &status.signature_coverage;
    row("signed", format!("{} of {} deployed images", coverage.signed, coverage.deployed));
    let word = if coverage.mandatory { "mandatory" } else { "soft" };
    row("signatures", format!("{word}: {}", coverage.reason));
    let unsigned: Vec<_> = coverage.samples.iter().filter(|sample| !sample.signed).collect();
    if coverage.signed > 0 && !unsigned.is_empty() {
        const SHOWN: usize = 3;
        let mut shas: Vec<_> = unsigned.iter().take(SHOWN).map(|sample| sample.sha.short()).collect();
        let more = format!("and {} more", unsigned.len().saturating_sub(SHOWN));
        if unsigned.len() > SHOWN {
            shas.push(&more);
        }
        row("unsigned", shas.join(", "));
    }
    if status.ways_back.is_empty() {
        row("back to", "nothing was deployed before".into());
    }
    for way in &status.ways_back {
        let word = if way.possible { "back to" } else { "NOT back to" };
        row(word, format!("{}  {}", way.image_sha, dim(&way.reason)));
    }
    format!("{} ({}{at})\n{}", bold(&status.environment), status.target, columns(&rows))
}
