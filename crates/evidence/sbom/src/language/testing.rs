//! For tests: a cataloger over files in memory.

use std::collections::HashMap;

use crate::catalog::{Budget, Cataloger, Content, Found, Origin, Report};
use crate::view::{Tree, View};
use crate::{Component, Limits};

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) components: Vec<Component>,
    /// `path: reason`.
    pub(crate) warnings: Vec<String>,
}

impl Outcome {
    /// Package URLs with the scope's initial, sorted.
    pub(crate) fn purls(&self) -> Vec<String> {
        let mut purls: Vec<String> =
            self.components.iter().map(|c| format!("{:?} {}", c.scope, c.purl())).collect();
        purls.sort();
        purls
    }

    /// The only component of this name.
    pub(crate) fn get(&self, name: &str) -> &Component {
        let mut all = self.components.iter().filter(|c| c.name == name);
        let first = all.next().unwrap_or_else(|| panic!("no {name} in {:?}", self.purls()));
        assert!(all.next().is_none(), "{name} was found more than once: {:?}", self.purls());
        first
    }
}

/// Both phases, over files of the image and, with `commit:` before the path,
/// of the commit.
pub(crate) fn run<C: Cataloger>(cataloger: &C, files: &[(&str, &[u8])]) -> Outcome {
    let limits = Limits::default();
    let budget = Budget::new(limits);
    // No cataloger of a language looks at the tree.
    let tree = Tree::new(0);
    let mut report = Report::new(cataloger.name(), limits.components);
    let mut facts = Vec::new();
    for (path, bytes) in files {
        let (origin, path) = match path.strip_prefix("commit:") {
            Some(path) => (Origin::Commit, path),
            None => (Origin::Image, *path),
        };
        match cataloger.read(path, &mut Content::memory(bytes, &budget)) {
            Ok(Some(fact)) => facts.push((origin, path, fact)),
            Ok(None) => {}
            Err(unread) => report.warn(path, unread.reason()),
        }
    }
    facts.sort_by_key(|(origin, path, _)| (*origin, *path));
    let found: Vec<Found<'_, C::Fact>> =
        facts.iter().map(|(origin, path, fact)| Found { path, origin: *origin, fact }).collect();
    let owners = HashMap::new();
    let view = View { tree: &tree, owners: &owners, distribution: None, told: None };
    cataloger.catalog(&view, &found, &mut report);
    Outcome {
        components: report.components,
        warnings: report.warnings.into_iter().map(|w| format!("{}: {}", w.path, w.reason)).collect(),
    }
}

/// Calls `parse` with the bytes cut off at many places and with many single
/// bits turned over: it must come back each time.
pub(crate) fn torture(bytes: &[u8], mut parse: impl FnMut(&[u8])) {
    const CASES: usize = 2_000;
    let step = bytes.len().div_ceil(CASES / 2).max(1);
    for end in (0..bytes.len()).step_by(step) {
        parse(&bytes[..end]);
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut copy = bytes.to_vec();
    for _ in 0..CASES.min(bytes.len() * 8) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let place = usize::try_from(random % (bytes.len() as u64 * 8)).expect("less than a usize");
        copy[place / 8] ^= 1 << (place % 8);
        parse(&copy);
        // Half of the flips stay, so that damage adds up.
        if random & (1 << 40) == 0 {
            copy[place / 8] ^= 1 << (place % 8);
        }
    }
}
