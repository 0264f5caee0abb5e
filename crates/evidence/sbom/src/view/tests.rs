//! However many threads read, the answer is the same: also where something
//! that they share is used up.
#![allow(clippy::unwrap_used)]

use plimsoll_oci::{Descriptor, Layout, media_type};

use super::{Files, Layers};
use crate::Limits;
use crate::catalog::{Cataloger, Content, Found, Matcher, Registered, Report, Unread, Want, register};
use crate::view::View;

/// Keeps the size of each document.
struct Sizes;

impl Cataloger for Sizes {
    type Fact = usize;

    fn name(&self) -> &'static str {
        "sizes"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Suffix(".doc")]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<usize>, Unread> {
        Ok(Some(content.bytes()?.len()))
    }

    fn catalog(&self, _: &View<'_>, _: &[Found<'_, usize>], _: &mut Report) {}
}

const FILES: usize = 40;

/// Path and size of each document, and every warning.
type Seen = (Vec<(String, usize)>, Vec<String>);

fn seen(files: &Files, matcher: &Matcher) -> Seen {
    let facts = files.facts(1, matcher);
    let read = facts.of(0).iter().map(|f| (f.path.to_owned(), *f.fact.downcast_ref().unwrap())).collect();
    let about = files.warnings.iter().map(|(path, why)| format!("{path}: {}", why.reason()));
    let failed = facts.failed.iter().map(|(path, _, why)| format!("{path}: {}", why.reason()));
    (read, about.chain(failed).collect())
}

fn limits() -> [Limits; 5] {
    let all = Limits::default();
    [
        all,
        Limits { entries: 100, ..all },
        Limits { documents_bytes: 50_000, ..all },
        Limits { total_bytes: 60_000, ..all },
        Limits { kept_bytes: 20_000, ..all },
    ]
}

#[test]
fn threads_do_not_change_what_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(folder.path().join("layout")).unwrap();
    let root = folder.path().join("root");
    let mut layers = Vec::new();
    for layer in 0..6 {
        let mut tar = tar::Builder::new(Vec::new());
        for file in 0..FILES {
            let path = format!("d{layer}/{file}.doc");
            let content = vec![b'x'; 500 + file];
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append_data(&mut header, &path, content.as_slice()).unwrap();
            std::fs::create_dir_all(root.join(format!("d{layer}"))).unwrap();
            std::fs::write(root.join(path), content).unwrap();
        }
        let (digest, size) = layout.put(&tar.into_inner().unwrap()).unwrap();
        layers.push((Descriptor::new(media_type::OCI_LAYER_TAR, digest, size), None));
    }
    let layers = Layers { layout: &layout, layers };
    let catalogers: Vec<Box<dyn Registered>> = vec![register(Sizes)];
    let matcher = Matcher::new(&catalogers);
    for (number, limits) in limits().into_iter().enumerate() {
        let image = |threads| {
            let files = Files::of_image_on(threads, &layers, &catalogers, &matcher, limits).unwrap();
            seen(&files, &matcher)
        };
        let directory = |threads| {
            let files = Files::of_directory_on(threads, &root, &catalogers, &matcher, limits).unwrap();
            seen(&files, &matcher)
        };
        let (of_image, of_directory) = (image(1), directory(1));
        assert_eq!(of_image.1.is_empty(), number == 0, "{:?}", of_image.1);
        assert_eq!(of_directory.1.is_empty(), number == 0, "{:?}", of_directory.1);
        assert_eq!(of_image.0.len() == 6 * FILES, number == 0);
        for _ in 0..10 {
            assert_eq!(image(4), of_image);
            assert_eq!(directory(4), of_directory);
        }
    }
}
