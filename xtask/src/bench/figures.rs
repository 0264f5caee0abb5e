//! The figures, as a table for people and as JSON for programs.

use serde::Serialize;
use serde_json::{Value, json};

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    /// The value shall be at most the target.
    AtMost,
    /// The value shall be at least the target.
    AtLeast,
}

/// What a figure is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) bound: Bound,
    pub(crate) value: f64,
    /// The target is for the ratio to the peer, not for the figure itself.
    pub(crate) of_ratio: bool,
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) peer: Option<Peer>,
    pub(crate) target: Option<Target>,
}

/// The same of a peer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, ours: f64, unit: &'static str) -> Self {
        Self { name: name.into(), unit, ours, peer: None, target: None }
    }

    pub(crate) fn beside(mut self, name: &str, value: f64) -> Self {
        self.peer = Some(Peer { name: name.into(), value });
        self
    }

    pub(crate) fn at_most(mut self, value: f64) -> Self {
        self.target = Some(Target { bound: Bound::AtMost, value, of_ratio: false });
        self
    }

    pub(crate) fn ratio_at_most(mut self, value: f64) -> Self {
        self.target = Some(Target { bound: Bound::AtMost, value, of_ratio: true });
        self
    }

    pub(crate) fn ratio_at_least(mut self, value: f64) -> Self {
        self.target = Some(Target { bound: Bound::AtLeast, value, of_ratio: true });
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|peer| self.ours / peer.value)
    }

    /// Whether the target is met; `None` without one.
    fn met(&self) -> Option<bool> {
        let target = self.target?;
        let value = if target.of_ratio { self.ratio()? } else { self.ours };
        // What cannot be compared (0 / 0) is not met.
        Some(match target.bound {
            Bound::AtMost => value <= target.value,
            Bound::AtLeast => value >= target.value,
        })
    }
}

/// Everything that was measured, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Figures {
    pub(crate) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Something to know about the figures: a peer that is missing, a limit.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(crate) fn all_met(&self) -> bool {
        self.figures.iter().all(|figure| figure.met() != Some(false))
    }

    pub(crate) fn document(&self, quick: bool) -> Value {
        let rows = self.figures.iter().map(|figure| {
            let mut row = serde_json::to_value(figure).expect("a figure has only text and numbers");
            row["ratio"] = json!(figure.ratio());
            row["met"] = json!(figure.met());
            row
        });
        json!({
            "schema": "plimsoll/bench/v1",
            "quick": quick,
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "figures": rows.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    pub(crate) fn table(&self) -> String {
        let mut rows = vec![["", "ours", "peer", "ratio", "target", ""].map(str::to_owned)];
        rows.extend(self.figures.iter().map(|figure| {
            let peer = figure.peer.as_ref();
            [
                figure.name.clone(),
                format!("{} {}", short(figure.ours), figure.unit),
                peer.map_or_else(String::new, |peer| format!("{} {}", peer.name, short(peer.value))),
                figure.ratio().map(short).unwrap_or_default(),
                figure.target.map_or_else(String::new, |target| {
                    let sign = if target.bound == Bound::AtMost { "<=" } else { ">=" };
                    let what = if target.of_ratio { "ratio" } else { figure.unit };
                    format!("{sign} {} {what}", target.value)
                }),
                match figure.met() {
                    Some(true) => "met".into(),
                    Some(false) => "NOT MET".into(),
                    None => String::new(),
                },
            ]
        }));
        let widths: [usize; 6] =
            std::array::from_fn(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0));
        let mut text = String::new();
        for row in rows {
            let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
                0 | 5 => format!("{cell:width$}"),
                _ => format!("{cell:>width$}"),
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }
}

/// Three digits or so: more are noise.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The value in the middle; of an even number the upper one.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The smallest value that so many of a hundred do not exceed.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = sorted.len() * percent / 100;
    sorted.get(at).or(sorted.last()).copied().unwrap_or(f64::NAN)
}

/// The smallest and the largest, for a note.
pub(crate) fn spread(values: &[f64]) -> String {
    let most = values.iter().copied().max_by(f64::total_cmp).unwrap_or(f64::NAN);
    format!("{} to {}", short(best(values.iter().copied())), short(most))
}

/// The smallest: on a machine that others use, what disturbs only adds.
pub(crate) fn best(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().min_by(f64::total_cmp).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_judged() {
        let fast = Figure::new("a", 4.0, "s").beside("b", 10.0);
        assert_eq!(fast.clone().ratio_at_most(0.5).met(), Some(true));
        assert_eq!(fast.clone().ratio_at_most(0.3).met(), Some(false));
        assert_eq!(fast.clone().ratio_at_least(0.7).met(), Some(false));
        assert_eq!(fast.clone().at_most(3.9).met(), Some(false));
        assert_eq!(fast.met(), None);
        // Without the peer a ratio has no verdict.
        assert_eq!(Figure::new("a", 4.0, "s").ratio_at_most(0.5).met(), None);
    }

    #[test]
    fn the_table_lines_up() {
        let mut figures = Figures::default();
        figures.add(Figure::new("push", 2.5, "s").beside("crane", 10.0).ratio_at_most(0.5));
        figures.add(Figure::new("start", 12.0, "ms").at_most(10.0));
        figures.note("missing: buildah");
        let expected = [
            "          ours        peer  ratio        target",
            "push    2.50 s  crane 10.0   0.25  <= 0.5 ratio  met",
            "start  12.0 ms                         <= 10 ms  NOT MET",
            "note: missing: buildah",
        ];
        assert_eq!(figures.table().lines().collect::<Vec<_>>(), expected);
        assert!(!figures.all_met());
        assert_eq!(figures.document(false)["figures"][0]["met"], true);
    }

    #[test]
    fn order_statistics() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!((median(&values), percentile(&values, 95), best(values)), (3.0, 5.0, 1.0));
        assert!(median(&[]).is_nan());
        assert_eq!(spread(&values), "1.00 to 5.00");
    }
}
