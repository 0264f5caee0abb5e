//! A cluster to try by hand: `cargo run -p plimsoll-testkit-cluster --example
//! serve -- KUBECONFIG`. Time passes as it does; Ctrl-C ends it.

use plimsoll_testkit_cluster::{Cluster, Pace, Settings};

#[allow(clippy::print_stdout, reason = "it tells a person where it is")]
fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "kubeconfig".into());
    let pace = Pace::Real { speed: 1 };
    let cluster = Cluster::start(Settings { pace, ..Settings::default() });
    std::fs::write(&path, cluster.kubeconfig())?;
    println!("{} is served: kubectl --kubeconfig {path} get nodes", cluster.url());
    loop {
        std::thread::park();
    }
}
