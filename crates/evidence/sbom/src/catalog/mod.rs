//! The contract between the view of an image and those who read packages in it.
//!
//! A [`Cataloger`] works in two phases:
//!
//! 1. **Read.** It says by [`Want`]s which files it is interested in. Each of
//!    them is shown to [`Cataloger::read`] once, with its [`Content`], as it
//!    streams by: in parallel, in no particular order, and also when a later
//!    layer hides it again. What `read` returns, the *fact*, is all that is
//!    kept of the file: make it small (parsed fields, never the bytes).
//! 2. **Catalog.** [`Cataloger::catalog`] sees the facts of all files that are
//!    really in the image, sorted by path, together with a [`View`] of the file
//!    tree, and reports components and warnings.
//!
//! Lock files of the commit ([`crate::Options::lock_files`]) pass through the
//! same two phases: they have [`Origin::Commit`].
//!
//! A cataloger never fails. What cannot be read is a warning with path and
//! reason, which ends up in the SBOM; the SBOM then says that it is incomplete.
//!
//! ```ignore
//! struct Versions;
//!
//! impl Cataloger for Versions {
//!     type Fact = String;
//!
//!     fn name(&self) -> &'static str {
//!         "versions"
//!     }
//!
//!     fn wants(&self) -> &'static [Want] {
//!         &[Want::Name("VERSION"), Want::InDirectory { suffix: ".app", name: "version" }]
//!     }
//!
//!     fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<String>, Unread> {
//!         let text = content.text()?;
//!         Ok(text.lines().next().map(str::to_owned))
//!     }
//!
//!     fn catalog(&self, _: &View<'_>, found: &[Found<'_, String>], report: &mut Report) {
//!         for file in found {
//!             let mut component = Component::new("generic", "thing", file.fact.as_str());
//!             file.place(&mut component);
//!             report.add(component);
//!         }
//!     }
//! }
//! ```

mod content;
mod matcher;
mod registered;
mod report;

pub(crate) use content::{Budget, Content, Unread};
pub(crate) use matcher::{ELF, Matcher, Wanted};
pub(crate) use registered::{Fact, Registered, register};
pub(crate) use report::Report;
pub use report::Warning;

use crate::component::{Component, Scope};
use crate::view::View;

/// A kind of file that a cataloger reads. Paths are relative to the root,
/// without a leading `/`. Only regular files are ever shown; where a directory
/// on the way is a symbolic link, the real path counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Exactly this path: `lib/apk/db/installed`.
    Path(&'static str),
    /// Any file of this name: `package.json`.
    Name(&'static str),
    /// Any file whose name ends so: `.jar`.
    Suffix(&'static str),
    /// Any file of this name in a directory whose name ends so:
    /// `.dist-info` and `METADATA`.
    InDirectory {
        /// How the directory's name ends.
        suffix: &'static str,
        /// The file's name.
        name: &'static str,
    },
    /// Any file below this directory (which ends with `/`) whose name ends so:
    /// `usr/share/doc/` and `copyright`. The suffix may be empty.
    Under {
        /// The directory, with `/` at the end.
        directory: &'static str,
        /// How the file's name ends.
        suffix: &'static str,
    },
    /// Any ELF file that is executable or a shared object by its name. The
    /// magic number was checked.
    Elf,
}

/// Where a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// In the image.
    Image,
    /// Among the lock files of the commit that the image was built from.
    Commit,
}

/// A file of the image and what was read in it.
#[derive(Debug)]
pub(crate) struct Found<'a, F> {
    /// Path without a leading `/`.
    pub(crate) path: &'a str,
    /// Image or commit.
    pub(crate) origin: Origin,
    /// What [`Cataloger::read`] returned.
    pub(crate) fact: &'a F,
}

impl<F> Found<'_, F> {
    /// Notes on a component that it was found in this file: among its
    /// locations, or, for a file of the commit, among its lock files; then it
    /// is only [`Scope::Declared`].
    pub(crate) fn place(&self, component: &mut Component) {
        match self.origin {
            Origin::Image => {
                component.locations.insert(format!("/{}", self.path));
            }
            Origin::Commit => {
                component.lock_files.insert(self.path.to_owned());
                component.scope = Scope::Declared;
            }
        }
    }

    /// The directory of the file, without a leading or final `/`; empty for
    /// the root.
    pub(crate) fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// Reads the packages of one ecosystem.
pub(crate) trait Cataloger: Send + Sync + 'static {
    /// What is kept of one file between the phases.
    type Fact: Send + Sync + 'static;

    /// Its name in warnings and evidence, lower case with hyphens: `dpkg`,
    /// `rust-auditable`, `npm`.
    fn name(&self) -> &'static str;

    /// The files it reads.
    fn wants(&self) -> &'static [Want];

    /// Reads one file. `path` says which, for choosing a format; the same fact
    /// may be found again under another name (hard link), so it must not
    /// depend on the directory.
    ///
    /// `Ok(None)`: the file is none of this cataloger's business after all.
    ///
    /// # Errors
    /// Why a file that should be readable is not; it becomes a warning. Return
    /// `Ok` with what was read where a part is damaged, and warn in
    /// [`Cataloger::catalog`].
    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Self::Fact>, Unread>;

    /// Bytes on the heap that a fact keeps, roughly: all facts together are
    /// bounded by [`crate::Limits::kept_bytes`]. To be said where it can be
    /// much more than some names and versions.
    fn weight(&self, _: &Self::Fact) -> usize {
        256
    }

    /// Reports the components. `found` is sorted by origin and path.
    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Self::Fact>], report: &mut Report);
}
