//! Whether the code of a release names what a migration takes away.

use plimsoll_image::Source;
use plimsoll_model::Commit;

/// What a person is told beside "it needs `users.fax`": where its code names it,
/// or that it does not, which only a person can take for a proof.
pub(crate) fn in_code(source: &Source, sha: &Commit, what: &str, migrations: &str) -> Option<String> {
    let name = what.rsplit('.').next()?;
    let of_migrations = format!("{}/", migrations.trim_start_matches("./").trim_end_matches('/'));
    let mut files = source.mentions(sha, &spellings(name)).ok()?;
    files.retain(|path| !path.starts_with(&of_migrations) && path != plimsoll_config::FILE_NAME);
    Some(match files.first() {
        Some(first) if files.len() == 1 => format!("its {first} names it"),
        Some(first) => format!("its {first} and {} more files name it", files.len() - 1),
        None => {
            format!("no file of its code names `{name}`; if it is not used, say so in `[migrations] unused`")
        }
    })
}

/// A column's name as the languages write it: `payee_name`, `payeeName`,
/// `PayeeName`, `payee-name`, `PAYEE_NAME`.
fn spellings(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split(['_', '-']).filter(|word| !word.is_empty()).collect();
    let capital = |word: &&str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    let pascal: String = words.iter().map(capital).collect();
    let camel = words
        .first()
        .map(|first| (*first).to_owned() + &words.iter().skip(1).map(capital).collect::<String>());
    let mut all = vec![name.to_owned(), pascal, words.join("-"), name.to_uppercase()];
    all.extend(camel);
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_every_language() {
        let all = spellings("payee_name");
        assert_eq!(all, ["PAYEE_NAME", "PayeeName", "payee-name", "payeeName", "payee_name"]);
        assert_eq!(spellings("fax"), ["FAX", "Fax", "fax"]);
    }
}
