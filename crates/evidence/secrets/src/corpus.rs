//! Recall: every sample of every rule, in every place of an image, is found,
//! and no value is shown.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::Write as _;

use plimsoll_oci::{Descriptor, ImageConfig, Layout, Manifest, media_type};

use crate::rules::tests::samples;
use crate::testing::Sample;
use crate::{LayerState, Level, Options, Place, Report, Verdict, scan_image};

pub(crate) fn options() -> Options {
    Options::new("2026-01-01".parse().unwrap())
}

/// A tar archive of these files.
pub(crate) fn tar<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// How a layer is stored.
#[derive(Clone, Copy)]
pub(crate) enum Stored {
    Tar,
    Gzip,
    Zstd,
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image in a layout of its own.
pub(crate) struct Image {
    _dir: tempfile::TempDir,
    pub(crate) layout: Layout,
    pub(crate) config: ImageConfig,
    pub(crate) layers: Vec<Descriptor>,
}

impl Image {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(dir.path().join("store")).unwrap();
        Self { _dir: dir, layout, config: ImageConfig::linux_amd64(), layers: Vec::new() }
    }

    pub(crate) fn layer(&mut self, tar: &[u8], stored: Stored) -> Descriptor {
        let (media_type, bytes) = match stored {
            Stored::Tar => (media_type::OCI_LAYER_TAR, tar.to_vec()),
            Stored::Gzip => (media_type::OCI_LAYER_TAR_GZIP, gzip(tar)),
            Stored::Zstd => (media_type::OCI_LAYER_TAR_ZSTD, zstd::encode_all(tar, 1).unwrap()),
        };
        let (digest, size) = self.layout.put(&bytes).unwrap();
        self.layers.push(Descriptor::new(media_type, digest, size));
        self.layers[self.layers.len() - 1].clone()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let (digest, size) = self.layout.put(&self.config.to_bytes()).unwrap();
        Manifest::oci(Descriptor::new(media_type::OCI_CONFIG, digest, size), self.layers.clone())
    }

    pub(crate) fn scan(&self, options: &Options) -> Report {
        scan_image(&self.layout, &self.manifest(), options).unwrap()
    }
}

/// Rules found in files under this directory.
fn found(report: &Report, directory: &str) -> BTreeSet<String> {
    let inside = |place: &Place| place.path().starts_with(&format!("/{directory}/"));
    report.findings.iter().filter(|f| inside(&f.place)).map(|f| f.rule.clone()).collect()
}

fn all_rules() -> BTreeSet<String> {
    samples().iter().map(|(code, _)| (*code).to_owned()).collect()
}

fn shows_nothing(report: &Report) {
    let shown = format!("{report:?}{}", serde_json::to_string(report).unwrap());
    for sample in samples().into_iter().flat_map(|(_, samples)| samples) {
        for line in sample.secret.lines().filter(|line| line.len() > 5 && !line.starts_with("-----")) {
            assert!(!shown.contains(line), "a value of {} is shown", sample.path);
        }
    }
}

/// A few rules know a file only by where it is from the root.
fn anywhere(sample: &Sample) -> bool {
    !["etc/shadow", "run/secrets/"].iter().any(|root| sample.path.starts_with(root))
}

#[test]
fn every_credential_in_every_kind_of_layer_is_found() {
    let files: Vec<_> = samples()
        .into_iter()
        .flat_map(|(code, samples)| samples.into_iter().map(move |sample| (code, sample)))
        .enumerate()
        .map(|(index, (code, sample))| {
            let path = if anywhere(&sample) { format!("r{index}/{}", sample.path) } else { sample.path };
            (code, path, sample.content)
        })
        .collect();
    for stored in [Stored::Tar, Stored::Gzip, Stored::Zstd] {
        let mut image = Image::new();
        image.layer(&tar(files.iter().map(|(_, path, content)| (path.as_str(), &content[..]))), stored);
        // A later layer deletes them all.
        let deleted: Vec<_> = files.iter().map(|(_, path, _)| whiteout(path)).collect();
        image.layer(&tar(deleted.iter().map(|path| (path.as_str(), &b""[..]))), stored);
        let report = image.scan(&options());
        for (code, path, _) in &files {
            let finding =
                report.findings.iter().find(|f| f.rule == *code && f.place.path() == format!("/{path}"));
            let finding = finding.unwrap_or_else(|| panic!("{code} in {path} is missed"));
            assert!(matches!(finding.place, Place::File { layer: Some(0), .. }));
            let is_note = matches!(*code, "SEC-007" | "SEC-014");
            assert_eq!(finding.stops(), !is_note, "{code} in {path}");
        }
        assert_eq!((report.verdict(), report.layers[1].files), (Verdict::Found, 0));
        shows_nothing(&report);
    }
}

/// What deletes this file (image-spec, layer.md, "Whiteouts").
fn whiteout(path: &str) -> String {
    let (directory, name) = path.rsplit_once('/').unwrap();
    format!("{directory}/.wh.{name}")
}

#[test]
fn every_credential_across_every_kind_of_window_is_found() {
    // Around the ends of windows: 256 KiB fresh bytes, with what is kept.
    let edge = (256 << 10) + (16 << 10) + (1 << 10);
    let all = samples();
    for at in [edge - 17_500, edge - 16_384, edge - 1_100, edge - 20, edge, 2 * edge] {
        let mut image = Image::new();
        let files: Vec<_> = all
            .iter()
            .flat_map(|(_, samples)| samples)
            .filter(|sample| anywhere(sample))
            .enumerate()
            .map(|(index, sample)| {
                let mut content = sample.content.clone();
                // What is recognised by its first byte stays in front.
                let is_text = std::str::from_utf8(&content).is_ok() && !content.starts_with(b"(");
                if is_text {
                    content = [&b"# a line of text\n".repeat(at / 17)[..], &content].concat();
                }
                (format!("x/{index}/{}", sample.path), content)
            })
            .collect();
        image.layer(&tar(files.iter().map(|(path, content)| (path.as_str(), &content[..]))), Stored::Tar);
        let report = image.scan(&options());
        let missed: Vec<_> = all_rules().difference(&found(&report, "x")).cloned().collect();
        // Files that are read by their name alone have their own test.
        let by_place = ["SEC-079", "SEC-081", "SEC-082", "SEC-085", "SEC-005"];
        assert!(missed.iter().all(|code| by_place.contains(&code.as_str())), "at {at}: {missed:?}");
        shows_nothing(&report);
    }
}

#[test]
fn every_anchored_credential_in_the_configuration_is_found() {
    let by_content = samples().into_iter().flat_map(|(code, samples)| {
        samples.into_iter().filter(|s| s.path == "app/settings.conf").map(move |sample| (code, sample))
    });
    for (code, sample) in by_content {
        let text = String::from_utf8(sample.content.clone()).unwrap();
        let mut image = Image::new();
        image.config.config.env = vec![format!("SETTING={text}")];
        image.config.config.labels.insert("note".into(), text.clone());
        image.config.config.cmd = vec!["/bin/x".into(), text.clone()];
        image.config.history =
            vec![plimsoll_oci::History { created_by: Some(format!("RUN {text}")), ..Default::default() }];
        let report = image.scan(&options());
        let fields: BTreeSet<_> =
            report.findings.iter().filter(|f| f.rule == code).map(|f| f.place.path()).collect();
        assert_eq!(fields, ["cmd", "env SETTING", "history 0", "label note"].into(), "{code}");
        shows_nothing(&report);
    }
}

#[test]
fn variables_and_arguments_are_judged_by_their_names() {
    let mut image = Image::new();
    let config = &mut image.config.config;
    config.env = vec!["PORT=8080".into(), "DB_PASSWORD=vK3pQz81Lm".into(), "API_TOKEN=".into()];
    config.entrypoint = vec!["/bin/x".into(), "--client-secret=vK3pQz81Lm".into()];
    config.labels =
        [("org.acme.api-key".into(), "vK3pQz81Lm".into()), ("org.acme.name".into(), "x".into())].into();
    image.config.history = vec![plimsoll_oci::History {
        created_by: Some("RUN |1 NPM_TOKEN=vK3pQz81Lm /bin/sh -c npm ci".into()),
        ..Default::default()
    }];
    let report = image.scan(&options());
    let places: Vec<_> = report.findings.iter().map(|f| (f.rule.as_str(), f.place.path())).collect();
    assert_eq!(
        places,
        [
            ("SEC-080", "entrypoint"),
            ("SEC-080", "env DB_PASSWORD"),
            ("SEC-080", "history 0"),
            ("SEC-080", "label org.acme.api-key")
        ]
    );
    assert!(!format!("{report:?}").contains("vK3pQz81Lm"));
}

#[test]
fn credentials_inside_of_archives_are_found() {
    let key = crate::testing::private_key("PRIVATE KEY");
    let properties = b"spring.datasource.password=vK3pQz81Lm\n";
    let inner = zip(&[("application.properties", properties), ("key.pem", key.as_bytes())], true);
    let jar = zip(
        &[
            ("META-INF/", b""),
            ("BOOT-INF/classes/application.properties", properties),
            ("lib/inner.jar", &inner),
        ],
        false,
    );
    let mut image = Image::new();
    let files = [
        ("app/service.jar", &jar[..]),
        ("backup/key.pem.gz", &gzip(key.as_bytes())),
        ("backup/key.zst", &zstd::encode_all(key.as_bytes(), 1).unwrap()),
    ];
    image.layer(&tar(files), Stored::Gzip);
    let report = image.scan(&options());
    let paths: Vec<_> = report.findings.iter().map(|f| f.place.path()).collect();
    assert_eq!(
        paths,
        [
            "/app/service.jar!/BOOT-INF/classes/application.properties",
            "/app/service.jar!/lib/inner.jar!/application.properties",
            "/app/service.jar!/lib/inner.jar!/key.pem",
            "/backup/key.pem.gz!/key.pem",
            "/backup/key.zst!/key"
        ]
    );
    assert_eq!(report.unread, []);
}

/// A zip file; `streamed` writes the sizes after the content.
fn zip(files: &[(&str, &[u8])], streamed: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let method = if content.is_empty() { 0_u16 } else { 8 };
        let packed = if method == 0 { Vec::new() } else { packed };
        let sizes = [u32::try_from(packed.len()).unwrap(), u32::try_from(content.len()).unwrap()];
        bytes.extend(b"PK\x03\x04\x14\x00");
        bytes.extend(if streamed { 8_u16 } else { 0 }.to_le_bytes());
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 8]);
        for size in sizes {
            bytes.extend(if streamed { 0 } else { size }.to_le_bytes());
        }
        bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(name.as_bytes());
        bytes.extend(packed);
        if streamed {
            bytes.extend(b"PK\x07\x08\0\0\0\0");
            sizes.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
        }
    }
    bytes.extend(b"PK\x01\x02 the directory follows");
    bytes
}

#[test]
fn results_of_layers_are_kept_and_damaged_ones_ignored() {
    let kept = tempfile::tempdir().unwrap();
    let mut image = Image::new();
    let key = crate::testing::private_key("PRIVATE KEY");
    image.layer(&tar([("a/key.pem", key.as_bytes())]), Stored::Gzip);
    image.layer(&tar([("b/x", &b"nothing"[..])]), Stored::Zstd);
    let options = Options { cache: Some(kept.path().join("cache")), ..options() };
    let states = |report: &Report| report.layers.iter().map(|layer| layer.state).collect::<Vec<_>>();
    let first = image.scan(&options);
    assert_eq!(states(&first), [LayerState::Scanned; 2]);
    // The same layer in another position of another image.
    image.layers.reverse();
    let second = image.scan(&options);
    assert_eq!(states(&second), [LayerState::Cached; 2]);
    assert!(matches!(second.findings[..], [ref f] if matches!(f.place, Place::File { layer: Some(1), .. })));
    assert!(second.bytes > 0 && second.bytes == first.bytes);
    // Other bounds, other results.
    assert_eq!(
        states(&image.scan(&Options { archive_bytes: 1, ..options.clone() })),
        [LayerState::Scanned; 2]
    );
    // Cut off, changed, emptied: as if it were not there.
    for damage in
        [|b: &mut Vec<u8>| b.truncate(b.len() - 1), |b: &mut Vec<u8>| b[90] ^= 1, |b: &mut Vec<u8>| b.clear()]
    {
        image.scan(&options);
        for entry in std::fs::read_dir(kept.path().join("cache")).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(key.lines().nth(1).unwrap()));
            damage(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
        let report = image.scan(&options);
        assert_eq!(states(&report), [LayerState::Scanned; 2]);
        assert_eq!(report.findings.len(), 1);
    }
}

#[test]
fn known_layers_are_not_read_and_the_report_says_so() {
    let mut image = Image::new();
    let key = crate::testing::private_key("PRIVATE KEY");
    let base = image.layer(&tar([("a/key.pem", key.as_bytes())]), Stored::Gzip);
    let report = image.scan(&Options { known_layers: [base.digest].into(), ..options() });
    assert_eq!((report.layers[0].state, report.verdict()), (LayerState::Known, Verdict::Clean));
}

#[test]
fn test_keys_of_packages_are_notes_and_those_of_the_service_stop() {
    let mut image = Image::new();
    let key = crate::testing::private_key("PRIVATE KEY");
    let paths = ["app/node_modules/x/test/key.pem", "app/node_modules/x/lib/key.pem", "app/test/key.pem"];
    image.layer(&tar(paths.map(|path| (path, key.as_bytes()))), Stored::Gzip);
    let levels: Vec<_> = image.scan(&options()).findings.iter().map(|f| f.level).collect();
    assert_eq!(levels, [Level::Stop, Level::Note, Level::Stop]);
}
