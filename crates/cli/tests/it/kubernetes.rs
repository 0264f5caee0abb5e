//! Target `kubernetes`, through the binary, against the scripted API server:
//! the same commands, ledger and exit codes as on the other targets.

use nix::sys::signal::Signal;
use plimsoll_model::Commit;
use plimsoll_rollout_kubernetes::{Settings, manifests};
use plimsoll_testkit::peer;
use plimsoll_testkit_cluster::{Behaviour, Cluster, Forbid, Pace, Settings as ClusterSettings};

use crate::world::{World, free_address, until};

/// A cluster in which time runs faster, and a service that somebody else put
/// there.
pub(crate) fn cluster(world: &World) -> Cluster {
    cluster_with(world, ClusterSettings::default())
}

/// The same, otherwise made as these settings say.
pub(crate) fn cluster_with(world: &World, settings: ClusterSettings) -> Cluster {
    cluster_of(world, 8080, settings)
}

/// The service's manifests, as somebody else would put them there.
pub(crate) fn service(image: String, port: u16) -> String {
    manifests(&Settings {
        name: "echo".into(),
        deployment: "echo".into(),
        container: "echo".into(),
        service: "echo".into(),
        namespace: "shop".into(),
        environment: "cluster".into(),
        image,
        port,
        health: "/healthz".into(),
        run_as: (65532, 65532),
        replicas: 2,
        drain_sec: 5,
        blue_green: false,
        compare: false,
        proxy: false,
        jobs: false,
    })
}

/// The same, with the port of the service's pods.
fn cluster_of(world: &World, port: u16, settings: ClusterSettings) -> Cluster {
    let cluster = Cluster::start(ClusterSettings { pace: Pace::Real { speed: 20 }, ..settings });
    cluster.apply_yaml(&service(format!("{}:v1", world.repository()), port));
    kubeconfig(world, &cluster.kubeconfig());
    let section = "\n[environments.cluster]\ntarget = \"kubernetes\"\nrollout_timeout = \"30s\"\nprobe_grace = \"8s\"\n\
                   \n[environments.cluster.kubernetes]\ncontext = \"test\"\nnamespace = \"shop\"\n";
    world.repo.write("plimsoll.toml", world.configuration() + section);
    cluster
}

/// Writes the kubeconfig that the commands of this world use.
pub(crate) fn kubeconfig(world: &World, text: &str) {
    let folder = world.path().join(".git/.kube");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config"), text).unwrap();
}

pub(crate) fn image(cluster: &Cluster) -> String {
    let deployment = cluster.get("deployments", "shop", "echo");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn runs(cluster: &Cluster, commit: &Commit) -> bool {
    image(cluster).contains(commit.as_str())
}

#[test]
fn a_release_gets_into_a_cluster_and_back() {
    let mut world = World::new();
    let cluster = cluster(&world);
    let first = world.built("first", "well");
    let report = world.json(["deploy", first.as_str(), "--env", "cluster"]);
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
    assert_eq!(image(&cluster), report["image_ref"].as_str().unwrap());
    assert_eq!(world.drift("cluster")["state"], "none", "{:#}", world.drift("cluster"));

    // One that cannot be pulled: the first stays, and it is said why.
    let second = world.built("second", "well");
    let denied = Behaviour::cannot_be_pulled("pull access denied");
    cluster.image(&format!("{}:{}", world.repository(), second.as_str()), denied);
    let failed = world.plimsoll(["deploy", second.as_str(), "--env", "cluster"]).exits(1);
    failed.says(&["DEP-101", "pull access denied", "kubectl --context test -n shop describe pod"]);
    assert!(runs(&cluster, &first), "{}", image(&cluster));

    // Killed on the way, and finished by the next command.
    let third = world.built("third", "well");
    let command = world.command(["deploy", third.as_str(), "--env", "cluster"]);
    let running = world.start(command);
    until("the image is set", || runs(&cluster, &third));
    running.signal(Signal::SIGKILL);
    drop(running.wait());
    let drift = world.drift("cluster");
    assert_eq!(drift["state"], "none", "{drift:#}");
    let on_its_way = &drift["rollout"];
    assert_eq!(on_its_way["image_sha"], third.as_str(), "{drift:#}");
    let explained = &on_its_way["explains"][0];
    assert_eq!(explained["object"], "deployment echo", "{drift:#}");
    let entry = on_its_way["ledger_entry"].as_u64().unwrap();
    let shown = world.plimsoll(["status", "--env", "cluster"]).exits(0).stdout;
    let said = format!("(ledger entry {entry})");
    assert!(shown.contains("on its way") && shown.contains(&said) && !shown.contains("DRIFT"), "{shown}");
    world.plimsoll(["deploy", third.as_str(), "--env", "cluster"]).exits(0);
    assert!(world.drift("cluster")["rollout"].is_null());
    assert!(runs(&cluster, &third));

    let back = world.json(["rollback", "--to", first.as_str(), "--env", "cluster"]);
    assert_eq!(back["outcome"], "succeeded", "{back:#}");
    assert!(runs(&cluster, &first));

    // Somebody changes it by hand: shown with who.
    let by_hand = format!("{}:v1", world.repository());
    cluster.edit_as("kubectl-set", "deployments", "shop", "echo", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = by_hand.as_str().into();
    });
    let drift = world.drift("cluster");
    assert_eq!(drift["state"], "drifted", "{drift:#}");
    assert!(drift["differences"][0].as_str().unwrap().contains("changed by kubectl-set"), "{drift:#}");
    let detail = &drift["details"][0];
    assert_eq!(
        (&detail["kind"], &detail["by"]),
        (&"changed_by_hand".into(), &"kubectl-set".into()),
        "{drift:#}"
    );
    assert_eq!((&detail["object"], &detail["found"]), (&"deployment echo".into(), &by_hand.as_str().into()));
    assert!(detail["at"].is_string() && drift["kinds"]["changed_by_hand"] == 1, "{drift:#}");
    let shown = world.plimsoll(["status", "--env", "cluster"]).exits(0).stdout;
    assert!(shown.contains(&format!("plimsoll deploy {first} --env cluster")), "{shown}");
    world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(0);

    // The Service is sent elsewhere.
    cluster.edit_as("kubectl-edit", "services", "shop", "echo", |object| {
        object["spec"]["selector"] = serde_json::json!({ "app": "another" });
    });
    let drift = world.drift("cluster");
    let detail = &drift["details"][0];
    assert_eq!(
        (&detail["kind"], &detail["object"], &detail["found"], &detail["by"]),
        (&"traffic".into(), &"service echo".into(), &"app=another".into(), &"kubectl-edit".into()),
        "{drift:#}"
    );
    assert!(detail["at"].is_string() && drift["kinds"]["traffic"] == 1, "{drift:#}");
    let shown = world.plimsoll(["status", "--env", "cluster"]).exits(0).stdout;
    assert!(shown.contains("`kubectl edit service echo`"), "{shown}");
}

#[test]
fn what_is_missing_in_the_cluster_is_said_before_anything_moves() {
    let mut world = World::new();
    let cluster = cluster(&world);
    let first = world.built("first", "well");
    cluster.delete("services", "shop", "echo").unwrap();
    let refused = world.plimsoll(["deploy", first.as_str(), "--env", "cluster"]).exits(2);
    refused.says(&["KUB-009", "there is no Service echo in namespace shop"]);
    assert!(!runs(&cluster, &first));
}

/// From an empty namespace to a release: what `init` prints is all that is needed.
#[test]
fn the_first_manifests_are_taken_and_a_release_rolls_out_over_them() {
    let mut world = World::new();
    let cluster = cluster(&world);
    for (kind, name) in [("deployments", "echo"), ("services", "echo"), ("roles", "echo-plimsoll")] {
        cluster.delete(kind, "shop", name).unwrap();
    }
    let first = world.built("first", "well");
    let init = ["init", "--kubernetes", "cluster"];
    let refused = world.plimsoll(init).exits(2);
    refused.says(&["CLI-008", "which port the service listens on is not known", "--port 8080"]);
    world
        .plimsoll(["init", "--kubernetes", "trial"])
        .exits(2)
        .says(&["does not run on a cluster", "\"local\""]);
    let printed = world.plimsoll(init.into_iter().chain(["--port", "8080"])).exits(0);
    let text = printed.says(&["kubectl --context test apply"]).stdout;
    assert!(text.contains(&format!("image: \"{}:{first}@sha256:", world.repository())), "{text}");
    assert!(!text.contains("\"jobs\"") && !text.contains("\"create\""), "only what is needed: {text}");
    let document = world.json(init.into_iter().chain(["--port", "8080"]));
    assert_eq!(document["manifests"].as_str().unwrap().trim_end(), text.trim_end());
    if let Some(peers) = peer::require(&["kubectl"]) {
        let file = world.path().join(".git/manifests.yaml");
        std::fs::write(&file, &text).unwrap();
        for mode in ["client", "server"] {
            let mut kubectl = peers.command("kubectl");
            kubectl
                .env("KUBECONFIG", world.path().join(".git/.kube/config"))
                .env("HOME", world.path().join(".git"));
            kubectl.args(["apply", "--validate=true", "-f"]).arg(&file).arg(format!("--dry-run={mode}"));
            let output = kubectl.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    cluster.apply_yaml(&text);
    let doctor = world.json(["doctor"]);
    let found = doctor["findings"].as_array().unwrap();
    let about = |name: &str| found.iter().find(|finding| finding["name"] == name).unwrap();
    assert_eq!(about("environment cluster")["state"], "works", "{doctor:#}");
    assert_eq!(about("cluster of cluster")["state"], "works", "{doctor:#}");
    let report = world.json(["deploy", first.as_str(), "--env", "cluster"]);
    assert_eq!(report["outcome"], "succeeded", "{report:#}");
}

/// Every rule that is missing is named at once, with the verb and the resource.
#[test]
fn doctor_names_every_rule_that_is_missing() {
    let world = World::new();
    let cluster = cluster(&world);
    for (verb, resource) in [("patch", "deployments"), ("list", "events"), ("get", "pods/log")] {
        let (verb, resource) = (verb.to_owned(), resource.to_owned());
        cluster.forbid(Forbid { verb, resource, ..Forbid::default() });
    }
    let doctor = world.json(["doctor"]);
    let found = doctor["findings"].as_array().unwrap();
    let rules = found.iter().find(|finding| finding["name"] == "rules of cluster").unwrap();
    assert_eq!(rules["state"], "missing", "{rules:#}");
    let said = rules["found"].as_str().unwrap();
    assert!(said.contains("patch deployments.apps") && said.contains("get pods/log"), "{said}");
    assert!(said.contains("list events"), "{said}");
    assert!(rules["hint"].as_str().unwrap().contains("plimsoll init --kubernetes cluster"), "{rules:#}");
}

/// What an image's pods count: of so many payouts a look, this part fails.
fn counting(failing_percent: u64) -> Behaviour {
    let looks = std::sync::atomic::AtomicU64::new(0);
    Behaviour::starts_after(200).serving(move |path| {
        if path != "/metrics" {
            return (200, "ok".into());
        }
        // Each look at any of its pods is one more; which pod does not matter to the sums.
        let n = 400 * looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let failed = n * failing_percent / 100;
        let ok = n - failed;
        let text = format!(
            "# TYPE payouts_total counter\npayouts_total{{result=\"ok\"}} {ok}\npayouts_total{{result=\"failed\"}} {failed}\n"
        );
        (200, text)
    })
}

/// Adds a watch of the payouts that fail to the cluster's environment. Whatever there is to see
/// is seen in a few looks, so that it does not matter how many a busy machine makes: `wait` is
/// for that.
fn watch(world: &World, via: &str, bake: &str) {
    let watch = format!(
        "{via}\n[environments.cluster.watch]\nbake = \"{bake}\"\nwait = \"60s\"\ninterval = \"1s\"\npersist = \"4s\"\n\
         \n[[environments.cluster.watch.metrics]]\nname = \"payout failures\"\n\
         query = 'payouts_total{{result=\"failed\"}}'\nof = \"payouts_total\"\n"
    );
    let text = std::fs::read_to_string(world.path().join("plimsoll.toml")).unwrap() + &watch;
    world.repo.write("plimsoll.toml", text);
}

/// A release of which so many payouts in a hundred fail.
fn failing(world: &mut World, cluster: &Cluster, name: &str, percent: u64) -> Commit {
    let commit = world.built(name, "well");
    cluster.image(&format!("{}:{}", world.repository(), commit.as_str()), counting(percent));
    commit
}

/// DEP-6 on a cluster: one pod beside the others, asked through the API server.
#[test]
fn a_release_that_is_worse_in_a_cluster_is_taken_back_and_a_sound_one_stays() {
    let mut world = World::new();
    let cluster = cluster(&world);
    watch(&world, "metrics_via = \"api\"\n", "4s");
    let [first, second, third] = [("first", 2), ("second", 2), ("third", 60)]
        .map(|(name, percent)| failing(&mut world, &cluster, name, percent));
    let deploy = |commit: &Commit, code| {
        let arguments = ["deploy", commit.as_str(), "--env", "cluster", "--output", "json"];
        world.plimsoll(arguments).exits(code).json()
    };
    // Nothing serves yet that it could be compared with.
    assert!(deploy(&first, 0)["watch"].is_null());
    let promoted = deploy(&second, 0);
    assert_eq!(promoted["watch"]["verdict"], "no_evidence", "{:#}", promoted["watch"]);
    assert!(runs(&cluster, &second));
    assert_eq!(cluster.list("deployments", "shop").len(), 1);
    let back = deploy(&third, 6);
    assert_eq!((&back["outcome"], &back["code"]), (&"rolled_back".into(), &"DEP-110".into()), "{back:#}");
    assert!(runs(&cluster, &second), "{}", image(&cluster));
    assert_eq!(cluster.list("deployments", "shop").len(), 1);
    assert_eq!(world.drift("cluster")["state"], "none", "{:#}", world.drift("cluster"));
    let replayed = world.json(["watch", "replay", "--env", "cluster"]);
    assert_eq!(replayed["watches"].as_array().unwrap().len(), 2, "{replayed:#}");
    let same = |watch: &serde_json::Value| watch["same"] == true;
    assert!(replayed["watches"].as_array().unwrap().iter().all(same), "{replayed:#}");
    world.plimsoll(["deploy", third.as_str(), "--env", "cluster"]).exits(3).says(&["DEP-201"]);
}

/// `metrics_via = "auto"`, which is the default: pods that cannot be reached by their own
/// addresses are asked through the API server.
#[test]
fn pods_that_are_out_of_reach_are_asked_through_the_api_server() {
    let mut world = World::new();
    let settings = ClusterSettings { pod_network: "127.77".into(), ..ClusterSettings::default() };
    let cluster = cluster_of(&world, free_address().port(), settings);
    watch(&world, "", "2s");
    let [first, second, third] =
        ["first", "second", "third"].map(|name| failing(&mut world, &cluster, name, 2));
    let asked = || cluster.count("GET", "/proxy/metrics");
    let deploy = |commit: &Commit, more: &[&str]| {
        let arguments = ["deploy", commit.as_str(), "--env", "cluster"].into_iter();
        world.json(arguments.chain(more.iter().copied()))
    };
    deploy(&first, &[]);
    assert_eq!(asked(), 0);
    let report = deploy(&second, &[]);
    assert_eq!(report["watch"]["verdict"], "no_evidence", "{report:#}");
    let through = asked();
    assert!(through > 0);
    // By their addresses alone nobody sees anything, and says so.
    let alone = ["kubernetes.metrics_via=pod", "watch.bake=1s", "watch.wait=0s"];
    let alone = alone.map(|setting| format!("environments.cluster.{setting}"));
    let more: Vec<&str> = alone.iter().flat_map(|setting| ["--set", setting]).collect();
    let report = deploy(&third, &more);
    let metric = &report["watch"]["metrics"][0];
    let sentence = metric["sentence"].as_str().unwrap();
    assert!(sentence.contains("could not be read") && sentence.contains("127.77."), "{report:#}");
    assert_eq!((&metric["verdict"], asked()), (&"insufficient_data".into(), through), "{report:#}");
}
