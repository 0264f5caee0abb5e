//! What a statement speaks for, by its predicate type.

use serde::{Deserialize, Serialize};

/// Predicate types: what a statement is (in-toto attestation, "Predicate").
pub mod predicate {
    /// The image's signature, as cosign 3 writes it.
    pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
    /// SLSA provenance, version 1.
    pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";
    /// SLSA provenance, version 0.2.
    pub const PROVENANCE_V02: &str = "https://slsa.dev/provenance/v0.2";
    /// An SPDX document.
    pub const SPDX: &str = "https://spdx.dev/Document";
    /// A CycloneDX document.
    pub const CYCLONEDX: &str = "https://cyclonedx.org/bom";
    /// Result of a scan for advisories, as cosign defines it.
    pub const VULNERABILITIES: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
    /// An OpenVEX document.
    pub const OPENVEX: &str = "https://openvex.dev/ns";
    /// The build's own record (`plimsoll/build/v1`).
    pub const RECORD: &str = "https://plimsoll.dev/build/v1";
    /// That the commit was built again to the same bytes.
    pub const REBUILD: &str = "https://plimsoll.dev/rebuild/v1";
    /// The API contract of the release.
    pub const CONTRACT: &str = "https://plimsoll.dev/contract/v1";
    /// The migrations of the release.
    pub const MIGRATIONS: &str = "https://plimsoll.dev/migrations/v1";

    /// The short names that `cosign attest --type` takes, and ours.
    const NAMES: [(&str, &str); 15] = [
        ("cyclonedx", CYCLONEDX),
        ("spdx", SPDX),
        ("spdxjson", SPDX),
        ("slsaprovenance", PROVENANCE_V02),
        ("slsaprovenance02", PROVENANCE_V02),
        ("slsaprovenance1", PROVENANCE),
        ("vuln", VULNERABILITIES),
        ("openvex", OPENVEX),
        ("provenance", PROVENANCE),
        ("record", RECORD),
        ("rebuild", REBUILD),
        ("contract", CONTRACT),
        ("migrations", MIGRATIONS),
        ("link", "https://in-toto.io/Link/v1"),
        ("custom", "https://cosign.sigstore.dev/attestation/v1"),
    ];

    /// The predicate type of a short name, or the URI itself; none where it is
    /// neither.
    pub fn of(name: &str) -> Option<&str> {
        let known = NAMES.iter().find(|(short, _)| *short == name).map(|(_, uri)| *uri);
        known.or_else(|| name.contains("://").then_some(name))
    }

    /// The short names, for messages.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(short, _)| *short)
    }
}

/// What somebody may be trusted to speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The image itself.
    Signature,
    /// What it is made of.
    Sbom,
    /// How it was built.
    Provenance,
    /// The build's record.
    Record,
    /// That it was built again.
    Rebuild,
    /// The result of a scan.
    Vulnerabilities,
    /// Which advisories do not count.
    Vex,
    /// The API contract.
    Contract,
    /// The migrations.
    Migrations,
    /// Anything else.
    Other,
}

impl Role {
    /// The role of a predicate type. Types are compared whole: what merely
    /// begins like a signature is none.
    pub fn of(predicate_type: &str) -> Self {
        match predicate_type {
            predicate::SIGNATURE => Self::Signature,
            predicate::PROVENANCE | predicate::PROVENANCE_V02 => Self::Provenance,
            predicate::SPDX | predicate::CYCLONEDX => Self::Sbom,
            predicate::VULNERABILITIES => Self::Vulnerabilities,
            predicate::RECORD => Self::Record,
            predicate::REBUILD => Self::Rebuild,
            predicate::CONTRACT => Self::Contract,
            predicate::MIGRATIONS => Self::Migrations,
            // Documents name the version behind it: `https://openvex.dev/ns/v0.2.0`.
            other if other == predicate::OPENVEX || other.starts_with("https://openvex.dev/ns/") => Self::Vex,
            // Versioned by some tools: `https://cyclonedx.org/bom/v1.6`, `https://spdx.dev/Document/v2.3`.
            other if other.starts_with("https://cyclonedx.org/bom/") => Self::Sbom,
            other if other.starts_with("https://spdx.dev/Document/") => Self::Sbom,
            _ => Self::Other,
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Provenance => "provenance",
            Self::Record => "record",
            Self::Rebuild => "rebuild",
            Self::Vulnerabilities => "vulnerabilities",
            Self::Vex => "vex",
            Self::Contract => "contract",
            Self::Migrations => "migrations",
            Self::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_only_begins_like_a_signature_is_none() {
        assert_eq!(Role::of(predicate::SIGNATURE), Role::Signature);
        for other in ["https://sigstore.dev/cosign/sign/v1/x", "https://sigstore.dev/cosign/sign/v2", ""] {
            assert_eq!(Role::of(other), Role::Other);
        }
    }

    #[test]
    fn names_are_those_of_cosign() {
        assert_eq!(predicate::of("spdxjson"), Some(predicate::SPDX));
        assert_eq!(predicate::of("slsaprovenance1"), Some(predicate::PROVENANCE));
        assert_eq!(predicate::of("https://example.com/x"), Some("https://example.com/x"));
        assert_eq!(predicate::of("sbom"), None);
    }
}
