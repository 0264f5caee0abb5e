//! SEC-072 `package-registry-password`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, is_secret_name, lines, pairs};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-072",
    name: "package-registry-password",
    what: "A password in the settings of a package tool: `.pypirc`, Maven `settings.xml`, `NuGet.Config`, Composer `auth.json`, `.gem/credentials`, Gradle `gradle.properties`.",
    why: "It publishes, or reads private packages, and it stayed in the image after the build.",
    how: take_out!("the registry; in a build use a build secret (`RUN --mount=type=secret`)"),
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    name.base == b".pypirc"
        || name.ends_with(".m2/settings.xml")
        || name.base.eq_ignore_ascii_case(b"nuget.config")
        || name.ends_with(".composer/auth.json")
        || name.ends_with("composer/auth.json")
        || name.ends_with(".gem/credentials")
        || name.ends_with(".gradle/gradle.properties")
}

fn read(file: &[u8], name: &Name<'_>, found: &mut dyn FnMut(Found)) {
    if name.has_suffix(".xml") || name.base.eq_ignore_ascii_case(b"nuget.config") {
        for (start, line) in lines(file) {
            if let Some(value) = element(line).filter(|value| is_real_value(&line[value.clone()])) {
                found(Found::new(start + value.start..start + value.end, Mask::Hidden));
            }
        }
        return;
    }
    pairs(file, b"=:")
        .filter(|pair| {
            is_secret_name(pair.name.trim_ascii_start().strip_prefix(b"\"").unwrap_or(pair.name))
                || pair.name.is_empty()
        })
        .filter(|pair| is_real_value(pair.value))
        .for_each(|pair| found(Found::new(pair.range, Mask::Hidden)));
}

/// The value of `<password>…</password>`, or of NuGet's
/// `<add key="ClearTextPassword" value="…" />`.
fn element(line: &[u8]) -> Option<std::ops::Range<usize>> {
    let between = |from: &[u8], to: u8| {
        let start = memchr::memmem::find(line, from)? + from.len();
        let end = memchr::memchr(to, &line[start..])? + start;
        Some(start..end)
    };
    if memchr::memmem::find(line, b"ClearTextPassword").is_some() {
        return between(b"value=\"", b'"');
    }
    between(b"<password>", b'<').or_else(|| between(b"<passphrase>", b'<'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file("root/.pypirc", "[pypi]\nusername = __token__\npassword = {}\n", "vK3pQz81Lm"),
            Sample::file("root/.m2/settings.xml", "<server>\n<password>{}</password>\n", "vK3pQz81Lm"),
            Sample::file(
                "app/NuGet.Config",
                "<add key=\"ClearTextPassword\" value=\"{}\" />\n",
                "vK3pQz81Lm",
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("root/.pypirc", "[pypi]\nusername = __token__\n", ""),
                Sample::file("root/.m2/settings.xml", "<password>${env.PW}</password>\n", ""),
                Sample::file("root/settings.xml", "<password>vK3pQz81Lm</password>\n", ""),
            ],
        );
    }
}
