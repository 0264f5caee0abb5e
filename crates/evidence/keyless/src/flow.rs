//! From an identity token to bundles: key, certificate, signature, time, log,
//! bundle, and the verification of what came out.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use jiff::Timestamp;
use plimsoll_evidence_trust::{
    BUNDLE_MEDIA_TYPE, Bundle, Clock, Envelope, Evidence, Outcome, PAYLOAD_TYPE, Root, Signature, SignedBy,
    Statement, Trust, TrustedIdentity, verify,
};
use plimsoll_model::Digest;
use serde_json::json;
use sigstore_trust_root::TrustedRoot;

use crate::certificate::{Accepted, Authorities, Identity};
use crate::endpoint::Endpoint;
use crate::error::{Cause, Error, Published};
use crate::fulcio;
use crate::http::{Http, Options};
use crate::identity::{IdentityToken, whole_seconds};
use crate::key::{EphemeralKey, NoRandomness};
use crate::rekor::{self, Entry, Logged, Record};
use crate::services::{Choice, Services};
use crate::tsa::{self, Within};

/// How often a statement is signed anew because the log has the signature
/// already and does not say where.
const MOST_SIGNATURES: usize = 3;
/// How far a log's clock may be ahead of ours.
const MOST_AHEAD: Duration = Duration::from_secs(30);

/// The trusted root of the public-good instance, sigstore.dev, as it was when
/// this version was made.
pub fn public_good_root() -> &'static str {
    sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT
}

/// A Sigstore to sign with: its services, and the trusted root that says
/// whether they did what they should.
pub struct Keyless {
    http: Http,
    services: Services,
    authorities: Authorities,
    trusted_root: String,
}

/// A key with a certificate, good for some minutes. It signs any number of
/// statements; when it is dropped, nobody can sign with it any more.
pub struct Certified<'a> {
    keyless: &'a Keyless,
    key: EphemeralKey,
    certificate: Accepted,
    /// Trusts the certificate's identity and nobody else.
    trust: Trust,
}

/// What is shared by the statements that are signed at once.
#[derive(Default)]
struct Progress {
    /// One failed; none is begun any more.
    failed: AtomicBool,
    /// Entries that are in the log.
    entries: AtomicUsize,
    /// A log was asked whose answer cannot be relied on.
    perhaps: AtomicBool,
}

impl Progress {
    fn note(&self, error: &Error) {
        self.perhaps.fetch_or(error.published() > Published::Certificate, Ordering::SeqCst);
    }

    fn published(&self) -> Published {
        match (self.entries.load(Ordering::SeqCst), self.perhaps.load(Ordering::SeqCst)) {
            (0, false) => Published::Certificate,
            (0, true) => Published::PerhapsEntries,
            (count, _) => Published::Entries(count),
        }
    }
}

impl fmt::Debug for Keyless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyless").field("services", &self.services).finish_non_exhaustive()
    }
}

impl fmt::Debug for Certified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified").field("identity", self.identity()).finish_non_exhaustive()
    }
}

impl Keyless {
    /// Prepares to sign with `services`; nothing is asked yet. `trusted_root` is
    /// the JSON of the same deployment's trusted root, for sigstore.dev
    /// [`public_good_root`].
    ///
    /// # Errors
    /// The trusted root cannot be used.
    pub fn new(services: Services, trusted_root: &str, options: Options) -> Result<Self, Error> {
        let unusable = |reason: String| Cause::Options { option: "trusted root".into(), reason };
        let root = TrustedRoot::from_json(trusted_root).map_err(|e| unusable(e.to_string()))?;
        let authorities = Authorities::of(&root).map_err(unusable)?;
        Root::from_json(trusted_root).map_err(|e| unusable(e.to_string()))?;
        Ok(Self { http: Http::new(options), services, authorities, trusted_root: trusted_root.into() })
    }

    /// Makes a key, and has Fulcio certify that it is the token's identity's.
    /// The certificate is public from then on, with the identity.
    ///
    /// # Errors
    /// Fulcio cannot be reached or refuses; or what it issued is for another
    /// key, or would not be accepted by verifiers.
    pub async fn certify(&self, token: &IdentityToken) -> Result<Certified<'_>, Error> {
        let key = EphemeralKey::generate().map_err(no_randomness)?;
        let ask = |fulcio| fulcio::certificate(&self.http, fulcio, token, &key);
        let mut issued = needed(&self.services.fulcio, ask).await?;
        let issued = issued.pop().expect("a choice needs at least one");
        let accepted = self.authorities.accept(issued, key.spki(), Timestamp::now());
        let certificate = accepted.map_err(|error| error.with_published(Published::Certificate))?;
        let Identity { issuer, subject } = certificate.identity.clone();
        let trust = Trust {
            identities: vec![TrustedIdentity { issuer, subject, roles: None }],
            root: Root::from_json(&self.trusted_root).ok(),
            ..Trust::default()
        };
        Ok(Certified { keyless: self, key, certificate, trust })
    }

    /// Signs statements with one certificate: [`Keyless::certify`] and
    /// [`Certified::sign`].
    ///
    /// # Errors
    /// As both.
    pub async fn sign(&self, token: &IdentityToken, statements: &[Statement]) -> Result<Vec<Bundle>, Error> {
        // What cannot be signed is told before anything is published.
        subjects(statements)?;
        self.certify(token).await?.sign(statements).await
    }
}

impl Certified<'_> {
    /// Whom the certificate names: what verifiers will compare.
    pub fn identity(&self) -> &Identity {
        &self.certificate.identity
    }

    /// When it ends.
    pub fn expires(&self) -> Timestamp {
        self.certificate.not_after
    }

    /// Signs, stamps and logs each statement, several at once; one bundle for
    /// each, in their order, each verified.
    ///
    /// # Errors
    /// One failed: none is returned. What is in the log by then stays there,
    /// and the error says how much that is.
    pub async fn sign(&self, statements: &[Statement]) -> Result<Vec<Bundle>, Error> {
        let images = subjects(statements)?;
        let progress = Progress::default();
        let parallelism = self.keyless.http.options().parallelism.max(1);
        // All that were begun are ended, so that it is known what is public. Boxed,
        // so that the compiler sees that they may move between threads.
        let mut signing = Vec::with_capacity(statements.len());
        for (statement, image) in statements.iter().zip(images) {
            signing.push(self.sign_one(statement, image, &progress).boxed());
        }
        let outcomes: Vec<Option<Result<Bundle, Error>>> =
            stream::iter(signing).buffered(parallelism).collect().await;
        let mut bundles = Vec::with_capacity(statements.len());
        for outcome in outcomes {
            match outcome {
                Some(Ok(bundle)) => bundles.push(bundle),
                Some(Err(error)) => return Err(error.with_published(progress.published())),
                None => {}
            }
        }
        Ok(bundles)
    }

    /// `None` when another failed before this one was begun.
    async fn sign_one(
        &self,
        statement: &Statement,
        image: Digest,
        progress: &Progress,
    ) -> Option<Result<Bundle, Error>> {
        if progress.failed.load(Ordering::SeqCst) {
            return None;
        }
        let outcome = self.bundle(statement, &image, progress).await;
        if outcome.is_err() {
            progress.failed.store(true, Ordering::SeqCst);
        }
        Some(outcome)
    }

    async fn bundle(
        &self,
        statement: &Statement,
        image: &Digest,
        progress: &Progress,
    ) -> Result<Bundle, Error> {
        let Keyless { services, http, .. } = self.keyless;
        let Accepted { der, not_before, not_after, .. } = &self.certificate;
        let within = Within { from: *not_before, until: *not_after };
        let mut envelope = Envelope {
            payload_type: PAYLOAD_TYPE.into(),
            payload: statement.payload(),
            signatures: Vec::new(),
        };
        let signed = envelope.pae();
        for _ in 0..MOST_SIGNATURES {
            let now = Timestamp::now();
            if now >= *not_after {
                let [expired, now] = [*not_after, now].map(whole_seconds);
                return Err(Cause::CertificateExpired { expired, now }.into());
            }
            let signature = self.key.sign(&signed).map_err(no_randomness)?;
            envelope.signatures = vec![Signature { key_id: String::new(), bytes: signature.clone() }];
            let text = envelope.to_json();
            // Before the log: a stamp is private, an entry is not.
            let timestamps = match &services.timestamps {
                Some(choice) => needed(choice, |tsa| tsa::timestamp(http, tsa, &signature, within)).await?,
                None => Vec::new(),
            };
            let record = Record {
                envelope: &text,
                payload: &envelope.payload,
                signed: &signed,
                signature: &signature,
                certificate: der,
            };
            let record = &record;
            let log = |rekor| async move {
                let logged = rekor::log(http, rekor, services.rekor_version, record).await;
                logged.inspect_err(|error| progress.note(error))
            };
            let logged = needed(&services.rekor, log).await?;
            let entries: Vec<&Entry> = logged.iter().filter_map(Logged::entry).collect();
            progress.entries.fetch_add(entries.len(), Ordering::SeqCst);
            if entries.len() < logged.len() {
                continue;
            }
            let stamps: Vec<_> =
                timestamps.iter().map(|stamp| json!({"signedTimestamp": STANDARD.encode(stamp)})).collect();
            let material = json!({
                "certificate": {"rawBytes": STANDARD.encode(der)},
                "tlogEntries": entries,
                "timestampVerificationData": {"rfc3161Timestamps": stamps},
            });
            // Built around the envelope's own text, which may have many megabytes.
            let bundle = format!(
                r#"{{"mediaType":"{BUNDLE_MEDIA_TYPE}","verificationMaterial":{material},"dsseEnvelope":{text}}}"#
            );
            settle(&entries).await;
            return self.verified(bundle, image).map_err(|reason| Cause::Unverified { reason }.into());
        }
        let reason = format!("the log says {MOST_SIGNATURES} times that it has a new signature already");
        Err(Error::from(Cause::Unverified { reason }).with_published(Published::PerhapsEntries))
    }

    /// The bundle, if it verifies as everybody will verify it.
    fn verified(&self, json: String, image: &Digest) -> Result<Bundle, String> {
        let clock = Clock { now: Timestamp::now(), known_since: None };
        let verification = verify(Evidence::Bundle(json.as_bytes()), image, &self.trust, clock);
        let Identity { issuer, subject } = &self.certificate.identity;
        let by = SignedBy::Identity { issuer: issuer.clone(), subject: subject.clone() };
        match verification.outcome {
            Outcome::Verified(verified) if verified.by == by => Bundle::from_json(json),
            Outcome::Verified(verified) => Err(format!("it is signed by {}, not {by}", verified.by)),
            _ => Err(match verification.steps.last() {
                Some(step) => format!("step {}, {}: {}", step.number, step.name, step.detail),
                None => "no step was done".into(),
            }),
        }
    }
}

/// Waits until the log's time has come here too, where it is a little ahead:
/// no verifier accepts an entry from the future.
async fn settle(entries: &[&Entry]) {
    let latest = entries.iter().filter_map(|entry| entry.integrated()).max();
    let ahead = latest.map(|latest| latest.duration_since(Timestamp::now()));
    if let Some(wait) = ahead.and_then(|ahead| Duration::try_from(ahead).ok())
        && wait <= MOST_AHEAD
    {
        tokio::time::sleep(wait).await;
    }
}

/// The images that statements are about, one for each.
fn subjects(statements: &[Statement]) -> Result<Vec<Digest>, Error> {
    statements.iter().map(subject).collect()
}

/// The image that a statement is about; without one nothing could be verified.
fn subject(statement: &Statement) -> Result<Digest, Error> {
    let digests = statement.subjects.iter().filter_map(|subject| subject.digest.get("sha256"));
    let mut images = digests.filter_map(|hex| format!("sha256:{hex}").parse().ok());
    images.next().ok_or_else(|| {
        let reason = "it names no subject by its SHA-256".into();
        Cause::Options { option: "statement".into(), reason }.into()
    })
}

fn no_randomness(error: NoRandomness) -> Error {
    Cause::Options { option: "key".into(), reason: error.to_string() }.into()
}

/// Asks the candidates in their order until as many as are needed have
/// answered. Others stand in for those that are out of order, as far as there
/// are others.
async fn needed<'a, T, F>(choice: &'a Choice, ask: impl Fn(&'a Endpoint) -> F) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut answers = Vec::with_capacity(choice.need());
    let mut spare = choice.candidates().len().saturating_sub(choice.need());
    let mut published = Published::Nothing;
    for endpoint in choice.candidates() {
        if answers.len() == choice.need() {
            break;
        }
        match ask(endpoint).await {
            Ok(answer) => answers.push(answer),
            Err(error) if error.is_outage() && spare > 0 => {
                spare -= 1;
                published = published.max(error.published());
            }
            Err(error) => return Err(error.with_published(published)),
        }
    }
    Ok(answers)
}
