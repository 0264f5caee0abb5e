//! Building an index: advisories in any order, a file in one order.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range as Span;

use crate::advisory::{Advisory, Affected, EventKind};
use crate::ecosystem::normal_name;
use crate::scan::range::{self, Extent};
use crate::severity::{Rating, Severity};
use crate::source::{Given, Warning};
use crate::version::Scheme;

use super::format::{
    self, BLOCK, Block, FOOTER, MAGIC, Table, put_bytes, put_number, put_seconds, put_texts,
};
use super::root::Root;

/// Most warnings that are kept one by one.
const MOST_WARNINGS: usize = 100;

/// Collects advisories, already encoded, so that a large database takes no
/// more memory than its index has bytes.
#[derive(Default)]
pub(crate) struct Builder {
    by_id: HashMap<String, usize>,
    slots: Vec<Slot>,
    ecosystems: HashMap<String, u32>,
    records: Vec<Record>,
    arena: Vec<u8>,
    warnings: Vec<(u64, Warning)>,
    warned: u64,
    largest: Option<u64>,
}

/// One advisory id. The newest copy of it wins.
struct Slot {
    id: String,
    /// Newer copies replace older ones; of equally old ones the first.
    age: (i64, std::cmp::Reverse<u64>),
    withdrawn: bool,
    details: Span<usize>,
    /// Counts up with each replacement; records of older copies are dropped.
    copy: u32,
}

/// What one advisory says about one package.
struct Record {
    ecosystem: u32,
    slot: usize,
    copy: u32,
    name: Span<usize>,
    body: Span<usize>,
}

impl Builder {
    /// Takes in what one file gave.
    pub(crate) fn add(&mut self, (place, given): Given) {
        match given {
            Err(warning) => self.warn(place, warning),
            Ok(advisories) => advisories.into_iter().for_each(|advisory| self.advisory(place, advisory)),
        }
    }

    /// Keeps the first warnings in the order of files, whichever came first.
    fn warn(&mut self, place: u64, warning: Warning) {
        self.warned += 1;
        if self.warnings.len() >= 4 * MOST_WARNINGS {
            self.warnings.sort_by_key(|(place, _)| *place);
            self.warnings.truncate(MOST_WARNINGS);
            self.largest = self.warnings.last().map(|(place, _)| *place);
        }
        if self.largest.is_none_or(|largest| place < largest) {
            self.warnings.push((place, warning));
        }
    }

    fn advisory(&mut self, place: u64, advisory: Advisory) {
        let modified = advisory.modified.map_or(i64::MIN, |modified| modified.as_second());
        let age = (modified, std::cmp::Reverse(place));
        let slot = match self.by_id.get(&advisory.id) {
            Some(&slot) if self.slots[slot].age >= age => return,
            Some(&slot) => slot,
            None => {
                let slot = self.slots.len();
                self.by_id.insert(advisory.id.clone(), slot);
                let id = advisory.id.clone();
                self.slots.push(Slot { id, age, withdrawn: false, details: 0..0, copy: 0 });
                slot
            }
        };
        let details = self.span(|bytes| put_details(bytes, &advisory));
        let entry = &mut self.slots[slot];
        entry.copy += 1;
        let copy = entry.copy;
        (entry.age, entry.withdrawn, entry.details) = (age, advisory.withdrawn, details);
        if advisory.withdrawn {
            return;
        }
        for affected in &advisory.affected {
            let ecosystem = self.ecosystem(&affected.ecosystem);
            let name = self.span(|bytes| {
                bytes.extend_from_slice(normal_name(&affected.ecosystem, &affected.name).as_bytes());
            });
            let body = self.span(|bytes| put_affected(bytes, affected));
            self.records.push(Record { ecosystem, slot, copy, name, body });
        }
    }

    fn ecosystem(&mut self, name: &str) -> u32 {
        match self.ecosystems.get(name) {
            Some(&number) => number,
            None => {
                let number = u32::try_from(self.ecosystems.len()).expect("memory ends before 2^32 of them");
                self.ecosystems.insert(name.into(), number);
                number
            }
        }
    }

    fn span(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Span<usize> {
        let start = self.arena.len();
        put(&mut self.arena);
        start..self.arena.len()
    }

    /// Advisories that count: not withdrawn.
    pub(crate) fn advisories(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.withdrawn).count()
    }

    /// Writes the index. The same advisories give the same blocks, in
    /// whichever order they came.
    pub(crate) fn write(mut self, mut root: Root, output: impl Write) -> io::Result<()> {
        let mut live: Vec<usize> =
            (0..self.slots.len()).filter(|slot| !self.slots[*slot].withdrawn).collect();
        live.sort_unstable_by(|a, b| self.slots[*a].id.cmp(&self.slots[*b].id));
        let mut numbers = vec![0_u32; self.slots.len()];
        for (number, slot) in live.iter().enumerate() {
            numbers[*slot] = u32::try_from(number).expect("memory ends before 2^32 of them");
        }

        let mut names: Vec<(String, u32)> = std::mem::take(&mut self.ecosystems).into_iter().collect();
        names.sort_unstable();
        let mut ecosystems = vec![0_u32; names.len()];
        for (number, (_, old)) in names.iter().enumerate() {
            ecosystems[*old as usize] = u32::try_from(number).expect("memory ends before 2^32 of them");
        }

        let mut records = std::mem::take(&mut self.records);
        records.retain(|record| {
            let slot = &self.slots[record.slot];
            slot.copy == record.copy && !slot.withdrawn
        });
        let key = |record: &Record| (ecosystems[record.ecosystem as usize], &self.arena[record.name.clone()]);
        records.sort_by(|a, b| key(a).cmp(&key(b)).then(numbers[a.slot].cmp(&numbers[b.slot])));

        let mut writer = BlockWriter { output, offset: 0 };
        writer.write(&MAGIC)?;
        let mut details = Table::default();
        let mut block = Vec::with_capacity(2 * BLOCK);
        let mut first = Vec::new();
        for (number, slot) in live.iter().enumerate() {
            if block.is_empty() {
                first = u32::try_from(number).expect("as above").to_be_bytes().to_vec();
            }
            put_bytes(&mut block, &self.arena[self.slots[*slot].details.clone()]);
            if block.len() >= BLOCK {
                writer.block(&mut details, &first, &mut block)?;
            }
        }
        writer.block(&mut details, &first, &mut block)?;

        let mut packages = Table::default();
        let mut counts = vec![0_u64; names.len()];
        let mut value = Vec::new();
        for group in records.chunk_by(|a, b| key(a) == key(b)) {
            let (ecosystem, name) = key(&group[0]);
            counts[ecosystem as usize] += group.len() as u64;
            let mut package_key = ecosystem.to_be_bytes().to_vec();
            package_key.extend_from_slice(name);
            value.clear();
            for record in group {
                put_number(&mut value, numbers[record.slot].into());
                put_bytes(&mut value, &self.arena[record.body.clone()]);
            }
            if block.is_empty() {
                first.clone_from(&package_key);
            }
            put_bytes(&mut block, &package_key);
            put_bytes(&mut block, &value);
            if block.len() >= BLOCK {
                writer.block(&mut packages, &first, &mut block)?;
            }
        }
        writer.block(&mut packages, &first, &mut block)?;

        self.warnings.sort();
        self.warnings.truncate(MOST_WARNINGS);
        root.warnings = self.warnings.into_iter().map(|(_, warning)| warning).collect();
        root.warned = self.warned;
        root.advisories = live.len() as u64;
        let modified = live.iter().map(|slot| self.slots[*slot].age.0).filter(|seconds| *seconds != i64::MIN);
        root.newest_modified = modified.max();
        root.ecosystems = names.into_iter().map(|(name, _)| name).zip(counts).collect();
        (root.details, root.packages) = (details, packages);
        writer.finish(&root.encode())
    }
}

/// Id, aliases, upstream, summary, modified, rating, informational.
fn put_details(bytes: &mut Vec<u8>, advisory: &Advisory) {
    put_bytes(bytes, advisory.id.as_bytes());
    put_texts(bytes, &advisory.aliases);
    put_texts(bytes, &advisory.upstream);
    put_bytes(bytes, advisory.summary.as_bytes());
    put_seconds(bytes, advisory.modified.map(|modified| modified.as_second()));
    put_rating(bytes, &advisory.rating);
    put_bytes(bytes, advisory.informational.as_bytes());
}

/// Severity (0 for none), score in tenths (255 for none), vector.
fn put_rating(bytes: &mut Vec<u8>, rating: &Rating) {
    bytes.push(rating.severity.map_or(0, |severity| 1 + format::position(&Severity::ALL, &severity)));
    bytes.push(rating.tenths.unwrap_or(u8::MAX));
    put_bytes(bytes, rating.vector.as_bytes());
}

/// Scheme, rating, ranges with their events, single versions.
fn put_affected(bytes: &mut Vec<u8>, affected: &Affected) {
    let scheme = crate::ecosystem::scheme(&affected.ecosystem).unwrap_or(Scheme::SemVer);
    put_rating(bytes, &affected.rating);
    put_number(bytes, affected.ranges.len() as u64);
    for range in &affected.ranges {
        bytes.push(format::position(&Scheme::ALL, &range.scheme));
        put_number(bytes, range.events.len() as u64);
        for event in &range.events {
            bytes.push(format::position(&EventKind::ALL, &event.kind));
            put_bytes(bytes, event.version.as_bytes());
        }
    }
    // Most lists of versions say again what the ranges say.
    let extents: Vec<Extent<'_>> = affected
        .ranges
        .iter()
        .map(|range| {
            Extent::of(range.scheme, range.events.iter().map(|event| (event.kind, event.version.as_str())))
        })
        .collect();
    let single: Vec<&String> =
        affected.versions.iter().filter(|version| !range::surely_within(&extents, version)).collect();
    bytes.push(format::position(&Scheme::ALL, &scheme));
    put_number(bytes, single.len() as u64);
    single.iter().for_each(|version| put_bytes(bytes, version.as_bytes()));
}

struct BlockWriter<W> {
    output: W,
    offset: u64,
}

impl<W: Write> BlockWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offset += bytes.len() as u64;
        self.output.write_all(bytes)
    }

    fn block(&mut self, table: &mut Table, first: &[u8], block: &mut Vec<u8>) -> io::Result<()> {
        if !block.is_empty() {
            let check = format::check(block);
            table.0.push(Block {
                first: first.to_vec(),
                offset: self.offset,
                len: block.len() as u64,
                check,
            });
            self.write(block)?;
            block.clear();
        }
        Ok(())
    }

    fn finish(mut self, root: &[u8]) -> io::Result<()> {
        let mut footer = Vec::with_capacity(FOOTER);
        footer.extend_from_slice(&self.offset.to_le_bytes());
        footer.extend_from_slice(&(root.len() as u64).to_le_bytes());
        footer.extend_from_slice(&format::sha256(root));
        footer.extend_from_slice(&MAGIC);
        self.write(root)?;
        self.write(&footer)?;
        self.output.flush()
    }
}
