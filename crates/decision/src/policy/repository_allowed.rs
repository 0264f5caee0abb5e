//! GRD-004 `repository-allowed`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-004",
    name: "repository-allowed",
    what: "The image lies in exactly the repository this environment may use: same host, same port, same path, \
           compared byte for byte (DIG-2).",
    why: "A look-alike (`registry.example.com.evil.example/acme/payouts`, another port, a missing namespace) or the \
          staging repository would bring in images that nobody meant for this environment.",
    how: "Build the commit from the branch that publishes to this repository, or correct `repository` of the \
          environment in plimsoll.toml.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let metadata = &facts.recorded.found()?.metadata;
    let environment = &facts.environment;
    let compared = compare(
        format!("{} ({})", environment.repository, environment.repository_type),
        format!("{} ({})", metadata.repository, metadata.repository_type),
    );
    if metadata.repository == environment.repository
        && metadata.repository_type == environment.repository_type
    {
        compared.pass()
    } else {
        compared.refuse(format!(
            "nothing was touched; environment `{}` takes images from its own repository only: build the commit on \
             the branch that publishes there, or correct [environments.{0}] in plimsoll.toml",
            facts.request.environment
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome, PinnedRef, RepositoryType};

    use super::*;
    use crate::policy::tests::{assert_check, with_record};

    #[test]
    fn look_alikes_are_refused() {
        for look_alike in [
            "registry.example.com/acme/payouts-staging",
            "registry.example.com/acme/payouts2",
            "registry.example.com/payouts",
            "registry.example.com:5000/acme/payouts",
            "registry.example.com.evil.example/acme/payouts",
            "registry.example.com/evil/acme/payouts",
        ] {
            let facts = with_record(|m| {
                m.repository = look_alike.parse().unwrap();
                m.image_ref = PinnedRef::new(m.repository.clone(), m.image_sha.clone(), m.image_digest);
            });
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
        }
        let staging = with_record(|m| m.repository_type = RepositoryType::Staging);
        assert_check(&staging, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }
}
