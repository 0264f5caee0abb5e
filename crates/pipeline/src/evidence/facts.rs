//! From the pieces that were found to the facts that the guard decides on.

use plimsoll_decision::{
    AdvisorySeverity, EvidenceFacts, FindingFacts, MigrationsProof, Proof, ProvenanceFacts, RebuildFacts,
    RecordFacts, ScanFacts, Signed,
};
use plimsoll_evidence_trust::{Outcome, Role, Verified};
use plimsoll_model::{BuildMetadata, Digest};
use serde_json::Value;

use super::found::{Found, Piece, Pieces};
use super::provenance;
use crate::migrations::MigrationsRecord;

/// What the pieces prove. The scan is added by who has the advisories.
pub(crate) fn evidence(pieces: &Pieces) -> EvidenceFacts {
    let foreign = pieces.pieces.iter().filter_map(|piece| match &piece.found {
        Found::Foreign(what) => Some(format!("{what}, attached as {}", piece.reference)),
        _ => None,
    });
    EvidenceFacts {
        digest: pieces.digest,
        signature: proof(pieces, Role::Signature, |all| all.first().map(|(piece, v)| signed(piece, v))),
        sbom: proof(pieces, Role::Sbom, |all| all.first().map(|(piece, v)| signed(piece, v))),
        provenance: proof(pieces, Role::Provenance, |all| {
            all.iter().map(|(p, v)| provenance_facts(p, v)).next()
        }),
        record: proof(pieces, Role::Record, |all| {
            all.iter().find_map(|(piece, verified)| record_facts(piece, verified))
        }),
        rebuild: proof(pieces, Role::Rebuild, |all| rebuild_facts(all, pieces.digest)),
        scan: proof(pieces, Role::Vulnerabilities, |all| all.last().and_then(|(p, v)| attested_scan(p, v))),
        contract: proof(pieces, Role::Contract, |all| all.first().map(|(piece, v)| signed(piece, v))),
        migrations: proof(pieces, Role::Migrations, |all| {
            let signed = all.iter().find_map(|(p, v)| migrations_record(v).map(|_| signed(p, v)))?;
            Some(MigrationsProof { signed, differing: Vec::new() })
        }),
        foreign: foreign.take(EvidenceFacts::MOST_FOREIGN).collect(),
    }
}

/// The proof of one role. What verified counts, whatever else is there; where
/// nothing did, something that could not be read may have been it.
fn proof<T>(
    pieces: &Pieces,
    role: Role,
    chosen: impl FnOnce(&[(&Piece, &Verified)]) -> Option<T>,
) -> Proof<T> {
    let verified: Vec<_> = pieces.verified(role).collect();
    if !verified.is_empty() {
        return match chosen(&verified) {
            Some(value) => Proof::Verified(value),
            None => Proof::Invalid(format!("its {role} verifies, and does not say what it must")),
        };
    }
    let may_be = |piece: &&Piece| match &piece.found {
        Found::Read(read) => read.claimed_role() == Some(role),
        // A label is a claim, but the only one there is.
        _ => piece.label.as_deref().is_none_or(|label| Role::of(label) == role),
    };
    let candidates: Vec<&Piece> = pieces.pieces.iter().filter(may_be).collect();
    let (mut unknown, mut invalid, mut untrusted) = (pieces.gaps.first().cloned(), None, None);
    for piece in candidates {
        match &piece.found {
            Found::Read(read) => match &read.outcome {
                Outcome::Unknown { why, .. } => unknown = unknown.or_else(|| Some(why.clone())),
                Outcome::Invalid { why, .. } => invalid = invalid.or_else(|| Some(why.clone())),
                Outcome::Untrusted { why, .. } => untrusted = untrusted.or_else(|| Some(why.clone())),
                Outcome::Verified(_) | Outcome::Foreign { .. } => {}
            },
            Found::Unknown(why) => unknown = unknown.or_else(|| Some(why.clone())),
            Found::Invalid(why) => invalid = invalid.or_else(|| Some(why.clone())),
            Found::Foreign(_) => {}
        }
    }
    match (unknown, invalid, untrusted) {
        (Some(why), _, _) => Proof::Unknown(why),
        (None, Some(why), _) => Proof::Invalid(why),
        (None, None, Some(why)) => Proof::Untrusted(why),
        (None, None, None) => Proof::Missing,
    }
}

fn signed(piece: &Piece, verified: &Verified) -> Signed {
    Signed { by: verified.by.to_string(), at: verified.at, reference: piece.reference.clone() }
}

fn predicate(verified: &Verified) -> Value {
    // It is JSON: it was read out of a statement.
    serde_json::from_str(verified.predicate.get()).unwrap_or_default()
}

fn provenance_facts(piece: &Piece, verified: &Verified) -> ProvenanceFacts {
    let read = provenance::read(&predicate(verified));
    ProvenanceFacts {
        signed: signed(piece, verified),
        builder: read.builder,
        commit: read.commit,
        clean: read.clean,
    }
}

/// The build's record that is attached to the image, where one verified.
pub(crate) fn record(pieces: &Pieces) -> Option<(BuildMetadata, String)> {
    pieces.verified(Role::Record).find_map(|(_, verified)| {
        let metadata = serde_json::from_str(verified.predicate.get()).ok()?;
        Some((metadata, format!("the record on the image, signed by {}", verified.by)))
    })
}

fn record_facts(piece: &Piece, verified: &Verified) -> Option<RecordFacts> {
    let metadata: BuildMetadata = serde_json::from_str(verified.predicate.get()).ok()?;
    Some(RecordFacts {
        signed: signed(piece, verified),
        image_sha: metadata.image_sha,
        image_digest: metadata.image_digest,
        clean: metadata.clean,
    })
}

/// The migrations that were attested about the image, where a statement
/// verified and says them.
pub(crate) fn migrations(pieces: &Pieces) -> Option<MigrationsRecord> {
    pieces.verified(Role::Migrations).find_map(|(_, verified)| migrations_record(verified))
}

fn migrations_record(verified: &Verified) -> Option<MigrationsRecord> {
    serde_json::from_str(verified.predicate.get()).ok()
}

/// A rebuild to other bytes counts before one to the same.
fn rebuild_facts(all: &[(&Piece, &Verified)], image: Digest) -> Option<RebuildFacts> {
    let mut read = all.iter().filter_map(|(piece, verified)| {
        let digest = predicate(verified).get("digest")?.as_str()?.parse().ok()?;
        Some(RebuildFacts { signed: signed(piece, verified), digest })
    });
    let first = read.next()?;
    if first.digest != image {
        Some(first)
    } else {
        Some(read.find(|other| other.digest != image).unwrap_or(first))
    }
}

/// The result of a scan that somebody attested (cosign's predicate): ours, or
/// one whose `result` has findings in the same form.
///
/// Its advisories grow old like any others: they were of the day of the scan.
fn attested_scan(piece: &Piece, verified: &Verified) -> Option<ScanFacts> {
    let predicate = predicate(verified);
    let result: plimsoll_evidence_advisories::Report =
        serde_json::from_value(predicate.pointer("/scanner/result")?.clone()).ok()?;
    let finished: jiff::Timestamp = predicate.pointer("/metadata/scanFinishedOn")?.as_str()?.parse().ok()?;
    let source = format!("scanned at {finished}, attested by {}", signed(piece, verified).by);
    Some(scan(&result, source, jiff::Timestamp::now()))
}

/// A report as facts; the age of the advisories is taken at `now`.
pub(crate) fn scan(
    report: &plimsoll_evidence_advisories::Report,
    source: String,
    now: jiff::Timestamp,
) -> ScanFacts {
    // What is said about a component and is no vulnerability decides nothing.
    let vulnerabilities = report.findings.iter().filter(|finding| finding.informational.is_empty());
    let all: Vec<FindingFacts> = vulnerabilities
        .map(|finding| FindingFacts {
            id: finding.id.clone(),
            aliases: finding.aliases.clone(),
            purl: finding.purl.clone(),
            severity: severity(finding.severity),
            fixed_in: finding.fixed_in.clone(),
            suppressed: finding.suppressed.as_ref().map(ToString::to_string),
        })
        .collect();
    let more = all.len().saturating_sub(ScanFacts::MOST_FINDINGS) as u64;
    ScanFacts {
        source,
        findings: all.into_iter().take(ScanFacts::MOST_FINDINGS).collect(),
        more,
        components: report.components,
        uncovered: report.uncovered.len() as u64,
        // Advisories whose age nobody knows are as old as can be.
        database_age_sec: report.database.age_sec(now).unwrap_or(u64::MAX >> 12),
    }
}

fn severity(severity: plimsoll_evidence_advisories::Severity) -> AdvisorySeverity {
    use plimsoll_evidence_advisories::Severity as S;
    match severity {
        S::Unknown => AdvisorySeverity::Unknown,
        S::Low => AdvisorySeverity::Low,
        S::Medium => AdvisorySeverity::Medium,
        S::High => AdvisorySeverity::High,
        S::Critical => AdvisorySeverity::Critical,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_evidence_trust::Verification;

    use super::*;

    const IMAGE: Digest = Digest::from_sha256([7; 32]);

    fn piece(role_type: &str, outcome: Outcome) -> Piece {
        let verification =
            Verification { steps: Vec::new(), predicate_type: Some(role_type.into()), outcome };
        Piece { reference: "sha256:1".into(), label: None, found: Found::Read(Box::new(verification)) }
    }

    fn unread(label: Option<&str>, found: Found) -> Piece {
        Piece { reference: "sha256:2".into(), label: label.map(Into::into), found }
    }

    fn signature_of(pieces: Vec<Piece>, gaps: Vec<String>) -> Proof<Signed> {
        evidence(&Pieces { digest: IMAGE, pieces, gaps }).signature
    }

    const SIGNATURE: &str = plimsoll_evidence_trust::predicate::SIGNATURE;
    const SPDX: &str = plimsoll_evidence_trust::predicate::SPDX;

    /// Invariant 4: what could not be read is never "unsigned".
    #[test]
    fn absent_is_not_unreadable_is_not_invalid() {
        let invalid = || Outcome::Invalid { code: "SIG-102", why: "changed".into() };
        let untrusted = || Outcome::Untrusted { code: "SIG-103", why: "a stranger".into() };
        assert_eq!(signature_of(vec![], vec![]), Proof::Missing);
        assert_eq!(signature_of(vec![], vec!["429".into()]), Proof::Unknown("429".into()));
        assert_eq!(signature_of(vec![piece(SPDX, untrusted())], vec![]), Proof::Missing);
        assert_eq!(
            signature_of(vec![piece(SIGNATURE, untrusted())], vec![]),
            Proof::Untrusted("a stranger".into())
        );
        assert_eq!(
            signature_of(vec![piece(SIGNATURE, untrusted()), piece(SIGNATURE, invalid())], vec![]),
            Proof::Invalid("changed".into())
        );
        let unreadable = unread(None, Found::Unknown("500".into()));
        assert_eq!(
            signature_of(vec![piece(SIGNATURE, untrusted()), unreadable], vec![]),
            Proof::Unknown("500".into())
        );
        // What is labelled as an SBOM was none of the signature's.
        let labelled = unread(Some(SPDX), Found::Unknown("500".into()));
        assert_eq!(signature_of(vec![labelled], vec![]), Proof::Missing);
    }

    #[test]
    fn what_is_about_another_image_is_listed() {
        let facts = evidence(&Pieces {
            digest: IMAGE,
            pieces: vec![unread(None, Found::Foreign("an SBOM about sha256:8".into()))],
            gaps: vec![],
        });
        assert_eq!(facts.foreign, ["an SBOM about sha256:8, attached as sha256:2"]);
        assert_eq!(facts.signature, Proof::Missing);
    }
}
