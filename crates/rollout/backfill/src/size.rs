//! How many rows the next batch has: as many as take the target time, by a moving
//! average of the batches before.

use std::time::Duration;

/// Weight of the newest batch in the average.
const NEWEST: f64 = 0.3;
/// The size changes by no more than these at a time.
const GROWTH: std::ops::RangeInclusive<f64> = 0.5..=1.5;
/// A batch that took this near to the target leaves the size as it is.
const NEAR: f64 = 0.1;

/// The size of batches.
#[derive(Debug, Clone)]
pub struct BatchSize {
    rows: u64,
    least: u64,
    most: u64,
    target: Duration,
    /// Seconds per row.
    average: Option<f64>,
}

impl BatchSize {
    /// Begins with `rows` rows.
    pub fn new(rows: u64, bounds: (u64, u64), target: Duration) -> Self {
        let (least, most) = (bounds.0.max(1), bounds.1.max(bounds.0).max(1));
        Self { rows: rows.clamp(least, most), least, most, target, average: None }
    }

    /// Rows of the next batch.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// A batch of `rows` rows took so long.
    pub fn took(&mut self, rows: u64, time: Duration) {
        // A short last batch says little: its fixed cost is spread over few rows.
        if rows == 0 || rows * 2 < self.rows {
            return;
        }
        let each = time.as_secs_f64() / rows as f64;
        let average = match self.average {
            Some(before) => before + NEWEST * (each - before),
            None => each,
        };
        self.average = Some(average);
        let now = average * self.rows as f64;
        let factor = self.target.as_secs_f64() / now.max(f64::MIN_POSITIVE);
        if (factor - 1.0).abs() > NEAR {
            let factor = factor.clamp(*GROWTH.start(), *GROWTH.end());
            self.rows = ((self.rows as f64 * factor).round() as u64).clamp(self.least, self.most);
        }
    }

    /// After a batch that did not come off: half of it. Smaller than the least,
    /// since a batch that cannot be run is no batch. Whether there is a half.
    pub fn halve(&mut self) -> bool {
        let half = (self.rows / 2).max(1);
        let smaller = half < self.rows;
        self.rows = half;
        self.least = self.least.min(half);
        smaller
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(size: &mut BatchSize, batches: usize, cost: impl Fn(u64) -> f64) -> Vec<u64> {
        (0..batches)
            .map(|_| {
                let rows = size.rows();
                size.took(rows, Duration::from_secs_f64(cost(rows)));
                size.rows()
            })
            .collect()
    }

    const TARGET: Duration = Duration::from_millis(200);

    #[test]
    fn it_comes_to_the_target_and_stays() {
        let mut size = BatchSize::new(1_000, (10, 100_000), TARGET);
        let rows = run(&mut size, 30, |rows| 0.002 + rows as f64 / 40_000.0);
        let last = rows[29] as f64 / 40_000.0;
        assert!((0.17..0.23).contains(&last), "{rows:?}");
        assert!(rows.windows(2).all(|pair| pair[1] as f64 <= pair[0] as f64 * 1.5 + 1.0), "{rows:?}");
        // Rows that cost ten times as much: it goes down in a few batches.
        let rows = run(&mut size, 12, |rows| rows as f64 / 4_000.0);
        assert!((500..1_000).contains(&rows[11]), "{rows:?}");
    }

    #[test]
    fn one_slow_batch_does_not_throw_it_off() {
        let mut size = BatchSize::new(8_000, (10, 100_000), TARGET);
        run(&mut size, 20, |rows| rows as f64 / 40_000.0);
        let before = size.rows();
        size.took(before, Duration::from_secs(2));
        assert!(size.rows() * 2 >= before && size.rows() < before);
        run(&mut size, 20, |rows| rows as f64 / 40_000.0);
        assert!(size.rows().abs_diff(before) < before / 5, "{} {before}", size.rows());
    }

    #[test]
    fn bounds_hold_and_halves_end_at_one_row() {
        let mut size = BatchSize::new(100, (50, 400), TARGET);
        run(&mut size, 20, |_| 0.000_001);
        assert_eq!(size.rows(), 400);
        run(&mut size, 20, |_| 60.0);
        assert_eq!(size.rows(), 50);
        let halves = std::iter::from_fn(|| size.halve().then(|| size.rows())).collect::<Vec<_>>();
        assert_eq!(halves, [25, 12, 6, 3, 1]);
        assert!(!size.halve());
        // Once it works again it grows again.
        run(&mut size, 40, |_| 0.000_001);
        assert_eq!(size.rows(), 400);
    }

    #[test]
    fn a_short_last_batch_changes_nothing() {
        let mut size = BatchSize::new(1_000, (10, 10_000), TARGET);
        size.took(3, Duration::from_millis(5));
        size.took(0, Duration::ZERO);
        assert_eq!(size.rows(), 1_000);
    }
}
