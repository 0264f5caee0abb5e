//! The exec plugin of a kubeconfig (client.authentication.k8s.io): run here and
//! not by `kube`, so that one that hangs has a bound and is ended, is named
//! when it fails, and what it prints for us is never shown.

use std::io::IsTerminal as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::error::KubernetesError;

/// Credentials are a few thousand bytes.
const MOST_BYTES: u64 = 1 << 20;

/// What a plugin prints.
#[derive(Deserialize)]
struct Printed {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Whether credentials come from a plugin: where nothing before it in the
/// kubeconfig's order is there.
pub(super) fn of(auth: &AuthInfo) -> Option<&ExecConfig> {
    let other = auth.auth_provider.is_some() || auth.token.is_some() || auth.token_file.is_some();
    auth.exec.as_ref().filter(|_| !other && (auth.username.is_none() || auth.password.is_none()))
}

/// Runs the plugin, and puts what it issued in its place; until when that is
/// good, where it says so.
///
/// # Errors
/// [`KubernetesError::Login`]: it cannot be started, does not end within `within`
/// and is ended then, fails, or prints something else than credentials.
pub(super) async fn put(auth: &mut AuthInfo, within: Duration) -> Result<Option<Timestamp>, KubernetesError> {
    let Some(exec) = of(auth) else { return Ok(None) };
    let name = exec.command.clone().unwrap_or_default();
    let login = |reason: String| KubernetesError::Login {
        reason: crate::diagnosis::shortened(&format!("the exec plugin {name} {reason}")),
    };
    let (status, printed, said) = run(exec, within).await.map_err(login)?;
    if !status.success() {
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(login(format!("ended with {status}: {last}")));
    }
    // Its parser's error may show a line of it.
    let nothing = || login("printed something else than credentials".into());
    let printed: Printed = serde_saphyr::from_slice(&printed).map_err(|_| nothing())?;
    let issued = printed.status.ok_or_else(nothing)?;
    auth.exec = None;
    if let (Some(certificate), Some(key)) = (issued.client_certificate_data, issued.client_key_data) {
        auth.client_certificate_data = Some(STANDARD.encode(certificate));
        auth.client_key_data = Some(STANDARD.encode(key).into());
    }
    auth.token = issued.token.map(Into::into);
    Ok(issued.expiration_timestamp)
}

async fn run(exec: &ExecConfig, within: Duration) -> Result<(ExitStatus, Vec<u8>, String), String> {
    let command = exec.command.as_deref().ok_or("has no command")?;
    let on_terminal = std::io::stdin().is_terminal();
    let mode = exec.interactive_mode.as_ref();
    if mode == Some(&ExecInteractiveMode::Always) && !on_terminal {
        return Err("needs a terminal (interactiveMode: Always), and there is none".into());
    }
    let interactive = on_terminal && mode != Some(&ExecInteractiveMode::Never);
    let cluster = exec.cluster.as_ref().filter(|_| exec.provide_cluster_info);
    let mut spec = json!({ "interactive": interactive });
    if let Some(cluster) = cluster {
        spec["cluster"] = serde_json::to_value(cluster).map_err(|error| error.to_string())?;
    }
    let info = json!({ "kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec });
    let variables = exec.env.iter().flatten();
    let mut child = Command::new(command)
        .args(exec.args.iter().flatten())
        .envs(variables.filter_map(|one| Some((one.get("name")?, one.get("value")?))))
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(if interactive { Stdio::inherit() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(if interactive { Stdio::inherit() } else { Stdio::piped() })
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match &exec.install_hint {
            Some(hint) => format!("cannot be started: {error}; {hint}"),
            None => format!("cannot be started: {error}"),
        })?;
    let (printed, said) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (printed, said) = tokio::join!(read(printed), read(said));
        Ok::<_, std::io::Error>((child.wait().await?, printed?, said?))
    };
    match tokio::time::timeout(within, ended).await {
        Ok(Ok((status, printed, said))) => Ok((status, printed, String::from_utf8_lossy(&said).into_owned())),
        Ok(Err(error)) => Err(format!("cannot be read: {error}")),
        Err(_) => Err(format!("did not end within {} s, and was ended", within.as_secs_f64())),
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(MOST_BYTES).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn auth(script: &str) -> AuthInfo {
        AuthInfo {
            exec: Some(ExecConfig {
                api_version: Some("client.authentication.k8s.io/v1".into()),
                command: Some("sh".into()),
                args: Some(vec!["-c".into(), script.into()]),
                env: Some(vec![
                    [("name", "WHO"), ("value", "ann")].map(|(k, v)| (k.into(), v.into())).into(),
                ]),
                drop_env: None,
                install_hint: None,
                interactive_mode: Some(ExecInteractiveMode::Never),
                provide_cluster_info: false,
                cluster: None,
                other: Default::default(),
            }),
            ..AuthInfo::default()
        }
    }

    async fn refused(script: &str) -> String {
        put(&mut auth(script), Duration::from_secs(20)).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn what_it_issues_takes_its_place() {
        let script = "case $KUBERNETES_EXEC_INFO in *ExecCredential*) ;; *) exit 1;; esac; echo '{\"status\": \
                      {\"token\": \"'$WHO'\", \"expirationTimestamp\": \"2026-01-01T00:00:00Z\"}}'";
        let mut given = auth(script);
        let until = put(&mut given, Duration::from_secs(20)).await.unwrap();
        assert_eq!(until, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert!(given.exec.is_none() && given.token.is_some());
        // In YAML, as kubectl takes it, too; and a pair in place of a token.
        let mut pair = auth("printf 'status:\\n  clientCertificateData: c\\n  clientKeyData: k\\n'");
        assert_eq!(put(&mut pair, Duration::from_secs(20)).await.unwrap(), None);
        assert_eq!(pair.client_certificate_data.as_deref(), Some("Yw=="));
        // A token that is there comes first.
        let mut token = AuthInfo { token: Some("t".to_owned().into()), ..auth("exit 1") };
        assert_eq!(put(&mut token, Duration::from_secs(20)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn each_way_to_fail_names_it_and_shows_no_output() {
        let said = refused("echo secret; echo log in again >&2; exit 3").await;
        assert!(said.contains("exec plugin sh ended with exit status: 3: log in again"), "{said}");
        let said = refused("echo '{secret'").await;
        assert!(said.contains("something else than credentials") && !said.contains("secret"), "{said}");
        let mut missing = auth("");
        missing.exec.as_mut().unwrap().command = Some("/no/such/plugin".into());
        missing.exec.as_mut().unwrap().install_hint = Some("install it".into());
        let said = put(&mut missing, Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(said.contains("/no/such/plugin cannot be started") && said.contains("install it"), "{said}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("echo $$ > {}.new; mv {0}.new {0}; exec sleep 600", file.display());
        let mut given = auth(&script);
        let said = put(&mut given, Duration::from_secs(2)).await.unwrap_err().to_string();
        assert!(said.contains("did not end within 2 s, and was ended"), "{said}");
        let pid = std::fs::read_to_string(&file).unwrap();
        let gone = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
            Err(_) => true,
            // Ended, and not yet waited for.
            Ok(stat) => stat.contains(") Z "),
        };
        let patience = tokio::time::timeout(Duration::from_secs(10), async {
            while !gone() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        patience.await.unwrap();
    }
}
