//! OBS-2: the exposition, read back by a strict parser.

use std::collections::{BTreeMap, HashMap};

use plimsoll_model::RepositoryType::{Canonical, Staging};
use plimsoll_model::event::RolloutKind::{Deploy, Rollback};
use plimsoll_model::event::RolloutOutcome::{Failed, RolledBack, Succeeded};

use super::events::{Fixture, build_failed, build_finished, decided, finished, watched};

type Labels = Vec<(String, String)>;
/// One sample: name, labels, value.
type Samples = BTreeMap<(String, Labels), f64>;

fn name_ok(name: &str) -> bool {
    name.bytes()
        .enumerate()
        .all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || (i > 0 && b.is_ascii_digit()))
        && !name.is_empty()
}

fn parse_labels(text: &str) -> Labels {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect("a label has a quoted value");
        assert!(name_ok(name), "label {name}");
        let (mut value, mut chars, mut end) = (String::new(), after.char_indices(), None);
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    end = Some(i);
                    break;
                }
                '\\' => value.push(match chars.next().expect("an escape").1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("escape {c}"),
                }),
                '\n' => panic!("a line end within a label"),
                c => value.push(c),
            }
        }
        labels.push((name.to_owned(), value));
        rest = &after[end.expect("the quote ends") + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

/// Text format 0.0.4, stricter than Prometheus: HELP then TYPE before samples,
/// families not split, counters end in `_total`, histograms are cumulative.
fn parse(text: &str) -> Samples {
    assert!(text.ends_with('\n'));
    let (mut samples, mut types) = (Samples::new(), HashMap::new());
    let (mut helped, mut family) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split_once(' ').expect("a text").0.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "TYPE follows its HELP");
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            assert!(kind != "counter" || name.ends_with("_total"), "{name}");
            family = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let value: f64 = value.parse().expect("a number");
            let (name, labels) = match series.split_once('{') {
                None => (series, Vec::new()),
                Some((name, rest)) => (name, parse_labels(rest.strip_suffix('}').expect("closed"))),
            };
            assert!(name_ok(name), "{name}");
            match types[&family].as_str() {
                "counter" | "gauge" => assert_eq!(name, family),
                _ => assert!(["_bucket", "_sum", "_count"].iter().any(|s| name == format!("{family}{s}"))),
            }
            assert!(samples.insert((name.to_owned(), labels), value).is_none(), "{line} twice");
        }
    }
    for (family, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &samples {
            if *name == format!("{family}_bucket") {
                let mut labels = labels.clone();
                let (le, bound) = labels.pop().unwrap();
                assert_eq!(le, "le");
                buckets.entry(labels).or_default().push((bound.parse().unwrap(), *value));
            }
        }
        for (labels, mut series) in buckets {
            series.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(series.windows(2).all(|w| w[0].1 <= w[1].1), "{family} is cumulative");
            let (last, count) = *series.last().unwrap();
            assert!(last.is_infinite());
            assert_eq!(samples[&(format!("{family}_count"), labels.clone())], count);
            assert!(samples.contains_key(&(format!("{family}_sum"), labels)));
        }
    }
    samples
}

fn filled() -> Fixture {
    let fixture = Fixture::new();
    let environment = "pro\"d\\u\nction";
    let events = [
        build_finished(1, Canonical, 599.0),
        build_finished(2, Canonical, 600.5),
        build_finished(3, Staging, 0.5),
        build_failed(4),
        finished(environment, "a", Deploy, None, 1, Succeeded),
        finished(environment, "b", Deploy, Some(1), 2, Failed),
        finished(environment, "c", Deploy, Some(1), 2, RolledBack),
        finished(environment, "d", Rollback, Some(2), 1, Succeeded),
        finished(environment, "e", Rollback, Some(2), 1, Failed),
        decided(environment, 3, false),
        decided(environment, 3, true),
        watched(environment, 2, &serde_json::json!({ "report": { "verdict": "regressed" } })),
        watched(environment, 3, &serde_json::json!({ "of": "a later version" })),
    ];
    fixture.ledger.append_all("ci", &events).unwrap();
    fixture
}

#[test]
fn metrics_count_what_the_ledger_records() {
    let fixture = filled();
    let text = fixture.ledger.metrics().unwrap();
    assert_eq!(text, fixture.ledger.metrics().unwrap(), "the same ledger gives the same bytes");
    let samples = parse(&text);
    let get = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        samples[&(name.to_owned(), labels)]
    };
    let (canonical, staging) = (("repository_type", "canonical"), ("repository_type", "staging"));
    let environment = ("environment", "pro\"d\\u\nction");
    assert_eq!(get("image_build_total", &[canonical]), 2.0);
    assert_eq!(get("image_build_total", &[staging]), 1.0);
    assert_eq!(get("image_build_failures_total", &[canonical]), 1.0);
    assert_eq!(get("rollback_total", &[canonical]), 1.0);
    assert_eq!(get("rollback_total", &[staging]), 0.0);
    assert_eq!(get("rollback_failures_total", &[canonical]), 1.0);
    for outcome in ["succeeded", "failed", "rolled_back", "refused"] {
        assert_eq!(get("deploy_total", &[environment, ("outcome", outcome)]), 1.0, "{outcome}");
    }
    assert_eq!(get("image_build_duration_seconds_bucket", &[canonical, ("le", "600.0")]), 1.0);
    assert_eq!(get("image_build_duration_seconds_sum", &[canonical]), 1199.5);
    assert_eq!(get("deploy_duration_seconds_count", &[environment]), 1.0);
    assert_eq!(get("rollback_duration_seconds_bucket", &[environment, ("le", "120.0")]), 1.0);
    assert_eq!(get("plimsoll_ledger_entries_total", &[]), 13.0);
    for verdict in ["regressed", "unknown"] {
        assert_eq!(
            get("plimsoll_watch_verdicts_total", &[environment, ("verdict", verdict)]),
            1.0,
            "{verdict}"
        );
    }
}

#[test]
fn an_empty_ledger_has_its_series_already() {
    let text = Fixture::new().ledger.metrics().unwrap();
    let samples = parse(&text);
    assert_eq!(
        samples[&("image_build_total".into(), vec![("repository_type".into(), "staging".into())])],
        0.0
    );
    assert_eq!(samples[&("plimsoll_ledger_entries_total".into(), Vec::new())], 0.0);
}

/// The official linter, where it is installed.
#[test]
fn promtool_accepts_the_metrics() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Ok(child) => child,
        Err(_) if std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_none() => {
            println!("skipped: needs promtool");
            return;
        }
        Err(error) => panic!("promtool is required: {error}"),
    };
    let text = filled().ledger.metrics().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
