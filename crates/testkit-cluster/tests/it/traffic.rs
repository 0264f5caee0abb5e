//! Requests through a Service while pods come and go.

use plimsoll_testkit_cluster::{Behaviour, Cluster, Settings};
use serde_json::json;

use crate::support::{deployment, image, is_complete, service};

/// A rolling update under load, where nodes learn late of endpoints.
fn failed(pre_stop: bool) -> u64 {
    let cluster = Cluster::start(Settings { endpoint_delay: 2_000, ..Settings::default() });
    for letter in ['a', 'b'] {
        cluster.image(&image(letter), Behaviour::starts_after(2_000).stops_in(500));
    }
    cluster.apply_json(service());
    let release = |letter| {
        let mut web = deployment(&image(letter));
        if pre_stop {
            web["spec"]["template"]["spec"]["containers"][0]["lifecycle"] =
                json!({"preStop": {"sleep": {"seconds": 5}}});
        }
        cluster.apply_json(web);
        cluster.settle_until(120_000, is_complete);
    };
    release('a');
    cluster.advance(5_000);
    let load = cluster.begin_load("shop", "web", 20);
    release('b');
    cluster.advance(10_000);
    let met = cluster.load(load);
    assert!(met.by_image.contains_key(&image('a')) && met.by_image.contains_key(&image('b')), "{met:?}");
    assert_eq!(cluster.request("shop", "web", "/").image, image('b'));
    met.failed
}

#[test]
fn without_a_pause_before_the_end_requests_fail_and_with_one_they_do_not() {
    assert!(failed(false) > 0);
    assert_eq!(failed(true), 0);
}

#[test]
fn a_service_follows_readiness_and_its_selector() {
    let cluster = Cluster::start(Settings::default());
    cluster.apply_json(service());
    assert_eq!(cluster.request("shop", "web", "/").code, 503);
    cluster.image(
        &image('a'),
        Behaviour::starts_after(0).serving(|path| (if path == "/" { 200 } else { 404 }, "a".into())),
    );
    cluster.apply_json(deployment(&image('a')));
    cluster.settle_until(60_000, is_complete);
    assert_eq!(cluster.request("shop", "web", "/").body, "a");
    assert_eq!(cluster.request("shop", "web", "/x").code, 404);
    let slice = &cluster.list("endpointslices", "shop")[0];
    assert_eq!(slice["endpoints"].as_array().map(Vec::len), Some(3));
    assert_eq!(slice["ports"], json!([{"name": "", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        cluster.get("endpoints", "shop", "web")["subsets"][0]["addresses"].as_array().map(Vec::len),
        Some(3)
    );
    cluster.edit_as("kubectl-edit", "service", "shop", "web", |web| {
        web["spec"]["selector"] = json!({"app": "nobody"})
    });
    assert_eq!(cluster.request("shop", "web", "/").code, 503);
}
