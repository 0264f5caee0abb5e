//! What a rule sees: an anchor in its surroundings, and the name of the file.

use std::ops::{Range, RangeInclusive};

use crate::mask::Mask;
use crate::placeholder;
use crate::report::Level;

/// Bytes before an anchor that a rule may look at.
pub(crate) const BEFORE: usize = 1 << 10;

/// Bytes after an anchor that a rule may look at. An RSA key of 8,192 bits
/// takes 6.5 KiB as PEM.
pub(crate) const AFTER: usize = 16 << 10;

/// The name of a file, without a leading `/`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Name<'a> {
    /// Relative to the root, as bytes; empty in the image configuration.
    pub(crate) path: &'a [u8],
    /// The last component.
    pub(crate) base: &'a [u8],
}

impl<'a> Name<'a> {
    pub(crate) fn new(path: &'a [u8]) -> Self {
        Self { path, base: path.rsplit(|&b| b == b'/').next().unwrap_or(path) }
    }

    /// Whether the path ends with these whole components.
    pub(crate) fn ends_with(&self, components: &str) -> bool {
        self.path
            .strip_suffix(components.as_bytes())
            .is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    }

    /// Whether the last component ends so.
    pub(crate) fn has_suffix(&self, suffix: &str) -> bool {
        self.base.len() > suffix.len() && self.base.ends_with(suffix.as_bytes())
    }
}

/// An anchor that was seen in a text.
pub(crate) struct Sight<'a> {
    /// At least [`BEFORE`] and [`AFTER`] bytes around the anchor, where the
    /// file has as many.
    pub(crate) text: &'a [u8],
    /// Where in `text` the anchor is.
    pub(crate) anchor: Range<usize>,
    /// The file.
    pub(crate) name: Name<'a>,
}

/// A credential, by its position in the text that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The value.
    pub(crate) value: Range<usize>,
    /// How it is shown.
    pub(crate) mask: Mask,
    /// The most that this one can mean.
    pub(crate) level: Level,
}

impl Found {
    pub(crate) fn new(value: Range<usize>, mask: Mask) -> Self {
        Self { value, mask, level: Level::Stop }
    }

    /// Not certain, or not dangerous, enough to stop a build.
    pub(crate) fn note(self) -> Self {
        Self { level: Level::Note, ..self }
    }
}

/// Letters and digits.
pub(crate) fn alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

/// The alphabet of URL-safe base64.
pub(crate) fn url_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
}

/// The alphabet of base64 without its padding.
pub(crate) fn base64_letter(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'+' || b == b'/'
}

/// Lower-case hexadecimal digits.
pub(crate) fn lower_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

impl<'a> Sight<'a> {
    /// The text from the end of the anchor, as far as rules look.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.text[self.anchor.end..self.text.len().min(self.anchor.end + AFTER)]
    }

    /// How many bytes from `at` on are in the alphabet; at most `most` + 1.
    pub(crate) fn run(&self, at: usize, alphabet: fn(u8) -> bool, most: usize) -> usize {
        self.text.get(at..).unwrap_or_default().iter().take(most + 1).take_while(|&&b| alphabet(b)).count()
    }

    /// Whether a word begins at `at`. In `"\nTOKEN"` the `n` is no letter.
    pub(crate) fn begins_word(&self, at: usize) -> bool {
        match self.text[..at] {
            [.., b'\\', b'n' | b'r' | b't'] => true,
            [.., before] => !(before.is_ascii_alphanumeric() || before == b'_'),
            [] => true,
        }
    }

    /// A token that begins with the anchor: a body in this alphabet and of
    /// one of these lengths follows, and it looks generated.
    pub(crate) fn token(
        &self,
        alphabet: fn(u8) -> bool,
        lengths: RangeInclusive<usize>,
    ) -> Option<Range<usize>> {
        let at = self.anchor.end;
        // Cheapest first: most anchors in a text are not followed by a body.
        let length = self.run(at, alphabet, *lengths.end());
        if !lengths.contains(&length) || !self.begins_word(self.anchor.start) {
            return None;
        }
        placeholder::looks_generated(&self.text[at..at + length]).then_some(self.anchor.start..at + length)
    }

    /// As [`Sight::token`], shown by its ends.
    pub(crate) fn edges(&self, alphabet: fn(u8) -> bool, lengths: RangeInclusive<usize>) -> Option<Found> {
        self.token(alphabet, lengths).map(|value| Found::new(value, Mask::Edges))
    }

    /// Where a value begins after the name that ends at `at`: after closing
    /// quotes, blanks and one of `=`, `:`, `=>`, `,`; and an opening quote.
    pub(crate) fn value_after(&self, at: usize) -> Option<usize> {
        let mut assigned = false;
        for (offset, &b) in self.text.get(at..)?.iter().take(16).enumerate() {
            match b {
                b'=' | b':' | b',' => assigned = true,
                b'"' | b'\'' | b' ' | b'\t' | b'\\' | b'>' | b']' | b'`' => {}
                _ => return assigned.then_some(at + offset),
            }
        }
        None
    }
}
