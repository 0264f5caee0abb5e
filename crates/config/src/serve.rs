//! The control plane: `[serve]` and `[admission]` (POL-2, DEP-8).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_model::Repository;

use crate::node::Node;
use crate::table::{Fault, Table};
use crate::values;

/// `[serve]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serve {
    /// Where metrics and probes are served over plain HTTP. Default: `127.0.0.1:8686`.
    pub listen: SocketAddr,
    /// Between two looks at what runs in an environment. Default: 1m.
    pub drift_interval: Duration,
    /// After which a look counts as not made. Default: 30s.
    pub drift_timeout: Duration,
}

/// `[admission]`: what `plimsoll serve --admission` answers a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Where the webhook is served over TLS. Default: `127.0.0.1:8443`.
    pub listen: SocketAddr,
    /// Default: enforce.
    pub mode: AdmissionMode,
    /// What is said of an image of which nothing can be found out in time. Default: deny.
    pub unknown: Answer,
    /// Within which every review is answered; shorter than the webhook's time-out. Default: 8s.
    pub budget: Duration,
    /// What is said in a namespace that no environment names. Default: allow, as it is none of ours.
    pub other_namespaces: Answer,
    /// Namespaces in which nothing is judged. Default: none.
    pub exempt_namespaces: Vec<String>,
    /// Images that are not judged. Default: none.
    pub exempt_images: Vec<ExemptImage>,
    /// Add the digest to a reference by full SHA (mutating webhook). Default: false.
    pub resolve_tags: bool,
    /// How long an image that was let in is not asked again. Default: 10m.
    pub allow_for: Duration,
    /// How long an image that was refused is not asked again. Default: 5s.
    pub refuse_for: Duration,
    /// Verdicts that are kept, at most. Default: 20000.
    pub max_cached: u32,
    /// Images that are looked up in one registry at once. Default: 8.
    pub max_lookups: u32,
    /// Name of the webhook configurations in the cluster. Default: `plimsoll-admission`.
    pub webhook: String,
    /// The Service in front of it, as in the certificate. Default: `plimsoll-admission`.
    pub service: String,
    /// Its namespace. Default: `plimsoll`.
    pub namespace: String,
    /// Context of the kubeconfig. Default: its current one, or the pod's account.
    pub context: Option<String>,
    /// The environments of this cluster. Default: all with `target = "kubernetes"`.
    pub environments: Option<Vec<String>>,
    /// Write the authority into the webhook configurations. Default: true without
    /// `[admission.tls] certificate`.
    pub patch_bundle: bool,
    /// `[admission.tls]`.
    pub tls: AdmissionTls,
}

/// What a refusal comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionMode {
    /// It is refused.
    Enforce,
    /// It is let in, with a warning, and counted.
    Audit,
}

/// What is answered where no verdict can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Let in, with a warning.
    Allow,
    /// Refused.
    Deny,
}

/// `[[admission.exempt_images]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptImage {
    /// Which.
    pub repository: RepositoryPattern,
    /// Why.
    pub reason: String,
}

/// A repository, or everything below a path: `registry.k8s.io/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryPattern {
    /// Exactly this one.
    Exactly(Repository),
    /// Everything below; ends in `/`, so that no look-alike of the host is meant.
    Below(String),
}

impl RepositoryPattern {
    /// Whether it means this repository, `host[:port]/path`.
    pub fn matches(&self, repository: &str) -> bool {
        match self {
            Self::Exactly(one) => one.to_string() == repository,
            Self::Below(prefix) => repository.len() > prefix.len() && repository.starts_with(prefix.as_str()),
        }
    }
}

/// `[admission.tls]`: files of one's own, or how long its own certificate is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionTls {
    /// Certificate chain and key, PEM; read again when they change.
    pub files: Option<(PathBuf, PathBuf)>,
    /// How long a certificate of its own is valid; a new one is made after two
    /// thirds of it. Default: 30d.
    pub validity: Duration,
    /// How long an authority of its own is valid; the next one is made after two
    /// thirds of it. At least three times `validity`. Default: 365d.
    pub authority_validity: Duration,
}

pub(crate) fn serve(mut table: Table<'_>) -> Option<Serve> {
    let listen = table.or("listen", "127.0.0.1:8686", values::listen);
    let drift_interval = table.or("drift_interval", "1m", values::some_time);
    let drift_timeout = table.or("drift_timeout", "30s", values::some_time);
    table.finish();
    Some(Serve { listen: listen?, drift_interval: drift_interval?, drift_timeout: drift_timeout? })
}

const ANSWERS: [(&str, Answer); 2] = [("allow", Answer::Allow), ("deny", Answer::Deny)];
const MODES: [(&str, AdmissionMode); 2] =
    [("enforce", AdmissionMode::Enforce), ("audit", AdmissionMode::Audit)];

pub(crate) fn admission(mut table: Table<'_>) -> Option<Admission> {
    let listen = table.or("listen", "127.0.0.1:8443", values::listen);
    let mode = table.or("mode", "enforce", values::choice(&MODES));
    let unknown = table.or("unknown", "deny", values::choice(&ANSWERS));
    let budget = table.or("budget", "8s", budget);
    let other_namespaces = table.or("other_namespaces", "allow", values::choice(&ANSWERS));
    let exempt_namespaces =
        table.or("exempt_namespaces", "[]", values::list("[\"monitoring\"]", values::label));
    let exempt_images = table.tables("exempt_images").into_iter().filter_map(exempt_image).collect();
    let resolve_tags = table.or("resolve_tags", "false", values::boolean);
    let allow_for = table.or("allow_for", "10m", values::duration);
    let refuse_for = table.or("refuse_for", "5s", values::duration);
    let max_cached = table.or("max_cached", "20000", values::number(1, 1_000_000));
    let max_lookups = table.or("max_lookups", "8", values::number(1, 1_000));
    let webhook = table.or("webhook", "plimsoll-admission", values::object_name);
    let service = table.or("service", "plimsoll-admission", values::label);
    let namespace = table.or("namespace", "plimsoll", values::label);
    let context = table.opt("context", values::words);
    let environments = table.opt("environments", values::list("[\"production\"]", values::label));
    let tls = table.table_or_empty("tls").and_then(tls);
    let own = tls.as_ref().is_none_or(|tls| tls.files.is_none());
    let patch_bundle = table.or("patch_bundle", if own { "true" } else { "false" }, values::boolean);
    table.finish();
    Some(Admission {
        listen: listen?,
        mode: mode?,
        unknown: unknown?,
        budget: budget?,
        other_namespaces: other_namespaces?,
        exempt_namespaces: exempt_namespaces?,
        exempt_images,
        resolve_tags: resolve_tags?,
        allow_for: allow_for?,
        refuse_for: refuse_for?,
        max_cached: max_cached?,
        max_lookups: max_lookups?,
        webhook: webhook?,
        service: service?,
        namespace: namespace?,
        context,
        environments,
        patch_bundle: patch_bundle?,
        tls: tls?,
    })
}

/// The API server waits 30 s for a webhook at most.
fn budget(node: &Node) -> Result<Duration, Fault> {
    match values::some_time(node)? {
        value if value > Duration::from_secs(29) => Err(Fault::expected("a duration of at most 29s")),
        value => Ok(value),
    }
}

fn exempt_image(mut table: Table<'_>) -> Option<ExemptImage> {
    let repository = table.need("repository", "\"registry.k8s.io/*\"", pattern);
    let reason = table.need("reason", "\"part of the cluster\"", values::words);
    table.finish();
    Some(ExemptImage { repository: repository?, reason: reason? })
}

fn pattern(node: &Node) -> Result<RepositoryPattern, Fault> {
    let text = values::words(node)?;
    let wrong = || Fault::expected("a repository, or a path with `/*` at its end, like `registry.k8s.io/*`");
    match text.strip_suffix("/*") {
        // What follows the host is any path: the rest must be one with any end.
        Some(prefix) if format!("{prefix}/x").parse::<Repository>().is_ok() => {
            Ok(RepositoryPattern::Below(format!("{prefix}/")))
        }
        Some(_) => Err(wrong()),
        None => text.parse().map(RepositoryPattern::Exactly).map_err(|_| wrong()),
    }
}

fn tls(mut table: Table<'_>) -> Option<AdmissionTls> {
    let certificate = table.opt("certificate", file);
    let key = table.opt("key", file);
    let validity = table.or("validity", "30d", values::long_time);
    let authority_validity = table.or("authority_validity", "365d", values::long_time);
    if let (Some(validity), Some(authority)) = (validity, authority_validity)
        && authority < validity * 3
    {
        table.conflict(
            "`authority_validity` is less than three times `validity`",
            "an authority outlives the certificates under it: make it longer, or `validity` shorter",
        );
    }
    if certificate.is_some() != key.is_some() {
        table.conflict("`certificate` and `key` go together", "give both files, or neither");
    }
    table.finish();
    Some(AdmissionTls {
        files: certificate.zip(key),
        validity: validity?,
        authority_validity: authority_validity?,
    })
}

fn file(node: &Node) -> Result<PathBuf, Fault> {
    values::words(node).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Config, Overlays};

    fn config(more: &str) -> Result<Config, String> {
        let text = format!(
            "[service]\nname = \"a\"\n[repository]\ncanonical = \"r.example.com/a\"\n[image]\n\
             entrypoint = [\"/a\"]\ncopy = [{{ from = \"a\", to = \"/a\" }}]\n{more}"
        );
        Config::parse("plimsoll.toml".into(), text.into_bytes(), &Overlays::new())
            .map(|loaded| loaded.config)
            .map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn a_pattern_means_no_look_alike() {
        let admission = config(
            "[[admission.exempt_images]]\nrepository = \"registry.k8s.io/*\"\nreason = \"cluster\"\n\
             [[admission.exempt_images]]\nrepository = \"docker.io/library/nginx\"\nreason = \"edge\"\n",
        );
        let images = admission.unwrap().admission.exempt_images;
        for (pattern, repository, matches) in [
            (0, "registry.k8s.io/pause", true),
            (0, "registry.k8s.io/a/b", true),
            (0, "registry.k8s.io.evil.example/pause", false),
            (0, "registry.k8s.io:5000/pause", false),
            (0, "registry.k8s.io/", false),
            (1, "docker.io/library/nginx", true),
            (1, "docker.io/library/nginx-evil", false),
        ] {
            assert_eq!(images[pattern].repository.matches(repository), matches, "{repository}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (wrong, said) in [
            ("[admission]\nbudget = \"30s\"", "at most 29s"),
            ("[[admission.exempt_images]]\nrepository = \"*\"\nreason = \"all\"", "/*"),
            ("[[admission.exempt_images]]\nrepository = \"a.example.com/x*\"\nreason = \"x\"", "/*"),
            ("[[admission.exempt_images]]\nrepository = \"a.example.com/x\"", "reason"),
            ("[admission.tls]\ncertificate = \"a.pem\"", "go together"),
            ("[admission.tls]\nvalidity = \"200d\"", "three times"),
            ("[admission]\nmode = \"enforced\"", "did you mean `enforce`"),
        ] {
            let error = config(wrong).unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn who_brings_a_certificate_brings_the_bundle() {
        assert!(config("").unwrap().admission.patch_bundle);
        let given = config("[admission.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"");
        assert!(!given.unwrap().admission.patch_bundle);
    }
}
