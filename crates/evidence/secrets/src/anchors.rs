//! Finding anchors: one pass over the bytes for those of all rules.

use aho_corasick::packed::{self, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind, Span};

use crate::rules::RULES;

/// Finds every anchor of every rule.
///
/// Vector instructions look for the first bytes of up to 64 patterns at once,
/// and the more patterns there are and the shorter the shortest of them is,
/// the more often they stop in vain. So anchors of three bytes are sought in
/// a pass of their own. Without such instructions an automaton is used.
pub(crate) struct Anchors {
    passes: Vec<Pass>,
}

struct Pass {
    search: Search,
    /// Rules of each pattern, as positions in [`RULES`].
    rules: Vec<Vec<usize>>,
}

enum Search {
    Vector(Searcher),
    Automaton(AhoCorasick),
}

/// Patterns of one pass.
const MOST: usize = 64;

impl Anchors {
    pub(crate) fn new() -> Self {
        let mut patterns: Vec<(&str, Vec<usize>)> = Vec::new();
        for (index, rule) in RULES.iter().enumerate() {
            for &anchor in rule.anchors {
                match patterns.iter_mut().find(|(known, _)| *known == anchor) {
                    Some((_, rules)) => rules.push(index),
                    None => patterns.push((anchor, vec![index])),
                }
            }
        }
        let (short, long): (Vec<_>, Vec<_>) = patterns.into_iter().partition(|(anchor, _)| anchor.len() < 4);
        let passes = [short, long].iter().flat_map(|group| group.chunks(MOST)).map(Pass::new).collect();
        Self { passes }
    }

    /// Calls `seen` with rule and position of every anchor that begins in
    /// `text[from..to]`. Those of one rule come in order.
    pub(crate) fn scan(&self, text: &[u8], from: usize, to: usize, mut seen: impl FnMut(usize, Span)) {
        for pass in &self.passes {
            let mut at = from;
            while at < to {
                let Some((pattern, span)) = pass.search.find(text, at) else { break };
                if span.start >= to {
                    break;
                }
                pass.rules[pattern].iter().for_each(|&rule| seen(rule, span));
                // Anchors may overlap.
                at = span.start + 1;
            }
        }
    }
}

impl Pass {
    fn new(patterns: &[(&str, Vec<usize>)]) -> Self {
        let texts: Vec<_> = patterns.iter().map(|(anchor, _)| *anchor).collect();
        let vector = packed::Config::new()
            .match_kind(packed::MatchKind::LeftmostFirst)
            .builder()
            .extend(&texts)
            .build()
            .map(Search::Vector);
        let search = vector.unwrap_or_else(|| {
            Search::Automaton(
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostFirst)
                    .kind(Some(AhoCorasickKind::DFA))
                    .build(&texts)
                    .expect("some dozen short anchors make a small automaton"),
            )
        });
        Self { search, rules: patterns.iter().map(|(_, rules)| rules.clone()).collect() }
    }
}

impl Search {
    fn find(&self, text: &[u8], at: usize) -> Option<(usize, Span)> {
        let found = match self {
            Self::Vector(searcher) => searcher.find_in(text, Span { start: at, end: text.len() }),
            Self::Automaton(automaton) => automaton.find(Input::new(text).range(at..)),
        }?;
        Some((found.pattern().as_usize(), found.span()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_anchor_hides_another() {
        let all: Vec<_> = RULES.iter().flat_map(|rule| rule.anchors).collect();
        for a in &all {
            assert!(a.len() >= 3, "{a} is too short to be sought");
            assert!(!all.iter().any(|b| b.len() > a.len() && b.starts_with(**a)), "{a} hides a longer one");
        }
    }

    #[test]
    fn every_anchor_is_found_wherever_it_is() {
        let anchors = Anchors::new();
        for (index, rule) in RULES.iter().enumerate() {
            for anchor in rule.anchors {
                for before in [0, 1, 7, 100] {
                    let text = format!("{}{anchor}{}", "-".repeat(before), "-".repeat(100 - before));
                    let mut found = Vec::new();
                    anchors.scan(text.as_bytes(), 0, text.len(), |rule, span| found.push((rule, span.start)));
                    assert!(found.contains(&(index, before)), "{anchor} at {before}");
                }
            }
        }
    }
}
