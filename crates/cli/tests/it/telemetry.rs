//! Traces of commands, as a collector receives them (OBS-3): what is in them,
//! where else their name is, and that no collector is worth a release.

use plimsoll_testkit::collector::{Behaviour, Collector, Span};
use serde_json::Value;

use crate::world::{World, free_address};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A world whose commands are traced to this collector by their configuration.
fn traced(collector: &Collector) -> World {
    let world = World::new();
    let telemetry = format!("[telemetry]\notlp_endpoint = \"{}\"\n", collector.endpoint());
    world.repo.write("plimsoll.toml", world.configuration() + &telemetry);
    world
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}` in {names:?}"))
}

/// Names of the spans directly below, in the order of their beginning.
fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a str> {
    let mut children: Vec<_> = spans.iter().filter(|span| span.parent == parent.span_id).collect();
    children.sort_by_key(|span| span.start);
    children.iter().map(|span| span.name.as_str()).collect()
}

fn last_word(text: &str) -> &str {
    text.trim_end().rsplit(' ').next().unwrap()
}

#[test]
fn build_deploy_and_rollback_are_traces_and_everything_names_them() {
    let collector = Collector::start();
    let mut world = traced(&collector);
    let first = world.release("first", "well");
    let built = world.json(["build"]);
    let spans = collector.spans();
    let root = named(&spans, "plimsoll build");
    assert_eq!((root.parent.as_str(), root.error.as_deref()), ("", None));
    assert_eq!(built["trace_id"], root.trace_id.as_str());
    assert!(spans.iter().all(|span| span.trace_id == root.trace_id && span.end >= span.start));
    for (key, value) in [
        ("vcs.ref.head.revision", first.as_str()),
        ("plimsoll.service", "echo"),
        ("user.name", "ann"),
        ("process.exit.code", "0"),
        ("cicd.pipeline.result", "success"),
        ("oci.manifest.digest", built["image_digest"].as_str().unwrap()),
    ] {
        assert_eq!(root.attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(root.resource["service.name"], "plimsoll");
    let steps = below(&spans, root);
    for step in ["checkout", "build", "push"] {
        assert!(steps.contains(&step), "{step} is not in {steps:?}");
    }

    // For people it is the last line; the log for programs names it in each.
    let mut command = world.command(["deploy", first.as_str(), "--env", "blue", "--log-format", "json"]);
    command.env("PLIMSOLL_LOG", "plimsoll=debug");
    let run = world.start(command).wait().exits(0);
    let id = last_word(&run.stdout).to_owned();
    let logged: Vec<Value> = run.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let after = logged.iter().skip_while(|line| line.get("trace_id").is_none());
    assert!(
        after.clone().count() > 0 && after.into_iter().all(|line| line["trace_id"] == id.as_str()),
        "{logged:?}"
    );

    let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace_id == id).collect();
    let root = named(&spans, "plimsoll deploy");
    assert_eq!(root.attributes["deployment.environment.name"], "blue");
    assert_eq!(root.attributes["plimsoll.outcome"], "succeeded");
    let rollout = named(&spans, "rollout");
    assert_eq!(rollout.parent, root.span_id);
    let phases = below(&spans, rollout);
    assert!(phases.contains(&"expanding"), "{phases:?}");
    let expanding = named(&spans, "expanding");
    let ready = expanding.events.iter().filter(|(_, about)| about["plimsoll.state"] == "ready").count();
    assert_eq!(ready, 2, "{:?}", expanding.events);

    let second = world.built("second", "well");
    world.plimsoll(["deploy", second.as_str(), "--env", "blue"]).exits(0);
    let back = world.json(["rollback", "--to", first.as_str(), "--env", "blue"]);
    let spans = collector.spans();
    let root = named(&spans, "plimsoll rollback");
    assert_eq!(back["trace_id"], root.trace_id.as_str());

    // The ledger has them, and is whole.
    let rows = world.json(["history"])["history"].clone();
    assert_eq!(rows[0]["what"], "rollback");
    assert_eq!(rows[0]["trace_id"], back["trace_id"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["trace_id"].is_string()), "{rows}");
    world.plimsoll(["ledger", "verify"]).exits(0);
    let exported = world.plimsoll(["ledger", "export"]).exits(0).stdout;
    let of_deploy = exported.lines().filter(|line| line.contains(&format!("\"trace_id\":\"{id}\"")));
    assert!(of_deploy.clone().count() > 5, "{exported}");
    assert!(of_deploy.clone().any(|line| line.contains("\"kind\":\"rollout.finished\"")));
}

/// A pipeline's own trace goes on in the command, over either protocol, by
/// nothing but the standard variables.
#[test]
fn a_trace_goes_on_from_its_caller() {
    let collector = Collector::start();
    let mut world = World::new();
    world.release("first", "well");
    for (protocol, agent) in [("grpc", "plimsoll/"), ("http/protobuf", "plimsoll/")] {
        let mut command = world.command(["build", "--no-push", "--output", "json"]);
        command
            .env("TRACEPARENT", PARENT)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2,x-tenant=pay")
            .env("OTEL_RESOURCE_ATTRIBUTES", "ci.runner=seven");
        let before = collector.spans().len();
        let run = world.start(command).wait().exits(0);
        assert!(!run.stderr.contains("TEL-"), "{}", run.stderr);
        assert_eq!(run.json()["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{protocol}");
        let spans = collector.spans().split_off(before);
        let root = named(&spans, "plimsoll build");
        assert_eq!(root.parent, "00f067aa0ba902b7");
        assert_eq!(root.resource["ci.runner"], "seven");
        let headers = collector.headers().pop().unwrap();
        assert_eq!(
            (&headers["authorization"], &headers["x-tenant"]),
            (&"Bearer hunter2".parse().unwrap(), &"pay".parse().unwrap())
        );
        assert_eq!(headers.get_all("authorization").iter().count(), 1);
        assert!(headers["user-agent"].to_str().unwrap().starts_with(agent), "{headers:?}");
    }
}

#[test]
fn a_command_that_fails_says_why_in_its_trace() {
    let collector = Collector::start();
    let mut world = traced(&collector);
    let bad = world.built("bad", "exit");
    let run = world.plimsoll(["deploy", bad.as_str(), "--env", "trial", "--output", "json"]).exits(1);
    let report = run.json();
    let spans = collector.spans();
    let root = named(&spans, "plimsoll deploy");
    assert_eq!(report["trace_id"], root.trace_id.as_str());
    let why = root.error.as_deref().unwrap();
    assert!(why.starts_with(&format!("{}: ", report["code"].as_str().unwrap())), "{why}");
    assert_eq!(root.attributes["error.type"], report["code"].as_str().unwrap());
    assert_eq!(
        (root.attributes["process.exit.code"].as_str(), root.attributes["cicd.pipeline.result"].as_str()),
        ("1", "failure")
    );

    // An error, where there is no report.
    let unknown = "0".repeat(39) + "1";
    let run = world.plimsoll(["push", &unknown, "--output", "json"]);
    assert_ne!(run.code(), 0);
    let error = run.json();
    let spans = collector.spans();
    let root = named(&spans, "plimsoll push");
    assert_eq!(
        (&error["trace_id"], &error["code"]),
        (&root.trace_id.as_str().into(), &root.attributes["error.type"].as_str().into())
    );

    // A step that did not finish is the one that failed.
    let broken = world.configuration().replace("printf", "exit 3; printf");
    let telemetry = format!("[telemetry]\notlp_endpoint = \"{}\"\n", collector.endpoint());
    world.repo.write("plimsoll.toml", broken + &telemetry);
    world.release("broken", "well");
    let before = collector.spans().len();
    world.plimsoll(["build"]).exits(1);
    let spans = collector.spans().split_off(before);
    assert!(named(&spans, "build").error.is_some());
    assert!(named(&spans, "checkout").error.is_none());
}

/// A trace is never worth a release.
#[test]
fn a_collector_that_is_away_silent_or_wrong_changes_nothing() {
    let collector = Collector::start();
    let mut world = World::new();
    let sha = world.built("first", "well");
    let away = format!("http://{}", free_address());
    let cases = [
        (away, Behaviour::Takes, "http/protobuf", "Connection refused"),
        (collector.endpoint(), Behaviour::Refuses, "http/protobuf", "401"),
        (collector.endpoint(), Behaviour::Refuses, "grpc", "Unauthenticated"),
        (collector.endpoint(), Behaviour::Page, "http/protobuf", "302"),
        (collector.endpoint(), Behaviour::Hangs, "http/protobuf", "no answer within"),
        (collector.endpoint(), Behaviour::Hangs, "grpc", "no answer within"),
    ];
    for (endpoint, behaviour, protocol, why) in cases {
        collector.behave(behaviour);
        let mut command = world.command(["verify", sha.as_str(), "--output", "json"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
        let run = world.start(command).wait().exits(0);
        assert_eq!(run.json()["image_sha"], sha.as_str());
        let warnings: Vec<_> = run.stderr.lines().filter(|line| line.contains("TEL-")).collect();
        assert_eq!(warnings.len(), 1, "{behaviour:?} {protocol}: {}", run.stderr);
        for word in ["TEL-002", &endpoint, why] {
            assert!(warnings[0].contains(word), "{behaviour:?} {protocol}: no `{word}` in {}", warnings[0]);
        }
    }
}

#[test]
fn settings_that_cannot_be_used_are_said_once_and_do_not_stop_a_command() {
    let mut world = World::new();
    let sha = world.built("first", "well");
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
    ] {
        let mut command = world.command(["verify", sha.as_str(), "--output", "json"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318").env(variable, value);
        let run = world.start(command).wait().exits(0);
        assert!(run.json().get("trace_id").is_none(), "{variable}");
        assert_eq!(run.stderr.matches("TEL-001").count(), 1, "{variable}: {}", run.stderr);
    }
    // In the project's own file it is a mistake like any other, told before anything is done.
    world.repo.write("plimsoll.toml", world.configuration() + "[telemetry]\notlp_endpoint = \"collector\"\n");
    world.plimsoll(["verify", sha.as_str()]).exits(2).says(&["otlp_endpoint", "an address like"]);
}
