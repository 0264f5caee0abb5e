//! What is done with backfills from outside of their run: look, pause, resume,
//! begin anew, and ask for the proof.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::Lookup;

use crate::declaration::{Declaration, Declarations, describe};
use crate::driver::Driver;
use crate::report::{Backfill, Report};
use crate::retry::Fault;
use crate::run::Options;
use crate::state::{Means, Proof, Row, State, Texts};
use crate::{Error, Place, postgres, sqlite};

/// How long SQLite may be busy with others.
const BUSY: Duration = Duration::from_secs(5);
/// How long a look at a whole table may take.
const WHOLE_TABLE: Duration = Duration::from_secs(3600);

/// The rows of progress, as they are; none where there is no table.
async fn rows(place: &Place) -> Result<Vec<Texts>, Error> {
    match place {
        Place::Postgres(address) => {
            let session = postgres::open(address).await?;
            let found = if postgres::has_table(&session).await? {
                postgres::rows(&session, None).await?
            } else {
                Vec::new()
            };
            session.close().await;
            Ok(found)
        }
        Place::Sqlite(path) => {
            let failed = |error| sqlite::failure("read the progress of backfills", path, &error);
            let connection = sqlite::open(path, BUSY)?;
            if !sqlite::has_table(&connection).map_err(failed)? {
                return Ok(Vec::new());
            }
            sqlite::rows(&connection, None).map_err(failed)
        }
    }
}

/// Who works on each of these backfills.
async fn holders(place: &Place, names: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut holders = BTreeMap::new();
    match place {
        Place::Postgres(address) => {
            let session = postgres::open(address).await?;
            for name in names {
                if let Some(holder) = postgres::holder(&session, name).await? {
                    holders.insert(name.clone(), holder);
                }
            }
            session.close().await;
        }
        Place::Sqlite(path) => {
            holders.extend(names.iter().filter_map(|name| Some((name.clone(), sqlite::holder(path, name)?))));
        }
    }
    Ok(holders)
}

fn read(texts: &Texts) -> (String, Lookup<Row>) {
    let name = texts.first().cloned().flatten().unwrap_or_default();
    match Row::from_texts(texts) {
        Ok(row) => (name, Lookup::Found(row)),
        Err(why) => (name, Lookup::Invalid(why)),
    }
}

/// How the backfills stand that the files declare, and those that the database
/// knows of besides.
///
/// # Errors
/// Those of the way to the database.
pub async fn status(place: &Place, declarations: &[Declaration]) -> Result<Report, Error> {
    let mut found: BTreeMap<String, Lookup<Row>> = rows(place).await?.iter().map(read).collect();
    let open: Vec<String> = found.keys().cloned().collect();
    let mut holders = holders(place, &open).await?;
    let mut report = Report::new(describe(place.dialect()));
    for declaration in declarations {
        let name = &declaration.walk.name;
        let row = found.remove(name).unwrap_or(Lookup::Absent);
        report.backfills.push(Backfill::new(Some(declaration), &row, holders.remove(name), name));
    }
    for (name, row) in &found {
        report.backfills.push(Backfill::new(None, row, holders.remove(name), name));
    }
    Ok(report)
}

/// The backfills that are finished with exactly the statement that the files
/// declare: what [`plimsoll_evidence_migration_lint::Options::finished_backfills`]
/// takes.
///
/// # Errors
/// Those of the way to the database. `BKF-030` where the progress of a declared one
/// cannot be read: that is not "unfinished".
pub async fn finished(place: &Place, declarations: &[Declaration]) -> Result<BTreeSet<String>, Error> {
    let mut finished = BTreeSet::new();
    for (name, row) in rows(place).await?.iter().map(read) {
        let Some(declaration) = declarations.iter().find(|declaration| declaration.walk.name == name) else {
            continue;
        };
        match row {
            Lookup::Found(row) => {
                let proven = row.state == State::Finished
                    && row.proof.is_some_and(|proof| proof.declaration == declaration.checksum());
                if proven {
                    finished.insert(name);
                }
            }
            Lookup::Absent => {}
            Lookup::Invalid(why) | Lookup::Unknown(why) => return Err(Error::Progress { name, why }),
        }
    }
    Ok(finished)
}

/// Stops backfills after the batch that is under way; the names of those that were
/// not stopped before. A process that works on one waits until [`resume`].
///
/// # Errors
/// Those of the way to the database.
pub async fn pause(place: &Place, names: &[String]) -> Result<Vec<String>, Error> {
    set(place, names, &[State::Open, State::Failed], State::Paused).await
}

/// Lets paused backfills go on; the names of those that were paused.
///
/// # Errors
/// Those of the way to the database.
pub async fn resume(place: &Place, names: &[String]) -> Result<Vec<String>, Error> {
    set(place, names, &[State::Paused], State::Open).await
}

async fn set(place: &Place, names: &[String], from: &[State], to: State) -> Result<Vec<String>, Error> {
    let at = Timestamp::now().to_string();
    match place {
        Place::Postgres(address) => {
            let session = postgres::open(address).await?;
            let done = if postgres::has_table(&session).await? {
                postgres::set_state(&session, names, from, to, &at).await?
            } else {
                Vec::new()
            };
            session.close().await;
            Ok(done)
        }
        Place::Sqlite(path) => {
            let failed = |error| sqlite::failure("set the state of the backfill", path, &error);
            let connection = sqlite::open(path, BUSY)?;
            if !sqlite::has_table(&connection).map_err(failed)? {
                return Ok(Vec::new());
            }
            sqlite::set_state(&connection, names, from, to, &at).map_err(failed)
        }
    }
}

/// Forgets what is done of a backfill: the next run begins with the first row.
/// Whether there was anything to forget.
///
/// # Errors
/// `BKF-010` where a process works on it; those of the way to the database.
pub async fn restart(place: &Place, name: &str, options: &Options) -> Result<bool, Error> {
    match place {
        Place::Postgres(address) => {
            let session = postgres::open(address).await?;
            postgres::lock(&session, name, options.lock_wait).await?;
            let forgotten =
                postgres::has_table(&session).await? && postgres::forget(&session, name).await? > 0;
            session.close().await;
            Ok(forgotten)
        }
        Place::Sqlite(path) => {
            let failed = |error| sqlite::failure("forget the progress of the backfill", path, &error);
            let connection = sqlite::open(path, BUSY)?;
            let _lock = sqlite::lock(path, name, &options.runner, options.lock_wait).await?;
            Ok(sqlite::has_table(&connection).map_err(failed)?
                && sqlite::forget(&connection, name).map_err(failed)? > 0)
        }
    }
}

/// Looks anew whether a finished backfill is finished: no row may meet its
/// condition. Where one does, the backfill is open again, and running it finishes
/// it. A statement whose condition tells nothing keeps the proof that it has.
///
/// # Errors
/// `BKF-013` where it is not finished, and as [`crate::run`].
pub async fn check(place: &Place, declaration: &Declaration, options: &Options) -> Result<Proof, Error> {
    // It reads the whole table, and changes nothing that others wait for.
    let options = Options { statement_timeout: WHOLE_TABLE, ..options.clone() };
    match place {
        Place::Postgres(address) => {
            look(&mut postgres::Postgres::new(address.clone(), &options), declaration).await
        }
        Place::Sqlite(path) => look(&mut sqlite::Sqlite::new(path.clone(), &options), declaration).await,
    }
}

async fn look(driver: &mut impl Driver, declaration: &Declaration) -> Result<Proof, Error> {
    let name = declaration.walk.name.clone();
    let not = |found: String| Error::NotFinished { name: name.clone(), found };
    let failed = |fault: Fault| Error::Statement {
        name: name.clone(),
        keys: "the look for rows that are left".into(),
        says: fault.words(),
    };
    driver.begin(declaration).await?;
    let Some(row) = driver.load().await? else { return Err(not("no run of it has begun".into())) };
    if row.declaration != declaration.checksum() {
        return Err(not("another statement was run under this name".into()));
    }
    let Some(proof) = row.proof.clone().filter(|_| row.state == State::Finished) else {
        return Err(not(format!("{}; {}", row.state.as_str(), crate::run::done(&row))));
    };
    driver.inspect().await?;
    if !declaration.statement.tells() {
        return Ok(proof);
    }
    let ends = driver.ends().await.map_err(failed)?;
    if driver.left(None, None).await.map_err(failed)? {
        let (first, up_to) = ends.unzip();
        let open = Row {
            state: State::Open,
            pass: row.pass + 1,
            first,
            above: None,
            up_to,
            changed_before: row.rows_changed,
            proof: None,
            updated_at: Timestamp::now(),
            ..row
        };
        driver.save(&open, State::Finished).await.map_err(failed)?;
        return Err(not("rows meet its condition again, written since then".into()));
    }
    let proof = Proof { checked_at: Timestamp::now(), means: Means::NoRowLeft, ..proof };
    let fresh = Row { proof: Some(proof.clone()), updated_at: proof.checked_at, ..row };
    driver.save(&fresh, State::Finished).await.map_err(failed)?;
    Ok(proof)
}

impl Declarations {
    /// The names of all that are declared.
    pub fn names(&self) -> Vec<String> {
        self.declared.iter().map(|declaration| declaration.walk.name.clone()).collect()
    }
}
