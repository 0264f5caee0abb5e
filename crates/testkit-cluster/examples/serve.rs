//! A cluster to try by hand: `cargo run -p plimsoll-testkit-cluster --example
//! serve -- KUBECONFIG [MANIFESTS]`. It begins with the manifests, if any, and
//! with a kubeconfig whose context is `test`. Time passes as it does; Ctrl-C ends it.

use std::time::{SystemTime, UNIX_EPOCH};

use plimsoll_testkit_cluster::{Cluster, Pace, Settings};

#[allow(clippy::print_stdout, reason = "it tells a person where it is")]
fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "kubeconfig".into());
    let pace = Pace::Real { speed: 1 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(std::io::Error::other)?;
    // Clients compare its times with their own.
    let starts_at = u64::try_from(now.as_millis()).map_err(std::io::Error::other)?;
    let cluster = Cluster::start(Settings { pace, starts_at, ..Settings::default() });
    if let Some(manifests) = std::env::args().nth(2) {
        cluster.apply_yaml(&std::fs::read_to_string(manifests)?);
    }
    std::fs::write(&path, cluster.kubeconfig())?;
    println!("{} is served: kubectl --kubeconfig {path} get nodes", cluster.url());
    loop {
        std::thread::park();
    }
}
