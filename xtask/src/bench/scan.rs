//! 2,000 components against 201,000 advisories.

use std::fmt::Write as _;
use std::path::Path;

use plimsoll_evidence_advisories::synthetic;
use serde_json::Value;

use super::figures::{Figure, Figures, median};
use super::measure::{self, measure};
use super::project::Project;
use super::{Bench, Outcome};

const COMPONENTS: u64 = 2_000;
/// In OSV's form, in the archives that `osv-scanner` keeps.
const ADVISORIES: u64 = 200_000;
/// In RustSec's form; the published ones are about a thousand.
const RUSTSEC: u64 = 1_000;
const TIMES: usize = 15;

/// `plimsoll sbom scan` in a project, which keeps the index: the first builds
/// it, the others find it. The advisories are invented, as many as there are.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let advisories = if bench.quick { ADVISORIES / 10 } else { ADVISORIES };
    let database = bench.folder.join("advisories");
    bench.note(&format!("inventing {advisories} advisories"));
    write_database(&database, advisories)?;
    let size: u64 = std::fs::read_dir(database.join("osv-scanner"))?
        .map(|folder| Ok(folder?.path().join("all.zip").metadata()?.len()))
        .sum::<std::io::Result<_>>()?;
    // Nothing is ever sent to this registry.
    let project = Project::create(bench, "scan", "localhost:5000", "true")?;
    std::fs::write(project.folder.join("bom.json"), document())?;
    let place = database.to_str().ok_or("the target folder's path is no text")?;
    let scan = ["sbom", "scan", "bom.json", "--database", place, "--fail-on", "none", "--output", "json"];

    let mut builds = Vec::new();
    for _ in 0..bench.rounds {
        project.forget()?;
        let built = measure(&project.command(&scan), &bench.folder)?;
        let report: Value = serde_json::from_str(&built.stdout)?;
        let expected = advisories + RUSTSEC;
        if report["components"] != COMPONENTS || report["database"]["advisories"] != expected {
            let database = &report["database"];
            return Err(
                format!("{} components, {database} instead of {expected}", report["components"]).into()
            );
        }
        builds.push(built.usage);
    }
    let times = measure::repeat(&mut project.command(&scan), bench.repetitions(TIMES))?;
    let walls: Vec<f64> = builds.iter().map(|usage| usage.wall).collect();
    let peak = builds.iter().map(|usage| usage.peak).fold(f64::NAN, f64::max);
    let row = |name: &str, value, unit| Figure::new(format!("scan: {name}"), value, unit);
    figures.add(row("2,000 components, 201,000 advisories", median(&times) / 1000.0, "s").at_most(0.3));
    figures.add(row("the first, which builds the index", median(&walls), "s").at_most(30.0));
    figures.add(row("the first, peak memory", peak, "MB"));
    figures
        .note(format!("scan: the archives have {:.0} MB; osv-scanner is no package here", size as f64 / 1e6));
    std::fs::remove_dir_all(database)?;
    Ok(())
}

/// Both forms in one folder, as somebody has them who mirrors both.
pub(crate) fn write_database(folder: &Path, advisories: u64) -> Outcome<()> {
    synthetic::write_archives(folder, advisories)?;
    synthetic::write_rustsec(&folder.join("advisory-db"), RUSTSEC)?;
    Ok(())
}

/// A CycloneDX document of so many components.
fn document() -> String {
    let mut text =
        String::from("{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"version\":1,\"components\":[");
    for (number, purl) in synthetic::components(COMPONENTS).iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let (start, version) = purl.split_once('@').unwrap_or((purl, ""));
        let name = start.rsplit('/').next().unwrap_or_default();
        let version = version.split('?').next().unwrap_or_default().replace("%2B", "+");
        write!(
            text,
            "{comma}{{\"type\":\"library\",\"bom-ref\":\"{number}\",\"name\":\"{name}\",\"version\":\"{version}\",\"purl\":\"{purl}\"}}"
        )
        .expect("writing to a String cannot fail");
    }
    text + "]}"
}
