//! A cluster that fails in the middle of a rollout, and others who are at work on
//! it: the right cause, no lost intent, no endless wait.

use std::time::{Duration, Instant};

use plimsoll_model::Commit;
use plimsoll_testkit_cluster::{Behaviour, Cluster, Review, Settings, Verdict};
use serde_json::{Value, json};

use crate::kubernetes::{cluster, cluster_with, image, kubeconfig, runs};
use crate::world::{Run, Running, World, until};

/// No command of these takes longer, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

/// A world whose first release serves in the cluster, and whose second one takes
/// a moment to start.
struct Scene {
    world: World,
    cluster: Cluster,
    first: Commit,
    second: Commit,
}

impl Scene {
    fn new() -> Self {
        Self::with(Settings::default(), |_, _| {})
    }

    fn with(settings: Settings, prepare: impl FnOnce(&World, &Cluster)) -> Self {
        let mut world = World::new();
        let cluster = cluster_with(&world, settings);
        prepare(&world, &cluster);
        let [first, second] = ["first", "second"].map(|name| world.built(name, "well"));
        world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(0);
        // A second for each of its pods.
        cluster
            .image(&format!("{}:{}", world.repository(), second.as_str()), Behaviour::starts_after(20_000));
        Self { world, cluster, first, second }
    }

    fn configure(&self, from: &str, to: &str) {
        let path = self.world.path().join("plimsoll.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
    }

    fn deploy<'a>(&self, release: &'a Commit) -> [&'a str; 4] {
        ["deploy", release.as_str(), "--env", "cluster"]
    }

    /// The second release's rollout, in its middle.
    fn in_the_middle(&self) -> Running {
        let running = self.world.start(self.world.command(self.deploy(&self.second)));
        until("the second image is set", || runs(&self.cluster, &self.second));
        running
    }

    /// It went back for this reason, and the first release serves.
    #[track_caller]
    fn went_back(&self, run: Run, words: &[&str]) {
        assert!(run.took < SOON, "{:?}", run.took);
        run.exits(1).says(words);
        assert!(runs(&self.cluster, &self.first), "{}", image(&self.cluster));
        assert_eq!(self.world.drift("cluster")["state"], "none", "{:#}", self.world.drift("cluster"));
        assert_eq!(self.status()["unfinished"], Value::Null);
    }

    fn status(&self) -> Value {
        self.world.json(["status", "--env", "cluster"])["environments"][0].clone()
    }
}

/// A user of the kubeconfig whose plugin runs this, with `$file` beside it.
fn plugin(world: &World, script: &str) -> String {
    let file = world.path().join(".git/token");
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, {:?}]}}}}",
        format!("file={}; {script}", file.display())
    )
}

/// What a plugin prints that issues what is in the file.
const ISSUES: &str = "printf '{\"status\": {\"token\": \"%s\"}}' $(cat $file)";

fn token(world: &World, token: &str) {
    let path = world.path().join(".git/token");
    std::fs::write(path.with_extension("new"), token).unwrap();
    std::fs::rename(path.with_extension("new"), path).unwrap();
}

/// A cluster that asks for tokens, and a kubeconfig whose user has one.
fn with_tokens(user: impl Fn(&World) -> String) -> Scene {
    Scene::with(Settings { authentication: true, ..Settings::default() }, |world, cluster| {
        for token in ["one", "two"] {
            cluster.add_user(token, "ci", &["system:masters"]);
        }
        token(world, "one");
        kubeconfig(world, &cluster.kubeconfig_with(&user(world)));
    })
}

#[test]
fn a_plugin_that_hangs_is_named_and_ended() {
    let mut world = World::new();
    let cluster = cluster(&world);
    let first = world.built("first", "well");
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap();
    world.repo.write("plimsoll.toml", text + "login_timeout = \"1s\"\n");
    let before = image(&cluster);
    kubeconfig(&world, &cluster.kubeconfig_with(&plugin(&world, "exec sleep 600")));
    let run = world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(5);
    assert!(run.took < SOON, "{:?}", run.took);
    run.says(&["KUB-003", "the exec plugin sh did not end within 1 s", "nothing was touched"]);
    assert_eq!((image(&cluster), world.processes().others), (before, Vec::new()));
}

#[test]
fn of_two_containers_with_the_same_image_only_the_named_one_changes() {
    let scene = Scene::new();
    let beside = format!("{}:v1", scene.world.repository());
    scene.cluster.edit_as("kubectl-edit", "deployments", "shop", "echo", |object| {
        let containers = &mut object["spec"]["template"]["spec"]["containers"];
        containers.as_array_mut().unwrap().push(json!({"name": "worker", "image": beside}));
    });
    until("the second container runs", || {
        scene.cluster.get("deployments", "shop", "echo")["status"]["updatedReplicas"] == 2
    });
    let refused = scene.world.plimsoll(scene.deploy(&scene.second)).exits(2);
    refused.says(&["KUB-008", "expected one of echo, worker", "set `container`", "nothing was touched"]);
    assert!(runs(&scene.cluster, &scene.first));

    for (named, other, before) in
        [("echo", "worker", beside.clone()), ("worker", "echo", image(&scene.cluster))]
    {
        let release = if named == "echo" { &scene.first } else { &scene.second };
        scene
            .configure("namespace = \"shop\"\n", &format!("namespace = \"shop\"\ncontainer = \"{named}\"\n"));
        let report = scene.world.plimsoll(scene.deploy(release)).exits(0);
        report.says(&[&format!("{other} has its image from the same repository as {named}")]);
        let deployment = scene.cluster.get("deployments", "shop", "echo");
        let images = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap().iter();
        for container in images {
            let found = container["image"].as_str().unwrap();
            if container["name"] == named {
                assert!(found.contains(release.as_str()), "{named}: {found}");
            } else {
                assert_eq!(found, before, "{other}");
            }
        }
        scene.configure(&format!("container = \"{named}\"\n"), "");
    }
}

#[test]
fn a_token_that_expires_in_the_middle_is_read_anew() {
    let users: [fn(&World) -> String; 2] = [
        |world| plugin(world, ISSUES),
        |world| format!("{{tokenFile: {:?}}}", world.path().join(".git/token")),
    ];
    for user in users {
        let scene = with_tokens(user);
        let running = scene.in_the_middle();
        token(&scene.world, "two");
        scene.cluster.expire_token("one");
        scene.cluster.drop_watches();
        running.wait().exits(0);
        assert!(runs(&scene.cluster, &scene.second));
        assert_eq!(scene.world.drift("cluster")["state"], "none");
    }
}

/// It ends soon by its own word: it is asked for anew before, not after a 401.
#[test]
fn a_token_that_is_about_to_end_is_asked_for_before_it_does() {
    let ends = "printf '{\"status\": {\"token\": \"%s\", \"expirationTimestamp\": \"%s\"}}' $(cat $file) \
                $(date -u -d '+11 seconds' +%Y-%m-%dT%H:%M:%SZ); echo x >> $file.count";
    let scene = with_tokens(|world| plugin(world, ends));
    // It starts slowly on purpose; that is not to be given up.
    scene.configure("probe_grace = \"8s\"", "probe_grace = \"25s\"");
    let slow = Behaviour::starts_after(40_000);
    scene.cluster.image(&format!("{}:{}", scene.world.repository(), scene.second), slow);
    let count = || std::fs::read_to_string(scene.world.path().join(".git/token.count")).unwrap().len();
    let running = scene.in_the_middle();
    let before = count();
    until("it is asked for anew", || {
        // Something is to be asked: streams that last need no login.
        scene.cluster.drop_watches();
        count() > before
    });
    running.wait().exits(0);
    let refused = scene.cluster.requests().iter().filter(|seen| seen.code == 401).count();
    assert_eq!(refused, 0);
}

#[test]
fn a_token_that_cannot_be_renewed_is_the_cause_and_nothing_is_lost() {
    let scene = with_tokens(|world| {
        plugin(
            world,
            &format!("if test -e $file.out; then echo your session is over >&2; exit 3; fi; {ISSUES}"),
        )
    });
    scene.configure(
        "rollout_timeout = \"30s\"\nprobe_grace",
        "rollout_timeout = \"4s\"\ndrain_timeout = \"1s\"\nprobe_grace",
    );
    let out = scene.world.path().join(".git/token.out");
    let running = scene.in_the_middle();
    std::fs::write(&out, "").unwrap();
    scene.cluster.expire_token("one");
    scene.cluster.break_connections();
    let run = running.wait();
    assert!(run.took < SOON, "{:?}", run.took);
    run.exits(1).says(&["DEP-112", "the exec plugin sh ended with exit status: 3: your session is over"]);
    // Somebody logs in again; the next command brings it to an end.
    std::fs::remove_file(&out).unwrap();
    token(&scene.world, "two");
    finishes(&scene);
}

/// The next command brings what was left to a good end.
fn finishes(scene: &Scene) {
    scene.configure("rollout_timeout = \"4s\"", "rollout_timeout = \"30s\"");
    scene.world.plimsoll(scene.deploy(&scene.second)).exits(0);
    assert!(runs(&scene.cluster, &scene.second), "{}", image(&scene.cluster));
    let status = scene.status();
    assert_eq!(
        (&status["drift"]["state"], &status["unfinished"]),
        (&json!("none"), &Value::Null),
        "{status:#}"
    );
    scene.world.plimsoll(["ledger", "verify"]).exits(0);
}

#[test]
fn an_api_server_that_is_away_for_a_moment_is_waited_for() {
    let scene = Scene::new();
    let running = scene.in_the_middle();
    // Two seconds.
    scene.cluster.away(40_000);
    let run = running.wait().exits(0);
    assert!(!run.stderr.contains("going back"), "{}", run.stderr);
    assert!(runs(&scene.cluster, &scene.second));
}

#[test]
fn an_api_server_that_stays_away_is_the_cause_and_nothing_is_lost() {
    let scene = Scene::new();
    scene.configure(
        "rollout_timeout = \"30s\"\nprobe_grace",
        "rollout_timeout = \"4s\"\ndrain_timeout = \"1s\"\nprobe_grace",
    );
    let running = scene.in_the_middle();
    scene.cluster.away(24 * 60 * 60 * 1000);
    let run = running.wait();
    assert!(run.took < SOON, "{:?}", run.took);
    run.exits(1).says(&["DEP-112", "got no answer from the API server"]);
    let status = scene.status();
    assert_eq!(status["drift"]["state"], "unknown", "{status:#}");
    scene.cluster.heal();
    finishes(&scene);
}

#[test]
fn of_two_at_once_the_second_is_told_who_the_first_is() {
    let scene = Scene::new();
    let running = scene.in_the_middle();
    let mut second = scene.world.command(["deploy", scene.first.as_str(), "--env", "cluster"]);
    second.env("PLIMSOLL_ACTOR", "bob");
    let before = Instant::now();
    let refused = scene.world.start(second).wait();
    assert!(before.elapsed() < SOON);
    refused.exits(3).says(&["DEP-113", "ann", "nothing was touched"]);
    running.wait().exits(0);
    assert!(runs(&scene.cluster, &scene.second));
}

#[test]
fn somebody_who_sets_another_image_in_the_middle_is_named() {
    let scene = Scene::new();
    let running = scene.in_the_middle();
    let other = format!("{}:v1", scene.world.repository());
    scene.cluster.edit_as("kubectl-set", "deployments", "shop", "echo", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = other.as_str().into();
    });
    scene.went_back(running.wait(), &["DEP-112", "by kubectl-set at 2026-", &other]);
}

#[test]
fn a_quota_without_room_is_told_in_its_own_words() {
    let scene = Scene::new();
    scene.configure("probe_grace = \"8s\"", "probe_grace = \"1s\"");
    // The new pod is to be there before the only one goes.
    scene.cluster.edit_as("kubectl-scale", "deployments", "shop", "echo", |object| {
        object["spec"]["replicas"] = json!(1);
    });
    until("one pod is left", || scene.cluster.list("pods", "shop").len() == 1);
    scene.cluster.apply_yaml(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: team, namespace: shop}\nspec: {hard: {pods: \"1\"}}\n",
    );
    let words = ["DEP-106", "exceeded quota: team", "kubectl --context test -n shop get events"];
    scene.went_back(scene.world.plimsoll(scene.deploy(&scene.second)), &words);
}

#[test]
fn a_webhook_that_denies_the_pods_is_told_at_once_in_its_own_words() {
    let scene = Scene::new();
    let second = scene.second.to_string();
    scene.cluster.webhook("policy.example.com", move |review: &Review<'_>| {
        let refuses = review.kind.kind == "Pod" && review.object.to_string().contains(&second);
        if refuses { Verdict::Deny("its owner is not named".into()) } else { Verdict::Allow }
    });
    let words = [
        "DEP-115",
        "policy.example.com",
        "its owner is not named",
        "kubectl --context test -n shop get events",
    ];
    scene.went_back(scene.world.plimsoll(scene.deploy(&scene.second)), &words);
}

/// One that denies the Deployment itself is met by the first write.
#[test]
fn a_webhook_that_denies_the_deployment_stops_it_at_the_first_write() {
    let scene = Scene::new();
    let second = scene.second.to_string();
    scene.cluster.webhook("policy.example.com", move |review: &Review<'_>| {
        let refuses = review.kind.kind == "Deployment" && review.object.to_string().contains(&second);
        if refuses { Verdict::Deny("not on a Friday".into()) } else { Verdict::Allow }
    });
    let words = ["DEP-112", "policy.example.com", "not on a Friday"];
    scene.went_back(scene.world.plimsoll(scene.deploy(&scene.second)), &words);
}
