//! `rpmdb.sqlite`, the database of newer distributions: the table `Packages`
//! has one header a row.

use std::io::{self, Seek as _, SeekFrom};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::Database;
use crate::catalog::{Content, Unread};

/// What the file begins with.
pub(super) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Bytes of one row.
const ROW: i32 = 64 << 20;
/// Steps of SQLite's machine between two looks, and how often may be looked:
/// a table of a hundred thousand rows takes some ten steps a row, and a
/// damaged or hostile database may go round in circles.
const STEPS: i32 = 10_000;
const LOOKS: u32 = 2_000;

impl From<rusqlite::Error> for Unread {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::OperationInterrupted) => "reading it takes too long".into(),
            _ => Self::new(format!("SQLite says: {error}")),
        }
    }
}

/// Reads all headers.
pub(super) fn read(content: &mut Content<'_>) -> Result<Database, Unread> {
    // SQLite reads files; the copy has no name that others know.
    let mut copy = tempfile::NamedTempFile::new()?;
    content.seek(SeekFrom::Start(0))?;
    io::copy(content, &mut copy)?;
    let path = copy.path().to_str().ok_or("the directory of temporary files has a name that is no text")?;
    let uri = format!("file:{}?immutable=1", escape(path));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(uri, flags)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, ROW)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    let mut looks = 0;
    connection.progress_handler(
        STEPS,
        Some(move || {
            looks += 1;
            looks > LOOKS
        }),
    )?;
    rows(&connection)
}

fn rows(connection: &Connection) -> Result<Database, Unread> {
    let mut database = Database::default();
    // Cells are checked, so that damage is an error and not an odd value.
    connection.execute_batch("PRAGMA cell_size_check = ON")?;
    let mut statement = connection.prepare("SELECT blob FROM Packages")?;
    let mut rows = statement.query([])?;
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(database),
            Err(error) if database.packages.is_empty() => return Err(error.into()),
            // What was read before the damage is there all the same.
            Err(error) => {
                database.warn(Unread::from(error).reason());
                return Ok(database);
            }
        };
        let go_on = match row.get_ref(0)?.as_blob() {
            Ok(blob) => database.take(blob),
            Err(_) => database.miss("a row has no header"),
        };
        if !go_on {
            return Ok(database);
        }
    }
}

/// A path within a URI.
fn escape(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}
