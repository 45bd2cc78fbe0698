//! Scrapes of a large page that does not change.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use nbu_sim::Settings;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::report::Report;
use crate::support::{simulate, world};
use crate::usage::Cpu;

const SCRAPES: usize = 1_000;

/// Budget: ms of CPU a scrape, and at the 99th percentile ms on the clock.
const CPU: f64 = 1.8;
const P99: f64 = 5.0;

/// Scrapes once; returns the length of the body.
fn scrape(stream: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> usize {
    stream.write_all(request).unwrap();
    let (mut filled, mut end, mut body) = (0, usize::MAX, 0);
    while filled < end {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        assert!(read > 0, "the connection ended");
        filled += read;
        if end == usize::MAX
            && let Some(head) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = std::str::from_utf8(&buffer[..head]).unwrap().to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            body = length.unwrap().parse().unwrap();
            end = head + 4 + body;
        }
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn scrape_of_a_large_page_costs_a_copy() {
    let paris = simulate(Settings { storage_units: 4_280, ..world(51) }).await;
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1h, cacheTTL: 1h")
        .site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "paris").await;
    let (id, port) = (agent.id(), config.port);
    let measured = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        let mut buffer = vec![0; 8 << 20];
        for (encoding, name) in [("identity", "scrape of 2.5 MB"), ("gzip", "the same, gzip")] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_nodelay(true).unwrap();
            let request = format!(
                "GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept-encoding: {encoding}\r\n\r\n"
            );
            let mut once = || scrape(&mut stream, request.as_bytes(), &mut buffer);
            let length = once();
            let before = Cpu::of(id);
            let mut times: Vec<f64> = (0..SCRAPES)
                .map(|_| {
                    let started = Instant::now();
                    once();
                    started.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            let cpu = Cpu::of(id) - before;
            let each = |seconds: f64| seconds * 1e3 / SCRAPES as f64;
            times.sort_by(f64::total_cmp);
            report.note(&format!("{name}: bytes"), length, "-");
            report.hold(&format!("{name}: CPU"), each(cpu.total()), CPU, "ms", 2.0);
            report.note(&format!("{name}: user"), format!("{:.2} ms", each(cpu.user)), "-");
            report.note(&format!("{name}: system"), format!("{:.2} ms", each(cpu.system)), "-");
            let (half, most) = (times[SCRAPES / 2], times[SCRAPES * 99 / 100]);
            report.note(&format!("{name}: p50"), format!("{half:.2} ms"), "-");
            report.note(&format!("{name}: p99"), format!("{most:.2} ms"), format!("{P99} ms"));
        }
        report
    });
    let report = measured.await.unwrap();
    agent.end_by(Signal::TERM).await;
    report.end();
}
