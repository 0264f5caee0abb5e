//! `plimsoll verify`.

use plimsoll_model::{Commit, Digest, Failure, ImageRef, Repository};
use plimsoll_pipeline::{VerifyReport, VerifyRequest};

use super::rollout::checks;
use super::{Session, commit, metadata};
use crate::args::Verify;
use crate::error::CliError;
use crate::printer::bold;

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
    let reference: ImageRef = text.parse().map_err(|_| CliError::Argument {
        text: text.to_owned(),
        expected: "a full commit SHA or a reference `host/path:<sha>@sha256:…`",
    })?;
    let tag = reference.tag.unwrap_or_default();
    Ok((commit(&tag, "verified")?, Some(reference.repository), reference.digest))
}

fn text(report: &VerifyReport) -> String {
    let mut text = checks(&report.decision, true);
    if let Some(rebuild) = &report.rebuild {
        text.push_str(&match rebuild.identical {
            true => format!("rebuilt: {} again, byte for byte\n", rebuild.digest),
            false => format!("rebuilt: {} instead; {}\n", rebuild.digest, rebuild.difference),
        });
    }
    let word = if report.verified { "verified" } else { "NOT verified" };
    text.push_str(&format!("{}: {}\n", bold(word), report.image_sha));
    text
}
