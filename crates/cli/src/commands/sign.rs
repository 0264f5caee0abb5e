//! `plimsoll sign` and `plimsoll attest`.

use plimsoll_evidence_trust::{MOST_BUNDLE, predicate};
use plimsoll_model::Failure;
use plimsoll_pipeline::{Named, SignReport};
use serde_json::value::RawValue;

use super::{Session, read_text};
use crate::args::{Attest, Sign};
use crate::error::CliError;
use crate::printer::{bold, columns, dim};

/// Signs an image.
pub(crate) fn sign(session: &Session, arguments: &Sign) -> Result<u8, Failure> {
    let image = named(&arguments.image)?;
    let again = arguments.force;
    let report =
        session.block_on(|context| async move { plimsoll_pipeline::sign(&context, &image, again).await })?;
    session.printer.result(&report, || text(&report));
    Ok(0)
}

/// Attests a predicate.
pub(crate) fn attest(session: &Session, arguments: &Attest) -> Result<u8, Failure> {
    let image = named(&arguments.image)?;
    let Some(kind) = predicate::of(&arguments.kind).map(str::to_owned) else {
        let expected = "a predicate type: cyclonedx, spdxjson, slsaprovenance1, vuln, openvex, … or a URI";
        return Err(CliError::Argument { text: arguments.kind.clone(), expected }.into());
    };
    // In base64 it must still fit into a bundle.
    let path = session.directory().join(&arguments.predicate);
    let text_of = read_text(&path, MOST_BUNDLE as u64 / 4 * 3)?;
    let raw = RawValue::from_string(text_of.trim().to_owned()).map_err(|source| CliError::Content {
        path,
        expected: "JSON",
        source,
    })?;
    let report = session
        .block_on(|context| async move { plimsoll_pipeline::attest(&context, &image, &kind, raw).await })?;
    session.printer.result(&report, || text(&report));
    Ok(0)
}

/// An image by a name that cannot move.
fn named(text: &str) -> Result<Named, CliError> {
    Named::parse(text).ok_or_else(|| CliError::Argument {
        text: text.to_owned(),
        expected: "an image by a name that cannot move: a full commit SHA, or `host/path@sha256:…`",
    })
}

fn text(report: &SignReport) -> String {
    let mut rows = vec![
        vec!["image".to_owned(), format!("{}@{}", report.repository, report.image_digest)],
        vec!["signed by".to_owned(), report.signer.clone()],
    ];
    for one in &report.attached {
        let there = if one.already_present { " (was there)" } else { "" };
        rows.push(vec![
            "attached".to_owned(),
            format!("{}{there}  {}", bold(&one.predicate_type), dim(&one.reference)),
        ]);
    }
    let mut text = columns(&rows);
    if report.schema == "plimsoll/sign/v1" && report.attached.iter().all(|one| one.already_present) {
        text.push_str("signed before with this key: nothing was attached; `--force` signs again\n");
    }
    text
}
