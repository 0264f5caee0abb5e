//! Gives the build command the same paths on every machine and every time.
//!
//! Compilers write paths into what they make: `env!("CARGO_MANIFEST_DIR")`,
//! `file!()` of generated code and of crates from a registry, `__FILE__`, debug
//! information. A checkout has a directory of its own each time, so the same
//! commit would give other bytes (BLD-2). Flags such as
//! `--remap-path-prefix` reach one compiler only, and setting `RUSTFLAGS`
//! switches off the flags of the repository's own `.cargo/config.toml`.
//!
//! So the command runs in a mount namespace of its own in which the checkout is
//! at [`SOURCE`], cargo's home at [`CARGO_HOME`] and a reused target directory
//! at [`TARGET`]; everything else is where it always is. The kernel allows that
//! to root, and to everybody where unprivileged user namespaces are enabled.
//! It cannot be done between fork and exec without `unsafe`, and not in a
//! process with threads, so the program calls itself: the first thing its
//! `main` does is to hand arguments that begin with [`ARGUMENT`] to [`main`].
//!
//! Hard links between these directories and others fail there, as across file
//! systems; tools that try them copy instead.
//!
//! Where it is not allowed, the command runs in the checkout's own directory:
//! what does not write absolute paths of its own tree into its output is still
//! reproducible.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{getgid, getuid, pivot_root};

/// The hidden argument that a program hands to [`main`].
pub const ARGUMENT: &str = "__enter";
/// Where the build command finds the checkout.
pub const SOURCE: &str = "/plimsoll-build/src";
/// Where it finds cargo's home.
pub const CARGO_HOME: &str = "/plimsoll-build/cargo";
/// Where it finds a reused target directory.
pub const TARGET: &str = "/plimsoll-build/target";

/// The directory of the three, made anew in the namespace.
const TOP: &str = "plimsoll-build";
/// Exit code when the namespace could not be set up; nothing was run then.
const NOT_ENTERED: u8 = 125;

/// What is bound where.
#[derive(Debug, Clone)]
pub(crate) struct Enclosure {
    /// The executable whose `main` calls [`main`].
    pub(crate) executable: PathBuf,
    /// An empty directory that becomes the root.
    pub(crate) root: PathBuf,
    /// Directories and the paths they get below [`TOP`].
    pub(crate) binds: Vec<(PathBuf, &'static str)>,
}

impl Enclosure {
    /// A command line that runs `program` inside.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.executable);
        command.arg(ARGUMENT).arg(&self.root);
        for (from, to) in &self.binds {
            command.arg(from).arg(to);
        }
        command.arg("--").arg(program);
        command
    }

    /// Whether the kernel lets us, found out by doing it. An executable that
    /// does not know [`ARGUMENT`] is found out too.
    pub(crate) fn works(&self) -> bool {
        let mut command = self.command("sh");
        command.args(["-c", "pwd -P"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.output() {
            Ok(output) if output.status.success() && output.stdout.trim_ascii() == SOURCE.as_bytes() => true,
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr);
                tracing::info!(reason = reason.trim(), "no mount namespace for the build command");
                false
            }
            Err(error) => {
                tracing::info!(%error, "no mount namespace for the build command");
                false
            }
        }
    }
}

/// Whether build commands get constant paths on this system, with this
/// executable.
pub fn available(executable: &Path) -> bool {
    let Ok(dir) = tempfile::tempdir() else { return false };
    let (root, source) = (dir.path().join("root"), dir.path().join("src"));
    let made = fs::create_dir(&root).and_then(|()| fs::create_dir(&source)).is_ok();
    let enclosure = Enclosure { executable: executable.into(), root, binds: vec![(source, SOURCE)] };
    made && enclosure.works()
}

/// Sets the namespace up and becomes the program; only returns, with the exit
/// code, when that failed. `args` are what follows [`ARGUMENT`].
///
/// Must be called before any thread is started.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let Err((step, error)) = enter(args.into_iter().collect());
    // Nobody else can say it: this process has no logger and no printer.
    let text = format!("cannot {step}: {error}\n");
    io::Write::write_all(&mut io::stderr(), text.as_bytes()).ok();
    NOT_ENTERED
}

type Failure = (&'static str, io::Error);

/// Names the step in the error.
fn during<E: Into<io::Error>>(step: &'static str) -> impl Fn(E) -> Failure {
    move |error| (step, error.into())
}

fn enter(args: Vec<OsString>) -> Result<std::convert::Infallible, Failure> {
    let usage = || ("read the arguments", io::Error::from(io::ErrorKind::InvalidInput));
    let split = args.iter().position(|arg| arg == "--").ok_or_else(usage)?;
    let [root, binds @ ..] = &args[..split] else { return Err(usage()) };
    let [program, rest @ ..] = &args[split + 1..] else { return Err(usage()) };
    // Should Plimsoll be killed outright, its build does not go on alone.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(during("be bound to the parent"))?;
    let binds: Vec<(&Path, &Path)> =
        binds.chunks_exact(2).map(|pair| (Path::new(&pair[0]), Path::new(&pair[1]))).collect();
    new_namespace()?;
    build_root(Path::new(root), &binds)?;
    std::env::set_current_dir(SOURCE).map_err(during("enter the checkout"))?;
    Err(during("start the program")(Command::new(program).args(rest).exec()))
}

fn new_namespace() -> Result<(), Failure> {
    let (uid, gid) = (getuid(), getgid());
    if !uid.is_root() || unshare(CloneFlags::CLONE_NEWNS).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .map_err(during("make a user and a mount namespace"))?;
        // user_namespaces(7): a process may map its own ids, once it has given
        // up changing its groups.
        let write = |file: &str, text: String| {
            fs::write(Path::new("/proc/self").join(file), text).map_err(during("map the user"))
        };
        write("setgroups", "deny".into())?;
        write("uid_map", format!("{uid} {uid} 1"))?;
        write("gid_map", format!("{gid} {gid} 1"))?;
    }
    let none: Option<&str> = None;
    // Nothing that is mounted from here on is seen outside.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).map_err(during("detach the mounts"))
}

/// A root of our own: every entry of the old one bound to its place, and
/// [`TOP`] beside them.
fn build_root(root: &Path, binds: &[(&Path, &Path)]) -> Result<(), Failure> {
    let none: Option<&str> = None;
    let bind = |from: &Path, to: &Path| mount(Some(from), to, none, MsFlags::MS_BIND | MsFlags::MS_REC, none);
    mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0755,size=1m"))
        .map_err(during("mount a new root"))?;
    for entry in fs::read_dir("/").map_err(during("list the root"))?.flatten() {
        let (from, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        let to = root.join(&name);
        if name == TOP {
            continue;
        }
        let made = if kind.is_symlink() {
            fs::read_link(&from).and_then(|target| std::os::unix::fs::symlink(target, &to))
        } else if kind.is_dir() {
            fs::create_dir(&to).and_then(|()| bind(&from, &to).map_err(io::Error::from))
        } else {
            File::create(&to).and_then(|_| bind(&from, &to).map_err(io::Error::from))
        };
        made.map_err(during("bind the directories of the root"))?;
    }
    for (from, to) in binds {
        let to = root.join(to.strip_prefix("/").unwrap_or(to));
        fs::create_dir_all(&to).map_err(during("make the constant paths"))?;
        bind(from, &to).map_err(during("bind the constant paths"))?;
    }
    // What a build writes to the root itself would vanish; better it fails.
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID;
    mount(none, root, none, read_only, none).map_err(during("protect the new root"))?;
    // pivot_root(2), "pivot_root(\".\", \".\")": the old root ends up on top of
    // the new one and is taken off.
    std::env::set_current_dir(root).map_err(during("enter the new root"))?;
    pivot_root(".", ".").map_err(during("change the root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(during("leave the old root"))?;
    std::env::set_current_dir("/").map_err(during("enter the new root"))
}
