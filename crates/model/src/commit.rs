//! Git commits as names: the full SHA-1 object name and its 12-digit short form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A full git commit name: exactly forty lower-case hexadecimal digits (TAG-1).
///
/// ```
/// # use plimsoll_model::Commit;
/// let c: Commit = "3f2a9c01b7d4e58f60718293a4b5c6d7e8f90a1b".parse().unwrap();
/// assert_eq!(c.short(), "3f2a9c01b7d4");
/// assert!("3f2a9c01b7d4".parse::<Commit>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(String);

/// Length of the short tag that is published beside the full one (TAG-1).
pub const SHORT_LEN: usize = 12;

/// Why a text is not a full commit name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseCommitError {
    /// Fewer than forty hexadecimal digits: a short SHA.
    #[error("`{0}` is a shortened commit SHA; the full 40 characters are needed")]
    Short(String),
    /// Forty hexadecimal digits, some of them upper case.
    #[error("`{0}` has upper-case digits; a commit SHA is written in lower case")]
    UpperCase(String),
    /// Anything else: a branch name, a tag, an empty text.
    #[error("`{0}` is not a commit SHA (40 lower-case hexadecimal digits)")]
    NotASha(String),
}

impl Commit {
    /// The forty digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, the short tag.
    pub fn short(&self) -> &str {
        &self.0[..SHORT_LEN]
    }
}

impl FromStr for Commit {
    type Err = ParseCommitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        let upper = text.bytes().any(|b| b.is_ascii_uppercase());
        match (hex, text.len()) {
            (true, 40) if upper => Err(ParseCommitError::UpperCase(text.into())),
            (true, 40) => Ok(Self(text.into())),
            (true, 4..40) => Err(ParseCommitError::Short(text.into())),
            _ => Err(ParseCommitError::NotASha(excerpt(text))),
        }
    }
}

/// Error texts quote at most this many characters of what they were given.
fn excerpt(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

impl TryFrom<String> for Commit {
    type Error = ParseCommitError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> Self {
        commit.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_forty_lower_case_digits_are_a_commit() {
        let full = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(full.parse::<Commit>().unwrap().short(), "0123456789ab");
        assert!(matches!(full[..12].parse::<Commit>(), Err(ParseCommitError::Short(_))));
        assert!(matches!(full.to_uppercase().parse::<Commit>(), Err(ParseCommitError::UpperCase(_))));
        for bad in
            ["", "latest", "main", "v1", "0123456789abcdef0123456789abcdef0123456g", &format!("{full}0")]
        {
            assert!(matches!(bad.parse::<Commit>(), Err(ParseCommitError::NotASha(_))), "{bad}");
        }
    }
}
