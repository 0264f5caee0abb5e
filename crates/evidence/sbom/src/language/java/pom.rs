//! `pom.xml` inside an archive: coordinates, licences, dependencies.
//!
//! Source: Maven, "POM Reference". Nothing outside the file is looked at, so
//! what a parent says is not known.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::catalog::Unread;
use crate::language::licence;

/// The most elements within each other; a real one has eight.
const DEEPEST: usize = 32;

/// The most bytes of one value; longer ones are descriptions.
const LONGEST: usize = 1 << 10;

/// The most dependencies and licences that are taken.
const MOST: usize = 1_000;

/// What a `pom.xml` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pom {
    pub(super) group: String,
    pub(super) artifact: String,
    pub(super) version: String,
    pub(super) licence: Option<String>,
    /// Groups and artifacts that are needed at run time.
    pub(super) requires: Vec<(String, String)>,
}

#[derive(Default)]
struct Dependency {
    group: String,
    artifact: String,
    scope: String,
    optional: String,
}

/// Reads the text of one.
///
/// # Errors
/// When it is no XML, or too deep.
pub(super) fn parse(text: &str) -> Result<Pom, Unread> {
    let mut reader = Reader::from_str(text);
    let mut pom = Pom::default();
    let (mut parent_group, mut parent_version) = (String::new(), String::new());
    let mut licences: Vec<String> = Vec::new();
    let mut dependency = Dependency::default();
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    loop {
        let event = reader.read_event().map_err(|error| Unread::new(format!("it is not XML: {error}")))?;
        match event {
            Event::Start(element) => {
                if path.len() >= DEEPEST {
                    return Err(format!("it is more than {DEEPEST} levels deep").into());
                }
                path.push(element.local_name().as_ref().to_owned());
                value.clear();
            }
            Event::Text(piece) if value.len() + piece.len() <= LONGEST => value.push_str(&piece),
            Event::CData(piece) if value.len() + piece.len() <= LONGEST => value.push_str(&piece),
            Event::GeneralRef(_) if value.len() < LONGEST => value.push(' '),
            Event::End(_) => {
                let text = std::mem::take(&mut value).trim().to_owned();
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                match &*names {
                    ["project", "groupId"] => pom.group = text,
                    ["project", "artifactId"] => pom.artifact = text,
                    ["project", "version"] => pom.version = text,
                    ["project", "parent", "groupId"] => parent_group = text,
                    ["project", "parent", "version"] => parent_version = text,
                    ["project", "licenses", "license", "name"] if licences.len() < MOST => {
                        licences.push(text)
                    }
                    ["project", "dependencies", "dependency", "groupId"] => dependency.group = text,
                    ["project", "dependencies", "dependency", "artifactId"] => dependency.artifact = text,
                    ["project", "dependencies", "dependency", "scope"] => dependency.scope = text,
                    ["project", "dependencies", "dependency", "optional"] => dependency.optional = text,
                    ["project", "dependencies", "dependency"] => {
                        let Dependency { group, artifact, scope, optional } = std::mem::take(&mut dependency);
                        let is_needed = matches!(&*scope, "" | "compile" | "runtime") && optional != "true";
                        if is_needed && !artifact.is_empty() && pom.requires.len() < MOST {
                            pom.requires.push((group, artifact));
                        }
                    }
                    _ => {}
                }
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if pom.group.is_empty() {
        pom.group = parent_group.clone();
    }
    if pom.version.is_empty() {
        pom.version.clone_from(&parent_version);
    }
    let known = [
        ("${project.groupId}", pom.group.clone()),
        ("${pom.groupId}", pom.group.clone()),
        ("${project.version}", pom.version.clone()),
        ("${project.parent.groupId}", parent_group),
        ("${project.parent.version}", parent_version),
    ];
    let resolve = |text: &mut String| {
        for (name, value) in &known {
            if text == name {
                text.clone_from(value);
            }
        }
        // What is left is defined elsewhere.
        if text.contains("${") {
            text.clear();
        }
    };
    [&mut pom.group, &mut pom.artifact, &mut pom.version].into_iter().for_each(resolve);
    pom.requires.iter_mut().for_each(|(group, _)| resolve(group));
    pom.licence = licence::several(licences.iter().map(String::as_str), true);
    Ok(pom)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::torture;

    const POM: &str = r#"<?xml version="1.0"?>
<!DOCTYPE project [<!ENTITY x "y">]>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <parent><groupId>org.acme</groupId><artifactId>parent</artifactId><version>7</version></parent>
  <artifactId> lib </artifactId>
  <version>${project.parent.version}</version>
  <name>A &amp; B &x;</name>
  <licenses><license><name>MIT License</name></license><license><name><![CDATA[Apache-2.0]]></name></license></licenses>
  <dependencyManagement><dependencies><dependency><groupId>no</groupId><artifactId>no</artifactId></dependency></dependencies></dependencyManagement>
  <dependencies>
    <dependency><groupId>${project.groupId}</groupId><artifactId>a</artifactId></dependency>
    <dependency><groupId>org.b</groupId><artifactId>b</artifactId><scope>test</scope></dependency>
    <dependency><groupId>org.c</groupId><artifactId>c</artifactId><optional>true</optional></dependency>
    <dependency><groupId>org.d</groupId><artifactId>d</artifactId><scope>runtime</scope></dependency>
  </dependencies>
</project>"#;

    #[test]
    fn coordinates_licences_and_dependencies_are_read() {
        let pair = |group: &str, artifact: &str| (group.to_owned(), artifact.to_owned());
        assert_eq!(
            parse(POM).unwrap(),
            Pom {
                group: "org.acme".into(),
                artifact: "lib".into(),
                version: "7".into(),
                licence: Some("MIT OR Apache-2.0".into()),
                requires: vec![pair("org.acme", "a"), pair("org.d", "d")],
            }
        );
        assert_eq!(parse("<project><version>${revision}</version></project>").unwrap().version, "");
    }

    #[test]
    fn hostile_files_are_survived() {
        torture(POM.as_bytes(), |bytes| drop(parse(&String::from_utf8_lossy(bytes))));
        assert!(parse(&"<a>".repeat(1000)).unwrap_err().reason().contains("deep"));
        assert_eq!(parse("").unwrap(), Pom::default());
        let entities = (0..1000).fold(String::new(), |text, _| text + "&lol;");
        assert_eq!(parse(&format!("<project><version>{entities}</version></project>")).unwrap().version, "");
        let many = "<dependency><artifactId>a</artifactId></dependency>".repeat(50_000);
        assert_eq!(
            parse(&format!("<project><dependencies>{many}</dependencies></project>")).unwrap().requires.len(),
            MOST
        );
    }
}
