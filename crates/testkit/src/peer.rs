//! Other people's tools, and the rule for tests that need one: skip visibly
//! where it is absent, fail where `PLIMSOLL_REQUIRE_PEERS=1` is set.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// Set to `1`, it turns a skip into a failure.
pub const REQUIRE: &str = "PLIMSOLL_REQUIRE_PEERS";

/// Tools that were found.
#[derive(Debug, Clone)]
pub struct Peers(HashMap<String, PathBuf>);

impl Peers {
    /// A command of one of the tools.
    ///
    /// # Panics
    /// When the tool was not asked for.
    pub fn command(&self, tool: &str) -> Command {
        Command::new(self.0.get(tool).unwrap_or_else(|| panic!("{tool} is not among the tools asked for")))
    }
}

/// The tools, if all of them are on the `PATH`; else the test is to return.
///
/// # Panics
/// When one is absent and [`REQUIRE`] is set.
pub fn require(tools: &[&str]) -> Option<Peers> {
    let mut found = HashMap::new();
    for tool in tools {
        found.insert((*tool).to_owned(), need(tool, find(tool))?);
    }
    Some(Peers(found))
}

/// What the test needs, if it is there; else the test is to return.
///
/// # Panics
/// When it is absent and [`REQUIRE`] is set.
#[allow(clippy::print_stderr, reason = "a skip is to be seen in the test's output")]
pub fn need<T>(what: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(
            env::var_os(REQUIRE).is_none_or(|value| value != "1"),
            "needs {what}, and {REQUIRE}=1 is set"
        );
        eprintln!("skipped: needs {what}");
    }
    found
}

/// An executable file of this name on the `PATH`.
fn find(tool: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(tool)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// The `docker` client, if a Docker Engine answers it.
///
/// # Panics
/// When there is none and [`REQUIRE`] is set.
pub fn docker_engine() -> Option<Peers> {
    let docker = find("docker").filter(|docker| {
        let mut version = Command::new(docker);
        version.args(["version", "--format", "{{.Server.Version}}"]);
        version.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    });
    need("a Docker Engine", docker).map(|docker| Peers(HashMap::from([("docker".into(), docker)])))
}

/// Debian's `docker-registry` on a free port, in a folder of its own. It ends
/// when this is dropped.
pub struct DockerRegistry {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl DockerRegistry {
    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.address
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `docker-registry`, if it is installed.
///
/// # Panics
/// When it is absent and [`REQUIRE`] is set, or when it does not start.
pub fn docker_registry() -> Option<DockerRegistry> {
    let peers = require(&["docker-registry"])?;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let config = folder.path().join("config.yml");
    let root = folder.path().join("data");
    // Port 0: the system chooses, and the log says which.
    let text = format!(
        "version: 0.1\nlog:\n  level: info\n  formatter: text\nstorage:\n  delete:\n    enabled: true\n  \
         filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
        root.display()
    );
    std::fs::write(&config, text).expect("a temporary folder is writable");
    let mut command = peers.command("docker-registry");
    command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("docker-registry can be started");
    let log = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut lines = log.lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("listening on ")?;
        Some(rest.split(['"', ' ', ',']).next().unwrap_or_default().to_owned())
    });
    let Some(address) = address else {
        let status = child.wait();
        panic!("docker-registry ended without listening: {status:?}");
    };
    // It would stop when nobody reads what it logs.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Some(DockerRegistry { child, address, _folder: folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_found_on_the_path() {
        assert!(find("sh").is_some());
        assert!(find("no-such-tool-anywhere").is_none());
    }
}
