//! Connections to PostgreSQL: from a URL that is never shown, over TLS by
//! rustls, each step within a time, with errors that say what to type next.
//!
//! Knows nothing of migrations, backfills or ledgers; they build on it.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use plimsoll_database::{Options, connect};
//! use plimsoll_model::Secret;
//!
//! let url = Secret::new("postgres://app:secret@db.example.com/payouts?sslmode=verify-full");
//! let connection = connect(&url, &Options::default()).await?;
//! let row = connection
//!     .query_one("SELECT count(*) FROM payouts", &[])
//!     .await
//!     .map_err(|error| connection.failed("count the payouts", error))?;
//! let payouts: i64 = row.get(0);
//! # let _ = payouts;
//! # Ok(())
//! # }
//! ```

mod address;
mod connection;
mod error;
mod pages;
mod tls;

pub use address::{Address, SslMode};
pub use connection::{Connection, Notice, Options, connect, connect_to};
pub use error::{Error, Refusal};
pub use pages::PAGES;
pub use tokio_postgres;
