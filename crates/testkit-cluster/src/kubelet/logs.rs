//! What containers have written.

use super::container::{Container, State};
use crate::failure::Failure;
use crate::object::{name, uid};
use crate::store::Key;
use crate::world::World;

impl World {
    /// The lines of a container, or of its run before.
    pub(crate) fn container_log(
        &self,
        key: &Key,
        container: &str,
        previous: bool,
    ) -> Result<Vec<String>, Failure> {
        let pod = self.live(key.kind, key)?;
        // Of a pod without a node there is nothing, which is no failure.
        let Some(run) = self.kubelet.pods.get(uid(&pod)) else { return Ok(Vec::new()) };
        if self.kubelet.lost.contains_key(crate::object::text(&pod, "/spec/nodeName")) {
            return Err(Failure::internal(
                "Get \"https://10.0.0.1:10250/containerLogs\": dial tcp 10.0.0.1:10250: i/o timeout",
            ));
        }
        let found = find(&run.containers, container, name(&pod))?;
        if previous {
            return found.previous_log.clone().ok_or_else(|| {
                Failure::bad_request(format!(
                    "previous terminated container {:?} in pod {:?} not found",
                    found.name(),
                    name(&pod)
                ))
            });
        }
        let waits = |what: &str| {
            Err(Failure::bad_request(format!(
                "container {:?} in pod {:?} is waiting to start: {what}",
                found.name(),
                name(&pod)
            )))
        };
        match &found.state {
            State::PullFailed { .. } => waits("image can't be pulled"),
            State::PullBackOff { .. } => waits("trying and failing to pull image"),
            State::ConfigError { .. } => waits("CreateContainerConfigError"),
            State::New | State::Pulling { .. } if found.starts == 0 => waits("ContainerCreating"),
            _ => Ok(found.log.clone()),
        }
    }

    /// Which run of a container it is; another number: it was started again.
    pub(crate) fn container_run(&self, key: &Key, container: &str) -> u32 {
        let run = self.store.get(key).and_then(|pod| self.kubelet.pods.get(uid(pod)));
        run.and_then(|run| find(&run.containers, container, &key.name).ok())
            .map_or(0, |found| if found.is_running() { found.starts } else { 0 })
    }

    /// A running container writes a line.
    pub(crate) fn write_log(&mut self, key: &Key, container: &str, line: &str) {
        let Some(uid) = self.store.get(key).map(|pod| uid(pod).to_owned()) else { return };
        let Some(run) = self.kubelet.pods.get_mut(&uid) else { return };
        let found = run.containers.iter_mut().find(|one| container.is_empty() || one.name() == container);
        if let Some(found) = found {
            found.log.push(line.into());
        }
        self.notify();
    }
}

fn find<'a>(containers: &'a [Container], wanted: &str, pod: &str) -> Result<&'a Container, Failure> {
    let names: Vec<&str> = containers.iter().map(Container::name).collect();
    let main: Vec<&Container> = containers.iter().filter(|container| !container.init).collect();
    if let ([only], "") = (main.as_slice(), wanted) {
        return Ok(only);
    }
    if wanted.is_empty() {
        return Err(Failure::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            names.join(" ")
        )));
    }
    containers
        .iter()
        .find(|container| container.name() == wanted)
        .ok_or_else(|| Failure::bad_request(format!("container {wanted} is not valid for pod {pod}")))
}
