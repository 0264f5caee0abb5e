//! What each command prints, where, and its exit code: the interface that
//! others script against.

use serde_json::Value;

use crate::world::{World, filtered};

/// Runs a command and compares everything it said.
macro_rules! says {
    ($world:expr, $arguments:expr, @$snapshot:literal) => {
        let run = $world.plimsoll($arguments);
        let text = format!("exit {}\n-- stdout\n{}-- stderr\n{}", run.code(), run.stdout, run.stderr);
        filtered(|| insta::assert_snapshot!($world.normal(&text), @$snapshot));
    };
}

#[test]
fn the_path_of_a_commit_in_words() {
    let mut world = World::new();
    let first = world.release("first", "well");
    let first = first.as_str();
    says!(world, ["build", "--no-push", "--no-progress"], @"
    exit 0
    -- stdout
    commit  [FIRST]
    branch  main -> canonical repository
    digest  [DIGEST]
    state  kept in the local store; publish it with `plimsoll push`
    clean  yes
    signature  unverified: missing
    sbom  none
    took  [SECONDS]
    [REGISTRY]/acme/echo:[FIRST]@[DIGEST]
    -- stderr
    ");
    says!(world, ["verify", first, "--no-progress"], @"
    exit 1
    -- stdout
    pass  GRD-001  build-recorded  ledger entry 2
    pass  GRD-002  record-consistent  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]…
    FAIL GRD-003 push-verified
      expected [DIGEST] fetched back after the push
      found  a build that was not pushed
      hint  nothing was touched; push it with `plimsoll push [FIRST]`
    FAIL TAG-001 full-tag-exists
      expected tag [FIRST] in [REGISTRY]/acme/echo
      found  nothing
      hint  nothing was touched; push it with `plimsoll push [FIRST]` where it was built, or build it again with `plimsoll build [FIRST]`
    NOT verified: [FIRST]
    -- stderr
    ");
    says!(world, ["deploy", first, "--env", "trial", "--no-progress"], @"
    exit 3
    -- stdout
    FAIL GRD-003 push-verified
      expected [DIGEST] fetched back after the push
      found  a build that was not pushed
      hint  nothing was touched; push it with `plimsoll push [FIRST]`
    FAIL TAG-001 full-tag-exists
      expected tag [FIRST] in [REGISTRY]/acme/echo
      found  nothing
      hint  nothing was touched; push it with `plimsoll push [FIRST]` where it was built, or build it again with `plimsoll build [FIRST]`
    deploy refused: [FIRST12] was refused for trial; nothing was touched ([SECONDS])
    hint: see `plimsoll explain GRD-003`
    -- stderr
    ");
    says!(world, ["push", first, "--no-progress"], @"
    exit 0
    -- stdout
    commit  [FIRST]
    branch  main -> canonical repository
    digest  [DIGEST]
    state  pushed, fetched back, same digest
    clean  yes
    signature  unverified: missing
    sbom  none
    took  [SECONDS]
    [REGISTRY]/acme/echo:[FIRST]@[DIGEST]
    -- stderr
    ");
    says!(world, ["build"], @"
    exit 0
    -- stdout
    commit  [FIRST]
    branch  main -> canonical repository
    digest  [DIGEST]
    state  already present, nothing uploaded
    clean  yes
    signature  unverified: missing
    sbom  none
    took  [SECONDS]
    [REGISTRY]/acme/echo:[FIRST]@[DIGEST]
    -- stderr
    checkout: commit [FIRST12]
    checkout: 4 files, [N] bytes ([SECONDS])
    build: printf 'COMMIT=%s
    ' $PLIMSOLL_COMMIT | cat - behaviour > service.conf
    build: done ([SECONDS])
    layer: service -> /service
    layer: [N] entries, [N] bytes, [N] compressed, [DIGEST12] ([SECONDS])
    layer: service.conf -> /etc/service.conf
    layer: [N] entries, [N] bytes, [N] compressed, [DIGEST12] ([SECONDS])
    secrets: [DIGEST12]
    secrets: no credentials in 2 files ([SECONDS])
    push: [REGISTRY]/acme/echo:[FIRST12]
    push: already present, nothing uploaded ([SECONDS])
    ");
    says!(world, ["verify", first, "--no-progress"], @"
    exit 0
    -- stdout
    pass  GRD-001  build-recorded  ledger entry 7
    pass  GRD-002  record-consistent  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]…
    pass  GRD-003  push-verified  [DIGEST]
    pass  TAG-001  full-tag-exists  [DIGEST]
    pass  TAG-002  short-tag-parity  [DIGEST]
    pass  DIG-002  digest-unchanged  [DIGEST]
    pass  GRD-005  architecture  linux/amd64
    pass  SIG-003  evidence-subject  no statement about another image
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [FIRST]` shows each step
    verified: [FIRST]
    -- stderr
    ");
    says!(world, ["deploy", first, "--env", "trial", "--dry-run", "--no-progress"], @"
    exit 0
    -- stdout
    pass  GRD-001  build-recorded  ledger entry 7
    pass  GRD-002  record-consistent  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]…
    pass  GRD-003  push-verified  [DIGEST]
    pass  GRD-004  repository-allowed  [REGISTRY]/acme/echo (canonical)
    pass  TAG-001  full-tag-exists  [DIGEST]
    pass  TAG-002  short-tag-parity  [DIGEST]
    pass  DIG-002  digest-unchanged  [DIGEST]
    pass  GRD-005  architecture  linux/amd64
    pass  GRD-006  branch-ancestry  it is
    pass  GRD-007  clean-build  a clean build
    pass  RBK-003  no-silent-rollback  the first deployment
    pass  SIG-002  signature-coverage  0 of the last 0 signed (0 %); verification is soft
    pass  SIG-003  evidence-subject  no statement about another image
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [FIRST]` shows each step
    plan: nothing -> [FIRST12], rolling, 2 replicas, at most 1 missing, within [SECONDS]
    deploy planned: [FIRST12] may go to trial; nothing was touched (--dry-run) ([SECONDS])
    -- stderr
    ");
    says!(world, ["deploy", first, "--env", "trial", "--no-progress"], @"
    exit 0
    -- stdout
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [FIRST]` shows each step
    deploy succeeded: [FIRST12] serves trial; before: nothing ([SECONDS])
    [REGISTRY]/acme/echo:[FIRST]@[DIGEST]
    -- stderr
    ");
    let second = world.built("second", "well");
    let second = second.as_str();
    says!(world, ["deploy", second, "--env", "trial", "--quiet"], @"
    exit 0
    -- stdout
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [SECOND]` shows each step
    deploy succeeded: [SECOND12] serves trial; before: [FIRST12] ([SECONDS])
    [REGISTRY]/acme/echo:[SECOND]@[DIGEST]
    -- stderr
    ");
    says!(world, ["deploy", first, "--env", "trial", "--no-progress"], @"
    exit 3
    -- stdout
    FAIL RBK-003 no-silent-rollback
      expected a commit that is not older than what runs ([SECOND12])
      found  an older commit
      hint  nothing was touched; to go back on purpose: `plimsoll rollback --to [FIRST] --env trial`
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [FIRST]` shows each step
    deploy refused: [FIRST12] was refused for trial; nothing was touched ([SECONDS])
    hint: see `plimsoll explain RBK-003`
    -- stderr
    ");
    says!(world, ["rollback", "--to", first, "--env", "trial", "--dry-run", "--no-progress"], @"
    exit 0
    -- stdout
    pass  GRD-001  build-recorded  ledger entry 7
    pass  GRD-002  record-consistent  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]…
    pass  GRD-003  push-verified  [DIGEST]
    pass  GRD-004  repository-allowed  [REGISTRY]/acme/echo (canonical)
    pass  TAG-001  full-tag-exists  [DIGEST]
    pass  TAG-002  short-tag-parity  [DIGEST]
    pass  DIG-002  digest-unchanged  [DIGEST]
    pass  GRD-005  architecture  linux/amd64
    pass  GRD-007  clean-build  a clean build
    pass  RBK-001  deployed-before  it was
    pass  SIG-002  signature-coverage  0 of the last 2 signed (0 %); verification is soft
    pass  SIG-003  evidence-subject  no statement about another image
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [FIRST]` shows each step
    plan: [SECOND12] -> [FIRST12], rolling, 2 replicas, at most 1 missing, within [SECONDS]
    rollback planned: [FIRST12] may go to trial; nothing was touched (--dry-run) ([SECONDS])
    -- stderr
    ");
    says!(world, ["rollback", "--to", first, "--env", "trial", "--no-progress"], @"
    exit 0
    -- stdout
    warn SIG-001 signature
      expected a trusted signature (soft until enough releases are signed)
      found  unverified: missing
      hint  the deployment goes on; `plimsoll verify [FIRST]` shows each step
    rollback succeeded: [FIRST12] serves trial; before: [SECOND12] ([SECONDS])
    [REGISTRY]/acme/echo:[FIRST]@[DIGEST]
    -- stderr
    ");
    says!(world, ["status"], @"
    exit 0
    -- stdout
    blue (local on [BLUE])
      serves  nothing yet
      drift  none
      signed  0 of 0 deployed images
      signatures  soft: mandatory above 90 % of at least 10 releases; 10 more releases to go
      back to  nothing was deployed before

    trial (local on [TRIAL])
      serves  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]
      since  [TIME] by ann
      before  [SECOND]
      drift  none; 2 instances ready
      signed  0 of 2 deployed images
      signatures  soft: mandatory above 90 % of at least 10 releases; 8 more releases to go
      back to  [SECOND]  tag and digest are in the registry
    -- stderr
    ");
    says!(world, ["history"], @"
    exit 0
    -- stdout
    [TIME]  rollback  trial  [FIRST12]  succeeded  [SECONDS]  ann
    [TIME]  deploy  trial  [FIRST12]  refused  ann  no-silent-rollback
    [TIME]  deploy  trial  [SECOND12]  succeeded  [SECONDS]  ann
    [TIME]  build  canonical  [SECOND12]  succeeded  [SECONDS]  ann
    [TIME]  deploy  trial  [FIRST12]  succeeded  [SECONDS]  ann
    [TIME]  build  canonical  [FIRST12]  succeeded  [SECONDS]  ann
    [TIME]  push  canonical  [FIRST12]  succeeded  ann
    [TIME]  deploy  trial  [FIRST12]  refused  ann  push-verified
    [TIME]  build  canonical  [FIRST12]  succeeded  [SECONDS]  ann
    -- stderr
    ");
    says!(world, ["show", first], @"
    exit 0
    -- stdout
    commit  [FIRST]
    serves  trial
    local store  [DIGEST]
    builds
      [TIME]  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]  pushed  [SECONDS]  ann
      [TIME]  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]  pushed  [SECONDS]  ann
      [TIME]  [REGISTRY]/acme/echo:[FIRST]@[DIGEST]  not pushed  [SECONDS]  ann
    rollouts
      [TIME]  rollback  trial  [SECOND12] -> [FIRST12]  succeeded  [SECONDS]  ann
      [TIME]  deploy  trial  nothing -> [FIRST12]  succeeded  [SECONDS]  ann
    -- stderr
    ");
    says!(world, ["stats"], @"
    exit 0
    -- stdout
              count  failed  p50  p95  max  target p95
    build  3  0  [SECONDS]  [SECONDS]  [SECONDS]  10 min [SECONDS]  met
    deploy  2  0  [SECONDS]  [SECONDS]  [SECONDS]  5 min [SECONDS]  met
    rollback  1  0  [SECONDS]  [SECONDS]  [SECONDS]  2 min [SECONDS]  met
    -- stderr
    ");
    says!(world, ["ledger", "verify"], @"
    exit 0
    -- stdout
    ledger  [LEDGER]
    entries  [N]
    root  [DIGEST]
    key  [LEDGER]
    agrees with  [REPO]/.plimsoll/ledger.db.checkpoint, [N] entries
    agrees with  in the ledger, [N] entries
    intact: nothing was changed, removed, reordered or cut off
    -- stderr
    ");
    says!(world, ["up", "--env", "trial"], @"
    exit 0
    -- stdout
    trial runs as the last rollout left it
    -- stderr
    ");
}

#[test]
fn what_needs_no_commit() {
    let world = World::new();
    says!(world, ["init"], @"
    exit 2
    -- stdout
    -- stderr
    error: ./plimsoll.toml exists
    hint: nothing was touched; `--force` replaces it; see `plimsoll explain CLI-005`
    ");
    says!(world, ["explain", "TAG-001"], @"
    exit 0
    -- stdout
    TAG-001 full-tag-exists

    What
      The registry has the tag that is the full 40-character commit SHA, asked live at this moment.

    Why
      What the record says was pushed may be gone; then nothing could be pulled and nothing could go
      back to it.

    How
      Push it again from where it was built: `plimsoll push SHA`. If the registry cannot be reached,
      `plimsoll doctor` says why.
    -- stderr
    ");
    says!(world, ["config", "show", "--origin", "--set", "repository.main_branch=trunk"], @r#"
    exit 0
    -- stdout
    admission.allow_for  10m  default
    admission.budget  8s  default
    admission.exempt_namespaces  []  default
    admission.listen  127.0.0.1:8443  default
    admission.max_cached  20000  default
    admission.max_lookups  8  default
    admission.mode  enforce  default
    admission.namespace  plimsoll  default
    admission.other_namespaces  allow  default
    admission.patch_bundle  true  default
    admission.refuse_for  5s  default
    admission.resolve_tags  false  default
    admission.service  plimsoll-admission  default
    admission.tls.authority_validity  365d  default
    admission.tls.validity  30d  default
    admission.unknown  deny  default
    admission.webhook  plimsoll-admission  default
    build.command  printf 'COMMIT=%s
    ' $PLIMSOLL_COMMIT | cat - behaviour > service.conf  plimsoll.toml:9
    build.timeout  1m  plimsoll.toml:10
    environments.blue.clean_build  true  default
    environments.blue.drain_timeout  5s  plimsoll.toml:40
    environments.blue.env_file  replicas.env  plimsoll.toml:42
    environments.blue.health  /healthz  plimsoll.toml:38
    environments.blue.keep_previous  0s  plimsoll.toml:41
    environments.blue.listen  [BLUE]  plimsoll.toml:37
    environments.blue.max_unavailable  1  default
    environments.blue.probe_grace  30s  default
    environments.blue.replicas  2  plimsoll.toml:36
    environments.blue.repository  canonical  default
    environments.blue.rollout_timeout  30s  plimsoll.toml:39
    environments.blue.strategy  blue-green  plimsoll.toml:35
    environments.blue.target  local  plimsoll.toml:34
    environments.trial.clean_build  true  default
    environments.trial.drain_timeout  5s  plimsoll.toml:30
    environments.trial.env_file  replicas.env  plimsoll.toml:31
    environments.trial.health  /healthz  plimsoll.toml:28
    environments.trial.keep_previous  1m  default
    environments.trial.listen  [TRIAL]  plimsoll.toml:27
    environments.trial.max_unavailable  1  default
    environments.trial.probe_grace  30s  default
    environments.trial.replicas  2  plimsoll.toml:26
    environments.trial.repository  canonical  default
    environments.trial.rollout_timeout  30s  plimsoll.toml:29
    environments.trial.strategy  rolling  default
    environments.trial.target  local  plimsoll.toml:25
    image.base  scratch  plimsoll.toml:13
    image.compression  gzip  default
    image.copy[0].from  service  plimsoll.toml:17
    image.copy[0].to  /service  plimsoll.toml:18
    image.copy[1].from  service.conf  plimsoll.toml:21
    image.copy[1].to  /etc/service.conf  plimsoll.toml:22
    image.entrypoint  ["/service"]  plimsoll.toml:14
    image.ports  []  default
    image.user  65532:65532  default
    image.workdir  /  default
    ledger.url  sqlite://.plimsoll/ledger.db  default
    policy.api_break  warn  default
    policy.builders  []  default
    policy.override_for  24h  default
    policy.provenance  warn  default
    policy.rebuild  off  default
    policy.record  off  default
    policy.sbom  warn  default
    repository.canonical  [REGISTRY]/acme/echo  plimsoll.toml:5
    repository.main_branch  trunk  --set
    repository.staging  [REGISTRY]/acme/echo-staging  plimsoll.toml:6
    sbom.policy.fail_on  high  default
    sbom.policy.fixable_only  false  default
    sbom.policy.uncovered  warn  default
    serve.drift_interval  1m  default
    serve.drift_timeout  30s  default
    serve.listen  127.0.0.1:8686  default
    service.name  echo  plimsoll.toml:2
    verification.min_samples  10  default
    verification.mode  auto  default
    verification.require_log  false  default
    verification.threshold  0.9  default
    -- stderr
    "#);
    says!(world, ["status"], @"
    exit 0
    -- stdout
    blue (local on [BLUE])
      serves  nothing yet
      drift  none
      signed  0 of 0 deployed images
      signatures  soft: mandatory above 90 % of at least 10 releases; 10 more releases to go
      back to  nothing was deployed before

    trial (local on [TRIAL])
      serves  nothing yet
      drift  none
      signed  0 of 0 deployed images
      signatures  soft: mandatory above 90 % of at least 10 releases; 10 more releases to go
      back to  nothing was deployed before
    -- stderr
    ");
    says!(world, ["history"], @"
    exit 0
    -- stdout
    nothing has happened yet; begin with `plimsoll build`
    -- stderr
    ");
    says!(world, ["stats"], @"
    exit 0
    -- stdout
              count  failed  p50  p95  max  target p95
    build  0  0  -  -  -  10 min [SECONDS]  nothing measured
    deploy  0  0  -  -  -  5 min [SECONDS]  nothing measured
    rollback  0  0  -  -  -  2 min [SECONDS]  nothing measured
    -- stderr
    ");

    let run = world.plimsoll(["--version"]).exits(0);
    assert_eq!(run.stdout, format!("plimsoll {}\n", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish"] {
        let run = world.plimsoll(["completions", shell]).exits(0);
        assert!(run.stdout.contains("rollback") && run.stderr.is_empty(), "{shell}");
    }
    world.plimsoll(["man", "pages"]).exits(0);
    for page in ["plimsoll.1", "plimsoll-deploy.1", "plimsoll-ledger-verify.1"] {
        let text = std::fs::read_to_string(world.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
        assert!(!text.contains("__"), "{page} names a hidden command");
    }
    let doctor = world.json(["doctor"]);
    assert_eq!(doctor["schema"], "plimsoll/doctor/v1");
    let found = |name: &str| {
        let findings = doctor["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["name"] == name).map(|finding| finding["state"].clone())
    };
    for name in ["git", "configuration", "ledger", "canonical repository", "environment trial"] {
        assert_eq!(found(name), Some("works".into()), "{name}: {doctor:#}");
    }
    let codes = world.plimsoll(["explain"]).exits(0).stdout;
    for code in
        ["TAG-001", "TAG-003", "DIG-002", "GRD-001", "RBK-003", "DEP-103", "REG-001", "CFG-004", "PIP-004"]
    {
        assert!(codes.contains(code), "{code}");
    }
}

/// The keys of `interface.md`.
const BUILD: &[&str] = &[
    "schema",
    "image_ref",
    "image_sha",
    "short_sha",
    "image_digest",
    "repository",
    "repository_type",
    "branch",
    "arch",
    "signature_status",
    "signature_reason",
    "sbom_ref",
    "build_duration_sec",
    "pre_push_digest",
    "post_push_digest",
    "digest_verification",
    "pushed",
    "already_present",
];
const ROLLOUT: &[&str] = &[
    "schema",
    "environment",
    "image_sha",
    "image_digest",
    "image_ref",
    "previous_sha",
    "previous_digest",
    "decision",
    "outcome",
    "ledger_entry",
];
const CHECK: &[&str] = &["code", "name", "outcome", "expected", "found", "hint"];
const ERROR: &[&str] = &["schema", "code", "message", "hint", "causes"];

#[track_caller]
fn has(document: &Value, keys: &[&str]) {
    for key in keys {
        assert!(document.get(key).is_some(), "no `{key}` in {document:#}");
    }
}

#[test]
fn documents_have_every_promised_key() {
    let mut world = World::new();
    let first = world.release("first", "well");
    let first = first.as_str();
    let build = world.json(["build"]);
    has(&build, BUILD);
    assert_eq!(build["schema"], "plimsoll/build/v1");
    assert_eq!(
        build["image_ref"],
        format!("{}:{first}@{}", world.repository(), build["image_digest"].as_str().unwrap())
    );
    assert_eq!((&build["repository_type"], &build["branch"]), (&"canonical".into(), &"main".into()));
    assert_eq!((&build["digest_verification"], &build["arch"]), (&"ok".into(), &"linux/amd64".into()));
    assert_eq!(
        (&build["signature_status"], &build["signature_reason"]),
        (&"unverified".into(), &"missing".into())
    );
    assert_eq!((&build["pushed"], &build["already_present"]), (&true.into(), &false.into()));
    assert_eq!(world.json(["build"])["already_present"], true);

    let planned = world.json(["deploy", first, "--env", "trial", "--dry-run"]);
    has(&planned, ROLLOUT);
    assert_eq!((&planned["outcome"], &planned["ledger_entry"]), (&"planned".into(), &Value::Null));
    let deploy = world.json(["deploy", first, "--env", "trial"]);
    has(&deploy, ROLLOUT);
    has(&deploy["decision"], &["allowed", "checks"]);
    for check in deploy["decision"]["checks"].as_array().unwrap() {
        has(check, CHECK);
        assert!(["pass", "warn", "fail"].contains(&check["outcome"].as_str().unwrap()), "{check}");
    }
    assert_eq!((&deploy["schema"], &deploy["outcome"]), (&"plimsoll/deploy/v1".into(), &"succeeded".into()));
    assert!(deploy["deploy_duration_sec"].is_f64() && deploy["ledger_entry"].is_u64(), "{deploy:#}");
    let second = world.built("second", "well");
    world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(0);
    let rollback = world.json(["rollback", "--to", first, "--env", "trial"]);
    has(&rollback, ROLLOUT);
    assert!(rollback["rollback_duration_sec"].is_f64(), "{rollback:#}");
    assert_eq!(
        (&rollback["schema"], &rollback["previous_sha"]),
        (&"plimsoll/rollback/v1".into(), &second.as_str().into())
    );

    let run = world.plimsoll(["deploy", "latest", "--env", "trial", "--output", "json"]).exits(3);
    has(&run.json(), ERROR);
    assert_eq!(
        (&run.json()["schema"], &run.json()["code"]),
        (&"plimsoll/error/v1".into(), &"TAG-004".into())
    );
    assert_eq!(run.stderr, "");

    for (arguments, name) in [
        (vec!["status"], "status"),
        (vec!["history"], "history"),
        (vec!["show", first], "show"),
        (vec!["stats"], "stats"),
        (vec!["verify", first], "verify"),
        (vec!["metrics"], "metrics"),
        (vec!["config", "show"], "config"),
        (vec!["ledger", "verify"], "ledger-verify"),
        (vec!["explain", "TAG-001"], "explain"),
        (vec!["up", "--env", "trial"], "up"),
    ] {
        let run = world.plimsoll(arguments.into_iter().chain(["--output", "json"])).exits(0);
        assert_eq!(run.json()["schema"], format!("plimsoll/{name}/v1"));
        assert!(run.stderr.is_empty() || name == "verify", "{name}: {}", run.stderr);
    }
    // Times are RFC 3339 in UTC.
    let at = world.json(["history"])["history"][0]["at"].as_str().unwrap().to_owned();
    assert!(at.ends_with('Z') && at.as_bytes()[10] == b'T', "{at}");
    // Every line of an export is a document; the last is the checkpoint.
    let export = world.plimsoll(["ledger", "export"]).exits(0).stdout;
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["schema"], "plimsoll/ledger-checkpoint/v1");
    assert!(lines.iter().all(|line| line["schema"].as_str().unwrap().starts_with("plimsoll/ledger-")));
}

#[test]
fn events_are_lines_and_the_last_is_the_result() {
    let mut world = World::new();
    let sha = world.release("first", "well");
    let deploy = vec!["deploy", sha.as_str(), "--env", "trial"];
    let refused = vec!["deploy", "main", "--env", "trial"];
    for (arguments, code, result) in [
        (vec!["build"], 0, "plimsoll/build/v1"),
        (vec!["verify", sha.as_str()], 0, "plimsoll/verify/v1"),
        (deploy, 0, "plimsoll/deploy/v1"),
        (refused, 3, "plimsoll/error/v1"),
    ] {
        let run = world.plimsoll(arguments.iter().copied().chain(["--events"])).exits(code);
        let lines: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (last, events) = lines.split_last().unwrap();
        assert_eq!(last["schema"], result, "{arguments:?}");
        assert!(events.iter().all(|event| event["schema"] == "plimsoll/event/v1"), "{}", run.stdout);
        assert!(code != 0 || !events.is_empty(), "{arguments:?}");
        assert_eq!(run.stderr, "");
    }
}

/// DEP-7: who is how, and what new instances write, in both views that a
/// program or a CI log gets; nothing is said twice.
#[test]
fn a_rollout_can_be_followed_instance_by_instance() {
    let mut world = World::new();
    let first = world.built("first", "well");
    let run = world.plimsoll(["deploy", first.as_str(), "--env", "trial", "--events"]).exits(0);
    let events: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rollout: Vec<&Value> = events.iter().filter(|event| event["event"] == "rollout").collect();
    let ready = rollout.iter().flat_map(|event| event["instances"].as_array().unwrap());
    let ready: Vec<&Value> = ready.filter(|row| row["state"] == "ready" && row["traffic"] == true).collect();
    assert!(!ready.is_empty(), "{}", run.stdout);
    assert!(ready.iter().all(|row| row["sha"] == first.as_str() && row["role"] == "candidate"));
    let names: Vec<&str> = ready.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let started = events.iter().find(|event| event["event"] == "output").unwrap();
    assert!(names.contains(&started["instance"].as_str().unwrap()), "{started}");
    assert!(started["text"].as_str().unwrap().starts_with("starting well on port"), "{started}");
    let timeless = |event: &Value| {
        let mut event = event.clone();
        event.as_object_mut().unwrap().retain(|key, _| !["time", "left"].contains(&key.as_str()));
        for row in event["instances"].as_array_mut().unwrap() {
            row.as_object_mut().unwrap().remove("age_sec");
        }
        event
    };
    assert!(rollout.windows(2).all(|pair| timeless(pair[0]) != timeless(pair[1])), "{}", run.stdout);

    let second = world.built("second", "exit");
    let run = world.plimsoll(["deploy", second.as_str(), "--env", "trial"]).exits(1);
    for line in ["| DATABASE_URL is not set", " failing: DEP-103 "] {
        let said = run.stderr.lines().filter(|said| said.contains(line)).count();
        assert_eq!(said, 1, "{line} in\n{}", run.stderr);
    }
    assert!(run.stdout.contains("| DATABASE_URL is not set"), "{}", run.stdout);
}

/// stdout is data, the rest goes to stderr; `--quiet` leaves only results.
#[test]
fn stdout_is_data() {
    let mut world = World::new();
    let sha = world.release("first", "well");
    let loud = world.plimsoll(["build", "--output", "json"]).exits(0);
    loud.json();
    assert!(loud.stderr.contains("push:"), "{}", loud.stderr);
    let log = world.plimsoll(["build", "--log-format", "json", "--no-progress"]).exits(0);
    let line: Value = serde_json::from_str(log.stderr.lines().last().unwrap()).unwrap();
    for key in [
        "image_sha",
        "short_sha",
        "image_digest",
        "repository",
        "repository_type",
        "arch",
        "signature_status",
        "signature_reason",
        "build_duration_sec",
        "pre_push_digest",
        "post_push_digest",
        "digest_verification",
        "image_ref",
    ] {
        assert!(line.get(key).is_some(), "OBS-1: no `{key}` in {line:#}");
    }
    let quiet = world.plimsoll(["deploy", sha.as_str(), "--env", "trial", "--quiet"]).exits(0);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.contains("deploy succeeded"), "{}", quiet.stdout);
    assert!(!quiet.stdout.contains('\x1b'), "colour without a terminal");
    let coloured = world.plimsoll(["status", "--color", "always"]).exits(0);
    assert!(coloured.stdout.contains('\x1b'));
    for counter in ["image_build_total{repository_type=\"canonical\"} 2", "deploy_duration_seconds_count"] {
        let metrics = world.plimsoll(["metrics"]).exits(0).stdout;
        assert!(metrics.contains(counter), "{metrics}");
    }
    world.plimsoll(["metrics", "--textfile", "plimsoll.prom"]).exits(0);
    assert!(world.path().join("plimsoll.prom").exists());
}
