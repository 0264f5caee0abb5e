//! One operation after the other on a real engine.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use plimsoll_model::{Lookup, Release, Silent};
use plimsoll_rollout_core::fleet::{FleetOps, Instance, InstanceState, RouteEntry};
use plimsoll_rollout_core::{Cause, Failing};
use plimsoll_rollout_engine::{Brought, ByHand, EngineError};
use plimsoll_testkit::registry::TestRegistry;

use crate::common::{World, all_ready, engine, until};
use crate::images::{Images, Nowhere, Recipe, service};

/// A world and images that no registry has, or nothing to test with.
async fn world() -> Option<(World, Images)> {
    let socket = engine()?;
    service()?;
    let world = World::on(&socket).await;
    let images = Images::nowhere(&world);
    Some((world, images))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Podman before 5.1 ignores a changed restart policy, and no Podman takes
/// plain http from loopback unasked: handing over and reconciling do instead.
async fn is_docker(world: &World) -> bool {
    !world.fleet().version().await.unwrap().name.contains("Podman")
}

fn failing(instances: &[Instance]) -> Option<&Failing> {
    match &instances.first()?.state {
        InstanceState::Failing(failing) => Some(failing),
        _ => None,
    }
}

async fn create(world: &World, release: &Release, name: &str) {
    world.fleet().create(release, name, &world.desired(release, 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_lives_from_create_to_remove() {
    let Some((world, images)) = world().await else { return };
    let (release, _) = images.make(&Recipe { number: 1, ..Recipe::default() });
    world.load(&images, &release).await;
    let env_file = world.folder.path().join("host.env");
    std::fs::write(&env_file, "GREETING=, hello\nPORT=1\n").unwrap();
    let options = || {
        let mut options = world.options();
        options.env_file = Some(env_file.clone());
        options
    };
    let fleet = plimsoll_rollout_engine::EngineFleet::open(options(), world.switch.clone()).unwrap();
    assert_eq!(fleet.list().await.unwrap(), []);
    let name = format!("{}-one", world.environment);
    let desired = world.desired(&release, 1);
    fleet.create(&release, &name, &desired).await.unwrap();
    // Doing it again changes nothing, from another process either.
    create(&world, &release, &name).await;
    let policy = || world.docker(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", &name]);
    assert_eq!(policy(), "no");

    let instances = until(&fleet, "ready", all_ready).await;
    assert_eq!(instances.len(), 1);
    assert_eq!((&instances[0].id, &instances[0].release), (&name, &release));
    assert_eq!((instances[0].rollout.as_str(), instances[0].generation), ("r1", 1));
    assert!(!instances[0].routed);
    if is_docker(&world).await {
        assert_eq!(policy(), "unless-stopped");
    }

    let route = RouteEntry { id: name.clone(), digest: release.digest(), weight: 1 };
    let stranger = RouteEntry { id: "unknown".into(), digest: release.digest(), weight: 1 };
    fleet.route(&[route, stranger]).await.unwrap();
    assert!(fleet.list().await.unwrap()[0].routed);
    assert!(get(world.listen, "/").unwrap().ends_with("release 1, hello"));

    fleet.route(&[]).await.unwrap();
    fleet.drain(&name, 30).await.unwrap();
    let instances = fleet.list().await.unwrap();
    assert_eq!(instances[0].state, InstanceState::Drained);
    // Asked, and gone at a later turn.
    fleet.remove(&name).await.unwrap();
    while !fleet.list().await.unwrap().is_empty() {
        fleet.remove(&name).await.unwrap();
    }
    fleet.remove(&name).await.unwrap();
    fleet.remove("unknown").await.unwrap();
    fleet.drain("unknown", 1).await.unwrap();
    assert_eq!(world.docker(&["ps", "-aq", "--filter", &format!("name={name}")]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_an_instance_does_not_start_is_told_apart() {
    let Some((world, images)) = world().await else { return };
    let fleet = world.fleet();
    let cases = [
        (
            Recipe { number: 1, command: Some("exit"), ..Recipe::default() },
            Cause::ExitedAtOnce,
            "it exited with status 3",
        ),
        (
            Recipe { number: 2, entrypoint: Some("/nothing"), ..Recipe::default() },
            Cause::CannotStart,
            "/nothing",
        ),
        (
            Recipe { number: 3, program: Some(b"\x7fELF nonsense"), ..Recipe::default() },
            Cause::CannotStart,
            "",
        ),
        (
            Recipe { number: 4, env: &["SICK=1"], ..Recipe::default() },
            Cause::ProbeFailed,
            "GET /healthz answers 503",
        ),
    ];
    for (recipe, cause, message) in cases {
        let (release, _) = images.make(&recipe);
        world.load(&images, &release).await;
        let name = format!("{}-{}", world.environment, recipe.number);
        create(&world, &release, &name).await;
        let instances = until(&fleet, "failing", |all| failing(all).is_some()).await;
        let why = failing(&instances).unwrap();
        assert_eq!((why.cause, why.instance.as_str()), (cause, name.as_str()), "{why:?}");
        assert!(why.message.contains(message), "{why:?}");
        if cause == Cause::ExitedAtOnce {
            let mut lines = why.last_lines.clone();
            lines.sort();
            assert_eq!(lines, ["cannot reach the database", "reading the configuration"]);
        }
        while !fleet.list().await.unwrap().is_empty() {
            fleet.remove(&name).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there_is_a_cause_and_not_an_error() {
    let Some((world, images)) = world().await else { return };
    let (release, _) = images.make(&Recipe { number: 1, ..Recipe::default() });
    let fleet = world.fleet();
    assert_eq!(fleet.holds(&release).await, Lookup::Found(false));
    let name = format!("{}-one", world.environment);
    create(&world, &release, &name).await;
    let instances = fleet.list().await.unwrap();
    assert_eq!(failing(&instances).unwrap().cause, Cause::ImageUnavailable);
    // As evidence it stays, until it is removed.
    create(&world, &release, &name).await;
    assert_eq!(fleet.list().await.unwrap(), instances);
    fleet.remove(&name).await.unwrap();
    assert_eq!(fleet.list().await.unwrap(), []);

    // Held, then removed behind our back.
    world.load(&images, &release).await;
    assert_eq!(fleet.holds(&release).await, Lookup::Found(true));
    world.docker(&["image", "rm", &format!("{}:{}", images.repository, release.sha())]);
    assert_eq!(fleet.holds(&release).await, Lookup::Found(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_are_pulled_by_digest_and_loaded_where_that_fails() {
    let Some(socket) = engine() else { return };
    if service().is_none() {
        return;
    }
    let world = World::on(&socket).await;
    let mut registry = TestRegistry::start();
    let images = Images::of(&registry.repository("acme/payouts").to_string());
    let first = images.push(&Recipe { number: 1, ..Recipe::default() }).await;
    if is_docker(&world).await {
        world.pull(&first).await;
    } else {
        world.load(&images, &first).await;
    }
    let fleet = world.fleet();
    assert_eq!(fleet.holds(&first).await, Lookup::Found(true));
    let again = fleet.bring(&first, &Nowhere, &world.layout, None, &Silent).await.unwrap();
    assert_eq!(again, Brought::Held);

    // Absent in the registry: the engine says so within its stream of reports.
    let (absent, _) = images.make(&Recipe { number: 9, ..Recipe::default() });
    let error = fleet.bring(&absent, &Nowhere, &world.layout, None, &Silent).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::NotBrought { load, .. } if matches!(**load, EngineError::Source(_)))
    );

    let second = images.push(&Recipe { number: 2, ..Recipe::default() }).await;
    registry.stop();
    world.load(&images, &second).await;
    for release in [&first, &second] {
        let name = format!("{}-{}", world.environment, release.sha().short());
        create(&world, release, &name).await;
    }
    assert_eq!(until(&fleet, "ready", all_ready).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_after_having_been_ready_comes_back_and_keeps_its_port() {
    let Some((world, images)) = world().await else { return };
    let (release, _) = images.make(&Recipe { number: 1, ..Recipe::default() });
    world.load(&images, &release).await;
    let fleet = world.fleet();
    let name = format!("{}-one", world.environment);
    create(&world, &release, &name).await;
    until(&fleet, "ready", all_ready).await;
    let route = RouteEntry { id: name.clone(), digest: release.digest(), weight: 1 };
    fleet.route(&[route]).await.unwrap();
    let started = || world.docker(&["inspect", "-f", "{{.State.StartedAt}}", &name]);
    let before = started();
    if !is_docker(&world).await {
        return;
    }
    // The answer breaks off: its process ends.
    let _ = get(world.listen, "/die");
    until(&fleet, "back", |all| all_ready(all) && started() != before).await;
    assert!(get(world.listen, "/").unwrap().ends_with("release 1"));

    // Stopped by hand it stays so, and is reported.
    world.docker(&["stop", "-t", "1", &name]);
    let instances = fleet.list().await.unwrap();
    assert!(matches!(instances[0].state, InstanceState::Exited { .. }), "{instances:?}");
    world.docker(&["rm", "-f", &name]);
    let instances = fleet.list().await.unwrap();
    assert!(
        matches!(&instances[0].state, InstanceState::Exited { message, .. } if message.contains("removed")),
        "{instances:?}"
    );
    fleet.remove(&name).await.unwrap();
    assert_eq!(fleet.list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_container_is_left_alone() {
    let Some((world, images)) = world().await else { return };
    let (release, _) = images.make(&Recipe { number: 1, ..Recipe::default() });
    world.load(&images, &release).await;
    let image = format!("{}:{}", images.repository, release.sha());
    let name = format!("{}-one", world.environment);
    let label = format!("dev.plimsoll.environment={}", world.environment);
    let id = world.docker(&["create", "--name", &name, "--label", &label, &image]);
    let fleet = world.fleet();
    assert_eq!(fleet.list().await.unwrap(), []);
    let error = fleet.create(&release, &name, &world.desired(&release, 1)).await.unwrap_err();
    assert!(!error.transient && error.reason.contains("did not create"), "{error}");
    fleet.remove(&name).await.unwrap();
    assert_eq!(world.docker(&["inspect", "-f", "{{.Id}}", &name]), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_all_keeps_the_containers_for_their_logs() {
    let Some((world, images)) = world().await else { return };
    let (release, _) = images.make(&Recipe { number: 1, ..Recipe::default() });
    world.load(&images, &release).await;
    let fleet = world.fleet();
    let name = format!("{}-one", world.environment);
    create(&world, &release, &name).await;
    until(&fleet, "ready", all_ready).await;
    fleet.stop_all().await.unwrap();
    assert_eq!(world.docker(&["inspect", "-f", "{{.State.Running}}", &name]), "false");
    assert!(world.docker(&["logs", &name]).contains("listening"));
    // What is stopped is no replica: reviving replaces it.
    assert_eq!(fleet.list().await.unwrap()[0].state, InstanceState::Drained);
    fleet.stop_all().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_does_to_a_container_is_told() {
    let Some((world, images)) = world().await else { return };
    let [release, other] = [1, 2].map(|number| images.make(&Recipe { number, ..Recipe::default() }).0);
    world.load(&images, &release).await;
    world.load(&images, &other).await;
    let fleet = world.fleet();
    let name = format!("{}-one", world.environment);
    create(&world, &release, &name).await;
    until(&fleet, "ready", all_ready).await;
    let ways = || async {
        let found = fleet.by_hand().await.unwrap();
        found.into_iter().map(|one| (one.name, one.way)).collect::<Vec<_>>()
    };
    assert_eq!(ways().await, []);
    world.docker(&["pause", &name]);
    assert_eq!(ways().await, [(name.clone(), ByHand::Paused)]);
    world.docker(&["unpause", &name]);

    // Our labels, and another image.
    let format = "{{range $key, $value := .Config.Labels}}{{$key}}={{$value}}{{println}}{{end}}";
    let labels = world.docker(&["inspect", "-f", format, &name]);
    let forged = format!("{}-two", world.environment);
    let image = format!("{}:{}", images.repository, other.sha());
    let mut arguments = vec!["create", "--name", &forged];
    labels.lines().for_each(|label| arguments.extend(["--label", label]));
    arguments.push(&image);
    world.docker(&arguments);
    assert_eq!(ways().await, [(forged.clone(), ByHand::OtherImage)]);
    world.docker(&["rm", "-f", &forged]);

    if is_docker(&world).await {
        world.docker(&["stop", "-t", "1", &name]);
        assert_eq!(ways().await, [(name.clone(), ByHand::Stopped)]);
    }
    world.docker(&["rm", "-f", &name]);
    assert_eq!(ways().await, [(name.clone(), ByHand::Removed)]);
}
