//! Migrations as a Job.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use plimsoll_model::{Diagnose as _, Observer, Progress};
use plimsoll_rollout_kubernetes::{JobEnd, JobSpec, KubernetesError, KubernetesTarget, Options, manifests};
use plimsoll_testkit_cluster::{Behaviour, Fault, Settings};
use serde_json::json;

use crate::scene::{Scene, release, settings};

/// No Job here is waited for so long, in real time.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    notes: Mutex<Vec<String>>,
}

impl Lines {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn notes(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

impl Observer for Lines {
    fn report(&self, progress: Progress) {
        match progress {
            Progress::Line { step, text, .. } => self.lines.lock().unwrap().push(format!("{step}: {text}")),
            Progress::Note { text } => self.notes.lock().unwrap().push(text),
            _ => {}
        }
    }
}

fn spec() -> JobSpec {
    JobSpec {
        purpose: "migrate".into(),
        rollout: "production-9".into(),
        release: release(9),
        command: vec!["/usr/local/bin/payouts".into(), "migrate".into()],
        args: Vec::new(),
        env: vec![("PLIMSOLL".into(), "1".into())],
        deadline_sec: 60,
        grace: Duration::from_millis(700),
        away: Duration::from_secs(10),
    }
}

/// Runs a Job while a tenth of a second passes in the cluster at each turn, in which
/// `act` can do something.
async fn run_while(
    scene: &Scene,
    target: &KubernetesTarget,
    spec: JobSpec,
    lines: &Lines,
    mut act: impl FnMut(u64),
) -> Result<JobEnd, KubernetesError> {
    let mut job = Box::pin(target.run_job(&spec, lines));
    let began = Instant::now();
    for turn in 0.. {
        tokio::select! {
            ended = &mut job => return ended,
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        act(turn);
        scene.cluster.advance(100);
        let said = || format!("{:?}\n{}", lines.lines(), lines.notes());
        assert!(began.elapsed() < PATIENCE, "it is waited for endlessly: {}", said());
    }
    unreachable!("it ends within its time")
}

fn scene(behaviour: Behaviour) -> Scene {
    let scene = Scene::new();
    scene.cluster.image(&release(9).image.to_string(), behaviour);
    scene
}

/// The Job's name, once it is there.
fn job_of(scene: &Scene) -> Option<String> {
    let jobs = scene.cluster.list("jobs", "shop");
    Some(jobs.first()?["metadata"]["name"].as_str()?.to_owned())
}

/// The name of the Job's pod, once its container runs.
fn running_pod(scene: &Scene) -> Option<String> {
    let pods = scene.cluster.list("pods", "shop");
    let pod = pods.iter().find(|pod| {
        pod["metadata"]["labels"]["plimsoll.dev/job"].is_string() && pod["status"]["phase"] == "Running"
    })?;
    Some(pod["metadata"]["name"].as_str()?.to_owned())
}

fn why(error: &KubernetesError) -> (&str, &[String]) {
    let KubernetesError::Job { reason, last_lines, .. } = error else { panic!("{error}") };
    (reason, last_lines)
}

async fn run(behaviour: Behaviour) -> (Scene, Vec<String>, Result<JobEnd, KubernetesError>) {
    let scene = scene(behaviour);
    let lines = Lines::default();
    let ended = run_while(&scene, &scene.target(), spec(), &lines, |_| {}).await;
    (scene, lines.lines(), ended)
}

#[tokio::test]
async fn a_job_runs_the_releases_image_and_its_lines_are_reported() {
    let works = Behaviour::completes_after(3_000).with_log(&["applying 0007", "done"]);
    let (scene, lines, ended) = run(works).await;
    let ended = ended.unwrap();
    assert_eq!(lines, ["migrate: applying 0007", "migrate: done"]);
    assert_eq!(ended.last_lines, ["applying 0007", "done"]);
    let job = scene.cluster.get("jobs", "shop", &ended.job);
    let pod = &job["spec"]["template"];
    assert_eq!(pod["spec"]["containers"][0]["image"], release(9).image.to_string());
    assert_eq!(pod["spec"]["serviceAccountName"], "payouts");
    let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    assert_eq!((env[0]["name"].as_str(), env[1]["name"].as_str()), (Some("PORT"), Some("PLIMSOLL")));
    let labels = pod["metadata"]["labels"].as_object().unwrap();
    assert!(labels.keys().all(|key| !key.starts_with("app")), "the Service must not select it: {labels:?}");
    // The same rollout finds it done.
    let again = scene.target().run_job(&spec(), &Lines::default()).await.unwrap();
    assert_eq!(again.job, ended.job);
    assert_eq!(scene.cluster.list("jobs", "shop").len(), 1);
}

#[tokio::test]
async fn a_job_that_fails_ends_the_wait_at_once() {
    let fails = Behaviour::exits_after(1_000, 4).with_log(&["relation \"payouts\" does not exist"]);
    let (_, _, ended) = run(fails).await;
    let error = ended.unwrap_err();
    assert_eq!(error.code(), "KUB-016");
    let (reason, last_lines) = why(&error);
    assert!(reason.contains("status 4"), "{reason}");
    assert_eq!(last_lines, ["relation \"payouts\" does not exist"]);
}

#[tokio::test]
async fn a_job_that_cannot_start_is_taken_away() {
    let (scene, _, ended) = run(Behaviour::cannot_be_pulled("manifest unknown")).await;
    let error = ended.unwrap_err();
    assert!(
        error.to_string().contains("cannot start: image") && error.to_string().contains("manifest unknown"),
        "{error}"
    );
    scene.cluster.settle();
    assert!(scene.cluster.list("jobs", "shop").is_empty());
}

/// The pods are looked at before there are any, and the Job when it has ended.
#[tokio::test]
async fn the_lines_of_a_job_that_ends_at_once_are_there() {
    for (behaviour, well) in
        [(Behaviour::completes_after(100), true), (Behaviour::exits_after(100, 4), false)]
    {
        let scene = Scene::with(Settings { controller_delay: 50, ..Settings::default() });
        let said = behaviour.with_log(&["applying 0007", "applying 0008"]);
        scene.cluster.image(&release(9).image.to_string(), said);
        scene.cluster.fault("GET", "/jobs?limit=500&fieldSelector").then(Fault::Stall);
        let (lines, target, spec) = (Lines::default(), scene.target(), spec());
        let job = target.run_job(&spec, &lines);
        let (ended, ()) = tokio::join!(tokio::time::timeout(PATIENCE, job), async {
            scene.cluster.until_stalled(1).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            scene.cluster.advance(20_000);
            scene.cluster.release();
        });
        let last_lines = match ended.unwrap() {
            Ok(end) if well => end.last_lines,
            Err(error) if !well => why(&error).1.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(last_lines, ["applying 0007", "applying 0008"]);
        assert_eq!(lines.lines(), ["migrate: applying 0007", "migrate: applying 0008"]);
    }
}

/// A stream that cannot be opened at first, and one that breaks off.
#[tokio::test]
async fn lines_that_were_written_while_nobody_heard_are_caught_up_on() {
    let scene = scene(Behaviour::completes_after(60_000).with_log(&["applying 0007"]));
    scene.cluster.fault("GET", "/log?").times(2).then(Fault::Reset);
    let (lines, target) = (Lines::default(), scene.target());
    let mut written = 0;
    let spec = JobSpec { deadline_sec: 120, ..spec() };
    let ended = run_while(&scene, &target, spec, &lines, |_| {
        let Some(pod) = running_pod(&scene) else { return };
        match (written, lines.lines().len()) {
            (0, 1) => {
                scene.cluster.fault("GET", "/log?").times(1).then(Fault::Reset);
                scene.cluster.break_connections();
                scene.cluster.write_log("shop", &pod, "payouts", "applying 0008");
                written = 1;
            }
            (1, 2) => {
                scene.cluster.write_log("shop", &pod, "payouts", "applying 0009");
                written = 2;
            }
            _ => {}
        }
    });
    let ended = ended.await.unwrap();
    assert_eq!(lines.lines(), ["migrate: applying 0007", "migrate: applying 0008", "migrate: applying 0009"]);
    assert_eq!(ended.last_lines, ["applying 0007", "applying 0008", "applying 0009"]);
}

/// By itself, and by a deletion that waits for something (`kubectl delete
/// --cascade=foreground` looks the same): no condition comes any more.
#[tokio::test]
async fn a_job_that_somebody_deletes_ends_the_wait_at_once() {
    for lingers in [false, true] {
        let works = Behaviour::completes_after(600_000).stops_in(20_000).with_log(&["applying 0007"]);
        let scene = scene(works);
        let (lines, target) = (Lines::default(), scene.target());
        let mut deleted = None;
        let ended = run_while(&scene, &target, spec(), &lines, |_| {
            let Some(job) = job_of(&scene).filter(|_| deleted.is_none() && !lines.lines().is_empty()) else {
                return;
            };
            if lingers {
                scene.cluster.edit_as("somebody", "jobs", "shop", &job, |job| {
                    job["metadata"]["finalizers"] = json!(["example.com/waits"]);
                });
            }
            scene.cluster.delete("jobs", "shop", &job).unwrap();
            deleted = Some(Instant::now());
        });
        let error = ended.await.unwrap_err();
        assert!(deleted.unwrap().elapsed() < Duration::from_secs(5), "{error}");
        let (reason, last_lines) = why(&error);
        let how = if lingers { "still ran" } else { "its pod payouts-migrate-" };
        for words in ["deleted it", how, "is not known"] {
            assert!(reason.contains(words), "{words}: {reason}");
        }
        assert_eq!(last_lines, ["applying 0007"]);
        let hint = error.hint().unwrap();
        assert!(!hint.contains("kubectl logs job/") && hint.contains("schema"), "{hint}");
    }
}

/// What is left of a deleted Job still writes for a while.
#[tokio::test]
async fn the_next_job_waits_for_the_pod_of_a_deleted_one() {
    let scene = scene(Behaviour::completes_after(2_000).stops_in(20_000));
    let first = JobSpec { rollout: "production-8".into(), release: release(8), ..spec() };
    scene.cluster.image(&release(8).image.to_string(), Behaviour::completes_after(600_000).stops_in(20_000));
    let (lines, target) = (Lines::default(), scene.target());
    let ended = run_while(&scene, &target, first, &lines, |_| {
        if running_pod(&scene).is_some()
            && let Some(job) = job_of(&scene)
        {
            drop(scene.cluster.delete("jobs", "shop", &job));
        }
    });
    ended.await.unwrap_err();
    let began = scene.cluster.now();
    run_while(&scene, &target, spec(), &lines, |_| {}).await.unwrap();
    assert!(lines.notes().contains("waiting for the pod of job payouts-migrate-"), "{}", lines.notes());
    let job = &scene.cluster.list("jobs", "shop")[0];
    let created: jiff::Timestamp = job["metadata"]["creationTimestamp"].as_str().unwrap().parse().unwrap();
    let waited = u64::try_from(created.as_millisecond()).unwrap().saturating_sub(began);
    assert!(waited >= 15_000, "made {waited} ms after the other was deleted");
}

#[tokio::test]
async fn an_api_server_that_is_away_is_waited_out() {
    // Before there is a Job, and while it runs.
    for at in [0, 40] {
        let scene = scene(Behaviour::completes_after(20_000).with_log(&["applying 0007"]));
        let (lines, target) = (Lines::default(), scene.target());
        if at == 0 {
            scene.cluster.away(30_000);
        }
        let ended = run_while(&scene, &target, spec(), &lines, |turn| {
            if at > 0 && turn == at {
                scene.cluster.away(30_000);
            }
        });
        let ended = ended.await.unwrap();
        assert_eq!(ended.last_lines, ["applying 0007"], "{}", lines.notes());
        assert!(lines.notes().contains("waiting for the API server"), "{}", lines.notes());
        assert_eq!(scene.cluster.list("jobs", "shop").len(), 1);
    }
}

/// Not for ever; and nobody says that the Job failed.
#[tokio::test]
async fn an_api_server_that_stays_away_is_given_up() {
    let scene = scene(Behaviour::completes_after(20_000).with_log(&["applying 0007"]));
    let (lines, target) = (Lines::default(), scene.target());
    let spec = JobSpec { away: Duration::from_millis(900), ..spec() };
    let ended = run_while(&scene, &target, spec, &lines, |turn| {
        if turn == 40 {
            scene.cluster.away(3_600_000);
        }
    });
    let error = ended.await.unwrap_err();
    let (reason, _) = why(&error);
    assert!(reason.contains("how it ended is not known") && reason.contains("got no answer"), "{reason}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("the next deployment waits until it has ended"), "{hint}");
}

/// Nor does a cluster end the wait that ends nothing.
#[tokio::test]
async fn a_job_that_nobody_ends_is_given_up() {
    let scene = scene(Behaviour::completes_after(600_000));
    let (lines, target) = (Lines::default(), scene.target());
    let spec = JobSpec { deadline_sec: 1, grace: Duration::from_millis(500), ..spec() };
    let ended = run_while(&scene, &target, spec, &lines, |_| {
        if let Some(job) = job_of(&scene) {
            scene.cluster.edit_as("somebody", "jobs", "shop", &job, |job| {
                job["spec"]["activeDeadlineSeconds"] = 3_600.into();
            });
        }
    });
    let error = ended.await.unwrap_err();
    let (reason, _) = why(&error);
    assert!(reason.contains("the cluster did not end it at its deadline"), "{reason}");
    assert_eq!(scene.cluster.list("jobs", "shop").len(), 1, "what runs is not ended in the middle");
}

#[tokio::test]
async fn a_token_that_expires_meanwhile_is_read_anew() {
    let scene = Scene::with(Settings { authentication: true, ..Settings::default() });
    scene.cluster.image(&release(9).image.to_string(), Behaviour::completes_after(30_000));
    scene.cluster.add_user("first", "ci", &["system:masters"]);
    scene.cluster.add_user("second", "ci", &["system:masters"]);
    std::fs::write(&scene.kubeconfig, scene.cluster.kubeconfig_for("first")).unwrap();
    let (lines, target) = (Lines::default(), scene.target());
    let mut expired = None;
    let mut renewed = false;
    let ended = run_while(&scene, &target, spec(), &lines, |_| {
        if expired.is_none() && running_pod(&scene).is_some() {
            scene.cluster.expire_token("first");
            scene.cluster.break_connections();
            expired = Some(Instant::now());
        }
        // Somebody logs in again once the Job has ended.
        if !renewed && expired.is_some_and(|at: Instant| at.elapsed() > Duration::from_millis(1_500)) {
            std::fs::write(&scene.kubeconfig, scene.cluster.kubeconfig_for("second")).unwrap();
            renewed = true;
        }
    });
    ended.await.unwrap();
    assert!(renewed);
}

#[tokio::test]
async fn answers_that_fail_or_are_lost_end_no_wait() {
    for seed in 1..=3 {
        let scene = Scene::with(Settings { seed, ..Settings::default() });
        let works = Behaviour::completes_after(8_000).with_log(&["applying 0007", "applying 0008"]);
        scene.cluster.image(&release(9).image.to_string(), works);
        scene.cluster.chaos(plimsoll_testkit_cluster::Chaos {
            errors: 12,
            throttled: 6,
            resets: 10,
            lost_answers: 10,
            dropped_watches: 10,
        });
        let (lines, target) = (Lines::default(), scene.target());
        let ended = run_while(&scene, &target, spec(), &lines, |_| {}).await;
        assert!(ended.is_ok(), "seed {seed}: {ended:?}\n{}", lines.notes());
        assert_eq!(scene.cluster.list("jobs", "shop").len(), 1);
    }
}

/// Two services of one namespace whose environments have the same name.
#[tokio::test]
async fn the_job_of_another_service_is_not_waited_for() {
    let scene = scene(Behaviour::completes_after(1_000));
    let image = release(1).image.to_string();
    let mut orders = settings(&image);
    for name in [&mut orders.name, &mut orders.deployment, &mut orders.container, &mut orders.service] {
        *name = "orders".into();
    }
    scene.cluster.apply_yaml(&manifests(&orders));
    scene.cluster.image(&release(8).image.to_string(), Behaviour::completes_after(3_600_000));
    let theirs = KubernetesTarget::open(Options {
        kubeconfig: Some(scene.kubeconfig.clone()),
        ..Options::new("production", "shop", "orders")
    });
    let long = JobSpec { release: release(8), deadline_sec: 3_600, ..spec() };
    let lines = Lines::default();
    tokio::select! {
        ended = theirs.run_job(&long, &lines) => panic!("{ended:?}"),
        () = async { while job_of(&scene).is_none() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    run_while(&scene, &scene.target(), spec(), &lines, |_| {}).await.unwrap();
    assert_eq!(scene.cluster.list("jobs", "shop").len(), 2);
    assert!(!lines.notes().contains("waiting for job"), "{}", lines.notes());
}

#[tokio::test]
async fn what_to_type_next_names_context_and_namespace() {
    let scene = scene(Behaviour::exits_after(100, 4));
    let options = Options { context: Some("test".into()), ..scene.options() };
    let (lines, target) = (Lines::default(), KubernetesTarget::open(options));
    let error = run_while(&scene, &target, spec(), &lines, |_| {}).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("`kubectl --context test -n shop logs job/payouts-migrate-"), "{hint}");
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_ended_by_the_cluster() {
    let (_, _, ended) = run(Behaviour::completes_after(600_000).with_log(&["applying 0007"])).await;
    let error = ended.unwrap_err();
    let (reason, last_lines) = why(&error);
    assert!(reason.contains("DeadlineExceeded"), "{reason}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("what it did is not known") && hint.contains("`timeout`"), "{hint}");
    assert_eq!(last_lines, ["applying 0007"]);
}

/// A Job of a command that was killed, whose image is not there.
#[tokio::test]
async fn a_job_of_another_rollout_that_never_begins_holds_nobody_up() {
    let scene = scene(Behaviour::completes_after(1_000));
    scene.cluster.image(&release(8).image.to_string(), Behaviour::cannot_be_pulled("manifest unknown"));
    let first = JobSpec { rollout: "production-8".into(), release: release(8), ..spec() };
    let (lines, target) = (Lines::default(), scene.target());
    tokio::select! {
        ended = target.run_job(&first, &lines) => panic!("{ended:?}"),
        () = async { while job_of(&scene).is_none() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    scene.cluster.advance(5_000);
    run_while(&scene, &target, spec(), &lines, |_| {}).await.unwrap();
    assert!(lines.notes().contains("cannot start and was taken away: image"), "{}", lines.notes());
}

/// As queues of clusters suspend Jobs.
#[tokio::test]
async fn a_job_that_is_suspended_is_told_so() {
    let scene = Scene::with(Settings { controller_delay: 50, ..Settings::default() });
    let (lines, target, first) = (Lines::default(), scene.target(), spec());
    tokio::select! {
        ended = target.run_job(&first, &lines) => panic!("{ended:?}"),
        () = async { while job_of(&scene).is_none() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    let job = job_of(&scene).unwrap();
    scene.cluster.edit_as("queue", "jobs", "shop", &job, |job| job["spec"]["suspend"] = true.into());
    let error = run_while(&scene, &target, spec(), &lines, |_| {}).await.unwrap_err();
    assert!(why(&error).0.contains("it is suspended"), "{error}");
    assert!(lines.notes().contains("it is suspended"), "{}", lines.notes());
}

/// What may heal is said at once, and has its grace.
#[tokio::test]
async fn what_keeps_a_job_from_starting_is_told_within_seconds() {
    type Before = fn(&Scene);
    let nothing: Before = |_| {};
    let full: Before = |scene| {
        scene.cluster.apply_json(json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "few", "namespace": "shop" },
            "spec": { "hard": { "pods": "3" } },
        }));
    };
    let cordoned: Before = |scene| {
        for node in ["node-a", "node-b", "node-c"] {
            scene
                .cluster
                .edit_as("kubectl", "nodes", "", node, |node| node["spec"]["unschedulable"] = true.into());
        }
    };
    let plain = || Behaviour::completes_after(100);
    for (behaviour, before, words) in [
        (
            Behaviour::config_error("secret \"payouts-db\" not found"),
            nothing,
            "secret \"payouts-db\" not found",
        ),
        (Behaviour::cannot_be_pulled("dial tcp: i/o timeout"), nothing, "i/o timeout"),
        (plain(), full, "exceeded quota"),
        (plain(), cordoned, "cannot be scheduled"),
    ] {
        let scene = scene(behaviour);
        before(&scene);
        let (lines, target) = (Lines::default(), scene.target());
        let began = scene.seconds();
        let error = run_while(&scene, &target, spec(), &lines, |_| {}).await.unwrap_err();
        let (reason, _) = why(&error);
        assert!(reason.contains("it cannot start") && reason.contains(words), "{words}: {reason}");
        assert!(scene.seconds() - began < 60, "{words}: not by its deadline");
        let told = lines.notes().contains(words) || words.contains("secret");
        assert!(told, "{words}: what may heal is told meanwhile: {}", lines.notes());
        scene.cluster.settle();
        assert!(scene.cluster.list("jobs", "shop").is_empty(), "{words}: nothing starts later");
    }
}
