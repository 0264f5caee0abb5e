//! Real git repositories in temporary directories.
#![allow(clippy::unwrap_used, clippy::print_stdout, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_image::{
    BuildCommand, BuildRequest, BuiltImage, CancellationToken, Error, FileCopy, ImageSpec, Recipe, ShortSha,
    Source, build,
};
use plimsoll_model::{Commit, Observer, Progress, Silent};
use plimsoll_oci::{ImageConfig, Layout, Manifest, media_type};

/// A repository with one branch, `main`.
pub struct Repo {
    pub dir: tempfile::TempDir,
}

impl Repo {
    pub fn new() -> Self {
        let repo = Self { dir: tempfile::tempdir().unwrap() };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(self.path(), args)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let whole = self.path().join(path);
        std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
        std::fs::write(&whole, content).unwrap();
        whole
    }

    pub fn commit(&self, message: &str) -> Commit {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub fn head(&self) -> Commit {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub fn source(&self) -> Source {
        Source::open(self.path()).unwrap()
    }

    /// Index, refs, worktrees and files of the git directory, to show that
    /// nothing of it is touched.
    pub fn fingerprint(&self) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
        let mut all = Vec::new();
        let mut open = vec![self.path().to_owned()];
        while let Some(dir) = open.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    open.push(entry.path());
                }
                all.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
            }
        }
        all.sort();
        all
    }
}

/// git with a fixed identity and time and nobody's configuration.
pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.com")
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_COMMITTER_NAME", "C")
        .env("GIT_COMMITTER_EMAIL", "c@example.com")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Keeps what was reported.
#[derive(Default)]
pub struct Recorder(pub Mutex<Vec<Progress>>);

impl Observer for Recorder {
    fn report(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }
}

impl Recorder {
    pub fn lines(&self) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter()
            .filter_map(|progress| match progress {
                Progress::Line { text, .. } => Some(text.clone()),
                _ => None,
            })
            .collect()
    }
}

pub fn recorder() -> Arc<Recorder> {
    Arc::new(Recorder::default())
}

pub fn head(source: &Source) -> Commit {
    source.resolve("HEAD", ShortSha::Refuse).unwrap()
}

/// A repository, a store, and a place to work in.
pub struct Setting {
    pub repo: Repo,
    pub dir: tempfile::TempDir,
    pub layout: Layout,
}

pub fn setting() -> Setting {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(dir.path().join("store")).unwrap();
    Setting { repo: Repo::new(), dir, layout }
}

pub fn shell(command: &str) -> Option<BuildCommand> {
    Some(BuildCommand { command: command.into(), env: BTreeMap::new(), timeout: Duration::from_secs(120) })
}

pub fn copy(from: &str, to: &str) -> FileCopy {
    FileCopy { from: from.into(), to: to.into(), mode: None }
}

pub fn native(copies: Vec<FileCopy>) -> ImageSpec {
    ImageSpec { copies, ..ImageSpec::default() }
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

impl Setting {
    pub fn request(&self, commit: &Commit, command: Option<BuildCommand>, spec: ImageSpec) -> BuildRequest {
        self.request_for(commit, command, Recipe::Native(Box::new(spec)))
    }

    pub fn request_for(
        &self,
        commit: &Commit,
        command: Option<BuildCommand>,
        recipe: Recipe,
    ) -> BuildRequest {
        BuildRequest {
            commit: commit.clone(),
            command,
            recipe,
            work_dir: self.dir.path().join("tmp"),
            reuse_target: None,
            enter: Some(std::env::current_exe().unwrap()),
            cancel: CancellationToken::new(),
        }
    }

    pub fn build(&self, request: BuildRequest) -> Result<BuiltImage, Error> {
        self.observed(request, Arc::new(Silent))
    }

    pub fn observed(&self, request: BuildRequest, observer: Arc<dyn Observer>) -> Result<BuiltImage, Error> {
        run(build(&self.repo.source(), request, &self.layout, observer))
    }

    pub fn files(&self, image: &BuiltImage) -> BTreeMap<String, (tar::EntryType, u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        for layer in image.layers() {
            let blob = self.layout.open_blob(layer.descriptor()).unwrap();
            let reader: Box<dyn std::io::Read> = match layer.descriptor().media_type.as_str() {
                media_type::OCI_LAYER_TAR_GZIP => Box::new(flate2::read::MultiGzDecoder::new(blob)),
                _ => Box::new(zstd::Decoder::new(blob).unwrap()),
            };
            for entry in tar::Archive::new(reader).entries().unwrap() {
                let mut entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_767_323_045);
                let (kind, mode) = (header.entry_type(), header.mode().unwrap());
                let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                let mut content = Vec::new();
                match entry.link_name_bytes() {
                    Some(target) => content = target.into_owned(),
                    None => drop(std::io::Read::read_to_end(&mut entry, &mut content).unwrap()),
                }
                all.insert(path, (kind, mode, content));
            }
        }
        all
    }

    pub fn config(&self, image: &BuiltImage) -> (Manifest, ImageConfig) {
        let bytes = self.layout.read_blob(&image.manifest().digest, 1 << 20).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        let bytes = self.layout.read_blob(&manifest.config.digest, 1 << 20).unwrap();
        (manifest, ImageConfig::parse(&bytes).unwrap())
    }
}

pub fn skip(needs: &str) {
    assert!(std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_none(), "needs {needs}");
    println!("skipped: needs {needs}");
}

pub fn installed(program: &str) -> bool {
    std::process::Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

pub fn tool(program: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
