//! A value of the key that a table is walked by, one part for each column.

use serde::{Deserialize, Serialize};

/// One value of the key. As JSON an array: PostgreSQL's values are its own texts,
/// SQLite's keep their type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub Vec<Part>);

/// The value of one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Part {
    /// A whole number, of SQLite.
    Integer(i64),
    /// A text; with PostgreSQL whatever type the column has.
    Text(String),
    /// Bytes, of SQLite.
    Bytes {
        /// In hexadecimal digits.
        hex: String,
    },
}

impl Key {
    /// As it is kept in the table of backfills.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts are JSON")
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Where the key lies, on a line of numbers: for whole numbers, and for UUIDs.
    pub(crate) fn position(&self) -> Option<f64> {
        match self.0.first()? {
            Part::Integer(number) => Some(*number as f64),
            Part::Text(text) => match text.parse::<i64>() {
                Ok(number) => Some(number as f64),
                Err(_) => uuid(text),
            },
            Part::Bytes { .. } => None,
        }
    }
}

/// The first half of a UUID: what is left out is less than any plot shows.
fn uuid(text: &str) -> Option<f64> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let well_formed = digits.len() == 32 && text.len() == 36;
    let half = digits.get(..16).filter(|_| well_formed)?;
    u64::from_str_radix(half, 16).ok().map(|number| number as f64)
}

impl std::fmt::Display for Key {
    /// `17`, or `(3, "a")`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let show = |part: &Part| match part {
            Part::Integer(number) => number.to_string(),
            Part::Text(text) if text.parse::<i64>().is_ok() => text.clone(),
            Part::Text(text) => {
                let short: String = text.chars().take(80).collect();
                format!("{short:?}")
            }
            Part::Bytes { hex } => format!("x'{}'", hex.get(..80).unwrap_or(hex)),
        };
        match self.0.as_slice() {
            [one] => f.write_str(&show(one)),
            several => {
                write!(f, "({})", several.iter().map(show).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_survive_their_text() {
        let key = Key(vec![
            Part::Integer(i64::MIN),
            Part::Text("a\"b\u{0}ü".into()),
            Part::Text("12".into()),
            Part::Bytes { hex: "00ff".into() },
        ]);
        assert_eq!(Key::from_text(&key.to_text()).unwrap(), key);
        assert!(Key::from_text("{}").is_err());
        assert!(Key::from_text("[1.5]").is_err());
    }

    #[test]
    fn numbers_and_uuids_lie_on_a_line() {
        let at = |text: &str| Key(vec![Part::Text(text.into())]).position();
        assert_eq!(at("-7"), Some(-7.0));
        assert_eq!(at("80000000-0000-0000-0000-000000000000"), Some(2.0_f64.powi(63)));
        assert_eq!(at("someone@example.com"), None);
    }
}
