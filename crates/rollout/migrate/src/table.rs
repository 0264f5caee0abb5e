//! The table, as both databases make and read it. Its columns are a format:
//! docs/migrations.md.

use crate::record::{FORMAT, Record, TABLE};

/// The most rows that are read of a table, ours or another tool's: twice as many as
/// there may be files.
pub(crate) const MOST: usize = 100_000;

/// The columns that are read, in order; times as RFC 3339.
pub(crate) fn select(table: &str, postgres: bool) -> String {
    let time = |column: &str| {
        if postgres {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        } else {
            column.to_owned()
        }
    };
    format!(
        "SELECT path, version, checksum, class, release_sha, origin, applied_by, run, {}, {}, duration_ms, \
         statements, done, done_checksum, in_doubt, failure, backfills, format FROM {table} ORDER BY started_at, path LIMIT {}",
        time("started_at"),
        time("finished_at"),
        MOST + 1
    )
}

/// Makes the table, where it is absent.
pub(crate) fn create(table: &str, postgres: bool) -> String {
    let (time, long) = if postgres { ("timestamptz", "bigint") } else { ("text", "integer") };
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (\
           path text PRIMARY KEY, version text NOT NULL, checksum text NOT NULL, class text NOT NULL, \
           release_sha text, origin text NOT NULL, applied_by text NOT NULL, run text NOT NULL, \
           started_at {time} NOT NULL, finished_at {time}, duration_ms {long} NOT NULL, \
           statements integer NOT NULL, done integer NOT NULL, done_checksum text, in_doubt integer, \
           failure text, backfills text NOT NULL, format integer NOT NULL)"
    )
}

/// The rows from their texts.
pub(crate) fn records(rows: &[Vec<Option<String>>]) -> Result<Vec<Record>, String> {
    if rows.len() > MOST {
        return Err(format!("it has more than {MOST} rows"));
    }
    rows.iter().map(|row| record(row)).collect()
}

/// A row from its texts.
fn record(row: &[Option<String>]) -> Result<Record, String> {
    let text = |at: usize| row.get(at).and_then(Clone::clone);
    let needed = |at: usize, name: &str| text(at).ok_or_else(|| format!("a row has no {name}"));
    fn number<T: std::str::FromStr>(text: Option<String>, name: &str) -> Result<T, String> {
        text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("a row has no number as {name}"))
    }
    let format: i32 = number(text(17), "format")?;
    if format > FORMAT {
        return Err(format!("a row has format {format}, this version knows {FORMAT}"));
    }
    let backfills = needed(16, "backfills")?;
    Ok(Record {
        path: needed(0, "path")?,
        version: needed(1, "version")?,
        checksum: needed(2, "checksum")?,
        class: needed(3, "class")?,
        release: text(4),
        origin: needed(5, "origin")?,
        applied_by: needed(6, "applied_by")?,
        run: needed(7, "run")?,
        started_at: needed(8, "started_at")?,
        finished_at: text(9),
        duration_ms: number(text(10), "duration_ms")?,
        statements: number(text(11), "statements")?,
        done: number(text(12), "done")?,
        done_checksum: text(13),
        in_doubt: text(14).map(|it| number(Some(it), "in_doubt")).transpose()?,
        failure: text(15),
        backfills: serde_json::from_str(&backfills).map_err(|_| "backfills is no list".to_owned())?,
    })
}

/// Writes a row over the one that is there. Parameters: the columns as in
/// [`create`] without the times, then whether it starts, and whether it ends, now.
pub(crate) fn upsert(table: &str, postgres: bool) -> String {
    let now = if postgres { "clock_timestamp()" } else { "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" };
    let sign = if postgres { '$' } else { '?' };
    let p = |at: usize| format!("{sign}{at}");
    let values: Vec<String> = (1..=16).map(p).collect();
    let [
        path,
        version,
        checksum,
        class,
        release,
        origin,
        by,
        run,
        duration,
        statements,
        done,
        sum,
        doubt,
        failure,
        backfills,
        format,
    ] = values.as_slice()
    else {
        return String::new();
    };
    format!(
        "INSERT INTO {table} AS t (path, version, checksum, class, release_sha, origin, applied_by, run, started_at, \
           finished_at, duration_ms, statements, done, done_checksum, in_doubt, failure, backfills, format) \
         VALUES ({path}, {version}, {checksum}, {class}, {release}, {origin}, {by}, {run}, {now}, \
           CASE WHEN {end} THEN {now} END, {duration}, {statements}, {done}, {sum}, {doubt}, {failure}, {backfills}, \
           {format}) \
         ON CONFLICT (path) DO UPDATE SET version = excluded.version, checksum = excluded.checksum, \
           class = excluded.class, release_sha = excluded.release_sha, origin = excluded.origin, \
           applied_by = excluded.applied_by, run = excluded.run, \
           started_at = CASE WHEN {start} THEN {now} ELSE t.started_at END, finished_at = excluded.finished_at, \
           duration_ms = excluded.duration_ms, statements = excluded.statements, done = excluded.done, \
           done_checksum = excluded.done_checksum, in_doubt = excluded.in_doubt, failure = excluded.failure, \
           backfills = excluded.backfills, format = excluded.format",
        start = p(17),
        end = p(18),
    )
}

/// A list as it is stored.
pub(crate) fn list(names: &[String]) -> String {
    serde_json::to_string(names).unwrap_or_else(|_| "[]".into())
}

/// The table in a schema, quoted.
pub(crate) fn qualified(schema: &str) -> String {
    format!("\"{}\".{TABLE}", schema.replace('"', "\"\""))
}
