//! `Packages`, the database of older distributions: a hash of Berkeley DB.
//!
//! Pages are gone through one after the other, whatever bucket they are in;
//! of each pair on a hash page the value is a header, mostly kept on a chain
//! of overflow pages.
//!
//! Source: Berkeley DB's `dbinc/db_page.h`, version 9 of the hash format. The
//! byte order is that of the machine that wrote it.

use super::{Database, PACKAGES};
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
    let order = [Order::Little, Order::Big]
        .into_iter()
        .find(|order| order.u32(&meta, 12) == Some(MAGIC))
        .ok_or("it is no database that rpm is known to write")?;
    let page_size = order.u32(&meta, 20).ok_or("it ends too early")?;
    let (encrypted, kind) = (meta.get(24).copied(), meta.get(25).copied());
    if !(512..=65536).contains(&page_size) || !page_size.is_power_of_two() {
        return Err(format!("its pages cannot have {page_size} bytes").into());
    }
    if encrypted != Some(0) || kind != Some(HASH_META) {
        return Err("it is encrypted or no hash".into());
    }
    let page_size = u64::from(page_size);
    let last = u64::from(order.u32(&meta, 32).ok_or("it ends too early")?);
    let pages = (content.size() / page_size).min(last + 1);
    let mut reader = Reader { content, order, page_size, pages, budget: 2 * pages };
    let mut database = Database::default();
    if last >= pages {
        database.warn("it ends too early");
    }
    for number in 1..pages {
        let page = reader.page(number)?;
        if !matches!(page[25], HASH | HASH_UNSORTED) {
            continue;
        }
        for value in reader.values(&page) {
            if database.packages.len() >= PACKAGES {
                database.warn("there are more packages than are read");
                return Ok(database);
            }
            match value.and_then(|value| reader.blob(&value)) {
                // A number, not a header: how many packages there were.
                Ok(blob) if blob.len() <= 8 => {}
                Ok(blob) => database.take(&blob),
                Err(why) => {
                    database.warn(&format!("a package on page {number} is not read: {}", why.reason()))
                }
            }
        }
    }
    Ok(database)
}

/// Byte order.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(four),
            Self::Big => u32::from_be_bytes(four),
        })
    }

    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let two: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(two),
            Self::Big => u16::from_be_bytes(two),
        })
    }
}

/// A value on a hash page.
enum Value {
    Here(Vec<u8>),
    /// First page of a chain, and bytes on all of it.
    Elsewhere(u32, u32),
}

struct Reader<'c, 'a> {
    content: &'c mut Content<'a>,
    order: Order,
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

    /// The values on a hash page: every second item.
    fn values(&self, page: &[u8]) -> Vec<Result<Value, Unread>> {
        let entries = usize::from(self.order.u16(page, 20).unwrap_or(0));
        let offset = |entry: usize| self.order.u16(page, PAGE_HEAD + 2 * entry).map(usize::from);
        let value = |entry: usize| -> Result<Value, Unread> {
            let damaged = "an item is damaged";
            let start = offset(entry).ok_or(damaged)?;
            match page.get(start).copied().ok_or(damaged)? {
                OFF_PAGE => {
                    let (page, length) = self
                        .order
                        .u32(page, start + 4)
                        .zip(self.order.u32(page, start + 8))
                        .ok_or(damaged)?;
                    Ok(Value::Elsewhere(page, length))
                }
                KEY_DATA => {
                    // Items are written from the end of the page backwards.
                    let end = offset(entry - 1).ok_or(damaged)?;
                    Ok(Value::Here(page.get(start + 1..end).ok_or(damaged)?.to_vec()))
                }
                other => Err(format!("items of kind {other} are not known").into()),
            }
        };
        (1..entries.min(page.len() / 2)).step_by(2).map(value).collect()
    }

    /// The bytes of a value.
    fn blob(&mut self, value: &Value) -> Result<Vec<u8>, Unread> {
        let (mut number, length) = match value {
            Value::Here(bytes) => return Ok(bytes.clone()),
            Value::Elsewhere(number, length) => (*number, *length),
        };
        if length > BLOB {
            return Err(format!("a header of {length} bytes; {BLOB} are the most that is read").into());
        }
        let length = length as usize;
        let mut blob = Vec::new();
        while blob.len() < length {
            if number == 0 || u64::from(number) >= self.pages {
                return Err("its chain of pages ends too early".into());
            }
            self.budget = self.budget.checked_sub(1).ok_or("chains of pages meet")?;
            let page = self.page(number.into())?;
            if page[25] != OVERFLOW {
                return Err("its chain of pages leads astray".into());
            }
            // Of an overflow page this is the number of bytes that are used.
            let used = usize::from(self.order.u16(&page, 22).unwrap_or(0));
            let bytes = page.get(PAGE_HEAD..PAGE_HEAD + used).ok_or("an overflow page is damaged")?;
            if bytes.is_empty() {
                return Err("an overflow page is empty".into());
            }
            blob.extend_from_slice(bytes);
            number = self.order.u32(&page, 16).unwrap_or(0);
        }
        blob.truncate(length);
        Ok(blob)
    }
}
