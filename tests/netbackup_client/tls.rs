//! Certificates, proxies and addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use nbu_otel_agent::net::proxy::Proxy;
use nbu_otel_agent::net::tls::{Identity, PemFile};
use nbu_otel_agent::netbackup::wire::jobs::JOBS;
use nbu_otel_agent::netbackup::{Config, ErrorKind, Query};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::PrivateKeyDer;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::server::{Answer, Server, builder, config, session};

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((socket, address)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(socket).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certificate(authority: &Authority, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

/// Returns the server's part of TLS with a certificate for `name`; with `clients`, it requires one of theirs.
pub(crate) fn tls_acceptor(
    authority: &Authority,
    name: &str,
    clients: Option<&Authority>,
) -> TlsAcceptor {
    let (certificate, key) = certificate(authority, name);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            config.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .unwrap(),
            )
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Starts an HTTPS server with such a certificate.
async fn https(authority: &Authority, name: &str, clients: Option<&Authority>) -> Server {
    let acceptor = tls_acceptor(authority, name, clients);
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    Server::serve(TlsListener { tcp, acceptor }, address, |seen| {
        if seen.is_ping() { Answer::ping("14.0") } else { Answer::json("{}") }
    })
}

pub(crate) fn https_config(address: SocketAddr, ca: Option<&Authority>) -> Config {
    let mut config = config(&format!("https://localhost:{}/netbackup", address.port()));
    config.ca = ca.map(|ca| pem_file("ca.pem", &ca.pem()));
    config
}

fn pem_file(path: &str, pem: &str) -> PemFile {
    PemFile { path: path.into(), pem: pem.as_bytes().to_vec() }
}

#[tokio::test]
async fn configured_private_ca_is_trusted() {
    let ca = authority();
    let server = https(&ca, "localhost", None).await;
    let client = builder(https_config(server.address, Some(&ca))).build().unwrap();
    session(&client).get(&JOBS, &Query::all()).await.unwrap();
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn other_ca_is_an_error_on_ca_file_without_retries() {
    let server = https(&authority(), "localhost", None).await;
    let client = builder(https_config(server.address, Some(&authority()))).build().unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("check caFile"), "{error}");
    assert_eq!(client.stats().retries, 0);
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn unconfigured_private_ca_is_an_error_on_ca_file() {
    let server = https(&authority(), "localhost", None).await;
    let shown = match builder(https_config(server.address, None)).build() {
        Ok(client) => client.ping().await.unwrap_err().to_string(),
        // A machine without any CA certificates.
        Err(error) => error.to_string(),
    };
    assert!(shown.contains("caFile"), "{shown}");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn certificate_for_another_host_is_an_error_on_host() {
    let ca = authority();
    let server = https(&ca, "other.example.com", None).await;
    let client = builder(https_config(server.address, Some(&ca))).build().unwrap();
    let error = client.ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("is for other names"), "{error}");
}

#[tokio::test]
async fn ca_certificate_of_a_server_is_named_as_such() {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let _server = Server::serve(TlsListener { tcp, acceptor }, address, |_| Answer::ping("14.0"));
    let mut config = https_config(address, None);
    config.ca = Some(pem_file("ca.pem", &certificate.pem()));
    let error = builder(config).build().unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("CA:TRUE"), "{error}");
}

#[tokio::test]
async fn any_certificate_is_accepted_without_verification() {
    let server = https(&authority(), "other.example.com", None).await;
    for ca in [None, Some(&authority())] {
        let mut config = https_config(server.address, ca);
        config.insecure_skip_verify = true;
        builder(config).build().unwrap().ping().await.unwrap();
    }
}

pub(crate) fn identity(clients: &Authority) -> Identity {
    let (certificate, key) = certificate(clients, "agent");
    Identity {
        certificate: pem_file("agent.pem", &certificate.pem()),
        key_path: "agent.key".into(),
        key: SecretString::from(key.serialize_pem()),
    }
}

#[tokio::test]
async fn client_certificate_is_sent_and_a_missing_one_is_named() {
    let (ca, clients) = (authority(), authority());
    let server = https(&ca, "localhost", Some(&clients)).await;
    let mut config = https_config(server.address, Some(&ca));
    config.identity = Some(identity(&clients));
    builder(config.clone()).build().unwrap().ping().await.unwrap();
    config.identity = None;
    let error = builder(config).build().unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("certFile and keyFile"), "{error}");
}

#[test]
fn invalid_tls_settings_are_found_before_any_request() {
    let ca = authority();
    let base = config("https://localhost:1/netbackup");
    let mine = identity(&ca);
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = base.clone();
        change(&mut config);
        builder(config).build().unwrap_err()
    };
    let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    for (error, setting, said) in [
        (
            with(&|c| c.ca = Some(pem_file("ca.pem", "hello"))),
            "caFile",
            "ca.pem: contains no PEM certificate",
        ),
        (with(&|c| c.ca = Some(pem_file("ca.pem", secret))), "caFile", "but a private key"),
        (
            with(&|c| {
                let pem = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n";
                c.ca = Some(pem_file("ca.pem", pem));
            }),
            "caFile",
            "ca.pem",
        ),
        (
            with(&|c| c.identity = Some(Identity { key: secret.into(), ..mine.clone() })),
            "keyFile",
            "agent.key",
        ),
        (
            with(&|c| {
                c.identity = Some(Identity { key: identity(&ca).key, ..mine.clone() });
            }),
            "keyFile",
            "does not belong",
        ),
        (
            with(&|c| {
                c.proxy = Some(Proxy {
                    url: "http://user:hush hush@[".into(),
                    display: "proxy:3128".into(),
                    variable: None,
                });
            }),
            "proxyUrl",
            "proxy:3128",
        ),
    ] {
        assert_eq!(error.setting, setting, "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(!format!("{error} {error:?}").contains("c2VjcmV0"), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn http_instead_of_https_and_the_reverse_have_hints() {
    let plain = Server::api(|_| Answer::json("{}")).await;
    let mut config = config(&format!("https://{}/netbackup", plain.address));
    config.insecure_skip_verify = true;
    let error = builder(config).build().unwrap().ping().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.to_string().contains("does not use TLS"), "{error}");

    let tls = https(&authority(), "localhost", None).await;
    let error = tls.client().ping().await.unwrap_err();
    assert!(error.to_string().contains("scheme"), "{error}");
}

#[tokio::test]
async fn ipv6_address_is_reached() {
    let server = Server::start_at("[::1]:0", |_| Answer::ping("14.0")).await;
    let client = server.client();
    client.ping().await.unwrap();
    let addresses = client.resolve(Duration::from_secs(5)).await.unwrap();
    assert_eq!(addresses, [server.address]);
    client.tcp_connect(addresses[0], Duration::from_secs(5)).await.unwrap();
    assert!(client.base().starts_with("http://[::1]:"));
}

#[tokio::test]
async fn configured_proxy_is_used_with_its_credentials() {
    let proxy = Server::start(|_| Answer::ping("14.0")).await;
    let mut config = config("http://nbu.invalid:1556/netbackup");
    config.proxy = Some(Proxy {
        url: format!("http://user:hush@{}", proxy.address).into(),
        display: proxy.address.to_string(),
        variable: None,
    });
    builder(config).build().unwrap().ping().await.unwrap();
    let seen = &proxy.seen()[0];
    assert_eq!(seen.target, "http://nbu.invalid:1556/netbackup/ping");
    assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpodXNo"));
}
