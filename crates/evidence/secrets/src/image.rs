//! Scanning an image: its configuration, and each layer on its own.

use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, EntryKind, LayerReader, Layout, Manifest, limits};
use serde_json::Value;

use crate::allow::AllowList;
use crate::report::{LayerState, Level, Place, Report, ScannedLayer, Unread};
use crate::rules::{position, secret_variable};
use crate::scan::{Scanner, Source, Tally};
use crate::{Error, Options, cache};

/// Scans the configuration and every layer of an image of `layout`, layers in
/// parallel on all cores.
///
/// Each layer is looked at on its own: what a later layer deletes or replaces
/// is still in the image.
///
/// # Errors
/// [`Error::Allow`] before anything is read; [`Error::Image`] when a blob is
/// absent or damaged; [`Error::Config`]. A layer of an unknown kind, or one
/// that unpacks to more than the limits, is no error: it is in
/// [`Report::unread`], and the verdict is not clean.
pub fn scan_image(layout: &Layout, manifest: &Manifest, options: &Options) -> Result<Report, Error> {
    let allow = AllowList::new(&options.allow)?;
    let configuration = scan_configuration(layout, &manifest.config)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(layer) = manifest.layers.get(index) else { return done };
            done.push((index, scan_layer(layout, index, layer, options)));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(manifest.layers.len());
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("scanning a layer does not panic"))
            .collect()
    });
    done.sort_by_key(|(index, _)| *index);
    let mut layers = Vec::new();
    let mut tallies = vec![configuration];
    for ((_, result), layer) in done.into_iter().zip(&manifest.layers) {
        let (state, tally) = result?;
        layers.push(ScannedLayer { digest: layer.digest, state, files: tally.files, bytes: tally.bytes });
        tallies.push(tally);
    }
    Ok(Report::assemble(layers, tallies, &allow, options.today))
}

fn scan_layer(
    layout: &Layout,
    index: usize,
    layer: &Descriptor,
    options: &Options,
) -> Result<(LayerState, Tally), Error> {
    if options.known_layers.contains(&layer.digest) {
        return Ok((LayerState::Known, Tally::default()));
    }
    if let Some(tally) = cache::load(options, index, layer.digest) {
        return Ok((LayerState::Cached, tally));
    }
    let mut scanner = Scanner::new(Source::Layer(index, layer.digest), options.archive_bytes);
    let read = read_layer(layout, layer, options, &mut scanner);
    let mut tally = scanner.finish();
    let state = match read {
        Ok(()) => LayerState::Scanned,
        Err(
            error @ (plimsoll_oci::Error::LayerLimit { .. }
            | plimsoll_oci::Error::UnsupportedMediaType { .. }),
        ) => {
            let place = Place::Layer { layer: index, digest: layer.digest };
            tally.unread.push(Unread { place, reason: error.to_string(), level: Level::Stop });
            LayerState::Unread
        }
        Err(source) => return Err(Error::Image { object: format!("layer {}", layer.digest), source }),
    };
    // What was read of a layer is only known to be its content once its
    // digest was verified, at its end.
    if state == LayerState::Scanned {
        cache::store(options, layer.digest, &tally);
    }
    Ok((state, tally))
}

fn read_layer(
    layout: &Layout,
    layer: &Descriptor,
    options: &Options,
    scanner: &mut Scanner,
) -> plimsoll_oci::Result<()> {
    let mut reader = LayerReader::open(layout, layer, None, options.limits)?;
    while let Some(entry) = reader.next_entry()? {
        if entry.kind == EntryKind::File && entry.size > 0 {
            let path = entry.path.as_os_str().as_bytes();
            scanner.file(&normal(path), &mut reader, 0).map_err(|e| reader.failure(e))?;
        }
    }
    Ok(())
}

/// The path without `/` or `./` before it, and without empty components.
pub(crate) fn normal(path: &[u8]) -> Vec<u8> {
    let components: Vec<_> =
        path.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
    components.join(&b'/')
}

/// Scans every text of the image configuration, known field or not.
fn scan_configuration(layout: &Layout, descriptor: &Descriptor) -> Result<Tally, Error> {
    let digest = descriptor.digest;
    let bytes = layout
        .read_blob(&digest, limits::CONFIG)
        .map_err(|source| Error::Image { object: format!("the image configuration {digest}"), source })?;
    let config: Value = serde_json::from_slice(&bytes).map_err(|e| Error::Config {
        digest,
        line: e.line(),
        column: e.column(),
    })?;
    let mut scanner = Scanner::new(Source::Configuration, 0);
    let variable = position("SEC-080").expect("the rule is in the list");
    texts(&config, &mut |field, text| {
        let found: Vec<_> =
            secret_variable::find(text.as_bytes()).into_iter().map(|found| (variable, found)).collect();
        scanner.field(field, text.as_bytes(), &found);
    });
    Ok(scanner.finish())
}

/// Every text of the configuration with the name of its field. Depth is
/// bounded by the parser.
fn texts(config: &Value, each: &mut impl FnMut(&str, &str)) {
    fn walk(value: &Value, field: &str, each: &mut impl FnMut(&str, &str)) {
        match value {
            Value::String(text) => each(field, text),
            Value::Array(items) => items.iter().for_each(|item| walk(item, field, each)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    walk(value, &format!("{field}.{name}"), each);
                    // A name is a text too: `{"config":{"ghp_…":{}}}`.
                    each(field, name);
                }
            }
            _ => {}
        }
    }
    let Some(fields) = config.as_object() else { return walk(config, "document", each) };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("config" | "container_config", Value::Object(config)) => {
                for (name, value) in config {
                    container_field(name, value, &mut |field, value| walk(value, field, each));
                    if let (true, Some(labels)) = (name == "Labels", value.as_object()) {
                        // The name of a label says what its value is.
                        for (label, text) in labels.iter().filter_map(|(l, v)| Some((l, v.as_str()?))) {
                            each(&format!("label {label}"), &format!("{label}={text}"));
                        }
                    }
                }
            }
            ("history", Value::Array(steps)) => {
                for (index, step) in steps.iter().enumerate() {
                    let field = format!("history {index}");
                    step.as_object().into_iter().flatten().for_each(|(_, value)| walk(value, &field, each));
                }
            }
            ("rootfs", _) => {}
            _ => walk(value, name, each),
        }
    }
}

/// A field of the container's configuration, by the name people know it by.
fn container_field(name: &str, value: &Value, each: &mut impl FnMut(&str, &Value)) {
    match (name, value) {
        ("Env", Value::Array(env)) => {
            for item in env {
                let variable = item.as_str().and_then(|text| text.split('=').next()).unwrap_or_default();
                each(&format!("env {variable}"), item);
            }
        }
        // Scanned with their names.
        ("Labels", Value::Object(_)) => {}
        _ => each(&name.to_ascii_lowercase(), value),
    }
}

impl Report {
    /// Puts tallies together in the order of a report.
    pub(crate) fn assemble(
        layers: Vec<ScannedLayer>,
        tallies: Vec<Tally>,
        allow: &AllowList,
        today: jiff::civil::Date,
    ) -> Self {
        let mut report = Self {
            schema: crate::SCHEMA.into(),
            ruleset: crate::RULESET.into(),
            layers,
            files: 0,
            bytes: 0,
            findings: Vec::new(),
            unlisted: 0,
            unread: Vec::new(),
            allow: Vec::new(),
        };
        for tally in tallies {
            report.files += tally.files;
            report.bytes += tally.bytes;
            report.findings.extend(tally.findings);
            report.unlisted += tally.unlisted;
            report.unread.extend(tally.unread);
        }
        report
            .findings
            .sort_by(|a, b| a.key().cmp(&b.key()).then_with(|| a.value.as_str().cmp(b.value.as_str())));
        report.unread.sort();
        report.allow = allow.apply(&mut report.findings, today);
        report
    }
}

/// The same finding in another layer of the stack.
pub(crate) fn moved(place: Place, layer: usize, digest: Digest) -> Place {
    match place {
        Place::File { path, line, .. } => {
            Place::File { path, layer: Some(layer), digest: Some(digest), line }
        }
        Place::Layer { .. } => Place::Layer { layer, digest },
        Place::Config { .. } => place,
    }
}
