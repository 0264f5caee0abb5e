//! Licences as distributions write them, as SPDX expressions where that is
//! certain: `GPL-2+ or Artistic` (Debian), `GPLv2+ and BSD` (older RPMs).
//!
//! Sources: Debian's copyright format 1.0, "License specification"; Fedora's
//! list of short names before it changed to SPDX's.

use crate::language::licence;

/// The longest text that is taken apart.
const LONGEST: usize = 2048;

/// Short names that are neither SPDX's nor a common way to write one of them.
const NAMES: &[(&str, &str)] = &[
    ("artistic", "Artistic-1.0"),
    ("artistic-2", "Artistic-2.0"),
    ("artistic 2.0", "Artistic-2.0"),
    ("asl 1.1", "Apache-1.1"),
    ("bsd with advertising", "BSD-4-Clause"),
    ("bsd-4-clause-uc", "BSD-4-Clause-UC"),
    ("boost", "BSL-1.0"),
    ("bzip2", "bzip2-1.0.6"),
    ("efl-2", "EFL-2.0"),
    ("expat", "MIT"),
    ("gfdl-niv-1.2", "GFDL-1.2-no-invariants-only"),
    ("gfdl-niv-1.2+", "GFDL-1.2-no-invariants-or-later"),
    ("gfdl-niv-1.3", "GFDL-1.3-no-invariants-only"),
    ("gfdl-niv-1.3+", "GFDL-1.3-no-invariants-or-later"),
    ("gpl+", "GPL-1.0-or-later"),
    ("lgpl+", "LGPL-2.0-or-later"),
    ("mplv1.1", "MPL-1.1"),
    ("mplv2.0", "MPL-2.0"),
    ("openldap", "OLDAP-2.8"),
    ("perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    ("php-3.01", "PHP-3.01"),
    ("psf-2", "PSF-2.0"),
    ("python", "PSF-2.0"),
    ("sleepycat", "Sleepycat"),
    ("vim", "Vim"),
    ("zope-2.1", "ZPL-2.1"),
    ("zplv2.1", "ZPL-2.1"),
];

/// The text as an SPDX expression; nothing where a part of it is not certain.
pub(super) fn expression(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    // Debian: a comma before the conjunction binds weaker than none.
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let mut joined = sequence(parts.first()?)?;
    let mut outer = None;
    for part in &parts[1..] {
        let (conjunction, rest) = part.split_once(char::is_whitespace)?;
        let operator = operator(conjunction)?;
        if outer.is_some_and(|outer| outer != operator) {
            return None;
        }
        outer = Some(operator);
        joined = format!("{} {operator} {}", grouped(&joined, operator), grouped(&sequence(rest)?, operator));
    }
    licence::expression(&joined)
}

/// All of these apply: an expression where each of them is one, else the
/// texts as they are.
pub(super) fn all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut expressions: Vec<String> = Vec::new();
    let mut plain: Vec<&str> = Vec::new();
    let mut certain = true;
    for text in texts.into_iter().filter(|text| !text.is_empty()) {
        match expression(text) {
            Some(expression) if !expressions.contains(&expression) => expressions.push(expression),
            Some(_) => {}
            None => certain = false,
        }
        if !plain.contains(&text) {
            plain.push(text);
        }
    }
    if plain.is_empty() {
        return None;
    }
    expressions.sort();
    plain.sort_unstable();
    Some(match expressions.as_slice() {
        [one] if certain => one.clone(),
        several if certain => several.iter().map(|one| grouped(one, "AND")).collect::<Vec<_>>().join(" AND "),
        _ => plain.join(", "),
    })
}

fn operator(word: &str) -> Option<&'static str> {
    match &*word.to_ascii_lowercase() {
        "and" | "&" => Some("AND"),
        "or" | "|" => Some("OR"),
        _ => None,
    }
}

/// In parentheses, where it would otherwise mean something else.
fn grouped(expression: &str, within: &str) -> String {
    let mut depth = 0_i32;
    let clash = expression.split_inclusive([' ', '(', ')']).any(|word| {
        depth += i32::from(word.ends_with('(')) - i32::from(word.ends_with(')'));
        depth == 0 && matches!(word.trim(), "AND" | "OR") && word.trim() != within
    });
    if clash { format!("({expression})") } else { expression.to_owned() }
}

/// Names and conjunctions without commas; parentheses stay where they are.
fn sequence(text: &str) -> Option<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut written: Vec<String> = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    let flush = |name: &mut Vec<&str>, written: &mut Vec<String>| -> Option<()> {
        if !name.is_empty() {
            let one = identifier(&name.join(" "))?;
            written.push(if one.contains(" OR ") { format!("({one})") } else { one });
            name.clear();
        }
        Some(())
    };
    for word in spaced.split_whitespace() {
        if let Some(operator) = operator(word) {
            flush(&mut name, &mut written)?;
            written.push(operator.into());
        } else if matches!(word, "(" | ")") {
            flush(&mut name, &mut written)?;
            written.push(word.into());
        } else {
            name.push(word);
        }
    }
    flush(&mut name, &mut written)?;
    let joined = written.join(" ").replace("( ", "(").replace(" )", ")");
    licence::expression(&joined)
}

/// One name.
fn identifier(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    if let Some((_, identifier)) = NAMES.iter().find(|(known, _)| *known == lower) {
        return Some((*identifier).into());
    }
    gnu(&lower).or_else(|| licence::expression(name))
}

/// `GPL-2+`, `lgpl-2.1`, `GPLv3+`, `agpl-3`: `gpl-2` is `GPL-2.0-only`.
fn gnu(name: &str) -> Option<String> {
    let family = ["agpl", "lgpl", "gpl", "gfdl"].into_iter().find(|family| name.starts_with(family))?;
    let rest = name[family.len()..].trim_start_matches(['-', 'v', ' ']);
    let (version, later) = rest.strip_suffix('+').map_or((rest, false), |version| (version, true));
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    let end = if later { "or-later" } else { "only" };
    licence::expression(&format!("{}-{version}-{end}", family.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_distributions_become_expressions() {
        for (text, expected) in [
            ("Expat", "MIT"),
            ("GPL-2", "GPL-2.0-only"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPLv2+ and LGPLv2+", "GPL-2.0-or-later AND LGPL-2.0-or-later"),
            ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0"),
            (
                "GPL-2+ or Artistic-2.0, and BSD-3-clause",
                "(GPL-2.0-or-later OR Artistic-2.0) AND BSD-3-Clause",
            ),
            ("(GPL-2 or MIT) and ISC", "(GPL-2.0-only OR MIT) AND ISC"),
            ("GPL+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0"),
            ("ASL 2.0", "Apache-2.0"),
            ("GPL-2.0-or-later WITH GCC-exception-2.0", "GPL-2.0-or-later WITH GCC-exception-2.0"),
            ("Perl and MIT", "(Artistic-1.0-Perl OR GPL-1.0-or-later) AND MIT"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ] {
            assert_eq!(expression(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn doubtful_names_are_no_expressions() {
        let long = "MIT and ".repeat(1000);
        for text in [
            "public-domain",
            "BSD",
            "GPL",
            "GPLv2+ with exceptions",
            "MIT and",
            "and",
            "",
            ",",
            "A, B",
            &long,
        ] {
            assert_eq!(expression(text), None, "{text}");
        }
    }

    #[test]
    fn several_are_joined_in_an_order_of_their_own() {
        assert_eq!(all(["GPL-2 or MIT", "Expat"]).as_deref(), Some("(GPL-2.0-only OR MIT) AND MIT"));
        assert_eq!(all(["GPL-2", "public-domain", "Expat"]).as_deref(), Some("Expat, GPL-2, public-domain"));
        assert_eq!(all(["Expat", "MIT"]).as_deref(), Some("MIT"));
        assert_eq!(all([]), None);
    }
}
