//! `https` with a private CA, with mutual TLS, and with the wrong CA.

use nbu_otel_agent::net::tls::{Identity, PemFile};
use nbu_otel_agent::telemetry::otlp::config::{Config, Protocol};
use nbu_otel_agent::telemetry::otlp::{Kind, Transport};
use otlp_sink::{Options, Sink, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use secrecy::SecretString;

use crate::support::{BOTH, by_client, config, endpoint, series, start};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn pem_file(pem: &str) -> PemFile {
    PemFile { path: "test.pem".into(), pem: pem.as_bytes().to_vec() }
}

fn tls_sink(server: &Authority, clients: Option<&Authority>) -> Sink {
    let (certificate, key) = server.issue("127.0.0.1");
    let client_ca = clients.map(Authority::pem);
    let tls = Some(Tls { certificate, key, client_ca });
    Sink::start(Options { tls, ..Options::default() }).unwrap()
}

fn tls_config(sink: &Sink, protocol: Protocol, ca: &Authority) -> Config {
    let mut config = config(&endpoint(sink, protocol), protocol);
    config.metrics_to.tls.ca = Some(pem_file(&ca.pem()));
    config
}

#[tokio::test]
async fn only_the_private_ca_is_trusted() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    for protocol in BOTH {
        let sink = tls_sink(&ours, None);
        let good = start(&tls_config(&sink, protocol, &ours), || series(10));
        good.handle.flush().await.unwrap();
        assert_eq!(by_client(&sink).len(), 10);

        let bad = start(&tls_config(&sink, protocol, &theirs), || series(10));
        let error = bad.handle.flush().await.unwrap_err();
        assert_eq!(error.kind, Kind::Tls, "{protocol:?}: {error}");

        // Without a CA of its own it trusts the system's, which do not know this one.
        let system = start(&config(&endpoint(&sink, protocol), protocol), || series(10));
        let error = system.handle.flush().await.unwrap_err();
        assert_eq!(error.kind, Kind::Tls, "{protocol:?}: {error}");
    }
}

#[tokio::test]
async fn receiver_that_requires_client_certificate_gets_it() {
    let (ours, clients) = (Authority::new(), Authority::new());
    for protocol in BOTH {
        let sink = tls_sink(&ours, Some(&clients));
        let mut config = tls_config(&sink, protocol, &ours);
        let without = start(&config, || series(10));
        let error = without.handle.flush().await.unwrap_err();
        // With TLS 1.3 the refusal may come when the connection is in use already, and get lost.
        let kind = error.kind;
        assert!(matches!(kind, Kind::Tls | Kind::Connection), "{protocol:?}: {error}");

        let (certificate, key) = clients.issue("agent");
        config.metrics_to.tls.identity = Some(Identity {
            certificate: pem_file(&certificate),
            key_path: "test.key".into(),
            key: SecretString::from(key),
        });
        let with = start(&config, || series(10));
        with.handle.flush().await.unwrap();
        assert_eq!(by_client(&sink).len(), 10);
    }
}

#[tokio::test]
async fn material_that_is_not_usable_is_refused_at_once() {
    for protocol in BOTH {
        let mut config = config("https://collector.example.com:4317", protocol);
        config.metrics_to.tls.ca = Some(pem_file("nothing of the kind"));
        let error = Transport::new(&config).err().unwrap().to_string();
        assert_eq!(error, "TLS: test.pem: contains no PEM certificate");
        config.metrics_to.tls.ca = None;
        config.metrics_to.headers =
            vec![("x key".to_owned(), SecretString::from("s3cr3t".to_owned()))];
        let error = Transport::new(&config).err().unwrap().to_string();
        assert!(error.contains("x key") && !error.contains("s3cr3t"), "{error}");
    }
    let config = config("http://me:s3cr3t@collector.example.com:4317", Protocol::Grpc);
    let error = Transport::new(&config).err().unwrap().to_string();
    assert!(error.contains("set a header") && !error.contains("s3cr3t"), "{error}");
}
