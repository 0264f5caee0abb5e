//! IMAGE -> EVIDENCE: signing without a key of one's own: identity, certificate,
//! transparency log, time (SIG-1).
//!
//! An identity token says who runs this job. For it and a key that lives for
//! one run, Fulcio issues a certificate of ten minutes; what the key signs is
//! stamped by a timestamp authority and logged by Rekor; the bundle of all that
//! is verified against the trusted root before anybody gets it. What is signed
//! this way, `cosign verify` accepts.
//!
//! ```no_run
//! # use plimsoll_evidence_trust::Statement;
//! # async fn example(statements: &[Statement]) -> Result<(), plimsoll_evidence_keyless::Error> {
//! use plimsoll_evidence_keyless::{AUDIENCE, Keyless, Options, SigningConfig, TokenSource, public_good_root};
//! let (now, options) = (jiff::Timestamp::now(), Options::default());
//! let environment = |name: &str| std::env::var(name).ok();
//! let token = TokenSource::Ambient.token(&environment, AUDIENCE, &options, now).await?;
//! let services = SigningConfig::public_good().services(now)?;
//! let keyless = Keyless::new(services, public_good_root(), options)?;
//! let certified = keyless.certify(&token).await?;
//! let bundles = certified.sign(statements).await?;
//! # Ok(()) }
//! ```
//!
//! The clients are written here and not taken from the `sigstore-fulcio`,
//! `-rekor`, `-tsa` and `-sign` crates; `docs/design/0003-keyless.md` says why.

mod certificate;
mod diagnose;
mod endpoint;
mod error;
mod flow;
mod fulcio;
mod hash;
mod http;
mod identity;
mod key;
mod pages;
mod rekor;
mod retry;
mod services;
mod tsa;

pub use certificate::Identity;
pub use endpoint::Endpoint;
pub use error::{At, Beneath, Cause, Error, Published, Service};
pub use flow::{Certified, Keyless, public_good_root};
pub use http::Options;
pub use identity::{AUDIENCE, Claims, Environment, IdentityToken, TokenSource};
pub use pages::PAGES;
pub use retry::Policy;
pub use services::{Choice, RekorVersion, Services, SigningConfig};
