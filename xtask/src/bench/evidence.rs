//! What evidence adds to a build of the sample service.

use super::figures::{Figure, Figures, median};
use super::project::{Project, Steps};
use super::registry::Registry;
use super::service::Service;
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
    let mut service = Proven::create(bench, &registry.host)?;
    // The first makes ledger, store and index.
    service.build(true)?;
    service.build(false)?;
    let (mut plain, mut proven) = (Vec::new(), Vec::new());
    for _ in 0..bench.repetitions(TIMES) {
        plain.push(service.build(false)?);
        proven.push(service.build(true)?);
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

/// The sample service, and what makes evidence of it.
struct Proven {
    service: Service,
    sections: String,
}

impl Proven {
    fn create(bench: &Bench, host: &str) -> Outcome<Self> {
        let service = Service::create(bench, "payouts", host)?;
        let advisories = bench.folder.join("evidence-advisories");
        bench.note("inventing advisories");
        scan::write_database(&advisories, if bench.quick { ADVISORIES / 10 } else { ADVISORIES })?;
        let sections = bench.folder.join("evidence.toml");
        let text = format!("{}\n[sbom]\nadvisories = '{}'\n", Project::SIGNED, advisories.display());
        std::fs::write(&sections, text)?;
        service.project.generate_keys()?;
        Ok(Self { service, sections: sections.display().to_string() })
    }

    /// Builds one more commit, with or without evidence.
    fn build(&mut self, evidence: bool) -> Outcome<Steps> {
        let with = ["--config", &self.sections];
        let steps = self.service.build(if evidence { &with } else { &[] })?;
        let status = if evidence { "verified" } else { "unverified" };
        if steps.result["signature_status"] != status {
            return Err(format!("not {status}: {}", steps.result).into());
        }
        Ok(steps)
    }
}
