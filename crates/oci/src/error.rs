//! What can go wrong with images, layouts, layers and archives.

use std::io;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Digest};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and with what.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was being done, an infinitive.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No space, or no quota, left.
    #[error("no space left to {action} {path}")]
    DiskFull {
        /// What was being done, an infinitive.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Bytes that hash to something else.
    #[error("{object} does not have the digest it should have")]
    DigestMismatch {
        /// Which bytes.
        object: String,
        /// As recorded.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// More or fewer bytes than recorded.
    #[error("{object} does not have the size it should have")]
    SizeMismatch {
        /// Which bytes.
        object: String,
        /// As recorded.
        expected: u64,
        /// As counted, in words.
        found: String,
    },
    /// A blob that something refers to is not there.
    #[error("blob {digest} is not in the image layout {layout}")]
    BlobAbsent {
        /// Which blob.
        digest: Digest,
        /// The layout.
        layout: PathBuf,
    },
    /// More than is read of such a thing.
    #[error("{object} is larger than {limit} bytes, the most that is read")]
    TooLarge {
        /// What.
        object: String,
        /// In bytes.
        limit: u64,
    },
    /// A document that breaks its format.
    #[error("{object} cannot be understood: {reason}")]
    Malformed {
        /// Which document.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A layout whose own files contradict its format.
    #[error("the image layout file {path} is damaged: {reason}")]
    CorruptLayout {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An index where one image is needed (BLD-4).
    #[error("{object} is an index of several images, not one linux/amd64 image")]
    IsIndex {
        /// Which.
        object: String,
        /// What it lists: platform and digest each, at most sixteen.
        platforms: Vec<String>,
    },
    /// An image for another platform (BLD-4).
    #[error("{object} is built for another platform")]
    WrongPlatform {
        /// Which image.
        object: String,
        /// The platform that is deployed.
        expected: String,
        /// The platform it says it is for.
        found: String,
    },
    /// A media type that has no meaning here.
    #[error("{object} has the unsupported media type `{media_type}`")]
    UnsupportedMediaType {
        /// What.
        object: String,
        /// Its media type.
        media_type: String,
    },
    /// A compare-and-set of a reference found another value (TAG-3).
    #[error("reference `{name}` does not have the digest it was expected to have")]
    RefMoved {
        /// The reference.
        name: String,
        /// Digest it should have had; `None`: it should not exist.
        expected: Option<Digest>,
        /// Digest it has.
        found: Option<Digest>,
    },
    /// A text that cannot name a reference.
    #[error("`{name}` cannot name an image in a layout")]
    RefName {
        /// The text, shortened.
        name: String,
    },
    /// A layer entry that must not be unpacked.
    #[error("entry `{entry}` of {layer} is refused: {reason}")]
    UnsafeEntry {
        /// Names the layer.
        layer: String,
        /// Path as written.
        entry: String,
        /// Why.
        reason: String,
    },
    /// A layer unpacks to more than is allowed.
    #[error("{layer} unpacks to more than {limit}")]
    LayerLimit {
        /// Names the layer.
        layer: String,
        /// The entry at which it was noticed.
        entry: String,
        /// What was exceeded.
        limit: String,
    },
    /// The system refused to make a file of an entry.
    #[error("cannot {action} `{entry}` of {layer}")]
    Entry {
        /// Names the layer.
        layer: String,
        /// Path as written.
        entry: String,
        /// What was being done, an infinitive.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The directory to unpack into has something in it.
    #[error("the directory {path} is not empty")]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A file or directory that is none of the kinds of archive.
    #[error("{path} is not an image archive or layout")]
    NotAnArchive {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        reason: String,
    },
    /// An archive with several images, and no choice made.
    #[error("{path} holds {} images", .images.len())]
    SeveralImages {
        /// The archive.
        path: PathBuf,
        /// Their names, or digests where they have none.
        images: Vec<String>,
    },
    /// An archive without the image that was asked for.
    #[error("{path} does not hold the image `{reference}`")]
    NoSuchImage {
        /// The archive.
        path: PathBuf,
        /// As asked for.
        reference: String,
        /// What it holds.
        images: Vec<String>,
    },
    /// A directory without `oci-layout`.
    #[error("{path} is not an OCI image layout")]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
}

impl Error {
    /// An error of the operating system; a full disk has its own variant.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { action, path, source }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// As [`Error::io`], but gets out an [`Error`] that travelled inside the
    /// [`io::Error`], as those of [`crate::VerifyingReader`] do.
    pub fn from_read(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::io(action, path, source),
        }
    }

    /// A document that breaks its format.
    pub fn malformed(object: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { object: object.into(), reason: reason.to_string() }
    }
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Io { .. } | Self::DiskFull { .. } | Self::Entry { .. } => Class::Failed,
            Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::BlobAbsent { .. }
            | Self::CorruptLayout { .. }
            | Self::RefMoved { .. } => Class::Integrity,
            Self::TooLarge { .. }
            | Self::Malformed { .. }
            | Self::IsIndex { .. }
            | Self::WrongPlatform { .. }
            | Self::UnsupportedMediaType { .. }
            | Self::UnsafeEntry { .. }
            | Self::LayerLimit { .. } => Class::Refused,
            Self::RefName { .. }
            | Self::NotALayout { .. }
            | Self::Occupied { .. }
            | Self::NotAnArchive { .. }
            | Self::SeveralImages { .. }
            | Self::NoSuchImage { .. } => Class::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "OCI-001",
            Self::DiskFull { .. } => "OCI-002",
            Self::DigestMismatch { .. } => "OCI-003",
            Self::SizeMismatch { .. } => "OCI-004",
            Self::BlobAbsent { .. } => "OCI-005",
            Self::TooLarge { .. } => "OCI-006",
            Self::Malformed { .. } => "OCI-007",
            Self::CorruptLayout { .. } => "OCI-008",
            Self::IsIndex { .. } => "OCI-009",
            Self::WrongPlatform { .. } => "OCI-010",
            Self::UnsupportedMediaType { .. } => "OCI-011",
            Self::RefMoved { .. } => "OCI-012",
            Self::RefName { .. } => "OCI-013",
            Self::NotALayout { .. } => "OCI-014",
            Self::UnsafeEntry { .. } => "OCI-020",
            Self::LayerLimit { .. } => "OCI-021",
            Self::Entry { .. } => "OCI-022",
            Self::Occupied { .. } => "OCI-023",
            Self::NotAnArchive { .. } => "OCI-030",
            Self::SeveralImages { .. } => "OCI-031",
            Self::NoSuchImage { .. } => "OCI-032",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::DigestMismatch { expected, .. } => Some(expected.to_string()),
            Self::SizeMismatch { expected, .. } => Some(format!("{expected} bytes")),
            Self::WrongPlatform { expected, .. } => Some(expected.clone()),
            Self::IsIndex { .. } => Some("one linux/amd64 image manifest".into()),
            Self::RefMoved { expected, .. } => Some(digest_or_none(*expected)),
            Self::NotAnArchive { .. } => {
                Some("an OCI layout directory, an OCI archive or a `docker save` archive".into())
            }
            Self::NoSuchImage { reference, .. } => Some(reference.clone()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::DigestMismatch { found, .. } => Some(found.to_string()),
            Self::SizeMismatch { found, .. } => Some(format!("{found} bytes")),
            Self::WrongPlatform { found, .. } => Some(found.clone()),
            Self::IsIndex { platforms, .. } => Some(platforms.join(", ")),
            Self::RefMoved { found, .. } => Some(digest_or_none(*found)),
            Self::LayerLimit { entry, .. } => Some(format!("the limit is reached at `{entry}`")),
            Self::NotAnArchive { reason, .. } => Some(reason.clone()),
            Self::SeveralImages { images, .. } | Self::NoSuchImage { images, .. } => Some(images.join(", ")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::DiskFull { .. } => {
                "nothing half-written is kept; free some space and run the same command again".into()
            }
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "the bytes were discarded; get them again from where they came, and check that place if it repeats".into()
            }
            Self::BlobAbsent { .. } => "nothing was changed; build, import or pull the image again".into(),
            Self::CorruptLayout { path, .. } => format!(
                "nothing was changed; restore {} from a backup, or move the layout away and build again",
                path.display()
            ),
            Self::IsIndex { .. } => {
                "nothing was changed; name one linux/amd64 manifest by its digest".into()
            }
            Self::WrongPlatform { .. } => "nothing was changed; build the image for linux/amd64".into(),
            Self::RefMoved { .. } => {
                "nothing was changed; the reference keeps the digest that was found".into()
            }
            Self::NotALayout { .. } => {
                "nothing was changed; a layout has the files `oci-layout` and `index.json`".into()
            }
            Self::UnsafeEntry { .. } | Self::LayerLimit { .. } => {
                "nothing was kept of what was unpacked; check where the image comes from".into()
            }
            Self::Entry { .. } => "nothing was kept of what was unpacked".into(),
            Self::Occupied { .. } => "nothing was changed; name a new or empty directory".into(),
            Self::SeveralImages { .. } | Self::NoSuchImage { .. } => {
                "nothing was changed; name one of them as the `reference`".into()
            }
            _ => return None,
        })
    }
}

fn digest_or_none(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "no such reference".into(), |digest| digest.to_string())
}
