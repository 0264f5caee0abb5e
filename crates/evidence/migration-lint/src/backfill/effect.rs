//! Whether a statement's effect makes its own condition false: then a look for one
//! row that still meets it tells whether all is done.

use squawk_syntax::SyntaxNode;

use crate::postgres::syntax::{sources, text, tokens};

/// A column with what it is set to, as far as that is one expression.
pub(super) type Assigned = (String, Option<String>);

/// Whether a row that was updated cannot meet this part of the condition again,
/// unless it was set to NULL, which the look finds out.
pub(super) fn falsified(part: &SyntaxNode, assigned: &[Assigned]) -> bool {
    let words: Vec<String> = tokens(part).map(|token| token.text().to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // A qualifier says nothing more: the columns that are set are those of one table.
    let (not, words) = match words.as_slice() {
        ["not", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (column, test) = match words {
        [_, ".", column, test @ ..] | [column, test @ ..] => (column.trim_matches('"'), test),
        [] => return false,
    };
    let Some((_, value)) = assigned.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)) else {
        return false;
    };
    let value = value.as_deref().map(str::to_ascii_lowercase);
    let set_to = |wanted: &str| value.as_deref() == Some(wanted);
    match test {
        [] => set_to(if not { "true" } else { "false" }),
        _ if not => false,
        ["is", "null"] | ["isnull"] => !set_to("null"),
        ["is", "not", "null"] | ["notnull"] => set_to("null"),
        ["is", "false"] | ["is", "not", "true"] => set_to("true"),
        ["is", "true"] | ["is", "not", "false"] => set_to("false"),
        ["=", literal] => {
            let other = value.as_deref().filter(|value| is_literal(value));
            is_literal(literal) && other.is_some_and(|other| other != *literal)
        }
        ["<>" | "!=", rest @ ..] | ["is", "distinct", "from", rest @ ..] => {
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            !rest.is_empty() && value.as_deref().is_some_and(|value| squeezed(value) == rest.concat())
        }
        _ => false,
    }
}

fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false")
        || (!word.contains(' ')
            && word.starts_with(|c: char| c == '\'' || c.is_ascii_digit())
            && !word.contains("::"))
}

/// Whether a part says that the target of an INSERT has no such row yet.
pub(super) fn not_there_yet(part: &SyntaxNode, target: &crate::name::Name) -> bool {
    let text = text(part).to_ascii_lowercase();
    let mut words = text.split([' ', '(']);
    words.next() == Some("not") && words.next() == Some("exists") && sources(part).contains(target)
}
