//! The link references at the end: the new release gets one like the others.

use semver::Version;

use super::document::{Changelog, reference};

/// Where `[unreleased]: …/compare/v1.2.2...HEAD` stands, the new release is
/// linked by the same pattern, and what is unreleased begins after it. Without
/// such a line, and where the release has a link, everything stays.
pub(super) fn link(changelog: &mut Changelog, version: &Version) {
    let label = version.to_string();
    let references = |label: &str| {
        (changelog.footer..changelog.lines.len()).find(|at| {
            changelog.is_live(*at)
                && reference(&changelog.lines[*at])
                    .is_some_and(|(found, _)| found.eq_ignore_ascii_case(label))
        })
    };
    if references(&label).is_some() || references(&format!("v{label}")).is_some() {
        return;
    }
    let Some(at) = references("unreleased") else { return };
    let line = &changelog.lines[at];
    let Some((name, target)) = reference(line) else { return };
    let Some((base, range)) = target.rsplit_once("/compare/") else { return };
    let Some((from, dots, to)) = ["...", ".."].iter().find_map(|dots| {
        let (from, to) = range.split_once(dots)?;
        Some((from, *dots, to))
    }) else {
        return;
    };
    let Some(prefix) = prefix(from) else { return };
    let tag = format!("{prefix}{version}");
    let end = changelog.end();
    let unreleased = format!("[{name}]: {base}/compare/{tag}{dots}{to}{end}");
    let released = format!("[{label}]: {base}/compare/{from}{dots}{tag}{end}");
    changelog.splice(at..at + 1, vec![unreleased, released]);
}

/// What stands before the version in a tag: `v`, `payouts-v`.
fn prefix(tag: &str) -> Option<&str> {
    tag.char_indices()
        .filter(|(_, c)| c.is_ascii_digit())
        .find(|(at, _)| tag[*at..].parse::<Version>().is_ok())
        .map(|(at, _)| &tag[..at])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn linked(references: &str) -> String {
        let mut changelog = Changelog::parse(&format!("## [1.0.0]\n\n- a\n\n{references}")).unwrap();
        link(&mut changelog, &Version::new(1, 1, 0));
        changelog.to_string().split_once("- a\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn follows_the_pattern_that_is_there() {
        for (before, after) in [
            (
                "[unreleased]: https://e.example/a/compare/v1.0.0...HEAD\n[1.0.0]: https://e.example/a/releases/tag/v1.0.0\n",
                "[unreleased]: https://e.example/a/compare/v1.1.0...HEAD\n[1.1.0]: https://e.example/a/compare/v1.0.0...v1.1.0\n[1.0.0]: https://e.example/a/releases/tag/v1.0.0\n",
            ),
            (
                "[Unreleased]: https://g.example/a/-/compare/pay-1.0.0..main",
                "[Unreleased]: https://g.example/a/-/compare/pay-1.1.0..main\n[1.1.0]: https://g.example/a/-/compare/pay-1.0.0..pay-1.1.0\n",
            ),
        ] {
            assert_eq!(linked(before), after);
            assert_eq!(linked(after), after);
        }
        for kept in
            ["", "[1.0.0]: https://e.example/1\n", "[unreleased]: https://e.example/a/compare/main...HEAD\n"]
        {
            assert_eq!(linked(kept), kept);
        }
    }
}
