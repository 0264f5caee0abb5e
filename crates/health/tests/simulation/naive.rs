//! Rules of thumb that others go by, on the same watches, minute by minute.

/// What happened in a minute: failed and all requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Minute {
    pub(crate) new: (f64, f64),
    pub(crate) old: (f64, f64),
}

/// After how many seconds each rule would have rolled back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Naive {
    /// More than one request in a hundred failed in a minute.
    pub(crate) threshold: Option<f64>,
    /// The same, and at least four.
    pub(crate) with_least: Option<f64>,
    /// A binomial test at p < 0.05 of all until then, each minute.
    pub(crate) repeated_test: Option<f64>,
}

pub(crate) fn judge(minutes: &[Minute]) -> Naive {
    let mut found = Naive::default();
    let (mut new, mut old) = ((0.0, 0.0), (0.0, 0.0));
    for (number, minute) in minutes.iter().enumerate() {
        let now = Some((number + 1) as f64 * 60.0);
        let (failed, requests) = minute.new;
        let above = failed > 0.01 * requests;
        found.threshold = found.threshold.or(now.filter(|_| above));
        found.with_least = found.with_least.or(now.filter(|_| above && failed > 3.0));
        for (sum, more) in [(&mut new, minute.new), (&mut old, minute.old)] {
            sum.0 += more.0;
            sum.1 += more.1;
        }
        let total = new.0 + old.0;
        let worse = total > 0.0 && new.1 > 0.0 && upper_tail(new.0, total, new.1 / (new.1 + old.1)) < 0.05;
        found.repeated_test = found.repeated_test.or(now.filter(|_| worse));
    }
    found
}

/// The probability of at least `x` of `n`, each with probability `p`.
fn upper_tail(x: f64, n: f64, p: f64) -> f64 {
    if p >= 1.0 {
        return 1.0;
    }
    if n > 2000.0 {
        // Far enough into the normal approximation.
        let z = (x - 0.5 - n * p) / (n * p * (1.0 - p)).sqrt();
        return if z > 1.645 { 0.0 } else { 1.0 };
    }
    let (mut log, mut sum) = (n * (1.0 - p).ln(), 0.0);
    for k in 0..=n as u32 {
        let k = f64::from(k);
        if k > 0.0 {
            log += ((n - k + 1.0) / k).ln() + (p / (1.0 - p)).ln();
        }
        if k >= x {
            sum += log.exp();
        }
    }
    sum
}
