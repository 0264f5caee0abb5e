//! Ruby: installed gems and `Gemfile.lock`.
//!
//! Sources: RubyGems, `Gem::Specification#to_ruby` (which writes the files in
//! `specifications/`); Bundler, `lockfile_generator.rb`.

use std::collections::{BTreeMap, HashMap};

use super::licence;
use super::lock::LockFiles;
use super::reading::{MOST_COMPONENTS, Reading, declared, excerpt, impossible};
use crate::catalog::{Cataloger, Content, Found, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Hash};

/// The most dependencies that are taken from one gem.
const MOST_DEPENDENCIES: usize = 1_000;

/// `Gemfile.lock`, also under its newer name.
pub(crate) const LOCKS: LockFiles = LockFiles {
    name: "ruby-lock",
    wants: &[Want::Name("Gemfile.lock"), Want::Name("gems.locked")],
    parse: |_, bytes| Ok(parse_lock(&String::from_utf8_lossy(bytes))),
};

/// Catalogs installed gems.
pub(crate) struct Installed;

/// What is kept of one specification; why not, where it is none.
pub(crate) type Fact = Result<Gem, String>;

#[derive(Debug)]
pub(crate) struct Gem {
    component: Component,
    requires: Vec<String>,
}

impl Cataloger for Installed {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "ruby"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Suffix(".gemspec")]
    }

    fn read(&self, _: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        // Those of a gem's own sources are programs; nobody wants them.
        Ok(Some(parse_specification(&content.text()?)))
    }

    fn catalog(&self, _: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        let is_installed = |file: &&Found<'_, Fact>| {
            let directory = format!("/{}", file.directory());
            directory.ends_with("/specifications") || directory.ends_with("/specifications/default")
        };
        let mut by_name: BTreeMap<&str, Vec<&Component>> = BTreeMap::new();
        for gem in found.iter().filter(is_installed).filter_map(|file| file.fact.as_ref().ok()) {
            by_name.entry(&gem.component.name).or_default().push(&gem.component);
        }
        for file in found.iter().filter(is_installed) {
            let gem = match file.fact {
                Ok(gem) => gem,
                Err(why) => {
                    report.warn(file.path, why.as_str());
                    continue;
                }
            };
            let mut component = gem.component.clone();
            // Of several versions the one that is loaded is not known.
            let one = |name: &String| match by_name.get(&**name).map(Vec::as_slice) {
                Some([one]) => Some(one.base_purl()),
                _ => None,
            };
            component.depends_on = gem.requires.iter().filter_map(one).collect();
            file.place(&mut component);
            report.add(component);
        }
    }
}

/// Reads a specification as RubyGems writes it: one assignment in a line, and
/// a comment that has name, version and platform.
fn parse_specification(text: &str) -> Fact {
    let mut stub = text.lines().take(10).filter_map(|line| line.strip_prefix("# stub: "));
    let stub: Vec<&str> = stub.next().unwrap_or_default().split(' ').collect();
    let (mut name, mut version) = (String::new(), String::new());
    let (mut licences, mut requires) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let line = line.trim_start();
        let Some((_, line)) = line.split_once('.').filter(|(object, _)| *object == "s") else { continue };
        let Some((key, value)) = line.split_once([' ', '(']) else { continue };
        let value = value.trim_start_matches(['=', ' ']);
        match key {
            "name" => name = strings(value).into_iter().next().unwrap_or_default().into(),
            "version" => version = strings(value).into_iter().next().unwrap_or_default().into(),
            "licenses" | "license" => licences = strings(value),
            "add_runtime_dependency" | "add_dependency" if requires.len() < MOST_DEPENDENCIES => {
                requires.extend(strings(value).into_iter().next().map(str::to_owned));
            }
            _ => {}
        }
    }
    if let [stub_name, stub_version, ..] = &*stub {
        name = (*stub_name).into();
        version = (*stub_version).into();
    }
    let mut component = Component::new("gem", name, version);
    if let Some(why) = impossible(&component) {
        return Err(format!("it is no specification of a gem: {why}"));
    }
    platform(&mut component, stub.get(2).copied().unwrap_or_default());
    // Whether all of several licences hold or one is chosen is not said.
    component.licence = match &*licences {
        [one] => licence::declared(one),
        several => licence::declared(&several.join(", ")),
    };
    Ok(Gem { component, requires })
}

/// The quoted texts of a line: `"a"`, `'a'`, `%q<a>`.
fn strings(line: &str) -> Vec<&str> {
    const MOST: usize = 16;
    let mut all = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find(['"', '\'', '<']).filter(|_| all.len() < MOST) {
        let close = match rest.as_bytes()[at] {
            b'<' => '>',
            b'"' => '"',
            _ => '\'',
        };
        let inner = &rest[at + 1..];
        let Some(end) = inner.find(close) else { break };
        all.push(&inner[..end]);
        rest = &inner[end + 1..];
    }
    all
}

/// Gems for one platform have compiled code in them.
fn platform(component: &mut Component, platform: &str) {
    if !matches!(platform, "" | "ruby") {
        component.qualifiers.insert("platform".into(), platform.into());
    }
}

/// Reads a `Gemfile.lock`: sections, in each of which `specs:` has gems with
/// four blanks before them and what they depend on with six.
fn parse_lock(text: &str) -> Reading {
    let mut warnings = Vec::new();
    let mut rows: Vec<(Component, Vec<&str>)> = Vec::new();
    let mut sums: HashMap<(&str, &str), &str> = HashMap::new();
    let (mut section, mut remote, mut revision) = ("", "", "");
    for line in text.lines() {
        let depth = line.len() - line.trim_start_matches(' ').len();
        let line = line.trim();
        match (section, depth) {
            (_, 0) => (section, remote, revision) = (line, "", ""),
            ("CHECKSUMS", 2) => {
                if let Some((gem, sum)) = line.rsplit_once(' ')
                    && let Some(gem) = name_and_version(gem)
                {
                    sums.insert(gem, sum);
                }
            }
            ("GEM" | "GIT" | "PATH" | "PLUGIN SOURCE", 2) => match line.split_once(": ") {
                Some(("remote", value)) => remote = value,
                Some(("revision", value)) => revision = value,
                _ => {}
            },
            ("GEM" | "GIT" | "PATH" | "PLUGIN SOURCE", 4) if rows.len() <= MOST_COMPONENTS => {
                let Some((name, full)) = name_and_version(line) else {
                    if warnings.len() < 100 {
                        warnings.push(format!("not understood: {}", excerpt(line)));
                    }
                    continue;
                };
                // A version has no hyphen.
                let (version, system) = full.split_once('-').unwrap_or((full, ""));
                let mut component = declared("gem", name, version);
                platform(&mut component, system);
                match section {
                    "GIT" => {
                        let remote = if remote.contains("://") {
                            remote.to_owned()
                        } else {
                            format!("ssh://{remote}")
                        };
                        component.qualifiers.insert("vcs_url".into(), format!("git+{remote}@{revision}"));
                    }
                    "PATH" => drop(component.qualifiers.insert("download_url".into(), "file://.".into())),
                    "GEM" if !is_public(remote) => {
                        component.qualifiers.insert("repository_url".into(), remote.into());
                    }
                    _ => {}
                }
                rows.push((component, Vec::new()));
            }
            ("GEM" | "GIT" | "PATH" | "PLUGIN SOURCE", 6) => {
                let name = line.split([' ', '!']).next().unwrap_or(line);
                rows.last_mut().into_iter().for_each(|(_, requires)| requires.push(name));
            }
            _ => {}
        }
    }
    let by_name: HashMap<String, usize> =
        rows.iter().enumerate().map(|(index, (component, _))| (component.name.clone(), index)).collect();
    let mut linked = Vec::new();
    for (mut component, requires) in rows {
        let full = match component.qualifiers.get("platform") {
            Some(system) => format!("{}-{system}", component.version),
            None => component.version.clone(),
        };
        let sum = sums.get(&(&*component.name, &*full)).and_then(|sum| sum.split_once('='));
        component.hashes.extend(sum.and_then(|(algorithm, hex)| Hash::new(algorithm, hex)));
        linked
            .push((component, requires.into_iter().filter_map(|name| by_name.get(name).copied()).collect()));
    }
    let mut reading = Reading::linked(linked);
    warnings.into_iter().for_each(|warning| reading.warn(warning));
    reading
}

/// The registry that package URLs take for granted.
fn is_public(remote: &str) -> bool {
    matches!(remote.trim_end_matches('/'), "https://rubygems.org" | "http://rubygems.org" | "")
}

/// `NAME (VERSION)`.
fn name_and_version(text: &str) -> Option<(&str, &str)> {
    let (name, version) = text.split_once(" (")?;
    Some((name, version.strip_suffix(')')?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::language::testing::{run, torture};

    const SPECIFICATION: &str = "# -*- encoding: utf-8 -*-\n# stub: nokogiri 1.15.0 x86_64-linux lib\n\nGem::Specification.new do |s|\n  \
        s.name = \"nokogiri\".freeze\n  s.version = \"1.15.0\"\n  s.licenses = [\"MIT\".freeze]\n  s.files = [\"x\"]\n\n  \
        s.add_runtime_dependency(%q<racc>.freeze, [\"~> 1.4\".freeze])\n  s.add_development_dependency(%q<rake>.freeze, [\"> 0\"])\nend\n";

    #[test]
    fn installed_gems_are_found() {
        let racc = "Gem::Specification.new do |s|\n  s.name = %q{x}\n  s.name = 'racc'\n  s.version = \"1.7.1\"\n  s.licenses = [\"Ruby\", \"BSD-2-Clause\"]\nend\n";
        let outcome = run(
            &Installed,
            &[
                (
                    "usr/local/bundle/specifications/nokogiri-1.15.0-x86_64-linux.gemspec",
                    SPECIFICATION.as_bytes(),
                ),
                ("usr/local/lib/ruby/gems/3.2.0/specifications/default/racc-1.7.1.gemspec", racc.as_bytes()),
                ("usr/local/bundle/gems/nokogiri-1.15.0/nokogiri.gemspec", SPECIFICATION.as_bytes()),
                ("specifications/broken.gemspec", b"\0"),
                ("gems/broken/broken.gemspec", b"\0"),
            ],
        );
        assert_eq!(
            outcome.purls(),
            ["Installed pkg:gem/nokogiri@1.15.0?platform=x86_64-linux", "Installed pkg:gem/racc@1.7.1"]
        );
        let nokogiri = outcome.get("nokogiri");
        assert_eq!(nokogiri.depends_on.iter().collect::<Vec<_>>(), ["pkg:gem/racc@1.7.1"]);
        assert_eq!(nokogiri.licence.as_deref(), Some("MIT"));
        assert_eq!(outcome.get("racc").licence.as_deref(), Some("Ruby, BSD-2-Clause"));
        assert_eq!(
            outcome.warnings,
            ["/specifications/broken.gemspec: ruby: it is no specification of a gem: it has no name"]
        );
    }

    const LOCK: &str = "GIT\n  remote: https://example.com/forked.git\n  revision: 0123abc\n  branch: main\n  specs:\n    forked (2.0.0)\n      racc (>= 1)\n\n\
        PATH\n  remote: .\n  specs:\n    app (0.1.0)\n      forked\n\nGEM\n  remote: https://rubygems.org/\n  specs:\n    nokogiri (1.15.0-x86_64-linux)\n      racc (~> 1.4)\n    \
        racc (1.7.1)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  app!\n\nCHECKSUMS\n  racc (1.7.1) sha256=HEX\n\nBUNDLED WITH\n   2.4.1\n";

    #[test]
    fn the_lock_file_is_read() {
        let reading = parse_lock(&LOCK.replace("HEX", &"0a".repeat(32)));
        let purls: Vec<String> = reading.components.iter().map(|c| c.purl().to_string()).collect();
        assert_eq!(
            purls,
            [
                "pkg:gem/forked@2.0.0?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Fforked.git%400123abc",
                "pkg:gem/app@0.1.0?download_url=file:%2F%2F.",
                "pkg:gem/nokogiri@1.15.0?platform=x86_64-linux",
                "pkg:gem/racc@1.7.1",
            ]
        );
        assert_eq!(reading.components[2].depends_on.len(), 1);
        assert_eq!(reading.components[3].hashes.len(), 1);
        assert!(reading.warnings.is_empty());
    }

    #[test]
    fn any_text_is_survived() {
        torture(LOCK.as_bytes(), |bytes| drop(parse_lock(&String::from_utf8_lossy(bytes))));
        torture(SPECIFICATION.as_bytes(), |bytes| drop(parse_specification(&String::from_utf8_lossy(bytes))));
        assert_eq!(strings("\"é\" '\u{e9}<"), ["é"]);
        let huge = format!("GEM\n  specs:\n{}", "    a (1)\n".repeat(MOST_COMPONENTS + 10));
        assert_eq!(parse_lock(&huge).components.len(), MOST_COMPONENTS);
    }
}
