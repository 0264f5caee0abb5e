//! Which services sign: a signing config, and the choice made of it.
//!
//! The format is `SigningConfig` of the Sigstore protobuf specifications,
//! version 0.2, as `cosign signing-config create` writes it and as TUF
//! distributes it. The rules of choice are those of the message's comments: of
//! the services that are valid now, those of the newest API version that is
//! spoken here, one for each operator, and of these as many as the selector says.

use jiff::Timestamp;
use serde::Deserialize;

use crate::endpoint::{Endpoint, excerpt};
use crate::error::{Cause, Error};

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
/// The longest config that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The services of the public-good instance. Rekor v2 is there too, and enters
/// its own signing config in time; then give that one.
const PUBLIC_GOOD: &str = r#"{
  "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
  "caUrls": [{"url": "https://fulcio.sigstore.dev", "majorApiVersion": 1,
    "validFor": {"start": "2022-04-13T20:06:15Z"}, "operator": "sigstore.dev"}],
  "oidcUrls": [{"url": "https://oauth2.sigstore.dev/auth", "majorApiVersion": 1,
    "validFor": {"start": "2022-04-13T20:06:15Z"}, "operator": "sigstore.dev"}],
  "rekorTlogUrls": [{"url": "https://rekor.sigstore.dev", "majorApiVersion": 1,
    "validFor": {"start": "2021-01-12T11:53:27Z"}, "operator": "sigstore.dev"}],
  "tsaUrls": [{"url": "https://timestamp.sigstore.dev/api/v1/timestamp", "majorApiVersion": 1,
    "validFor": {"start": "2025-07-04T00:00:00Z"}, "operator": "sigstore.dev"}],
  "rekorTlogConfig": {"selector": "ANY"},
  "tsaConfig": {"selector": "ANY"}
}"#;

/// A signing config, read.
#[derive(Debug, Clone)]
pub struct SigningConfig {
    origin: String,
    config: Config,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: String,
    #[serde(default)]
    ca_urls: Vec<Offer>,
    #[serde(default)]
    rekor_tlog_urls: Vec<Offer>,
    #[serde(default)]
    tsa_urls: Vec<Offer>,
    #[serde(default)]
    rekor_tlog_config: Demand,
    #[serde(default)]
    tsa_config: Demand,
}

/// One service of a config.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offer {
    url: String,
    #[serde(default)]
    major_api_version: u32,
    #[serde(default)]
    valid_for: Window,
    #[serde(default)]
    operator: String,
}

/// Both ends belong to it; an open end has no limit.
#[derive(Debug, Clone, Default, Deserialize)]
struct Window {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

/// How many services of a kind are to be used.
#[derive(Debug, Clone, Default, Deserialize)]
struct Demand {
    #[serde(default)]
    selector: Selector,
    #[serde(default)]
    count: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Selector {
    #[default]
    Any,
    All,
    Exact,
    #[serde(rename = "SERVICE_SELECTOR_UNDEFINED")]
    Undefined,
}

/// The services that were chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Where certificates come from.
    pub fulcio: Choice,
    /// Where signatures are logged. All speak the same version.
    pub rekor: Choice,
    /// The API version of the logs.
    pub rekor_version: RekorVersion,
    /// Where times come from; `None` where the log's own time is enough.
    pub timestamps: Option<Choice>,
}

/// Services of one kind: so many of the candidates, in their order; the others
/// stand in for those that are out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    candidates: Vec<Endpoint>,
    need: usize,
}

impl Choice {
    /// All that would do, newest first; at least as many as are needed.
    pub fn candidates(&self) -> &[Endpoint] {
        &self.candidates
    }

    /// How many are used; at least one.
    pub fn need(&self) -> usize {
        self.need
    }
}

/// The two APIs of the transparency log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RekorVersion {
    /// Entries carry a time that the log signs.
    V1,
    /// A log of tiles; the time comes from a timestamp authority.
    V2,
}

impl SigningConfig {
    /// Reads a config. `origin` says in messages where it came from.
    ///
    /// # Errors
    /// It is no signing config of version 0.2.
    pub fn read(json: &[u8], origin: &str) -> Result<Self, Error> {
        let unusable = |reason: String| Cause::Config { origin: origin.into(), reason };
        if json.len() > LONGEST {
            return Err(unusable(format!("it is longer than {LONGEST} bytes")).into());
        }
        let config: Config =
            serde_json::from_slice(json).map_err(|e| unusable(format!("it is no signing config: {e}")))?;
        if config.media_type != MEDIA_TYPE {
            let reason =
                format!("its media type is `{}`, and `{MEDIA_TYPE}` is read", excerpt(&config.media_type));
            return Err(unusable(reason).into());
        }
        for (name, demand) in
            [("rekorTlogConfig", &config.rekor_tlog_config), ("tsaConfig", &config.tsa_config)]
        {
            if demand.selector == Selector::Undefined {
                return Err(unusable(format!("the selector of {name} is undefined")).into());
            }
            if demand.selector == Selector::Exact && demand.count == 0 {
                return Err(unusable(format!("the selector of {name} is EXACT without a count")).into());
            }
        }
        Ok(Self { origin: origin.into(), config })
    }

    /// The public-good instance, sigstore.dev.
    ///
    /// What is signed there is public for ever, with the identity.
    pub fn public_good() -> Self {
        Self::read(PUBLIC_GOOD.as_bytes(), "of sigstore.dev").expect("the built-in signing config is one")
    }

    /// A private deployment's endpoints, without a config file: valid always.
    ///
    /// # Errors
    /// See [`SigningConfig::services`].
    pub fn endpoints(
        fulcio: &str,
        rekor: (&str, RekorVersion),
        timestamps: Option<&str>,
    ) -> Result<Services, Error> {
        let offer = |url: &str, major_api_version| Offer {
            url: url.into(),
            major_api_version,
            valid_for: Window::default(),
            operator: String::new(),
        };
        let version = if rekor.1 == RekorVersion::V1 { 1 } else { 2 };
        let config = Config {
            media_type: MEDIA_TYPE.into(),
            ca_urls: vec![offer(fulcio, 1)],
            rekor_tlog_urls: vec![offer(rekor.0, version)],
            tsa_urls: timestamps.map(|url| offer(url, 1)).into_iter().collect(),
            rekor_tlog_config: Demand::default(),
            tsa_config: Demand::default(),
        };
        Self { origin: "given by endpoints".into(), config }.services(Timestamp::UNIX_EPOCH)
    }

    /// Chooses the services to use at `now`.
    ///
    /// # Errors
    /// There are not as many as it demands that are valid now, speak a version
    /// known here, and are at an address that may be spoken to; or a log
    /// without a time of its own has no timestamp authority beside it.
    pub fn services(&self, now: Timestamp) -> Result<Services, Error> {
        let Config { ca_urls, rekor_tlog_urls, tsa_urls, rekor_tlog_config, tsa_config, .. } = &self.config;
        let any = Demand::default();
        let (fulcio, _) = self.choose("Fulcio", ca_urls, &any, &[1], now)?;
        let (rekor, version) = self.choose("Rekor", rekor_tlog_urls, rekor_tlog_config, &[2, 1], now)?;
        let rekor_version = if version == 2 { RekorVersion::V2 } else { RekorVersion::V1 };
        const TSA: &str = "timestamp authority";
        let timestamps = match (tsa_urls.is_empty(), rekor_version) {
            (true, RekorVersion::V1) => None,
            (true, RekorVersion::V2) => {
                let expected = "one, because entries of Rekor v2 have no time of their own";
                return Err(self.none(TSA, expected.into(), "tsaUrls is empty".into()));
            }
            (false, _) => Some(self.choose(TSA, tsa_urls, tsa_config, &[1], now)?.0),
        };
        Ok(Services { fulcio, rekor, rekor_version, timestamps })
    }

    fn choose(
        &self,
        service: &'static str,
        offers: &[Offer],
        demand: &Demand,
        versions: &[u32],
        now: Timestamp,
    ) -> Result<(Choice, u32), Error> {
        let mut reasons = Vec::new();
        let mut usable: Vec<(&Offer, Endpoint)> = Vec::new();
        for offer in offers {
            match offer.usable(versions, now) {
                Ok(endpoint) => usable.push((offer, endpoint)),
                Err(reason) => reasons.push(format!("{}: {reason}", excerpt(&offer.url))),
            }
        }
        // Newest first; a stable sort keeps the file's order among equals.
        usable.sort_by_key(|(offer, _)| {
            let newest = std::cmp::Reverse(offer.valid_for.start);
            (std::cmp::Reverse(offer.major_api_version), newest)
        });
        let version = usable.first().map_or(0, |(offer, _)| offer.major_api_version);
        let mut operators: Vec<&str> = Vec::new();
        let mut candidates = Vec::new();
        for (offer, endpoint) in usable {
            let again = operators.contains(&offer.operator.as_str());
            if offer.major_api_version == version && !again {
                operators.push(&offer.operator);
                candidates.push(endpoint);
            }
        }
        let count = usize::try_from(demand.count).unwrap_or(usize::MAX);
        let (need, wanted) = match demand.selector {
            Selector::Exact => (count, format!("{count}, each of another operator")),
            Selector::All => (candidates.len().max(1), "all of them".into()),
            Selector::Any | Selector::Undefined => (1, "one".into()),
        };
        if candidates.len() < need {
            let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
            let now = super::identity::whole_seconds(now);
            let expected = format!("{wanted}, valid at {now}, of API version {}", versions.join(" or "));
            if offers.is_empty() {
                reasons.push("it names none".into());
            } else if !candidates.is_empty() {
                reasons.push(format!("{} that would do", candidates.len()));
            }
            return Err(self.none(service, expected, reasons.join("; ")));
        }
        Ok((Choice { candidates, need }, version))
    }

    fn none(&self, service: &'static str, expected: String, found: String) -> Error {
        Cause::NoService { origin: self.origin.clone(), service, expected, found }.into()
    }
}

impl Offer {
    fn usable(&self, versions: &[u32], now: Timestamp) -> Result<Endpoint, String> {
        if !versions.contains(&self.major_api_version) {
            return Err(format!("API version {} is not spoken here", self.major_api_version));
        }
        match &self.valid_for {
            Window { start: Some(start), .. } if *start > now => {
                return Err(format!("valid from {start} on"));
            }
            Window { end: Some(end), .. } if *end < now => return Err(format!("valid until {end}")),
            _ => {}
        }
        Endpoint::parse(&self.url)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plimsoll_model::Diagnose as _;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    fn offer(url: &str, version: u32, start: &str, operator: &str) -> Value {
        json!({"url": url, "majorApiVersion": version, "validFor": {"start": start}, "operator": operator})
    }

    /// Written by `cosign signing-config create` 3.1.1 with two logs.
    fn by_cosign() -> Value {
        serde_json::from_str(include_str!("../tests/data/signing_config_by_cosign.json")).unwrap()
    }

    fn services(config: &Value) -> Result<Services, Error> {
        SigningConfig::read(config.to_string().as_bytes(), "test")?.services(now())
    }

    fn urls(choice: &Choice) -> Vec<String> {
        choice.candidates.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_newest_version_is_chosen() {
        let services = services(&by_cosign()).unwrap();
        assert_eq!(urls(&services.fulcio), ["https://fulcio.example.com"]);
        assert_eq!(urls(&services.rekor), ["https://rekor2.example.com"]);
        assert_eq!(services.rekor_version, RekorVersion::V2);
        assert_eq!(urls(&services.timestamps.unwrap()), ["https://tsa.example.com/api/v1/timestamp"]);
    }

    #[test]
    fn windows_are_kept() {
        let mut config = by_cosign();
        config["rekorTlogUrls"][1]["validFor"]["start"] = json!("2026-06-01T00:00:01Z");
        assert_eq!(services(&config).unwrap().rekor_version, RekorVersion::V1);
        // Both ends belong to it.
        config["rekorTlogUrls"][1]["validFor"] =
            json!({"start": "2026-06-01T00:00:00Z", "end": "2026-06-01T00:00:00Z"});
        assert_eq!(services(&config).unwrap().rekor_version, RekorVersion::V2);
        config["caUrls"][0]["validFor"]["end"] = json!("2026-05-31T23:59:59Z");
        let error = services(&config).unwrap_err();
        assert_eq!(error.code(), "KLS-006");
        assert!(error.found().unwrap().contains("valid until 2026-05-31T23:59:59Z"), "{:?}", error.found());
    }

    #[test]
    fn selectors_choose_by_operator() {
        let mut config = by_cosign();
        config["rekorTlogUrls"] = json!([
            offer("https://old.a.example", 2, "2024-01-01T00:00:00Z", "a"),
            offer("https://new.a.example", 2, "2025-01-01T00:00:00Z", "a"),
            offer("https://b.example", 2, "2024-06-01T00:00:00Z", "b"),
            offer("https://c.example", 1, "2026-01-01T00:00:00Z", "c"),
        ]);
        let expected = ["https://new.a.example", "https://b.example"];
        for (demand, need) in [
            (json!({"selector": "ANY"}), 1),
            (json!({}), 1),
            (json!({"selector": "ALL"}), 2),
            (json!({"selector": "EXACT", "count": 2}), 2),
        ] {
            config["rekorTlogConfig"] = demand;
            let services = services(&config).unwrap();
            assert_eq!(urls(&services.rekor), expected);
            assert_eq!(services.rekor.need, need);
        }
        config["rekorTlogConfig"] = json!({"selector": "EXACT", "count": 3});
        let error = services(&config).unwrap_err();
        assert_eq!((error.code(), error.found().unwrap().as_str()), ("KLS-006", "2 that would do"));
    }

    #[test]
    fn what_cannot_work_is_told_before_anything_is_asked() {
        let without = |name: &str| {
            let mut config = by_cosign();
            config.as_object_mut().unwrap().remove(name);
            config
        };
        let with = |name: &str, value: Value| {
            let mut config = by_cosign();
            config[name] = value;
            config
        };
        let start = "2024-01-01T00:00:00Z";
        for (config, code) in [
            (without("caUrls"), "KLS-006"),
            (without("rekorTlogUrls"), "KLS-006"),
            (without("tsaUrls"), "KLS-006"),
            (with("caUrls", json!([offer("http://fulcio.example.com", 1, start, "a")])), "KLS-006"),
            (with("caUrls", json!([offer("https://fulcio.example.com", 2, start, "a")])), "KLS-006"),
            (with("rekorTlogUrls", json!([offer("https://rekor.example.com", 3, start, "a")])), "KLS-006"),
            (with("mediaType", json!("application/vnd.dev.sigstore.signingconfig.v0.1+json")), "KLS-005"),
            (with("rekorTlogConfig", json!({"selector": "SERVICE_SELECTOR_UNDEFINED"})), "KLS-005"),
            (with("rekorTlogConfig", json!({"selector": "EXACT"})), "KLS-005"),
            (with("tsaConfig", json!({"selector": "SOME"})), "KLS-005"),
            (with("caUrls", json!("https://fulcio.example.com")), "KLS-005"),
            (json!([]), "KLS-005"),
        ] {
            let error = services(&config).unwrap_err();
            assert_eq!(error.code(), code, "{config}: {error} {:?}", error.found());
        }
        // Rekor v1 has a time of its own.
        let mut config = without("tsaUrls");
        config["rekorTlogUrls"].as_array_mut().unwrap().pop();
        assert_eq!(services(&config).unwrap().timestamps, None);
    }

    #[test]
    fn the_public_instance_and_endpoints_need_no_file() {
        let services = SigningConfig::public_good().services(now()).unwrap();
        assert_eq!(urls(&services.fulcio), ["https://fulcio.sigstore.dev"]);
        let v2 = ("http://127.0.0.1:2", RekorVersion::V2);
        let services =
            SigningConfig::endpoints("http://127.0.0.1:1", v2, Some("http://127.0.0.1:3")).unwrap();
        assert_eq!(services.rekor_version, RekorVersion::V2);
        assert_eq!(SigningConfig::endpoints("http://127.0.0.1:1", v2, None).unwrap_err().code(), "KLS-006");
        let public = ("http://rekor.example", RekorVersion::V1);
        assert_eq!(
            SigningConfig::endpoints("http://127.0.0.1:1", public, None).unwrap_err().code(),
            "KLS-006"
        );
    }
}
