//! What a failure of a batch means for the next attempt.

use std::time::Duration;

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Locks: lock time-out, deadlock, serialization failure, busy.
    Contention,
    /// The statement took longer than it may.
    TooLong,
    /// A row does not go through the statement: a value, or a constraint.
    Row,
    /// The connection is gone; nobody knows what became of the batch.
    Lost,
    /// No space is left.
    Full,
    /// The table, or a column of it, is not there any more.
    Gone,
    /// Whatever else.
    Other,
}

/// A batch that did not come off.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// What the database says.
    pub(crate) message: String,
    /// SQLSTATE, or SQLite's code.
    pub(crate) state: String,
}

impl Fault {
    pub(crate) fn new(kind: Kind, state: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), state: state.into() }
    }

    /// From an SQLSTATE (PostgreSQL, appendix A).
    pub(crate) fn of_state(state: &str, message: &str) -> Self {
        let kind = match state {
            "55P03" | "40P01" | "40001" => Kind::Contention,
            "57014" => Kind::TooLong,
            "53100" => Kind::Full,
            "42P01" | "42703" | "3F000" => Kind::Gone,
            "53300" => Kind::Lost,
            _ if state.starts_with("08") || state.starts_with("57P") => Kind::Lost,
            // 23: constraints. 22: data. P0: raised by a trigger.
            _ if state.starts_with("22") || state.starts_with("23") || state == "P0001" => Kind::Row,
            _ => Kind::Other,
        };
        Self::new(kind, state, message)
    }

    /// `deadlock detected (SQLSTATE 40P01)`.
    pub(crate) fn words(&self) -> String {
        format!("{} ({})", self.message, self.state)
    }
}

/// What to do after a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Next {
    /// Half of the rows, after a while.
    Smaller(Duration),
    /// A new connection, after a while.
    Reconnect(Duration),
    /// Nothing helps.
    Stop,
}

/// How often a batch is tried again.
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    attempts: u32,
    most: u32,
}

/// The first wait, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

impl Retry {
    pub(crate) fn new(most: u32) -> Self {
        Self { attempts: 0, most }
    }

    /// A batch came off.
    pub(crate) fn worked(&mut self) {
        self.attempts = 0;
    }

    /// How many attempts in a row failed.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What a fault asks for; `rows` is what the batch had, `random` between 0 and 1.
    pub(crate) fn after(&mut self, kind: Kind, rows: u64, random: f64) -> Next {
        // Halving down to the row that does not go through is no repetition.
        if kind == Kind::Row {
            return if rows > 1 { Next::Smaller(Duration::ZERO) } else { Next::Stop };
        }
        if matches!(kind, Kind::Full | Kind::Gone | Kind::Other) || self.attempts >= self.most {
            return Next::Stop;
        }
        self.attempts += 1;
        let doubled = WAITS.0.saturating_mul(1 << (self.attempts - 1).min(10)).min(WAITS.1);
        // Between half and the whole: two that collided do not meet again.
        let wait = doubled.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        match kind {
            Kind::Lost => Next::Reconnect(wait),
            _ => Next::Smaller(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        for (state, kind) in [
            ("55P03", Kind::Contention),
            ("40P01", Kind::Contention),
            ("40001", Kind::Contention),
            ("57014", Kind::TooLong),
            ("57P01", Kind::Lost),
            ("08006", Kind::Lost),
            ("53300", Kind::Lost),
            ("53100", Kind::Full),
            ("42P01", Kind::Gone),
            ("22012", Kind::Row),
            ("23505", Kind::Row),
            ("42501", Kind::Other),
        ] {
            assert_eq!(Fault::of_state(state, "").kind, kind, "{state}");
        }
    }

    #[test]
    fn waits_grow_and_end() {
        let mut retry = Retry::new(9);
        let waits: Vec<Next> = (0..10).map(|_| retry.after(Kind::Contention, 100, 1.0)).collect();
        assert_eq!(waits[0], Next::Smaller(Duration::from_millis(100)));
        assert_eq!(waits[3], Next::Smaller(Duration::from_millis(800)));
        assert_eq!(waits[8], Next::Smaller(Duration::from_secs(10)));
        assert_eq!(waits[9], Next::Stop);
        retry.worked();
        assert_eq!(retry.after(Kind::Lost, 1, 0.0), Next::Reconnect(Duration::from_millis(50)));
    }

    #[test]
    fn a_row_is_searched_for_and_then_it_stops() {
        let mut retry = Retry::new(3);
        assert_eq!(retry.after(Kind::Row, 100, 0.5), Next::Smaller(Duration::ZERO));
        assert_eq!(retry.after(Kind::Row, 1, 0.5), Next::Stop);
        assert_eq!(retry.after(Kind::Full, 100, 0.5), Next::Stop);
        assert_eq!(retry.attempts(), 0);
    }
}
