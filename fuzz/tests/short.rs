//! A short run of every target: it ends, and finds nothing.
//!
//! What a longer run found is kept as a test beside the code that was mended,
//! and as a seed here.

use std::time::Duration;

use plimsoll_fuzz::{Bounds, TARGETS, fuzz};

/// Time enough for the seeds and some hundred mutations, on a slow machine
/// without optimisation; what is slow there is not slow.
fn bounds() -> Bounds {
    let longest = Duration::from_secs(20);
    Bounds { time: Duration::from_millis(700), longest, ..Bounds::default() }
}

#[test]
fn every_target_survives_a_short_run() {
    let mut found = Vec::new();
    for target in TARGETS {
        let report = fuzz(target, 1, &bounds());
        if let Some(failure) = report.failure {
            found.push((target.name, failure.why, String::from_utf8_lossy(&failure.input).into_owned()));
        } else {
            assert!(report.executions > 1 && report.ways > 1, "{}: {report:?}", target.name);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
