//! The sample service in a repository of its own, built commit after commit.

use std::path::Path;
use std::process::Command;

use super::measure;
use super::project::{Project, Steps};
use super::{Bench, Outcome};

/// The sample service.
pub(crate) struct Service {
    pub(crate) project: Project,
    /// What of its configuration is this benchmark's: registry, build command.
    settings: Vec<String>,
    commits: usize,
}

impl Service {
    /// Copies the service, and compiles it once: what is measured comes after.
    pub(crate) fn create(bench: &Bench, name: &str, host: &str) -> Outcome<Self> {
        let folder = bench.folder.join(name);
        copy(&bench.root.join("examples/payouts"), &folder)?;
        let target = bench.folder.join("payouts-target");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--release", "--locked", "--offline", "--quiet"]).current_dir(&folder);
        // As its configuration has it: static, so that it runs in an image without anything else.
        cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").env("CARGO_TARGET_DIR", &target);
        measure::output(&mut cargo)?;
        let binary = target.join("release/payouts");
        let binary =
            binary.to_str().filter(|path| !path.contains(['\'', '"'])).ok_or("no path for a shell")?;
        let project = Project::of_folder(bench, folder)?;
        // A different binary for each commit, without compiling.
        let command = format!("mkdir -p target/release && cat '{binary}' release > target/release/payouts");
        let settings = [
            format!("build.command={command}"),
            format!("repository.canonical={host}/bench/{name}"),
            format!("repository.staging={host}/bench/{name}-staging"),
        ];
        Ok(Self { project, settings: settings.into(), commits: 0 })
    }

    /// Plimsoll, started here with the benchmark's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.project.command(&self.arguments(arguments))
    }

    /// Builds and pushes one more commit.
    pub(crate) fn build(&mut self, more: &[&str]) -> Outcome<Steps> {
        self.commits += 1;
        std::fs::write(self.project.folder.join("release"), format!("release {}\n", self.commits))?;
        self.project.commit(&["release"])?;
        let steps = self.project.steps(&self.arguments(&[&["build"], more].concat()))?;
        if steps.result["pushed"] != true {
            return Err(format!("not pushed: {}", steps.result).into());
        }
        Ok(steps)
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let settings = self.settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        arguments.iter().copied().chain(settings).collect()
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
