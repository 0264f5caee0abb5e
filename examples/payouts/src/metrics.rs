//! Counters, in the Prometheus text format (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Everything this service counts. All begin at zero with the process.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Failed look-ups of Fortnite statistics.
    pub fortnite_errors: AtomicU64,
    /// Payments that the payer made.
    pub payouts_ok: AtomicU64,
    /// Payments that the payer refused.
    pub payouts_failed: AtomicU64,
    /// Rows of the table `accruals` that were made.
    pub accrual_rows: AtomicU64,
    /// Retries that ended in a payment.
    pub retries_ok: AtomicU64,
    /// Retries that did not.
    pub retries_failed: AtomicU64,
    requests: Mutex<BTreeMap<u16, u64>>,
}

impl Metrics {
    /// Counts an answered request.
    pub fn request(&self, code: u16) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    /// The text that `/metrics` answers.
    pub fn text(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let results = |ok, failed| {
            vec![("result=\"ok\"".to_owned(), of(ok)), ("result=\"failed\"".to_owned(), of(failed))]
        };
        let requests: Vec<_> = {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.iter().map(|(code, count)| (format!("code=\"{code}\""), *count)).collect()
        };
        let families = [
            (
                "fortnite_errors_total",
                "Failed look-ups of Fortnite statistics.",
                vec![(String::new(), of(&self.fortnite_errors))],
            ),
            (
                "payout_attempts_total",
                "Payments attempted, by result.",
                results(&self.payouts_ok, &self.payouts_failed),
            ),
            (
                "accrual_rows_created_total",
                "Accrual rows created.",
                vec![(String::new(), of(&self.accrual_rows))],
            ),
            (
                "admin_payout_retry_total",
                "Payouts retried by an administrator, by result.",
                results(&self.retries_ok, &self.retries_failed),
            ),
            ("http_requests_total", "Requests answered, by status code.", requests),
        ];
        let mut text = String::new();
        for (name, help, samples) in families {
            // Writing to a String cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
            for (labels, count) in samples {
                let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
                let _ = writeln!(text, "{name}{labels} {count}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_from_the_start() {
        let metrics = Metrics::default();
        metrics.request(200);
        assert_eq!(
            metrics.text(),
            "# HELP fortnite_errors_total Failed look-ups of Fortnite statistics.
# TYPE fortnite_errors_total counter
fortnite_errors_total 0
# HELP payout_attempts_total Payments attempted, by result.
# TYPE payout_attempts_total counter
payout_attempts_total{result=\"ok\"} 0
payout_attempts_total{result=\"failed\"} 0
# HELP accrual_rows_created_total Accrual rows created.
# TYPE accrual_rows_created_total counter
accrual_rows_created_total 0
# HELP admin_payout_retry_total Payouts retried by an administrator, by result.
# TYPE admin_payout_retry_total counter
admin_payout_retry_total{result=\"ok\"} 0
admin_payout_retry_total{result=\"failed\"} 0
# HELP http_requests_total Requests answered, by status code.
# TYPE http_requests_total counter
http_requests_total{code=\"200\"} 1
"
        );
    }
}
