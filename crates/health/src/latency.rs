//! Histograms: from buckets to how many observations took too long, so that
//! the test of counts judges latency, too.

use crate::{Count, Latency};

/// Bounds of one histogram at most.
const MAX_BOUNDS: usize = 256;

/// How many observations were at most each bound: cumulative, as Prometheus'
/// histograms are; the bound of the last one is infinite. Sorted by bound.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    pub(crate) fn add(&mut self, bound: f64, count: f64) {
        match self.0.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => self.0[at].1 += count,
            Err(at) if self.0.len() < MAX_BOUNDS => self.0.insert(at, (bound, count)),
            Err(_) => {}
        }
    }

    pub(crate) fn merge(&mut self, more: &Buckets) {
        for (bound, count) in &more.0 {
            self.add(*bound, *count);
        }
    }

    fn total(&self) -> Option<f64> {
        self.0.last().filter(|(bound, _)| *bound == f64::INFINITY).map(|(_, count)| *count)
    }

    /// Observations above a bound that the histogram has, of all.
    pub(crate) fn above(&self, bound: f64) -> Option<Count> {
        let total = self.total()?;
        let (_, within) = self.0.iter().find(|(known, _)| *known == bound)?;
        Some(Count { events: (total - within).max(0.0), exposure: total })
    }

    /// The bound to compare by in a window: what is here is what the old
    /// release did before it, `now` what it does in it. A quantile rests on
    /// the former alone, so that chance cannot choose the bound.
    pub(crate) fn bound(&self, latency: &Latency, now: &Buckets) -> Option<f64> {
        match latency {
            Latency::Above(limit) => {
                let known = if now.0.is_empty() { self } else { now };
                known.0.iter().map(|(bound, _)| *bound).find(|bound| bound >= limit && bound.is_finite())
            }
            Latency::Quantile(quantile) => {
                let total = self.total().filter(|total| *total > 0.0)?;
                let (bound, _) = self.0.iter().find(|(_, within)| *within >= quantile * total)?;
                // Above infinity there is nothing; the largest bound is next.
                let largest = self.0.iter().rev().map(|(bound, _)| *bound).find(|bound| bound.is_finite());
                if bound.is_finite() { Some(*bound) } else { largest }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn buckets(counts: [f64; 4]) -> Buckets {
        let mut made = Buckets::default();
        for (bound, count) in [f64::INFINITY, 0.1, 0.5, 1.0].into_iter().zip(counts) {
            made.add(bound, count);
        }
        made
    }

    #[test]
    fn observations_above_a_bound_are_events() {
        let made = buckets([100.0, 80.0, 95.0, 99.0]);
        let count = |bound| made.above(bound).unwrap();
        assert_eq!(count(0.5), Count { events: 5.0, exposure: 100.0 });
        assert_eq!(count(f64::INFINITY).events, 0.0);
        assert!(made.above(0.7).is_none());
        assert!(Buckets::default().above(0.5).is_none());
    }

    #[test]
    fn a_limit_between_bounds_takes_the_next_higher_one() {
        let (made, none) = (buckets([100.0, 80.0, 95.0, 99.0]), Buckets::default());
        let bound = |latency: &Latency| none.bound(latency, &made);
        assert_eq!(bound(&Latency::Above(0.5)), Some(0.5));
        assert_eq!(bound(&Latency::Above(0.3)), Some(0.5));
        assert_eq!(bound(&Latency::Above(7.0)), None);
    }

    #[test]
    fn a_quantile_rests_on_what_was_before() {
        let (made, none) = (buckets([100.0, 80.0, 95.0, 98.0]), Buckets::default());
        let bound = |q| made.bound(&Latency::Quantile(q), &none);
        assert_eq!(
            (bound(0.5), bound(0.9), bound(0.96), bound(0.999)),
            (Some(0.1), Some(0.5), Some(1.0), Some(1.0))
        );
        assert_eq!(none.bound(&Latency::Quantile(0.5), &made), None);
    }
}
