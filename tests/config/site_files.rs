//! Servers in files of their own, and sites that are shared out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nbu_otel_agent::config::{Errors, Loaded, effective, from_text, load};
use nbu_otel_agent::sharding::owner;
use secrecy::ExposeSecret as _;

/// Reads `config.yaml` of a directory as an agent in the pod `nbu-1` does.
fn read(place: &Path, text: &str) -> Result<Loaded, Errors> {
    write(place, "config.yaml", text);
    let pod = |name: &str| (name == "POD_NAME").then(|| "nbu-1".to_owned());
    load(&place.join("config.yaml"), &pod)
}

/// Writes a file that only its owner can read.
fn write(place: &Path, name: &str, text: &str) {
    let path = place.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn sites(loaded: &Loaded) -> Vec<&str> {
    loaded.config.servers.iter().map(|server| server.site.as_str()).collect()
}

const LOCAL: &str = "server: {host: localhost}\n";

#[test]
fn file_name_is_the_site_unless_given() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), ".env", "KEY_OF_ROME=key-of-rome");
    write(place.path(), "keys/paris", "key-of-paris\n");
    write(place.path(), "sites.d/paris.yaml", "host: p.example\napiKeyFile: ../keys/paris");
    write(place.path(), "sites.d/b.yml", "{site: rome, host: r, apiKey: '${KEY_OF_ROME}'}");
    write(place.path(), "sites.d/off.yaml", "{host: o, enabled: false}");
    // None of these is a site file.
    write(place.path(), "sites.d/.paris.yaml", "[");
    write(place.path(), "sites.d/notes.txt", "[");
    write(place.path(), "sites.d/paris.yaml~", "[");
    let main = "nbuservers: [{site: lyon, host: l, apiKey: k}]\nstate: {directory: kept}";
    let loaded = read(place.path(), &format!("{LOCAL}{main}")).unwrap();
    assert_eq!(sites(&loaded), ["lyon", "rome", "paris"]);
    let keys = loaded.config.servers.iter().map(|server| server.api_key.expose_secret());
    assert_eq!(keys.collect::<Vec<_>>(), ["k", "key-of-rome", "key-of-paris"]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);

    // What is in force is one file.
    let printed = effective(&loaded.config).replace("<redacted>", "k");
    assert!(!printed.contains("\"off\""), "{printed}");
    let again = from_text(&printed, &place.path().join("x.yaml"), &|_: &str| None).unwrap();
    assert_eq!(sites(&again), sites(&loaded), "{printed}");
    assert_eq!(effective(&again.config), effective(&loaded.config));
}

#[test]
fn fault_in_site_file_names_line_and_key() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), "sites.d/a.yaml", "host: a\napiKey: k\nport: 99999\nhots: b");
    write(place.path(), "sites.d/b.yaml", "host: [");
    write(place.path(), "sites.d/c.yaml", "- host: c");
    write(place.path(), "sites.d/d.yaml", "");
    write(place.path(), "sites.d/e.yaml", "{site: lyon, host: e, apiKey: k}");
    fs::create_dir(place.path().join("sites.d/f.yaml")).unwrap();
    fs::write(place.path().join("sites.d/g.yaml"), b"host: \xff").unwrap();
    let main = format!("{LOCAL}nbuservers: [{{site: lyon, host: l, apiKey: k}}]\ncollectors: 1");
    let errors = read(place.path(), &main).unwrap_err().to_string();
    let found: Vec<String> = errors
        .lines()
        .map(|line| line.replace(&format!("{}/", place.path().display()), ""))
        .collect();
    let expected = [
        "config.yaml:3:13: collectors: expected a mapping of keys, found a single value",
        "sites.d/a.yaml:3:7: port: expected a port from 1 to 65535",
        "sites.d/a.yaml:4:1: unknown key \"hots\"; did you mean \"host\"?",
        "sites.d/b.yaml:1:7: brackets or braces do not match",
        "sites.d/c.yaml:1:1: expected a mapping of the keys of a server (host, apiKeyFile, ...)",
        "sites.d/e.yaml:1:8: site: the same site as nbuservers[0]; sites are unique",
        "sites.d/g.yaml:1:7: not valid UTF-8 from here on",
        "sites.d/d.yaml: the file is empty; it takes at least host and apiKeyFile",
        "sites.d/f.yaml: cannot read the file: is a directory",
    ];
    assert_eq!(found, expected);
}

#[test]
fn named_directory_must_exist() {
    let place = tempfile::tempdir().unwrap();
    let errors = read(place.path(), LOCAL).unwrap_err().to_string();
    assert!(errors.contains("expected at least one server, here or in sites.d"), "{errors}");
    let text = format!("{LOCAL}sitesDirectory: sites\n");
    let errors = read(place.path(), &text).unwrap_err().to_string();
    assert!(errors.contains("sitesDirectory: ") && errors.contains("cannot read the directory"));
    write(place.path(), "sites/a.yaml", "{host: a, apiKey: k}");
    write(place.path(), "sites.d/b.yaml", "{host: b, apiKey: k}");
    assert_eq!(sites(&read(place.path(), &text).unwrap()), ["a"]);
    // A text has no place; only a directory that it names counts.
    let origin = place.path().join("config.yaml");
    let of_text = |text: &str| from_text(text, &origin, &|_: &str| None);
    assert!(of_text(LOCAL).is_err());
    assert_eq!(sites(&of_text(&text).unwrap()), ["a"]);
}

#[test]
fn readable_secret_in_site_file_is_warned_of() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), "sites.d/a.yaml", "{host: a, apiKey: k}");
    let path = place.path().join("sites.d/a.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
    let warnings = read(place.path(), LOCAL).unwrap().warnings;
    let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let texts = texts.join("\n");
    assert!(texts.contains("a.yaml:1:19: a secret is spelt out"), "{texts}");
    assert!(texts.contains("a.yaml: everybody can write the file"), "{texts}");
}

#[test]
fn shard_has_its_sites_alone() {
    let place = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("site-{number:02}")).collect();
    for name in &names {
        write(place.path(), &format!("sites.d/{name}.yaml"), "{host: h, apiKey: k}");
    }
    for shards in [1, 2, 3, 40] {
        for shard in 0..shards {
            let sharding = format!("{LOCAL}sharding: {{shard: {shard}, shards: {shards}}}");
            let loaded = read(place.path(), &sharding).unwrap();
            let own = names.iter().filter(|name| owner(name, shards) == shard);
            assert_eq!(sites(&loaded), own.collect::<Vec<_>>());
            let printed = effective(&loaded.config);
            assert_eq!(printed.matches("- site:").count(), loaded.config.servers.len());
        }
    }
    // By the name of the pod.
    let by_name = read(place.path(), &format!("{LOCAL}sharding: {{shards: 3}}")).unwrap();
    let by_number =
        read(place.path(), &format!("{LOCAL}sharding: {{shard: 1, shards: 3}}")).unwrap();
    assert_eq!(sites(&by_name), sites(&by_number));
    assert!(by_name.warnings.is_empty());
    let waiting =
        read(place.path(), &format!("{LOCAL}sharding: {{shard: auto, shards: 1}}")).unwrap();
    assert!(sites(&waiting).is_empty());
    assert!(waiting.warnings[0].message.contains("polls nothing"), "{:?}", waiting.warnings);
}

#[test]
fn shard_that_cannot_be_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), "sites.d/a.yaml", "{host: a, apiKey: k}");
    for (section, expected) in [
        (
            "sharding: {shard: 3, shards: 3}",
            "sharding.shard: expected a number below shards, which is 3",
        ),
        ("sharding: {shard: 1}", "sharding.shards: missing"),
        ("sharding: {shard: -1, shards: 3}", "sharding.shard: expected auto, or a number"),
        ("sharding: {shard: 1, shards: 0}", "sharding.shards: expected"),
        ("sharding: {shards: many}", "sharding.shards: expected"),
        (
            "state: {directory: kept, shared: true}",
            "state.shared: only agents that share the sites",
        ),
    ] {
        let errors = read(place.path(), &format!("{LOCAL}{section}")).unwrap_err().to_string();
        assert!(errors.contains(expected), "{section}: {errors}");
    }
    write(place.path(), "config.yaml", &format!("{LOCAL}sharding: {{shards: 3}}"));
    let nameless = |name: &str| (name == "POD_NAME").then(|| "nbu".to_owned());
    let errors = load(&place.path().join("config.yaml"), &nameless).unwrap_err().to_string();
    assert!(errors.contains("the name \"nbu\" does not end in a number"), "{errors}");
}

#[test]
fn agent_without_endpoint_and_push_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    write(place.path(), "sites.d/a.yaml", "{host: a, apiKey: k}");
    let push = "opentelemetry: {enabled: true, endpoint: 'c:4317'";
    for (rest, is_valid) in [
        (String::new(), false),
        (format!("{push}, signals: [traces]}}"), false),
        (format!("{push}}}"), true),
    ] {
        let text = format!("server: {{enabled: false}}\n{rest}");
        match read(place.path(), &text) {
            Ok(loaded) => {
                assert!(is_valid, "{text}");
                // Nothing listens, so nothing is open to all.
                assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
                assert_eq!(loaded.config.http.probe(), None);
            }
            Err(errors) => {
                assert!(!is_valid, "{errors}");
                let errors = errors.to_string();
                assert!(errors.contains("server.enabled: nobody would get a metric"), "{errors}");
            }
        }
    }
}
