//! `/usr/share/doc/PACKAGE/copyright`: its licences, where it is machine
//! readable, or else the common licences that it refers to.
//!
//! Source: Debian's "Machine-readable debian/copyright file", version 1.0.

use std::collections::BTreeSet;

use crate::os::licence;

/// The licences that apply to the package.
pub(super) fn licence(text: &str) -> Option<String> {
    if is_machine_readable(text) {
        return licence::all(stated(text));
    }
    let names = referred(text);
    // Whether "or later" was said stands in the text around the name.
    if names.iter().any(|name| ["GPL", "LGPL", "GFDL"].iter().any(|family| name.starts_with(family))) {
        return Some(names.into_iter().collect::<Vec<_>>().join(", "));
    }
    licence::all(names)
}

fn is_machine_readable(text: &str) -> bool {
    text.lines().take(50).filter_map(|line| line.split_once(':')).any(|(field, _)| {
        field.eq_ignore_ascii_case("Format") || field.eq_ignore_ascii_case("Format-Specification")
    })
}

/// Short names in the paragraphs about files, and in the header; those of the
/// packaging (`debian/*`) do not apply to what is installed.
fn stated(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    // Beginning of a paragraph: nothing said yet.
    let (mut files, mut name) = (None, None);
    for line in text.lines().chain([""]) {
        if line.trim().is_empty() {
            // A paragraph with neither is the text of a licence.
            if let (Some(files), Some(name)) = (files, name)
                && !matches!(files, "debian/*" | "debian/**")
            {
                names.insert(name);
            }
            (files, name) = (None, None);
        } else if !line.starts_with([' ', '\t'])
            && let Some((field, value)) = line.split_once(':')
        {
            let value = value.trim();
            if field.eq_ignore_ascii_case("Files") {
                files = Some(value);
            } else if field.eq_ignore_ascii_case("Format") {
                files = Some("*");
            } else if field.eq_ignore_ascii_case("License") && !value.is_empty() {
                name = Some(value);
            }
        }
    }
    names
}

/// Names of files in `/usr/share/common-licenses/`.
fn referred(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for (at, found) in text.match_indices("/common-licenses/") {
        let rest = &text[at + found.len()..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.' | '+'))
            .unwrap_or(rest.len());
        let name = rest[..end].trim_end_matches(['.', '-']);
        if !name.is_empty() && name.len() < 40 {
            names.insert(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_the_files_are_taken() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n\n\
                    Files: *\nCopyright: y\nLicense: GPL-2+ or MIT\n\nFiles: a b\n c\nLicense: Expat\n Permission is\n License: no\n\n\
                    Files: debian/*\nLicense: GPL-3+\n\nLicense: BSD-3-clause\n text\n";
        assert_eq!(licence(text).as_deref(), Some("(GPL-2.0-or-later OR MIT) AND MIT"));
    }

    #[test]
    fn what_is_no_expression_stays_as_written() {
        let text = "Format: x\n\nFiles: *\nLicense: public-domain\n\nFiles: b\nLicense: GPL-2";
        assert_eq!(licence(text).as_deref(), Some("GPL-2, public-domain"));
    }

    #[test]
    fn free_text_refers_to_common_licences() {
        let text = "On Debian see `/usr/share/common-licenses/Apache-2.0'.\nAnd /usr/share/common-licenses/Apache-2.0.";
        assert_eq!(licence(text).as_deref(), Some("Apache-2.0"));
        let either =
            "/usr/share/common-licenses/GPL-2, or a later version, and /usr/share/common-licenses/MPL-2.0";
        assert_eq!(licence(either).as_deref(), Some("GPL-2, MPL-2.0"));
        assert_eq!(licence("as is"), None);
        assert_eq!(licence(""), None);
    }
}
