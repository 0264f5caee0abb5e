//! A statement with places for a range of keys.

/// What a statement does with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `INSERT … SELECT`.
    Insert,
}

/// A statement that can be restricted to a range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranged {
    pub(super) verb: Verb,
    pub(super) parts: Vec<Part>,
    pub(super) left: Option<Vec<Part>>,
    pub(super) written: String,
}

/// A piece of the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// As it is.
    Text(String),
    /// That the key is above the lower bound.
    Above(String),
    /// That it is not above the upper bound.
    UpTo(String),
}

impl Ranged {
    /// What it does.
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The statement as it was written, without comments and with single spaces:
    /// what a checksum is made of.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The statement for the keys above `above` (all, where there is none) and not
    /// above `up_to`. Each bound is one SQL expression per column of the key.
    pub fn sql(&self, above: Option<&[String]>, up_to: &[String]) -> String {
        render(&self.parts, above, Some(up_to))
    }

    /// Whether a look at the rows tells if anything is left to do: the statement makes
    /// its own condition false.
    pub fn tells(&self) -> bool {
        self.left.is_some()
    }

    /// `SELECT 1 …` of one row that the statement would still change, in the same
    /// range or without an end; nothing where that cannot be told from the statement.
    pub fn left(&self, above: Option<&[String]>, up_to: Option<&[String]>) -> Option<String> {
        self.left.as_ref().map(|parts| render(parts, above, up_to))
    }
}

fn render(parts: &[Part], above: Option<&[String]>, up_to: Option<&[String]>) -> String {
    let mut sql = String::new();
    for part in parts {
        match part {
            Part::Text(text) => sql.push_str(text),
            Part::Above(key) => compare(&mut sql, key, ">", above),
            Part::UpTo(key) => compare(&mut sql, key, "<=", up_to),
        }
    }
    sql
}

fn compare(sql: &mut String, key: &str, operator: &str, bound: Option<&[String]>) {
    match bound {
        None => sql.push_str("TRUE"),
        Some([one]) => sql.push_str(&format!("{key} {operator} {one}")),
        Some(several) => sql.push_str(&format!("{key} {operator} ({})", several.join(", "))),
    }
}
