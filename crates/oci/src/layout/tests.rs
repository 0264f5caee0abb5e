//! Tests of the store: concurrency, crashes, faults, damage.
#![allow(clippy::unwrap_used)]
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::testing::layout;
use crate::{Descriptor, media_type};

fn manifest(text: &str) -> Descriptor {
    Descriptor::of(media_type::OCI_MANIFEST, text.as_bytes())
}

#[test]
fn blobs_and_references() {
    let (_dir, layout) = layout();
    let (digest, size) = layout.put(b"hello").unwrap();
    assert_eq!((size, layout.has(&digest).unwrap()), (5, true));
    assert_eq!(layout.read_blob(&digest, 5).unwrap(), b"hello");
    assert!(matches!(layout.read_blob(&digest, 4), Err(Error::TooLarge { .. })));
    layout.tag("a", manifest("1")).unwrap();
    layout.tag("b", manifest("1")).unwrap();
    layout.tag("a", manifest("2")).unwrap();
    layout.add(manifest("3")).unwrap();
    assert_eq!(layout.resolve("a").unwrap().unwrap().digest, manifest("2").digest);
    assert_eq!(layout.resolve("c").unwrap(), None);
    assert_eq!(layout.refs().unwrap().len(), 2);
    assert_eq!(layout.manifests().unwrap().len(), 3);
    assert!(layout.untag("a").unwrap());
    assert!(!layout.untag("a").unwrap());
    assert_eq!(layout.untag_digest(&manifest("3").digest).unwrap(), 1);
    assert_eq!(Layout::open(layout.path()).unwrap().refs().unwrap().len(), 1);
    assert!(layout.delete_blob(&digest).unwrap());
    assert!(!layout.has(&digest).unwrap());
}

#[test]
fn what_is_only_cached_is_flushed_by_the_first_put_and_never_by_itself() {
    use disk::Step::{Rename, SyncDir, SyncFile};
    let (_dir, layout) = layout();
    let faults = |layout: &Layout| layout.disk().faults.lock().unwrap().len();
    fail(&layout, SyncFile, false);
    fail(&layout, SyncDir, false);
    let (digest, size) = layout.put_cached(b"hello").unwrap();
    assert_eq!((digest, size, faults(&layout)), (crate::digest_of(b"hello"), 5, 2), "nothing was flushed");
    assert_eq!(layout.read_blob(&digest, 5).unwrap(), b"hello");
    // What a crash left of it is replaced by either.
    fs::write(layout.blob_path(&digest), "").unwrap();
    layout.put_cached(b"hello").unwrap();
    assert_eq!(layout.read_blob(&digest, 5).unwrap(), b"hello");
    // Durable is durable, whoever wrote it first.
    layout.put(b"hello").unwrap_err();
    layout.put(b"hello").unwrap_err();
    layout.put(b"hello").unwrap();
    fail(&layout, Rename, false);
    layout.put_cached(b"other").unwrap_err();
    assert!(!layout.has(&crate::digest_of(b"other")).unwrap());
    assert_eq!(leftovers(&layout), 0);
}

/// What is in the store's directory for temporary files.
fn leftovers(layout: &Layout) -> usize {
    fs::read_dir(layout.path().join(TEMPORARY)).unwrap().count()
}

fn fail(layout: &Layout, step: disk::Step, persisted: bool) {
    layout.disk().faults.lock().unwrap().push(disk::Fault { step, persisted });
}

#[test]
fn a_blob_whose_commit_failed_is_absent_or_whole() {
    use disk::Step::{Rename, SyncDir, SyncFile, Write};
    for step in [Write, SyncFile, Rename, SyncDir] {
        for persisted in [false, true] {
            let (_dir, layout) = layout();
            fail(&layout, step, persisted);
            let error = layout.put(b"hello").unwrap_err();
            assert!(matches!(error, Error::DiskFull { .. }), "{step:?}: {error}");
            let digest = crate::digest_of(b"hello");
            let visible = matches!((step, persisted), (Rename, true) | (SyncDir, _));
            // A fresh handle, as a new process has it.
            let again = Layout::open_or_create(layout.path()).unwrap();
            assert_eq!(again.has(&digest).unwrap(), visible, "{step:?} {persisted}");
            if visible {
                assert_eq!(again.read_blob(&digest, 5).unwrap(), b"hello");
            }
            assert_eq!(again.put(b"hello").unwrap(), (digest, 5));
            assert_eq!(again.read_blob(&digest, 5).unwrap(), b"hello");
            drop(layout);
            assert_eq!(leftovers(&again), 0, "{step:?} {persisted}");
        }
    }
}

#[test]
fn a_writer_that_failed_once_never_commits() {
    let (_dir, layout) = layout();
    let mut writer = layout.writer().unwrap();
    writer.write_all(b"one").unwrap();
    fail(&layout, disk::Step::Write, true);
    assert!(writer.write_all(b"two").is_err());
    writer.write_all(b"three").unwrap();
    assert!(writer.commit(None).is_err());
    assert_eq!((layout.blobs().unwrap().len(), leftovers(&layout)), (0, 0));
}

#[test]
fn a_reference_whose_change_failed_is_old_or_new() {
    use disk::Step::{Rename, SyncDir, SyncFile, Write};
    for step in [Write, SyncFile, Rename, SyncDir] {
        for persisted in [false, true] {
            let (_dir, layout) = layout();
            layout.tag("a", manifest("old")).unwrap();
            fail(&layout, step, persisted);
            let error = layout.tag_if("a", Some(manifest("old").digest), manifest("new")).unwrap_err();
            assert!(matches!(error, Error::DiskFull { .. }), "{step:?}: {error}");
            let expected =
                if matches!((step, persisted), (Rename, true) | (SyncDir, _)) { "new" } else { "old" };
            for layout in [&layout, &Layout::open_or_create(layout.path()).unwrap()] {
                let found = layout.resolve("a").unwrap().unwrap().digest;
                assert_eq!(found, manifest(expected).digest, "{step:?} {persisted}");
            }
            layout.tag_if("a", Some(manifest(expected).digest), manifest("new")).unwrap();
            assert_eq!(leftovers(&layout), 0);
        }
    }
}

#[test]
fn linking_falls_back_to_a_verified_copy() {
    let ((_one, from), (_two, into)) = (layout(), layout());
    let (digest, _) = from.put(b"hello").unwrap();
    into.link_blob_from(&from, &digest).unwrap();
    assert_eq!(
        fs::metadata(into.blob_path(&digest)).unwrap().ino(),
        fs::metadata(from.blob_path(&digest)).unwrap().ino()
    );
    into.link_blob_from(&from, &digest).unwrap();
    into.delete_blob(&digest).unwrap();
    fs::write(from.blob_path(&digest), "jello").unwrap();
    // The fault stands for another file system.
    into.disk().faults.lock().unwrap().push(disk::Fault { step: disk::Step::Link, persisted: false });
    assert!(into.link_blob_from(&from, &digest).is_err());
    assert!(!into.has(&digest).unwrap());
    assert!(matches!(into.link_blob_from(&from, &crate::digest_of(b"")), Err(Error::BlobAbsent { .. })));
}

#[test]
fn dig_3_a_damaged_blob_is_never_read_and_is_healed_by_writing() {
    let (_dir, layout) = layout();
    let (digest, size) = layout.put(b"hello").unwrap();
    let descriptor = Descriptor::new("text/plain", digest, size);
    for damage in ["jello", "hell", "hello!"] {
        fs::write(layout.blob_path(&digest), damage).unwrap();
        assert!(layout.read_blob(&digest, 100).is_err());
        let read = layout
            .open_blob(&descriptor)
            .and_then(|mut reader| reader.verify_rest().map_err(|e| Error::from_read("read", "blob", e)));
        assert!(matches!(read, Err(Error::DigestMismatch { .. } | Error::SizeMismatch { .. })), "{damage}");
        layout.put(b"hello").unwrap();
        assert_eq!(layout.read_blob(&digest, 5).unwrap(), b"hello");
    }
    let mut writer = layout.writer().unwrap();
    writer.write_all(b"other").unwrap();
    assert!(matches!(writer.commit(Some(&digest)), Err(Error::DigestMismatch { .. })));
    assert_eq!(layout.blobs().unwrap(), [digest]);
}

#[test]
fn a_damaged_index_is_never_an_empty_one() {
    let (_dir, layout) = layout();
    layout.tag("a", manifest("1")).unwrap();
    let index = layout.path().join(INDEX);
    let intact = fs::read(&index).unwrap();
    let half = intact[..intact.len() / 2].to_vec();
    for damage in [b"".to_vec(), half, b"{}".to_vec(), b"null".to_vec(), br#"{"schemaVersion":2}"#.to_vec()] {
        fs::write(&index, &damage).unwrap();
        let error = layout.resolve("a").unwrap_err();
        assert!(matches!(error, Error::CorruptLayout { .. }), "{damage:?}");
        assert!(layout.tag("b", manifest("2")).is_err());
        assert!(layout.refs().is_err());
        assert_eq!(fs::read(&index).unwrap(), damage, "left as it is, for a person to look at");
    }
    fs::remove_file(&index).unwrap();
    assert!(matches!(
        Layout::open_or_create(layout.path()).unwrap().refs(),
        Err(Error::CorruptLayout { .. })
    ));
    fs::write(&index, &intact).unwrap();
    assert_eq!(layout.refs().unwrap().len(), 1);
    let twice = String::from_utf8(Index::oci(vec![manifest("1"), manifest("2")]).to_bytes()).unwrap();
    let named = twice
        .replace("\"size\":1", "\"size\":1,\"annotations\":{\"org.opencontainers.image.ref.name\":\"a\"}");
    fs::write(&index, named).unwrap();
    assert!(matches!(layout.resolve("a"), Err(Error::CorruptLayout { .. })));
    fs::write(layout.path().join(MARKER), "{").unwrap();
    assert!(matches!(Layout::open_or_create(layout.path()), Err(Error::CorruptLayout { .. })));
    assert!(matches!(Layout::open(layout.path().join("blobs")), Err(Error::NotALayout { .. })));
}

#[test]
fn tag_3_of_many_only_one_sets_an_immutable_tag() {
    let (_dir, layout) = layout();
    let start = std::sync::Barrier::new(8);
    let won: usize = std::thread::scope(|scope| {
        let race = |n: usize| {
            // A handle of its own shares nothing, as in another process.
            let layout = Layout::open(layout.path()).unwrap();
            start.wait();
            let won = match layout.tag_if("sha", None, manifest(&n.to_string())) {
                Ok(()) => 1,
                Err(Error::RefMoved { found: Some(_), expected: None, .. }) => 0,
                Err(other) => panic!("{other}"),
            };
            layout.tag(&format!("own-{n}"), manifest("own")).unwrap();
            won
        };
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || race(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((won, layout.refs().unwrap().len()), (1, 9), "one winner, and no lost update");
    let winner = layout.resolve("sha").unwrap().unwrap();
    layout.tag_if("sha", None, winner.clone()).expect("the same digest again is no conflict");
    layout.tag_if("sha", Some(winner.digest), manifest("x")).unwrap();
    for bad in ["", "a b", "ä", "a\n", &"x".repeat(2000)] {
        assert!(matches!(layout.tag(bad, manifest("1")), Err(Error::RefName { .. })), "{bad:?}");
    }
}

#[test]
fn files_of_living_writers_are_kept() {
    let (_dir, layout) = layout();
    let mut writer = layout.writer().unwrap();
    writer.write_all(b"alive").unwrap();
    let stage = layout.stage().unwrap();
    fs::write(layout.path().join(TEMPORARY).join("new-dead"), "x").unwrap();
    fs::create_dir(layout.path().join(TEMPORARY).join("stage-dead")).unwrap();
    let again = Layout::open_or_create(layout.path()).unwrap();
    assert_eq!(leftovers(&again), 2);
    writer.commit(Some(&crate::digest_of(b"alive"))).unwrap();
    drop(stage);
    assert_eq!(leftovers(&again), 0);
}

#[test]
fn ten_thousand_references() {
    let (_dir, layout) = layout();
    let entries = (0..20_000).map(|n| {
        let mut entry = manifest(&n.to_string());
        entry.annotations.insert(crate::descriptor::REF_NAME.into(), format!("tag-{n}"));
        entry
    });
    layout.set_index(&Index::oci(entries.collect())).unwrap();
    let started = std::time::Instant::now();
    for n in 0..20_000 {
        assert!(layout.resolve(&format!("tag-{n}")).unwrap().is_some());
    }
    // Reading the file for each would take minutes.
    assert!(started.elapsed() < std::time::Duration::from_secs(20));
    layout.tag("tag-7", manifest("new")).unwrap();
    assert_eq!(layout.resolve("tag-7").unwrap().unwrap().digest, manifest("new").digest);
    assert_eq!(layout.refs().unwrap().len(), 20_000);
}
