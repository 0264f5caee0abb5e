//! Where traces go: the configuration, and where it is silent the standard
//! variables (OpenTelemetry specification, "OTLP Exporter Configuration").

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use percent_encoding::percent_decode_str;
use plimsoll_config::{OtlpProtocol, SecretContext, Telemetry};
use plimsoll_model::Secret;

use crate::TelemetryError;

/// Default of the time for one export. Shorter than the specification's ten
/// seconds: a command ends, and its last spans with it.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A file of certificates that is larger is none.
const MOST_CA_BYTES: u64 = 1 << 20;
/// Headers beyond that are a mistake.
const MOST_HEADERS: usize = 64;

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Protocol Buffers over HTTP/1.1.
    Http,
    /// gRPC.
    Grpc,
}

/// A collector, and the trace that this command is a part of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where spans are posted: with the path for HTTP, without for gRPC.
    pub endpoint: String,
    /// How.
    pub protocol: Protocol,
    /// Sent with each export; names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca: Option<Vec<u8>>,
    /// Within which one export has to be taken.
    pub timeout: Duration,
    /// `TRACEPARENT` and `TRACESTATE`, as W3C Trace Context has them.
    pub context: HashMap<String, String>,
}

impl Settings {
    /// What the configuration says; where it names no collector, what the
    /// variables say. `None`: nobody asks for traces.
    ///
    /// The variables' headers and certificate go only to the variables'
    /// collector: they may be a token for it.
    ///
    /// # Errors
    /// `TEL-001`: what was asked for cannot be used.
    pub fn of(
        configured: &Telemetry,
        root: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        // The signal's own variable wins over the general one.
        let otlp = |name: &str| {
            env(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .map(|value| (format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), value))
                .or_else(|| {
                    let general = format!("OTEL_EXPORTER_OTLP_{name}");
                    env(&general).map(|value| (general, value))
                })
        };
        let off = env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
            || env("OTEL_TRACES_EXPORTER").is_some_and(|value| value.eq_ignore_ascii_case("none"));
        if off {
            return Ok(None);
        }
        let protocol = match (configured.protocol, otlp("PROTOCOL")) {
            (Some(OtlpProtocol::Http), _) | (None, None) => Protocol::Http,
            (Some(OtlpProtocol::Grpc), _) => Protocol::Grpc,
            (None, Some((_, value))) if value == "http/protobuf" => Protocol::Http,
            (None, Some((_, value))) if value == "grpc" => Protocol::Grpc,
            (None, Some((what, value))) => {
                let why = format!("`{value}` is neither `http/protobuf` nor `grpc`");
                return Err(TelemetryError::Unusable { what, why });
            }
        };
        let with_path = |base: &str| match protocol {
            Protocol::Http => format!("{}/v1/traces", base.trim_end_matches('/')),
            Protocol::Grpc => base.to_owned(),
        };
        let (endpoint, headers, ca) = match &configured.otlp_endpoint {
            Some(base) => {
                let context = SecretContext { root, env: &env, timeout: Duration::from_secs(10) };
                let headers = configured.headers.as_ref().map(|source| source.resolve(&context)).transpose();
                let headers = headers.map_err(|source| TelemetryError::Headers { source })?;
                let ca =
                    configured.ca.as_ref().map(|path| ("`ca` of [telemetry]".to_owned(), root.join(path)));
                let named =
                    headers.map(|secret| ("`headers` of [telemetry]".to_owned(), secret.reveal().to_owned()));
                (with_path(base), named, ca)
            }
            None => {
                let base =
                    match (env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), env("OTEL_EXPORTER_OTLP_ENDPOINT")) {
                        // As it is.
                        (Some(whole), _) => whole,
                        (None, Some(base)) => with_path(&base),
                        (None, None) => return Ok(None),
                    };
                let ca = otlp("CERTIFICATE").map(|(name, path)| (name, path.into()));
                (base, otlp("HEADERS"), ca)
            }
        };
        let timeout = match (configured.timeout, otlp("TIMEOUT")) {
            (Some(timeout), _) => timeout,
            (None, None) => TIMEOUT,
            (None, Some((what, value))) => match value.parse().map(Duration::from_millis) {
                Ok(timeout) if !timeout.is_zero() => timeout,
                _ => {
                    return Err(TelemetryError::Unusable {
                        what,
                        why: format!("`{value}` is no number of milliseconds"),
                    });
                }
            },
        };
        let context = ["TRACEPARENT", "TRACESTATE"]
            .into_iter()
            .filter_map(|name| Some((name.to_ascii_lowercase(), env(name)?)))
            .collect();
        Ok(Some(Self {
            endpoint,
            protocol,
            headers: headers.map_or(Ok(Vec::new()), |(what, text)| pairs(&what, &text))?,
            ca: ca.map(|(what, path)| certificates(what, &path)).transpose()?,
            timeout,
            context,
        }))
    }

    /// The trace that the caller's environment names; an empty one where it
    /// names none, or something that is no trace.
    pub(crate) fn parent(&self) -> Context {
        TraceContextPropagator::new().extract_with_context(&Context::new(), &self.context)
    }
}

/// `name=value,name=value`, values percent-encoded (W3C Baggage, section 3.3).
fn pairs(what: &str, text: &str) -> Result<Vec<(String, Secret)>, TelemetryError> {
    // The text may hold a secret: none of it is in an error.
    let unusable = |why: &str| TelemetryError::Unusable { what: what.into(), why: why.into() };
    let mut all = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| unusable("an item is not `name=value`"))?;
        let name = name.trim().to_ascii_lowercase();
        http::HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| unusable("a name is no name of a header"))?;
        let value =
            percent_decode_str(value.trim()).decode_utf8().map_err(|_| unusable("a value is not UTF-8"))?;
        http::HeaderValue::from_str(&value).map_err(|_| unusable("a value is no value of a header"))?;
        all.push((name, Secret::new(value)));
    }
    if all.len() > MOST_HEADERS {
        return Err(unusable("it has more than 64 headers"));
    }
    Ok(all)
}

fn certificates(what: String, path: &Path) -> Result<Vec<u8>, TelemetryError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MOST_CA_BYTES + 1).read_to_end(&mut bytes));
    let why = match read {
        Err(error) => format!("{}: {error}", path.display()),
        Ok(_) if bytes.len() as u64 > MOST_CA_BYTES => format!("{}: it is larger than 1 MiB", path.display()),
        Ok(_) => return Ok(bytes),
    };
    Err(TelemetryError::Unusable { what, why })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use opentelemetry::trace::TraceContextExt as _;

    const NOTHING: Telemetry =
        Telemetry { otlp_endpoint: None, protocol: None, headers: None, ca: None, timeout: None };

    fn of(configured: &Telemetry, variables: &[(&str, &str)]) -> Result<Option<Settings>, TelemetryError> {
        let env =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Settings::of(configured, Path::new("/nowhere"), &env)
    }

    fn revealed(settings: &Settings) -> Vec<(&str, &str)> {
        settings.headers.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect()
    }

    #[test]
    fn nobody_asked() {
        assert!(of(&NOTHING, &[]).unwrap().is_none());
        assert!(of(&NOTHING, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]).unwrap().is_none());
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert!(of(&NOTHING, &[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        assert!(of(&NOTHING, &[endpoint, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
    }

    #[test]
    fn the_general_endpoint_gets_the_signals_path_and_its_own_does_not() {
        for (variables, endpoint, protocol) in [
            (
                vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/")],
                "http://c:4318/v1/traces",
                Protocol::Http,
            ),
            (
                vec![("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/x")],
                "http://c:4318/x",
                Protocol::Http,
            ),
            (
                vec![
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ],
                "http://c:4317",
                Protocol::Grpc,
            ),
            (
                vec![
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                ],
                "http://c:4318/v1/traces",
                Protocol::Http,
            ),
        ] {
            let settings = of(&NOTHING, &variables).unwrap().unwrap();
            assert_eq!((settings.endpoint.as_str(), settings.protocol), (endpoint, protocol));
            assert_eq!(settings.timeout, TIMEOUT);
        }
    }

    #[test]
    fn headers_are_decoded() {
        let settings = of(
            &NOTHING,
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20a%3Db, x-team = pay ,"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ],
        );
        let settings = settings.unwrap().unwrap();
        assert_eq!(revealed(&settings), [("authorization", "Bearer a=b"), ("x-team", "pay")]);
        assert_eq!(settings.timeout, Duration::from_millis(1500));
        assert!(!format!("{settings:?}").contains("Bearer"));
    }

    /// A token that the environment holds for its own collector goes to no other.
    #[test]
    fn headers_of_one_collector_do_not_go_to_another() {
        let own = Telemetry { otlp_endpoint: Some("https://ours".into()), ..NOTHING };
        let others = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://theirs"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=theirs"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/theirs.pem"),
        ];
        let settings = of(&own, &others).unwrap().unwrap();
        assert_eq!(settings.endpoint, "https://ours/v1/traces");
        assert!(settings.headers.is_empty() && settings.ca.is_none());
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_secret() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=hunter2"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=hunter2%0Ab: c"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ] {
            let error = of(&NOTHING, &[endpoint, (variable, value)]).unwrap_err().to_string();
            assert!(error.contains(variable) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_certificate_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::File::create(&path).unwrap().set_len(MOST_CA_BYTES + 1).unwrap();
        let text = path.display().to_string();
        let variables =
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"), ("OTEL_EXPORTER_OTLP_CERTIFICATE", text.as_str())];
        assert!(of(&NOTHING, &variables).unwrap_err().to_string().contains("larger than 1 MiB"));
    }

    #[test]
    fn the_callers_trace_is_gone_on_with_if_it_is_one() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
        let parent = |text| {
            let settings = of(&NOTHING, &[endpoint, ("TRACEPARENT", text)]).unwrap().unwrap();
            settings.parent().span().span_context().clone()
        };
        let given = parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(given.is_valid() && given.is_remote() && given.is_sampled());
        assert_eq!(given.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(!parent("00-4bf92f3577b34da6a3ce929d0e0e4736-01").is_valid());
    }
}
