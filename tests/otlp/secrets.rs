//! Texts of a receiver are shown without secrets, without terminal escapes, and cut last.

use std::time::Duration;

use nbu_otel_agent::telemetry::otlp::config::{Config, Protocol};
use nbu_otel_agent::telemetry::otlp::{Signal, Transport};
use otlp_sink::Behaviour;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::{BOTH, config, endpoint, sink};

const TOKEN: &str = "t0k3n-0f-th3-t3sts/with+more";

/// Forms of the token that a receiver may answer with.
fn forms() -> Vec<String> {
    let split = TOKEN.replace('-', "-\u{1b}[31m\0");
    vec![TOKEN.to_owned(), format!("{TOKEN} {TOKEN}"), TOKEN.replace('/', "%2F"), split]
}

fn with_token(mut config: Config) -> Config {
    let value = SecretString::from(format!("Bearer {TOKEN}"));
    config.metrics_to.headers = vec![("authorization".to_owned(), value)];
    config
}

fn assert_fit_to_show(message: &str) {
    for part in ["t0k3n", "th3-", "t3sts", "with+more"] {
        assert!(!message.contains(part), "{part} in {message:?}");
    }
    assert!(!message.contains(char::is_control), "{message:?}");
    assert!(message.chars().count() <= 303, "{} characters", message.chars().count());
}

#[tokio::test]
async fn partial_success_message_is_shown_without_the_token() {
    for protocol in BOTH {
        let sink = sink();
        let config = with_token(config(&endpoint(&sink, protocol), protocol));
        let transport = Transport::new(&config).unwrap();
        for form in forms() {
            for padding in (0..4).chain(270..305) {
                let message = format!("{}{form}\u{1b}[2J and more", "x".repeat(padding));
                sink.set_behaviour(Behaviour::PartialSuccess { rejected: 1, message });
                let deadline = Instant::now() + Duration::from_secs(60);
                let accepted = transport.send(Signal::Metrics, vec![].into(), deadline).await;
                assert_fit_to_show(&accepted.unwrap().message);
            }
        }
    }
}

/// Answers each request with a refusal that has `body`.
async fn refusing(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 4096]).await;
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\ncontent-type: text/plain\r\ncontent-length: \
                 {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn refusal_over_http_is_shown_without_the_token() {
    for form in forms() {
        for padding in [0, 230, 250, 64 * 1024 - 10] {
            let body = format!("{}{form}", " \u{1b}[0m".repeat(padding).get(..padding).unwrap());
            let endpoint = refusing(body).await;
            let config = with_token(config(&endpoint, Protocol::HttpProtobuf));
            let transport = Transport::new(&config).unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            let error = transport.send(Signal::Metrics, vec![].into(), deadline).await.unwrap_err();
            assert!(error.message.contains("401"), "{error}");
            assert_fit_to_show(&error.message);
        }
    }
}
