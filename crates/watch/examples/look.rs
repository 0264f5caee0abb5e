//! Shows what the watch reads of a metric at a replica, once.
//!
//! `cargo run -p plimsoll-watch --example look -- URL QUERY [OF]`

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use plimsoll_model::{Diagnose as _, Digest, Lookup};
use plimsoll_watch::{Bounds, Declaration, Query, Replica, Replicas, Source as _, WatchError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, query, of @ ..] = &arguments[..] else {
        return Err("URL QUERY [OF]".into());
    };
    let of = of.first().map(String::as_str);
    match look(url, query, of).await {
        Ok(found) => println!("{found}"),
        Err(error) => println!(
            "{}: {error}: {:?}",
            error.code(),
            std::error::Error::source(&error).map(ToString::to_string)
        ),
    }
    Ok(())
}

async fn look(url: &str, query: &str, of: Option<&str>) -> Result<String, WatchError> {
    let query = Query::new(&Declaration::new("it", query, of))?;
    let kind = query.metric.kind.clone();
    let source = Replicas::new(vec![query], Bounds::default())?;
    let replica = Replica {
        digest: Digest::from_sha256([0; 32]),
        name: "it".into(),
        metrics: Some(url.into()),
        born: None,
    };
    let look = source.look(&[replica]).await.remove(0);
    let mut text = format!("{kind:?}, started {:?}", look.born.map(|born| born.to_string()));
    match &look.readings[0] {
        Lookup::Found(reading) => {
            for (what, points) in [("events", &reading.events), ("of", &reading.exposure)] {
                for point in points {
                    let bound = point.bound.map_or(String::new(), |bound| format!(" up to {bound}"));
                    let since = point.created.map_or(String::new(), |created| format!(" since {created}"));
                    text.push_str(&format!("\n{what:>6}  {}{bound} = {}{since}", point.series, point.value));
                }
            }
        }
        other => text.push_str(&format!("\n{other:?}")),
    }
    Ok(text)
}
