//! OSV's evaluation: is this version within what an advisory says is affected?

use std::cmp::Ordering;

use crate::advisory::EventKind;
use crate::index::is_beginning;
use crate::version::{Scheme, Version};

/// What a range says about a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// Affected; the next version that is not, where the range names one.
    Inside(Option<&'a str>),
    /// Not affected.
    Outside,
    /// It cannot be told: this text is no version under these rules.
    Unreadable(String, Scheme),
}

/// The events of one range, understood and in order.
#[derive(Debug)]
pub(crate) struct Extent<'a> {
    scheme: Scheme,
    points: Vec<Point<'a>>,
    limits: Vec<Version<'a>>,
    /// A version of the advisory's own that is none.
    unreadable: Option<&'a str>,
}

#[derive(Debug)]
struct Point<'a> {
    kind: EventKind,
    text: &'a str,
    /// Nothing for "before every version".
    version: Option<Version<'a>>,
}

impl<'a> Extent<'a> {
    pub(crate) fn of(scheme: Scheme, events: impl Iterator<Item = (EventKind, &'a str)>) -> Self {
        let mut extent = Self { scheme, points: Vec::new(), limits: Vec::new(), unreadable: None };
        for (kind, text) in events {
            let beginning = is_beginning(kind, text);
            match scheme.parse(text) {
                // The schema's way of saying that there is none.
                _ if kind == EventKind::Limit && text == "*" => {}
                Some(version) if kind == EventKind::Limit => extent.limits.push(version),
                _ if beginning => extent.points.push(Point { kind, text, version: None }),
                Some(version) => extent.points.push(Point { kind, text, version: Some(version) }),
                None => extent.unreadable = extent.unreadable.or(Some(text)),
            }
        }
        let starts = |point: &Point<'_>| matches!(point.kind, EventKind::Introduced | EventKind::After);
        if !extent.points.is_empty() && !extent.points.iter().any(starts) {
            // Against the schema; what ends has begun.
            extent.points.push(Point { kind: EventKind::Introduced, text: "0", version: None });
        }
        // Stable: at one version the advisory's own order counts.
        extent.points.sort_by(|a, b| match (&a.version, &b.version) {
            (Some(a), Some(b)) => a.compare(b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        });
        extent
    }

    /// Whether a version, as its package writes it, is in this range.
    pub(crate) fn judge(&self, text: &str) -> Verdict<'a> {
        if let Some(unreadable) = self.unreadable {
            return Verdict::Unreadable(unreadable.into(), self.scheme);
        }
        if self.is_everything() {
            return Verdict::Inside(None);
        }
        let Some(version) = self.scheme.parse(text) else {
            return Verdict::Unreadable(text.into(), self.scheme);
        };
        let within = |limit: &Version<'_>| version.compare_to_bound(limit).is_lt();
        if !self.limits.is_empty() && !self.limits.iter().any(within) {
            return Verdict::Outside;
        }
        let mut inside = false;
        for point in &self.points {
            let order = point.order(&version);
            match point.kind {
                EventKind::Introduced if order.is_ge() => inside = true,
                EventKind::After if order.is_gt() => inside = true,
                EventKind::Fixed | EventKind::Until if order.is_ge() => inside = false,
                EventKind::LastAffected if order.is_gt() => inside = false,
                _ => {}
            }
        }
        if inside { Verdict::Inside(self.fix_after(&version)) } else { Verdict::Outside }
    }

    /// Whether every version is affected, even one that has no order.
    fn is_everything(&self) -> bool {
        self.limits.is_empty()
            && !self.points.is_empty()
            && self.points.iter().all(|point| point.version.is_none())
    }

    /// The first version after this one that the range calls fixed.
    fn fix_after(&self, version: &Version<'_>) -> Option<&'a str> {
        let fix = |point: &&Point<'_>| point.kind == EventKind::Fixed && point.order(version).is_lt();
        self.points.iter().find(fix).map(|point| point.text)
    }

    /// As [`Extent::fix_after`], for a version that is affected because a list names it.
    pub(crate) fn fix_for(&self, text: &str) -> Option<&'a str> {
        self.fix_after(&self.scheme.parse(text)?)
    }
}

impl Point<'_> {
    /// How a version compares with this point.
    fn order(&self, version: &Version<'_>) -> Ordering {
        self.version.as_ref().map_or(Ordering::Greater, |point| version.compare_to_bound(point))
    }
}

/// Whether one of the ranges says without doubt that a version is affected.
pub(crate) fn surely_within(extents: &[Extent<'_>], text: &str) -> bool {
    extents.iter().any(|extent| matches!(extent.judge(text), Verdict::Inside(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use EventKind::{After, Fixed, Introduced, LastAffected, Limit, Until};

    fn judge(events: &[(EventKind, &str)], version: &str) -> String {
        match Extent::of(Scheme::SemVer, events.iter().copied()).judge(version) {
            Verdict::Inside(fix) => format!("in, {}", fix.unwrap_or("no fix")),
            Verdict::Outside => "out".into(),
            Verdict::Unreadable(text, _) => format!("cannot read {text}"),
        }
    }

    #[test]
    fn events_are_judged_as_the_schema_says() {
        let two = &[(Introduced, "1.0.0"), (Fixed, "1.2.0"), (Introduced, "2.0.0"), (Fixed, "2.1.0")][..];
        let shuffled =
            &[(Fixed, "2.1.0"), (Introduced, "2.0.0"), (Fixed, "1.2.0"), (Introduced, "1.0.0")][..];
        let last = &[(Introduced, "0"), (LastAffected, "1.2.0")][..];
        let after = &[(After, "1.0.0"), (Fixed, "1.2.0")][..];
        let unfixed = &[(Introduced, "0"), (Until, "0.2.0"), (Introduced, "0.2.3"), (Fixed, "0.2.7")][..];
        let limited = &[(Introduced, "1.0.0"), (Limit, "1.5.0")][..];
        let joined = &[(Introduced, "1.0.0"), (Fixed, "2.0.0"), (Introduced, "2.0.0"), (Fixed, "3.0.0")][..];
        for (events, version, expected) in [
            (two, "0.9.0", "out"),
            (two, "1.0.0-alpha", "out"),
            (two, "1.0.0", "in, 1.2.0"),
            (two, "1.1.9", "in, 1.2.0"),
            (two, "1.2.0-rc.1", "in, 1.2.0"),
            (two, "1.2.0", "out"),
            (two, "2.0.5", "in, 2.1.0"),
            (two, "2.1.0", "out"),
            (shuffled, "1.1.0", "in, 1.2.0"),
            (shuffled, "1.5.0", "out"),
            (last, "0.0.0-0", "in, no fix"),
            (last, "1.2.0", "in, no fix"),
            (last, "1.2.1", "out"),
            (after, "1.0.0", "out"),
            (after, "1.0.1", "in, 1.2.0"),
            (limited, "1.4.0", "in, no fix"),
            (limited, "1.5.0", "out"),
            (&[(Introduced, "1.0.0"), (Limit, "*")], "9.0.0", "in, no fix"),
            (joined, "2.0.0", "in, 3.0.0"),
            (&[(Introduced, "0"), (Fixed, "0")], "1.0.0", "out"),
            (&[(Introduced, "1.0.0"), (LastAffected, "1.0.0")], "1.0.0", "in, no fix"),
            (&[(Introduced, "1.0.0"), (LastAffected, "1.0.0")], "1.0.1", "out"),
            (&[(Fixed, "1.0.0")], "0.9.0", "in, 1.0.0"),
            (unfixed, "0.1.0", "in, 0.2.7"),
            (unfixed, "0.2.0", "out"),
            (&[(Introduced, "0")], "latest", "in, no fix"),
            (&[(Introduced, "0")], "", "in, no fix"),
            (&[], "1.0.0", "out"),
            (two, "latest", "cannot read latest"),
            (&[(Introduced, "0"), (Fixed, "soon")], "1.0.0", "cannot read soon"),
        ] {
            assert_eq!(judge(events, version), expected, "{version} in {events:?}");
        }
    }
}
