//! Webhooks that are registered in the cluster, called as the real server calls
//! them: by rules and namespace, over TLS under the registered bundle, within
//! the registered time, and with the registered failure policy. By URL only:
//! there is no network between a Service and its pods. The world stands still
//! meanwhile, so a webhook must not ask this server while it answers. Match
//! conditions are taken as true, and warnings are dropped.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Review, Verb};
use crate::failure::Failure;
use crate::kinds::by_any_name;
use crate::object::{list, text};
use crate::patch::json_patch;
use crate::store::Key;
use crate::world::World;

const LONGEST_ANSWER: u64 = 3 << 20;

impl World {
    /// What the mutating webhooks make of an object.
    pub(super) fn mutated(&self, review: &Review<'_>) -> Result<Value, Failure> {
        let mut object = review.object.clone();
        for webhook in self.registered("mutatingwebhookconfigurations", review) {
            let asked = Review { object: &object, ..review.clone() };
            if let Some(patch) = self.call(&webhook, &asked)? {
                object = json_patch(&object, &patch)?;
            }
        }
        Ok(object)
    }

    /// Whether every validating webhook lets an object in.
    pub(super) fn validated(&self, review: &Review<'_>) -> Result<(), Failure> {
        for webhook in self.registered("validatingwebhookconfigurations", review) {
            self.call(&webhook, review)?;
        }
        Ok(())
    }

    fn registered(&self, configurations: &str, review: &Review<'_>) -> Vec<Value> {
        // Nobody may lock the configurations up.
        if review.kind.group == "admissionregistration.k8s.io" {
            return Vec::new();
        }
        let Some(kind) = by_any_name(configurations) else { return Vec::new() };
        let webhooks = self.store.list(kind, "").flat_map(|(_, one)| list(one, "/webhooks").to_vec());
        webhooks.filter(|webhook| self.matches(webhook, review)).collect()
    }

    fn matches(&self, webhook: &Value, review: &Review<'_>) -> bool {
        let operation = operation(review.verb);
        let resource = match review.subresource {
            "" => review.kind.plural.to_owned(),
            subresource => format!("{}/{subresource}", review.kind.plural),
        };
        let ruled = list(webhook, "/rules").iter().any(|rule| {
            let has =
                |pointer: &str, value: &str| list(rule, pointer).iter().any(|one| one == value || one == "*");
            has("/operations", operation)
                && has("/apiGroups", review.kind.group)
                && has("/apiVersions", review.kind.version)
                && has("/resources", &resource)
        });
        ruled && self.selects(&webhook["namespaceSelector"], review.namespace)
    }

    /// The expressions that webhooks are registered with.
    fn selects(&self, selector: &Value, namespace: &str) -> bool {
        let Some(kind) = by_any_name("namespaces") else { return true };
        let found = self.store.get(&Key::new(kind, "", namespace));
        let label = |key: &str| match key {
            // The server keeps this one itself.
            "kubernetes.io/metadata.name" => namespace.to_owned(),
            _ => found
                .map(|one| one["metadata"]["labels"][key].as_str().unwrap_or_default().to_owned())
                .unwrap_or_default(),
        };
        list(selector, "/matchExpressions").iter().all(|expression| {
            let listed =
                list(expression, "/values").iter().any(|one| *one == label(text(expression, "/key")));
            match text(expression, "/operator") {
                "In" => listed,
                "NotIn" => !listed,
                other => panic!("selectors of webhooks know In and NotIn, not {other}"),
            }
        })
    }

    /// A patch, or nothing; a refusal is an error.
    fn call(&self, webhook: &Value, review: &Review<'_>) -> Result<Option<Value>, Failure> {
        let name = text(webhook, "/name");
        match asked(webhook, review) {
            Ok(response) if response["allowed"] == true => {
                let patch = response["patch"].as_str().and_then(|patch| STANDARD.decode(patch).ok());
                Ok(patch.and_then(|patch| serde_json::from_slice(&patch).ok()))
            }
            Ok(response) => {
                let code = response["status"]["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                let why = match text(&response, "/status/message") {
                    "" => "without explanation".to_owned(),
                    message => format!(": {message}"),
                };
                let gap = if why.starts_with(':') { "" } else { " " };
                let message = format!("admission webhook \"{name}\" denied the request{gap}{why}");
                Err(Failure::new(code.unwrap_or(403), "Forbidden", message))
            }
            Err(_) if webhook["failurePolicy"] == "Ignore" => Ok(None),
            Err(why) => Err(Failure::internal(format_args!(
                "failed calling webhook \"{name}\": failed to call webhook: {why}"
            ))),
        }
    }
}

fn operation(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "CREATE",
        Verb::Update => "UPDATE",
        Verb::Delete => "DELETE",
    }
}

fn asked(webhook: &Value, review: &Review<'_>) -> Result<Value, String> {
    let uid = format!("{:032x}", fastrand::u128(..));
    let kind = review.kind;
    let request = json!({
        "uid": uid,
        "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
        "subResource": review.subresource,
        "name": text(review.object, "/metadata/name"),
        "namespace": review.namespace,
        "operation": operation(review.verb),
        "userInfo": {"username": review.actor.user, "groups": review.actor.groups},
        "object": review.object,
        "oldObject": review.before,
        "dryRun": review.dry_run,
    });
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
        .to_string();
    let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
    let url = text(webhook, "/clientConfig/url");
    let answer = post(webhook, url, &body, Duration::from_secs(seconds))
        .map_err(|why| format!("Post \"{url}?timeout={seconds}s\": {why}"))?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| format!("no review: {error}"))?;
    let response = answer["response"].clone();
    if answer["kind"] != "AdmissionReview" || response["uid"] != uid.as_str() {
        return Err("expected response of the same uid".into());
    }
    Ok(response)
}

fn post(webhook: &Value, url: &str, body: &str, within: Duration) -> Result<Vec<u8>, String> {
    match exchange(webhook, url, body.as_bytes(), body.len(), within)? {
        (200, answer) => Ok(answer),
        (status, _) => Err(format!("an unexpected status: {status}")),
    }
}

/// One request to a webhook, whose head says so many bytes; status and body of
/// the answer.
pub(crate) fn exchange(
    webhook: &Value,
    url: &str,
    body: &[u8],
    length: usize,
    within: Duration,
) -> Result<(u16, Vec<u8>), String> {
    let until = Instant::now() + within;
    let left = || match until.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err("context deadline exceeded".to_owned()),
        left => Ok(left),
    };
    let rest = url.strip_prefix("https://").ok_or("webhooks are called by https:// URL")?;
    let (host, path) = rest.split_once('/').ok_or("a URL needs a path")?;
    let bundle = text(webhook, "/clientConfig/caBundle");
    let pem = STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_owned();
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let socket = TcpStream::connect(host).map_err(|error| format!("dial tcp {host}: {error}"))?;
    socket.set_write_timeout(Some(left()?)).map_err(|error| error.to_string())?;
    let client = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut stream = StreamOwned::new(client, socket);
    let head = format!(
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.sock.set_read_timeout(Some(left()?)).map_err(|error| error.to_string())?;
    let late = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            "context deadline exceeded".to_owned()
        }
        _ => format!("tls: failed to verify certificate or broken connection: {error}"),
    };
    stream.write_all(head.as_bytes()).map_err(late)?;
    stream.write_all(body).map_err(late)?;
    let mut answer = Vec::new();
    // The end without close_notify is the end all the same: the length is checked by the parser.
    if let Err(error) = (&mut stream).take(LONGEST_ANSWER).read_to_end(&mut answer)
        && error.kind() != std::io::ErrorKind::UnexpectedEof
    {
        return Err(late(error));
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("no answer")?;
    let status = String::from_utf8_lossy(&answer[..end]).lines().next().unwrap_or_default().to_owned();
    let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((code.ok_or_else(|| format!("no status: {status}"))?, answer.split_off(end + 4)))
}
