//! The hints of errors.

use std::time::Duration;

use nbu_otel_agent::netbackup::wire::jobs::{JOBS, JobRow};
use nbu_otel_agent::netbackup::{CursorPager, Error, ErrorKind, Query};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::server::{Answer, Server, builder, config, jobs, session};
use crate::tls::{authority, https_config, identity, tls_acceptor};

/// Returns the error of a pager of jobs that are answered like this.
async fn error_of(answer: Answer) -> Error {
    let server = Server::api(move |_| answer.clone()).await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    walk.next_page::<JobRow<'_>>().await.unwrap_err()
}

fn assert_hint(error: &Error, words: &[&str]) {
    let hint = error.hint().unwrap_or_default();
    for word in words {
        assert!(hint.contains(word), "no {word:?} in the hint of: {error}");
    }
}

#[tokio::test]
async fn each_status_has_its_own_hint() {
    let busy = ["busy", "increase collectionInterval", "lower maxConcurrentRequests"];
    let broken = ["log of the NetBackup web service", "the next poll retries"];
    let cases: [(u16, &[&str]); 12] = [
        (400, &["NetBackup 10.3 or later"]),
        (401, &["check apiKey"]),
        (403, &["role"]),
        (404, &["may not have this resource", "check uri"]),
        (405, &["check apiVersion and uri"]),
        (407, &["set proxyUrl with credentials"]),
        (429, &busy),
        (500, &broken),
        (501, &broken),
        (502, &["check that the NetBackup web service is running"]),
        (503, &busy),
        (504, &["check that the NetBackup web service is running"]),
    ];
    for (status, words) in cases {
        let error = error_of(Answer::error(status, "no")).await;
        assert_eq!(error.status(), Some(status));
        assert_hint(&error, words);
    }
}

#[tokio::test]
async fn undecodable_body_hints_at_proxies() {
    let cut = error_of(Answer::json(r#"{"data":[{"id":1,"attri"#)).await;
    assert_eq!(cut.kind(), ErrorKind::Body);
    assert_hint(&cut, &["a proxy or a timeout between the agent and the server"]);
    let garbled = error_of(Answer::json("no gzip").with("content-encoding", "gzip")).await;
    assert_eq!(garbled.kind(), ErrorKind::Body);
    assert_hint(&garbled, &["a proxy or a timeout between the agent and the server"]);
    let html = error_of(Answer::new(200, "text/html", "<html>")).await;
    assert_hint(&html, &["check host, port and uri"]);

    let server = Server::api(|_| jobs([1, 2, 3], "{}")).await;
    let client = builder(server.config()).max_body(10).build().unwrap();
    let large = session(&client).get(&JOBS, &Query::all()).await.unwrap_err();
    assert_hint(&large, &["check host, port and uri"]);
}

#[tokio::test]
async fn endless_list_has_a_hint() {
    let server = Server::api(|_| {
        jobs([1], r#"{"pagination":{"next":"again","prev":null,"limit":100,"hasNext":true}}"#)
    })
    .await;
    let mut walk = CursorPager::new(&server.session(), &JOBS, &Query::all());
    let error = loop {
        if let Err(error) = walk.next_page::<JobRow<'_>>().await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Paging, "{error}");
    assert_hint(&error, &["log of the NetBackup web service"]);
}

#[tokio::test]
async fn missing_ping_hints_at_the_address() {
    for status in [404, 410] {
        let server = Server::start(move |_| Answer::error(status, "no")).await;
        let error = server.client().ping().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_hint(&error, &["check uri, host and port: every release has /ping"]);
        assert!(!error.to_string().contains("may not have this"), "{error}");
    }
}

#[tokio::test]
async fn old_server_and_deadline_have_hints() {
    let server = Server::start(|_| Answer::ping("9.0")).await;
    let old = server.session().get(&JOBS, &Query::all()).await.unwrap_err();
    assert_hint(&old, &["upgrade the primary server"]);

    let server = Server::api(|_| Answer::json("{}").after(Duration::from_secs(20))).await;
    let deadline = tokio::time::Instant::now() + Duration::from_millis(300);
    let session = server.client().with_deadline(deadline);
    let late = session.get(&JOBS, &Query::all()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Deadline);
    assert_hint(&late, &["increase collectionInterval"]);
}

#[tokio::test]
async fn probe_has_the_same_hints_as_a_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = builder(config(&format!("http://{address}"))).build().unwrap();
    let step = client.tcp_connect(address, Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(step.kind(), ErrorKind::Connect);
    let nothing =
        "nothing listens there: check host and port, and that the NetBackup web service is running";
    assert_hint(&step, &[nothing]);
    assert_eq!(step.hint(), client.ping().await.unwrap_err().hint());
}

/// Completes handshakes, reads the request and closes the connection.
async fn hangs_up_after_the_handshake(ca: &crate::tls::Authority) -> std::net::SocketAddr {
    let acceptor = tls_acceptor(ca, "localhost", None);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let _ = stream.read(&mut [0; 1024]).await;
            }
        }
    });
    address
}

#[tokio::test]
async fn connection_lost_after_handshake_hints_at_client_certificates() {
    let ca = authority();
    let address = hangs_up_after_the_handshake(&ca).await;
    let mut config = https_config(address, Some(&ca));
    let lost = builder(config.clone()).build().unwrap().ping().await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Connect, "{lost}");
    assert_hint(&lost, &["mutual TLS", "certFile and keyFile", "check host, port and firewalls"]);

    config.identity = Some(identity(&ca));
    let lost = builder(config).build().unwrap().ping().await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Connect, "{lost}");
    assert!(!lost.to_string().contains("certFile"), "there is one: {lost}");
}

#[tokio::test]
async fn connection_lost_during_handshake_hints_at_client_certificates() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
        }
    });
    let config = https_config(address, Some(&authority()));
    let lost = builder(config).build().unwrap().ping().await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Connect, "{lost}");
    assert_hint(&lost, &["certFile and keyFile"]);
}
