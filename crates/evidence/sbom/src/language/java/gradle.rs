//! `gradle.lockfile`: a line `GROUP:ARTIFACT:VERSION=CONFIGURATIONS` for each
//! package.
//!
//! Source: Gradle, "Locking versions". (Maven has no lock file.)

use crate::catalog::Want;
use crate::language::lock::LockFiles;
use crate::language::reading::{Reading, declared, excerpt};

/// `gradle.lockfile`.
pub(crate) const LOCKS: LockFiles = LockFiles {
    name: "java-lock",
    wants: &[Want::Name("gradle.lockfile")],
    parse: |_, bytes| Ok(parse(&String::from_utf8_lossy(bytes))),
};

fn parse(text: &str) -> Reading {
    let mut reading = Reading::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let coordinates = line.split('=').next().unwrap_or(line);
        let parts: Vec<&str> = coordinates.splitn(4, ':').collect();
        match *parts {
            [group, artifact, version] => reading.push(declared("maven", artifact, version).within(group)),
            // The configurations without packages.
            ["empty"] => {}
            _ => reading.warn(format!("not understood: {}", excerpt(line))),
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::testing::torture;

    #[test]
    fn each_line_is_a_package() {
        let text = "# generated\norg.acme:lib:1.0=compileClasspath,runtimeClasspath\na:b\nempty=annotationProcessor\n";
        let reading = parse(text);
        assert_eq!(reading.components.len(), 1);
        assert_eq!(reading.components[0].purl().to_string(), "pkg:maven/org.acme/lib@1.0");
        assert_eq!(reading.warnings, ["not understood: a:b"]);
        torture(text.as_bytes(), |bytes| drop(parse(&String::from_utf8_lossy(bytes))));
    }
}
