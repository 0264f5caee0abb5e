//! IMAGE -> EVIDENCE: keys, statements, signatures, and their verification in
//! numbered steps (SIG-1, SIG-5).
//!
//! ```text
//! Statement about a digest ─▶ sign ─▶ Bundle ─▶ (attached to the image by `registry`)
//! Evidence found at the image ─▶ verify, by Trust ─▶ Verification: steps, outcome
//! ```
//!
//! Invariants: pure over bytes. No network, no registry, no clock; the caller
//! says what time it is. What is not verified is never returned as verified:
//! [`Verified`] comes out of [`verify()`] alone. Sources: in-toto attestation
//! framework, DSSE, sigstore protobuf-specs; `cosign` for what is not specified.

mod bounded;
mod bundle;
pub mod conformance;
mod dsse;
mod error;
mod external;
mod key;
pub mod legacy;
mod material;
mod pages;
mod role;
mod sign;
mod signer;
mod statement;
mod trust;
mod verify;

pub use bundle::{BUNDLE_MEDIA_TYPE, Bundle, MOST_BUNDLE};
pub use dsse::{Envelope, Signature, pae};
pub use error::Error;
pub use external::ExternalSigner;
pub use key::{Algorithm, PrivateKey, PublicKey};
pub use pages::PAGES;
pub use role::{Role, predicate};
pub use sign::{LegacySignature, sign, sign_legacy};
pub use signer::Signer;
pub use statement::{PAYLOAD_TYPE, STATEMENT, STATEMENT_V01, Statement, Subject};
pub use trust::{Root, Trust, TrustedIdentity, TrustedKey};
pub use verify::{Clock, Evidence, Outcome, SignedBy, Step, StepOutcome, Verification, Verified, verify};
