//! The file tree of an image: layers applied one over the other, links
//! resolved inside the root. Names only; contents are elsewhere.
//!
//! A million entries need some 70 MB: nodes are rows of one table, names are
//! pieces of one text, and children are found through one hash table.

use std::hash::{BuildHasher, RandomState};

/// A row of the table; the root is 0.
pub(crate) type Id = u32;

/// No node, no inode.
pub(crate) const NONE: u32 = u32::MAX;

const ROOT: Id = 0;

/// Symbolic links that are followed on the way to one path, as Linux does.
const LINKS: u32 = 40;

/// Parts of a path, and, with those of the links on the way, of a walk.
const DEPTH: usize = 255;
const STEPS: usize = 1024;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// With the number of its content, shared by hard links.
    File(u32),
    /// With the place of its target in the text.
    Symlink(u32),
    /// Devices and pipes: they only take a name.
    Other,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: Id,
    name: u32,
    name_length: u16,
    /// The layer that wrote it last.
    layer: u16,
    /// Of a directory: the last layer in which everything below it was known
    /// to be of that layer. Keeps hiding linear, whatever is hidden how often.
    clean: u16,
    first_child: Id,
    next: Id,
    previous: Id,
    /// Next node of the same bucket.
    chain: Id,
    kind: Kind,
}

/// Why an entry has no place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// Something on the way is not a directory, or links form a cycle.
    Unreachable,
    /// The tree has as many nodes as it may.
    Full,
}

/// The tree.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    text: String,
    buckets: Vec<Id>,
    hasher: RandomState,
    layer: u16,
    most: usize,
}

impl Tree {
    /// An empty root; at most so many nodes.
    pub(crate) fn new(most: u64) -> Self {
        let root = Node {
            parent: ROOT,
            name: 0,
            name_length: 0,
            layer: 0,
            clean: 0,
            first_child: NONE,
            next: NONE,
            previous: NONE,
            chain: NONE,
            kind: Kind::Directory,
        };
        Self {
            nodes: vec![root],
            text: String::new(),
            buckets: vec![NONE; 1024],
            hasher: RandomState::new(),
            layer: 0,
            most: usize::try_from(most).unwrap_or(usize::MAX).min(NONE as usize - 1),
        }
    }

    /// What is put from now on belongs to the next layer.
    pub(crate) fn next_layer(&mut self) {
        self.layer += 1;
    }

    fn name(&self, id: Id) -> &str {
        let node = &self.nodes[id as usize];
        &self.text[node.name as usize..][..node.name_length.into()]
    }

    /// The kind of a node.
    pub(crate) fn kind(&self, id: Id) -> Kind {
        self.nodes[id as usize].kind
    }

    fn bucket(&self, parent: Id, name: &str) -> usize {
        let hash = self.hasher.hash_one((parent, name));
        usize::try_from(hash & (self.buckets.len() as u64 - 1)).expect("less than the number of buckets")
    }

    fn child(&self, parent: Id, name: &str) -> Option<Id> {
        let mut id = self.buckets[self.bucket(parent, name)];
        while id != NONE {
            let node = &self.nodes[id as usize];
            if node.parent == parent && self.name(id) == name {
                return Some(id);
            }
            id = node.chain;
        }
        None
    }

    fn grow(&mut self) {
        self.buckets = vec![NONE; self.buckets.len() * 2];
        // Nodes below a removed directory are chained too: nobody asks for
        // them, since its number is never given again.
        for id in 1..self.nodes.len() {
            let id = Id::try_from(id).expect("ids are numbers of rows");
            if self.nodes[id as usize].parent != NONE {
                let bucket = self.bucket(self.nodes[id as usize].parent, self.name(id));
                self.nodes[id as usize].chain = std::mem::replace(&mut self.buckets[bucket], id);
            }
        }
    }

    fn store(&mut self, text: &str) -> Result<u32, Misplaced> {
        let at = u32::try_from(self.text.len()).map_err(|_| Misplaced::Full)?;
        self.text.push_str(text);
        Ok(at)
    }

    fn insert(&mut self, parent: Id, name: &str, kind: Kind) -> Result<Id, Misplaced> {
        if self.nodes.len() > self.most {
            return Err(Misplaced::Full);
        }
        if self.nodes.len() >= self.buckets.len() {
            self.grow();
        }
        let id = Id::try_from(self.nodes.len()).map_err(|_| Misplaced::Full)?;
        let name_length = u16::try_from(name.len()).map_err(|_| Misplaced::Unreachable)?;
        let at = self.store(name)?;
        let bucket = self.bucket(parent, name);
        let next = std::mem::replace(&mut self.nodes[parent as usize].first_child, id);
        if next != NONE {
            self.nodes[next as usize].previous = id;
        }
        self.nodes.push(Node {
            parent,
            name: at,
            name_length,
            layer: self.layer,
            clean: self.layer,
            first_child: NONE,
            next,
            previous: NONE,
            chain: std::mem::replace(&mut self.buckets[bucket], id),
            kind,
        });
        Ok(id)
    }

    /// Takes a node, and with it all below it, out of the tree.
    fn remove(&mut self, id: Id) {
        if id == ROOT {
            return;
        }
        let Node { parent, next, previous, chain, .. } = self.nodes[id as usize];
        match previous {
            NONE => self.nodes[parent as usize].first_child = next,
            _ => self.nodes[previous as usize].next = next,
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        let bucket = self.bucket(parent, self.name(id));
        let mut at = self.buckets[bucket];
        if at == id {
            self.buckets[bucket] = chain;
        } else {
            while at != NONE {
                let following = self.nodes[at as usize].chain;
                if following == id {
                    self.nodes[at as usize].chain = chain;
                    break;
                }
                at = following;
            }
        }
        self.nodes[id as usize].parent = NONE;
    }

    /// The node at `path`, with links resolved inside the root; those that
    /// lead nowhere, or in circles, lead to `None`.
    pub(crate) fn find(&self, path: &str) -> Option<Id> {
        self.walk(path, true)
    }

    /// As [`Tree::find`], but not through a link that is the last part.
    pub(crate) fn find_itself(&self, path: &str) -> Option<Id> {
        self.walk(path, false)
    }

    fn walk(&self, path: &str, follow_last: bool) -> Option<Id> {
        let mut at = ROOT;
        let (mut links, mut steps) = (0, 0);
        // What is still to be walked, the next part last.
        let mut ahead: Vec<&str> = path.rsplit('/').take(STEPS).collect();
        while let Some(part) = ahead.pop() {
            steps += 1;
            if steps > STEPS {
                return None;
            }
            match part {
                "" | "." => continue,
                ".." => {
                    at = self.nodes[at as usize].parent;
                    continue;
                }
                _ => {}
            }
            let child = self.child(at, part)?;
            match self.kind(child) {
                Kind::Symlink(_) if follow_last || ahead.iter().any(|part| !part.is_empty()) => {
                    links += 1;
                    if links > LINKS {
                        return None;
                    }
                    let target = self.target(child);
                    if target.starts_with('/') {
                        at = ROOT;
                    }
                    ahead.extend(target.rsplit('/').take(STEPS));
                }
                Kind::Directory => at = child,
                _ if ahead.iter().all(|part| part.is_empty()) => return Some(child),
                _ => return None,
            }
        }
        Some(at)
    }

    fn target(&self, id: Id) -> &str {
        let Kind::Symlink(at) = self.kind(id) else { return "" };
        let text = &self.text[at as usize..];
        text.split_once('\0').map_or(text, |(target, _)| target)
    }

    /// The directory at `path`, made where it is absent, as a runtime that
    /// unpacks does; links on the way are followed.
    fn directory(&mut self, path: &str) -> Result<Id, Misplaced> {
        if let Some(id) = self.find(path) {
            return if self.kind(id) == Kind::Directory { Ok(id) } else { Err(Misplaced::Unreachable) };
        }
        let mut at = ROOT;
        let (mut links, mut steps) = (0, 0);
        let mut ahead: Vec<String> = path.rsplit('/').take(STEPS).map(str::to_owned).collect();
        while let Some(part) = ahead.pop() {
            steps += 1;
            if steps > STEPS {
                return Err(Misplaced::Unreachable);
            }
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at = self.nodes[at as usize].parent;
                    continue;
                }
                _ => {}
            }
            let child = match self.child(at, &part) {
                Some(child) => child,
                None => self.insert(at, &part, Kind::Directory)?,
            };
            match self.kind(child) {
                Kind::Directory => at = child,
                Kind::Symlink(_) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Misplaced::Unreachable);
                    }
                    let target = self.target(child);
                    let absolute = target.starts_with('/');
                    let parts: Vec<String> = target.rsplit('/').take(STEPS).map(str::to_owned).collect();
                    if absolute {
                        at = ROOT;
                    }
                    ahead.extend(parts);
                }
                _ => return Err(Misplaced::Unreachable),
            }
        }
        Ok(at)
    }

    /// Puts an entry at `path`, in place of what is there; a directory leaves
    /// a directory as it is.
    pub(crate) fn put(&mut self, path: &str, kind: Kind) -> Result<Id, Misplaced> {
        if path.split('/').count() > DEPTH {
            return Err(Misplaced::Unreachable);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.directory(parent)?;
        if let Some(there) = self.child(parent, name) {
            let old = self.kind(there);
            if old == Kind::Directory && kind == Kind::Directory {
                self.nodes[there as usize].layer = self.layer;
                return Ok(there);
            }
            if old != Kind::Directory {
                // The row is used again: however often an entry is replaced,
                // the table does not grow.
                let node = &mut self.nodes[there as usize];
                (node.kind, node.layer, node.clean) = (kind, self.layer, self.layer);
                return Ok(there);
            }
            self.remove(there);
        }
        self.insert(parent, name, kind)
    }

    /// Puts a symbolic link.
    pub(crate) fn put_symlink(&mut self, path: &str, target: &str) -> Result<Id, Misplaced> {
        let target = target.split('\0').next().unwrap_or_default();
        let at = self.store(target)?;
        self.store("\0")?;
        self.put(path, Kind::Symlink(at))
    }

    /// Hides what lower layers have at `path`. What this layer put there
    /// stays, as the order of entries means nothing.
    pub(crate) fn hide(&mut self, path: &str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(parent) = self.find(parent) else { return };
        let Some(id) = self.child(parent, name) else { return };
        self.hide_node(id);
    }

    /// Hides all that lower layers have below the directory at `path`.
    pub(crate) fn hide_content(&mut self, path: &str) {
        let Some(id) = self.find(path) else { return };
        let node = &mut self.nodes[id as usize];
        if node.kind == Kind::Directory && node.clean != self.layer {
            node.clean = self.layer;
            for child in self.child_ids(id).collect::<Vec<_>>() {
                self.hide_node(child);
            }
        }
    }

    /// Removes a node that this layer did not write; of a directory in which
    /// this layer wrote something, all the rest.
    fn hide_node(&mut self, id: Id) {
        // Parents before their children.
        let mut found = Vec::new();
        let mut ahead = vec![id];
        while let Some(id) = ahead.pop() {
            found.push(id);
            let node = &mut self.nodes[id as usize];
            if node.kind == Kind::Directory && node.clean != self.layer {
                node.clean = self.layer;
                ahead.extend(self.child_ids(id));
            }
        }
        for id in found.into_iter().rev() {
            let node = &self.nodes[id as usize];
            if node.layer != self.layer && node.first_child == NONE {
                self.remove(id);
            }
        }
    }

    fn child_ids(&self, id: Id) -> impl Iterator<Item = Id> {
        let first = self.nodes[id as usize].first_child;
        std::iter::successors((first != NONE).then_some(first), |&id| {
            let next = self.nodes[id as usize].next;
            (next != NONE).then_some(next)
        })
    }

    /// The real path of a node, without a leading `/`.
    pub(crate) fn path(&self, mut id: Id) -> String {
        let mut parts = Vec::new();
        while id != ROOT && id != NONE {
            parts.push(self.name(id));
            id = self.nodes[id as usize].parent;
        }
        parts.reverse();
        parts.join("/")
    }

    /// Calls `visit` for each regular file with its path and the number of its
    /// content, in no particular order.
    pub(crate) fn files(&self, mut visit: impl FnMut(&str, u32)) {
        let mut path = String::new();
        // A directory is on the stack with the length of its path.
        let mut ahead: Vec<(Id, usize)> = self.child_ids(ROOT).map(|id| (id, 0)).collect();
        while let Some((id, length)) = ahead.pop() {
            path.truncate(length);
            if length > 0 {
                path.push('/');
            }
            path.push_str(self.name(id));
            match self.kind(id) {
                Kind::File(inode) => visit(&path, inode),
                Kind::Directory => {
                    let length = path.len();
                    ahead.extend(self.child_ids(id).map(|id| (id, length)));
                }
                Kind::Symlink(_) | Kind::Other => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
