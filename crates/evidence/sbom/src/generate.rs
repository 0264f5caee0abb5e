//! From an image to its bill of materials.

use std::collections::{BTreeSet, HashMap, HashSet};

use plimsoll_oci::Layout;

use crate::bom::{Bom, Subject};
use crate::catalog::{Fact, Found, Matcher, Origin, Registered, Report};
use crate::source::{Kind, Source, describe};
use crate::view::{Files, Layers, Shared, View};
use crate::{Error, Limits, Warning, language, merge, os};

/// What is known besides the image.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name of what the SBOM is about; where none is given, the digest of the
    /// image or the name of the directory.
    pub name: Option<String>,
    /// Its version, e.g. the commit.
    pub version: Option<String>,
    /// When it was made (RFC 3339); where none is given, what the image says.
    /// The clock is never asked.
    pub created: Option<String>,
    /// Lock files of the commit, by path in the repository. They add what is
    /// declared and cannot be seen in the image.
    pub lock_files: Vec<(String, Vec<u8>)>,
    /// How much is read.
    pub limits: Limits,
}

/// Finds out what an image or a directory is made of. The same source and
/// options give the same bill of materials.
///
/// # Errors
/// [`Error::Image`] when the image is damaged, absent or no linux/amd64 image;
/// [`Error::Io`] when the directory cannot be listed; [`Error::Time`]. What
/// cannot be read inside of it is a warning in the result.
pub fn generate(source: &Source, options: &Options) -> Result<Bom, Error> {
    let catalogers: Vec<_> = os::catalogers().into_iter().chain(language::catalogers()).collect();
    let matcher = Matcher::new(&catalogers);
    let limits = options.limits;
    let (files, mut subject, created) = match &source.0 {
        Kind::Image { layout, manifest: digest, .. } => {
            let layout = &Layout::open(layout)?;
            let (manifest, config) = describe(layout, digest)?;
            let diff_ids = config.rootfs.diff_ids.iter().copied().map(Some);
            let layers = Layers { layout, layers: manifest.layers.into_iter().zip(diff_ids).collect() };
            let files = Files::of_image(&layers, &catalogers, &matcher, limits)?;
            (
                files,
                Subject { name: digest.to_string(), version: None, digest: Some(*digest) },
                config.created,
            )
        }
        Kind::Directory(root) => {
            let files = Files::of_directory(root, &catalogers, &matcher, limits)
                .map_err(|e| Error::io("list", root, e))?;
            let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
            (files, Subject { name: name.unwrap_or_else(|| "/".into()), version: None, digest: None }, None)
        }
    };
    let created = match (&options.created, created) {
        (Some(given), _) => Some(time(given).ok_or_else(|| Error::Time { given: given.clone() })?),
        // What an image says of itself may be nonsense.
        (None, Some(said)) => time(&said),
        (None, None) => None,
    };
    if let Some(name) = &options.name {
        subject.name.clone_from(name);
    }
    subject.version.clone_from(&options.version);
    let mut bom = catalog(&files, &catalogers, &matcher, options);
    (bom.subject, bom.created) = (subject, created);
    Ok(bom)
}

/// The same instant in UTC and whole seconds.
fn time(text: &str) -> Option<String> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(jiff::Timestamp::from_second(instant.as_second()).ok()?.to_string())
}

/// Lets all catalogers see what was read.
fn catalog(files: &Files, catalogers: &[Box<dyn Registered>], matcher: &Matcher, options: &Options) -> Bom {
    let limits = options.limits;
    let facts = files.facts(catalogers.len(), matcher);
    let shared = Shared::new(catalogers, matcher, limits);
    let mut declared = Declared::read(&shared, &options.lock_files);
    let mut warnings: BTreeSet<Warning> = files
        .warnings
        .iter()
        .map(|(path, why)| Warning { path: format!("/{path}"), reason: why.reason().to_owned() })
        .collect();
    warnings.extend(facts.failed.iter().map(|(path, cataloger, why)| Warning {
        path: format!("/{path}"),
        reason: format!("{}: {}", catalogers[*cataloger].name(), why.reason()),
    }));
    warnings.append(&mut declared.warnings);

    // Executables that none of the others has anything to say about are warned of.
    let others = catalogers.iter().enumerate().filter(|(_, one)| one.name() != language::EXECUTABLE);
    let mut told: HashSet<&str> = others.flat_map(|(index, _)| facts.paths(index)).collect();
    told.extend(facts.failed.iter().map(|(path, ..)| path.as_str()));
    told.extend(files.warnings.iter().map(|(path, _)| path.as_str()));

    let mut bom = Bom::default();
    let mut components = Vec::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    for (index, cataloger) in catalogers.iter().enumerate() {
        let mut found = facts.of(index);
        found.extend(declared.of(index));
        if found.is_empty() {
            continue;
        }
        let mut view = View::new(&files.tree, &owners);
        (view.distribution, view.told) = (bom.distribution.as_ref(), Some(&told));
        let mut report = Report::new(cataloger.name(), limits.components.saturating_sub(components.len()));
        cataloger.catalog(&view, &found, &mut report);
        let owned = report.owners(|path| view.real_file(path));
        bom.distribution = bom.distribution.or(report.distribution);
        components.append(&mut report.components);
        warnings.append(&mut report.warnings);
        owners.extend(owned);
    }
    let view = View::new(&files.tree, &owners);
    bom.components = merge::merge(components);
    merge::find_owners(&mut bom.components, |path| view.owner(path).map(str::to_owned));
    bom.warnings = shorten(warnings, limits.warnings);
    bom
}

/// At most so many warnings, and how many more there are.
fn shorten(warnings: BTreeSet<Warning>, most: usize) -> Vec<Warning> {
    let more = warnings.len().saturating_sub(most);
    let mut warnings: Vec<Warning> = warnings.into_iter().take(most).collect();
    if more > 0 {
        warnings.push(Warning { path: "/".into(), reason: format!("there are {more} more warnings") });
    }
    warnings
}

/// What catalogers read in the lock files of the commit.
struct Declared {
    facts: Vec<(String, usize, Fact)>,
    warnings: BTreeSet<Warning>,
}

impl Declared {
    fn read(shared: &Shared<'_>, lock_files: &[(String, Vec<u8>)]) -> Self {
        let mut declared = Self { facts: Vec::new(), warnings: BTreeSet::new() };
        let mut sorted: Vec<_> = lock_files.iter().collect();
        sorted.sort();
        for (path, bytes) in sorted {
            let path = path.trim_start_matches("./").trim_start_matches('/');
            let reading = shared.read_bytes(path, bytes, shared.matcher.by_path(path));
            if reading.asked.is_empty() {
                let reason = "no kind of lock file that is read".into();
                declared.warnings.insert(Warning { path: path.into(), reason });
            }
            for (index, answer) in reading.answers {
                match answer {
                    Ok(fact) => declared.facts.push((path.to_owned(), index, fact)),
                    Err(why) => drop(declared.warnings.insert(Warning {
                        path: path.into(),
                        reason: format!("{}: {}", shared.catalogers[index].name(), why.reason()),
                    })),
                }
            }
        }
        declared
    }

    fn of(&self, cataloger: usize) -> impl Iterator<Item = Found<'_, Fact>> {
        let own = self.facts.iter().filter(move |(_, index, _)| *index == cataloger);
        own.map(|(path, _, fact)| Found { path, origin: Origin::Commit, fact })
    }
}
