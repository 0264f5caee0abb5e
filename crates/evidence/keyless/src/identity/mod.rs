//! Who signs: the identity token that a certificate is issued for.
//!
//! A token is believed by Fulcio, not by us: its claims are read to say early,
//! and in words, what Fulcio would refuse.

mod ambient;
mod token;

pub use ambient::{Environment, TokenSource};
pub(crate) use token::whole_seconds;
pub use token::{Claims, IdentityToken};

/// The audience that the public instance and most private ones ask for.
pub const AUDIENCE: &str = "sigstore";
