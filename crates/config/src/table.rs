//! Reading a table key by key: each key is asked for once, so what is left
//! over is unknown, and every effective value leaves a row with its origin.

use std::cell::RefCell;
use std::collections::BTreeMap;

use plimsoll_model::ImageRef;

use crate::error::{Problem, ProblemKind};
use crate::node::{At, Entries, Node, Value};
use crate::origin::Row;
use crate::suggest::{did_you_mean, looks_secret};

/// Why a reader does not take a value.
#[derive(Debug)]
pub(crate) struct Fault {
    kind: FaultKind,
    hint: Option<String>,
    /// The item of a list that is meant, where it is not the whole value.
    item: Option<Box<Node>>,
}

#[derive(Debug)]
enum FaultKind {
    /// Wanted something else: "expected …, found …".
    Expected(String),
    /// The whole sentence.
    Said(String),
    Unpinned(Box<ImageRef>),
    LiteralSecret,
}

impl Fault {
    pub(crate) fn expected(what: impl Into<String>) -> Self {
        Self { kind: FaultKind::Expected(what.into()), hint: None, item: None }
    }

    pub(crate) fn said(sentence: impl Into<String>) -> Self {
        Self { kind: FaultKind::Said(sentence.into()), hint: None, item: None }
    }

    pub(crate) fn unpinned(image: ImageRef) -> Self {
        Self { kind: FaultKind::Unpinned(Box::new(image)), hint: None, item: None }
    }

    pub(crate) fn literal_secret() -> Self {
        Self { kind: FaultKind::LiteralSecret, hint: None, item: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Points to an item of a list instead of the whole list.
    pub(crate) fn in_item(mut self, item: &Node) -> Self {
        self.item.get_or_insert_with(|| Box::new(item.clone()));
        self
    }

    fn into_problem(self, path: &str, node: &Node) -> Problem {
        let node = self.item.as_deref().unwrap_or(node);
        let name = path.rsplit('.').next().unwrap_or(path);
        let (kind, message) = match self.kind {
            FaultKind::Expected(what) if looks_secret(name) => {
                (ProblemKind::BadValue, format!("`{path}`: expected {what}, found {}", node.kind()))
            }
            FaultKind::Expected(what) => {
                (ProblemKind::BadValue, format!("`{path}`: expected {what}, found {}", node.describe()))
            }
            FaultKind::Said(sentence) => (ProblemKind::BadValue, format!("`{path}`: {sentence}")),
            FaultKind::Unpinned(image) => {
                let message = format!("`{path}`: {image} is a tag, which can move; a digest is needed");
                (ProblemKind::UnpinnedBase(image), message)
            }
            FaultKind::LiteralSecret => (
                ProblemKind::LiteralSecret,
                format!("`{path}`: expected where the secret is, found the secret itself or something else"),
            ),
        };
        let problem = Problem::new(kind, &node.at, message);
        match self.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

/// What reading has brought to light so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: RefCell<Vec<Problem>>,
    pub(crate) rows: RefCell<Vec<Row>>,
}

/// A table being read.
#[derive(Debug)]
pub(crate) struct Table<'f> {
    findings: &'f Findings,
    path: String,
    at: At,
    entries: Entries,
    /// Every key that was asked for, and whether it was there.
    known: Vec<(&'static str, bool)>,
}

impl<'f> Table<'f> {
    pub(crate) fn root(findings: &'f Findings, entries: Entries) -> Self {
        Self { findings, path: String::new(), at: At::Default, entries, known: Vec::new() }
    }

    fn child(&self, key: &str, at: At, entries: Entries) -> Self {
        Self { findings: self.findings, path: self.join(key), at, entries, known: Vec::new() }
    }

    fn join(&self, key: &str) -> String {
        let key = if key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        let entry = self.entries.remove(key);
        self.known.push((key, entry.is_some()));
        entry.map(|entry| entry.node)
    }

    /// Whether a key that was asked for was there.
    pub(crate) fn given(&self, key: &str) -> bool {
        self.known.iter().any(|(known, given)| *known == key && *given)
    }

    /// Whether a key that was not asked for yet is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn push(&self, problem: Problem) {
        self.findings.problems.borrow_mut().push(problem);
    }

    /// Reports something wrong with the table as a whole.
    pub(crate) fn conflict(&self, message: impl Into<String>, hint: impl Into<String>) {
        self.push(Problem::new(ProblemKind::Conflict, &self.at, message.into()).hint(hint));
    }

    pub(crate) fn missing(&self, key: &str, hint: impl Into<String>) {
        let message = format!("missing key `{key}` in {}", self.title());
        self.push(Problem::new(ProblemKind::Missing, &self.at, message).hint(hint));
    }

    /// Reports a key that does not belong here, and leaves it aside.
    pub(crate) fn reject(&mut self, key: &'static str, message: String) {
        if let Some(entry) = self.entries.remove(key) {
            self.known.push((key, true));
            let title = self.title();
            self.push(Problem::new(ProblemKind::Conflict, &entry.key, format!("{message} ({title})")));
        }
    }

    /// Where this table stands.
    pub(crate) fn place(&self) -> At {
        self.at.clone()
    }

    /// Its name: `environments.production.watch`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// How errors name this table: `[build]`.
    pub(crate) fn title(&self) -> String {
        match self.path.as_str() {
            "" => "the top level".into(),
            path if path.contains('[') => format!("`{path}`"),
            path => format!("[{path}]"),
        }
    }

    fn row(&self, key: &str, value: String, at: &At) {
        self.findings.rows.borrow_mut().push(Row { key: self.join(key), value, origin: at.origin() });
    }

    /// A key that may be absent.
    pub(crate) fn opt<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        self.opt_shown(key, read, |node, _| node.show())
    }

    /// A key that may be absent, shown as `show` says.
    pub(crate) fn opt_shown<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Node) -> Result<T, Fault>,
        show: impl Fn(&Node, &T) -> String,
    ) -> Option<T> {
        let node = self.take(key)?;
        self.read(key, &node, read, show)
    }

    fn read<T>(
        &self,
        key: &str,
        node: &Node,
        read: impl Fn(&Node) -> Result<T, Fault>,
        show: impl Fn(&Node, &T) -> String,
    ) -> Option<T> {
        match read(node) {
            Ok(value) => {
                self.row(key, show(node, &value), &node.at);
                Some(value)
            }
            Err(fault) => {
                self.push(fault.into_problem(&self.join(key), node));
                None
            }
        }
    }

    /// A key with a default, which is written as one would write it.
    pub(crate) fn or<T>(
        &mut self,
        key: &'static str,
        default: &str,
        read: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        let node = self.take(key).unwrap_or_else(|| default_node(default));
        self.read(key, &node, read, |node, _| node.show())
    }

    /// A key that must be there.
    pub(crate) fn need<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(&Node) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.take(key) {
            Some(node) => self.read(key, &node, read, |node, _| node.show()),
            None => {
                self.missing(key, format!("add `{key} = {example}`"));
                None
            }
        }
    }

    /// A key that must be there, shown as `show` says.
    pub(crate) fn need_shown<T>(
        &mut self,
        key: &'static str,
        example: &str,
        read: impl Fn(&Node) -> Result<T, Fault>,
        show: impl Fn(&Node, &T) -> String,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key, format!("add `{key} = {example}`"));
        }
        self.opt_shown(key, read, show)
    }

    /// Leaves a key aside, unread.
    pub(crate) fn skip(&mut self, key: &'static str) {
        self.take(key);
    }

    /// A table that may be absent.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Table<'f>> {
        let node = self.take(key)?.structured();
        self.as_table(key, node)
    }

    /// A table that is as good as empty when absent.
    pub(crate) fn table_or_empty(&mut self, key: &'static str) -> Option<Table<'f>> {
        match self.take(key) {
            Some(node) => self.as_table(key, node.structured()),
            None => Some(self.child(key, At::Default, Entries::new())),
        }
    }

    fn as_table(&self, key: &str, node: Node) -> Option<Table<'f>> {
        match node.value {
            Value::Table(entries) => Some(self.child(key, node.at, entries)),
            _ => {
                let path = self.join(key);
                self.push(Fault::expected(format!("a table `[{path}]`")).into_problem(&path, &node));
                None
            }
        }
    }

    /// A list of tables; empty when absent.
    pub(crate) fn tables(&mut self, key: &'static str) -> Vec<Table<'f>> {
        let Some(node) = self.take(key).map(Node::structured) else { return Vec::new() };
        let Value::Array(items) = node.value else {
            let path = self.join(key);
            self.push(Fault::expected(format!("a list of tables `[[{path}]]`")).into_problem(&path, &node));
            return Vec::new();
        };
        let numbered = |(number, item): (usize, Node)| {
            let mut table = self.as_table(key, item)?;
            table.path = format!("{}[{number}]", table.path);
            Some(table)
        };
        items.into_iter().enumerate().filter_map(numbered).collect()
    }

    /// A table of texts under names of the user's choosing.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), Fault>,
    ) -> BTreeMap<String, String> {
        let Some(mut table) = self.table(key) else { return BTreeMap::new() };
        let mut texts = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut table.entries) {
            if let Err(fault) = check(&name) {
                let node = Node { at: entry.key, value: Value::String(name.clone()) };
                table.push(fault.into_problem(&table.path, &node));
            }
            let mask = |node: &Node, _: &String| match looks_secret(&name) {
                true => "****".into(),
                false => node.show(),
            };
            if let Some(text) = table.read(&name, &entry.node, crate::values::text, mask) {
                texts.insert(name, text);
            }
        }
        texts
    }

    /// Every entry left, as tables under names of the user's choosing.
    pub(crate) fn named_tables(&mut self) -> Vec<(String, At, Table<'f>)> {
        let entries = std::mem::take(&mut self.entries);
        let named = |(name, entry): (String, crate::node::Entry)| {
            let table = self.as_table(&name, entry.node.structured())?;
            Some((name, entry.key, table))
        };
        entries.into_iter().filter_map(named).collect()
    }

    /// Reports what nobody asked for.
    pub(crate) fn finish(self) {
        for (name, entry) in &self.entries {
            let mut message = format!("unknown key `{}` in {}", name.escape_debug(), self.title());
            let near = did_you_mean(name, self.known.iter().map(|(key, _)| *key));
            if let Some(near) = near {
                message = format!("{message}; did you mean `{near}`?");
            }
            let kind = match entry.key {
                At::Environment(_) => ProblemKind::UnknownVariable,
                _ => ProblemKind::UnknownKey,
            };
            let mut problem = Problem::new(kind, &entry.key, message);
            if near.is_none() {
                let known: Vec<_> = self.known.iter().map(|(key, _)| format!("`{key}`")).collect();
                problem = problem.hint(format!("{} has {}", self.title(), known.join(", ")));
            }
            self.push(problem);
        }
    }
}

fn default_node(text: &str) -> Node {
    Node { at: At::Default, value: Value::Untyped(text.into()) }
}
