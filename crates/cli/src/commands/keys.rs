//! `plimsoll keys generate`: a pair of key files that cosign reads, too.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use plimsoll_config::{SecretContext, SecretSource};
use plimsoll_evidence_trust::{Algorithm, PrivateKey, Signer as _};
use plimsoll_model::{Failure, Secret};
use serde_json::json;

use super::Session;
use crate::args::Keys;
use crate::error::CliError;
use crate::printer::{bold, columns};

/// Makes a pair and writes it where nothing is.
pub(crate) fn run(session: &Session, arguments: &Keys) -> Result<u8, Failure> {
    let Keys::Generate { out, algorithm, password } = arguments;
    // As it was typed, for plimsoll.toml: relative to the folder one is in.
    let named = |extension| with(Path::new(out), extension);
    let out = session.directory().join(out);
    let (private, public) = (with(&out, "key"), with(&out, "pub"));
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(CliError::KeyExists { path: path.clone() }.into());
        }
    }
    let algorithm = match algorithm.as_str() {
        "ed25519" => Algorithm::Ed25519,
        "ecdsa-p384" => Algorithm::EcdsaP384,
        _ => Algorithm::EcdsaP256,
    };
    let source = SecretSource::parse(password).ok_or_else(|| CliError::Argument {
        text: "the password".into(),
        expected: "where it is, never the password itself: env:NAME, file:PATH or command:CMD",
    })?;
    let password = source.resolve(&SecretContext::of_process(&session.directory()))?;
    let key = PrivateKey::generate(algorithm)?;
    write(&private, key.to_cosign_pem(&password)?, 0o600)?;
    write(&public, Secret::new(key.public_key().to_pem()), 0o644)?;
    let fingerprint = key.public_key().fingerprint();
    let document = json!({
        "schema": "plimsoll/keys/v1",
        "private_key": private,
        "public_key": public,
        "algorithm": algorithm,
        "fingerprint": fingerprint,
    });
    session.printer.result(&document, || {
        let rows = [
            ("private key", format!("{} (encrypted; keep it out of the repository)", private.display())),
            ("public key", public.display().to_string()),
            ("algorithm", algorithm.to_string()),
            ("fingerprint", fingerprint.clone()),
        ];
        let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
        format!(
            "{}\n{}\n[signing]\nkey = \"file:{}\"\npassword = \"{source}\"\n\n[verification]\npublic_keys = [\"file:{}\"]\n",
            columns(&rows),
            bold("add to plimsoll.toml:"),
            named("key").display(),
            named("pub").display()
        )
    });
    Ok(0)
}

fn with(prefix: &Path, extension: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Writes a new file; one that is there is never replaced.
fn write(path: &Path, content: Secret, mode: u32) -> Result<(), CliError> {
    let failed = |source| CliError::File { action: "write", path: path.into(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(content.reveal().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}
