//! One connection and the task that carries it. The task ends with the
//! connection: nothing goes on in the background.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_model::Secret;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client};

use crate::Error;
use crate::address::Address;
use crate::error::short;
use crate::tls::MakeTls;

/// How many notices are kept; older ones go.
const MOST_NOTICES: usize = 64;
/// How long leaving politely may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// What `pg_stat_activity` shows, where the URL says nothing else.
    pub application_name: String,
    /// From the first packet to a session that can be used, where the URL has no
    /// `connect_timeout`.
    pub connect_timeout: Duration,
}

impl Default for Options {
    /// `plimsoll`, ten seconds.
    fn default() -> Self {
        Self { application_name: "plimsoll".into(), connect_timeout: Duration::from_secs(10) }
    }
}

/// What a server says beside the answers: `RAISE NOTICE`, `IF NOT EXISTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, …
    pub severity: String,
    /// What it says, on one line.
    pub message: String,
}

/// A session. It is a [`Client`] of the driver; dropped, its socket is closed.
///
/// # Caveats
/// A server does not notice at once that a client has gone while a statement
/// runs: [`Connection::notice_our_end`] asks it to look.
pub struct Connection {
    client: Client,
    address: Address,
    tls: MakeTls,
    told: Arc<Told>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Told {
    notices: Mutex<VecDeque<Notice>>,
    end: Mutex<Option<String>>,
}

/// Connects.
///
/// A URL without a password takes it from `PGPASSWORD`, as libpq does.
///
/// # Errors
/// `DBS-001` to `DBS-008`. None of them shows the URL or the password.
pub async fn connect(url: &Secret, options: &Options) -> Result<Connection, Error> {
    connect_to(&Address::parse(url)?, options).await
}

/// As [`connect`], for an address that was parsed before.
///
/// # Errors
/// `DBS-002` to `DBS-008`.
pub async fn connect_to(address: &Address, options: &Options) -> Result<Connection, Error> {
    let mut config = address.config.clone();
    if config.get_password().is_none()
        && let Some(password) = std::env::var_os("PGPASSWORD")
    {
        config.password(password.into_encoded_bytes());
    }
    if config.get_application_name().is_none() {
        config.application_name(&options.application_name);
    }
    let whole = address.connect_timeout().unwrap_or(options.connect_timeout);
    // One of several hosts that swallows packets must not use up all the time.
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    config.connect_timeout(whole / u32::try_from(hosts).unwrap_or(u32::MAX));
    let tls = MakeTls::new(address)?;
    let connected = tokio::time::timeout(whole, config.connect(tls.clone()))
        .await
        .map_err(|_| Error::too_slow(address, whole))?;
    let (client, mut driver) = connected.map_err(|error| Error::connecting(address, &error))?;
    let told = Arc::new(Told::default());
    let task = tokio::spawn({
        let told = Arc::clone(&told);
        async move {
            let end = loop {
                match poll_fn(|cx| driver.poll_message(cx)).await {
                    Some(Ok(AsyncMessage::Notice(notice))) => told.notice(Notice {
                        severity: notice.severity().to_owned(),
                        message: short(notice.message()),
                    }),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            // Told before the driver goes, since that is what callers notice.
            *told.end.lock().unwrap_or_else(PoisonError::into_inner) = end.map(|error| words(&error));
            drop(driver);
        }
    });
    Ok(Connection { client, address: address.clone(), tls, told, task: Some(task) })
}

impl Told {
    fn notice(&self, notice: Notice) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if notices.len() == MOST_NOTICES {
            notices.pop_front();
        }
        notices.push_back(notice);
    }
}

/// The driver's error with what caused it, without details.
fn words(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return short(&format!("{} (SQLSTATE {})", db.message(), db.code().code()));
    }
    match std::error::Error::source(error) {
        Some(source) => short(&format!("{error}: {source}")),
        None => short(&error.to_string()),
    }
}

impl Connection {
    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The notices that came since the last call, at most 64, oldest first.
    pub fn notices(&self) -> Vec<Notice> {
        self.told.notices.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    /// What a failure of the driver means; `operation` follows "could not".
    pub fn failed(&self, operation: impl Into<String>, error: tokio_postgres::Error) -> Error {
        let (operation, address) = (operation.into(), self.address.to_string());
        if let Some(db) = error.as_db_error() {
            // A session that is ended tells so in an answer of its own.
            let code = db.code().code();
            if code.starts_with("57P") {
                return Error::Lost { operation, address, why: words(&error) };
            }
            let message = short(db.message());
            return Error::Query { operation, address, state: code.into(), message };
        }
        let end = self.told.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if error.is_closed() || self.client.is_closed() {
            return Error::Lost { operation, address, why: end.unwrap_or_else(|| words(&error)) };
        }
        let io = std::error::Error::source(&error).is_some_and(|s| s.is::<std::io::Error>());
        if io && !error.to_string().contains("parsing") {
            return Error::Lost { operation, address, why: words(&error) };
        }
        Error::Nonsense { operation, address, why: words(&error) }
    }

    /// Asks the server to end what this session does at the moment, over a
    /// connection of its own; within two seconds or not at all.
    pub async fn cancel(&self) {
        let token = self.client.cancel_token();
        // A cancel that does not arrive is no error: the session ends anyway.
        let _ = tokio::time::timeout(GOODBYE, token.cancel_query(self.tls.clone())).await;
    }

    /// Has the server look each second, while a statement runs, whether this
    /// client is still there (PostgreSQL 14 and later; nothing in others). Without
    /// it, a statement of a client that was killed goes on, and so do its locks.
    ///
    /// # Errors
    /// `DBS-009`, `DBS-010`.
    pub async fn notice_our_end(&self) -> Result<(), Error> {
        let set = "SELECT set_config(name, '1000', false) FROM pg_catalog.pg_settings \
                   WHERE name = 'client_connection_check_interval'";
        let set = self.client.simple_query(set).await;
        set.map(drop).map_err(|error| self.failed("set up the session", error))
    }

    /// Leaves politely; within two seconds, or else by closing the socket.
    pub async fn close(mut self) {
        let task = self.task.take();
        drop(self);
        if let Some(mut task) = task
            && tokio::time::timeout(GOODBYE, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.address)
    }
}
