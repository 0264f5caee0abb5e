//! Configuration, from the environment over [`crate::defaults`].

use std::time::Duration;

use crate::defaults;

/// What the service runs with.
#[derive(Clone)]
pub struct Config {
    /// `HOST`, default `0.0.0.0`.
    pub host: String,
    /// `PORT`, default 8080; 0 takes a free one.
    pub port: u16,
    /// `PAYER_FAIL_RATIO`.
    pub payer_fail_ratio: f64,
    /// `PAYER_DELAY_MS`: how long a payment takes, at most 10000. Default: 0.
    pub payer_delay: Duration,
    /// `FORTNITE_FAIL_RATIO`.
    pub fortnite_fail_ratio: f64,
    /// `READY_REQUIRES_PAYER`: not ready while the payer refuses everything. Default: false.
    pub ready_requires_payer: bool,
    /// `ADMIN_TOKEN`: bearer token for `/v1/admin`. Default: none is asked for.
    pub admin_token: Option<String>,
    /// `LOG_REQUESTS`: one line for each request, not only for failures. Default: false.
    pub log_requests: bool,
    /// How the service stops.
    pub drain: Drain,
}

/// How the service stops.
#[derive(Clone, Copy)]
pub struct Drain {
    /// `DRAIN_GRACE_MS`: how long it still takes connections, while `/readyz`
    /// already says no. Default: 1000.
    pub grace: Duration,
    /// `DRAIN_TIMEOUT_MS`: how long requests may take after that. Default: 20000.
    pub timeout: Duration,
}

impl Config {
    /// Reads the environment through `get`.
    ///
    /// # Errors
    /// A variable has a value that it cannot have; in words.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let ratio = |name: &str, default: f64| match set(name).map(|text| (text.parse::<f64>(), text)) {
            None => Ok(default),
            Some((Ok(value), _)) if (0.0..=1.0).contains(&value) => Ok(value),
            Some((_, text)) => Err(format!("{name}: expected a number from 0 to 1, found `{text}`")),
        };
        let flag = |name: &str| match set(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(text) => Err(format!("{name}: expected `true` or `false`, found `{text}`")),
        };
        let millis = |name: &str, default: u64, most: u64| match set(name).map(|text| (text.parse(), text)) {
            None => Ok(Duration::from_millis(default)),
            Some((Ok(value), _)) if value <= most => Ok(Duration::from_millis(value)),
            Some((_, text)) => Err(format!("{name}: expected milliseconds from 0 to {most}, found `{text}`")),
        };
        let port = set("PORT").unwrap_or_else(|| "8080".into());
        Ok(Self {
            host: set("HOST").unwrap_or_else(|| "0.0.0.0".into()),
            port: port
                .parse()
                .map_err(|_| format!("PORT: expected a number from 0 to 65535, found `{port}`"))?,
            payer_fail_ratio: ratio("PAYER_FAIL_RATIO", defaults::PAYER_FAIL_RATIO)?,
            payer_delay: millis("PAYER_DELAY_MS", 0, 10_000)?,
            fortnite_fail_ratio: ratio("FORTNITE_FAIL_RATIO", defaults::FORTNITE_FAIL_RATIO)?,
            ready_requires_payer: flag("READY_REQUIRES_PAYER")?,
            admin_token: set("ADMIN_TOKEN"),
            log_requests: flag("LOG_REQUESTS")?,
            drain: Drain {
                grace: millis("DRAIN_GRACE_MS", 1_000, 60_000)?,
                timeout: millis("DRAIN_TIMEOUT_MS", 20_000, 600_000)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_refusals() {
        let config = Config::from_env(&|_| None).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((config.host.as_str(), config.port), ("0.0.0.0", 8080));
        let error = |name: &'static str, value: &'static str| {
            Config::from_env(&|asked| (asked == name).then(|| value.into())).err().expect(name)
        };
        assert_eq!(
            error("PAYER_FAIL_RATIO", "2"),
            "PAYER_FAIL_RATIO: expected a number from 0 to 1, found `2`"
        );
        assert_eq!(
            error("PAYER_FAIL_RATIO", "NaN"),
            "PAYER_FAIL_RATIO: expected a number from 0 to 1, found `NaN`"
        );
        assert_eq!(error("PORT", "http"), "PORT: expected a number from 0 to 65535, found `http`");
        assert_eq!(error("LOG_REQUESTS", "1"), "LOG_REQUESTS: expected `true` or `false`, found `1`");
        assert_eq!(
            error("PAYER_DELAY_MS", "10001"),
            "PAYER_DELAY_MS: expected milliseconds from 0 to 10000, found `10001`"
        );
    }
}
