//! Metrics as text: Prometheus' format 0.0.4 and OpenMetrics 1.0, read line by
//! line in one pass that keeps only what is asked for.
//!
//! Sources: Prometheus documentation, Exposition formats; OpenMetrics 1.0,
//! "Text format". Quoted names in braces are read as well (Prometheus 3).
//!
//! A line of a metric that nobody asked for needs a name and no more: an odd
//! line of another exporter must not blind the watch. A text that has lines
//! which are no metrics at all is refused.

mod line;

use std::collections::HashMap;

use jiff::Timestamp;

/// The longest line in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// Samples that are kept at most.
pub const MAX_SAMPLES: usize = 200_000;
/// Names whose kind is remembered at most.
const MAX_KINDS: usize = 50_000;

/// What was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposition {
    /// What was asked for, in the order of the text.
    pub samples: Vec<Sample>,
    /// `# TYPE` of the metrics.
    pub(crate) kinds: HashMap<String, Kind>,
    /// OpenMetrics' `_created` samples, by [`Sample::series`] of what they
    /// belong to, without a suffix.
    pub(crate) created: HashMap<String, Timestamp>,
    /// `process_start_time_seconds`: when the replica started.
    pub born: Option<Timestamp>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// The declared type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, but for restarts.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counters by bucket.
    Histogram,
    /// Quantiles, and counters of all.
    Summary,
    /// Anything else, or nothing was said.
    Other,
}

/// Why a text cannot be read as metrics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A page for people.
    #[error("it is HTML, not metrics")]
    Html,
    /// Neither format is anything but UTF-8.
    #[error("it is not text in UTF-8")]
    NotText,
    /// A line that is no comment and no sample.
    #[error("line {line} is not a metric: {reason}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// OpenMetrics ends with `# EOF`.
    #[error("it ends without `# EOF`: the answer was cut off")]
    CutOff,
    /// More than [`MAX_SAMPLES`].
    #[error("more than {MAX_SAMPLES} samples are asked for")]
    TooMany,
}

impl Sample {
    /// Name and labels in one text that is the same for the same series,
    /// without the bound of a bucket.
    pub fn series(&self) -> String {
        series(&self.name, &self.labels, "le")
    }

    /// The upper bound of a histogram's bucket.
    pub fn bound(&self) -> Option<f64> {
        self.label("le").and_then(|bound| bound.parse().ok()).filter(|bound: &f64| !bound.is_nan())
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }
}

fn series(name: &str, labels: &[(String, String)], without: &str) -> String {
    let mut sorted: Vec<&(String, String)> = labels.iter().filter(|(label, _)| label != without).collect();
    sorted.sort();
    let mut text = String::from(name);
    for (at, (label, value)) in sorted.into_iter().enumerate() {
        text.push(if at == 0 { '{' } else { ',' });
        text.push_str(label);
        text.push('=');
        text.push_str(&format!("{value:?}"));
    }
    if text.len() > name.len() {
        text.push('}');
    }
    text
}

/// Suffixes under which a family's samples go.
const SUFFIXES: [&str; 5] = ["_total", "_bucket", "_count", "_sum", "_created"];

fn family(name: &str) -> &str {
    SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

impl Exposition {
    /// The declared type of a sample's metric.
    pub fn kind(&self, name: &str) -> Kind {
        self.kinds.get(name).or_else(|| self.kinds.get(family(name))).copied().unwrap_or(Kind::Other)
    }

    /// When a counter began, where the text says it.
    pub fn created(&self, sample: &Sample) -> Option<Timestamp> {
        if self.created.is_empty() {
            return None;
        }
        self.created.get(&series(family(&sample.name), &sample.labels, "le")).copied()
    }

    /// Reads a text; `wanted` says which names are asked for, `openmetrics`
    /// whether the text was declared to be that.
    ///
    /// # Errors
    /// When it is no metrics, or is cut off.
    pub fn parse(text: &[u8], openmetrics: bool, wanted: impl Fn(&str) -> bool) -> Result<Self, FormatError> {
        let mut found = Self::default();
        let start = text.trim_ascii_start();
        if start.first() == Some(&b'<') {
            return Err(FormatError::Html);
        }
        let mut ended = false;
        let mut rest = text;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let bytes = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let wrong = |reason: &str| FormatError::Line { line: number, reason: reason.into() };
            if bytes.len() > MAX_LINE {
                return Err(wrong("it is too long"));
            }
            let line = std::str::from_utf8(bytes).map_err(|_| FormatError::NotText)?.trim();
            if line.is_empty() {
                continue;
            }
            if let Some(comment) = line.strip_prefix('#') {
                ended |= comment.trim() == "EOF";
                found.comment(comment);
                continue;
            }
            found.line(line, &wanted).map_err(wrong)?;
            if found.samples.len() > MAX_SAMPLES {
                return Err(FormatError::TooMany);
            }
        }
        if openmetrics && !ended {
            return Err(FormatError::CutOff);
        }
        Ok(found)
    }

    fn comment(&mut self, comment: &str) {
        let mut words = comment.split_ascii_whitespace();
        if words.next() != Some("TYPE") {
            return;
        }
        let (Some(name), Some(kind)) = (words.next(), words.next()) else { return };
        let kind = match kind {
            "counter" => Kind::Counter,
            "gauge" | "gaugehistogram" | "stateset" | "info" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            _ => return,
        };
        if self.kinds.len() < MAX_KINDS {
            self.kinds.insert(name.trim_matches('"').to_owned(), kind);
        }
    }

    fn line(&mut self, line: &str, wanted: &impl Fn(&str) -> bool) -> Result<(), &'static str> {
        let name = line::name(line)?;
        let created = name.strip_suffix("_created").filter(|family| {
            wanted(family) || SUFFIXES.iter().any(|suffix| wanted(&format!("{family}{suffix}")))
        });
        if name == "process_start_time_seconds" {
            self.born = line::sample(line).ok().and_then(|sample| moment(sample.value));
        }
        if created.is_none() && !wanted(&name) {
            return Ok(());
        }
        let sample = line::sample(line)?;
        match created {
            Some(family) if !wanted(&name) => {
                if let Some(at) = moment(sample.value) {
                    self.created.insert(series(family, &sample.labels, "le"), at);
                }
            }
            _ => self.samples.push(sample),
        }
        Ok(())
    }
}

/// Seconds since the epoch as a moment, if it is one.
fn moment(seconds: f64) -> Option<Timestamp> {
    if !(0.0..1e11).contains(&seconds) {
        return None;
    }
    Timestamp::from_millisecond((seconds * 1000.0) as i64).ok()
}

#[cfg(test)]
mod tests;
