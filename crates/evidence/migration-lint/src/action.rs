//! What a statement does, in words that both databases share. The parsers write
//! it, the schema is changed by it, the rules judge it.

use crate::name::Name;
use crate::sql_type::SqlType;

/// A statement with what it does.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// Where its first word is, in bytes.
    pub(crate) offset: usize,
    /// What it does, in order. Empty where it was not understood.
    pub(crate) actions: Vec<Placed>,
    /// Why it was not understood, and where.
    pub(crate) problem: Option<Problem>,
    /// SQL inside of it that only exists when it runs.
    pub(crate) dynamic: Vec<usize>,
    /// Short string literals in it; enum values are looked for among them.
    pub(crate) literals: Vec<String>,
    /// What a `-- plimsoll: backfill table=… key=… batch=…` comment before it declares.
    pub(crate) backfill: Option<Backfill>,
    /// Rules that a `-- plimsoll: allow CODE reason` comment takes back.
    pub(crate) allowed: Vec<String>,
}

/// A backfill that runs outside of migrations, in batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backfill {
    /// `name=…`, or else the table.
    pub(crate) name: String,
    /// `table=…`.
    pub(crate) table: Name,
}

impl Backfill {
    /// From `backfill table=users key=id batch=1000`; nothing without a table.
    pub(crate) fn parse(said: &str) -> Option<Self> {
        let words: Vec<_> = said
            .strip_prefix("backfill")?
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .collect();
        let value =
            |key: &str| words.iter().find(|(found, _)| *found == key).map(|(_, value)| (*value).to_owned());
        let table = value("table")?;
        let parts = table.split('.').map(str::to_owned).collect();
        Some(Self { name: value("name").unwrap_or_else(|| table.clone()), table: Name::from_parts(parts)? })
    }
}

/// Why a statement was not understood.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// An action and where it is written, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) offset: usize,
    pub(crate) action: Action,
    /// Whether it is inside a DO block: a transaction of its own at least.
    pub(crate) in_block: bool,
}

/// What kind of relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Table,
    View,
    MaterializedView,
}

impl Kind {
    /// As SQL says it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
        }
    }
}

/// Whether a default is the same for all rows of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Default {
    /// As written.
    pub(crate) text: String,
    /// The first function in it that gives each row another value.
    pub(crate) volatile: Option<String>,
}

/// A column as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, std::default::Default)]
pub(crate) struct NewColumn {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Default>,
    /// `serial`, `GENERATED … AS IDENTITY`: each row gets a number of its own.
    pub(crate) numbered: bool,
    /// `GENERATED … AS (…) STORED`.
    pub(crate) stored: bool,
    /// Whether an INSERT must not give it a value: it is computed, or always numbered.
    pub(crate) refused: bool,
    pub(crate) constraints: Vec<NewConstraint>,
}

impl NewColumn {
    /// Whether a row can be inserted without naming it.
    pub(crate) fn may_be_left_out(&self) -> bool {
        !self.not_null
            || self.default.as_ref().is_some_and(|default| !default.is_null())
            || self.numbered
            || self.refused
    }
}

impl Default {
    /// `DEFAULT NULL` is no default.
    pub(crate) fn is_null(&self) -> bool {
        self.text.eq_ignore_ascii_case("null")
    }
}

/// What a constraint demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Demand {
    /// `not_null` names the column where the check is exactly `column IS NOT NULL`.
    Check {
        text: String,
        not_null: Option<String>,
    },
    /// `nulls` is true where two nulls are the same.
    Unique {
        columns: Vec<String>,
        using_index: Option<String>,
        nulls: bool,
    },
    Primary {
        columns: Vec<String>,
        using_index: Option<String>,
    },
    /// `keys` is empty where it is the other table's primary key. `then` is what is
    /// said after it, e.g. `ON DELETE CASCADE`.
    Foreign {
        columns: Vec<String>,
        to: Name,
        keys: Vec<String>,
        then: String,
    },
    Exclude,
    NotNull {
        column: String,
    },
}

/// A constraint as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewConstraint {
    pub(crate) name: Option<String>,
    pub(crate) demand: Demand,
    /// Whether the rows that are there are left alone.
    pub(crate) not_valid: bool,
}

/// A table as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, std::default::Default)]
pub(crate) struct NewTable {
    pub(crate) columns: Vec<NewColumn>,
    pub(crate) constraints: Vec<NewConstraint>,
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
    /// Columns come from elsewhere too: LIKE, INHERITS, PARTITION OF, AS SELECT.
    pub(crate) derived_from: Vec<Name>,
    pub(crate) partition_of: Option<Name>,
    pub(crate) partitioned: bool,
    pub(crate) from_query: bool,
}

/// How many rows a statement touches, as far as it can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// None at all, or one that is true of every row.
    None,
    /// Only that these columns are null.
    Nulls(Vec<String>),
    /// Something else.
    Some,
}

/// Which part of a table's storage changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Tablespace,
    Logged,
    Unlogged,
    AccessMethod,
}

/// A lock on a table, weakest first (PostgreSQL, "Explicit Locking").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

impl Mode {
    /// As SQL says it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// Whether writers wait for it.
    pub(crate) fn stops_writes(self) -> bool {
        self >= Self::Share
    }

    /// Whether readers wait for it.
    pub(crate) fn stops_reads(self) -> bool {
        self == Self::AccessExclusive
    }
}

/// One thing that a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    CreateTable {
        name: Name,
        table: Box<NewTable>,
    },
    DropRelation {
        name: Name,
        kind: Kind,
        if_exists: bool,
    },
    RenameRelation {
        name: Name,
        kind: Kind,
        to: Name,
    },
    AddColumn {
        table: Name,
        column: Box<NewColumn>,
        if_not_exists: bool,
    },
    DropColumn {
        table: Name,
        column: String,
        if_exists: bool,
        cascade: bool,
    },
    RenameColumn {
        table: Name,
        column: String,
        to: String,
    },
    SetType {
        table: Name,
        column: String,
        to: SqlType,
        using: Option<String>,
    },
    SetDefault {
        table: Name,
        column: String,
        default: Default,
    },
    DropDefault {
        table: Name,
        column: String,
    },
    SetNotNull {
        table: Name,
        column: String,
    },
    DropNotNull {
        table: Name,
        column: String,
    },
    AddIdentity {
        table: Name,
        column: String,
        always: bool,
    },
    /// `SET GENERATED`.
    SetIdentity {
        table: Name,
        column: String,
        always: bool,
    },
    /// Neither numbered nor computed any more.
    DropGenerated {
        table: Name,
        column: String,
    },
    AddConstraint {
        table: Name,
        constraint: NewConstraint,
    },
    DropConstraint {
        table: Name,
        name: String,
    },
    ValidateConstraint {
        table: Name,
        name: String,
    },
    RenameConstraint {
        table: Name,
        name: String,
        to: String,
    },
    CreateIndex {
        name: Option<Name>,
        table: Name,
        columns: Vec<String>,
        unique: bool,
        /// After `WHERE`.
        filter: Option<String>,
        /// Whether two nulls are the same.
        nulls: bool,
        concurrently: bool,
        if_not_exists: bool,
    },
    DropIndex {
        name: Name,
        concurrently: bool,
    },
    RenameIndex {
        name: Name,
        to: String,
    },
    Reindex {
        index: Option<Name>,
        table: Option<Name>,
        concurrently: bool,
    },
    AttachPartition {
        table: Name,
        partition: Name,
        default: bool,
    },
    DetachPartition {
        table: Name,
        partition: Name,
        concurrently: bool,
    },
    SetStorage {
        table: Name,
        storage: Storage,
    },
    Cluster {
        table: Option<Name>,
    },
    VacuumFull {
        table: Option<Name>,
    },
    Lock {
        tables: Vec<Name>,
        mode: Mode,
    },
    Refresh {
        view: Name,
        concurrently: bool,
    },
    Truncate {
        tables: Vec<Name>,
        cascade: bool,
    },
    /// What changes neither columns nor rows, and locks the table all the same.
    AlterOther {
        table: Name,
        mode: Mode,
    },
    Update {
        table: Name,
        filter: Filter,
        joined: bool,
    },
    Delete {
        table: Name,
        filter: Filter,
        joined: bool,
    },
    /// `from` is what is read; nothing for VALUES.
    Insert {
        table: Name,
        from: Vec<Name>,
        narrowed: bool,
    },
    CreateEnum {
        name: Name,
        values: Vec<String>,
    },
    AddValue {
        name: Name,
        value: String,
    },
    RenameValue {
        name: Name,
        from: String,
        to: String,
    },
    DropType {
        name: Name,
    },
    RenameType {
        name: Name,
        to: String,
    },
    ChangeComposite {
        name: Name,
    },
    AddDomainConstraint {
        name: Name,
        not_valid: bool,
    },
    CreateSequence {
        name: Name,
        bits: u8,
    },
    SetSequenceType {
        name: Name,
        bits: u8,
    },
    DropSequence {
        name: Name,
    },
    /// `text` is the query, `sources` what it reads.
    CreateView {
        name: Name,
        kind: Kind,
        replace: bool,
        text: String,
        sources: Vec<Name>,
    },
    CreateTrigger {
        table: Name,
        name: String,
        text: String,
    },
    /// SQLite names no table.
    DropNamedTrigger {
        name: String,
    },
    DropTrigger {
        table: Name,
        name: String,
    },
    DisableTrigger {
        table: Name,
        name: String,
    },
    EnableTrigger {
        table: Name,
        name: String,
    },
    CreateFunction {
        name: Name,
        volatile: bool,
    },
    DropFunction {
        name: Name,
    },
    DropSchema {
        name: String,
    },
    Begin,
    Commit,
    Rollback,
    /// `SET name = value`; `off` where the value switches a time-out off.
    Setting {
        name: String,
        off: bool,
    },
    /// Cannot run in a transaction: ALTER SYSTEM, CREATE DATABASE, VACUUM.
    Alone {
        what: &'static str,
    },
    /// Understood, and nothing to be said about it.
    Other,
}
