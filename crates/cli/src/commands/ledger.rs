//! `plimsoll ledger verify` and `plimsoll ledger export`.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use plimsoll_config::Config;
use plimsoll_ledger::export::ExportError;
use plimsoll_ledger::{Options, Report};
use plimsoll_model::{Class, Failure};
use plimsoll_pipeline::open_ledger;
use serde_json::json;

use super::Session;
use crate::args::Ledger;
use crate::error::CliError;
use crate::printer::{bold, columns};

/// Runs one of the two.
pub(crate) fn run(session: &Session, arguments: &Ledger) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    let ledger = open_ledger(&config)?;
    match arguments {
        Ledger::Verify { checkpoint } => {
            let mut options = Options::default();
            if let Some(path) = checkpoint {
                options.checkpoints.push((path.display().to_string(), read(path)?));
            }
            let report = ledger.verify(&options)?;
            let document = json!({
                "schema": "plimsoll/ledger-verify/v1",
                "intact": report.is_intact(),
                "report": report,
            });
            session.printer.result(&document, || text(&report));
            Ok(if report.is_intact() { 0 } else { Class::Integrity.exit_code() })
        }
        Ledger::Export { to: Some(path) } => {
            let failed = |source| CliError::File { action: "write", path: path.clone(), source };
            let mut file = BufWriter::new(File::create(path).map_err(failed)?);
            let entries = ledger.export(&mut file).map_err(|error| exported(error, path))?;
            file.flush().map_err(failed)?;
            session.printer.note(&format!("wrote {entries} entries to {}", path.display()));
            Ok(0)
        }
        Ledger::Export { to: None } => {
            let mut out = session.printer.data();
            let done = ledger.export(&mut out);
            match done.and_then(|_| out.flush().map_err(ExportError::Output)) {
                Ok(()) => Ok(0),
                // A reader that went away wants no more.
                Err(ExportError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(0),
                Err(error) => Err(exported(error, Path::new("standard output"))),
            }
        }
    }
}

fn exported(error: ExportError, path: &Path) -> Failure {
    match error {
        ExportError::Ledger(error) => error.into(),
        ExportError::Output(source) => CliError::File { action: "write", path: path.into(), source }.into(),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    const MOST_BYTES: u64 = 64 * 1024;
    let failed = |source| CliError::File { action: "read", path: path.into(), source };
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(MOST_BYTES).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

fn text(report: &Report) -> String {
    let mut rows = vec![
        vec!["ledger".to_owned(), report.origin.clone()],
        vec!["entries".to_owned(), report.entries.to_string()],
        vec!["root".to_owned(), report.root.to_string()],
        vec!["key".to_owned(), report.public_key.clone()],
    ];
    for agreement in &report.agreements {
        rows.push(vec!["agrees with".to_owned(), format!("{}, {} entries", agreement.name, agreement.size)]);
    }
    let mut text = columns(&rows);
    for finding in &report.findings {
        text.push_str(&format!("{} {finding}\n", bold(finding.code())));
        for (label, value) in [("expected", finding.expected()), ("found   ", finding.found())] {
            if let Some(value) = value {
                text.push_str(&format!("  {label} {value}\n"));
            }
        }
    }
    if report.more_findings > 0 {
        text.push_str(&format!("and {} more\n", report.more_findings));
    }
    text.push_str(match report.is_intact() {
        true => "intact: nothing was changed, removed, reordered or cut off\n",
        false => "NOT INTACT: keep the file as evidence; compare it with a backup or an export\n",
    });
    text
}
