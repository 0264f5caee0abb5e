//! Whose file it is: the service's own, or test data and documentation that a
//! package brought along.
//!
//! A private key in the tests of a library is a private key, and it is
//! published with the library: it protects nothing, and nobody who ships a
//! service can remove it from there. It is reported as a note. The same file
//! in the service's own tree stops the build.

/// Directories below which files come from a package.
const PACKAGES: &[&str] = &[
    "site-packages",
    "dist-packages",
    "node_modules",
    "gems",
    "rustlib",
    ".m2/repository",
    ".rustup/toolchains",
    "rustup/toolchains",
    "usr/share",
    "usr/lib/ruby",
    "usr/local/go",
    "usr/lib/go",
    "usr/local/lib/ruby",
    "bower_components",
    ".pyenv/versions",
    "usr/include",
    ".nuget/packages",
    "google-cloud-sdk",
    "BOOT-INF/lib",
    "WEB-INF/lib",
];

/// Where package tools keep what they downloaded: copies of published packages
/// and their sources, tests and all, that nothing runs from.
const DOWNLOADS: &[&str] = &[
    ".cache/yarn",
    ".cache/pip",
    "_cacache",
    "cargo/registry/cache",
    "cargo/registry/src",
    ".cargo/registry/cache",
    ".cargo/registry/src",
    "pkg/mod",
    "var/cache/apt",
];

/// Directories, within a package, of what is never run in production.
const ASIDE: &[&str] = &[
    "test",
    "tests",
    "testing",
    "testdata",
    "test-data",
    "test_data",
    "testsuite",
    "__tests__",
    "__test__",
    "__mocks__",
    "spec",
    "specs",
    "fixtures",
    "fixture",
    "__fixtures__",
    "example",
    "examples",
    "sample",
    "samples",
    "demo",
    "demos",
    "doc",
    "docs",
    "documentation",
    "benches",
    "bench",
    "benchmark",
    "benchmarks",
    "html",
    "test-fixtures",
    "unit-tests",
    "rfc",
    "vectors",
    "testutil",
    "testutils",
    "molecule",
    "dummyserver",
];

/// Endings of documentation and of files only compilers read.
const DOCUMENTATION: &[&str] = &[
    ".md",
    ".markdown",
    ".rst",
    ".adoc",
    ".txt",
    ".html",
    ".htm",
    ".d.ts",
    ".d.mts",
    ".d.cts",
    ".pyi",
    ".map",
    ".ipynb",
    ".pod",
    ".1",
    ".3",
    ".5",
    ".8",
];

/// Whether a package brought the file.
pub(crate) fn is_packaged(path: &[u8]) -> bool {
    package_part(path).is_some()
}

/// Whether the file is test data or documentation of a package.
pub(crate) fn is_aside(path: &[u8]) -> bool {
    if DOWNLOADS.iter().any(|downloads| after(path, downloads).is_some()) {
        return true;
    }
    let Some(part) = package_part(path) else { return false };
    let lower = part.to_ascii_lowercase();
    let (directories, base) = match lower.iter().rposition(|&b| b == b'/') {
        Some(at) => (&lower[..at], &lower[at + 1..]),
        None => (&lower[..0], &lower[..]),
    };
    directories.split(|&b| b == b'/').any(|name| ASIDE.iter().any(|aside| aside.as_bytes() == name))
        || DOCUMENTATION.iter().any(|ending| base.ends_with(ending.as_bytes()))
        || is_test_name(base)
        || matches!(base, b"metadata" | b"pkg-info" | b"readme" | b"changelog" | b"changes" | b"news")
}

/// `test_x.py`, `x_test.go`, `x.test.js`, `x.spec.ts`, `tests.rs`.
fn is_test_name(base: &[u8]) -> bool {
    let stem = base.iter().position(|&b| b == b'.').map_or(base, |dot| &base[..dot]);
    matches!(stem, b"test" | b"tests")
        || stem.starts_with(b"test_")
        || stem.ends_with(b"_test")
        || stem.ends_with(b"_tests")
        || [&b".test."[..], b".spec."].iter().any(|mark| memchr::memmem::find(base, mark).is_some())
}

/// What follows these whole components in the path.
fn after<'a>(path: &'a [u8], components: &str) -> Option<&'a [u8]> {
    memchr::memmem::find_iter(path, components.as_bytes()).find_map(|at| {
        let end = at + components.len();
        let is_whole = (at == 0 || path[at - 1] == b'/') && path.get(end) == Some(&b'/');
        is_whole.then(|| &path[end + 1..])
    })
}

/// What follows the package directory in the path. Only Python's own library
/// is told by a pattern: `lib/python3.13/`.
fn package_part(path: &[u8]) -> Option<&[u8]> {
    if let Some(part) = PACKAGES.iter().find_map(|root| after(path, root)) {
        return Some(part);
    }
    let at = memchr::memmem::find(path, b"lib/python3")?;
    let rest = &path[at + b"lib/python3".len()..];
    let slash = rest.iter().take(4).position(|&b| b == b'/')?;
    Some(&rest[slash + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_packages_are_not_tests_of_the_service() {
        for path in [
            "usr/lib/python3/dist-packages/twisted/test/server.pem",
            "app/node_modules/ssh2/test/fixtures/id_rsa",
            "usr/local/lib/python3.13/test/certdata/keycert.pem",
            "usr/share/doc/openssl/README.gz",
            "venv/lib/python3.12/site-packages/jwt/test_api.py",
            "root/go/pkg/mod/golang.org/x/crypto@v0.1.0/ssh/keys.go",
            "usr/local/cargo/registry/src/index/pem-4.0.0/src/lib.rs",
        ] {
            assert!(is_aside(path.as_bytes()), "{path}");
        }
        for path in [
            "app/tests/key.pem",
            "app/node_modules/service/index.js",
            "usr/local/bin/service",
            "app/my-site-packages/tests/key.pem",
            "etc/ssl/private/test.key",
        ] {
            assert!(!is_aside(path.as_bytes()), "{path}");
        }
        assert!(is_packaged(b"app/node_modules/service/index.js"));
        assert!(!is_packaged(b"app/index.js"));
    }
}
