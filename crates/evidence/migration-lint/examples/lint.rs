//! Lints a directory of migrations by hand:
//! `cargo run -p plimsoll-evidence-migration-lint --example lint -- DIR [--json] [--sqlite] [--released N]`.
//! Without `--released` each file is judged as a release of its own; with it the
//! first N files, in the order of their paths, have run already. `--boundaries FILE`
//! names releases: one line each, the paths of its new files, separated by tabs.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use plimsoll_evidence_migration_lint::{Dialect, File, Options, Released, lint};

fn collect(root: &Path, at: &Path, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "sql" || extension == "toml") {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            files.push(File { path: name, bytes: std::fs::read(&path)? });
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example that a person runs")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value =
        |flag: &str| arguments.iter().position(|found| found == flag).and_then(|at| arguments.get(at + 1));
    let root = Path::new(arguments.first().ok_or("usage: lint DIR [--json] [--sqlite] [--released N]")?);
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let mut options = Options::default();
    if arguments.iter().any(|argument| argument == "--sqlite") {
        options.dialect = Dialect::Sqlite;
    }
    if let Some(count) = value("--released") {
        let released = files.iter().take(count.parse()?).map(|file| file.path.clone()).collect();
        options.released = Released::Files(released);
    }
    let start = Instant::now();
    let mut reports = Vec::new();
    if let Some(boundaries) = value("--boundaries") {
        let mut released = BTreeSet::new();
        for line in std::fs::read_to_string(boundaries)?.lines() {
            let new: BTreeSet<String> = line.split('\t').map(str::to_owned).collect();
            let here: Vec<File> = files
                .iter()
                .filter(|file| released.contains(&file.path) || new.contains(&file.path))
                .cloned()
                .collect();
            options.released = Released::Files(released.clone());
            reports.push(lint(&here, &options)?);
            released.extend(new);
        }
    } else {
        reports.push(lint(&files, &options)?);
    }
    let elapsed = start.elapsed();
    let (mut count, mut statements, mut lost, mut findings) = (0, 0, 0, 0);
    for report in &reports {
        if arguments.iter().any(|argument| argument == "--json") {
            println!("{}", serde_json::to_string(report)?);
            continue;
        }
        for file in &report.files {
            count += 1;
            statements += file.statement_count;
            lost += file.not_understood;
            findings += file.findings.len();
            for finding in &file.findings {
                let place = format!("{}:{}:{}", file.file, finding.line, finding.column);
                println!(
                    "{place}\t{}\t{}\t{}\t{}",
                    finding.severity, finding.rule, finding.name, finding.message
                );
            }
        }
    }
    let layout = reports.last().map(|report| report.layout.to_string()).unwrap_or_default();
    println!(
        "{layout}: {count} files, {statements} statements, {lost} not understood, {findings} findings, {elapsed:?}"
    );
    Ok(())
}
