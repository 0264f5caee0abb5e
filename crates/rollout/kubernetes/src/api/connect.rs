//! The way to a cluster: kubeconfig and context, exec plugins, or the
//! identity of the pod this process runs in. Read anew when credentials are
//! about to end, or are not taken any more.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config as ClusterConfig};
use tokio::sync::Mutex;

use super::plugin;

use crate::error::KubernetesError;

/// Credentials are not read anew more often than this.
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// What an exec plugin issued is asked for anew so long before it ends.
const BEFORE_THE_END: SignedDuration = SignedDuration::from_secs(10);
/// A login that takes longer is given up, where nothing else is configured.
pub(crate) const LOGIN_WITHIN: Duration = Duration::from_secs(30);
/// A connection that takes longer is none.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client that can be made again.
#[derive(Debug)]
pub(crate) struct Connection {
    context: Option<String>,
    kubeconfig: Option<PathBuf>,
    login_within: Duration,
    server: std::sync::Mutex<String>,
    made: Mutex<Made>,
}

#[derive(Default)]
struct Made {
    client: Option<Client>,
    /// When credentials were asked for last.
    at: Option<Instant>,
    /// Until when they are good, where an exec plugin said so.
    until: Option<Timestamp>,
    /// Why there were none the last time.
    failed: Option<KubernetesError>,
}

impl Made {
    fn put(&mut self, connected: Result<(Client, Option<Timestamp>), KubernetesError>) {
        self.at = Some(Instant::now());
        match connected {
            Ok((client, until)) => {
                *self = Self { client: Some(client), at: self.at, until, failed: None };
            }
            Err(error) => {
                tracing::debug!(%error, "credentials could not be read anew");
                self.failed = Some(error);
            }
        }
    }

    fn is_recent(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() < RENEW_EVERY)
    }

    /// Whether they have ended, or will within this time.
    fn ends_within(&self, time: SignedDuration) -> bool {
        self.until.is_some_and(|until| Timestamp::now().checked_add(time).is_ok_and(|then| then >= until))
    }
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Connection {
    /// A way that is not taken yet. Without a path, `KUBECONFIG` and
    /// `~/.kube/config` are looked for, then a service account. A login that
    /// takes longer than `login_within` is given up.
    pub(crate) fn new(context: Option<String>, kubeconfig: Option<PathBuf>, login_within: Duration) -> Self {
        let server = std::sync::Mutex::new("the kubeconfig's server".into());
        Self { context, kubeconfig, login_within, server, made: Mutex::default() }
    }

    /// The server's address, for texts.
    pub(crate) fn server(&self) -> String {
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The client, with credentials that are good for a while.
    pub(crate) async fn client(&self) -> Result<Client, KubernetesError> {
        let mut made = self.made.lock().await;
        if let Some(client) = &made.client
            && (!made.ends_within(BEFORE_THE_END) || made.is_recent())
        {
            return Ok(client.clone());
        }
        made.put(self.connect().await);
        match (&made.client, &made.failed) {
            // What is good yet is used for as long as it is.
            (Some(client), Some(_)) if !made.ends_within(SignedDuration::ZERO) => Ok(client.clone()),
            (_, Some(error)) => Err(error.clone()),
            (Some(client), None) => Ok(client.clone()),
            (None, None) => Err(KubernetesError::Config { reason: "it was not read".into() }),
        }
    }

    /// Reads configuration and credentials anew; whether it did.
    ///
    /// # Errors
    /// [`KubernetesError::Login`] where whoever issues them says no, or does not
    /// answer. A kubeconfig that somebody is just writing is no reason.
    pub(crate) async fn renew(&self) -> Result<bool, KubernetesError> {
        let mut made = self.made.lock().await;
        let recent = made.is_recent();
        if !recent {
            made.put(self.connect().await);
        }
        match &made.failed {
            Some(error @ KubernetesError::Login { .. }) => Err(error.clone()),
            failed => Ok(!recent && failed.is_none()),
        }
    }

    async fn connect(&self) -> Result<(Client, Option<Timestamp>), KubernetesError> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT_WITHIN);
        // Whoever asks decides what to ask again.
        config.default_retry = false;
        *self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            config.cluster_url.to_string();
        let until = plugin::put(&mut config.auth_info, self.login_within).await?;
        // The program of an `auth-provider` runs while the client is made; on a
        // thread that nobody waits for at the end, unlike those of the runtime: one
        // that hangs would keep this process.
        let (tell, made) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let _within = runtime.enter();
            // Nobody waits any more for one that comes too late.
            let _ = tell.send(Client::try_from(config));
        });
        let login = |reason: String| KubernetesError::Login { reason };
        match tokio::time::timeout(self.login_within, made).await {
            Ok(Ok(Ok(client))) => Ok((client, until)),
            Ok(Ok(Err(kube::Error::Auth(error)))) => Err(login(without_secrets(&error))),
            Ok(Ok(Err(error))) => {
                Err(KubernetesError::Config { reason: super::transport::with_causes(&error) })
            }
            Ok(Err(_)) => Err(login("the thread that logs in ended".into())),
            Err(_) => {
                let within = self.login_within.as_secs_f64();
                Err(login(format!("the kubeconfig's auth-provider did not answer within {within} s")))
            }
        }
    }

    async fn config(&self) -> Result<Config, KubernetesError> {
        let read = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let kubeconfig = match read {
            Ok(kubeconfig) => kubeconfig,
            Err(error) if self.kubeconfig.is_none() && self.context.is_none() && is_missing(&error) => {
                return ClusterConfig::incluster().map_err(|inside| KubernetesError::Config {
                    reason: format!("{}; and in a pod: {inside}", super::transport::with_causes(&error)),
                });
            }
            Err(error) => return Err(KubernetesError::Config { reason: described(&error) }),
        };
        if let Some(context) = &self.context
            && !kubeconfig.contexts.iter().any(|known| known.name == *context)
        {
            let known = kubeconfig.contexts.iter().map(|known| known.name.clone()).collect();
            return Err(KubernetesError::Context { context: context.clone(), known });
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        config.map_err(|error| KubernetesError::Config { reason: described(&error) })
    }
}

/// A client for whoever needs one beside the target: the kubeconfig's context,
/// its current one, or the pod's own account.
///
/// # Errors
/// The kubeconfig cannot be read, has no such context, or its login fails.
pub async fn client(context: Option<String>) -> Result<Client, KubernetesError> {
    Ok(Connection::new(context, None, LOGIN_WITHIN).connect().await?.0)
}

fn is_missing(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, path) => {
            error.kind() == std::io::ErrorKind::NotFound && *path != Path::new("")
        }
        _ => false,
    }
}

/// A kubeconfig holds credentials; a parser's error may show a line of it.
fn described(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(_) => {
            "the kubeconfig is not valid YAML; `kubectl config view` says where".into()
        }
        other => super::transport::with_causes(other),
    }
}

/// What an auth provider or a token file said, without what it printed for us:
/// that may be a token.
pub(crate) fn without_secrets(error: &kube::client::AuthError) -> String {
    use kube::client::AuthError;
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            let program = cmd.split_whitespace().next().unwrap_or("the auth provider");
            let said = String::from_utf8_lossy(&out.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let program = program.trim_matches('"');
            crate::diagnosis::shortened(&format!("{program} ended with {}: {last}", out.status))
        }
        AuthError::AuthExecParse(_) => "the auth provider printed something else than credentials".into(),
        other => crate::diagnosis::shortened(&other.to_string()),
    }
}
