//! Where credentials come from: the environment, the files that `docker login`
//! and `podman login` write, and the credential helpers those files name.
//!
//! A credential is looked up for one registry host and is given to that host
//! alone. A file that does not exist has none; a file that cannot be read is an
//! error, because "no credentials" would then turn into a misleading refusal.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_model::{Repository, Secret};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::Error;

/// What is shown to a registry or to its token service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// User name and password (or access token in the password's place).
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token for the token service (`identitytoken`).
    Identity(Secret),
    /// A token for the registry itself (`registrytoken`).
    Registry(Secret),
}

/// Where credentials are looked for, in order: those given here, then the files.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    given: BTreeMap<String, Credential>,
    files: Vec<PathBuf>,
}

/// Credential files longer than this are not read, in bytes.
const LARGEST_FILE: u64 = 4 << 20;
/// A helper that writes more than this is not believed, in bytes.
const LARGEST_ANSWER: u64 = 256 << 10;
/// The key under which Docker keeps the credentials of its own registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

impl Sources {
    /// The sources of this process's environment:
    /// `PLIMSOLL_REGISTRY_USERNAME` and `PLIMSOLL_REGISTRY_PASSWORD`, which are
    /// for the hosts of `own` and no other, then `$REGISTRY_AUTH_FILE`,
    /// `$DOCKER_CONFIG/config.json` (`~/.docker/config.json` without it),
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`.
    pub fn from_environment(own: &[Repository]) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::from_variables(own, variable)
    }

    fn from_variables(own: &[Repository], variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut sources = Self::default();
        if let (Some(username), Some(password)) =
            (variable("PLIMSOLL_REGISTRY_USERNAME"), variable("PLIMSOLL_REGISTRY_PASSWORD"))
        {
            let credential = Credential::Password { username, password: Secret::new(password) };
            for repository in own {
                sources = sources.given(repository.host(), credential.clone());
            }
        }
        let path = |name: &str| variable(name).map(PathBuf::from);
        let home = path("HOME");
        let docker = path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let config = path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let runtime = path("XDG_RUNTIME_DIR");
        [
            path("REGISTRY_AUTH_FILE"),
            docker.map(|folder| folder.join("config.json")),
            runtime.map(|folder| folder.join("containers/auth.json")),
            config.map(|folder| folder.join("containers/auth.json")),
        ]
        .into_iter()
        .flatten()
        .for_each(|file| sources.files.push(file));
        sources
    }

    /// Adds a credential for `host` (`name[:port]`), asked before any file.
    #[must_use]
    pub fn given(mut self, host: &str, credential: Credential) -> Self {
        self.given.insert(host.into(), credential);
        self
    }

    /// Adds a file in Docker's format, asked after those before it.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// The credential for `repository`, or `None` when no source has one.
    ///
    /// # Errors
    /// A file that exists and cannot be read or understood; a credential helper
    /// that fails in any way other than saying that it has none.
    pub(super) async fn find(
        &self,
        repository: &Repository,
        helper_timeout: Duration,
    ) -> Result<Option<Credential>, Error> {
        if let Some(credential) = self.given.get(repository.host()) {
            return Ok(Some(credential.clone()));
        }
        for path in &self.files {
            let Some(config) = read(path)? else { continue };
            if let Some(credential) = config.find(path, repository, helper_timeout).await? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

/// Docker's `config.json`, podman's `auth.json`: the part about credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// What `docker-credential-X get` writes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: Secret,
}

fn read(path: &Path) -> Result<Option<Config>, Error> {
    let unusable = |reason: String| Error::CredentialFile { path: path.into(), reason };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(unusable(e.to_string())),
    };
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LARGEST_FILE + 1), &mut text)
        .map_err(|e| unusable(e.to_string()))?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(unusable(format!("longer than {LARGEST_FILE} bytes")));
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Some(Config::default()));
    }
    // The parser's message could quote what it stumbled over, which could be a
    // secret; the place is enough.
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|e| unusable(format!("not in Docker's format (line {}, column {})", e.line(), e.column())))
}

impl Config {
    async fn find(
        &self,
        path: &Path,
        repository: &Repository,
        timeout: Duration,
    ) -> Result<Option<Credential>, Error> {
        let keys = keys(repository);
        let helper = keys.iter().find_map(|key| self.cred_helpers.get(key));
        if let Some(helper) = helper.or(self.creds_store.as_ref()).filter(|name| !name.is_empty()) {
            let server = if is_docker_hub(repository.host()) { DOCKER_HUB } else { repository.host() };
            if let Some(credential) = run_helper(helper, server, timeout).await? {
                return Ok(Some(credential));
            }
        }
        // Keys may be written `https://host/v1/`; compare what is left of them.
        let entry = keys.iter().find_map(|key| {
            self.auths.iter().find(|(written, _)| normalised(written) == key).map(|(_, entry)| entry)
        });
        entry.map_or(Ok(None), |entry| {
            entry.credential().map_err(|reason| Error::CredentialFile {
                path: path.into(),
                reason: format!("the entry for {} {reason}", repository.host()),
            })
        })
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, &'static str> {
        let some = |secret: &Option<Secret>| secret.clone().filter(|s| !s.reveal().is_empty());
        if let Some(token) = some(&self.registrytoken) {
            return Ok(Some(Credential::Registry(token)));
        }
        if let Some(token) = some(&self.identitytoken) {
            return Ok(Some(Credential::Identity(token)));
        }
        if let Some(auth) = some(&self.auth) {
            let text =
                STANDARD.decode(auth.reveal().trim()).map_err(|_| "has an `auth` that is not base64")?;
            let text = String::from_utf8(text).map_err(|_| "has an `auth` that is not text")?;
            let (username, password) = text.split_once(':').ok_or("has an `auth` without a colon")?;
            return Ok(Some(Credential::Password {
                username: username.into(),
                // Docker once padded passwords with zero bytes.
                password: Secret::new(password.trim_end_matches('\0')),
            }));
        }
        Ok(match (&self.username, some(&self.password)) {
            (Some(username), Some(password)) => {
                Some(Credential::Password { username: username.clone(), password })
            }
            _ => None,
        })
    }
}

fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io")
}

/// The keys an entry for `repository` may stand under, the most exact first:
/// `host/acme/payouts`, `host/acme` (podman), `host`.
fn keys(repository: &Repository) -> Vec<String> {
    let whole = format!("{}/{}", repository.host(), repository.path());
    let mut keys: Vec<String> = whole.rmatch_indices('/').map(|(at, _)| whole[..at].to_owned()).collect();
    keys.insert(0, whole);
    if is_docker_hub(repository.host()) {
        keys.extend(["index.docker.io".into(), "docker.io".into(), "registry-1.docker.io".into()]);
        keys.push(DOCKER_HUB.into());
    }
    keys
}

/// A key of `auths` without scheme and without the old API versions.
fn normalised(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.trim_end_matches('/');
    bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare)
}

/// Runs `docker-credential-<helper> get` (docker/docker-credential-helpers,
/// "Development"): the server on stdin, JSON on stdout.
async fn run_helper(helper: &str, server: &str, timeout: Duration) -> Result<Option<Credential>, Error> {
    let program = format!("docker-credential-{helper}");
    let failed = |reason: String| Error::CredentialHelper { program: program.clone(), reason };
    if helper.contains(['/', '\\', '\0']) {
        return Err(failed("not the name of a program".into()));
    }
    let run = async {
        let mut child = tokio::process::Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (mut stdin, stdout) = (child.stdin.take(), child.stdout.take());
        if let Some(stdin) = &mut stdin {
            // A helper that does not read its input may still answer.
            let _ = stdin.write_all(server.as_bytes()).await;
        }
        drop(stdin);
        let mut text = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(LARGEST_ANSWER).read_to_end(&mut text).await?;
        }
        io::Result::Ok((child.wait().await?, text))
    };
    let (status, text) = match tokio::time::timeout(timeout, run).await {
        Err(_) => return Err(failed(format!("no answer within {} s", timeout.as_secs()))),
        Ok(Err(e)) => return Err(failed(e.to_string())),
        Ok(Ok(ended)) => ended,
    };
    if !status.success() {
        let says = String::from_utf8_lossy(&text).to_lowercase();
        // The two sentences by which helpers say that they have none.
        return if says.contains("credentials not found") || says.contains("no credentials server url") {
            Ok(None)
        } else {
            Err(failed(format!("it ended with {status}")))
        };
    }
    let answer: HelperAnswer = serde_json::from_slice(&text)
        .map_err(|_| failed("its answer is not the JSON it should be".into()))?;
    Ok(match answer.username.as_str() {
        _ if answer.secret.reveal().is_empty() => None,
        "<token>" => Some(Credential::Identity(answer.secret)),
        _ => Some(Credential::Password { username: answer.username, password: answer.secret }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn repository(text: &str) -> Repository {
        text.parse().unwrap()
    }

    fn password(username: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password { username: username.into(), password: Secret::new(password) })
    }

    async fn find(config: &str, of: &str) -> Result<Option<Credential>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        Sources::default().file(&path).find(&repository(of), WAIT).await
    }

    #[tokio::test]
    async fn entries_of_all_kinds_are_read() {
        let config = r#"{"auths":{
            "registry.example.com":{"auth":"YWxpY2U6czNjcmV0OnBhcnQ="},
            "https://old.example.com/v1/":{"username":"bob","password":"pw"},
            "id.example.com":{"auth":"YTpi","identitytoken":"refresh"},
            "reg.example.com":{"registrytoken":"direct"},
            "https://index.docker.io/v1/":{"auth":"aHViOmh1Yg=="},
            "pod.example.com/acme/payouts":{"auth":"bmVhcjpw"},
            "pod.example.com":{"auth":"ZmFyOnA="},
            "empty.example.com":{}
        },"HttpHeaders":{"X":"y"}}"#;
        let of = async |of: &str| find(config, of).await.unwrap();
        assert_eq!(of("registry.example.com/a").await, password("alice", "s3cret:part"));
        assert_eq!(of("old.example.com/a").await, password("bob", "pw"));
        assert_eq!(of("id.example.com/a").await, Some(Credential::Identity(Secret::new("refresh"))));
        assert_eq!(of("reg.example.com/a").await, Some(Credential::Registry(Secret::new("direct"))));
        assert_eq!(of("docker.io/library/debian").await, password("hub", "hub"));
        assert_eq!(of("pod.example.com/acme/payouts").await, password("near", "p"));
        assert_eq!(of("pod.example.com/acme/other").await, password("far", "p"));
        // Look-alikes get nothing: other port, longer name, parent domain.
        for other in [
            "registry.example.com:5000/a",
            "registry.example.com.evil.io/a",
            "example.com/a",
            "empty.example.com/a",
        ] {
            assert_eq!(of(other).await, None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_broken_file_is_an_error_that_tells_no_secret() {
        for broken in [r#"{"auths":{"a.io":{"auth":"hunter2""#, r#"{"auths":{"a.io":{"auth":"hunter2"}}}"#] {
            let error = find(broken, "a.io/x").await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(find("", "a.io/x").await.unwrap(), None);
        let none = Sources::default().file("/nonexistent/config.json");
        assert_eq!(none.find(&repository("a.io/x"), WAIT).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_helper_that_is_missing_is_an_error() {
        let error = find(r#"{"credsStore":"plimsoll-test-none"}"#, "a.io/x").await.unwrap_err();
        assert!(error.to_string().contains("docker-credential-plimsoll-test-none"), "{error}");
        let error = find(r#"{"credHelpers":{"a.io":"../../bin/sh"}}"#, "a.io/x").await.unwrap_err();
        assert!(matches!(error, Error::CredentialHelper { .. }));
    }

    #[tokio::test]
    async fn the_environment_is_for_ones_own_hosts() {
        let value = |name: &str| match name {
            "PLIMSOLL_REGISTRY_USERNAME" => Some("ci".to_owned()),
            "PLIMSOLL_REGISTRY_PASSWORD" => Some("pw".to_owned()),
            "HOME" => Some("/home/ci".to_owned()),
            "XDG_RUNTIME_DIR" => Some("/run/user/7".to_owned()),
            _ => None,
        };
        let sources = Sources::from_variables(&[repository("own.example.com/acme/payouts")], value);
        assert_eq!(
            sources.files,
            [
                "/home/ci/.docker/config.json",
                "/run/user/7/containers/auth.json",
                "/home/ci/.config/containers/auth.json"
            ]
            .map(PathBuf::from)
        );
        let sources = Sources { files: vec![], ..sources };
        assert_eq!(sources.find(&repository("own.example.com/x"), WAIT).await.unwrap(), password("ci", "pw"));
        assert_eq!(sources.find(&repository("docker.io/library/x"), WAIT).await.unwrap(), None);
    }
}
