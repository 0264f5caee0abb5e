//! Column types, and what it costs to change one into another.

use std::fmt;

/// A type: PostgreSQL's internal name where it has one, arguments, dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SqlType {
    /// E.g. `int8`, `varchar`, `timestamptz`, `Role`.
    pub(crate) name: String,
    /// E.g. `[10, 2]` of `numeric(10, 2)`.
    pub(crate) arguments: Vec<u32>,
    /// Whether it is an array.
    pub(crate) array: bool,
}

/// What the database has to do with the rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Only the catalogue changes.
    Catalogue,
    /// Every row is read.
    Scan,
    /// Every row is written again, with every index.
    Rewrite,
}

impl SqlType {
    /// From the words of a type, in lower case unless quoted, and its numbers.
    pub(crate) fn new(words: &str, arguments: Vec<u32>, array: bool) -> Self {
        let name = match words {
            "int" | "integer" | "serial" | "serial4" => "int4",
            "bigint" | "bigserial" | "serial8" => "int8",
            "smallint" | "smallserial" | "serial2" => "int2",
            "boolean" => "bool",
            "character varying" | "char varying" | "nchar varying" | "national character varying" => {
                "varchar"
            }
            "character" | "char" | "nchar" | "national character" => "bpchar",
            "decimal" | "dec" => "numeric",
            "double precision" | "float" => "float8",
            "real" => "float4",
            "bit varying" => "varbit",
            "timestamp with time zone" => "timestamptz",
            "timestamp without time zone" => "timestamp",
            "time with time zone" => "timetz",
            "time without time zone" => "time",
            other => other,
        };
        let name = name.strip_prefix("pg_catalog.").or(name.strip_prefix("public.")).unwrap_or(name);
        let arguments = match (name, arguments.as_slice()) {
            ("bpchar", []) => vec![1],
            ("numeric", [precision]) => vec![*precision, 0],
            _ => arguments,
        };
        Self { name: name.into(), arguments, array }
    }

    /// What PostgreSQL does when a column of this type becomes `to` without a
    /// USING that computes. Binary coercible types (`pg_cast` without a function)
    /// and lengths that only grow cost nothing.
    pub(crate) fn change(&self, to: &Self) -> Work {
        if self == to {
            return Work::Catalogue;
        }
        if self.array != to.array {
            return Work::Rewrite;
        }
        let (from, to_name) = (self.name.as_str(), to.name.as_str());
        let unlimited = to.arguments.is_empty();
        let free = match (from, to_name) {
            ("varchar", "varchar") | ("varbit", "varbit") => {
                unlimited || grows(&self.arguments, &to.arguments, 0)
            }
            ("varchar" | "text", "text" | "varchar" | "citext")
            | ("citext", "text" | "varchar")
            | ("xml", "text" | "varchar") => unlimited,
            ("numeric", "numeric") => {
                unlimited
                    || (grows(&self.arguments, &to.arguments, 0)
                        && self.arguments.get(1).unwrap_or(&0) == to.arguments.get(1).unwrap_or(&0))
            }
            ("timestamp", "timestamp")
            | ("timestamptz", "timestamptz")
            | ("time", "time")
            | ("timetz", "timetz")
            | ("interval", "interval") => unlimited || grows(&self.arguments, &to.arguments, 0),
            ("cidr", "inet") => true,
            _ => false,
        };
        if free { Work::Catalogue } else { Work::Rewrite }
    }

    /// What SQLite makes of it ("Datatypes In SQLite", 3.1). Its INTEGER and NUMERIC
    /// keep the same values.
    pub(crate) fn affinity(&self) -> &'static str {
        let name = self.name.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if has(&["int"]) {
            "numeric"
        } else if has(&["char", "clob", "text"]) {
            "text"
        } else if name.is_empty() || has(&["blob"]) {
            "blob"
        } else if has(&["real", "floa", "doub"]) {
            "real"
        } else {
            "numeric"
        }
    }

    /// Whether every value that the old type could hold is one of the new type,
    /// and reads the same to code that was written for the old one.
    pub(crate) fn still_serves(&self, old: &Self) -> bool {
        if old.change(self) == Work::Catalogue {
            return true;
        }
        self.array == old.array
            && matches!(
                (old.name.as_str(), self.name.as_str()),
                ("int2", "int4" | "int8") | ("int4", "int8") | ("float4", "float8") | ("json", "jsonb")
            )
    }
}

fn grows(from: &[u32], to: &[u32], at: usize) -> bool {
    matches!((from.get(at), to.get(at)), (Some(from), Some(to)) if from <= to)
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.name.as_str() {
            "int4" => "integer",
            "int8" => "bigint",
            "int2" => "smallint",
            "bool" => "boolean",
            "bpchar" => "char",
            "float8" => "double precision",
            "float4" => "real",
            other => other,
        })?;
        if !self.arguments.is_empty() {
            let arguments: Vec<_> = self.arguments.iter().map(u32::to_string).collect();
            write!(f, "({})", arguments.join(", "))?;
        }
        f.write_str(if self.array { "[]" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql_type(words: &str, arguments: &[u32]) -> SqlType {
        SqlType::new(words, arguments.to_vec(), false)
    }

    #[test]
    fn only_what_is_binary_coercible_or_grows_is_free() {
        let free = [
            (sql_type("varchar", &[10]), sql_type("character varying", &[20])),
            (sql_type("varchar", &[10]), sql_type("text", &[])),
            (sql_type("text", &[]), sql_type("varchar", &[])),
            (sql_type("numeric", &[10, 2]), sql_type("decimal", &[12, 2])),
            (sql_type("numeric", &[10, 2]), sql_type("numeric", &[])),
            (sql_type("timestamptz", &[3]), sql_type("timestamp with time zone", &[])),
            (sql_type("cidr", &[]), sql_type("inet", &[])),
        ];
        for (from, to) in free {
            assert_eq!(from.change(&to), Work::Catalogue, "{from} to {to}");
        }
        let paid = [
            (sql_type("varchar", &[20]), sql_type("varchar", &[10])),
            (sql_type("text", &[]), sql_type("varchar", &[10])),
            (sql_type("varchar", &[]), sql_type("varchar", &[10])),
            (sql_type("int", &[]), sql_type("bigint", &[])),
            (sql_type("numeric", &[10, 2]), sql_type("numeric", &[12, 3])),
            (sql_type("char", &[5]), sql_type("text", &[])),
            (sql_type("timestamp", &[]), sql_type("timestamptz", &[])),
            (sql_type("text", &[]), SqlType::new("text", vec![], true)),
        ];
        for (from, to) in paid {
            assert_eq!(from.change(&to), Work::Rewrite, "{from} to {to}");
        }
    }

    #[test]
    fn a_wider_number_serves_code_for_the_narrower_one_and_not_the_other_way_round() {
        assert!(sql_type("bigint", &[]).still_serves(&sql_type("int", &[])));
        assert!(!sql_type("int", &[]).still_serves(&sql_type("bigint", &[])));
    }
}
