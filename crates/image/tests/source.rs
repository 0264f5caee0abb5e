//! The repository and the checkout, on real repositories (BLD-1).
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{Repo, git, head};
use plimsoll_image::{Checkout, Error, FileTimes, ShortSha, Source};
use plimsoll_model::{Commit, Lookup};

/// 2026-01-02T03:04:05Z, the time of every commit here.
const TIME: i64 = 1_767_323_045;

fn check_out(source: &Source, commit: &Commit) -> Result<(tempfile::TempDir, Checkout), Error> {
    let parent = tempfile::tempdir().unwrap();
    let checkout = Checkout::create(source, commit, parent.path(), FileTimes::Commit)?;
    Ok((parent, checkout))
}

fn read(checkout: &Checkout, path: &str) -> String {
    fs::read_to_string(checkout.path().join(path)).unwrap()
}

#[test]
fn not_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Source::open(dir.path()), Err(Error::NotARepository { .. })));
    assert!(matches!(Source::open(&dir.path().join("none")), Err(Error::NotARepository { .. })));
}

#[test]
fn revisions_are_resolved_strictly() {
    let repo = Repo::new();
    repo.write("a", "1");
    let first = repo.commit("one");
    repo.git(&["tag", "-a", "v1", "-m", "v1"]);
    repo.write("a", "2");
    let second = repo.commit("two");
    repo.git(&["branch", "deadbeef", first.as_str()]);
    let source = repo.source();
    for (rev, expected) in [
        ("HEAD", &second),
        ("main", &second),
        ("HEAD~1", &first),
        ("v1", &first),
        ("deadbeef", &first),
        (first.as_str(), &first),
    ] {
        assert_eq!(&source.resolve(rev, ShortSha::Refuse).unwrap(), expected, "{rev}");
    }
    let short = &first.as_str()[..9];
    assert!(matches!(source.resolve(short, ShortSha::Refuse), Err(Error::ShortSha { .. })));
    assert_eq!(source.resolve(short, ShortSha::Allow).unwrap(), first);
    let upper = first.as_str().to_uppercase();
    assert!(matches!(source.resolve(&upper, ShortSha::Allow), Err(Error::UpperCaseSha { .. })));
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let absent = "0123456789abcdef0123456789abcdef01234567";
    for bad in
        ["", "none", "--all", "-h", absent, &blob, &tree, "a b", "main\n", "HEAD:a", "main..HEAD", "\0"]
    {
        let result = source.resolve(bad, ShortSha::Allow);
        assert!(matches!(result, Err(Error::UnknownCommit { .. })), "{bad:?}: {result:?}");
    }
}

#[test]
fn the_environment_of_the_caller_does_not_reach_git() {
    // `GIT_DIR` of a hook or a wrapper would name another repository.
    let repo = Repo::new();
    repo.write(".git/info/attributes", "* filter=evil\n");
    repo.git(&["config", "filter.evil.smudge", "false"]);
    repo.git(&["config", "filter.evil.required", "true"]);
    repo.git(&["config", "core.fsmonitor", "touch evil-ran; false"]);
    repo.git(&["config", "core.autocrlf", "true"]);
    repo.write("a", "line\n");
    let commit = repo.commit_unfiltered();
    let source = repo.source();
    source.is_dirty().unwrap();
    assert!(!repo.path().join("evil-ran").exists());
    let (_parent, checkout) = check_out(&source, &commit).unwrap();
    assert_eq!(read(&checkout, "a"), "line\n");
}

impl Repo {
    /// A commit made of objects, past every filter.
    fn commit_unfiltered(&self) -> Commit {
        let blob = self.git(&["hash-object", "-w", "--no-filters", "a"]);
        self.commit_of(&[("100644", "blob", &blob, "a")])
    }

    /// A commit with exactly these entries in its top tree.
    fn commit_of(&self, entries: &[(&str, &str, &str, &str)]) -> Commit {
        let lines: String = entries
            .iter()
            .map(|(mode, kind, object, name)| format!("{mode} {kind} {object}\t{name}\n"))
            .collect();
        let file = self.path().join(".git/tree-entries");
        fs::write(&file, lines).unwrap();
        let tree = {
            let output = std::process::Command::new("git")
                .arg("mktree")
                .current_dir(self.path())
                .stdin(fs::File::open(&file).unwrap())
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        fs::remove_file(file).unwrap();
        let commit: Commit = self.git(&["commit-tree", &tree, "-m", "made"]).parse().unwrap();
        self.git(&["update-ref", "refs/heads/main", commit.as_str()]);
        commit
    }
}

#[test]
fn bld_1_exactly_the_tree_of_the_commit() {
    let repo = Repo::new();
    repo.write("plain", "one\n");
    let tool = repo.write("bin/tool", "#!/bin/sh\n");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    repo.write("deep/er/and/deeper", "x");
    repo.write("empty", "");
    repo.write("Case", "upper");
    repo.write("case", "lower");
    repo.write("naïve name\twith\n\"all\"", "odd");
    repo.write("-dash", "dash");
    repo.write("windows", "a\r\nb\r\n");
    repo.write("binary", [0, 255, 13, 10, 0]);
    repo.write("version", "$Format:%H$ $Id$\n");
    repo.write("secret", "kept\n");
    repo.write(".gitattributes", "version export-subst ident\nsecret export-ignore\nplain text eol=crlf\n");
    repo.write(".gitignore", "target\n");
    symlink("bin/tool", repo.path().join("link")).unwrap();
    symlink("/etc/passwd", repo.path().join("absolute")).unwrap();
    symlink("nowhere", repo.path().join("bin/dangling")).unwrap();
    let commit = repo.commit("all");
    // None of this is in the commit.
    repo.write("plain", "changed\n");
    repo.write("untracked", "x");
    repo.write("target/out", "x");
    fs::remove_file(repo.path().join("empty")).unwrap();

    let before = repo.fingerprint();
    let source = repo.source();
    assert!(source.is_dirty().unwrap());
    let (_parent, checkout) = check_out(&source, &commit).unwrap();
    assert_eq!(repo.fingerprint(), before, "the repository was touched");

    for (path, content) in [
        ("plain", "one\n"),
        ("deep/er/and/deeper", "x"),
        ("empty", ""),
        ("Case", "upper"),
        ("case", "lower"),
        ("naïve name\twith\n\"all\"", "odd"),
        ("-dash", "dash"),
        ("windows", "a\r\nb\r\n"),
        ("version", "$Format:%H$ $Id$\n"),
        ("secret", "kept\n"),
    ] {
        assert_eq!(read(&checkout, path), content, "{path:?}");
    }
    assert_eq!(fs::read(checkout.path().join("binary")).unwrap(), [0, 255, 13, 10, 0]);
    assert!(!checkout.path().join("untracked").exists());
    assert!(!checkout.path().join("target").exists());
    assert!(!checkout.path().join(".git").exists());
    let target = |path: &str| fs::read_link(checkout.path().join(path)).unwrap();
    assert_eq!(target("link"), Path::new("bin/tool"));
    assert_eq!(target("absolute"), Path::new("/etc/passwd"));
    assert_eq!(target("bin/dangling"), Path::new("nowhere"));
    let metadata = |path: &str| fs::symlink_metadata(checkout.path().join(path)).unwrap();
    assert_eq!(metadata("bin/tool").mode() & 0o777, 0o755);
    assert_eq!(metadata("plain").mode() & 0o777, 0o644);
    assert_eq!(metadata("deep").mode() & 0o777, 0o755);
    for path in ["plain", "bin/tool", "link", "deep/er", ""] {
        assert_eq!(metadata(path).mtime(), TIME, "{path:?}");
    }
    assert_eq!((checkout.commit(), checkout.time().as_second()), (&commit, TIME));
    let gone = checkout.beside().to_owned();
    drop(checkout);
    assert!(!gone.exists());
}

#[test]
fn bld_1_a_read_only_result_of_a_build_is_removed_too() {
    let repo = Repo::new();
    let commit = repo.commit("empty");
    let (parent, checkout) = check_out(&repo.source(), &commit).unwrap();
    let dir = checkout.path().join("cache/pkg");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    drop(checkout);
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn what_a_killed_build_left_behind_is_removed_by_the_next() {
    let repo = Repo::new();
    let commit = repo.commit("empty");
    let parent = tempfile::tempdir().unwrap();
    let abandoned = parent.path().join("checkout-0123-dead");
    fs::create_dir_all(abandoned.join("src")).unwrap();
    fs::write(abandoned.join("lock"), "").unwrap();
    let make = || Checkout::create(&repo.source(), &commit, parent.path(), FileTimes::Now).unwrap();
    let first = make();
    assert!(!abandoned.exists());
    let second = make();
    assert!(first.path().exists() && second.path().exists(), "one in use was removed");
}

#[test]
fn bld_1_submodules_recursively_and_offline() {
    let inner = Repo::new();
    inner.write("inner", "i");
    inner.commit("inner");
    let middle = Repo::new();
    middle.write("middle", "m");
    middle.git(&["submodule", "--quiet", "add", inner.path().to_str().unwrap(), "sub/inner"]);
    middle.commit("middle");
    let outer = Repo::new();
    outer.write("outer", "o");
    outer.git(&[
        "submodule",
        "--quiet",
        "add",
        "--name",
        "named",
        middle.path().to_str().unwrap(),
        "lib/middle",
    ]);
    let commit = outer.commit("outer");
    let missing = check_out(&outer.source(), &commit).unwrap_err();
    assert!(missing.to_string().contains("lib/middle/sub/inner"), "{missing}");
    let hint = plimsoll_model::Diagnose::hint(&missing).unwrap();
    assert!(hint.starts_with("git submodule update --init --recursive"), "{hint}");
    outer.git(&["submodule", "--quiet", "update", "--init", "--recursive"]);
    // The submodule moves on; the commit does not.
    fs::write(outer.path().join("lib/middle/middle"), "changed").unwrap();
    let before = outer.fingerprint();
    let (_parent, checkout) = check_out(&outer.source(), &commit).unwrap();
    assert_eq!(outer.fingerprint(), before);
    assert_eq!(read(&checkout, "lib/middle/middle"), "m");
    assert_eq!(read(&checkout, "lib/middle/sub/inner/inner"), "i");
    assert_eq!(read(&checkout, "outer"), "o");
}

#[test]
fn lfs_pointers_are_refused() {
    let repo = Repo::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    repo.write("assets/model.bin", pointer);
    let commit = repo.commit("lfs");
    let source = repo.source();
    match check_out(&source, &commit) {
        Err(Error::LfsPointer { path }) => assert_eq!(path, Path::new("assets/model.bin")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(source.show_file(&commit, "assets/model.bin", 1000).unwrap(), Lookup::Invalid(_)));
}

#[test]
fn hostile_trees_do_not_leave_the_checkout() {
    let repo = Repo::new();
    repo.write("a", "x");
    repo.commit("base");
    let blob = repo.git(&["rev-parse", "HEAD:a"]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    for (mode, kind, object, name) in [
        ("040000", "tree", &tree, ".git"),
        ("040000", "tree", &tree, ".GIT"),
        ("100644", "blob", &blob, ".git"),
        ("040000", "tree", &tree, ".."),
        ("100644", "blob", &blob, "."),
    ] {
        let commit = repo.commit_of(&[(mode, kind, object, name)]);
        let result = check_out(&repo.source(), &commit);
        assert!(matches!(result, Err(Error::UnsafePath { .. } | Error::Git { .. })), "{name}: {result:?}");
    }
    // A link and a directory of the same name: nothing is written through it.
    let outside = tempfile::tempdir().unwrap();
    repo.write("target", outside.path().to_str().unwrap());
    let link = repo.git(&["hash-object", "-w", "target"]);
    let commit = repo.commit_of(&[("120000", "blob", &link, "a"), ("040000", "tree", &tree, "a")]);
    let result = check_out(&repo.source(), &commit);
    assert!(matches!(result, Err(Error::Io { .. })), "{result:?}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_or_missing_object_is_found() {
    let repo = Repo::new();
    repo.write("a", "content a");
    repo.write("b", "content b");
    let commit = repo.commit("two");
    let object = |name: &str| {
        let id = repo.git(&["rev-parse", &format!("HEAD:{name}")]);
        repo.path().join(".git/objects").join(&id[..2]).join(&id[2..])
    };
    let (a, b) = (object("a"), object("b"));
    let kept = fs::read(&a).unwrap();
    fs::set_permissions(&a, fs::Permissions::from_mode(0o644)).unwrap();
    fs::copy(&b, &a).unwrap();
    assert!(check_out(&repo.source(), &commit).is_err());
    fs::write(&a, kept).unwrap();
    fs::remove_file(&b).unwrap();
    assert!(matches!(check_out(&repo.source(), &commit), Err(Error::MissingObject { .. })));
}

#[test]
fn a_bare_repository_and_a_linked_worktree_work() {
    let repo = Repo::new();
    repo.write("a", "x");
    let commit = repo.commit("one");
    let bare = tempfile::tempdir().unwrap();
    git(bare.path(), &["clone", "-q", "--bare", repo.path().to_str().unwrap(), "r.git"]);
    let source = Source::open(&bare.path().join("r.git")).unwrap();
    assert_eq!((source.worktree(), source.is_dirty().unwrap()), (None, false));
    assert_eq!(head(&source), commit);
    let (_parent, checkout) = check_out(&source, &commit).unwrap();
    assert_eq!(read(&checkout, "a"), "x");
    let linked = bare.path().join("linked");
    repo.git(&["worktree", "add", "-q", "-b", "topic", linked.to_str().unwrap()]);
    let source = Source::open(&linked).unwrap();
    assert_eq!(source.head_branch().unwrap().as_deref(), Some("topic"));
    let (_parent, checkout) = check_out(&source, &commit).unwrap();
    assert_eq!(read(&checkout, "a"), "x");
}

#[test]
fn bld_5_branches_and_ancestry() {
    let repo = Repo::new();
    repo.write("a", "1");
    let first = repo.commit("one");
    let clone = tempfile::tempdir().unwrap();
    let at = clone.path().join("c");
    git(clone.path(), &["clone", "-q", repo.path().to_str().unwrap(), "c"]);
    fs::write(at.join("a"), "2").unwrap();
    git(&at, &["commit", "-q", "-a", "-m", "local"]);
    let source = Source::open(&at).unwrap();
    let local = head(&source);
    assert_eq!(source.head_branch().unwrap().as_deref(), Some("main"));
    assert_eq!(source.branches_containing(&first).unwrap(), ["main", "origin/main"]);
    assert_eq!(source.branches_containing(&local).unwrap(), ["main"]);
    // Committed on the local main only: others cannot see it.
    let ancestry = source.is_ancestor(&local, "main").unwrap();
    assert_eq!((&*ancestry.compared_with, ancestry.contains), ("origin/main", Lookup::Found(false)));
    assert_eq!(source.is_ancestor(&first, "main").unwrap().contains, Lookup::Found(true));
    assert_eq!(source.is_ancestor(&first, "none").unwrap().contains, Lookup::Absent);
    let unknown: Commit = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    assert!(matches!(source.is_ancestor(&unknown, "main").unwrap().contains, Lookup::Unknown(_)));
    let here = repo.source().is_ancestor(&first, "main").unwrap();
    assert_eq!((&*here.compared_with, here.contains), ("main", Lookup::Found(true)));
    git(&at, &["checkout", "-q", "--detach"]);
    assert_eq!(source.head_branch().unwrap(), None);
    // A shallow clone does not know what came before.
    repo.write("a", "3");
    repo.commit("three");
    let url = format!("file://{}", repo.path().display());
    git(clone.path(), &["clone", "-q", "--depth", "1", &url, "s"]);
    let shallow = Source::open(&clone.path().join("s")).unwrap();
    git(&clone.path().join("s"), &["fetch", "-q", "--depth", "1", "origin", first.as_str()]);
    assert!(matches!(shallow.is_ancestor(&first, "main").unwrap().contains, Lookup::Unknown(_)));
}

#[test]
fn files_of_a_commit_are_looked_up() {
    let repo = Repo::new();
    repo.write("plimsoll.toml", "x = 1\n");
    repo.write("dir/file", "y");
    symlink("plimsoll.toml", repo.path().join("link")).unwrap();
    let commit = repo.commit("config: one\n\nbody");
    repo.write("plimsoll.toml", "changed");
    let source = repo.source();
    let show = |path: &str, limit| source.show_file(&commit, path, limit).unwrap();
    assert_eq!(show("plimsoll.toml", 6), Lookup::Found(b"x = 1\n".to_vec()));
    assert_eq!(show("dir/file", 6), Lookup::Found(b"y".to_vec()));
    assert!(matches!(show("plimsoll.toml", 5), Lookup::Invalid(_)));
    assert!(matches!(show("link", 99), Lookup::Invalid(_)));
    assert!(matches!(show("dir", 99), Lookup::Invalid(_)));
    assert_eq!(show("none", 99), Lookup::Absent);
    assert_eq!(show("*", 99), Lookup::Absent);
    let unknown: Commit = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    assert!(matches!(source.show_file(&unknown, "a", 9).unwrap(), Lookup::Unknown(_)));
    let info = source.describe(&commit).unwrap();
    assert_eq!(
        (info.time.as_second(), &*info.subject, &*info.author),
        (TIME, "config: one", "A <a@example.com>")
    );
    assert!(matches!(source.describe(&unknown), Err(Error::UnknownCommit { .. })));
}

#[test]
fn what_plimsoll_itself_writes_is_not_dirt() {
    let repo = Repo::new();
    repo.write("a", "x");
    repo.commit("one");
    repo.write(".plimsoll/ledger.db", "x");
    assert!(!repo.source().is_dirty().unwrap());
    repo.write("b", "x");
    assert!(repo.source().is_dirty().unwrap());
}

#[test]
fn bld_1_two_checkouts_at_once() {
    let repo = Repo::new();
    (0..300).for_each(|n| drop(repo.write(&format!("d{}/f{n}", n % 7), n.to_string())));
    let commit = repo.commit("many");
    let source = repo.source();
    let parent = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| Checkout::create(&source, &commit, parent.path(), FileTimes::Now).unwrap())
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap().files(), 300);
        }
    });
}

#[test]
fn files_are_listed_as_committed() {
    let repo = Repo::new();
    repo.write("Cargo.lock", "1");
    repo.write("web/package-lock.json", "1");
    symlink("Cargo.lock", repo.path().join("link")).unwrap();
    let commit = repo.commit("one");
    repo.write("later", "1");
    let source = repo.source();
    assert_eq!(source.files(&commit).unwrap(), ["Cargo.lock", "web/package-lock.json"]);
    let unknown = "f".repeat(40).parse().unwrap();
    assert!(matches!(source.files(&unknown), Err(Error::UnknownCommit { .. })));
}

#[test]
fn the_history_between_two_releases() {
    let repo = Repo::new();
    repo.write("a", "1");
    let first = repo.commit("feat: one");
    repo.git(&["tag", "v0.1.0"]);
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.write("b/c", "2");
    let side = repo.commit("fix: side\n\nBody.\n\nRefs: #1");
    repo.git(&["tag", "-a", "side/v0.2.0", "-m", "two"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a", "3");
    let main = repo.commit("fix: main");
    repo.git(&["merge", "-q", "--no-ff", "-m", "Merge branch 'side'", "side"]);
    let merge = repo.head();
    repo.git(&["tag", "tree", "HEAD^{tree}"]);
    let source = repo.source();
    let log = source.log(Some(&first), &merge, "", 100).unwrap();
    assert_eq!(log.iter().map(|one| one.merge).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(log[0].commit, merge);
    let of_side = log.iter().find(|one| one.commit == side).unwrap();
    assert_eq!(of_side.message, "fix: side\n\nBody.\n\nRefs: #1");
    assert_eq!(source.log(None, &merge, "", 2).unwrap().len(), 2);
    let below: Vec<Commit> =
        source.log(Some(&first), &merge, "b", 100).unwrap().into_iter().map(|one| one.commit).collect();
    assert_eq!(below, std::slice::from_ref(&side));
    let named = |within: Option<&Commit>| -> Vec<(String, Commit)> {
        source.tags(within).unwrap().into_iter().map(|tag| (tag.name, tag.commit)).collect()
    };
    assert_eq!(named(None), [("side/v0.2.0".into(), side), ("v0.1.0".into(), first.clone())]);
    assert_eq!(named(Some(&main)), [("v0.1.0".into(), first)]);
    let none: Commit = "0".repeat(40).parse().unwrap();
    assert!(source.log(Some(&none), &merge, "", 2).is_err() && source.tags(Some(&none)).is_err());
}
