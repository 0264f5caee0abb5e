//! Whose statements count, as `[verification]` says.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use plimsoll_config::{SecretContext, SecretSource, Verification};
use plimsoll_evidence_trust::{PublicKey, Role, Root, Trust, TrustedIdentity, TrustedKey};
use plimsoll_model::Failure;

use crate::blocking;
use crate::context::Context;

/// Reads the keys and the trusted root.
///
/// # Errors
/// One of them cannot be read or used. That is no verdict about any image.
pub(crate) async fn trust(context: &Context) -> Result<Trust, Failure> {
    let (verification, root) = (context.config.config.verification.clone(), context.root().to_path_buf());
    blocking("reading the keys that are trusted", move || {
        of(&verification, &SecretContext::of_process(&root))
    })
    .await?
}

fn of(verification: &Verification, secrets: &SecretContext<'_>) -> Result<Trust, Failure> {
    let key = |source: &SecretSource| -> Result<PublicKey, Failure> {
        Ok(PublicKey::from_pem(source.resolve(secrets)?.reveal())?)
    };
    let mut keys = Vec::new();
    for source in &verification.public_keys {
        keys.push(TrustedKey::new(key(source)?));
    }
    for trusted in &verification.keys {
        keys.push(TrustedKey {
            key: key(&trusted.key)?,
            roles: trusted.roles.as_deref().map(roles),
            not_before: trusted.not_before.map(start_of),
            not_after: trusted.not_after.and_then(|day| day.tomorrow().ok()).map(start_of),
        });
    }
    let identities: Vec<_> = verification
        .identities
        .iter()
        .map(|identity| TrustedIdentity {
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            roles: identity.roles.as_deref().map(roles),
        })
        .collect();
    // The built-in root is of the public-good instance: it is not held against
    // signatures by key, which may be in a log of one's own or in none.
    let root = match &verification.trusted_root {
        Some(source) => Some(Root::from_json(source.resolve(secrets)?.reveal())?),
        None if !identities.is_empty() || verification.require_log => Some(Root::public_good()?),
        None => None,
    };
    Ok(Trust { keys, identities, root, require_log: verification.require_log })
}

fn start_of(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

fn roles(roles: &[plimsoll_config::Role]) -> BTreeSet<Role> {
    use plimsoll_config::Role as Configured;
    let role = |role: &Configured| match role {
        Configured::Signature => Role::Signature,
        Configured::Sbom => Role::Sbom,
        Configured::Provenance => Role::Provenance,
        Configured::Record => Role::Record,
        Configured::Rebuild => Role::Rebuild,
        Configured::Vulnerabilities => Role::Vulnerabilities,
        Configured::Vex => Role::Vex,
        Configured::Contract => Role::Contract,
        Configured::Migrations => Role::Migrations,
    };
    roles.iter().map(role).collect()
}
