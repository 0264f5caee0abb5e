//! `plimsoll explain [CODE]`: the page of a check or an error.

use plimsoll_model::Page;
use serde::Serialize;

use crate::args::Explain;
use crate::error::CliError;
use crate::printer::{Printer, bold, columns};

/// Every page of every crate, by code.
pub(crate) fn pages() -> Vec<&'static Page> {
    let mut pages: Vec<&'static Page> = [
        crate::error::PAGES,
        plimsoll_config::PAGES,
        plimsoll_database::PAGES,
        plimsoll_decision::PAGES,
        plimsoll_evidence_advisories::PAGES,
        plimsoll_evidence_contract::PAGES,
        plimsoll_evidence_contract::RULE_PAGES,
        plimsoll_evidence_keyless::PAGES,
        plimsoll_evidence_lock_trace::PAGES,
        &[plimsoll_evidence_lock_trace::RULE_PAGE],
        plimsoll_evidence_migration_lint::PAGES,
        plimsoll_evidence_migration_lint::RULE_PAGES,
        plimsoll_evidence_sbom::PAGES,
        plimsoll_evidence_trust::PAGES,
        plimsoll_health::PAGES,
        plimsoll_image::PAGES,
        plimsoll_ledger::PAGES,
        plimsoll_oci::PAGES,
        plimsoll_pipeline::PAGES,
        plimsoll_pipeline::contract::PAGES,
        plimsoll_pipeline::migrations::PAGES,
        plimsoll_pipeline::release::PAGES,
        plimsoll_registry::client::PAGES,
        plimsoll_registry::server::PAGES,
        plimsoll_server::PAGES,
        plimsoll_telemetry::PAGES,
        plimsoll_release::RULE_PAGES,
        plimsoll_release::changelog::PAGES,
        plimsoll_rollout_backfill::PAGES,
        plimsoll_rollout_core::PAGES,
        plimsoll_rollout_engine::PAGES,
        plimsoll_rollout_kubernetes::PAGES,
        plimsoll_rollout_local::PAGES,
        plimsoll_rollout_migrate::PAGES,
        plimsoll_rollout_switch::PAGES,
        plimsoll_watch::PAGES,
    ]
    .into_iter()
    .flatten()
    .chain(plimsoll_evidence_secrets::pages())
    .collect();
    pages.sort_by_key(|page| page.code);
    pages
}

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    pages: Vec<PageDocument>,
}

#[derive(Serialize)]
struct PageDocument {
    code: &'static str,
    name: &'static str,
    what: &'static str,
    why: &'static str,
    how: &'static str,
}

/// Prints one page, or the list of all.
pub(crate) fn run(arguments: &Explain, printer: &Printer) -> Result<u8, CliError> {
    let pages = pages();
    let wanted: Vec<&Page> = match &arguments.code {
        None => pages.clone(),
        Some(code) => {
            let found = pages.iter().find(|page| page.code.eq_ignore_ascii_case(code) || page.name == code);
            vec![found.ok_or_else(|| CliError::UnknownCode { code: code.clone() })?]
        }
    };
    let document = Document {
        schema: "plimsoll/explain/v1",
        pages: wanted
            .iter()
            .map(|page| PageDocument {
                code: page.code,
                name: page.name,
                what: page.what,
                why: page.why,
                how: page.how,
            })
            .collect(),
    };
    printer.result(&document, || {
        if arguments.code.is_none() {
            let rows: Vec<_> =
                wanted.iter().map(|page| vec![bold(page.code), page.name.to_owned()]).collect();
            return columns(&rows);
        }
        wanted.iter().map(|page| text(page)).collect()
    });
    Ok(0)
}

fn text(page: &Page) -> String {
    let parts = [("What", page.what), ("Why", page.why), ("How", page.how)];
    let mut text = format!("{} {}\n", bold(page.code), page.name);
    for (label, paragraph) in parts {
        text.push_str(&format!("\n{}\n{}\n", bold(label), wrap(paragraph, 96)));
    }
    text
}

/// Breaks paragraphs into indented lines of at most `width` characters. One that
/// has lines of its own, an example, keeps them.
fn wrap(text: &str, width: usize) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| {
            let lines = match paragraph.contains('\n') {
                true => paragraph.lines().map(str::to_owned).collect(),
                false => wrapped(paragraph, width - 2),
            };
            lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        })
        .collect();
    paragraphs.join("\n\n")
}

/// Breaks a paragraph into lines of at most `width` characters, words longer
/// than that aside.
pub(crate) fn wrapped(paragraph: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in paragraph.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_page() {
        let pages = pages();
        for pair in pages.windows(2) {
            assert_ne!(
                pair[0].code, pair[1].code,
                "two pages for one code: {} and {}",
                pair[0].name, pair[1].name
            );
        }
    }

    #[test]
    fn pages_are_written() {
        for page in pages() {
            for (part, text) in [("what", page.what), ("why", page.why), ("how", page.how)] {
                assert!(text.len() > 20, "{} {part}: {text:?}", page.code);
                let prose = text.split("\n\n").filter(|paragraph| !paragraph.contains('\n'));
                assert!(!prose.clone().any(|text| text.contains("  ")), "{} {part}: {text:?}", page.code);
            }
        }
    }
}
