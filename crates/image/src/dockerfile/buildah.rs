//! `buildah build`, then `buildah push` to an OCI archive.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{STEP, Work};
use crate::command::{self, Ended, Supervisor};
use crate::error::Error;

/// Beyond [`command::INHERITED`]: where rootless storage and its sockets are.
const INHERITED: [&str; 6] = [
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "STORAGE_DRIVER",
    "BUILDAH_ISOLATION",
    "REGISTRY_AUTH_FILE",
];
/// How long writing the archive or removing the image may take.
const PUSH_TIMEOUT: Duration = Duration::from_secs(600);

fn command<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new("buildah");
    command.env_clear();
    for name in command::INHERITED.iter().chain(&INHERITED) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.args(args.into_iter().map(Into::into));
    command
}

pub(super) fn installed() -> bool {
    let mut command = command(["--version"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(super) async fn build(work: &Work<'_>) -> Result<(), Error> {
    let tree = work.checkout.path();
    let mut args: Vec<OsString> = [
        "build",
        "--no-cache",
        "--layers=false",
        "--format=oci",
        "--platform=linux/amd64",
        // The commit's time in the place of the clock's.
        "--timestamp",
    ]
    .map(Into::into)
    .to_vec();
    args.push(work.checkout.epoch().to_string().into());
    args.extend(["--tag".into(), work.name.clone().into()]);
    args.extend(["--file".into(), tree.join(&work.spec.path).into()]);
    if let Some(target) = &work.spec.target {
        args.extend(["--target".into(), target.into()]);
    }
    for (name, value) in &work.spec.args {
        args.extend(["--build-arg".into(), format!("{name}={value}").into()]);
    }
    args.extend(["--".into(), tree.into()]);
    run(work, command(args), work.spec.timeout).await?;
    let mut target = OsString::from("oci-archive:");
    target.push(work.archive);
    let pushed = run(
        work,
        command([OsString::from("push"), "--quiet".into(), work.name.clone().into(), target]),
        PUSH_TIMEOUT,
    )
    .await;
    let removed = run(work, command(["rmi", "--", &work.name]), PUSH_TIMEOUT).await;
    if let Err(error) = removed {
        tracing::warn!(image = work.name, %error, "the image stays in buildah's storage");
    }
    pushed
}

async fn run(work: &Work<'_>, mut command: Command, timeout: Duration) -> Result<(), Error> {
    command.current_dir(work.checkout.path());
    let supervisor = Supervisor { step: STEP, timeout, observer: work.observer, cancel: work.cancel };
    let (message, tail) = match supervisor.run(command).await? {
        Ended::Well => return Ok(()),
        Ended::Badly { how, tail } => (how, tail),
        Ended::TooLate { tail } => ("did not end in time and was stopped".to_owned(), tail),
    };
    let dockerfile = Path::new(&work.spec.path).display().to_string();
    Err(Error::DockerfileFailed { builder: "buildah", dockerfile, message, tail })
}
