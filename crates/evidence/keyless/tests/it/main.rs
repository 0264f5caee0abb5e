//! Keyless signing end to end, against the test kit's Sigstore.

#![allow(clippy::unwrap_used)]

mod ambient;
mod careless;
mod cosign;
mod faults;
mod flow;
mod older;
mod refusals;

use std::time::Duration;

use jiff::Timestamp;
use plimsoll_evidence_keyless::{AUDIENCE, Error, IdentityToken, Keyless, Options, Policy, SigningConfig};
use plimsoll_evidence_trust::{
    Bundle, Clock, Evidence, Outcome, Root, Statement, Trust, TrustedIdentity, Verified, verify,
};
use plimsoll_model::{Digest, Secret};
use plimsoll_testkit::sigstore::{Claims, Log, Sigstore};

/// Whom the certificates of [`Claims::github`] name.
const WORKFLOW: &str = "https://github.com/acme/payouts/.github/workflows/build.yml@refs/heads/main";

/// Real bounds with short waits.
fn options() -> Options {
    let retry = Policy { first_delay: Duration::from_millis(1), ..Policy::default() };
    Options { retry, ..Options::default() }
}

fn keyless(sigstore: &Sigstore, log: Log, options: Options) -> Keyless {
    let config = SigningConfig::read(sigstore.signing_config(log).as_bytes(), "of the test").unwrap();
    let services = config.services(Timestamp::now()).unwrap();
    Keyless::new(services, &sigstore.trusted_root(), options).unwrap()
}

fn token(sigstore: &Sigstore) -> IdentityToken {
    let token = sigstore.token(&Claims::github("acme/payouts"));
    IdentityToken::read(Secret::new(token), "test", AUDIENCE, Timestamp::now()).unwrap()
}

/// Signatures of so many images.
fn statements(count: usize) -> Vec<Statement> {
    (0..count).map(|number| Statement::signature(&image(number))).collect()
}

fn image(number: usize) -> Digest {
    format!("sha256:{number:064x}").parse().unwrap()
}

/// Signs `count` statements with an honest token.
async fn sign(sigstore: &Sigstore, log: Log, count: usize) -> Result<Vec<Bundle>, Error> {
    keyless(sigstore, log, options()).sign(&token(sigstore), &statements(count)).await
}

/// Whether our verifier accepts a bundle as the workflow's, about the image.
fn accepted(sigstore: &Sigstore, bundle: &str, image: &Digest) -> bool {
    verified(sigstore, Evidence::Bundle(bundle.as_bytes()), image).is_ok()
}

/// What our verifier says of evidence that is to be the workflow's, about the image.
fn verified(sigstore: &Sigstore, evidence: Evidence<'_>, image: &Digest) -> Result<Verified, Outcome> {
    let identity = TrustedIdentity { issuer: sigstore.issuer().url(), subject: WORKFLOW.into(), roles: None };
    let root = Root::from_json(&sigstore.trusted_root()).unwrap();
    let trust = Trust { identities: vec![identity], root: Some(root), ..Trust::default() };
    let clock = Clock { now: Timestamp::now(), known_since: None };
    match verify(evidence, image, &trust, clock).outcome {
        Outcome::Verified(verified) => Ok(verified),
        other => Err(other),
    }
}
