//! A repository with a `plimsoll.toml`, and Plimsoll run in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::measure::{self, Usage};
use super::{Bench, Outcome};

/// A git repository with one commit.
pub(crate) struct Project {
    plimsoll: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) head: String,
}

/// A command that printed events: what it took, in all and step by step.
pub(crate) struct Steps {
    pub(crate) usage: Usage,
    steps: Vec<(String, f64)>,
    /// The document it ended with.
    pub(crate) result: Value,
}

impl Steps {
    /// Seconds of a step; 0 where there was none.
    pub(crate) fn seconds(&self, step: &str) -> f64 {
        self.steps.iter().filter(|(name, _)| name == step).map(|(_, seconds)| seconds).sum()
    }
}

impl Project {
    /// Makes the repository where it is not there yet. `build` is the build command, which leaves what
    /// goes into the image at `payload`.
    pub(crate) fn create(bench: &Bench, name: &str, host: &str, build: &str) -> Outcome<Self> {
        let folder = bench.folder.join(name);
        if folder.join("plimsoll.toml").exists() {
            let head = git(&folder, &["rev-parse", "HEAD"])?.trim_end().to_owned();
            return Ok(Self { plimsoll: bench.plimsoll.clone(), folder, head });
        }
        std::fs::create_dir_all(&folder)?;
        // A TOML literal string takes everything but its own quote.
        let config = format!(
            "[service]\nname = \"bench\"\n\n\
             [repository]\ncanonical = \"{host}/bench/{name}\"\nstaging = \"{host}/bench/{name}-staging\"\n\
             main_branch = \"main\"\n\n\
             [build]\ncommand = '{build}'\n\n\
             [image]\nbase = \"scratch\"\nentrypoint = [\"/payload\"]\n\n\
             [[image.copy]]\nfrom = \"payload\"\nto = \"/payload\"\n\n\
             [environments.trial]\ntarget = \"local\"\nreplicas = 1\nlisten = \"127.0.0.1:8080\"\nhealth = \"/\"\n"
        );
        std::fs::write(folder.join("plimsoll.toml"), config)?;
        git(&folder, &["init", "--quiet", "--initial-branch=main"])?;
        git(&folder, &["add", "plimsoll.toml"])?;
        let identity =
            ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"];
        git(&folder, &[&identity[..], &["commit", "--quiet", "--message", "Benchmark"]].concat())?;
        let head = git(&folder, &["rev-parse", "HEAD"])?.trim_end().to_owned();
        Ok(Self { plimsoll: bench.plimsoll.clone(), folder, head })
    }

    /// Plimsoll, started here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.plimsoll);
        command.args(arguments).current_dir(&self.folder);
        command
    }

    /// Runs a command that prints events.
    pub(crate) fn steps(&self, arguments: &[&str]) -> Outcome<Steps> {
        let command = self.command(&[arguments, &["--events"]].concat());
        let measured =
            measure::measure(&command, self.folder.parent().expect("it is below the work folder"))?;
        let lines: Vec<Value> =
            measured.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let steps = lines
            .iter()
            .filter(|line| line["event"] == "step_finished")
            .filter_map(|line| Some((line["step"].as_str()?.to_owned(), line["duration_sec"].as_f64()?)));
        let steps = steps.collect();
        let result = lines.into_iter().next_back().ok_or("it printed no result")?;
        Ok(Steps { usage: measured.usage, steps, result })
    }

    /// Forgets everything that was built and recorded here.
    pub(crate) fn forget(&self) -> Outcome<()> {
        let state = self.folder.join(".plimsoll");
        if state.exists() {
            std::fs::remove_dir_all(state)?;
        }
        Ok(())
    }
}

/// Git without the configuration of whoever runs this.
fn git(folder: &Path, arguments: &[&str]) -> Outcome<String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    measure::output(&mut command)
}
