//! SEC-082 `application-settings`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, is_secret_name, pairs};
use crate::mask::Mask;
use crate::sight::{Found, Name, Sight, lower_hex};

const PAGE: Page = Page {
    code: "SEC-082",
    name: "application-settings",
    what: "A secret in the settings of a service: a name that promises one with a real value in `application*.properties` or `.yml` (Spring, Quarkus), `config/master.key` (Rails), `wp-config.php`.",
    why: "Configuration in the image is for defaults; this value belongs to one environment.",
    how: "Write a reference to the environment instead (`${DB_PASSWORD}`), and change what was written.",
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    let is_spring = (name.base.starts_with(b"application") || name.base.starts_with(b"bootstrap"))
        && [".properties", ".yml", ".yaml"].iter().any(|ending| name.has_suffix(ending));
    is_spring || name.ends_with("config/master.key") || name.base == b"wp-config.php"
}

fn read(file: &[u8], name: &Name<'_>, found: &mut dyn FnMut(Found)) {
    match name.base {
        b"master.key" => {
            let length = file.trim_ascii_end().len();
            if length == 32 && file[..length].iter().all(|&b| lower_hex(b)) {
                found(Found::new(0..length, Mask::Edges));
            }
        }
        b"wp-config.php" => wordpress(file, found),
        _ => pairs(file, if name.has_suffix(".properties") { b"=" } else { b":" })
            .filter(|pair| is_secret_name(pair.name) && is_real_value(pair.value))
            .for_each(|pair| found(Found::new(pair.range, Mask::Hidden))),
    }
}

/// `define( 'DB_PASSWORD', 'value' );`
fn wordpress(file: &[u8], found: &mut dyn FnMut(Found)) {
    for at in memchr::memmem::find_iter(file, b"'DB_PASSWORD'").take(16) {
        let end = at + b"'DB_PASSWORD'".len();
        let sight = Sight { text: file, anchor: at..end, name: Name::default() };
        let Some(start) = sight.value_after(end) else { continue };
        let length = sight.run(start, |b| !matches!(b, b'\'' | b'"' | b'\n'), 256);
        if is_real_value(&file[start..start + length]) {
            found(Found::new(start..start + length, Mask::Hidden));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{HEX, Sample, check, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "app/application-prod.properties",
                "server.port=8080\nspring.datasource.password={}\n",
                "vK3pQz81Lm",
            ),
            Sample::file("app/config/master.key", "{}\n", noise(HEX, 32)),
            Sample::file("srv/wp-config.php", "define( 'DB_PASSWORD', '{}' );\n", "vK3pQz81Lm"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file(
                    "app/application.yml",
                    "spring:\n  datasource:\n    password: ${DB_PASSWORD}\n",
                    "",
                ),
                Sample::file("app/other.properties", "x.password=vK3pQz81Lm\n", ""),
            ],
        );
    }
}
