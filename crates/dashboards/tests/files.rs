//! The files in the tree are what the program writes, and lead where they say.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dashboards::rules;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn files_in_the_tree_are_current() {
    let files = dashboards::files().unwrap_or_else(|problems| panic!("{}", problems.join("\n")));
    for file in &files {
        assert!(
            text(&file.path) == file.text,
            "{} is not what the source says: run `cargo run -p dashboards`",
            file.path
        );
    }
    let written: BTreeSet<String> = files.into_iter().map(|file| file.path).collect();
    for folder in [
        "grafana/dashboards",
        "prometheus/rules",
        "helm/nbu-otel-agent/dashboards",
        "helm/nbu-otel-agent/rules",
    ] {
        let folder = format!("deploy/{folder}");
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let path = format!("{folder}/{}", entry.expect("an entry").file_name().display());
            assert!(written.contains(&path), "{path} is written by nobody");
        }
    }
}

/// The anchors that GitHub gives to the headings of a document.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
        })
        .collect()
}

#[test]
fn every_alert_has_its_heading_in_the_runbook() {
    let document = text("docs/runbook.md");
    let known = anchors(&document);
    let names: BTreeSet<String> = rules::alerts().iter().map(rules::Alert::anchor).collect();
    for name in &names {
        assert!(known.contains(name), "docs/runbook.md has no heading {name}");
    }
    for anchor in known.iter().filter(|anchor| anchor.starts_with("netbackup")) {
        assert!(names.contains(anchor), "docs/runbook.md explains {anchor}, which is no alert");
    }
}

/// `promtool test rules` runs them; this holds that each alert is among them, firing and silent.
#[test]
fn alerts_have_a_firing_and_a_silent_test() {
    let mut tests = String::new();
    for entry in fs::read_dir(root().join("deploy/prometheus/tests")).expect("a folder") {
        tests += &fs::read_to_string(entry.expect("an entry").path()).expect("a file");
    }
    for alert in rules::alerts() {
        let mut found = (false, false);
        let mark = format!("alertname=\"{}\"", alert.name);
        for case in tests.split("- expr:").filter(|case| case.contains(&mark)) {
            if case.contains("exp_samples: []") {
                found.1 = true;
            } else {
                found.0 = case.contains("value: 1");
            }
        }
        assert_eq!(found, (true, true), "{}: (fires, is silent)", alert.name);
    }
}

#[test]
fn every_expression_is_exercised() {
    let exercises = dashboards::exercises();
    let panels: usize = dashboards::boards::all().iter().map(|board| board.panels().count()).sum();
    assert!(exercises.len() > panels + rules::alerts().len() + rules::RECORDED.len());
}
