//! Connections to the endpoint: many, slow, half open.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use support::{Agent, Config, simulate, world};

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
