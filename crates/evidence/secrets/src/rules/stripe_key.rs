//! SEC-032 `stripe-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::sight::{Found, Sight, alphanumeric};

const PAGE: Page = Page {
    code: "SEC-032",
    name: "stripe-key",
    what: "A live Stripe key: `sk_live_`, `rk_live_`. Test keys (`sk_test_`) are no finding: they move no money.",
    why: "It charges, refunds and reads customers.",
    how: take_out!("Stripe"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["sk_live_", "rk_live_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    sight.edges(alphanumeric, 24..=247)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("sk{}{}", "_live_", noise(ALNUM, 99)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("sk{}{}", "_test_", noise(ALNUM, 99))),
                miss("sk_live_xxxxxxxxxxxxxxxxxxxxxxxx"),
                miss(&format!("task_live_{}", noise(ALNUM, 24))),
            ],
        );
    }
}
