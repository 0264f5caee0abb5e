//! The admission webhook under load, and beside `plimsoll verify`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::Scripted;
use super::data;
use super::figures::{Figure, Figures, median, spread};
use super::project::Project;
use super::push::copy_command;
use super::registry::{Registry, Requests};
use super::{Bench, Outcome, example, measure};

/// Reviews a second, as the target has them.
const RATE: f64 = 1_000.0;
/// Images that are refused and remembered.
const DISTINCT: usize = 10_000;
const STARTS: usize = 9;
const TURNS: usize = 21;
/// A server that is not ready by then is none.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// `plimsoll serve --admission` between a scripted cluster, whose webhook
/// configuration it writes its authority into, and a registry. The reviews are
/// sent by a program of its own, at their due times.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let scene = Scene::create(bench)?;
    scene.starts(bench, figures)?;
    scene.remembered(bench, figures)?;
    scene.many(bench, figures)?;
    scene.looked_up(bench, figures)
}

/// Everything around the server.
struct Scene {
    project: Project,
    requests: Requests,
    cluster: Scripted,
    /// Where the server serves probes and reviews.
    addresses: [SocketAddr; 2],
    reviews: PathBuf,
    /// Of the image that was built, and of images that nobody built.
    good: PathBuf,
    distinct: PathBuf,
    _registry: Registry,
}

impl Scene {
    fn create(bench: &Bench) -> Outcome<Self> {
        let reviews = example(bench, "plimsoll-testkit-cluster", "reviews")?;
        let (registry, requests) = Registry::logged(bench)?;
        let addresses = [free_address()?, free_address()?];
        let cluster = Scripted::start(bench, &webhook(addresses[1]))?;
        let data = data::generate(&bench.folder.join("admission-data"), (4, 1_000_000))?;
        let more = format!(
            "{}mode = \"mandatory\"\n\n[environments.cluster]\ntarget = \"kubernetes\"\n\n\
             [environments.cluster.kubernetes]\ncontext = \"{}\"\nnamespace = \"shop\"\n",
            Project::SIGNED,
            Scripted::CONTEXT
        );
        let project = Project::create_with(bench, "admission", &registry.host, &copy_command(&data)?, &more)?;
        project.generate_keys()?;
        let built = project.steps(&["build"])?.result;
        let image = built["image_ref"].as_str().ok_or_else(|| format!("no reference in {built}"))?;
        let unknown = format!("{}/bench/admission:@SHA@@@DIGEST@", registry.host);
        let [good, distinct] = [("good", image), ("distinct", unknown.as_str())]
            .map(|(name, image)| (bench.folder.join(format!("{name}.json")), review(image)));
        for (path, text) in [&good, &distinct] {
            std::fs::write(path, text)?;
        }
        Ok(Self {
            project,
            requests,
            cluster,
            addresses,
            reviews,
            good: good.0,
            distinct: distinct.0,
            _registry: registry,
        })
    }

    /// Starts the server; it is ready.
    fn serve(&self, settings: &[&str]) -> Outcome<Serve> {
        let [listen, webhook] = self.addresses.map(|address| address.to_string());
        let serve = ["serve", "--admission", "--listen", &listen, "--admission-listen", &webhook];
        let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
        let mut command = self.project.command(&serve.into_iter().chain(settings).collect::<Vec<_>>());
        command.env("KUBECONFIG", &self.cluster.kubeconfig);
        Serve::start(command, self.addresses[0])
    }

    /// Sends reviews; what came of it.
    fn send(&self, review: &Path, options: &[(&str, f64)], path: &str) -> Outcome<Answers> {
        let mut command = Command::new(&self.reviews);
        command.arg(self.addresses[1].to_string());
        command.arg(self.project.folder.join(".plimsoll/admission/ca.pem")).arg(review);
        command.args(["--path", path]);
        for (name, value) in options {
            command.args([format!("--{name}"), value.to_string()]);
        }
        Ok(Answers(serde_json::from_str(&measure::output(&mut command)?)?))
    }

    /// From the start of the process until `/readyz` says so.
    fn starts(&self, bench: &Bench, figures: &mut Figures) -> Outcome<()> {
        // The first one makes its authority, and is the first that the cluster hears of.
        let first = self.serve(&[])?.ready.as_secs_f64();
        let starts = (0..bench.repetitions(STARTS)).map(|_| Ok(self.serve(&[])?.ready.as_secs_f64()));
        let starts = starts.collect::<Outcome<Vec<f64>>>()?;
        figures.add(Figure::new("admission: from start to ready", median(&starts), "s").at_most(1.0));
        figures.note(format!(
            "admission: {} starts took {} s; the first, which makes its authority, {first:.3} s",
            starts.len(),
            spread(&starts)
        ));
        Ok(())
    }

    /// One image whose verdict is remembered: at a rate, by turns with requests
    /// to a path that is not there, and as many as are answered.
    fn remembered(&self, bench: &Bench, figures: &mut Figures) -> Outcome<()> {
        let serve = self.serve(&[])?;
        let seconds = if bench.quick { 1.0 } else { 10.0 };
        self.send(&self.good, &[("requests", 1.0)], REVIEW)?.expect("allowed")?;
        let (mut paced, mut nothing, mut most) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            let rate = [("rate", RATE), ("seconds", seconds)];
            paced.push(self.send(&self.good, &rate, REVIEW)?.expect("allowed")?);
            nothing.push(self.send(&self.good, &rate, "/nothing")?.expect("other")?);
            let full = [("seconds", seconds / 2.0), ("connections", 4.0)];
            most.push(self.send(&self.good, &full, REVIEW)?.expect("allowed")?);
        }
        let name = "admission: remembered, at 1,000/s";
        let (p50, p99) = (each(&paced, "p50_ms"), each(&paced, "p99_ms"));
        let of_nothing = |key: &str| median(&each(&nothing, key));
        let nothing = "answer 404";
        figures.add(
            Figure::new(format!("{name}, p50"), median(&p50), "ms").beside(nothing, of_nothing("p50_ms")),
        );
        let p99 =
            Figure::new(format!("{name}, p99"), median(&p99), "ms").beside(nothing, of_nothing("p99_ms"));
        figures.add(p99.at_most(5.0));
        let longest = median(&each(&paced, "max_ms"));
        figures.add(
            Figure::new(format!("{name}, longest"), longest, "ms").beside(nothing, of_nothing("max_ms")),
        );
        figures.note(format!(
            "{name}: {} times {seconds} s on 8 kept connections, from when each was due; p99 {} ms, longest {} ms; \
             sent late by {} ms (p99), for want of a core; from when it was sent, p99 {} ms",
            paced.len(),
            spread(&each(&paced, "p99_ms")),
            spread(&each(&paced, "max_ms")),
            spread(&each(&paced, "late_p99_ms")),
            spread(&each(&paced, "from_sent_p99_ms")),
        ));
        let rates = each(&most, "per_sec");
        figures.add(Figure::new("admission: remembered, as many as it takes", median(&rates), "1/s"));
        figures.note(format!(
            "admission: on 4 connections {} a second, p99 {} ms; whoever sends is on the same cores",
            spread(&rates),
            spread(&each(&most, "p99_ms"))
        ));
        figures.add(Figure::new("admission: memory, one image", serve.resident()?, "MB"));
        Ok(())
    }

    /// Many images at once: looked up, then from memory.
    fn many(&self, bench: &Bench, figures: &mut Figures) -> Outcome<()> {
        let serve = self.serve(&["admission.refuse_for=1h"])?;
        let distinct = if bench.quick { DISTINCT / 10 } else { DISTINCT } as f64;
        let all = [("requests", distinct), ("distinct", distinct), ("seconds", 600.0)];
        let looked_up = self.send(&self.distinct, &all, REVIEW)?.expect("refused")?;
        let again = [("rate", RATE), ("distinct", distinct), ("seconds", distinct / RATE)];
        let again = (0..bench.rounds).map(|_| self.send(&self.distinct, &again, REVIEW)?.expect("refused"));
        let again = again.collect::<Outcome<Vec<_>>>()?;
        let kept = serve.sample("plimsoll_admission_cache_entries")?;
        if kept < distinct {
            return Err(format!("{kept} verdicts are kept of {distinct}").into());
        }
        let p99 = each(&again, "p99_ms");
        let name = format!("admission: {distinct} images");
        figures.add(
            Figure::new(format!("{name}, remembered, at 1,000/s, p99"), median(&p99), "ms").at_most(5.0),
        );
        figures.add(Figure::new(format!("{name}, memory"), serve.resident()?, "MB"));
        figures.note(format!(
            "{name}: nobody built them, and each is refused with its reasons; {:.0} look-ups a second, 8 at once; p99 from \
             memory {} ms",
            looked_up.number("per_sec")?,
            spread(&p99)
        ));
        Ok(())
    }

    /// A review that asks ledger and registry, by turns with `plimsoll verify`
    /// of the same image; both with what they verified before.
    fn looked_up(&self, bench: &Bench, figures: &mut Figures) -> Outcome<()> {
        let _serve = self.serve(&["admission.allow_for=1ms"])?;
        let store = self.project.folder.join(".plimsoll/store");
        let forget = || if store.exists() { std::fs::remove_dir_all(&store) } else { Ok(()) };
        let review = || -> Outcome<f64> {
            self.send(&self.good, &[("requests", 1.0), ("connections", 1.0)], REVIEW)?
                .expect("allowed")?
                .number("p50_ms")
        };
        let verify = || measure::once(&mut self.project.command(&["verify", &self.project.head]));
        let counted = |what: &dyn Fn() -> Outcome<f64>| -> Outcome<f64> {
            self.requests.since()?;
            what()?;
            Ok(self.requests.since()?.len() as f64)
        };
        for (name, known) in [("nothing known", false), ("known before", true)] {
            let prepare = || if known { Ok(()) } else { forget() };
            let (mut reviews, mut verifies) = (Vec::new(), Vec::new());
            prepare()?;
            let of_review = counted(&review)?;
            prepare()?;
            let of_verify = counted(&verify)?;
            for _ in 0..bench.repetitions(TURNS) {
                prepare()?;
                reviews.push(review()?);
                prepare()?;
                verifies.push(verify()?);
            }
            let requests = Figure::new(format!("admission: look-up, requests, {name}"), of_review, "");
            figures.add(requests.beside("plimsoll verify", of_verify).ratio_at_most(1.0));
            let time = Figure::new(format!("admission: look-up, {name}"), median(&reviews), "ms");
            figures.add(time.beside("plimsoll verify", median(&verifies)).ratio_at_most(1.0));
            figures.note(format!(
                "admission, {name}: {} look-ups {} ms, verify, a process each, {} ms",
                reviews.len(),
                spread(&reviews),
                spread(&verifies)
            ));
        }
        Ok(())
    }
}

const REVIEW: &str = "/admission/validate";

/// What the program that sends reviews counted.
struct Answers(Value);

impl Answers {
    fn number(&self, key: &str) -> Outcome<f64> {
        self.0[key].as_f64().ok_or_else(|| format!("it gave no `{key}`: {}", self.0).into())
    }

    /// All of them are of this kind, or the figures are of something else.
    fn expect(self, kind: &str) -> Outcome<Self> {
        let (all, so) = (self.number("requests")?, self.number(kind)?);
        if so < all || all < 1.0 { Err(format!("not all are {kind}: {}", self.0).into()) } else { Ok(self) }
    }
}

fn each(all: &[Answers], key: &str) -> Vec<f64> {
    all.iter().map(|answers| answers.number(key).unwrap_or(f64::NAN)).collect()
}

/// The server under measurement. It ends when this is dropped.
struct Serve {
    child: Child,
    listen: SocketAddr,
    /// From its start until it was ready.
    ready: Duration,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serve {
    fn start(mut command: Command, listen: SocketAddr) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let since = Instant::now();
        let child = command.spawn()?;
        let mut serve = Self { child, listen, ready: Duration::ZERO };
        loop {
            let answer = serve.get("/readyz");
            serve.ready = since.elapsed();
            if answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return Ok(serve);
            }
            if let Some(status) = serve.child.try_wait()? {
                return Err(format!("plimsoll serve ended with {status}").into());
            }
            if serve.ready > READY_WITHIN {
                return Err(format!("plimsoll serve is not ready: {answer:?}").into());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.listen)?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.listen)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// The value of one of its metrics.
    fn sample(&self, name: &str) -> Outcome<f64> {
        let metrics = self.get("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.ok_or_else(|| format!("no {name}"))?.trim().parse()?)
    }

    fn resident(&self) -> Outcome<f64> {
        measure::resident(self.child.id())
    }
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// What the cluster has of the webhook.
fn webhook(address: SocketAddr) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: plimsoll-admission}}
webhooks:
- name: images.plimsoll.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {{url: \"https://{address}/admission/validate\"}}
  rules:
  - {{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}}
"
    )
}

/// What an API server sends when somebody applies a Deployment.
fn review(image: &str) -> String {
    let labels = serde_json::json!({"app": "shop"});
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "shop", "namespace": "shop", "operation": "CREATE",
            "userInfo": {"username": "ada", "groups": ["system:authenticated"]},
            "object": {
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "shop", "namespace": "shop", "labels": labels},
                "spec": {
                    "replicas": 3, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": [{
                        "name": "shop", "image": image, "ports": [{"containerPort": 8080}],
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                    }]}},
                },
            },
            "oldObject": null, "dryRun": false,
        },
    })
    .to_string()
}
