//! Active probes: `GET <health>` to each routed instance every few seconds,
//! and at once after a failed connection.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderValue, Request, header};
use tokio::task::JoinSet;

use crate::shared::{Instance, Shared};
use crate::upstream::{Link, RequestBody};

/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(5);
/// An instance that failed is looked at again this soon.
const SUSPECT: Duration = Duration::from_millis(200);
/// Failed probes in a row that take an instance out; one good one brings it back.
const STRIKES: u32 = 2;

/// Probes until the switch ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let interval = Duration::from_secs_f64(shared.settings.probe_sec.max(0.05));
    let mut strikes = std::collections::HashMap::<u64, u32>::new();
    loop {
        let (instances, path) = shared.routed();
        let mut probes = JoinSet::new();
        for instance in instances {
            let path = path.clone();
            probes.spawn(async move {
                let well = probe(&instance, path.as_deref()).await;
                (instance, well)
            });
        }
        let mut any_failing = false;
        let mut seen = std::collections::HashMap::new();
        while let Some(result) = probes.join_next().await {
            let Ok((instance, well)) = result else { continue };
            let count = if well { 0 } else { strikes.get(&instance.id).copied().unwrap_or(0) + 1 };
            seen.insert(instance.id, count);
            if well && instance.failing.swap(false, Relaxed) {
                tracing::info!(instance = %instance.name, "instance is well again");
            } else if count >= STRIKES && !instance.failing.swap(true, Relaxed) {
                tracing::warn!(instance = %instance.name, "instance fails its health check");
            }
            any_failing |= instance.failing.load(Relaxed);
        }
        strikes = seen;
        let pause = if any_failing { interval.min(SUSPECT) } else { interval };
        // Whether the pause or a failed connection ended it, all are looked at again.
        let _ = tokio::time::timeout(pause, shared.suspect.notified()).await;
    }
}

async fn probe(instance: &Instance, path: Option<&str>) -> bool {
    let look = async {
        let mut link = Link::open(instance).await.ok()?;
        let Some(path) = path else { return Some(()) };
        let mut request = Request::new(RequestBody::empty());
        *request.uri_mut() = path.parse().ok()?;
        let host = HeaderValue::from_str(&instance.address.to_string()).ok()?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static("plimsoll-switch"));
        let answer = link.exchange(request, |_| false).await.ok()?;
        answer.status().is_success().then_some(())
    };
    matches!(tokio::time::timeout(PROBE, look).await, Ok(Some(())))
}
