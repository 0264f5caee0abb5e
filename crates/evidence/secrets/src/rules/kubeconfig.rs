//! SEC-076 `kubeconfig-credentials`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, pairs};
use crate::mask::Mask;
use crate::sight::{Found, Name, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-076",
    name: "kubeconfig-credentials",
    what: "Credentials of a Kubernetes cluster: `client-key-data` with a key, or a `token` or `password` in a kubeconfig file.",
    why: "They are somebody's rights in the cluster, often all of them.",
    how: take_out!("the cluster; in a pod use its service account"),
};

pub(super) const RULE: Rule =
    Rule::anchored(&PAGE, Proof::Form, &["client-key-data"], confirm).and_named(Named { is, read });

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.value_after(sight.anchor.end)?;
    let length = sight.run(at, |b| base64_letter(b) || b == b'=', 14 << 10);
    // The base64 of `-----BEGIN `.
    let is_key = length > 200 && sight.text[at..].starts_with(b"LS0tLS1CRUdJTi");
    is_key.then(|| Found::new(at..at + length, Mask::Kind("client key")))
}

fn is(name: &Name<'_>) -> bool {
    name.ends_with(".kube/config")
        || name.has_suffix(".kubeconfig")
        || matches!(name.base, b"kubeconfig" | b"kubeconfig.yaml" | b"kubeconfig.yml")
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    pairs(file, b":")
        .filter(|pair| matches!(pair.name, b"token" | b"password" | b"id-token" | b"refresh-token"))
        .filter(|pair| is_real_value(pair.value))
        .for_each(|pair| found(Found::new(pair.range, Mask::Hidden)));
}

#[cfg(test)]
pub(super) mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::testing::{Sample, check, miss, private_key};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "root/.kube/config",
                "apiVersion: v1\nkind: Config\nusers:\n- name: admin\n  user:\n    client-key-data: {}\n",
                STANDARD.encode(private_key("RSA PRIVATE KEY")),
            ),
            Sample::file(
                "root/.kube/config",
                "users:\n- name: ci\n  user:\n    token: {}\n",
                "vK3pQz81LmvK3pQz81Lm",
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("client-key-data: DATA+OMITTED"),
                Sample::file("root/.kube/config", "clusters:\n- cluster:\n    server: https://x\n", ""),
                miss("token: vK3pQz81LmvK3pQz81Lm"),
            ],
        );
    }
}
