//! Known orders, and the same pairs asked of the tools whose rules these are.

use std::cmp::Ordering;
use std::fmt::Write as _;

use plimsoll_testkit::peer;

use super::Scheme;

/// Ascending; entries of one inner list are equal.
type Order = &'static [&'static [&'static str]];

const SEMVER: Order = &[
    &["0.0.0-0"],
    &["0.0.0-alpha"],
    &["0.0.0", "0", "0.0"],
    &["0.0.1"],
    &["0.9.0", "0.9"],
    &["1.0.0-0"],
    &["1.0.0-1"],
    &["1.0.0-2"],
    &["1.0.0-10"],
    &["1.0.0-alpha", "1.0.0-alpha+build"],
    &["1.0.0-alpha.1"],
    &["1.0.0-alpha.beta"],
    &["1.0.0-beta"],
    &["1.0.0-beta.2"],
    &["1.0.0-beta.11"],
    &["1.0.0-rc.1"],
    &["1.0.0", "1.0.0+build.1", "v1.0.0", "=1.0.0", "1"],
    &["1.2.0"],
    &["1.10.0"],
    &["2.0.0"],
    &["18446744073709551616.0.0"],
    &["99999999999999999999999.0.0"],
];

const GO: Order = &[
    &["v0.0.0-20190101000000-aaaaaaaaaaaa"],
    &["v0.0.0-20191109021931-daa7c04131f5"],
    &["v0.0.0"],
    &["v1.2.2"],
    &["v1.2.3-0.20200101000000-abcdefabcdef"],
    &["v1.2.3-pre"],
    &["v1.2.3-pre.0.20200101000000-abcdefabcdef"],
    &["1.2.3", "v1.2.3"],
    &["1.21.0-0"],
    &["go1.21beta1", "1.21.0-beta.1"],
    &["go1.21rc1", "1.21.0-rc.1"],
    &["go1.21rc2", "1.21.0-rc.2"],
    &["go1.21rc10"],
    &["go1.21", "1.21.0", "go1.21.0"],
    &["go1.21.3"],
    &["v2.0.0+incompatible", "v2.0.0"],
];

const NUGET: Order = &[
    &["1.0.0-alpha", "1.0.0-ALPHA"],
    &["1.0.0-Beta"],
    &["1.0.0-beta.2"],
    &["1.0.0", "1", "1.0", "1.0.0.0"],
    &["1.0.0.1"],
    &["1.0.0.10"],
    &["1.0.1"],
];

const PUB: Order = &[&["1.0.0-dev"], &["1.0.0"], &["1.0.0+1"], &["1.0.0+2"], &["1.0.0+10"], &["1.0.1"]];

const PEP440: Order = &[
    &["0.1.dev0", "0.1.dev"],
    &["0.1", "0.1.0", "v0.1", "0.1.0.0"],
    &["1.dev0"],
    &["1.0.dev456"],
    &["1.0a1.dev1"],
    &["1.0a1", "1.0.a1", "1.0-alpha1", "1.0_ALPHA.1", "1.0alpha01"],
    &["1.0a2.dev456"],
    &["1.0a12.dev456"],
    &["1.0a12"],
    &["1.0b1.dev456"],
    &["1.0b2"],
    &["1.0b2.post345.dev456"],
    &["1.0b2.post345"],
    &["1.0rc1.dev456"],
    &["1.0rc1", "1.0c1", "1.0pre1", "1.0-preview-1"],
    &["1.0", "1", "1.0.0"],
    &["1.0+abc.5"],
    &["1.0+abc.7", "1.0+ABC-7"],
    &["1.0+5"],
    &["1.0.post456.dev34"],
    &["1.0.post456", "1.0-456", "1.0.r456", "1.0rev456"],
    &["1.0.15"],
    &["1.1.dev1"],
    &["1.1"],
    &["2012.4"],
    &["1!0.1"],
    &["1!1.0"],
];

const DPKG: Order = &[
    &["0~~", "0:0~~"],
    &["0~~a"],
    &["0~"],
    &["0", "0-0", "00"],
    &["0a"],
    &["0.0"],
    &["1.0~beta1"],
    &["1.0~rc1"],
    &["1.0"],
    &["1.0-1~bpo11+1"],
    &["1.0-1"],
    &["1.0-1+b1"],
    &["1.0-1+deb12u1"],
    &["1.0-1+deb12u10"],
    &["1.0-1.1"],
    &["1.0-10"],
    &["1.0a"],
    &["1.0+dfsg-1"],
    &["1.0-alpha-1"],
    &["1.0.1"],
    &["1.2.3"],
    &["1.2.3+really1.2.2"],
    &["1.10"],
    &["7.88.1-10+deb12u4"],
    &["7.88.1-10+deb12u12"],
    &["20230311+deb12u1"],
    &["1:0.1"],
    &["1:1.0:2"],
    &["2:0"],
];

const RPM: Order = &[
    &["0~a"],
    &["0"],
    &["1.0~rc1-1"],
    &["1.0~rc2-1"],
    &["1.0"],
    &["1.0-1", "0:1.0-1", "1_0-1", "1.00-1"],
    &["1.0-1.el8"],
    &["1.0-1.el9"],
    &["1.0-1.el9_2"],
    &["1.0-1.el9_2.1"],
    &["1.0-2"],
    &["1.0-10"],
    &["1.0^git1-1"],
    &["1.0^20200101-1"],
    &["1.0a-1", "1.0.a-1"],
    &["1.0.1-1"],
    &["1.1-1"],
    &["2.5.1-1"],
    &["10xyz-1"],
    &["10.1xyz-1"],
    &["20101121-1"],
    &["1:0.1-1"],
];

const APK: Order = &[
    &["0.1_alpha"],
    &["0.1_alpha2"],
    &["0.1_beta"],
    &["0.1_pre1"],
    &["0.1_rc1"],
    &["0.1_rc1-r1"],
    &["0.1"],
    &["0.1-r1"],
    &["0.1_git20200101"],
    &["0.1_p1"],
    &["0.1_p1-r2"],
    &["0.1_p1_p1"],
    &["0.1a"],
    &["0.1b"],
    &["0.1.0"],
    &["0.1.1"],
    &["0.2"],
    &["1.0"],
    &["1.0.1~1234abc"],
    &["1.0.1~1234abd"],
    &["1.0.2-r0"],
    &["1.0.2-r1", "1.0.2-r01"],
    &["1.0.2-r10"],
    &["1.1"],
    &["1.36.1-r0"],
    &["3.1.4-r5"],
    &["3.1.4-r6"],
    &["8.2.0015"],
    &["8.2.002"],
    &["8.2.1"],
    &["8.2.15"],
    &["20191127-r5"],
];

const MAVEN: Order = &[
    &["1-alpha", "1.0-alpha", "1-ALPHA"],
    &["1-alpha2", "1-a2", "1.0.0-a2", "1-alpha-2"],
    &["1-alpha-123"],
    &["1-beta-2"],
    &["1-beta-123"],
    &["1-m2", "1-milestone-2"],
    &["1-m11"],
    &["1-rc", "1-cr"],
    &["1-rc2"],
    &["1-rc123"],
    &["1-SNAPSHOT", "1.0-snapshot"],
    &["1", "1.0", "1.0.0", "1-ga", "1.final", "1.0.RELEASE", "1-0", "1.0-0"],
    &["1-sp"],
    &["1-sp2"],
    &["1-abc"],
    &["1-def"],
    &["1-foo.2"],
    &["1-1-snapshot"],
    &["1-1", "1.0-1"],
    &["1-2"],
    &["1-123"],
    &["1.1-alpha"],
    &["1.1"],
    &["1.1-jre"],
    &["1.2"],
    &["1.10"],
    &["2.14.1"],
    &["2.15.0"],
    &["20231013"],
    &["99999999999999999999"],
];

const RUBYGEMS: Order = &[
    &["0.1.a"],
    &["0.1"],
    &["1.0.0.alpha"],
    &["1.0.0.beta1"],
    &["1.0.0.beta2"],
    &["1.0.0.beta10"],
    &["1.0.0.pre", "1.0.pre", "1.pre"],
    &["1.0.0.pre.1", "1.0.0-1"],
    &["1.0.0.rc1", "1.0.0.rc.1"],
    &["1.0.0", "1", "1.0"],
    &["1.0.1"],
    &["1.8.2.a10"],
    &["1.8.2"],
    &["1.13.1-java"],
    &["1.13.1"],
    &["1.13.10"],
    &["5.2.4.3"],
    &["5.2.10"],
];

const PACKAGIST: Order = &[
    &["1.0.0-dev", "1.0-dev"],
    &["1.0.0-alpha1", "1.0.0a1", "v1.0.0-alpha.1"],
    &["1.0.0-alpha2"],
    &["1.0.0-beta"],
    &["1.0.0-beta1-dev"],
    &["1.0.0-beta1", "1.0.0b1"],
    &["1.0.0-RC1", "1.0.0-rc1", "1.0.0RC1"],
    &["1.0.0-RC2"],
    &["1.0.0", "1", "1.0", "v1.0", "1.0.0.0", "1.0.0-stable", "1.0.0+meta"],
    &["1.0.0-p1", "1.0.0-patch1", "1.0.0-pl1"],
    &["1.0.1"],
    &["1.0.10"],
    &["1.2.3.4"],
    &["1.2.x-dev"],
    &["1.3"],
    &["5.4.20"],
];

const ORDERS: [(Scheme, Order); 11] = [
    (Scheme::SemVer, SEMVER),
    (Scheme::Go, GO),
    (Scheme::NuGet, NUGET),
    (Scheme::Pub, PUB),
    (Scheme::Pep440, PEP440),
    (Scheme::Dpkg, DPKG),
    (Scheme::Rpm, RPM),
    (Scheme::Apk, APK),
    (Scheme::Maven, MAVEN),
    (Scheme::RubyGems, RUBYGEMS),
    (Scheme::Packagist, PACKAGIST),
];

/// Every pair of a table with the order that the table gives it.
fn pairs(order: Order) -> Vec<(&'static str, &'static str, Ordering)> {
    let flat: Vec<_> = order
        .iter()
        .enumerate()
        .flat_map(|(rank, equal)| equal.iter().map(move |text| (rank, *text)))
        .collect();
    let every = |(a, x): &(usize, &'static str)| {
        let (a, x) = (*a, *x);
        flat.iter().map(move |(b, y)| (x, *y, a.cmp(b))).collect::<Vec<_>>()
    };
    flat.iter().flat_map(every).collect()
}

#[test]
fn known_orders_hold_for_every_pair() {
    for (scheme, order) in ORDERS {
        for (a, b, expected) in pairs(order) {
            assert_eq!(scheme.compare(a, b), Some(expected), "{}: {a} and {b}", scheme.name());
        }
    }
}

#[test]
fn what_is_no_version_has_no_order() {
    let long = format!("1.{}", "0".repeat(600));
    for (scheme, texts) in [
        (
            Scheme::SemVer,
            &["1.2.3.4", "1.2.x", "latest", "1.2.3-", "1.2.3+", "1..2", "1.2.3-a..b", "-1", "1.2.3 4"][..],
        ),
        (Scheme::Go, &["(devel)", "go", "v", "gotip", "go1.21rc", "1.2.3beta"]),
        (Scheme::NuGet, &["1.2.3.4.5", "a"]),
        (Scheme::Pub, &["1.0.0+"]),
        (
            Scheme::Pep440,
            &["2004d", "1.0-foo", "1.0+", "1.0+a+b", "!1", "1.0..1", "french toast", "1.0.dev1.post1"],
        ),
        (Scheme::Dpkg, &["a1", "1:", ":1", "x:1", "1-", "1_2", "1 2", "1.0-1:2"]),
        (Scheme::Rpm, &["-1", "a:1-1", "1-", "1 2-1", "~"]),
        (Scheme::Apk, &["a", "1.", "1.0-1", "1.0_foo", "1.0-r", "1.0a1", "1.0~", "1.0-r1_p1", "1.0_p1b"]),
        (Scheme::Maven, &["a b"]),
        (Scheme::RubyGems, &["a", "1..2", "1.0+1", "1_0"]),
        (Scheme::Packagist, &["dev-main", "1.0.x", "1.0.0-foo", "master"]),
    ] {
        for text in texts.iter().copied().chain(["", "  ", "\u{661}", &long]) {
            assert!(scheme.parse(text).is_none(), "{} took {text:?} for a version", scheme.name());
        }
    }
}

#[test]
fn a_bound_without_local_label_or_release_is_for_all_of_them() {
    for (scheme, version, bound, expected) in [
        (Scheme::Pep440, "2.0.0+cpu", "2.0.0", Ordering::Equal),
        (Scheme::Pep440, "2.0.0+cpu", "2.0.0+cu118", Ordering::Less),
        (Scheme::Pep440, "2.0.1+cpu", "2.0.0", Ordering::Greater),
        (Scheme::Rpm, "1.0-3.el9", "1.0", Ordering::Equal),
        (Scheme::Rpm, "1:1.0-3.el9", "1.0", Ordering::Greater),
        (Scheme::Rpm, "1.0-3.el9", "1.0-4", Ordering::Less),
    ] {
        let order = scheme.parse(version).zip(scheme.parse(bound)).map(|(a, b)| a.compare_to_bound(&b));
        assert_eq!(order, Some(expected), "{version} and {bound}");
    }
}

/// Texts put together at random from the pieces that versions are made of.
fn invented(scheme: Scheme, pieces: &[&str], count: usize) -> Vec<(String, String)> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % below
    };
    let mut text = move || {
        let mut text = String::new();
        for _ in 0..=next(6) {
            text.push_str(pieces[next(pieces.len())]);
        }
        text
    };
    let usable = |(a, b): &(String, String)| scheme.parse(a).is_some() && scheme.parse(b).is_some();
    std::iter::repeat_with(|| (text(), text())).take(count * 400).filter(usable).take(count).collect()
}

/// Whatever is sorted or searched by it needs an order: the same from both
/// sides, and no circles.
#[test]
fn every_scheme_is_an_order() {
    let pieces = [
        "0", "1", "2", "10", "01", ".", ".", "-", "_", "+", "~", "^", "a", "b1", "rc", "post", "dev", "pre",
        "p", "x", "-r1", ":", "v", "SNAPSHOT", "!",
    ];
    for (scheme, order) in ORDERS {
        let known = order.iter().flat_map(|equal| equal.iter().map(|text| (*text).to_owned()));
        let invented = invented(scheme, &pieces, 60).into_iter().flat_map(|(a, b)| [a, b]);
        let texts: Vec<String> = known.chain(invented).collect();
        let versions: Vec<_> =
            texts.iter().map(|text| scheme.parse(text).unwrap_or_else(|| panic!("{text}"))).collect();
        let orders: Vec<Vec<Ordering>> =
            versions.iter().map(|a| versions.iter().map(|b| a.compare(b)).collect()).collect();
        let all = 0..versions.len();
        for a in all.clone() {
            assert_eq!(orders[a][a], Ordering::Equal, "{}: {}", scheme.name(), texts[a]);
            for b in all.clone() {
                let both = format!("{}: {} and {}", scheme.name(), texts[a], texts[b]);
                assert_eq!(orders[a][b], orders[b][a].reverse(), "{both}");
                let circle = all
                    .clone()
                    .find(|&c| orders[a][b].is_le() && orders[b][c].is_le() && orders[a][c].is_gt());
                assert_eq!(circle.map(|c| &texts[c]), None, "{both}");
            }
        }
    }
}

/// The table's pairs and the invented ones, in the words of `<`, `=`, `>`.
fn questions(scheme: Scheme, pieces: &[&str], invented_pairs: usize) -> Vec<(String, String, char)> {
    let table =
        ORDERS.iter().find(|(known, _)| *known == scheme).map(|(_, order)| pairs(order)).unwrap_or_default();
    let known = table.into_iter().map(|(a, b, _)| (a.to_owned(), b.to_owned()));
    let all = known.chain(invented(scheme, pieces, invented_pairs));
    all.map(|(a, b)| {
        let sign = match scheme.compare(&a, &b).unwrap_or_else(|| panic!("{a} or {b} is no version")) {
            Ordering::Less => '<',
            Ordering::Equal => '=',
            Ordering::Greater => '>',
        };
        (a, b, sign)
    })
    .collect()
}

/// Runs a program that reads pairs, one a line, and answers each with a sign.
fn ask(command: &mut std::process::Command, questions: &[(String, String, char)]) {
    use std::io::{Seek as _, Write as _};
    let text = questions.iter().fold(String::new(), |mut text, (a, b, _)| {
        let _ = writeln!(text, "{a} {b}");
        text
    });
    let mut input = tempfile::tempfile().expect("a temporary file can be made");
    input.write_all(text.as_bytes()).and_then(|()| input.rewind()).expect("a temporary file is writable");
    let output = command.stdin(input).output().expect("the tool can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<_> = answers.split_whitespace().collect();
    assert_eq!(answers.len(), questions.len(), "one answer for each question");
    let wrong: Vec<_> = questions
        .iter()
        .zip(answers)
        .filter(|((_, _, ours), theirs)| **theirs != *ours.to_string())
        .map(|((a, b, ours), theirs)| format!("{a} {theirs} {b}, not {ours}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), questions.len(), &wrong[..wrong.len().min(20)]);
}

#[test]
fn dpkg_agrees() {
    let Some(peers) = peer::require(&["perl", "dpkg"]) else { return };
    let pieces = ["0", "1", "2", "10", "01", ".", "-", "+", "~", "a", "rc", "deb12u", "1:", "0:"];
    // dpkg itself takes one pair a process; its Perl library has the same rules.
    let program = "use Dpkg::Version; while (<STDIN>) { my ($a, $b) = split; my $c = version_compare($a, $b); \
                   print $c < 0 ? '<' : $c > 0 ? '>' : '=', \"\\n\"; }";
    let has_library =
        peers.command("perl").args(["-MDpkg::Version", "-e", "1"]).output().is_ok_and(|o| o.status.success());
    if peer::need("Dpkg::Version (libdpkg-perl)", has_library.then_some(())).is_some() {
        ask(peers.command("perl").args(["-e", program]), &questions(Scheme::Dpkg, &pieces, 4000));
    }
    for (a, b, sign) in questions(Scheme::Dpkg, &pieces, 100).into_iter().rev().take(100) {
        let operator = match sign {
            '<' => "lt",
            '=' => "eq",
            _ => "gt",
        };
        let status = peers.command("dpkg").args(["--compare-versions", &a, operator, &b]).status();
        assert!(status.is_ok_and(|status| status.success()), "{a} {sign} {b}");
    }
}

#[test]
fn rpm_agrees() {
    let Some(peers) = peer::require(&["rpm"]) else { return };
    let pieces = ["0", "1", "2", "10", "01", ".", "_", "~", "^", "a", "b", "el9", "+"];
    let program = "for line in io.lines() do local a, b = line:match('([^ ]+) ([^ ]+)'); \
                   local c = rpm.vercmp(a, b); print((c < 0 and '<' or c > 0 and '>' or '=') .. ' ') end";
    let questions: Vec<_> = questions(Scheme::Rpm, &pieces, 4000)
        .into_iter()
        .filter(|(a, b, _)| !a.contains([':', '-']) && !b.contains([':', '-']))
        .collect();
    ask(peers.command("rpm").args(["--eval", &format!("%{{lua:{program}}}")]), &questions);
}

#[test]
fn packaging_agrees() {
    let Some(peers) = peer::require(&["python3"]) else { return };
    let present = peers.command("python3").args(["-c", "import packaging.version"]).output();
    if peer::need("Python's packaging", present.ok().filter(|output| output.status.success())).is_none() {
        return;
    }
    let pieces = [
        "0", "1", "2", "10", ".", ".", "-", "_", "a", "b1", "rc", "post", "dev", "r2", "1!", "+", "+l.1", "v",
    ];
    let program = "import sys\nfrom packaging.version import Version as V\nfor l in sys.stdin:\n a,b=map(V,l.split())\n \
                   print('<' if a<b else '>' if a>b else '=')";
    ask(peers.command("python3").args(["-c", program]), &questions(Scheme::Pep440, &pieces, 8000));
}

#[test]
fn npm_semver_agrees() {
    let Some(peers) = peer::require(&["node"]) else { return };
    let found = peers
        .command("node")
        .args(["-e", "const p=require('path'),b=p.dirname(process.execPath);for(const d of \
               ['../lib/node_modules/npm/node_modules/semver','../share/nodejs/semver','../share/nodejs/npm/node_modules/semver'])\
               {try{require(p.join(b,d));console.log(p.join(b,d));break}catch(e){}}"])
        .output();
    let path = found.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Some(path) = peer::need("npm's semver", path.filter(|path| !path.is_empty())) else { return };
    let pieces = ["1.2.3", "1.2.0", "0.0.1", "-", "a", "1", "10", ".", "rc", "+b", "-0"];
    let program = "const s=require(process.argv[1]);require('fs').readFileSync(0,'utf8').trim().split('\\n').forEach(l=>\
                   {const [a,b]=l.split(' ');console.log('<=>'[s.compare(a,b)+1])})";
    let whole = |text: &str| {
        text.trim_start_matches('v')
            .split(['-', '+'])
            .next()
            .is_some_and(|core| core.matches('.').count() == 2)
    };
    let questions: Vec<_> = questions(Scheme::SemVer, &pieces, 4000)
        .into_iter()
        // npm reads no numbers beyond 2^53 and no leading zeros.
        .filter(|(a, b, _)| {
            !a.starts_with('=')
                && !b.starts_with('=')
                && whole(a)
                && whole(b)
                && a.len() < 20
                && b.len() < 20
                && ![a, b].iter().any(|t| leading_zero(t))
        })
        .collect();
    assert!(questions.len() > 1000, "{}", questions.len());
    ask(peers.command("node").args(["-e", program, &path]), &questions);
}

fn leading_zero(text: &str) -> bool {
    text.split(['.', '-', '+']).any(|part| part.len() > 1 && part.starts_with('0') && super::is_number(part))
}

#[test]
fn maven_agrees() {
    let Some(peers) = peer::require(&["java"]) else { return };
    let jar = [
        "/usr/share/java/maven-artifact.jar",
        "/usr/share/java/maven3-artifact.jar",
        "/usr/share/maven/lib/maven-artifact-3.x.jar",
    ]
    .into_iter()
    .find(|path| std::path::Path::new(path).exists());
    let Some(jar) = peer::need("maven-artifact.jar (libmaven3-core-java)", jar) else { return };
    let class_path = format!("{jar}:/usr/share/java/commons-lang3.jar");
    let versions: Vec<_> = MAVEN.iter().map(|equal| equal[0]).collect();
    let mut java = peers.command("java");
    java.args(["-cp", &class_path, "org.apache.maven.artifact.versioning.ComparableVersion"]).args(&versions);
    let output = java.output().expect("java can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    // It compares each with the one before: `   1-alpha < 1-alpha2`.
    let signs = text.lines().filter(|line| line.starts_with(' ')).collect::<Vec<_>>();
    assert_eq!(signs.len(), versions.len() - 1, "{text}");
    assert!(signs.iter().all(|line| line.contains(" < ")), "{text}");
}

#[test]
fn ruby_agrees() {
    let Some(peers) = peer::require(&["ruby"]) else { return };
    let pieces = ["0", "1", "2", "10", ".", ".", "a", "rc", "pre", "-", "b1"];
    let program =
        "STDIN.each_line { |l| a, b = l.split.map { |v| Gem::Version.new(v) }; puts '<=>'[(a <=> b) + 1] }";
    ask(
        peers.command("ruby").args(["-rrubygems", "-e", program]),
        &questions(Scheme::RubyGems, &pieces, 4000),
    );
}
