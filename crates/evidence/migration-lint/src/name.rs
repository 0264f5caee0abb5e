//! Names of relations, types and indexes, with the schema where it matters.

use std::fmt;

/// A name as the database keeps it: unquoted parts in lower case, `public.` and
/// SQLite's `main.` left out, since they are what an unqualified name means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// Empty for the default schema.
    pub(crate) schema: String,
    /// The last part.
    pub(crate) name: String,
}

impl Name {
    /// A name without a schema.
    pub(crate) fn plain(name: impl Into<String>) -> Self {
        Self { schema: String::new(), name: name.into() }
    }

    /// From the parts as written, `schema` before `name`; a database before them
    /// says nothing more.
    pub(crate) fn from_parts(parts: Vec<String>) -> Option<Self> {
        let mut parts = parts.into_iter().rev();
        let name = parts.next().filter(|name| !name.is_empty())?;
        let schema = parts.next().unwrap_or_default();
        let schema = if matches!(schema.as_str(), "public" | "main") { String::new() } else { schema };
        Some(Self { schema, name })
    }

    /// The same schema with another last part.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        Self { schema: self.schema.clone(), name: name.into() }
    }

    /// As it is written in SQL: quoted where it must be.
    pub(crate) fn sql(&self) -> String {
        if self.schema.is_empty() {
            quoted(&self.name)
        } else {
            format!("{}.{}", quoted(&self.schema), quoted(&self.name))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.schema.is_empty() {
            write!(f, "{}.", self.schema)?;
        }
        f.write_str(&self.name)
    }
}

/// An identifier as it is written in SQL.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !squawk_syntax::quote::is_reserved_word(name);
    if plain { name.into() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schema_is_left_out_and_reserved_words_are_quoted() {
        let name = |parts: &[&str]| Name::from_parts(parts.iter().map(|part| (*part).into()).collect());
        assert_eq!(name(&["public", "users"]), Some(Name::plain("users")));
        assert_eq!(name(&["billing", "users"]).unwrap().to_string(), "billing.users");
        assert_eq!(Name::plain("user").sql(), "\"user\"");
        assert_eq!(Name::plain("Team").sql(), "\"Team\"");
        assert_eq!(name(&[]), None);
    }
}
