//! What a cataloger hands back.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::component::Component;
use crate::os::Distribution;

/// Something that was not read, or not understood. The SBOM that has one is
/// incomplete and says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Warning {
    /// Path in the image, absolute; a layer; a lock file.
    pub path: String,
    /// What was not read and why; no full stop.
    pub reason: String,
}

/// The most dependencies that one cataloger may report. Each is written as a
/// whole package URL, so that small files could ask for much memory.
const MOST_EDGES: usize = 500_000;

/// Components and warnings of one cataloger.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cataloger: &'static str,
    /// How many more components may be added.
    room: usize,
    /// Dependencies of all components so far.
    edges: usize,
    pub(crate) components: Vec<Component>,
    pub(crate) warnings: BTreeSet<Warning>,
    /// Path without leading `/`, and the index of the component that owns it.
    owned: Vec<(String, usize)>,
    /// What `os-release` says; only one cataloger knows.
    pub(crate) distribution: Option<Distribution>,
}

impl Report {
    pub(crate) fn new(cataloger: &'static str, room: usize) -> Self {
        Self { cataloger, room, ..Self::default() }
    }

    /// Adds a component. Order does not matter, and the same one may be added
    /// several times: those with one package URL are merged. Returns a number
    /// for [`Report::owns`].
    pub(crate) fn add(&mut self, mut component: Component) -> usize {
        if self.components.len() >= self.room {
            self.warn("", "there are more components than are listed");
            return usize::MAX;
        }
        for key in ["download_url", "repository_url", "vcs_url"] {
            if let Some(place) = component.qualifiers.get_mut(key) {
                *place = public(place);
            }
        }
        self.edges += component.depends_on.len();
        if self.edges > MOST_EDGES {
            self.edges = MOST_EDGES;
            component.depends_on.clear();
            self.warn("", "there are more dependencies than are listed");
        }
        component.found_by.insert(self.cataloger.to_owned());
        self.components.push(component);
        self.components.len() - 1
    }

    /// Warns about a file (without leading `/`) that could not be read or
    /// understood, as a whole or in part.
    pub(crate) fn warn(&mut self, path: &str, reason: impl Into<String>) {
        let reason: String = reason.into();
        let reason = format!("{}: {}", self.cataloger, crate::catalog::Unread::new(reason).reason());
        self.warnings.insert(Warning { path: format!("/{path}"), reason });
    }

    /// An operating system package, by the number that [`Report::add`] gave,
    /// owns this path (without leading `/`).
    pub(crate) fn owns(&mut self, component: usize, path: impl Into<String>) {
        if component < self.components.len() {
            self.owned.push((path.into(), component));
        }
    }

    /// Real path and base package URL of the owner of each owned path.
    /// Packages name files through symbolic links (`lib` for `usr/lib`).
    pub(crate) fn owners(&mut self, real_path: impl Fn(&str) -> Option<String>) -> HashMap<String, String> {
        let purls: Vec<String> = self.components.iter().map(Component::base_purl).collect();
        let owned = std::mem::take(&mut self.owned);
        let real =
            owned.into_iter().filter_map(|(path, index)| Some((real_path(&path)?, purls[index].clone())));
        real.collect()
    }
}

/// A URL as everybody may see it. Lock files have passwords and tokens in
/// theirs, and paths of whoever built.
fn public(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else { return place.into() };
    if scheme.ends_with("file") {
        return format!("{scheme}://.");
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    // `git@` is how a server is called by SSH, and no secret.
    let is_web = scheme.ends_with("http") || scheme.ends_with("https");
    let user = if is_web { "" } else { user.split(':').next().unwrap_or_default() };
    let at = if user.is_empty() { "" } else { "@" };
    // The revision of a repository is behind its path.
    let (path, rest) = path.split_once('?').unwrap_or((path, ""));
    let revision = rest.rfind('@').filter(|_| scheme.contains('+')).map_or("", |at| &rest[at..]);
    format!("{scheme}://{user}{at}{host}{path}{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_without_secrets() {
        for (place, expected) in [
            ("https://user:secret@example.com/a@b", "https://example.com/a@b"),
            ("https://token@example.com", "https://example.com"),
            ("https://example.com/a.zip?X-Signature=secret", "https://example.com/a.zip"),
            ("git+https://t:s@example.com/a.git@0123", "git+https://example.com/a.git@0123"),
            ("git+https://example.com/a?token=secret@0123", "git+https://example.com/a@0123"),
            ("git+ssh://git:secret@example.com/a.git@0123", "git+ssh://git@example.com/a.git@0123"),
            ("file:///home/me/a.whl", "file://."),
            ("file://.", "file://."),
            ("nowhere", "nowhere"),
        ] {
            assert_eq!(public(place), expected);
            let mut component = Component::new("generic", "a", "1");
            component.qualifiers.insert("vcs_url".into(), place.into());
            let mut report = Report::new("x", 10);
            report.add(component);
            assert_eq!(report.components[0].qualifiers["vcs_url"], expected);
        }
    }
}
