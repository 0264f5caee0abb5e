//! Debian's Prometheus, for as long as a test needs one.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::peer;

/// A running server, which ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: String,
    targets: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one that asks these addresses every fifth of a second, each with
    /// a label `sha`. Nothing where it is not installed, which is said.
    ///
    /// # Panics
    /// When it ends before it listens.
    pub fn start(targets: &[(&str, SocketAddr)]) -> Option<Self> {
        let peers = peer::require(&["prometheus"])?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let config = folder.path().join("prometheus.yml");
        let listed = folder.path().join("targets.json");
        write_targets(&listed, targets);
        let text = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\nscrape_configs:\n  - job_name: payouts\n    \
             file_sd_configs: [{{ files: ['{}'], refresh_interval: 1s }}]\n",
            listed.display()
        );
        std::fs::write(&config, text).expect("a temporary folder is writable");
        let mut command = peers.command("prometheus");
        command.arg("--config.file").arg(&config).arg("--storage.tsdb.path").arg(folder.path().join("data"));
        command.args([
            "--web.listen-address",
            "127.0.0.1:0",
            "--log.level",
            "info",
            "--log.format",
            "logfmt",
        ]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        // Port 0: the system chooses, and the log says which.
        let mut log = String::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let _ = writeln!(log, "{line}");
            let (_, rest) = line.split_once("msg=\"Listening on\" address=")?;
            Some(rest.split(' ').next().unwrap_or_default().to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("prometheus ended without listening:\n{log}"));
        // It would stop when nobody reads what it logs.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Some(Self { child, address, targets: listed, _folder: folder })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Asks these from now on.
    pub fn scrape(&self, targets: &[(&str, SocketAddr)]) {
        write_targets(&self.targets, targets);
    }
}

/// Replaced at once, so that no half of it is read.
fn write_targets(path: &std::path::Path, targets: &[(&str, SocketAddr)]) {
    let listed: Vec<_> = targets
        .iter()
        .map(|(sha, address)| serde_json::json!({ "targets": [address.to_string()], "labels": { "sha": sha } }))
        .collect();
    let next = path.with_extension("next");
    std::fs::write(&next, serde_json::Value::from(listed).to_string())
        .expect("a temporary folder is writable");
    std::fs::rename(next, path).expect("both are in one folder");
}
