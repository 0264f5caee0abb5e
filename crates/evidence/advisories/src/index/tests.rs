//! The index: found again, built anew when it must be, never believed when it
//! is damaged.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::database::Origin;
use crate::scan::tests::{advisory, fixed};
use crate::{Database, Error, Limits, Report, synthetic};

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a temporary folder can be made") };
        fs::create_dir(world.sources()).expect("a temporary folder is writable");
        world.write("a.json", &advisory("A-1", &[], "npm", "a", &fixed("1.0.0")));
        world
    }

    fn sources(&self) -> PathBuf {
        self.dir.path().join("sources")
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("state/advisories.index")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.sources().join(name), text).expect("a temporary folder is writable");
    }

    fn open(&self) -> Database {
        Database::open(&[self.sources()], &self.place(), Limits::default())
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// What there is, and why it had to be built; empty when it was there.
    fn scan(&self) -> (usize, String) {
        let mut database = self.open();
        let report =
            database.scan(["pkg:npm/a@0.1.0", "pkg:npm/b@0.1.0"]).unwrap_or_else(|why| panic!("{why}"));
        let why = match database.origin() {
            Origin::Present => String::new(),
            Origin::Built(why) | Origin::NotWritten(why) => why.clone(),
        };
        (report.findings.len(), why)
    }
}

#[test]
fn it_is_found_again_and_built_anew_when_a_source_changes() {
    let world = World::new();
    assert_eq!(world.scan(), (1, "there was none".into()));
    assert_eq!(world.scan(), (1, String::new()));
    let changed = "the advisories have changed".to_owned();
    world.write("b.json", &advisory("B-1", &[], "npm", "b", &fixed("1.0.0")));
    assert_eq!(world.scan(), (2, changed.clone()));
    world.write("b.json", &advisory("B-1", &[], "npm", "other", &fixed("1.0.0")));
    assert_eq!(world.scan(), (1, changed.clone()));
    // The same length, another time.
    world.write("b.json", &advisory("B-1", &[], "npm", "thing", &fixed("1.0.0")));
    let file = fs::File::options().write(true).open(world.sources().join("b.json")).expect("it was written");
    file.set_modified(std::time::UNIX_EPOCH).expect("times can be set");
    assert_eq!(world.scan(), (1, changed.clone()));
    fs::rename(world.sources().join("b.json"), world.sources().join("c.json")).expect("renamed");
    assert_eq!(world.scan(), (1, changed.clone()));
    fs::remove_file(world.sources().join("c.json")).expect("removed");
    assert_eq!(world.scan(), (1, changed));
    assert_eq!(world.scan(), (1, String::new()));
    let left = fs::read_dir(world.dir.path().join("state")).map(Iterator::count).unwrap_or_default();
    assert_eq!(left, 1, "no file is left beside the index");
}

#[test]
fn what_a_killed_writer_left_is_removed_and_a_running_one_is_let_be() {
    let world = World::new();
    let state = world.dir.path().join("state");
    fs::create_dir(&state).expect("a temporary folder is writable");
    let hour_old = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 3600);
    for (name, old) in [(".advisories-old", true), (".advisories-new", false), ("ledger.db", true)] {
        let file = fs::File::create(state.join(name)).expect("a temporary folder is writable");
        if old {
            file.set_modified(hour_old).expect("times can be set");
        }
    }
    world.scan();
    let mut left: Vec<_> =
        fs::read_dir(state).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, [".advisories-new", "advisories.index", "ledger.db"]);
}

/// Scans after a change to the index's bytes.
fn with_bytes(world: &World, bytes: &[u8]) -> (usize, String) {
    fs::write(world.place(), bytes).expect("a temporary folder is writable");
    world.scan()
}

#[test]
fn a_damaged_index_is_never_believed() {
    let world = World::new();
    world.write("b.json", &advisory("B-1", &["CVE-2"], "npm", "b", &fixed("1.0.0")));
    assert_eq!(world.scan().0, 2);
    let good = fs::read(world.place()).expect("the index was written");
    // Every byte once, and every length: what was found never changes.
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        let (count, why) = with_bytes(&world, &bytes);
        assert_eq!(count, 2, "byte {at} of {}", good.len());
        assert_ne!(why, "", "byte {at} of {} was believed", good.len());
    }
    for len in (0..good.len()).step_by(7) {
        assert_eq!(with_bytes(&world, &good[..len]).0, 2, "{len} of {} bytes", good.len());
    }
    assert_eq!(with_bytes(&world, &[good.clone(), vec![0; 3]].concat()).0, 2);
    assert_eq!(fs::read(world.place()).ok(), Some(good), "it is written anew, and the same");
}

#[test]
fn without_a_place_to_write_it_is_kept_in_memory() {
    let world = World::new();
    fs::write(world.dir.path().join("state"), "a file where a folder should be").expect("writable");
    let (count, why) = world.scan();
    assert_eq!(count, 1);
    assert!(why.contains("could not write the index"), "{why}");
}

fn report(sources: &[PathBuf], purls: &[String]) -> Report {
    let mut database = Database::in_memory(sources, Limits::default()).unwrap_or_else(|why| panic!("{why}"));
    database.scan(purls).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn archives_and_files_with_the_same_advisories_say_the_same() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let (archives, files, rustsec) = (dir.path().join("a"), dir.path().join("f"), dir.path().join("r"));
    let written = synthetic::write_archives(&archives, 3000)
        .and_then(|()| synthetic::write_files(&files, 3000))
        .and_then(|()| synthetic::write_rustsec(&rustsec, 200));
    written.expect("a temporary folder is writable");
    let purls = synthetic::components(12_000);
    let mut packed = report(&[archives, rustsec.clone()], &purls);
    let mut loose = report(&[files.clone(), rustsec], &purls);
    assert_eq!(packed.database.advisories, 3200);
    assert!(packed.findings.len() > 20, "{}", packed.findings.len());
    for report in [&mut packed, &mut loose] {
        report.database.sources.clear();
        report.database.newest_file = None;
    }
    assert_eq!(packed, loose);

    // Against a plain search through every advisory, without index or threads.
    let expected = plain(&files, &purls);
    let mut found: Vec<_> =
        report(&[files], &purls).findings.into_iter().map(|finding| (finding.purl, finding.id)).collect();
    found.sort();
    assert_eq!(found, expected);
}

/// Every pair of component and advisory, compared one by one.
fn plain(files: &Path, purls: &[String]) -> Vec<(String, String)> {
    let mut advisories: HashMap<String, Vec<serde_json::Value>> = HashMap::new();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let folders = fs::read_dir(files).into_iter().flatten().flatten();
    for file in folders.flat_map(|folder| fs::read_dir(folder.path())).flatten().flatten() {
        let json = fs::read_to_string(file.path()).unwrap_or_default();
        let advisory: serde_json::Value = serde_json::from_str(&json).expect("the generator writes JSON");
        advisories.entry(text(&advisory["affected"][0]["package"]["name"])).or_default().push(advisory);
    }
    let mut pairs = Vec::new();
    for purl in purls {
        let query =
            crate::ecosystem::query(&crate::Purl::parse(purl).expect("a package URL")).expect("covered");
        for advisory in query.names.iter().filter_map(|name| advisories.get(name)).flatten() {
            let affected = &advisory["affected"][0];
            let ecosystem = text(&affected["package"]["ecosystem"]);
            if !query.ecosystems.iter().any(|pattern| pattern.matches(&ecosystem)) {
                continue;
            }
            let events = &affected["ranges"][0]["events"];
            let introduced = text(&events[0]["introduced"]);
            let order =
                |bound: &str| query.scheme.compare(&query.version, bound).expect("versions are versions");
            let from = introduced == "0" || order(&introduced).is_ge();
            if from && order(&text(&events[1]["fixed"])).is_lt() {
                pairs.push((purl.clone(), text(&advisory["id"])));
            }
        }
    }
    pairs.sort();
    pairs
}

#[test]
fn sources_that_give_nothing_are_errors() {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let open = |path: PathBuf| match Database::in_memory(&[path], Limits::default()) {
        Ok(_) => "opened",
        Err(why) => plimsoll_model::Diagnose::code(&why),
    };
    fs::write(dir.path().join("notes.txt"), "").expect("writable");
    assert_eq!(open(dir.path().join("absent")), "ADV-001");
    assert_eq!(open(dir.path().join("notes.txt")), "ADV-002");
    assert_eq!(open(dir.path().to_owned()), "ADV-006");
    fs::write(dir.path().join("all.zip"), "no archive").expect("writable");
    assert_eq!(open(dir.path().join("all.zip")), "ADV-004");
    assert_eq!(open(dir.path().to_owned()), "ADV-004");
    let pages: Vec<_> = crate::PAGES.iter().map(|page| page.code).collect();
    assert!(pages.is_sorted() && pages.len() == 9);
    let error = Error::NoDatabase { path: "x".into() };
    assert!(plimsoll_model::Diagnose::hint(&error).is_some_and(|hint| hint.contains("--database")));
}
