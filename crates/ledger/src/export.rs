//! The ledger as text, and its verification without the ledger.
//!
//! An export is JSON lines: one that names the ledger and its key; each entry
//! in order, with its hash fields and its body byte for byte as it is hashed;
//! one with the checkpoint over them.

use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;

use plimsoll_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::canonical::MAX_BODY;
use crate::checkpoint::parse_verifier;
use crate::entry::Row;
use crate::finding::{Options, Report};
use crate::project::project;
use crate::store::Query;
use crate::verify::Pass;
use crate::{Error, Ledger};

/// `schema` of the first line.
pub const EXPORT_SCHEMA: &str = "plimsoll/ledger-export/v1";
/// `schema` of an entry's line.
pub const ENTRY_SCHEMA: &str = "plimsoll/ledger-entry/v1";
/// `schema` of the last line.
pub const END_SCHEMA: &str = "plimsoll/ledger-checkpoint/v1";
/// The longest line that is read, in bytes.
const MAX_LINE: u64 = MAX_BODY as u64 + (1 << 20);

/// One line. The field `schema` says which.
enum Line {
    Entry(Box<EntryLine>),
    First(FirstLine),
    End(EndLine),
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirstLine {
    schema: String,
    origin: String,
    public_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    schema: String,
    seq: u64,
    at: String,
    actor: String,
    kind: String,
    environment: Option<String>,
    sha: Option<String>,
    idempotency: Option<String>,
    body: Box<RawValue>,
    prev: Digest,
    hash: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndLine {
    schema: String,
    checkpoint: String,
}

/// Why an export was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] Error),
    /// The output could not be written.
    #[error("the export could not be written")]
    Output(#[from] io::Error),
}

impl Ledger {
    /// Writes the export of everything up to the newest checkpoint; how many entries.
    ///
    /// # Errors
    /// Those of reading and of `out`.
    pub fn export(&self, out: &mut dyn Write) -> Result<u64, ExportError> {
        let head = self.store().end()?.head;
        let first =
            FirstLine { schema: EXPORT_SCHEMA.into(), origin: head.origin, public_key: self.public_key() };
        write_line(out, &first)?;
        let query = Query { to: Some(head.size), ..Query::default() };
        let mut failed = None;
        self.scan(&query, &mut |row| {
            let seq = row.seq;
            let line = line_of(row).ok_or(Error::Malformed { seq, column: "body" })?;
            match write_line(out, &line) {
                Ok(()) => Ok(ControlFlow::Continue(())),
                Err(error) => {
                    failed = Some(error);
                    Ok(ControlFlow::Break(()))
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        write_line(out, &EndLine { schema: END_SCHEMA.into(), checkpoint: head.checkpoint })?;
        out.flush()?;
        Ok(head.size)
    }
}

fn line_of(row: Row) -> Option<EntryLine> {
    Some(EntryLine {
        schema: ENTRY_SCHEMA.into(),
        seq: row.seq,
        at: row.at,
        actor: row.actor,
        kind: row.kind,
        environment: row.environment,
        sha: row.sha,
        idempotency: row.idempotency,
        body: RawValue::from_string(String::from_utf8(row.body).ok()?).ok()?,
        prev: row.prev,
        hash: row.hash,
    })
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    out.write_all(&bytes)
}

/// Verifies an export, streaming, with nothing else at hand. The key in it is
/// believed unless [`Options::public_key`] pins one.
///
/// # Errors
/// `LED-021` for what is no export or was cut short, `LED-016` for a key that
/// is none. What was found is in the report.
pub fn verify_export(reader: impl BufRead, options: &Options) -> Result<Report, Error> {
    let mut lines = Lines { reader, number: 0 };
    let Some(Line::First(first)) = lines.next()? else {
        return Err(lines.bad("the first line names no ledger"));
    };
    let recorded = parse_verifier(&first.public_key).filter(|(name, _)| *name == first.origin);
    let (_, key) = recorded.ok_or_else(|| lines.bad("its key is no verifier key of this ledger"))?;
    let mut pass = Pass::of_export(&first.origin, key);
    pass.compare_with(options)?;
    loop {
        match lines.next()? {
            Some(Line::Entry(entry)) => pass.feed(row_of(*entry)),
            Some(Line::End(end)) => {
                if lines.next()?.is_some() {
                    return Err(lines.bad("there is more after the checkpoint"));
                }
                return Ok(pass.finish(None, &end.checkpoint));
            }
            Some(Line::First(_)) => return Err(lines.bad("a second ledger begins")),
            None => return Err(lines.bad("it ends without a checkpoint: the export was cut short")),
        }
    }
}

/// The row an entry's line stands for. Derived columns are derived again.
fn row_of(line: EntryLine) -> Row {
    let body = line.body.get().as_bytes().to_vec();
    Row {
        seq: line.seq,
        at: line.at,
        actor: line.actor,
        kind: line.kind,
        environment: line.environment,
        sha: line.sha,
        idempotency: line.idempotency,
        prev: line.prev,
        hash: line.hash,
        nodes: Vec::new(),
        projection: project(&body).columns,
        body,
    }
}

/// Lines of bounded length.
struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn bad(&self, why: &str) -> Error {
        Error::Export { line: self.number, why: why.into() }
    }

    fn next(&mut self) -> Result<Option<Line>, Error> {
        use std::io::Read as _;
        let mut line = Vec::new();
        let n = (&mut self.reader)
            .take(MAX_LINE + 1)
            .read_until(b'\n', &mut line)
            .map_err(|source| Error::Read { source: source.into() })?;
        if n == 0 {
            return Ok(None);
        }
        self.number += 1;
        if n as u64 > MAX_LINE {
            return Err(self.bad("it is too long"));
        }
        let line = match serde_json::from_slice(&line).map(|Schema { schema }| schema).as_deref() {
            Ok(ENTRY_SCHEMA) => serde_json::from_slice(&line).map(|entry| Line::Entry(Box::new(entry))),
            Ok(EXPORT_SCHEMA) => serde_json::from_slice(&line).map(Line::First),
            Ok(END_SCHEMA) => serde_json::from_slice(&line).map(Line::End),
            Ok(_) => return Err(self.bad("its schema is another")),
            Err(_) => return Err(self.bad("it names no schema")),
        }
        .map_err(|_| self.bad("it has not the fields of its schema"))?;
        Ok(Some(line))
    }
}
