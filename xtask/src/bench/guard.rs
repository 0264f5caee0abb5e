//! The decision whether a commit may be deployed.

use super::data;
use super::figures::{Figure, Figures, median};
use super::measure;
use super::project::Project;
use super::push::copy_command;
use super::registry::Registry;
use super::{Bench, Outcome};

const TIMES: usize = 20;

/// `deploy --dry-run` of an image that is there: every fact is gathered from
/// registry, ledger and git, every check is made.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let registry = Registry::start(bench)?;
    let data = data::generate(&bench.folder.join("guard-data"), (4, 1_000_000))?;
    let project = Project::create(bench, "guard", &registry.host, &copy_command(&data)?)?;
    project.steps(&["build"])?;
    let deploy = ["deploy", &project.head, "--env", "trial", "--dry-run"];
    let mut decisions = Vec::new();
    for _ in 0..bench.repetitions(TIMES) {
        let steps = project.steps(&deploy)?;
        if steps.result["decision"]["allowed"] != true {
            return Err(format!("the guard refused: {}", steps.result["decision"]).into());
        }
        decisions.push(steps.seconds("guard") * 1000.0);
    }
    let whole = measure::repeat(&mut project.command(&deploy), bench.repetitions(TIMES))?;
    figures.add(Figure::new("guard: decision, in the program", median(&decisions), "ms").at_most(100.0));
    figures.add(Figure::new("guard: deploy --dry-run, whole command", median(&whole), "ms").at_most(100.0));
    Ok(())
}
