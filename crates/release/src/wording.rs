//! What a change of the API means, in a sentence for those who call it.
//!
//! The comparison names components and rules, since that is where a developer
//! looks. Clients know operations and fields: "`GET /payouts` no longer returns
//! `fax`".

use crate::facts::ApiChange;

/// Operations that are spelt out; of the rest there is a number.
const SPELT: usize = 3;
/// Fields that are spelt out.
const FIELDS: usize = 6;

/// How to say what a rule found: what its details end with, and the words that
/// come between operation and field. `{}` is where the fields stand, `[return]` is
/// `returns` of one operation and `return` of several.
const PHRASES: &[(&str, &str, &str)] = &[
    ("response-property-removed", " no longer sent", "no longer [return] {}"),
    ("response-property-added", " now sent", "now [return] {}"),
    ("response-property-became-optional", " no longer always sent", "no longer always [return] {}"),
    ("response-property-became-required", " now always sent", "now always [return] {}"),
    ("response-null-possible", " may now be null", "may now return null as {}"),
    ("response-null-excluded", " never null any more", "no longer [return] null as {}"),
    ("request-property-added", " now accepted", "now [accept] {}"),
    ("request-property-added-required", " new and required", "now [require] {}, which is new"),
    ("request-property-removed", " no longer accepted", "no longer [accept] {}"),
    ("request-property-became-required", " now required", "now [require] {}"),
    ("request-property-became-optional", " may now be left out", "no longer [require] {}"),
    ("request-null-refused", " no longer accepted as null", "no longer [accept] null as {}"),
    ("request-null-accepted", " now also accepted as null", "now also [accept] null as {}"),
    ("parameter-added", " new", "now [take] the {}"),
    ("parameter-added-required", " new and required", "now [require] the {}, which is new"),
    ("parameter-removed", " no longer known", "no longer [take] the {}"),
    ("parameter-became-required", " now required", "now [require] the {}"),
    ("parameter-became-optional", " may now be left out", "no longer [require] the {}"),
];

/// One sentence without a full stop.
pub fn sentence(change: &ApiChange) -> String {
    let subject = operations(&change.operations);
    let details = if change.details.is_empty() { vec![label_free(change)] } else { change.details.clone() };
    let Some(subject) = subject else { return capital(&change.message) };
    let many = change.operations.len() > 1;
    match change.name.as_str() {
        "operation-added" => return format!("New: {subject}"),
        "operation-removed" | "operation-retired" => {
            let how = details.first().map_or("removed", |detail| from(detail, "removed"));
            return format!("{subject} {} {how}", if many { "were" } else { "was" });
        }
        "operation-deprecated" => {
            let how = details.first().map_or("deprecated", |detail| from(detail, "deprecated"));
            return format!("{subject} {} {how}", if many { "are" } else { "is" });
        }
        "operation-revived" => {
            return format!("{subject} {} no longer deprecated", if many { "are" } else { "is" });
        }
        _ => {}
    }
    let phrase = PHRASES.iter().find(|(name, ..)| *name == change.name);
    if let Some((_, says, words)) = phrase {
        let fields: Option<Vec<String>> = details.iter().map(|detail| field(detail, says)).collect();
        if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
            let words = words.replace('[', "").replace(']', if many { "" } else { "s" });
            return format!("{subject} {}", words.replace("{}", &listed(fields, FIELDS)));
        }
    }
    format!("{subject}: {}{}", listed(details, FIELDS), where_it_is(change))
}

/// ` (request, `Player`)`: in which direction, and in which component.
fn where_it_is(change: &ApiChange) -> String {
    let direction = ["request", "response"].into_iter().find(|direction| change.name.starts_with(direction));
    let label = change.message.split_once(": ").map(|(label, _)| label);
    // Operations and parts of them are named already.
    let label =
        label.filter(|label| !label.contains(['/', ' ', '`']) && change.location.contains("/components/"));
    let parts: Vec<String> =
        direction.map(str::to_owned).into_iter().chain(label.map(|label| format!("`{label}`"))).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// The message without the name of the component in front.
fn label_free(change: &ApiChange) -> String {
    match change.message.split_once(": ") {
        Some((_, rest)) => rest.to_owned(),
        None => change.message.clone(),
    }
}

/// ``response 200 `fax` no longer sent`` -> `` `fax` ``; parameters keep their place.
fn field(detail: &str, says: &str) -> Option<String> {
    let before = &detail[..detail.rfind(says)?];
    let words = before.trim();
    // The body and the status are clear from "returns" and "accepts".
    let words = match words.find('`') {
        Some(at) if words.starts_with("response ") || words.starts_with("request body") => &words[at..],
        _ => words,
    };
    (!words.is_empty()).then(|| words.to_owned())
}

/// The text from a word on.
fn from<'a>(text: &'a str, word: &'a str) -> &'a str {
    text.find(word).map_or(word, |at| &text[at..])
}

fn operations(operations: &[String]) -> Option<String> {
    let spelt: Vec<String> =
        operations.iter().take(SPELT).map(|operation| format!("`{operation}`")).collect();
    match operations.len() {
        0 => None,
        1..=SPELT => Some(joined(spelt)),
        more => Some(format!("{} and {} more operations", spelt[..SPELT - 1].join(", "), more - SPELT + 1)),
    }
}

/// `a, b and c`, each once.
fn listed(mut items: Vec<String>, most: usize) -> String {
    items.sort();
    items.dedup();
    let more = items.len().saturating_sub(most);
    items.truncate(most);
    if more > 0 { format!("{} and {more} more", items.join(", ")) } else { joined(items) }
}

fn joined(mut items: Vec<String>) -> String {
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}

/// The first letter in upper case.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ApiLevel;

    fn said(name: &str, operations: &[&str], details: &[&str]) -> String {
        sentence(&ApiChange {
            rule: "API-000".into(),
            name: name.into(),
            level: ApiLevel::Breaking,
            operations: operations.iter().map(ToString::to_string).collect(),
            message: format!("Payout: {}", details.join("; ")),
            details: details.iter().map(ToString::to_string).collect(),
            location: "#/components/schemas/Payout/x".into(),
            accepted: None,
        })
    }

    /// CHG-1: words that a client of the API understands.
    #[test]
    fn sentences_are_about_operations_and_fields() {
        let get = &["GET /payouts"][..];
        for (name, operations, details, expected) in [
            (
                "response-property-removed",
                get,
                &["`fax` no longer sent"][..],
                "`GET /payouts` no longer returns `fax`",
            ),
            (
                "response-property-removed",
                &["GET /a", "GET /b"],
                &["response 200 `b.fax` no longer sent (`readOnly`)", "response 200 `a` no longer sent"],
                "`GET /a` and `GET /b` no longer return `a` and `b.fax`",
            ),
            (
                "response-property-became-required",
                get,
                &["`id` now always sent"],
                "`GET /payouts` now always returns `id`",
            ),
            (
                "request-property-added-required",
                &["POST /payouts"],
                &["request body `iban` new and required"],
                "`POST /payouts` now requires `iban`, which is new",
            ),
            (
                "parameter-removed",
                get,
                &["query parameter `limit` no longer known"],
                "`GET /payouts` no longer takes the query parameter `limit`",
            ),
            ("operation-added", get, &["new operation"], "New: `GET /payouts`"),
            (
                "operation-removed",
                get,
                &["removed without having been deprecated"],
                "`GET /payouts` was removed without having been deprecated",
            ),
            (
                "operation-deprecated",
                get,
                &["deprecated, to be removed on 2027-01-01"],
                "`GET /payouts` is deprecated, to be removed on 2027-01-01",
            ),
            (
                "response-value-added",
                get,
                &["response 200 `state` may now be \"held\", which clients do not know"],
                "`GET /payouts`: response 200 `state` may now be \"held\", which clients do not know (response, `Payout`)",
            ),
            (
                "response-null-possible",
                get,
                &["`fax` may now be null"],
                "`GET /payouts` may now return null as `fax`",
            ),
            // Words that the phrase does not know are kept.
            ("response-property-removed", get, &["gone"], "`GET /payouts`: gone (response, `Payout`)"),
        ] {
            assert_eq!(said(name, operations, details), expected);
        }
        assert_eq!(
            said(
                "response-property-added",
                &["GET /a", "GET /b", "GET /c", "GET /d", "GET /e"],
                &["`x` now sent"]
            ),
            "`GET /a`, `GET /b` and 3 more operations now return `x`"
        );
        let many: Vec<String> = (0..9).map(|at| format!("`f{at}` now sent")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            said("response-property-added", get, &many),
            "`GET /payouts` now returns `f0`, `f1`, `f2`, `f3`, `f4`, `f5` and 3 more"
        );
        assert_eq!(
            said("response-property-removed", &[], &["`fax` no longer sent"]),
            "Payout: `fax` no longer sent"
        );
    }
}
