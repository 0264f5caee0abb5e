//! A changelog as lines, none of which is lost, and where its releases are.

use std::fmt;
use std::ops::Range;

use semver::Version;

use super::Error;

/// No changelog is read further than this many bytes.
pub const MOST_BYTES: usize = 8 << 20;

/// A changelog. Printing gives back every byte that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changelog {
    /// Each with its own line end; the last one may have none.
    pub(super) lines: Vec<String>,
    /// Whether the line is text, and not inside of a code block or a comment.
    live: Vec<bool>,
    sections: Vec<Section>,
    /// Where the link references at the end begin.
    pub(super) footer: usize,
    /// The line in which a comment or code block begins that never ends.
    unclosed: Option<usize>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: Name,
    /// The `#`s of its heading.
    pub(super) level: usize,
    /// From the heading on.
    pub(super) lines: Range<usize>,
    /// Lines that the heading has: two where it is underlined.
    pub(super) heading: usize,
}

/// What a release is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// What is not released yet.
    Unreleased,
    /// A version.
    Version(Version),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreleased => f.write_str("Unreleased"),
            Self::Version(version) => version.fmt(f),
        }
    }
}

/// What a changelog begins with where there is none.
const PREAMBLE: &str = "# Changelog\n\nAll notable changes are written here, in the form of \
                        [Keep a Changelog](https://keepachangelog.com/en/1.1.0/).\n";

impl Default for Changelog {
    fn default() -> Self {
        Self::of(PREAMBLE)
    }
}

impl Changelog {
    /// Reads a changelog.
    ///
    /// # Errors
    /// It has more than [`MOST_BYTES`] bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::TooLarge { bytes: text.len() });
        }
        Ok(Self::of(text))
    }

    fn of(text: &str) -> Self {
        let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        Self::of_lines(lines)
    }

    pub(super) fn of_lines(lines: Vec<String>) -> Self {
        let (live, unclosed) = live(&lines);
        let footer = footer(&lines, &live);
        let sections = sections(&lines, &live, footer);
        Self { lines, live, sections, footer, unclosed }
    }

    /// The releases it tells of, in its order.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.sections.iter().map(|section| &section.name)
    }

    /// The text of one release, with its heading and without blank lines around.
    pub fn section_text(&self, name: &Name) -> Option<String> {
        let section = self.section(name)?;
        Some(self.lines[section.lines.clone()].concat().trim_end().to_owned())
    }

    pub(super) fn section(&self, name: &Name) -> Option<&Section> {
        self.sections.iter().find(|section| match (&section.name, name) {
            (Name::Version(one), Name::Version(other)) => one.cmp_precedence(other).is_eq(),
            (one, other) => one == other,
        })
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// What is behind a comment that never ends is no text, and neither is what
    /// would be written there.
    pub(super) fn whole(&self) -> Result<(), Error> {
        self.unclosed.map_or(Ok(()), |line| Err(Error::Unclosed { line: line + 1 }))
    }

    pub(super) fn is_live(&self, line: usize) -> bool {
        self.live.get(line).copied().unwrap_or(false)
    }

    /// The line end that the file has.
    pub(super) fn end(&self) -> &'static str {
        match self.lines.first() {
            Some(first) if first.ends_with("\r\n") => "\r\n",
            _ => "\n",
        }
    }

    /// Puts lines in place of others. Lines that get others after them get a
    /// line end.
    pub(super) fn splice(&mut self, range: Range<usize>, with: Vec<String>) {
        let end = self.end();
        let mut lines = std::mem::take(&mut self.lines);
        lines.splice(range, with);
        let last = lines.len().saturating_sub(1);
        for line in lines.iter_mut().take(last).filter(|line| !line.ends_with('\n')) {
            line.push_str(end);
        }
        *self = Self::of_lines(lines);
    }
}

impl fmt::Display for Changelog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| f.write_str(line))
    }
}

/// Which lines are text: neither in a fenced code block nor begun inside of an
/// HTML comment; and where one of those begins that never ends.
fn live(lines: &[String]) -> (Vec<bool>, Option<usize>) {
    let mut fence: Option<(char, usize)> = None;
    let mut comment = false;
    let mut begun = None;
    let mut live = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim();
        if let Some((mark, length)) = fence {
            let run = text.chars().take_while(|c| *c == mark).count();
            if run >= length && text.len() == run {
                fence = None;
            }
            live.push(false);
            continue;
        }
        let begins_inside = comment;
        if !comment {
            fence = fence_begins(text);
            if fence.is_some() {
                begun = Some(at);
                live.push(false);
                continue;
            }
        }
        comment = ends_in_comment(line, comment);
        if comment && !begins_inside {
            begun = Some(at);
        }
        live.push(!begins_inside);
    }
    (live, begun.filter(|_| comment || fence.is_some()))
}

/// The mark and its length, where a line begins a code block.
fn fence_begins(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let run = text.chars().take_while(|c| *c == mark).count();
    // An info string of backquotes has none itself (CommonMark 4.5).
    (run >= 3 && !(mark == '`' && text[run..].contains('`'))).then_some((mark, run))
}

/// Whether a comment is open at the end of a line. Code spans are not looked
/// at: `<!--` in one opens nothing, but then the file has a `-->` for it.
fn ends_in_comment(line: &str, mut open: bool) -> bool {
    let mut rest = line;
    loop {
        let mark = if open { "-->" } else { "<!--" };
        match rest.find(mark) {
            Some(at) => {
                if !open && in_code(rest, at) {
                    return false;
                }
                rest = &rest[at + mark.len()..];
                open = !open;
            }
            None => return open,
        }
    }
}

/// Whether a place is inside of a code span, as far as backquotes before it tell.
fn in_code(line: &str, at: usize) -> bool {
    line[..at].matches('`').count() % 2 == 1
}

/// The `#`s and the text of a heading.
pub(super) fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_end();
    let indent = text.len() - text.trim_start_matches(' ').len();
    let text = text.trim_start_matches(' ');
    let level = text.bytes().take_while(|byte| *byte == b'#').count();
    let rest = &text[level..];
    let parted = rest.is_empty() || rest.starts_with([' ', '\t']);
    ((1..=6).contains(&level) && indent < 4 && parted)
        .then(|| (level, rest.trim().trim_end_matches('#').trim_end()))
}

/// `[label]: target`.
pub(super) fn reference(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_end();
    let indent = text.len() - text.trim_start_matches(' ').len();
    let (label, target) = text.trim_start().strip_prefix('[')?.split_once("]:")?;
    let target = target.trim();
    (indent < 4 && !label.is_empty() && !label.contains(['[', ']']) && !target.is_empty())
        .then_some((label, target))
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

/// The link references at the end of the file, with the blank lines before them.
fn footer(lines: &[String], live: &[bool]) -> usize {
    let mut start = lines.len();
    let mut first = lines.len();
    for at in (0..lines.len()).rev() {
        if live[at] && reference(&lines[at]).is_some() {
            first = at;
        } else if !is_blank(&lines[at]) {
            break;
        }
        start = at;
    }
    if first == lines.len() { first } else { start.min(first) }
}

fn sections(lines: &[String], live: &[bool], footer: usize) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut open: Option<Section> = None;
    let mut close = |open: &mut Option<Section>, at: usize| {
        if let Some(mut section) = open.take() {
            section.lines.end = at;
            sections.push(section);
        }
    };
    for at in (0..footer).filter(|at| live[*at]) {
        let Some((level, text, heading)) = any_heading(lines, live, at) else { continue };
        match name(text).filter(|_| level <= 3) {
            Some(name) => {
                close(&mut open, at);
                open = Some(Section { name, level, lines: at..at, heading });
            }
            None if open.as_ref().is_some_and(|section| level <= section.level) => close(&mut open, at),
            None => {}
        }
    }
    close(&mut open, footer);
    sections
}

/// A heading with `#`, or one that is underlined: level, text, lines.
fn any_heading<'a>(lines: &'a [String], live: &[bool], at: usize) -> Option<(usize, &'a str, usize)> {
    if let Some((level, text)) = heading(&lines[at]) {
        return Some((level, text, 1));
    }
    let under = lines.get(at + 1).filter(|_| live[at + 1])?.trim_end();
    let level = match under.bytes().next()? {
        b'=' => 1,
        b'-' => 2,
        _ => return None,
    };
    let line = under.bytes().all(|byte| byte == under.as_bytes()[0]) && under.len() >= 3;
    // Everything else above a line is a paragraph and a rule, or a table.
    name(lines[at].trim()).filter(|_| line).map(|_| (level, lines[at].trim(), 2))
}

/// `[1.2.3] - 2026-01-01`, `v1.2.3 (2026-01-01)`, `[1.2.3](https://…)`, `Unreleased`.
fn name(text: &str) -> Option<Name> {
    let text = text.trim_start_matches(['[', '*', '_', '`']);
    let word =
        text.split(|c: char| c.is_whitespace() || matches!(c, ']' | '(' | '*' | '`' | ':' | ',')).next()?;
    if word.eq_ignore_ascii_case("unreleased") {
        return Some(Name::Unreleased);
    }
    let word = match word.to_ascii_lowercase().as_str() {
        "version" | "release" => text[word.len()..].trim_start().split([' ', ']', '(']).next()?,
        _ => word,
    };
    // However long: what is written has to be found again.
    word.strip_prefix(['v', 'V']).unwrap_or(word).parse().ok().map(Name::Version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let changelog = Changelog::parse(text).unwrap();
        assert_eq!(changelog.to_string(), text);
        changelog.names().map(ToString::to_string).collect()
    }

    #[test]
    fn headings_of_releases() {
        for heading in [
            "## [1.2.3] - 2026-01-01",
            "## 1.2.3",
            "## v1.2.3 (2026-01-01)",
            "### [1.2.3](https://example.com/compare/v1.2.2...v1.2.3) (2026-01-01)",
            "# 1.2.3",
            "## [1.2.3] - 2026-01-01 [YANKED]",
            "## Version 1.2.3",
            "## **1.2.3**",
            "  ## [1.2.3] ##",
            "1.2.3\n-----",
            "[1.2.3] - 2026-01-01\n====================",
        ] {
            assert_eq!(names(&format!("# Changelog\n\n{heading}\n\n- a\n")), ["1.2.3"], "{heading}");
        }
        assert_eq!(names("## [Unreleased]\n## unreleased\n"), ["Unreleased", "Unreleased"]);
        for other in [
            "## Added",
            "    ## [1.2.3]",
            "##1.2.3",
            "#### [1.2.3]",
            "1.2.3\n--",
            "## 1.2",
            "## Notes on 1.2.3",
        ] {
            assert!(names(&format!("# Changelog\n\n{other}\n")).is_empty(), "{other}");
        }
    }

    #[test]
    fn what_stands_in_code_or_comments_is_no_heading() {
        let text = "# Changelog\n\n<!--\n## [9.9.9]\n-->\n## [1.0.0]\n\n```md\n## [0.9.0]\n```\n~~~~\n```\n## [0.8.0]\n~~~\n~~~~\n\
                    - a <!-- b\n## [0.7.0]\n-->\n- `<!--` is code\n## [0.6.0]\n";
        assert_eq!(names(text), ["1.0.0", "0.6.0"]);
    }

    #[test]
    fn the_last_release_ends_before_the_links() {
        let text = "## [1.0.0]\n\n- a [x]\n\n[x]: https://example.com\n\n## [0.9.0]\r\n\r\n- b\n\n\n[1.0.0]: https://example.com/1\n[0.9.0]: <https://example.com/2>\n\n";
        let changelog = Changelog::parse(text).unwrap();
        assert_eq!(
            changelog.section_text(&Name::Version(Version::new(0, 9, 0))).unwrap(),
            "## [0.9.0]\r\n\r\n- b"
        );
        assert_eq!(changelog.lines[changelog.footer].trim(), "");
        assert_eq!(changelog.to_string(), text);
        assert_eq!(names(text), ["1.0.0", "0.9.0"]);
    }

    #[test]
    fn other_headings_of_its_level_end_a_release() {
        let text = "## [1.0.0]\n### Added\n- a\n## About\n- no release\n";
        let changelog = Changelog::parse(text).unwrap();
        assert_eq!(
            changelog.section_text(&Name::Version(Version::new(1, 0, 0))).unwrap(),
            "## [1.0.0]\n### Added\n- a"
        );
    }

    #[test]
    fn hostile_text_is_bounded() {
        assert!(Changelog::parse(&"x".repeat(MOST_BYTES + 1)).is_err());
        for text in
            ["#\n".repeat(200_000), "<!--".repeat(200_000), "`".repeat(1 << 20), "- \n".repeat(200_000)]
        {
            assert_eq!(Changelog::parse(&text).unwrap().to_string(), text);
        }
    }
}
