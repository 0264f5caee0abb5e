//! Writes a section, or writes it again: what people did to it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use semver::Version;
use serde::Serialize;

use super::Error;
use super::document::{Changelog, Name};
use super::edits::Edits;
use super::entries::{Entry, Group};
use super::marker::{self, Source};
use super::place::ensure;
use super::section::{self, Content, Item};

/// Which section is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// What is not released yet.
    Unreleased,
    /// A release. What stood under Unreleased becomes its section, if it has none.
    Version {
        /// Its version.
        version: Version,
        /// Its date, for a section that is new.
        date: Option<String>,
    },
}

impl Target {
    /// The name of the section.
    pub fn name(&self) -> Name {
        match self {
            Self::Unreleased => Name::Unreleased,
            Self::Version { version, .. } => Name::Version(version.clone()),
        }
    }
}

/// How a section is to be written.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Everything it has to say.
    pub entries: Vec<Entry>,
    /// Evidence that could not be had: lines of it are left as they are.
    pub unknown: BTreeSet<Source>,
    /// Evidence lines that people altered or removed are written again.
    pub restore: bool,
}

/// What became of a generated line that is not as it was generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Somebody reworded a commit's line; kept.
    Reworded,
    /// Somebody altered an evidence line; kept, and `--check` finds it.
    Altered,
    /// Somebody removed an evidence line; it stays out.
    LeftOut,
    /// An altered evidence line was written again.
    Restored,
    /// The evidence does not have it any more; somebody altered it, so it stays.
    Orphaned,
    /// The evidence does not have it any more; it was removed.
    Dropped,
}

/// One such line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What became of it.
    pub kind: NoteKind,
    /// The line.
    pub line: String,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Updated {
    /// The whole changelog.
    pub changelog: Changelog,
    /// The section.
    pub name: Name,
    /// Lines that are new.
    pub added: usize,
    /// Lines that are not as they were generated.
    pub notes: Vec<Note>,
}

/// Writes one section. Doing it twice is doing it once.
///
/// # Errors
/// A comment or code block of the changelog never ends.
pub fn update(changelog: &Changelog, target: &Target, update: &Update) -> Result<Updated, Error> {
    changelog.whole()?;
    let mut changelog = changelog.clone();
    ensure(&mut changelog, target);
    let name = target.name();
    let section = changelog.section(&name).expect("the section was just made").clone();
    let content = section::read(&changelog, &section);
    let mut edits = Edits::default();
    let mut merge = Merge {
        changelog: &changelog,
        level: section.level,
        content: &content,
        update,
        edits: &mut edits,
        notes: Vec::new(),
    };
    let (present, kept) = merge.existing();
    let (new, told) = merge.missing(&present);
    let added = new.values().map(Vec::len).sum();
    let end = merge.end(section.lines.clone());
    merge.add(new, &kept, end);
    merge.told(told, end);
    let notes = merge.notes;
    if !edits.is_empty() {
        changelog = edits.apply(&changelog);
    }
    Ok(Updated { changelog, name, added, notes })
}

struct Merge<'a> {
    changelog: &'a Changelog,
    /// The `#`s of the release's heading.
    level: usize,
    content: &'a Content,
    update: &'a Update,
    edits: &'a mut Edits,
    notes: Vec<Note>,
}

impl Merge<'_> {
    fn line(&self, bullet: &str, entry: &Entry) -> String {
        format!("{bullet}{} {}{}", entry.text, entry.marker(), self.changelog.end())
    }

    fn note(&mut self, kind: NoteKind, line: &str) {
        self.notes.push(Note { kind, line: line.to_owned() });
    }

    /// Goes through the lines that are there: which entries have one, and which
    /// lines stay.
    fn existing(&mut self) -> (BTreeSet<String>, BTreeSet<usize>) {
        let by_id: BTreeMap<&str, &Entry> =
            self.update.entries.iter().map(|entry| (entry.id.as_str(), entry)).collect();
        let by_words: BTreeMap<&str, &Entry> =
            self.update.entries.iter().map(|entry| (entry.text.as_str(), entry)).collect();
        let marked: BTreeSet<&str> =
            self.content.items.iter().filter_map(|item| Some(item.marker.as_ref()?.id.as_str())).collect();
        let mut present: BTreeSet<String> = BTreeSet::new();
        let mut kept = BTreeSet::new();
        for (at, item) in self.content.items.iter().enumerate() {
            let stays = match &item.marker {
                Some(marker) => {
                    present.insert(marker.id.clone());
                    self.marked(item, by_id.get(marker.id.as_str()).copied())
                }
                None => {
                    // A person wrote the same words: it is that line.
                    let same = by_words
                        .get(item.text.as_str())
                        .filter(|entry| !marked.contains(entry.id.as_str()) && !present.contains(&entry.id));
                    if let Some(entry) = same {
                        present.insert(entry.id.clone());
                        let last = item.lines.end - 1;
                        let end = self.changelog.end();
                        let line =
                            format!("{} {}{end}", self.changelog.lines[last].trim_end(), entry.marker());
                        self.edits.replace(last..item.lines.end, vec![line]);
                    }
                    true
                }
            };
            if stays {
                kept.insert(at);
            }
        }
        (present, kept)
    }

    /// Whether a marked line stays.
    fn marked(&mut self, item: &Item, entry: Option<&Entry>) -> bool {
        let marker = item.marker.as_ref().expect("only marked items come here");
        let evidence = marker.source.is_evidence();
        let pristine = item.is_pristine();
        match entry {
            _ if self.update.unknown.contains(&marker.source) => {}
            Some(entry) if pristine || (self.update.restore && evidence) => {
                let as_it_should_be = item.text == entry.text && *marker == read_back(entry);
                if !as_it_should_be {
                    let line = self.line(&item.bullet, entry);
                    self.edits.replace(item.lines.clone(), vec![line]);
                }
                if !pristine {
                    self.note(NoteKind::Restored, &entry.text);
                }
            }
            Some(entry) if evidence && item.text != entry.text => self.note(NoteKind::Altered, &item.text),
            Some(_) if !evidence => self.note(NoteKind::Reworded, &item.text),
            Some(entry) => {
                // The words are right again, only the mark was not.
                let line = self.line(&item.bullet, entry);
                self.edits.replace(item.lines.clone(), vec![line]);
            }
            None if pristine || (self.update.restore && evidence) => {
                self.edits.replace(item.lines.clone(), Vec::new());
                self.note(NoteKind::Dropped, &item.text);
                return false;
            }
            None => self.note(NoteKind::Orphaned, &item.text),
        }
        true
    }

    /// Entries without a line: the new ones by group, and everything that was
    /// told once.
    fn missing(&mut self, present: &BTreeSet<String>) -> (BTreeMap<Group, Vec<String>>, Vec<String>) {
        let told: BTreeSet<&str> = self.content.told.iter().map(String::as_str).collect();
        let mut new: BTreeMap<Group, Vec<String>> = BTreeMap::new();
        for entry in &self.update.entries {
            if present.contains(&entry.id) {
                continue;
            }
            let evidence = entry.source.is_evidence();
            if told.contains(entry.id.as_str()) && !(self.update.restore && evidence) {
                if evidence {
                    self.note(NoteKind::LeftOut, &entry.text);
                }
                continue;
            }
            let line = self.line("- ", entry);
            new.entry(entry.group).or_default().push(line);
        }
        let ids: BTreeSet<&str> = self.update.entries.iter().map(|entry| entry.id.as_str()).collect();
        // What was told stays in its order, so that the comment changes little.
        let mut all: Vec<String> = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let unknown = !self.update.unknown.is_empty();
        let before = self.content.told.iter().map(String::as_str).filter(|id| unknown || ids.contains(id));
        for id in before.chain(self.update.entries.iter().map(|entry| entry.id.as_str())) {
            if seen.insert(id) {
                all.push(id.to_owned());
            }
        }
        (new, all)
    }

    /// Where something at the end of the section goes: before the comment of
    /// what was told, after everything else.
    fn end(&self, lines: Range<usize>) -> usize {
        if let Some(told) = &self.content.told_lines {
            return told.start;
        }
        let blank = |at: &usize| self.changelog.lines[*at].trim().is_empty();
        (lines.start..lines.end).rev().find(|at| !blank(at)).map_or(lines.end, |last| last + 1)
    }

    /// Puts new lines into their groups.
    fn add(&mut self, mut new: BTreeMap<Group, Vec<String>>, kept: &BTreeSet<usize>, end: usize) {
        for group in &self.content.groups {
            let inside = |item: &Item| group.lines.contains(&item.lines.start);
            let items: Vec<(usize, &Item)> =
                self.content.items.iter().enumerate().filter(|(_, item)| inside(item)).collect();
            let left = items.iter().filter(|(at, _)| kept.contains(at)).count();
            let known = Group::ALL.iter().find(|known| known.to_string().eq_ignore_ascii_case(&group.name));
            let lines = known.and_then(|known| new.remove(known)).unwrap_or_default();
            if lines.is_empty() {
                // A heading that only stood over what is gone goes, too.
                if !items.is_empty() && left == 0 && self.only_items(&group.lines) {
                    self.edits.replace(group.lines.clone(), Vec::new());
                }
            } else if let Some((_, last)) = items.last() {
                let at = self.end_of_block(last.lines.end, group.lines.end);
                self.edits.insert(at, lines);
            } else {
                self.edits.separate(group.lines.start + 1, lines);
            }
        }
        // New groups stand where their order has them among those that are there.
        for (group, lines) in new {
            let later = self.content.groups.iter().find(|there| {
                Group::ALL
                    .iter()
                    .any(|known| *known > group && known.to_string().eq_ignore_ascii_case(&there.name))
            });
            let at = later.map_or(end, |there| there.lines.start);
            let marks = "#".repeat(self.group_level());
            let blank = self.changelog.end();
            let heading = format!("{marks} {group}{blank}");
            let block = [heading, blank.to_owned()].into_iter().chain(lines).collect();
            self.edits.separate(at, block);
        }
    }

    /// The end of a list item with everything that is indented below it.
    fn end_of_block(&self, start: usize, most: usize) -> usize {
        let lines = &self.changelog.lines;
        let mut end = start;
        while let Some(next) = (end..most).find(|at| !lines[*at].trim().is_empty()) {
            let belongs = !self.changelog.is_live(next) || lines[next].starts_with(['\t', ' ']);
            if !belongs {
                break;
            }
            end = next + 1;
        }
        end
    }

    /// The `#`s of the groups' headings.
    fn group_level(&self) -> usize {
        let of_group = self.content.groups.first().and_then(|group| {
            super::document::heading(&self.changelog.lines[group.lines.start]).map(|(level, _)| level)
        });
        of_group.unwrap_or(self.level.max(2) + 1)
    }

    fn only_items(&self, lines: &Range<usize>) -> bool {
        (lines.start + 1..lines.end).all(|at| {
            self.changelog.lines[at].trim().is_empty()
                || self.content.items.iter().any(|item| item.lines.contains(&at))
        })
    }

    /// Writes down what was generated.
    fn told(&mut self, ids: Vec<String>, end: usize) {
        let stop = self.changelog.end();
        let lines: Vec<String> = match ids.is_empty() {
            true => Vec::new(),
            false => marker::told(&ids).into_iter().map(|line| format!("{line}{stop}")).collect(),
        };
        match &self.content.told_lines {
            // However somebody broke its lines.
            Some(there) if self.content.told != ids => self.edits.replace(there.clone(), lines),
            None if !lines.is_empty() => self.edits.separate(end, lines),
            _ => {}
        }
    }
}

/// The marker as it is when it was written and read.
fn read_back(entry: &Entry) -> marker::Marker {
    let written = format!("x {}", entry.marker());
    marker::split(&written).1.expect("a marker that was written can be read")
}
