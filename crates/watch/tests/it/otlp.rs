//! Spans over both protocols, as exporters send them.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use plimsoll_model::Lookup;
use plimsoll_testkit::otlp::{bytes, export, number};
use plimsoll_watch::otlp::{MAX_EXPORT, RELEASE, Spans};
use plimsoll_watch::{Declaration, Query, Source as _, WatchError};

use crate::replicas::{NEW, OLD};

const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

fn framed(compressed: bool, message: &[u8]) -> Vec<u8> {
    [&[u8::from(compressed)], &(message.len() as u32).to_be_bytes()[..], message].concat()
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut encoder, message).unwrap();
    encoder.finish().unwrap()
}

async fn listen() -> Spans {
    let all = "plimsoll_spans_total{kind=\"server\"}";
    let errors = "plimsoll_spans_total{kind=\"server\",status=\"error\"}";
    let query = Query::new(&Declaration::new("error spans", errors, Some(all))).unwrap();
    let releases = vec![(NEW, vec!["new".into(), "n".into()]), (OLD, vec!["old".into()])];
    Spans::listen(([127, 0, 0, 1], 0).into(), RELEASE, releases, vec![query]).await.unwrap()
}

/// Errors and all spans of each release.
async fn counted(spans: &Spans) -> Vec<Option<(f64, f64)>> {
    let sum = |points: &[plimsoll_health::Point]| points.iter().map(|point| point.value).sum();
    let looks = spans.look(&[]).await;
    looks
        .iter()
        .map(|look| match &look.readings[0] {
            Lookup::Found(reading) => Some((sum(&reading.events), sum(&reading.exposure))),
            Lookup::Absent => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn post(spans: &Spans, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut request = Request::post(format!("http://{}{path}", spans.address()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The status of gRPC, and the message where it is not 0.
async fn call(spans: &Spans, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (String, String) {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut request = Request::post(format!("http://{}{path}", spans.address()))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let collected = response.into_body().collect().await.unwrap();
    let trailers = collected.trailers().expect("gRPC answers with trailers").clone();
    let text =
        |name: &str| trailers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let data = collected.to_bytes();
    assert_eq!(data.is_empty(), text("grpc-status") != "0");
    (text("grpc-status"), text("grpc-message"))
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

#[tokio::test]
async fn spans_are_counted_by_release_over_both_protocols() {
    let spans = listen().await;
    assert_eq!(counted(&spans).await, [None, None]);
    let posted = post(&spans, "/v1/traces", &[PROTOBUF], export("new", 10, 3)).await;
    assert_eq!(posted, (StatusCode::OK, String::new()));
    let posted = post(&spans, "/v1/traces", &[PROTOBUF, GZIP], gzip(&export("old", 20, 1))).await;
    assert_eq!(posted.0, StatusCode::OK);
    assert_eq!(counted(&spans).await, [Some((3.0, 10.0)), Some((1.0, 20.0))]);
    let called = call(&spans, GRPC, &[], framed(false, &export("new", 5, 5))).await;
    assert_eq!(called.0, "0", "{called:?}");
    let packed = framed(true, &gzip(&export("old", 30, 0)));
    assert_eq!(call(&spans, GRPC, &[("grpc-encoding", "gzip")], packed).await.0, "0");
    assert_eq!(counted(&spans).await, [Some((8.0, 15.0)), Some((1.0, 50.0))]);
    // Of no release that anybody asked for, or of none at all.
    post(&spans, "/v1/traces", &[PROTOBUF], export("other", 7, 7)).await;
    post(&spans, "/v1/traces", &[PROTOBUF], bytes(1, &bytes(2, &bytes(2, &number(6, 2))))).await;
    assert_eq!(counted(&spans).await, [Some((8.0, 15.0)), Some((1.0, 50.0))]);
}

#[tokio::test]
async fn what_is_no_export_is_refused_and_counts_nothing() {
    let spans = listen().await;
    let large = vec![0x0a; MAX_EXPORT + 6];
    let bomb = gzip(&vec![0; MAX_EXPORT + 1]);
    let broken = export("new", 3, 3)[..40].to_vec();
    let json: &[(&str, &str)] = &[("content-type", "application/json")];
    let cases = [
        ("/v1/traces", json, b"{}".to_vec(), 415),
        ("/v1/metrics", &[PROTOBUF], export("new", 1, 1), 404),
        ("/v1/traces", &[PROTOBUF], broken.clone(), 400),
        ("/v1/traces", &[PROTOBUF, ("content-encoding", "zstd")], export("new", 1, 1), 415),
        ("/v1/traces", &[PROTOBUF, GZIP], export("new", 1, 1), 400),
        ("/v1/traces", &[PROTOBUF, GZIP], bomb.clone(), 413),
    ];
    for (path, headers, body, status) in cases {
        assert_eq!(post(&spans, path, headers, body).await.0, status, "{path} {headers:?}");
    }
    let cases = [
        (GRPC, framed(false, &broken), "3"),
        (GRPC, vec![0, 0, 0], "3"),
        (GRPC, framed(false, b"")[..4].to_vec(), "3"),
        (GRPC, [framed(false, &export("new", 1, 1)), vec![0]].concat(), "3"),
        (GRPC, framed(true, &gzip(b"")), "12"),
        (GRPC, framed(false, &large), "8"),
        ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", framed(false, b""), "12"),
    ];
    for (path, body, status) in cases {
        let called = call(&spans, path, &[], body).await;
        assert_eq!(called.0, status, "{path} {called:?}");
    }
    assert_eq!(counted(&spans).await, [None, None]);
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let spans = listen().await;
    let again = Spans::listen(spans.address(), RELEASE, vec![], vec![]).await;
    assert!(matches!(again, Err(WatchError::Listen { .. })));
}
