//! `plimsoll show`: all that is known about one commit.

use plimsoll_model::Failure;
use plimsoll_pipeline::report::ShowReport;

use super::{Session, commit};
use crate::args::Show;
use crate::printer::{bold, columns, duration};

/// Prints builds, rollouts, and where it runs.
pub(crate) fn run(session: &Session, arguments: &Show) -> Result<u8, Failure> {
    let sha = commit(&arguments.sha, "shown")?;
    let report = session.block_on(|context| async move { plimsoll_pipeline::show(&context, &sha).await })?;
    session.printer.result(&report, || text(&report));
    Ok(0)
}

fn text(report: &ShowReport) -> String {
    let join = |words: &[String]| if words.is_empty() { "nowhere".to_owned() } else { words.join(", ") };
    let mut text = columns(&[
        vec!["commit".into(), report.image_sha.to_string()],
        vec!["serves".into(), join(&report.running_in)],
        vec!["local store".into(), report.in_store.map_or_else(|| "no".into(), |digest| digest.to_string())],
    ]);
    if !report.builds.is_empty() {
        text.push_str(&format!("{}\n", bold("builds")));
        let rows = report.builds.iter().map(|row| {
            vec![
                format!("  {}", row.at.strftime("%Y-%m-%d %H:%M:%SZ")),
                row.metadata.image_ref.to_string(),
                if row.metadata.pushed { "pushed" } else { "not pushed" }.into(),
                duration(row.metadata.build_duration_sec),
                row.by.clone(),
            ]
        });
        text.push_str(&columns(&rows.collect::<Vec<_>>()));
    }
    if !report.evidence.is_empty() {
        text.push_str(&format!("{}\n", bold("evidence")));
        let rows = report.evidence.iter().map(|row| {
            vec![
                format!("  {}", row.at.strftime("%Y-%m-%d %H:%M:%SZ")),
                row.predicate_type.clone(),
                row.signer.clone(),
                row.by.clone(),
            ]
        });
        text.push_str(&columns(&rows.collect::<Vec<_>>()));
    }
    if !report.overrides.is_empty() {
        text.push_str(&format!("{}\n", bold("overrides")));
        let rows = report.overrides.iter().map(|row| {
            vec![
                format!("  {}", row.at.strftime("%Y-%m-%d %H:%M:%SZ")),
                row.environment.clone(),
                row.code.clone(),
                format!("until {}", row.until),
                row.by.clone(),
                row.reason.clone(),
            ]
        });
        text.push_str(&columns(&rows.collect::<Vec<_>>()));
    }
    if !report.rollouts.is_empty() {
        text.push_str(&format!("{}\n", bold("rollouts")));
        let rows = report.rollouts.iter().map(|row| {
            let from =
                row.from.as_ref().map_or_else(|| "nothing".into(), |from| from.sha().short().to_owned());
            vec![
                format!("  {}", row.at.strftime("%Y-%m-%d %H:%M:%SZ")),
                row.direction.to_string(),
                row.environment.clone(),
                format!("{from} -> {}", row.to.sha().short()),
                row.outcome.to_string(),
                duration(row.duration_sec),
                row.by.clone(),
                row.reason.clone(),
            ]
        });
        text.push_str(&columns(&rows.collect::<Vec<_>>()));
    }
    text
}
