//! When a request is sent again, and how long before that.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};

/// Bounds on sending again. Only requests are sent again that are idempotent,
/// or whose effect is looked up first.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Tries in all, the first one included; at least one.
    pub attempts: u32,
    /// The wait before the second try; doubled for each one after it.
    pub first_delay: Duration,
    /// The longest wait of our own choosing.
    pub longest_delay: Duration,
    /// The longest wait a registry can ask for with `Retry-After`. One that
    /// asks for more is given up at once, and the wish is told.
    pub longest_retry_after: Duration,
    /// After this long no new try begins.
    pub total: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(8),
            longest_retry_after: Duration::from_secs(60),
            total: Duration::from_secs(120),
        }
    }
}

/// The tries of one request so far.
#[derive(Debug)]
pub(super) struct Tries {
    policy: Policy,
    made: u32,
    began: tokio::time::Instant,
}

impl Tries {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, made: 0, began: tokio::time::Instant::now() }
    }

    /// Tries that ended, for messages.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Progress was made (bytes arrived): the count of failures in a row starts
    /// again. The caller bounds the whole by other means (a blob has a size).
    pub(super) fn progressed(&mut self) {
        self.made = 0;
        self.began = tokio::time::Instant::now();
    }

    /// Counts a failed try; the wait before the next one, or `None` when it
    /// was the last.
    pub(super) fn next_delay(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        self.made += 1;
        if self.made >= self.policy.attempts {
            return None;
        }
        let delay = match retry_after {
            Some(wish) if wish > self.policy.longest_retry_after => return None,
            // A little over the wish, so that many clients do not come back together.
            Some(wish) => wish + jitter(self.policy.first_delay),
            None => {
                let doubled = self.policy.first_delay.saturating_mul(1 << (self.made - 1).min(20));
                let ceiling = doubled.min(self.policy.longest_delay);
                ceiling / 2 + jitter(ceiling / 2)
            }
        };
        (self.began.elapsed() + delay <= self.policy.total).then_some(delay)
    }
}

/// A random share of `most`.
fn jitter(most: Duration) -> Duration {
    most.mul_f64(fastrand::f64())
}

/// Whether an answer says "not now" rather than "no".
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), measured from
/// `now`. A date in the past is no wait; nonsense is no wish.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wish(text: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        // 2026-11-22T12:00:00Z
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(wish("7"), Some(Duration::from_secs(7)));
        assert_eq!(wish("Sun, 22 Nov 2026 12:00:30 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(wish("Sun, 22 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wish("soon"), None);
        assert_eq!(wish("-3"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_are_jittered_and_end() {
        let policy = Policy { attempts: 6, ..Policy::default() };
        let mut tries = Tries::new(policy);
        let mut ceiling = policy.first_delay;
        for _ in 0..5 {
            let delay = tries.next_delay(None).unwrap();
            assert!(delay >= ceiling / 2 && delay <= ceiling, "{delay:?} of {ceiling:?}");
            ceiling = (ceiling * 2).min(policy.longest_delay);
        }
        assert_eq!(tries.next_delay(None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_kept_within_bounds_and_within_the_total() {
        let policy = Policy { total: Duration::from_secs(100), ..Policy::default() };
        let mut tries = Tries::new(policy);
        assert!(tries.next_delay(Some(Duration::from_secs(30))).unwrap() >= Duration::from_secs(30));
        assert_eq!(tries.next_delay(Some(Duration::from_secs(3600))), None);
        let mut tries = Tries::new(policy);
        tokio::time::advance(Duration::from_secs(99)).await;
        assert_eq!(tries.next_delay(Some(Duration::from_secs(30))), None);
    }
}
