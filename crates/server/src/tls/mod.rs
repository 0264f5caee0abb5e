//! The webhook's certificate: of an authority of its own, or from files; it is
//! replaced without a restart and without a lost connection.

mod authority;
pub(crate) mod bundle;
mod files;
mod rotation;

use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_config::Admission as Settings;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use self::files::Files;
use self::rotation::{Authorities, Confirmed, Trusted, Turn, Validity};
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

/// A certificate and its key.
type Issued = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Where certificates come from.
enum Source {
    Own(Box<Own>),
    Files(Files),
}

/// Authorities of its own, and what the cluster is told of them.
struct Own {
    authorities: Authorities,
    validity: Duration,
    trusted: watch::Sender<Trusted>,
    confirmed: watch::Receiver<Option<Confirmed>>,
}

/// Whom the cluster shall trust, for whoever tells it and says that it does.
pub(crate) struct Announced {
    trusted: watch::Receiver<Trusted>,
    confirmed: watch::Sender<Option<Confirmed>>,
}

/// The webhook's identity.
pub(crate) struct Identity {
    in_use: Arc<InUse>,
    source: Source,
    names: Vec<String>,
    /// When the certificate in use was made, and until when it is valid; of its own only.
    made: Option<(Timestamp, Timestamp)>,
    announced: Option<Announced>,
}

impl Identity {
    /// A certificate to begin with.
    ///
    /// # Errors
    /// Files that were named cannot be used, or the authority cannot be kept.
    pub(crate) fn open(settings: &Settings, root: &Path, state: &Path) -> Result<Self, ServerError> {
        let names = names(settings);
        if let Some((certificate, key)) = &settings.tls.files {
            let mut files = Files::new(root.join(certificate), root.join(key));
            let in_use = InUse(RwLock::new(Arc::new(files.read()?)));
            let source = Source::Files(files);
            return Ok(Self { in_use: Arc::new(in_use), source, names, made: None, announced: None });
        }
        let (validity, now) = (settings.tls.validity, Timestamp::now());
        let both = Validity { authority: settings.tls.authority_validity, certificate: validity };
        let authorities = Authorities::open(&state.join("admission"), both, now)?;
        let (key, made) = issued(&authorities, &names, now)?;
        let (trusted, told) = watch::channel(authorities.trusted(now));
        let (confirms, confirmed) = watch::channel(None);
        Ok(Self {
            in_use: Arc::new(InUse(RwLock::new(Arc::new(key)))),
            source: Source::Own(Box::new(Own { authorities, validity, trusted, confirmed })),
            names,
            made: Some(made),
            announced: Some(Announced { trusted: told, confirmed: confirms }),
        })
    }

    /// Whom the cluster shall trust; none where files were given. There is one
    /// who tells it.
    pub(crate) fn announced(&mut self) -> Option<Announced> {
        self.announced.take()
    }

    /// Whether it has an authority of its own.
    pub(crate) fn is_own(&self) -> bool {
        matches!(self.source, Source::Own(_))
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
        self.show(&metrics);
        let often = match &self.source {
            Source::Own(own) => (own.validity / 60).clamp(Duration::from_millis(50), Duration::from_secs(60)),
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
                    self.show(&metrics);
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

    fn show(&self, metrics: &Metrics) {
        let authority = match &self.source {
            Source::Own(own) => Some(own.authorities.until()),
            Source::Files(_) => None,
        };
        metrics.certificate(self.made.map(|(_, until)| until), authority);
    }

    fn replace(&mut self, now: Timestamp) -> Result<bool, ServerError> {
        match &mut self.source {
            Source::Files(files) => {
                let Some(key) = files.changed()? else { return Ok(false) };
                self.in_use.set(key);
            }
            Source::Own(own) => {
                let confirmed = own.confirmed.borrow().clone();
                let turn = own.authorities.turn(now, confirmed.as_ref())?;
                let trusted = own.authorities.trusted(now);
                own.trusted.send_if_modified(|told| {
                    let is_news = *told != trusted;
                    *told = trusted;
                    is_news
                });
                let old = self.made.is_none_or(|(made, until)| {
                    now.duration_since(made) * 3 >= until.duration_since(made) * 2
                });
                if turn == Turn::Announces {
                    let until = own.authorities.until();
                    tracing::info!(%until, "the cluster is told whom to trust after the present authority");
                }
                if !old && turn != Turn::TakesOver {
                    return Ok(false);
                }
                let (key, made) = issued(&own.authorities, &self.names, now)?;
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
    authorities: &Authorities,
    names: &[String],
    now: Timestamp,
) -> Result<(CertifiedKey, (Timestamp, Timestamp)), ServerError> {
    let ((certificate, key), made) = authorities.issue(names, now)?;
    Ok((certified(vec![certificate], key).map_err(|why| authorities.unusable(why))?, made))
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
