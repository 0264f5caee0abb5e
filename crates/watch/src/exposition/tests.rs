//! Texts of both formats, and texts that are none.
#![allow(clippy::unwrap_used)]

use super::*;

fn parse(text: &str) -> Result<Exposition, FormatError> {
    Exposition::parse(text.as_bytes(), false, |_| true)
}

fn one(text: &str) -> Sample {
    let mut samples = parse(text).unwrap().samples;
    assert_eq!(samples.len(), 1, "{text}");
    samples.remove(0)
}

#[test]
fn samples_of_the_text_format() {
    let text = "# HELP a_total Everything.\n# TYPE a_total counter\na_total 12\n\n\
                a_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
                # a comment\n  b{ x = \"y\" , } +Inf\r\nc NaN\nd -1.5e3\n";
    let found = parse(text).unwrap();
    let names: Vec<_> = found.samples.iter().map(|s| (s.name.as_str(), s.labels.len())).collect();
    assert_eq!(names, [("a_total", 0), ("a_total", 2), ("b", 1), ("c", 0), ("d", 0)]);
    assert_eq!(found.samples[1].value, 1027.0);
    assert_eq!(found.samples[2].value, f64::INFINITY);
    assert!(found.samples[3].value.is_nan());
    assert_eq!(found.samples[4].value, -1500.0);
    assert_eq!((found.kind("a_total"), found.kind("b")), (Kind::Counter, Kind::Other));
}

#[test]
fn escapes_and_what_looks_like_an_end() {
    let sample = one(r#"a{path="C:\\x\n\"}, b=\"1\"",é_is_no="x"} 1"#.replace("é_is_no", "z").as_str());
    assert_eq!(sample.label("path"), Some("C:\\x\n\"}, b=\"1\""));
    assert_eq!(sample.label("z"), Some("x"));
    assert_eq!(one("a{b=\"\\q\"} 1").label("b"), Some("\\q"));
    assert_eq!(one("a{b=\"é\"} 1").label("b"), Some("é"));
}

#[test]
fn openmetrics_with_exemplars_created_and_its_end() {
    let text = "# TYPE payouts counter\n# UNIT payouts seconds\n\
                payouts_total{result=\"failed\"} 17.0 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1.5e9\n\
                payouts_created{result=\"failed\"} 1700000000.5\n\
                # TYPE lat histogram\nlat_bucket{le=\"0.5\"} 3 # {} 0.4\nlat_bucket{le=\"+Inf\"} 4\nlat_count 4\n\
                lat_created 1700000001\nprocess_start_time_seconds 1.7e9\n# EOF\n";
    let found =
        Exposition::parse(text.as_bytes(), true, |name| ["payouts_total", "lat_bucket"].contains(&name))
            .unwrap();
    assert_eq!(found.samples.len(), 3);
    assert_eq!(found.kind("payouts_total"), Kind::Counter);
    assert_eq!(found.kind("lat_bucket"), Kind::Histogram);
    assert_eq!(found.created(&found.samples[0]).unwrap().as_millisecond(), 1_700_000_000_500);
    assert_eq!(found.created(&found.samples[1]).unwrap().as_second(), 1_700_000_001);
    assert_eq!(found.born.unwrap().as_second(), 1_700_000_000);
    assert_eq!(found.samples.iter().filter_map(Sample::bound).collect::<Vec<_>>(), [0.5, f64::INFINITY]);
    let cut = text.trim_end_matches("# EOF\n");
    assert_eq!(Exposition::parse(cut.as_bytes(), true, |_| true), Err(FormatError::CutOff));
    assert!(Exposition::parse(cut.as_bytes(), false, |_| true).is_ok());
}

#[test]
fn names_in_quotes() {
    let sample = one(r#"{"my.metric", "a.b"="c", d="e"} 2"#);
    assert_eq!((sample.name.as_str(), sample.label("a.b"), sample.value), ("my.metric", Some("c"), 2.0));
}

#[test]
fn a_series_is_the_same_however_its_labels_are_ordered() {
    assert_eq!(one("a{x=\"1\",y=\"2\"} 1").series(), one("a{y=\"2\",le=\"3\",x=\"1\"} 9").series());
    assert_ne!(one("a{x=\"1,y=2\"} 1").series(), one("a{x=\"1\",y=\"2\"} 1").series());
}

#[test]
fn what_is_no_metrics_is_told_apart() {
    assert_eq!(parse("  <!doctype html><html>"), Err(FormatError::Html));
    assert_eq!(Exposition::parse(b"a 1\n\xff\xfe\n", false, |_| true), Err(FormatError::NotText));
    for (text, line) in [
        ("{\"error\": \"nope\"}", 1),
        ("a 1\nNot found\n", 2),
        ("a 1\nb{x=\"1\" 2\n", 2),
        ("b{x=1} 2", 1),
        ("b{x=\"1} 2", 1),
        ("b{=\"1\"} 2", 1),
        ("b{x=\"1\"}", 1),
        ("b one", 1),
        ("b 1 soon", 1),
        ("b 1 2 3", 1),
        ("b", 1),
        ("7a 1", 1),
        ("{} 1", 1),
        ("{\"a", 1),
        ("é 1", 1),
    ] {
        match parse(text) {
            Err(FormatError::Line { line: found, .. }) => assert_eq!(found, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(parse(&format!("a{{x=\"{}\"}} 1", "y".repeat(MAX_LINE))).is_err());
    assert!(parse("").unwrap().samples.is_empty());
}

#[test]
fn an_odd_line_of_a_metric_nobody_asked_for_does_not_matter() {
    let text = "other{x=broken} what\nmine 3\n";
    let found = Exposition::parse(text.as_bytes(), false, |name| name == "mine").unwrap();
    assert_eq!(found.samples.len(), 1);
}

/// Every prefix of a valid text, and the text with each byte replaced: read or
/// refused, never a panic.
#[test]
fn damaged_texts_do_not_panic() {
    let text = "# TYPE a counter\na_total{x=\"\\\\é\\n\",le=\"+Inf\"} 1e3 17 # {t=\"u\"} 1\n{\"q.r\",s=\"t\"} 2\n# EOF\n";
    for cut in 0..text.len() {
        let _ = Exposition::parse(&text.as_bytes()[..cut], true, |_| true);
        for byte in [b'"', b'\\', b'{', b'}', b'\n', b' ', b',', b'=', 0xC3, 0] {
            let mut damaged = text.as_bytes().to_vec();
            damaged[cut] = byte;
            let _ = Exposition::parse(&damaged, false, |_| true);
        }
    }
}
