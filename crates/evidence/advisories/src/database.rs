//! A database of advisories: its sources, and the index over them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::index::{self, Builder, Damaged, Index, Root};
use crate::report::Report;
use crate::source::{self, Found, Limits};

/// Advisories that can be asked about components.
///
/// ```no_run
/// # use plimsoll_evidence_advisories::{Database, Limits};
/// let sources = ["advisories".into()];
/// let mut database = Database::open(&sources, ".plimsoll/advisories.index".as_ref(), Limits::default())?;
/// let report = database.scan(["pkg:cargo/smallvec@1.6.0"])?;
/// # Ok::<(), plimsoll_evidence_advisories::Error>(())
/// ```
#[derive(Debug)]
pub struct Database {
    sources: Vec<PathBuf>,
    place: Option<PathBuf>,
    limits: Limits,
    index: Index,
    origin: Origin,
}

/// Where the index came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It was there and is up to date.
    Present,
    /// It was built and written; why, in words.
    Built(String),
    /// It was built and could not be written, so the next scan builds it
    /// again; why, in words.
    NotWritten(String),
}

impl Database {
    /// Opens the index at `place`, or builds it there from `sources` where it
    /// is missing, damaged, or older than they are. Where it cannot be
    /// written, it is kept in memory and [`Database::origin`] says so.
    ///
    /// # Errors
    /// A source that is missing or cannot be read, an archive that is damaged
    /// as a whole, sources without a single advisory. A single advisory that
    /// is not understood is a warning in the report.
    pub fn open(sources: &[PathBuf], place: &Path, limits: Limits) -> Result<Self, Error> {
        let found = source::find(sources, &limits)?;
        let fingerprint = source::fingerprint(&found);
        let why = match File::open(place) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => "there was none".to_owned(),
            Err(why) => format!("it could not be opened: {why}"),
            Ok(file) => match Index::open(file) {
                Err(Damaged(why)) => why.to_owned(),
                Ok(index) if index.root.fingerprint != fingerprint => {
                    "the advisories have changed".to_owned()
                }
                Ok(index) => {
                    let (sources, place) = (sources.to_vec(), Some(place.to_owned()));
                    return Ok(Self { sources, place, limits, index, origin: Origin::Present });
                }
            },
        };
        Self::build(sources, Some(place), limits, &found, why)
    }

    /// Builds the index in memory: for a few files that are asked once.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn in_memory(sources: &[PathBuf], limits: Limits) -> Result<Self, Error> {
        let found = source::find(sources, &limits)?;
        Self::build(sources, None, limits, &found, "it is kept in memory".into())
    }

    fn build(
        sources: &[PathBuf],
        place: Option<&Path>,
        limits: Limits,
        found: &[Found],
        why: String,
    ) -> Result<Self, Error> {
        let (builder, root) = read(sources, found, &limits)?;
        let damaged = |Damaged(why)| Error::IndexDamaged { why };
        let memory = |(builder, root), origin| {
            let index = Index::in_memory(index::to_memory(builder, root)).map_err(damaged)?;
            Ok((index, origin))
        };
        let (index, origin) = match place {
            None => memory((builder, root), Origin::Built(why))?,
            Some(place) => match index::write(place, builder, root) {
                Ok(()) => {
                    let unreadable = |source| Error::Unreadable { path: place.into(), source };
                    let index = Index::open(File::open(place).map_err(unreadable)?).map_err(damaged)?;
                    (index, Origin::Built(why))
                }
                Err(why) => {
                    let origin =
                        Origin::NotWritten(Error::IndexWrite { path: place.into(), source: why }.explained());
                    memory(read(sources, found, &limits)?, origin)?
                }
            },
        };
        Ok(Self { sources: sources.to_vec(), place: place.map(Into::into), limits, index, origin })
    }

    /// Whether the index was there or had to be built, and why.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The databases that were named.
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// Matches components, given as package URLs, against the advisories.
    ///
    /// An index that turns out to be damaged is built anew once.
    ///
    /// # Errors
    /// As [`Database::open`], when the index has to be built anew.
    pub fn scan<I>(&mut self, purls: I) -> Result<Report, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let purls: Vec<String> = purls.into_iter().map(|purl| purl.as_ref().to_owned()).collect();
        match crate::scan::scan(&self.index, &self.sources, &purls) {
            Ok(report) => Ok(report),
            Err(Damaged(why)) => {
                let found = source::find(&self.sources, &self.limits)?;
                *self = Self::build(&self.sources, self.place.as_deref(), self.limits, &found, why.into())?;
                crate::scan::scan(&self.index, &self.sources, &purls)
                    .map_err(|Damaged(why)| Error::IndexDamaged { why })
            }
        }
    }
}

/// Reads all advisories. They must be at least one.
fn read(sources: &[PathBuf], found: &[Found], limits: &Limits) -> Result<(Builder, Root), Error> {
    let mut builder = Builder::default();
    source::read(found, limits, |given| builder.add(given))?;
    if builder.advisories() == 0 {
        return Err(Error::NoAdvisories { paths: sources.to_vec() });
    }
    let root = Root {
        fingerprint: source::fingerprint(found),
        newest_file: found.iter().map(Found::modified_seconds).max(),
        ..Root::default()
    };
    Ok((builder, root))
}

impl Error {
    /// The error and its source in one line.
    fn explained(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}
