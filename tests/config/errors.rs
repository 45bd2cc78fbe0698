//! Messages about invalid configurations: exact, complete, without a value.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{errors, load, load_with, warnings, with_server};

#[test]
fn every_error_is_reported_at_once() {
    let text = r"
server:
  port: 70000
  uri: metrics
  cacheTTL: 300
  collectionInterval: soon
  logFormat: jsn
colectors:
  alerts: {enabled: true}
nbuservers:
  - site: a
    host: https://primary
    apiKeey: hunter2
    apiVersion: 9.0
    port: [1]
  - site: a
    host: h
    apiKey: k
    apiKeyFile: /k
    insecureSkipVerify: maybe
    timeout: 0s
    maxConcurrentRequests: 0
    proxyUrl: proxy:3128
    certFile: c.pem
metrics:
  cardinalityLimit: -1
opentelemetry:
  enabled: true
  samplingRate: 2
  signals: [metrics, logs]
  headers: {authorization: }
";
    assert_snapshot!(errors(text));
}

#[test]
fn drop_rules_must_name_metrics_and_labels_that_exist() {
    for (rules, expected) in [
        ("nbu_slo_count", "6:9: metrics.drop: expected a list, found a single value"),
        ("[nbu_slo_cout]", "[0]: no metric has such a name; did you mean \"nbu_slo_count\"?"),
        ("[hunter2]", "[0]: no metric has such a name; docs/metrics.md lists them"),
        ("[nbu_agent_sites]", "[0]: the metrics of the agent itself are always exported"),
        ("[nbu_slo_count, {}]", "[1].name: required, but missing"),
        ("[{name: }]", "[0].name: expected a name or a pattern with * and ?"),
        ("[[a]]", "[0]: expected a name, or a mapping with name and labels, found a list"),
        ("[{name: '*', label: {}}]", "[0]: unknown key \"label\"; did you mean \"labels\"?"),
        ("[{name: '*', x: {}}]", "[0]: unknown key \"x\"; expected name or labels"),
        (
            "[{name: nbu_client_*, labels: {clent: a}}]",
            "[0].labels: no metric of that name has the label \"clent\"; did you mean \"client\"?",
        ),
        (
            "[{name: nbu_slo_count, labels: {client: hunter2}}]",
            "[0].labels: no metric of that name has the label \"client\"",
        ),
        ("[{name: '*', labels: {site: [a]}}]", "[0].labels.site: expected a name or a pattern"),
        ("[{name: '*', labels: a}]", "[0].labels: expected a mapping of labels, found a single"),
    ] {
        let found = errors(&with_server(&format!("metrics:\n  drop: {rules}")));
        assert_eq!(found.lines().count(), 1, "{rules}: {found}");
        assert!(
            found.starts_with("config.yaml:6:") && found.contains(expected),
            "{rules}: {found}"
        );
        assert!(!found.contains("hunter2"), "{found}");
    }
    let none = load(&with_server("metrics: {drop: ['nbu_agent_ot*', 'x*', 'nbu_tape*']}")).unwrap();
    assert_eq!(
        warnings(&none),
        "config.yaml:5:18: metrics.drop[0]: the metrics of the agent itself are always exported\n\
         config.yaml:5:35: metrics.drop[1]: no metric has such a name; docs/metrics.md lists them"
    );
}

#[test]
fn no_server_is_an_error_however_it_is_said() {
    let texts = [
        "server: {port: 1}",
        "nbuservers:",
        "nbuservers: []",
        "nbuservers: {site: a}",
        "nbuservers: a",
        "nbuservers: [a]",
        "nbuservers: [null]",
        "nbuservers: [{site: a, host: h, apiKey: k, enabled: false}]",
        "nbuservers: [{site: a, host: h, apiKey: k}]\nnbuserver: {host: h, apiKey: k}",
    ];
    assert_snapshot!(
        texts.map(|text| format!("{text}\n  {}", errors(text).replace('\n', "\n  "))).join("\n")
    );
}

#[test]
fn invalid_yaml_is_reported_by_its_place() {
    let texts = [
        "",
        "# a comment\n",
        "---\n...\n",
        "- a\n- b\n",
        "just text",
        "server:\n\tport: 1\n",
        "server:\n  port: 1\n\thost: h\n",
        "server: {port: 1\nnbuservers: []\n",
        "server: [a\n",
        "server: \"open\n",
        "a: b: c\n",
        "server:\n  port: 1\n host: h\n",
        "server: @x\n",
        "server: \"\\q\"\n",
        "server: *nowhere\n",
        "server: &a [*a]\n",
        "server: !secret x\n",
        "? [a]\n: b\n",
        "server: {}\n---\nserver: {}\n",
        "server: {port: 1, port: 2}\n",
        "server: {}\nserver: {}\n",
        "server: \u{0}\n",
    ];
    let lines = texts.map(|text| format!("{text:?}\n  {}", errors(text).replace('\n', "\n  ")));
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn missing_variables_are_named_together() {
    let text = with_server(
        "    domain: ${B}\n    proxyUrl: http://${A}:${B}\nserver:\n  host: ${C:-x}\n  uri: ${A B}\n  port: ${D\n",
    );
    let text = format!("# a comment with ${{NOTHING}}\n{text}");
    assert_snapshot!(errors(&text), @"
    config.yaml:6:13: environment variables not set: A (line 7), B (lines 6, 7)
    config.yaml:10:8: expected ${NAME} or ${NAME:-default}; write $$ for a dollar sign
    config.yaml:11:9: \"${\" without \"}\"; write $$ for a dollar sign
    ");
    let error = load_with(&with_server("    domain: ${B}"), &[]).unwrap_err();
    assert_snapshot!(error, @"config.yaml:5:13: environment variable not set: B (line 5)");
}

#[test]
fn empty_variable_is_no_key() {
    let text = "nbuservers: [{site: a, host: h, apiKey: \"${KEY}\"}]";
    let error = load_with(text, &[("KEY", "")]).unwrap_err();
    assert_snapshot!(error, @"config.yaml:1:41: nbuservers[0].apiKey: required, but missing or empty (apiKeyFile is the alternative)");
}

#[test]
fn taken_and_strange_paths_are_refused() {
    for path in [
        "/",
        "/health",
        "/health/",
        "/-/reload",
        "metrics",
        "/{x}",
        "/:x",
        "/*x",
        "/a b",
        "/a?b",
        "//",
    ] {
        let text = with_server(&format!("server:\n  uri: '{path}'\n"));
        assert!(
            errors(&text).starts_with("config.yaml:6:8: server.uri: expected a path"),
            "{path}"
        );
    }
}

#[test]
fn aliases_cannot_blow_up() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(text, "a{n}: &a{n} [{aliases}]").unwrap();
    }
    let message = errors(&text);
    assert!(message.ends_with("with aliases expanded, more than the limit of 32 MiB"), "{message}");
    let mut chain = String::from("a0: &a0 [x]\n");
    for n in 1..40 {
        writeln!(chain, "a{n}: &a{n} [*a{}]", n - 1).unwrap();
    }
    assert!(errors(&chain).ends_with("nested too deeply"));
    let deep = "[".repeat(10_000);
    assert!(errors(&deep).ends_with("nested too deeply"));
    let deep = format!("a: {}", "- ".repeat(10_000));
    assert!(errors(&deep).contains("config.yaml:1:"));
}

#[test]
fn secrets_that_no_header_can_carry_are_refused() {
    let text = "nbuservers: [{site: a, host: h, apiKey: \"line\\nbreak\"}]\nopentelemetry: {headers: {\"a b\": x, A: x, a: x, b: \"\"}}";
    assert_snapshot!(errors(text));
}

#[test]
fn rules_for_names_and_the_place_of_state_are_checked() {
    let text = with_server(
        "collectors:
  perClient: {enabled: perhaps, allowlist: web, denylist: [a, ''], limit: 0}
  perPolicy: {enabled: true, allowlist: [[a]], limit: 100001, alowlist: []}
  jobs: {longRunningAfter: 12}
state: {directory: [a], directry: b}
",
    );
    assert_snapshot!(errors(&text), @r#"
    config.yaml:6:24: collectors.perClient.enabled: expected true or false
    config.yaml:6:44: collectors.perClient.allowlist: expected a list, found a single value
    config.yaml:6:63: collectors.perClient.denylist[1]: must not be empty
    config.yaml:6:75: collectors.perClient.limit: expected a whole number from 1 to 100000
    config.yaml:7:42: collectors.perPolicy.allowlist[0]: expected a single value, found a list
    config.yaml:7:55: collectors.perPolicy.limit: expected a whole number from 1 to 100000
    config.yaml:7:63: collectors.perPolicy: unknown key "alowlist"; did you mean "allowlist"?
    config.yaml:8:28: collectors.jobs.longRunningAfter: expected a duration with a unit, such as 90s or 1h30m; add a unit
    config.yaml:9:20: state.directory: expected a single value, found a list
    config.yaml:9:25: state: unknown key "directry"; did you mean "directory"?
    "#);
    let text =
        with_server("collectors: {perClient: {forgetAfter: 90}, perPolicy: {forgetAfter: 90d}}");
    assert_snapshot!(errors(&text), @"
    config.yaml:5:39: collectors.perClient.forgetAfter: expected a duration with a unit, such as 90s or 1h30m; add a unit, or never
    config.yaml:5:69: collectors.perPolicy.forgetAfter: expected a duration such as 90s, 5m or 1h30m, or never
    ");
    let text = with_server("collectors: {jobs: {longRunningAfter: 0s}}\nstate: /a");
    assert_snapshot!(errors(&text), @"
    config.yaml:5:39: collectors.jobs.longRunningAfter: expected a duration above 0 (at least 1ms)
    config.yaml:6:8: state: expected a mapping of keys, found a single value
    ");
}

#[test]
fn more_names_spelt_out_than_the_limit_are_an_error() {
    let names = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("n{n}")).collect();
        names.join(", ")
    };
    let text = with_server(&format!(
        "collectors:
  perClient: {{enabled: true, allowlist: [a, A, b, c, 'x*', d], denylist: [d], limit: 2}}
  perPolicy: {{enabled: true, allowlist: [{}]}}
",
        names(1001)
    ));
    assert_snapshot!(errors(&text), @"
    config.yaml:6:41: collectors.perClient.allowlist: spells out 3 names, and limit leaves room for 2: raise limit to at least 3, or remove names
    config.yaml:7:41: collectors.perPolicy.allowlist: spells out 1001 names, and limit leaves room for 1000: raise limit to at least 1001, or remove names
    ");
    for rules in [
        "enabled: true, allowlist: [a, A, b, 'x*', d], denylist: [d], limit: 2".to_owned(),
        "enabled: false, allowlist: [a, b, c], limit: 2".to_owned(),
        format!("enabled: true, allowlist: [{}]", names(1000)),
    ] {
        let text = with_server(&format!("collectors: {{perClient: {{{rules}}}}}"));
        assert!(crate::load(&text).is_ok(), "{rules}");
    }
}
