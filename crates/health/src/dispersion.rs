//! Errors come in bursts: one lost connection fails forty requests of one
//! replica. A test that takes them for forty independent errors calls healthy
//! releases regressed. So each window's evidence against the new release is
//! raised to a power of at most 1, which keeps it valid (see
//! [`crate::likelihood`]), by three estimates.
//!
//! - **How alike events of one window are.** With the correlation `rho` of two
//!   events in a window, `n` of them are worth `n / (1 + (n − 1)·rho)`
//!   independent ones. It is estimated from how far the splits of earlier
//!   windows were from the expected one (Pearson's residuals, as for a
//!   beta-binomial), beginning with a guess, since the first windows tell
//!   nothing. A burst that hits both releases alike does not raise it: it
//!   splits as expected.
//! - **How alike windows in a row are.** A replica can have a bad minute, too.
//!   The same residuals, of six windows together, say how many events are
//!   worth one over such a time.
//! - **How unexpected the window is.** A window with many more events than
//!   those before it is a single thing that happened until it goes on: what it
//!   counts is capped at a multiple of what recent windows counted. The cap
//!   looks at totals only, never at who had the events.

/// The correlation assumed before anything was seen, and for how many windows'
/// worth of evidence the guess stands.
const GUESS: f64 = 0.25;
const GUESS_WORTH: f64 = 3.0;

/// How many events of a block are assumed to be worth one before anything was
/// seen, and for how many blocks the guess stands.
const BLOCKS_GUESS: f64 = 1.0;
const BLOCKS_WORTH: f64 = 2.0;

/// How many windows back the cap looks, and how many make a block.
const RECENT: usize = 6;
/// How many times the average of those a window may count.
const GROWTH: f64 = 2.0;

/// What has been learnt about bursts so far.
#[derive(Debug, Clone)]
pub(crate) struct Dispersion {
    /// What a window counts at least, if it has that much: one event for each
    /// ten seconds of it.
    base: f64,
    recent: [f64; RECENT],
    next: usize,
    /// Weighted sum of correlations, and of their weights.
    correlations: f64,
    worth: f64,
    /// Mantel and Haenszel's sums, for the split that is to be expected.
    above: f64,
    below: f64,
    /// Events, and what they counted.
    events: f64,
    counted: f64,
    block: Block,
    /// Sum of the residuals of whole blocks, and how many there were.
    residuals: f64,
    blocks: f64,
}

/// Some windows in a row.
#[derive(Debug, Clone, Default)]
struct Block {
    windows: usize,
    /// How far the split was from the expected one, and its variance.
    beyond: f64,
    variance: f64,
}

impl Dispersion {
    /// Knows nothing yet; for windows of this length.
    pub(crate) fn new(window_sec: u32) -> Self {
        Self {
            base: (f64::from(window_sec) / 10.0).max(1.0),
            recent: [0.0; RECENT],
            next: 0,
            correlations: 0.0,
            worth: 0.0,
            above: 0.0,
            below: 0.0,
            events: 0.0,
            counted: 0.0,
            block: Block::default(),
            residuals: 0.0,
            blocks: 0.0,
        }
    }

    /// The weight of a window, from 0 to 1; learns from it for those after it.
    pub(crate) fn weigh(&mut self, events: f64, total: f64, share: f64) -> f64 {
        if self.block.windows == RECENT {
            let block = std::mem::take(&mut self.block);
            if block.variance > 0.2 {
                self.residuals += block.beyond.powi(2) / block.variance;
                self.blocks += 1.0;
            }
        }
        self.block.windows += 1;
        if total <= 0.0 {
            self.remember(0.0);
            return 1.0;
        }
        let correlation = self.correlation();
        let alike = 1.0 + (total - 1.0).max(0.0) * correlation;
        let cap = self.base + GROWTH * self.recent.iter().sum::<f64>() / RECENT as f64;
        let counted = (total / alike.max(self.spells())).min(cap).min(total);
        self.remember(counted);
        self.events += total;
        self.counted += counted;
        self.learn(events, total, share, correlation);
        counted / total
    }

    /// What a window of one release counts beside a fixed rate. Nothing tells
    /// how its events split, so only the cap holds: what the rate allows for
    /// it, and as much more as those before it counted.
    pub(crate) fn count_alone(&mut self, events: f64, expected: f64) -> f64 {
        let cap = self.base + expected + GROWTH * self.recent.iter().sum::<f64>() / RECENT as f64;
        let counted = events.min(cap);
        self.remember(counted);
        self.events += events;
        self.counted += counted;
        counted
    }

    /// Events per independent event, at least 1, over all windows.
    pub(crate) fn factor(&self) -> f64 {
        if self.counted > 0.0 { (self.events / self.counted).max(1.0) } else { 1.0 }
    }

    fn correlation(&self) -> f64 {
        ((self.correlations + GUESS * GUESS_WORTH) / (self.worth + GUESS_WORTH)).clamp(0.0, 1.0)
    }

    /// Events per independent event, from how blocks split.
    fn spells(&self) -> f64 {
        ((self.residuals + BLOCKS_GUESS * BLOCKS_WORTH) / (self.blocks + BLOCKS_WORTH)).max(1.0)
    }

    fn remember(&mut self, counted: f64) {
        self.recent[self.next] = counted;
        self.next = (self.next + 1) % RECENT;
    }

    fn learn(&mut self, events: f64, total: f64, share: f64, correlation: f64) {
        self.above += events * (1.0 - share);
        self.below += (total - events) * share;
        // Half an event more on each side, so that a split of all to none is
        // not taken for certain.
        let ratio = (self.above + 0.5 * (1.0 - share)) / (self.below + 0.5 * share);
        let expected = (ratio * share / (ratio * share + 1.0 - share)).clamp(0.02, 0.98);
        self.block.beyond += events - total * expected;
        self.block.variance += total * expected * (1.0 - expected);
        let beyond = total - 1.0;
        if beyond < 0.5 {
            return;
        }
        let residual = (events - total * expected).powi(2) / (total * expected * (1.0 - expected));
        let found = ((residual - 1.0) / beyond).clamp(-1.0, 1.0);
        // The variance of one residual is about twice its square.
        let worth = (beyond / (1.0 + beyond * correlation)).powi(2).min(1e4);
        self.correlations += worth * found;
        self.worth += worth;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_burst_counts_as_one_event_or_little_more() {
        let mut dispersion = Dispersion::new(10);
        for _ in 0..20 {
            assert!((dispersion.weigh(0.0, 0.0, 0.5) - 1.0).abs() < 1e-9);
        }
        assert!(40.0 * dispersion.weigh(40.0, 40.0, 0.5) <= 1.0 + 1e-9);
        // Also when a scrape falls into its midst.
        assert!(40.0 * dispersion.weigh(40.0, 40.0, 0.5) < 1.5);
    }

    #[test]
    fn what_goes_on_counts_in_full() {
        let mut dispersion = Dispersion::new(10);
        let weights: Vec<f64> = (0..30).map(|_| dispersion.weigh(8.0, 8.0, 0.5)).collect();
        assert!(weights[29] > 0.9, "{weights:?}");
        assert!(dispersion.factor() < 2.0);
    }

    #[test]
    fn many_clusters_in_each_window_are_seen_by_how_they_split() {
        // Ten clusters of ten events a window, each wholly on one side.
        let mut random = fastrand::Rng::with_seed(1);
        let mut dispersion = Dispersion::new(10);
        for _ in 0..200 {
            let clusters = (0..10).filter(|_| random.bool()).count();
            dispersion.weigh(10.0 * clusters as f64, 100.0, 0.5);
        }
        let alike = 1.0 + 99.0 * dispersion.correlation();
        assert!((7.0..14.0).contains(&alike), "{alike}");
    }

    #[test]
    fn bursts_of_both_releases_are_no_clusters() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut dispersion = Dispersion::new(10);
        for i in 0..300 {
            let total = if i % 10 == 0 { 60 } else { 20 };
            let events = (0..total).filter(|_| random.bool()).count();
            dispersion.weigh(events as f64, f64::from(total), 0.5);
        }
        assert!(dispersion.correlation() < 0.02, "{}", dispersion.correlation());
    }
}
