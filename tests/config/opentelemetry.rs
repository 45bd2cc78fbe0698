//! The OTLP push: the file first, the variables of the specification below it.

use std::time::Duration;

use insta::assert_snapshot;
use nbu_otel_agent::config::Loaded;
use nbu_otel_agent::telemetry::otlp::config::{
    Compression, Config, Protocol, SignalConfig, Temporality,
};
use secrecy::ExposeSecret as _;

use super::{load_with, warnings, with_server};

type Variables<'v> = &'v [(&'v str, &'v str)];

fn loaded(section: &str, variables: Variables<'_>) -> Loaded {
    let text = with_server(&format!("opentelemetry: {{{section}}}\n"));
    load_with(&text, variables).unwrap_or_else(|errors| panic!("{errors}"))
}

fn otlp(section: &str, variables: Variables<'_>) -> Option<Config> {
    loaded(section, variables).config.otlp
}

fn errors(section: &str, variables: Variables<'_>) -> String {
    let text = with_server(&format!("opentelemetry: {{{section}}}\n"));
    load_with(&text, variables).map_or_else(|errors| errors.to_string(), |_| "no error".to_owned())
}

#[test]
fn endpoints_follow_the_protocol() {
    for (section, metrics, traces) in [
        ("endpoint: 'c:4317'", "https://c:4317/", "https://c:4317/"),
        ("endpoint: 'c:4317', insecure: true", "http://c:4317/", "http://c:4317/"),
        ("endpoint: 'http://c:4317'", "http://c:4317/", "http://c:4317/"),
        (
            "endpoint: 'http://c:4318', protocol: http/protobuf",
            "http://c:4318/v1/metrics",
            "http://c:4318/v1/traces",
        ),
        (
            "endpoint: 'http://c/x/v1/metrics', protocol: http/protobuf, signals: [metrics]",
            "http://c/x/v1/metrics",
            "http://c/x/v1/metrics",
        ),
        (
            "endpoint: 'http://c', protocol: http/protobuf, tracesEndpoint: 'http://t/x'",
            "http://c/v1/metrics",
            "http://t/x",
        ),
    ] {
        let otlp = otlp(&format!("enabled: true, {section}"), &[]).unwrap();
        assert_eq!(otlp.metrics_to.endpoint.as_str(), metrics, "{section}");
        assert_eq!(otlp.traces_to.endpoint.as_str(), traces, "{section}");
    }
}

#[test]
fn endpoints_of_the_environment_follow_the_specification() {
    let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c/base/");
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m/own");
    let endpoints = |section: &str, variables: Variables<'_>| {
        let otlp = otlp(section, variables).unwrap();
        [otlp.metrics_to.endpoint.to_string(), otlp.traces_to.endpoint.to_string()]
    };
    assert_eq!(
        endpoints("", &[http, general]),
        ["http://c/base/v1/metrics", "http://c/base/v1/traces"]
    );
    assert_eq!(endpoints("", &[http, general, own]), ["http://m/own", "http://c/base/v1/traces"]);
    assert_eq!(endpoints("endpoint: 'https://f'", &[general, own]), ["https://f/", "https://f/"]);
    assert_eq!(
        endpoints(
            "",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")]
        ),
        ["http://c:4317/", "http://c:4317/"]
    );
}

#[test]
fn file_decides_push_before_environment() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
    let disabled = ("OTEL_SDK_DISABLED", "true");
    let no_metrics = ("OTEL_METRICS_EXPORTER", "none");
    let no_traces = ("OTEL_TRACES_EXPORTER", "none");
    assert!(otlp("", &[]).is_none());
    assert!(otlp("endpoint: 'c:1'", &[]).is_none());
    assert!(otlp("", &[endpoint]).is_some());
    assert!(otlp("enabled: false", &[endpoint]).is_none());
    assert!(otlp("", &[endpoint, disabled]).is_none());
    assert!(otlp("", &[endpoint, no_metrics, no_traces]).is_none());
    let otlp_of = otlp("", &[endpoint, no_traces]).unwrap();
    assert!(otlp_of.metrics && !otlp_of.traces);
    assert!(otlp("signals: [traces]", &[endpoint, no_traces]).unwrap().traces);
    let overridden = loaded("enabled: true", &[endpoint, disabled]);
    assert!(overridden.config.otlp.is_some());
    assert_snapshot!(warnings(&overridden), @"environment: OTEL_SDK_DISABLED: ignored: the file says opentelemetry.enabled: true");
}

#[test]
fn variables_stand_in_for_absent_keys() {
    let variables: Variables<'_> = &[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "30000"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "X-One=a%20b,two=2"),
        ("OTEL_RESOURCE_ATTRIBUTES", "env=prod,service.name=x"),
        ("OTEL_SERVICE_NAME", "nbu"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    let from_env = otlp("", variables).unwrap();
    assert_eq!(from_env.interval, Duration::from_secs(30));
    assert_eq!(from_env.metrics_to.timeout, Duration::from_secs(5));
    assert_eq!(from_env.metrics_to.compression, Compression::Gzip);
    assert_eq!(from_env.temporality, Temporality::Delta);
    assert!((from_env.sampling_rate - 0.25).abs() < f64::EPSILON);
    let headers = |config: &Config| -> Vec<String> {
        let headers = config.metrics_to.headers.iter();
        headers.map(|(name, value)| format!("{name}={}", value.expose_secret())).collect()
    };
    assert_eq!(headers(&from_env), ["x-one=a b", "two=2"]);
    let pairs = [("env", "prod"), ("service.name", "nbu")];
    assert_eq!(from_env.resource_attributes, pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let section = "interval: 10s, compression: none, headers: {X-ONE: file, three: '3'}, \
                   resourceAttributes: {env: test}, protocol: http/protobuf";
    let merged = otlp(section, variables).unwrap();
    assert_eq!(merged.interval, Duration::from_secs(10));
    assert_eq!(merged.metrics_to.compression, Compression::None);
    assert_eq!(merged.metrics_to.protocol, Protocol::HttpProtobuf);
    assert_eq!(headers(&merged), ["x-one=file", "two=2", "three=3"]);
    assert_eq!(merged.resource_attributes[0].1, "test");
}

#[test]
fn wrong_variables_are_named_and_not_quoted() {
    let variables: Variables<'_> = &[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:SECRET@c"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/SECRET"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "SECRET"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "SECRET"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_METRICS_EXPORTER", "SECRET"),
        ("OTEL_SDK_DISABLED", "SECRET"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/SECRET/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/SECRET/key.pem"),
    ];
    let errors = errors("", variables);
    assert!(!errors.contains("SECRET"), "{errors}");
    assert_snapshot!(errors);
    // With the push off, nobody cares.
    assert!(otlp("enabled: false", variables).is_none());
}

#[test]
fn contradictions_are_said() {
    assert_snapshot!(errors("enabled: true, insecure: true, endpoint: 'https://c'", &[]), @"config.yaml:5:58: opentelemetry.endpoint: https:// contradicts insecure: true; drop one of them");
    assert_snapshot!(errors("enabled: true", &[]), @"config.yaml:5:16: opentelemetry.endpoint: required where OTLP is pushed, as host:port or a URL (or OTEL_EXPORTER_OTLP_ENDPOINT)");
    assert_snapshot!(errors("enabled: true, endpoint: 'c:1', signals: []", &[]), @"config.yaml:5:58: opentelemetry.signals: expected at least one of metrics, traces (enabled: false stops both)");
    assert_snapshot!(warnings(&loaded("enabled: true, endpoint: 'http://c/x', protocol: http/protobuf", &[])), @"config.yaml:5:42: opentelemetry.endpoint: its path is used as it is, for metrics and traces alike; metricsEndpoint and tracesEndpoint take a path each");
}

fn headers(config: &SignalConfig) -> Vec<String> {
    let headers = config.headers.iter();
    headers.map(|(name, value)| format!("{name}={}", value.expose_secret())).collect()
}

#[test]
fn variables_of_one_signal_override_those_of_both() {
    let otlp = otlp(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318"),
            ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "both=1,x=2"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "7000"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "Authorization=Basic%20YWI%3D, t=a%2Cb"),
            ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "false"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", ""),
        ],
    )
    .unwrap();
    let (metrics, traces) = (&otlp.metrics_to, &otlp.traces_to);
    assert_eq!(metrics.endpoint.as_str(), "http://c:4318/v1/metrics");
    assert_eq!(traces.endpoint.as_str(), "https://c:4318/");
    assert_eq!((metrics.protocol, traces.protocol), (Protocol::HttpProtobuf, Protocol::Grpc));
    let seconds = [metrics, traces].map(|config| config.timeout.as_secs());
    assert_eq!(seconds, [7, 5]);
    let compressions = [metrics, traces].map(|config| config.compression);
    assert_eq!(compressions, [Compression::Gzip, Compression::None]);
    assert_eq!(headers(metrics), ["authorization=Basic YWI=", "t=a,b"]);
    assert_eq!(headers(traces), ["both=1", "x=2"]);
}

#[test]
fn keys_of_the_file_override_variables_of_one_signal() {
    let section = "enabled: true, endpoint: 'http://c', timeout: 3s, headers: {a: file}, \
                   traces: {timeout: 4s, protocol: http/protobuf, headers: {b: own}}";
    let variables: Variables<'_> = &[
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "7000"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "8000"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://elsewhere"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=variable,c=variable"),
    ];
    let otlp = otlp(section, variables).unwrap();
    let seconds = [&otlp.metrics_to, &otlp.traces_to].map(|config| config.timeout.as_secs());
    assert_eq!(seconds, [3, 4]);
    assert_eq!(otlp.metrics_to.endpoint.as_str(), "http://c/");
    assert_eq!(otlp.traces_to.endpoint.as_str(), "http://c/v1/traces");
    assert_eq!(headers(&otlp.metrics_to), ["a=file", "c=variable"]);
    assert_eq!(headers(&otlp.traces_to), ["a=file", "b=own"]);
}

#[test]
fn variables_of_a_signal_that_is_off_are_not_read() {
    let section = "enabled: true, endpoint: 'http://c', signals: [metrics]";
    let stray = [
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "nonsense"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/nowhere/ca.pem"),
    ];
    assert!(otlp(section, &stray).is_some());
    let errors = errors("enabled: true, endpoint: 'http://c'", &stray);
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] {
        assert!(errors.contains(name), "{errors}");
    }
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[test]
fn malformed_resource_attributes_are_warned_of_and_ignored() {
    for text in ["a", "a=1,b", "=1", "a=%", "a=%zz", "a=%ff"] {
        let variables = [("OTEL_RESOURCE_ATTRIBUTES", text), ("OTEL_SERVICE_NAME", "nbu")];
        let loaded = loaded("enabled: true, endpoint: 'http://c'", &variables);
        let warnings = warnings(&loaded);
        assert!(warnings.contains("OTEL_RESOURCE_ATTRIBUTES: expected name=value"), "{warnings}");
        let attributes = loaded.config.otlp.unwrap().resource_attributes;
        assert_eq!(attributes, [("service.name".to_owned(), "nbu".to_owned())], "{text}");
    }
}

#[test]
fn interval_below_ten_milliseconds_is_refused_wherever_it_is_said() {
    let on = "enabled: true, endpoint: 'http://c'";
    let variable = |value| [("OTEL_METRIC_EXPORT_INTERVAL", value)];
    let push = otlp(on, &variable("10")).unwrap();
    assert_eq!(push.interval, Duration::from_millis(10));
    for said in [errors(on, &variable("9")), errors(&format!("{on}, interval: 9999us"), &[])] {
        assert!(said.contains("too short"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn times_below_a_second_are_warned_of() {
    let section = "enabled: true, endpoint: 'http://c', interval: 30ms, timeout: 999ms";
    let said = warnings(&loaded(section, &[]));
    assert!(said.contains("opentelemetry.interval: 30ms is below a second"), "{said}");
    assert!(said.contains("opentelemetry.timeout: 999ms is below a second"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    let variables = [
        ("OTEL_METRIC_EXPORT_INTERVAL", "60"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "20"),
    ];
    let said = warnings(&loaded("enabled: true, endpoint: 'http://c'", &variables));
    assert_eq!(said.matches("milliseconds").count(), 3, "{said}");
    let fine = "enabled: true, endpoint: 'http://c', interval: 1s, timeout: 1s";
    assert_eq!(warnings(&loaded(fine, &[])), "");
    assert_eq!(warnings(&loaded("enabled: false, interval: 1ms", &[])), "");
}
