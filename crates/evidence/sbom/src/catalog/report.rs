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
