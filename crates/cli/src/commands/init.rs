//! `plimsoll init`.

mod kubernetes;

use plimsoll_config::{Config, FILE_NAME, init};
use plimsoll_model::Failure;
use serde_json::json;

use super::Session;
use crate::args::Init;
use crate::error::CliError;

/// Writes `plimsoll.toml`, or prints a systemd unit or manifests.
pub(crate) fn run(session: &Session, arguments: &Init) -> Result<u8, Failure> {
    if let Some(environment) = &arguments.systemd {
        return unit(session, environment);
    }
    if let Some(environment) = &arguments.kubernetes {
        return kubernetes::print(session, arguments, environment);
    }
    if let Some(image) = &arguments.admission {
        return super::serve::manifests(session, image);
    }
    let directory = session.directory();
    let path = directory.join(FILE_NAME);
    if path.exists() && !arguments.force {
        return Err(CliError::Exists { path }.into());
    }
    let text = init::template(&init::inspect(&directory));
    std::fs::write(&path, &text).map_err(|source| CliError::File {
        action: "write",
        path: path.clone(),
        source,
    })?;
    let document = json!({ "schema": "plimsoll/init/v1", "file": path });
    session.printer.result(&document, || {
        format!(
            "wrote {}\n\
             next: look it over and commit it; then\n  \
             plimsoll doctor                                          # what is missing, e.g. a registry\n  \
             plimsoll registry &                                      # one of your own, where there is none\n  \
             plimsoll build\n  \
             plimsoll deploy $(git rev-parse HEAD) --env trial",
            path.display()
        )
    });
    Ok(0)
}

/// The unit that brings an environment's switch and replicas back after a reboot.
fn unit(session: &Session, environment: &str) -> Result<u8, Failure> {
    let config = Config::load(&session.directory(), &session.overlays())?;
    config.config.environment(environment)?;
    let root = config.root().canonicalize().map_err(|source| CliError::File {
        action: "read",
        path: config.root().into(),
        source,
    })?;
    let executable = std::env::current_exe().map_err(|source| CliError::File {
        action: "find",
        path: "plimsoll".into(),
        source,
    })?;
    let text = unit_text(
        environment,
        &executable.display().to_string(),
        &root.display().to_string(),
        &plimsoll_pipeline::account(),
    );
    session.printer.text(text.trim_end());
    session.printer.note(&format!(
        "install it: plimsoll init --systemd {environment} | sudo tee /etc/systemd/system/plimsoll-{environment}.service \
         && sudo systemctl enable plimsoll-{environment}"
    ));
    Ok(0)
}

/// `plimsoll up` starts what is missing and ends; what it started lives on in
/// processes of its own, which the unit must not kill when it is restarted.
fn unit_text(environment: &str, executable: &str, root: &str, user: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('%', "%%").replace('"', "\\\""));
    format!(
        "[Unit]\n\
         Description=Plimsoll: switch and replicas of {environment}\n\
         After=network-online.target docker.service podman.service\n\
         Wants=network-online.target\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         User={}\n\
         ExecStart={} -C {} up --env {environment} --no-progress\n\
         KillMode=process\n\
         TimeoutStartSec=600\n\
         LimitNOFILE=1048576\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        user,
        quoted(executable),
        quoted(root),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_units_are_quoted() {
        let text = unit_text("trial", "/opt/my tools/plimsoll", "/srv/100%", "deploy");
        assert!(
            text.contains("ExecStart=\"/opt/my tools/plimsoll\" -C \"/srv/100%%\" up --env trial"),
            "{text}"
        );
    }
}
