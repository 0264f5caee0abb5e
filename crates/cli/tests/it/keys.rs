//! `keys generate`, by itself.

use crate::world::World;

/// What it prints to add names the files where they are.
#[test]
fn the_lines_to_add_name_the_files_where_they_are() {
    let world = World::new();
    world.repo.write("password", "correct horse");
    world.repo.write("keys/.gitignore", "*.key\n");
    let generate = ["keys", "generate", "--out", "keys/release", "--password", "file:password"];
    let run = world.plimsoll(generate).exits(0);
    for line in ["key = \"file:keys/release.key\"", "public_keys = [\"file:keys/release.pub\"]"] {
        assert!(run.stdout.contains(line), "{}", run.stdout);
    }
    assert!(world.path().join("keys/release.key").is_file());
}
