//! The last step before the image's own program: a root of its own, the
//! image's user, environment and folder, then `exec`.
//!
//! This runs in a process of its own (`plimsoll __enter DIR`), started by the
//! supervisor, because only a fresh single-threaded process may enter a user
//! namespace, and because everything here is then done by safe calls: nothing
//! has to run between fork and exec.
//!
//! What the kernel allows decides how far the isolation goes:
//!
//! 1. as root: a mount namespace with the image as root, the image's user;
//! 2. otherwise, where user namespaces are allowed: the same within one, the
//!    image's user mapped to the caller's;
//! 3. otherwise: none; the program is started from the unpacked files and sees
//!    this machine's. `doctor` says so.
//!
//! Writes go to an overlay of the instance's own where the kernel has one, so
//! that replicas do not see each other's files.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, chroot, getgid, getuid, setgid, setgroups, setuid};
use plimsoll_rollout_switch::files::{read_json, write_json};

use crate::state::{InstanceDir, Launch, Spec};

/// Written into the instance's folder when the program could not be started.
pub(crate) const FAILURE: &str = "failure";
/// Written into the instance's folder: how far the isolation went.
pub(crate) const ISOLATION: &str = "isolation";
/// Exit status after [`FAILURE`] was written.
pub(crate) const CANNOT_START: u8 = 127;

/// Enters the instance's root and becomes its program. Returns only when that
/// failed; the reason is then in the instance's folder.
pub fn main(folder: &Path) -> u8 {
    let dir = InstanceDir::new(folder);
    // Opened before the root changes: afterwards the folder is out of reach.
    let failure = fs::File::create(folder.join(FAILURE));
    let error = match become_program(&dir) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    if let Ok(mut file) = failure {
        // Nobody is left to tell if this fails, too; the exit status says enough.
        let _ = file.write_all(error.as_bytes()).and_then(|()| file.sync_all());
    }
    CANNOT_START
}

enum Never {}

fn become_program(dir: &InstanceDir) -> Result<Never, String> {
    let spec: Spec = dir.spec().map_err(|e| e.to_string())?.ok_or("the instance has no spec")?;
    let launch: Launch = read_json(&spec.image.join("image.json"))
        .map_err(|e| e.to_string())?
        .ok_or_else(|| format!("the unpacked image {} is not complete", spec.image.display()))?;
    let root = spec.image.join("root");
    let user = User::of_image(&launch.user, &root)?;

    let isolation = isolate(dir, &root, &user);
    write_json(&dir.path().join(ISOLATION), &isolation.describe()).map_err(|e| e.to_string())?;
    let inside = match &isolation {
        Isolation::Root { merged } | Isolation::UserNamespace { merged } => {
            chroot(merged.as_path()).map_err(|e| format!("cannot enter the image's root: {e}"))?;
            PathBuf::from("/")
        }
        Isolation::None { .. } => root,
    };
    let workdir = inside.join(launch.workdir.trim_start_matches('/'));
    chdir(&workdir).map_err(|e| format!("cannot enter the working folder `{}`: {e}", launch.workdir))?;
    if let Isolation::Root { .. } = isolation {
        user.assume()?;
    }
    // The supervisor's death must not leave a program that nobody watches.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|e| format!("cannot tie the program to its supervisor: {e}"))?;

    let mut env = launch.env.clone();
    env.extend(spec.env.clone());
    env.insert("PORT".into(), spec.address.port().to_string());
    env.entry("PATH".into())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    let (name, arguments) =
        launch.argv.split_first().ok_or("the image has neither entrypoint nor command")?;
    let program = find_program(name, &inside, &workdir, &env)?;
    let error = Command::new(&program).arg0(name).args(arguments).env_clear().envs(&env).exec();
    Err(match error.kind() {
        io::ErrorKind::NotFound => {
            format!("`{name}` cannot be executed: its interpreter or dynamic loader is not in the image")
        }
        _ => format!("`{name}` cannot be executed: {error}"),
    })
}

/// What a container engine does: a name with a slash is a path, one without is
/// looked up in the image's `PATH`.
fn find_program(
    name: &str,
    inside: &Path,
    workdir: &Path,
    env: &BTreeMap<String, String>,
) -> Result<PathBuf, String> {
    let within = |path: &str| inside.join(path.trim_start_matches('/'));
    if name.contains('/') {
        let path = if name.starts_with('/') { within(name) } else { workdir.join(name) };
        return if path.exists() { Ok(path) } else { Err(format!("there is no `{name}` in the image")) };
    }
    let folders = env.get("PATH").map(String::as_str).unwrap_or_default();
    folders
        .split(':')
        .map(|folder| within(folder).join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("there is no `{name}` in the image's PATH ({folders})"))
}

/// How far the isolation went.
enum Isolation {
    Root { merged: PathBuf },
    UserNamespace { merged: PathBuf },
    None { reason: String },
}

impl Isolation {
    fn describe(&self) -> String {
        match self {
            Self::Root { .. } => "own root and user".into(),
            Self::UserNamespace { .. } => "own root, in a user namespace".into(),
            Self::None { reason } => format!("none: {reason}"),
        }
    }
}

fn isolate(dir: &InstanceDir, root: &Path, user: &User) -> Isolation {
    let (uid, gid) = (getuid(), getgid());
    let entered = if uid.is_root() {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| format!("no mount namespace: {e}"))
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .map_err(|e| format!("no user namespace: {e}"))
            .and_then(|()| map_user(uid, gid, user).map_err(|e| format!("no user mapping: {e}")))
    };
    let merged = entered.and_then(|()| mounts(dir, root).map_err(|e| format!("no mounts: {e}")));
    match merged {
        Ok(merged) if uid.is_root() => Isolation::Root { merged },
        Ok(merged) => Isolation::UserNamespace { merged },
        Err(reason) => Isolation::None { reason },
    }
}

/// Within the namespace the caller has the image's numbers.
fn map_user(uid: Uid, gid: Gid, user: &User) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{} {uid} 1", user.uid))?;
    fs::write("/proc/self/gid_map", format!("{} {gid} 1", user.gid))
}

/// The image as a tree with the few files of the machine that a program needs.
fn mounts(dir: &InstanceDir, root: &Path) -> nix::Result<PathBuf> {
    const NOTHING: Option<&str> = None;
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)?;
    let merged = dir.path().join("root");
    let (upper, work) = (dir.path().join("upper"), dir.path().join("work"));
    for folder in [&merged, &upper, &work] {
        fs::create_dir_all(folder).map_err(errno)?;
    }
    let layers =
        format!("lowerdir={},upperdir={},workdir={}", root.display(), upper.display(), work.display());
    let overlay = mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(layers.as_str()));
    if overlay.is_err() {
        // Without an overlay the replicas share the unpacked files.
        mount(Some(root), &merged, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)?;
    }
    for path in ["/proc", "/sys", "/dev"] {
        let at = merged.join(&path[1..]);
        fs::create_dir_all(&at).map_err(errno)?;
        mount(Some(path), &at, NOTHING, MsFlags::MS_BIND | MsFlags::MS_REC, NOTHING)?;
    }
    for path in ["/etc/resolv.conf", "/etc/hosts"] {
        let at = merged.join(&path[1..]);
        if Path::new(path).exists() && !at.exists() {
            fs::create_dir_all(merged.join("etc")).map_err(errno)?;
            fs::copy(path, &at).map_err(errno)?;
        }
    }
    let temporary = merged.join("tmp");
    if !temporary.exists() {
        fs::create_dir_all(&temporary).map_err(errno)?;
    }
    // A shared sticky folder, as everywhere; harmless where it was one already.
    let sticky = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    let _ = fs::set_permissions(&temporary, sticky);
    Ok(merged)
}

fn errno(error: io::Error) -> nix::errno::Errno {
    error.raw_os_error().map_or(nix::errno::Errno::EIO, nix::errno::Errno::from_raw)
}

/// The image's user in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// `uid`, `uid:gid`, `name`, `name:group`, or empty for root (OCI
    /// image-spec, config.md, `User`). Names are looked up in the image.
    fn of_image(text: &str, root: &Path) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self { uid: 0, gid: 0 });
        }
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let (uid, own_gid) = match user.parse() {
            Ok(uid) => {
                (uid, account(root, "etc/passwd", |f| f.get(2) == Some(&user)).and_then(|f| number(&f, 3)))
            }
            Err(_) => {
                let fields = account(root, "etc/passwd", |f| f.first() == Some(&user))
                    .ok_or_else(|| format!("the image's user `{user}` is not in its /etc/passwd"))?;
                let uid =
                    number(&fields, 2).ok_or_else(|| format!("/etc/passwd has no number for `{user}`"))?;
                (uid, number(&fields, 3))
            }
        };
        let gid = match group {
            None => own_gid.unwrap_or(0),
            Some(group) => match group.parse() {
                Ok(gid) => gid,
                Err(_) => account(root, "etc/group", |f| f.first() == Some(&group))
                    .and_then(|fields| number(&fields, 2))
                    .ok_or_else(|| format!("the image's group `{group}` is not in its /etc/group"))?,
            },
        };
        Ok(Self { uid, gid })
    }

    fn assume(self) -> Result<(), String> {
        let failed = |e| format!("cannot become user {}:{}: {e}", self.uid, self.gid);
        setgroups(&[]).map_err(failed)?;
        setgid(Gid::from_raw(self.gid)).map_err(failed)?;
        setuid(Uid::from_raw(self.uid)).map_err(failed)
    }
}

/// The fields of the first matching line of a colon-separated account file.
fn account(root: &Path, file: &str, matches: impl Fn(&[&str]) -> bool) -> Option<Vec<String>> {
    const MOST_BYTES: u64 = 1 << 20;
    let path = root.join(file);
    // A link could lead out of the image.
    let metadata = fs::symlink_metadata(&path).ok()?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return None;
    }
    let text = fs::read_to_string(path).ok()?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| matches(fields))
        .map(|fields| fields.into_iter().map(Into::into).collect())
}

fn number(fields: &[String], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn users_by_number_and_by_name() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:\napp:x:1000:1001::/:\n").unwrap();
        fs::write(root.path().join("etc/group"), "web:x:33:\n").unwrap();
        for (text, uid, gid) in [
            ("", 0, 0),
            ("65532:65532", 65532, 65532),
            ("7", 7, 0),
            ("1000", 1000, 1001),
            ("app", 1000, 1001),
            ("app:web", 1000, 33),
        ] {
            assert_eq!(User::of_image(text, root.path()).unwrap(), User { uid, gid }, "{text}");
        }
        assert!(User::of_image("nobody-here", root.path()).unwrap_err().contains("not in its /etc/passwd"));
        assert!(User::of_image("app:nogroup", root.path()).unwrap_err().contains("not in its /etc/group"));
    }

    #[test]
    fn programs_are_found_in_the_image_only() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/app"), "").unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), "/bin:/usr/bin".to_owned())]);
        let find = |name: &str| find_program(name, root.path(), &root.path().join("usr"), &env);
        assert_eq!(find("app").unwrap(), root.path().join("usr/bin/app"));
        assert_eq!(find("/usr/bin/app").unwrap(), root.path().join("usr/bin/app"));
        assert_eq!(find("bin/app").unwrap(), root.path().join("usr/bin/app"));
        for missing in ["sh", "/bin/sh"] {
            assert!(find(missing).unwrap_err().contains("there is no"), "{missing}");
        }
    }
}
