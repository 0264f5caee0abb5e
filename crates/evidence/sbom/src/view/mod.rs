//! The files of an image as a container would see them, and what catalogers
//! read in them.

mod directory;
mod journal;
mod layers;
mod read;
mod tree;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::Limits;
use crate::catalog::{Fact, Found, Matcher, Origin, Registered, Unread, Wanted};
use crate::os::Distribution;
use journal::{Journal, Reading, What};
pub(crate) use layers::Layers;
use layers::{Selection, WHITEOUT, cores, is_whiteout};
pub(crate) use read::Shared;
pub(crate) use tree::Tree;
use tree::{Kind, Misplaced};

/// Everything that was read in an image.
pub(crate) struct Files {
    pub(crate) tree: Tree,
    /// Layer and number of the entry that has the content.
    inodes: Vec<(u16, u32)>,
    /// By layer.
    readings: Vec<BTreeMap<u32, Reading>>,
    /// About the layers and their entries, in order.
    pub(crate) warnings: Vec<(String, Unread)>,
}

/// Warnings of one layer about its entries; the rest is counted.
const SHOWN: usize = 20;

impl Files {
    /// Reads all layers of an image and applies them one over the other.
    ///
    /// # Errors
    /// Those of [`plimsoll_oci::LayerReader`].
    pub(crate) fn of_image(
        layers: &Layers<'_>,
        catalogers: &[Box<dyn Registered>],
        matcher: &Matcher,
        limits: Limits,
    ) -> plimsoll_oci::Result<Self> {
        // Each reader has a thread of its own that decompresses.
        Self::of_image_on(cores().div_ceil(2), layers, catalogers, matcher, limits)
    }

    fn of_image_on(
        threads: usize,
        layers: &Layers<'_>,
        catalogers: &[Box<dyn Registered>],
        matcher: &Matcher,
        limits: Limits,
    ) -> plimsoll_oci::Result<Self> {
        let mut shared = Shared::new(catalogers, matcher, limits);
        let mut journals = layers.read(&shared, threads)?;
        if shared.is_exhausted() && threads > 1 {
            // What was left out must not depend on which thread was faster.
            shared = Shared::new(catalogers, matcher, limits);
            journals = layers.read(&shared, 1)?;
        }
        let mut files = Self::new(limits);
        for journal in journals {
            files.apply(journal, true);
        }
        files.read_again(layers, &shared)?;
        Ok(files)
    }

    /// Reads an unpacked directory.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) fn of_directory(
        root: &Path,
        catalogers: &[Box<dyn Registered>],
        matcher: &Matcher,
        limits: Limits,
    ) -> std::io::Result<Self> {
        // One more walks.
        Self::of_directory_on(cores().saturating_sub(1).max(1), root, catalogers, matcher, limits)
    }

    fn of_directory_on(
        threads: usize,
        root: &Path,
        catalogers: &[Box<dyn Registered>],
        matcher: &Matcher,
        limits: Limits,
    ) -> std::io::Result<Self> {
        let mut shared = Shared::new(catalogers, matcher, limits);
        let mut journal = directory::read(&shared, root, threads)?;
        if shared.is_exhausted() && threads > 1 {
            shared = Shared::new(catalogers, matcher, limits);
            journal = directory::read(&shared, root, 1)?;
        }
        let mut files = Self::new(limits);
        files.apply(journal, false);
        Ok(files)
    }

    fn new(limits: Limits) -> Self {
        // Directories that no entry names need room too.
        let tree = Tree::new(limits.entries.saturating_add(limits.entries / 4));
        Self { tree, inodes: Vec::new(), readings: Vec::new(), warnings: Vec::new() }
    }

    fn apply(&mut self, journal: Journal, whiteouts: bool) {
        let layer = u16::try_from(self.readings.len()).expect("an image has at most 1024 layers");
        let Self { tree, inodes, warnings, .. } = self;
        let mut refused = journal.warnings.len().saturating_sub(SHOWN);
        warnings.extend(journal.warnings.iter().take(SHOWN).cloned());
        let mut shown = 0;
        tree.next_layer();
        journal.replay(|number, path, what, target| {
            if path.is_empty() {
                return;
            }
            if whiteouts && is_whiteout(path) {
                return hide(tree, path);
            }
            let put = match what {
                What::Directory => tree.put(path, Kind::Directory),
                What::Other => tree.put(path, Kind::Other),
                What::Symlink => tree.put_symlink(path, target),
                What::File => {
                    let inode = u32::try_from(inodes.len()).expect("entries are counted in 32 bits");
                    inodes.push((layer, number));
                    tree.put(path, Kind::File(inode))
                }
                What::HardLink => {
                    let target = journal::clean(target).ok().and_then(|target| tree.find_itself(&target));
                    match target.map(|id| tree.kind(id)) {
                        None | Some(Kind::Directory) => Err(Misplaced::Unreachable),
                        Some(kind) => tree.put(path, kind),
                    }
                }
            };
            if let Err(why) = put {
                shown += 1;
                if shown > SHOWN {
                    refused += 1;
                    return;
                }
                let why = match why {
                    Misplaced::Full => "left out: there are more files than are read",
                    Misplaced::Unreachable => "left out: no container could have it at this path",
                };
                warnings.push((path.to_owned(), why.into()));
            }
        });
        if refused > 0 {
            warnings.push((String::new(), Unread::new(format!("{refused} more entries were left out"))));
        }
        self.readings.push(journal.readings);
    }

    /// Reads what is wanted by its real path but had another when it streamed
    /// by: another name of a hard link, or a way through a symbolic link.
    fn read_again(&mut self, layers: &Layers<'_>, shared: &Shared<'_>) -> plimsoll_oci::Result<()> {
        let mut missing: BTreeMap<u16, Selection> = BTreeMap::new();
        self.tree.files(|path, inode| {
            let (layer, number) = self.inodes[inode as usize];
            let asked = self.readings[usize::from(layer)].get(&number).map(|reading| reading.asked);
            let wanted = shared.matcher.by_path(path).without(asked.unwrap_or_default());
            if !wanted.is_empty() {
                let selected = missing.entry(layer).or_default().entry(number);
                let (_, all) = selected.or_insert_with(|| (path.to_owned(), Wanted::default()));
                *all = all.union(wanted);
            }
        });
        for (layer, selection) in missing {
            let layer = usize::from(layer);
            let again = layers.read_one(shared, layer, Some(&selection))?;
            for (number, reading) in again.readings {
                let known = self.readings[layer].entry(number).or_default();
                known.asked = known.asked.union(reading.asked);
                known.answers.extend(reading.answers);
            }
        }
        Ok(())
    }

    /// The facts of all files that are in the image, by cataloger, and what
    /// could not be read.
    pub(crate) fn facts(&self, catalogers: usize, matcher: &Matcher) -> Facts<'_> {
        let mut facts = Facts { by_cataloger: vec![Vec::new(); catalogers], failed: Vec::new() };
        self.tree.files(|path, inode| {
            let (layer, number) = self.inodes[inode as usize];
            let Some(reading) = self.readings[usize::from(layer)].get(&number) else { return };
            let wanted = matcher.by_path(path).union(matcher.elf());
            for (cataloger, answer) in reading.answers.iter().filter(|(index, _)| wanted.contains(*index)) {
                match answer {
                    Ok(fact) => facts.by_cataloger[*cataloger].push((path.to_owned(), fact)),
                    Err(why) => facts.failed.push((path.to_owned(), *cataloger, why.clone())),
                }
            }
        });
        facts.by_cataloger.iter_mut().for_each(|found| found.sort_by(|a, b| a.0.cmp(&b.0)));
        facts.failed.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        facts
    }
}

/// Hides what a whiteout names.
fn hide(tree: &mut Tree, path: &str) {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    match &name[WHITEOUT.len()..] {
        ".wh..opq" => tree.hide_content(directory),
        // Bookkeeping of AUFS, and names that are none.
        hidden if hidden.starts_with(WHITEOUT) || matches!(hidden, "" | "." | "..") => {}
        hidden if directory.is_empty() => tree.hide(hidden),
        hidden => tree.hide(&format!("{directory}/{hidden}")),
    }
}

/// What was read in the files of an image.
pub(crate) struct Facts<'a> {
    /// Path and fact, sorted by path.
    by_cataloger: Vec<Vec<(String, &'a Fact)>>,
    /// Path, cataloger, reason.
    pub(crate) failed: Vec<(String, usize, Unread)>,
}

impl Facts<'_> {
    /// Where one cataloger found something.
    pub(crate) fn paths(&self, cataloger: usize) -> impl Iterator<Item = &str> {
        self.by_cataloger[cataloger].iter().map(|(path, _)| path.as_str())
    }

    /// What one cataloger found.
    pub(crate) fn of(&self, cataloger: usize) -> Vec<Found<'_, Fact>> {
        self.by_cataloger[cataloger]
            .iter()
            .map(|&(ref path, fact)| Found { path, origin: Origin::Image, fact })
            .collect()
    }
}

/// The file tree of the image, once all of it was read: for looking things up
/// while cataloging. Paths may have a leading `/`; symbolic links are followed
/// inside the root.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) tree: &'a Tree,
    /// By real path without leading `/`: the base package URL of its owner.
    pub(crate) owners: &'a HashMap<String, String>,
    /// What `os-release` says.
    pub(crate) distribution: Option<&'a Distribution>,
    /// Files that some cataloger knows something of, or has tried to.
    pub(crate) told: Option<&'a HashSet<&'a str>>,
}

impl<'a> View<'a> {
    /// A view without a distribution.
    pub(crate) fn new(tree: &'a Tree, owners: &'a HashMap<String, String>) -> Self {
        Self { tree, owners, distribution: None, told: None }
    }

    /// The path without symbolic links and without a leading `/`: the one by
    /// which [`Found`] has it.
    pub(crate) fn real_path(&self, path: &str) -> Option<String> {
        self.tree.find(path).map(|id| self.tree.path(id))
    }

    /// Whether there is a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.tree.find(path).is_some_and(|id| self.tree.kind(id) == Kind::Directory)
    }

    /// As [`View::real_path`], where it is that of a regular file.
    pub(crate) fn real_file(&self, path: &str) -> Option<String> {
        let id = self.tree.find(path)?;
        matches!(self.tree.kind(id), Kind::File(_)).then(|| self.tree.path(id))
    }

    /// Whether a cataloger other than the one that asks knows something of the
    /// file, or warns about it.
    pub(crate) fn is_told(&self, path: &str) -> bool {
        self.told.is_some_and(|told| told.contains(path))
    }

    /// Package URL, without qualifiers, of the operating system package that
    /// owns the file. Only known to catalogers of languages, which come last;
    /// most need not ask: [`crate::Component::owner`] is filled for them.
    pub(crate) fn owner(&self, path: &str) -> Option<&'a str> {
        self.owners.get(&self.real_path(path)?).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
