//! Servers and proxies that are not what they should be: the key is sent to none of them. Pinned certificates.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nbu_otel_agent::net::fingerprint::Fingerprint;
use nbu_otel_agent::net::proxy::Proxy;
use nbu_otel_agent::netbackup::wire::jobs::JOBS;
use nbu_otel_agent::netbackup::{ApiVersion, Config, Error, ErrorKind, Query};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{KEY, builder, session};
use crate::tls::{Authority, authority, https_config, tls_acceptor};

/// Answer of a server that does not know the key.
const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

/// A listener that records what it gets: all of it, or what comes after the TLS handshake.
struct Hostile {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Hostile {
    /// Speaks TLS if it has an acceptor, says that it is a tunnel before if it is a proxy, and gives `answer`.
    async fn start(tls: Option<TlsAcceptor>, is_proxy: bool, answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<u8>>>::default();
        let record = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (tls, record, answer) = (tls.clone(), Arc::clone(&record), answer.clone());
                tokio::spawn(async move {
                    if is_proxy {
                        head(&mut socket, &record).await;
                        socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                    }
                    match tls {
                        None => talk(socket, &record, &answer).await,
                        Some(tls) => talk(tls.accept(socket).await.ok()?, &record, &answer).await,
                    }
                    Some(())
                });
            }
        });
        Self { address, received }
    }

    async fn server(tls: TlsAcceptor) -> Self {
        Self::start(Some(tls), false, REFUSAL.to_owned()).await
    }

    fn has_key(&self) -> bool {
        let received = self.received.lock().unwrap();
        received.windows(KEY.len()).any(|window| window == KEY.as_bytes())
    }

    fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }
}

/// Reads a head, and records it.
async fn head(stream: &mut (impl AsyncRead + Unpin), record: &Mutex<Vec<u8>>) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n")
        && let Ok(byte) = stream.read_u8().await
    {
        read.push(byte);
        record.lock().unwrap().push(byte);
    }
}

/// Records what comes, and answers the first head of it.
async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    record: &Mutex<Vec<u8>>,
    answer: &str,
) {
    head(&mut stream, record).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let mut rest = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut rest).await {
        record.lock().unwrap().extend_from_slice(&rest[..length]);
    }
}

/// Makes a request with the key at once, without a ping before it.
async fn ask(mut config: Config) -> Error {
    config.api_version = Some(ApiVersion::NEWEST);
    let client = builder(config).build().unwrap();
    let error = session(&client).get(&JOBS, &Query::all()).await.unwrap_err();
    // What is under way arrives.
    tokio::time::sleep(Duration::from_millis(50)).await;
    error
}

fn expired(authority: &Authority) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn other_fingerprint() -> Fingerprint {
    "ab".repeat(32).parse().unwrap()
}

/// Returns the fingerprint that an error shows.
fn shown(error: &Error) -> Fingerprint {
    let text = error.to_string();
    let at = text.find("sha256:").unwrap_or_else(|| panic!("no fingerprint in {text}"));
    text[at..at + "sha256".len() + 32 * 3].parse().unwrap()
}

#[tokio::test]
async fn key_goes_only_to_a_server_that_was_accepted() {
    let ca = authority();
    let honest = Hostile::server(tls_acceptor(&ca, "localhost", None)).await;
    let error = ask(https_config(honest.address, Some(&ca))).await;
    assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    assert!(honest.has_key(), "what is sent is recorded: {}", honest.received());

    for (what, tls, pins) in [
        ("another CA", tls_acceptor(&authority(), "localhost", None), vec![]),
        ("another name", tls_acceptor(&ca, "other.example.com", None), vec![]),
        ("an old certificate", expired(&ca), vec![]),
        ("another fingerprint", tls_acceptor(&ca, "localhost", None), vec![other_fingerprint()]),
    ] {
        let hostile = Hostile::server(tls).await;
        let mut config = https_config(hostile.address, Some(&ca));
        config.fingerprints = pins;
        let error = ask(config).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{what}: {error}");
        assert_eq!(hostile.received(), "", "{what}");
    }

    let mut unverified = https_config(honest.address, None);
    (unverified.insecure_skip_verify, unverified.fingerprints) = (true, vec![other_fingerprint()]);
    honest.received.lock().unwrap().clear();
    assert_eq!(ask(unverified).await.kind(), ErrorKind::Tls);
    assert_eq!(honest.received(), "", "a fingerprint counts without verification too");
}

#[tokio::test]
async fn key_does_not_go_to_plain_server_on_https_port() {
    let hostile = Hostile::start(None, false, REFUSAL.to_owned()).await;
    let error = ask(https_config(hostile.address, Some(&authority()))).await;
    assert!(!hostile.has_key(), "{}", hostile.received());
    assert_ne!(hostile.received(), "", "a handshake was tried");
    assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Timeout), "{error}");
}

#[tokio::test]
async fn key_does_not_follow_a_redirect() {
    let ca = authority();
    for scheme in ["https", "http"] {
        let tls = (scheme == "https").then(|| tls_acceptor(&ca, "localhost", None));
        let target = Hostile::start(tls, false, REFUSAL.to_owned()).await;
        let location =
            format!("{scheme}://localhost:{}/netbackup/admin/jobs", target.address.port());
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        );
        let tls = tls_acceptor(&ca, "localhost", None);
        let server = Hostile::start(Some(tls), false, answer).await;
        let error = ask(https_config(server.address, Some(&ca))).await;
        assert_eq!(error.kind(), ErrorKind::Redirect, "{error}");
        assert!(server.has_key(), "it was accepted");
        assert_eq!(target.received(), "", "{scheme}");
    }
}

#[tokio::test]
async fn key_does_not_go_to_a_proxy_that_lies() {
    let ca = authority();
    for (what, tls) in [
        ("plays the server", Some(tls_acceptor(&authority(), "localhost", None))),
        ("speaks in clear text", None),
    ] {
        let proxy = Hostile::start(tls, true, REFUSAL.to_owned()).await;
        let mut config = https_config(([127, 0, 0, 1], 9).into(), Some(&ca));
        config.proxy = Proxy::parse(&format!("http://{}", proxy.address));
        config.timeout = Duration::from_secs(2);
        let error = ask(config).await;
        assert!(proxy.received().starts_with("CONNECT localhost:9 "), "{}", proxy.received());
        assert!(!proxy.has_key(), "{what}: {}", proxy.received());
        assert!(matches!(error.kind(), ErrorKind::Tls | ErrorKind::Timeout), "{what}: {error}");
    }
}

#[tokio::test]
async fn certificate_must_have_one_of_the_fingerprints() {
    let ca = authority();
    let server = Hostile::server(tls_acceptor(&ca, "localhost", None)).await;
    let with = |pins: Vec<Fingerprint>, is_verified: bool| {
        let mut config = https_config(server.address, is_verified.then_some(&ca));
        (config.fingerprints, config.insecure_skip_verify) = (pins, !is_verified);
        ask(config)
    };
    let refused = with(vec![other_fingerprint()], true).await;
    let text = refused.to_string();
    assert!(text.contains("to serverCertFingerprints"), "{text}");
    let right = shown(&refused);
    for (pins, is_verified) in
        [(vec![right], true), (vec![other_fingerprint(), right], true), (vec![right], false)]
    {
        let error = with(pins, is_verified).await;
        assert_eq!(error.kind(), ErrorKind::Unauthorized, "{error}");
    }
    // It does not stand in for the verification, unless that is switched off.
    let mut config = https_config(server.address, Some(&authority()));
    config.fingerprints = vec![right];
    assert_eq!(ask(config).await.kind(), ErrorKind::Tls);
}

/// Shows a certificate, and has another key.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl ResolvesServerCert for Stolen {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn pinned_certificate_without_its_key_is_refused() {
    let pair = || {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap(), key)
    };
    let ((certificate, own), (_, other)) = (pair(), pair());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let serve = async |key: &KeyPair| {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let key = ring::sign::any_supported_type(&key).unwrap();
            let stolen = CertifiedKey::new(vec![certificate.der().clone()], key);
            let provider = Arc::new(ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Stolen(Arc::new(stolen))));
            Hostile::server(TlsAcceptor::from(Arc::new(config))).await
        };
        let config = |server: &Hostile, pins| {
            let mut config = https_config(server.address, None);
            (config.insecure_skip_verify, config.fingerprints) = (true, pins);
            config
        };
        let honest = serve(&own).await;
        let pin = shown(&ask(config(&honest, vec![other_fingerprint()])).await);
        assert_eq!(ask(config(&honest, vec![pin])).await.kind(), ErrorKind::Unauthorized);
        let thief = serve(&other).await;
        let error = ask(config(&thief, vec![pin])).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert_eq!(thief.received(), "");
    }
}
