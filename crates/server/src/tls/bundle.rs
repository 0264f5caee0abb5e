//! The authority in the cluster's webhook configurations, so that the API
//! server trusts the webhook.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Api, PostParams};
use kube::{Client, Resource};
use plimsoll_config::Admission as Settings;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Announced;
use super::rotation::{Confirmed, Trusted};
use crate::metrics::Metrics;

/// Authorities that are kept in one bundle: one for each server behind the
/// Service, and those of a few that were before.
const MOST_AUTHORITIES: usize = 8;
/// Somebody may apply the manifests again, without a bundle.
const AGAIN: Duration = Duration::from_secs(30);
/// Between two tries: whoever applies the manifests waits for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the cluster trusts the webhook; none: it has.
pub(crate) type Trouble = Arc<Mutex<Option<String>>>;

/// Writes the authorities, and looks again for ever, and at once where others
/// are to be trusted.
pub(crate) async fn keep(
    settings: Settings,
    mut announced: Announced,
    metrics: Arc<Metrics>,
    trouble: Trouble,
) {
    let mut pause = Duration::from_millis(500);
    loop {
        let trusted = announced.trusted.borrow_and_update().clone();
        let written = tokio::time::timeout(PATIENCE, write(&settings, &trusted)).await;
        let written = written.unwrap_or_else(|_| Err("the API server did not answer in time".into()));
        metrics.bundle(written.is_ok());
        let was = {
            let mut trouble = trouble.lock().expect("no holder of this lock panics");
            std::mem::replace(&mut *trouble, written.as_ref().err().cloned())
        };
        let again = match written {
            Ok(changed) => {
                if changed {
                    tracing::info!(webhook = %settings.webhook, "the authority was written into the webhook configurations");
                }
                announced.confirmed.send_if_modified(|confirmed| {
                    let known = confirmed.as_ref().is_some_and(|known| known.trusted == trusted);
                    // What somebody had taken out is there since now.
                    if !known || changed {
                        *confirmed = Some(Confirmed { trusted, since: Timestamp::now() });
                    }
                    !known || changed
                });
                pause = Duration::from_millis(500);
                AGAIN
            }
            Err(why) => {
                if was.as_deref() != Some(why.as_str()) {
                    tracing::warn!(%why, "ADM-006 the authority is not in the webhook configurations");
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
                pause / 2
            }
        };
        // Where nobody can announce anything any more, what was announced is still looked after,
        // and no more often.
        if let Ok(Err(_)) = tokio::time::timeout(again, announced.trusted.changed()).await {
            tokio::time::sleep(again).await;
        }
    }
}

/// Whether anything had to be changed.
async fn write(settings: &Settings, trusted: &Trusted) -> Result<bool, String> {
    let client = plimsoll_rollout_kubernetes::client(settings.context.clone())
        .await
        .map_err(|error| error.to_string())?;
    let name = &settings.webhook;
    let validating = into::<ValidatingWebhookConfiguration>(&client, name, trusted, |object| {
        object.webhooks.iter_mut().flatten().map(|webhook| &mut webhook.client_config).collect()
    });
    let mutating = into::<MutatingWebhookConfiguration>(&client, name, trusted, |object| {
        object.webhooks.iter_mut().flatten().map(|webhook| &mut webhook.client_config).collect()
    });
    let (validating, mutating) = tokio::join!(validating, mutating);
    let missing = |kind: &str| {
        format!("there is no {kind} `{name}`; `plimsoll init --admission IMAGE | kubectl apply -f -`")
    };
    let validating = validating?.ok_or_else(|| missing("ValidatingWebhookConfiguration"))?;
    let mutating = mutating?;
    if settings.resolve_tags && mutating.is_none() {
        return Err(missing("MutatingWebhookConfiguration"));
    }
    Ok(validating || mutating == Some(true))
}

async fn into<K>(
    client: &Client,
    name: &str,
    trusted: &Trusted,
    configs: impl Fn(&mut K) -> Vec<&mut WebhookClientConfig>,
) -> Result<Option<bool>, String>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let api: Api<K> = Api::all(client.clone());
    let failed = |error: kube::Error| match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    let Some(mut object) = api.get_opt(name).await.map_err(failed)? else { return Ok(None) };
    let mut changed = false;
    for config in configs(&mut object) {
        let present = config.ca_bundle.take().unwrap_or_default().0;
        let wanted = with(&present, trusted);
        changed |= wanted.as_bytes() != present;
        config.ca_bundle = Some(ByteString(wanted.into_bytes()));
    }
    if changed {
        // With its resourceVersion: what somebody else changed meanwhile is read again.
        api.replace(name, &PostParams::default(), &object).await.map_err(failed)?;
    }
    Ok(Some(changed))
}

/// The bundle with the authorities in it, newest last, and without those that are
/// gone. What is no certificate is left out: the API server refuses a bundle that
/// holds nothing else. Those of other servers give way where there are too many.
fn with(present: &[u8], trusted: &Trusted) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let plain = |text: &str| text.trim().replace("\r\n", "\n");
    let [own, gone] =
        [&trusted.present, &trusted.gone].map(|all| all.iter().map(|one| plain(one)).collect::<Vec<_>>());
    let text = String::from_utf8_lossy(present);
    let certificates = text.split_inclusive(END).filter_map(|part| {
        let begin = part.find("-----BEGIN CERTIFICATE-----")?;
        part.ends_with(END).then(|| part[begin..].to_owned())
    });
    let mut all: Vec<String> = certificates.filter(|one| !gone.contains(&plain(one))).collect();
    for one in &own {
        if !all.iter().any(|there| plain(there) == *one) {
            all.push(one.clone());
        }
    }
    while all.len() > MOST_AUTHORITIES {
        let Some(oldest) = all.iter().position(|one| !own.contains(&plain(one))) else { break };
        all.remove(oldest);
    }
    all.iter().map(|one| format!("{one}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
    }

    fn with(present: &[u8], own: &[&str], gone: &[&str]) -> String {
        let all = |names: &[&str]| names.iter().map(|name| one(name)).collect();
        super::with(present, &Trusted { present: all(own), gone: all(gone) })
    }

    #[test]
    fn an_authority_is_added_once_and_others_stay() {
        assert_eq!(with(b"", &["a"], &[]), one("a"));
        assert_eq!(with(b"\n# nothing", &["a"], &[]), one("a"));
        let both = with(one("b").as_bytes(), &["a"], &[]);
        assert_eq!(both, one("b") + &one("a"));
        assert_eq!(with(both.as_bytes(), &["a"], &[]), both);
        assert_eq!(with(both.as_bytes(), &["b"], &[]), both);
        // The next one of a server beside it; then without the former.
        let three = with(both.as_bytes(), &["a", "c"], &[]);
        assert_eq!(three, both.clone() + &one("c"));
        assert_eq!(with(three.as_bytes(), &["c"], &["a"]), one("b") + &one("c"));
    }

    #[test]
    fn a_bundle_stays_bounded_and_keeps_its_own() {
        let mut bundle = with(b"", &["own"], &[]);
        for n in 0..50 {
            bundle = with(bundle.as_bytes(), &["own", &n.to_string()], &[]);
        }
        assert_eq!(bundle.matches("BEGIN").count(), MOST_AUTHORITIES);
        assert!(bundle.contains("\nown\n") && bundle.contains("\n49\n") && !bundle.contains("\n9\n"));
    }
}
