//! Traces of Plimsoll's own work: `[telemetry]` (OBS-3).

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Problem, ProblemKind};
use crate::secret::SecretSource;
use crate::table::Table;
use crate::values;

/// `[telemetry]`. What it leaves out, the standard variables `OTEL_…` may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// The collector, without the signal's path. Default: none; nothing is sent
    /// unless `OTEL_EXPORTER_OTLP_ENDPOINT` names one.
    pub otlp_endpoint: Option<String>,
    /// Default: `http/protobuf`.
    pub protocol: Option<OtlpProtocol>,
    /// Where the headers of every export are, as `name=value,…`. Default: none.
    pub headers: Option<SecretSource>,
    /// Certificates (PEM) that are trusted beside those of the system. Default: none.
    pub ca: Option<PathBuf>,
    /// Within which one export has to be taken. Default: 5s.
    pub timeout: Option<Duration>,
}

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `http/protobuf`
    Http,
    /// `grpc`
    Grpc,
}

const PROTOCOLS: [(&str, OtlpProtocol); 2] =
    [("http/protobuf", OtlpProtocol::Http), ("grpc", OtlpProtocol::Grpc)];

pub(crate) fn telemetry(mut table: Table<'_>) -> Option<Telemetry> {
    let otlp_endpoint = table.opt("otlp_endpoint", values::web_address);
    let protocol = table.opt("protocol", values::choice(&PROTOCOLS));
    let headers = table.opt_shown("headers", values::secret, |_, headers| headers.to_string());
    let ca = table.opt("ca", values::relative_path);
    let timeout = table.opt("timeout", values::some_time);
    let endpoint = otlp_endpoint.as_deref();
    let far = endpoint.is_some_and(|url| url.starts_with("http://") && !values::is_loopback(url));
    if far && headers.is_some() {
        let at = table.place();
        let message = "the headers would go over plain http to another machine".to_owned();
        table.push(Problem::new(ProblemKind::Conflict, &at, message).hint("write `https://`"));
    }
    if endpoint.is_none() && (headers.is_some() || ca.is_some()) {
        table.conflict(
            "`headers` and `ca` are for the collector that `otlp_endpoint` names, and none is named",
            "add `otlp_endpoint = \"https://collector.example.com:4318\"`",
        );
    }
    table.finish();
    Some(Telemetry { otlp_endpoint, protocol, headers, ca, timeout })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Config, Overlays};

    fn read(more: &str) -> Result<Telemetry, String> {
        let text = format!(
            "[service]\nname = \"a\"\n[repository]\ncanonical = \"r.example.com/a\"\n[image]\n\
             entrypoint = [\"/a\"]\ncopy = [{{ from = \"a\", to = \"/a\" }}]\n[telemetry]\n{more}"
        );
        Config::parse("plimsoll.toml".into(), text.into_bytes(), &Overlays::new())
            .map(|loaded| loaded.config.telemetry)
            .map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn nothing_is_sent_unless_somebody_says_where_to() {
        let telemetry = read("").unwrap();
        assert_eq!((telemetry.otlp_endpoint, telemetry.headers), (None, None));
    }

    #[test]
    fn a_collector_with_all_that_belongs_to_it() {
        let telemetry = read(
            "otlp_endpoint = \"https://collector.example.com:4318\"\nprotocol = \"grpc\"\n\
             headers = \"env:OTLP_HEADERS\"\nca = \"collector.pem\"\ntimeout = \"2s\"\n",
        );
        let telemetry = telemetry.unwrap();
        assert_eq!(telemetry.protocol, Some(OtlpProtocol::Grpc));
        assert_eq!(telemetry.timeout, Some(Duration::from_secs(2)));
        assert_eq!(telemetry.headers.unwrap().to_string(), "env:OTLP_HEADERS");
    }

    #[test]
    fn a_token_does_not_leave_the_machine_in_the_clear() {
        let headers = "headers = \"env:OTLP_HEADERS\"\n";
        for (endpoint, taken) in [
            ("http://collector.example.com:4318", false),
            ("http://127.0.0.1:4318", true),
            ("https://collector.example.com", true),
        ] {
            let read = read(&format!("otlp_endpoint = \"{endpoint}\"\n{headers}"));
            assert_eq!(read.is_ok(), taken, "{endpoint}: {read:?}");
        }
        assert!(read(headers).unwrap_err().contains("none is named"));
        assert!(read("headers = \"authorization=Bearer x\"\n").unwrap_err().contains("LiteralSecret"));
    }
}
