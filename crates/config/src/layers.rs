//! The layers above `plimsoll.toml`: mounted files, environment, flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::discover;
use crate::error::{ConfigError, Problem, ProblemKind};
use crate::node::{self, At, Entries, Entry, Node, Source, Value};
use crate::suggest::did_you_mean;

/// Every environment variable of Plimsoll's begins with this. The rest is the
/// key: `__` between sections, case of no importance, `_` also for `-` in
/// names of environments: `PLIMSOLL_ENVIRONMENTS__PRE_PROD__REPLICAS=3`.
/// Lists and tables are written as in TOML. Below `build.env`, `image.env` and
/// `image.labels` the last part is taken as it is written.
pub const VARIABLE_PREFIX: &str = "PLIMSOLL_";

/// Variables with the prefix that are no keys, and what they are for.
pub const RESERVED_VARIABLES: &[(&str, &str)] = &[
    ("PLIMSOLL_CONFIG", "mounted configuration files, separated by `:`; `--config` goes before it"),
    ("PLIMSOLL_LOG", "which log lines are written, e.g. `info,plimsoll_registry=debug`"),
    ("PLIMSOLL_REGISTRY_USERNAME", "user name for the registry"),
    ("PLIMSOLL_REGISTRY_PASSWORD", "password or token for the registry"),
    ("PLIMSOLL_REGISTRY_CA", "file with further certificates (PEM) that registries are trusted by"),
    ("PLIMSOLL_ACTOR", "who asks, for ledger and lock; otherwise what CI says, else the account"),
    ("PLIMSOLL_COMMIT", "set for the build command: the commit that is built"),
    ("PLIMSOLL_SHORT_SHA", "set for the build command: the commit's first twelve digits"),
    ("PLIMSOLL_SHA256", "set for a program that signs: the SHA-256 of what it is given"),
    ("PLIMSOLL_CONFORMANCE_DIR", "tests: a checkout of Sigstore's conformance suite"),
    ("PLIMSOLL_SBOM_VALIDATORS", "tests: a Python that has the official validators of SBOMs"),
    ("PLIMSOLL_REQUIRE_PEERS", "set to 1: tests fail where an outside tool is absent, instead of skipping"),
];

/// Sections of `plimsoll.toml`, to tell `PLIMSOLL_BUILD_COMMAND` what it meant.
const SECTIONS: [&str; 10] = [
    "service",
    "repository",
    "build",
    "image",
    "signing",
    "verification",
    "contract",
    "migrations",
    "ledger",
    "environments",
];

/// Tables whose keys are the user's own.
const FREE: [[&str; 2]; 3] = [["build", "env"], ["image", "env"], ["image", "labels"]];

/// What is laid over `plimsoll.toml`.
#[derive(Clone, Default)]
pub struct Overlays {
    files: Vec<PathBuf>,
    variables: BTreeMap<String, String>,
    flags: Vec<String>,
}

impl Overlays {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The environment of this process.
    pub fn of_process() -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::new().variables(std::env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Adds a mounted file (`--config`); later ones win. Where there is one,
    /// `PLIMSOLL_CONFIG` is not looked at.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// Adds environment variables; those without the prefix are left aside.
    #[must_use]
    pub fn variables(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let pairs = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.variables.extend(pairs.filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)));
        self
    }

    /// Adds one `--set section.key=value`; later ones win.
    #[must_use]
    pub fn set(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    fn mounted(&self) -> Vec<PathBuf> {
        match self.variables.get("PLIMSOLL_CONFIG") {
            Some(list) if self.files.is_empty() => {
                list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect()
            }
            _ => self.files.clone(),
        }
    }
}

impl fmt::Debug for Overlays {
    /// Names only: a variable may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        f.debug_struct("Overlays")
            .field("files", &self.files)
            .field("variables", &names)
            .field("flags", &self.flags.len())
            .finish()
    }
}

/// All layers as one tree, with what was wrong on the way.
pub(crate) fn merged(
    name: &str,
    bytes: Vec<u8>,
    overlays: &Overlays,
) -> Result<(Entries, Vec<Problem>), ConfigError> {
    let mut problems = Vec::new();
    let mut tree = file_layer(name, bytes, &mut problems);
    for path in overlays.mounted() {
        let layer = file_layer(&shown(&path), discover::read(&path)?, &mut problems);
        node::merge(&mut tree, layer);
    }
    for (name, value) in &overlays.variables {
        match variable(name) {
            Variable::Reserved => {}
            Variable::Key(path) => {
                let at = At::Environment(name.as_str().into());
                let path = fit(&tree, &path);
                problems.extend(insert(&mut tree, &path, at, value));
            }
            Variable::Unknown { hint } => {
                let message = "stands for no key of plimsoll.toml".to_owned();
                let at = At::Environment(name.as_str().into());
                problems.push(Problem::new(ProblemKind::UnknownVariable, &at, message).hint(hint));
            }
        }
    }
    for flag in &overlays.flags {
        problems.extend(flag_layer(&mut tree, flag));
    }
    Ok((tree, problems))
}

/// A path as a person at this prompt would write it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(path).display().to_string()
}

fn file_layer(name: &str, bytes: Vec<u8>, problems: &mut Vec<Problem>) -> Entries {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = Rc::new(Source { name: name.into(), text });
            let at = At::File { source, span: valid..valid };
            problems.push(Problem::new(ProblemKind::Syntax, &at, "not valid UTF-8".into()));
            return Entries::new();
        }
    };
    match node::parse(&Rc::new(Source { name: name.into(), text })) {
        Ok(entries) => entries,
        Err(errors) => {
            problems.extend(errors);
            Entries::new()
        }
    }
}

enum Variable {
    Reserved,
    Key(Vec<String>),
    Unknown { hint: String },
}

fn variable(name: &str) -> Variable {
    let rest = name.strip_prefix(VARIABLE_PREFIX).unwrap_or(name);
    // Kubernetes gives every pod such variables for a Service called `plimsoll`.
    let of_a_service = rest == "SERVICE_HOST" || rest.starts_with("SERVICE_PORT") || rest.starts_with("PORT");
    if RESERVED_VARIABLES.iter().any(|(reserved, _)| *reserved == name)
        || (of_a_service && !rest.contains("__"))
    {
        return Variable::Reserved;
    }
    let path: Vec<String> = rest.split("__").map(str::to_owned).collect();
    if path.len() > 1 && path.iter().all(|part| !part.is_empty()) {
        return Variable::Key(path);
    }
    let lower = rest.to_ascii_lowercase();
    let section = SECTIONS.iter().find(|section| {
        lower.strip_prefix(*section).is_some_and(|key| key.starts_with('_') && !key.starts_with("__"))
    });
    let near = || did_you_mean_variable(name);
    let hint = match section {
        Some(section) => {
            let key = &rest[section.len() + 1..];
            let section = &rest[..section.len()];
            format!("sections end with two underscores: `{VARIABLE_PREFIX}{section}__{key}`")
        }
        None => match near() {
            Some(near) => format!("did you mean `{near}`?"),
            None => "unset it, or write `PLIMSOLL_<SECTION>__<KEY>`".into(),
        },
    };
    Variable::Unknown { hint }
}

fn did_you_mean_variable(name: &str) -> Option<String> {
    let lower: Vec<_> = RESERVED_VARIABLES.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    did_you_mean(name, lower.iter().map(String::as_str)).map(str::to_ascii_uppercase)
}

/// The keys that a variable's parts stand for: those that are there already,
/// else the parts in lower case.
fn fit(tree: &Entries, parts: &[String]) -> Vec<String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let mut level = Some(tree);
    let mut path: Vec<String> = Vec::new();
    for part in parts {
        let free = FREE.iter().any(|free| path == free);
        let there = level.and_then(|entries| {
            entries.get_key_value(part).or_else(|| {
                let same = |(key, _): &(&String, &Entry)| !free && plain(key) == plain(part);
                entries.iter().find(same)
            })
        });
        level = there.and_then(|(_, entry)| match &entry.node.value {
            Value::Table(inner) => Some(inner),
            _ => None,
        });
        path.push(match there {
            Some((key, _)) => key.clone(),
            None if free => part.clone(),
            None => part.to_ascii_lowercase(),
        });
    }
    path
}

fn flag_layer(tree: &mut Entries, flag: &str) -> Option<Problem> {
    let bad = |key: &str| {
        // What follows the key may be a secret.
        let word = |c: &char| c.is_ascii_alphanumeric() || "._-\"".contains(*c);
        let at = At::Flag(key.chars().take_while(word).take(60).collect::<String>().into());
        let problem = Problem::new(ProblemKind::BadFlag, &at, "not of the form `section.key=value`".into());
        Some(problem.hint("for example `--set environments.production.replicas=3`"))
    };
    // A quoted key may hold `=`: the value begins at the first `=` before
    // which the text is a key.
    let split = flag.match_indices('=').find_map(|(at, _)| {
        let path = node::parse_key(flag[..at].trim()).ok()?;
        (path.len() > 1).then(|| (path, flag[..at].trim(), &flag[at + 1..]))
    });
    let Some((path, key, value)) = split else { return bad(flag.split('=').next().unwrap_or_default()) };
    insert(tree, &path, At::Flag(key.into()), value)
}

/// Puts an untyped value at `path`, making the tables on the way.
fn insert(tree: &mut Entries, path: &[String], at: At, value: &str) -> Option<Problem> {
    let (last, sections) = path.split_last()?;
    let mut level = tree;
    for (depth, section) in sections.iter().enumerate() {
        let new =
            || Entry { key: at.clone(), node: Node { at: at.clone(), value: Value::Table(Entries::new()) } };
        let entry = level.entry(section.clone()).or_insert_with(new);
        if matches!(entry.node.value, Value::Untyped(_)) {
            entry.node = entry.node.clone().structured();
        }
        let Value::Table(inner) = &mut entry.node.value else {
            let message = format!("`{}` is no table, so nothing can be set in it", path[..=depth].join("."));
            return Some(Problem::new(ProblemKind::Conflict, &at, message));
        };
        level = inner;
    }
    let node = Node { at: at.clone(), value: Value::Untyped(value.into()) };
    level.insert(last.clone(), Entry { key: at, node });
    None
}
