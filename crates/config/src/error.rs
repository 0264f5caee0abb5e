//! What can be wrong with a configuration, said so that it can be put right.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, ImageRef};

use crate::discover::{FILE_NAME, MAX_FILE_BYTES};
use crate::node::At;
use crate::suggest::{did_you_mean, looks_secret};

/// Why there is no configuration to work with. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No `plimsoll.toml` between `from` and `to`.
    #[error("no {FILE_NAME} in {}", searched(.from, .to))]
    NotFound {
        /// Where the search began.
        from: PathBuf,
        /// The last folder looked into: the top of the git repository.
        to: PathBuf,
    },
    /// A configuration file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A configuration file is larger than [`MAX_FILE_BYTES`].
    #[error("{} is too large for a configuration file", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// One or more keys, values or variables are wrong; all of them are here.
    #[error("{}", all(.0))]
    Invalid(Vec<Problem>),
    /// An environment was asked for that the file does not have.
    #[error("{FILE_NAME} has no environment `{name}`")]
    UnknownEnvironment {
        /// What was asked for.
        name: String,
        /// The ones it has.
        known: Vec<String>,
    },
}

fn searched(from: &std::path::Path, to: &std::path::Path) -> String {
    if from == to {
        return from.display().to_string();
    }
    format!("{} or above it, up to {}", from.display(), to.display())
}

fn all(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        many => {
            let blocks: Vec<_> = many
                .iter()
                .map(|problem| match &problem.hint {
                    Some(hint) => format!("{problem}\n  help: {hint}"),
                    None => problem.to_string(),
                })
                .collect();
            format!("the configuration has {} errors\n\n{}", many.len(), blocks.join("\n\n"))
        }
    }
}

impl ConfigError {
    /// Everything that is wrong, in the order of the files.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => problems,
            _ => &[],
        }
    }

    /// The base image that is named by tag, so that its digest can be looked
    /// up and offered.
    pub fn unpinned_base(&self) -> Option<&ImageRef> {
        self.problems().iter().find_map(|problem| match &problem.kind {
            ProblemKind::UnpinnedBase(image) => Some(image.as_ref()),
            _ => None,
        })
    }
}

impl Diagnose for ConfigError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "CFG-001",
            Self::Read { .. } | Self::TooLarge { .. } => "CFG-002",
            Self::Invalid(problems) => problems.first().map_or("CFG-005", |problem| problem.kind.code()),
            Self::UnknownEnvironment { .. } => "CFG-013",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::TooLarge { .. } => Some(format!("at most {MAX_FILE_BYTES} bytes")),
            Self::UnknownEnvironment { known, .. } if !known.is_empty() => {
                Some(format!("one of {}", known.join(", ")))
            }
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { .. } => "write one for this repository with `plimsoll init`".into(),
            Self::Read { .. } | Self::TooLarge { .. } => return Some("nothing was touched".into()),
            Self::Invalid(problems) => match problems.as_slice() {
                [Problem { hint: Some(hint), .. }] => hint.clone(),
                _ => format!("`plimsoll explain {}` says more", self.code()),
            },
            Self::UnknownEnvironment { name, known } => {
                match did_you_mean(name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("add a section `[environments.{name}]`"),
                }
            }
        };
        Some(format!("nothing was touched; {hint}"))
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// Where: `plimsoll.toml:7:1`, a variable's name, `--set section.key`.
    pub place: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The line it is on; none outside files, and none where it could show a secret.
    pub excerpt: Option<Excerpt>,
    /// What to write instead.
    pub hint: Option<String>,
}

/// What kind of thing is wrong; each has a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// Not TOML.
    Syntax,
    /// A key that does not exist.
    UnknownKey,
    /// A value of the wrong type or form.
    BadValue,
    /// A key that must be there is not.
    Missing,
    /// Keys that exclude each other.
    Conflict,
    /// A base image named by tag.
    UnpinnedBase(Box<ImageRef>),
    /// A secret itself where a source of one belongs.
    LiteralSecret,
    /// A variable with the prefix that stands for nothing.
    UnknownVariable,
    /// A `--set` that is not `section.key=value`.
    BadFlag,
}

impl ProblemKind {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax => "CFG-003",
            Self::UnknownKey => "CFG-004",
            Self::BadValue => "CFG-005",
            Self::Missing => "CFG-006",
            Self::Conflict => "CFG-007",
            Self::UnpinnedBase(_) => "CFG-008",
            Self::LiteralSecret => "CFG-009",
            Self::UnknownVariable => "CFG-010",
            Self::BadFlag => "CFG-011",
        }
    }
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, at: &At, message: String) -> Self {
        let excerpt = match kind {
            ProblemKind::LiteralSecret => None,
            // The key is what matters; a misspelt `pasword` has a password after it.
            ProblemKind::UnknownKey => at.excerpt().map(Excerpt::without_value),
            _ => at.excerpt(),
        };
        Self { kind, place: at.place(), message, excerpt, hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, "\n{excerpt}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnose for Problem {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn code(&self) -> &'static str {
        self.kind.code()
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

/// A line of a file with the part that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// From 1.
    pub line: usize,
    /// The line; secrets in it masked.
    pub text: String,
    /// Where the part begins, in characters from 0.
    pub start: usize,
    /// How many characters it has, at least 1.
    pub width: usize,
}

impl Excerpt {
    /// Longest part of a line that is shown, in characters.
    const MOST: usize = 110;

    pub(crate) fn of(text: &str, span: Range<usize>) -> Self {
        let offset = span.start.min(text.len());
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
        let line = text[..offset].bytes().filter(|&b| b == b'\n').count() + 1;
        let column = text[start..offset].chars().count();
        let width = text.get(offset..span.end.min(end)).map_or(1, |part| part.chars().count()).max(1);
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        let masked: String = mask_line(text[start..end].trim_end()).chars().map(clean).collect();
        let shown: String = masked.chars().take(Self::MOST).collect();
        let length = shown.chars().count();
        // A masked or shortened line may end before the part that is meant.
        let column = column.min(length);
        Self { line, text: shown, start: column, width: width.min((length - column).max(1)) }
    }

    /// Ends the line after the key that is meant.
    fn without_value(mut self) -> Self {
        let end = self.start + self.width;
        let rest: String = self.text.chars().skip(end).collect();
        if rest.trim_start().starts_with('=') {
            self.text = self.text.chars().take(end).chain(" = …".chars()).collect();
        }
        self
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let marks = "^".repeat(self.width);
        write!(f, "  {number} | {}\n  {margin} | {}{marks}", self.text, " ".repeat(self.start))
    }
}

/// Hides what follows a key that names a secret, and passwords in URLs: an
/// error must not print what the file should never have held.
fn mask_line(line: &str) -> String {
    // A line of a key that was pasted in, perhaps with the end of a text.
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    if line.split(|c| !base64(c)).any(|run| run.len() >= 40) && !line.contains("sha256:") {
        return "****".into();
    }
    let mut masked = line.to_owned();
    if let Some((key, value)) = line.split_once('=') {
        let name = key.trim().trim_matches(['"', '\'']).rsplit('.').next().unwrap_or_default();
        let source = ["env:", "file:", "command:"];
        let named = source
            .iter()
            .any(|scheme| value.trim_start().trim_start_matches(['"', '\'']).starts_with(scheme));
        let inner = value.match_indices('=').any(|(at, _)| {
            looks_secret(value[..at].trim_end().rsplit(|c: char| !is_word(c)).next().unwrap_or_default())
        });
        if (looks_secret(name) && !named) || inner {
            masked = format!("{key}= ****");
        }
    }
    if let Some(scheme) = masked.find("://")
        && let Some(at) = masked[scheme..].find('@')
        && masked[scheme + 3..scheme + at].contains(':')
    {
        masked.replace_range(scheme + 3..scheme + at, "****");
    }
    masked
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}
