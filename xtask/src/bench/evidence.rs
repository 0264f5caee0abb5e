//! What evidence adds to a build of the sample service.

use std::path::Path;
use std::process::Command;

use super::figures::{Figure, Figures, median};
use super::measure;
use super::project::{Project, Steps};
use super::registry::Registry;
use super::{Bench, Outcome, scan};

/// Commits that are built without evidence, and as many with.
const TIMES: usize = 9;
const ADVISORIES: u64 = 200_000;

/// `plimsoll build` of one commit after the other, by turns without
/// `[signing]`, and with it and advisories: SBOM in both forms, provenance,
/// scan, signature and record, signed, attached, read back. The search for
/// credentials cannot be switched off; it counts as evidence nevertheless.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let registry = Registry::start(bench)?;
    let mut service = Service::create(bench, &registry.host)?;
    // The first makes ledger, store and index.
    service.build(Some(&bench.folder.join("evidence.toml")))?;
    service.build(None)?;
    let (mut plain, mut proven) = (Vec::new(), Vec::new());
    for _ in 0..bench.repetitions(TIMES) {
        plain.push(service.build(None)?);
        proven.push(service.build(Some(&bench.folder.join("evidence.toml")))?);
    }
    let beyond = |steps: &[Steps]| {
        median(&steps.iter().map(|steps| steps.usage.wall - steps.seconds("build")).collect::<Vec<_>>())
    };
    let of_step = |step: &str| median(&proven.iter().map(|steps| steps.seconds(step)).collect::<Vec<_>>());
    let grown = beyond(&proven) - beyond(&plain) + of_step("secrets");
    figures.add(Figure::new("evidence: a build grows by", grown, "s").at_most(0.5));
    figures.add(
        Figure::new("evidence: a build beyond its command", beyond(&proven), "s")
            .beside("without", beyond(&plain)),
    );
    let processor =
        |steps: &[Steps]| median(&steps.iter().map(|steps| steps.usage.processor).collect::<Vec<_>>());
    figures.add(
        Figure::new("evidence: processor time of a build", processor(&proven), "s")
            .beside("without", processor(&plain)),
    );
    let steps = ["secrets", "sbom", "scan", "attach"];
    let steps = steps.map(|step| format!("{step} {:.3} s", of_step(step))).join(", ");
    figures.note(format!(
        "evidence: the steps are {steps}; what is left unlocks the key, signs, reads back; the registry is {}",
        registry.name
    ));
    Ok(())
}

/// The sample service in a repository of its own.
struct Service {
    project: Project,
    host: String,
    command: String,
    commits: usize,
}

impl Service {
    fn create(bench: &Bench, host: &str) -> Outcome<Self> {
        let folder = bench.folder.join("payouts");
        copy(&bench.root.join("examples/payouts"), &folder)?;
        let target = bench.folder.join("payouts-target");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--locked", "--offline", "--quiet"]);
        measure::output(cargo.current_dir(&folder).env("CARGO_TARGET_DIR", &target))?;
        let binary = target.join("release/payouts");
        let binary =
            binary.to_str().filter(|path| !path.contains(['\'', '"'])).ok_or("no path for a shell")?;
        let advisories = bench.folder.join("evidence-advisories");
        bench.note("inventing advisories");
        scan::write_database(&advisories, if bench.quick { ADVISORIES / 10 } else { ADVISORIES })?;
        let sections = format!("{}\n[sbom]\nadvisories = '{}'\n", Project::SIGNED, advisories.display());
        std::fs::write(bench.folder.join("evidence.toml"), sections)?;
        let project = Project::of_folder(bench, folder)?;
        project.generate_keys()?;
        // Compiled once, since only what comes after is measured; a different
        // binary for each commit nevertheless.
        let command = format!("mkdir -p target/release && cat '{binary}' release > target/release/payouts");
        Ok(Self { project, host: host.into(), command, commits: 0 })
    }

    /// Builds one more commit, with or without the sections of a file.
    fn build(&mut self, sections: Option<&Path>) -> Outcome<Steps> {
        self.commits += 1;
        std::fs::write(self.project.folder.join("release"), format!("release {}\n", self.commits))?;
        self.project.commit(&["release"])?;
        let command = format!("build.command={}", self.command);
        let canonical = format!("repository.canonical={}/bench/payouts", self.host);
        let mut arguments = vec!["build", "--set", &command, "--set", &canonical];
        let file = sections.map(|path| path.display().to_string());
        if let Some(file) = &file {
            arguments.extend(["--config", file]);
        }
        let steps = self.project.steps(&arguments)?;
        let status = if sections.is_some() { "verified" } else { "unverified" };
        if steps.result["pushed"] != true || steps.result["signature_status"] != status {
            return Err(format!("not pushed and {status}: {}", steps.result).into());
        }
        Ok(steps)
    }
}

/// Copies a folder without what was built in it.
fn copy(from: &Path, to: &Path) -> Outcome<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() && name != "target" && name != ".plimsoll" {
            copy(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
