//! Requests by hand: what an outsider sees of a registry or a service.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plimsoll_oci::digest_of;

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(host: &str, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let mut stream = connect(host.parse().unwrap());
    let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\naccept: {accept}\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    stream.get_mut().write_all(body).unwrap();
    let status = head_of(&mut stream);
    let mut body = Vec::new();
    stream.read_to_end(&mut body).unwrap();
    Answer { status, body }
}

pub(crate) fn get(host: &str, path: &str) -> Answer {
    ask(host, "GET", path, "text/plain", b"")
}

/// Connects, with a bound on how long each read may take.
pub(crate) fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    BufReader::new(stream)
}

/// Reads an answer's head; its status.
pub(crate) fn head_of(stream: &mut BufReader<TcpStream>) -> u16 {
    let mut first = String::new();
    stream.read_line(&mut first).unwrap();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap() == 0 || line.trim_end().is_empty() {
            break;
        }
    }
    first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Puts a blob into a repository; its descriptor as JSON.
pub(crate) fn put_blob(host: &str, repository: &str, media_type: &str, bytes: &[u8]) -> String {
    let digest = digest_of(bytes);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = ask(host, "POST", &path, "application/octet-stream", bytes);
    assert_eq!(answer.status, 201, "{}", answer.text());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, bytes.len())
}

/// Puts a manifest under a tag; its digest.
pub(crate) fn put_manifest(
    host: &str,
    repository: &str,
    tag: &str,
    media_type: &str,
    bytes: &[u8],
) -> String {
    let path = format!("/v2/{repository}/manifests/{tag}");
    let answer = ask(host, "PUT", &path, media_type, bytes);
    assert_eq!(answer.status, 201, "{}", answer.text());
    digest_of(bytes).to_string()
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Puts an image without layers for an architecture under a tag; its digest.
pub(crate) fn put_image(host: &str, repository: &str, tag: &str, architecture: &str) -> String {
    let config = format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[]}},"config":{{"Cmd":["/x"]}}}}"#
    );
    let config = put_blob(host, repository, "application/vnd.oci.image.config.v1+json", config.as_bytes());
    let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[]}}"#);
    put_manifest(host, repository, tag, MANIFEST, manifest.as_bytes())
}

/// Whether a tag is there with everything that belongs to it: `None` when the
/// tag is absent.
pub(crate) fn complete(host: &str, repository: &str, tag: &str) -> Option<bool> {
    let manifest = get(host, &format!("/v2/{repository}/manifests/{tag}"));
    if manifest.status != 200 {
        return None;
    }
    let manifest: serde_json::Value = serde_json::from_slice(&manifest.body).unwrap();
    let layers = manifest["layers"].as_array().unwrap().clone();
    Some(layers.iter().chain([&manifest["config"]]).all(|descriptor| {
        let digest = descriptor["digest"].as_str().unwrap();
        let blob = get(host, &format!("/v2/{repository}/blobs/{digest}"));
        blob.status == 200 && digest_of(&blob.body).to_string() == digest
    }))
}

/// Attaches what is attached to one image to another, as anybody can who may
/// push: the same bundles, another subject. How many there were.
pub(crate) fn borrow_evidence(host: &str, repository: &str, from: &str, to: &str) -> usize {
    let json = |path: &str| -> serde_json::Value {
        let answer = get(host, path);
        assert_eq!(answer.status, 200, "{path}");
        serde_json::from_slice(&answer.body).unwrap()
    };
    let digest =
        |tag: &str| digest_of(&get(host, &format!("/v2/{repository}/manifests/{tag}")).body).to_string();
    let size = get(host, &format!("/v2/{repository}/manifests/{to}")).body.len();
    let (from, to) = (digest(from), digest(to));
    let listed = json(&format!("/v2/{repository}/referrers/{from}"));
    let listed = listed["manifests"].as_array().unwrap();
    for entry in listed {
        let mut manifest = json(&format!("/v2/{repository}/manifests/{}", entry["digest"].as_str().unwrap()));
        manifest["subject"]["digest"] = to.clone().into();
        manifest["subject"]["size"] = size.into();
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let path = format!("/v2/{repository}/manifests/{}", digest_of(&bytes));
        assert_eq!(ask(host, "PUT", &path, MANIFEST, &bytes).status, 201);
    }
    listed.len()
}
