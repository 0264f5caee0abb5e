//! The name of a trace, as other tools know it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A `trace-id`: sixteen bytes, not all of them zero, written as thirty-two
/// lower-case hexadecimal digits (W3C Trace Context, section 3.2.2.3).
///
/// ```
/// # use plimsoll_model::TraceId;
/// let id: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
/// assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!("00000000000000000000000000000000".parse::<TraceId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; 16]);

/// Why a text is no trace id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace id: 32 lower-case hexadecimal digits, not all zero")]
pub struct ParseTraceIdError;

impl TraceId {
    /// Sixteen bytes; `None` when all are zero, which names no trace.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl FromStr for TraceId {
    type Err = ParseTraceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(lower) {
            return Err(ParseTraceIdError);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| ParseTraceIdError)?;
        Self::from_bytes(number.to_be_bytes()).ok_or(ParseTraceIdError)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for TraceId {
    type Error = ParseTraceIdError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TraceId> for String {
    fn from(id: TraceId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_one_written_form_is_read() {
        let id: TraceId = "00000000000000000000000000000001".parse().unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00000000000000000000000000000001\"");
        for bad in
            ["", "1", "4BF92F3577B34DA6A3CE929D0E0E4736", "+0000000000000000000000000000001", &"0".repeat(32)]
        {
            assert!(bad.parse::<TraceId>().is_err(), "{bad}");
        }
    }
}
