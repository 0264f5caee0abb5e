//! Against `distribution`, which most registries descend from, and with
//! `skopeo` as the second reader.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use plimsoll_model::{Class, Diagnose as _, Lookup, Repository, Secret};
use plimsoll_registry::client::{Credential, Options, Publisher, Reader, Sources, Upload};
use plimsoll_testkit::peer::{Peers, require};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::image::{Image, empty_layout, image, noise, options, sha, small};

/// `ci:pw` for htpasswd (bcrypt, the only kind that `distribution` reads).
const HTPASSWD: &str = "ci:$2b$05$abcdefghijklmnopqrstuuHIrMEWpUCQe2YqFR3sXwQ75u4od..9q\n";

/// `docker-registry` on a port of the system's choice; everybody needs a password.
struct Distribution {
    child: Child,
    host: String,
    _folder: TempDir,
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn distribution(peers: &Peers) -> Distribution {
    distribution_in(peers, tempfile::tempdir().unwrap(), "")
}

/// With these lines more in the `http` part of its configuration.
fn distribution_in(peers: &Peers, folder: TempDir, http: &str) -> Distribution {
    let (config, passwords) = (folder.path().join("config.yml"), folder.path().join("htpasswd"));
    std::fs::write(&passwords, HTPASSWD).unwrap();
    let text = format!(
        "version: 0.1\nlog:\n  formatter: text\nstorage:\n  filesystem:\n    rootdirectory: {}\nauth:\n  htpasswd:\n    realm: test\n    path: {}\nhttp:\n  addr: 127.0.0.1:0\n{http}",
        folder.path().join("data").display(),
        passwords.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = peers.command("docker-registry");
    command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let host = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("listening on ")?;
        Some(rest.split(['"', ' ', ',']).next().unwrap().to_owned())
    });
    // It stops when nobody reads what it logs.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    Distribution { child, host: host.unwrap(), _folder: folder }
}

fn with_password(host: &str, options: Options) -> Options {
    let credential = Credential::Password { username: "ci".into(), password: Secret::new("pw") };
    Options { credentials: Sources::default().given(host, credential), ..options }
}

fn repository(host: &str, path: &str) -> Repository {
    format!("{host}/{path}").parse().unwrap()
}

fn big() -> Image {
    image(&[noise(5 << 20, 1), noise(1, 2), Vec::new()])
}

#[tokio::test]
async fn tag_1_2_3_dig_1_with_distribution() {
    let Some(peers) = require(&["docker-registry"]) else { return };
    let registry = distribution(&peers);
    let source = big();
    let options = with_password(&registry.host, options());
    let chunks = Upload { monolithic_up_to: 0, chunk: 1 << 20 };
    for (path, upload) in [("acme/whole", Upload::default()), ("acme/chunks", chunks)] {
        let publisher =
            Publisher::new(repository(&registry.host, path), Options { upload, ..options.clone() }).unwrap();
        let reader = publisher.reader();
        assert_eq!(reader.resolve_tag(sha().as_str()).await, Lookup::Absent);
        assert_eq!(reader.head_blob(source.blob(1)).await, Lookup::Absent);
        let pushed = publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
        assert_eq!(pushed.post_push_digest, source.descriptor.digest);
        assert_eq!(pushed.uploaded.len(), 4);
        assert!(publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap().already_present);
        let other = small();
        let error = publisher.push(&other.layout, &other.descriptor, &sha()).await.unwrap_err();
        assert_eq!((error.class(), error.code()), (Class::Integrity, "TAG-003"));

        assert_eq!(reader.tags().await.found().unwrap().len(), 2);
        assert_eq!(reader.referrers(&source.descriptor.digest).await, Lookup::Found(vec![]));
        let (_folder, layout) = empty_layout();
        assert_eq!(reader.pull(&source.descriptor.digest, &layout).await.unwrap(), source.descriptor);
    }
    let mounting = Options { mount_from: vec!["acme/whole".into()], ..options };
    let publisher = Publisher::new(repository(&registry.host, "acme/mounted"), mounting).unwrap();
    let pushed = publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
    assert_eq!((pushed.mounted.len(), pushed.uploaded.len()), (4, 0));
}

#[tokio::test]
async fn passwords_with_distribution() {
    let Some(peers) = require(&["docker-registry"]) else { return };
    let registry = distribution(&peers);
    let repository = repository(&registry.host, "acme/payouts");
    let nobody = Reader::new(repository.clone(), options()).unwrap();
    assert!(matches!(nobody.resolve_tag("x").await, Lookup::Unknown(_)));
    let wrong = Credential::Password { username: "ci".into(), password: Secret::new("no") };
    let wrong = Options { credentials: Sources::default().given(&registry.host, wrong), ..options() };
    let source = small();
    let error = Publisher::new(repository, wrong)
        .unwrap()
        .push(&source.layout, &source.descriptor, &sha())
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Outside, "REG-003"), "{error:?}");
}

/// A certificate authority and a certificate of it for 127.0.0.1, in `folder`.
fn certificates(peers: &Peers, folder: &Path) {
    let make = |arguments: &[&str]| {
        let output = peers.command("openssl").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    make(&[&key[..], &["-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"]].concat());
    let leaf = [
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=CA:FALSE",
    ];
    let signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "tls.key", "-out", "tls.pem"];
    make(&[&key[..], &leaf, &signed].concat());
}

#[tokio::test]
async fn tls_with_an_authority_of_ones_own() {
    let Some(peers) = require(&["docker-registry", "openssl"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&peers, folder.path());
    let file = |name: &str| folder.path().join(name);
    let (ca, http) = (
        file("ca.pem"),
        format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            file("tls.pem").display(),
            file("tls.key").display()
        ),
    );
    let registry = distribution_in(&peers, folder, &http);
    let repository = repository(&registry.host, "acme/payouts");
    let options = Options { tls_on_loopback: true, ..with_password(&registry.host, options()) };
    let trusting = Options { ca_files: vec![ca.clone()], ..options.clone() };
    let source = small();
    let publisher = Publisher::new(repository.clone(), trusting).unwrap();
    publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();

    let stranger = Publisher::new(repository.clone(), options.clone()).unwrap();
    let error = stranger.push(&source.layout, &source.descriptor, &sha()).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Outside, "REG-007"), "{error:?}");

    let missing = Options { ca_files: vec![ca.with_file_name("none.pem")], ..options.clone() };
    assert_eq!(Reader::new(repository.clone(), missing).unwrap_err().code(), "REG-009");
    let no_pem = Options { ca_files: vec![ca.with_file_name("config.yml")], ..options };
    assert_eq!(Reader::new(repository, no_pem).unwrap_err().code(), "REG-009");
}

/// Passes bytes to `to`, and cuts the first connection that sends more than `most`.
async fn cutting_proxy(to: String, most: usize) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let cut = Arc::new(AtomicBool::new(false));
    let done = cut.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (to, cut) = (to.clone(), cut.clone());
            tokio::spawn(async move {
                let server = TcpStream::connect(to).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                let up = async {
                    let (mut sent, mut buffer) = (0, vec![0; 16 << 10]);
                    while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                        if to_server.write_all(&buffer[..n]).await.is_err() {
                            return;
                        }
                        sent += n;
                        if sent > most && !cut.swap(true, Ordering::SeqCst) {
                            return;
                        }
                    }
                };
                let down = tokio::io::copy(&mut from_server, &mut to_client);
                // Either end closes both.
                tokio::select! { () = up => {}, _ = down => {} }
            });
        }
    });
    (host, done)
}

#[tokio::test]
async fn an_upload_cut_in_the_middle_ends_well_with_distribution() {
    let Some(peers) = require(&["docker-registry"]) else { return };
    let registry = distribution(&peers);
    let source = big();
    for (path, upload) in
        [("acme/whole", Upload::default()), ("acme/chunks", Upload { monolithic_up_to: 0, chunk: 1 << 20 })]
    {
        let (host, cut) = cutting_proxy(registry.host.clone(), 2_500_000).await;
        let options = with_password(&host, Options { upload, ..options() });
        let publisher = Publisher::new(repository(&host, path), options).unwrap();
        publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
        assert!(cut.load(Ordering::SeqCst));
        let (_folder, layout) = empty_layout();
        publisher.reader().pull(&source.descriptor.digest, &layout).await.unwrap();
    }
}

#[tokio::test]
async fn skopeo_reads_what_was_pushed() {
    let Some(peers) = require(&["docker-registry", "skopeo"]) else { return };
    let registry = distribution(&peers);
    let options = with_password(&registry.host, options());
    let publisher = Publisher::new(repository(&registry.host, "acme/payouts"), options).unwrap();
    let source = big();
    publisher.push(&source.layout, &source.descriptor, &sha()).await.unwrap();
    let image = format!("docker://{}/acme/payouts:{}", registry.host, sha());
    let output = peers
        .command("skopeo")
        .args(["inspect", "--tls-verify=false", "--creds", "ci:pw", "--raw", &image])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, source.bytes());
}
