//! VER-009 `first-release`.

use plimsoll_model::Page;

pub(super) const PAGE: Page = Page {
    code: "VER-009",
    name: "first-release",
    what: "No version was released before: the release is called what the manifest states, else 0.1.0. There is nothing to \
           compare with, so no evidence moves it.",
    why: "A made-up predecessor would make everything an addition.",
    how: "Nothing needs to be done. If there was a release, fetch its tag (`git fetch --tags`) or name it with `--since REF`.",
};

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::facts::{ApiLevel, Facts};
    use crate::rules::testing::{after, api, assert_next, stated};

    #[test]
    fn is_what_the_manifest_states() {
        let first = Facts {
            previous: Lookup::Absent,
            released: Vec::new(),
            api: api(ApiLevel::Breaking),
            ..after("1.2.3")
        };
        assert_next(&first, PAGE.code, "0.1.0");
        let with = |text| Facts { stated: vec![stated("Cargo.toml", text)], ..first.clone() };
        assert_next(&with("2.0.0-rc.1"), PAGE.code, "2.0.0-rc.1");
        assert_next(&with("0.0.0"), PAGE.code, "0.1.0");
    }
}
