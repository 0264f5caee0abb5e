//! Judges migrations, and runs them on a scratch database to see what they really lock.

use std::path::{Path, PathBuf};

use plimsoll_config::{Database, DatabaseUrl, SecretContext, SecretSource};
use plimsoll_evidence_lock_trace::{Error, Options, merge, trace};
use plimsoll_evidence_migration_lint::{Dialect, Report};
use plimsoll_model::{Failure, Secret};

use super::{LintRequest, judged};
use crate::blocking;
use crate::context::Context;

/// The most that the SQL of the rows may have, in bytes.
const MOST_ROWS: u64 = 64 << 20;

/// Where migrations are traced.
#[derive(Clone)]
pub struct TraceRequest {
    /// `postgres://…`, `env:NAME`, `file:PATH` or `command:CMD`.
    pub at: String,
    /// A file of SQL that puts rows in before the new migrations run.
    pub rows: Option<PathBuf>,
}

/// Judges migrations as [`super::lint`] does, runs them on a scratch database, and puts
/// both together.
///
/// # Errors
/// As [`super::lint`]; and when there is no scratch database to be had, or the released
/// migrations fail on it.
pub async fn lint_traced(
    context: Option<&Context>,
    request: LintRequest,
    at: TraceRequest,
) -> Result<Report, Failure> {
    let root = context.map_or_else(|| PathBuf::from("."), |context| context.root().to_path_buf());
    let (url, rows) = blocking("reading where to trace", move || {
        let rows = at.rows.as_deref().map(rows).transpose()?;
        Ok::<_, Failure>((url(&at.at, &root)?, rows))
    })
    .await??;
    let judged = judged(context, request).await?;
    if judged.options.dialect == Dialect::Sqlite {
        let why = "the migrations are SQLite's, which locks the whole file whatever it does";
        return Err(Error::Url { why: why.into() }.into());
    }
    let seen = trace(&url, &judged.files, &judged.options, &Options { rows, ..Options::default() }).await?;
    let mut judged = judged;
    judged.report = merge(judged.report, &seen);
    Ok(judged.shown())
}

fn rows(path: &Path) -> Result<String, Failure> {
    let failed = |why: String| Error::Rows { says: format!("{}: {why}", path.display()) };
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > MOST_ROWS {
        return Err(failed(format!("{length} bytes, of at most {MOST_ROWS}")).into());
    }
    Ok(std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?)
}

/// The URL of the server. One with a password is not taken from the arguments, which
/// every process of the machine can read, unless it is one of the machine itself.
fn url(at: &str, root: &Path) -> Result<Secret, Failure> {
    let error = |why: &str| Failure::from(Error::Url { why: why.into() });
    let rest = at.strip_prefix("postgres://").or_else(|| at.strip_prefix("postgresql://"));
    if let Some(rest) = rest {
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let here = host.is_empty() || host == "localhost" || host == "[::1]" || host.starts_with("127.");
        let secret = user.contains(':') || rest.contains("password=");
        if secret && !here {
            return Err(error("a password must not be among the arguments"));
        }
        return Ok(Secret::new(at));
    }
    let source =
        SecretSource::parse(at).ok_or_else(|| error("it is neither a URL nor a source that gives one"))?;
    match Database::Source(source).resolve(&SecretContext::of_process(root))? {
        DatabaseUrl::Postgres(url) => Ok(url),
        DatabaseUrl::Sqlite(_) => Err(error("locks are traced on PostgreSQL only")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_come_from_arguments_on_loopback_only() {
        let taken = |text: &str| url(text, Path::new(".")).is_ok();
        for text in [
            "postgres://app@db.example.com/payouts",
            "postgres://app:secret@127.0.0.1:5432/payouts",
            "postgresql://app:secret@localhost/payouts",
            "postgres:///payouts",
        ] {
            assert!(taken(text), "{text}");
        }
        for text in [
            "postgres://app:secret@db.example.com/payouts",
            "postgres://db.example.com/payouts?user=a&password=secret",
            "mysql://localhost/payouts",
            "payouts",
        ] {
            let refused = url(text, Path::new(".")).map(drop).unwrap_err();
            assert_eq!(refused.diagnose().code(), "MIG-926", "{text}");
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }
}
