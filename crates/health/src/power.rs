//! What could have been seen at all: the probability that a rise of so many
//! times would have been called a regression, by the same test, over the
//! exposure that there was.
//!
//! Simulated, with numbers that are the same on every machine and at every
//! time, since a verdict rests on it and has to come out the same again.

use crate::dispersion::Dispersion;
use crate::likelihood::{Mixture, Split, Terms, estimate};
use crate::{Count, Counted, Window};

/// How often the watch is played through; the probability is known to about
/// three hundredths.
const ROUNDS: u32 = 256;
/// After so many that all end alike, the rest would, too.
const CLEAR: u32 = 64;
/// How many windows at the beginning are played one by one: as long as little is
/// known of bursts, windows count less (see [`crate::dispersion`]).
const SINGLE: usize = 18;
/// Into how many pieces the rest is merged.
const MERGED: usize = 16;

/// What the simulation is made of: where windows can be compared, merged to a
/// few.
#[derive(Debug, Clone)]
pub(crate) struct Course {
    pieces: Vec<Piece>,
    window_sec: u32,
    base: f64,
    /// Independent events per event.
    weight: f64,
    bounded: bool,
    swapped: bool,
}

#[derive(Debug, Clone)]
struct Piece {
    side: Count,
    other: Count,
    share: f64,
    terms: Terms,
    windows: usize,
}

impl Course {
    /// The course of a watch; `factor` is how many events one is worth.
    pub(crate) fn new(counted: &Counted, factor: f64) -> Self {
        let (bounded, swapped) = (counted.metric.bounded(), counted.metric.swapped());
        let compared: Vec<&Window> = counted
            .windows
            .iter()
            .filter(|w| w.side_by_side && w.candidate.exposure > 0.0 && w.stable.exposure > 0.0)
            .collect();
        let (first, rest) = compared.split_at(compared.len().min(SINGLE));
        let size = rest.len().div_ceil(MERGED).max(1);
        let mut events = 0.0;
        let mut exposure = 0.0;
        let pieces = first
            .chunks(1)
            .chain(rest.chunks(size))
            .map(|chunk| {
                let (mut side, mut other) = crate::likelihood::totals(chunk.iter().copied());
                if swapped {
                    std::mem::swap(&mut side, &mut other);
                }
                events += other.events;
                exposure += other.exposure;
                let share = side.exposure / (side.exposure + other.exposure);
                Piece { side, other, share, terms: Terms::of(share), windows: chunk.len() }
            })
            .collect();
        // What the new release is compared with. Half an event more: a rise of
        // nothing is nothing.
        let base = if exposure > 0.0 { (events + 0.5) / exposure } else { 0.0 };
        Self { pieces, window_sec: counted.window_sec, base, weight: 1.0 / factor.max(1.0), bounded, swapped }
    }

    /// The probability that a rise by `ratio` (of a metric that must not fall:
    /// a fall to one part in `ratio`) would have been called regressed.
    pub(crate) fn sees(&self, ratio: f64, threshold: f64, most: f64, least_ratio: f64) -> f64 {
        if self.pieces.is_empty() {
            return 0.0;
        }
        let cap = |rate: f64| if self.bounded { rate.min(1.0) } else { rate };
        // Swapped, the old release is the side that is ahead, at its own rate.
        let (rate, other_rate) = if self.swapped {
            (self.base * ratio.min(1e6), self.base)
        } else {
            (cap(self.base * ratio), cap(self.base))
        };
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut seen = 0;
        let mut splits = Vec::with_capacity(self.pieces.len());
        for round in 0..ROUNDS {
            if round == CLEAR && (seen == 0 || seen == CLEAR) {
                return f64::from(seen) / f64::from(CLEAR);
            }
            let mut mixture = Mixture::from_start();
            let mut dispersion = Dispersion::new(self.window_sec);
            splits.clear();
            for Piece { side, other, share, terms, windows } in &self.pieces {
                let events = random.poisson(side.exposure * rate);
                let total = events + random.poisson(other.exposure * other_rate);
                let (share, exposure) = (*share, side.exposure);
                let weight = match windows {
                    1 => dispersion.weigh(events, total, share).min(self.weight),
                    _ => self.weight,
                };
                mixture.most = most * *windows as f64;
                let split = Split { index: 0, exposure, events, total, share, weight };
                mixture.split_with(&split, terms);
                splits.push(split);
                if mixture.log() >= threshold && estimate(&splits).is_none_or(|e| e >= least_ratio) {
                    seen += 1;
                    break;
                }
            }
        }
        f64::from(seen) / f64::from(ROUNDS)
    }
}

/// Splitmix64 (G. Steele, D. Lea, C. Flood, OOPSLA 2014): written out, since
/// the numbers must never change.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Above 0 and at most 1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// By Knuth's product for small means, by the normal approximation for
    /// others.
    fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 12.0 {
            let radius = (-2.0 * self.unit().ln()).sqrt();
            let normal = radius * (std::f64::consts::TAU * self.unit()).cos();
            return (mean + mean.sqrt() * normal).round().max(0.0);
        }
        let limit = (-mean).exp();
        let mut product = self.unit();
        let mut count = 0.0;
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Metric, Presence};

    fn windows(minutes: u32, per_minute: f64, share: f64) -> Vec<Window> {
        let side = |part: f64| Count { events: 0.005 * per_minute * part, exposure: per_minute * part };
        (0..minutes)
            .map(|index| Window {
                index,
                candidate: side(share),
                stable: side(1.0 - share),
                side_by_side: true,
            })
            .collect()
    }

    fn sees(windows: &[Window], ratio: f64) -> f64 {
        let counted = Counted {
            metric: Metric::new("failures", Kind::Share),
            window_sec: 10,
            windows: windows.to_vec(),
            candidate: Presence::default(),
            stable: Presence::default(),
        };
        Course::new(&counted, 1.0).sees(ratio, 100f64.ln(), f64::INFINITY, 1.5)
    }

    #[test]
    fn little_traffic_sees_little() {
        let quiet = windows(20, 20.0, 0.5);
        assert!(sees(&quiet, 3.0) < 0.1, "{}", sees(&quiet, 3.0));
        assert!(sees(&quiet, 100.0) > 0.95);
        let busy = windows(20, 1000.0, 0.5);
        assert!(sees(&busy, 3.0) > 0.95 && sees(&busy, 1.0) < 0.02);
    }

    #[test]
    fn it_is_the_same_every_time_and_rises_with_the_ratio() {
        let course = windows(30, 100.0, 0.5);
        let powers: Vec<f64> = [1.0, 2.0, 3.0, 5.0, 10.0, 30.0].iter().map(|r| sees(&course, *r)).collect();
        assert!(powers.is_sorted(), "{powers:?}");
        assert_eq!(powers, [1.0, 2.0, 3.0, 5.0, 10.0, 30.0].map(|r| sees(&course, r)));
        assert!(sees(&[], 1000.0) == 0.0);
    }

    #[test]
    fn the_numbers_have_the_mean_and_the_variance_they_should() {
        let mut random = Random(7);
        for mean in [0.2, 5.0, 40.0] {
            let drawn: Vec<f64> = (0..20_000).map(|_| random.poisson(mean)).collect();
            let average = drawn.iter().sum::<f64>() / 20_000.0;
            let variance = drawn.iter().map(|x| (x - average).powi(2)).sum::<f64>() / 20_000.0;
            assert!((average / mean - 1.0).abs() < 0.05 && (variance / mean - 1.0).abs() < 0.08, "{mean}");
        }
    }
}
