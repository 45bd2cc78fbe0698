//! The effective configuration: complete, in the schema of the file, without a secret.

use nbu_otel_agent::config::{SafeConfig, effective, keys};

use super::{load, load_with, with_server};

const FULL: &str = r#"
server: {host: "::1", logName: "/var/log/a $$ \"b\".log", logFormat: json, logLevel: debug, cacheTTL: 1500ms}
nbuservers:
  - site: "a: b"
    host: "fe80::1"
    scheme: http
    uri: /
    apiKey: SECRET-KEY
    apiVersion: 13.0
    insecureSkipVerify: true
    proxyUrl: http://user:SECRET-PROXY@proxy:3128
  - {site: b, host: h, apiKey: SECRET-KEY, scheme: http, port: 80, timeout: 1m30s}
collectors:
  tape: {enabled: true}
  perClient: {enabled: true, allowlist: ["x*", "'"]}
  perPolicy: {enabled: true, allowlist: [b, a, b], denylist: ["a$$"], limit: 7}
  jobs: {actionNames: {DUPLICATE: DUPLICATION}, longRunningAfter: 90m}
state: {directory: "/var/lib/a b"}
opentelemetry:
  enabled: true
  endpoint: https://c/x
  protocol: http/protobuf
  signals: [metrics]
  samplingRate: 0.5
  headers: {authorization: Bearer SECRET-HEADER}
  resourceAttributes: {"a.b": "x: ${NAME} $${NAME}"}
  temporality: lowmemory
"#;

#[test]
fn effective_form_is_complete_and_redacted() {
    let config = load_with(FULL, &[("NAME", "value")]).unwrap().config;
    let text = effective(&config);
    assert!(!text.contains("SECRET"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn effective_form_loads_as_itself() {
    let variants = [
        FULL.to_owned(),
        with_server(""),
        with_server(
            "metrics: {drop: [nbu_slo_count, 'nbu_tape_*', {name: '*', labels: {client: 'a\"$$b-*', site: a}}]}",
        ),
        with_server("opentelemetry: {enabled: true, endpoint: 'c:4317', insecure: true}"),
        with_server(
            "opentelemetry: {enabled: true, endpoint: 'http://c', protocol: http/protobuf}",
        ),
        with_server("election: {lease: nbu, namespace: backup, duration: 12s}"),
        with_server(
            "opentelemetry: {enabled: true, metricsEndpoint: 'http://m/a', tracesEndpoint: 'http://t/b', protocol: http/protobuf}",
        ),
        with_server(
            "opentelemetry: {enabled: true, endpoint: 'http://c', headers: {a: '<redacted>'}, timeout: 8s, traces: {timeout: 9s, protocol: http/protobuf, headers: {b: '<redacted>'}}}",
        ),
    ];
    for text in variants {
        let first = load_with(&text, &[("NAME", "value")]).unwrap().config;
        let printed = effective(&first);
        let second = load(&printed).unwrap_or_else(|errors| panic!("{errors}\n{printed}")).config;
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert_eq!(printed, effective(&second));
    }
}

#[test]
fn effective_form_prints_all_schema_keys() {
    let dir = tempfile::tempdir().unwrap();
    let text = effective(&super::files::with_files(dir.path()).config);
    // What another key stands for, or what is accepted and unused.
    let exceptions = [
        "domain",
        "domainType",
        "contentType",
        "webConfigFile",
        // Not beside `sharding`.
        "lease",
        "namespace",
        "sitesDirectory",
        "metricsEndpoint",
        "tracesEndpoint",
        "metrics",
        "traces",
    ];
    for key in keys().iter().filter(|key| !key.starts_with("nbuserver.") && *key != "nbuserver") {
        let name = key.rsplit('.').next().unwrap();
        let printed = text
            .lines()
            .any(|line| line.trim_start_matches([' ', '-']).starts_with(&format!("{name}:")));
        assert!(printed || exceptions.contains(&name), "{key} is not in\n{text}");
    }
}

#[test]
fn handle_on_the_configuration_outlives_a_swap() {
    let one = load(&with_server("")).unwrap().config;
    let two = load("nbuserver: {host: other, apiKey: k}").unwrap().config;
    let safe = SafeConfig::default();
    safe.swap(one.into());
    let handle = safe.get().unwrap();
    let old = safe.swap(two.into()).unwrap();
    assert_eq!(handle.servers[0].site, "a");
    assert!(std::sync::Arc::ptr_eq(&handle, &old));
    assert_eq!(safe.get().unwrap().servers[0].site, "other");
}
