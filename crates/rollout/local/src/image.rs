//! Unpacks an image once per digest, and notes how it is started.

use std::collections::BTreeMap;
use std::fs;
use std::str::FromStr;

use nix::sys::signal::Signal;
use plimsoll_model::Release;
use plimsoll_oci::{Descriptor, ImageConfig, Layout, Manifest, limits, unpack};
use plimsoll_rollout_switch::files::write_json;

use crate::error::LocalError;
use crate::fleet::LocalFleet;
use crate::state::Launch;

impl LocalFleet {
    /// Whether the image is unpacked here whole, so that going back to it
    /// needs neither registry nor store.
    pub fn holds(&self, release: &Release) -> bool {
        self.dir.image(release).join("image.json").exists()
    }

    /// Unpacks an image that is in `layout`. What is already there is left as
    /// it is; what a crash left half is not there.
    ///
    /// # Errors
    /// When the image is damaged or hostile, names no program, or cannot be
    /// written. Nothing that runs is touched.
    pub fn unpack(
        &self,
        release: &Release,
        layout: &Layout,
        manifest: &Descriptor,
    ) -> Result<(), LocalError> {
        if self.holds(release) {
            return Ok(());
        }
        let failed = |source| LocalError::Unpack { release: Box::new(release.clone()), source };
        let bytes = layout.read_blob(&manifest.digest, limits::MANIFEST).map_err(failed)?;
        let manifest = Manifest::parse(&bytes).map_err(failed)?;
        let folder = self.dir.image(release);
        let io_failed = |source| LocalError::State {
            environment: self.environment().into(),
            path: folder.clone(),
            source,
        };
        fs::create_dir_all(&folder).map_err(io_failed)?;
        // Files without a note of how to start them: a crash in between.
        let root = folder.join("root");
        if root.exists() {
            unpack::remove(&root).map_err(io_failed)?;
        }
        let unpacked =
            unpack::unpack_image(layout, &manifest, &root, &unpack::Options::default()).map_err(failed)?;
        let launch = launch(&unpacked.config)
            .ok_or_else(|| LocalError::NoProgram { release: Box::new(release.clone()) })?;
        write_json(&folder.join("image.json"), &launch).map_err(io_failed)
    }
}

/// Entrypoint and command, environment, user, folder, stop signal (OCI
/// image-spec, config.md). Nothing when there is no program.
fn launch(config: &ImageConfig) -> Option<Launch> {
    let run = &config.config;
    let argv: Vec<String> = run.entrypoint.iter().chain(&run.cmd).cloned().collect();
    if argv.is_empty() {
        return None;
    }
    let env: BTreeMap<String, String> = run
        .env
        .iter()
        .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    Some(Launch {
        argv,
        env,
        workdir: if run.working_dir.is_empty() { "/".into() } else { run.working_dir.clone() },
        user: run.user.clone(),
        stop_signal: stop_signal(run.stop_signal.as_deref()),
    })
}

/// `SIGQUIT`, `QUIT` or a number; SIGTERM where it is anything else.
fn stop_signal(text: Option<&str>) -> i32 {
    let Some(text) = text else { return Signal::SIGTERM as i32 };
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).unwrap_or(Signal::SIGTERM) as i32;
    }
    let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
    Signal::from_str(&name).unwrap_or(Signal::SIGTERM) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_signals() {
        for (text, signal) in [
            (None, Signal::SIGTERM),
            (Some("SIGQUIT"), Signal::SIGQUIT),
            (Some("INT"), Signal::SIGINT),
            (Some("3"), Signal::SIGQUIT),
            (Some("nonsense"), Signal::SIGTERM),
        ] {
            assert_eq!(stop_signal(text), signal as i32, "{text:?}");
        }
    }
}
