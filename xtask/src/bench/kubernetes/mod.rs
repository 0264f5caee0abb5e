//! A rollout on a cluster beside `kubectl set image` and `kubectl rollout status`.

mod watch;

use std::process::Command;
use std::time::{Duration, Instant};

use self::watch::{Seen, Watch};
use super::cluster::Place;
use super::figures::{Figure, Figures, median, spread};
use super::registry::Registry;
use super::service::Service;
use super::{Bench, Outcome, measure, peers};

const NAME: &str = "payouts";
const REPLICAS: usize = 3;
/// Nothing here takes longer.
const WITHIN: Duration = Duration::from_secs(120);

/// `plimsoll deploy` of one commit after the other, by turns with `kubectl` on
/// the same Deployment: each brings an image that no node has yet, and begins
/// when the one before has quite ended. What the cluster did meanwhile is told
/// by a watch of a third party.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let Some(kubectl) = peers::find("kubectl") else {
        figures.note("missing: kubectl; rollouts on a cluster were not measured");
        return Ok(());
    };
    let registry = Registry::start(bench)?;
    let place = Place::open(bench, &kubectl)?;
    let rounds = |usual: usize| if bench.quick { 1 } else { usual };
    let variants = [
        ("pods available at once", 0, rounds(2 * bench.rounds + 2)),
        ("minReadySeconds: 3", 3, rounds(bench.rounds + 2)),
    ];
    let mut rollouts = Rollouts::begin(bench, &place, &registry)?;
    for (what, min_ready, rounds) in variants {
        let (ours, theirs) = rollouts.by_turns(min_ready, rounds)?;
        report(figures, what, &ours, &theirs);
    }
    figures.note(format!(
        "kubernetes: {REPLICAS} pods of the sample service on {}; the registry is {}",
        place.what(),
        registry.name
    ));
    Ok(())
}

/// What one rollout took, in seconds.
struct Took {
    whole: f64,
    /// From the start of the command to the first change of the Deployment.
    first_write: f64,
    /// From there until the last new pod was ready, or available where that takes time.
    cluster: f64,
    /// From there to the end of the command.
    notice: f64,
}

fn report(figures: &mut Figures, what: &str, ours: &[Took], theirs: &[Took]) {
    let each = |took: &[Took], of: fn(&Took) -> f64| took.iter().map(of).collect::<Vec<_>>();
    let both = |of: fn(&Took) -> f64| (each(ours, of), each(theirs, of));
    let (whole, peer) = both(|took| took.whole);
    let name = format!("kubernetes: {what}");
    let seconds = |part: &str, value: &[f64]| Figure::new(format!("{name}{part}"), median(value), "s");
    figures.add(seconds("", &whole).beside("kubectl", median(&peer)).ratio_at_most(1.1));
    figures.note(format!(
        "{name}: {} rollouts each; {} s, kubectl {} s",
        ours.len(),
        spread(&whole),
        spread(&peer)
    ));
    for (part, target, of) in [
        (", up to the first write", 0.3, (|took| took.first_write) as fn(&Took) -> f64),
        (", end after the last pod was", 0.5, |took| took.notice),
    ] {
        let (own, peer) = both(of);
        figures.add(seconds(part, &own).beside("kubectl", median(&peer)).at_most(target));
        figures.note(format!("{name}{part}: {} s, kubectl {} s", spread(&own), spread(&peer)));
    }
    let beyond = each(ours, |took| took.first_write + took.notice);
    let cluster = each(ours, |took| took.cluster);
    figures.add(seconds(", both together", &beyond).beside("the cluster's own", median(&cluster)));
}

/// A Deployment that gets one image after the other.
struct Rollouts<'a> {
    place: &'a Place,
    service: Service,
    overlay: String,
    pods: Watch,
    home: Watch,
}

impl<'a> Rollouts<'a> {
    fn begin(bench: &Bench, place: &'a Place, registry: &Registry) -> Outcome<Self> {
        let service = Service::create(bench, "kubernetes", &registry.host)?;
        let overlay = bench.folder.join("kubernetes.toml");
        std::fs::write(
            &overlay,
            format!(
                "[environments.cluster]\ntarget = \"kubernetes\"\nstrategy = \"rolling\"\nmax_unavailable = 1\n\
                 rollout_timeout = \"2m\"\n\n[environments.cluster.kubernetes]\ncontext = \"{}\"\n\
                 namespace = \"{}\"\ndeployment = \"{NAME}\"\n",
                place.context(),
                Place::NAMESPACE
            ),
        )?;
        let (pods, home) = (Watch::begin(place, "pods")?, Watch::begin(place, "deployments")?);
        let overlay = overlay.display().to_string();
        let mut rollouts = Self { place, service, overlay, pods, home };
        let first = rollouts.build()?;
        place.apply(&manifests(&first.image))?;
        rollouts.settled(&first.image)?;
        // The first adopts the Deployment.
        let second = rollouts.build()?;
        rollouts.ours(&second, 0)?;
        Ok(rollouts)
    }

    /// So many rollouts by each; ours first.
    fn by_turns(&mut self, min_ready: u32, rounds: usize) -> Outcome<(Vec<Took>, Vec<Took>)> {
        let patch = format!("{{\"spec\":{{\"minReadySeconds\":{min_ready}}}}}");
        measure::output(&mut self.place.kubectl(&["patch", "deployment", NAME, "--patch", &patch]))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (one, other) = (self.build()?, self.build()?);
            ours.push(self.ours(&one, min_ready)?);
            theirs.push(self.theirs(&other.image, min_ready)?);
            // Back to what the ledger says.
            self.theirs(&one.image, min_ready)?;
        }
        Ok((ours, theirs))
    }

    fn build(&mut self) -> Outcome<Built> {
        let result = self.service.build(&["--config", &self.overlay])?.result;
        let image = result["image_ref"].as_str().ok_or_else(|| format!("no reference in {result}"))?;
        Ok(Built { sha: self.service.project.head.clone(), image: image.into() })
    }

    fn ours(&self, built: &Built, min_ready: u32) -> Outcome<Took> {
        let deploy = ["deploy", &built.sha, "--env", "cluster", "--config", &self.overlay];
        let command = self.place.reached(self.service.command(&deploy));
        self.measured(&built.image, min_ready, [command])
    }

    fn theirs(&self, image: &str, min_ready: u32) -> Outcome<Took> {
        let (object, image_of) = (format!("deployment/{NAME}"), format!("{NAME}={image}"));
        let set = self.place.kubectl(&["set", "image", &object, &image_of]);
        let status = self.place.kubectl(&["rollout", "status", &object, "--timeout=2m"]);
        self.measured(image, min_ready, [set, status])
    }

    fn measured(
        &self,
        image: &str,
        min_ready: u32,
        commands: impl IntoIterator<Item = Command>,
    ) -> Outcome<Took> {
        let (pods, home) = (self.pods.len(), self.home.len());
        let before =
            self.home.until("the Deployment", 0, WITHIN, |seen| Some(seen.last()?.written.clone()))?;
        let start = Instant::now();
        for mut command in commands {
            measure::output(&mut command)?;
        }
        let end = Instant::now();
        let written = |seen: &[Seen]| seen.iter().find(|seen| seen.written != before).map(|seen| seen.at);
        let written = self.home.until("a write", home, WITHIN, written)?;
        let ready = self.pods.until("ready pods", pods, WITHIN, |seen| last_ready(seen, image))?;
        // Availability is counted in whole seconds: with it, the Deployment's status tells.
        let done = |seen: &[Seen]| seen.iter().find(|one| one.ready && one.image == image).map(|one| one.at);
        let available = if min_ready == 0 {
            ready
        } else {
            self.home.until("the Deployment rolled out", home, WITHIN, done)?
        };
        self.settled(image)?;
        Ok(Took {
            whole: (end - start).as_secs_f64(),
            first_write: written.saturating_duration_since(start).as_secs_f64(),
            cluster: available.saturating_duration_since(written).as_secs_f64(),
            notice: end.saturating_duration_since(available).as_secs_f64(),
        })
    }

    /// Waits until nothing but this image runs, and nothing is on its way.
    fn settled(&self, image: &str) -> Outcome<()> {
        let done =
            |seen: &[Seen]| seen.last().is_some_and(|last| last.ready && last.image == image).then_some(());
        self.home.until("the Deployment rolled out", 0, WITHIN, done)?;
        self.pods.until("only new pods", 0, WITHIN, |seen| only(seen, image).then_some(()))
    }
}

/// A commit that was built.
struct Built {
    sha: String,
    image: String,
}

/// When the last of the new pods was ready for the first time.
fn last_ready(seen: &[Seen], image: &str) -> Option<Instant> {
    let mut first: Vec<(&str, Instant)> = Vec::new();
    for seen in seen.iter().filter(|seen| seen.ready && seen.image == image) {
        if !first.iter().any(|(name, _)| *name == seen.name) {
            first.push((&seen.name, seen.at));
        }
    }
    (first.len() >= REPLICAS).then(|| first.last().map(|(_, at)| *at))?
}

/// Whether all there are now are ready pods of the image, and as many as wanted.
fn only(seen: &[Seen], image: &str) -> bool {
    let mut now: Vec<&Seen> = Vec::new();
    for seen in seen {
        now.retain(|other| other.name != seen.name);
        if !seen.gone {
            now.push(seen);
        }
    }
    now.len() == REPLICAS && now.iter().all(|pod| pod.ready && pod.image == image)
}

/// As `plimsoll init --kubernetes` writes them, in what matters for time. The
/// second of `preStop` is what is waited for between two rollouts.
fn manifests(image: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {NAME}}}
spec:
  replicas: {REPLICAS}
  selector: {{matchLabels: {{app: {NAME}}}}}
  template:
    metadata: {{labels: {{app: {NAME}}}}}
    spec:
      terminationGracePeriodSeconds: 40
      containers:
      - name: {NAME}
        image: {image}
        env: [{{name: READY_REQUIRES_PAYER, value: \"false\"}}, {{name: HOST, value: 0.0.0.0}}]
        ports: [{{containerPort: 8080, name: http}}]
        readinessProbe: {{httpGet: {{path: /readyz, port: http}}, periodSeconds: 1}}
        livenessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 5}}
        lifecycle: {{preStop: {{sleep: {{seconds: 1}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
spec: {{selector: {{app: {NAME}}}, ports: [{{port: 80, targetPort: http}}]}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, image: &str, ready: bool, gone: bool) -> Seen {
        let (name, image) = (name.into(), image.into());
        Seen { at: Instant::now(), name, gone, image, ready, written: String::new() }
    }

    #[test]
    fn the_last_of_the_new_pods_counts_when_it_is_ready_first() {
        let mut seen = vec![
            pod("a", "new", true, false),
            pod("o", "old", true, false),
            pod("b", "new", true, false),
            pod("c", "new", false, false),
        ];
        assert_eq!(last_ready(&seen, "new"), None);
        seen.push(pod("c", "new", true, false));
        let at = seen[4].at;
        seen.push(pod("a", "new", true, false));
        assert_eq!(last_ready(&seen, "new"), Some(at));
        assert!(!only(&seen, "new"));
        seen.push(pod("o", "old", false, true));
        assert!(only(&seen, "new") && !only(&seen, "old"));
        seen.push(pod("d", "new", true, false));
        assert!(!only(&seen, "new"));
    }
}
