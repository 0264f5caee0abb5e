//! Where secrets are, and the one place that reads them (CFG-1).

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_model::{Class, Diagnose, Secret};

/// Where a secret is. `Display` and `Debug` name the place, not the secret,
/// and of a command only its first word, since the rest may hold one.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `env:NAME`: an environment variable.
    Env(String),
    /// `file:PATH`: a file, relative to `plimsoll.toml`; one trailing newline
    /// is not part of the secret.
    File(PathBuf),
    /// `command:CMD`: what `sh -c CMD` prints; one trailing newline is not
    /// part of the secret.
    Command(String),
}

/// What a [`SecretSource`] is read with.
#[derive(Clone, Copy)]
pub struct SecretContext<'a> {
    /// The folder of `plimsoll.toml`: relative paths and commands start there.
    pub root: &'a Path,
    /// Looks an environment variable up.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// How long a command may take.
    pub timeout: Duration,
}

impl<'a> SecretContext<'a> {
    /// The most a secret may have: 64 KiB.
    pub const MAX_BYTES: u64 = 64 << 10;

    /// Reads from this process's environment; commands get 30 seconds.
    pub fn of_process(root: &'a Path) -> Self {
        Self { root, env: &|name| std::env::var(name).ok(), timeout: Duration::from_secs(30) }
    }
}

impl fmt::Debug for SecretContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretContext").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Why a secret could not be had. None of these ever shows one.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, is empty or is not text.
    #[error("the environment variable {name} holds no secret")]
    Unset {
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read the secret in {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a regular file, or writable by everybody, or too large, or not text.
    #[error("the secret in {} cannot be used: {why}", .path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
    /// The command could not be started.
    #[error("cannot run the command for a secret, `{command}`")]
    Start {
        /// Its first word.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The command ended badly, or said nothing usable.
    #[error("the command for a secret, `{command}`, {why}")]
    Command {
        /// Its first word.
        command: String,
        /// What it did.
        why: String,
    },
    /// The secret is no database URL.
    #[error("{origin} holds no database URL")]
    NotADatabase {
        /// Where it was read.
        origin: SecretSource,
    },
}

impl Diagnose for SecretError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn code(&self) -> &'static str {
        "CFG-012"
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::NotADatabase { .. } => Some("`sqlite://PATH` or `postgres://…`".into()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unset { name } => format!("set {name} and run the command again"),
            Self::Read { .. } | Self::Unfit { .. } => {
                "`plimsoll config show --origin` tells which line names the file".into()
            }
            Self::Start { .. } | Self::Command { .. } => {
                "run it by hand in the folder of plimsoll.toml to see what it says".into()
            }
            Self::NotADatabase { .. } => "`plimsoll explain CFG-012` says more".into(),
        };
        Some(format!("nothing was touched; {hint}"))
    }
}

impl SecretSource {
    /// `env:NAME`, `file:PATH`, `command:CMD`; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        if rest.trim().is_empty() || rest.contains('\0') {
            return None;
        }
        match scheme {
            "env" => {
                let word = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                (word && !rest.as_bytes()[0].is_ascii_digit()).then(|| Self::Env(rest.into()))
            }
            "file" => Some(Self::File(rest.into())),
            "command" => Some(Self::Command(rest.into())),
            _ => None,
        }
    }

    /// Reads the secret: bounded in size and time.
    ///
    /// A file that everybody may write to is refused, since somebody else
    /// could have put the key there. One that everybody may read is taken:
    /// Kubernetes and Docker mount secrets that way.
    ///
    /// # Errors
    /// It is not there, is empty, is too large, is not UTF-8, or took too long.
    pub fn resolve(&self, context: &SecretContext<'_>) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => match (context.env)(name) {
                Some(value) if !value.is_empty() => Ok(Secret::new(value)),
                _ => Err(SecretError::Unset { name: name.clone() }),
            },
            Self::File(path) => read_file(&context.root.join(path)),
            Self::Command(command) => run(command, context),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Command(command) => write!(f, "command:{}", first_word(command)),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `vault ****` for `vault read -field=key secret/payouts`. A first word that
/// assigns (`TOKEN=… vault`) is masked whole.
fn first_word(command: &str) -> String {
    match command.split_whitespace().collect::<Vec<_>>().as_slice() {
        [first, ..] if first.contains('=') => "****".into(),
        [only] => (*only).to_owned(),
        [first, ..] => format!("{first} ****"),
        [] => String::new(),
    }
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let read = |source| SecretError::Read { path: path.into(), source };
    let unfit = |why| SecretError::Unfit { path: path.into(), why };
    // Without O_NONBLOCK, opening a pipe that nobody writes to would hang.
    let file = File::options()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(unfit("it is not a regular file"));
    }
    if metadata.permissions().mode() & 0o002 != 0 {
        return Err(unfit("everybody may write to it (`chmod o-w` it)"));
    }
    let mut bytes = Vec::new();
    file.take(SecretContext::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    secret_of(bytes).map_err(unfit)
}

fn secret_of(bytes: Vec<u8>) -> Result<Secret, &'static str> {
    if bytes.len() as u64 > SecretContext::MAX_BYTES {
        return Err("it is larger than 64 KiB");
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err("it is empty") } else { Ok(Secret::new(text)) }
}

fn run(command: &str, context: &SecretContext<'_>) -> Result<Secret, SecretError> {
    let shown = first_word(command);
    let bad = |why: String| SecretError::Command { command: shown.clone(), why };
    let deadline = Instant::now() + context.timeout;
    let mut child = Command::new("sh")
        .args(["-c", command])
        .current_dir(context.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that ending it ends what it started too.
        .process_group(0)
        .spawn()
        .map_err(|source| SecretError::Start { command: shown.clone(), source })?;
    let group = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let stdout = child.stdout.take().map(|pipe| bounded(pipe, SecretContext::MAX_BYTES + 1));
    let stderr = child.stderr.take().map(|pipe| bounded(pipe, 4 << 10));
    let (sender, ended) = mpsc::channel::<io::Result<ExitStatus>>();
    thread::spawn(move || sender.send(child.wait()));

    let left = || deadline.saturating_duration_since(Instant::now());
    let kill = || {
        // An error means that it has ended by itself meanwhile.
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    };
    let late = || bad(format!("did not end within {} s", context.timeout.as_secs_f64()));
    let Ok(status) = ended.recv_timeout(left()) else {
        kill();
        return Err(late());
    };
    let status = status.map_err(|source| SecretError::Start { command: shown.clone(), source })?;
    // Something it left running may still hold the pipe open.
    let collect = |pipe: Option<mpsc::Receiver<Vec<u8>>>| match pipe {
        Some(pipe) => pipe.recv_timeout(left()).ok(),
        None => Some(Vec::new()),
    };
    let Some(output) = collect(stdout) else {
        kill();
        return Err(late());
    };
    if !status.success() {
        let said = collect(stderr).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let why = match last.trim() {
            "" => format!("ended with {status}"),
            last => format!("ended with {status}: {}", last.chars().take(200).collect::<String>()),
        };
        return Err(bad(why));
    }
    secret_of(output).map_err(|why| bad(format!("printed no secret: {why}")))
}

/// Reads at most `most` bytes of a pipe and drains the rest, so that the
/// writer does not block.
fn bounded(mut pipe: impl Read + Send + 'static, most: u64) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = (&mut pipe).take(most).read_to_end(&mut bytes);
        // Whoever waits gets what there was; a broken pipe shows in the status.
        let _ = read.and_then(|_| io::copy(&mut pipe, &mut io::sink()));
        sender.send(bytes)
    });
    receiver
}
