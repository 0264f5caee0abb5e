//! Upgraded connections: bytes both ways until one side ends.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::front::FrontState;
use crate::shared::Flight;

/// Joins the two sides once both have switched protocols. The tunnel counts
/// as in flight until it ends; the sweep ends it when the drain time is over.
pub(crate) fn spawn(user: OnUpgrade, instance: OnUpgrade, flight: Flight, front: Arc<FrontState>) {
    tokio::spawn(async move {
        if let Ok((user, upstream)) = tokio::try_join!(user, instance) {
            let (mut user, mut upstream) = (TokioIo::new(user), TokioIo::new(upstream));
            // However a tunnel ends, both sides are closed by dropping them.
            if let Ok((sent, received)) = tokio::io::copy_bidirectional(&mut user, &mut upstream).await {
                flight.instance.counters.bytes_in.fetch_add(sent, Relaxed);
                flight.instance.counters.bytes_out.fetch_add(received, Relaxed);
            }
        }
        drop(flight);
        front.rest();
    });
}
