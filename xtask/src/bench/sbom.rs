//! What a Debian root with 2,100 packages is made of.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::figures::{Figure, Figures, best, median};
use super::measure::{self, Usage, measure};
use super::{Bench, Outcome, cargo, peers};

/// 400 of Debian, 200 of Python, 1,500 of npm.
const PACKAGES: usize = 2_100;
const TIMES: usize = 9;
/// What the peer can be asked for: the root of a system; or what it finds most of, in the least time.
const KINDS: [(&str, &[&str]); 2] = [
    ("cdxgen rootfs", &["--type", "rootfs"]),
    ("cdxgen os, js, python", &["--type", "os", "--type", "js", "--type", "python"]),
];
/// The peer, as npm names it.
const CDXGEN: &str = "@cyclonedx/cdxgen@12.8.4";

/// `plimsoll sbom generate DIR`, from second run on, beside `cdxgen` over the
/// same directory.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let root = bench.folder.join("debian");
    let place = root.to_str().ok_or("the target folder's path is no text")?;
    let example =
        ["run", "--release", "--package", "plimsoll-evidence-sbom", "--example", "debian_root", "--"];
    cargo(&bench.root, &[&example[..], &[place]].concat())?;
    let document = bench.folder.join("bom.json");
    let mut generate = Command::new(&bench.plimsoll);
    generate.args(["sbom", "generate", "--no-progress", "--to"]).arg(&document).arg(&root);

    measure::once(&mut generate)?;
    let found = components(&document)?;
    // The distribution itself is a component too.
    if found.len() < PACKAGES || found.len() > PACKAGES + 10 {
        return Err(format!("{} components instead of {PACKAGES}", found.len()).into());
    }
    let runs: Vec<Usage> = (0..bench.repetitions(TIMES))
        .map(|_| Ok(measure(&generate, &bench.folder)?.usage))
        .collect::<Outcome<_>>()?;
    let wall: Vec<f64> = runs.iter().map(|usage| usage.wall).collect();
    let peak = runs.iter().map(|usage| usage.peak).fold(f64::NAN, f64::max);
    let row = |name: &str, value, unit| Figure::new(format!("sbom: 2,100 packages, {name}"), value, unit);
    figures.add(row("warm", median(&wall), "s").at_most(1.0));
    figures.add(row("peak memory", peak, "MB").at_most(200.0));

    match cdxgen(bench)? {
        Err(why) => figures.note(format!("missing: cdxgen ({why}); nothing to compare sbom with")),
        Ok(program) => {
            for (name, types) in KINDS {
                let theirs = bench.folder.join("cdxgen.json");
                let command = cdxgen_command(&program, types, &root, &theirs);
                let peers: Vec<Usage> = (0..=bench.rounds)
                    .map(|_| Ok(measure(&command, &bench.folder)?.usage))
                    .collect::<Outcome<_>>()?;
                // The first brings the files into memory.
                let peers = &peers[1..];
                let purls = components(&theirs)?;
                let of = |kind: &str| purls.iter().filter(|purl| purl.starts_with(kind)).count();
                figures.note(format!(
                    "sbom: {name} found {} packages of Debian, {} of Python, {} of npm",
                    of("pkg:deb/"),
                    of("pkg:pypi/"),
                    of("pkg:npm/"),
                ));
                let walls: Vec<f64> = peers.iter().map(|usage| usage.wall).collect();
                figures.add(row("warm", median(&wall), "s").beside(name, median(&walls)).ratio_at_most(0.01));
                let processor = |runs: &[Usage]| best(runs.iter().map(|usage| usage.processor));
                figures.add(row("processor time", processor(&runs), "s").beside(name, processor(peers)));
                let memory = peers.iter().map(|usage| usage.peak).fold(f64::NAN, f64::max);
                figures.add(row("peak memory", peak, "MB").beside(name, memory));
            }
        }
    }
    std::fs::remove_dir_all(root)?;
    Ok(())
}

/// The package URLs of a CycloneDX document.
fn components(document: &Path) -> Outcome<Vec<String>> {
    let document: Value = serde_json::from_slice(&std::fs::read(document)?)?;
    let components = document["components"].as_array().ok_or("no components in the document")?;
    Ok(components.iter().filter_map(|component| component["purl"].as_str().map(str::to_owned)).collect())
}

/// Like ours it shall only read what is there: no installing, no evaluation of
/// code, no validation of what it wrote.
fn cdxgen_command(program: &Path, types: &[&str], root: &Path, document: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(types).args(["--no-install-deps", "--no-babel", "--no-validate", "--output"]);
    command.arg(document).arg(root);
    command
}

/// The one that is installed, else one that npm installs in the work folder;
/// or why there is none.
fn cdxgen(bench: &Bench) -> Outcome<Result<PathBuf, &'static str>> {
    if let Some(program) = peers::find("cdxgen") {
        return Ok(Ok(program));
    }
    let Some(npm) = peers::find("npm") else { return Ok(Err("and no npm to install it")) };
    bench.note(&format!("installing {CDXGEN} in the work folder"));
    let folder = bench.folder.join("npm");
    std::fs::create_dir_all(&folder)?;
    let mut install = Command::new(npm);
    install
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(&folder)
        .arg(CDXGEN);
    match measure::output(install.current_dir(&folder)) {
        Ok(_) => Ok(Ok(folder.join("node_modules/.bin/cdxgen"))),
        Err(_) => Ok(Err("npm could not install it")),
    }
}
