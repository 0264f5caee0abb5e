//! `status` and `status.d/*`: paragraphs of fields (deb822(5)).

/// An installed package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
    /// Source package where it has another name, with its version where that
    /// is another too: `glibc`, `gcc-12@12.2.0-14`.
    pub(super) source: Option<String>,
    /// Names, alternatives together; from `Depends` and `Pre-Depends`.
    pub(super) depends: Vec<Vec<String>>,
    pub(super) provides: Vec<String>,
}

impl Package {
    /// Bytes that it keeps, roughly.
    pub(super) fn weight(&self) -> usize {
        let names = self.depends.iter().flatten().chain(&self.provides);
        400 + self.depends.len() * 24 + names.map(|name| 40 + name.len()).sum::<usize>()
    }
}

/// The installed packages, and what is wrong with those that are incomplete.
pub(super) fn packages(text: &str) -> (Vec<Package>, Vec<String>) {
    const SHOWN: usize = 20;
    let mut packages = Vec::new();
    let mut warnings = Vec::new();
    for paragraph in paragraphs(text) {
        match package(&paragraph) {
            Ok(package) => packages.extend(package),
            Err(warning) if warnings.len() < SHOWN => warnings.push(warning),
            Err(_) => {}
        }
    }
    (packages, warnings)
}

/// Fields of each paragraph: name and value, continuation lines included.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(['\n', '\r']);
        if rest.is_empty() {
            return None;
        }
        let (paragraph, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
        rest = after;
        Some(fields(paragraph))
    })
}

fn fields(paragraph: &str) -> Vec<(&str, &str)> {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < paragraph.len() {
        let mut end = at;
        // A line that begins with a blank goes on with the field before it.
        loop {
            end += paragraph[end..].find('\n').map_or(paragraph.len() - end, |newline| newline + 1);
            if !paragraph[end..].starts_with([' ', '\t']) {
                break;
            }
        }
        if let Some((name, value)) = paragraph[at..end].split_once(':') {
            fields.push((name, value.trim()));
        }
        at = end;
    }
    fields
}

fn package(fields: &[(&str, &str)]) -> Result<Option<Package>, String> {
    let field = |name: &str| {
        let found = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value).filter(|value| !value.is_empty())
    };
    // Removed, with configuration left; or only wished for. Distroless has no
    // such field.
    let state = field("Status").and_then(|status| status.split_whitespace().nth(2));
    if matches!(state, Some("config-files" | "not-installed")) {
        return Ok(None);
    }
    let Some(name) = field("Package") else {
        return Err("a paragraph has no field `Package`".into());
    };
    let Some(version) = field("Version") else {
        return Err(format!("the package {name} has no version"));
    };
    let word =
        |text: &str| text.len() <= 512 && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if !word(name) || !word(version) {
        return Err("the name or version of a package is no word".into());
    }
    let depends = ["Pre-Depends", "Depends"].into_iter().filter_map(field).flat_map(alternatives).collect();
    Ok(Some(Package {
        name: name.into(),
        version: version.into(),
        architecture: field("Architecture").unwrap_or_default().into(),
        source: field("Source").map(source),
        depends,
        provides: field("Provides").map(|text| alternatives(text).flatten().collect()).unwrap_or_default(),
    }))
}

/// `gcc-12 (12.2.0-14)` as `gcc-12@12.2.0-14`.
fn source(text: &str) -> String {
    match text.split_once('(') {
        Some((name, version)) => format!("{}@{}", name.trim(), version.trim_end_matches(')').trim()),
        None => text.trim().to_owned(),
    }
}

/// `a (>= 1) | b, python3:any` as `[a, b], [python3]`.
fn alternatives(text: &str) -> impl Iterator<Item = Vec<String>> {
    text.split(',').map(|group| {
        let names = group.split('|').filter_map(|one| {
            let name = one.trim().split([' ', '(', ':', '[', '<']).next().unwrap_or_default();
            (!name.is_empty()).then(|| name.to_owned())
        });
        names.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_becomes_a_package() {
        let text = "Package: libgcc-s1\nStatus: install ok installed\nArchitecture: amd64\nSource: gcc-12 (12.2.0-14)\n\
                    Version: 12.2.0-14\nPre-Depends: libc6 (>= 2.35) | libc7\nDepends: gcc-12-base (= 12.2.0-14),\n python3:any\n\
                    Provides: libgcc1 (= 1:12.2.0-14), x\nDescription: y\n long text: with colon\n .\n\n\n\
                    Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: broken\n\nVersion: 2\n";
        let (packages, warnings) = packages(text);
        let expected = Package {
            name: "libgcc-s1".into(),
            version: "12.2.0-14".into(),
            architecture: "amd64".into(),
            source: Some("gcc-12@12.2.0-14".into()),
            depends: vec![
                vec!["libc6".into(), "libc7".into()],
                vec!["gcc-12-base".into()],
                vec!["python3".into()],
            ],
            provides: vec!["libgcc1".into(), "x".into()],
        };
        assert_eq!(packages, [expected]);
        assert_eq!(warnings, ["the package broken has no version", "a paragraph has no field `Package`"]);
    }

    #[test]
    fn nonsense_is_cheap_and_gives_nothing() {
        for text in ["", "\n\n\n", ":", "\u{0}", &"\n\n:".repeat(100_000), &" x\n".repeat(100_000)] {
            let (packages, warnings) = packages(text);
            assert!(packages.is_empty());
            assert!(warnings.len() <= 20);
        }
    }
}
