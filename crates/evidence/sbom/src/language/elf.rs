//! The part of ELF that says where sections and segments are, read piecemeal:
//! the executable itself stays where it is.
//!
//! Source: System V ABI, chapter 4 "Object Files", and its 64-bit version.

use crate::catalog::{Content, Unread};

/// The most sections and segments that are looked at. Linkers that split by
/// function are far below it.
const MOST_HEADERS: u64 = 100_000;

/// The most bytes of section names.
const MOST_NAMES: u64 = 4 << 20;

const SHT_NOBITS: u32 = 8;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// An executable or shared library.
#[derive(Debug)]
pub(crate) struct Elf {
    /// Words have 64 bits.
    wide: bool,
    /// The least significant byte comes first.
    pub(crate) little: bool,
    sections: Vec<Section>,
    segments: Vec<Segment>,
    names: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    place: Range,
    /// Address in memory.
    address: u64,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    flags: u32,
    address: u64,
    place: Range,
}

/// Bytes in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Elf {
    /// Reads the headers.
    ///
    /// # Errors
    /// When they are not those of an ELF file, or not all there.
    pub(crate) fn read(content: &mut Content<'_>) -> Result<Self, Unread> {
        let start = content.slice(0, content.size().min(64))?;
        if start.get(..4) != Some(b"\x7fELF") {
            return Err("it is no ELF file".into());
        }
        let wide = match start.get(4) {
            Some(1) => false,
            Some(2) => true,
            _ => return Err("its ELF header names no word size".into()),
        };
        let little = match start.get(5) {
            Some(1) => true,
            Some(2) => false,
            _ => return Err("its ELF header names no byte order".into()),
        };
        let mut elf = Self { wide, little, sections: Vec::new(), segments: Vec::new(), names: Vec::new() };
        let short = || Unread::from("its ELF header ends too early");
        let at = |narrow, wide_at| if wide { wide_at } else { narrow };
        let word = |narrow, wide_at| elf.word(&start, at(narrow, wide_at)).ok_or_else(short);
        let half = |narrow, wide_at| elf.half(&start, at(narrow, wide_at)).map(u64::from).ok_or_else(short);
        let (segments_at, sections_at) = (word(28, 32)?, word(32, 40)?);
        let (segment_size, segment_count) = (half(42, 54)?, half(44, 56)?);
        let (section_size, section_count) = (half(46, 58)?, half(48, 60)?);
        let names_index = half(50, 62)?;
        elf.read_segments(content, segments_at, segment_size, segment_count)?;
        elf.read_sections(content, sections_at, section_size, section_count, names_index)?;
        Ok(elf)
    }

    fn read_segments(
        &mut self,
        content: &mut Content<'_>,
        at: u64,
        size: u64,
        count: u64,
    ) -> Result<(), Unread> {
        let least = if self.wide { 56 } else { 32 };
        if count == 0 || size < least || count > MOST_HEADERS {
            return Ok(());
        }
        let table = content.slice(at, size * count)?;
        for row in table.chunks_exact(usize::try_from(size).unwrap_or(usize::MAX)) {
            let at = |narrow, wide_at| if self.wide { wide_at } else { narrow };
            let segment = (|| {
                Some(Segment {
                    kind: self.int(row, 0)?,
                    flags: self.int(row, at(24, 4))?,
                    place: Range { offset: self.word(row, at(4, 8))?, size: self.word(row, at(16, 32))? },
                    address: self.word(row, at(8, 16))?,
                })
            })();
            self.segments.extend(segment);
        }
        Ok(())
    }

    fn read_sections(
        &mut self,
        content: &mut Content<'_>,
        at: u64,
        size: u64,
        count: u64,
        names_index: u64,
    ) -> Result<(), Unread> {
        let least = if self.wide { 64 } else { 40 };
        if at == 0 || size < least {
            return Ok(());
        }
        let (mut count, mut names_index) = (count, names_index);
        if count == 0 || names_index == 0xffff {
            // Too many for the header: the first section has the numbers.
            let first = content.slice(at, size)?;
            let (size_at, link_at) = if self.wide { (32, 40) } else { (20, 24) };
            if count == 0 {
                count = self.word(&first, size_at).unwrap_or(0);
            }
            if names_index == 0xffff {
                names_index = self.int(&first, link_at).unwrap_or(0).into();
            }
        }
        if count > MOST_HEADERS {
            return Err(format!("its ELF header names {count} sections").into());
        }
        let table = content.slice(at, size * count)?;
        for row in table.chunks_exact(usize::try_from(size).unwrap_or(usize::MAX)) {
            let at = |narrow, wide_at| if self.wide { wide_at } else { narrow };
            let section = (|| {
                Some(Section {
                    name: self.int(row, 0)?,
                    kind: self.int(row, 4)?,
                    address: self.word(row, at(12, 16))?,
                    place: Range { offset: self.word(row, at(16, 24))?, size: self.word(row, at(20, 32))? },
                })
            })();
            self.sections.extend(section);
        }
        if let Some(names) = usize::try_from(names_index).ok().and_then(|index| self.sections.get(index)) {
            let Range { offset, size } = names.place;
            self.names = content.slice(offset, size.min(MOST_NAMES))?;
        }
        Ok(())
    }

    /// Where the content of a section is in the file.
    pub(crate) fn section(&self, name: &str) -> Option<Range> {
        self.find(name).map(|section| section.place)
    }

    fn find(&self, name: &str) -> Option<&Section> {
        self.sections.iter().filter(|section| section.kind != SHT_NOBITS).find(|section| {
            let rest = usize::try_from(section.name).ok().and_then(|start| self.names.get(start..));
            rest.is_some_and(|rest| {
                rest.starts_with(name.as_bytes()) && matches!(rest.get(name.len()), Some(0) | None)
            })
        })
    }

    /// Whether the file has section headers; `sstrip` and packers remove them.
    pub(crate) fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    /// The parts of the file that are loaded as data that can be written.
    pub(crate) fn data(&self) -> impl Iterator<Item = Range> {
        self.segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD && segment.flags & (PF_X | PF_W) == PF_W)
            .map(|segment| segment.place)
    }

    /// Where in the file the byte is that is loaded at this address, and how
    /// many follow it in the same segment.
    pub(crate) fn at_address(&self, address: u64) -> Option<Range> {
        let segments = self.segments.iter().filter(|segment| segment.kind == PT_LOAD);
        let loaded = segments.map(|segment| (segment.address, segment.place));
        let sections =
            self.sections.iter().filter(|section| section.kind != SHT_NOBITS && section.address != 0);
        loaded.chain(sections.map(|section| (section.address, section.place))).find_map(|(start, place)| {
            let into = address.checked_sub(start).filter(|&into| into < place.size)?;
            Some(Range { offset: place.offset.checked_add(into)?, size: place.size - into })
        })
    }

    fn half(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let two = *bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn int(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = *bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    }

    fn word(&self, bytes: &[u8], at: usize) -> Option<u64> {
        if self.wide { self.long(bytes, at) } else { self.int(bytes, at).map(u64::from) }
    }

    fn long(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let eight = *bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u64::from_le_bytes(eight) } else { u64::from_be_bytes(eight) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Limits;
    use crate::catalog::Budget;
    use crate::language::testing::torture;

    /// A little-endian 64-bit ELF file with one section, loaded at 0x10000 in
    /// a segment that can be written.
    pub(in crate::language) fn with_section(name: &str, content: &[u8]) -> Vec<u8> {
        let names = [b"\0".as_slice(), name.as_bytes(), b"\0.shstrtab\0"].concat();
        let (content_at, names_at) = (128_u64, 128 + content.len() as u64);
        let sections_at = names_at + names.len() as u64;
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        let long =
            |file: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
        file.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        long(&mut file, &[0, 64, sections_at]);
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 3, 0, 2, 0]);
        file.extend([1, 0, 0, 0, 6, 0, 0, 0]);
        long(&mut file, &[content_at, 0x10000, 0x10000, content.len() as u64, content.len() as u64, 16]);
        file.resize(128, 0);
        file.extend(content);
        file.extend(&names);
        file.resize(file.len() + 64, 0);
        let last = 2 + u32::try_from(name.len()).unwrap();
        for (name, kind, address, at, size) in [
            (1, 1_u32, 0x10000, content_at, content.len() as u64),
            (last, 3, 0, names_at, names.len() as u64),
        ] {
            file.extend(u32::to_le_bytes(name));
            file.extend(kind.to_le_bytes());
            long(&mut file, &[2, address, at, size, 0, 1, 0]);
        }
        file
    }

    fn read(bytes: &[u8]) -> Result<Elf, Unread> {
        let budget = Budget::new(Limits::default());
        Elf::read(&mut Content::memory(bytes, &budget))
    }

    #[test]
    fn sections_segments_and_addresses_are_found() {
        let elf = read(&with_section(".dep-v0", b"hello")).unwrap();
        assert_eq!(elf.section(".dep-v0"), Some(Range { offset: 128, size: 5 }));
        assert_eq!(elf.section(".dep"), None);
        assert_eq!(elf.data().collect::<Vec<_>>(), [Range { offset: 128, size: 5 }]);
        assert_eq!(elf.at_address(0x10002), Some(Range { offset: 130, size: 3 }));
        assert_eq!(elf.at_address(0x10005), None);
        assert!(elf.has_sections());
    }

    #[test]
    fn this_very_test_is_an_elf_file() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = read(&bytes).unwrap();
        let text = elf.section(".comment").expect("compilers leave a comment");
        let comment = &bytes[usize::try_from(text.offset).unwrap()..][..usize::try_from(text.size).unwrap()];
        assert!(String::from_utf8_lossy(comment).contains("rustc version"));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let whole = with_section(".dep-v0", &[7; 100]);
        torture(&whole, |bytes| {
            if let Ok(elf) = read(bytes) {
                let _ = (elf.section(".dep-v0"), elf.at_address(u64::MAX), elf.data().count());
            }
        });
        for bad in [&b""[..], b"\x7fELF", b"MZ", &whole[..63]] {
            assert!(read(bad).is_err());
        }
        // Four thousand million sections.
        let mut huge = whole.clone();
        huge[60..62].copy_from_slice(&[0, 0]);
        let sections_at = usize::try_from(u64::from_le_bytes(huge[40..48].try_into().unwrap())).unwrap();
        huge[sections_at + 32..][..8].copy_from_slice(&u64::from(u32::MAX).to_le_bytes());
        assert!(read(&huge).unwrap_err().reason().contains("4294967295 sections"));
    }
}
