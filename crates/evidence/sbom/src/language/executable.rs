//! Executables that nothing else knows anything of: a program in C that was linked
//! statically leaves no trace of what is in it, and that is said.
//!
//! Source: System V ABI, chapter 4 "Object Files".

use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;

use super::lock::{file_name, is_foreign};

/// Executables that are named; the rest is counted.
const SHOWN: usize = 20;

/// Finds executables that no package owns and that say nothing about themselves.
pub(crate) struct Executable;

/// The name of this cataloger.
pub(crate) const NAME: &str = "elf";

impl Cataloger for Executable {
    /// That it is a program.
    type Fact = ();

    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Elf]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<()>, Unread> {
        let header = content.slice(0, content.size().min(64))?;
        Ok(is_program(&header).then_some(()))
    }

    fn weight(&self, (): &()) -> usize {
        // Its path.
        64
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, ()>], report: &mut Report) {
        let silent = found.iter().filter(|file| {
            let library = file_name(file.path).contains(".so");
            !(library || is_foreign(file.path) || view.is_told(file.path) || view.owner(file.path).is_some())
        });
        let mut more = 0;
        for (n, file) in silent.enumerate() {
            if n < SHOWN {
                let reason = "an executable without package data: what was linked into it is not known";
                report.warn(file.path, reason);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            report.warn("", format!("there are {more} more executables without package data"));
        }
    }
}

/// Whether the header is that of a program: it is executable, or it is shared as
/// libraries are and has a place to start at.
fn is_program(header: &[u8]) -> bool {
    const EXECUTABLE: u16 = 2;
    const SHARED: u16 = 3;
    let (Some(wide), Some(little)) = (header.get(4).map(|c| *c == 2), header.get(5).map(|c| *c == 1)) else {
        return false;
    };
    let Some(&kind) = header.get(16..).and_then(|rest| rest.first_chunk::<2>()) else { return false };
    let kind = if little { u16::from_le_bytes(kind) } else { u16::from_be_bytes(kind) };
    let starts =
        header.get(24..if wide { 32 } else { 28 }).is_some_and(|at| at.iter().any(|byte| *byte != 0));
    kind == EXECUTABLE || kind == SHARED && starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::testing::run;

    /// The header of a little-endian 64-bit ELF file.
    fn header(kind: u8, entry: u8) -> Vec<u8> {
        let mut header = b"\x7fELF\x02\x01\x01".to_vec();
        header.resize(64, 0);
        (header[16], header[24]) = (kind, entry);
        header
    }

    #[test]
    fn programs_are_told_from_libraries_and_objects() {
        let (fixed, movable, library, object) = (header(2, 1), header(3, 1), header(3, 0), header(1, 0));
        let outcome = run(
            &Executable,
            &[
                ("app", &fixed),
                ("usr/bin/tool", &movable),
                ("usr/lib/plugin", &library),
                ("usr/lib/libc.so.6", &movable),
                ("usr/lib/module.ko", &object),
                ("srv/node_modules/x/bin", &fixed),
                ("short", b"\x7fELF"),
            ],
        );
        let said = "elf: an executable without package data: what was linked into it is not known";
        assert_eq!(outcome.warnings, [format!("/app: {said}"), format!("/usr/bin/tool: {said}")]);
        assert!(outcome.components.is_empty());
    }

    #[test]
    fn many_are_counted() {
        let program = header(2, 1);
        let paths: Vec<String> = (0..SHOWN + 3).map(|n| format!("bin/{n:02}")).collect();
        let files: Vec<(&str, &[u8])> = paths.iter().map(|path| (path.as_str(), &program[..])).collect();
        let outcome = run(&Executable, &files);
        assert_eq!(outcome.warnings.len(), SHOWN + 1);
        assert_eq!(outcome.warnings[0], "/: elf: there are 3 more executables without package data");
    }
}
