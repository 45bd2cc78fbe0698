//! No text makes the parser panic, and no value gets into a message.

use std::fmt::Write as _;

use nbu_otel_agent::config::{effective, keys};
use proptest::prelude::*;

use super::{load, load_with};

const SECRET: &str = "Zx9SECRETzX";

/// A place for a value, with what stands around it.
fn document(key: &str, value: &str) -> String {
    let mut text = String::new();
    let mut indent = 0;
    for part in key.split('.') {
        let (name, list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        write!(text, "\n{:indent$}{name}:", "").unwrap();
        indent += 2;
        if list {
            write!(text, "\n{:indent$}-", "").unwrap();
            indent += 2;
        }
    }
    format!("{text} {value}\n")
}

#[test]
fn values_stay_out_of_all_messages() {
    let shapes = [
        "{}",
        "'{}'",
        "[{}]",
        "{x: {}}",
        "\"{}",
        "'{}",
        "{} : {}: x",
        "!{} x",
        "*{}",
        "@{}",
        "|\n{}",
        "{}\n\t{}",
        "[{}",
        "https://{}",
        "http://{}:{}@h",
        "/{}",
        "${{}",
        "{}$",
        "{} {}",
        "1{}",
        "-{}",
        "%{}",
        "\"\\{}\"",
    ];
    for key in keys() {
        for shape in shapes {
            let text = document(&key, &shape.replace("{}", SECRET));
            match load(&text) {
                Ok(loaded) => assert!(!format!("{:?}", loaded.warnings).contains(SECRET)),
                Err(errors) => {
                    assert!(!errors.to_string().contains(SECRET), "{text}\n{errors}");
                }
            }
        }
    }
}

#[test]
fn misspelt_key_hides_its_value() {
    for key in ["apiKeey", "apikey", "api_key", "token", "pass"] {
        let text = format!("nbuservers:\n- site: a\n  host: h\n  {key}: {SECRET}\n");
        let errors = load(&text).unwrap_err().to_string();
        assert!(errors.contains(&format!("4:3: nbuservers[0]: unknown key \"{key}\"")), "{errors}");
        assert!(!errors.contains(SECRET));
    }
}

#[test]
fn comma_that_splits_a_value_reveals_nothing() {
    let text = "nbuservers: [{site: a, host: h, apiKey: hunter,SesameOpen}]\nopentelemetry: {headers: {a: x,SesameOpen,SesameOpen}}";
    let errors = load(text).unwrap_err().to_string();
    assert!(!errors.contains("Sesame"), "{errors}");
    assert!(errors.contains("unknown key;") && errors.contains("duplicate key;"), "{errors}");
}

#[test]
fn debug_and_effective_show_no_secret() {
    let text = format!(
        "nbuservers: [{{site: a, host: h, apiKey: {SECRET}, proxyUrl: 'http://{SECRET}:{SECRET}@p'}}]\n\
         opentelemetry: {{enabled: true, endpoint: 'c:1', headers: {{a: {SECRET}}}}}\n"
    );
    let variables = [("OTEL_EXPORTER_OTLP_HEADERS", format!("b={SECRET}"))];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let loaded = load_with(&text, &variables).unwrap();
    assert!(!format!("{loaded:?}").contains(SECRET));
    assert!(!effective(&loaded.config).contains(SECRET));
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = load(&text);
    }

    #[test]
    fn text_that_looks_like_yaml_never_panics(
        text in "([ \\t\\n\\-:{}\\[\\]&*!|>'\"%@,#$?a]|server|nbuservers|apiKey|port|<<|\\$\\{A|\n  ){0,40}"
    ) {
        let _ = load(&text);
    }

    #[test]
    fn secret_in_invalid_yaml_stays_out_of_messages(
        (at, junk) in (0_usize..400, "[ \\t\\n\\-:{}\\[\\]&*!|>'\"%@,#$?]{1,3}")
    ) {
        let mut text = format!(
            "server: {{logName: {SECRET}}}\nnbuservers:\n  - site: {SECRET}\n    host: h\n    apiKey: \"{SECRET}\"\n    proxyUrl: 'http://{SECRET}@h'\n  - site: b\n    apiKey: {SECRET}\nopentelemetry:\n  headers:\n    a: {SECRET}\n  endpoint: {SECRET}\n"
        );
        text.insert_str(at.min(text.len()), &junk);
        if let Err(errors) = load(&text) {
            // Damage in the middle of the secret leaves halves of it; neither may show.
            let message = errors.to_string();
            prop_assert!(!message.contains("Zx9SEC") && !message.contains("RETzX"), "{text}\n{message}");
        }
    }
}
