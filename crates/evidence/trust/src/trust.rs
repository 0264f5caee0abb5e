//! Who is trusted, for what, and when.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_types::{SignatureBytes, TimestampToken, TransparencyLogEntry, TsaAuthority};
use sigstore_verify::Verifier;
use sigstore_verify::tsa::verify_timestamp_for_authority;

use crate::error::Error;
use crate::key::PublicKey;
use crate::role::Role;

/// Whose statements count.
#[derive(Debug, Default)]
pub struct Trust {
    /// Keys.
    pub keys: Vec<TrustedKey>,
    /// Identities, for signatures without a key.
    pub identities: Vec<TrustedIdentity>,
    /// Certificate authorities, logs, timestamp authorities. Without it no
    /// signature without a key, no log entry and no timestamp can be verified.
    pub root: Option<Root>,
    /// Demand a log entry of signatures by key too.
    pub require_log: bool,
}

/// A key that is trusted.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    /// The key.
    pub key: PublicKey,
    /// What it may speak for; none: everything.
    pub roles: Option<BTreeSet<Role>>,
    /// From when on it signs.
    pub not_before: Option<Timestamp>,
    /// Until when it signs. What it signed before stays good, where that can
    /// be proven: by a log entry, a timestamp, or the ledger.
    pub not_after: Option<Timestamp>,
}

impl TrustedKey {
    /// A key for everything, for ever.
    pub fn new(key: PublicKey) -> Self {
        Self { key, roles: None, not_before: None, not_after: None }
    }
}

/// An identity that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedIdentity {
    /// The OIDC issuer, exactly.
    pub issuer: String,
    /// The certificate's subject; `*` stands for any run of characters.
    pub subject: String,
    /// What it may speak for; none: everything.
    pub roles: Option<BTreeSet<Role>>,
}

impl TrustedIdentity {
    /// Whether a certificate's subject and issuer are these.
    pub fn matches(&self, issuer: Option<&str>, subject: &str) -> bool {
        issuer == Some(self.issuer.as_str()) && glob(&self.subject, subject)
    }
}

/// Whether one of the roles, or everything, is allowed.
pub(crate) fn allows(roles: Option<&BTreeSet<Role>>, role: Role) -> bool {
    roles.is_none_or(|roles| roles.contains(&role))
}

/// `*` stands for any run of characters, also an empty one. Linear in the text
/// for each `*`, whatever the pattern.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Sigstore's trusted root, ready to verify with.
pub struct Root {
    pub(crate) verifier: Verifier,
    /// Names of the logs whose keys it has.
    logs: BTreeSet<Vec<u8>>,
    authorities: Vec<TsaAuthority>,
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("trusted root")
    }
}

impl Root {
    /// From a `trusted_root.json`. Nothing is fetched.
    ///
    /// # Errors
    /// [`Error::TrustedRoot`] when it cannot be read.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::TrustedRoot { why };
        let root = TrustedRoot::from_json(json).map_err(|error| wrong(error.to_string()))?;
        let verifier = Verifier::new(&root).map_err(|error| wrong(error.to_string()))?;
        let logs = root.tlogs.iter().map(|log| log.log_id.key_id.as_bytes().to_vec()).collect();
        let authorities = root.tsa_authorities();
        Ok(Self { verifier, logs, authorities })
    }

    /// Whether it has any timestamp authority. Without one a timestamp says
    /// nothing, good or bad.
    pub(crate) fn has_timestamp_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// The time of a timestamp over `bytes`, by one of the authorities.
    ///
    /// # Errors
    /// Why none of them gave it, in words.
    pub(crate) fn time_of(&self, token: &TimestampToken, bytes: &[u8]) -> Result<Timestamp, String> {
        let bytes = SignatureBytes::from_bytes(bytes);
        let mut why = "the trusted root has no timestamp authority".to_owned();
        for authority in &self.authorities {
            match verify_timestamp_for_authority(token, &bytes, authority) {
                Ok(time) => return Ok(time),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    /// Whether it has the key of the log that an entry says it is in.
    pub(crate) fn knows_log_of(&self, entry: &TransparencyLogEntry) -> bool {
        self.logs.contains(entry.log_id.key_id.as_bytes())
    }

    /// That of the public-good instance, as it was when this version was made.
    ///
    /// # Errors
    /// None in practice.
    pub fn public_good() -> Result<Self, Error> {
        Self::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, text, matches) in [
            ("a@example.com", "a@example.com", true),
            ("a@example.com", "a@example.com.evil", false),
            (
                "https://github.com/acme/*",
                "https://github.com/acme/payouts/.github/workflows/b.yml@refs/heads/main",
                true,
            ),
            ("https://github.com/acme/*", "https://github.com/acmeevil/x", false),
            ("*@example.com", "a@example.com", true),
            ("*@example.com", "a@example.comx", false),
            ("https://*/b.yml@*main", "https://x/b.yml@refs/heads/main", true),
            ("https://*/b.yml@*main", "https://x/b.yml@refs/heads/dev", false),
            ("*", "", true),
            ("", "a", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn an_issuer_is_compared_whole() {
        let identity =
            TrustedIdentity { issuer: "https://a.example".into(), subject: "*".into(), roles: None };
        assert!(identity.matches(Some("https://a.example"), "x"));
        assert!(!identity.matches(Some("https://a.example.evil"), "x"));
        assert!(!identity.matches(None, "x"));
    }
}
