//! The embedded registry over the wire: each endpoint and each error of
//! distribution-spec 1.1, what it refuses, what it survives, and other
//! people's tools.
#![allow(clippy::unwrap_used)]

mod bounds;
mod commits;
mod durability;
mod interop;
mod listing;
mod manifests;
mod pull;
mod push;

use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, Manifest, digest_of, media_type};
use plimsoll_registry::error::{Body, Code};
use plimsoll_registry::server::{Options, Registry};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A registry that serves as the product does, and a client for it.
struct Server {
    base: String,
    root: TempDir,
    client: reqwest::Client,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Server {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        Self::at(tempfile::tempdir().unwrap(), options).await
    }

    async fn at(root: TempDir, options: Options) -> Self {
        let registry = Registry::open(root.path(), options).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            registry.serve(listener, stopped).await.unwrap();
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { base, root, client, running: Some((stop, task)) }
    }

    /// Ends it in order; what it kept stays.
    async fn stop(mut self) -> TempDir {
        let (stop, task) = self.running.take().unwrap();
        drop(self.client);
        stop.send(()).unwrap();
        task.await.unwrap();
        self.root
    }

    fn send(&self, method: &str, path: &str) -> RequestBuilder {
        let method: Method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn get(&self, path: &str) -> Response {
        self.send("GET", path).send().await.unwrap()
    }

    async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let response = self.send("POST", &path).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        digest
    }

    async fn open_upload(&self, repository: &str) -> String {
        let response = self.send("POST", &format!("/v2/{repository}/blobs/uploads/")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        header(&response, "location")
    }

    async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Response {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let request = self.send("PUT", &path).header("content-type", media_type);
        request.body(bytes.to_vec()).send().await.unwrap()
    }

    /// An image of one layer with this content; its manifest's digest and bytes.
    async fn push_image(&self, repository: &str, reference: &str, content: &str) -> (Digest, Vec<u8>) {
        let manifest = self.push_blobs_of(repository, content).await.to_bytes();
        let response = self.put_manifest(repository, reference, media_type::OCI_MANIFEST, &manifest).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{}", response.text().await.unwrap());
        (digest_of(&manifest), manifest)
    }

    /// The blobs of such an image; its manifest, not pushed.
    async fn push_blobs_of(&self, repository: &str, content: &str) -> Manifest {
        let config = format!("{{\"content\":{content:?}}}");
        self.push_blob(repository, config.as_bytes()).await;
        self.push_blob(repository, content.as_bytes()).await;
        Manifest::oci(
            Descriptor::of(media_type::OCI_CONFIG, config.as_bytes()),
            vec![Descriptor::of(media_type::OCI_LAYER_TAR, content.as_bytes())],
        )
    }
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap().to_owned()
}

/// The answer is this error, in the protocol's body.
async fn refused(response: Response, status: u16, code: Code) -> String {
    let found = response.status().as_u16();
    assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    let bytes = response.bytes().await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = Body::parse(&bytes).unwrap_or_else(|| panic!("{found} {text}"));
    assert_eq!((found, body.codes().collect::<Vec<_>>()), (status, vec![code]), "{text}");
    text
}

const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

#[tokio::test]
async fn end_1_and_what_is_no_endpoint() {
    let server = Server::start().await;
    let response = server.get("/v2/").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "docker-distribution-api-version"), "registry/2.0");
    assert_eq!(response.text().await.unwrap(), "{}");
    let digest = digest_of(b"");
    for (method, path, status, code) in [
        ("GET", "/".to_owned(), 404, Code::Unsupported),
        ("GET", "/v1/".into(), 404, Code::Unsupported),
        ("GET", "/v2/a/other/b".into(), 404, Code::Unsupported),
        ("POST", "/v2/".into(), 405, Code::Unsupported),
        ("PUT", "/v2/a/tags/list".into(), 405, Code::Unsupported),
        ("PATCH", format!("/v2/a/blobs/{digest}"), 405, Code::Unsupported),
        ("POST", "/v2/a/manifests/v1".into(), 405, Code::Unsupported),
        ("GET", "/v2/a/blobs/uploads/".into(), 405, Code::Unsupported),
        ("GET", "/v2/UPPER/tags/list".into(), 400, Code::NameInvalid),
        ("GET", "/v2/a%2f..%2f..%2fb/tags/list".into(), 400, Code::NameInvalid),
        ("POST", "/v2/a/blobs/blobs/uploads/".into(), 400, Code::NameInvalid),
        ("GET", "/v2/a/tags/list".into(), 404, Code::NameUnknown),
        ("GET", "/v2/a/manifests/v1".into(), 404, Code::NameUnknown),
        ("GET", format!("/v2/a/blobs/{digest}"), 404, Code::NameUnknown),
        ("GET", "/v2/a/blobs/sha256:short".into(), 400, Code::DigestInvalid),
        ("GET", format!("/v2/a/blobs/sha512:{}", "0".repeat(128)), 400, Code::DigestInvalid),
        ("GET", "/v2/a/referrers/sha256:short".into(), 400, Code::DigestInvalid),
    ] {
        let response = server.send(method, &path).send().await.unwrap();
        if status == 405 {
            assert!(!header(&response, "allow").contains(method), "{method} {path}");
        }
        refused(response, status, code).await;
    }
    assert_eq!(
        std::fs::read_dir(server.root.path()).unwrap().count(),
        1,
        "asking makes nothing but the lock"
    );
}
