//! `Packages.db`, the database of SUSE: slots that say where headers are.
//!
//! ```text
//! pages of 4096 bytes, each of 256 slots of 16 bytes
//!   the first two slots: "RpmP" version generation pages-of-slots ...
//!   "Slot" package-number offset-in-blocks length-in-blocks      (0: free)
//! blocks of 16 bytes
//!   "BlbS" package-number generation length, then so many bytes, padding,
//!   then a checksum, the length again, and "BlbE"
//! ```
//!
//! All numbers are little-endian (rpm, `lib/backend/ndb`).

use std::collections::BTreeSet;

use super::Database;
use crate::catalog::{Content, Unread};

/// What the file begins with.
pub(super) const MAGIC: &[u8] = b"RpmP";

const PAGE: u64 = 4096;
const SLOT: usize = 16;
const BLOCK: u64 = 16;
const BLOB_HEAD: u64 = 16;
/// Pages of slots: 256 packages each.
const SLOT_PAGES: u32 = 2048;

/// Reads all headers.
pub(super) fn read(content: &mut Content<'_>) -> Result<Database, Unread> {
    let head = content.slice(0, 32.min(content.size()))?;
    let field = |at| little_endian(&head, at).ok_or("it ends too early");
    let (version, pages) = (field(4)?, field(12)?);
    if version != 0 {
        return Err(format!("version {version} of the ndb format is not known").into());
    }
    if pages == 0 || pages > SLOT_PAGES {
        return Err(format!("it cannot have {pages} pages of slots").into());
    }
    let slots = content.slice(0, u64::from(pages) * PAGE)?;
    let mut database = Database::default();
    let mut seen = BTreeSet::new();
    // Blobs are beside each other: all of them are not larger than the file.
    let mut left = content.size();
    for slot in slots.chunks_exact(SLOT).skip(2) {
        let field = |at| little_endian(slot, at).expect("a slot has sixteen bytes");
        let (number, offset, blocks) = (field(4), field(8), field(12));
        if !slot.starts_with(b"Slot") {
            database.warn("a slot is damaged");
            continue;
        }
        // A free slot. Or one that says the same as another, which rpm never
        // writes.
        if number == 0 || offset == 0 || !seen.insert(offset) {
            continue;
        }
        let (offset, room) = (u64::from(offset) * BLOCK, u64::from(blocks) * BLOCK);
        let Some(rest) = left.checked_sub(room) else {
            database.warn("packages lie upon each other: the rest is not read");
            break;
        };
        left = rest;
        let go_on = match blob(content, number, offset, room) {
            Ok(blob) => database.take(&blob),
            Err(why) => database.miss(&format!("package {number} is not read: {}", why.reason())),
        };
        if !go_on {
            break;
        }
    }
    Ok(database)
}

/// The header of package `number`.
fn blob(content: &mut Content<'_>, number: u32, offset: u64, room: u64) -> Result<Vec<u8>, Unread> {
    let head = content.slice(offset, BLOB_HEAD)?;
    let field = |at| little_endian(&head, at).expect("sixteen bytes were read");
    let length = u64::from(field(12));
    if !head.starts_with(b"BlbS") || field(4) != number || length + BLOB_HEAD > room {
        return Err("its blob is damaged".into());
    }
    content.slice(offset + BLOB_HEAD, length)
}

fn little_endian(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().expect("there are four bytes")))
}
