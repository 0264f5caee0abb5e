//! Other people's tools, where they are installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An executable file of this name on the `PATH`.
pub(crate) fn find(tool: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(tool)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The `docker` client, if a Docker Engine answers it.
pub(crate) fn docker_engine() -> Option<PathBuf> {
    find("docker").filter(|docker| {
        let mut version = Command::new(docker);
        version.args(["version", "--format", "{{.Server.Version}}"]);
        version.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    })
}
