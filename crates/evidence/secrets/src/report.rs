//! What a scan found, and what it did not look at.

use std::fmt;

use plimsoll_model::Digest;
use serde::{Deserialize, Serialize};

use crate::allow::AllowState;
use crate::mask::Masked;

/// What a finding, or something that was not read, means for the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing; the build goes on.
    Note,
    /// The build stops unless an allow entry gives a reason.
    Stop,
}

/// Where in the image something is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Place {
    /// A field of the image configuration: `env NAME`, `label NAME`, `cmd`,
    /// `entrypoint`, `history 3`, or the name of another field.
    Config {
        /// As above, control characters escaped.
        field: String,
    },
    /// A file of a layer, or of a directory that was scanned.
    File {
        /// Absolute in the image, control characters escaped; what is inside
        /// of an archive follows after `!/`.
        path: String,
        /// Position of the layer, 0 being the lowest; absent in a directory.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        layer: Option<usize>,
        /// Digest of the layer; absent in a directory.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        digest: Option<Digest>,
        /// Line, the first being 1; absent where the file is not text.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        line: Option<u64>,
    },
    /// A whole layer.
    Layer {
        /// Position, 0 being the lowest.
        layer: usize,
        /// Its digest.
        digest: Digest,
    },
}

impl Place {
    /// What the path of an allow entry is compared with.
    pub fn path(&self) -> &str {
        match self {
            Self::Config { field } => field,
            Self::File { path, .. } => path,
            Self::Layer { .. } => "",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { field } => write!(f, "image configuration, {field}"),
            Self::File { path, layer, digest, line } => {
                f.write_str(path)?;
                if let Some(line) = line {
                    write!(f, ":{line}")?;
                }
                match (layer, digest) {
                    (Some(layer), Some(digest)) => write!(f, " (layer {layer}, {})", digest.short()),
                    _ => Ok(()),
                }
            }
            Self::Layer { layer, digest } => write!(f, "layer {layer} ({})", digest.short()),
        }
    }
}

/// Why a finding does not stop the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Position of the entry in the allow list.
    pub entry: usize,
    /// Its reason.
    pub reason: String,
}

/// One credential. The value itself is not in here, in no form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Code of the rule, e.g. `SEC-001`.
    pub rule: String,
    /// Name of the rule.
    pub name: String,
    /// Whether it stops the build, were it not allowed.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// What can be shown of it.
    pub value: Masked,
    /// The allow entry that covers it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub allowed: Option<Allowed>,
}

impl Finding {
    /// Whether it stops the build.
    pub fn stops(&self) -> bool {
        self.level == Level::Stop && self.allowed.is_none()
    }

    /// The order of a report.
    pub(crate) fn key(&self) -> (usize, &Place, &str) {
        let layer = match &self.place {
            Place::Config { .. } => 0,
            Place::File { layer, .. } => layer.map_or(1, |layer| layer + 1),
            Place::Layer { layer, .. } => layer + 1,
        };
        (layer, &self.place, &self.rule)
    }
}

/// Something that was not looked at. Unknown is not clean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unread {
    /// What.
    pub place: Place,
    /// Why not.
    pub reason: String,
    /// `stop` where a credential may be in it that the rules would find:
    /// `note` for what no rule reads, such as an xz archive.
    pub level: Level,
}

/// How a layer was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerState {
    /// All of its files were read now.
    Scanned,
    /// They were read before, by the same rules.
    Cached,
    /// The caller named it as known; nothing was read.
    Known,
    /// It could not be read as a whole: see `unread`.
    Unread,
}

/// A layer and how it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedLayer {
    /// Its digest.
    pub digest: Digest,
    /// How it was looked at.
    pub state: LayerState,
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// The result of a scan. The same image, rules and options give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Names the rules that were applied.
    pub ruleset: String,
    /// The layers, lowest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub layers: Vec<ScannedLayer>,
    /// Files read, those inside of archives included.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Configuration first, then layer by layer, path by path.
    pub findings: Vec<Finding>,
    /// Findings beyond what is listed for one file or one layer.
    pub unlisted: u64,
    /// What was not looked at.
    pub unread: Vec<Unread>,
    /// How each entry of the allow list fared, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub allow: Vec<AllowState>,
}

/// The schema of [`Report`].
pub const SCHEMA: &str = "plimsoll/secret-scan/v1";

/// What a report means for the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was read, and nothing found that is not allowed.
    Clean,
    /// Nothing was found, but not everything was read.
    Incomplete,
    /// A credential was found.
    Found,
}

impl Report {
    /// The findings that stop the build.
    pub fn stops(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.stops())
    }

    /// What the report means for the build. A finding wins over "unknown".
    pub fn verdict(&self) -> Verdict {
        if self.stops().next().is_some() {
            Verdict::Found
        } else if self.unlisted > 0 || self.unread.iter().any(|unread| unread.level == Level::Stop) {
            Verdict::Incomplete
        } else {
            Verdict::Clean
        }
    }
}
