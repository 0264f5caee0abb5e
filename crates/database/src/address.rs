//! Where a database is: the URL, taken apart (libpq, "Connection URIs"), and
//! the part of it that may be shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use plimsoll_model::Secret;
use tokio_postgres::config::Host;

use crate::Error;

/// The longest URL that is read, in bytes.
const LONGEST: usize = 8 << 10;

/// How much TLS is asked for (libpq, "SSL Mode Descriptions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// None.
    Disable,
    /// Where the server offers it, without proof of who it is. The default.
    Prefer,
    /// Always. Without `sslrootcert` the server does not prove who it is.
    Require,
    /// Always, by a certificate that a trusted authority signed.
    VerifyCa,
    /// Always, by a certificate that a trusted authority signed for this host.
    VerifyFull,
}

/// A connection URL that was understood. `Display` shows database and host,
/// `Debug` the same: never user, password or options.
#[derive(Clone)]
pub struct Address {
    pub(crate) config: tokio_postgres::Config,
    pub(crate) ssl_mode: SslMode,
    pub(crate) root_certificate: Option<RootCertificate>,
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
}

/// `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootCertificate {
    /// `system`: what the machine trusts.
    System,
    /// A PEM file.
    File(PathBuf),
}

/// Options of other clients of the same URL that mean nothing here: pools,
/// caches, and an encryption that is never asked for.
const IGNORED: [&str; 9] = [
    "connection_limit",
    "gssencmode",
    "krbsrvname",
    "pgbouncer",
    "pool_timeout",
    "socket_timeout",
    "sslcompression",
    "sslsni",
    "statement_cache_capacity",
];

/// What `tokio_postgres` understands by itself.
const PASSED_ON: [&str; 17] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "user",
];

impl Address {
    /// Takes a `postgres://` or `postgresql://` URL apart.
    ///
    /// # Errors
    /// `DBS-001`: it is none, or has an option that is not known. No part of the
    /// text but the name of an option is in the error.
    pub fn parse(url: &Secret) -> Result<Self, Error> {
        let text = url.reveal();
        let fail = |why: String| Error::Url { why };
        if text.len() > LONGEST {
            return Err(fail(format!("it is longer than {LONGEST} bytes")));
        }
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or_else(|| fail("it does not begin with `postgres://`".into()))?;
        check_authority(rest).map_err(fail)?;
        let (base, query) = text.split_once('?').map_or((text, ""), |(base, query)| (base, query));
        let (own, passed_on) = options(query).map_err(fail)?;
        let mut plain = base.to_owned();
        for (position, pair) in passed_on.iter().enumerate() {
            plain.push(if position == 0 { '?' } else { '&' });
            plain.push_str(pair);
        }
        // The driver's own words name an option at most, but they are kept out.
        let mut config = tokio_postgres::Config::from_str(&plain)
            .map_err(|_| fail("host, port or an option has a value that cannot be read".into()))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(fail(
                "it names no host (a socket's folder goes into `?host=/run/postgresql`)".into(),
            ));
        }
        if !passed_on.iter().any(|pair| pair.starts_with("keepalives")) {
            // A server that is gone is noticed within a minute, not within two hours.
            config.keepalives_idle(Duration::from_secs(30));
            config.keepalives_interval(Duration::from_secs(10));
            config.keepalives_retries(3);
        }
        if let Some(schema) = own.get("schema") {
            search_path(&mut config, schema).map_err(fail)?;
        }
        let ssl_mode = ssl_mode(&config, own.get("sslmode").map(String::as_str)).map_err(fail)?;
        config.ssl_mode(match ssl_mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        });
        let root_certificate = own.get("sslrootcert").map(|value| match value.as_str() {
            "system" => RootCertificate::System,
            path => RootCertificate::File(path.into()),
        });
        let client_certificate = match (own.get("sslcert"), own.get("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err(fail("`sslcert` and `sslkey` go together".into())),
        };
        Ok(Self { config, ssl_mode, root_certificate, client_certificate })
    }

    /// Host or socket folder, and port, of the first host.
    pub fn host(&self) -> String {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        match (self.config.get_hosts().first(), self.config.get_hostaddrs().first()) {
            (Some(Host::Tcp(host)), _) => format!("{host}:{port}"),
            (Some(Host::Unix(folder)), _) => format!("{}/.s.PGSQL.{port}", folder.display()),
            (None, Some(address)) => format!("{address}:{port}"),
            (None, None) => format!("localhost:{port}"),
        }
    }

    /// The database's name; without one, the server takes the user's.
    pub fn database(&self) -> &str {
        self.config.get_dbname().or_else(|| self.config.get_user()).unwrap_or("of the user's name")
    }

    /// The user's name, where the URL has one.
    pub fn user(&self) -> Option<&str> {
        self.config.get_user()
    }

    /// How much TLS is asked for.
    pub fn ssl_mode(&self) -> SslMode {
        self.ssl_mode
    }

    /// The same server and user, another database.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    pub(crate) fn connect_timeout(&self) -> Option<Duration> {
        self.config.get_connect_timeout().copied()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database `{}` on {}", self.database(), self.host())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// A password with an unescaped `@`, `/` or `?` would end up in host or
/// database, which are shown; such a URL is not understood.
fn check_authority(rest: &str) -> Result<(), String> {
    let (authority, behind) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let unescaped = "a character of user or password has to be written in percent form \
                     (`@` as `%40`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`)";
    match authority.matches('@').count() {
        0 if behind.contains('@') => Err(unescaped.into()),
        0 | 1 if !behind.starts_with('#') => Ok(()),
        _ => Err(unescaped.into()),
    }
}

type Own = BTreeMap<&'static str, String>;

/// Splits the query: what is understood here, and what goes to the driver.
fn options(query: &str) -> Result<(Own, Vec<&str>), String> {
    const OWN: [&str; 5] = ["schema", "sslcert", "sslkey", "sslmode", "sslrootcert"];
    let mut own = Own::new();
    let mut passed_on = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) =
            pair.split_once('=').ok_or_else(|| "an option has no value (`name=value`)".to_owned())?;
        if let Some(name) = OWN.iter().find(|name| **name == key) {
            let value = decode(value).ok_or_else(|| format!("the option `{name}` is not UTF-8"))?;
            if !value.is_empty() {
                own.insert(name, value);
            }
        } else if PASSED_ON.contains(&key) {
            passed_on.push(pair);
        } else if !IGNORED.contains(&key) {
            // Only what looks like a name is shown: it may be half a password.
            let plain = key.len() <= 32 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            return Err(if plain {
                format!("it has an option `{key}`, which is not known")
            } else {
                "it has an option that is not known".into()
            });
        }
    }
    Ok((own, passed_on))
}

/// Percent decoding, as in the rest of the URL.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn ssl_mode(config: &tokio_postgres::Config, value: Option<&str>) -> Result<SslMode, String> {
    let mode = match value {
        None | Some("prefer" | "allow") => SslMode::Prefer,
        Some("disable") => SslMode::Disable,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => {
            return Err("`sslmode` is none of disable, prefer, require, verify-ca, verify-full".into());
        }
    };
    // There is no TLS over a unix socket, and libpq does not ask for it there.
    let socket = matches!(config.get_hosts().first(), Some(Host::Unix(_)));
    Ok(if socket { SslMode::Disable } else { mode })
}

/// `schema=` as Prisma writes it.
fn search_path(config: &mut tokio_postgres::Config, schema: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !schema.bytes().all(plain) {
        return Err("`schema` is no plain name (letters, digits, `_`)".into());
    }
    let before = config.get_options().map(|before| format!("{before} ")).unwrap_or_default();
    config.options(format!("{before}-c search_path=\"{schema}\""));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(url: &str) -> Result<Address, Error> {
        Address::parse(&Secret::new(url))
    }

    #[test]
    fn what_is_shown_has_no_secret() {
        let address =
            parse("postgres://app:hunter2@db.example.com:6432/payouts?sslmode=verify-full").unwrap();
        assert_eq!(address.to_string(), "database `payouts` on db.example.com:6432");
        assert!(!format!("{address:?}").contains("hunter2"));
        assert_eq!(address.user(), Some("app"));
        assert_eq!(address.ssl_mode(), SslMode::VerifyFull);
    }

    #[test]
    fn sockets_have_no_tls() {
        for url in [
            "postgres:///payouts?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/payouts?sslmode=require",
        ] {
            let address = parse(url).unwrap();
            assert_eq!(address.to_string(), "database `payouts` on /run/postgresql/.s.PGSQL.5432");
            assert_eq!(address.ssl_mode(), SslMode::Disable);
        }
    }

    #[test]
    fn a_password_that_breaks_the_url_is_not_shown() {
        for url in [
            "postgres://app:hunt@er2@db/payouts",
            "postgres://app:hunt/er2@db/payouts",
            "postgres://app:hunt?er2@db/payouts",
            "postgres://app:hunt#er2@db/payouts",
            "postgres://app:hunter2@db/payouts?hunter2=x",
            "postgres://app:hunter2@db/payouts?hunter2",
            "postgres://app:hunter2@db/payouts?sslmode=hunter2",
            "postgres://app:hunter2@db:hunter2/payouts",
            "postgres://app:hunter2@db/payouts?port=hunter2",
            "postgres://app:hunter2@db/payouts?schema=hunter2;",
            "postgres://app:hunter2@db/payouts?sslcert=hunter2",
            "mysql://app:hunter2@db/payouts",
            "hunter2",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, Error::Url { .. }), "{url}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("hunt") && !shown.contains("er2"), "{shown}");
        }
    }

    #[test]
    fn unknown_options_are_named_and_those_of_other_clients_ignored() {
        assert!(parse("postgres://db/payouts?sslmod=require").unwrap_err().to_string().contains("`sslmod`"));
        assert!(parse("postgres://db/payouts?pgbouncer=true&connection_limit=5").is_ok());
        let address = parse("postgres://db/payouts?schema=billing&connect_timeout=3").unwrap();
        assert_eq!(address.config.get_options(), Some("-c search_path=\"billing\""));
        assert_eq!(address.connect_timeout(), Some(Duration::from_secs(3)));
    }
}
