//! Who signs: the key, the program or the identity of `[signing]` (SIG-1).

use std::time::Duration;

use jiff::Timestamp;
use plimsoll_config::{SecretContext, SecretSource, SignWith};
use plimsoll_evidence_keyless::{
    AUDIENCE, IdentityToken, Keyless, Options, SigningConfig, TokenSource, public_good_root,
};
use plimsoll_evidence_trust::{
    Bundle, ExternalSigner, PrivateKey, PublicKey, SignedBy, Signer, Statement, Trust, TrustedKey, sign,
};
use plimsoll_model::Failure;

use crate::blocking;
use crate::context::Context;

/// How long a program that signs may take.
const EXTERNAL_TIMEOUT: Duration = Duration::from_secs(60);

/// Something that signs, ready.
pub(crate) enum Signing {
    /// A key, or a program that has one.
    Key(std::sync::Arc<dyn Signer>),
    /// An identity.
    Keyless {
        /// The services.
        keyless: Box<Keyless>,
        /// Where the token comes from.
        token: TokenSource,
    },
}

/// Statements that were signed, in order, and by whom.
pub(crate) struct Signed {
    pub(crate) bundles: Vec<Bundle>,
    pub(crate) by: SignedBy,
}

impl Signing {
    /// What `[signing]` says; none: nothing is signed.
    ///
    /// # Errors
    /// The key, its password or the signing config cannot be read or used.
    pub(crate) async fn of(context: &Context) -> Result<Option<Self>, Failure> {
        let Some(signing) = context.config.config.signing.clone() else { return Ok(None) };
        let root = context.root().to_path_buf();
        let trusted_root = context.config.config.verification.trusted_root.clone();
        let ready = blocking("reading the signing key", move || {
            let secrets = SecretContext::of_process(&root);
            ready(&signing.with, trusted_root.as_ref(), &secrets)
        });
        ready.await?.map(Some)
    }

    /// Whether there is what signing needs, as far as that can be told before
    /// anything is built or pushed: for an identity, its token.
    ///
    /// # Errors
    /// There is no token, or none that would be accepted.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        if let Self::Keyless { token, .. } = self {
            // Got again when it is used: it may not outlive a long build.
            Self::token(token).await?;
        }
        Ok(())
    }

    async fn token(source: &TokenSource) -> Result<IdentityToken, Failure> {
        let environment = |name: &str| std::env::var(name).ok();
        Ok(source.token(&environment, AUDIENCE, &Options::default(), Timestamp::now()).await?)
    }

    /// Signs statements; a certificate serves all of them.
    ///
    /// # Errors
    /// Those of the signer. Where log entries were made, the error says so.
    pub(crate) async fn sign(&self, statements: Vec<Statement>) -> Result<Signed, Failure> {
        match self {
            Self::Key(signer) => {
                let by = SignedBy::Key(signer.public_key().fingerprint());
                let signer = signer.clone();
                let bundles = blocking("signing", move || {
                    statements
                        .iter()
                        .map(|statement| sign(statement, &*signer))
                        .collect::<Result<Vec<_>, _>>()
                });
                Ok(Signed { bundles: bundles.await??, by })
            }
            Self::Keyless { keyless, token } => {
                let certified = keyless.certify(&Self::token(token).await?).await?;
                let identity = certified.identity();
                let by =
                    SignedBy::Identity { issuer: identity.issuer.clone(), subject: identity.subject.clone() };
                Ok(Signed { bundles: certified.sign(&statements).await?, by })
            }
        }
    }

    /// The key, where it is one.
    pub(crate) fn signer(&self) -> Option<&dyn Signer> {
        match self {
            Self::Key(signer) => Some(&**signer),
            Self::Keyless { .. } => None,
        }
    }

    /// Trust in this signer's key beside what `trust` trusts: to recognise
    /// what it has signed before.
    pub(crate) fn recognise(&self, mut trust: Trust) -> Trust {
        if let Some(signer) = self.signer() {
            trust.keys.push(TrustedKey::new(signer.public_key().clone()));
        }
        trust
    }
}

fn ready(
    with: &SignWith,
    trusted_root: Option<&SecretSource>,
    secrets: &SecretContext<'_>,
) -> Result<Signing, Failure> {
    Ok(match with {
        SignWith::Key { key, password } => {
            let text = key.resolve(secrets)?;
            let password = password.as_ref().map(|password| password.resolve(secrets)).transpose()?;
            Signing::Key(std::sync::Arc::new(PrivateKey::from_pem(text.reveal(), password.as_ref())?))
        }
        SignWith::Command { command, public_key } => {
            let public = PublicKey::from_pem(public_key.resolve(secrets)?.reveal())?;
            Signing::Key(std::sync::Arc::new(ExternalSigner::new(command, public, EXTERNAL_TIMEOUT)))
        }
        SignWith::Keyless { token, signing_config } => {
            let config = match signing_config {
                Some(source) => {
                    SigningConfig::read(source.resolve(secrets)?.reveal().as_bytes(), &source.to_string())?
                }
                None => SigningConfig::public_good(),
            };
            let root = match trusted_root {
                Some(source) => source.resolve(secrets)?.reveal().to_owned(),
                None => public_good_root().to_owned(),
            };
            let services = config.services(Timestamp::now())?;
            let token = match token {
                Some(source) => {
                    TokenSource::Given { token: source.resolve(secrets)?, origin: source.to_string() }
                }
                None => TokenSource::Ambient,
            };
            Signing::Keyless { keyless: Box::new(Keyless::new(services, &root, Options::default())?), token }
        }
    })
}
