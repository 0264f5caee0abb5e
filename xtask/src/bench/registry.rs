//! A registry on a free loopback port: `docker-registry` where it is installed,
//! since it is nobody's side, else the embedded one.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

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
        let mut command = Command::new(&bench.plimsoll);
        command.args(["registry", "--listen", "127.0.0.1:0", "--output", "json", "--root"]);
        command.arg(bench.folder.join("embedded")).stdin(Stdio::null()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
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
