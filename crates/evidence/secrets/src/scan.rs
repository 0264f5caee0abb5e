//! Scanning one stream of bytes: windows that overlap, anchors, rules.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;
use std::sync::LazyLock;

use plimsoll_model::Digest;

use crate::anchors::Anchors;
use crate::mask::{Masked, printable};
use crate::report::{Finding, Level, Place, Unread};
use crate::rules::{Proof, RULES, Rule};
use crate::sight::{AFTER, BEFORE, Found, Name, Sight};
use crate::{nested, origin};

/// Fresh bytes of one window; it stays in the processor's cache.
const WINDOW: usize = 256 << 10;

/// The most bytes of a file whose name alone makes a rule read all of it.
const NAMED: u64 = 8 << 20;

/// Findings listed for one file, of each level.
const LISTED_PER_FILE: usize = 64;

/// Findings, and things not read, that are listed for one layer.
const LISTED: usize = 10_000;

static ANCHORS: LazyLock<Anchors> = LazyLock::new(Anchors::new);

/// Where the streams come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    Configuration,
    Layer(usize, Digest),
    Directory,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) findings: Vec<Finding>,
    /// Findings that stop, beyond those listed.
    pub(crate) unlisted: u64,
    pub(crate) unread: Vec<Unread>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// How many of `findings`, and of `unread`, there are of each level.
    pub(crate) listed: [usize; 2],
    pub(crate) listed_unread: [usize; 2],
}

/// Scans stream after stream. One per thread.
pub(crate) struct Scanner {
    source: Source,
    tally: Tally,
    /// Bytes that archives may still unpack to.
    pub(crate) archive_bytes: Rc<Cell<u64>>,
    /// Windows that are free; archives within archives need one each.
    windows: Vec<Vec<u8>>,
}

/// A credential in a file, while the file is being read.
struct Hit {
    rule: usize,
    /// From the start of the file.
    value: Range<u64>,
    level: Level,
    line: Option<u64>,
    shown: Masked,
}

/// One file, while it is being read.
struct File<'a> {
    name: Name<'a>,
    hits: Vec<Hit>,
    /// Hits of each level, listed or not.
    counts: BTreeMap<Level, u64>,
    is_text: bool,
    /// The most that a finding by form, and one by context, means here.
    levels: OnceCell<[Level; 2]>,
}

/// A part of a file in memory.
struct Window<'a> {
    text: &'a [u8],
    /// Where the part begins in the file.
    base: u64,
    /// Lines before the part.
    lines: u64,
}

impl Scanner {
    pub(crate) fn new(source: Source, archive_bytes: u64) -> Self {
        Self {
            source,
            tally: Tally::default(),
            archive_bytes: Rc::new(Cell::new(archive_bytes)),
            windows: Vec::new(),
        }
    }

    pub(crate) fn finish(self) -> Tally {
        self.tally
    }

    /// Scans a text of the image configuration. `field` is where it stands.
    pub(crate) fn field(&mut self, field: &str, text: &[u8], found: &[(usize, Found)]) {
        let mut file = File {
            name: Name::default(),
            hits: Vec::new(),
            counts: BTreeMap::new(),
            is_text: false,
            levels: OnceCell::new(),
        };
        let window = Window { text, base: 0, lines: 0 };
        for (rule, found) in found {
            file.take(*rule, found.clone(), &window);
        }
        file.scan(&window, 0, text.len());
        self.close(file, |_| Place::Config { field: printable(field.as_bytes(), 300) });
    }

    /// Scans a file, and what is in it where it is an archive. `path` is
    /// relative to the root; `depth` counts the archives around it.
    ///
    /// # Errors
    /// What reading failed with; damaged archives are no errors.
    pub(crate) fn file(&mut self, path: &[u8], reader: &mut dyn Read, depth: usize) -> io::Result<()> {
        self.tally.files += 1;
        let mut window = self.windows.pop().unwrap_or_else(|| vec![0; BEFORE + WINDOW + AFTER]);
        let result = self.file_with(path, reader, depth, &mut window);
        self.windows.push(window);
        result
    }

    fn file_with(
        &mut self,
        path: &[u8],
        reader: &mut dyn Read,
        depth: usize,
        window: &mut [u8],
    ) -> io::Result<()> {
        let name = Name::new(path);
        let mut file =
            File { name, hits: Vec::new(), counts: BTreeMap::new(), is_text: false, levels: OnceCell::new() };
        let mut whole = Vec::new();
        let named = RULES.iter().any(|rule| rule.named.is_some_and(|named| (named.is)(&name)));
        if named {
            reader.take(NAMED + 1).read_to_end(&mut whole)?;
            if whole.len() as u64 > NAMED {
                self.unread(
                    path,
                    Level::Stop,
                    format!(
                        "it is larger than {} MiB: read for the forms of credentials, not line by line",
                        NAMED >> 20
                    ),
                );
            }
        }
        let mut reader = (&whole[..]).chain(reader);

        let mut filled = fill(&mut reader, window)?;
        if let Some(kind) = nested::kind(&window[..filled]) {
            self.tally.bytes += filled as u64;
            let mut content = (&window[..filled]).chain(reader);
            return nested::open(self, path, kind, &mut content, depth);
        }
        file.is_text = !window[..filled.min(8 << 10)].contains(&0);
        if named {
            file.read_named(&whole);
        }
        let (mut base, mut lines, mut from) = (0, 0, 0);
        self.tally.bytes += filled as u64;
        loop {
            let ended = filled < window.len();
            let to = if ended { filled } else { filled - AFTER };
            file.scan(&Window { text: &window[..filled], base, lines }, from, to);
            if ended {
                break;
            }
            let gone = to - BEFORE;
            if file.is_text {
                lines += memchr::memchr_iter(b'\n', &window[..gone]).count() as u64;
            }
            window.copy_within(gone.., 0);
            base += gone as u64;
            from = BEFORE;
            let kept = filled - gone;
            let fresh = fill(&mut reader, &mut window[kept..])?;
            self.tally.bytes += fresh as u64;
            filled = kept + fresh;
        }
        let source = self.source;
        self.close(file, |line| place(source, path, line));
        Ok(())
    }

    /// Lists what one file held: of hits that overlap, the one that stops, and
    /// of those the one of the more specific rule.
    fn close(&mut self, mut file: File<'_>, place: impl Fn(Option<u64>) -> Place) {
        if file.hits.is_empty() {
            return;
        }
        file.hits.sort_by_key(|hit| (std::cmp::Reverse(hit.level), hit.rule, hit.value.start));
        let mut kept: Vec<Hit> = Vec::new();
        for hit in file.hits {
            if !kept
                .iter()
                .any(|other| other.value.start < hit.value.end && hit.value.start < other.value.end)
            {
                kept.push(hit);
            }
        }
        let beyond =
            file.counts.get(&Level::Stop).map_or(0, |&count| count.saturating_sub(LISTED_PER_FILE as u64));
        self.tally.unlisted += beyond;
        kept.sort_by_key(|hit| hit.value.start);
        for hit in kept {
            let listed = &mut self.tally.listed[hit.level as usize];
            if *listed >= LISTED {
                self.tally.unlisted += u64::from(hit.level == Level::Stop);
                continue;
            }
            *listed += 1;
            let page = RULES[hit.rule].page;
            self.tally.findings.push(Finding {
                rule: page.code.into(),
                name: page.name.into(),
                level: hit.level,
                place: place(hit.line),
                value: hit.shown,
                allowed: None,
            });
        }
    }

    /// Records that something was not read.
    pub(crate) fn unread(&mut self, path: &[u8], level: Level, reason: impl Into<String>) {
        let listed = &mut self.tally.listed_unread[level as usize];
        if *listed < LISTED {
            *listed += 1;
            self.tally.unread.push(Unread {
                place: place(self.source, path, None),
                reason: reason.into(),
                level,
            });
        } else if level == Level::Stop {
            self.tally.unlisted += 1;
        }
    }
}

fn place(source: Source, path: &[u8], line: Option<u64>) -> Place {
    let (layer, digest) = match source {
        Source::Layer(index, digest) => (Some(index), Some(digest)),
        Source::Configuration | Source::Directory => (None, None),
    };
    Place::File { path: format!("/{}", printable(path, 4096)), layer, digest, line }
}

/// Reads until the buffer is full or the stream ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

impl File<'_> {
    /// Lets every rule look at the anchors that begin in `from..to`.
    fn scan(&mut self, window: &Window<'_>, from: usize, to: usize) {
        ANCHORS.scan(window.text, from, to, |rule, span| {
            let sight = Sight { text: window.text, anchor: span.start..span.end, name: self.name };
            if let Some(found) = RULES[rule].confirm.and_then(|confirm| confirm(&sight)) {
                self.take(rule, found, window);
            }
        });
    }

    /// Lets the rules that know the file by its name read all of it.
    fn read_named(&mut self, whole: &[u8]) {
        let window = Window { text: whole, base: 0, lines: 0 };
        let name = self.name;
        for (index, rule) in RULES.iter().enumerate() {
            if let Some(named) = rule.named.filter(|named| (named.is)(&name)) {
                (named.read)(whole, &name, &mut |found| self.take(index, found, &window));
            }
        }
    }

    fn take(&mut self, rule: usize, found: Found, window: &Window<'_>) {
        let level = found.level.min(self.level(&RULES[rule]));
        let value = window.base + found.value.start as u64..window.base + found.value.end as u64;
        // Two anchors may lead to the same value.
        if self.hits.iter().any(|hit| hit.rule == rule && hit.value == value) {
            return;
        }
        let count = self.counts.entry(level).or_default();
        *count += 1;
        if *count > LISTED_PER_FILE as u64 {
            return;
        }
        let line = self.is_text.then(|| {
            let before = &window.text[..found.value.start];
            window.lines + memchr::memchr_iter(b'\n', before).count() as u64 + 1
        });
        let shown = Masked::new(&window.text[found.value], found.mask);
        self.hits.push(Hit { rule, value, level, line, shown });
    }

    /// What a finding of this rule means in this file.
    fn level(&self, rule: &Rule) -> Level {
        let [form, context] = self.levels.get_or_init(|| {
            let stops = |stops: bool| if stops { Level::Stop } else { Level::Note };
            let form = !origin::is_aside(self.name.path);
            [stops(form), stops(form && !origin::is_packaged(self.name.path))]
        });
        match rule.proof {
            Proof::Form => *form,
            Proof::Context => *context,
        }
    }
}
