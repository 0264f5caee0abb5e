//! Migrations as a Job.

use std::sync::Mutex;

use plimsoll_model::{Diagnose as _, Observer, Progress};
use plimsoll_rollout_kubernetes::{JobEnd, JobSpec, KubernetesError};
use plimsoll_testkit_cluster::Behaviour;

use crate::scene::{Scene, release};

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Observer for Lines {
    fn report(&self, progress: Progress) {
        if let Progress::Line { step, text, .. } = progress {
            self.0.lock().unwrap().push(format!("{step}: {text}"));
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
    }
}

async fn run(behaviour: Behaviour) -> (Scene, Vec<String>, Result<JobEnd, KubernetesError>) {
    let scene = Scene::new();
    scene.cluster.image(&release(9).image.to_string(), behaviour);
    let lines = Lines::default();
    let target = scene.target();
    let spec = spec();
    let mut job = Box::pin(target.run_job(&spec, &lines));
    let ended = loop {
        // Time passes while it is waited for.
        tokio::select! {
            ended = &mut job => break ended,
            () = tokio::time::sleep(std::time::Duration::from_millis(5)) => scene.cluster.advance(100),
        }
    };
    drop(job);
    drop(target);
    let lines = lines.0.into_inner().unwrap();
    (scene, lines, ended)
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
    let KubernetesError::Job { reason, last_lines, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("status 4"), "{reason}");
    assert_eq!(last_lines, &["relation \"payouts\" does not exist"]);
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
