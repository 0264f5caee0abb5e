//! A cluster to measure on: the scripted API server of the tests in a process of
//! its own, or a real one that was named.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Bench, Outcome, example};

/// A scripted cluster on a free port of loopback; it ends when this is dropped.
pub(crate) struct Scripted {
    child: Child,
    /// The way to it; its context is [`Scripted::CONTEXT`].
    pub(crate) kubeconfig: PathBuf,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Scripted {
    /// The one context of its kubeconfig.
    pub(crate) const CONTEXT: &str = "test";

    /// Starts it with some objects.
    pub(crate) fn start(bench: &Bench, manifests: &str) -> Outcome<Self> {
        let program = example(bench, "plimsoll-testkit-cluster", "serve")?;
        let objects = bench.folder.join("objects.yaml");
        std::fs::write(&objects, manifests)?;
        let kubeconfig = bench.folder.join("kubeconfig");
        let mut command = Command::new(program);
        command.arg(&kubeconfig).arg(&objects).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let said = child.stdout.take().expect("it is piped");
        let scripted = Self { child, kubeconfig };
        // It says so once it is there.
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        if line.is_empty() { Err("the scripted cluster did not start".into()) } else { Ok(scripted) }
    }
}

/// Where a benchmark has a namespace of its own. It goes with this.
pub(crate) struct Place {
    kubectl: PathBuf,
    context: String,
    scripted: Option<Scripted>,
    manifests: PathBuf,
    /// Whether the namespace is ours; one that was there is somebody's.
    made: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.made && self.scripted.is_none() {
            // What is left is said by the next run, which does not begin then.
            let _ = self.kubectl(&["delete", "namespace", Self::NAMESPACE, "--wait=false"]).output();
        }
    }
}

impl Place {
    /// The benchmark's namespace.
    pub(crate) const NAMESPACE: &str = "plimsoll-bench";

    /// Makes the namespace, on the cluster that was named or on a scripted one.
    pub(crate) fn open(bench: &Bench, kubectl: &Path) -> Outcome<Self> {
        let (context, scripted) = match &bench.context {
            Some(context) => (context.clone(), None),
            None => (Scripted::CONTEXT.to_owned(), Some(Scripted::start(bench, "")?)),
        };
        let manifests = bench.folder.join("manifests.yaml");
        let mut place = Self { kubectl: kubectl.into(), context, scripted, manifests, made: false };
        // By `kubectl create namespace` it would be sent as protobuf, which the scripted server does not read.
        let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {}}}\n", Self::NAMESPACE);
        std::fs::write(&place.manifests, namespace)?;
        let mut create = place.kubectl(&["create", "--validate=false", "--filename"]);
        let create = create.arg(&place.manifests).output()?;
        place.made = create.status.success();
        if place.made {
            return Ok(place);
        }
        let said = String::from_utf8_lossy(&create.stderr);
        Err(format!(
            "namespace {} cannot be made in the cluster of context {}: {}\nhint: `kubectl delete namespace {}` if a \
             run that was killed left it",
            Self::NAMESPACE,
            place.context,
            said.trim_end(),
            Self::NAMESPACE
        )
        .into())
    }

    /// What it is, for the notes.
    pub(crate) fn what(&self) -> &'static str {
        if self.scripted.is_some() { "the scripted API server" } else { "the cluster of the given context" }
    }

    /// The context of its kubeconfig.
    pub(crate) fn context(&self) -> &str {
        &self.context
    }

    /// The same command, which finds the cluster.
    pub(crate) fn reached(&self, mut command: Command) -> Command {
        if let Some(scripted) = &self.scripted {
            command.env("KUBECONFIG", &scripted.kubeconfig);
        }
        command
    }

    /// `kubectl` in the namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(["--context", &self.context, "--namespace", Self::NAMESPACE]);
        self.reached({
            command.args(arguments).stdin(Stdio::null());
            command
        })
    }

    /// Applies objects.
    pub(crate) fn apply(&self, manifests: &str) -> Outcome<()> {
        std::fs::write(&self.manifests, manifests)?;
        let mut command = self.kubectl(&["apply", "--validate=false", "--filename"]);
        super::measure::output(command.arg(&self.manifests)).map(drop)
    }
}
