//! Why a document cannot be read, with the line and column, or two of them
//! cannot be compared.

use std::fmt;

use plimsoll_model::{Class, Diagnose};

/// Where in a file something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file, as its reader or the reference to it named it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters for YAML, in bytes for JSON, from 1.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What keeps a document from being read or compared. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither JSON nor YAML.
    #[error("{position}: this is not valid {language}: {reason}")]
    Syntax {
        /// Where it stops making sense.
        position: Position,
        /// `JSON` or `YAML`.
        language: &'static str,
        /// What is wrong there.
        reason: String,
    },
    /// More than is read.
    #[error("{position}: this is more than is read: {limit}")]
    TooLarge {
        /// Where the limit was reached.
        position: Position,
        /// The limit that it exceeds, in words.
        limit: String,
    },
    /// No OpenAPI document of a version that is understood.
    #[error("{position}: this is not an OpenAPI 3.0 or 3.1 document")]
    NotOpenApi {
        /// Where the version should be.
        position: Position,
        /// What is there instead.
        found: String,
    },
    /// A Swagger 2.0 document.
    #[error("{position}: this is a Swagger 2.0 document")]
    Swagger {
        /// Where it says so.
        position: Position,
    },
    /// A reference leads nowhere.
    #[error("{position}: the reference `{reference}` cannot be resolved: {reason}")]
    Reference {
        /// Where it is.
        position: Position,
        /// As written.
        reference: String,
        /// Why not.
        reason: String,
    },
    /// Something has a shape that it cannot have.
    #[error("{position}: {what} cannot be {found}")]
    Shape {
        /// Where it is.
        position: Position,
        /// What it is, e.g. `paths`.
        what: String,
        /// What it should be.
        expected: &'static str,
        /// What it is instead.
        found: &'static str,
    },
    /// Comparing takes more steps than are spent.
    #[error("comparing the two documents takes more than {steps} steps")]
    TooComplex {
        /// The steps that were spent.
        steps: u64,
    },
    /// A list of accepted breaks that cannot be used.
    #[error("the accepted break number {number} cannot be used: {reason}")]
    Accepted {
        /// Its place in the list, from 1.
        number: usize,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// Where it is, if it is in a file.
    pub fn position(&self) -> Option<&Position> {
        match self {
            Self::Syntax { position, .. }
            | Self::TooLarge { position, .. }
            | Self::NotOpenApi { position, .. }
            | Self::Swagger { position }
            | Self::Reference { position, .. }
            | Self::Shape { position, .. } => Some(position),
            Self::TooComplex { .. } | Self::Accepted { .. } => None,
        }
    }
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "OAS-001",
            Self::TooLarge { .. } => "OAS-002",
            Self::NotOpenApi { .. } => "OAS-003",
            Self::Swagger { .. } => "OAS-004",
            Self::Reference { .. } => "OAS-005",
            Self::Shape { .. } => "OAS-006",
            Self::TooComplex { .. } => "OAS-007",
            Self::Accepted { .. } => "OAS-008",
        }
    }

    fn expected(&self) -> Option<String> {
        Some(match self {
            Self::NotOpenApi { .. } => "`openapi: 3.0.x` or `openapi: 3.1.x`".into(),
            Self::Swagger { .. } => "an OpenAPI 3.0 or 3.1 document".into(),
            Self::Shape { expected, .. } => (*expected).into(),
            _ => return None,
        })
    }

    fn found(&self) -> Option<String> {
        Some(match self {
            Self::NotOpenApi { found, .. } => found.clone(),
            Self::Swagger { .. } => "`swagger: \"2.0\"`".into(),
            Self::Shape { found, .. } => (*found).into(),
            _ => return None,
        })
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Syntax { position, .. } => format!("nothing was compared; mend {position}"),
            Self::TooLarge { .. } => "nothing was compared; split the document, or write out its YAML aliases".into(),
            Self::NotOpenApi { .. } => {
                "nothing was compared; name the OpenAPI document in `[contract] openapi` of plimsoll.toml".into()
            }
            Self::Swagger { .. } => {
                "nothing was compared; convert it once with `npx swagger2openapi --outfile openapi.json swagger.json` \
                 and keep the result"
                    .into()
            }
            Self::Reference { .. } => {
                "nothing was compared; mend the reference, or fetch what it refers to and refer to it by its path".into()
            }
            Self::Shape { position, .. } => format!("nothing was compared; mend {position}"),
            Self::TooComplex { .. } => {
                "nothing was judged; look for schemas that combine each other by `allOf` in long chains".into()
            }
            Self::Accepted { .. } => {
                "give each accepted break `rule`, `reason` and `until`, and `path` or `component`".into()
            }
        })
    }
}
