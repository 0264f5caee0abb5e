//! A directory of 2,300 files and 670 MB becomes one layer in a registry.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::data::{self, Data};
use super::figures::{Figure, Figures, best};
use super::measure::{self, Usage, measure};
use super::project::{Project, Steps};
use super::registry::Registry;
use super::{Bench, Outcome, limits, peers};

/// All builds and pushes of one tool.
#[derive(Default)]
struct Runs(Vec<Usage>);

impl Runs {
    fn wall(&self) -> f64 {
        best(self.0.iter().map(|usage| usage.wall))
    }

    fn processor(&self) -> f64 {
        best(self.0.iter().map(|usage| usage.processor))
    }

    /// The worst: a bound on memory is to hold each time.
    fn peak(&self) -> f64 {
        self.0.iter().map(|usage| usage.peak).fold(f64::NAN, f64::max)
    }
}

/// The peers, each of which gets the same files.
struct Contest<'a> {
    bench: &'a Bench,
    data: &'a Data,
    tar: &'a Path,
    host: &'a str,
}

pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let registry = Registry::start(bench)?;
    bench.note(&format!("writing the files; the registry is {}", registry.name));
    let data =
        data::generate(&bench.folder.join("data"), if bench.quick { data::QUICK } else { data::FULL })?;
    let tar = pack(&data, &bench.folder.join("data.tar"))?;
    let project = Project::create(bench, "push", &registry.host, &copy_command(&data)?)?;
    let contest = Contest { bench, data: &data, tar: &tar, host: &registry.host };
    let (crane, buildah, docker) = (peers::find("crane"), peers::find("buildah"), peers::docker_engine());
    let (mut gzip, mut zstd) = (Vec::new(), Vec::new());
    let (mut with_crane, mut with_buildah, mut with_docker) =
        (Runs::default(), Runs::default(), Runs::default());
    for round in 0..bench.rounds {
        bench.note(&format!("round {} of {}", round + 1, bench.rounds));
        gzip.push(ours(&project, &registry.host, "gzip", round)?);
        if let Some(crane) = &crane {
            with_crane.0.push(contest.crane(crane, round)?);
        }
        zstd.push(ours(&project, &registry.host, "zstd", round)?);
        if let Some(buildah) = &buildah {
            with_buildah.0.push(contest.buildah(buildah, round)?);
        }
        if let Some(docker) = &docker {
            with_docker.0.push(contest.docker(docker, round)?);
        }
    }
    let runs = |steps: &[Steps]| Runs(steps.iter().map(|steps| steps.usage).collect());
    let (with_gzip, with_zstd) = (runs(&gzip), runs(&zstd));
    let beyond = best(gzip.iter().map(|steps| steps.usage.wall - steps.seconds("build")));
    let peers = [
        ("crane append", &with_crane, Some(0.5)),
        ("buildah", &with_buildah, Some(0.2)),
        ("docker", &with_docker, None),
    ];
    for (name, peer, target) in peers {
        if peer.0.is_empty() {
            figures.note(format!("missing: {name}; nothing to compare the push with"));
            continue;
        }
        let figure = Figure::new("push: one gzip layer, whole command", with_gzip.wall(), "s")
            .beside(name, peer.wall());
        figures.add(match target {
            Some(ratio) => figure.ratio_at_most(ratio),
            None => figure,
        });
        // The peers find the files in place; ours were copied first.
        let figure = Figure::new("push: the same beyond its build command", beyond, "s");
        figures.add(figure.beside(name, peer.wall()));
        if name == "crane append" {
            let figure = Figure::new("push: processor time", with_gzip.processor(), "s");
            figures.add(figure.beside(name, peer.processor()));
            figures.add(Figure::new("push: peak memory", with_gzip.peak(), "MB").beside(name, peer.peak()));
        }
    }
    let figure = Figure::new("push: one zstd layer, whole command", with_zstd.wall(), "s");
    figures.add(figure.beside("own gzip", with_gzip.wall()).ratio_at_most(1.0));
    figures.add(Figure::new("push: peak memory, gzip", with_gzip.peak(), "MB").at_most(150.0));
    figures.add(Figure::new("push: peak memory, zstd", with_zstd.peak(), "MB").at_most(150.0));
    for (compression, steps) in [("gzip", &gzip), ("zstd", &zstd)] {
        let fastest = steps.iter().min_by(|a, b| a.usage.wall.total_cmp(&b.usage.wall));
        let fastest = fastest.expect("there is at least one round");
        let rest = ["checkout", "build", "layer", "push"].map(|step| (step, fastest.seconds(step)));
        let named: f64 = rest.iter().map(|(_, seconds)| seconds).sum();
        let text = rest.map(|(step, seconds)| format!("{step} {seconds:.2} s")).join(", ");
        figures.note(format!("{compression}: {text}, all else {:.2} s", fastest.usage.wall - named));
    }
    let step = |steps: &[Steps], name: &str| best(steps.iter().map(|steps| steps.seconds(name)));
    limits::report(
        bench,
        figures,
        &limits::Measured {
            data: &data,
            tar: &tar,
            layer: step(&gzip, "layer"),
            layer_zstd: step(&zstd, "layer"),
            upload: step(&gzip, "push"),
        },
    )
}

/// The build command that puts the files where the image takes them from. They
/// are copied: the checkout may be on a mount of its own, which a hard link
/// cannot cross.
pub(crate) fn copy_command(data: &Data) -> Outcome<String> {
    let from = data.folder.to_str().filter(|path| !path.contains('\''));
    Ok(format!("cp -R \"{}\" payload", from.ok_or("the target folder's path has characters a shell reads")?))
}

/// One build and push from nothing.
fn ours(project: &Project, host: &str, compression: &str, round: usize) -> Outcome<Steps> {
    project.forget()?;
    let steps = project.steps(&[
        "build",
        "--set",
        &format!("image.compression={compression}"),
        "--set",
        &format!("repository.canonical={host}/bench/{compression}-{round}"),
    ])?;
    if steps.result["pushed"] != true || steps.result["already_present"] != false {
        return Err(format!("not pushed: {}", steps.result).into());
    }
    Ok(steps)
}

/// The tar that `crane` gets; making it is not part of what it is measured by.
fn pack(data: &Data, path: &Path) -> Outcome<PathBuf> {
    let mut tar = tar::Builder::new(std::io::BufWriter::new(std::fs::File::create(path)?));
    tar.append_dir_all("payload", &data.folder)?;
    tar.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(path.into())
}

impl Contest<'_> {
    fn crane(&self, program: &Path, round: usize) -> Outcome<Usage> {
        let mut command = Command::new(program);
        command.args(["append", "--insecure", "--new_layer"]).arg(self.tar);
        command.args(["--new_tag", &format!("{}/bench/crane-{round}:latest", self.host)]);
        Ok(measure(&command, &self.bench.folder)?.usage)
    }

    /// From nothing, copy, commit, push, as its manual has it. The driver needs
    /// no privileges and no kernel module.
    fn buildah(&self, program: &Path, round: usize) -> Outcome<Usage> {
        let folder = self.bench.folder.join("buildah");
        std::fs::create_dir_all(&folder)?;
        let script = format!(
            "set -e; b() {{ \"{program}\" --storage-driver vfs --root \"{folder}/root\" --runroot \"{folder}/run\" \"$@\"; }}\n\
             c=$(b from scratch)\nb copy --quiet \"$c\" \"{data}\" /payload\nb commit --quiet \"$c\" bench\n\
             b push --quiet --tls-verify=false bench docker://{host}/bench/buildah-{round}:latest",
            program = program.display(),
            folder = folder.display(),
            data = self.data.folder.display(),
            host = self.host,
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).env("BUILDAH_ISOLATION", "chroot");
        let measured = measure(&command, &self.bench.folder);
        std::fs::remove_dir_all(folder)?;
        Ok(measured?.usage)
    }

    fn docker(&self, program: &Path, round: usize) -> Outcome<Usage> {
        let tag = format!("{}/bench/docker-{round}:latest", self.host);
        let (program, data) = (program.display(), self.data.folder.display());
        let script = format!(
            "set -e\nprintf 'FROM scratch\\nCOPY . /payload\\n' | \"{program}\" build --quiet --no-cache \
             --tag {tag} --file - \"{data}\"\n\"{program}\" push --quiet {tag}"
        );
        let measured = measure(Command::new("sh").args(["-c", &script]), &self.bench.folder);
        let removed = measure::output(Command::new(program.to_string()).args(["image", "rm", &tag]));
        let usage = measured?.usage;
        removed?;
        Ok(usage)
    }
}
