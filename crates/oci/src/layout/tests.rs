//! Tests of the store: concurrency, crashes, faults, damage.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Descriptor, media_type};

fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(dir.path().join("store")).unwrap();
    (dir, layout)
}

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
