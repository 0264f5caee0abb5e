//! Sparse files: GNU's old form and the three PAX forms (GNU tar manual,
//! "Storing Sparse Files"). A map lists the parts that have data.

use super::header::number;
use super::pax::decimal;

/// Parts with data: offset in the file and length, ascending.
pub(super) type Map = Vec<(u64, u64)>;

/// The most parts that are read.
pub(super) const PARTS: usize = 1 << 16;

/// Adds the parts of `block`, an array of 24-byte entries of which an empty
/// one is the last.
pub(super) fn add_old_parts(map: &mut Map, block: &[u8]) -> Option<()> {
    for entry in block.chunks_exact(24) {
        if entry[0] == 0 || entry[12] == 0 {
            break;
        }
        let part = |field| number(field).and_then(|n| u64::try_from(n).ok());
        map.push((part(&entry[..12])?, part(&entry[12..])?));
    }
    (map.len() <= PARTS).then_some(())
}

/// `offset,length,offset,length,…` (PAX format 0.1).
pub(super) fn parse_list(text: &str) -> Option<Map> {
    let numbers: Vec<u64> = text.split(',').take(2 * PARTS + 1).map(decimal).collect::<Option<_>>()?;
    pairs(&numbers)
}

/// Offsets and lengths in turn.
pub(super) fn pairs(numbers: &[u64]) -> Option<Map> {
    if !numbers.len().is_multiple_of(2) || numbers.len() > 2 * PARTS {
        return None;
    }
    Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Whether the parts ascend, do not overlap, end within the file, and have
/// exactly the data that is stored.
pub(super) fn is_consistent(map: &Map, file_size: u64, stored: u64) -> bool {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for &(offset, length) in map {
        if offset < end {
            return false;
        }
        match (offset.checked_add(length), sum.checked_add(length)) {
            (Some(part_end), Some(new_sum)) => (end, sum) = (part_end, new_sum),
            _ => return false,
        }
    }
    end <= file_size && sum == stored
}
