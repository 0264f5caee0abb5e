//! Everything that can stop a scan. A single advisory that cannot be read
//! stops nothing; it is a warning in the report.

use std::io;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose};

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("there is no advisory database at `{}`", path.display())]
    NoDatabase { path: PathBuf },
    #[error("`{}` is not an advisory file", path.display())]
    NotADatabase { path: PathBuf },
    #[error("could not read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the archive `{}` cannot be read: {why}", path.display())]
    Archive { path: PathBuf, why: String },
    #[error("`{}` has more than {most} {what}", path.display())]
    TooMuch { path: PathBuf, what: &'static str, most: u64 },
    #[error("there is not one advisory in {}", list(paths))]
    NoAdvisories { paths: Vec<PathBuf> },
    #[error("could not write the index `{}`", path.display())]
    IndexWrite { path: PathBuf, source: io::Error },
    #[error("the index of the advisories changed or broke while it was read: {why}")]
    IndexDamaged { why: &'static str },
    #[error("`{}` is not a usable VEX document: {why}", path.display())]
    Vex { path: PathBuf, why: String },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::NoDatabase { .. }
            | Self::NotADatabase { .. }
            | Self::NoAdvisories { .. }
            | Self::Vex { .. } => Class::Usage,
            Self::Unreadable { .. }
            | Self::Archive { .. }
            | Self::TooMuch { .. }
            | Self::IndexDamaged { .. } => Class::Outside,
            Self::IndexWrite { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoDatabase { .. } => "ADV-001",
            Self::NotADatabase { .. } => "ADV-002",
            Self::Unreadable { .. } => "ADV-003",
            Self::Archive { .. } => "ADV-004",
            Self::TooMuch { .. } => "ADV-005",
            Self::NoAdvisories { .. } => "ADV-006",
            Self::IndexWrite { .. } => "ADV-007",
            Self::IndexDamaged { .. } => "ADV-008",
            Self::Vex { .. } => "ADV-009",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::NotADatabase { .. } => {
                Some("a directory, or a file that ends in .json, .zip, .md or .toml".into())
            }
            Self::Vex { .. } => Some("an OpenVEX document in JSON".into()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoDatabase { .. } | Self::NotADatabase { .. } | Self::NoAdvisories { .. } => {
                "nothing was scanned; name OSV files, an `all.zip` or the RustSec database: `plimsoll sbom scan REF --database \
                 DIR|FILE`; see `plimsoll explain ADV-001`"
                    .into()
            }
            Self::Unreadable { .. } => {
                "nothing was scanned; see that the file is readable for this user, then scan again".into()
            }
            Self::Archive { .. } | Self::TooMuch { .. } => {
                "nothing was scanned, since the advisories would be incomplete; download the archive again".into()
            }
            Self::IndexWrite { path, .. } => {
                format!("free some space or name another place; `{}` was left as it was", path.display())
            }
            Self::IndexDamaged { .. } => "scan again: the index is then built anew".into(),
            Self::Vex { .. } => {
                "nothing was suppressed; compare the document with the specification: `plimsoll explain ADV-009`".into()
            }
        })
    }
}
