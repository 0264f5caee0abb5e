//! The nouns every crate shares: commits, digests, references, findings,
//! releases, ledger events. No I/O, no clock, no policy.
//!
//! A value of one of these types has been parsed, so whoever receives it need
//! not check it again: a [`Commit`] is always forty lower-case hexadecimal
//! digits, a [`PinnedRef`] always carries repository, full-SHA tag and digest.

pub mod commit;
pub mod diagnose;
pub mod digest;
pub mod event;
pub mod finding;
pub mod lookup;
pub mod metadata;
pub mod progress;
pub mod reference;
pub mod release;
pub mod secret;
pub mod trace;

pub use commit::{Commit, ParseCommitError};
pub use diagnose::{Class, Diagnose, Failure, Page};
pub use digest::{Digest, ParseDigestError};
pub use event::Event;
pub use finding::{Check, Decision, Outcome};
pub use lookup::Lookup;
pub use metadata::{BuildMetadata, DigestVerification, RepositoryType, SignatureStatus};
pub use progress::{Observer, Progress, Silent, Stream};
pub use reference::{ImageRef, ParseReferenceError, PinnedRef, Repository};
pub use release::{Release, Strategy};
pub use secret::Secret;
pub use trace::{ParseTraceIdError, TraceId};
