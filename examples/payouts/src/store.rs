//! The tables of `migrations/`, in memory.
//!
//! This sample has to build and run with nothing beside it, so what it stores
//! ends with the process. Each table keeps its newest rows.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::clock;
use crate::json::Value;

/// A row of `accruals`: kills of a player, and what they earned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accrual {
    /// Primary key, from 1.
    pub id: u64,
    /// Whose.
    pub player: String,
    /// At least 1.
    pub kills: u64,
    /// What they earned.
    pub amount_cents: u64,
    /// The payout that pays it.
    pub payout_id: Option<u64>,
    /// RFC 3339.
    pub created_at: String,
}

/// A row of `payouts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// Primary key, from 1.
    pub id: u64,
    /// To whom.
    pub player: String,
    /// Sum of its accruals.
    pub amount_cents: u64,
    /// Where it stands.
    pub status: Status,
    /// How often it was attempted, from 1.
    pub attempts: u64,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The payer is being asked.
    Pending,
    /// Paid; never attempted again.
    Paid,
    /// Refused; may be retried.
    Failed,
}

impl Status {
    /// As the table holds it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Failed => "failed",
        }
    }
}

impl From<&Accrual> for Value {
    fn from(row: &Accrual) -> Self {
        Value::object([
            ("id", row.id.into()),
            ("player", row.player.as_str().into()),
            ("kills", row.kills.into()),
            ("amount_cents", row.amount_cents.into()),
            ("payout_id", row.payout_id.into()),
            ("created_at", row.created_at.as_str().into()),
        ])
    }
}

impl From<&Payout> for Value {
    fn from(row: &Payout) -> Self {
        Value::object([
            ("id", row.id.into()),
            ("player", row.player.as_str().into()),
            ("amount_cents", row.amount_cents.into()),
            ("status", row.status.as_str().into()),
            ("attempts", row.attempts.into()),
            ("failure", row.failure.as_deref().into()),
            ("created_at", row.created_at.as_str().into()),
        ])
    }
}

/// Rows by ascending id; the oldest go when there are too many.
#[derive(Debug)]
struct Rows<T> {
    rows: VecDeque<T>,
    last: u64,
    most: usize,
}

impl<T> Rows<T> {
    fn new(most: usize) -> Self {
        Self { rows: VecDeque::new(), last: 0, most }
    }

    fn insert(&mut self, row: impl FnOnce(u64) -> T) -> &T {
        self.last += 1;
        if self.rows.len() >= self.most {
            self.rows.pop_front();
        }
        self.rows.push_back(row(self.last));
        &self.rows[self.rows.len() - 1]
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let first = self.last - self.rows.len() as u64 + 1;
        let index = usize::try_from(id.checked_sub(first)?).ok()?;
        self.rows.get_mut(index)
    }
}

/// Why a payout cannot be attempted.
#[derive(Debug, PartialEq, Eq)]
pub enum NotNow {
    /// There is no such payout, or it is too old to be remembered.
    Unknown,
    /// It is paid, or being attempted.
    Status(Status),
}

/// Both tables.
#[derive(Debug)]
pub struct Store {
    accruals: Rows<Accrual>,
    payouts: Rows<Payout>,
}

impl Store {
    /// Empty tables that keep `most` rows each, at least one.
    pub fn new(most: usize) -> Self {
        Self { accruals: Rows::new(most.max(1)), payouts: Rows::new(most.max(1)) }
    }

    /// Adds a row to `accruals`.
    pub fn accrue(&mut self, player: &str, kills: u64, amount_cents: u64) -> Accrual {
        let created_at = clock::rfc3339(SystemTime::now());
        let row =
            |id| Accrual { id, player: player.into(), kills, amount_cents, payout_id: None, created_at };
        self.accruals.insert(row).clone()
    }

    /// Gathers what a player has earned and not been paid into a payout that
    /// is [`Status::Pending`]; `None` where that is nothing.
    pub fn begin(&mut self, player: &str) -> Option<Payout> {
        let open = |row: &&mut Accrual| row.player == player && row.payout_id.is_none();
        let mut rows: Vec<_> = self.accruals.rows.iter_mut().filter(open).collect();
        let amount_cents = rows.iter().map(|row| row.amount_cents).sum();
        if rows.is_empty() {
            return None;
        }
        let payout = self.payouts.insert(|id| Payout {
            id,
            player: player.into(),
            amount_cents,
            status: Status::Pending,
            attempts: 1,
            failure: None,
            created_at: clock::rfc3339(SystemTime::now()),
        });
        rows.iter_mut().for_each(|row| row.payout_id = Some(payout.id));
        Some(payout.clone())
    }

    /// Makes a failed payout [`Status::Pending`] again.
    ///
    /// # Errors
    /// It is not a failed one: nothing is paid twice.
    pub fn begin_again(&mut self, id: u64) -> Result<Payout, NotNow> {
        let payout = self.payouts.get_mut(id).ok_or(NotNow::Unknown)?;
        match payout.status {
            Status::Failed => {
                payout.status = Status::Pending;
                payout.attempts += 1;
                Ok(payout.clone())
            }
            status => Err(NotNow::Status(status)),
        }
    }

    /// Writes down how an attempt ended, and gives the row as it is now.
    pub fn settle(&mut self, mut payout: Payout, failure: Option<&str>) -> Payout {
        payout.status = if failure.is_none() { Status::Paid } else { Status::Failed };
        payout.failure = failure.map(str::to_owned);
        if let Some(row) = self.payouts.get_mut(payout.id) {
            row.clone_from(&payout);
        }
        payout
    }

    /// The newest accruals first, perhaps of one player.
    pub fn accruals(&self, player: Option<&str>, limit: usize) -> Vec<&Accrual> {
        let wanted = |row: &&Accrual| player.is_none_or(|player| row.player == player);
        self.accruals.rows.iter().rev().filter(wanted).take(limit).collect()
    }

    /// The newest payouts first, perhaps of one player.
    pub fn payouts(&self, player: Option<&str>, limit: usize) -> Vec<&Payout> {
        let wanted = |row: &&Payout| player.is_none_or(|player| row.player == player);
        self.payouts.rows.iter().rev().filter(wanted).take(limit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payout_takes_what_is_open_once() {
        let mut store = Store::new(10);
        store.accrue("ada", 2, 10);
        store.accrue("bob", 1, 5);
        store.accrue("ada", 1, 5);
        assert_eq!(store.begin("eve"), None);
        let payout = store.begin("ada").expect("two accruals are open");
        assert_eq!((payout.amount_cents, payout.status), (15, Status::Pending));
        assert_eq!(store.begin("ada"), None, "they belong to the first payout");
        assert_eq!(store.begin_again(payout.id), Err(NotNow::Status(Status::Pending)));
        let failed = store.settle(payout, Some("refused"));
        assert_eq!((failed.status, failed.failure.as_deref()), (Status::Failed, Some("refused")));
        let again = store.begin_again(failed.id).expect("it failed");
        assert_eq!((again.amount_cents, again.attempts), (15, 2));
        let paid = store.settle(again, None);
        assert_eq!((paid.status, paid.failure.as_deref()), (Status::Paid, None));
        assert_eq!(store.begin_again(paid.id), Err(NotNow::Status(Status::Paid)));
        assert_eq!(store.begin_again(99), Err(NotNow::Unknown));
        assert_eq!(store.begin_again(0), Err(NotNow::Unknown));
    }

    #[test]
    fn the_oldest_rows_go() {
        let mut store = Store::new(3);
        for kills in 1..=5 {
            store.accrue("ada", kills, kills);
            let payout = store.begin("ada").expect("one is open");
            store.settle(payout, Some("refused"));
        }
        let ids = |rows: Vec<&Payout>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids(store.payouts(None, 10)), [5, 4, 3]);
        assert_eq!(ids(store.payouts(None, 1)), [5]);
        assert_eq!(store.accruals(Some("ada"), 10).len(), 3);
        assert_eq!(store.begin_again(2), Err(NotNow::Unknown));
        assert_eq!(store.begin_again(3).map(|payout| payout.amount_cents), Ok(3));
    }

    /// The migrations and these types are one schema.
    #[test]
    fn rows_have_the_columns_of_the_migrations() {
        let sql = [
            include_str!("../migrations/0001_init.sql"),
            include_str!("../migrations/0002_payout_attempts.sql"),
            include_str!("../migrations/0003_payout_failure.sql"),
        ];
        let columns = |table: &str| {
            let mut names = Vec::new();
            let mut inside = false;
            for line in sql.iter().flat_map(|sql| sql.lines()) {
                let words: Vec<_> = line.split_whitespace().collect();
                match words.as_slice() {
                    ["CREATE", "TABLE", name, "("] => inside = *name == table,
                    [");"] => inside = false,
                    ["ALTER", "TABLE", name, "ADD", "COLUMN", column, ..] if *name == table => {
                        names.push(*column)
                    }
                    [column, ..] if inside => names.push(*column),
                    _ => {}
                }
            }
            names.sort_unstable();
            names
        };
        let members = |value: Value| match value {
            Value::Object(members) => {
                let mut names: Vec<_> = members.into_iter().map(|(name, _)| name).collect();
                names.sort_unstable();
                names
            }
            _ => Vec::new(),
        };
        let mut store = Store::new(1);
        let accrual = store.accrue("ada", 1, 5);
        let payout = store.begin("ada").expect("one is open");
        assert_eq!(members(Value::from(&accrual)), columns("accruals"));
        assert_eq!(members(Value::from(&payout)), columns("payouts"));
    }
}
