//! Tests of the shipped files: third-party licences, the crates in the binary, its SBOM.
//!
//! Tests of what was built read the directory of `NBU_SHIPPED`, which `.ci/ship` and `.ci/sbom` filled.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The targets of the image.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

/// Returns the crates of others that packages as shipped consist of, each as `name version`, by these edges of Cargo's
/// tree.
fn crates(packages: &[&str], targets: &[&str], edges: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for target in targets {
        let mut tree = Command::new(env!("CARGO"));
        tree.current_dir(root()).args(["tree", "--locked", "--edges", edges, "--prefix", "none"]);
        tree.args(["--no-default-features", "--format", "{p}", "--target", target]);
        // Of the agent alone: the simulator has none.
        if packages.contains(&"nbu-otel-agent") {
            tree.args(["--features", "kubernetes"]);
        }
        tree.args(packages.iter().flat_map(|package| ["--package", package]));
        let text = String::from_utf8(output(&mut tree)).expect("text");
        // Ours have a path.
        let theirs = text.lines().filter(|line| !line.contains("(/"));
        found.extend(theirs.filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some(format!("{name} {}", rest.split(' ').next()?))
        }));
    }
    assert!(found.len() > 50, "{} crates", found.len());
    found
}

fn difference(one: &BTreeSet<String>, other: &BTreeSet<String>) -> Vec<String> {
    one.difference(other).cloned().collect()
}

#[test]
fn third_party_licences_name_every_crate_that_is_shipped() {
    let file = text("THIRD-PARTY-LICENSES");
    let entry = |line: &str| {
        let mut words = line.strip_prefix("  - ")?.split(' ');
        let (name, version) = (words.next()?, words.next()?);
        let is_version = version.starts_with(|first: char| first.is_ascii_digit());
        is_version.then(|| format!("{name} {version}"))
    };
    let named: BTreeSet<String> = file.lines().filter_map(entry).collect();
    let shipped = crates(&["nbu-otel-agent", "nbu-sim"], &TARGETS, "normal");
    let (lacks, beyond) = (difference(&shipped, &named), difference(&named, &shipped));
    assert!(
        lacks.is_empty() && beyond.is_empty(),
        "out of date, run .ci/licenses: it lacks {lacks:?} and has {beyond:?}"
    );
}

#[test]
fn image_carries_its_licences() {
    let dockerfile = text("Dockerfile");
    let ignore = text(".dockerignore");
    for file in ["LICENSE", "THIRD-PARTY-LICENSES"] {
        assert!(
            ignore.lines().any(|line| line == format!("!{file}")),
            "{file} is not in the context"
        );
        assert!(
            dockerfile.contains(&format!("cp {file} "))
                || dockerfile.contains(&format!(" {file} ")),
            "{file}"
        );
    }
    assert!(dockerfile.contains("/usr/share/doc/nbu-otel-agent/"), "no place for them");
}

#[test]
fn base_image_has_the_toolchain_of_the_release() {
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.expect("a channel").trim_matches('"');
    let dockerfile = text("Dockerfile");
    let image = dockerfile.lines().find_map(|line| line.strip_prefix("ARG RUST_IMAGE=rust:"));
    let (version, _) = image.expect("an image").split_once('-').expect("a distribution");
    assert!(
        channel == version || channel.starts_with(&format!("{version}.")),
        "{channel}, {version}"
    );
}

#[test]
fn release_runs_our_scripts_and_no_action_of_others() {
    let workflow = text(".github/workflows/release.yml");
    assert!(!workflow.contains("uses:"), "an action must be pinned by a digest that was looked up");
    let scripts = workflow.split_whitespace().filter(|word| word.starts_with(".ci/"));
    let scripts: BTreeSet<&str> = scripts.collect();
    let missing: Vec<_> = scripts.iter().filter(|script| !root().join(script).is_file()).collect();
    assert!(missing.is_empty() && scripts.len() >= 4, "{scripts:?} lack {missing:?}");
    assert!(workflow.contains(".ci/advisories --required"), "a release needs the advisories");
}

/// Runs a script of `.ci` that must succeed; its standard output.
fn script(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(root().join(".ci").join(name));
    command.args(arguments).envs(variables.iter().copied());
    String::from_utf8(output(&mut command)).expect("text")
}

#[test]
fn notes_of_a_release_are_its_section_of_the_changelog() {
    let notes = script("changelog", &["Unreleased"], &[]);
    let changelog = text("CHANGELOG.md");
    let section = changelog.split("\n## ").find(|it| it.starts_with("Unreleased\n"));
    let section = section.expect("a section").trim_start_matches("Unreleased").trim();
    assert_eq!(notes.trim_end(), section);
    let mut unknown = Command::new(root().join(".ci/changelog"));
    let refused = unknown.arg("99.0.0").output().expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("no section ## 99.0.0") && said.contains("Unreleased"), "{said}");
}

#[test]
fn provenance_names_commit_workflow_and_base_images() {
    let folder = tempfile::tempdir().expect("a directory");
    let images = folder.path().join("base-images.txt");
    let digest = "0123456789abcdef".repeat(4);
    fs::write(&images, format!("RUST_IMAGE=rust:1.95@sha256:{digest}\n")).expect("it is written");
    let variables = [
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "owner/name"),
        ("GITHUB_REF", "refs/tags/v1.2.3"),
        ("GITHUB_SHA", "f00d"),
        ("GITHUB_WORKFLOW_REF", "owner/name/.github/workflows/release.yml@refs/tags/v1.2.3"),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("RUNNER_ENVIRONMENT", "github-hosted"),
    ];
    let images = images.to_str().expect("a path");
    let predicate: Value =
        serde_json::from_str(&script("provenance", &[images], &variables)).expect("JSON");
    let definition = &predicate["buildDefinition"];
    let workflow = &definition["externalParameters"]["workflow"];
    assert_eq!(workflow["path"], ".github/workflows/release.yml");
    assert_eq!(workflow["repository"], "https://github.com/owner/name");
    let dependencies = &definition["resolvedDependencies"];
    assert_eq!(dependencies[0]["digest"]["gitCommit"], "f00d");
    assert_eq!(dependencies[1]["digest"]["sha256"], digest.as_str());
    let run = "https://github.com/owner/name/actions/runs/7/attempts/1";
    assert_eq!(predicate["runDetails"]["metadata"]["invocationId"], run);
    // A line that names no digest must not be left out unseen.
    fs::write(images, "RUST_IMAGE=rust:1.95\n").expect("it is written");
    let mut command = Command::new(root().join(".ci/provenance"));
    let refused = command.arg(images).envs(variables).output().expect("it runs");
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

fn shipped(file: &str) -> PathBuf {
    let directory =
        std::env::var_os("NBU_SHIPPED").expect("NBU_SHIPPED names the directory of .ci/ship");
    // A test runs in the directory of its package.
    root().join(directory).join(file)
}

/// Returns the crates whose code is in the agent as shipped: macros leave none.
fn linked() -> BTreeSet<String> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    crates(&["nbu-otel-agent"], &[&host], "normal,no-proc-macro")
}

fn named(package: &Value) -> String {
    let field = |name: &str| package[name].as_str().expect("a text");
    format!("{} {}", field("name"), field("version"))
}

#[test]
#[ignore = "needs what .ci/ship built: .ci/sbom"]
fn shipped_binary_lists_its_crates() {
    let directory = tempfile::tempdir().expect("a directory");
    let section = directory.path().join("section");
    let mut objcopy = Command::new("objcopy");
    let dump = format!(".dep-v0={}", section.display());
    output(objcopy.args(["--dump-section", &dump]).arg(shipped("nbu-otel-agent")).arg("/dev/null"));
    let bytes = fs::read(&section).expect("a section .dep-v0");
    let mut json = String::new();
    flate2::read::ZlibDecoder::new(&bytes[..]).read_to_string(&mut json).expect("it is packed");
    let list: Value = serde_json::from_str(&json).expect("JSON");
    let packages = list["packages"].as_array().expect("packages");
    let lacks = difference(&linked(), &packages.iter().map(named).collect());
    assert!(lacks.is_empty(), "{lacks:?}");
    let ours: Vec<_> = packages.iter().filter(|package| package["source"] == "local").collect();
    assert_eq!(ours.len(), 1, "it was built with the demo: {ours:?}");
}

#[test]
#[ignore = "needs what .ci/sbom wrote: .ci/sbom"]
fn sboms_name_the_crates_in_the_binary() {
    for file in ["nbu-otel-agent.cdx.json", "image.cdx.json"] {
        let text =
            fs::read_to_string(shipped(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let sbom: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(sbom["bomFormat"], "CycloneDX", "{file}");
        let components = sbom["components"].as_array().expect("components");
        let lacks = difference(&linked(), &components.iter().map(named).collect());
        assert!(lacks.is_empty(), "{file} lacks {lacks:?}");
        let is_crate = |component: &&Value| {
            component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"))
        };
        for component in components.iter().filter(is_crate) {
            let hash = component["hashes"][0]["content"].as_str();
            assert_eq!(hash.map(str::len), Some(64), "{file}: {component}");
        }
    }
}

#[test]
#[ignore = "needs what .ci/ship built: .ci/sbom"]
fn shipped_binaries_name_no_path_of_their_builder() {
    let home = std::env::var("HOME").expect("a home");
    for binary in ["nbu-otel-agent", "nbu-sim"] {
        let bytes = fs::read(shipped(binary)).expect("a binary");
        let contains =
            |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for path in [
            root().to_str().expect("a path"),
            &format!("{home}/.cargo"),
            &format!("{home}/.rustup"),
        ] {
            assert!(!contains(path), "{binary} names {path}");
        }
        assert!(contains("/src/"), "{binary} has lost the names of its files");
    }
}
