//! What can go wrong on the way from an identity to a bundle, told so that a
//! person knows which service it was, what it said, what is public now, and
//! what to type.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// The services of a Sigstore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Gives a job its identity token: GitHub's endpoint.
    Tokens,
    /// Issues certificates.
    Fulcio,
    /// Logs signatures.
    Rekor,
    /// Signs times.
    Timestamps,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "the identity token service",
            Self::Fulcio => "Fulcio",
            Self::Rekor => "Rekor",
            Self::Timestamps => "the timestamp authority",
        })
    }
}

/// Which service was asked for what, where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The service.
    pub service: Service,
    /// Its address, without query.
    pub endpoint: String,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.service, self.endpoint)
    }
}

/// What has become public, or may have, although signing failed. Logs cannot
/// forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Published {
    /// Nothing.
    #[default]
    Nothing,
    /// Perhaps the certificate: Fulcio's answer did not arrive, or is none.
    PerhapsCertificate,
    /// The certificate, with the identity, in the certificate transparency log.
    Certificate,
    /// And perhaps a signature, in Rekor: what came back cannot be relied on.
    PerhapsEntries,
    /// And at least this many signatures, in Rekor.
    Entries(usize),
}

impl Published {
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::Nothing => "nothing was signed, and no log has an entry".into(),
            Self::PerhapsCertificate => {
                "no signature was published; the certificate transparency log may hold a \
                                         certificate with the identity"
                    .into()
            }
            Self::Certificate => "the certificate and the identity in it are public in the certificate \
                                  transparency log; no signature was published"
                .into(),
            Self::PerhapsEntries => {
                "the certificate is public, and the transparency log may hold an entry of this signature"
                    .into()
            }
            Self::Entries(count) => format!(
                "the certificate is public, and so {} in the transparency log",
                if count == 1 { "is 1 entry".to_owned() } else { format!("are {count} entries") }
            ),
        }
    }
}

/// A failure of keyless signing: what, and what is public all the same.
#[derive(Debug)]
pub struct Error {
    // Boxed, so that results stay small.
    cause: Box<Cause>,
    published: Published,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl std::error::Error for Error {
    // The cause is this error itself, not what lies beneath it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.source()
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// There is no identity token.
    #[error("there is no identity token to sign with")]
    NoToken {
        /// Where was looked, and what is missing there.
        found: String,
        /// What to add where.
        hint: String,
    },
    /// A text is no identity token.
    #[error("the identity token from {origin} cannot be used")]
    TokenUnusable {
        /// Where it came from.
        origin: String,
        /// Why not; never the token.
        reason: String,
    },
    /// An identity token has expired.
    #[error("the identity token from {origin} has expired")]
    TokenExpired {
        /// Where it came from.
        origin: String,
        /// Since when, RFC 3339.
        expired: String,
        /// The time now, RFC 3339.
        now: String,
    },
    /// An identity token is for somebody else.
    #[error("the identity token from {origin} is for another audience")]
    TokenAudience {
        /// Where it came from.
        origin: String,
        /// The audience that is needed.
        expected: String,
        /// The audiences it has.
        found: String,
    },
    /// A signing config cannot be read.
    #[error("the signing config {origin} cannot be used")]
    Config {
        /// Where it came from.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No service of a signing config can be used.
    #[error("the signing config {origin} names no usable {service}")]
    NoService {
        /// Where the config came from.
        origin: String,
        /// `Fulcio`, `Rekor`, `timestamp authority`.
        service: &'static str,
        /// What it asks for.
        expected: String,
        /// What it has, each with why not.
        found: String,
    },
    /// An option that cannot be used: a CA file.
    #[error("the signing option {option} cannot be used")]
    Options {
        /// Which.
        option: String,
        /// Why not.
        reason: String,
    },
    /// No connection, or it broke, or nothing came for too long; after retries.
    #[error("{at} did not answer{}", tries(*attempts))]
    Unreachable {
        /// Who.
        at: At,
        /// How often it was tried.
        attempts: u32,
        /// What happened last.
        source: Beneath,
    },
    /// TLS: the service could not prove who it is.
    #[error("{at} could not prove its identity")]
    Untrusted {
        /// Who.
        at: At,
        /// What TLS says.
        source: Beneath,
    },
    /// 429 or 5xx, still, after retries.
    #[error("{at} is busy or broken ({status}){}", tries(*attempts))]
    Busy {
        /// Who.
        at: At,
        /// The last status.
        status: StatusCode,
        /// How often it was tried.
        attempts: u32,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What it says.
        says: String,
    },
    /// Another refusal.
    #[error("{at} refused the request ({status})")]
    Refused {
        /// Who.
        at: At,
        /// The status.
        status: StatusCode,
        /// What it says.
        says: String,
    },
    /// What answered is no such service, or breaks the protocol.
    #[error("{at} gave an answer that such a service does not give")]
    Nonsense {
        /// Who.
        at: At,
        /// What should have come.
        expected: String,
        /// What came instead.
        found: String,
    },
    /// A certificate for another key than the one it was asked for.
    #[error("{at} issued a certificate for another key")]
    OtherKey {
        /// Who.
        at: At,
        /// SHA-256 of the key that was made for this signature.
        expected: String,
        /// SHA-256 of the key in the certificate.
        found: String,
    },
    /// A certificate that verifiers will not accept.
    #[error("{at} issued a certificate that does not verify")]
    Certificate {
        /// Who.
        at: At,
        /// What should have been.
        expected: String,
        /// What is wrong.
        found: String,
    },
    /// The certificate's transparency timestamp is missing or wrong.
    #[error("{at} issued a certificate without a valid signed certificate timestamp")]
    Sct {
        /// Who.
        at: At,
        /// What is wrong.
        found: String,
    },
    /// A log entry that is not about what was sent.
    #[error("{at} logged something else than it was sent")]
    Entry {
        /// Who.
        at: At,
        /// What was sent.
        expected: String,
        /// What is in the entry.
        found: String,
    },
    /// A timestamp that is not about what was sent.
    #[error("{at} gave a timestamp that is not one for this signature")]
    Timestamp {
        /// Who.
        at: At,
        /// What should have been.
        expected: String,
        /// What is in it.
        found: String,
    },
    /// The certificate ran out before everything was signed.
    #[error("the certificate expired before everything was signed")]
    CertificateExpired {
        /// When it did, RFC 3339.
        expired: String,
        /// The time now, RFC 3339.
        now: String,
    },
    /// What was signed does not verify.
    #[error("what was just signed does not verify, so it is not used")]
    Unverified {
        /// What the verifier says.
        reason: String,
    },
}

/// What lies beneath an error.
pub type Beneath = Box<dyn std::error::Error + Send + Sync>;

fn tries(attempts: u32) -> String {
    if attempts > 1 { format!(" after {attempts} tries") } else { String::new() }
}

impl Error {
    /// What went wrong.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// What is public all the same.
    pub fn published(&self) -> Published {
        self.published
    }

    /// The same error, with at least this public.
    #[must_use]
    pub(crate) fn with_published(mut self, published: Published) -> Self {
        self.published = self.published.max(published);
        self
    }

    /// Whether another instance of the same service may do better.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(*self.cause, Cause::Unreachable { .. } | Cause::Busy { .. })
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self { cause: Box::new(cause), published: Published::Nothing }
    }
}
