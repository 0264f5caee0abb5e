//! A registry on a free loopback port: `docker-registry` where it is installed,
//! since it is nobody's side, else the embedded one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Bench, Outcome, peers};

/// A running registry. It ends when this is dropped.
pub(crate) struct Registry {
    child: Child,
    /// What it is, for the notes.
    pub(crate) name: &'static str,
    /// `127.0.0.1:<port>`.
    pub(crate) host: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts whichever is there, with its data below the work folder.
    pub(crate) fn start(bench: &Bench) -> Outcome<Self> {
        match peers::find("docker-registry") {
            Some(program) => {
                let config = bench.folder.join("registry.yml");
                let root = bench.folder.join("registry");
                // Port 0: the system chooses, and the log says which.
                let text = format!(
                    "version: 0.1\nlog:\n  level: info\n  formatter: text\nstorage:\n  filesystem:\n    \
                     rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
                    root.display()
                );
                std::fs::write(&config, text)?;
                let mut command = Command::new(program);
                command.arg("serve").arg(config).stdout(Stdio::null()).stderr(Stdio::piped());
                let mut child = command.stdin(Stdio::null()).spawn()?;
                let log = child.stderr.take().expect("it is piped");
                Self::listening(child, "docker-registry", log, "listening on ")
            }
            None => Self::embedded(bench),
        }
    }

    /// Starts the embedded registry.
    pub(crate) fn embedded(bench: &Bench) -> Outcome<Self> {
        Self::own(Self::own_command(bench).stderr(Stdio::null()).spawn()?)
    }

    /// Starts the embedded registry, and follows its log of requests.
    pub(crate) fn logged(bench: &Bench) -> Outcome<(Self, Requests)> {
        let mut command = Self::own_command(bench);
        command.args(["--log-format", "json"]).env("PLIMSOLL_LOG", "plimsoll_registry::access=info");
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let log = child.stderr.take().expect("it is piped");
        let registry = Self::own(child)?;
        let (sender, paths) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                // It would stop when nobody reads what it logs.
                if let Some(path) = path_of(&line) {
                    let _ = sender.send(path);
                }
            }
        });
        let requests = Requests { host: registry.host.clone(), paths };
        Ok((registry, requests))
    }

    fn own_command(bench: &Bench) -> Command {
        let mut command = Command::new(&bench.plimsoll);
        command.args(["registry", "--listen", "127.0.0.1:0", "--output", "json", "--root"]);
        command.arg(bench.folder.join("embedded")).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn own(mut child: Child) -> Outcome<Self> {
        let log = child.stdout.take().expect("it is piped");
        Self::listening(child, "plimsoll registry", log, "\"listen\":")
    }

    /// Waits until it says where it listens.
    fn listening(
        child: Child,
        name: &'static str,
        log: impl std::io::Read + Send + 'static,
        before: &str,
    ) -> Outcome<Self> {
        // From here on a failure ends the child too.
        let mut registry = Self { child, name, host: String::new() };
        let mut lines = BufReader::new(log).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once(before)?;
            let ends = |c: char| c != ':' && c != '.' && !c.is_ascii_digit();
            rest.trim_start_matches([' ', '"']).split(ends).next().map(str::to_owned)
        });
        registry.host = address.ok_or_else(|| format!("{name} ended without listening"))?;
        // It would stop when nobody reads what it logs.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(registry)
    }
}

/// The requests that a registry answered, by its own log.
pub(crate) struct Requests {
    host: String,
    paths: Receiver<String>,
}

impl Requests {
    /// What was asked for since the last time, in the order of the answers.
    pub(crate) fn since(&self) -> Outcome<Vec<String>> {
        const MARK: &str = "/v2/bench/requests-end-here/tags/list";
        // Logged after everything that was answered before it.
        let mut stream = TcpStream::connect(&self.host)?;
        write!(stream, "GET {MARK} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host)?;
        stream.read_to_end(&mut Vec::new())?;
        let mut paths = Vec::new();
        loop {
            let path = self.paths.recv_timeout(Duration::from_secs(10));
            match path.map_err(|_| "the registry's log does not have a request that it answered")? {
                path if path == MARK => return Ok(paths),
                path => paths.push(path),
            }
        }
    }
}

/// The path in a line of the access log.
fn path_of(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let path = line.get("path").or_else(|| line.get("fields")?.get("path"))?;
    Some(path.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_request_is_found() {
        let fields = r#"{"level":"INFO","fields":{"method":"GET","path":"/v2/"},"target":"t"}"#;
        assert_eq!(path_of(fields).as_deref(), Some("/v2/"));
        assert_eq!(path_of(r#"{"method":"GET","path":"/v2/a"}"#).as_deref(), Some("/v2/a"));
        assert_eq!(path_of(r#"{"message":"stopping"}"#), None);
        assert_eq!(path_of("no JSON"), None);
    }
}
