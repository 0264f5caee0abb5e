//! Which catalogers want a file, found out quickly for a million files.

use std::collections::HashMap;

use super::{Registered, Want};

/// Which catalogers, by their place in the list: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted(u64);

impl Wanted {
    pub(crate) const MOST: usize = 64;

    pub(crate) fn add(&mut self, cataloger: usize) {
        self.0 |= 1 << cataloger;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn contains(self, cataloger: usize) -> bool {
        self.0 & (1 << cataloger) != 0
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MOST).filter(move |&cataloger| self.contains(cataloger))
    }
}

/// All [`Want`]s of all catalogers.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    paths: HashMap<&'static str, Wanted>,
    /// By name: suffix of the directory, who wants it.
    names: HashMap<&'static str, Vec<(&'static str, Wanted)>>,
    suffixes: Vec<(&'static str, Wanted)>,
    under: Vec<(&'static str, &'static str, Wanted)>,
    elf: Wanted,
}

impl Matcher {
    pub(crate) fn new(catalogers: &[Box<dyn Registered>]) -> Self {
        assert!(catalogers.len() <= Wanted::MOST, "there are as many bits as catalogers");
        let mut matcher = Self::default();
        for (index, cataloger) in catalogers.iter().enumerate() {
            let mut who = Wanted::default();
            who.add(index);
            for want in cataloger.wants() {
                matcher.add(*want, who);
            }
        }
        matcher
    }

    fn add(&mut self, want: Want, who: Wanted) {
        match want {
            Want::Path(path) => {
                let wanted = self.paths.entry(path).or_default();
                *wanted = wanted.union(who);
            }
            Want::Name(name) => self.names.entry(name).or_default().push(("", who)),
            Want::InDirectory { suffix, name } => self.names.entry(name).or_default().push((suffix, who)),
            Want::Suffix(suffix) => self.suffixes.push((suffix, who)),
            Want::Under { directory, suffix } => self.under.push((directory, suffix, who)),
            Want::Elf => self.elf = self.elf.union(who),
        }
    }

    /// Who wants the file by its path. It has no leading `/`.
    pub(crate) fn by_path(&self, path: &str) -> Wanted {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut wanted = self.paths.get(path).copied().unwrap_or_default();
        for (suffix, who) in self.names.get(name).into_iter().flatten() {
            if directory.ends_with(suffix) {
                wanted = wanted.union(*who);
            }
        }
        for (suffix, who) in &self.suffixes {
            if name.ends_with(suffix) {
                wanted = wanted.union(*who);
            }
        }
        for (directory, suffix, who) in &self.under {
            if path.starts_with(directory) && name.ends_with(suffix) {
                wanted = wanted.union(*who);
            }
        }
        wanted
    }

    /// Everybody who wants ELF files.
    pub(crate) fn elf(&self) -> Wanted {
        self.elf
    }

    /// Who wants it if it is an ELF file: nobody unless it is executable or a
    /// shared object by its name.
    pub(crate) fn by_magic(&self, path: &str, mode: u32, size: u64) -> Wanted {
        // An ELF header has 64 bytes, or 52 where words have 32 bits.
        if size < 52 || self.elf.is_empty() {
            return Wanted::default();
        }
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let shared = || name.ends_with(".so") || name.contains(".so.") || name.ends_with(".node");
        if mode & 0o111 != 0 || shared() { self.elf } else { Wanted::default() }
    }
}

/// What an ELF file begins with.
pub(crate) const ELF: &[u8] = b"\x7fELF";

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher() -> Matcher {
        let mut matcher = Matcher::default();
        let wants = [
            Want::Path("lib/apk/db/installed"),
            Want::Name("package.json"),
            Want::Suffix(".jar"),
            Want::InDirectory { suffix: ".dist-info", name: "METADATA" },
            Want::Under { directory: "usr/share/doc/", suffix: "copyright" },
            Want::Elf,
        ];
        for (index, want) in wants.into_iter().enumerate() {
            let mut who = Wanted::default();
            who.add(index);
            matcher.add(want, who);
        }
        matcher
    }

    #[test]
    fn each_kind_of_want_finds_its_files_and_no_others() {
        let matcher = matcher();
        let found = |path: &str| matcher.by_path(path).iter().collect::<Vec<usize>>();
        let none: [usize; 0] = [];
        assert_eq!(found("lib/apk/db/installed"), [0]);
        assert_eq!(found("usr/lib/apk/db/installed"), none);
        assert_eq!(found("package.json"), [1]);
        assert_eq!(found("a/b/package.json"), [1]);
        assert_eq!(found("a/xpackage.json"), none);
        assert_eq!(found("a/x.jar"), [2]);
        assert_eq!(found("x/a-1.dist-info/METADATA"), [3]);
        assert_eq!(found("x/a-1.dist-info/sub/METADATA"), none);
        assert_eq!(found("usr/share/doc/a/copyright"), [4]);
        assert_eq!(found("share/doc/a/copyright"), none);
    }

    #[test]
    fn executables_and_shared_objects_may_be_elf() {
        let matcher = matcher();
        let wanted = |path, mode, size| !matcher.by_magic(path, mode, size).is_empty();
        assert!(wanted("a", 0o755, 64));
        assert!(wanted("a/libx.so.1", 0o644, 64));
        assert!(wanted("a/x.node", 0o644, 64));
        assert!(!wanted("a.py", 0o644, 64));
        assert!(!wanted("a", 0o755, 40));
    }
}
