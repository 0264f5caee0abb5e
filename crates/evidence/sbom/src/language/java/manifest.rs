//! `META-INF/MANIFEST.MF` and `pom.properties`: names with values.
//!
//! Sources: JAR File Specification, "JAR Manifest"; OSGi Core, "Bundle
//! manifest headers"; Maven Archiver.

use std::collections::BTreeMap;

/// The main section; lines that begin with a blank go on where the last ended.
pub(super) fn main_section(text: &str) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.is_empty() {
            if headers.is_empty() {
                continue;
            }
            break;
        }
        if let Some(rest) = line.strip_prefix(' ') {
            if let Some(value) = headers.get_mut(&last) {
                value.push_str(rest);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            headers.insert(last.clone(), value.trim_start().to_owned());
        }
    }
    headers
}

/// The lines `name=value` of a properties file that Maven wrote.
pub(super) fn properties(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter(|line| !line.starts_with(['#', '!']))
        .filter_map(|line| line.split_once('=').or_else(|| line.split_once(':')))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::testing::torture;

    #[test]
    fn only_the_main_section_counts() {
        let headers = main_section(
            "Manifest-Version: 1.0\r\nBundle-SymbolicName: org.acme.ver\r\n y.long\r\nImplementation-Version: 1\r\n\r\nName: a\r\nImplementation-Version: 2\r\n",
        );
        assert_eq!(headers["bundle-symbolicname"], "org.acme.very.long");
        assert_eq!(headers["implementation-version"], "1");
    }

    #[test]
    fn properties_are_read() {
        let read = properties("#Created by Maven\r\nversion=1.0\r\n groupId = org.acme \nartifactId=a=b\n");
        assert_eq!(
            read,
            BTreeMap::from([("version", "1.0"), ("groupId", "org.acme"), ("artifactId", "a=b")])
        );
        torture(b"a: b\n c\nd=e\n\n", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            drop(main_section(&text));
            drop(properties(&text));
        });
    }
}
