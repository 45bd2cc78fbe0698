//! The "may use" column of ARCHITECTURE.md, and a few rules that no lint knows.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module and the modules of ours that it may use beside itself; `config` types of others are
/// written `module::config`.
const RULES: [(&str, &[&str]); 21] = [
    ("metric", &[]),
    ("net", &[]),
    ("netbackup", &["net"]),
    ("jobs", &["netbackup::wire", "metric"]),
    ("slp", &["metric"]),
    ("night", &[]),
    ("forecast", &["night"]),
    ("collectors", &["netbackup", "jobs", "slp", "forecast", "night", "metric", "state"]),
    ("snapshot", &["metric"]),
    ("state", &[]),
    (
        "poller",
        &["collectors", "netbackup", "slp", "snapshot", "metric", "state", "telemetry", "tenure"],
    ),
    ("telemetry", &["metric", "snapshot", "net", "state", "reload", "election", "tenure"]),
    ("catalog", &["collectors", "poller", "telemetry", "metric"]),
    (
        "config",
        &[
            "catalog",
            "collectors",
            "election",
            "http",
            "log",
            "metric",
            "net",
            "netbackup",
            "poller",
            "sharding",
            "state",
            "telemetry",
        ],
    ),
    ("log", &[]),
    ("process", &["net"]),
    ("reload", &[]),
    ("sharding", &[]),
    ("tenure", &[]),
    ("election", &["net", "tenure"]),
    ("http", &["snapshot", "telemetry", "process", "reload", "net", "tenure"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(below) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> impl Iterator<Item = PathBuf> {
    ["src", "crates", "tests", "benches"]
        .into_iter()
        .flat_map(|folder| sources(&root().join(folder)))
}

fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix(root().join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The paths after `crate::` in the code of a file, without its unit tests and comments.
fn uses(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            if let Some(group) = rest.strip_prefix('{') {
                let names = group.split(['}', ';']).next().unwrap_or_default();
                found.extend(names.split(',').map(|name| name.trim().to_owned()));
            } else {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
                found.push(rest[..end.unwrap_or(rest.len())].to_owned());
            }
        }
    }
    found
}

#[test]
fn modules_use_what_the_architecture_allows() {
    let mut seen = 0;
    for path in sources(&root().join("src")) {
        let module = module_of(&path);
        let Some((_, allowed)) = RULES.iter().find(|(name, _)| *name == module) else { continue };
        for used in uses(&fs::read_to_string(&path).unwrap()) {
            seen += 1;
            let first = used.split("::").next().unwrap_or_default();
            let fine = first == module
                || allowed
                    .iter()
                    .any(|rule| used == *rule || used.starts_with(&format!("{rule}::")))
                || (used.is_empty());
            assert!(
                fine,
                "{} uses crate::{used}; ARCHITECTURE.md does not allow it",
                path.display()
            );
        }
    }
    assert!(seen > 50, "the test found only {seen} imports: it reads the wrong place");
}

#[test]
fn simulator_and_sink_never_import_the_agent() {
    for folder in ["crates/nbu-sim", "crates/otlp-sink"] {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(!manifest.contains("nbu-otel-agent"), "{folder}");
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains("nbu_otel_agent"), "{}", path.display());
        }
    }
}

#[test]
fn binary_does_not_contain_the_dashboard_writer() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (binary, tests) = manifest.split_once("\n[dev-dependencies]").unwrap();
    assert!(!binary.contains("\ndashboards ") && tests.contains("\ndashboards "));
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["src", "crates", "tests", "benches"] {
        for path in sources(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} has no head comment", path.display());
        }
    }
}

/// The first line of each run of doc comment lines, with its number and without its mark.
fn doc_heads(text: &str) -> Vec<(usize, &str)> {
    let doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let heads = (0..lines.len()).filter(|at| doc(lines[*at]) && (*at == 0 || !doc(lines[at - 1])));
    heads.map(|at| (at + 1, lines[at][3..].trim_start())).collect()
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    const UNFIT: [&str; 7] = ["What", "Whether", "How", "Where", "When", "Who", "One"];
    let mut found = 0;
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        for (number, head) in doc_heads(&text) {
            found += 1;
            let first = head.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            let fine = !UNFIT.contains(&first);
            assert!(fine, "{}:{number} begins with \"{first}\"", path.display());
        }
    }
    assert!(found > 500, "the test found only {found} comments: it reads the wrong place");
}

#[test]
fn test_names_are_short_and_begin_with_their_subject() {
    const UNFIT: [&str; 12] = [
        "a", "an", "the", "it", "its", "one", "what", "whatever", "whether", "how", "where", "when",
    ];
    let mut found = 0;
    for path in all_sources() {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if !(line == "#[test]" || line.starts_with("#[tokio::test")) {
                continue;
            }
            let head = lines.find_map(|line| line.trim_start_matches("async ").strip_prefix("fn "));
            let name = head.unwrap_or_default().split('(').next().unwrap_or_default();
            let words: Vec<&str> = name.split('_').collect();
            found += 1;
            let fine = words.len() <= 10 && !UNFIT.contains(&words[0]);
            assert!(fine, "{}: rename {name}: subject, condition, result", path.display());
        }
    }
    assert!(found > 500, "the test found only {found} tests: it reads the wrong place");
}

#[test]
fn main_stays_a_few_lines() {
    let lines = fs::read_to_string(root().join("src/main.rs")).unwrap().lines().count();
    assert!(lines <= 60, "src/main.rs has {lines} lines");
}

#[test]
fn documented_paths_exist() {
    for document in ["ARCHITECTURE.md", "docs/netbackup-api.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let mut found = 0;
        for quoted in text.split('`').skip(1).step_by(2) {
            if ["src/", "crates/", "tests/"].iter().any(|folder| quoted.starts_with(folder)) {
                found += 1;
                assert!(root().join(quoted).exists(), "{document} names {quoted}");
            }
        }
        assert!(found > 10);
    }
}

/// The pages that people read.
fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    for folder in ["docs", "docs/adr"] {
        documents.extend(fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path()));
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents
}

#[test]
fn links_in_documents_resolve() {
    let mut found = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            found += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{} links to {link}", document.display());
            let fine = anchor.is_empty() || anchors(&target).contains(anchor);
            assert!(fine, "{} links to {link}", document.display());
        }
    }
    assert!(found > 3);
}

/// The headings of a document, as the anchors of links spell them.
fn anchors(document: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(document).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let letters = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = letters.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    headings.map(slug).collect()
}

/// The documents that a text names, each with the anchor after it.
fn named_documents(text: &str) -> Vec<(String, String)> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_');
    let mut found = Vec::new();
    for (at, _) in text.match_indices(".md") {
        let path = text[..at].rsplit(|c| !is_path(c)).next().unwrap_or_default();
        let rest = &text[at + ".md".len()..];
        let anchor = rest.strip_prefix('#').unwrap_or_default();
        let anchor = anchor.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap();
        if path.contains(|c: char| c.is_alphanumeric()) && !rest.starts_with(char::is_alphanumeric)
        {
            found.push((format!("{}.md", path.trim_start_matches('/')), anchor.to_owned()));
        }
    }
    found
}

/// The numbers after each `word` in a text, with what stands before it.
fn numbered<'t>(text: &'t str, word: &str) -> Vec<(&'t str, usize)> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let found = text.match_indices(word);
    found.filter_map(|(at, _)| Some((&text[..at], number(&text[at + word.len()..])?))).collect()
}

/// A file without its line breaks and comment marks, so that a citation may be wrapped.
fn unwrapped(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let bare = text.lines().map(|line| line.trim().trim_start_matches(['/', '!', '#']).trim());
    bare.collect::<Vec<_>>().join(" ")
}

#[test]
fn citation_of_a_document_leads_to_it() {
    let folders = ["src", "crates", "tests", "benches"];
    let files: Vec<PathBuf> = folders.iter().flat_map(|at| sources(&root().join(at))).collect();
    let decisions: Vec<String> = fs::read_dir(root().join("docs/adr"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut found = 0;
    for path in files.iter().chain(&documents()) {
        let (text, place) = (unwrapped(path), path.display());
        let (beside, is_code) = (path.parent().unwrap(), path.extension().unwrap() == "rs");
        for (name, anchor) in named_documents(&text) {
            let candidates = [root().join(&name), beside.join(&name)];
            let target = candidates.iter().find(|target| target.is_file());
            let target = target.unwrap_or_else(|| panic!("{place} cites {name}"));
            found += 1;
            let fine = anchor.is_empty() || anchors(target).contains(&anchor);
            assert!(fine, "{place} cites {name}#{anchor}");
        }
        for (_, number) in numbered(&text, "ADR ") {
            let prefix = format!("{number:04}-");
            assert!(
                decisions.iter().any(|name| name.starts_with(&prefix)),
                "{place}: ADR {number}"
            );
        }
        for (before, number) in numbered(&text, "invariant ").into_iter().filter(|_| is_code) {
            assert!(before.ends_with("ARCHITECTURE.md, "), "{place}: invariant {number} of what?");
        }
        for (before, number) in numbered(&text, "section ") {
            let of_what = before.rsplit('(').next().unwrap_or_default();
            assert!(of_what.contains("RFC"), "{place}: section {number} of what?");
        }
    }
    assert!(found > 50, "the test found only {found} citations: it reads the wrong place");
}

#[test]
fn glossary_names_exist_in_the_code() {
    let files = sources(&root().join("src"));
    let code: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let text = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| term"));
    let mut found = 0;
    for row in rows {
        let place = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for name in place.split('`').skip(1).step_by(2) {
            found += 1;
            let known = if name.contains('/') {
                root().join(name).exists()
            } else {
                name.split("::").all(|word| words.contains(word))
            };
            assert!(known, "docs/glossary.md names {name}");
        }
    }
    assert!(found > 40, "the test found only {found} names: it reads the wrong place");
}
