//! The endpoint and the push behind mutual TLS and a password, for a real Prometheus and a real Collector, while all
//! certificates are rotated; and a client of OpenSSL that offers what is old or weak.

use std::fs;
use std::process::{Command, Stdio};

use crate::collector::Collector;
use crate::process::{Desk, Signal, config};
use crate::prometheus::Prometheus;
use crate::support::certificates::Authority;
use crate::support::{Page, eventually, simulate, world};

/// Scrapes, and pushes, during which certificates are rotated five times. `.ci/long web` asks for 1,000.
fn wanted() -> f64 {
    std::env::var("NBU_SCRAPES").ok().and_then(|text| text.parse().ok()).unwrap_or(200.0)
}

const ROTATIONS: usize = 5;

const PASSWORD: &str = "right";

/// Puts new certificates of everybody in place of the old ones, all at once, as Kubernetes does with its secrets.
fn rotate(desk: &Desk, ca: &Authority, number: usize) {
    let folder = format!("certificates-{number}");
    fs::create_dir(desk.path(&folder)).expect("a folder");
    for name in ["agent", "collector", "prometheus"] {
        let issued = ca.issue("127.0.0.1");
        desk.write(&format!("{folder}/{name}.pem"), &issued.certificate);
        desk.write(&format!("{folder}/{name}-key.pem"), &issued.key);
    }
    std::os::unix::fs::symlink(&folder, desk.path("next")).expect("a link");
    fs::rename(desk.path("next"), desk.path("current")).expect("it is swapped");
}

/// Writes what the parts share; returns the agent's web configuration file.
fn material(desk: &Desk, ca: &Authority) -> String {
    desk.write("ca.pem", &ca.pem());
    rotate(desk, ca, 0);
    desk.write("password", PASSWORD);
    let hash = bcrypt::hash(PASSWORD, 8).expect("a hash");
    desk.write(
        "web.yml",
        &format!(
            "tls_server_config:\n  cert_file: current/agent.pem\n  key_file: current/agent-key.pem\n  \
             client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n\
             basic_auth_users: {{ prometheus: '{hash}' }}\n"
        ),
    );
    "webConfigFile: web.yml".to_owned()
}

async fn collector(desk: &Desk) -> Collector {
    let path = |name: &str| desk.path(name).display().to_string();
    let settings: Vec<String> = [
        ("cert_file", path("current/collector.pem")),
        ("key_file", path("current/collector-key.pem")),
        ("client_ca_file", path("ca.pem")),
        ("reload_interval", "100ms".to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| format!("receivers::otlp::protocols::grpc::tls::{key}: {value}"))
    .collect();
    Collector::with(&settings.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Scrapers of the endpoint, each once a second: twenty scrapes a second that may each take a second of a busy machine.
const SCRAPERS: usize = 20;

async fn prometheus(desk: &Desk, port: u16) -> Prometheus {
    let path = |name: &str| desk.path(name).display().to_string();
    let scrapers: Vec<String> = (0..SCRAPERS)
        .map(|number| {
            format!("{{ targets: ['127.0.0.1:{port}'], labels: {{ scraper: '{number}' }} }}")
        })
        .collect();
    Prometheus::with(&format!(
        "scrape_configs:\n- job_name: netbackup\n  scheme: https\n  \
         scrape_interval: 1s\n  scrape_timeout: 1s\n  scrape_failure_log_file: {}\n  \
         tls_config: {{ ca_file: {}, cert_file: {}, key_file: {} }}\n  \
         basic_auth: {{ username: prometheus, password_file: {} }}\n  \
         static_configs: [{}]\n",
        path("lost-scrapes"),
        path("ca.pem"),
        path("current/prometheus.pem"),
        path("current/prometheus-key.pem"),
        path("password"),
        scrapers.join(", "),
    ))
    .await
}

/// Returns the first value of an expression, 0 without any.
async fn value(prometheus: &Prometheus, expression: &str) -> f64 {
    let answer = prometheus.api("query", &[("query", expression)]).await;
    let value = answer["data"]["result"][0]["value"][1].as_str();
    value.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// The exports of metrics by the agent, by result, as the Collector has them.
async fn exports(collector: &Collector) -> (f64, f64) {
    let page: Page = collector.page().await;
    let has = |labels: &[(String, String)], name: &str, is_wanted: fn(&str) -> bool| {
        labels.iter().any(|(label, value)| label == name && is_wanted(value))
    };
    let of = |is_wanted: fn(&str) -> bool| {
        let series = page.series().iter().filter(|((name, labels), _)| {
            name == "nbu_agent_otlp_exports_total"
                && has(labels, "signal", |signal| signal == "metrics")
                && has(labels, "result", is_wanted)
        });
        series.map(|(_, value)| value).sum::<f64>()
    };
    (of(|result| result == "success"), of(|result| result != "success"))
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_and_pushes_survive_rotated_certificates() {
    let (desk, ca) = (Desk::new(), Authority::new());
    let web = material(&desk, &ca);
    let collector = collector(&desk).await;
    let paris = simulate(world(1)).await;
    let push = format!(
        "opentelemetry: {{ enabled: true, signals: [metrics], endpoint: \"https://{}\", protocol: grpc, interval: 50ms, \
         tls: {{ caFile: ca.pem, certFile: current/agent.pem, keyFile: current/agent-key.pem }} }}",
        collector.authority("grpc")
    );
    let config = config()
        .server(&format!("scrapingInterval: 24h, collectionInterval: 1h, {web}"))
        .site("paris", &paris)
        .with(&push);
    desk.write("config.yaml", &config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    let prometheus = prometheus(&desk, config.port).await;
    let scrapes = "sum(count_over_time(up{job=\"netbackup\"}[1h]))";
    let step = wanted() / (ROTATIONS as f64 + 1.0);
    for number in 1..=ROTATIONS + 1 {
        let target = step * number as f64;
        eventually("scrapes and pushes go on", || async {
            let (pushed, _) = exports(&collector).await;
            (value(&prometheus, scrapes).await >= target && pushed >= target).then_some(())
        })
        .await;
        if number <= ROTATIONS {
            rotate(&desk, &ca, number);
            eventually("the certificates are in force", || async {
                let applied = agent.said().matches("server.webConfigFile: content changed").count();
                (applied >= number).then_some(())
            })
            .await;
        }
    }
    let all = value(&prometheus, scrapes).await;
    let good = value(&prometheus, "sum(sum_over_time(up{job=\"netbackup\"}[1h]))").await;
    let (pushed, failed) = exports(&collector).await;
    println!("{all} scrapes, {good} good; {pushed} pushes, {failed} failed; {ROTATIONS} rotations");
    let lost = fs::read_to_string(desk.path("lost-scrapes")).unwrap_or_default();
    assert_eq!((lost.as_str(), failed), ("", 0.0), "{}", agent.said());
    // The good ones were counted after all of them.
    assert!(good >= all && all >= wanted(), "{good} of {all}");
    prometheus.stop().await;
    agent.end_by(Signal::TERM).await;
}

/// Shakes hands by `openssl s_client` with these arguments; what it says.
fn handshake(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-brief", "-connect", &format!("127.0.0.1:{port}")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is there");
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn old_protocols_and_weak_ciphers_are_refused() {
    let (desk, ca) = (Desk::new(), Authority::new());
    let issued = ca.issue("127.0.0.1");
    desk.write("agent.pem", &issued.certificate);
    desk.write("agent-key.pem", &issued.key);
    let paris = simulate(world(1)).await;
    let web = "web: { tls: { certFile: agent.pem, keyFile: agent-key.pem } }";
    let config = config().server(web).site("paris", &paris);
    desk.write("config.yaml", &config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    let port = config.port;
    // So that the client offers what is weak: the server must refuse it.
    let anything = "ALL:COMPLEMENTOFALL@SECLEVEL=0";
    for (protocol, ciphers, expected) in [
        ("-tls1_3", "DEFAULT", Some("TLSv1.3")),
        ("-tls1_2", "DEFAULT", Some("TLSv1.2")),
        ("-tls1_1", anything, None),
        ("-tls1", anything, None),
        (
            "-tls1_2",
            "NULL:aNULL:eNULL:EXPORT:LOW:MD5:RC4:3DES:DES:IDEA:SEED:CAMELLIA:ARIA:PSK:SRP@SECLEVEL=0",
            None,
        ),
        ("-tls1_2", "kRSA:@SECLEVEL=0", None),
        ("-tls1_2", "kDHE:@SECLEVEL=0", None),
        (
            "-tls1_2",
            "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0",
            None,
        ),
    ] {
        let said = tokio::task::block_in_place(|| handshake(port, &[protocol, "-cipher", ciphers]));
        let is_established = said.contains("CONNECTION ESTABLISHED");
        if let Some(version) = expected {
            assert!(is_established && said.contains(version), "{protocol} {ciphers}: {said}");
        } else {
            // The server's own word: the client did ask.
            assert!(!is_established && said.contains("alert"), "{protocol} {ciphers}: {said}");
        }
    }
    agent.end_by(Signal::TERM).await;
}
