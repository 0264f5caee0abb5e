//! `plimsoll contract snapshot` and `diff`.

use std::path::{Path, PathBuf};

use plimsoll_evidence_contract::Level;
use plimsoll_model::{Class, Failure};
use plimsoll_pipeline::contract::{Described, DiffReport};

use super::{Session, write_data, write_file};
use crate::args::{Contract, Form};

/// Runs one of the two.
pub(crate) fn run(session: &Session, arguments: Contract) -> Result<u8, Failure> {
    match arguments {
        Contract::Snapshot { document, to } => snapshot(session, &document, to.as_deref()),
        Contract::Diff { old, new, accepted, form, fail_on } => {
            diff(session, (&old, &new), accepted, form, &fail_on)
        }
    }
}

/// A path is where the command was started, or `-C` says; what is none is a
/// commit.
fn described(session: &Session, text: &str) -> Described {
    let path = session.path_here(Path::new(text));
    if path.is_file() || (!path.is_dir() && is_no_revision(text)) {
        Described::File(path)
    } else {
        Described::Commit(text.to_owned())
    }
}

/// `v1.2.3` is a tag, `opnapi.json` a mistyped file.
fn is_no_revision(text: &str) -> bool {
    let extension = Path::new(text).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["json", "yaml", "yml"].contains(&extension))
}

fn snapshot(session: &Session, document: &str, to: Option<&Path>) -> Result<u8, Failure> {
    let described = described(session, document);
    let bytes = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::contract::snapshot(context.as_ref(), &described).await
    })?;
    match to {
        Some(path) => write_file(path, &bytes)?,
        None => write_data(session, &bytes)?,
    }
    Ok(0)
}

fn diff(
    session: &Session,
    (old, new): (&str, &str),
    accepted: Option<PathBuf>,
    form: Form,
    fail_on: &str,
) -> Result<u8, Failure> {
    let (old, new) = (described(session, old), described(session, new));
    let report = session.block_on_anywhere(|context| async move {
        plimsoll_pipeline::contract::difference(context.as_ref(), &old, &new, accepted.as_deref()).await
    })?;
    for side in [&report.old, &report.new] {
        for warning in &side.warnings {
            session.printer.note(&format!("read although it is not as it should be: {warning}"));
        }
    }
    session.printer.result(&report, || text(&report, form));
    let least = match fail_on {
        "breaking" => Some(Level::Breaking),
        "additive" => Some(Level::Additive),
        "editorial" => Some(Level::Editorial),
        _ => None,
    };
    let fails = least.is_some_and(|least| report.report.level.is_some_and(|level| level >= least));
    Ok(if fails { Class::Refused.exit_code() } else { 0 })
}

fn text(report: &DiffReport, form: Form) -> String {
    match form {
        Form::Text => report.report.text(),
        Form::Markdown => report.report.markdown(),
        Form::Github => report.report.github(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_no_mistyped_file() {
        assert!(is_no_revision("openapi.json") && is_no_revision("api/openapi.yml"));
        assert!(!is_no_revision("v1.2.3") && !is_no_revision("main") && !is_no_revision("release.candidate"));
    }
}
