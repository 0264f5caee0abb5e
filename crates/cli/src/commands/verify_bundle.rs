//! `plimsoll verify-bundle`: what the public Sigstore conformance suite calls.

use plimsoll_evidence_trust::MOST_BUNDLE;
use plimsoll_evidence_trust::conformance::{By, Subject, embedded_root, verify_bundle};
use plimsoll_model::{Class, Failure};
use serde_json::json;

use super::{Session, read_file, read_text};
use crate::args::VerifyBundle;
use crate::error::CliError;

/// The most a file that was signed may have: it is read into memory.
const MOST_ARTIFACT: u64 = 2 << 30;
/// The most a key or a trusted root may have.
const MOST_TRUST: u64 = 4 << 20;

/// Verifies a bundle over a file; exit 4 when it does not verify.
pub(crate) fn run(session: &Session, arguments: &VerifyBundle) -> Result<u8, Failure> {
    let at = |path: &std::path::PathBuf| session.directory().join(path);
    let by = match (&arguments.key, &arguments.certificate_identity, &arguments.certificate_oidc_issuer) {
        (Some(key), _, _) => By::Key(read_text(&at(key), MOST_TRUST)?),
        (None, Some(subject), Some(issuer)) => {
            By::Identity { subject: subject.clone(), issuer: issuer.clone() }
        }
        _ => {
            let expected =
                "who must have signed: --key, or --certificate-identity and --certificate-oidc-issuer";
            return Err(CliError::Argument { text: "nobody".into(), expected }.into());
        }
    };
    let root = match &arguments.trusted_root {
        Some(path) => read_text(&at(path), MOST_TRUST)?,
        None => embedded_root(arguments.staging).to_owned(),
    };
    let bundle = read_text(&at(&arguments.bundle), MOST_BUNDLE as u64)?;
    let path = session.directory().join(&arguments.subject);
    let bytes;
    let subject = match arguments.subject.parse() {
        Ok(digest) if !path.exists() => Subject::Digest(digest),
        _ => {
            bytes = read_file(&path, MOST_ARTIFACT)?;
            Subject::Bytes(&bytes)
        }
    };
    let verified = verify_bundle(&bundle, &subject, &by, &root);
    let document = json!({
        "schema": "plimsoll/verify-bundle/v1",
        "verified": verified.is_ok(),
        "reason": verified.as_ref().err(),
    });
    session.printer.result(&document, || match &verified {
        Ok(()) => "verified".into(),
        Err(why) => format!("NOT verified: {why}"),
    });
    Ok(if verified.is_ok() { 0 } else { Class::Integrity.exit_code() })
}
