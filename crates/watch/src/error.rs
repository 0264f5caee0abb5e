//! What can be wrong before a watch begins. What goes wrong while it looks is
//! a reason in what it found, not an error.

use std::io;
use std::net::SocketAddr;

use plimsoll_model::{Class, Diagnose, Page};

use crate::selector::SyntaxError;

/// Why a watch cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A selector cannot be read.
    #[error("metric `{metric}` has a selector that cannot be read")]
    Selector {
        /// The metric.
        metric: String,
        /// What is wrong, and where.
        #[source]
        source: SyntaxError,
    },
    /// The options of a metric contradict each other.
    #[error("metric `{metric}` cannot be judged as it is declared: {reason}")]
    Declaration {
        /// The metric.
        metric: String,
        /// Which options, and why.
        reason: String,
    },
    /// The Prometheus server refuses an expression.
    #[error("the Prometheus server at {server} refuses the expression of metric `{metric}`")]
    Expression {
        /// The server.
        server: String,
        /// The metric.
        metric: String,
        /// The expression.
        expression: String,
        /// What the server said.
        reason: String,
    },
    /// The Prometheus server does not answer, or not as one.
    #[error("the Prometheus server at {server} cannot be asked: {reason}")]
    Server {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// The OTLP receiver cannot listen.
    #[error("traces cannot be received on {listen}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for WatchError {
    fn class(&self) -> Class {
        match self {
            Self::Selector { .. } | Self::Declaration { .. } | Self::Expression { .. } => Class::Usage,
            Self::Server { .. } => Class::Outside,
            Self::Listen { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Selector { .. } => "WCH-010",
            Self::Declaration { .. } => "WCH-011",
            Self::Expression { .. } => "WCH-012",
            Self::Server { .. } => "WCH-013",
            Self::Listen { .. } => "WCH-014",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Selector { .. } => Some("name{label=\"value\", other=~\"expression\"}".into()),
            Self::Expression { .. } => Some("an expression of PromQL that gives an instant vector".into()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Expression { expression, reason, .. } => Some(format!("{expression}: {reason}")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Selector { .. } | Self::Declaration { .. } => {
                "nothing was touched. Correct the metric in `[[environments.NAME.watch.metrics]]` of plimsoll.toml"
            }
            Self::Expression { .. } => {
                "nothing was touched. Try the expression in the server's own page, and correct it in plimsoll.toml"
            }
            Self::Server { .. } => {
                "nothing was touched. Check the address with `curl SERVER/-/ready`, or deploy without this source"
            }
            Self::Listen { .. } => {
                "nothing was touched. `ss -ltnp` lists who listens there; choose another address"
            }
        };
        Some(hint.into())
    }
}

/// `plimsoll explain` for each code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: "WCH-010",
        name: "watch-selector",
        what: "A `query` or `of` is not a selector of series: a metric's name, and matchers `=`, `!=`, `=~`, `!~` in \
               braces. It is read from the replicas' own metrics, so functions of PromQL are not available.",
        why: "A selector that is understood otherwise than it was meant watches something else, or nothing.",
        how: "Write `payout_attempts_total{result=\"failed\"}`. Rates, sums and sides are computed by the watch: \
              declare the counter itself, and its denominator as `of`.",
    },
    Page {
        code: "WCH-011",
        name: "watch-declaration",
        what: "A metric's options contradict each other: a histogram with a denominator, a quantile outside of 0 to \
               1, a limit for a metric of which less is worse.",
        why: "Each metric is judged by one question, which has to be clear before anything moves.",
        how: "The message names the options. docs/watch.md shows one example of each kind.",
    },
    Page {
        code: "WCH-012",
        name: "watch-expression",
        what: "The Prometheus server was asked before anything moved and refuses an expression, or it does not give \
               an instant vector of counters.",
        why: "An expression that fails later would leave the release unwatched.",
        how: "Try it on the server's page. The expression gives counters by release, without `rate` or `increase`: \
              the watch does that for both releases over the same windows.",
    },
    Page {
        code: "WCH-013",
        name: "watch-server",
        what: "The Prometheus server did not answer within the time limit, refused the request, or answered \
               something else than its API.",
        why: "A backend that is down is not a release without errors.",
        how: "Check address and token. While a watch runs, a server that goes away makes the data insufficient, \
              never the release bad.",
    },
    Page {
        code: "WCH-014",
        name: "watch-listen",
        what: "The receiver of traces (OTLP) cannot listen on the address it was given.",
        why: "Spans that are sent there would be lost, and the watch would see no error.",
        how: "Choose another address, or stop the program that has it.",
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_code_has_a_page_and_each_error_a_hint() {
        let text = || "x".to_owned();
        let all = [
            WatchError::Selector { metric: text(), source: crate::Selector::parse("").unwrap_err() },
            WatchError::Declaration { metric: text(), reason: text() },
            WatchError::Expression { server: text(), metric: text(), expression: text(), reason: text() },
            WatchError::Server { server: text(), reason: text() },
            WatchError::Listen { listen: ([127, 0, 0, 1], 1).into(), source: io::Error::other("x") },
        ];
        for error in &all {
            assert!(PAGES.iter().any(|page| page.code == error.code()), "{}", error.code());
            assert!(error.hint().is_some());
        }
        assert_eq!(PAGES.len(), all.len());
    }
}
