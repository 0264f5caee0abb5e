//! What can go wrong between here and a database. No URL, user's password or
//! value of a row is in any of it; pages are in `pages`.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_model::{Class, Diagnose};
use tokio_postgres::error::SqlState;

use crate::address::Address;
use crate::tls::Handshake;

/// The longest text of a server that is kept, in characters.
const LONGEST_TEXT: usize = 600;

/// Why a server lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong password, or none where one is asked for.
    Password,
    /// No such role, or the server's rules (`pg_hba.conf`) do not allow it.
    Role,
    /// The role may not connect to this database.
    Privilege,
}

/// A connection or a query that did not come off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none.
    #[error("the URL of the database cannot be used: {why}")]
    Url {
        /// Why; never the URL.
        why: String,
    },
    /// Nobody answers, or not in time.
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Database and host.
        address: String,
        /// What happened.
        why: String,
    },
    /// A server answers and takes no connections at the moment.
    #[error("{address} takes no connections at the moment")]
    NotAccepting {
        /// Database and host.
        address: String,
        /// What the server says.
        says: String,
    },
    /// The server lets this user not in.
    #[error("{address} refuses the connection")]
    Denied {
        /// Database and host.
        address: String,
        /// Why, in short.
        refusal: Refusal,
        /// What the server says.
        says: String,
    },
    /// There is no such database.
    #[error("{address} does not exist")]
    NoDatabase {
        /// Database and host.
        address: String,
    },
    /// TLS is demanded and the server has none.
    #[error("{address}: the server offers no TLS")]
    NoTls {
        /// Database and host.
        address: String,
    },
    /// The server cannot prove who it is, or TLS fails otherwise.
    #[error("{address}: TLS failed")]
    Tls {
        /// Database and host.
        address: String,
        /// What TLS says.
        why: String,
    },
    /// A certificate or key file cannot be used.
    #[error("{} cannot be used for TLS", path.display())]
    CertificateFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The connection ended while it was needed.
    #[error("could not {operation}: the connection to {address} was lost")]
    Lost {
        /// What was being done.
        operation: String,
        /// Database and host.
        address: String,
        /// What is known of the reason.
        why: String,
    },
    /// The database refused a statement.
    #[error("could not {operation}: {message}")]
    Query {
        /// What was being done.
        operation: String,
        /// Database and host.
        address: String,
        /// SQLSTATE, five characters (PostgreSQL, appendix A).
        state: String,
        /// What the database says.
        message: String,
    },
    /// The answer is none that was expected of this query.
    #[error("could not {operation}: {address} gave an answer that is not understood")]
    Nonsense {
        /// What was being done.
        operation: String,
        /// Database and host.
        address: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Error {
    /// Why a connection was not made.
    pub(crate) fn connecting(address: &Address, error: &tokio_postgres::Error) -> Self {
        let shown = address.to_string();
        if let Some(db) = error.as_db_error() {
            return Self::refused(shown, db);
        }
        let source = error.source();
        if let Some(handshake) = source.and_then(|s| s.downcast_ref::<Handshake>()) {
            return Self::Tls { address: shown, why: short(&handshake.0) };
        }
        let why = source.map_or_else(|| error.to_string(), |source| source.to_string());
        if why.contains("server does not support TLS") {
            return Self::NoTls { address: shown };
        }
        // The driver has no public kind; its words name no value.
        let kind = error.to_string();
        if kind.starts_with("authentication error") || why.contains("password missing") {
            return Self::Denied { address: shown, refusal: Refusal::Password, says: short(&why) };
        }
        Self::Unreachable { address: shown, why: short(&why) }
    }

    fn refused(address: String, db: &tokio_postgres::error::DbError) -> Self {
        let says = short(db.message());
        let denied = |refusal| Self::Denied { address: address.clone(), refusal, says: says.clone() };
        match *db.code() {
            SqlState::INVALID_PASSWORD => denied(Refusal::Password),
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => denied(Refusal::Role),
            SqlState::INSUFFICIENT_PRIVILEGE => denied(Refusal::Privilege),
            SqlState::INVALID_CATALOG_NAME => Self::NoDatabase { address },
            _ => Self::NotAccepting { address, says: format!("{says} (SQLSTATE {})", db.code().code()) },
        }
    }

    pub(crate) fn too_slow(address: &Address, after: Duration) -> Self {
        let why = format!("no connection within {} s", after.as_secs_f64());
        Self::Unreachable { address: address.to_string(), why }
    }

    /// SQLSTATE of a refused statement.
    pub fn state(&self) -> Option<&str> {
        match self {
            Self::Query { state, .. } => Some(state),
            _ => None,
        }
    }

    /// Whether the connection is gone, so that nobody knows what became of what
    /// was sent last.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Unreachable { .. } | Self::NotAccepting { .. })
    }
}

/// A server's text, on one line and not too long.
pub(crate) fn short(text: &str) -> String {
    let mut short: String =
        text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST_TEXT).is_some() {
        short.push('…');
    }
    short
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::Url { .. } | Self::CertificateFile { .. } => Class::Usage,
            Self::Query { .. } => Class::Failed,
            Self::Unreachable { .. }
            | Self::NotAccepting { .. }
            | Self::Denied { .. }
            | Self::NoDatabase { .. }
            | Self::NoTls { .. }
            | Self::Tls { .. }
            | Self::Lost { .. }
            | Self::Nonsense { .. } => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "DBS-001",
            Self::Unreachable { .. } => "DBS-002",
            Self::NotAccepting { .. } => "DBS-003",
            Self::Denied { .. } => "DBS-004",
            Self::NoDatabase { .. } => "DBS-005",
            Self::NoTls { .. } => "DBS-006",
            Self::Tls { .. } => "DBS-007",
            Self::CertificateFile { .. } => "DBS-008",
            Self::Lost { .. } => "DBS-009",
            Self::Query { .. } => "DBS-010",
            Self::Nonsense { .. } => "DBS-011",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Url { .. } => {
                Some("postgres://USER@HOST/DATABASE, the password from the environment or a file".into())
            }
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Unreachable { why, .. }
            | Self::Tls { why, .. }
            | Self::CertificateFile { why, .. }
            | Self::Lost { why, .. }
            | Self::Nonsense { why, .. } => Some(why.clone()),
            Self::NotAccepting { says, .. } | Self::Denied { says, .. } => Some(says.clone()),
            Self::Query { state, .. } => Some(format!("SQLSTATE {state}")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Url { .. } => {
                "nothing was connected to; `plimsoll config show --origin` tells where the URL comes from"
            }
            Self::Unreachable { .. } => {
                "is the server up, and do host and port lead to it from here? `pg_isready -h HOST -p PORT` asks the same"
            }
            Self::NotAccepting { .. } => "it is starting, stopping or full; try again in a moment",
            Self::Denied { refusal: Refusal::Password, .. } => {
                "the password comes with the URL (`env:NAME`, `file:PATH`, `command:CMD`) or from PGPASSWORD; in a URL its special characters are written in percent form"
            }
            Self::Denied { refusal: Refusal::Role, .. } => {
                "the role does not exist, or pg_hba.conf does not let it in from here in this way (TLS or not)"
            }
            Self::Denied { refusal: Refusal::Privilege, .. } => {
                "an owner of the database can say `GRANT CONNECT ON DATABASE … TO …`"
            }
            Self::NoDatabase { .. } => "`createdb` makes it, or the URL's last part names another one",
            Self::NoTls { .. } => {
                "switch TLS on in the server (`ssl = on`), or say `sslmode=prefer` where the way to it is trusted"
            }
            Self::Tls { .. } => {
                "`sslrootcert=FILE` names whom to trust; `sslmode=verify-ca` leaves the host's name out of account"
            }
            Self::CertificateFile { .. } => {
                "the URL's `sslrootcert`, `sslcert` and `sslkey` name files in PEM form"
            }
            Self::Lost { .. } => {
                "what was sent last may or may not have taken effect; ask again before it is repeated"
            }
            Self::Query { .. } | Self::Nonsense { .. } => return None,
        };
        Some(hint.into())
    }
}
