//! Valid configurations and their meaning.

use std::time::Duration;

use nbu_otel_agent::config::{Loaded, keys};
use nbu_otel_agent::log::{Destination, Format};
use nbu_otel_agent::netbackup::ApiVersion;
use secrecy::ExposeSecret as _;

use super::{load, load_with, warnings, with_server};

/// As an operator of that exporter has it: strings for numbers, quotes, the unused keys.
const ORIGINAL: &str = r#"
server:
    port: "2112"
    host: "localhost"
    uri: "/metrics"
    scrapingInterval: "1h"
    collectionInterval: "5m"
    cacheTTL: "5m"
    logName: "log/nbu-exporter.log"

nbuserver:
    port: "1556"
    scheme: "https"
    uri: "/netbackup"
    domain: "my.domain"
    domainType: "NT"
    host: "Master.my.domain"
    apiKey: "an-api-key"
    apiVersion: "13.0"
    insecureSkipVerify: "false"
    contentType: "application/vnd.netbackup+json; version=3.0"

opentelemetry:
    enabled: true
    endpoint: "localhost:4317"
    insecure: true
    samplingRate: 0.1

collectors:
    alerts: {enabled: true}
    perClient:
        enabled: true
        allowlist: ["b*", "a", "b*"]
"#;

fn ok(text: &str) -> Loaded {
    load(text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn file_of_nbu_exporter_loads_unchanged() {
    let loaded = ok(ORIGINAL);
    let config = &loaded.config;
    assert_eq!(config.http.address.port, 2112);
    assert_eq!(config.log.destination, Destination::File("log/nbu-exporter.log".into()));
    let server = &config.servers[0];
    assert_eq!(server.site, "Master.my.domain");
    assert_eq!(server.base_url.as_str(), "https://master.my.domain:1556/netbackup");
    assert_eq!(server.api_key.expose_secret(), "an-api-key");
    assert_eq!(server.api_version, Some(ApiVersion::new(13, 0)));
    let otlp = config.otlp.as_ref().unwrap();
    assert_eq!(otlp.metrics_to.endpoint.as_str(), "http://localhost:4317/");
    assert!((otlp.sampling_rate - 0.1).abs() < f64::EPSILON);
    assert!(config.collectors.is_on("alerts") && !config.collectors.is_on("tape"));
    assert_eq!(config.collectors.per_client.allowlist, ["a", "b*"]);
    let warnings = warnings(&loaded);
    for expected in [
        "server.logName: its directory does not exist",
        "nbuserver: the old form for a single server; nbuservers takes a list of them",
    ] {
        assert!(warnings.contains(expected), "{expected} is not in\n{warnings}");
    }
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
}

#[test]
fn defaults_match_the_documentation() {
    let config = ok(&with_server("")).config;
    assert_eq!((config.http.address.host.as_str(), config.http.address.port), ("0.0.0.0", 9440));
    assert_eq!(config.http.metrics_path, "/metrics");
    assert_eq!(config.log.destination, Destination::Stdout);
    assert_eq!((config.log.format, config.log.level), (Format::Text, tracing::Level::INFO));
    assert_eq!(config.polling.window, Duration::from_secs(3600));
    assert_eq!(config.polling.stale_after, Duration::from_secs(900));
    assert_eq!(config.metrics.cardinality_limit, 200_000);
    assert_eq!(config.servers[0].base_url.as_str(), "https://h:1556/netbackup");
    assert_eq!(config.servers[0].api_version, None);
    assert!(config.otlp.is_none());
}

#[test]
fn reload_over_http_defaults_to_loopback_only() {
    for (server, expected) in [
        ("", false),
        ("host: 0.0.0.0", false),
        ("host: '::'", false),
        ("host: agent.example.com", false),
        ("host: localhost", true),
        ("host: 127.0.0.1", true),
        ("host: 127.1.2.3", true),
        ("host: '[::1]'", true),
        ("host: '::ffff:127.0.0.1'", true),
        ("host: 127.0.0.1, lifecycle: false", false),
        ("lifecycle: true", true),
    ] {
        let text = with_server(&format!("server: {{{server}}}"));
        assert_eq!(ok(&text).config.http.lifecycle, expected, "{server}");
    }
}

#[test]
fn files_are_compared_at_the_check_interval() {
    assert_eq!(ok(&with_server("")).config.check_interval, Duration::from_secs(30));
    let text = with_server("server: {configCheckInterval: 1s}");
    assert_eq!(ok(&text).config.check_interval, Duration::from_secs(1));
    let error = load(&with_server("server: {configCheckInterval: 900ms}")).unwrap_err();
    insta::assert_snapshot!(error, @"config.yaml:5:31: server.configCheckInterval: expected a duration of at least 1s");
}

#[test]
fn names_are_selected_by_lists_of_their_own() {
    let bare = ok(&with_server("")).config.collectors;
    assert_eq!(bare.per_client, bare.per_policy);
    assert!(!bare.per_client.enabled && bare.per_client.allowlist.is_empty());
    assert_eq!((bare.per_client.limit, bare.long_running_after.as_secs()), (1000, 43_200));
    let text = with_server(
        "collectors:
  perClient: {enabled: true, allowlist: [' b ', a, b], denylist: [x*, c, x*], limit: '2', forgetAfter: 36h}
  perPolicy: {allowlist: ['?'], limit: 100000, forgetAfter: Never}
  jobs: {longRunningAfter: 1h30m}
",
    );
    let config = ok(&text).config.collectors;
    let (clients, policies) = (&config.per_client, &config.per_policy);
    assert_eq!(clients.allowlist, ["a", "b"]);
    assert_eq!(clients.denylist, ["c", "x*"]);
    assert!(clients.enabled && !policies.enabled);
    assert_eq!((clients.limit, policies.limit), (2, 100_000));
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    let kept = [&bare.per_client, clients, policies].map(|rules| rules.forget_after);
    assert_eq!(kept, [days(90), Some(Duration::from_secs(36 * 3600)), None]);
    assert_eq!(config.long_running_after, Duration::from_secs(5400));
}

#[test]
fn empty_allowlist_of_enabled_filter_is_a_warning() {
    let warned = |rules: &str| {
        let text = format!("collectors: {{perClient: {{{rules}}}, perPolicy: {{{rules}}}}}");
        warnings(&ok(&with_server(&text)))
    };
    for rules in ["", "enabled: false", "enabled: true, allowlist: [a]"] {
        assert_eq!(warned(rules), "", "{rules}");
    }
    for rules in ["enabled: true", "enabled: true, allowlist: []", "enabled: true, allowlist:"] {
        let text = warned(rules);
        for section in ["perClient", "perPolicy"] {
            let expected = format!("collectors.{section}.allowlist: empty, so nothing is selected");
            assert!(text.contains(&expected), "{rules}: {text}");
        }
    }
}

#[test]
fn state_variable_stands_in_for_the_key() {
    let variable = ("NBU_STATE_DIRECTORY", "/from/environment");
    let directory = |text: &str, variables: &[(&str, &str)]| {
        let config = load_with(&with_server(text), variables).unwrap().config;
        config.state.directory.map(|path| path.to_str().unwrap().to_owned())
    };
    let here = std::env::current_dir().unwrap().join("kept");
    let here = here.to_str();
    assert_eq!(directory("", &[]), None);
    assert_eq!(directory("state: {directory: ''}", &[]), None);
    assert_eq!(directory("state: {directory: /kept}", &[variable]).as_deref(), Some("/kept"));
    assert_eq!(directory("state: {directory: kept}", &[variable]).as_deref(), here);
    for text in ["", "state:", "state: {directory: ''}"] {
        assert_eq!(directory(text, &[variable]).as_deref(), Some("/from/environment"), "{text}");
        assert_eq!(directory(text, &[("NBU_STATE_DIRECTORY", " ")]), None, "{text}");
    }
}

#[test]
fn window_is_never_shorter_than_the_interval() {
    let text = with_server("server: {scrapingInterval: 5m, collectionInterval: 10m, cacheTTL: 1m}");
    let polling = ok(&text).config.polling;
    assert_eq!(polling.window, Duration::from_secs(600));
    assert_eq!(polling.stale_after, Duration::from_secs(1800));
}

#[test]
fn each_spelling_of_a_version_is_read() {
    let thirteen = Some(ApiVersion::new(13, 0));
    for (spelling, expected) in [
        ("13.0", thirteen),
        ("\"13.0\"", thirteen),
        ("10.0", Some(ApiVersion::new(10, 0))),
        ("\"\"", None),
        ("detect", None),
        ("null", None),
    ] {
        let text = with_server(&format!("    apiVersion: {spelling}\n"));
        assert_eq!(ok(&text).config.servers[0].api_version, expected, "{spelling}");
    }
}

#[test]
fn address_is_made_of_its_parts() {
    for (parts, expected) in [
        ("host: '::1'", "https://[::1]:1556/netbackup"),
        ("host: '[fe80::1]'\n    port: 443", "https://[fe80::1]/netbackup"),
        ("host: h\n    uri: api/", "https://h:1556/api"),
        ("host: h\n    uri: /", "https://h:1556/"),
        ("host: 10.1.2.3\n    scheme: HTTP\n    port: '80'", "http://10.1.2.3/netbackup"),
    ] {
        let text = format!("nbuservers:\n  - site: a\n    apiKey: k\n    {parts}\n");
        assert_eq!(ok(&text).config.servers[0].base_url.as_str(), expected, "{parts}");
    }
}

#[test]
fn empty_values_are_absent_ones() {
    let text = "nbuservers: [{site: a, host: h, apiKey: k, apiKeyFile: '', port: '', caFile: \"\", apiVersion:}]\n\
                opentelemetry: {enabled: false, endpoint: ''}\nserver: {logName: '', host: ''}\n";
    let config = ok(text).config;
    let bare = ok("nbuservers: [{site: a, host: h, apiKey: k}]").config;
    assert_eq!(format!("{config:?}"), format!("{bare:?}"));
}

#[test]
fn disabled_server_needs_no_key() {
    let text = with_server(
        "  - {site: b, host: h, enabled: false, apiKeyFile: /nowhere}\n  - {site: c, host: h, enabled: no}\n",
    );
    let config = ok(&text).config;
    assert_eq!(config.servers.len(), 1);
}

#[test]
fn variables_are_inserted_as_text() {
    let text = "nbuservers:\n- site: ${SITE}\n  host: ${HOST:-h}\n  port: ${PORT}\n  apiKey: ${KEY}\n  insecureSkipVerify: ${SKIP}\n";
    let variables = [("SITE", "a: [b]"), ("PORT", "99"), ("KEY", "x\"#: y"), ("SKIP", "true")];
    let loaded = load_with(text, &variables).unwrap();
    let server = &loaded.config.servers[0];
    assert_eq!(server.site, "a: [b]");
    assert_eq!(server.base_url.as_str(), "https://h:99/netbackup");
    assert_eq!(server.api_key.expose_secret(), "x\"#: y");
    assert!(server.insecure_skip_verify);
    insta::assert_snapshot!(warnings(&loaded), @"config.yaml:6:23: nbuservers[0].insecureSkipVerify: any certificate is accepted, so anyone on the path can take the API key; caFile trusts a private CA");
}

#[test]
fn anchors_merges_marks_and_line_ends_are_yaml() {
    let text = "\u{feff}nbuservers:\r\n- &first {site: a, host: h, apiKey: k, port: 1}\r\n- {<<: *first, site: b}\r\n";
    let config = ok(text).config;
    assert_eq!(config.servers[1].site, "b");
    assert_eq!(config.servers[1].base_url.port(), Some(1));
}

#[test]
fn long_keys_are_kept_as_they_are_spelt() {
    for key in ["007", "12345678901234567890123", "1e5", "0x1F", "1_000", "true", "A$$b"] {
        let text = format!("nbuserver: {{host: h, apiKey: {key}}}");
        let config = ok(&text).config;
        assert_eq!(config.servers[0].api_key.expose_secret(), key.replace("$$", "$"));
    }
}

#[test]
fn example_loads_and_documents_all_keys() {
    let text = include_str!("../../config.example.yaml");
    let loaded = load_with(text, &[("NBU_API_KEY", "k")]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(warnings(&loaded), "");
    for key in keys() {
        let name = key.rsplit('.').next().unwrap();
        let documented = text.lines().any(|line| {
            let line = line.trim_start_matches([' ', '#', '-']);
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'))
        });
        assert!(documented, "{key}");
    }
}

#[test]
fn reference_names_all_keys() {
    let text = include_str!("../../docs/configuration.md");
    let (every, mut missing) = (keys(), Vec::new());
    for key in &every {
        // A section is a heading; the old form for one server has the keys of the list.
        let section = every.iter().any(|other| other.starts_with(&format!("{key}.")))
            || text.contains(&format!("\n## {key}\n"));
        if !section && !key.starts_with("nbuserver.") && !text.contains(&format!("`{key}`")) {
            missing.push(key);
        }
    }
    assert!(missing.is_empty(), "docs/configuration.md is without {missing:?}");
}

#[test]
fn example_shows_the_defaults() {
    let text = include_str!("../../config.example.yaml");
    let example = load_with(text, &[("NBU_API_KEY", "k")]).unwrap().config;
    let bare = "nbuserver: {site: primary, host: nbu-primary.example.com, apiKey: k}";
    let bare = ok(bare).config;
    assert_eq!(format!("{example:?}"), format!("{bare:?}"));
    // The same for the push, which is off in the example.
    let on = |text: &str| ok(text).config.otlp.map(|otlp| format!("{otlp:?}")).unwrap();
    let example = text
        .replace("  # enabled: true\n  # Required", "  enabled: true\n  # Required")
        .replace("  # endpoint: collector", "  endpoint: collector");
    let example = example.replace("${NBU_API_KEY}", "k");
    let bare = "nbuserver: {host: h, apiKey: k}\nopentelemetry: {enabled: true, endpoint: 'collector.example.com:4317'}";
    assert_eq!(on(&example), on(bare));
}

#[test]
fn workloads_are_selected_as_clients_unless_told_otherwise() {
    let selected = |text: &str| {
        let config = ok(&with_server(&format!("collectors: {{{text}}}"))).config;
        let workloads = config.collectors.per_workload;
        (workloads.enabled, workloads.allowlist, workloads.limit)
    };
    let (clients, names) =
        ("perClient: {enabled: true, allowlist: ['db*'], limit: 7}", vec!["db*"]);
    assert_eq!(selected(""), (false, vec![], 1000));
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    assert_eq!(selected(clients), (true, names.clone(), 7));
    let off = format!("{clients}, perWorkload: {{enabled: false}}");
    assert_eq!(selected(&off), (false, names, 7));
    let own = format!("{clients}, perWorkload: {{allowlist: ['vm-*'], limit: 9}}");
    assert_eq!(selected(&own), (true, vec!["vm-*".to_owned()], 9));
}
