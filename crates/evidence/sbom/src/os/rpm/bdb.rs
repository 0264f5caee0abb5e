//! `Packages`, the database of older distributions: a hash of Berkeley DB.
//!
//! Pages are gone through one after the other, whatever bucket they are in;
//! of each pair on a hash page the value is a header, mostly kept on a chain
//! of overflow pages.
//!
//! Source: Berkeley DB's `dbinc/db_page.h`, version 9 of the hash format. Its
//! byte order is that of the machine that wrote it: little-endian, since images
//! are for amd64.

use std::borrow::Cow;

use super::Database;
use crate::catalog::{Content, Unread};

const MAGIC: u32 = 0x0006_1561;
/// Type of the first page.
const HASH_META: u8 = 8;
const HASH_UNSORTED: u8 = 2;
const HASH: u8 = 13;
const OVERFLOW: u8 = 7;
/// Kinds of items on hash pages.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;
/// What each page begins with.
const PAGE_HEAD: usize = 26;
/// Bytes of one header; those of packages with ten thousands of files have
/// some megabytes.
const BLOB: u32 = 64 << 20;

/// Reads all headers.
pub(super) fn read(content: &mut Content<'_>) -> Result<Database, Unread> {
    let meta = content.slice(0, 72.min(content.size()))?;
    if number(&meta, 12) != Some(MAGIC) {
        return Err("it is no database that rpm is known to write".into());
    }
    let page_size = number(&meta, 20).ok_or("it ends too early")?;
    let (encrypted, kind) = (meta.get(24).copied(), meta.get(25).copied());
    if !(512..=65536).contains(&page_size) || !page_size.is_power_of_two() {
        return Err(format!("its pages cannot have {page_size} bytes").into());
    }
    if encrypted != Some(0) || kind != Some(HASH_META) {
        return Err("it is encrypted or no hash".into());
    }
    let page_size = u64::from(page_size);
    let last = u64::from(number(&meta, 32).ok_or("it ends too early")?);
    let pages = (content.size() / page_size).min(last + 1);
    let mut reader = Reader { content, page_size, pages, budget: 2 * pages };
    let mut database = Database::default();
    if last >= pages {
        database.warn("it ends too early");
    }
    for at in 1..pages {
        let page = reader.page(at)?;
        if !matches!(page[25], HASH | HASH_UNSORTED) {
            continue;
        }
        // Keys and values by turns.
        let items = short(&page, 20).unwrap_or(0).min(page.len() / 2);
        for item in (1..items).step_by(2) {
            let go_on = match value(&page, item).and_then(|value| reader.blob(value)) {
                // A number, not a header: how many packages there were.
                Ok(blob) if blob.len() <= 8 => true,
                Ok(blob) => database.take(&blob),
                Err(why) => database.miss(&format!("a package on page {at} is not read: {}", why.reason())),
            };
            if !go_on {
                return Ok(database);
            }
        }
    }
    Ok(database)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().expect("there are four bytes")))
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().expect("there are two bytes")).into())
}

/// A value on a hash page.
enum Value<'p> {
    Here(&'p [u8]),
    /// First page of a chain, and bytes on all of it.
    Elsewhere(u32, u32),
}

/// The value that is the item of this number on a hash page.
fn value(page: &[u8], item: usize) -> Result<Value<'_>, Unread> {
    let damaged = "an item is damaged";
    let offset = |item: usize| short(page, PAGE_HEAD + 2 * item).ok_or(damaged);
    let start = offset(item)?;
    match page.get(start).copied().ok_or(damaged)? {
        OFF_PAGE => {
            let (page, length) = number(page, start + 4).zip(number(page, start + 8)).ok_or(damaged)?;
            Ok(Value::Elsewhere(page, length))
        }
        KEY_DATA => {
            // Items are written from the end of the page backwards.
            Ok(Value::Here(page.get(start + 1..offset(item - 1)?).ok_or(damaged)?))
        }
        other => Err(format!("items of kind {other} are not known").into()),
    }
}

struct Reader<'c, 'a> {
    content: &'c mut Content<'a>,
    page_size: u64,
    pages: u64,
    /// Overflow pages that may still be read: each belongs to one chain, so
    /// that more of them than there are means that chains meet.
    budget: u64,
}

impl Reader<'_, '_> {
    fn page(&mut self, number: u64) -> Result<Vec<u8>, Unread> {
        self.content.slice(number * self.page_size, self.page_size)
    }

    /// The bytes of a value.
    fn blob<'p>(&mut self, value: Value<'p>) -> Result<Cow<'p, [u8]>, Unread> {
        let (mut at, length) = match value {
            Value::Here(bytes) => return Ok(Cow::Borrowed(bytes)),
            Value::Elsewhere(at, length) => (at, length),
        };
        if length > BLOB {
            return Err(format!("a header of {length} bytes; {BLOB} are the most that is read").into());
        }
        let length = length as usize;
        let mut blob = Vec::new();
        while blob.len() < length {
            if at == 0 || u64::from(at) >= self.pages {
                return Err("its chain of pages ends too early".into());
            }
            self.budget = self.budget.checked_sub(1).ok_or("chains of pages meet")?;
            let page = self.page(at.into())?;
            if page[25] != OVERFLOW {
                return Err("its chain of pages leads astray".into());
            }
            // Of an overflow page this is the number of bytes that are used.
            let used = short(&page, 22).unwrap_or(0);
            let bytes = page.get(PAGE_HEAD..PAGE_HEAD + used).ok_or("an overflow page is damaged")?;
            if bytes.is_empty() {
                return Err("an overflow page is empty".into());
            }
            blob.extend_from_slice(bytes);
            at = number(&page, 16).unwrap_or(0);
        }
        blob.truncate(length);
        Ok(Cow::Owned(blob))
    }
}
