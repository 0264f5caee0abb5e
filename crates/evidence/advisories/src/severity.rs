//! How severe an advisory is: CVSS vectors computed, and the words that
//! databases use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How severe, least first. What states no severity that is understood is
/// [`Severity::Unknown`], which is not the same as harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The advisory states none that is understood.
    Unknown,
    /// CVSS below 4.0.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 and above.
    Critical,
}

impl Severity {
    /// Every severity; the position is its number in the index.
    pub(crate) const ALL: [Self; 5] = [Self::Unknown, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The severity that a database's word means, whatever its case: GitHub's
    /// `MODERATE`, Ubuntu's `negligible`, Red Hat's `Important`, Debian's
    /// `unimportant`, and `critical`, `high`, `medium`, `low`.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.trim().trim_end_matches('*').to_ascii_lowercase();
        Some(match word.as_str() {
            "critical" | "urgent" => Self::Critical,
            "high" | "important" | "severe" => Self::High,
            "medium" | "moderate" => Self::Medium,
            "low" | "minor" | "negligible" | "unimportant" | "none" => Self::Low,
            _ => return None,
        })
    }

    /// The severity of a CVSS score, by the qualitative scale of CVSS 3 and 4.
    /// CVSS 2 defines none; NVD used the same words without `critical`.
    pub fn from_score(score: f64) -> Self {
        match score {
            score if score >= 9.0 => Self::Critical,
            score if score >= 7.0 => Self::High,
            score if score >= 4.0 => Self::Medium,
            _ => Self::Low,
        }
    }

    /// `critical`, `high`, `medium`, `low`, `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A severity with the score it comes from, where it comes from one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rating {
    pub(crate) severity: Option<Severity>,
    /// CVSS score times ten, so that it is exact.
    pub(crate) tenths: Option<u8>,
    /// The vector it was computed from; empty where there is none.
    pub(crate) vector: String,
}

impl Rating {
    /// The rating of a CVSS vector of version 2, 3.0, 3.1 or 4.
    pub(crate) fn from_vector(text: &str) -> Option<Self> {
        const MOST_BYTES: usize = 512;
        let text = text.trim();
        if text.len() > MOST_BYTES {
            return None;
        }
        let cvss: cvss::Cvss = text.parse().ok()?;
        // A vector that leaves something out would come to a score of 0.
        let base: &[&str] = match cvss {
            cvss::Cvss::CvssV20(_) => &["AV", "AC", "Au", "C", "I", "A"],
            cvss::Cvss::CvssV40(_) => &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"],
            _ => &["AV", "AC", "PR", "UI", "S", "C", "I", "A"],
        };
        let stated = |metric: &&str| text.split('/').any(|part| part.split(':').next() == Some(*metric));
        if !base.iter().all(stated) {
            return None;
        }
        let score = cvss.score();
        if !(0.0..=10.0).contains(&score) {
            return None;
        }
        let mut severity = Severity::from_score(score);
        if matches!(cvss, cvss::Cvss::CvssV20(_)) {
            severity = severity.min(Severity::High);
        }
        // In range by the test above; rounding only removes what floating point added.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let tenths = (score * 10.0).round() as u8;
        Some(Self { severity: Some(severity), tenths: Some(tenths), vector: text.into() })
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Severity::from_word(word).map(|severity| Self { severity: Some(severity), ..Self::default() })
    }

    /// The rating that `severity` entries of an advisory add up to: the newest
    /// version of CVSS decides, words come last.
    pub(crate) fn from_entries<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let rank = |kind: &str| match kind {
            "CVSS_V4" => 3,
            "CVSS_V3" => 2,
            "CVSS_V2" => 1,
            _ => 0,
        };
        entries
            .filter_map(|(kind, score)| {
                let rating = match rank(kind) {
                    0 => Self::from_word(score),
                    _ => Self::from_vector(score),
                };
                rating.map(|rating| (rank(kind), rating.severity, rating))
            })
            .max_by_key(|(rank, severity, _)| (*rank, *severity))
            .map(|(_, _, rating)| rating)
    }

    /// The more severe of two.
    pub(crate) fn worse(self, other: Self) -> Self {
        let key = |rating: &Self| (rating.severity, rating.tenths);
        if key(&other) > key(&self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_testkit::peer;

    use super::*;

    #[test]
    fn vectors_of_every_version_are_computed() {
        // Scores as the calculators of first.org and nvd.nist.gov give them.
        for (vector, tenths, severity) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100, Severity::Critical),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98, Severity::Critical),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 75, Severity::High),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61, Severity::Medium),
            ("CVSS:3.0/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N", 25, Severity::Low),
            ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", 0, Severity::Low),
            ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 100, Severity::High),
            ("AV:N/AC:L/Au:N/C:N/I:N/A:P", 50, Severity::Medium),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 100, Severity::Critical),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 93, Severity::Critical),
            ("CVSS:4.0/AV:L/AC:L/AT:N/PR:L/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N", 48, Severity::Medium),
        ] {
            let rating = Rating::from_vector(vector).unwrap_or_else(|| panic!("{vector} is not understood"));
            assert_eq!((rating.tenths, rating.severity), (Some(tenths), Some(severity)), "{vector}");
        }
        for bad in [
            "",
            "CVSS:3.1",
            "CVSS:3.1/AV:N",
            "CVSS:4.0/AV:N/AC:L",
            "AV:N/AC:L/Au:N",
            "CVSS:9.9/AV:N",
            "9.8",
            &"AV:N/".repeat(1000),
        ] {
            assert_eq!(Rating::from_vector(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_newest_cvss_decides_and_a_word_only_without_one() {
        let entries = [
            ("Ubuntu", "critical"),
            ("CVSS_V2", "AV:N/AC:L/Au:N/C:C/I:C/A:C"),
            ("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"),
            ("CVSS_V4", "CVSS:4.0/garbage"),
        ];
        let severity = |from: usize, to: usize| {
            Rating::from_entries(entries[from..to].iter().copied()).and_then(|rating| rating.severity)
        };
        assert_eq!(severity(0, 4), Some(Severity::High));
        assert_eq!(severity(0, 1), Some(Severity::Critical));
        assert_eq!(severity(3, 4), None);
        for (word, severity) in [
            ("MODERATE", Some(Severity::Medium)),
            ("low**", Some(Severity::Low)),
            ("Important", Some(Severity::High)),
            ("not yet assigned", None),
        ] {
            assert_eq!(Severity::from_word(word), severity, "{word}");
        }
    }

    /// Red Hat's calculator for Python gives the same scores.
    #[test]
    fn cvss_for_python_agrees() {
        let Some(peers) = peer::require(&["python3"]) else { return };
        let present = peers.command("python3").args(["-c", "import cvss"]).output();
        if peer::need("Python's cvss", present.ok().filter(|output| output.status.success())).is_none() {
            return;
        }
        let mut seed = 7_u64;
        let mut pick = |values: &str| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 40).unwrap_or(0) % values.len();
            values[at..=at].to_owned()
        };
        let mut vector = |start: &str, metrics: &[(&str, &str)]| {
            let parts: Vec<_> =
                metrics.iter().map(|(metric, values)| format!("{metric}:{}", pick(values))).collect();
            format!("{start}{}", parts.join("/"))
        };
        let v2 = [("AV", "LAN"), ("AC", "HML"), ("Au", "MSN"), ("C", "NPC"), ("I", "NPC"), ("A", "NPC")];
        let v3 = [
            ("AV", "NALP"),
            ("AC", "LH"),
            ("PR", "NLH"),
            ("UI", "NR"),
            ("S", "UC"),
            ("C", "NLH"),
            ("I", "NLH"),
            ("A", "NLH"),
        ];
        let v4 = [
            ("AV", "NALP"),
            ("AC", "LH"),
            ("AT", "NP"),
            ("PR", "NLH"),
            ("UI", "NPA"),
            ("VC", "NLH"),
            ("VI", "NLH"),
            ("VA", "NLH"),
            ("SC", "NLH"),
            ("SI", "NLH"),
            ("SA", "NLH"),
            ("E", "XAPU"),
        ];
        let mut vectors = Vec::new();
        for _ in 0..1500 {
            vectors.push(vector("", &v2));
            vectors.push(vector("CVSS:3.0/", &v3));
            vectors.push(vector("CVSS:3.1/", &v3));
            vectors.push(vector("CVSS:4.0/", &v4));
        }
        let mut input = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::io::Write::write_all(&mut input, vectors.join("\n").as_bytes())
            .expect("a temporary file is writable");
        let program = "import sys, cvss\nfor l in open(sys.argv[1]):\n l = l.strip()\n \
                       c = cvss.CVSS4(l) if l.startswith('CVSS:4') else cvss.CVSS3(l) if l.startswith('CVSS:3') else cvss.CVSS2(l)\n \
                       print(c.scores()[0])";
        let output =
            peers.command("python3").args(["-c", program]).arg(input.path()).output().expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let scores = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(scores.len(), vectors.len());
        let wrong: Vec<_> = vectors
            .iter()
            .zip(&scores)
            .filter(|(vector, theirs)| {
                let ours = Rating::from_vector(vector).and_then(|rating| rating.tenths);
                theirs.parse::<f64>().ok() != ours.map(|tenths| f64::from(tenths) / 10.0)
            })
            .collect();
        assert!(
            wrong.is_empty(),
            "{} of {}: {:?}",
            wrong.len(),
            vectors.len(),
            &wrong[..wrong.len().min(10)]
        );
    }
}
