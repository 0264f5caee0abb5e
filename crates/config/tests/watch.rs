//! `[environments.NAME.watch]`: what contradicts itself is refused with its
//! place, and what is given is what is read.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use plimsoll_config::{Config, ConfigError, OnInsufficientData, Overlays, Source, Watch};

fn parse(target: &str, watch: &str) -> Result<Watch, Vec<(String, String)>> {
    let text = format!(
        "[service]\nname = \"payouts\"\n[repository]\ncanonical = \"registry.example.com/acme/payouts\"\n\
         [image]\nentrypoint = [\"/a\"]\ncopy = [{{ from = \"a\", to = \"/a\" }}]\n\
         [environments.e]\n{target}\n[environments.e.watch]\n{watch}"
    );
    match Config::parse("plimsoll.toml".into(), text.into(), &Overlays::new()) {
        Ok(loaded) => Ok(loaded.config.environments["e"].watch.clone().unwrap()),
        Err(ConfigError::Invalid(problems)) => {
            Err(problems.into_iter().map(|p| (p.message, p.hint.unwrap_or_default())).collect())
        }
        Err(error) => panic!("{error}"),
    }
}

const LOCAL: &str = "target = \"local\"\nlisten = \"127.0.0.1:1\"";

fn metric(keys: &str) -> String {
    format!("[[environments.e.watch.metrics]]\nname = \"m\"\nquery = \"q\"\n{keys}\n")
}

#[test]
fn what_contradicts_itself_is_refused() {
    let server = "[environments.e.watch.prometheus]\nlabel = \"sha\"\n";
    for (watch, words) in [
        (metric("bound = 0.5\nquantile = 0.9"), "exclude each other"),
        (metric("bound = 0.5\nof = \"o\""), "its own denominator"),
        (metric("quantile = 0.9\nworse = \"lower\""), "fewer cannot be worse"),
        (metric("limit = 0.1\nworse = \"lower\""), "more is worse"),
        (metric("quantile = 95"), "between 0 and 1"),
        (metric("quantile = 1.0"), "between 0 and 1"),
        (metric("limit = 0"), "above 0"),
        (metric("limit = nan"), "above 0"),
        ("share = 10".into(), "from 0.001 to 0.999"),
        ("share = 1.0".into(), "from 0.001 to 0.999"),
        (metric("min_ratio = 0.9"), "at least 1"),
        (metric("min_excess = -1"), "at least 0"),
        (metric("source = \"prometheus\""), "missing key `prometheus`"),
        (metric("source = \"traces\""), "missing key `traces`"),
        (metric("source = \"statsd\""), "one of `replicas`, `switch`, `prometheus`, `traces`"),
        (metric("") + &metric(""), "two metrics are called `m`"),
        ("on_insufficient_data = \"goback\"".into(), "one of `promote`, `hold`, `go-back`"),
        (format!("{server}url = \"prometheus:9090\""), "an address like"),
        (format!("{server}url = \"https://ann:pw@prometheus\""), "an address like"),
        (format!("{server}url = \"http://prometheus:9090\"\ntoken = \"env:T\""), "plain http"),
        (format!("{server}url = \"https://prometheus\"\ntoken = \"s3cr3t\""), "where the secret is"),
        ("[environments.e.watch.prometheus]\nurl = \"http://p\"\nlabel = \"a-b\"".into(), "name of a label"),
    ] {
        let problems = parse(LOCAL, &watch).unwrap_err();
        assert!(problems.iter().any(|(message, _)| message.contains(words)), "{watch}: {problems:?}");
        assert!(!format!("{problems:?}").contains("s3cr3t"));
    }
    let switched = metric("").replace("\"q\"", "\"plimsoll_switch_requests_total\"");
    let problems = parse("target = \"kubernetes\"", &switched).unwrap_err();
    assert!(problems[0].0.contains("`kubernetes` has none of"), "{problems:?}");
}

#[test]
fn what_is_given_is_what_is_read() {
    let text = format!(
        "bake = \"1m\"\npersist = \"5s\"\nshare = 0.1\nwait = \"10m\"\non_insufficient_data = \"hold\"\n{}{}{}{}",
        metric("bound = 1\nmin_ratio = 2\nmin_excess = 0.01"),
        metric("limit = 5").replace("\"m\"", "\"spans\"").replace("\"q\"", "\"plimsoll_spans_total\""),
        "[environments.e.watch.prometheus]\nurl = \"http://[::1]:9090/prom\"\nlabel = \"sha\"\ntoken = \"env:T\"\n",
        "[environments.e.watch.traces]\nlisten = \"127.0.0.1:4318\"\n",
    );
    let watch = parse(LOCAL, &text).unwrap();
    assert_eq!(watch.on_insufficient_data, OnInsufficientData::Hold);
    assert_eq!((watch.bake, watch.wait), (Duration::from_secs(60), Duration::from_secs(600)));
    assert_eq!((watch.share, watch.persist), (Some(0.1), Duration::from_secs(5)));
    let [slow, spans] = &watch.metrics[..] else { panic!() };
    assert_eq!((slow.bound, slow.min_ratio, slow.min_excess), (Some(1.0), 2.0, Some(0.01)));
    assert_eq!((slow.source, spans.source, spans.limit), (Source::Replicas, Source::Traces, Some(5.0)));
    assert_eq!(watch.prometheus.unwrap().scrape_interval, Duration::from_secs(60));
    assert_eq!(watch.traces.unwrap().attribute, "service.version");
    let defaults = parse(LOCAL, "").unwrap();
    assert_eq!((defaults.on_insufficient_data, defaults.wait), (OnInsufficientData::Promote, Duration::ZERO));
    assert_eq!((defaults.interval, defaults.persist), (Duration::from_secs(10), Duration::from_secs(45)));
}
