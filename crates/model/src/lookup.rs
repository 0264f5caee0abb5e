//! The four answers a look-up can give. They never blur into each other.

use serde::{Deserialize, Serialize};

/// What is known after looking for something outside (invariant 4: absent is
/// not unreachable is not invalid).
///
/// An error never turns into [`Lookup::Absent`]: a registry that answers 429
/// has not said that a tag does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "value", rename_all = "snake_case")]
pub enum Lookup<T> {
    /// It is there and well-formed.
    Found(T),
    /// The other side said, in so many words, that it does not exist.
    Absent,
    /// It is there and is not what it must be; why.
    Invalid(String),
    /// Nothing can be said: unreachable, timed out, answered nonsense; why.
    Unknown(String),
}

impl<T> Lookup<T> {
    /// The value, where there is one.
    pub fn found(&self) -> Option<&T> {
        match self {
            Self::Found(value) => Some(value),
            _ => None,
        }
    }

    /// Applies `f` to a found value and leaves the other three answers alone.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Lookup<U> {
        match self {
            Self::Found(value) => Lookup::Found(f(value)),
            Self::Absent => Lookup::Absent,
            Self::Invalid(why) => Lookup::Invalid(why),
            Self::Unknown(why) => Lookup::Unknown(why),
        }
    }

    /// What was found, in words, for the `found` column of a check.
    pub fn describe(&self, show: impl FnOnce(&T) -> String) -> String {
        match self {
            Self::Found(value) => show(value),
            Self::Absent => "nothing".into(),
            Self::Invalid(why) => format!("invalid: {why}"),
            Self::Unknown(why) => format!("unknown: {why}"),
        }
    }
}
