//! What may be shown of a credential.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is shown of a credential: enough to recognise it among one's own,
/// never enough to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Masked(String);

/// How a value is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mask {
    /// Long and random: its ends are shown.
    Edges,
    /// Short, or chosen by a person: nothing is shown.
    Hidden,
    /// What kind of thing it is.
    Kind(&'static str),
}

const HIDDEN: &str = "****";

impl Masked {
    /// Masks `value`.
    pub(crate) fn new(value: &[u8], mask: Mask) -> Self {
        let printable = |part: &[u8]| part.iter().all(u8::is_ascii_graphic);
        Self(match mask {
            Mask::Hidden => HIDDEN.into(),
            Mask::Kind(kind) => format!("{kind} {HIDDEN}"),
            // At most 6 of 20 characters or more are shown; 14 random ones
            // of 64 are left to be guessed.
            Mask::Edges => {
                match (value.get(..4), value.len().checked_sub(2).and_then(|at| value.get(at..))) {
                    (Some(first), Some(last)) if value.len() >= 20 && printable(first) && printable(last) => {
                        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
                        format!("{}{HIDDEN}{}", text(first), text(last))
                    }
                    _ => HIDDEN.into(),
                }
            }
        })
    }

    /// The masked text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text of strangers for people: control characters escaped, at most `most`
/// characters.
pub(crate) fn printable(bytes: &[u8], most: usize) -> String {
    let mut text = String::new();
    let mut left = most;
    for c in String::from_utf8_lossy(bytes).chars() {
        if left == 0 {
            text.push('…');
            break;
        }
        left -= 1;
        // Direction marks reorder what a terminal shows.
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn little_of_a_long_value_and_nothing_of_a_short_one() {
        let value = b"abcdefghijklmnopqrstuvwxyz";
        assert_eq!(Masked::new(value, Mask::Edges).as_str(), "abcd****yz");
        assert_eq!(Masked::new(&value[..19], Mask::Edges).as_str(), "****");
        assert_eq!(Masked::new(value, Mask::Hidden).as_str(), "****");
        assert_eq!(Masked::new(value, Mask::Kind("a key")).as_str(), "a key ****");
        assert_eq!(Masked::new(b"\x1b[31mabcdefghijklmnopqrs", Mask::Edges).as_str(), "****");
    }

    #[test]
    fn paths_cannot_drive_a_terminal() {
        assert_eq!(printable(b"/a\x1b[2J\xff/b\n", 100), "/a\\u{1b}[2J\u{fffd}/b\\u{a}");
        assert_eq!(printable(b"abcdef", 3), "abc…");
        assert_eq!(printable("\u{202e}x".as_bytes(), 9), "\\u{202e}x");
    }
}
