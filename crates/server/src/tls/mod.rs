//! The webhook's certificate: of an authority of its own, or from files; it is
//! replaced without a restart and without a lost connection.

mod authority;
pub(crate) mod bundle;
mod files;

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_config::Admission as Settings;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use self::authority::Authority;
use self::files::Files;
use crate::error::ServerError;
use crate::metrics::Metrics;

/// The certificate in use.
#[derive(Debug)]
struct InUse(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for InUse {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().expect("no holder of this lock panics").clone())
    }
}

impl InUse {
    fn set(&self, key: CertifiedKey) {
        *self.0.write().expect("no holder of this lock panics") = Arc::new(key);
    }
}

/// Where certificates come from.
enum Source {
    Own { authority: Authority, validity: Duration },
    Files(Files),
}

/// The webhook's identity.
pub(crate) struct Identity {
    in_use: Arc<InUse>,
    source: Source,
    names: Vec<String>,
    /// When the certificate in use was made, and until when it is valid; of its own only.
    made: Option<(Timestamp, Timestamp)>,
}

impl Identity {
    /// A certificate to begin with.
    ///
    /// # Errors
    /// Files that were named cannot be used, or the authority cannot be kept.
    pub(crate) fn open(settings: &Settings, root: &Path, state: &Path) -> Result<Self, ServerError> {
        let names = names(settings);
        let (source, key, made) = match &settings.tls.files {
            Some((certificate, key)) => {
                let mut files = Files::new(root.join(certificate), root.join(key));
                let key = files.read()?;
                (Source::Files(files), key, None)
            }
            None => {
                let authority = Authority::open(&state.join("admission"))?;
                let validity = settings.tls.validity;
                let (key, made) = issued(&authority, &names, validity)?;
                (Source::Own { authority, validity }, key, Some(made))
            }
        };
        Ok(Self { in_use: Arc::new(InUse(RwLock::new(Arc::new(key)))), source, names, made })
    }

    /// The authority to write into the cluster; none where files were given.
    pub(crate) fn authority(&self) -> Option<String> {
        match &self.source {
            Source::Own { authority, .. } => Some(authority.certificate().to_owned()),
            Source::Files(_) => None,
        }
    }

    /// Accepts TLS 1.2 and 1.3 with whatever certificate is in use then.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the default versions")
            .with_no_client_auth()
            .with_cert_resolver(self.in_use.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Replaces the certificate whenever it is time to, for ever.
    pub(crate) async fn keep(mut self, metrics: Arc<Metrics>) {
        metrics.certificate(self.made.map(|(_, until)| until));
        let often = match &self.source {
            Source::Own { validity, .. } => {
                (*validity / 60).clamp(Duration::from_millis(50), Duration::from_secs(60))
            }
            Source::Files(_) => Duration::from_secs(1),
        };
        let mut ticks = tokio::time::interval(often);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = String::new();
        loop {
            ticks.tick().await;
            match self.replace(Timestamp::now()) {
                Ok(true) => {
                    said.clear();
                    tracing::info!("the webhook's certificate was replaced");
                    metrics.certificate(self.made.map(|(_, until)| until));
                }
                Ok(false) => {}
                Err(error) => {
                    let text =
                        format!("{error}: {}", plimsoll_model::Diagnose::found(&error).unwrap_or_default());
                    if text != said {
                        tracing::warn!(error = %text, "the certificate in use is kept");
                        said = text;
                    }
                }
            }
        }
    }

    fn replace(&mut self, now: Timestamp) -> Result<bool, ServerError> {
        match &mut self.source {
            Source::Files(files) => {
                let Some(key) = files.changed()? else { return Ok(false) };
                self.in_use.set(key);
            }
            Source::Own { authority, validity } => {
                let due = self
                    .made
                    .is_none_or(|(made, _)| now.duration_since(made).unsigned_abs() >= *validity * 2 / 3);
                if !due {
                    return Ok(false);
                }
                let (key, made) = issued(authority, &self.names, *validity)?;
                self.in_use.set(key);
                self.made = Some(made);
            }
        }
        Ok(true)
    }
}

/// What the webhook may be called as.
fn names(settings: &Settings) -> Vec<String> {
    let (service, namespace) = (&settings.service, &settings.namespace);
    vec![
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        "localhost".into(),
        "127.0.0.1".into(),
    ]
}

fn issued(
    authority: &Authority,
    names: &[String],
    validity: Duration,
) -> Result<(CertifiedKey, (Timestamp, Timestamp)), ServerError> {
    let now = Timestamp::now();
    let until = now.checked_add(validity).unwrap_or(Timestamp::MAX);
    let (certificate, key) = authority.issue(names, now, until)?;
    Ok((certified(vec![certificate], key).map_err(|why| authority.unusable(why))?, (now, until)))
}

/// A chain and its key, which belong together.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, String> {
    let provider = aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| error.to_string())?;
    Ok(certified)
}
