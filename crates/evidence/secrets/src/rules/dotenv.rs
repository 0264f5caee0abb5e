//! SEC-070 `dotenv-file`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, is_secret_name, pairs};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-070",
    name: "dotenv-file",
    what: "A `.env` file with a value that is a secret: its name promises one (`DB_PASSWORD`, `API_KEY`) and the value is real. `.env.example` and its like are not read by name.",
    why: "It is the file of one environment. `COPY . .` takes it along from the checkout, and a later `rm` leaves it in the layer below.",
    how: "Add `.env*` to `.dockerignore`, or leave it out of `[[image.copy]]`; give the values at run time (`env_file` of the environment). Change what was in it: it was in a layer.",
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    let is_env = name.base == b".env"
        || name.base.starts_with(b".env.")
        || name.base == b".envrc"
        || name.has_suffix(".env");
    let is_template =
        [".example", ".sample", ".template", ".dist", ".tpl", ".defaults", ".default", ".schema", ".vault"]
            .iter()
            .any(|ending| name.has_suffix(ending))
            || memchr::memmem::find(name.base, b"example").is_some()
            || memchr::memmem::find(name.base, b"sample").is_some();
    is_env && !is_template
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    pairs(file, b"=")
        .filter(|pair| is_secret_name(pair.name) && is_real_value(pair.value))
        .for_each(|pair| found(Found::new(pair.range, Mask::Hidden)));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file("app/.env", "PORT=8080\nDB_PASSWORD=\"{}\"\nDEBUG=1\n", "vK3pQz81Lm"),
            Sample::file("app/.env.production", "export API_KEY={}\n", "vK3pQz81Lm"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("app/.env.example", "DB_PASSWORD=vK3pQz81Lm\n", ""),
                Sample::file(
                    "app/.env",
                    "DB_PASSWORD=\nAPI_KEY=changeme\nPORT=8080\n#DB_PASSWORD=vK3pQz81Lm\n",
                    "",
                ),
            ],
        );
    }
}
