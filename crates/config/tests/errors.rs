//! What a person reads when the configuration is wrong, word for word (CFG-1, CFG-2).
#![allow(clippy::unwrap_used)]

use plimsoll_config::{Config, ConfigError, Overlays, PAGES, ProblemKind};
use plimsoll_model::{Class, Diagnose as _};

const HEAD: &str = r#"[service]
name = "payouts"
[repository]
canonical = "r.example/acme/payouts"
"#;

const IMAGE: &str = "[build.dockerfile]\n";

fn error_with(text: &str, overlays: &Overlays) -> ConfigError {
    let error = Config::parse("plimsoll.toml".into(), text.into(), overlays).expect_err(text);
    assert_eq!(error.class(), Class::Usage);
    for problem in error.problems() {
        assert!(PAGES.iter().any(|page| page.code == problem.code()), "{} has no page", problem.code());
    }
    assert!(PAGES.iter().any(|page| page.code == error.code()));
    error
}

/// The whole text of the error for `HEAD`, then `text`, then an image; its hint.
fn told(text: &str) -> String {
    let error = error_with(&format!("{HEAD}{text}{IMAGE}"), &Overlays::new());
    format!("{error}\nhint: {}", error.hint().unwrap())
}

#[track_caller]
fn assert_told(text: &str, expected: &str) {
    let told = told(text);
    assert_eq!(told, expected.trim_start_matches('\n'), "\n--- found:\n{told}\n---");
}

#[test]
fn unknown_keys_are_named_with_a_suggestion() {
    assert_told(
        "[build]\ncomand = \"make\"\n",
        r#"
plimsoll.toml:6:1: unknown key `comand` in [build]; did you mean `command`?
  6 | comand = …
    | ^^^^^^
hint: nothing was touched; `plimsoll explain CFG-004` says more"#,
    );
    assert_told(
        "[ledger]\nwhere = \"x\"\n",
        r#"
plimsoll.toml:6:1: unknown key `where` in [ledger]
  6 | where = …
    | ^^^^^
hint: nothing was touched; [ledger] has `url`"#,
    );
    assert_told(
        "[enviroments.trial]\n",
        r#"
plimsoll.toml:5:2: unknown key `enviroments` in the top level; did you mean `environments`?
  5 | [enviroments.trial]
    |  ^^^^^^^^^^^
hint: nothing was touched; `plimsoll explain CFG-004` says more"#,
    );
}

#[test]
fn everything_wrong_is_told_at_once_in_the_order_of_the_file() {
    assert_told(
        r#"[build]
timeout = 10
comand = "make"
[environments.trial]
target = "locl"
replicas = 2
max_unavailable = 3
[[environments.trial.watch.metrics]]
name = "failures"
"#,
        r#"
the configuration has 5 errors

plimsoll.toml:6:11: `build.timeout`: expected a duration like `10m`, `90s` or `1h30m`, found integer 10
  6 | timeout = 10
    |           ^^

plimsoll.toml:7:1: unknown key `comand` in [build]; did you mean `command`?
  7 | comand = …
    | ^^^^^^

plimsoll.toml:8:1: `max_unavailable` is 3, more than the 2 `replicas`
  8 | [environments.trial]
    | ^^^^^^^^^^^^^^^^^^^^
  help: write a number from 1 to 2

plimsoll.toml:9:10: `environments.trial.target`: expected one of `kubernetes`, `engine`, `local`, found string `locl`
  9 | target = "locl"
    |          ^^^^^^
  help: did you mean `local`?

plimsoll.toml:12:1: missing key `query` in `environments.trial.watch.metrics[0]`
  12 | [[environments.trial.watch.metrics]]
     | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  help: add `query = 'payout_attempts_total{result="failed"}'`
hint: nothing was touched; `plimsoll explain CFG-005` says more"#,
    );
}

#[test]
fn the_item_of_a_list_is_shown() {
    let image = "[image]\nentrypoint = [\"/app\"]\nports = [\"80/tcp\", \"http\"]\n[[image.copy]]\nfrom = \"a\"\nto = \"/a\"\n";
    assert_eq!(
        error_with(&format!("{HEAD}{image}"), &Overlays::new()).to_string(),
        r#"plimsoll.toml:7:20: `image.ports`: expected a port like `8080/tcp`, found string `http`
  7 | ports = ["80/tcp", "http"]
    |                    ^^^^^^"#
    );
}

#[test]
fn broken_syntax_shows_the_line() {
    assert_told(
        "[build]\ncommand = make\ntimeout =\n",
        r#"
the configuration has 2 errors

plimsoll.toml:6:11: not valid TOML: string values must be quoted, expected literal string
  6 | command = make
    |           ^^^^

plimsoll.toml:7:10: not valid TOML: string values must be quoted, expected literal string
  7 | timeout =
    |          ^
hint: nothing was touched; `plimsoll explain CFG-003` says more"#,
    );
    let error =
        Config::parse("plimsoll.toml".into(), b"a = \"\xff\"".to_vec(), &Overlays::new()).unwrap_err();
    assert_eq!(error.to_string(), "plimsoll.toml:1:6: not valid UTF-8\n  1 | a = \"\u{fffd}\"\n    |      ^");
}

#[test]
fn a_secret_itself_is_refused_and_not_repeated() {
    let error = error_with(&format!("{HEAD}[signing]\nkey = \"hunter2\"\n{IMAGE}"), &Overlays::new());
    assert_eq!(
        error.to_string(),
        "plimsoll.toml:6:7: `signing.key`: expected where the secret is, found the secret itself or something else"
    );
    assert_eq!(
        error.hint().unwrap(),
        "nothing was touched; write `env:NAME`, `file:PATH` or `command:CMD`; a secret itself never stands here"
    );
    assert_eq!(error.code(), "CFG-009");
    // Wherever a secret may have strayed to, no error shows it.
    for text in [
        "[signing]\nkey = hunter2\n",
        "[signing]\nkey = \"env:A\"\npassword = \"\"\"hunter2\"\"\"\n",
        "[signing]\nkey = [\"hunter2\"]\n",
        "[signing]\nkey = { password = \"hunter2\" }\n",
        "[signing]\nkey = \"env:A\"\npasword = \"hunter2\"\n",
        "[signing]\nkey = \"env:A\"\nsecret_password = \"hunter2\"\n",
        "[verification]\npublic_keys = [\"hunter2\"]\n",
        "[ledger]\nurl = \"postgres://plimsoll:hunter2@db/ledger\"\n",
        "[ledger]\nurl = \"postgres://db/ledger?password=hunter2\"\n",
        "[ledger]\nurl = postgres://plimsoll:hunter2@db/ledger\n",
        "[migrations]\ndatabase = \"mysql://a:hunter2@db\"\n",
        "[build]\nenv = { DB_PASSWORD = [\"hunter2\"] }\n",
        "[build.env]\nDB_PASSWORD = [\"hunter2\"]\n",
        "[build.env]\nTOKEN = hunter2\n",
        "[signing]\nkey = \"\"\"\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAhunter2\n\"\"\" oops\n",
        "[signing]\nkey = \"\"\"\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAhunter2\n",
    ] {
        let told = told(text);
        assert!(!told.contains("hunter2"), "{text}\n{told}");
    }
    for overlays in [
        Overlays::new().variables([("PLIMSOLL_SIGNING__PASSWORD", "hunter2")]),
        Overlays::new().variables([("PLIMSOLL_REGISTRY_PASWORD", "hunter2")]),
        Overlays::new().set("signing.key=hunter2"),
        Overlays::new().set("signing.key hunter2"),
        Overlays::new().set("hunter=hunter2"),
    ] {
        let error = error_with(&format!("{HEAD}{IMAGE}"), &overlays);
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"), "{error}");
    }
}

#[test]
fn a_base_by_tag_carries_the_reference() {
    let image = |base: &str| {
        let text = format!("{HEAD}[image]\nbase = \"{base}\"\n");
        error_with(&text, &Overlays::new())
    };
    let error = image("docker.io/library/debian:12");
    assert_eq!(
        error.to_string(),
        "plimsoll.toml:6:8: `image.base`: docker.io/library/debian:12 is a tag, which can move; a digest is needed
  6 | base = \"docker.io/library/debian:12\"
    |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"
    );
    assert_eq!(
        error.hint().unwrap(),
        "nothing was touched; look its digest up and write `docker.io/library/debian@sha256:…`"
    );
    assert_eq!(error.code(), "CFG-008");
    assert_eq!(error.unpinned_base().unwrap().tag.as_deref(), Some("12"));
    assert!(matches!(error.problems()[0].kind, ProblemKind::UnpinnedBase(_)));
    assert_eq!(
        image("debian:12").hint().unwrap(),
        "nothing was touched; Docker's own images are in `docker.io/library/debian:12`"
    );
    assert_eq!(
        image("acme/base:1").hint().unwrap(),
        "nothing was touched; images of Docker Hub are in `docker.io/acme/base:1`"
    );
}

#[test]
fn an_image_comes_from_exactly_one_place() {
    let text = |rest: &str| error_with(&format!("{HEAD}{rest}"), &Overlays::new());
    let none = text("");
    assert_eq!(none.to_string(), "plimsoll.toml: nothing says how the image is made");
    assert_eq!(
        none.hint().unwrap(),
        "nothing was touched; an image comes from exactly one of them: [image], [build.dockerfile], [build.layout]"
    );
    let two = text("[image]\nbase = \"scratch\"\n[build.layout]\npath = \"out.tar\"\n");
    assert_eq!(
        two.to_string(),
        "plimsoll.toml:5:1: [image] and [build.layout] exclude each other\n  5 | [image]\n    | ^^^^^^^"
    );
    let two = text("[build.dockerfile]\npath = \"Dockerfile\"\n[build.layout]\npath = \"out.tar\"\n");
    assert!(two.to_string().starts_with("plimsoll.toml"), "{two}");
    assert!(two.to_string().contains("[build.dockerfile] and [build.layout] exclude each other"), "{two}");
    let empty = text("[image]\n");
    assert_eq!(empty.problems().len(), 2, "{empty}");
}

#[test]
fn variables_and_flags_are_named() {
    let told = |overlays: Overlays| {
        let error = error_with(&format!("{HEAD}{IMAGE}"), &overlays);
        format!("{} {error} | {}", error.code(), error.hint().unwrap())
    };
    let variable = |name: &str, value: &str| told(Overlays::new().variables([(name, value)]));
    assert_eq!(
        variable("PLIMSOLL_BUILD__COMAND", "make"),
        "CFG-010 PLIMSOLL_BUILD__COMAND: unknown key `comand` in [build]; did you mean `command`? | \
         nothing was touched; `plimsoll explain CFG-010` says more"
    );
    assert_eq!(
        variable("PLIMSOLL_BUILD_COMMAND", "make"),
        "CFG-010 PLIMSOLL_BUILD_COMMAND: stands for no key of plimsoll.toml | \
         nothing was touched; sections end with two underscores: `PLIMSOLL_BUILD__COMMAND`"
    );
    assert_eq!(
        variable("PLIMSOLL_REGISTRY_USER_NAME", "me"),
        "CFG-010 PLIMSOLL_REGISTRY_USER_NAME: stands for no key of plimsoll.toml | \
         nothing was touched; did you mean `PLIMSOLL_REGISTRY_USERNAME`?"
    );
    assert_eq!(
        variable("PLIMSOLL_BUILD__TIMEOUT", "soon"),
        "CFG-005 PLIMSOLL_BUILD__TIMEOUT: `build.timeout`: expected a duration like `10m`, `90s` or `1h30m`, \
         found string `soon` | nothing was touched; `plimsoll explain CFG-005` says more"
    );
    assert_eq!(
        variable("PLIMSOLL_SERVICE__NAME__X", "1"),
        "CFG-007 PLIMSOLL_SERVICE__NAME__X: `service.name` is no table, so nothing can be set in it | \
         nothing was touched; `plimsoll explain CFG-007` says more"
    );
    assert_eq!(
        told(Overlays::new().set("replicas")),
        "CFG-011 --set replicas: not of the form `section.key=value` | \
         nothing was touched; for example `--set environments.production.replicas=3`"
    );
    assert_eq!(
        told(Overlays::new().set("build.timeout=0s")),
        "CFG-005 --set build.timeout: `build.timeout`: expected a duration above zero, found string `0s` | \
         nothing was touched; `plimsoll explain CFG-005` says more"
    );
}

#[test]
fn keys_of_another_target_are_refused() {
    let error = error_with(
        &format!(
            "{HEAD}{IMAGE}[environments.a]\ntarget = \"local\"\nlisten = \"127.0.0.1:1\"\nsocket = \"unix:///s\"\n"
        ),
        &Overlays::new(),
    );
    assert_eq!(
        error.to_string(),
        "plimsoll.toml:9:1: `socket` is for target `engine`; this one is `local` ([environments.a])
  9 | socket = \"unix:///s\"
    | ^^^^^^"
    );
}

#[test]
fn values_of_the_wrong_form_are_refused() {
    let bad = [
        ("service", "name", "\"Payouts\""),
        ("service", "name", "\"-a\""),
        ("repository", "canonical", "\"acme/payouts\""),
        ("repository", "staging", "\"r.example/acme/payouts\""),
        ("repository", "main_branch", "\"a b\""),
        ("build", "timeout", "\"10\""),
        ("build", "timeout", "\"30m1h\""),
        ("build", "timeout", "\"1h1h\""),
        ("build", "timeout", "\"-1s\""),
        ("build", "timeout", "\"99999999999999999999s\""),
        ("build", "timeout", "\"8d\""),
        ("build", "command", "\"\""),
        ("build", "command", "\"a\\u0000b\""),
        ("build", "env", "{ \"1A\" = \"x\" }"),
        ("build", "env", "{ A = 1 }"),
        ("build", "env", "\"A=1\""),
        ("verification", "threshold", "0"),
        ("verification", "threshold", "1.1"),
        ("verification", "threshold", "nan"),
        ("verification", "min_samples", "0"),
        ("verification", "mode", "\"Soft\""),
        ("verification", "identities", "[{ issuer = \"x\" }]"),
        ("verification", "identities", "[{ issuer = \"x\", subject = \"y\", roles = [\"sbomb\"] }]"),
        ("verification", "keys", "[{ roles = [\"sbom\"] }]"),
        ("verification", "keys", "[{ key = \"-----BEGIN PUBLIC KEY-----\" }]"),
        ("signing", "key", "\"hunter2\""),
        ("signing", "keyless", "\"yes\""),
        ("policy", "sbom", "\"must\""),
        ("policy", "override_for", "\"0s\""),
        ("secrets", "allow", "[{ rule = \"SEC-001\", path = \"/a\" }]"),
        ("sbom.policy", "max_age", "\"0s\""),
        ("sbom.policy", "uncovered", "\"maybe\""),
        ("sbom.policy", "fail_on", "\"severe\""),
        ("sbom.policy", "ignore", "[{ id = \"X\", reason = \" \" }]"),
        ("sbom.policy", "ignore", "[{ id = \"X\", reason = \"y\", until = \"2027-02-30\" }]"),
        ("contract", "openapi", "\"../openapi.json\""),
        ("migrations", "dir", "\"/etc\""),
        ("ledger", "url", "\"sqlite://\""),
        ("environments.a", "target", "\"local\""),
        ("environments.a", "replicas", "0"),
        ("environments.a", "listen", "\"localhost:8080\""),
        ("environments.A_b", "target", "\"kubernetes\""),
        ("environments", "production", "3"),
    ];
    for (section, key, value) in bad {
        let mut text = String::from("[service]\nname = \"payouts\"\n[build.layout]\npath = \"out\"\n");
        for other in ["service", "repository"] {
            if other == section {
                text = text.replace("[service]\nname = \"payouts\"\n", "[service]\n");
            }
        }
        // A flag's text is the value itself; only lists and tables are TOML.
        let plain = format!("v = {value}").parse::<toml::Table>().unwrap();
        let plain = plain["v"].as_str().unwrap_or(value);
        let flag = format!("{section}.{key}={plain}");
        let file = format!("{text}[{section}]\n{key} = {value}\n").replace("[service]\n[", "[");
        for (text, overlays) in [(file, Overlays::new()), (text, Overlays::new().set(flag.clone()))] {
            let overlays = overlays.variables([("PLIMSOLL_REPOSITORY__CANONICAL", "r.example/acme/payouts")]);
            let overlays = if (section, key) == ("repository", "canonical") {
                overlays.set("repository.canonical=acme/payouts")
            } else {
                overlays
            };
            error_with(&text, &overlays);
        }
    }
}

#[test]
fn image_values_of_the_wrong_form_are_refused() {
    let good = r#"base = "scratch"
entrypoint = ["/app"]
user = "65532:65532"
workdir = "/"
ports = ["8080/tcp", "53/udp", "443"]
labels = { "org.example/x" = "y" }
[[image.copy]]
from = "target/*"
to = "/app"
mode = "4755"
"#;
    let load = |image: &str| {
        Config::parse("plimsoll.toml".into(), format!("{HEAD}[image]\n{image}").into(), &Overlays::new())
    };
    load(good).unwrap_or_else(|error| panic!("{error}"));
    for (from, to) in [
        ("\"scratch\"", "\"\""),
        ("\"scratch\"", "\"r.example/a@sha256:abc\""),
        ("\"scratch\"", "\"r.example/a\""),
        ("[\"/app\"]", "\"/app\""),
        ("[\"/app\"]", "[]"),
        ("[\"/app\"]", "[1]"),
        ("\"65532:65532\"", "65532"),
        ("\"65532:65532\"", "\"a:b:c\""),
        ("workdir = \"/\"", "workdir = \"app\""),
        ("workdir = \"/\"", "workdir = \"/a/../b\""),
        ("8080/tcp", "0/tcp"),
        ("8080/tcp", "+80"),
        ("8080/tcp", "65536/tcp"),
        ("8080/tcp", "80/sctp"),
        ("org.example/x", "a b"),
        ("target/*", "../x"),
        ("target/*", "/etc/passwd"),
        ("target/*", ""),
        ("to = \"/app\"", "to = \"app\""),
        ("\"4755\"", "755"),
        ("\"4755\"", "\"0888\""),
        ("\"4755\"", "\"10000\""),
        ("\"4755\"", "\"rwx\""),
    ] {
        assert!(good.contains(from), "{from}");
        let error = load(&good.replace(from, to)).expect_err(to);
        assert_eq!(error.problems().len(), 1, "{to}: {error}");
    }
}

#[test]
fn an_unknown_environment_names_the_known_ones() {
    let text = format!("{HEAD}{IMAGE}[environments.production]\ntarget = \"kubernetes\"\n");
    let loaded = Config::parse("plimsoll.toml".into(), text.into(), &Overlays::new()).unwrap();
    let error = loaded.config.environment("prodution").unwrap_err();
    assert_eq!(error.to_string(), "plimsoll.toml has no environment `prodution`");
    assert_eq!(error.expected().unwrap(), "one of production");
    assert_eq!(error.hint().unwrap(), "nothing was touched; did you mean `production`?");
    assert_eq!((error.code(), error.class()), ("CFG-013", Class::Usage));
}

#[test]
fn hostile_input_is_an_error_not_a_panic() {
    let deep = format!("a = {}{}", "[".repeat(20_000), "]".repeat(20_000));
    let keys = format!("{} = 1", vec!["a"; 20_000].join("."));
    for text in [
        deep.as_str(),
        &keys,
        "\u{feff}",
        "\0",
        "[[service]]",
        "service = 1",
        "[\"\"]\n\"\" = 1",
        "a = 0x",
        "é = 'é",
    ] {
        error_with(text, &Overlays::new().set(text).set(format!("a.{text}")));
    }
}

#[test]
fn codes_of_pages_are_distinct() {
    let mut codes: Vec<_> = PAGES.iter().map(|page| page.code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), PAGES.len());
    assert!(codes.contains(&"CFG-001") && codes.contains(&"CFG-002") && codes.contains(&"CFG-012"));
}

/// Who signs is one thing: a key, a program, or an identity.
#[test]
fn ways_of_signing_exclude_each_other() {
    for body in [
        "keyless = true\nkey = \"env:KEY\"",
        "key = \"env:KEY\"\nidentity_token = \"env:TOKEN\"",
        "key = \"env:KEY\"\npublic_key = \"file:key.pub\"",
        "password = \"env:PASSWORD\"",
    ] {
        let text = format!(
            "[service]\nname = \"a\"\n[repository]\ncanonical = \"r.example/acme/a\"\n[build.layout]\npath = \"out\"\n[signing]\n{body}\n"
        );
        error_with(&text, &Overlays::new());
    }
}
