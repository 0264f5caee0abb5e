//! SEC-078 `terraform-state`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-078",
    name: "terraform-state",
    what: "A state file of Terraform or OpenTofu: `*.tfstate` with resources.",
    why: "State holds every attribute of every resource in the clear: generated passwords, keys, connection strings.",
    how: "Keep state in a remote backend, and add `*.tfstate*` and `.terraform/` to `.dockerignore`. Change the secrets that are in it.",
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Form, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    name.has_suffix(".tfstate") || name.has_suffix(".tfstate.backup")
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    let has = |needle: &str| memchr::memmem::find(file, needle.as_bytes()).is_some();
    if has("\"terraform_version\"") && has("\"instances\"") {
        found(Found::new(0..file.len(), Mask::Kind("Terraform state")));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "app/terraform.tfstate",
            "{\"version\":4,\"terraform_version\":\"1.9.0\",\"resources\":[{\"instances\":[{\"password\":\"{}\"}]}]}",
            "vK3pQz81Lm",
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[Sample::file(
                "app/terraform.tfstate",
                "{\"version\":4,\"terraform_version\":\"1.9.0\",\"resources\":[]}",
                "",
            )],
        );
    }
}
