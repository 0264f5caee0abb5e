//! What every command works with: configuration, ledger, local store, who asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use plimsoll_config::{Config, ConfigError, DatabaseUrl, Environment, Loaded, Overlays, SecretContext};
use plimsoll_ledger::{Holder, KeySource, Ledger};
use plimsoll_model::{Failure, Lookup, Observer, Repository};
use plimsoll_oci::Layout;
use plimsoll_registry::client::{Attacher, Options as RegistryOptions, Publisher, Reader, Sources};

use crate::error::PipelineError;

/// The folder beside `plimsoll.toml` that holds ledger, store and environments.
pub const STATE_FOLDER: &str = ".plimsoll";

/// Everything a command needs besides its own arguments.
#[derive(Clone)]
pub struct Context {
    /// The working copy's configuration.
    pub config: Arc<Loaded<Config>>,
    /// What was laid over it; also laid over a commit's own configuration.
    pub overlays: Overlays,
    /// The record of everything.
    pub ledger: Ledger,
    /// Where progress goes.
    pub observer: Arc<dyn Observer>,
    /// Who asks, for ledger and lock.
    pub holder: Holder,
    /// This program, to start its own daemons with.
    pub executable: PathBuf,
    /// Set when a person wants what is under way stopped and undone.
    pub interrupt: Arc<AtomicBool>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("root", &self.root()).finish_non_exhaustive()
    }
}

/// What a [`Context`] is opened with.
pub struct Options {
    /// Where the command was started.
    pub directory: PathBuf,
    /// What is laid over `plimsoll.toml`.
    pub overlays: Overlays,
    /// Where progress goes.
    pub observer: Arc<dyn Observer>,
    /// The command line, for the lock.
    pub command: String,
    /// This program.
    pub executable: PathBuf,
    /// Set by a signal handler.
    pub interrupt: Arc<AtomicBool>,
}

impl Context {
    /// Reads the configuration and opens the ledger.
    ///
    /// # Errors
    /// When either cannot be read. Nothing but the ledger's own file is made.
    pub async fn open(options: Options) -> Result<Self, Failure> {
        let config = match Config::load(&options.directory, &options.overlays) {
            Ok(config) => config,
            Err(error) => return Err(with_digest_of_base(error).await),
        };
        let ledger = open_ledger(&config)?;
        Ok(Self {
            config: Arc::new(config),
            overlays: options.overlays,
            ledger,
            observer: options.observer,
            holder: holder(options.command),
            executable: options.executable,
            interrupt: options.interrupt,
        })
    }

    /// The folder of `plimsoll.toml`.
    pub fn root(&self) -> &Path {
        self.config.root()
    }

    /// Where ledger, store and environments live.
    pub fn state_folder(&self) -> PathBuf {
        self.root().join(STATE_FOLDER)
    }

    /// The local image store.
    ///
    /// # Errors
    /// When its folder cannot be made or read.
    pub fn store(&self) -> Result<Layout, Failure> {
        ensure_state_folder(&self.state_folder())?;
        Ok(Layout::open_or_create(self.state_folder().join("store"))?)
    }

    /// One environment of the configuration.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn environment(&self, name: &str) -> Result<&Environment, Failure> {
        Ok(self.config.config.environment(name)?)
    }

    /// The repository an environment may use.
    pub fn repository_of(&self, environment: &Environment) -> &Repository {
        self.config.config.project.repository.get(environment.repository)
    }

    /// Read access to a repository.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn reader(&self, repository: &Repository) -> Result<Reader, Failure> {
        Ok(reader(&self.config.config, repository)?.observed(self.observer.clone()))
    }

    /// Write access to a repository. Only building and pushing ask for it.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(crate) fn publisher(&self, repository: &Repository) -> Result<Publisher, Failure> {
        let publisher = Publisher::new(repository.clone(), registry_options(&self.config.config))?;
        Ok(publisher.observed(self.observer.clone()))
    }

    /// The right to attach evidence to images of a repository. It pushes no
    /// image and moves no tag of a commit.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub(crate) fn attacher(&self, repository: &Repository) -> Result<Attacher, Failure> {
        let attacher = Attacher::new(repository.clone(), registry_options(&self.config.config))?;
        Ok(attacher.observed(self.observer.clone()))
    }

    /// Who asks.
    pub fn actor(&self) -> &str {
        &self.holder.who
    }
}

/// Read access to a repository, without ledger or store.
///
/// # Errors
/// When the client cannot be set up.
pub fn reader(config: &Config, repository: &Repository) -> Result<Reader, Failure> {
    Ok(Reader::new(repository.clone(), registry_options(config))?)
}

/// Credentials of this process's environment are for our own two repositories
/// and no other.
fn registry_options(config: &Config) -> RegistryOptions {
    let own = &config.project.repository;
    RegistryOptions {
        credentials: Sources::from_environment(&[own.canonical.clone(), own.staging.clone()]),
        ca_files: std::env::var_os("PLIMSOLL_REGISTRY_CA").map(PathBuf::from).into_iter().collect(),
        ..RegistryOptions::default()
    }
}

/// A base that is named by a tag is refused with the digest to write instead.
pub(crate) async fn with_digest_of_base(error: ConfigError) -> Failure {
    let Some(base) = error.unpinned_base() else { return error.into() };
    let options =
        RegistryOptions { credentials: Sources::from_environment(&[]), ..RegistryOptions::default() };
    let reader = match Reader::new(base.repository.clone(), options) {
        Ok(reader) => reader,
        Err(error) => return error.into(),
    };
    let found = reader.resolve_tag(base.tag.as_deref().unwrap_or("latest")).await;
    let pinned = match found {
        Lookup::Found(at) => Ok(format!("{}@{}", base.repository, at.digest())),
        other => Err(other.describe(|_| String::new())),
    };
    PipelineError::UnpinnedBase { reference: base.to_string(), pinned, source: Box::new(error) }.into()
}

/// Opens the ledger that the configuration names, making it where absent.
///
/// # Errors
/// When it cannot be opened, or is of a kind that this version cannot open.
pub fn open_ledger(config: &Loaded<Config>) -> Result<Ledger, Failure> {
    let path = ledger_path(config)?;
    if path.starts_with(config.root().join(STATE_FOLDER)) {
        ensure_state_folder(&config.root().join(STATE_FOLDER))?;
    }
    Ok(Ledger::open(&format!("sqlite://{}", path.display()), KeySource::Beside)?)
}

/// Opens the ledger if it is there; makes nothing.
///
/// # Errors
/// As [`open_ledger`].
pub fn existing_ledger(config: &Loaded<Config>) -> Result<Option<Ledger>, Failure> {
    let url = format!("sqlite://{}", ledger_path(config)?.display());
    Ok(Ledger::open_existing(&url, KeySource::Beside)?)
}

fn ledger_path(config: &Loaded<Config>) -> Result<PathBuf, Failure> {
    let context = SecretContext::of_process(config.root());
    match config.config.ledger.url.resolve(&context)? {
        DatabaseUrl::Sqlite(path) => Ok(path),
        DatabaseUrl::Postgres(_) => Err(PipelineError::LedgerKind.into()),
    }
}

/// The state folder keeps itself out of the repository.
fn ensure_state_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |source| PipelineError::StateFolder { path: folder.into(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n").map_err(failed)?;
    }
    Ok(())
}

/// Who asks: what CI says of itself, else the user of this machine.
fn holder(command: String) -> Holder {
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let host = hostname();
    let who = ["PLIMSOLL_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER"]
        .into_iter()
        .find_map(named)
        .unwrap_or_else(|| format!("{}@{host}", account()));
    Holder { who, host, pid: std::process::id(), command }
}

/// The account's name; its number where it has none. Not what `$USER` says:
/// that is anybody's to set.
pub fn account() -> String {
    let uid = nix::unistd::getuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {uid}"),
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".into(), |s| s.trim().into())
}

/// How long a lock's lease is; renewed well before.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
