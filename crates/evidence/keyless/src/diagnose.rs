//! Class, code, expected, found and hint of each error.

use plimsoll_model::{Class, Diagnose};

use crate::error::{Cause, Error, Service};

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self.cause() {
            Cause::NoToken { .. }
            | Cause::TokenUnusable { .. }
            | Cause::TokenExpired { .. }
            | Cause::TokenAudience { .. }
            | Cause::Config { .. }
            | Cause::NoService { .. }
            | Cause::Options { .. } => Class::Usage,
            _ => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self.cause() {
            Cause::NoToken { .. } => "KLS-001",
            Cause::TokenUnusable { .. } => "KLS-002",
            Cause::TokenExpired { .. } => "KLS-003",
            Cause::TokenAudience { .. } => "KLS-004",
            Cause::Config { .. } => "KLS-005",
            Cause::NoService { .. } => "KLS-006",
            Cause::Options { .. } => "KLS-007",
            Cause::Unreachable { .. } => "KLS-008",
            Cause::Untrusted { .. } => "KLS-009",
            Cause::Busy { .. } => "KLS-010",
            Cause::Refused { .. } => "KLS-011",
            Cause::Nonsense { .. } => "KLS-012",
            Cause::OtherKey { .. } => "KLS-013",
            Cause::Certificate { .. } => "KLS-014",
            Cause::Sct { .. } => "KLS-015",
            Cause::Entry { .. } => "KLS-016",
            Cause::Timestamp { .. } => "KLS-017",
            Cause::CertificateExpired { .. } => "KLS-018",
            Cause::Unverified { .. } => "KLS-019",
        }
    }

    fn expected(&self) -> Option<String> {
        match self.cause() {
            Cause::TokenExpired { now, .. } => Some(format!("one that is good at {now}")),
            Cause::TokenAudience { expected, .. }
            | Cause::NoService { expected, .. }
            | Cause::Nonsense { expected, .. }
            | Cause::OtherKey { expected, .. }
            | Cause::Certificate { expected, .. }
            | Cause::Entry { expected, .. }
            | Cause::Timestamp { expected, .. } => Some(expected.clone()),
            Cause::Sct { .. } => {
                Some("one in the certificate, by a certificate transparency log of the trusted root".into())
            }
            Cause::CertificateExpired { now, .. } => Some(format!("one that is good at {now}")),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self.cause() {
            Cause::NoToken { found, .. }
            | Cause::TokenAudience { found, .. }
            | Cause::NoService { found, .. }
            | Cause::Nonsense { found, .. }
            | Cause::OtherKey { found, .. }
            | Cause::Certificate { found, .. }
            | Cause::Sct { found, .. }
            | Cause::Entry { found, .. }
            | Cause::Timestamp { found, .. } => Some(found.clone()),
            Cause::TokenExpired { expired, .. } | Cause::CertificateExpired { expired, .. } => {
                Some(format!("it expired at {expired}"))
            }
            Cause::TokenUnusable { reason, .. }
            | Cause::Config { reason, .. }
            | Cause::Options { reason, .. }
            | Cause::Unverified { reason } => Some(reason.clone()),
            Cause::Busy { says, retry_after, .. } => match retry_after {
                Some(wait) => Some(format!("{says}; it asks to wait {} s", wait.as_secs())),
                None => Some(says.clone()),
            },
            Cause::Refused { says, .. } => Some(says.clone()),
            Cause::Unreachable { .. } | Cause::Untrusted { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let next = match self.cause() {
            Cause::NoToken { hint, .. } => hint.clone(),
            Cause::TokenUnusable { .. } => {
                "give the token itself, three parts with dots between, e.g. `env:SIGSTORE_ID_TOKEN`".into()
            }
            Cause::TokenExpired { .. } => {
                "tokens are good for a few minutes: ask for one right before signing".into()
            }
            Cause::TokenAudience { expected, .. } => {
                format!("ask for a token with the audience `{expected}`")
            }
            Cause::Config { .. } | Cause::NoService { .. } => {
                "`cosign signing-config create` writes one".into()
            }
            Cause::Options { .. } => "correct what is named".into(),
            Cause::Unreachable { .. } | Cause::Busy { .. } => {
                "run it again; signing begins anew with a new key and certificate".into()
            }
            Cause::Untrusted { .. } => {
                "name the certificate authority of a private deployment as a CA file".into()
            }
            Cause::Refused { at, .. } if at.service == Service::Fulcio => {
                "does Fulcio accept this token's issuer? its configuration is at /api/v2/configuration".into()
            }
            Cause::Refused { .. } | Cause::Nonsense { .. } => {
                "check the address in the signing config".into()
            }
            Cause::OtherKey { .. }
            | Cause::Certificate { .. }
            | Cause::Sct { .. }
            | Cause::Entry { .. }
            | Cause::Timestamp { .. }
            | Cause::Unverified { .. } => {
                "the signing config and the trusted root must be of the same deployment".into()
            }
            Cause::CertificateExpired { .. } => "run it again; fewer things at once take less time".into(),
        };
        Some(format!("{}. {next}", self.published().sentence()))
    }
}
