//! Simulated rollouts: replicas of two releases with counters, looked at every
//! ten seconds, through the same tally and the same judge as real ones.
//!
//! Deterministic: a scenario and a seed give the same watch every time.

use jiff::{SignedDuration, Timestamp};
use plimsoll_health::{Evidence, Kind, Look, Metric, Point, Reading, Reason, Settings, Tally, judge};
use plimsoll_model::{Digest, Lookup};

pub(crate) mod naive;

pub(crate) const NEW: Digest = Digest::from_sha256([1; 32]);
pub(crate) const OLD: Digest = Digest::from_sha256([2; 32]);

/// Seconds between two looks, and in a window.
const STEP_SEC: i64 = 10;

/// What happens in a watch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Requests a minute, of both releases together.
    pub(crate) per_minute: f64,
    pub(crate) minutes: u32,
    /// The old release's share of failed requests.
    pub(crate) base: f64,
    /// The new release's share of the requests at first and at the end.
    pub(crate) share: (f64, f64),
    /// How many times as often the new release fails.
    pub(crate) ratio: f64,
    /// After how many minutes that begins.
    pub(crate) begins: u32,
    /// How many metrics are declared; one of them is simulated.
    pub(crate) metrics: u32,
    pub(crate) trouble: &'static [Trouble],
}

/// What else happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Trouble {
    /// Traffic and failures rise and fall with the day.
    DailyCycle,
    /// Traffic and failures rise steadily, to five times as much.
    Ramp,
    /// Something both depend on fails for half a minute, every ten minutes.
    SharedOutage,
    /// A client or a connection of one replica fails many requests at once:
    /// every five minutes, eight at a time on average, up to dozens.
    Bursts,
    /// Failures come ten at a time, all of one replica, all the time.
    Clusters,
    /// For half a minute one replica fails ten times as often, each replica
    /// every half hour on average.
    BadSpells,
    /// The same, every quarter of an hour: a third of all failures are these.
    FrequentBadSpells,
    /// Replicas restart, and their counters begin again.
    Restarts,
    /// Looks fail, and replicas vanish for good.
    LostLooks,
}

impl Scenario {
    pub(crate) const fn healthy(name: &'static str, per_minute: f64, trouble: &'static [Trouble]) -> Self {
        Self {
            name,
            per_minute,
            minutes: 30,
            base: 0.005,
            share: (0.5, 0.5),
            ratio: 1.0,
            begins: 0,
            metrics: 1,
            trouble,
        }
    }

    pub(crate) const fn worse(self, ratio: f64) -> Self {
        Self { ratio, ..self }
    }

    pub(crate) const fn shares(self, from: f64, to: f64) -> Self {
        Self { share: (from, to), ..self }
    }

    pub(crate) const fn base(self, base: f64) -> Self {
        Self { base, ..self }
    }

    pub(crate) const fn begins(self, begins: u32) -> Self {
        Self { begins, ..self }
    }

    pub(crate) const fn metrics(self, metrics: u32) -> Self {
        Self { metrics, ..self }
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.trouble.contains(&trouble)
    }
}

/// How one watch went.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// After how many seconds it was called regressed.
    pub(crate) regressed_sec: Option<f64>,
    /// The same by rules of thumb.
    pub(crate) naive: naive::Naive,
}

struct Replica {
    digest: Digest,
    name: String,
    requests: f64,
    failed: f64,
    gone: bool,
    /// Steps that a bad spell still lasts.
    spell: u32,
}

/// Watches one rollout. Times are from when it became worse.
pub(crate) fn run(scenario: &Scenario, settings: &Settings, seed: u64) -> Outcome {
    let (evidence, minutes) = observe(scenario, seed);
    let settings = Settings { alpha: settings.alpha / f64::from(scenario.metrics), ..*settings };
    let report = judge(&evidence, &settings);
    let regressed_sec = match report.metrics[0].reason {
        Reason::Worse { window, .. } | Reason::OverLimit { window } => {
            Some(f64::from(window + 1) * STEP_SEC as f64 - f64::from(scenario.begins) * 60.0)
        }
        _ => None,
    };
    Outcome { regressed_sec, naive: naive::judge(&minutes) }
}

/// What is seen of one rollout, and minute by minute what rules of thumb see.
pub(crate) fn observe(scenario: &Scenario, seed: u64) -> (Evidence, Vec<naive::Minute>) {
    let mut random = Random(fastrand::Rng::with_seed(seed ^ 0x5bd1_e995));
    let started = Timestamp::from_second(1_700_000_000).expect("a moment of this century");
    let metric = Metric::new("failures", Kind::Share);
    let mut tally = Tally::new(Some(OLD), NEW, vec![metric], started, STEP_SEC as u32);
    let replica = |digest, name: &str| Replica {
        digest,
        name: name.into(),
        requests: 1000.0,
        failed: 5.0,
        gone: false,
        spell: 0,
    };
    let mut replicas =
        [replica(OLD, "old-1"), replica(OLD, "old-2"), replica(NEW, "new-1"), replica(NEW, "new-2")];
    let steps = i64::from(scenario.minutes) * 60 / STEP_SEC;
    let phase = random.0.f64();
    let mut minutes: Vec<naive::Minute> = Vec::new();
    let mut outage = 0u32;
    for step in 0..=steps {
        let at = started + SignedDuration::from_secs(step * STEP_SEC) - SignedDuration::from_millis(1);
        if step > 0 {
            let part = step as f64 / steps as f64;
            if random.chance(if scenario.has(Trouble::SharedOutage) { 1.0 / 60.0 } else { 0.0 }) {
                outage = 3;
            }
            let outage_now = outage > 0;
            outage = outage.saturating_sub(1);
            if step % (60 / STEP_SEC) == 1 {
                minutes.push(naive::Minute::default());
            }
            let minute = minutes.last_mut().expect("a minute has begun");
            move_on(scenario, &mut replicas, &mut random, minute, part, phase, outage_now);
        }
        for replica in replicas.iter_mut().filter(|replica| !replica.gone) {
            if step > 0 && scenario.has(Trouble::LostLooks) {
                if random.chance(0.05) {
                    tally.unreachable(replica.digest, "timed out");
                    continue;
                }
                // The second replica of each release may go.
                if replica.name.ends_with('2') && random.chance(0.01) {
                    replica.gone = true;
                    continue;
                }
            }
            tally.look(&Look {
                digest: replica.digest,
                replica: replica.name.clone(),
                at,
                born: None,
                readings: vec![Lookup::Found(Reading {
                    events: vec![counter("failed", replica.failed)],
                    exposure: vec![counter("requests", replica.requests)],
                })],
            });
        }
    }
    (tally.evidence(), minutes)
}

/// Ten seconds of traffic.
fn move_on(
    scenario: &Scenario,
    replicas: &mut [Replica; 4],
    random: &mut Random,
    minute: &mut naive::Minute,
    part: f64,
    phase: f64,
    outage: bool,
) {
    let swing = if scenario.has(Trouble::DailyCycle) {
        1.0 + 0.8 * (std::f64::consts::TAU * (part + phase)).sin()
    } else if scenario.has(Trouble::Ramp) {
        1.0 + 4.0 * part
    } else {
        1.0
    };
    let worse = part * f64::from(scenario.minutes) > f64::from(scenario.begins);
    let share = scenario.share.0 + (scenario.share.1 - scenario.share.0) * part;
    for replica in replicas.iter_mut() {
        let new = replica.digest == NEW;
        let of_all = if new { share } else { 1.0 - share } / 2.0;
        let mut requests = random.poisson(scenario.per_minute / 60.0 * STEP_SEC as f64 * swing * of_all);
        let mut probability = scenario.base * swing * if new && worse { scenario.ratio } else { 1.0 };
        if outage {
            probability += 0.3;
        }
        let frequent = scenario.has(Trouble::FrequentBadSpells);
        if frequent || scenario.has(Trouble::BadSpells) {
            if replica.spell == 0 && random.chance(if frequent { 1.0 / 90.0 } else { 1.0 / 180.0 }) {
                replica.spell = 3;
            }
            probability *= if replica.spell > 0 { 10.0 } else { 1.0 };
            replica.spell = replica.spell.saturating_sub(1);
        }
        let mut failed = if scenario.has(Trouble::Clusters) {
            (10.0 * random.poisson(requests * probability / 10.0)).min(requests)
        } else {
            random.binomial(requests, probability.min(1.0))
        };
        if scenario.has(Trouble::Bursts) && random.chance(of_all / 30.0) {
            let burst = (-8.0 * random.0.f64().max(1e-9).ln()).ceil();
            requests += burst;
            failed += burst;
        }
        replica.requests += requests;
        replica.failed += failed;
        if scenario.has(Trouble::Restarts) && random.chance(1.0 / 60.0) {
            // What it did since the last look is lost, as in a real crash.
            (replica.requests, replica.failed) = (0.0, 0.0);
        }
        let side = if new { &mut minute.new } else { &mut minute.old };
        side.0 += failed;
        side.1 += requests;
    }
}

fn counter(series: &str, value: f64) -> Point {
    Point { series: series.into(), bound: None, value, created: None }
}

struct Random(fastrand::Rng);

impl Random {
    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.0.f64() < probability
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.0.f64(), 0.0);
        while product > limit {
            product *= self.0.f64();
            count += 1.0;
        }
        count
    }

    fn binomial(&mut self, n: f64, p: f64) -> f64 {
        if p >= 1.0 {
            return n;
        }
        if n <= 50.0 {
            return (0..n as u32).filter(|_| self.0.f64() < p).count() as f64;
        }
        if n * p < 30.0 {
            return self.poisson(n * p).min(n);
        }
        (n * p + (n * p * (1.0 - p)).sqrt() * self.normal()).round().clamp(0.0, n)
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.0.f64().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.0.f64()).cos()
    }
}

/// The scenarios of the table in docs/watch.md.
pub(crate) const HEALTHY: &[Scenario] = &[
    Scenario::healthy("5 a minute", 5.0, &[]),
    Scenario::healthy("20 a minute", 20.0, &[]),
    Scenario::healthy("100 a minute", 100.0, &[]),
    Scenario::healthy("1,000 a minute", 1000.0, &[]),
    Scenario::healthy("20,000 a minute", 20_000.0, &[]),
    Scenario::healthy("1,000 a minute, new release has a tenth", 1000.0, &[]).shares(0.1, 0.1),
    Scenario::healthy("1,000 a minute, share from 5 to 95 %", 1000.0, &[]).shares(0.05, 0.95),
    Scenario::healthy("1,000 a minute, daily cycle", 1000.0, &[Trouble::DailyCycle]).shares(0.1, 0.9),
    Scenario::healthy("1,000 a minute, traffic and failures to 5 times", 1000.0, &[Trouble::Ramp])
        .shares(0.1, 0.9),
    Scenario::healthy("1,000 a minute, outages of both", 1000.0, &[Trouble::SharedOutage]).shares(0.3, 0.7),
    Scenario::healthy("20 a minute, bursts", 20.0, &[Trouble::Bursts]),
    Scenario::healthy("100 a minute, bursts", 100.0, &[Trouble::Bursts]),
    Scenario::healthy("1,000 a minute, bursts", 1000.0, &[Trouble::Bursts]),
    Scenario::healthy("1,000 a minute, failures in tens", 1000.0, &[Trouble::Clusters]),
    Scenario::healthy("20,000 a minute, failures in tens", 20_000.0, &[Trouble::Clusters]),
    Scenario::healthy("1,000 a minute, bad spells of a replica", 1000.0, &[Trouble::BadSpells]),
    Scenario::healthy("20,000 a minute, bad spells of a replica", 20_000.0, &[Trouble::BadSpells]),
    Scenario::healthy("1,000 a minute, frequent bad spells", 1000.0, &[Trouble::FrequentBadSpells]),
    Scenario::healthy(
        "100 a minute, restarts, lost looks, replicas vanish",
        100.0,
        &[Trouble::Restarts, Trouble::LostLooks],
    ),
    Scenario::healthy(
        "1,000 a minute, all of it",
        1000.0,
        &[Trouble::DailyCycle, Trouble::SharedOutage, Trouble::Bursts, Trouble::Restarts, Trouble::LostLooks],
    )
    .shares(0.1, 0.9),
];

pub(crate) const SICK: &[Scenario] = &[
    Scenario::healthy("20 a minute, tenfold", 20.0, &[]).worse(10.0),
    Scenario::healthy("20 a minute, all fail", 20.0, &[]).worse(200.0),
    Scenario::healthy("100 a minute, threefold", 100.0, &[]).worse(3.0),
    Scenario::healthy("100 a minute, tenfold", 100.0, &[]).worse(10.0),
    Scenario::healthy("100 a minute, tenfold, one of four metrics", 100.0, &[]).worse(10.0).metrics(4),
    Scenario::healthy("100 a minute, all fail", 100.0, &[]).worse(200.0),
    Scenario::healthy("100 a minute, all fail after 15 minutes", 100.0, &[]).worse(200.0).begins(15),
    Scenario::healthy("100 a minute, new release has a tenth, all fail", 100.0, &[])
        .shares(0.1, 0.1)
        .worse(200.0),
    Scenario::healthy("200 a minute, tenfold", 200.0, &[]).worse(10.0),
    Scenario::healthy("1,000 a minute, twofold", 1000.0, &[]).worse(2.0),
    Scenario::healthy("1,000 a minute, threefold", 1000.0, &[]).worse(3.0),
    Scenario::healthy("1,000 a minute, tenfold", 1000.0, &[]).worse(10.0),
    Scenario::healthy("1,000 a minute, all fail", 1000.0, &[]).worse(200.0),
    Scenario::healthy("1,000 a minute, bursts, tenfold", 1000.0, &[Trouble::Bursts]).worse(10.0),
    Scenario::healthy("1,000 a minute, failures in tens, tenfold", 1000.0, &[Trouble::Clusters]).worse(10.0),
    Scenario::healthy("1,000 a minute, new release has a tenth, tenfold", 1000.0, &[])
        .shares(0.1, 0.1)
        .worse(10.0),
    Scenario::healthy("20,000 a minute, twofold", 20_000.0, &[]).worse(2.0),
    Scenario::healthy("20,000 a minute, all fail after 15 minutes", 20_000.0, &[]).worse(200.0).begins(15),
    Scenario::healthy("20,000 a minute, 1.2 times: does not matter", 20_000.0, &[]).worse(1.2),
    Scenario::healthy("1,000 a minute, half of all requests fail, then all", 1000.0, &[])
        .base(0.5)
        .worse(2.0),
];
