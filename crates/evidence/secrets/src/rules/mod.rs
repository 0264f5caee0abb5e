//! The rules: one rule, one file, with its page, examples and near-misses.

use plimsoll_model::Page;

use crate::sight::{Found, Name, Sight};

/// The usual advice: take it out, and revoke it at the place named.
macro_rules! take_out {
    ($who:literal) => {
        concat!(
            "Take it out of the image and give it at run time: environment, mounted file, secret manager. ",
            "It was in a layer, and deleting the file in a later one leaves it there: revoke it at ",
            $who,
            ". A value that may be public is allowed under `[secrets] allow`, with the reason."
        )
    };
}

mod ado_password;
mod age_key;
mod anthropic_key;
mod application_settings;
mod atlassian_token;
mod aws_key;
mod azure_client_secret;
mod azure_key;
mod azure_sas;
mod cosign_key;
mod crates_io_token;
mod databricks_token;
mod digitalocean_token;
mod docker_config;
mod docker_hub_token;
mod doppler_token;
mod dotenv;
mod gcp_service_account;
mod gcp_user_credentials;
mod git_remote;
mod github_token;
mod gitlab_token;
mod google_api_key;
mod grafana_token;
mod heroku_key;
mod hugging_face_token;
mod jfrog_token;
mod json_web_token;
mod key_store;
mod kubeconfig;
mod mounted_secret;
mod netrc;
mod npm_token;
mod npmrc;
mod openai_key;
mod pgp_key;
mod pgpass;
mod private_key;
mod putty_key;
mod pypi_token;
mod pypirc;
mod rubygems_key;
pub(crate) mod secret_variable;
mod sendgrid_key;
mod sentry_token;
mod shadow_hash;
mod shopify_token;
mod slack_token;
mod slack_webhook;
mod ssh_host_key;
mod stripe_key;
mod tailscale_key;
mod terraform_cloud_token;
mod terraform_state;
mod twilio_token;
mod url_password;
mod vault_token;
mod wireguard_key;

/// What makes a rule sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The form of the value: prefix, length, alphabet, checksum, structure.
    Form,
    /// Where the value stands. What packages bring along of that is notes.
    Context,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its page for `plimsoll explain`; holds code and name.
    pub page: &'static Page,
    pub(crate) proof: Proof,
    /// Texts of three bytes or more at which the rule looks closer.
    pub(crate) anchors: &'static [&'static str],
    /// Whether there is a credential at an anchor. Takes time that does not
    /// depend on the file.
    pub(crate) confirm: Option<fn(&Sight<'_>) -> Option<Found>>,
    /// Files that are read as a whole because of their name.
    pub(crate) named: Option<Named>,
}

/// How a rule reads files that it knows by name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    /// Whether it knows the file.
    pub(crate) is: fn(&Name<'_>) -> bool,
    /// Tells what is in it.
    pub(crate) read: fn(&[u8], &Name<'_>, &mut dyn FnMut(Found)),
}

impl Rule {
    const fn anchored(
        page: &'static Page,
        proof: Proof,
        anchors: &'static [&'static str],
        confirm: fn(&Sight<'_>) -> Option<Found>,
    ) -> Self {
        Self { page, proof, anchors, confirm: Some(confirm), named: None }
    }

    const fn named(page: &'static Page, proof: Proof, named: Named) -> Self {
        Self { page, proof, anchors: &[], confirm: None, named: Some(named) }
    }

    const fn and_named(self, named: Named) -> Self {
        Self { named: Some(named), ..self }
    }
}

/// Every rule. Where two find the same value, the earlier one names it, so
/// the more specific come first.
pub const RULES: &[Rule] = &[
    gcp_service_account::RULE,
    ssh_host_key::RULE,
    pgp_key::RULE,
    cosign_key::RULE,
    private_key::RULE,
    putty_key::RULE,
    age_key::RULE,
    key_store::RULE,
    wireguard_key::RULE,
    aws_key::RULE,
    gcp_user_credentials::RULE,
    google_api_key::RULE,
    azure_key::RULE,
    azure_sas::RULE,
    azure_client_secret::RULE,
    digitalocean_token::RULE,
    heroku_key::RULE,
    github_token::RULE,
    gitlab_token::RULE,
    npm_token::RULE,
    pypi_token::RULE,
    crates_io_token::RULE,
    docker_hub_token::RULE,
    jfrog_token::RULE,
    hugging_face_token::RULE,
    rubygems_key::RULE,
    slack_token::RULE,
    slack_webhook::RULE,
    stripe_key::RULE,
    twilio_token::RULE,
    sendgrid_key::RULE,
    openai_key::RULE,
    anthropic_key::RULE,
    vault_token::RULE,
    doppler_token::RULE,
    terraform_cloud_token::RULE,
    grafana_token::RULE,
    databricks_token::RULE,
    sentry_token::RULE,
    atlassian_token::RULE,
    tailscale_key::RULE,
    shopify_token::RULE,
    json_web_token::RULE,
    url_password::RULE,
    git_remote::RULE,
    ado_password::RULE,
    dotenv::RULE,
    npmrc::RULE,
    pypirc::RULE,
    netrc::RULE,
    docker_config::RULE,
    kubeconfig::RULE,
    pgpass::RULE,
    terraform_state::RULE,
    shadow_hash::RULE,
    secret_variable::RULE,
    mounted_secret::RULE,
    application_settings::RULE,
];

/// The position in [`RULES`] of the rule with this code.
pub(crate) fn position(code: &str) -> Option<usize> {
    RULES.iter().position(|rule| rule.page.code == code)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::Sample;

    /// Credentials of every rule that reads files.
    pub(crate) fn samples() -> Vec<(&'static str, Vec<Sample>)> {
        vec![
            (gcp_service_account::RULE.page.code, gcp_service_account::tests::samples()),
            (ssh_host_key::RULE.page.code, ssh_host_key::tests::samples()),
            (pgp_key::RULE.page.code, pgp_key::tests::samples()),
            (cosign_key::RULE.page.code, cosign_key::tests::samples()),
            (private_key::RULE.page.code, private_key::tests::samples()),
            (putty_key::RULE.page.code, putty_key::tests::samples()),
            (age_key::RULE.page.code, age_key::tests::samples()),
            (key_store::RULE.page.code, key_store::tests::samples()),
            (wireguard_key::RULE.page.code, wireguard_key::tests::samples()),
            (aws_key::RULE.page.code, aws_key::tests::samples()),
            (gcp_user_credentials::RULE.page.code, gcp_user_credentials::tests::samples()),
            (google_api_key::RULE.page.code, google_api_key::tests::samples()),
            (azure_key::RULE.page.code, azure_key::tests::samples()),
            (azure_sas::RULE.page.code, azure_sas::tests::samples()),
            (azure_client_secret::RULE.page.code, azure_client_secret::tests::samples()),
            (digitalocean_token::RULE.page.code, digitalocean_token::tests::samples()),
            (heroku_key::RULE.page.code, heroku_key::tests::samples()),
            (github_token::RULE.page.code, github_token::tests::samples()),
            (gitlab_token::RULE.page.code, gitlab_token::tests::samples()),
            (npm_token::RULE.page.code, npm_token::tests::samples()),
            (pypi_token::RULE.page.code, pypi_token::tests::samples()),
            (crates_io_token::RULE.page.code, crates_io_token::tests::samples()),
            (docker_hub_token::RULE.page.code, docker_hub_token::tests::samples()),
            (jfrog_token::RULE.page.code, jfrog_token::tests::samples()),
            (hugging_face_token::RULE.page.code, hugging_face_token::tests::samples()),
            (rubygems_key::RULE.page.code, rubygems_key::tests::samples()),
            (slack_token::RULE.page.code, slack_token::tests::samples()),
            (slack_webhook::RULE.page.code, slack_webhook::tests::samples()),
            (stripe_key::RULE.page.code, stripe_key::tests::samples()),
            (twilio_token::RULE.page.code, twilio_token::tests::samples()),
            (sendgrid_key::RULE.page.code, sendgrid_key::tests::samples()),
            (openai_key::RULE.page.code, openai_key::tests::samples()),
            (anthropic_key::RULE.page.code, anthropic_key::tests::samples()),
            (vault_token::RULE.page.code, vault_token::tests::samples()),
            (doppler_token::RULE.page.code, doppler_token::tests::samples()),
            (terraform_cloud_token::RULE.page.code, terraform_cloud_token::tests::samples()),
            (grafana_token::RULE.page.code, grafana_token::tests::samples()),
            (databricks_token::RULE.page.code, databricks_token::tests::samples()),
            (sentry_token::RULE.page.code, sentry_token::tests::samples()),
            (atlassian_token::RULE.page.code, atlassian_token::tests::samples()),
            (tailscale_key::RULE.page.code, tailscale_key::tests::samples()),
            (shopify_token::RULE.page.code, shopify_token::tests::samples()),
            (json_web_token::RULE.page.code, json_web_token::tests::samples()),
            (url_password::RULE.page.code, url_password::tests::samples()),
            (git_remote::RULE.page.code, git_remote::tests::samples()),
            (ado_password::RULE.page.code, ado_password::tests::samples()),
            (dotenv::RULE.page.code, dotenv::tests::samples()),
            (npmrc::RULE.page.code, npmrc::tests::samples()),
            (pypirc::RULE.page.code, pypirc::tests::samples()),
            (netrc::RULE.page.code, netrc::tests::samples()),
            (docker_config::RULE.page.code, docker_config::tests::samples()),
            (kubeconfig::RULE.page.code, kubeconfig::tests::samples()),
            (pgpass::RULE.page.code, pgpass::tests::samples()),
            (terraform_state::RULE.page.code, terraform_state::tests::samples()),
            (shadow_hash::RULE.page.code, shadow_hash::tests::samples()),
            (mounted_secret::RULE.page.code, mounted_secret::tests::samples()),
            (application_settings::RULE.page.code, application_settings::tests::samples()),
        ]
    }

    #[test]
    fn codes_and_names_are_unique_and_pages_full() {
        for (index, rule) in RULES.iter().enumerate() {
            let Page { code, name, what, why, how } = rule.page;
            assert!(code.len() == 7 && code.starts_with("SEC-"), "{code}");
            assert!([what, why, how].iter().all(|text| text.len() > 20 && text.ends_with('.')), "{code}");
            for other in &RULES[index + 1..] {
                assert!(other.page.code != *code && other.page.name != *name, "{code} {name}");
            }
        }
    }

    #[test]
    fn every_rule_has_samples() {
        assert_eq!(samples().len() + 1, RULES.len());
        assert!(samples().iter().all(|(_, samples)| !samples.is_empty()));
    }
}
