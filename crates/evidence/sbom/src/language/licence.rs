//! Declared licences as SPDX expressions, where that is certain.
//!
//! Ecosystems let authors write what they like. A text becomes an expression
//! only where it names licences of the SPDX list beyond doubt; `BSD` and `GPL`
//! alone name several and stay as they were written.
//!
//! Source: SPDX 2.3, annex D; the licence list comes with the crate `spdx`.

use std::collections::HashMap;
use std::sync::LazyLock;

use spdx::identifiers::{EXCEPTIONS, LICENSES};
use spdx::lexer::ParseMode;

/// The longest text that is looked at or kept, in bytes. Some packages put the
/// whole licence where its name belongs.
const LONGEST: usize = 512;

/// Names in use for exactly one licence, in lower case, without the words
/// `the` and `license` and with single blanks.
const ALIASES: &[(&str, &str)] = &[
    ("0bsd", "0BSD"),
    ("2-clause bsd", "BSD-2-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("agplv3", "AGPL-3.0-only"),
    ("agplv3+", "AGPL-3.0-or-later"),
    ("al-2.0", "Apache-2.0"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache v2", "Apache-2.0"),
    ("apache v2.0", "Apache-2.0"),
    ("apache version 2.0", "Apache-2.0"),
    ("apache, version 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apache2.0", "Apache-2.0"),
    ("apachev2", "Apache-2.0"),
    ("apache software 2.0", "Apache-2.0"),
    ("apache software, version 2.0", "Apache-2.0"),
    ("apache software - version 2.0", "Apache-2.0"),
    ("apache software version 2.0", "Apache-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("boost software 1.0 (bsl-1.0)", "BSL-1.0"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause \"simplified\"", "BSD-2-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause \"new\" or \"revised\"", "BSD-3-Clause"),
    ("bsd two-clause", "BSD-2-Clause"),
    ("bsd three-clause", "BSD-3-Clause"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("bsd-2clause", "BSD-2-Clause"),
    ("bsd-3clause", "BSD-3-Clause"),
    ("cc0", "CC0-1.0"),
    ("cc0 1.0 universal", "CC0-1.0"),
    ("cc0 1.0 universal (cc0 1.0) public domain dedication", "CC0-1.0"),
    ("cddl 1.0", "CDDL-1.0"),
    ("cddl 1.1", "CDDL-1.1"),
    ("eclipse public 1.0", "EPL-1.0"),
    ("eclipse public 1.0 (epl-1.0)", "EPL-1.0"),
    ("eclipse public 2.0", "EPL-2.0"),
    ("eclipse public 2.0 (epl-2.0)", "EPL-2.0"),
    ("eclipse public - v 1.0", "EPL-1.0"),
    ("eclipse public - v 2.0", "EPL-2.0"),
    ("eclipse public v1.0", "EPL-1.0"),
    ("eclipse public v2.0", "EPL-2.0"),
    ("eclipse public, version 1.0", "EPL-1.0"),
    ("eclipse public, version 2.0", "EPL-2.0"),
    ("eclipse distribution - v 1.0", "BSD-3-Clause"),
    ("epl 1.0", "EPL-1.0"),
    ("epl 2.0", "EPL-2.0"),
    ("expat", "MIT"),
    ("expat/mit", "MIT"),
    ("gnu affero general public v3", "AGPL-3.0-only"),
    ("gnu affero general public v3 (agplv3)", "AGPL-3.0-only"),
    ("gnu affero general public v3 or later (agplv3+)", "AGPL-3.0-or-later"),
    ("gnu general public v2 (gplv2)", "GPL-2.0-only"),
    ("gnu general public v2 or later (gplv2+)", "GPL-2.0-or-later"),
    ("gnu general public v3 (gplv3)", "GPL-3.0-only"),
    ("gnu general public v3 or later (gplv3+)", "GPL-3.0-or-later"),
    ("gnu lesser general public v2 (lgplv2)", "LGPL-2.0-only"),
    ("gnu lesser general public v2 or later (lgplv2+)", "LGPL-2.0-or-later"),
    ("gnu lesser general public v3 (lgplv3)", "LGPL-3.0-only"),
    ("gnu lesser general public v3 or later (lgplv3+)", "LGPL-3.0-or-later"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("gpl2 w/ cpe", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("historical permission notice and disclaimer (hpnd)", "HPND"),
    ("isc (iscl)", "ISC"),
    ("isc", "ISC"),
    ("lgplv2.1", "LGPL-2.1-only"),
    ("lgplv2.1+", "LGPL-2.1-or-later"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mit", "MIT"),
    ("mit (mit)", "MIT"),
    ("mit no attribution (mit-0)", "MIT-0"),
    ("mozilla public 1.1 (mpl 1.1)", "MPL-1.1"),
    ("mozilla public 2.0", "MPL-2.0"),
    ("mozilla public 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mozilla public version 2.0", "MPL-2.0"),
    ("mozilla public, version 2.0", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("mpl2", "MPL-2.0"),
    ("mpl2.0", "MPL-2.0"),
    ("modified bsd", "BSD-3-Clause"),
    ("new bsd", "BSD-3-Clause"),
    ("python software foundation", "PSF-2.0"),
    ("psf", "PSF-2.0"),
    ("psfl", "PSF-2.0"),
    ("revised bsd", "BSD-3-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("unlicense (unlicense)", "Unlicense"),
    ("un", "Unlicense"),
    ("universal permissive (upl)", "UPL-1.0"),
    ("w3c", "W3C"),
    ("wtfpl", "WTFPL"),
    ("zlib", "Zlib"),
    ("zlib/libpng (zlib)", "Zlib"),
    ("zpl 2.1", "ZPL-2.1"),
];

/// The identifiers of the list by their lower-case spelling.
static IDENTIFIERS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    LICENSES.iter().map(|licence| (licence.name.to_ascii_lowercase(), licence.name)).collect()
});

/// The exceptions of the list by their lower-case spelling.
static EXCEPTION_NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    EXCEPTIONS.iter().map(|exception| (exception.name.to_ascii_lowercase(), exception.name)).collect()
});

/// A declared licence as an SPDX expression if it surely is one, else its
/// first line; nothing where nothing is declared.
pub(crate) fn declared(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.get(..line.floor_char_boundary(LONGEST)).unwrap_or(line);
    if matches!(&*line.to_ascii_uppercase(), "UNKNOWN" | "NONE" | "NOASSERTION" | "N/A") {
        return None;
    }
    Some(expression(line).unwrap_or_else(|| line.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// The text as an SPDX expression in its canonical spelling, if it surely is
/// one or is a well-known name of one licence.
pub(crate) fn expression(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    canonical(text).or_else(|| alias(text).map(Into::into))
}

/// Several licences declared side by side. Where `any` holds, the user may
/// choose among them (npm's, Composer's and Maven's lists); otherwise all of
/// them apply (Python's classifiers). If one is not an expression, the texts
/// are joined as they are.
pub(crate) fn several<'a>(texts: impl IntoIterator<Item = &'a str>, any: bool) -> Option<String> {
    const MOST: usize = 16;
    let mut all: Vec<String> = Vec::new();
    for text in texts.into_iter().filter_map(declared).take(MOST) {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    if all.len() < 2 {
        return all.pop();
    }
    if all.iter().any(|text| canonical(text).is_none()) {
        return Some(all.join(", "));
    }
    let compound = |text: String| {
        if text.contains(" OR ") || text.contains(" AND ") { format!("({text})") } else { text }
    };
    let all: Vec<String> = all.into_iter().map(compound).collect();
    Some(all.join(if any { " OR " } else { " AND " }))
}

/// Mends case, the slash for `OR`, and the deprecated spellings of the GNU
/// licences; whatever else is amiss makes it no expression.
fn canonical(text: &str) -> Option<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words: Vec<String> = Vec::new();
    for word in spaced.split_whitespace() {
        let operator = word.to_ascii_uppercase();
        let after_with = words.last().is_some_and(|last| last == "WITH");
        if matches!(&*operator, "AND" | "OR" | "WITH") {
            words.push(operator);
        } else if matches!(word, "(" | ")")
            || word.starts_with("LicenseRef-")
            || word.starts_with("DocumentRef-")
        {
            words.push(word.into());
        } else if after_with {
            words.push((*EXCEPTION_NAMES.get(&word.to_ascii_lowercase())?).into());
        } else {
            words.push(identifier(word)?);
        }
    }
    let joined = words.join(" ").replace("( ", "(").replace(" )", ")");
    let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
    spdx::Expression::parse_mode(&joined, mode).is_ok().then_some(joined)
}

/// One identifier in the list's spelling, with `+` where it has one.
fn identifier(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    let (stem, later) = lower.strip_suffix('+').map_or((&*lower, false), |stem| (stem, true));
    // The list has `GPL-2.0` and `GPL-2.0+` as deprecated names of these two.
    let gnu = if later { format!("{stem}-or-later") } else { format!("{stem}-only") };
    if ["gpl-", "lgpl-", "agpl-"].iter().any(|family| stem.starts_with(family))
        && let Some(name) = IDENTIFIERS.get(&gnu)
    {
        return Some((*name).into());
    }
    let name = IDENTIFIERS.get(stem)?;
    Some(if later { format!("{name}+") } else { (*name).into() })
}

fn alias(text: &str) -> Option<&'static str> {
    let lower = text.trim().trim_end_matches('.').to_lowercase();
    let words: Vec<&str> =
        lower.split_whitespace().filter(|word| !matches!(*word, "the" | "license" | "licence")).collect();
    let key = words.join(" ").replace("license,", ",").replace(" ,", ",");
    let key = key.strip_suffix("license").unwrap_or(&key).trim();
    ALIASES.iter().find(|(name, _)| *name == key).map(|(_, licence)| *licence)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_alias_is_a_strict_expression() {
        for (name, licence) in ALIASES {
            assert!(spdx::Expression::parse(licence).is_ok(), "{name}: {licence}");
            assert_eq!(*name, name.to_lowercase());
        }
    }

    #[test]
    fn certain_names_become_expressions() {
        for (text, expected) in [
            ("MIT", "MIT"),
            ("mit", "MIT"),
            ("MIT License", "MIT"),
            ("The MIT License", "MIT"),
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            ("(MIT or apache-2.0)", "(MIT OR Apache-2.0)"),
            ("Apache License 2.0", "Apache-2.0"),
            ("Apache License, Version 2.0", "Apache-2.0"),
            ("The Apache Software License, Version 2.0", "Apache-2.0"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("GPL-3.0-or-later", "GPL-3.0-or-later"),
            ("Apache-2.0 with llvm-exception OR MIT", "Apache-2.0 WITH LLVM-exception OR MIT"),
            ("LicenseRef-Acme", "LicenseRef-Acme"),
            ("Unlicense", "Unlicense"),
            ("The Unlicense", "Unlicense"),
            ("BSD 3-Clause License", "BSD-3-Clause"),
            ("Python Software Foundation License", "PSF-2.0"),
        ] {
            assert_eq!(expression(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn doubtful_names_stay_as_they_are() {
        for text in [
            "BSD",
            "GPL",
            "LGPL",
            "GNU GPL v2",
            "Proprietary",
            "SEE LICENSE IN LICENSE.txt",
            "MIT OR",
            "MIT Apache-2.0",
        ] {
            assert_eq!(expression(text), None, "{text}");
            assert_eq!(declared(text).as_deref(), Some(text));
        }
        assert_eq!(declared(" \n\n"), None);
        assert_eq!(declared("UNKNOWN"), None);
        assert_eq!(declared("\n  MIT License\n\nPermission is hereby…").as_deref(), Some("MIT"));
    }

    #[test]
    fn several_are_joined() {
        assert_eq!(
            several(["MIT", "GPL-2.0 or ISC"], false).as_deref(),
            Some("MIT AND (GPL-2.0-only OR ISC)")
        );
        assert_eq!(several(["MIT", "Apache 2.0"], true).as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(several(["MIT", "BSD"], true).as_deref(), Some("MIT, BSD"));
        assert_eq!(several(["MIT", "MIT License"], true).as_deref(), Some("MIT"));
        assert_eq!(several([], true), None);
    }

    #[test]
    fn hostile_texts_are_cheap() {
        for text in
            ["(".repeat(1 << 20), "MIT OR ".repeat(1 << 18), "é".repeat(1 << 20), "\u{0}(/)+".repeat(100)]
        {
            assert!(declared(&text).unwrap().len() <= LONGEST);
        }
        assert_eq!(expression(&"(".repeat(400)), None);
        assert_eq!(
            expression(&format!("{}MIT{}", "(".repeat(200), ")".repeat(200))).map(|e| e.len()),
            Some(403)
        );
    }
}
