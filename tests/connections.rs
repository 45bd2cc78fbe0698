//! Connections to the endpoint: many, slow, half open.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and one measures")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use nbu_sim::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::endpoint::Endpoint;
use support::process::{Desk, Signal, config};
use support::{Agent, Config, simulate, world};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::TcpSocket;

fn connect(agent: &Agent) -> TcpStream {
    let address = agent.url("").trim_start_matches("http://").to_owned();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_unfinished_requests() {
    let simulator = simulate(world(1)).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    agent.first_samples("paris").await;
    let mut half_open: Vec<TcpStream> = (0..600).map(|_| connect(&agent)).collect();
    for stream in &mut half_open {
        stream.write_all(b"GET /metrics HT").unwrap();
    }
    // All places are taken; the end does not wait for any of them.
    let stopped = tokio::time::timeout(Duration::from_secs(8), agent.stop()).await;
    assert!(stopped.is_ok(), "the endpoint closes whatever its clients do");
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_requests_do_not_block_scrapes() {
    let simulator = simulate(world(1)).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    agent.first_samples("paris").await;
    let mut half_open: Vec<TcpStream> = (0..100).map(|_| connect(&agent)).collect();
    for stream in &mut half_open {
        stream.write_all(b"GET /metrics HT").unwrap();
    }
    let page = agent.scrape().await;
    assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_clients_get_the_whole_page() {
    let simulator = simulate(world(1)).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    agent.first_samples("paris").await;
    let old = ask(&mut connect(&agent), "GET /metrics HTTP/1.0\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200"), "{}", &old[..40]);
    let new = ask(
        &mut connect(&agent),
        "GET /metrics?x=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert!(new.starts_with("HTTP/1.1 200"), "{}", &new[..40]);
    for answer in [old, new] {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        assert_eq!(length, Some(body.len()), "{head}");
        assert!(body.contains("nbu_up{site=\"paris\"} 1"));
    }
    let mut closing = connect(&agent);
    closing.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    closing.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    closing.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("nbu_up{site=\"paris\"} 1"), "a client that closed its side is served");
    let nonsense = ask(&mut connect(&agent), "NONSENSE\r\n\r\n");
    assert!(nonsense.starts_with("HTTP/1.1 400"), "{nonsense}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapes_at_once_all_get_the_whole_page() {
    let simulator = simulate(world(1)).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    let lines = |text: &str| text.lines().filter(|line| line.contains("paris")).count();
    let expected = lines(agent.first_samples("paris").await.text());
    let scrapes = (0..200).map(|_| agent.scrape());
    for page in futures_util::future::join_all(scrapes).await {
        assert_eq!(lines(page.text()), expected);
    }
    agent.stop().await;
}

fn is_open(stream: &tokio::net::TcpStream) -> bool {
    match stream.ready(Interest::READABLE).now_or_never() {
        Some(ready) => ready.is_ok_and(|ready| !ready.is_read_closed()),
        None => true,
    }
}

/// Holds this many connections that have sent `request` and never read, and opens those anew that the
/// agent closed.
async fn hold(port: u16, size: usize, request: &'static [u8]) {
    let mut crowd = Vec::new();
    loop {
        crowd.retain(is_open);
        while crowd.len() < size {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let address = ([127, 0, 0, 1], port).into();
            let Ok(mut stream) = socket.connect(address).await else { break };
            let _ = stream.write_all(request).await;
            crowd.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Asks for the health over a connection of its own, as probes do.
async fn healthy(port: u16) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = b"GET /-/healthy HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Memory of the process itself, while more clients hold connections than it serves and each second
/// makes another page of 2.5 MB. Prints the times of `/-/healthy`; the limits are 1 s and 150 MiB.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: .ci/long endpoint"]
async fn crowd_of_idle_clients_keeps_memory_bounded() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let settings = Settings {
        jobs_in_history: 6_000,
        jobs_per_hour: 10_000.0,
        live_jobs: 100,
        clients: 1_100,
        ..world(5)
    };
    let paris = simulate(settings).await;
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 1h, staleAfter: 2h")
        .site("paris", &paris)
        .with("collectors: { perClient: { enabled: true, allowlist: [\"*\"], limit: 100000 } }");
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    let page = endpoint.complete(&mut agent, "paris").await;
    let resident = |page: &support::Page| {
        page.value("process_resident_memory_bytes", &[]).expect("of the process") / 1_048_576.0
    };
    println!("a page of {} bytes, {:.1} MiB before the crowd", page.text().len(), resident(&page));

    let page_request = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
    let crowd = [
        tokio::spawn(hold(config.port, 512, b"")),
        tokio::spawn(hold(config.port, 500, b"GET /metrics HTTP/1.1\r\nhost: ")),
        tokio::spawn(hold(config.port, 40, page_request)),
    ];
    let (mut slowest, mut largest, mut sizes) = (Duration::ZERO, 0.0_f64, Vec::new());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        paris.clock().advance(Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(250)).await;
        let asked = Instant::now();
        let answer = healthy(config.port).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        slowest = slowest.max(asked.elapsed());
        if let Some(page) = endpoint.scrape().await {
            largest = largest.max(resident(&page));
            sizes.push(page.text().len());
        }
    }
    println!(
        "60 s of 512 idle, 500 unfinished and 40 that do not read: /-/healthy after {slowest:?} at \
         most, {largest:.1} MiB at most, {} scrapes of up to {} bytes",
        sizes.len(),
        sizes.iter().max().expect("scrapes")
    );
    for clients in crowd {
        clients.abort();
    }
    assert!(largest < 150.0, "{largest} MiB");
    agent.end_by(Signal::TERM).await;
}
