//! TLS and mutual TLS to a real Collector, with certificates that are made here.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::collector::Collector;
use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::series::of_sites;
use crate::support::expected::differences;
use crate::support::{eventually, simulate, world};

/// Writes a CA, and a server's and a client's certificate of it.
fn certificates(desk: &Desk, prefix: &str) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let ca = CertifiedIssuer::self_signed(params, key()).expect("a CA");
    desk.write(&format!("{prefix}-ca.pem"), &ca.pem());
    for name in ["server", "client"] {
        let key = key();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &ca).expect("a certificate");
        desk.write(&format!("{prefix}-{name}.pem"), &certificate.pem());
        desk.write(&format!("{prefix}-{name}-key.pem"), &key.serialize_pem());
    }
}

/// A Collector with our server certificate; where asked to, it wants a client's.
async fn collector(desk: &Desk, mutual: bool) -> Collector {
    let mut settings = Vec::new();
    for protocol in ["grpc", "http"] {
        let mut set = |key: &str, file: &str| {
            let path = desk.path(file);
            settings.push(format!(
                "receivers::otlp::protocols::{protocol}::tls::{key}: {}",
                path.display()
            ));
        };
        set("cert_file", "our-server.pem");
        set("key_file", "our-server-key.pem");
        if mutual {
            set("client_ca_file", "our-ca.pem");
        }
    }
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    Collector::with(&settings).await
}

async fn pushes(protocol: &str, mutual: bool) {
    let desk = Desk::new();
    certificates(&desk, "our");
    certificates(&desk, "their");
    let collector = collector(&desk, mutual).await;
    let paris = simulate(world(1)).await;
    let base =
        config().server("scrapingInterval: 24h, collectionInterval: 1h").site("paris", &paris);
    let push = |tls: &str| {
        format!(
            "opentelemetry: {{ enabled: true, endpoint: \"https://{}\", protocol: {protocol}, \
             interval: 300ms, tls: {{ {tls} }} }}",
            collector.authority(protocol)
        )
    };
    let ours = "caFile: our-ca.pem";
    let client = "certFile: our-client.pem, keyFile: our-client-key.pem";
    let stranger = "certFile: their-client.pem, keyFile: their-client-key.pem";
    let mut wrong = vec!["caFile: their-ca.pem".to_owned(), String::new()];
    if mutual {
        wrong.extend([ours.to_owned(), format!("{ours}, {stranger}")]);
    }
    let endpoint = Endpoint::on(base.port);
    for tls in wrong {
        desk.write("config.yaml", &base.clone().with(&push(&tls)).yaml());
        let mut agent = desk.start(&["--config", "config.yaml"]);
        agent.says("OTLP metrics push").await;
        agent.says("failed (").await;
        let ended = agent.end_by(Signal::TERM).await;
        assert!(!ended.all().contains(" works"), "{tls:?}: {}", ended.all());
        assert!(of_sites(&collector.page().await).is_empty(), "{tls:?}");
    }
    let right = if mutual { format!("{ours}, {client}") } else { ours.to_owned() };
    desk.write("config.yaml", &base.with(&push(&right)).yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let served = of_sites(&endpoint.complete(&mut agent, "paris").await);
    eventually("everything arrives", || async {
        differences(&of_sites(&collector.page().await), &served).is_empty().then_some(())
    })
    .await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_with_tls_is_trusted_by_its_ca_alone() {
    for protocol in ["grpc", "http/protobuf"] {
        pushes(protocol, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collector_that_requires_client_certificate_gets_it() {
    for protocol in ["grpc", "http/protobuf"] {
        pushes(protocol, true).await;
    }
}
