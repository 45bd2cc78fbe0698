//! The JSON Schema agrees with the reader: it takes what loads, and not what no reader would take.

use std::sync::LazyLock;

use jsonschema::Validator;
use nbu_otel_agent::config::{json_schema, keys};
use serde_json::Value;

use super::{errors, with_server};

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(&json_schema()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// Returns the faults of a text by the schema; of one with merge keys, which JSON has not, none.
fn faults(text: &str) -> Vec<String> {
    if text.contains("<<") {
        return Vec::new();
    }
    let value: Value = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    let faults = VALIDATOR.iter_errors(&value);
    faults.map(|fault| format!("{}: {fault}", fault.instance_path)).collect()
}

/// Asserts that the schema accepts a text.
pub(super) fn accepts(text: &str) {
    let faults = faults(text);
    assert!(faults.is_empty(), "the schema refuses what loads: {faults:?}\n{text}");
}

#[test]
fn files_of_the_repository_validate() {
    for file in ["config.example.yaml", "deploy/demo/config.yaml"] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        accepts(&std::fs::read_to_string(path).unwrap());
    }
}

#[test]
fn example_names_the_schema_in_its_first_line() {
    let text = include_str!("../../config.example.yaml");
    let name = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=");
    let path = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), name.unwrap());
    assert_eq!(std::fs::read_to_string(path).unwrap(), json_schema());
}

#[test]
fn schema_refuses_what_the_reader_refuses() {
    for rest in [
        "server: {port: 70000}",
        "server: {prot: 1}",
        "server: [a]",
        "server: {logFormat: jsn}",
        "server: {cacheTTL: 300}",
        "server: {lifecycle: maybe}",
        "metrics: {cardinalityLimit: -1}",
        "collectors: {perClient: {allowlist: web}}",
        "opentelemetry: {samplingRate: 2}",
        "opentelemetry: {signals: [logs]}",
        "opentelemetry: {headers: [a]}",
        "nonsense: 1",
    ] {
        let text = with_server(rest);
        assert_eq!(faults(&text).len(), 1, "{rest}: {:?}", faults(&text));
        assert_ne!(errors(&text), "no error", "{rest}");
    }
}

#[test]
fn keys_have_description_and_default_or_example() {
    let schema: Value = serde_json::from_str(&json_schema()).unwrap();
    for key in keys() {
        let pointer = key.replace("[]", "/items").replace('.', "/properties/");
        let place = schema.pointer(&format!("/properties/{pointer}"));
        let place = place.unwrap_or_else(|| panic!("{key} is not in the schema"));
        assert!(place["description"].is_string(), "{key} has no doc comment");
        let has = |keyword: &str| place.get(keyword).is_some();
        let is_section = has("properties") || place["items"].get("properties").is_some();
        assert!(is_section || has("default") || has("examples"), "{key}");
    }
}
