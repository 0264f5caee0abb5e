//! Writing a `plimsoll.toml` for a person to read and correct.

use std::fmt::Write as _;

use super::{Found, Language};
use crate::values::{is_branch, is_label};

/// A commented `plimsoll.toml` for what was found. It always loads.
pub fn template(found: &Found) -> String {
    let name = service_name(found);
    let mut text = String::from(
        "# How one commit of this repository becomes an image, and where it runs.\n\
         # Check it with `plimsoll config show --origin`; every key is in the reference of plimsoll.toml.\n\n",
    );
    let mut add = |section: String| {
        text.push_str(&section);
        text.push('\n');
    };
    add(format!("[service]\nname = {}\n", quoted(&name)));
    add(repository(found, &name));
    add(image(found, &name));
    if let Some(openapi) = &found.openapi {
        add(format!(
            "[contract]                   # compared with the previous release\nopenapi = {}\n",
            quoted(openapi)
        ));
    }
    if let Some(dir) = &found.migrations {
        add(format!(
            "[migrations]\ndir = {}\n# database = \"env:DATABASE_URL\"   # postgres://… or sqlite://…; never written here itself\n",
            quoted(dir)
        ));
    }
    add(environments());
    if let Some(cluster) = super::cluster::environment(found, &name) {
        add(cluster);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn environments() -> String {
    "# `plimsoll deploy SHA --env trial` runs it on this machine, behind one address.\n\
     [environments.trial]\n\
     repository = \"canonical\"       # whose images may run here: of the main branch; or \"staging\": of the others\n\
     target     = \"local\"           # processes of this machine; or \"engine\": Docker or Podman\n\
     replicas   = 2\n\
     listen     = \"127.0.0.1:8080\"  # where users connect; replicas get a free port in $PORT\n\
     health     = \"/healthz\"        # answers 2xx when a replica may serve\n"
        .into()
}

fn repository(found: &Found, name: &str) -> String {
    let path = found.remote.as_deref().and_then(remote_path).unwrap_or_else(|| name.to_owned());
    let branch = found.branch.as_deref().filter(|branch| is_branch(branch)).unwrap_or("main");
    // A feature branch that happens to be checked out is not the main one.
    let main = if branch.contains('/') { "main" } else { branch };
    let canonical = quoted(&format!("localhost:5000/{path}"));
    let staging = quoted(&format!("localhost:5000/{path}-staging"));
    format!(
        "[repository]                 # `plimsoll registry` serves localhost:5000 where there is no other\n\
         canonical   = {canonical:width$}   # where the main branch publishes\n\
         staging     = {staging}   # where every other branch does\n\
         main_branch = {}\n",
        quoted(main),
        width = staging.chars().count(),
    )
}

/// `acme/payouts` of `https://github.com/acme/payouts.git` or `git@host:acme/payouts`.
fn remote_path(url: &str) -> Option<String> {
    let rest = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => url.split_once(':')?.1,
    };
    let path = rest.trim_matches('/').trim_end_matches(".git").to_lowercase();
    // The model's own grammar decides; it needs a host in front.
    format!("localhost/{path}").parse::<plimsoll_model::Repository>().ok()?;
    Some(path)
}

fn service_name(found: &Found) -> String {
    let named = match &found.language {
        Some(Language::Rust { binary, .. }) => Some(binary.as_str()),
        Some(Language::Go { module }) => Some(module.as_str()),
        Some(Language::Node { package }) => package.as_deref(),
        Some(Language::Python { project }) => project.as_deref(),
        None => None,
    };
    let candidates = [named.unwrap_or_default(), found.folder.as_str(), "service"];
    candidates.into_iter().map(label).find(|name| is_label(name)).unwrap_or_else(|| "service".into())
}

/// The nearest name that a host, a container and a Kubernetes object may have.
fn label(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let label: String = name.chars().map(plain).take(63).collect();
    label.trim_matches('-').to_owned()
}

fn image(found: &Found, name: &str) -> String {
    match (&found.dockerfile, &found.language) {
        (Some(path), _) => format!(
            "# Needs Docker or buildah. Without either, [image] assembles the files that a command built.\n\
             [build.dockerfile]\n\
             path = {}\n",
            quoted(path)
        ),
        (None, Some(Language::Rust { binary, locked })) => {
            let binary = program(binary, name);
            let lock = if *locked { " --locked" } else { "" };
            let rust = "RUSTFLAGS = \"-C target-feature=+crt-static\"";
            native(
                &format!("cargo build --release{lock}"),
                &format!("env     = {{ {rust} }}   # static: needs nothing from the base image\n"),
                &format!("target/release/{binary}"),
                &format!("/usr/local/bin/{binary}"),
                name,
            )
        }
        (None, Some(Language::Go { module })) => {
            let program = program(module, name);
            native(
                &format!("go build -trimpath -buildvcs=false -o out/{program} ."),
                "env     = { CGO_ENABLED = \"0\" }   # static: needs nothing from the base image\n",
                &format!("out/{program}"),
                &format!("/usr/local/bin/{program}"),
                name,
            )
        }
        (None, _) => native("make", "", &format!("out/{name}"), &format!("/usr/local/bin/{name}"), name),
    }
}

/// The program's own name where it can stand in a command and a path as it
/// is, else the service's.
fn program<'n>(binary: &'n str, service: &'n str) -> &'n str {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let good = (1..=64).contains(&binary.len()) && !binary.starts_with('-') && binary.bytes().all(plain);
    if good { binary } else { service }
}

fn native(command: &str, env: &str, from: &str, to: &str, name: &str) -> String {
    let mut text = String::new();
    write!(
        text,
        "[build]                      # run with `sh -c` in a clean checkout of the commit\n\
         command = {command}\n\
         {env}\
         timeout = \"10m\"\n\
         \n\
         [image]                      # {name}, without a daemon and the same to the byte each time\n\
         base       = \"scratch\"       # or \"registry/path@sha256:…\"\n\
         entrypoint = [{to}]\n\
         env        = {{ PORT = \"8080\" }}\n\
         ports      = [\"8080/tcp\"]\n\
         \n\
         [[image.copy]]               # one layer each, in this order\n\
         from = {from}\n\
         to   = {to}\n\
         mode = \"0755\"\n",
        command = quoted(command),
        from = quoted(from),
        to = quoted(to),
    )
    .expect("writing to a String cannot fail");
    text
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.chars().filter(|c| !c.is_control()).collect()).to_string()
}
