//! The scan for credentials, over files and over layers; and whatever else
//! reads layers.

use std::io::Read as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use jiff::civil::date;
use plimsoll_evidence_sbom::{Source, generate};
use plimsoll_evidence_secrets::{Options, Report, scan_directory, scan_image};
use plimsoll_oci::{Descriptor, Layout, Manifest, media_type};

use super::{named, way};

/// The most that a layer is unpacked to for its digest.
const MOST_PLAIN: u64 = 16 << 20;

fn options() -> Options {
    Options::new(date(2026, 1, 1))
}

fn way_of(report: &Report) -> u64 {
    let findings: Vec<_> = report.findings.iter().map(|finding| finding.rule.to_owned()).collect();
    let unread: Vec<_> = report.unread.iter().map(|unread| unread.reason.to_string()).collect();
    way(&format!("{} {}", findings.join(" "), unread.join(" ")))
}

/// A name, then the file.
pub(super) fn file(input: &[u8]) -> u64 {
    let (name, content) = named(input);
    let plain = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'.' | b'_' | b'-');
    let name: String = name.iter().filter(plain).take(100).map(|byte| char::from(*byte)).collect();
    let name = if name.trim_matches('.').is_empty() { "file".to_owned() } else { name };
    let folder = super::folder();
    std::fs::write(folder.path().join(name), content).expect("the folder is writable");
    let report = scan_directory(folder.path(), Path::new("/"), &options());
    way_of(&report.expect("a directory that is there is read"))
}

/// The only layer of an image, in each form of compression.
pub(super) fn layer(input: &[u8]) -> u64 {
    let folder = super::folder();
    let layout = Layout::open_or_create(folder.path()).expect("the folder is writable");
    let put = |kind: &str, bytes: &[u8]| {
        layout.put(bytes).expect("the folder is writable");
        Descriptor::of(kind, bytes)
    };
    let kind = match input {
        [0x1f, 0x8b, ..] => media_type::OCI_LAYER_TAR_GZIP,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => media_type::OCI_LAYER_TAR_ZSTD,
        _ => media_type::OCI_LAYER_TAR,
    };
    let mut plain = Vec::new();
    // As far as it goes: what is damaged has no digest that would be right.
    let _ = MultiGzDecoder::new(input).take(MOST_PLAIN).read_to_end(&mut plain);
    let plain = if kind == media_type::OCI_LAYER_TAR { input } else { &plain };
    let diff_id = plimsoll_oci::digest_of(plain);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let config = put(media_type::OCI_CONFIG, config.as_bytes());
    let manifest = Manifest::oci(config, vec![put(kind, input)]);
    let descriptor = put(media_type::OCI_MANIFEST, &manifest.to_bytes());
    let secrets = match scan_image(&layout, &manifest, &options()) {
        Ok(report) => way_of(&report),
        Err(error) => way(&error.to_string()),
    };
    let bom =
        generate(&Source::image(&layout, descriptor.digest), &plimsoll_evidence_sbom::Options::default());
    let sbom = match bom {
        Ok(bom) => {
            bom.warnings.iter().fold(bom.components.len() as u64, |all, warning| all ^ way(&warning.reason))
        }
        Err(error) => way(&error.to_string()),
    };
    secrets ^ sbom.rotate_left(1)
}
