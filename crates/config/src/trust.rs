//! Who signs, and whose signatures count: `[signing]`, `[verification]`
//! (SIG-1 to SIG-5).

use jiff::civil::Date;

use crate::secret::SecretSource;
use crate::table::Table;
use crate::values;

/// `[signing]`: a key, or an identity (keyless).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// What signs.
    pub with: SignWith,
    /// Write the image's signature in the scheme of cosign 2 as well. Default: false.
    pub legacy: bool,
}

/// What signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignWith {
    /// A private key.
    Key {
        /// The key.
        key: SecretSource,
        /// Its password. Default: none, the key is not encrypted.
        password: Option<SecretSource>,
    },
    /// A program that is given the payload and answers with a signature.
    Command {
        /// The program, run with `sh -c`.
        command: String,
        /// The public key of its signatures, PEM.
        public_key: SecretSource,
    },
    /// `keyless = true`: an OIDC identity, a short-lived certificate for it,
    /// and a public log.
    Keyless {
        /// The identity token. Default: that of the CI system this runs in.
        token: Option<SecretSource>,
        /// Sigstore signing config: the endpoints. Default: the public-good instance.
        signing_config: Option<SecretSource>,
    },
}

/// `[verification]` (SIG-3, SIG-4).
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Default: auto.
    pub mode: VerificationMode,
    /// Share of signed deployments above which `auto` becomes mandatory;
    /// above 0, at most 1. Default: 0.9.
    pub threshold: f64,
    /// Deployments that must have been seen first, at least 1. Default: 10.
    pub min_samples: u32,
    /// Keys that may sign anything. Default: none.
    pub public_keys: Vec<SecretSource>,
    /// `[[verification.keys]]`: keys with roles and dates. Default: none.
    pub keys: Vec<TrustedKey>,
    /// Identities a keyless signature may be made by. Default: none.
    pub identities: Vec<Identity>,
    /// Sigstore's trusted root. Default: the built-in one.
    pub trusted_root: Option<SecretSource>,
    /// Demand a log entry of signatures by key too. Default: false.
    pub require_log: bool,
}

/// What an unverified signature means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerificationMode {
    /// It is logged and the deployment goes on.
    Soft,
    /// The deployment is refused.
    Mandatory,
    /// Soft until coverage passes the threshold, then mandatory for ever.
    Auto,
}

/// What a key or an identity may speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `signature`: the image itself.
    Signature,
    /// `sbom`
    Sbom,
    /// `provenance`
    Provenance,
    /// `record`: the build's record.
    Record,
    /// `rebuild`
    Rebuild,
    /// `vulnerabilities`: the result of a scan.
    Vulnerabilities,
    /// `vex`
    Vex,
    /// `contract`
    Contract,
    /// `migrations`
    Migrations,
}

const ROLES: [(&str, Role); 9] = [
    ("signature", Role::Signature),
    ("sbom", Role::Sbom),
    ("provenance", Role::Provenance),
    ("record", Role::Record),
    ("rebuild", Role::Rebuild),
    ("vulnerabilities", Role::Vulnerabilities),
    ("vex", Role::Vex),
    ("contract", Role::Contract),
    ("migrations", Role::Migrations),
];

/// `[[verification.keys]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// The public key, PEM.
    pub key: SecretSource,
    /// What it may speak for. Default: everything.
    pub roles: Option<Vec<Role>>,
    /// The first day on which it signs. Default: no beginning.
    pub not_before: Option<Date>,
    /// The last day on which it signs. Default: no end.
    pub not_after: Option<Date>,
}

/// Who may have made a keyless signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The OIDC issuer, exactly.
    pub issuer: String,
    /// The certificate's subject; `*` stands for any run of characters.
    pub subject: String,
    /// What it may speak for. Default: everything.
    pub roles: Option<Vec<Role>>,
}

pub(crate) fn signing(mut table: Table<'_>) -> Option<Signing> {
    let keyless = table.or("keyless", "false", values::boolean);
    let shown = |_: &_, source: &SecretSource| source.to_string();
    let key = if keyless == Some(true) {
        table.opt_shown("key", values::secret, shown)
    } else {
        table.need_shown("key", "\"env:COSIGN_PRIVATE_KEY\"", values::secret, shown)
    };
    let password = table.opt_shown("password", values::secret, shown);
    let public_key = table.opt_shown("public_key", values::secret, shown);
    let token = table.opt_shown("identity_token", values::secret, shown);
    let signing_config = table.opt_shown("signing_config", values::secret, shown);
    let with = if keyless == Some(true) {
        if key.is_some() || password.is_some() || public_key.is_some() {
            table.conflict(
                "`keyless` and `key` exclude each other",
                "take `key`, `password` and `public_key` out, or `keyless`",
            );
        }
        Some(SignWith::Keyless { token, signing_config })
    } else {
        if token.is_some() || signing_config.is_some() {
            table.conflict(
                "`identity_token` and `signing_config` are for keyless signing",
                "add `keyless = true`, or take them out",
            );
        }
        match (key, public_key) {
            (Some(SecretSource::Command(command)), Some(public_key)) => {
                Some(SignWith::Command { command, public_key })
            }
            (Some(key), None) => Some(SignWith::Key { key, password }),
            (Some(_), Some(_)) => {
                table.conflict(
                    "`public_key` is for a `key` that is a program which signs",
                    "write `key = \"command:…\"`, or take `public_key` out",
                );
                None
            }
            (None, _) => None,
        }
    };
    let legacy = table.or("legacy", "false", values::boolean);
    table.finish();
    Some(Signing { with: with?, legacy: legacy? })
}

pub(crate) fn verification(mut table: Table<'_>) -> Option<Verification> {
    let modes = values::choice(&[
        ("soft", VerificationMode::Soft),
        ("mandatory", VerificationMode::Mandatory),
        ("auto", VerificationMode::Auto),
    ]);
    let mode = table.or("mode", "auto", modes);
    let threshold = table.or("threshold", "0.9", values::share);
    let min_samples = table.or("min_samples", "10", values::number(1, 1_000_000));
    let keys = values::list("[\"file:cosign.pub\"]", values::secret);
    let public_keys = table.opt_shown("public_keys", keys, |_, keys| {
        let keys: Vec<_> = keys.iter().map(|key| format!("{:?}", key.to_string())).collect();
        format!("[{}]", keys.join(", "))
    });
    let keys: Vec<_> = table.tables("keys").into_iter().filter_map(trusted_key).collect();
    let identities: Vec<_> = table.tables("identities").into_iter().filter_map(identity).collect();
    let trusted_root = table.opt_shown("trusted_root", values::secret, |_, root| root.to_string());
    let require_log = table.or("require_log", "false", values::boolean);
    table.finish();
    Some(Verification {
        mode: mode?,
        threshold: threshold?,
        min_samples: min_samples?,
        public_keys: public_keys.unwrap_or_default(),
        keys,
        identities,
        trusted_root,
        require_log: require_log?,
    })
}

fn roles(table: &mut Table<'_>) -> Option<Vec<Role>> {
    table.opt("roles", values::list("[\"signature\", \"sbom\"]", values::choice(&ROLES)))
}

fn trusted_key(mut table: Table<'_>) -> Option<TrustedKey> {
    let key = table.need_shown("key", "\"file:cosign.pub\"", values::secret, |_, key| key.to_string());
    let roles = roles(&mut table);
    let not_before = table.opt("not_before", values::date);
    let not_after = table.opt("not_after", values::date);
    table.finish();
    Some(TrustedKey { key: key?, roles, not_before, not_after })
}

fn identity(mut table: Table<'_>) -> Option<Identity> {
    let issuer = table.need("issuer", "\"https://token.actions.githubusercontent.com\"", values::words);
    let subject = table.need("subject", "\"https://github.com/acme/payouts/*\"", values::words);
    let roles = roles(&mut table);
    table.finish();
    Some(Identity { issuer: issuer?, subject: subject?, roles })
}
