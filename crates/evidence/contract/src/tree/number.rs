//! Numbers, compared exactly where they are whole.

use std::cmp::Ordering;

/// A number as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a>(&'a str);

impl<'a> Number<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// A whole number of at most 38 digits, `2.0` and `2e3` too.
    pub(crate) fn whole(self) -> Option<i128> {
        if let Ok(whole) = self.0.parse() {
            return Some(whole);
        }
        let float = self.float();
        // Up to 2^53 every whole number is exact.
        #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        (float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0).then_some(float as i128)
    }

    fn float(self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// Which of two is greater.
    pub(crate) fn compare(self, other: Number<'_>) -> Ordering {
        match (self.whole(), other.whole()) {
            (Some(one), Some(two)) => one.cmp(&two),
            _ => self.float().total_cmp(&other.float()),
        }
    }

    /// One way to write it, whatever way was chosen.
    pub(crate) fn canonical(self) -> String {
        match self.whole() {
            Some(whole) => whole.to_string(),
            None => {
                let float = self.float();
                if float.is_finite() { float.to_string() } else { self.0.into() }
            }
        }
    }

    /// As a size or count; negative ones and fractions are none.
    pub(crate) fn size(self) -> Option<u64> {
        self.whole().and_then(|whole| u64::try_from(whole).ok())
    }

    /// Whether every multiple of `self` is one of `other`.
    pub(crate) fn is_multiple_of(self, other: Number<'_>) -> bool {
        match (self.whole(), other.whole()) {
            (Some(one), Some(two)) => two != 0 && one.checked_rem(two) == Some(0),
            _ => {
                let quotient = self.float() / other.float();
                quotient.is_finite() && (quotient - quotient.round()).abs() < 1e-9
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_they_mean() {
        for (one, two, order) in [
            ("1", "1.0", Ordering::Equal),
            ("1e3", "1000", Ordering::Equal),
            ("9223372036854775807", "9223372036854775808", Ordering::Less),
            ("-0.5", "0", Ordering::Less),
            ("0.30000000000000004", "0.3", Ordering::Greater),
        ] {
            assert_eq!(Number::new(one).compare(Number::new(two)), order, "{one} {two}");
        }
        assert_eq!(Number::new("-1").size(), None);
        assert_eq!(Number::new("1.50").canonical(), "1.5");
        assert!(Number::new("0.3").is_multiple_of(Number::new("0.1")));
        assert!(!Number::new("10").is_multiple_of(Number::new("4")));
        assert!(!Number::new("10").is_multiple_of(Number::new("0")));
    }
}
