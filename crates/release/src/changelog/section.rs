//! What is in a section: groups, items, and what was told before.

use std::ops::Range;

use super::document::{Changelog, Section, heading};
use super::marker::{self, Marker};

/// A section, read.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) groups: Vec<GroupLines>,
    pub(super) items: Vec<Item>,
    /// Ids of everything that was generated once.
    pub(super) told: Vec<String>,
    /// The comment that says so.
    pub(super) told_lines: Option<Range<usize>>,
}

/// A heading below that of the release, and the lines up to the next one.
#[derive(Debug)]
pub(super) struct GroupLines {
    pub(super) name: String,
    pub(super) lines: Range<usize>,
}

/// One bullet with the lines that belong to its first paragraph.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) lines: Range<usize>,
    /// What stands before the text: indentation and bullet.
    pub(super) bullet: String,
    /// Without bullet and marker.
    pub(super) text: String,
    pub(super) marker: Option<Marker>,
}

impl Item {
    /// Whether the words are those that were generated.
    pub(super) fn is_pristine(&self) -> bool {
        self.marker.as_ref().is_some_and(|marker| marker.sum == marker::sum(&self.text))
    }
}

/// Indentation, bullet and blanks, where a line begins an item.
fn bullet(line: &str) -> Option<&str> {
    let text = line.trim_start_matches([' ', '\t']);
    let rest = text.strip_prefix(['-', '*', '+'])?;
    // `***` and `- - -` are rules (CommonMark 4.1).
    let mut marks = text.chars().filter(|c| !c.is_whitespace());
    let first = marks.next();
    if text.trim().len() >= 3 && marks.clone().count() >= 2 && marks.all(|mark| Some(mark) == first) {
        return None;
    }
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    (blanks > 0).then(|| &line[..line.len() - rest.len() + blanks])
}

/// Reads a section of a changelog.
pub(super) fn read(changelog: &Changelog, section: &Section) -> Content {
    let mut content = Content::default();
    let lines = &changelog.lines;
    let mut at = section.lines.start + section.heading;
    while at < section.lines.end {
        let line = &lines[at];
        if !changelog.is_live(at) {
            at += 1;
        } else if let Some((_, name)) = heading(line) {
            if let Some(last) = content.groups.last_mut() {
                last.lines.end = last.lines.end.min(at);
            }
            content.groups.push(GroupLines { name: name.to_owned(), lines: at..section.lines.end });
            at += 1;
        } else if marker::begins_told(line) {
            let end = (at..section.lines.end).find(|line| lines[*line].contains("-->"));
            let end = end.map_or(section.lines.end, |end| end + 1);
            let text = lines[at..end].concat();
            content.told.extend(marker::read_told(&text));
            if let Some(last) = content.groups.last_mut() {
                last.lines.end = at;
            }
            // Where somebody wrote something else in it, it is theirs.
            if marker::is_told(&text) {
                content.told_lines.get_or_insert(at..end);
            }
            at = end;
        } else if let Some(bullet) = bullet(line) {
            let end = end_of_item(changelog, at, section.lines.end);
            let whole = lines[at..end].concat();
            let (text, marker) = marker::split(&whole[bullet.len()..]);
            content.items.push(Item {
                lines: at..end,
                bullet: bullet.to_owned(),
                text: marker::words(text),
                marker,
            });
            at = end;
        } else {
            at += 1;
        }
    }
    content
}

fn end_of_item(changelog: &Changelog, start: usize, most: usize) -> usize {
    (start + 1..most)
        .find(|at| {
            let line = &changelog.lines[*at];
            // A marker that was broken into lines is a comment, and still its end.
            if !changelog.is_live(*at) {
                return line.trim_start().starts_with(['`', '~']);
            }
            line.trim().is_empty()
                || bullet(line).is_some()
                || heading(line).is_some()
                || line.trim_start().starts_with("<!-- plimsoll told")
        })
        .unwrap_or(most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn groups_items_and_markers() {
        let marker = "<!-- plimsoll api 0123456789ab.89abcdef API-1\n  #/x -->";
        let text = format!(
            "## [1.0.0]\n\nWords.\n\n### Added\n\n- one\n  goes on\n  * two {marker}\n+ three\n\n  a paragraph\n\n---\n### API\n```\n- code\n```\n- four\n<!-- plimsoll told 0123456789ab\nba9876543210 -->\n"
        );
        let changelog = Changelog::parse(&text).unwrap();
        let content = read(&changelog, &changelog.sections()[0]);
        let texts: Vec<&str> = content.items.iter().map(|item| item.text.as_str()).collect();
        assert_eq!(texts, ["one goes on", "two", "three", "four"]);
        assert_eq!(content.items[1].bullet, "  * ");
        assert_eq!(content.items[1].marker.as_ref().unwrap().cited, "API-1 #/x");
        let groups: Vec<&str> = content.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(groups, ["Added", "API"]);
        assert_eq!(content.told, ["0123456789ab", "ba9876543210"]);
    }
}
