//! OpenVEX (openvex/spec 0.2.0, and 0.0.x on reading): what a supplier says
//! about a vulnerability in a product.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::purl::Purl;
use crate::report::{Finding, Report, SuppressedBy, Suppression};

pub use write::{OpenVex, from_ignores};

/// What a statement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The vulnerability cannot do harm here.
    NotAffected,
    /// It can, and something is to be done.
    Affected,
    /// This product has the fix.
    Fixed,
    /// Not known yet.
    UnderInvestigation,
}

impl Status {
    fn suppresses(self) -> bool {
        matches!(self, Self::NotAffected | Self::Fixed)
    }
}

/// The reasons that the specification knows for [`Status::NotAffected`].
pub const JUSTIFICATIONS: [&str; 5] = [
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
];

/// One statement, as far as findings are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Every name of the vulnerability.
    pub names: Vec<String>,
    /// What it is about.
    pub products: Vec<Product>,
    /// What it says.
    pub status: Status,
    /// Justification, impact or other notes, for people.
    pub reason: String,
    /// When it was made; the newest counts.
    pub at: Option<Timestamp>,
}

/// A product, or a component within one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its names: package URLs, other identifiers, `sha256:…` digests.
    pub ids: Vec<String>,
    /// Components of it to which the statement is confined; all where there are none.
    pub subcomponents: Vec<Vec<String>>,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VexDocument {
    /// The document's name.
    pub id: String,
    /// Who says so. That it was them is for a signature to show.
    pub author: String,
    /// The statements that are valid.
    pub statements: Vec<Statement>,
    /// Statements that the specification does not allow, and which are not
    /// applied: in words.
    pub invalid: Vec<String>,
}

impl VexDocument {
    /// Reads a document. `path` is for the error's text.
    ///
    /// # Errors
    /// [`Error::Vex`] where it is not OpenVEX or has a status that is not known.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        read::document(bytes).map_err(|why| Error::Vex { path: path.into(), why })
    }

    /// Reads a document from a file.
    ///
    /// # Errors
    /// As [`VexDocument::parse`], and where the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, &read::bytes(path)?)
    }
}

impl Report {
    /// Applies VEX statements: `not_affected` and `fixed` suppress a finding,
    /// a newer `affected` or `under_investigation` takes that back.
    ///
    /// `products` are the names of what was scanned: the image's package URL,
    /// its digest, its reference. A statement about a component itself needs
    /// none of them.
    pub fn apply_vex(&mut self, documents: &[VexDocument], products: &[String]) {
        let mut statements: Vec<&Statement> =
            documents.iter().flat_map(|document| &document.statements).collect();
        // Stable: of statements without a time, or of the same, the last counts.
        statements.sort_by_key(|statement| statement.at);
        for finding in &mut self.findings {
            if finding.suppressed.is_none() {
                finding.suppressed = suppression(finding, &statements, products);
            }
        }
    }
}

fn suppression(finding: &Finding, statements: &[&Statement], products: &[String]) -> Option<Suppression> {
    let own = |name: &String| finding.related_names().any(|known| known == name);
    let about: Vec<&Statement> = statements
        .iter()
        .filter(|statement| statement.names.iter().any(own) && statement.is_about(&finding.purl, products))
        .copied()
        .collect();
    let newest =
        |named: &dyn Fn(&Statement) -> bool| about.iter().rev().find(|statement| named(statement)).copied();
    let last = newest(&|statement| statement.names.iter().any(|name| finding.is_named(name)));
    if last.is_some_and(|last| !last.status.suppresses()) {
        return None;
    }
    let says_so = |name: &str| {
        newest(&|statement| statement.names.iter().any(|known| known == name))
            .is_some_and(|statement| statement.status.suppresses())
    };
    let statement = last.or(about.last().copied()).filter(|_| finding.is_covered(says_so))?;
    Some(Suppression { by: SuppressedBy::Vex, reason: statement.reason.clone(), until: None })
}

impl Statement {
    /// Whether it is about a component of a product with these names.
    fn is_about(&self, component: &str, products: &[String]) -> bool {
        let is = |ids: &[String], purl: &str| ids.iter().any(|id| covers(id, purl));
        self.products.iter().any(|product| {
            let whole = products.iter().any(|name| is(&product.ids, name));
            let within = product.subcomponents.iter().any(|ids| is(ids, component));
            is(&product.ids, component) || (whole && (product.subcomponents.is_empty() || within))
        })
    }
}

/// Whether an identifier of a statement means this thing.
fn covers(id: &str, thing: &str) -> bool {
    if id == thing {
        return true;
    }
    let (Ok(id), Ok(thing)) = (Purl::parse(id), Purl::parse(thing)) else { return false };
    id.covers(&thing)
}
