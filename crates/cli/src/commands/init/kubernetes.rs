//! `plimsoll init --kubernetes ENV`: the first manifests for an environment.

use plimsoll_config::{
    Config, Environment, ImageSource, Kubernetes, Loaded, MetricsVia, Project, Protocol, Target,
};
use plimsoll_image::{ShortSha, Source};
use plimsoll_model::{Failure, RepositoryType, Strategy};
use plimsoll_pipeline::existing_ledger;
use plimsoll_rollout_kubernetes::{Settings, manifests};
use serde_json::json;

use super::Session;
use crate::args::Init;
use crate::error::CliError;

/// Builds of the ledger that are looked at for one to begin with.
const MOST_BUILDS: u64 = 100;
/// Who owns nothing, where the image does not name a user by number.
const NOBODY: u32 = 65_532;

/// Prints the manifests.
pub(super) fn print(session: &Session, arguments: &Init, environment: &str) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    let environment = config.config.environment(environment)?;
    let Target::Kubernetes(kubernetes) = &environment.target else {
        let (environment, target) = (environment.name.clone(), environment.target.kind().to_string());
        return Err(CliError::NotACluster { environment, target }.into());
    };
    let project = &config.config.project;
    let port = match arguments.port {
        Some(port) => port,
        None => port(project).map_err(|found| CliError::NoPort { found })?,
    };
    let (image, is_built) = first_image(&config, environment)?;
    let health = arguments.health.clone().unwrap_or_else(|| health(&config.config));
    let text = manifests(&settings(project, environment, kubernetes, port, health, image));
    session.printer.result(&json!({ "schema": "plimsoll/init/v1", "manifests": text }), || text.clone());
    if !is_built {
        session.printer.note(
            "no pushed build is recorded here: the manifests name the image of HEAD, which `plimsoll build` makes",
        );
    }
    let context = kubernetes.context.as_ref().map(|name| format!(" --context {name}")).unwrap_or_default();
    session.printer.note(&format!(
        "look them over and commit them; `kubectl{context} apply -f FILE` makes what they say (namespace {} must \
         exist), then `plimsoll doctor` looks at the cluster",
        kubernetes.namespace
    ));
    Ok(0)
}

fn settings(
    project: &Project,
    environment: &Environment,
    kubernetes: &Kubernetes,
    port: u16,
    health: String,
    image: String,
) -> Settings {
    Settings {
        // Of two Deployments with the same labels each would take the other's pods for
        // its own. A label is shorter than a Deployment's name may be.
        name: match kubernetes.deployment.len() {
            0..=63 => kubernetes.deployment.clone(),
            _ => project.service.name.clone(),
        },
        deployment: kubernetes.deployment.clone(),
        container: kubernetes.container.clone(),
        service: kubernetes.service.clone(),
        namespace: kubernetes.namespace.clone(),
        environment: environment.name.clone(),
        image,
        port,
        health,
        run_as: run_as(project),
        replicas: environment.replicas,
        drain_sec: u32::try_from(environment.bounds.drain.as_secs()).unwrap_or(u32::MAX),
        blue_green: environment.strategy == Strategy::BlueGreen,
        compare: environment.watch.as_ref().is_some_and(|watch| !watch.metrics.is_empty()),
        proxy: kubernetes.metrics_via != MetricsVia::Pod,
        jobs: kubernetes.migrate.is_some(),
    }
}

/// The image to begin with: the newest pushed build for the environment's
/// repository, else that of HEAD; whether it is built.
fn first_image(config: &Loaded<Config>, environment: &Environment) -> Result<(String, bool), Failure> {
    let builds = match existing_ledger(config)? {
        Some(ledger) => ledger.builds(None, MOST_BUILDS)?,
        None => Vec::new(),
    };
    let is_there = |kind: RepositoryType| {
        let fits = |metadata: &plimsoll_model::BuildMetadata| {
            metadata.repository_type == kind && (metadata.pushed || metadata.already_present)
        };
        builds.iter().find(|build| fits(&build.metadata)).map(|build| build.metadata.image_ref.to_string())
    };
    if let Some(image) = is_there(environment.repository) {
        return Ok((image, true));
    }
    let head = Source::open(config.root())?.resolve("HEAD", ShortSha::Refuse)?;
    let repository = config.config.project.repository.get(environment.repository);
    Ok((format!("{repository}:{head}"), false))
}

/// The one TCP port of the image, else `$PORT` of its environment; those there
/// are, where that does not say which.
fn port(project: &Project) -> Result<u16, Vec<u16>> {
    let ImageSource::Native(image) = &project.source else { return Err(Vec::new()) };
    let tcp = image.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let ports: Vec<u16> = tcp.map(|port| port.number).collect();
    let named = image.env.get("PORT").and_then(|text| text.parse().ok()).filter(|port| *port != 0);
    match (named, ports.as_slice()) {
        (_, [only]) => Ok(*only),
        (Some(port), listed) if listed.is_empty() || listed.contains(&port) => Ok(port),
        _ => Err(ports),
    }
}

/// The path that the environments on single hosts ask, where they agree.
fn health(config: &Config) -> String {
    let mut paths = config.environments.values().filter_map(|environment| match &environment.target {
        Target::Local(local) => Some(&local.health),
        Target::Engine(engine) => Some(&engine.health),
        Target::Kubernetes(_) => None,
    });
    let first = paths.next();
    first.filter(|first| paths.all(|path| path == *first)).cloned().unwrap_or_else(|| "/healthz".into())
}

/// `user` of the image where it is a number and not root's.
fn run_as(project: &Project) -> (u32, u32) {
    let ImageSource::Native(image) = &project.source else { return (NOBODY, NOBODY) };
    let user = image.user.as_deref().unwrap_or_default();
    let (user, group) = user.split_once(':').unwrap_or((user, user));
    let number = |text: &str| text.parse().ok().filter(|id| *id != 0).unwrap_or(NOBODY);
    (number(user), number(group))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn project(image: &str) -> Project {
        let text = format!(
            "[service]\nname = \"a\"\n[repository]\ncanonical = \"r.example/a\"\n[image]\nentrypoint = [\"/a\"]\n{image}\n\
             [[image.copy]]\nfrom = \"a\"\nto = \"/a\"\n"
        );
        Project::for_build(text.as_bytes(), &plimsoll_config::Overlays::default()).unwrap().config
    }

    #[test]
    fn the_port_is_the_images_own_or_is_asked_for() {
        assert_eq!(port(&project("ports = [\"80/tcp\", \"53/udp\"]")), Ok(80));
        assert_eq!(port(&project("env = { PORT = \"8080\" }")), Ok(8080));
        assert_eq!(port(&project("ports = [\"80\", \"81\"]\nenv = { PORT = \"81\" }")), Ok(81));
        assert_eq!(port(&project("ports = [\"80\", \"81\"]")), Err(vec![80, 81]));
        assert_eq!(port(&project("ports = [\"80\", \"81\"]\nenv = { PORT = \"82\" }")), Err(vec![80, 81]));
        assert_eq!(port(&project("env = { PORT = \"http\" }")), Err(vec![]));
    }

    #[test]
    fn nobody_runs_as_root() {
        assert_eq!(run_as(&project("user = \"1000:2000\"")), (1000, 2000));
        assert_eq!(run_as(&project("user = \"1000\"")), (1000, 1000));
        for user in ["root", "0:0", "app"] {
            assert_eq!(run_as(&project(&format!("user = {user:?}"))), (NOBODY, NOBODY));
        }
    }
}
