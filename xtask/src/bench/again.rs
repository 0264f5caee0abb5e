//! The same commit built again, when the store and the registry have it all.

use super::data::{self, Data};
use super::figures::{Figure, Figures, best};
use super::project::Project;
use super::push::copy_command;
use super::registry::Registry;
use super::{Bench, Outcome};

/// A service's own binary, in bytes.
const SERVICE: u64 = 12_000_000;

pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let registry = Registry::start(bench)?;
    let large = if bench.quick { data::QUICK } else { data::FULL };
    for (name, what, size, times) in [
        ("service", "a service of 12 MB", (4, SERVICE), bench.repetitions(11)),
        ("large", "2,300 files, 670 MB", large, bench.rounds.max(2)),
    ] {
        let folder = bench.folder.join(format!("again-{name}"));
        let data: Data = data::generate(&folder, size)?;
        let project = Project::create(bench, name, &registry.host, &copy_command(&data)?)?;
        let first = project.steps(&["build"])?;
        let (mut beyond, mut layer, mut processor) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..times {
            let steps = project.steps(&["build"])?;
            if steps.result["already_present"] != true {
                return Err(format!("something was uploaded again: {}", steps.result).into());
            }
            if steps.result["image_digest"] != first.result["image_digest"] {
                return Err("the same commit gave another image".into());
            }
            beyond.push(steps.usage.wall - steps.seconds("build"));
            layer.push(steps.seconds("layer"));
            processor.push(steps.usage.processor);
        }
        figures.add(
            Figure::new(format!("again: {what}, beyond its build command"), best(beyond), "s").at_most(0.3),
        );
        figures.add(Figure::new(format!("again: {what}, processor time"), best(processor), "s"));
        figures.note(format!("again, {what}: of this {:.2} s are the layer step", best(layer)));
        std::fs::remove_dir_all(folder)?;
    }
    Ok(())
}
