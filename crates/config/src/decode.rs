//! From the merged tree to the types, in one pass that reports everything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::discover::{self, FILE_NAME, discover};
use crate::environment::{self, Environment};
use crate::error::{ConfigError, Problem, ProblemKind};
use crate::layers::{self, Overlays};
use crate::node::At;
use crate::origin::{Origin, Row};
use crate::policy::{self, Policy};
use crate::project::{Project, all_or_nothing};
use crate::record::{self, Ledger};
use crate::serve::{self, Admission, Serve};
use crate::table::{Findings, Table};
use crate::telemetry::{self, Telemetry};
use crate::trust::{self, Signing, Verification};

/// The whole of `plimsoll.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What belongs to the commit.
    pub project: Project,
    /// `[signing]`; none: nothing is signed.
    pub signing: Option<Signing>,
    /// `[verification]`.
    pub verification: Verification,
    /// `[policy]`; each environment has its own, which begins with this.
    pub policy: Policy,
    /// `[ledger]`.
    pub ledger: Ledger,
    /// `[serve]`.
    pub serve: Serve,
    /// `[admission]`.
    pub admission: Admission,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// `[environments.<name>]`, by name.
    pub environments: BTreeMap<String, Environment>,
}

/// A configuration, and where each value of it came from.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The configuration.
    pub config: T,
    /// The `plimsoll.toml` it began with.
    pub file: PathBuf,
    rows: Vec<Row>,
}

impl<T> Loaded<T> {
    /// The folder that relative paths are relative to.
    pub fn root(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// Every effective value, secrets masked, by key.
    pub fn show(&self) -> &[Row] {
        &self.rows
    }

    /// Where the value of a key came from: `build.timeout`.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.rows.iter().find(|row| row.key == key).map(|row| &row.origin)
    }

    /// The values that `plimsoll.toml` itself does not give although somebody
    /// does: of a build, what its commit alone would not reproduce.
    pub fn overrides(&self) -> impl Iterator<Item = &Row> {
        let own = self.file.clone();
        self.rows.iter().filter(move |row| match &row.origin {
            Origin::Default => false,
            Origin::File { path, .. } => Path::new(path) != own && *path != layers::shown(&own),
            Origin::Environment(_) | Origin::Flag => true,
        })
    }
}

/// Tables that say nothing of what a commit is built into.
const OPERATORS: [&str; 8] =
    ["signing", "verification", "policy", "ledger", "serve", "admission", "telemetry", "environments"];

impl Project {
    /// Reads the bytes of a commit's own `plimsoll.toml`. What is the
    /// operator's (`[environments]`, `[signing]`, `[verification]`,
    /// `[policy]`, `[ledger]`, `[serve]`, `[admission]`, `[telemetry]`) is left aside, there and in
    /// `overlays`.
    ///
    /// # Errors
    /// Everything that is wrong with the rest, at once.
    pub fn for_build(bytes: &[u8], overlays: &Overlays) -> Result<Loaded<Self>, ConfigError> {
        load(FILE_NAME.into(), bytes.to_vec(), overlays, |root| {
            for operators in OPERATORS {
                root.skip(operators);
            }
            Self::read(root)
        })
    }
}

impl Config {
    /// Finds the `plimsoll.toml` of `dir` (see [`discover`]) and reads it.
    ///
    /// # Errors
    /// There is none, it cannot be read, or everything that is wrong with it
    /// and with the overlays, at once.
    pub fn load(dir: &Path, overlays: &Overlays) -> Result<Loaded<Self>, ConfigError> {
        let file = discover(dir)?;
        let bytes = discover::read(&file)?;
        Self::parse(file, bytes, overlays)
    }

    /// Reads the bytes of a `plimsoll.toml` that is called `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it and with the overlays, at once.
    pub fn parse(file: PathBuf, bytes: Vec<u8>, overlays: &Overlays) -> Result<Loaded<Self>, ConfigError> {
        load(file, bytes, overlays, Self::read)
    }

    /// The environment of this name.
    ///
    /// # Errors
    /// There is none; the error names those that there are.
    pub fn environment(&self, name: &str) -> Result<&Environment, ConfigError> {
        self.environments.get(name).ok_or_else(|| ConfigError::UnknownEnvironment {
            name: name.chars().take(64).collect(),
            known: self.environments.keys().cloned().collect(),
        })
    }

    fn read(root: &mut Table<'_>) -> Option<Self> {
        let signing = root.table("signing").map(trust::signing);
        let verification = root.table_or_empty("verification").and_then(trust::verification);
        let ledger = root.table_or_empty("ledger").and_then(record::ledger);
        let serve = root.table_or_empty("serve").and_then(serve::serve);
        let admission = root.table_or_empty("admission").and_then(serve::admission);
        let telemetry = root.table_or_empty("telemetry").and_then(telemetry::telemetry);
        let policy = root.table_or_empty("policy").and_then(policy::policy);
        // A policy that is wrong is reported; the environments are read all the same.
        let general = policy.clone().unwrap_or_default();
        let environments = root.table("environments");
        let project = Project::read(root);
        let name = project.as_ref().map_or("service", |project| project.service.name.as_str());
        let environments = environments.map(|table| environment::environments(table, name, &general));
        Some(Self {
            verification: verification?,
            policy: policy?,
            ledger: ledger?,
            serve: serve?,
            admission: admission?,
            telemetry: telemetry?,
            environments: environments.unwrap_or_default(),
            signing: all_or_nothing(signing)?,
            project: project?,
        })
    }
}

fn load<T>(
    file: PathBuf,
    bytes: Vec<u8>,
    overlays: &Overlays,
    read: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> Result<Loaded<T>, ConfigError> {
    if bytes.len() as u64 > discover::MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: file });
    }
    let (tree, mut problems) = layers::merged(&layers::shown(&file), bytes, overlays)?;
    // What a file that is not TOML would have held is anybody's guess.
    let readable = !problems.iter().any(|problem| problem.kind == ProblemKind::Syntax);
    let findings = Findings::default();
    let mut config = None;
    if readable {
        let mut root = Table::root(&findings, tree);
        config = read(&mut root);
        root.finish();
        problems.extend(findings.problems.take());
    }
    match config {
        Some(config) if problems.is_empty() => {
            let mut rows = findings.rows.take();
            rows.sort_by(|a, b| natural(&a.key).cmp(&natural(&b.key)));
            Ok(Loaded { config, file, rows })
        }
        _ => Err(ConfigError::Invalid(sorted(problems, &file))),
    }
}

/// By place, so that a person goes through the file once.
fn sorted(mut problems: Vec<Problem>, file: &Path) -> Vec<Problem> {
    if problems.is_empty() {
        // Reading yields nothing only together with a problem; this holds even if a reader forgets.
        problems.push(Problem::new(
            ProblemKind::BadValue,
            &At::Default,
            format!("{} is incomplete", file.display()),
        ));
    }
    problems.sort_by(|a, b| natural(&a.place).cmp(&natural(&b.place)));
    problems.dedup();
    problems
}

/// Sorts `copy[10]` after `copy[9]`, and line 10 after line 9.
fn natural(text: &str) -> Vec<(u8, u64, &str)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) if digits => (0, number, ""),
            _ => (1, 0, part),
        });
        rest = tail;
    }
    parts
}
