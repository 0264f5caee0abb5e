//! Reading secrets: bounded, and never shown (CFG-1).
#![allow(clippy::unwrap_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use plimsoll_config::{Database, DatabaseUrl, SecretContext, SecretError, SecretSource};
use plimsoll_model::{Diagnose as _, Secret};

fn resolve_within(root: &Path, source: &str, timeout: Duration) -> Result<Secret, SecretError> {
    let env = |name: &str| match name {
        "KEY" => Some("from the environment".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    SecretSource::parse(source).unwrap().resolve(&SecretContext { root, env: &env, timeout })
}

fn resolve(root: &Path, source: &str) -> Result<Secret, SecretError> {
    resolve_within(root, source, Duration::from_secs(30))
}

#[test]
fn only_the_three_forms_are_sources() {
    for good in ["env:KEY", "env:_a1", "file:a b", "file:/run/secrets/key", "command:pass show a:b"] {
        assert!(SecretSource::parse(good).is_some(), "{good}");
    }
    for bad in [
        "",
        "hunter2",
        "env:",
        "env:a b",
        "env:1A",
        "env:A-B",
        "file:",
        "command: ",
        "vault:x",
        "ENV:KEY",
        "file:a\0",
    ] {
        assert!(SecretSource::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn a_source_shows_where_not_what() {
    let shown = |text: &str| format!("{0} {0:?}", SecretSource::parse(text).unwrap());
    assert_eq!(shown("env:KEY"), "env:KEY env:KEY");
    assert_eq!(shown("file:cosign.key"), "file:cosign.key file:cosign.key");
    assert_eq!(shown("command:vault read -token=hunter2"), "command:vault **** command:vault ****");
    assert_eq!(shown("command:TOKEN=hunter2 vault"), "command:**** command:****");
}

#[test]
fn each_source_gives_its_secret() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("key"), "line one\nline two\n").unwrap();
    assert_eq!(resolve(dir.path(), "env:KEY").unwrap().reveal(), "from the environment");
    assert_eq!(resolve(dir.path(), "file:key").unwrap().reveal(), "line one\nline two");
    assert_eq!(resolve(dir.path(), "command:cat key; echo").unwrap().reveal(), "line one\nline two\n");
    assert_eq!(resolve(dir.path(), "command:printf 'a\\r\\n'").unwrap().reveal(), "a");
}

#[test]
fn what_cannot_be_used_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8], mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    };
    put("open", b"x", 0o666);
    put("empty", b"\n", 0o600);
    put("large", &vec![b'x'; (64 << 10) + 1], 0o600);
    put("binary", b"\xff\xfe", 0o600);
    put("mounted", b"x", 0o444);
    nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(resolve(dir.path(), "file:mounted").unwrap().reveal(), "x");

    let root = dir.path().display().to_string();
    let said = |source: &str| resolve(dir.path(), source).unwrap_err().to_string().replace(&root, "ROOT");
    assert_eq!(said("env:NONE"), "the environment variable NONE holds no secret");
    assert_eq!(said("env:EMPTY"), "the environment variable EMPTY holds no secret");
    assert_eq!(said("file:none"), "cannot read the secret in ROOT/none");
    assert_eq!(
        said("file:open"),
        "the secret in ROOT/open cannot be used: everybody may write to it (`chmod o-w` it)"
    );
    assert_eq!(said("file:empty"), "the secret in ROOT/empty cannot be used: it is empty");
    assert_eq!(said("file:large"), "the secret in ROOT/large cannot be used: it is larger than 64 KiB");
    assert_eq!(said("file:binary"), "the secret in ROOT/binary cannot be used: it is not UTF-8 text");
    assert_eq!(said("file:pipe"), "the secret in ROOT/pipe cannot be used: it is not a regular file");
    assert_eq!(said("file:."), "the secret in ROOT/. cannot be used: it is not a regular file");
    assert_eq!(
        said("command:echo no such entry >&2; exit 3"),
        "the command for a secret, `echo ****`, ended with exit status: 3: no such entry"
    );
    assert_eq!(said("command:true"), "the command for a secret, `true`, printed no secret: it is empty");
    assert_eq!(
        said("command:head -c 100000 /dev/zero"),
        "the command for a secret, `head ****`, printed no secret: it is larger than 64 KiB"
    );
    let error = resolve(dir.path(), "env:NONE").unwrap_err();
    assert_eq!(error.code(), "CFG-012");
    assert_eq!(error.hint().unwrap(), "nothing was touched; set NONE and run the command again");
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_it_started() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["sleep 60", "sleep 60 & wait", "exec >/dev/null; sleep 60", "sleep 60 & echo secret"] {
        let begun = Instant::now();
        let error = resolve_within(dir.path(), &format!("command:{command}"), Duration::from_millis(300))
            .unwrap_err();
        assert!(error.to_string().ends_with("did not end within 0.3 s"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn databases() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("pg"), "postgres://u:hunter2@db/x\n").unwrap();
    fs::write(dir.path().join("lite"), "sqlite://x.db").unwrap();
    fs::write(dir.path().join("other"), "mysql://u:hunter2@db/x").unwrap();
    let context = SecretContext::of_process(dir.path());
    let from = |file: &str| Database::Source(SecretSource::File(file.into())).resolve(&context);
    assert_eq!(
        Database::Sqlite("a".into()).resolve(&context).unwrap(),
        DatabaseUrl::Sqlite(dir.path().join("a"))
    );
    assert_eq!(from("lite").unwrap(), DatabaseUrl::Sqlite(dir.path().join("x.db")));
    let url = from("pg").unwrap();
    assert!(!format!("{url:?}").contains("hunter2"));
    assert!(matches!(url, DatabaseUrl::Postgres(url) if url.reveal() == "postgres://u:hunter2@db/x"));
    assert_eq!(from("other").unwrap_err().to_string(), "file:other holds no database URL");
}
