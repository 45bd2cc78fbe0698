//! Time from the start of the process to the first samples of a healthy site.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use nbu_sim::Settings;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Refusing, Signal, config};
use crate::report::{Report, spread};
use crate::support::{simulate, world};

const STARTS: usize = 5;

/// The limit that is printed, seconds.
const LIMIT: f64 = 0.3;

/// Seconds until the page has the samples of a healthy site, of several starts; `others` are sites beside it.
async fn starts(others: &[(&str, SocketAddr)]) -> Vec<f64> {
    let paris = simulate(Settings { jobs_in_history: 500, ..world(41) }).await;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let mut config = config()
            .server("scrapingInterval: 24h, collectionInterval: 5m, cacheTTL: 5m")
            .site("paris", &paris);
        for (name, address) in others {
            config = config.site_at(name, *address, "apiKey: key");
        }
        let desk = Desk::with(&config.yaml());
        let started = Instant::now();
        let mut agent = desk.start(&["--config", "config.yaml"]);
        let endpoint = Endpoint::on(config.port);
        loop {
            let page = endpoint.text().await.unwrap_or_default();
            let is_up = page.contains("nbu_up{site=\"paris\"} 1\n");
            if is_up && page.contains("\nnbu_jobs_count{") {
                break;
            }
            let waits = agent.is_alive() && started.elapsed() < Duration::from_secs(60);
            assert!(waits, "{}\n{page}", agent.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        times.push(started.elapsed().as_secs_f64());
        agent.signal(Signal::KILL);
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long performance"]
async fn first_samples_wait_for_no_other_site() {
    // The system accepts for it; nobody ever answers.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = hangs.local_addr().unwrap();
    let refuses = Refusing::new();
    let mut report = Report::default();
    let line = |name: &str, (median, slowest): (f64, f64)| {
        let name = format!("start to first samples, {name}");
        let value = format!("{median:.3} s, at most {slowest:.3} s");
        report.note(&name, value, format!("{LIMIT} s"));
        median
    };
    let alone = line("one site", spread(starts(&[]).await));
    let both = [("hanging", hanging), ("refusing", refuses.address())];
    let beside_hanging = line("beside one that hangs", spread(starts(&both[..1]).await));
    let beside_refusing = line("beside one that refuses", spread(starts(&both[1..]).await));
    let beside_both = line("beside both", spread(starts(&both).await));
    let slowest = beside_hanging.max(beside_refusing).max(beside_both);
    // Of the same run: the limit itself is one of a quiet machine.
    report.hold("start to first samples: beside others", slowest / alone, 1.2, "times alone", 2.0);
    report.end();
}
