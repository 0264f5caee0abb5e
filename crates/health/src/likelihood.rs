//! The test: a likelihood ratio of two Poisson rates, mixed over how much
//! worse the new release could be, that stays valid however often one looks.
//!
//! Let the new release have the share `w` of a window's exposure, and let its
//! rate be `r` times the old one's. Of the window's `n` events, whatever their
//! common rate is just then, each is the new release's with probability
//! `p(r) = r·w / (r·w + 1 − w)`. The likelihood ratio of `r` to 1 is therefore
//!
//! ```text
//! L(r) = r^x / (r·w + 1 − w)^n          x: events of the new release
//! ```
//!
//! Under a true ratio of at most 1 its expectation is at most 1 in each window,
//! so the product over windows is a non-negative supermartingale, for each
//! `r > 1` and for a mixture of them; it ever reaches `1/alpha` with at most
//! probability `alpha` (Ville). Each window has its own `w`: shares and rates
//! may drift, since windows are not pooled. A power of `L` below 1 keeps the
//! property (Jensen), and so does taking less than `L` in some outcomes: bursts
//! are weighed down where they speak against the new release, and not where
//! they speak for it ([`crate::dispersion`]).
//!
//! Sources: A. Wald, Sequential Tests of Statistical Hypotheses (1945);
//! M. Lindon, C. Sanden, V. Shirikian, Rapid Regression Detection in Software
//! Deployments through Sequential Testing, KDD 2022 (arXiv 2205.14762);
//! M. Lindon, A. Malek, Anytime-Valid Inference for Multinomial Count Data,
//! NeurIPS 2022.

use serde::{Deserialize, Serialize};

use crate::dispersion::Dispersion;
use crate::{Count, Window};

/// Ratios that the mixture is made of, and their weights, which sum to 1. Most
/// of it lies where a watch of minutes can see anything.
const GRID: [(f64, f64); 9] = [
    (1.5, 0.05),
    (2.0, 0.07),
    (3.0, 0.12),
    (5.0, 0.17),
    (8.0, 0.18),
    (13.0, 0.16),
    (25.0, 0.12),
    (80.0, 0.07),
    (1000.0, 0.06),
];

/// The logarithms of the ratios of [`GRID`], which are taken most.
const LN_RATIOS: [f64; GRID.len()] = [
    0.405_465_108_108_164_4,
    std::f64::consts::LN_2,
    1.098_612_288_668_109_8,
    1.609_437_912_434_100_3,
    2.079_441_541_679_835_7,
    2.564_949_357_461_536_7,
    3.218_875_824_868_201,
    4.382_026_634_673_881,
    6.907_755_278_982_137,
];

/// For each ratio what an event of either side costs at a share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms([f64; GRID.len()]);

impl Terms {
    pub(crate) fn of(share: f64) -> Self {
        Self(GRID.map(|(ratio, _)| (ratio * share + 1.0 - share).ln()))
    }
}

/// What one window adds to the evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    /// The window's number.
    pub(crate) index: u32,
    /// The exposure of the side that may not be worse.
    pub(crate) exposure: f64,
    /// Events of the side that may not be worse.
    pub(crate) events: f64,
    /// Events of both.
    pub(crate) total: f64,
    /// That side's share of the exposure, strictly between 0 and 1.
    pub(crate) share: f64,
    /// How much it counts, from 0 to 1.
    pub(crate) weight: f64,
}

/// The windows that can be compared, in order, each with its weight.
///
/// Events without exposure (of a denominator that lags) wait for the next
/// window in which there is some.
pub(crate) fn splits(windows: &[Window], window_sec: u32, swapped: bool) -> (Vec<Split>, Dispersion) {
    let mut dispersion = Dispersion::new(window_sec);
    let (mut late, mut late_stable) = (0.0, 0.0);
    let mut splits = Vec::with_capacity(windows.len());
    for window in windows.iter().filter(|window| window.side_by_side) {
        let (mut side, mut other) = (window.candidate, window.stable);
        if swapped {
            std::mem::swap(&mut side, &mut other);
        }
        if !(side.exposure > 0.0 && other.exposure > 0.0) {
            // With one side idle nothing can be compared.
            late += if side.exposure > 0.0 { 0.0 } else { side.events };
            late_stable += if other.exposure > 0.0 { 0.0 } else { other.events };
            continue;
        }
        let events = side.events + std::mem::take(&mut late);
        let total = events + other.events + std::mem::take(&mut late_stable);
        let share = side.exposure / (side.exposure + other.exposure);
        let weight = dispersion.weigh(events, total, share);
        splits.push(Split { index: window.index, exposure: side.exposure, events, total, share, weight });
    }
    (splits, dispersion)
}

/// How much of the mixture takes a regression to be there from the start; the
/// rest is spread over all later windows.
const FROM_START: f64 = 0.75;
/// After so many windows half of the rest is spent.
const HALF_SPENT: f64 = 60.0;

/// The mixture as it grows: over ratios, and over when it began.
///
/// A release may serve well for ten minutes and fail then. Evidence that speaks
/// for it until then must not have to be worn down, so the mixture also has
/// parts that begin later; each stands for a part of the whole from the start,
/// hence it stays a supermartingale that begins at 1 (as in change detection by
/// Shiryaev and Roberts).
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    /// For each ratio the logarithm of its likelihood ratios, summed over
    /// beginnings.
    parts: [Part; GRID.len()],
    /// What the next window adds at most.
    pub(crate) most: f64,
    windows: f64,
    /// Not yet begun, and begun but not yet part of a sum.
    waiting: f64,
    due: f64,
    /// Whether parts begin later at all.
    restarts: bool,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    log: f64,
    since: Since,
}

/// Sums from the likeliest beginning of a part on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Since {
    /// The window.
    pub(crate) index: u32,
    pub(crate) side: Count,
    pub(crate) other: Count,
    above: f64,
    below: f64,
}

impl Since {
    /// The ratio of the rates from then on is at least this.
    pub(crate) fn ratio_is_at_least(&self, ratio: f64) -> bool {
        self.above >= ratio * self.below
    }
}

impl Mixture {
    /// A mixture to which one window adds at most `most`. Whatever goes wrong
    /// within a few seconds may be over in as many; to take less than there
    /// was for an increase leaves a supermartingale one.
    pub(crate) fn new(most: f64) -> Self {
        let part = Part { log: FROM_START.ln(), since: Since::default() };
        let waiting = 1.0 - FROM_START;
        Self { parts: [part; GRID.len()], most, windows: 0.0, waiting, due: 0.0, restarts: true }
    }

    /// The same without parts that begin later, where windows are merged.
    pub(crate) fn from_start() -> Self {
        Self { restarts: false, ..Self::new(f64::INFINITY) }
    }

    /// Adds a window in which two releases are compared.
    pub(crate) fn split(&mut self, split: &Split) {
        self.split_with(split, &Terms::of(split.share));
    }

    /// The same with what is known of the share beforehand.
    pub(crate) fn split_with(&mut self, split: &Split, terms: &Terms) {
        self.wait();
        let side = Count { events: split.events, exposure: split.exposure };
        let other = Count {
            events: split.total - split.events,
            exposure: split.exposure * (1.0 - split.share) / split.share,
        };
        let (above, below) = (split.events * (1.0 - split.share), other.events * split.share);
        let seen = Since { index: split.index, side, other, above, below };
        self.add(split.total > 0.0, &seen, |at| {
            let whole = split.events * LN_RATIOS[at] - split.total * terms.0[at];
            // What speaks for the release counts in full.
            whole.min(split.weight * whole)
        });
    }

    /// Adds a window in which one release is compared with a fixed rate, under
    /// which `expected` events were to come.
    pub(crate) fn fixed(&mut self, index: u32, side: Count, counted: f64, expected: f64) {
        self.wait();
        let seen = Since { index, side, ..Since::default() };
        self.add(true, &seen, |at| counted * LN_RATIOS[at] - expected * (GRID[at].0 - 1.0));
    }

    fn wait(&mut self) {
        if self.restarts {
            let begin = self.waiting / (self.windows + HALF_SPENT);
            self.waiting -= begin;
            self.due += begin;
        }
        self.windows += 1.0;
    }

    fn add(&mut self, events: bool, seen: &Since, log_ratio: impl Fn(usize) -> f64) {
        let begin = if events { std::mem::take(&mut self.due).ln() } else { f64::NEG_INFINITY };
        for (at, part) in self.parts.iter_mut().enumerate() {
            if begin > part.log {
                part.since = Since { index: seen.index, ..Since::default() };
            }
            part.since.side.add(seen.side);
            part.since.other.add(seen.other);
            part.since.above += seen.above;
            part.since.below += seen.below;
            if events {
                part.log = log_sum(part.log, begin) + log_ratio(at).min(self.most);
            }
        }
    }

    /// The logarithm of the e-value.
    pub(crate) fn log(&self) -> f64 {
        let greatest = self.parts.iter().map(|part| part.log).fold(f64::NEG_INFINITY, f64::max).max(0.0);
        let begun: f64 =
            self.parts.iter().zip(GRID).map(|(part, (_, weight))| weight * (part.log - greatest).exp()).sum();
        greatest + (begun + (self.waiting + self.due) * (-greatest).exp()).ln()
    }

    /// From when on what is most likely to be wrong is wrong.
    pub(crate) fn since(&self) -> &Since {
        let best = self
            .parts
            .iter()
            .zip(GRID)
            .max_by(|(a, (_, wa)), (b, (_, wb))| (a.log + wa.ln()).total_cmp(&(b.log + wb.ln())));
        &best.expect("the mixture has parts").0.since
    }
}

fn log_sum(a: f64, b: f64) -> f64 {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if less == f64::NEG_INFINITY { more } else { more + (less - more).exp().ln_1p() }
}

fn log_ratio(events: f64, total: f64, share: f64, ratio: f64) -> f64 {
    events * ratio.ln() - total * (ratio * share + 1.0 - share).ln()
}

/// An estimate and the interval it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate; none where a side had no events to divide by.
    pub estimate: Option<f64>,
    /// The lower end.
    pub low: f64,
    /// The upper end; none: without bound.
    pub high: Option<f64>,
}

impl Interval {
    /// The same of the inverse ratio.
    pub(crate) fn inverted(self) -> Self {
        let inverse = |value: f64| (value > 0.0).then(|| 1.0 / value);
        Self {
            estimate: self.estimate.and_then(inverse),
            low: self.high.and_then(inverse).unwrap_or(0.0),
            high: inverse(self.low),
        }
    }
}

/// The common ratio of the rates over windows whose shares and rates differ
/// (Mantel and Haenszel), bursts weighed down as in the interval: `None`
/// without events on the other side.
pub(crate) fn estimate(splits: &[Split]) -> Option<f64> {
    let (above, below) = sums(splits);
    (below > 0.0).then(|| above / below)
}

/// Numerator and denominator of the estimate.
fn sums(splits: &[Split]) -> (f64, f64) {
    splits.iter().fold((0.0, 0.0), |(above, below), split| {
        let other = split.total - split.events;
        (
            above + split.weight * split.events * (1.0 - split.share),
            below + split.weight * other * split.share,
        )
    })
}

/// The ratios that the evidence does not speak against, at each look: those
/// under which the mixture over all ratios, larger and smaller, has not
/// reached `1/alpha`.
pub(crate) fn interval(splits: &[Split], alpha: f64) -> Option<Interval> {
    if splits.iter().all(|split| split.total <= 0.0) {
        return None;
    }
    // Half powers of two from 1/1024 to 1024, alike in weight.
    const STEPS: i32 = 20;
    let points = f64::from(2 * STEPS + 1);
    let merged = merge(splits);
    let at = |log_r: f64| -> f64 {
        merged.iter().map(|s| s.weight * log_ratio(s.events, s.total, s.share, log_r.exp())).sum()
    };
    let step = std::f64::consts::LN_2 / 2.0;
    let logs: Vec<f64> = (-STEPS..=STEPS).map(|i| at(f64::from(i) * step)).collect();
    let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mixture = greatest + (logs.iter().map(|l| (l - greatest).exp()).sum::<f64>() / points).ln();
    let threshold = mixture + alpha.ln();
    // The likelihood is concave in the logarithm of the ratio.
    let edge = f64::from(STEPS) * step;
    let best = logs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    let mut top = (i32::try_from(best).unwrap_or(STEPS) - STEPS) as f64 * step;
    // Between grid points the peak is a little higher; it matters where the
    // likelihood is steep.
    if let Some(estimate) = estimate(splits).filter(|e| *e > 0.0)
        && at(estimate.ln()) > at(top)
    {
        top = estimate.ln().clamp(-edge, edge);
    }
    let crossing = |end: f64| -> Option<f64> {
        if at(end) >= threshold {
            return None;
        }
        let (mut inside, mut outside) = (top, end);
        for _ in 0..30 {
            let middle = f64::midpoint(inside, outside);
            if at(middle) >= threshold { inside = middle } else { outside = middle }
        }
        Some(outside.exp())
    };
    Some(Interval { estimate: estimate(splits), low: crossing(-edge).unwrap_or(0.0), high: crossing(edge) })
}

/// Windows with nearly the same share as one, for sums over many ratios.
fn merge(splits: &[Split]) -> Vec<Split> {
    let mut merged: Vec<Split> = Vec::new();
    for split in splits.iter().filter(|split| split.total > 0.0) {
        let weighed = Split {
            events: split.events * split.weight,
            total: split.total * split.weight,
            weight: 1.0,
            ..*split
        };
        match merged.last_mut() {
            Some(last) if (last.share - split.share).abs() < 1e-3 => {
                last.events += weighed.events;
                last.total += weighed.total;
            }
            _ => merged.push(weighed),
        }
    }
    merged
}

/// Sums over windows.
pub(crate) fn totals<'a>(windows: impl Iterator<Item = &'a Window>) -> (Count, Count) {
    let (mut candidate, mut stable) = (Count::default(), Count::default());
    for window in windows {
        candidate.add(window.candidate);
        stable.add(window.stable);
    }
    (candidate, stable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn same(windows: usize, events: f64, total: f64, share: f64) -> Vec<Split> {
        vec![Split { index: 0, exposure: 1.0, events, total, share, weight: 1.0 }; windows]
    }

    fn log(splits: &[Split]) -> f64 {
        let mut mixture = Mixture::new(f64::INFINITY);
        splits.iter().for_each(|split| mixture.split(split));
        mixture.log()
    }

    /// However long it went well: what fails then is found in about the time
    /// that it takes from the start.
    #[test]
    fn what_begins_late_is_found_and_dated() {
        let mut mixture = Mixture::new(0.8);
        let window =
            |index, events, total| Split { index, exposure: 500.0, events, total, share: 0.5, weight: 1.0 };
        for index in 0..360 {
            mixture.split(&window(index, 10.0, 20.0));
        }
        assert!(mixture.log() < 0.0);
        let found = (360..400).find(|index| {
            mixture.split(&window(*index, 60.0, 70.0));
            mixture.log() > 100f64.ln()
        });
        assert!(found.is_some_and(|index| index < 380), "{found:?}");
        let since = mixture.since();
        assert!((355..=361).contains(&since.index), "{since:?}");
        assert!(since.ratio_is_at_least(4.0) && !since.ratio_is_at_least(8.0));
    }

    #[test]
    fn the_mixture_sums_to_one() {
        assert!((GRID.iter().map(|(_, weight)| weight).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(GRID.iter().zip(LN_RATIOS).all(|((ratio, _), ln)| (ratio.ln() - ln).abs() < 1e-12));
        assert!(log(&[]).abs() < 1e-12);
    }

    /// The expectation of the e-value over every split of `n` events is 1 when
    /// both are alike and less when the new release is better.
    #[test]
    fn the_expectation_under_no_difference_is_one() {
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        for share in [0.02, 0.1, 0.5, 0.9] {
            for (ratio, below) in [(1.0, 1.0 + 1e-9), (0.7, 0.97)] {
                let p = ratio * share / (ratio * share + 1.0 - share);
                let n = 12;
                let expected: f64 = (0..=n)
                    .map(|x| {
                        let probability =
                            choose(n, x) * f64::powi(p, x as i32) * f64::powi(1.0 - p, (n - x) as i32);
                        probability * log(&same(1, f64::from(x), f64::from(n), share)).exp()
                    })
                    .sum();
                assert!(expected <= below, "{share} {ratio}: {expected}");
                assert!(ratio < 1.0 || expected > 0.999, "{share}: {expected}");
            }
        }
    }

    /// The same over several windows with parts that begin later, and with all
    /// that is taken off for bursts: every course of three windows.
    #[test]
    fn the_expectation_over_windows_is_at_most_one() {
        let windows = [(3u32, 0.3), (2, 0.6), (4, 0.1)];
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |c, i| c * f64::from(n - i) / f64::from(i + 1));
        let expected = |most: f64, weighed: bool| {
            let mut sum = 0.0;
            for course in 0..60u32 {
                let events = [course % 4, course / 4 % 3, course / 12];
                let (mut mixture, mut dispersion) = (Mixture::new(most), Dispersion::new(10));
                let mut probability = 1.0;
                for ((total, share), events) in windows.into_iter().zip(events) {
                    let (rest, x) = (total - events, f64::from(events));
                    probability *=
                        choose(total, events) * f64::powf(share, x) * f64::powf(1.0 - share, rest.into());
                    let weight = if weighed { dispersion.weigh(x, total.into(), share) } else { 1.0 };
                    mixture.split(&Split {
                        index: 0,
                        exposure: 1.0,
                        events: x,
                        total: total.into(),
                        share,
                        weight,
                    });
                }
                sum += probability * mixture.log().exp();
            }
            sum
        };
        assert!((expected(f64::INFINITY, false) - 1.0).abs() < 1e-9, "{}", expected(f64::INFINITY, false));
        for (most, weighed) in [(0.5, false), (0.5, true), (f64::INFINITY, true)] {
            assert!(expected(most, weighed) < 1.0, "{most} {weighed}: {}", expected(most, weighed));
        }
    }

    #[test]
    fn shares_that_change_do_not_fool_it() {
        // Both fail one request in ten; traffic moves over while everything
        // slows down. Pooled, the new release would look twice as bad.
        let windows: Vec<Window> = (0..20)
            .map(|i| {
                let (share, events) = if i < 10 { (0.1, 10.0) } else { (0.9, 100.0) };
                Window {
                    index: i,
                    candidate: Count { events: events * share, exposure: 1000.0 * share },
                    stable: Count { events: events * (1.0 - share), exposure: 1000.0 * (1.0 - share) },
                    side_by_side: true,
                }
            })
            .collect();
        let (candidate, stable) = totals(windows.iter());
        assert!(candidate.rate().unwrap() / stable.rate().unwrap() > 4.0);
        let (splits, _) = splits(&windows, 10, false);
        assert!((estimate(&splits).unwrap() - 1.0).abs() < 1e-9);
        assert!(log(&splits) < 0.0);
    }

    #[test]
    fn one_side_alone_says_nothing() {
        let alone = Window {
            candidate: Count { events: 50.0, exposure: 100.0 },
            side_by_side: false,
            ..Window::default()
        };
        let idle = Window { side_by_side: true, ..alone };
        for windows in [vec![alone; 9], vec![idle; 9]] {
            assert!(splits(&windows, 10, false).0.is_empty());
        }
    }

    #[test]
    fn events_ahead_of_their_exposure_wait_for_it() {
        let window = |events, exposure| Window {
            candidate: Count { events, exposure },
            stable: Count { events: 1.0, exposure: 10.0 },
            side_by_side: true,
            index: 0,
        };
        let (splits, _) = splits(&[window(3.0, 0.0), window(1.0, 10.0)], 10, false);
        assert_eq!(splits.len(), 1);
        assert!((splits[0].events - 4.0).abs() < 1e-9);
        // The other side's events of the window without comparison are not
        // compared either.
        assert!((splits[0].total - 5.0).abs() < 1e-9);
    }

    #[test]
    fn the_interval_holds_the_estimate_and_narrows() {
        let few = interval(&same(2, 6.0, 9.0, 0.5), 0.05).unwrap();
        let many = interval(&same(50, 6.0, 9.0, 0.5), 0.05).unwrap();
        for found in [few, many] {
            let estimate = found.estimate.unwrap();
            assert!((estimate - 2.0).abs() < 1e-9);
            assert!(found.low < estimate && found.high.unwrap() > estimate, "{found:?}");
        }
        assert!(few.low < 1.0 && many.low > 1.3 && many.high.unwrap() < 3.0, "{few:?} {many:?}");
        let only_new = interval(&same(5, 4.0, 4.0, 0.5), 0.05).unwrap();
        assert!(only_new.estimate.is_none() && only_new.high.is_none() && only_new.low > 2.0, "{only_new:?}");
        assert!(interval(&same(3, 0.0, 0.0, 0.5), 0.05).is_none());
    }
}
