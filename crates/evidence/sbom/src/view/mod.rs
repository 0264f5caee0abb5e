//! The files of an image as a container would see them.

mod tree;

use std::collections::HashMap;

use tree::Kind;
pub(crate) use tree::Tree;

/// The file tree of the image, once all of it was read: for looking things up
/// while cataloging. Paths may have a leading `/`; symbolic links are followed
/// inside the root.
#[derive(Debug)]
pub(crate) struct View<'a> {
    tree: &'a Tree,
    /// By real path without leading `/`: the base package URL of its owner.
    owners: &'a HashMap<String, String>,
}

impl<'a> View<'a> {
    pub(crate) fn new(tree: &'a Tree, owners: &'a HashMap<String, String>) -> Self {
        Self { tree, owners }
    }

    /// Whether there is a regular file.
    pub(crate) fn is_file(&self, path: &str) -> bool {
        self.tree.find(path).is_some_and(|id| matches!(self.tree.kind(id), Kind::File(_)))
    }

    /// Whether there is a directory.
    pub(crate) fn is_directory(&self, path: &str) -> bool {
        self.tree.find(path).is_some_and(|id| self.tree.kind(id) == Kind::Directory)
    }

    /// The path without symbolic links and without a leading `/`: the one by
    /// which [`crate::catalog::Found`] has it.
    pub(crate) fn real_path(&self, path: &str) -> Option<String> {
        self.tree.find(path).map(|id| self.tree.path(id))
    }

    /// The names in a directory, sorted; none where there is no directory.
    pub(crate) fn children(&self, directory: &str) -> Vec<&'a str> {
        self.tree.find(directory).map(|id| self.tree.children(id)).unwrap_or_default()
    }

    /// Package URL, without qualifiers, of the operating system package that
    /// owns the file. Only known to catalogers of languages, which come last;
    /// most need not ask: [`crate::Component::owner`] is filled for them.
    pub(crate) fn owner(&self, path: &str) -> Option<&'a str> {
        self.owners.get(&self.real_path(path)?).map(String::as_str)
    }
}
