//! Durations against the targets (OBS-4).

use std::ops::ControlFlow;

use serde::Serialize;

use crate::store::Query;
use crate::{Error, Ledger};

/// Target of a build's p95, in seconds.
pub const BUILD_TARGET_SEC: f64 = 600.0;
/// Target of a deployment's p95, in seconds.
pub const DEPLOY_TARGET_SEC: f64 = 300.0;
/// Target of a rollback's p95, in seconds.
pub const ROLLBACK_TARGET_SEC: f64 = 120.0;

/// How long something took, over all that ended well.
///
/// Percentiles are nearest-rank: the smallest recorded value such that at least
/// that share of all values is not above it. No value is made up between two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Durations {
    /// How many ended well.
    pub count: u64,
    /// How many were begun and ended otherwise (refusals do not count).
    pub failed: u64,
    /// Median.
    pub p50_sec: Option<f64>,
    /// Ninety-fifth percentile.
    pub p95_sec: Option<f64>,
    /// Longest.
    pub max_sec: Option<f64>,
    /// What p95 should stay under.
    pub target_sec: f64,
    /// Whether it does; `None` where nothing was recorded.
    pub within_target: Option<bool>,
}

/// The three durations that have targets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Builds.
    pub build: Durations,
    /// Deployments.
    pub deploy: Durations,
    /// Rollbacks.
    pub rollback: Durations,
}

/// Nearest-rank percentile of sorted values.
pub fn nearest_rank(sorted: &[f64], percent: u32) -> Option<f64> {
    let rank = (sorted.len() as u64 * u64::from(percent)).div_ceil(100).max(1);
    sorted.get(usize::try_from(rank - 1).ok()?).copied()
}

fn durations(mut seconds: Vec<f64>, failed: u64, target_sec: f64) -> Durations {
    seconds.sort_by(f64::total_cmp);
    let p95_sec = nearest_rank(&seconds, 95);
    Durations {
        count: seconds.len() as u64,
        failed,
        p50_sec: nearest_rank(&seconds, 50),
        p95_sec,
        max_sec: seconds.last().copied(),
        target_sec,
        within_target: p95_sec.map(|p95| p95 < target_sec),
    }
}

impl Ledger {
    /// p50, p95 and maximum of builds, deployments and rollbacks; of rollouts
    /// in one environment only, where one is named.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`.
    pub fn stats(&self, environment: Option<&str>) -> Result<Stats, Error> {
        let of = |kinds: Vec<&'static str>, environment: Option<&str>| Query {
            kinds,
            environment: environment.map(Into::into),
            without_body: true,
            ..Query::default()
        };
        let (mut build, mut build_failed) = (Vec::new(), 0);
        self.scan(&of(vec!["build.finished", "build.failed"], None), &mut |row| {
            match row.projection.duration_sec {
                Some(seconds) if row.kind == "build.finished" => build.push(seconds),
                _ => build_failed += 1,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let (mut deploy, mut deploy_failed) = (Vec::new(), 0);
        let (mut rollback, mut rollback_failed) = (Vec::new(), 0);
        self.scan(&of(vec!["rollout.finished"], environment), &mut |row| {
            let p = row.projection;
            let (ended, failed) = match p.direction.as_deref() {
                Some("rollback") => (&mut rollback, &mut rollback_failed),
                _ => (&mut deploy, &mut deploy_failed),
            };
            match (p.outcome.as_deref(), p.duration_sec) {
                (Some("succeeded"), Some(seconds)) => ended.push(seconds),
                (Some("failed" | "rolled_back"), _) => *failed += 1,
                _ => {}
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Stats {
            build: durations(build, build_failed, BUILD_TARGET_SEC),
            deploy: durations(deploy, deploy_failed, DEPLOY_TARGET_SEC),
            rollback: durations(rollback, rollback_failed, ROLLBACK_TARGET_SEC),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The textbook example of the nearest-rank method, and its edges.
    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [15.0, 20.0, 35.0, 40.0, 50.0];
        for (percent, expected) in [(5, 15.0), (30, 20.0), (40, 20.0), (50, 35.0), (95, 50.0), (100, 50.0)] {
            assert_eq!(nearest_rank(&values, percent), Some(expected), "{percent}");
        }
        assert_eq!(nearest_rank(&[], 50), None);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(nearest_rank(&hundred, 95), Some(95.0));
    }
}
