//! Declared parts of the requests: which release gets the next one, whatever
//! the load is and however fast each of them answers.

use plimsoll_model::Digest;

use crate::Entry;

/// Releases with their parts.
#[derive(Debug)]
pub(crate) struct Split {
    total: u64,
    /// Has no divisor in common with `total`, so that each place comes once in
    /// as many turns; near the golden section, so that the turns of one release are
    /// spread evenly.
    stride: u64,
    /// Each release with the first place that is not its own any more.
    ends: Vec<(Digest, u64)>,
}

impl Split {
    /// By the weights of the instances. None where all weights are alike, so that
    /// nobody asked for parts, or all instances are of one release.
    pub(crate) fn of(entries: &[Entry]) -> Option<Self> {
        let first = entries.first()?;
        if entries.iter().all(|entry| entry.weight == first.weight) {
            return None;
        }
        let mut ends: Vec<(Digest, u64)> = Vec::new();
        for entry in entries {
            let weight = u64::from(entry.weight);
            match ends.iter_mut().find(|(digest, _)| *digest == entry.digest) {
                Some((_, sum)) => *sum += weight,
                None => ends.push((entry.digest, weight)),
            }
        }
        let mut total = 0;
        for (_, end) in &mut ends {
            total += *end;
            *end = total;
        }
        let coprime = |stride: &u64| greatest_common_divisor(*stride, total) == 1;
        // One below the total always has none in common with it.
        let stride = (total * 618 / 1000..total).find(coprime)?;
        (ends.len() > 1).then_some(Self { total, stride, ends })
    }

    /// The release of a turn: of each `total` turns in a row exactly its weight are
    /// a release's.
    pub(crate) fn release(&self, turn: u32) -> Digest {
        let place = u64::from(turn) * self.stride % self.total;
        let own = self.ends.iter().find(|(_, end)| place < *end);
        own.expect("the last end is the total, which no place reaches").0
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entries(weights: &[(u8, u32)]) -> Vec<Entry> {
        let entry = |(at, (release, weight)): (usize, &(u8, u32))| Entry {
            instance: format!("i{at}"),
            digest: Digest::from_sha256([*release; 32]),
            sha: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            address: ([127, 0, 0, 1], u16::try_from(at).unwrap() + 1).into(),
            weight: *weight,
        };
        weights.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn each_release_gets_its_part_exactly_and_evenly() {
        for weights in [
            vec![(1, 9), (1, 9), (2, 2)],
            vec![(1, 1), (2, 999)],
            vec![(1, 1000), (2, 1), (2, 1)],
            vec![(1, 3), (2, 2), (3, 1)],
        ] {
            let split = Split::of(&entries(&weights)).unwrap();
            let all: u32 = weights.iter().map(|(_, weight)| weight).sum();
            for (release, _) in &weights {
                let own: u32 = weights.iter().filter(|(r, _)| r == release).map(|(_, weight)| weight).sum();
                let is = |turn: &u32| split.release(*turn) == Digest::from_sha256([*release; 32]);
                // Wherever one begins.
                for from in [0, 1, 77, 4_000_000_000] {
                    let got = (from..from + all).filter(is).count();
                    assert_eq!(got, own as usize, "{weights:?} {release}");
                }
                // Of any hundred requests no part is off by more than three.
                for from in (0..5_000).step_by(37) {
                    let got = (from..from + 100).filter(is).count() as f64;
                    let due = 100.0 * f64::from(own) / f64::from(all);
                    assert!((got - due).abs() <= 3.0, "{weights:?} {release}: {got} of {due} from {from}");
                }
            }
        }
    }

    #[test]
    fn where_nobody_asks_for_parts_there_are_none() {
        assert!(Split::of(&[]).is_none());
        assert!(Split::of(&entries(&[(1, 1), (2, 1)])).is_none());
        assert!(Split::of(&entries(&[(1, 3), (1, 1)])).is_none());
    }
}
