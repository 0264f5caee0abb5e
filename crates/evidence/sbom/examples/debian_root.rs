//! Makes the tree that the speed of SBOMs is measured on: a Debian root with
//! 400 packages, 200 Python packages and 1,500 npm packages.
//!
//! `cargo run -p plimsoll-evidence-sbom --example debian_root -- DIRECTORY`
//!
//! What makes a real one slow is there: lists of all files, long copyright
//! files, documents of several kilobytes, executables, and many files that
//! nobody wants. The same tree each time.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const DEBIAN: usize = 400;
const PYTHON: usize = 200;
const NPM: usize = 1_500;
/// Files of each package, besides those that are looked for.
const FILES: usize = 60;

fn main() -> Result<(), Box<dyn Error>> {
    let root = std::env::args().nth(1).ok_or("which DIRECTORY?")?;
    let root = Path::new(&root);
    fs::create_dir_all(root)?;
    let files = debian(root)? + python(root)? + npm(root)?;
    println!("{files} files in {}", root.display());
    Ok(())
}

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) -> std::io::Result<usize> {
    let path = root.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content)?;
    Ok(1)
}

fn debian(root: &Path) -> std::io::Result<usize> {
    let mut files =
        write(root, "usr/lib/os-release", "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12\"\n")?;
    let mut status = String::new();
    let text = "Permission is granted under conditions that fill a line.\n ".repeat(150);
    // The beginning of an ELF header; the rest is sections that are none.
    let mut executable = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    executable.resize(200_000, 0);
    for i in 0..DEBIAN {
        let name = format!("package-{i}");
        let depends = (1..=i.min(6)).map(|back| format!("package-{} (>= 1.0)", i - back)).collect::<Vec<_>>();
        writeln!(
            status,
            "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 100\n\
             Maintainer: Somebody <somebody@example.org>\nArchitecture: amd64\nSource: source-{} (1.{i})\nVersion: 1.{i}-1+deb12u1\n\
             Depends: {}\nDescription: a package\n {}\nHomepage: https://example.org/{name}\n",
            i / 3,
            depends.join(", "),
            "It has a description of several lines.\n ".repeat(8).trim_end(),
        )
        .expect("writing to a String cannot fail");
        let copyright = format!(
            "Format: x\nUpstream-Name: {name}\n\nFiles: *\nCopyright: y\nLicense: GPL-2+ or Expat\n {text}\n\nFiles: b\nLicense: BSD-3-clause\n"
        );
        files += write(root, &format!("usr/share/doc/{name}/copyright"), copyright)?;
        let mut list = String::from("/.\n/usr\n/usr/bin\n/usr/share\n");
        for file in 0..FILES {
            let path = format!("usr/share/{name}/directory-{}/file-{file}", file % 5);
            writeln!(list, "/{path}").expect("writing to a String cannot fail");
            files += write(root, &path, "content")?;
        }
        let program = format!("usr/bin/program-{i}");
        files += write(root, &program, &executable)?;
        fs::set_permissions(root.join(&program), fs::Permissions::from_mode(0o755))?;
        writeln!(list, "/{program}").expect("writing to a String cannot fail");
        files += write(root, &format!("var/lib/dpkg/info/{name}.list"), list)?;
        files += write(root, &format!("var/lib/dpkg/info/{name}.md5sums"), "0  x\n".repeat(FILES))?;
    }
    Ok(files + write(root, "var/lib/dpkg/status", status)?)
}

fn python(root: &Path) -> std::io::Result<usize> {
    let mut files = 0;
    for i in 0..PYTHON {
        let site = "usr/local/lib/python3.12/site-packages";
        let info = format!("{site}/package_{i}-2.{i}.dist-info");
        let requires = (1..=i.min(4)).map(|back| format!("Requires-Dist: package-{} >=2\n", i - back));
        let metadata = format!(
            "Metadata-Version: 2.1\nName: package-{i}\nVersion: 2.{i}\nLicense: MIT\nClassifier: License :: OSI Approved :: MIT License\n{}\n{}",
            requires.collect::<String>(),
            "A long description, as on the page of the package.\n".repeat(200),
        );
        files += write(root, &format!("{info}/METADATA"), metadata)?;
        let mut record = String::new();
        for file in 0..FILES {
            let path = format!("package_{i}/module_{file}.py");
            writeln!(record, "{path},sha256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,100")
                .expect("writing to a String cannot fail");
            files += write(root, &format!("{site}/{path}"), "pass\n")?;
        }
        files += write(root, &format!("{info}/RECORD"), record)?;
        files += write(root, &format!("{info}/INSTALLER"), "pip\n")?;
    }
    Ok(files)
}

fn npm(root: &Path) -> std::io::Result<usize> {
    let mut files = 0;
    for i in 0..NPM {
        let name = if i % 5 == 0 { format!("@scope/module-{i}") } else { format!("module-{i}") };
        let package = format!("srv/app/node_modules/{name}");
        let dependencies = (1..=i.min(3)).map(|back| i - back).filter(|other| other % 5 != 0);
        let dependencies: Vec<String> =
            dependencies.map(|other| format!("\"module-{other}\":\"^1.0.0\"")).collect();
        let manifest = format!(
            "{{\"name\":\"{name}\",\"version\":\"1.{i}.0\",\"license\":\"MIT\",\"description\":\"{}\",\"dependencies\":{{{}}}}}",
            "d".repeat(1000),
            dependencies.join(","),
        );
        files += write(root, &format!("{package}/package.json"), manifest)?;
        for file in 0..FILES / 4 {
            files += write(root, &format!("{package}/lib/file-{file}.js"), "module.exports = 1;\n")?;
        }
    }
    Ok(files)
}
