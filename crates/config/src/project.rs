//! What a commit says about itself: service, repositories, build, image.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_model::{Digest, Repository, RepositoryType};

use crate::content::{self, Sbom, Secrets};
use crate::error::{Problem, ProblemKind};
use crate::record::{self, Contract, Migrations};
use crate::table::Table;
use crate::values;

/// The part of `plimsoll.toml` that belongs to a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// `[service]`.
    pub service: Service,
    /// `[repository]`.
    pub repository: Repositories,
    /// `[build]`.
    pub build: Build,
    /// `[image]`, `[build.dockerfile]` or `[build.layout]`: exactly one.
    pub source: ImageSource,
    /// `[sbom]`.
    pub sbom: Sbom,
    /// `[secrets]`.
    pub secrets: Secrets,
    /// `[contract]`, where there is one.
    pub contract: Option<Contract>,
    /// `[migrations]`, where there is one.
    pub migrations: Option<Migrations>,
}

/// `[service]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// A DNS label: 1 to 63 lower-case letters, digits and `-` (RFC 1123).
    pub name: String,
}

/// `[repository]` (BLD-5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repositories {
    /// Where the main branch publishes.
    pub canonical: Repository,
    /// Where every other branch publishes. Default: `canonical` with
    /// `-staging` appended. Never the same as `canonical`.
    pub staging: Repository,
    /// The branch that publishes to `canonical`. Default: `main`.
    pub main_branch: String,
}

impl Repositories {
    /// The repository of this type.
    pub fn get(&self, kind: RepositoryType) -> &Repository {
        match kind {
            RepositoryType::Canonical => &self.canonical,
            RepositoryType::Staging => &self.staging,
        }
    }

    /// Where a build of `branch` goes (`None`: detached), and what that is.
    pub fn of_branch(&self, branch: Option<&str>) -> (RepositoryType, &Repository) {
        let kind = match branch {
            Some(branch) if branch == self.main_branch => RepositoryType::Canonical,
            _ => RepositoryType::Staging,
        };
        (kind, self.get(kind))
    }
}

/// `[build]`: what runs in the clean checkout before the image is assembled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Run with `sh -c`. Default: none, the checkout itself is the result.
    pub command: Option<String>,
    /// Added to the environment of `command`. Default: empty.
    pub env: BTreeMap<String, String>,
    /// After this the command is ended and the build has failed. Default: 10m.
    pub timeout: Duration,
}

/// Where the image comes from (BLD-2, BLD-3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// `[image]`: assembled by Plimsoll itself.
    Native(Box<Image>),
    /// `[build.dockerfile]`: the Dockerfile at this path of the checkout.
    Dockerfile(PathBuf),
    /// `[build.layout]`: the OCI layout directory or archive that
    /// `build.command` left at this path of the checkout.
    Layout(PathBuf),
}

/// `[image]`: native assembly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// What the layers are put on. Default: `scratch`.
    pub base: Base,
    /// Default: the base image's. Needed on `scratch`.
    pub entrypoint: Option<Vec<String>>,
    /// Default: the base image's, where `entrypoint` is the base image's too;
    /// otherwise empty.
    pub cmd: Option<Vec<String>>,
    /// Added to the base image's environment. Default: empty.
    pub env: BTreeMap<String, String>,
    /// `user`, `uid`, `user:group` or `uid:gid`. Default: the base image's;
    /// on `scratch` `65532:65532`, which owns nothing.
    pub user: Option<String>,
    /// Absolute. Default: the base image's; on `scratch` `/`.
    pub workdir: Option<String>,
    /// Default: none beside the base image's.
    pub ports: Vec<Port>,
    /// Added to the base image's labels. Default: empty.
    pub labels: BTreeMap<String, String>,
    /// Of the layers made here. Default: gzip, which every runtime reads.
    pub compression: Compression,
    /// One layer each, in this order. At least one on `scratch`.
    pub copy: Vec<CopyFile>,
}

/// What an image's layers are put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image by digest, never by tag (invariant 5).
    Pinned {
        /// Where it is.
        repository: Repository,
        /// Its manifest.
        digest: Digest,
    },
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scratch => f.write_str("scratch"),
            Self::Pinned { repository, digest } => write!(f, "{repository}@{digest}"),
        }
    }
}

/// `[[image.copy]]`: a file or directory, as one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyFile {
    /// Relative to the checkout, perhaps a glob; never leaves it.
    pub from: String,
    /// Absolute path in the image.
    pub to: String,
    /// Permission bits of the files. Default: as in the checkout.
    pub mode: Option<Mode>,
}

/// Permission bits, written in octal: `"0755"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub(crate) u32);

impl Mode {
    /// The bits, at most `0o7777`.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A port the service listens on, `8080/tcp` (OCI image-spec, config.md, `ExposedPorts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// Default: tcp.
    pub protocol: Protocol,
}

/// Transport of a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `application/vnd.oci.image.layer.v1.tar+gzip`.
    Gzip,
    /// `application/vnd.oci.image.layer.v1.tar+zstd`.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

impl Project {
    pub(crate) fn read(root: &mut Table<'_>) -> Option<Self> {
        let service = root.table_or_empty("service").and_then(service);
        let repository = root.table_or_empty("repository").and_then(repositories);
        let mut build_table = root.table_or_empty("build");
        let others = build_table.as_mut().map(other_sources).unwrap_or_default();
        let build = build_table.and_then(build);
        let native = root.table("image");
        let source = image_source(root, native, others);
        let sbom = root.table_or_empty("sbom").and_then(content::sbom);
        let secrets = root.table("secrets").map(content::secrets);
        let contract = root.table("contract").map(record::contract);
        let migrations = root.table("migrations").map(record::migrations);
        Some(Self {
            service: service?,
            repository: repository?,
            build: build?,
            source: source?,
            sbom: sbom?,
            secrets: all_or_nothing(secrets)?.unwrap_or_default(),
            contract: all_or_nothing(contract)?,
            migrations: all_or_nothing(migrations)?,
        })
    }
}

/// A section that may be absent: absent is fine, given and wrong is not.
pub(crate) fn all_or_nothing<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    match section {
        Some(None) => None,
        Some(given) => Some(given),
        None => Some(None),
    }
}

fn service(mut table: Table<'_>) -> Option<Service> {
    let name = table.need("name", "\"payouts\"", values::label);
    table.finish();
    Some(Service { name: name? })
}

fn repositories(mut table: Table<'_>) -> Option<Repositories> {
    let canonical = table.need("canonical", "\"registry.example.com/acme/payouts\"", values::repository);
    let derived = canonical.as_ref().map(|canonical| format!("{canonical}-staging"));
    let staging = match &derived {
        Some(derived) => table.or("staging", derived, values::repository),
        None => table.opt("staging", values::repository),
    };
    let main_branch = table.or("main_branch", "main", values::branch);
    if canonical.is_some() && canonical == staging {
        table.conflict(
            "`canonical` and `staging` are the same repository",
            "staging holds what is not on the main branch; give it a repository of its own",
        );
    }
    table.finish();
    Some(Repositories { canonical: canonical?, staging: staging?, main_branch: main_branch? })
}

/// `[build.dockerfile]` and `[build.layout]`, where given; the inner `None`
/// has been reported.
fn other_sources(build: &mut Table<'_>) -> Vec<Option<ImageSource>> {
    let path = |mut table: Table<'_>, default: &str| {
        let path = table.or("path", default, values::relative_path);
        table.finish();
        path
    };
    let dockerfile = build.table("dockerfile").map(|table| path(table, "Dockerfile"));
    let layout = build.table("layout").map(|mut table| {
        let path = table.need("path", "\"out.tar\"", values::relative_path);
        table.finish();
        path
    });
    let dockerfile = dockerfile.map(|path| path.map(ImageSource::Dockerfile));
    let layout = layout.map(|path| path.map(ImageSource::Layout));
    dockerfile.into_iter().chain(layout).collect()
}

fn build(mut table: Table<'_>) -> Option<Build> {
    let command = table.opt("command", values::words);
    let env = table.texts("env", values::variable_name);
    let timeout = table.or("timeout", "10m", values::some_time);
    table.finish();
    Some(Build { command, env, timeout: timeout? })
}

fn image_source(
    root: &Table<'_>,
    native: Option<Table<'_>>,
    others: Vec<Option<ImageSource>>,
) -> Option<ImageSource> {
    const ONE: &str = "an image comes from exactly one of them: [image], [build.dockerfile], [build.layout]";
    match (native, others.len()) {
        (Some(table), 0) => image(table).map(|image| ImageSource::Native(Box::new(image))),
        (None, 1) => others.into_iter().next().flatten(),
        (None, 0) => {
            let message = "nothing says how the image is made";
            root.push(Problem::new(ProblemKind::Missing, &root.place(), message.into()).hint(ONE));
            None
        }
        (native, _) => {
            let mut names: Vec<_> = native.iter().map(|_| "[image]").collect();
            if native.is_none() || others.len() > 1 {
                names.extend(["[build.dockerfile]", "[build.layout]"]);
            } else {
                names.push(match others.first() {
                    Some(Some(ImageSource::Layout(_))) => "[build.layout]",
                    _ => "[build.dockerfile]",
                });
            }
            let message = format!("{} exclude each other", names.join(" and "));
            match native {
                Some(table) => table.conflict(message, ONE),
                None => root.conflict(message, ONE),
            }
            None
        }
    }
}

fn image(mut table: Table<'_>) -> Option<Image> {
    let base = table.or("base", "scratch", values::base);
    let arguments = || values::list("[\"/usr/local/bin/payouts\"]", values::text);
    let entrypoint = table.opt("entrypoint", arguments());
    let cmd = table.opt("cmd", arguments());
    let env = table.texts("env", values::variable_name);
    let scratch = base == Some(Base::Scratch);
    let (user, workdir) = if scratch {
        (table.or("user", "65532:65532", values::user), table.or("workdir", "/", values::absolute))
    } else {
        (table.opt("user", values::user), table.opt("workdir", values::absolute))
    };
    let ports = table.or("ports", "[]", values::list("[\"8080/tcp\"]", values::port));
    let labels = table.texts("labels", values::label_name);
    let compression = table.or(
        "compression",
        "gzip",
        values::choice(&[("gzip", Compression::Gzip), ("zstd", Compression::Zstd)]),
    );
    let copies = table.tables("copy");
    let copied = !copies.is_empty();
    let copy: Vec<_> = copies.into_iter().filter_map(copy_file).collect();
    if scratch && !table.given("entrypoint") {
        table.missing(
            "entrypoint",
            "on `scratch` nothing else says what runs; add `entrypoint = [\"/usr/local/bin/…\"]`",
        );
    }
    if entrypoint.as_ref().is_some_and(|list| list.first().is_none_or(String::is_empty)) && scratch {
        table.conflict("`entrypoint` names no program", "write `entrypoint = [\"/usr/local/bin/…\"]`");
    }
    if scratch && !copied && !table.given("copy") {
        table.missing("copy", "on `scratch` the image would be empty; add an [[image.copy]]");
    }
    table.finish();
    Some(Image {
        base: base?,
        entrypoint,
        cmd,
        env,
        user,
        workdir,
        ports: ports?,
        labels,
        compression: compression?,
        copy,
    })
}

fn copy_file(mut table: Table<'_>) -> Option<CopyFile> {
    let from = table.need("from", "\"target/release/payouts\"", values::relative);
    let to = table.need("to", "\"/usr/local/bin/payouts\"", values::absolute);
    let mode = table.opt("mode", values::mode);
    table.finish();
    Some(CopyFile { from: from?, to: to?, mode })
}
