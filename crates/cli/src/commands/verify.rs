//! `plimsoll verify`.

use plimsoll_evidence_trust::StepOutcome;
use plimsoll_model::{Commit, Digest, Failure, ImageRef, Repository};
use plimsoll_pipeline::{EvidenceReport, VerifyReport, VerifyRequest};

use super::rollout::checks;
use super::{Session, commit, metadata};
use crate::args::Verify;
use crate::error::CliError;
use crate::printer::{bold, columns, dim};

/// Verifies an image against its record and, with `--rebuild`, its commit.
pub(crate) fn run(session: &Session, arguments: &Verify) -> Result<u8, Failure> {
    let (sha, repository, digest) = subject(&arguments.subject)?;
    let request = VerifyRequest {
        sha,
        repository,
        digest,
        metadata: metadata(arguments.metadata.as_deref())?,
        rebuild: arguments.rebuild,
    };
    let report =
        session.block_on(|context| async move { plimsoll_pipeline::verify(&context, request).await })?;
    session.printer.result(&report, || text(&report));
    Ok(report.class().map_or(0, plimsoll_model::Class::exit_code))
}

/// A full SHA, or a reference whose tag is one.
fn subject(text: &str) -> Result<(Commit, Option<Repository>, Option<Digest>), CliError> {
    if !text.contains('/') {
        return Ok((commit(text, "verified")?, None, None));
    }
    let unnamed = || CliError::Argument {
        text: text.to_owned(),
        expected: "a full commit SHA or a reference `host/path:<sha>@sha256:…`: an image is compared with its \
                   commit's record",
    };
    let reference: ImageRef = text.parse().map_err(|_| unnamed())?;
    let tag = reference.tag.ok_or_else(unnamed)?;
    Ok((commit(&tag, "verified")?, Some(reference.repository), reference.digest))
}

/// A digest, or a tag of the older scheme, as far as it tells one from another.
fn short(reference: &str) -> String {
    let cut = |hex: &str| hex.chars().take(12).collect::<String>();
    if let Some((hex, kind)) = reference.strip_prefix("sha256-").and_then(|rest| rest.split_once('.')) {
        return format!("sha256-{}….{kind}", cut(hex));
    }
    match reference.split_once(':') {
        Some((algorithm, hex)) => format!("{algorithm}:{}", cut(hex)),
        None => reference.to_owned(),
    }
}

/// What is attached, a line each; the steps of what does not count.
fn evidence(evidence: &[EvidenceReport]) -> String {
    if evidence.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = evidence
        .iter()
        .map(|piece| {
            let role = piece.role.map_or_else(|| "?".to_owned(), |role| role.to_string());
            let outcome = match piece.outcome {
                "verified" => piece.outcome.to_owned(),
                other => bold(other),
            };
            vec![format!("  {role}"), outcome, piece.detail.clone(), dim(&short(&piece.reference))]
        })
        .collect();
    let mut text = format!("{}\n{}", bold("attached"), columns(&rows));
    for piece in evidence.iter().filter(|piece| !piece.steps.is_empty() && piece.outcome != "verified") {
        text.push_str(&format!("  {} [{}]\n", short(&piece.reference), piece.code));
        let steps: Vec<_> = piece
            .steps
            .iter()
            .map(|step| {
                let outcome = match step.outcome {
                    StepOutcome::Done => "done",
                    StepOutcome::Failed => "FAILED",
                    StepOutcome::NotApplicable => "not applicable",
                };
                vec![format!("    {:>2} {}", step.number, step.name), outcome.to_owned(), dim(&step.detail)]
            })
            .collect();
        text.push_str(&columns(&steps));
    }
    text
}

fn text(report: &VerifyReport) -> String {
    let mut text = checks(&report.decision, true);
    text.push_str(&evidence(&report.evidence));
    if let Some(rebuild) = &report.rebuild {
        text.push_str(&match rebuild.identical {
            true => format!(
                "rebuilt: {} again, byte for byte{}\n",
                rebuild.digest,
                if rebuild.attested.is_some() { "; attested on the image" } else { "" }
            ),
            false => format!("rebuilt: {} instead; {}\n", rebuild.digest, rebuild.difference),
        });
    }
    let word = if report.verified { "verified" } else { "NOT verified" };
    text.push_str(&format!("{}: {}\n", bold(word), report.image_sha));
    text
}
