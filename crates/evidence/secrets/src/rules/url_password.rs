//! SEC-060 `connection-string`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::sight::{Found, Sight};
use crate::url;

const PAGE: Page = Page {
    code: "SEC-060",
    name: "connection-string",
    what: "An address with user and password, of a database, queue, cache, mail or file server: `postgres://user:password@host/db`. Placeholders, well-known passwords, `localhost` and example domains are no finding.",
    why: "Every layer can be read by whoever can pull the image, and the password of a database is the whole database. It also makes the image one of a single environment.",
    how: take_out!("the server that it belongs to"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Context, &["://"], confirm);

/// Schemes whose addresses lead to data.
const SCHEMES: &[&str] = &[
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongodb",
    "redis",
    "rediss",
    "valkey",
    "amqp",
    "amqps",
    "mssql",
    "sqlserver",
    "cockroachdb",
    "clickhouse",
    "cassandra",
    "neo4j",
    "bolt",
    "nats",
    "kafka",
    "ldap",
    "ldaps",
    "smtp",
    "smtps",
    "ftp",
    "ftps",
    "sftp",
    "oracle",
    "db2",
    "couchdb",
    "influxdb",
    "elasticsearch",
    "mqtt",
    "mqtts",
    "snowflake",
    "redshift",
    "sftp",
    "stomp",
    "tds",
    "memcached",
];

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let address = url::parse(sight)?;
    // `postgresql+psycopg`, `mongodb+srv`, `jdbc:mysql`.
    let scheme =
        address.scheme.split(|b| matches!(b, b'+' | b'.')).next().unwrap_or_default().to_ascii_lowercase();
    let leads_to_data = SCHEMES.iter().any(|known| known.as_bytes() == scheme);
    leads_to_data.then(|| Found::new(address.password, Mask::Hidden))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("DATABASE: postgres://payouts:{}@db.prod.acme.io:5432/payouts\n", "vK3pQz81Lm"),
            Sample::text("mongodb+srv://app:{}@cluster0.ab1cd.mongodb.net/\n", "w8Xk-2hhQz"),
            Sample::text("redis://:{}@cache.internal:6379\n", "q9Lm2Zx7Kd"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("postgres://user:password@host/db"),
                miss("postgres://app:vK3pQz81Lm@localhost/db"),
                miss("postgres://${USER}:${PASS}@db/x"),
                miss("postgres://app@db.acme.io/x"),
                miss("https://app:vK3pQz81Lm@acme.io/x"),
                miss("mysql://root:vK3pQz81Lm@db.example.com/x"),
            ],
        );
    }
}
