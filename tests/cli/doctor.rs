//! `doctor`: each step of the way to a server and to a Collector, and what to mend.

use std::net::SocketAddr;

use nbu_sim::{Settings, Simulator, TlsMaterial};
use otlp_sink::{Options, Signal, Sink};

use crate::process::{Desk, Ended, Refusing, config};
use crate::support::{Config, simulate, world};

/// A key that must not appear anywhere.
pub const KEY: &str = "Zx9PlantedKey7Qw";

/// A server that takes the planted key.
pub async fn server(settings: Settings) -> Simulator {
    simulate(Settings { api_key: KEY.to_owned(), ..settings }).await
}

/// Returns the output of `doctor` for a configuration; asserts that the key is not in it.
pub async fn doctor(config: &str) -> Ended {
    let ended = Desk::with(config).run(&["doctor", "--config", "config.yaml"]).await;
    assert!(!ended.all().contains(KEY), "{}", ended.all());
    let fails = ended.stdout.contains("failed: see the lines that begin with FAIL");
    assert_eq!(ended.code == Some(0), !fails, "{}", ended.all());
    ended
}

/// The detail of a step that had this verdict.
pub fn verdict<'e>(ended: &'e Ended, verdict: &str, step: &str) -> Option<&'e str> {
    ended.stdout.lines().find_map(|line| {
        let rest = line.strip_prefix("  ")?.strip_prefix(verdict)?.trim_start();
        rest.strip_prefix(step)?.strip_prefix("  ").map(str::trim)
    })
}

/// Holds that this step, and no other, failed, and that what is said of it has these words.
pub fn assert_fails(ended: &Ended, step: &str, words: &[&str]) {
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let detail = verdict(ended, "FAIL", step);
    let detail = detail.unwrap_or_else(|| panic!("{step} does not fail:\n{}", ended.all()));
    for word in words {
        assert!(detail.contains(word), "no {word:?} in: {detail}");
    }
    let failures = ended.stdout.lines().filter(|line| line.starts_with("  FAIL")).count();
    assert_eq!(failures, 1, "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_passes_healthy_server_and_collector() {
    let paris = server(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a sink");
    let push =
        format!("opentelemetry: {{ enabled: true, endpoint: \"{}\" }}", sink.grpc_endpoint());
    let ended = doctor(&config().site("paris", &paris).with(&push).yaml()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    for step in [
        "name",
        "tcp",
        "ping",
        "version",
        "key",
        "permission jobs",
        "permission storage",
        "push metrics",
        "push traces",
    ] {
        assert!(verdict(&ended, "ok", step).is_some(), "{step}: {}", ended.all());
    }
    assert_eq!(verdict(&ended, "ok", "version"), Some("13.0"));
    // The world stands still at a noon that is not ours.
    assert!(verdict(&ended, "warn", "clock").is_some(), "{}", ended.all());
    let signals: Vec<Signal> = sink.requests().iter().map(|request| request.signal).collect();
    assert_eq!(signals, [Signal::Metrics, Signal::Traces]);
    assert_eq!(ended.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_fails_collector_down_and_still_reports_servers() {
    let (paris, down) = (server(world(1)).await, Refusing::new());
    for (protocol, signals, step) in
        [("grpc", "[metrics]", "push metrics"), ("http/protobuf", "[traces]", "push traces")]
    {
        let push = format!(
            "opentelemetry: {{ enabled: true, endpoint: \"http://{}\", protocol: {protocol}, \
             signals: {signals} }}",
            down.address()
        );
        let ended = doctor(&config().site("paris", &paris).with(&push).yaml()).await;
        assert_fails(&ended, step, &[&down.address().to_string(), "refused"]);
        assert!(verdict(&ended, "ok", "permission storage").is_some(), "{}", ended.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_fails_refused_connection_at_tcp_only() {
    let (paris, lima) = (server(world(1)).await, Refusing::new());
    let address = lima.address();
    let config = config().site_at("lima", address, &format!("apiKey: {KEY}"));
    let ended = doctor(&config.site("paris", &paris).yaml()).await;
    assert_fails(&ended, "tcp", &["lima", &address.to_string(), "refused", "check host and port"]);
    assert!(verdict(&ended, "ok", "name").is_some());
    assert!(verdict(&ended, "ok", "permission jobs").is_some(), "{}", ended.all());
}

/// A configuration with one https site.
fn https(address: SocketAddr, more: &str) -> String {
    let Config { port, .. } = config();
    format!(
        "server: {{ port: {port} }}\nnbuservers:\n  - {{ site: paris, host: \"{}\", port: {}, \
         apiKey: {KEY}, {more} }}\n",
        address.ip(),
        address.port()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_fails_private_ca_until_ca_file_is_set() {
    let tls = TlsMaterial::generate().expect("certificates");
    let paris = server(Settings { tls: Some(tls.clone()), ..world(1) }).await;
    let unknown = doctor(&https(paris.addr(), "timeout: 20s")).await;
    assert_fails(&unknown, "tls", &["caFile", "UnknownIssuer"]);
    assert_eq!(paris.requests().len(), 0, "a request went out over an unverified connection");

    let desk = Desk::with(&https(paris.addr(), "caFile: ca.pem"));
    desk.write("ca.pem", &tls.ca_pem);
    let known = desk.run(&["doctor", "--config", "config.yaml"]).await;
    assert_eq!(known.code, Some(0), "{}", known.all());
    assert_eq!(verdict(&known, "ok", "tls"), Some("certificate verified"));

    let blind = doctor(&https(paris.addr(), "insecureSkipVerify: true")).await;
    let shown = verdict(&blind, "-", "certificate").expect("a fingerprint");
    for ended in [&unknown, &known] {
        assert_eq!(verdict(ended, "-", "certificate"), Some(shown), "{}", ended.all());
    }
    let more = format!("insecureSkipVerify: true, serverCertFingerprints: [\"{shown}\"]");
    let pinned = doctor(&https(paris.addr(), &more)).await;
    assert_eq!(pinned.code, Some(0), "{}", pinned.all());
    // Of the digits alone: the name of the hash has some, too.
    let (name, digits) = shown.split_at("sha256:".len());
    let other = format!("{name}{}", digits.replace(['0', '1', '2', '3'], "4"));
    let others = more.replace(shown, &other);
    assert_fails(&doctor(&https(paris.addr(), &others)).await, "tls", &["fingerprint", shown]);
    assert_eq!(blind.code, Some(0), "{}", blind.all());
    assert!(blind.stdout.contains("NOT verified"), "{}", blind.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_warns_of_clear_text_until_it_is_permitted() {
    let paris = server(world(1)).await;
    let with = |more: &str| {
        // It leads to this machine, and is not its loopback address.
        let address = ([0, 0, 0, 0], paris.addr().port()).into();
        config().site_at("paris", address, &format!("apiKey: {KEY}{more}")).yaml()
    };
    let warned = doctor(&with("")).await;
    assert!(verdict(&warned, "warn", "clear text").is_some(), "{}", warned.all());
    assert!(warned.stderr.contains("nbuservers[0].scheme"), "{}", warned.all());
    let permitted = doctor(&with(", allowPlainText: true")).await;
    assert_eq!(verdict(&permitted, "warn", "clear text"), None, "{}", permitted.all());
    assert_eq!(permitted.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_passes_mutual_tls_only_with_certificate() {
    let tls = TlsMaterial::generate().expect("certificates").mutual();
    let paris = server(Settings { tls: Some(tls.clone()), ..world(1) }).await;
    let without = Desk::with(&https(paris.addr(), "caFile: ca.pem"));
    let identity = "caFile: ca.pem, certFile: client.pem, keyFile: client.key";
    let with = Desk::with(&https(paris.addr(), identity));
    for desk in [&without, &with] {
        desk.write("ca.pem", &tls.ca_pem);
        desk.write("client.pem", &tls.client_cert_pem);
        desk.write("client.key", &tls.client_key_pem);
    }
    let refused = without.run(&["doctor", "--config", "config.yaml"]).await;
    // With TLS 1.3 the refusal may come when the connection is in use already, and get lost.
    if verdict(&refused, "FAIL", "tls").is_some() {
        assert_fails(&refused, "tls", &["certFile and keyFile"]);
    } else {
        assert_fails(&refused, "ping", &[]);
    }
    let well = with.run(&["doctor", "--config", "config.yaml"]).await;
    assert_eq!(well.code, Some(0), "{}", well.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_receiver_are_printed_without_secrets_and_escapes() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let paris = server(world(1)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let body = format!("{} t0k3n-0f-th3-t3sts \u{1b}[2J", "x".repeat(225));
            let head = "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\n";
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"http://{address}\", protocol: http/protobuf, \
         signals: [metrics], headers: {{ authorization: Bearer t0k3n-0f-th3-t3sts }} }}"
    );
    let ended = doctor(&config().site("paris", &paris).with(&push).yaml()).await;
    assert_fails(&ended, "push metrics", &["401"]);
    assert!(!ended.all().contains("t0k3"), "{}", ended.all());
    assert!(!ended.all().contains('\u{1b}'), "{:?}", ended.all());
}
