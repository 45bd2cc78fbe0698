//! Listeners that follow another on the same port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use nbu_otel_agent::http::{Bound, Server, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::port as free_port;
use crate::support::{PATIENCE, eventually};
use crate::{listen, state};

const ASK: &[u8] = b"GET /-/healthy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Asks over a new connection.
async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    answer(&mut stream).await
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<String> {
    stream.write_all(ASK).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Asserts that a second agent cannot have the port, whatever address of it it asks for.
fn assert_taken(port: u16) {
    for host in ["0.0.0.0", "127.0.0.1"] {
        let error = Bound::bind(&listen(host, port)).unwrap_err().to_string();
        assert!(error.contains("another process uses the port"), "{host}: {error}");
    }
}

/// Scrapes without pause from several clients until it is told to stop; returns what failed.
struct Scrapers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Scrapers {
    fn start(address: SocketAddr) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let tasks = (0..4)
            .map(|_| {
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    while !stop.load(Relaxed) {
                        match ask(address).await {
                            Ok(text) if text.starts_with("HTTP/1.1 200") => {}
                            other => failures.push(format!("{other:?}")),
                        }
                        done.fetch_add(1, Relaxed);
                    }
                    failures
                })
            })
            .collect();
        Self { stop, done, tasks }
    }

    /// Waits until some more scrapes ended.
    async fn more(&self) {
        let target = self.done.load(Relaxed) + 40;
        let waiting = async {
            while self.done.load(Relaxed) < target {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("scrapes go on");
    }

    async fn failures(self) -> Vec<String> {
        self.stop.store(true, Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(task.await.unwrap());
        }
        failures
    }
}

/// Moves the endpoint as a reload does.
async fn change(old: Server, host: &str, port: u16, state: &Arc<State>) -> Server {
    let bound = Bound::bind_alongside(&listen(host, port), &old.listening()).unwrap();
    let new = bound.serve(Arc::clone(state));
    old.stop().await;
    new
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_succeed_while_host_changes_on_same_port() {
    let port = free_port();
    let (state, _requests) = state();
    let mut server = Bound::bind(&listen("127.0.0.1", port)).unwrap().serve(Arc::clone(&state));
    let scrapers = Scrapers::start(here(port));
    scrapers.more().await;
    for host in ["0.0.0.0", "127.0.0.1", "localhost", "0.0.0.0", "0.0.0.0", "127.0.0.1", "0.0.0.0"]
    {
        server = change(server, host, port, &state).await;
        scrapers.more().await;
    }
    assert_eq!(scrapers.failures().await, Vec::<String>::new());
    server.stop().await;
    assert!(ask(here(port)).await.is_err(), "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_ipv6_takes_over_from_ipv4_and_back() {
    let port = free_port();
    let (state, _requests) = state();
    let mut server = Bound::bind(&listen("127.0.0.1", port)).unwrap().serve(Arc::clone(&state));
    let scrapers = Scrapers::start(here(port));
    for host in ["::", "0.0.0.0", "::", "127.0.0.1"] {
        server = change(server, host, port, &state).await;
        scrapers.more().await;
    }
    assert_eq!(scrapers.failures().await, Vec::<String>::new());
    assert!(ask(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))).await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_agent_on_the_port_fails_before_and_after_change() {
    let port = free_port();
    let (state, _requests) = state();
    let mut server = Bound::bind(&listen("127.0.0.1", port)).unwrap().serve(Arc::clone(&state));
    assert_taken(port);
    for host in ["0.0.0.0", "127.0.0.1"] {
        server = change(server, host, port, &state).await;
        assert_taken(port);
    }
    server.stop().await;
    assert!(Bound::bind(&listen("0.0.0.0", port)).is_ok(), "the end frees it");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_change_leaves_the_old_listener_alone() {
    let port = free_port();
    let (state, _requests) = state();
    for (host, other) in [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")] {
        let server = Bound::bind(&listen(host, port)).unwrap().serve(Arc::clone(&state));
        let bound = Bound::bind_alongside(&listen(other, port), &server.listening()).unwrap();
        assert!(ask(here(port)).await.unwrap().starts_with("HTTP/1.1 200"), "it serves meanwhile");
        drop(bound);
        assert!(ask(here(port)).await.unwrap().starts_with("HTTP/1.1 200"), "{host}");
        assert_taken(port);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn address_of_another_process_is_refused_beside_old_listener() {
    let port = free_port();
    let (state, _requests) = state();
    let server = Bound::bind(&listen("127.0.0.1", port)).unwrap().serve(Arc::clone(&state));
    let _other = std::net::TcpListener::bind(("127.0.0.2", port)).unwrap();
    for host in ["127.0.0.2", "0.0.0.0"] {
        let error = Bound::bind_alongside(&listen(host, port), &server.listening())
            .unwrap_err()
            .to_string();
        assert!(error.contains("another process uses the port"), "{error}");
    }
    assert_taken(port);
    assert!(ask(here(port)).await.unwrap().starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_open_when_listener_closes_are_served() {
    let port = free_port();
    let (state, _requests) = state();
    let server = Bound::bind(&listen("127.0.0.1", port)).unwrap().serve(Arc::clone(&state));
    let next =
        Bound::bind_alongside(&listen("127.0.0.1", free_port()), &server.listening()).unwrap();
    let next = next.serve(Arc::clone(&state));
    let mut early = TcpStream::connect(here(port)).await.unwrap();
    // It asks only once nobody can connect any longer.
    let stopping = tokio::spawn(server.stop());
    let closed = || async { TcpStream::connect(here(port)).await.err() };
    eventually("the listener closes", closed).await;
    let text = answer(&mut early).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
    assert!(!next.is_dead());
    next.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_still_closing_is_bound_again() {
    let (first, second) = (free_port(), free_port());
    let mut own = nbu_otel_agent::http::Listening::default();
    let (state, _requests) = state();
    let mut server = Bound::bind(&listen("127.0.0.1", first)).unwrap().serve(Arc::clone(&state));
    let mut ends = Vec::new();
    // Back and forth without a pause, so that each is still closing when it is wanted again.
    for port in [second, first, second, first, first] {
        own.add(server.listening());
        let bound = Bound::bind_alongside(&listen("127.0.0.1", port), &own).unwrap();
        let old = std::mem::replace(&mut server, bound.serve(Arc::clone(&state)));
        ends.push(tokio::spawn(old.stop()));
    }
    for end in ends {
        end.await.unwrap();
    }
    assert!(ask(here(first)).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask(here(second)).await.is_err(), "it is closed");
    assert_taken(first);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_of_another_process_is_refused_while_one_closes() {
    let taken = std::net::TcpListener::bind(here(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let (state, _requests) = state();
    let server = Bound::bind(&listen("127.0.0.1", free_port())).unwrap().serve(state);
    let own = server.listening();
    server.stop().await;
    let error = Bound::bind_alongside(&listen("127.0.0.1", port), &own).unwrap_err().to_string();
    assert!(error.contains("another process uses the port"), "{error}");
}
