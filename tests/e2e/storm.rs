//! A storm of reloads under continuous scraping, with a live Collector: no scrape fails, nothing is left
//! over, nothing grows, and what did not change goes on undisturbed.

use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::collector::Collector;
use crate::endpoint::{Endpoint, reloads};
use crate::process::{Desk, Process, Signal, port};
use crate::series::of_sites;
use crate::support::{Page, eventually, http_client, sha256, simulate, world};
use nbu_sim::{Fault, Simulator};

/// Reloads in all, and those after which nothing may grow any more.
const RELOADS: usize = 1_000;
const WARM: usize = 300;

/// Allowance over the warm state: a connection here, an allocator's arena there.
const MORE_FILES: f64 = 24.0;
const MORE_THREADS: f64 = 6.0;
const MORE_BYTES: f64 = 24.0 * 1024.0 * 1024.0;

/// The servers that sites move among.
struct Servers {
    steady: Simulator,
    here: Simulator,
    there: Simulator,
    coming: Simulator,
    hanging: Simulator,
}

/// The configuration of one step.
fn configuration(port: u16, servers: &Servers, collector: &Collector, step: usize) -> String {
    let mut yaml = format!(
        "server: {{ host: 127.0.0.1, port: {port}, uri: {}, scrapingInterval: 24h, \
         collectionInterval: 1s, cacheTTL: 1s }}\n",
        uri(step)
    );
    let protocol = if step % 4 < 2 { "grpc" } else { "http/protobuf" };
    yaml.push_str(&collector.push(protocol, "interval: 500ms"));
    yaml.push_str("\nnbuservers:\n");
    let mut site = |name: &str, server: &Simulator, key: &str| {
        let address = server.addr();
        // Writing to a String cannot fail.
        let _ = writeln!(
            yaml,
            "  - {{ site: {name}, scheme: http, host: \"{}\", port: {}, apiKey: {key} }}",
            address.ip(),
            address.port()
        );
    };
    site("steady", &servers.steady, "nbu-sim-key");
    site("hanging", &servers.hanging, "nbu-sim-key");
    site(
        "moving",
        if step.is_multiple_of(2) { &servers.here } else { &servers.there },
        "nbu-sim-key",
    );
    if !step.is_multiple_of(3) {
        // Right and wrong by turns.
        let key = if step % 7 < 4 { "nbu-sim-key" } else { "another-key" };
        site("coming", &servers.coming, key);
    }
    yaml
}

const fn uri(step: usize) -> &'static str {
    if step % 6 < 3 { "/metrics" } else { "/elsewhere" }
}

/// State that the scraper and the storm share.
struct Shared {
    base: String,
    uri: Mutex<&'static str>,
    /// Moves whenever the uri may have.
    generation: AtomicU64,
    ends: AtomicBool,
}

impl Shared {
    /// Scrapes at the uri in force; whatever it answers while that changes is asked for again.
    async fn scrape(&self, http: &reqwest::Client) -> Page {
        loop {
            let before = self.generation.load(Relaxed);
            let uri = *self.uri.lock().expect("no panic");
            let request = http.get(format!("{}{uri}", self.base)).header("accept-encoding", "gzip");
            let answer = request.send().await;
            let answer = answer.unwrap_or_else(|error| panic!("a scrape failed: {error:?}"));
            let status = answer.status();
            let (length, packed) =
                (answer.content_length(), answer.headers().contains_key("content-encoding"));
            let body = answer.bytes().await.expect("a whole body");
            assert_eq!(length, Some(body.len() as u64), "the length that was announced");
            let text = if packed { unpack(&body) } else { String::from_utf8_lossy(&body).into() };
            if status.is_success() {
                return Page::parse(&text);
            }
            let moved = before % 2 == 1 || self.generation.load(Relaxed) != before;
            assert!(moved, "a scrape of {uri} failed: {status} {text}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The text of one gzip stream. One that is wrong is kept, to be looked into.
fn unpack(body: &[u8]) -> String {
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(body).read_to_string(&mut text);
    if let Err(error) = read {
        let kept = std::env::temp_dir().join("scrape-that-is-wrong.gz");
        let _ = std::fs::write(&kept, body);
        panic!(
            "{error} after {} bytes of text; the body is kept in {}",
            text.len(),
            kept.display()
        );
    }
    text
}

/// Scrapes without a pause. The counts of the site that never changes must go on.
async fn scrape_on(shared: Arc<Shared>) -> u64 {
    // A connection that is kept is closed with its listener, which is no failure of a scrape.
    let http = reqwest::Client::builder().no_proxy().no_gzip().pool_max_idle_per_host(0).build();
    let http = http.expect("a client");
    let run = [("site", "steady"), ("collector", "jobs"), ("result", "success")];
    let (mut scrapes, mut last) = (0, 0.0);
    while !shared.ends.load(Relaxed) {
        let page = shared.scrape(&http).await;
        let runs = page.value("nbu_agent_collector_runs_total", &run).unwrap_or(0.0);
        assert!(runs >= last, "the counts of the steady site began anew: {last}, then {runs}");
        last = runs;
        scrapes += 1;
    }
    scrapes
}

fn resources(page: &Page) -> [f64; 3] {
    ["process_open_fds", "process_threads", "process_resident_memory_bytes"]
        .map(|name| page.value(name, &[]).expect("of the process"))
}

/// Puts one step in force, or sees it refused. How long the answer took.
async fn step(
    desk: &Desk,
    agent: &mut Process,
    shared: &Shared,
    text: &str,
    new_uri: Option<&'static str>,
) -> Duration {
    desk.write("config.yaml", text);
    shared.generation.fetch_add(1, Relaxed);
    let started = Instant::now();
    let url = format!("{}/-/reload", shared.base);
    let answer = http_client().post(url).send().await.expect("the endpoint answers");
    let took = started.elapsed();
    let (status, body) = (answer.status().as_u16(), answer.text().await.expect("a body"));
    match new_uri {
        Some(uri) => {
            assert_eq!(status, 200, "{body}");
            *shared.uri.lock().expect("no panic") = uri;
        }
        None => assert_eq!((status, body.contains("config.yaml:")), (400, true), "{body}"),
    }
    shared.generation.fetch_add(1, Relaxed);
    assert!(agent.is_alive(), "{}", agent.said());
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_storm_fails_no_scrape_and_leaks_nothing() {
    let servers = Servers {
        steady: simulate(world(1)).await,
        here: simulate(world(2)).await,
        there: simulate(world(3)).await,
        coming: simulate(world(4)).await,
        hanging: simulate(world(5)).await,
    };
    servers.hanging.faults().add(Fault::on("/").hang());
    let collector = Collector::start().await;
    let port = port();
    let configuration = |number| configuration(port, &servers, &collector, number);
    let desk = Desk::with(&configuration(0));
    let mut agent = desk.start(&["--config", "config.yaml"]);
    Endpoint::on(port).complete(&mut agent, "steady").await;
    let shared = Arc::new(Shared {
        base: format!("http://127.0.0.1:{port}"),
        uri: Mutex::new(uri(0)),
        generation: AtomicU64::new(0),
        ends: AtomicBool::new(false),
    });
    let scraper = tokio::spawn(scrape_on(Arc::clone(&shared)));

    let http = http_client();
    let (mut last, mut warm, mut took, mut refused) = (configuration(0), None, Vec::new(), 0);
    for number in 1..=RELOADS {
        if number.is_multiple_of(5) {
            let bad = last.replace("apiKey: nbu-sim-key", "apiKeey: nbu-sim-key");
            step(&desk, &mut agent, &shared, &bad, None).await;
            refused += 1;
        } else {
            let next = configuration(number);
            took.push(step(&desk, &mut agent, &shared, &next, Some(uri(number))).await);
            last = next;
        }
        if number == WARM {
            warm = Some(resources(&shared.scrape(&http).await));
        }
    }
    // The last one was refused: the one before is in force.
    let page = shared.scrape(&http).await;
    let hash = sha256(&last);
    assert_eq!(page.value("nbu_agent_config_info", &[("sha256", &hash)]), Some(1.0));
    assert!((reloads(&page, "http", "rejected") - f64::from(refused)).abs() < f64::EPSILON);
    assert_eq!(page.value("nbu_agent_config_last_reload_successful", &[]), Some(0.0));

    let warm = warm.expect("it was measured");
    let flat = || async {
        let now = resources(&shared.scrape(&http).await);
        let more = [MORE_FILES, MORE_THREADS, MORE_BYTES];
        let grown = (0..3).any(|of| now[of] > warm[of] + more[of]);
        (!grown).then_some(now)
    };
    // Last exports and requests in flight take their time to end.
    let now = eventually("nothing grew", flat).await;
    shared.ends.store(true, Relaxed);
    let scrapes = scraper.await.expect("no scrape failed");

    // Pollers that were left over would go on asking: `coming` is out, `moving` is elsewhere.
    assert_eq!(
        page.value("nbu_agent_sites", &[]),
        Some(if last.contains("coming") { 4.0 } else { 3.0 })
    );
    let idle = if last.contains(&servers.here.addr().port().to_string()) {
        &servers.there
    } else {
        &servers.here
    };
    let asked = idle.request_count();
    let runs = |page: &Page| {
        let run = [("site", "steady"), ("collector", "jobs"), ("result", "success")];
        page.value("nbu_agent_collector_runs_total", &run).unwrap_or_default()
    };
    let before = runs(&page);
    eventually("three more polls", || async {
        (runs(&shared.scrape(&http).await) >= before + 3.0).then_some(())
    })
    .await;
    assert_eq!(idle.request_count(), asked, "somebody still polls a server that is none any more");
    eventually("the steady site over OTLP", || async {
        let series = of_sites(&collector.page().await);
        series
            .keys()
            .any(|(_, labels)| labels.iter().any(|(_, value)| value == "steady"))
            .then_some(())
    })
    .await;

    took.sort_unstable();
    println!(
        "{RELOADS} reloads, {refused} of them refused, {scrapes} scrapes; a reload took {:?} (median), {:?} \
         (99 %), {:?} (most); files {} -> {}, threads {} -> {}, resident {:.0} -> {:.0} MiB",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        took[took.len() - 1],
        warm[0],
        now[0],
        warm[1],
        now[1],
        warm[2] / 1_048_576.0,
        now[2] / 1_048_576.0,
    );
    let ended = agent.end_by(Signal::TERM).await;
    for word in ["panicked", "a bug", "abandoning"] {
        assert!(!ended.all().contains(word), "{word}");
    }
}
