//! Errors of requests through a proxy.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use nbu_otel_agent::net::proxy::{EnvironmentProxies, Proxy};
use nbu_otel_agent::netbackup::wire::jobs::{JOBS, JobRow};
use nbu_otel_agent::netbackup::{Config, CursorPager, Error, ErrorKind, Query};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Answer, Server, builder, config, session};
use crate::tls::{authority, https_config, tls_acceptor};

const CHECK: &str = "check proxyUrl, and that the proxy can reach the server";

/// Returns the settings of a site behind this proxy, whose address has a password in it.
fn by_way_of(scheme: &str, proxy: &str) -> Config {
    let mut config = config(&format!("{scheme}://nbu.invalid:1556/netbackup"));
    config.insecure_skip_verify = true;
    config.proxy = Proxy::parse(&format!("http://user:hush@{proxy}"));
    config
}

async fn ping(config: Config) -> Error {
    builder(config).build().unwrap().ping().await.unwrap_err()
}

fn assert_blames(error: &Error, proxy: &str, words: &[&str]) {
    let text = error.to_string();
    assert!(text.contains(proxy), "the proxy is not named: {text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    for wrong in ["hush", "NetBackup", "nothing listens there", "DNS servers"] {
        assert!(!text.contains(wrong), "{wrong:?} in: {text}");
    }
}

async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Answers each connection with `answer`, and closes it.
async fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn proxy_that_is_unreachable_is_named() {
    for scheme in ["http", "https"] {
        let proxy = nobody().await.to_string();
        let refused = ping(by_way_of(scheme, &proxy)).await;
        assert_eq!(refused.kind(), ErrorKind::Connect, "{refused}");
        assert_blames(&refused, &proxy, &[CHECK]);

        let unknown = ping(by_way_of(scheme, "no-such-proxy.invalid:3128")).await;
        assert_eq!(unknown.kind(), ErrorKind::Dns, "{scheme}: {unknown}");
        assert_blames(&unknown, "no-such-proxy.invalid:3128", &[CHECK]);
    }
}

#[tokio::test]
async fn proxy_that_makes_no_tunnel_is_named() {
    for answer in [
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
        "",
    ] {
        let proxy = answering(answer).await.to_string();
        let error = ping(by_way_of("https", &proxy)).await;
        assert_eq!(error.kind(), ErrorKind::Connect, "{answer:?}: {error}");
        assert_blames(&error, &proxy, &[CHECK]);
    }
}

#[tokio::test]
async fn proxy_that_is_slow_or_fails_is_named() {
    let proxy = Server::start(|_| Answer::new(504, "text/html", "<html>no</html>")).await;
    let address = proxy.address.to_string();
    let gateway = ping(by_way_of("http", &address)).await;
    assert_eq!((gateway.kind(), gateway.status()), (ErrorKind::Gateway, Some(504)));
    assert_blames(&gateway, &address, &[CHECK]);

    let late = Duration::from_secs(20);
    let proxy = Server::start(move |_| Answer::ping("14.0").after(late)).await;
    let address = proxy.address.to_string();
    let mut config = by_way_of("http", &address);
    config.timeout = Duration::from_millis(300);
    let client = builder(config).build().unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    let slow = client.with_deadline(deadline).ping().await.unwrap_err();
    assert_eq!(slow.kind(), ErrorKind::Timeout, "{slow}");
    assert_blames(&slow, &address, &[CHECK, "or increase timeout"]);
}

#[tokio::test]
async fn status_407_hints_at_credentials_and_is_not_retried() {
    let plain = Server::start(|_| Answer::new(407, "text/html", "<html>who?</html>")).await;
    let tunnel = answering(
        "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic \
         realm=\"x\"\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    for (scheme, proxy) in [("http", plain.address), ("https", tunnel)] {
        let proxy = proxy.to_string();
        let client = builder(by_way_of(scheme, &proxy)).build().unwrap();
        let error = client.ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Proxy, "{scheme}: {error}");
        assert_blames(&error, &proxy, &["proxyUrl needs credentials"]);
        assert_eq!(client.stats().retries, 0, "{scheme}");
    }
}

#[tokio::test]
async fn body_truncated_by_a_proxy_names_it() {
    let proxy = Server::start(|seen| {
        if seen.is_ping() { Answer::ping("14.0") } else { Answer::json(r#"{"data":[{"id"#) }
    })
    .await;
    let address = proxy.address.to_string();
    let client = builder(by_way_of("http", &address)).build().unwrap();
    let mut walk = CursorPager::new(&session(&client), &JOBS, &Query::all());
    let error = walk.next_page::<JobRow<'_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Body, "{error}");
    assert_blames(&error, &address, &["proxyUrl"]);
}

/// Set in the process that has a proxy in its environment.
const CHILD: &str = "NBU_TEST_CHILD";

/// Runs in its own process, because all threads share the environment.
#[tokio::test]
#[ignore = "the process that proxy_of_the_environment_is_named starts"]
async fn child_of_the_environment() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut config = config("https://nbu.invalid:1556/netbackup");
    let environment = EnvironmentProxies::read(|name| std::env::var(name).ok());
    config.proxy = environment.proxy_for(&config.base_url).cloned();
    let error = ping(config).await;
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("HTTPS_PROXY is set in the agent's environment"), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[test]
fn proxy_of_the_environment_is_named() {
    // Nothing listens on the released port.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "proxies::child_of_the_environment", "--ignored"])
        .env("HTTPS_PROXY", format!("http://user:hush@{free}"))
        .env(CHILD, "1")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("1 passed"), "{shown}");
}

#[tokio::test]
async fn untrusted_certificate_of_a_proxy_is_named_as_such() {
    let acceptor = tls_acceptor(&authority(), "localhost", None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let _ = acceptor.accept(socket).await;
        }
    });
    for scheme in ["http", "https"] {
        let mut config = config(&format!("{scheme}://nbu.invalid:1556/netbackup"));
        config.ca = https_config(([127, 0, 0, 1], port).into(), Some(&authority())).ca;
        config.proxy = Proxy::parse(&format!("https://localhost:{port}"));
        let error = ping(config).await;
        assert_eq!(error.kind(), ErrorKind::Tls, "{scheme}: {error}");
        let hint = format!("the certificate of the proxy localhost:{port} (proxyUrl)");
        assert!(error.to_string().contains(&hint), "{scheme}: {error}");
    }
}
