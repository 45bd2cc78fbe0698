//! Clients that hold connections for nothing, and those who want an answer meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nbu_otel_agent::http::{Bound, Server, State};
use nbu_otel_agent::metric::{Metric, Samples};
use nbu_otel_agent::snapshot::{Part, Place, Snapshot};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::process::port as free_port;
use crate::support::{PATIENCE, eventually};
use crate::{Switch, listen, state_with};

static GAUGE: Metric<1> = Metric::gauge("crowd.gauge", "", &["name"], "A gauge of the test.");

/// An endpoint, and what it reads.
struct Endpoint {
    server: Server,
    state: Arc<State>,
    settings: Arc<Switch>,
    address: SocketAddr,
}

impl Endpoint {
    fn start() -> Self {
        let settings = Arc::<Switch>::default();
        let (state, requests) = state_with(Arc::clone(&settings));
        // Nobody reloads; who asks waits.
        std::mem::forget(requests);
        let bound = Bound::bind(&listen("127.0.0.1", free_port())).unwrap();
        let address = bound.address();
        Self { server: bound.serve(Arc::clone(&state)), state, settings, address }
    }

    /// Renders a page of some 2.5 MB, another one each time.
    async fn render(&self, value: f64) {
        let mut samples = Samples::new();
        for i in 0..20_000 {
            samples.record(&GAUGE, [&format!("{i:0100}")], value);
        }
        let mut snapshot = Snapshot::unpolled("paris", "");
        let families = Arc::new(samples.finish().0);
        let (place, origin) = (Place::default(), SystemTime::UNIX_EPOCH);
        snapshot.parts.push(Part { collector: "test", place, families, origin });
        let (_, latest) = self.state.store.publisher(snapshot);
        self.state.store.set_sites([("paris".into(), latest)].into_iter().collect());
        self.state.renderer.render_off_thread().await;
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Connects from an address of loopback, with a small buffer for what it does not read.
    async fn connect_from(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Connections that have sent this much of a request.
    async fn crowd(&self, size: usize, sent: &[u8]) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for i in 0..size {
            let mut stream = self.connect_from(u8::try_from(i % 8 + 1).unwrap()).await;
            // It may be closed for the next one.
            let _ = stream.write_all(sent).await;
            crowd.push(stream);
        }
        crowd
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = self.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    async fn assert_healthy(&self) {
        let text = self.get("/-/healthy").await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset after the answer is the end, too.
    let _ = read.expect("the endpoint answers");
    String::from_utf8(answer).unwrap()
}

fn assert_whole(answer: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(body.len() > 2_000_000 && body.ends_with('\n'), "{} bytes", body.len());
}

const HALF: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: ";

const PAGE: &[u8] = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_keep_others_out() {
    let endpoint = Endpoint::start();
    let idle = endpoint.crowd(600, b"").await;
    endpoint.assert_healthy().await;
    drop(idle);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_kept_alive_do_not_keep_others_out() {
    let endpoint = Endpoint::start();
    let kept = endpoint.crowd(600, b"GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n").await;
    endpoint.assert_healthy().await;
    drop(kept);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_heads_do_not_keep_others_out() {
    let endpoint = Endpoint::start();
    let unfinished = endpoint.crowd(600, HALF).await;
    endpoint.assert_healthy().await;
    drop(unfinished);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_heads_beyond_16_kib_are_refused() {
    let endpoint = Endpoint::start();
    for (length, status) in [(16 << 10, "200"), ((16 << 10) + 1, "431"), (400_000, "431")] {
        let (start, end) = ("GET /-/healthy HTTP/1.1\r\nconnection: close\r\nx: ", "\r\n\r\n");
        let filler = "x".repeat(length - start.len() - end.len());
        let mut stream = endpoint.connect().await;
        // It may be closed before all of it is sent.
        let _ = stream.write_all(format!("{start}{filler}{end}").as_bytes()).await;
        let answer = rest(&mut stream).await;
        assert!(answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(!answer.is_empty() || length == 400_000, "only a reset may overtake the answer");
    }
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_give_up_their_places() {
    let endpoint = Endpoint::start();
    let mut unread = Vec::new();
    for value in 0..4 {
        endpoint.render(f64::from(value)).await;
        unread.extend(endpoint.crowd(20, PAGE).await);
    }
    endpoint.assert_healthy().await;
    assert_whole(&endpoint.get("/metrics").await);
    drop(unread);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_steady_client_gets_the_whole_page() {
    let endpoint = Endpoint::start();
    endpoint.render(1.0).await;
    let mut slow = endpoint.connect_from(1).await;
    slow.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let unread = endpoint.crowd(50, PAGE).await;
    let (mut answer, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let read = timeout(PATIENCE, slow.read(&mut buffer)).await.unwrap().unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_whole(&String::from_utf8(answer).unwrap());
    drop(unread);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_all_answered() {
    let endpoint = Endpoint::start();
    endpoint.render(1.0).await;
    let mut stream = endpoint.connect().await;
    let one = "GET /-/healthy HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "GET /metrics HTTP/1.0\r\n\r\n";
    stream.write_all((one.repeat(100) + last).as_bytes()).await.unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 100);
    let (_, page) = answers.split_once("HTTP/1.0 200 OK").expect("the last answer");
    assert_whole(page);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_request_body_does_not_delay_the_response() {
    let endpoint = Endpoint::start();
    endpoint.settings.reloads_are_off.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut stream = endpoint.connect().await;
    let head =
        b"POST /-/reload HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab";
    stream.write_all(head).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_without_a_verdict_do_not_keep_others_out() {
    let endpoint = Endpoint::start();
    let post = b"POST /-/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    let waiting = endpoint.crowd(600, post).await;
    endpoint.assert_healthy().await;
    drop(waiting);
    endpoint.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_a_crowd() {
    let endpoint = Endpoint::start();
    endpoint.render(1.0).await;
    let mut crowd = endpoint.crowd(100, b"").await;
    crowd.extend(endpoint.crowd(100, HALF).await);
    crowd.extend(endpoint.crowd(60, PAGE).await);
    let post =
        b"POST /-/reload HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n";
    crowd.extend(endpoint.crowd(20, post).await);
    let closing = endpoint.connect().await;
    timeout(PATIENCE, endpoint.server.stop()).await.expect("it ends");
    let closed = || async { TcpStream::connect(endpoint.address).await.err() };
    eventually("the listener closes", closed).await;
    drop((closing, crowd));
}
