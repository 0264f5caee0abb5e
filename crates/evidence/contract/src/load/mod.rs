//! A document with all its files, every reference resolved.

mod name;
mod references;

use std::collections::HashMap;

use plimsoll_model::Lookup;

use crate::Limits;
use crate::error::{Error, Position};
use crate::tree::{Id, Kind, Tree};

pub(crate) use name::{BUNDLED, FileName, bundled, unbundled};
pub(crate) use references::is_map;

/// Gives the other files that a document refers to.
pub trait Loader {
    /// The bytes of a file, named relative to where the first file was named
    /// (`api/openapi.json` and `./pet.yaml` give `api/pet.yaml`). It decides
    /// which files may be read, and should read no more than
    /// [`Limits::bytes`].
    fn load(&self, path: &str) -> Lookup<Vec<u8>>;
}

/// For documents of one file: there is no other one.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneFile;

impl Loader for OneFile {
    fn load(&self, _: &str) -> Lookup<Vec<u8>> {
        Lookup::Invalid("only one file is read here".into())
    }
}

/// Which OpenAPI a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.0: `nullable`, boolean `exclusiveMinimum`, siblings of `$ref` ignored.
    V3_0,
    /// 3.1: JSON Schema 2020-12.
    V3_1,
}

/// Something that was read although it is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub position: Position,
    /// What, in a sentence without a full stop.
    pub message: String,
}

/// An OpenAPI document with all its files, read and resolved.
#[derive(Debug)]
pub struct Contract {
    pub(crate) tree: Tree,
    /// In the order of their values.
    pub(crate) files: Vec<File>,
    /// Objects with a `$ref`, and what it leads to.
    pub(crate) references: HashMap<Id, Id>,
    /// Objects with a `$dynamicRef`, and the name of the anchor.
    pub(crate) dynamic: HashMap<Id, String>,
    /// `$anchor` and `$dynamicAnchor`, by name.
    pub(crate) anchors: HashMap<String, Vec<Id>>,
    version: Version,
    warnings: Vec<Warning>,
}

/// One file of it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: FileName,
    pub(crate) root: Id,
}

impl Contract {
    /// Reads a document. `name` is that of its file, as a person should see it;
    /// its end (`.json`, `.yaml`) and the first character say the language.
    ///
    /// # Errors
    /// When it is not JSON or YAML, exceeds a limit, is not OpenAPI 3.0 or 3.1,
    /// or refers to what is not there; with line and column.
    pub fn load(name: &str, bytes: &[u8], loader: &dyn Loader, limits: &Limits) -> Result<Self, Error> {
        let mut reading = Reading::new(limits);
        let first = FileName::first(name);
        let root = reading.parse(first.clone(), bytes)?;
        let version = version(&reading.tree, root, &first)?;
        references::load_all(&mut reading, loader)?;
        let Reading { mut tree, files, warnings, .. } = reading;
        tree.finish();
        let mut contract = Self {
            tree,
            files,
            references: HashMap::new(),
            dynamic: HashMap::new(),
            anchors: HashMap::new(),
            version,
            warnings,
        };
        references::resolve_all(&mut contract)?;
        contract.check_shape()?;
        Ok(contract)
    }

    /// Which OpenAPI it is written in.
    pub fn version(&self) -> Version {
        self.version
    }

    /// What was read although it is not as it should be.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The version that the document gives the API (`info.version`).
    pub fn api_version(&self) -> Option<&str> {
        self.tree.get_text(self.tree.get(self.root(), "info")?, "version")
    }

    pub(crate) fn root(&self) -> Id {
        self.files[0].root
    }

    pub(crate) fn file(&self, id: Id) -> &File {
        let after = self.files.partition_point(|file| file.root <= id);
        &self.files[after.saturating_sub(1)]
    }

    pub(crate) fn position(&self, id: Id) -> Position {
        let (line, column) = self.tree.line(id);
        Position { file: self.file(id).name.shown.clone(), line, column }
    }

    /// What a value is once references are followed. References that only lead
    /// to each other were refused.
    pub(crate) fn resolve(&self, id: Id) -> Id {
        let mut at = id;
        while let Some(&target) = self.references.get(&at) {
            at = target;
        }
        at
    }

    /// The value of a key, references followed on both sides.
    pub(crate) fn get(&self, id: Id, key: &str) -> Option<Id> {
        self.tree.get(self.resolve(id), key).map(|value| self.resolve(value))
    }

    /// `file#pointer`: the same in two versions, bundled or not.
    pub(crate) fn identity(&self, id: Id) -> String {
        unbundled(&self.file(id).name.relative, &self.tree.pointer(id))
    }

    /// Maps that later parts walk through have to be maps.
    fn check_shape(&self) -> Result<(), Error> {
        let root = self.root();
        for what in ["paths", "webhooks", "components", "info"] {
            self.expect(root, what, Kind::Object, "an object")?;
        }
        self.expect(root, "servers", Kind::Array, "a list")?;
        self.expect(root, "security", Kind::Array, "a list")?;
        for map in ["paths", "webhooks"] {
            let Some(map) = self.get(root, map) else { continue };
            for (key, item) in self.tree.entries(map) {
                let item = self.resolve(item);
                if key.starts_with("x-") {
                    continue;
                }
                self.expect_kind(item, key, Kind::Object, "an object")?;
                for (key, operation) in self.tree.entries(item) {
                    if METHODS.contains(&key) {
                        self.expect_kind(operation, key, Kind::Object, "an object")?;
                        self.expect(operation, "parameters", Kind::Array, "a list")?;
                        self.expect(operation, "responses", Kind::Object, "an object")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn expect(&self, id: Id, key: &str, kind: Kind, expected: &'static str) -> Result<(), Error> {
        match self.get(id, key) {
            Some(value) if self.tree.kind(value) != Kind::Null => {
                self.expect_kind(value, key, kind, expected)
            }
            _ => Ok(()),
        }
    }

    fn expect_kind(&self, id: Id, what: &str, kind: Kind, expected: &'static str) -> Result<(), Error> {
        let found = self.tree.kind(id);
        if found == kind {
            return Ok(());
        }
        let what = format!("`{what}`");
        Err(Error::Shape { position: self.position(id), what, expected, found: found.words() })
    }
}

/// The methods of a path item (OpenAPI 3.1.1, section 4.8.9).
pub(crate) const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Files as they come in.
struct Reading<'a> {
    tree: Tree,
    files: Vec<File>,
    warnings: Vec<Warning>,
    limits: &'a Limits,
    bytes: u64,
    weight: u64,
}

impl<'a> Reading<'a> {
    fn new(limits: &'a Limits) -> Self {
        Self { tree: Tree::default(), files: Vec::new(), warnings: Vec::new(), limits, bytes: 0, weight: 0 }
    }

    fn parse(&mut self, name: FileName, bytes: &[u8]) -> Result<Id, Error> {
        let position = || Position { file: name.shown.clone(), line: 1, column: 1 };
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.bytes {
            let limit = format!("{} bytes in all files", self.limits.bytes);
            return Err(Error::TooLarge { position: position(), limit });
        }
        if self.files.len() >= self.limits.files {
            let limit = format!("{} files", self.limits.files);
            return Err(Error::TooLarge { position: position(), limit });
        }
        let (root, twice) = self.tree.parse(bytes, &name, self.limits, &mut self.weight)?;
        self.warnings.extend(twice.into_iter().map(|(position, key)| Warning {
            message: format!("the key `{key}` is there twice; the last one counts"),
            position,
        }));
        self.files.push(File { name, root });
        Ok(root)
    }
}

fn version(tree: &Tree, root: Id, name: &FileName) -> Result<Version, Error> {
    let position = |id| {
        let (line, column) = tree.line(id);
        Position { file: name.shown.clone(), line, column }
    };
    if let Some(id) = tree.get(root, "swagger") {
        return Err(Error::Swagger { position: position(id) });
    }
    let Some(id) = tree.get(root, "openapi") else {
        let found = if tree.is_object(root) { "no `openapi` field" } else { tree.kind(root).words() };
        return Err(Error::NotOpenApi { position: position(root), found: found.into() });
    };
    // `openapi: 3.1` without quotes is a number in YAML.
    let text = tree.text(id).map(str::to_owned).or_else(|| tree.number(id).map(|n| n.canonical()));
    let text = text.unwrap_or_else(|| tree.kind(id).words().into());
    match text.split('.').take(2).collect::<Vec<_>>()[..] {
        ["3", "0"] => Ok(Version::V3_0),
        ["3"] if tree.number(id).is_some() => Ok(Version::V3_0),
        ["3", "1"] => Ok(Version::V3_1),
        _ => Err(Error::NotOpenApi { position: position(id), found: format!("`openapi: {text}`") }),
    }
}
