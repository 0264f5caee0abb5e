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
    /// Sections of the configuration that sign and verify by the key pair of
    /// [`Project::generate_keys`].
    pub(crate) const SIGNED: &str = "\n[signing]\nkey = \"file:cosign.key\"\npassword = \"env:COSIGN_PASSWORD\"\n\n\
                                     [verification]\npublic_keys = [\"file:cosign.pub\"]\n";

    /// Makes the repository where it is not there yet. `build` is the build command, which leaves what
    /// goes into the image at `payload`.
    pub(crate) fn create(bench: &Bench, name: &str, host: &str, build: &str) -> Outcome<Self> {
        Self::create_with(bench, name, host, build, "")
    }

    /// The same with more sections in its configuration.
    pub(crate) fn create_with(
        bench: &Bench,
        name: &str,
        host: &str,
        build: &str,
        more: &str,
    ) -> Outcome<Self> {
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
             [environments.trial]\ntarget = \"local\"\nreplicas = 1\nlisten = \"127.0.0.1:8080\"\nhealth = \"/\"\n{more}"
        );
        std::fs::write(folder.join("plimsoll.toml"), config)?;
        Self::of_folder(bench, folder)
    }

    /// Makes a repository of a folder, with one commit of all that is in it.
    pub(crate) fn of_folder(bench: &Bench, folder: PathBuf) -> Outcome<Self> {
        git(&folder, &["init", "--quiet", "--initial-branch=main"])?;
        let mut project = Self { plimsoll: bench.plimsoll.clone(), folder, head: String::new() };
        project.commit(&["."])?;
        Ok(project)
    }

    /// Commits files of the folder as they are.
    pub(crate) fn commit(&mut self, files: &[&str]) -> Outcome<()> {
        git(&self.folder, &[&["add"], files].concat())?;
        let identity =
            ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"];
        git(&self.folder, &[&identity[..], &["commit", "--quiet", "--message", "Benchmark"]].concat())?;
        self.head = git(&self.folder, &["rev-parse", "HEAD"])?.trim_end().to_owned();
        Ok(())
    }

    /// Plimsoll, started here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.plimsoll);
        command.args(arguments).current_dir(&self.folder).env("COSIGN_PASSWORD", "bench");
        command
    }

    /// Makes a key pair beside the configuration.
    pub(crate) fn generate_keys(&self) -> Outcome<()> {
        measure::output(&mut self.command(&["keys", "generate"])).map(drop)
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
