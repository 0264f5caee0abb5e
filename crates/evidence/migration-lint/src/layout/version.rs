//! What comes first, by each tool's own rule.

use super::Layout;

/// A version; compared as its tool does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    /// Numbers, e.g. `1.2` before `1.10`.
    Numbers(Vec<u64>),
    /// Text, e.g. time stamps.
    Text(String),
    /// Repeatable ones run last, by name.
    Last(String),
}

/// The last part of a path.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn folder(path: &str) -> &str {
    path.rsplit(['/', '\\']).nth(1).unwrap_or_default()
}

/// The version of a file, or why the tool does not run it.
pub(super) fn of(layout: Layout, path: &str, text: &str) -> Result<Version, &'static str> {
    let name = file_name(path);
    if !name.ends_with(".sql") {
        return Err("no SQL file");
    }
    match layout {
        Layout::Sqlx | Layout::GolangMigrate => {
            if name.ends_with(".down.sql") {
                return Err("the way back; only the way forth is judged");
            }
            numbered(name)
        }
        Layout::Goose => numbered(name),
        Layout::Dbmate => {
            let digits = name.bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 { Err(NO_NUMBER) } else { Ok(Version::Text(name[..digits].into())) }
        }
        Layout::Flyway | Layout::Refinery => flyway(layout, name),
        Layout::Diesel => match name {
            "up.sql" => {
                let version = folder(path).split('_').next().unwrap_or_default().replace('-', "");
                Ok(Version::Text(version))
            }
            "down.sql" => Err("the way back; only the way forth is judged"),
            _ => Err("diesel runs only up.sql of each folder"),
        },
        Layout::Prisma => match name {
            "migration.sql" => Ok(Version::Text(folder(path).into())),
            _ => Err("prisma runs only migration.sql of each folder"),
        },
        Layout::Alembic | Layout::Plain => {
            let _ = text;
            if name.ends_with(".down.sql") || name == "down.sql" {
                return Err("the way back; only the way forth is judged");
            }
            Ok(Version::Text(path.into()))
        }
    }
}

/// The version of a file as its tool writes it down.
pub(crate) fn label(layout: Layout, path: &str, text: &str) -> String {
    let name = file_name(path);
    let stem = name.strip_suffix(".sql").unwrap_or(name);
    match layout {
        Layout::Sqlx | Layout::GolangMigrate | Layout::Goose | Layout::Dbmate => {
            name[..name.bytes().take_while(u8::is_ascii_digit).count()].to_owned()
        }
        Layout::Flyway | Layout::Refinery => {
            let unversioned = name.strip_prefix('U').map(|rest| format!("V{rest}"));
            match versioned(unversioned.as_deref().unwrap_or(name)) {
                Some(version) => version.replace('_', "."),
                None => stem.trim_start_matches("R__").to_owned(),
            }
        }
        Layout::Diesel => folder(path).split('_').next().unwrap_or_default().replace('-', ""),
        Layout::Prisma => folder(path).to_owned(),
        Layout::Alembic => super::section::comes_to(text).unwrap_or_else(|| stem.to_owned()),
        Layout::Plain => stem.to_owned(),
    }
}

/// Whether its tool runs a file again when it was changed.
pub(crate) fn repeats(layout: Layout, path: &str) -> bool {
    layout == Layout::Flyway && file_name(path).starts_with("R__")
}

const NO_NUMBER: &str = "its name does not begin with a number";

fn numbered(name: &str) -> Result<Version, &'static str> {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    name[..digits].parse().map(|number| Version::Numbers(vec![number])).map_err(|_| NO_NUMBER)
}

/// The version text of `V1.2__name.sql`.
pub(super) fn versioned(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(['V', 'v'])?;
    let (version, _) = rest.split_once("__").unwrap_or((rest.strip_suffix(".sql")?, ""));
    let fits = version.starts_with(|c: char| c.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'));
    fits.then_some(version)
}

fn flyway(layout: Layout, name: &str) -> Result<Version, &'static str> {
    if let Some(version) = versioned(name) {
        let numbers = version.split(['.', '_']).map(|part| part.parse().unwrap_or(u64::MAX)).collect();
        return Ok(Version::Numbers(numbers));
    }
    if let Some(rest) = name.strip_prefix('U') {
        // refinery: an unversioned migration; flyway: the way back.
        return match (layout, versioned(&format!("V{rest}"))) {
            (Layout::Refinery, Some(version)) => Ok(Version::Numbers(
                version.split(['.', '_']).map(|part| part.parse().unwrap_or(u64::MAX)).collect(),
            )),
            _ => Err("the way back; only the way forth is judged"),
        };
    }
    if layout == Layout::Flyway && name.starts_with("R__") {
        return Ok(Version::Last(name.into()));
    }
    Err("its name does not begin with a version")
}
