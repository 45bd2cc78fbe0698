//! A receiver behind a proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use nbu_otel_agent::net::proxy::Proxy;
use nbu_otel_agent::telemetry::otlp::Kind;
use nbu_otel_agent::telemetry::otlp::config::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{BOTH, by_client, config, endpoint, series, sink, start};

/// Serves as a proxy that leads to `to`, whatever name is asked for. Keeps the heads of requests.
async fn proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heads = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((inner, _)) = listener.accept().await {
            tokio::spawn(serve(inner, to, Arc::clone(&heads)));
        }
    });
    (address, seen)
}

async fn serve(mut inner: TcpStream, to: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        let Ok(byte) = inner.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    heads.lock().unwrap().push(text.clone());
    let Ok(mut outer) = TcpStream::connect(to).await else { return };
    if text.starts_with("connect ") {
        let _ = inner.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
    } else {
        let _ = outer.write_all(&head).await;
    }
    let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
}

#[tokio::test]
async fn receiver_behind_a_proxy_is_reached_over_both_protocols() {
    for protocol in BOTH {
        let sink = sink();
        let to = endpoint(&sink, protocol).trim_start_matches("http://").parse().unwrap();
        let (address, seen) = proxy(to).await;
        let mut config = config("http://receiver.invalid:4317", protocol);
        for signal in [&mut config.metrics_to, &mut config.traces_to] {
            signal.proxy = Proxy::parse(&format!("http://me:p%40ss@{address}"));
        }
        let running = start(&config, || series(10));
        running.handle.flush().await.unwrap();
        assert_eq!(by_client(&sink).len(), 10, "{protocol:?}");
        let heads = seen.lock().unwrap().clone();
        assert!(heads[0].contains("receiver.invalid:4317"), "{heads:?}");
        assert!(heads[0].contains("proxy-authorization: basic bwu6cebzcw=="), "{heads:?}");
        assert_eq!(heads[0].starts_with("connect "), protocol == Protocol::Grpc, "{heads:?}");
    }
}

#[tokio::test]
async fn proxy_that_refuses_is_named_without_its_password() {
    for protocol in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nobody = listener.local_addr().unwrap();
        drop(listener);
        let mut config = config("http://receiver.invalid:4317", protocol);
        config.metrics_to.proxy = Proxy::parse(&format!("http://me:hushhush@{nobody}"));
        let running = start(&config, || series(10));
        let error = running.handle.flush().await.unwrap_err();
        assert_eq!(error.kind, Kind::Refused, "{protocol:?}: {error}");
        let text = error.to_string();
        assert!(text.contains(&format!("through the proxy {nobody}")), "{text}");
        assert!(!text.contains("hushhush"), "{text}");
    }
}
