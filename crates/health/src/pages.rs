//! `plimsoll explain` for the verdicts of the watch.

use plimsoll_model::Page;

/// The code of a regression.
pub const REGRESSED: &str = "WCH-001";
/// The code of too little data.
pub const INSUFFICIENT_DATA: &str = "WCH-002";

/// `plimsoll explain` for each code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: REGRESSED,
        name: "watch-regressed",
        what: "While both releases served, the new one had more of a declared kind of event per request (or per \
               second) than the old one, or was above a declared limit. The test stays valid however often one \
               looks: a release that is no worse is called regressed with at most the probability alpha, over all \
               metrics together. The difference is also large enough to matter: by default 1.5 times and one \
               request in a thousand.",
        why: "The previous release is known to be better, and every minute costs requests.",
        how: "The previous release serves again. Read the line of the metric: counts of both sides, how many times \
              as often, and from when on. Look at the new release's logs of that time. What was judged is in the \
              ledger; `plimsoll watch replay` judges it again.",
    },
    Page {
        code: INSUFFICIENT_DATA,
        name: "watch-insufficient-data",
        what: "Nobody can tell whether the new release is worse: a series is absent, the metrics cannot be read, \
               both releases never served at the same time, or there was so little traffic that even a tenfold \
               rise would probably not have been seen.",
        why: "No data is neither a pass nor a failure. A watch that passes without having been able to see \
              anything is worth nothing, and one that fails rolls back healthy releases at night.",
        how: "The line says which it is. A selector that matches nothing: compare it with what \
              `curl REPLICA/metrics` shows; labelled counters appear with their first event unless they are \
              initialised with zero. Too little traffic: a longer `bake`, a larger share of the requests for the \
              new release, or a metric that counts more. What happens then is the environment's policy.",
    },
];
