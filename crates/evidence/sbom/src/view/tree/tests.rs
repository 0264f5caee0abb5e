//! Whiteouts, links and bounds of the tree.
#![allow(clippy::unwrap_used)]
use super::*;

fn all(tree: &Tree) -> Vec<(String, u32)> {
    let mut files = Vec::new();
    tree.files(|path, inode| files.push((path.to_owned(), inode)));
    files.sort();
    files
}

fn paths(tree: &Tree) -> Vec<String> {
    all(tree).into_iter().map(|(path, _)| path).collect()
}

/// A layer of files, each in the directories that it needs.
fn layer(tree: &mut Tree, files: &[&str]) {
    tree.next_layer();
    for path in files {
        tree.put(path, Kind::File(1)).unwrap();
    }
}

#[test]
fn a_whiteout_hides_lower_layers_and_spares_its_own() {
    let mut tree = Tree::new(1000);
    layer(&mut tree, &["a/b/c", "a/b/d", "a/e", "f"]);
    layer(&mut tree, &["a/b/new"]);
    tree.hide("a/b");
    tree.hide("f");
    tree.hide("absent/x");
    assert_eq!(paths(&tree), ["a/b/new", "a/e"]);
    layer(&mut tree, &["a/e"]);
    tree.hide_content("a");
    assert_eq!(paths(&tree), ["a/e"]);
    tree.next_layer();
    tree.hide_content("");
    assert_eq!(paths(&tree), [""; 0]);
}

#[test]
fn what_is_put_takes_the_place_of_what_was_there() {
    let mut tree = Tree::new(1000);
    layer(&mut tree, &["a/b", "c"]);
    tree.next_layer();
    tree.put("a", Kind::File(2)).unwrap();
    tree.put("c", Kind::Directory).unwrap();
    tree.put("c/d", Kind::File(3)).unwrap();
    assert_eq!(all(&tree), [("a".to_owned(), 2), ("c/d".to_owned(), 3)]);
    // What was below the old directory does not come back.
    tree.put("a", Kind::Directory).unwrap();
    assert_eq!(paths(&tree), ["c/d"]);
    assert_eq!(tree.put("c/d/e", Kind::Other), Err(Misplaced::Unreachable));
}

#[test]
fn links_are_followed_inside_the_root_only() {
    let mut tree = Tree::new(1000);
    layer(&mut tree, &["usr/lib/x"]);
    tree.put_symlink("lib", "usr/lib").unwrap();
    tree.put_symlink("abs", "/lib/x").unwrap();
    tree.put_symlink("up", "../../../../usr/lib/x").unwrap();
    tree.put_symlink("loop", "loop2/y").unwrap();
    tree.put_symlink("loop2", "loop").unwrap();
    tree.put_symlink("self", ".").unwrap();
    let real = |path: &str| tree.find(path).map(|id| tree.path(id));
    for path in ["lib/x", "/lib//x", "abs", "up", "self/self/lib/./x", "usr/../lib/x", "../../lib/x"] {
        assert_eq!(real(path).as_deref(), Some("usr/lib/x"), "{path}");
    }
    for path in ["loop", "loop/z", "loop2", "absent", "usr/lib/x/y", &"self/".repeat(2000)] {
        assert_eq!(real(path), None, "{path}");
    }
    assert_eq!(tree.find_itself("lib").map(|id| tree.path(id)).as_deref(), Some("lib"));
    // A file below a link lands where the link leads.
    tree.put("lib/y", Kind::File(2)).unwrap();
    assert_eq!(tree.put("loop/y", Kind::File(2)), Err(Misplaced::Unreachable));
    assert_eq!(paths(&tree), ["usr/lib/x", "usr/lib/y"]);
}

#[test]
fn growth_is_bounded_and_loses_nothing() {
    let mut tree = Tree::new(5000);
    tree.next_layer();
    for i in 0..5000 {
        tree.put(&format!("f{i}"), Kind::File(i)).unwrap();
    }
    assert_eq!(tree.put("one-more", Kind::File(0)), Err(Misplaced::Full));
    assert_eq!(tree.put("f7", Kind::File(9)).map(|_| ()), Ok(()));
    assert_eq!(all(&tree).len(), 5000);
    for i in 0..5000 {
        assert!(tree.find(&format!("f{i}")).is_some());
        tree.next_layer();
        tree.hide(&format!("f{i}"));
        assert!(tree.find(&format!("f{i}")).is_none());
    }
    assert_eq!(all(&tree), []);
    let deep = "d/".repeat(300) + "x";
    assert_eq!(Tree::new(5000).put(&deep, Kind::Other), Err(Misplaced::Unreachable));
}

/// Every directory on a long way hidden again and again: linear, not the
/// square of it.
#[test]
fn hiding_is_linear() {
    let mut tree = Tree::new(1_000_000);
    tree.next_layer();
    let deep: Vec<String> = (1..200).map(|depth| "d/".repeat(depth)).collect();
    for i in 0..10_000 {
        tree.put(&format!("{}f{i}", deep[i % deep.len()]), Kind::File(0)).unwrap();
    }
    tree.next_layer();
    for i in 0..10_000 {
        tree.put(&format!("{}g{i}", deep[i % deep.len()]), Kind::File(0)).unwrap();
    }
    for path in deep.iter().rev().cycle().take(4_000) {
        tree.hide(path.trim_end_matches('/'));
        tree.hide_content(path.trim_end_matches('/'));
    }
    assert_eq!(all(&tree).len(), 10_000);
}
