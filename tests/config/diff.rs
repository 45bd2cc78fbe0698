//! Differences that a reload reports: every key, by its path, and no secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use nbu_otel_agent::config::{Change, Config, Diff, diff, from_text, keys, switches};

use super::files::with_files;
use super::{load, with_server};

/// A file with every key.
static BASE: LazyLock<String> = LazyLock::new(|| {
    let switches = switches().into_iter().map(|switch| format!("  {switch}: {{enabled: no}}\n"));
    KEYS.replace("collectors:\n", &format!("collectors:\n{}", switches.collect::<String>()))
});

/// The keys of the file that are more than a switch of a collector.
const KEYS: &str = "
server:
  enabled: true
  host: 127.0.0.1
  port: 9440
  uri: /metrics
  lifecycle: true
  web:
    openHealth: false
    bearerTokenFile: tokens
    reloadTokenFile: token
    tls:
      certFile: cert2.pem
      keyFile: key2.pem
      clientAuth: verifyIfGiven
      clientCaFile: 'ca.pem'
      clientAllowedSans: [s1]
      minVersion: TLS13
    usersFile: users
    headers: {X-Frame-Options: deny}
  health:
    host: 127.0.0.3
    port: 9442
  scrapingInterval: 2h
  collectionInterval: 6m
  cacheTTL: 7m
  staleAfter: 30m
  logName: stdout
  logFormat: text
  logLevel: info
  configCheckInterval: 31s
nbuservers:
  - site: a
    enabled: true
    scheme: https
    allowPlainText: false
    host: h
    port: 1556
    uri: /netbackup
    apiKey: SECRET-1
    apiVersion: detect
    insecureSkipVerify: false
    serverCertFingerprints: [abababababababababababababababababababababababababababababababab]
    caFile: ca.pem
    certFile: cert.pem
    keyFile: key.pem
    proxyUrl: http://user:SECRET-1@proxy:3128
    timeout: 30s
    maxConcurrentRequests: 4
    domain: d
    domainType: t
    contentType: c
  - site: b
    host: i
    apiKeyFile: key
collectors:
  perClient:
    enabled: no
    allowlist: [x]
    denylist: [d1]
    limit: 11
    forgetAfter: 21h
  perPolicy:
    enabled: off
    allowlist: [p]
    denylist: [d2]
    limit: 12
    forgetAfter: 22h
  perWorkload:
    enabled: FALSE
    allowlist: [w]
    denylist: [d4]
    limit: 14
    forgetAfter: 23h
  jobs:
    actionNames: {BACKUP: one}
    longRunningAfter: 11h
    stalledAfter: 50m
    auditInterval: 30m
metrics:
  cardinalityLimit: 1000
  drop: [nbu_slo_count]
sharding:
  shard: 0
  shards: 1
state:
  directory: kept
  shared: true
opentelemetry:
  enabled: true
  metricsEndpoint: https://m/1
  tracesEndpoint: https://t/1
  insecure: false
  protocol: http/protobuf
  signals: [metrics, traces]
  samplingRate: 1.0
  interval: 60s
  timeout: 10s
  compression: none
  temporality: cumulative
  maxRequestBytes: 70000
  headers: {authorization: SECRET-1}
  resourceAttributes: {team: one}
  tls:
    caFile: ca.pem  # of the push
    certFile: cert.pem  # of the push
    keyFile: key.pem  # of the push
";

/// A key of the schema, a part of the file as it is and as it becomes, and what is said about it.
const ALTERATIONS: &str = r#"
server.host|host: 127.0.0.1|host: 127.0.0.2|server.host: 127.0.0.1 -> 127.0.0.2
server.port|port: 9440|port: 9441|server.port: 9440 -> 9441
server.uri|uri: /metrics|uri: /m|server.uri: /metrics -> /m
server.lifecycle|lifecycle: true|lifecycle: no|server.lifecycle: true -> false
server.web.tls.certFile|cert2.pem|cert.pem|server.web.tls.certFile: DIR/cert2.pem -> DIR/cert.pem
server.web.tls.keyFile|key2.pem|key.pem|server.web.tls.keyFile: DIR/key2.pem -> DIR/key.pem
server.web.tls.clientAuth|Auth: verifyIfGiven|Auth: requireAndVerify|server.web.tls.clientAuth: verifyIfGiven -> requireAndVerify
server.web.tls.clientCaFile|'ca.pem'|cert.pem|server.web.tls.clientCaFile: DIR/ca.pem -> DIR/cert.pem
server.web.tls.clientAllowedSans|[s1]|[s2]|server.web.tls.clientAllowedSans: [s1] -> [s2]
server.web.tls.minVersion|Version: TLS13|Version: TLS12|server.web.tls.minVersion: TLS13 -> TLS12
server.web.usersFile|usersFile: users|usersFile: users2|server.web.usersFile: DIR/users -> DIR/users2
server.web.bearerTokenFile|File: tokens|File: key2|server.web.bearerTokenFile: DIR/tokens -> DIR/key2
server.web.reloadTokenFile|File: token\n|File: key2\n|server.web.reloadTokenFile: DIR/token -> DIR/key2
server.web.openHealth|Health: false|Health: true|server.web.openHealth: false -> true
server.web.headers|Options: deny|Options: sameorigin|server.web.headers.X-Frame-Options: deny -> sameorigin
server.webConfigFile|    tls:\n      certFile: cert2.pem\n      keyFile: key2.pem\n      clientAuth: verifyIfGiven\n      clientCaFile: 'ca.pem'\n      clientAllowedSans: [s1]\n      minVersion: TLS13\n    usersFile: users\n    headers: {X-Frame-Options: deny}\n|  webConfigFile: web.yml\n|server.webConfigFile: added DIR/web.yml; 
server.health.host|host: 127.0.0.3|host: 127.0.0.4|server.health.host: 127.0.0.3 -> 127.0.0.4
server.health.port|port: 9442|port: 9443|server.health.port: 9442 -> 9443
server.scrapingInterval|Interval: 2h|Interval: 3h|server.scrapingInterval: 2h -> 3h
server.collectionInterval|Interval: 6m|Interval: 5m|server.collectionInterval: 6m -> 5m
server.cacheTTL|cacheTTL: 7m|cacheTTL: 8m|server.cacheTTL: 7m -> 8m
server.staleAfter|After: 30m|After: 31m|server.staleAfter: 30m -> 31m
server.logName|logName: stdout|logName: /var/log/x.log|server.logName: stdout -> /var/log/x.log
server.logFormat|Format: text|Format: json|server.logFormat: text -> json
server.logLevel|Level: info|Level: warn|server.logLevel: info -> warn
server.configCheckInterval|Interval: 31s|Interval: 1m|server.configCheckInterval: 31s -> 1m
nbuservers[].site|site: a|site: c|site c added; site a removed
nbuservers[].enabled|enabled: true\n    scheme|enabled: false\n    scheme|site a removed
nbuservers[].scheme|scheme: https|scheme: http|nbuservers[a].scheme: https -> http
nbuservers[].host|host: h|host: other|nbuservers[a].host: h -> other
nbuservers[].port|port: 1556|port: 1557|nbuservers[a].port: 1556 -> 1557
nbuservers[].uri|uri: /netbackup|uri: /n|nbuservers[a].uri: /netbackup -> /n
nbuservers[].apiKey|apiKey: SECRET-1|apiKey: SECRET-2|nbuservers[a].apiKey: changed
nbuservers[].apiKeyFile|apiKeyFile: key|apiKeyFile: key2|nbuservers[b].apiKeyFile: DIR/key -> DIR/key2
nbuservers[].apiVersion|apiVersion: detect|apiVersion: 13.0|nbuservers[a].apiVersion: detect -> 13.0
nbuservers[].allowPlainText|PlainText: false|PlainText: true|nbuservers[a].allowPlainText: false -> true
nbuservers[].insecureSkipVerify|Verify: false|Verify: true|nbuservers[a].insecureSkipVerify: false -> true
nbuservers[].serverCertFingerprints|Fingerprints: [abababababababababababababababababababababababababababababababab|Fingerprints: [cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd|nbuservers[a].serverCertFingerprints: [sha256:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:… -> [sha256:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:CD:…
nbuservers[].caFile|caFile: ca.pem\n|caFile: cert.pem\n|nbuservers[a].caFile: DIR/ca.pem -> DIR/cert.pem
nbuservers[].certFile|certFile: cert.pem\n|certFile: ca.pem\n|nbuservers[a].certFile: DIR/cert.pem -> DIR/ca.pem
nbuservers[].keyFile|keyFile: key.pem\n|keyFile: cert.pem\n|nbuservers[a].keyFile: DIR/key.pem -> DIR/cert.pem
nbuservers[].proxyUrl|user:SECRET-1@|user:SECRET-2@|nbuservers[a].proxyUrl: changed
nbuservers[].timeout|timeout: 30s|timeout: 1m|nbuservers[a].timeout: 30s -> 1m
nbuservers[].maxConcurrentRequests|Requests: 4|Requests: 5|nbuservers[a].maxConcurrentRequests: 4 -> 5
nbuservers[].domain|domain: d|domain: e|nothing changed
nbuservers[].domainType|domainType: t|domainType: u|nothing changed
nbuservers[].contentType|contentType: c|contentType: d|nothing changed
collectors.perClient.enabled|    enabled: no|    enabled: yes|collectors.perClient.enabled: false -> true
collectors.perClient.allowlist|[x]|[x, y]|collectors.perClient.allowlist: [x] -> [x, y]
collectors.perClient.denylist|[d1]|[d1, d3]|collectors.perClient.denylist: [d1] -> [d1, d3]
collectors.perClient.limit|limit: 11|limit: 13|collectors.perClient.limit: 11 -> 13
collectors.perClient.forgetAfter|forgetAfter: 21h|forgetAfter: never|collectors.perClient.forgetAfter: 21h -> never
collectors.perPolicy.enabled|    enabled: off|    enabled: on|collectors.perPolicy.enabled: false -> true
collectors.perPolicy.allowlist|[p]|[q]|collectors.perPolicy.allowlist: [p] -> [q]
collectors.perPolicy.denylist|[d2]|[]|collectors.perPolicy.denylist: [d2] -> []
collectors.perPolicy.limit|limit: 12|limit: 13|collectors.perPolicy.limit: 12 -> 13
collectors.perPolicy.forgetAfter|forgetAfter: 22h|forgetAfter: 13h|collectors.perPolicy.forgetAfter: 22h -> 13h
collectors.perWorkload.enabled|    enabled: FALSE|    enabled: on|collectors.perWorkload.enabled: false -> true
collectors.perWorkload.allowlist|[w]|[v]|collectors.perWorkload.allowlist: [w] -> [v]
collectors.perWorkload.denylist|[d4]|[]|collectors.perWorkload.denylist: [d4] -> []
collectors.perWorkload.limit|limit: 14|limit: 13|collectors.perWorkload.limit: 14 -> 13
collectors.perWorkload.forgetAfter|forgetAfter: 23h|forgetAfter: 13h|collectors.perWorkload.forgetAfter: 23h -> 13h
collectors.jobs.actionNames|BACKUP: one|BACKUP: two|collectors.jobs.actionNames.BACKUP: one -> two
collectors.jobs.longRunningAfter|After: 11h|After: 13h|collectors.jobs.longRunningAfter: 11h -> 13h
collectors.jobs.stalledAfter|After: 50m|After: 51m|collectors.jobs.stalledAfter: 50m -> 51m
collectors.jobs.auditInterval|Interval: 30m|Interval: never|collectors.jobs.auditInterval: 30m -> never
server.enabled|server:\n  enabled: true|server:\n  enabled: false|server.enabled: true -> false
sitesDirectory|metrics:\n  cardinality|sitesDirectory: more\nmetrics:\n  cardinality|site more added
election.lease|sharding:\n  shard: 0\n  shards: 1|election: {lease: l}|election.lease: added l
election.namespace|sharding:\n  shard: 0\n  shards: 1|election: {lease: l, namespace: n}|election.namespace: added n
election.duration|sharding:\n  shard: 0\n  shards: 1|election: {lease: l, duration: 12s}|election.duration: 9s -> 12s
sharding.shard|shard: 0\n  shards: 1|shard: 1\n  shards: 2|sharding.shard: 0 -> 1
sharding.shards|shards: 1|shards: 2|sharding.shards: 1 -> 2
state.shared|shared: true|shared: false|state.shared: true -> false
state.directory|directory: kept|directory: other|state.directory: DIR/kept -> DIR/other
metrics.drop|[nbu_slo_count]|[nbu_slo_count, {name: nbu_jobs_*, labels: {site: b}}]|metrics.drop: ["nbu_slo_count"] -> ["nbu_slo_count", {name: "nbu_jobs_*", labels: {"site": "b"}}]
metrics.cardinalityLimit|Limit: 1000|Limit: 1001|metrics.cardinalityLimit: 1000 -> 1001
opentelemetry.enabled|  enabled: true\n  metrics|  enabled: false\n  metrics|opentelemetry.enabled: true -> false; 
opentelemetry.endpoint|metricsEndpoint: https://m/1\n  tracesEndpoint: https://t/1|endpoint: https://m|opentelemetry.endpoint: added https://m/; 
opentelemetry.metricsEndpoint|https://m/1|https://m/2|opentelemetry.metricsEndpoint: https://m/1 -> https://m/2
opentelemetry.tracesEndpoint|https://t/1|https://t/2|opentelemetry.tracesEndpoint: https://t/1 -> https://t/2
opentelemetry.insecure|metricsEndpoint: https://m/1\n  tracesEndpoint: https://t/1\n  insecure: false|metricsEndpoint: m:1\n  tracesEndpoint: t:1\n  insecure: true|opentelemetry.insecure: false -> true
opentelemetry.protocol|protocol: http/protobuf|protocol: grpc|opentelemetry.protocol: http/protobuf -> grpc
opentelemetry.signals|[metrics, traces]|[traces]|opentelemetry.signals: [metrics, traces] -> [traces]
opentelemetry.samplingRate|Rate: 1.0|Rate: 0.5|opentelemetry.samplingRate: 1.0 -> 0.5
opentelemetry.interval|interval: 60s|interval: 90s|opentelemetry.interval: 1m -> 1m30s
opentelemetry.timeout|timeout: 10s|timeout: 9s|opentelemetry.timeout: 10s -> 9s
opentelemetry.compression|compression: none|compression: gzip|opentelemetry.compression: none -> gzip
opentelemetry.temporality|temporality: cumulative|temporality: delta|opentelemetry.temporality: cumulative -> delta
opentelemetry.maxRequestBytes|Bytes: 70000|Bytes: 70001|opentelemetry.maxRequestBytes: 70000 -> 70001
opentelemetry.headers|authorization: SECRET-1|authorization: SECRET-2|opentelemetry.headers.authorization: changed
opentelemetry.resourceAttributes|team: one|team: two|opentelemetry.resourceAttributes.team: one -> two
opentelemetry.metrics.protocol|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {protocol: grpc}|opentelemetry.protocol: http/protobuf -> grpc; 
opentelemetry.metrics.timeout|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {timeout: 9s}|opentelemetry.timeout: 10s -> 9s; 
opentelemetry.metrics.compression|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {compression: gzip}|opentelemetry.compression: none -> gzip; 
opentelemetry.metrics.headers|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {headers: {more: SECRET-3}}|opentelemetry.metrics.headers.more: added
opentelemetry.metrics.tls.caFile|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {tls: {caFile: cert.pem}}|opentelemetry.metrics.tls.caFile: added DIR/cert.pem
opentelemetry.metrics.tls.certFile|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {tls: {certFile: ca.pem}}|opentelemetry.metrics.tls.certFile: added DIR/ca.pem
opentelemetry.metrics.tls.keyFile|maxRequestBytes: 70000|maxRequestBytes: 70000\n  metrics: {tls: {keyFile: cert.pem}}|opentelemetry.metrics.tls.keyFile: added DIR/cert.pem
opentelemetry.traces.protocol|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {protocol: grpc}|opentelemetry.traces.protocol: added grpc
opentelemetry.traces.timeout|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {timeout: 9s}|opentelemetry.traces.timeout: added 9s
opentelemetry.traces.compression|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {compression: gzip}|opentelemetry.traces.compression: added gzip
opentelemetry.traces.headers|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {headers: {more: SECRET-3}}|opentelemetry.traces.headers.more: added
opentelemetry.traces.tls.caFile|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {tls: {caFile: cert.pem}}|opentelemetry.traces.tls.caFile: added DIR/cert.pem
opentelemetry.traces.tls.certFile|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {tls: {certFile: ca.pem}}|opentelemetry.traces.tls.certFile: added DIR/ca.pem
opentelemetry.traces.tls.keyFile|maxRequestBytes: 70000|maxRequestBytes: 70000\n  traces: {tls: {keyFile: cert.pem}}|opentelemetry.traces.tls.keyFile: added DIR/cert.pem
opentelemetry.tls.caFile|caFile: ca.pem  #|caFile: cert.pem  #|opentelemetry.tls.caFile: DIR/ca.pem -> DIR/cert.pem
opentelemetry.tls.certFile|certFile: cert.pem  #|certFile: ca.pem  #|opentelemetry.tls.certFile: DIR/cert.pem -> DIR/ca.pem
opentelemetry.tls.keyFile|keyFile: key.pem  #|keyFile: cert.pem  #|opentelemetry.tls.keyFile: DIR/key.pem -> DIR/cert.pem
"#;

/// The rows of the table, in which `\n` is a line break, and one for each switch of a collector.
fn alterations() -> Vec<[String; 4]> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(|cell| cell.replace("\\n", "\n")).collect();
        cells.try_into().unwrap_or_else(|_| panic!("four cells: {line}"))
    };
    let of_switch = |name: String| {
        let key = format!("collectors.{name}.enabled");
        let (off, on) = (format!("{name}: {{enabled: no"), format!("{name}: {{enabled: yes"));
        [key.clone(), off, on, format!("{key}: false -> true")]
    };
    let rows = ALTERATIONS.lines().filter(|line| !line.is_empty()).map(row);
    rows.chain(switches().into_iter().map(of_switch)).collect()
}

fn config(text: &str, dir: &Path) -> Config {
    let loaded = from_text(text, &dir.join("config.yaml"), &|_: &str| None);
    loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}")).config
}

fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    with_files(dir.path());
    fs::write(dir.path().join("key2"), "key-of-a").unwrap();
    fs::write(dir.path().join("web.yml"), "rate_limit: {interval: 1s, burst: 9}\n").unwrap();
    fs::create_dir(dir.path().join("more")).unwrap();
    fs::write(dir.path().join("more/more.yaml"), "{host: m, apiKey: SECRET-1}").unwrap();
    for (name, copy) in [("cert.pem", "cert2.pem"), ("key.pem", "key2.pem"), ("users", "users2")] {
        fs::copy(dir.path().join(name), dir.path().join(copy)).unwrap();
    }
    dir
}

fn said(difference: &Diff, dir: &Path) -> String {
    difference.to_string().replace(&dir.display().to_string(), "DIR")
}

#[test]
fn every_key_that_is_changed_shows_up() {
    let dir = directory();
    let before = config(&BASE, dir.path());
    let alterations = alterations();
    for [key, line, changed, expected] in &alterations {
        assert_eq!(BASE.matches(line.as_str()).count(), 1, "{key}: {line}");
        let now = config(&BASE.replacen(line, changed, 1), dir.path());
        let difference = diff(Some(&before), &now);
        let text = said(&difference, dir.path());
        assert!(text.contains(expected.as_str()), "{key}: {text}");
        let json = serde_json::to_string(&difference).unwrap();
        assert!(!text.contains("SECRET") && !json.contains("SECRET"), "{key}: {text} {json}");
        assert_eq!(difference.is_empty(), expected == "nothing changed", "{key}");
    }
    let altered: BTreeSet<&str> = alterations.iter().map(|[key, ..]| key.as_str()).collect();
    let keys = keys();
    for key in keys.iter().filter(|key| !key.starts_with("nbuserver.") && *key != "nbuserver") {
        let is_section = keys.iter().any(|other| {
            other.starts_with(&format!("{key}.")) || *other == format!("{key}[].site")
        });
        assert!(is_section || altered.contains(key.as_str()), "{key} has no alteration here");
    }
}

#[test]
fn another_spelling_of_the_same_changes_nothing() {
    let dir = directory();
    let before = config(&BASE, dir.path());
    let respelt = BASE
        .replace("port: 9440", "port: '9440'   # a comment")
        .replace("collectionInterval: 6m", "collectionInterval: 360s")
        .replace("logFormat: text", "logFormat: TEXT")
        .replace("scheme: https", "scheme: HTTPS")
        .replace("alerts: {enabled: no}", "alerts:\n    enabled: \"false\"")
        .replace("authorization: SECRET-1", "Authorization: 'SECRET-1'")
        .replace("    timeout: 30s\n", "");
    assert_ne!(respelt, *BASE);
    let first = BASE.find("  - site: a").unwrap();
    let second = BASE.find("  - site: b").unwrap();
    let end = BASE.find("collectors:").unwrap();
    let swapped = [&BASE[..first], &BASE[second..end], &BASE[first..second], &BASE[end..]].concat();
    for text in [BASE.clone(), respelt, swapped] {
        let difference = diff(Some(&before), &config(&text, dir.path()));
        assert!(difference.is_empty(), "{difference}");
    }
}

#[test]
fn files_that_hold_something_else_are_named() {
    let dir = directory();
    let before = config(&BASE, dir.path());
    for (file, expected) in [
        ("key", "nbuservers[b].apiKeyFile: content changed"),
        (
            "ca.pem",
            "nbuservers[a].caFile: content changed; server.web.tls.clientCaFile: content changed; \
             opentelemetry.tls.caFile: content changed",
        ),
        (
            "key.pem",
            "nbuservers[a].keyFile: content changed; opentelemetry.tls.keyFile: content changed",
        ),
        (
            "cert.pem",
            "nbuservers[a].certFile: content changed; opentelemetry.tls.certFile: content changed",
        ),
    ] {
        let path = dir.path().join(file);
        let old = fs::read(&path).unwrap();
        let other = directory();
        let new = if file == "key" {
            b"SECRET-9".into()
        } else {
            fs::read(other.path().join(file)).unwrap()
        };
        fs::write(&path, new).unwrap();
        let difference = diff(Some(&before), &config(&BASE, dir.path()));
        assert_eq!(difference.to_string(), expected);
        assert!(difference.sites.iter().all(|site| !site.server_changed));
        fs::write(&path, old).unwrap();
    }
    fs::write(dir.path().join("key"), "key-of-a\n\n").unwrap();
    let difference = diff(Some(&before), &config(&BASE, dir.path()));
    assert!(difference.is_empty(), "space around a key is none of it: {difference}");
}

#[test]
fn moved_server_differs_from_reconfigured_server() {
    let dir = directory();
    let before = config(&BASE, dir.path());
    for (line, changed, expected) in [
        ("host: h", "host: other", true),
        ("port: 1556", "port: 1557", true),
        ("scheme: https", "scheme: http", true),
        ("uri: /netbackup", "uri: /n", true),
        ("apiKey: SECRET-1", "apiKey: SECRET-2", false),
        ("timeout: 30s", "timeout: 31s", false),
    ] {
        let difference = diff(Some(&before), &config(&BASE.replace(line, changed), dir.path()));
        let [site] = &difference.sites[..] else { panic!("one site: {difference}") };
        assert_eq!((site.site.as_str(), site.change), ("a", Change::Changed));
        assert_eq!(site.server_changed, expected, "{line}");
    }
}

#[test]
fn secrets_that_come_and_go_are_told_without_their_values() {
    let with = |rest: &str| {
        let text = with_server("opentelemetry: {enabled: true, endpoint: 'c:1', ");
        load(&format!("{text}{rest}}}")).unwrap().config
    };
    let before = with("headers: {old: SECRET-1, same: SECRET-2}");
    let now = with("headers: {new: SECRET-1, same: SECRET-2}");
    assert_eq!(
        diff(Some(&before), &now).to_string(),
        "opentelemetry.headers.new: added; opentelemetry.headers.old: removed"
    );
    let site =
        |proxy: &str| load(&with_server(&format!("    proxyUrl: {proxy}\n"))).unwrap().config;
    let moved = diff(Some(&site("http://u:SECRET@one:1")), &site("http://u:SECRET@two:1"));
    assert_eq!(
        moved.to_string(),
        "nbuservers[a].proxyUrl: http://<redacted>@one:1 -> http://<redacted>@two:1"
    );
}

#[test]
fn from_nothing_every_site_is_new() {
    let now = load("nbuservers: [{site: a, host: h, apiKey: k}, {site: b, host: h, apiKey: k}]");
    let difference = diff(None, &now.unwrap().config);
    assert_eq!(difference.to_string(), "site a added; site b added");
}

#[test]
fn difference_is_one_bounded_line() {
    let before = load(&with_server("")).unwrap().config;
    let sites = (0..500).map(|n| format!("- {{site: \"s{n}\\nx\", host: h, apiKey: k}}\n"));
    let now = load(&format!("nbuservers:\n{}", sites.collect::<String>())).unwrap().config;
    let line = diff(Some(&before), &now).to_string();
    assert!(line.starts_with("site s0\\nx added; site s1\\nx added; "), "{line}");
    assert!(line.ends_with("; and 491 more"), "{line}");
    assert!(!line.contains('\n'));
    let long = "x".repeat(5000);
    let text = with_server(&format!("collectors: {{jobs: {{actionNames: {{A: \"{long}\"}}}}}}"));
    let line = diff(Some(&before), &load(&text).unwrap().config).to_string();
    assert!(line.len() < 200, "{line}");
}

#[test]
fn reload_answer_lists_sites_and_keys() {
    let text = "server: {port: 1, logName: /tmp/\u{e9}}\nnbuservers: [{site: a, host: h, apiKey: k, port: 1}]";
    let before = load(text).unwrap().config;
    let changed = text.replace("port: 1}]", "port: 2}, {site: b, host: h, apiKey: k}]");
    let now = load(&changed.replace("port: 1,", "port: 2,")).unwrap().config;
    let answer = serde_json::to_string(&diff(Some(&before), &now)).unwrap();
    let expected = r#"[{"site":"a","change":"changed","serverChanged":true,"keys":[{"key":"nbuservers[a].port","change":"changed","before":"1","now":"2"}]},{"site":"b","change":"added"},{"key":"server.port","change":"changed","before":"1","now":"2"}]"#;
    assert_eq!(answer, expected);
}
