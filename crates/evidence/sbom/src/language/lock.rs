//! Lock files: one document that names packages. Each format is a function;
//! what all of them share is here.

use super::reading::Reading;
use crate::Scope;
use crate::catalog::{Cataloger, Content, Found, Origin, Report, Unread, Want};
use crate::view::View;

/// Directories below which lock files are those of packages' own authors: they
/// say what was there when the package was developed.
const FOREIGN: [&str; 9] = [
    "node_modules",
    "site-packages",
    "dist-packages",
    "bower_components",
    "vendor",
    "gems",
    ".cargo",
    "pkg/mod",
    "usr/share/doc",
];

/// Reads a document; the first argument is the name of the file.
pub(crate) type Parse = fn(&str, &[u8]) -> Result<Reading, Unread>;

/// The cataloger of one ecosystem's lock files.
pub(crate) struct LockFiles {
    pub(crate) name: &'static str,
    pub(crate) wants: &'static [Want],
    pub(crate) parse: Parse,
}

impl Cataloger for LockFiles {
    type Fact = Reading;

    fn name(&self) -> &'static str {
        self.name
    }

    fn wants(&self) -> &'static [Want] {
        self.wants
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Reading>, Unread> {
        (self.parse)(file_name(path), &content.bytes()?).map(Some)
    }

    fn catalog(&self, _: &View<'_>, found: &[Found<'_, Reading>], report: &mut Report) {
        for file in found.iter().filter(|file| !is_foreign(file.path)) {
            for component in &file.fact.components {
                let mut component = component.clone();
                file.place(&mut component);
                component.scope = Scope::Declared;
                report.add(component);
            }
            warn(file, &file.fact.warnings, report);
            if file.origin == Origin::Commit {
                warn(file, &file.fact.open, report);
            }
        }
    }
}

/// Passes the warnings on one file on.
pub(crate) fn warn<F>(file: &Found<'_, F>, warnings: &[String], report: &mut Report) {
    for warning in warnings {
        report.warn(file.path, warning.as_str());
    }
}

/// The last part of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Whether a lock file came with somebody's package.
pub(crate) fn is_foreign(path: &str) -> bool {
    let path = format!("/{path}");
    FOREIGN.iter().any(|directory| path.contains(&format!("/{directory}/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::testing::run;

    #[test]
    fn what_is_left_open_matters_in_the_commit() {
        let parse: Parse = |_, _| Ok(Reading { open: vec!["open".into()], ..Reading::default() });
        let cataloger = LockFiles { name: "x", wants: &[], parse };
        assert!(run(&cataloger, &[("a", b"")]).warnings.is_empty());
        assert_eq!(run(&cataloger, &[("commit:a", b"")]).warnings, ["/a: x: open"]);
    }

    #[test]
    fn lock_files_of_packages_authors_do_not_count() {
        assert!(is_foreign("app/node_modules/left-pad/yarn.lock"));
        assert!(is_foreign("vendor/github.com/a/b/go.sum"));
        assert!(!is_foreign("yarn.lock"));
        assert!(!is_foreign("srv/my-vendor/yarn.lock"));
    }
}
