//! Evidence, policy and record: `[signing]`, `[verification]`,
//! `[sbom.policy]`, `[contract]`, `[migrations]`, `[ledger]`.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use plimsoll_model::Secret;

use crate::secret::{SecretContext, SecretError, SecretSource};
use crate::table::Table;
use crate::values;

/// `[signing]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// The private key.
    pub key: SecretSource,
    /// Its password. Default: none, the key is not encrypted.
    pub password: Option<SecretSource>,
}

/// `[verification]` (SIG-3, SIG-4).
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Default: auto.
    pub mode: VerificationMode,
    /// Share of signed deployments above which `auto` becomes mandatory;
    /// above 0, at most 1. Default: 0.9.
    pub threshold: f64,
    /// Deployments that must have been seen first, at least 1. Default: 10.
    pub min_samples: u32,
    /// Keys a signature may be made with. Default: none.
    pub public_keys: Vec<SecretSource>,
    /// Identities a keyless signature may be made by. Default: none.
    pub identities: Vec<Identity>,
    /// Sigstore's trusted root. Default: the built-in one.
    pub trusted_root: Option<SecretSource>,
}

/// What an unverified signature means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerificationMode {
    /// It is logged and the deployment goes on.
    Soft,
    /// The deployment is refused.
    Mandatory,
    /// Soft until coverage passes the threshold, then mandatory for ever.
    Auto,
}

/// Who may have made a keyless signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The OIDC issuer, exactly.
    pub issuer: String,
    /// The certificate's subject; `*` stands for any run of characters.
    pub subject: String,
}

/// `[sbom.policy]` (SBM-3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SbomPolicy {
    /// The lowest severity that refuses a deployment; `None`: none does.
    /// Default: high.
    pub fail_on: Option<Severity>,
    /// Advisories that do not count. Default: none.
    pub ignore: Vec<Ignored>,
}

/// Severity of an advisory, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

/// An advisory that does not count, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its id or an alias: `CVE-2026-0001`.
    pub id: String,
    /// Why; never empty.
    pub reason: String,
    /// The last day on which it does not count. Default: no end.
    pub until: Option<Date>,
}

/// `[contract]` (API-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// The OpenAPI document, relative to the checkout. Default: `openapi.json`.
    pub openapi: PathBuf,
}

/// `[migrations]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// Relative to the checkout. Default: `migrations`.
    pub dir: PathBuf,
    /// What they are applied to. Default: none; they are only linted.
    pub database: Option<Database>,
}

/// `[ledger]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// Default: `sqlite://.plimsoll/ledger.db`.
    pub url: Database,
}

/// Where a database is, as configured: `sqlite://PATH`, `postgres://…`
/// without a password, or a source that gives either.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// `sqlite://PATH`, relative to `plimsoll.toml`.
    Sqlite(PathBuf),
    /// `postgres://…`, with no password in it.
    Postgres(String),
    /// `env:NAME`, `file:PATH`, `command:CMD`.
    Source(SecretSource),
}

/// Where a database is, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The database file.
    Sqlite(PathBuf),
    /// The connection string, which may hold a password.
    Postgres(Secret),
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(url),
            Self::Source(source) => source.fmt(f),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Database {
    /// The full URL; reads the secret where it is one.
    ///
    /// # Errors
    /// The source cannot be read, or what it gave is neither `sqlite://PATH`
    /// nor `postgres://…` (the text itself is never in the error).
    pub fn resolve(&self, context: &SecretContext<'_>) -> Result<DatabaseUrl, SecretError> {
        let sqlite = |path: &Path| DatabaseUrl::Sqlite(context.root.join(path));
        match self {
            Self::Sqlite(path) => Ok(sqlite(path)),
            Self::Postgres(url) => Ok(DatabaseUrl::Postgres(Secret::new(url))),
            Self::Source(source) => {
                let secret = source.resolve(context)?;
                match secret.reveal() {
                    url if is_postgres(url) => Ok(DatabaseUrl::Postgres(secret)),
                    url => match url.strip_prefix("sqlite://") {
                        Some(path) if !path.is_empty() => Ok(sqlite(Path::new(path))),
                        _ => Err(SecretError::NotADatabase { origin: source.clone() }),
                    },
                }
            }
        }
    }
}

/// Whether this is a PostgreSQL connection URL (libpq, "Connection URIs").
pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

pub(crate) fn signing(mut table: Table<'_>) -> Option<Signing> {
    let key = table.need_shown("key", "\"env:COSIGN_PRIVATE_KEY\"", values::secret, |_, key| key.to_string());
    let password = table.opt_shown("password", values::secret, |_, password| password.to_string());
    table.finish();
    Some(Signing { key: key?, password })
}

pub(crate) fn verification(mut table: Table<'_>) -> Option<Verification> {
    let modes = values::choice(&[
        ("soft", VerificationMode::Soft),
        ("mandatory", VerificationMode::Mandatory),
        ("auto", VerificationMode::Auto),
    ]);
    let mode = table.or("mode", "auto", modes);
    let threshold = table.or("threshold", "0.9", values::share);
    let min_samples = table.or("min_samples", "10", values::number(1, 1_000_000));
    let keys = values::list("[\"file:cosign.pub\"]", values::secret);
    let public_keys = table.opt_shown("public_keys", keys, |_, keys| {
        let keys: Vec<_> = keys.iter().map(|key| format!("{:?}", key.to_string())).collect();
        format!("[{}]", keys.join(", "))
    });
    let identities: Vec<_> = table.tables("identities").into_iter().filter_map(identity).collect();
    let trusted_root = table.opt_shown("trusted_root", values::secret, |_, root| root.to_string());
    table.finish();
    Some(Verification {
        mode: mode?,
        threshold: threshold?,
        min_samples: min_samples?,
        public_keys: public_keys.unwrap_or_default(),
        identities,
        trusted_root,
    })
}

fn identity(mut table: Table<'_>) -> Option<Identity> {
    let issuer = table.need("issuer", "\"https://token.actions.githubusercontent.com\"", values::words);
    let subject = table.need("subject", "\"https://github.com/acme/payouts/*\"", values::words);
    table.finish();
    Some(Identity { issuer: issuer?, subject: subject? })
}

pub(crate) fn sbom(mut table: Table<'_>) -> Option<SbomPolicy> {
    let policy = table.table_or_empty("policy").and_then(sbom_policy);
    table.finish();
    policy
}

fn sbom_policy(mut table: Table<'_>) -> Option<SbomPolicy> {
    let severities = values::choice(&[
        ("critical", Some(Severity::Critical)),
        ("high", Some(Severity::High)),
        ("medium", Some(Severity::Medium)),
        ("low", Some(Severity::Low)),
        ("none", None),
    ]);
    let fail_on = table.or("fail_on", "high", severities);
    let ignore: Vec<_> = table.tables("ignore").into_iter().filter_map(ignored).collect();
    table.finish();
    Some(SbomPolicy { fail_on: fail_on?, ignore })
}

fn ignored(mut table: Table<'_>) -> Option<Ignored> {
    let id = table.need("id", "\"CVE-2026-0001\"", values::words);
    let reason = table.need("reason", "\"not reachable\"", values::words);
    let until = table.opt("until", values::date);
    table.finish();
    Some(Ignored { id: id?, reason: reason?, until })
}

pub(crate) fn contract(mut table: Table<'_>) -> Option<Contract> {
    let openapi = table.or("openapi", "openapi.json", values::relative_path);
    table.finish();
    Some(Contract { openapi: openapi? })
}

pub(crate) fn migrations(mut table: Table<'_>) -> Option<Migrations> {
    let dir = table.or("dir", "migrations", values::relative_path);
    let database = table.opt_shown("database", values::database, |_, url| url.to_string());
    table.finish();
    Some(Migrations { dir: dir?, database })
}

pub(crate) fn ledger(mut table: Table<'_>) -> Option<Ledger> {
    let url = if table.has("url") {
        table.opt_shown("url", values::database, |_, url| url.to_string())
    } else {
        table.or("url", "sqlite://.plimsoll/ledger.db", values::database)
    };
    table.finish();
    Some(Ledger { url: url? })
}
