//! GRD-005 `architecture`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "GRD-005",
    name: "architecture",
    what: "The manifest is one image for linux/amd64, neither an index of several nor another architecture (BLD-4).",
    why: "An index resolves to different images on different machines; another architecture does not start.",
    how: "Build for `linux/amd64` only; with a Dockerfile `plimsoll build` asks for that platform itself.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

const PLATFORM: &str = "linux/amd64";

fn judge(facts: &Facts) -> Option<Judgement> {
    let manifest = facts.full_tag.found()?;
    let found = if manifest.index {
        format!("an index ({})", manifest.media_type)
    } else {
        manifest.platform.clone()
    };
    let compared = compare(format!("one {PLATFORM} image"), found);
    if !manifest.index && manifest.platform == PLATFORM {
        compared.pass()
    } else {
        compared.refuse("nothing was touched; build the commit for linux/amd64 with `plimsoll build`")
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Lookup, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};

    #[test]
    fn an_index_and_another_architecture_are_refused() {
        for (index, platform) in [(true, ""), (false, "linux/arm64"), (false, "windows/amd64"), (false, "")] {
            let mut facts = good();
            if let Lookup::Found(manifest) = &mut facts.full_tag {
                manifest.index = index;
                manifest.platform = platform.into();
            }
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
        }
    }
}
