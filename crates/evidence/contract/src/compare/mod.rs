//! Comparing two documents: a graph of pairs that correspond, each looked at
//! once for each direction.
//!
//! A pair is visited from whatever uses it; the edges tell afterwards which
//! operations a change affects. So the work grows with the documents and not
//! with the number of ways through them, and a change of a shared component is
//! found once.

mod bodies;
mod clean;
mod documentation;
mod operations;
mod parameters;
mod properties;
mod schemas;
mod security;
mod servers;
mod variants;

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;

use crate::Limits;
use crate::delta::{Delta, Flow, Standing, What};
use crate::error::Error;
use crate::load::Contract;
use crate::schema::{Side, Steps, Term};
use crate::tree::Id;
use clean::Clean;

/// What a pair in the graph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Parameter,
    Header,
    Body,
    Media,
    Response,
    Link,
    Security,
    Scheme,
    Servers,
    Schema,
}

/// A pair that corresponds; `old` and `new` are values, or terms for schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    part: Part,
    old: u32,
    new: u32,
    flow: Flow,
}

/// An operation that is in the graph.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// Upper case; empty for the document itself.
    pub(crate) method: String,
    /// The path as it is in the new document if it is there; the name of a webhook.
    pub(crate) path: String,
    /// `draft`, `alpha`, … in the old document.
    pub(crate) stability: Option<String>,
}

/// All that was found.
pub(crate) struct Comparison {
    pub(crate) deltas: Vec<Delta>,
    /// Operations by their number in the graph.
    pub(crate) operations: HashMap<u32, Operation>,
    /// Who uses a pair, by its number.
    pub(crate) users: Vec<Vec<u32>>,
}

/// The document itself in the graph.
const WHOLE: u32 = 0;

struct Engine<'a> {
    old: Side<'a>,
    new: Side<'a>,
    clean: Clean,
    today: Option<Date>,
    steps: &'a Steps,
    numbers: HashMap<Pair, u32>,
    /// Where the schemas of a pair are written, before references are followed.
    written: HashMap<u32, (Id, Id)>,
    users: Vec<Vec<u32>>,
    queue: Vec<(u32, Pair)>,
    operations: HashMap<u32, Operation>,
    deltas: Vec<Delta>,
    /// Old names of security schemes by their new ones.
    labels: BTreeMap<String, String>,
}

/// Compares two documents.
///
/// # Errors
/// When it takes more steps than the limits say.
pub(crate) fn compare(
    old: &Contract,
    new: &Contract,
    today: Option<Date>,
    limits: &Limits,
) -> Result<Comparison, Error> {
    let steps = Steps::new(limits.steps);
    let mut engine = Engine {
        old: Side::new(old, &steps),
        new: Side::new(new, &steps),
        clean: Clean::of(old, new),
        today,
        steps: &steps,
        numbers: HashMap::new(),
        written: HashMap::new(),
        users: vec![Vec::new()],
        queue: Vec::new(),
        operations: HashMap::new(),
        deltas: Vec::new(),
        labels: BTreeMap::new(),
    };
    engine.labels = engine.labels();
    engine.document()?;
    while let Some((at, pair)) = engine.queue.pop() {
        engine.steps.take(1)?;
        engine.look(at, pair)?;
    }
    engine.documentation()?;
    Ok(Comparison { deltas: engine.deltas, operations: engine.operations, users: engine.users })
}

impl<'a> Engine<'a> {
    fn look(&mut self, at: u32, pair: Pair) -> Result<(), Error> {
        let (old, new, flow) = (Id(pair.old), Id(pair.new), pair.flow);
        match pair.part {
            Part::Parameter => self.parameter(at, old, new, flow),
            Part::Header => self.header(at, old, new, flow),
            Part::Body => self.body(at, old, new, flow),
            Part::Media => self.media(at, old, new, flow),
            Part::Response => self.response(at, old, new, flow),
            Part::Link => self.link(at, old, new),
            Part::Security => self.security(at, old, new),
            Part::Scheme => self.scheme(at, old, new),
            Part::Servers => self.servers(at, old, new),
            Part::Schema => self.schema(at, self.old.nth(pair.old), self.new.nth(pair.new), flow),
        }
    }

    /// The number of a new part of the graph.
    fn number(&mut self) -> u32 {
        self.users.push(Vec::new());
        u32::try_from(self.users.len() - 1).expect("pairs are bounded by steps")
    }

    /// Looks at a pair later, once, and remembers who uses it.
    fn visit(&mut self, from: u32, pair: Pair) -> Result<u32, Error> {
        self.steps.take(1)?;
        let number = match self.numbers.get(&pair) {
            Some(&number) => number,
            None => {
                let number = self.number();
                self.numbers.insert(pair, number);
                self.queue.push((number, pair));
                number
            }
        };
        let users = &mut self.users[number as usize];
        if users.last() != Some(&from) {
            users.push(from);
        }
        Ok(number)
    }

    /// Visits two values that references lead to, unless they are the same.
    fn visit_part(&mut self, from: u32, part: Part, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        let (old, new) = (self.old.contract.resolve(old), self.new.contract.resolve(new));
        if self.same(old, new) {
            return Ok(());
        }
        self.visit(from, Pair { part, old: old.0, new: new.0, flow }).map(drop)
    }

    fn visit_schema(&mut self, from: u32, old: Id, new: Id, flow: Flow) -> Result<(), Error> {
        if self.same(old, new) && self.old.contract.dynamic.is_empty() && self.new.contract.dynamic.is_empty()
        {
            return Ok(());
        }
        let written = (old, new);
        let (old, new) = (self.old.term(old), self.new.term(new));
        self.visit_written(from, old, new, flow, written)
    }

    fn visit_terms(&mut self, from: u32, old: Term, new: Term, flow: Flow) -> Result<(), Error> {
        let written = (self.old.place(old), self.new.place(new));
        self.visit_written(from, old, new, flow, written)
    }

    fn visit_written(
        &mut self,
        from: u32,
        old: Term,
        new: Term,
        flow: Flow,
        written: (Id, Id),
    ) -> Result<(), Error> {
        if self.same_terms(old, new) {
            return Ok(());
        }
        let number =
            self.visit(from, Pair { part: Part::Schema, old: old.number(), new: new.number(), flow })?;
        self.written.entry(number).or_insert(written);
        Ok(())
    }

    fn same(&self, old: Id, new: Id) -> bool {
        self.clean.same(self.old.contract, self.new.contract, old, new)
    }

    fn same_terms(&self, old: Term, new: Term) -> bool {
        let (old, new) = (self.old.parts(old), self.new.parts(new));
        old.len() == new.len()
            && old
                .iter()
                .zip(new)
                .all(|(old, new)| old.scope == 0 && new.scope == 0 && self.same(old.node, new.node))
    }

    /// A change of something that is there on both sides.
    fn changed(&mut self, at: u32, what: What, flow: Option<Flow>, old: Id, new: Id) {
        self.deltas.push(Delta { what, flow, old, new, standing: Standing::New, at });
    }

    /// Something is gone; `new` is what it stood in.
    fn gone(&mut self, at: u32, what: What, flow: Option<Flow>, old: Id, new: Id) {
        self.deltas.push(Delta { what, flow, old, new, standing: Standing::Old, at });
    }
}
