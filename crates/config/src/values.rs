//! Readers: from a value to a type that need not be checked again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use plimsoll_model::{ImageRef, Repository};

use crate::environment::PodMetrics;
use crate::node::{Node, Value};
use crate::project::{Base, Mode, Port, Protocol};
use crate::record::{Database, is_postgres};
use crate::secret::SecretSource;
use crate::table::Fault;

/// Any text without NUL.
pub(crate) fn text(node: &Node) -> Result<String, Fault> {
    match &node.value {
        Value::Untyped(text) | Value::String(text) if !text.contains('\0') => Ok(text.clone()),
        Value::String(_) | Value::Untyped(_) => Err(Fault::said("a NUL character cannot stand here")),
        _ => Err(Fault::expected("a string")),
    }
}

fn str_of<'n>(node: &'n Node, what: &str) -> Result<&'n str, Fault> {
    match &node.value {
        Value::Untyped(text) | Value::String(text) => Ok(text),
        _ => Err(Fault::expected(what)),
    }
}

/// Text that is not empty.
pub(crate) fn words(node: &Node) -> Result<String, Fault> {
    let text = text(node)?;
    if text.trim().is_empty() { Err(Fault::said("cannot be empty")) } else { Ok(text) }
}

/// Name of an environment variable.
pub(crate) fn variable_name(name: &str) -> Result<(), Fault> {
    let good = !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if good { Ok(()) } else { Err(Fault::expected("the name of an environment variable")) }
}

/// Key of an image label (OCI image-spec, annotations.md, "Rules").
pub(crate) fn label_name(name: &str) -> Result<(), Fault> {
    let good = !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(()) } else { Err(Fault::expected("the name of a label")) }
}

pub(crate) fn boolean(node: &Node) -> Result<bool, Fault> {
    match &node.value {
        Value::Boolean(value) => Ok(*value),
        Value::Untyped(text) => text.parse().map_err(|_| Fault::expected("`true` or `false`")),
        _ => Err(Fault::expected("`true` or `false`")),
    }
}

/// A whole number from `least` to `most`.
pub(crate) fn number(least: u32, most: u32) -> impl Fn(&Node) -> Result<u32, Fault> {
    move |node| {
        let value = match &node.value {
            Value::Integer(value) => Some(*value),
            Value::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        };
        let fits = |value: i64| u32::try_from(value).ok().filter(|value| (least..=most).contains(value));
        value.and_then(fits).ok_or_else(|| Fault::expected(format!("a whole number from {least} to {most}")))
    }
}

/// A share: above 0, at most 1.
pub(crate) fn share(node: &Node) -> Result<f64, Fault> {
    let value = match &node.value {
        Value::Float(value) => Some(*value),
        Value::Integer(1) => Some(1.0),
        Value::Untyped(text) => text.trim().parse().ok(),
        _ => None,
    };
    value
        .filter(|value| *value > 0.0 && *value <= 1.0)
        .ok_or_else(|| Fault::expected("a share above 0, at most 1"))
}

fn decimal(node: &Node) -> Option<f64> {
    let value = match &node.value {
        Value::Float(value) => Some(*value),
        // Up to nine thousand million million, integers are exact.
        Value::Integer(value) => Some(*value as f64),
        Value::Untyped(text) => text.trim().parse().ok(),
        _ => None,
    };
    value.filter(|value| value.is_finite())
}

/// A number above 0.
pub(crate) fn positive(node: &Node) -> Result<f64, Fault> {
    decimal(node).filter(|value| *value > 0.0).ok_or_else(|| Fault::expected("a number above 0"))
}

/// A number between 0 and 1, without either.
pub(crate) fn below_one(node: &Node) -> Result<f64, Fault> {
    decimal(node)
        .filter(|value| *value > 0.0 && *value < 1.0)
        .ok_or_else(|| Fault::expected("a number between 0 and 1, like `0.99`"))
}

/// A part of the requests: between 0 and 1, to the thousandth.
pub(crate) fn part(node: &Node) -> Result<f64, Fault> {
    decimal(node)
        .filter(|value| (0.001..=0.999).contains(value))
        .ok_or_else(|| Fault::expected("a part of the requests from 0.001 to 0.999, like `0.1`"))
}

/// A number that is not below another.
pub(crate) fn at_least(least: f64) -> impl Fn(&Node) -> Result<f64, Fault> {
    move |node| {
        decimal(node)
            .filter(|value| *value >= least)
            .ok_or_else(|| Fault::expected(format!("a number of at least {least}")))
    }
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(options: &'static [(&'static str, T)]) -> impl Fn(&Node) -> Result<T, Fault> {
    move |node| {
        let names: Vec<_> = options.iter().map(|(name, _)| format!("`{name}`")).collect();
        let fault = || {
            let fault = Fault::expected(match names.as_slice() {
                [first, second] => format!("{first} or {second}"),
                _ => format!("one of {}", names.join(", ")),
            });
            match &node.value {
                Value::String(text) | Value::Untyped(text) => {
                    match crate::suggest::did_you_mean(text, options.iter().map(|(name, _)| *name)) {
                        Some(near) => fault.hint(format!("did you mean `{near}`?")),
                        None => fault,
                    }
                }
                _ => fault,
            }
        };
        let text = str_of(node, "").map_err(|_| fault())?;
        options.iter().find(|(name, _)| name == &text).map(|(_, value)| *value).ok_or_else(fault)
    }
}

/// A list, each item read by `read`.
pub(crate) fn list<T>(
    what: &'static str,
    read: impl Fn(&Node) -> Result<T, Fault>,
) -> impl Fn(&Node) -> Result<Vec<T>, Fault> {
    move |node| match &node.clone().structured().value {
        Value::Array(items) => {
            items.iter().map(|item| read(item).map_err(|fault| fault.in_item(item))).collect()
        }
        _ => Err(Fault::expected(format!("a list like `{what}`"))),
    }
}

/// The longest duration that a running thing takes: a week.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest age: ten years.
const OLDEST: Duration = Duration::from_secs(3650 * 24 * 3600);

/// `10m`, `1h30m`, `90s`, `500ms`, `0s`: numbers with units, largest first.
pub(crate) fn duration(node: &Node) -> Result<Duration, Fault> {
    let value = any_duration(node, "a duration like `10m`, `90s` or `1h30m`")?;
    if value > LONGEST { Err(Fault::expected("a duration of at most 7 days")) } else { Ok(value) }
}

/// An age above zero: `12h`, `14d`.
pub(crate) fn long_time(node: &Node) -> Result<Duration, Fault> {
    match any_duration(node, "an age like `12h` or `14d`")? {
        Duration::ZERO => Err(Fault::expected("an age above zero")),
        value if value > OLDEST => Err(Fault::expected("an age of at most 3650 days")),
        value => Ok(value),
    }
}

fn any_duration(node: &Node, what: &str) -> Result<Duration, Fault> {
    parse_duration(str_of(node, what)?).ok_or_else(|| Fault::expected(what))
}

/// A duration above zero.
pub(crate) fn some_time(node: &Node) -> Result<Duration, Fault> {
    match duration(node)? {
        Duration::ZERO => Err(Fault::expected("a duration above zero")),
        value => Ok(value),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let (mut rest, mut units, mut total) = (text.trim(), UNITS.iter(), 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        // Going on from the last unit keeps them in order, each at most once.
        let (_, milliseconds) = units.find(|(unit, _)| *unit == &rest[..end])?;
        total = total.checked_add(count.checked_mul(*milliseconds)?)?;
        rest = &rest[end..];
    }
    Some(Duration::from_millis(total))
}

/// `YYYY-MM-DD`, in quotes or as TOML's own date.
pub(crate) fn date(node: &Node) -> Result<Date, Fault> {
    const WHAT: &str = "a date like `2027-01-31`";
    let text = match &node.value {
        Value::Other { kind: "date", text } => text,
        _ => str_of(node, WHAT)?,
    };
    let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    plain.then(|| text.parse().ok()).flatten().ok_or_else(|| Fault::expected(WHAT))
}

/// RFC 1123 label: what hosts, containers and Kubernetes objects may be called.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A [`is_label`] name.
pub(crate) fn label(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "a name of 1 to 63 lower-case letters, digits and `-`, with no `-` at either end";
    let text = str_of(node, WHAT)?;
    if is_label(text) { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

/// Whether a Kubernetes object may be called so: labels with dots between them.
pub(crate) fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Name of a Kubernetes object: labels joined by `.`.
pub(crate) fn object_name(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "the name of a Kubernetes object";
    let text = str_of(node, WHAT)?;
    if is_object_name(text) { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

/// Whether git would take this as a branch's name (git-check-ref-format, the
/// rules that a person can break).
pub(crate) fn is_branch(text: &str) -> bool {
    !(text.is_empty()
        || text.starts_with(['-', '/', '.'])
        || text.ends_with(['/', '.'])
        || text.contains("..")
        || text.contains("//")
        || text.contains("@{")
        || text.chars().any(|c| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c)))
}

/// An [`is_branch`] name.
pub(crate) fn branch(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "a branch name";
    let text = str_of(node, WHAT)?;
    if is_branch(text) { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

pub(crate) fn repository(node: &Node) -> Result<Repository, Fault> {
    let text = str_of(node, "a repository like `registry.example.com/acme/payouts`")?;
    text.parse().map_err(|error| Fault::said(format!("{error}")))
}

/// `scratch` or `registry/path@sha256:…`.
pub(crate) fn base(node: &Node) -> Result<Base, Fault> {
    const WHAT: &str = "`scratch` or an image by digest like `docker.io/library/debian@sha256:…`";
    let text = str_of(node, WHAT)?;
    if text == "scratch" {
        return Ok(Base::Scratch);
    }
    let image: ImageRef = text.parse().map_err(|error| {
        let fault = Fault::said(format!("{error}"));
        match text.split_once('/') {
            None if !text.is_empty() => {
                fault.hint(format!("Docker's own images are in `docker.io/library/{text}`"))
            }
            Some((owner, _)) if !owner.contains(['.', ':']) => {
                fault.hint(format!("images of Docker Hub are in `docker.io/{text}`"))
            }
            _ => fault,
        }
    })?;
    match image.digest {
        Some(digest) => Ok(Base::Pinned { repository: image.repository, digest }),
        None => {
            let hint = format!("look its digest up and write `{}@sha256:…`", image.repository);
            Err(Fault::unpinned(image).hint(hint))
        }
    }
}

/// A path below the checkout or the file's folder: relative, never through `..`.
pub(crate) fn relative(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "a path below the repository, like `target/release/payouts`";
    let text = str_of(node, WHAT)?;
    let inside = !text.is_empty()
        && !text.starts_with('/')
        && !text.contains(['\0', '\n'])
        && text.split('/').all(|part| part != "..");
    if inside { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

/// [`relative`], as a path.
pub(crate) fn relative_path(node: &Node) -> Result<PathBuf, Fault> {
    relative(node).map(PathBuf::from)
}

/// An absolute path inside an image, never through `..`.
pub(crate) fn absolute(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "an absolute path like `/usr/local/bin/payouts`";
    let text = str_of(node, WHAT)?;
    let good =
        text.starts_with('/') && !text.contains(['\0', '\n']) && text.split('/').all(|part| part != "..");
    if good { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

/// Path of a URL: `/healthz`.
pub(crate) fn url_path(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "a path like `/healthz`";
    let text = str_of(node, WHAT)?;
    let good = text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if good { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

pub(crate) fn mode(node: &Node) -> Result<Mode, Fault> {
    const WHAT: &str = "permission bits in octal and in quotes, like `\"0755\"`";
    let text = str_of(node, WHAT)?;
    let octal = (3..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let bits = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    bits.filter(|bits| *bits <= 0o7777).map(Mode).ok_or_else(|| Fault::expected(WHAT))
}

pub(crate) fn port(node: &Node) -> Result<Port, Fault> {
    const WHAT: &str = "a port like `8080/tcp`";
    let text = str_of(node, WHAT)?;
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return Err(Fault::expected(WHAT)),
    };
    let digits = !number.starts_with('0') && number.bytes().all(|b| b.is_ascii_digit());
    match number.parse() {
        Ok(number) if digits => Ok(Port { number, protocol }),
        _ => Err(Fault::expected(WHAT)),
    }
}

/// `user`, `uid`, `user:group`, `uid:gid` (OCI image-spec, config.md, `User`).
pub(crate) fn user(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "a user in quotes, like `\"65532:65532\"` or `\"app\"`";
    let text = str_of(node, WHAT)?;
    let part = |part: &str| {
        (1..=64).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    let (user, group) = text.split_once(':').unwrap_or((text, "0"));
    if part(user) && part(group) { Ok(text.into()) } else { Err(Fault::expected(WHAT)) }
}

pub(crate) fn listen(node: &Node) -> Result<SocketAddr, Fault> {
    const WHAT: &str = "an address with a port, like `127.0.0.1:8080`";
    str_of(node, WHAT)?.parse().map_err(|_| Fault::expected(WHAT))
}

/// `http://host:9090/path` or `https://…`, without anything that could be a
/// password.
pub(crate) fn web_address(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "an address like `https://prometheus.example.com`";
    let text = str_of(node, WHAT)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |rest: &str| rest.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\"\\".contains(&b));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && plain(rest) => Ok(text.into()),
        _ => Err(Fault::expected(WHAT)),
    }
}

/// Whether a [`web_address`] is of this machine.
pub(crate) fn is_loopback(address: &str) -> bool {
    let host = address.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Name of a label of Prometheus' (data model, "Metric names and labels").
pub(crate) fn metric_label(node: &Node) -> Result<String, Fault> {
    const WHAT: &str = "the name of a label, like `image_sha`";
    let text = str_of(node, WHAT)?;
    variable_name(text).map_err(|_| Fault::expected(WHAT))?;
    Ok(text.into())
}

/// `:9090/metrics`, `:9090` or `/metrics`.
pub(crate) fn pod_metrics(node: &Node) -> Result<PodMetrics, Fault> {
    const WHAT: &str = "a port, a path or both, like `:9090/metrics`";
    let text = str_of(node, WHAT)?;
    let (port, path) = match text.find('/') {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    };
    let port = match port.strip_prefix(':') {
        Some(digits) => {
            Some(digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| Fault::expected(WHAT))?)
        }
        None if port.is_empty() => None,
        None => return Err(Fault::expected(WHAT)),
    };
    let plain = |path: &str| path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    match path {
        Some(path) if !plain(path) => Err(Fault::expected(WHAT)),
        None if port.is_none() => Err(Fault::expected(WHAT)),
        path => Ok(PodMetrics { port, path: path.map(Into::into) }),
    }
}

/// `unix:///absolute/path`.
pub(crate) fn socket(node: &Node) -> Result<PathBuf, Fault> {
    const WHAT: &str = "a socket like `unix:///var/run/docker.sock`";
    match str_of(node, WHAT)?.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') && path.len() > 1 => Ok(path.into()),
        _ => Err(Fault::expected(WHAT)),
    }
}

const SOURCES: &str = "write `env:NAME`, `file:PATH` or `command:CMD`; a secret itself never stands here";

/// `env:NAME`, `file:PATH`, `command:CMD`.
pub(crate) fn secret(node: &Node) -> Result<SecretSource, Fault> {
    let literal = || Fault::literal_secret().hint(SOURCES);
    let text = str_of(node, "").map_err(|_| literal())?;
    SecretSource::parse(text).ok_or_else(literal)
}

/// `sqlite://PATH`, `postgres://…` without a password, or a [`secret`].
pub(crate) fn database(node: &Node) -> Result<Database, Fault> {
    let literal = || {
        Fault::literal_secret()
            .hint("write `sqlite://PATH`, `postgres://host/name` without a password, or where the whole URL is: `env:DATABASE_URL`")
    };
    let text = str_of(node, "").map_err(|_| literal())?;
    if let Some(path) = text.strip_prefix("sqlite://") {
        return if path.is_empty() || path.contains(['\0', '\n', '?']) {
            Err(Fault::expected("a database file like `sqlite://.plimsoll/ledger.db`"))
        } else {
            Ok(Database::Sqlite(path.into()))
        };
    }
    if is_postgres(text) {
        return if postgres_password(text) { Err(literal()) } else { Ok(Database::Postgres(text.into())) };
    }
    SecretSource::parse(text).map(Database::Source).ok_or_else(literal)
}

/// Whether a connection URL holds a password, in its authority or its query.
fn postgres_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    // The last `@`: a password may hold one, and an unescaped `/` or `?` too.
    let user = rest.rfind('@').map_or("", |at| &rest[..at]);
    user.contains(':') || rest.to_ascii_lowercase().contains("password=")
}
