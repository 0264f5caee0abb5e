//! What `kubectl get --watch` tells of the cluster, and when it arrived: what
//! both programs are measured by, without asking either.

use std::io::BufReader;
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::Outcome;
use super::super::cluster::Place;

/// One object as it was at a moment.
pub(super) struct Seen {
    /// When it arrived.
    pub(super) at: Instant,
    pub(super) name: String,
    /// Whether it was deleted.
    pub(super) gone: bool,
    /// The image of its first container.
    pub(super) image: String,
    /// A pod: it is ready and shall not end. A Deployment: its rollout is done.
    pub(super) ready: bool,
    /// What people and tools wrote of it, its status left out.
    pub(super) written: String,
}

impl Seen {
    fn of(event: &Value) -> Self {
        let object = &event["object"];
        let spec = &object["spec"];
        let container = spec.get("containers").unwrap_or(&spec["template"]["spec"]["containers"]);
        let ready = if object["kind"] == "Pod" { pod_is_ready(object) } else { is_rolled_out(object) };
        let mut annotations = object["metadata"]["annotations"].clone();
        if let Some(annotations) = annotations.as_object_mut() {
            // The controller's own.
            annotations.remove("deployment.kubernetes.io/revision");
        }
        Self {
            at: Instant::now(),
            name: object["metadata"]["name"].as_str().unwrap_or_default().into(),
            gone: event["type"] == "DELETED",
            image: container[0]["image"].as_str().unwrap_or_default().into(),
            ready,
            written: format!("{annotations}{spec}"),
        }
    }
}

fn pod_is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn is_rolled_out(deployment: &Value) -> bool {
    let (status, wanted) = (&deployment["status"], &deployment["spec"]["replicas"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| status[count] == *wanted)
}

/// A stream of them. It ends when this is dropped.
pub(super) struct Watch {
    child: Child,
    seen: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    pub(super) fn begin(place: &Place, resource: &str) -> Outcome<Self> {
        let mut command =
            place.kubectl(&["get", resource, "--watch", "--output-watch-events", "--output=json"]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let stream = BufReader::new(child.stdout.take().expect("it is piped"));
        let seen: Arc<(Mutex<Vec<Seen>>, Condvar)> = Arc::default();
        let told = seen.clone();
        std::thread::spawn(move || {
            let events = serde_json::Deserializer::from_reader(stream).into_iter::<Value>();
            for event in events.map_while(Result::ok) {
                told.0.lock().unwrap_or_else(PoisonError::into_inner).push(Seen::of(&event));
                told.1.notify_all();
            }
        });
        Ok(Self { child, seen })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much was told until now.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Waits until what was told after the first so many has what is looked for.
    pub(super) fn until<T>(
        &self,
        what: &str,
        after: usize,
        within: Duration,
        find: impl Fn(&[Seen]) -> Option<T>,
    ) -> Outcome<T> {
        let end = Instant::now() + within;
        let mut seen = self.lock();
        loop {
            if let Some(found) = find(&seen[after..]) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("not seen within {} s: {what}", within.as_secs()).into());
            }
            let waited = self.seen.1.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_that_ends_is_not_ready() {
        let mut event = json!({"type": "MODIFIED", "object": {
            "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"image": "i"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }});
        let seen = Seen::of(&event);
        assert_eq!((seen.name.as_str(), seen.image.as_str(), seen.ready, seen.gone), ("a", "i", true, false));
        event["object"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(!Seen::of(&event).ready);
    }

    #[test]
    fn a_deployment_is_done_when_its_controller_has_seen_it_and_nothing_old_is_left() {
        let mut event = json!({"type": "ADDED", "object": {
            "kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 3},
            "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3},
        }});
        let (before, done) = (Seen::of(&event).written, Seen::of(&event).ready);
        assert!(done);
        event["object"]["status"]["replicas"] = 4.into();
        event["object"]["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "2"});
        assert!(!Seen::of(&event).ready);
        event["object"]["metadata"]["annotations"]["a"] = "b".into();
        assert_ne!(Seen::of(&event).written, before);
    }
}
