//! The Merkle tree of RFC 6962, section 2.1, over entry hashes. Pure.
//!
//! Leaf `i` (from 0) is `SHA-256(0x00 || hash of entry i+1)`, a node is
//! `SHA-256(0x01 || left || right)`. The root of the empty tree is the SHA-256
//! of nothing.
//!
//! A subtree of `2^level` leaves is *complete*; it never changes again once
//! its last leaf is there, so its hash is stored with the entry that completed
//! it. The roots of the complete subtrees a tree of some size is made of, from
//! the largest to the smallest, are its [`Frontier`].

use aws_lc_rs::digest::{Context, SHA256};
use plimsoll_model::Digest;

use crate::entry::digest_of;

/// Hash of a leaf.
pub fn leaf_hash(entry_hash: &Digest) -> Digest {
    let mut sha256 = Context::new(&SHA256);
    sha256.update(&[0]);
    sha256.update(entry_hash.as_bytes());
    digest_of(sha256.finish().as_ref())
}

/// Hash of an inner node.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut sha256 = Context::new(&SHA256);
    sha256.update(&[1]);
    sha256.update(left.as_bytes());
    sha256.update(right.as_bytes());
    digest_of(sha256.finish().as_ref())
}

/// Root of the tree without leaves.
pub fn empty_root() -> Digest {
    digest_of(aws_lc_rs::digest::digest(&SHA256, b"").as_ref())
}

/// The right edge of a tree: all that is needed to add a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// One per set bit of `size`, largest subtree first.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The frontier with these peaks, if there are as many as a tree of that
    /// size has.
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Adds a leaf; the hashes of the complete subtrees it ends, level 1 first.
    pub fn push(&mut self, entry_hash: &Digest) -> Vec<Digest> {
        let mut completed = Vec::new();
        let mut node = leaf_hash(entry_hash);
        for _ in 0..self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak for each set bit of the size");
            node = node_hash(&left, &node);
            completed.push(node);
        }
        self.peaks.push(node);
        self.size += 1;
        completed
    }

    /// Root of the tree.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => empty_root(),
            Some(smallest) => peaks.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }
}

/// A subtree `[first, first + 2^level)` of leaves, complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complete {
    /// Height above the leaves.
    pub level: u32,
    /// Index of its first leaf, a multiple of `2^level`.
    pub first: u64,
}

/// Hash of the leaves `[first, end)`, where `first` is the start of a subtree
/// of the tree (RFC 6962: `MTH(D[first:end])`); complete parts from `complete`.
fn range_hash<E>(
    first: u64,
    end: u64,
    complete: &mut impl FnMut(Complete) -> Result<Digest, E>,
) -> Result<Digest, E> {
    let n = end - first;
    if n == 0 {
        return Ok(empty_root());
    }
    if n.is_power_of_two() {
        return complete(Complete { level: n.trailing_zeros(), first });
    }
    let middle = first + split(n);
    let left = range_hash(first, middle, complete)?;
    Ok(node_hash(&left, &range_hash(middle, end, complete)?))
}

/// Largest power of two smaller than `n`; `n` is at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Root of the first `size` leaves.
///
/// # Errors
/// Those of `complete`.
pub fn root<E>(size: u64, mut complete: impl FnMut(Complete) -> Result<Digest, E>) -> Result<Digest, E> {
    range_hash(0, size, &mut complete)
}

/// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962,
/// section 2.1.1); nearest the leaf first. `index < size`.
///
/// # Errors
/// Those of `complete`.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut complete: impl FnMut(Complete) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut first, mut end) = (0, size);
    let mut path = Vec::new();
    while end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(range_hash(middle, end, &mut complete)?);
            end = middle;
        } else {
            path.push(range_hash(first, middle, &mut complete)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` leaves is the start of the tree of `new`
/// leaves (RFC 6962, section 2.1.2). `0 < old <= new`.
///
/// # Errors
/// Those of `complete`.
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut complete: impl FnMut(Complete) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut first, mut end) = (0, new);
    let mut path = Vec::new();
    // Whether the old tree's own root is a node on this way down.
    let mut whole = true;
    while end != old {
        let middle = first + split(end - first);
        if old <= middle {
            path.push(range_hash(middle, end, &mut complete)?);
            end = middle;
        } else {
            path.push(range_hash(first, middle, &mut complete)?);
            first = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range_hash(first, end, &mut complete)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `proof` shows that the entry is leaf `index` of the tree of `size`
/// leaves with this root (RFC 9162, section 2.1.3.2).
pub fn verify_inclusion(entry_hash: &Digest, index: u64, size: u64, proof: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = leaf_hash(entry_hash);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree `old` with `old_root` is the start of
/// the tree `new` with `new_root` (RFC 9162, section 2.1.4.2).
pub fn verify_consistency(
    old: u64,
    old_root: &Digest,
    new: u64,
    new_root: &Digest,
    proof: &[Digest],
) -> bool {
    if old == 0 || old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    let mut path = proof.iter();
    let seed = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(seed) = seed else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (*seed, *seed);
    for node in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            from_old = node_hash(node, &from_old);
            from_new = node_hash(node, &from_new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, node);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *new_root
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::convert::Infallible;

    fn leaves(n: u64) -> Vec<Digest> {
        (0..n).map(|i| digest_of(aws_lc_rs::digest::digest(&SHA256, &i.to_be_bytes()).as_ref())).collect()
    }

    /// The definition of RFC 6962 section 2.1, word for word.
    fn mth(leaves: &[Digest]) -> Digest {
        match leaves.len() {
            0 => empty_root(),
            1 => leaf_hash(&leaves[0]),
            n => {
                let k = (0..).map(|b| 1usize << b).take_while(|k| *k < n).last().unwrap();
                node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    fn from<'a>(leaves: &'a [Digest]) -> impl FnMut(Complete) -> Result<Digest, Infallible> + 'a {
        |c| Ok(mth(&leaves[c.first as usize..(c.first + (1 << c.level)) as usize]))
    }

    #[test]
    fn frontier_and_root_follow_the_definition() {
        let all = leaves(70);
        let mut frontier = Frontier::default();
        for n in 0..70usize {
            let expected = mth(&all[..n]);
            assert_eq!(frontier.root(), expected, "{n}");
            assert_eq!(root(n as u64, from(&all)).unwrap(), expected, "{n}");
            let completed = frontier.push(&all[n]);
            for (level, node) in (1..).zip(&completed) {
                assert_eq!(*node, mth(&all[n + 1 - (1 << level)..=n]));
            }
            assert_eq!(completed.len() as u32, (n as u64 + 1).trailing_zeros());
        }
    }

    /// Test vector of the certificate-transparency project: leaf "" alone.
    #[test]
    fn known_constants() {
        assert_eq!(empty_root().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn every_inclusion_proof_verifies_and_no_other_does() {
        let all = leaves(34);
        for n in 1..=33u64 {
            let top = mth(&all[..n as usize]);
            for i in 0..n {
                let proof = inclusion_proof(i, n, from(&all)).unwrap();
                let ok = |entry: &Digest, i, n, p: &[Digest]| verify_inclusion(entry, i, n, p, &top);
                let entry = &all[i as usize];
                assert!(ok(entry, i, n, &proof), "{i} in {n}");
                assert!(!ok(&all[i as usize + 1], i, n, &proof));
                assert!(!ok(entry, n, n, &proof));
                if n > 1 {
                    assert!(!ok(entry, (i + 1) % n, n, &proof));
                    assert!(!ok(entry, i, n, &proof[1..]));
                }
                let mut longer = proof.clone();
                longer.push(top);
                assert!(!ok(entry, i, n, &longer));
            }
        }
    }

    #[test]
    fn every_consistency_proof_verifies_and_no_other_does() {
        let all = leaves(34);
        for new in 1..=33u64 {
            let new_root = mth(&all[..new as usize]);
            for old in 1..=new {
                let old_root = mth(&all[..old as usize]);
                let proof = consistency_proof(old, new, from(&all)).unwrap();
                assert!(verify_consistency(old, &old_root, new, &new_root, &proof), "{old} {new}");
                if old < new {
                    assert!(!verify_consistency(old, &new_root, new, &new_root, &proof));
                    assert!(!verify_consistency(old, &old_root, new, &old_root, &proof));
                    assert!(!verify_consistency(old, &old_root, new, &new_root, &proof[1..]));
                }
            }
        }
        assert!(!verify_consistency(0, &empty_root(), 1, &mth(&all[..1]), &[]));
    }
}
