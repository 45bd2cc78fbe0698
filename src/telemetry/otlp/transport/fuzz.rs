//! Fuzz target of the answers of OTLP receivers.

#![allow(clippy::expect_used, reason = "a fuzz target may panic")]

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use prost::bytes::Bytes;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::grpc::refused;
use super::{Accepted, Compression, Config, MESSAGE_LIMIT, Protocol, SignalConfig};
use super::{SendError, SendResult, Signal, Transport};
use crate::telemetry::otlp::config::{Temporality, Tls};

/// Credentials of the requests, which a receiver may answer with.
const TOKEN: &str = "t0k3n-0f-th3-fuzzing/with+more";

/// A receiver on loopback that gives the answer of the input.
struct Receiver {
    runtime: Runtime,
    answer: Arc<Mutex<Vec<u8>>>,
    transport: Transport,
}

static RECEIVER: LazyLock<Receiver> = LazyLock::new(Receiver::start);

impl Receiver {
    fn start() -> Self {
        crate::net::tls::install_provider();
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let listener =
            runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let given = Arc::clone(&answer);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = given.lock().expect("no panic").clone();
                tokio::spawn(answer_with(stream, answer));
            }
        });
        let to = SignalConfig {
            endpoint: format!("http://{address}").parse().expect("an address"),
            protocol: Protocol::HttpProtobuf,
            timeout: Duration::from_secs(5),
            compression: Compression::None,
            headers: vec![(
                "authorization".to_owned(),
                SecretString::from(format!("Bearer {TOKEN}")),
            )],
            tls: Tls::default(),
            proxy: None,
        };
        let config = Config {
            metrics_to: to.clone(),
            traces_to: to,
            metrics: true,
            traces: false,
            sampling_rate: 1.0,
            interval: Duration::from_secs(60),
            temporality: Temporality::Cumulative,
            resource_attributes: Vec::new(),
            max_request_bytes: 4_000_000,
        };
        let guard = runtime.enter();
        let transport = Transport::new(&config).expect("a transport");
        drop(guard);
        Self { runtime, answer, transport }
    }
}

/// Reads the head of a request, which has no body, answers, and closes.
async fn answer_with(mut stream: TcpStream, answer: Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// Sends a request whose answer is the input: the first byte chooses between raw bytes, a body of HTTP with a status and
/// a type, and the details of a gRPC status. What is shown of it is one short line without the token.
pub(crate) fn answer(data: &[u8]) {
    let Some((choice, content)) = data.split_first() else { return };
    let receiver = &*RECEIVER;
    match choice % 3 {
        0 => receiver.send(content.to_vec()),
        1 => receiver.send(framed(choice / 3, content)),
        _ => receiver.take_status(choice / 3, content),
    }
}

/// Returns an answer of HTTP with this body.
fn framed(choice: u8, body: &[u8]) -> Vec<u8> {
    const STATUSES: [&str; 8] = ["200", "202", "400", "401", "413", "429", "503", "307"];
    const TYPES: [&str; 4] = ["application/x-protobuf", "application/json", "text/html", ""];
    let (status, kind) = (STATUSES[usize::from(choice % 8)], TYPES[usize::from(choice / 8 % 4)]);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

impl Receiver {
    fn send(&self, answer: Vec<u8>) {
        *self.answer.lock().expect("no panic") = answer;
        let deadline = Instant::now() + Duration::from_secs(5);
        let sending = self.transport.send(Signal::Metrics, Bytes::new(), deadline);
        assert_fit_to_show(&self.runtime.block_on(sending));
    }

    fn take_status(&self, choice: u8, details: &[u8]) {
        let text = String::from_utf8_lossy(details);
        let status =
            Status::with_details(Code::from(i32::from(choice % 17)), text, details.to_vec().into());
        let error = refused(&status);
        let message = self.transport.0[0].shown(&error.message);
        assert_fit_to_show(&Err(SendError { message, ..error }));
        let accepted = Accepted::decode(details);
        let message = self.transport.0[0].shown(&accepted.message);
        assert_fit_to_show(&Ok(Accepted { message, ..accepted }));
    }
}

fn assert_fit_to_show(result: &SendResult) {
    let message = match result {
        Ok(accepted) => &accepted.message,
        Err(error) => &error.message,
    };
    assert!(!message.contains(TOKEN) && !message.contains(char::is_control), "{message:?}");
    // An ellipsis comes on top.
    assert!(message.chars().count() <= MESSAGE_LIMIT + 3, "{message}");
}
