//! Fuzz targets of the configuration and of `.env`.

#![allow(clippy::panic, reason = "a fuzz target may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::yaml::dotenv::Variables;
use super::{Diagnostic, effective, from_text};

/// Value of the variable `SECRET`, which no message may show.
const SECRET: &str = "Zx9SECRETzX";

/// Loads a configuration. Lines of `NAME=value` before a NUL are its environment. One that is accepted is printed and
/// loads again as the same; one that is rejected names the places of its faults, and shows no value.
pub(crate) fn configuration(data: &[u8]) {
    let Ok(input) = std::str::from_utf8(data) else { return };
    let (lines, text) = input.split_once('\0').unwrap_or(("", input));
    let mut variables: BTreeMap<&str, &str> =
        lines.lines().filter_map(|line| line.split_once('=')).collect();
    variables.insert("SECRET", SECRET);
    let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let origin = Path::new("/nowhere/config.yaml");
    let diagnostics = match from_text(text, origin, &environment) {
        Ok(loaded) => {
            let shown = effective(&loaded.config);
            let again = from_text(&shown, origin, &|_: &str| None);
            let again = again.unwrap_or_else(|errors| panic!("{errors}\n{shown}"));
            assert_eq!(effective(&again.config), shown);
            loaded.warnings
        }
        Err(errors) => {
            assert!(!errors.diagnostics.is_empty());
            errors.diagnostics
        }
    };
    let lines = 1 + text.matches(['\n', '\r']).count();
    for diagnostic in &diagnostics {
        assert_names_its_place(diagnostic, lines);
        if !input.contains(SECRET) {
            assert!(!diagnostic.to_string().contains(SECRET), "{diagnostic}");
        }
    }
}

/// Reads a web configuration file. One that is rejected names the places of its faults, and shows no value.
pub(crate) fn web_file(data: &[u8]) {
    let name = format!("nbu-otel-agent-fuzz-{}.yml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, data).unwrap_or_else(|error| panic!("{error}"));
    let text = format!(
        "server: {{host: localhost, webConfigFile: '{}'}}\n\
         nbuservers: [{{site: a, host: h, apiKey: k}}]\n",
        path.display()
    );
    let verdict = from_text(&text, Path::new("/nowhere/config.yaml"), &|_: &str| None);
    let _ = std::fs::remove_file(&path);
    let lines = 1 + data.iter().filter(|byte| matches!(**byte, b'\n' | b'\r')).count();
    let diagnostics = verdict.map_or_else(|errors| errors.diagnostics, |loaded| loaded.warnings);
    for diagnostic in &diagnostics {
        assert_names_its_place(diagnostic, lines.max(2));
        // A file or a key may have the name of the secret, but for these there is no value.
        let shown = diagnostic.message.contains(SECRET);
        assert!(!shown || diagnostic.message.contains("cannot read"), "{diagnostic}");
    }
}

/// Checks that a fault of a file is at a place of it. The environment has no lines.
fn assert_names_its_place(diagnostic: &Diagnostic, lines: usize) {
    let Some(position) = diagnostic.position else {
        let is_empty = diagnostic.message.starts_with("the file is empty");
        assert!(is_empty || diagnostic.origin == "environment", "{diagnostic}");
        return;
    };
    assert!((1..=lines).contains(&position.line) && position.column > 0, "{diagnostic}");
}

/// Reads a `.env`, and asks for every word in it. A variable has a value of bounded size, or the line at fault.
pub(crate) fn dotenv(data: &[u8]) {
    let real = |_: &str| None;
    let mut variables = Variables::new(&real);
    variables.add_file(Path::new(".env"), Ok(data.to_vec()));
    let text = String::from_utf8_lossy(data);
    let lines = 1 + text.matches('\n').count();
    let words: BTreeSet<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').collect();
    for word in words {
        match variables.get(word) {
            Ok(value) => assert!(value.is_none_or(|value| value.len() <= 1 << 20)),
            Err(fault) => {
                assert_eq!(fault.origin, ".env");
                assert_names_its_place(&fault, lines);
            }
        }
    }
}
