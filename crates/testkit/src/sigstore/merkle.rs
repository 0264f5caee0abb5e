//! A Merkle tree as in RFC 6962 (2.1): leaves, root, inclusion proofs.

use super::keys::sha256;

/// The tree of one log. It keeps the leaves and computes the rest anew: test
/// logs are small.
#[derive(Debug, Default)]
pub(super) struct Tree {
    leaves: Vec<[u8; 32]>,
}

impl Tree {
    /// Appends an entry; its index.
    pub(super) fn append(&mut self, entry: &[u8]) -> usize {
        self.leaves.push(leaf_hash(entry));
        self.leaves.len() - 1
    }

    pub(super) fn size(&self) -> usize {
        self.leaves.len()
    }

    /// The root over all leaves.
    pub(super) fn root(&self) -> [u8; 32] {
        root(&self.leaves)
    }

    /// The proof that leaf `index` is in the tree of all leaves, lowest first.
    pub(super) fn inclusion(&self, index: usize) -> Vec<[u8; 32]> {
        path(index, &self.leaves)
    }
}

/// The hash of one leaf.
pub(super) fn leaf_hash(entry: &[u8]) -> [u8; 32] {
    sha256(&[&[0], entry].concat())
}

fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

fn path(index: usize, leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut below, beside) = if index < left.len() {
        (path(index, left), root(right))
    } else {
        (path(index - left.len(), right), root(left))
    };
    below.push(beside);
    below
}

/// The largest power of two below `count`, which is at least two.
fn split(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9162, 2.1.3.2.
    fn verifies(leaf: [u8; 32], index: usize, size: usize, proof: &[[u8; 32]], expected: [u8; 32]) -> bool {
        let (mut from, mut last, mut hash) = (index, size - 1, leaf);
        for beside in proof {
            if last == 0 {
                return false;
            }
            if from % 2 == 1 || from == last {
                hash = node_hash(beside, &hash);
                while from % 2 == 0 && from != 0 {
                    from >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, beside);
            }
            from >>= 1;
            last >>= 1;
        }
        last == 0 && hash == expected
    }

    #[test]
    fn every_leaf_of_every_size_is_proven() {
        let mut tree = Tree::default();
        for size in 1..=70_usize {
            tree.append(&size.to_be_bytes());
            for index in 0..size {
                let proof = tree.inclusion(index);
                let leaf = leaf_hash(&(index + 1).to_be_bytes());
                assert!(verifies(leaf, index, size, &proof, tree.root()), "{index} of {size}");
                let other = leaf_hash(b"another");
                assert!(!verifies(other, index, size, &proof, tree.root()), "{index} of {size}");
            }
        }
    }

    #[test]
    fn the_empty_tree_has_the_hash_of_nothing() {
        assert!(hex_root(&Tree::default()).starts_with("e3b0c44298fc1c14"));
    }

    fn hex_root(tree: &Tree) -> String {
        super::super::keys::hex(&tree.root())
    }
}
