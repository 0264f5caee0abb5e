//! What is attached to an image, brought here and verified, piece by piece
//! (SIG-5). Nothing is decided here.

use jiff::Timestamp;
use plimsoll_evidence_trust::{
    Clock, Evidence, Outcome, Role, Trust, Verification, Verified, legacy, verify,
};
use plimsoll_model::{Digest, Failure, Lookup};
use plimsoll_oci::{Descriptor, Layout, media_type};
use plimsoll_registry::client::{Attachment, Layer, Reader, Wanted};

use crate::blocking;

/// A piece of evidence, and what came of verifying it.
pub(crate) struct Piece {
    /// Where it is: digest of the referrer, or the tag of the older scheme.
    pub(crate) reference: String,
    /// What it calls itself where it is listed; a claim.
    pub(crate) label: Option<String>,
    /// What came of it.
    pub(crate) found: Found,
}

/// What came of one piece.
pub(crate) enum Found {
    /// It was read.
    Read(Box<Verification>),
    /// It says that it is about another image.
    Foreign(String),
    /// It is not what its descriptor says, or no manifest at all; why.
    Invalid(String),
    /// It could not be read; why.
    Unknown(String),
}

/// Everything that is attached to one image.
pub(crate) struct Pieces {
    /// The image.
    pub(crate) digest: Digest,
    /// One for each statement, in the order of the list.
    pub(crate) pieces: Vec<Piece>,
    /// Why the list is not whole, where it is not: there may be more.
    pub(crate) gaps: Vec<String>,
}

impl Pieces {
    /// Nothing could be looked at.
    pub(crate) fn unknown(digest: Digest, why: String) -> Self {
        Self { digest, pieces: Vec::new(), gaps: vec![why] }
    }

    /// What verified for a role, with where it is.
    pub(crate) fn verified(&self, role: Role) -> impl Iterator<Item = (&Piece, &Verified)> {
        self.pieces.iter().filter_map(move |piece| match &piece.found {
            Found::Read(verification) => match &verification.outcome {
                Outcome::Verified(verified) if verified.role == role => Some((piece, verified)),
                _ => None,
            },
            _ => None,
        })
    }
}

/// What of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Whatever may be evidence.
    Everything,
    /// What calls itself something that a rule asks for, or says nothing of itself.
    WhatRulesAskFor,
}

/// Reads and verifies what is attached to an image. What was read and verified
/// before is in the local store and is not fetched again.
///
/// # Errors
/// Only that a thread was lost: what cannot be read is part of the answer.
pub(crate) async fn pieces(
    reader: &Reader,
    store: &Layout,
    digest: Digest,
    trust: Trust,
    known_since: Option<Timestamp>,
    reading: Reading,
) -> Result<Pieces, Failure> {
    let want = |entry: &Descriptor| {
        may_be_evidence(entry) && (reading == Reading::Everything || may_be_asked_for(entry))
    };
    let wanted = Wanted { want: &want, store: Some(store), ..Wanted::default() };
    let evidence = reader.evidence(&digest, &wanted).await;
    let clock = Clock { now: Timestamp::now(), known_since };
    let store = store.clone();
    blocking("verifying what is attached", move || {
        let mut all = Pieces { digest, pieces: Vec::new(), gaps: evidence.unreadable };
        match evidence.referrers {
            Lookup::Found(referrers) => {
                for referrer in referrers {
                    let label = referrer.descriptor.annotations.get(PREDICATE_TYPE).cloned();
                    let reference = referrer.descriptor.digest.to_string();
                    let piece = |found| Piece { reference: reference.clone(), label: label.clone(), found };
                    match &referrer.content {
                        Lookup::Found(attachment) => {
                            let before = all.pieces.len();
                            all.pieces.extend(of_referrer(attachment, digest, &trust, clock).map(piece));
                            if all.pieces[before..].iter().all(is_verified) {
                                // Cannot be kept: it is fetched again next time.
                                let _ = referrer.keep(&store);
                            }
                        }
                        Lookup::Absent => {
                            all.pieces.push(piece(Found::Unknown("listed, and not there".into())))
                        }
                        Lookup::Invalid(_) if referrer.is_of_another_image => {
                            all.pieces
                                .push(piece(Found::Foreign("its manifest names another subject".into())));
                        }
                        Lookup::Invalid(why) => all.pieces.push(piece(Found::Invalid(why.clone()))),
                        Lookup::Unknown(why) => all.pieces.push(piece(Found::Unknown(why.clone()))),
                    }
                }
            }
            other => all.gaps.push(other.describe(|_| String::new())),
        }
        for (suffix, tag) in [("sig", evidence.signatures), ("att", evidence.attestations)] {
            let reference = format!("sha256-{}.{suffix}", digest.hex());
            match tag {
                Lookup::Found(attachment) => {
                    for layer in &attachment.layers {
                        if let Some(found) = of_legacy(layer, digest, &trust, clock) {
                            all.pieces.push(Piece { reference: reference.clone(), label: None, found });
                        }
                    }
                }
                Lookup::Absent => {}
                Lookup::Invalid(why) => {
                    all.pieces.push(Piece { reference, label: None, found: Found::Invalid(why) });
                }
                Lookup::Unknown(why) => all.gaps.push(format!("tag {reference}: {why}")),
            }
        }
        all
    })
    .await
}

const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";

/// A label may be missing or wrong, so only what says that it is something
/// else altogether is left alone.
fn may_be_evidence(entry: &Descriptor) -> bool {
    match entry.artifact_type.as_deref() {
        None | Some("" | media_type::OCI_EMPTY | media_type::OCI_CONFIG) => true,
        Some(kind) => kind.starts_with(BUNDLE) || kind.starts_with("application/vnd.dev.cosign.artifact."),
    }
}

/// The label of a bundle is the predicate's type. One that speaks for nothing here
/// proves nothing, whoever signed it, and whoever could label a proof as that
/// could as well leave it out. Without a label it may be anything.
fn may_be_asked_for(entry: &Descriptor) -> bool {
    let label = entry.annotations.get(PREDICATE_TYPE).map(String::as_str);
    label.is_none_or(|label| label.is_empty() || Role::of(label) != Role::Other)
}

/// How the media type of every version of a bundle begins.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";

fn is_verified(piece: &Piece) -> bool {
    matches!(&piece.found, Found::Read(read) if matches!(read.outcome, Outcome::Verified(_)))
}

fn of_referrer<'a>(
    attachment: &'a Attachment,
    digest: Digest,
    trust: &'a Trust,
    clock: Clock,
) -> impl Iterator<Item = Found> + use<'a> {
    attachment.layers.iter().filter_map(move |layer| {
        let kind = layer.descriptor.media_type.as_str();
        if kind.starts_with(BUNDLE) {
            return Some(read(layer, |bytes| verify(Evidence::Bundle(bytes), &digest, trust, clock)));
        }
        of_legacy(layer, digest, trust, clock)
    })
}

/// A layer of the older scheme; what is of neither kind is no evidence.
fn of_legacy(layer: &Layer, digest: Digest, trust: &Trust, clock: Clock) -> Option<Found> {
    let annotations = &layer.descriptor.annotations;
    match layer.descriptor.media_type.as_str() {
        legacy::SIMPLE_SIGNING => Some(read(layer, |payload| {
            verify(Evidence::LegacySignature { payload, annotations }, &digest, trust, clock)
        })),
        legacy::ENVELOPE => Some(read(layer, |envelope| {
            verify(Evidence::LegacyAttestation { envelope, annotations }, &digest, trust, clock)
        })),
        _ => None,
    }
}

fn read(layer: &Layer, verified: impl FnOnce(&[u8]) -> Verification) -> Found {
    match &layer.bytes {
        Lookup::Found(bytes) => {
            let verification = verified(bytes);
            match &verification.outcome {
                Outcome::Foreign { about } => {
                    let kind = match verification.claimed_role() {
                        Some(Role::Other) | None => "statement".to_owned(),
                        Some(role) => role.to_string(),
                    };
                    let about = about.parse::<Digest>().map_or_else(|_| about.clone(), |other| other.short());
                    Found::Foreign(format!("{kind} about {about}"))
                }
                _ => Found::Read(Box::new(verification)),
            }
        }
        Lookup::Absent => Found::Unknown("its content is not there".into()),
        Lookup::Invalid(why) => Found::Invalid(why.clone()),
        Lookup::Unknown(why) => Found::Unknown(why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_evidence_trust::predicate;

    use super::*;

    #[test]
    fn only_what_says_that_nothing_asks_for_it_is_left_alone() {
        let entry = |label: Option<&str>| {
            let mut entry = Descriptor::of(media_type::OCI_MANIFEST, b"x");
            entry.annotations.extend(label.map(|label| (PREDICATE_TYPE.into(), label.into())));
            may_be_asked_for(&entry)
        };
        let predicates = [predicate::SIGNATURE, predicate::REBUILD, "https://openvex.dev/ns/v0.2.0"];
        assert!(predicates.iter().all(|label| entry(Some(label))));
        assert!(entry(None) && entry(Some("")));
        assert!(!entry(Some("https://example.com/review/v1")));
    }
}
