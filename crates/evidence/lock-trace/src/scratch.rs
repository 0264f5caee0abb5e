//! The scratch database: made for one trace, and dropped after it whatever happens.

use plimsoll_database::tokio_postgres::SimpleQueryMessage;
use plimsoll_database::{Address, Connection, Options, connect_to};
use plimsoll_model::Secret;

use crate::Error;

/// What the names of all of them begin with.
const PREFIX: &str = "plimsoll_trace_";
/// What the comment on each of them is.
const COMMENT: &str = "scratch database of plimsoll migrate lint --trace";

/// A database of our own on the server.
pub(crate) struct Scratch {
    admin: Connection,
    address: Address,
    name: String,
    /// E.g. `15.14`.
    pub(crate) server: String,
    version: u32,
}

pub(crate) fn options() -> Options {
    Options { application_name: "plimsoll migrate lint --trace".into(), ..Options::default() }
}

/// The first value that the server answers.
pub(crate) fn value(messages: &[SimpleQueryMessage], at: usize) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(at).map(str::to_owned),
        _ => None,
    })
}

impl Scratch {
    /// Makes one.
    pub(crate) async fn create(url: &Secret) -> Result<Self, Error> {
        let address = Address::parse(url)?;
        let admin = connect_to(&address, &options()).await?;
        let failed = |error| admin.failed("look at the server", error);
        let about = admin
            .simple_query(
                "SELECT current_setting('server_version_num'), current_setting('server_version'), \
                 current_user, (SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles \
                 WHERE rolname = current_user)",
            )
            .await
            .map_err(failed)?;
        let version: u32 = value(&about, 0).and_then(|text| text.parse().ok()).unwrap_or(0);
        let server = value(&about, 1).unwrap_or_default();
        if version < 120_000 {
            return Err(Error::Old { address: address.to_string(), found: server });
        }
        if value(&about, 3).as_deref() != Some("t") {
            let user = value(&about, 2).unwrap_or_default();
            return Err(Error::NoGrant { address: address.to_string(), user });
        }
        drop_left_behind(&admin).await;
        let name = format!("{PREFIX}{}_{:012x}", std::process::id(), fastrand::u64(..) >> 16);
        // For as long as this session lives, nobody takes the database for left behind.
        let made = admin.simple_query(&format!("SET application_name = '{name}'")).await;
        made.map_err(failed)?;
        let made = admin.simple_query(&format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        made.map_err(|error| admin.failed("create the scratch database", error))?;
        let scratch = Self { admin, address, name, server, version };
        // Says what it is to a person who finds it, and to a later trace. That it is
        // missing would not matter.
        let _ =
            scratch.admin.simple_query(&format!("COMMENT ON DATABASE {} IS '{COMMENT}'", scratch.name)).await;
        Ok(scratch)
    }

    /// A session in it.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        Ok(connect_to(&self.address.clone().with_database(&self.name), &options()).await?)
    }

    /// Drops it. Its name where that fails, for a person to do it.
    pub(crate) async fn drop(self) -> Option<String> {
        let with = if self.version >= 130_000 { " WITH (FORCE)" } else { "" };
        let end = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = '{}'",
            self.name
        );
        let sql = format!("DROP DATABASE IF EXISTS {}{with}", self.name);
        for attempt in 0..3 {
            if self.admin.is_closed() {
                // Somebody ended this session; another one drops it.
                let Ok(again) = connect_to(&self.address, &options()).await else { break };
                if again.simple_query(&sql).await.is_ok() {
                    return None;
                }
                break;
            }
            if attempt > 0 || self.version < 130_000 {
                let _ = self.admin.simple_query(&end).await;
            }
            if self.admin.simple_query(&sql).await.is_ok() {
                return None;
            }
        }
        Some(self.name)
    }
}

/// Drops what traces left that were killed: databases with our name and comment, of
/// this role, that no session is in or made. That it fails would not matter.
async fn drop_left_behind(admin: &Connection) {
    let find = format!(
        "SELECT datname FROM pg_catalog.pg_database AS base \
         WHERE datname ~ '^{PREFIX}[0-9]+_[0-9a-f]+$' \
         AND pg_catalog.shobj_description(oid, 'pg_database') = '{COMMENT}' \
         AND pg_catalog.pg_has_role(current_user, datdba, 'USAGE') \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS session \
         WHERE session.datname = base.datname OR session.application_name = base.datname)"
    );
    let Ok(found) = admin.simple_query(&find).await else { return };
    for message in found {
        if let SimpleQueryMessage::Row(row) = message
            && let Some(name) = row.get(0)
        {
            // Without FORCE: a session that came in the meantime keeps it.
            let _ = admin.simple_query(&format!("DROP DATABASE IF EXISTS {name}")).await;
        }
    }
}
