//! Two agents, one Lease on a real API server, one state directory: whatever ends the leader, one of them exports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nbu_sim::{Settings, Simulator};
use otlp_sink::{Options, Signal as Kind, Sink};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::chart::Values;
use super::{Cluster, NOBODY};
use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, port};
use crate::proxy::CutLine;
use crate::support::expected::assert_same;
use crate::support::exposition::Series;
use crate::support::received::received;
use crate::support::totals::{Watched, is_total};
use crate::support::{Config, PATIENCE, Page, eventually, http_client, simulate, world};

const SITE: &str = "paris";
const HOUR: Duration = Duration::from_secs(3600);
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nbu";

const LEASE_OF_CHART: &str =
    "/apis/coordination.k8s.io/v1/namespaces/default/leases/nbu-nbu-otel-agent";

/// Promises: the time in which nobody exports after a death, and after an end in order.
const LONGEST_GAP: Duration = Duration::from_secs(15);
const SHORTEST_HANDOVER: Duration = Duration::from_secs(2);

/// Kills of the leader; 5, or what `NBU_LEADER_KILLS` says.
fn kills() -> usize {
    std::env::var("NBU_LEADER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Something of the site that an agent let out.
#[derive(Debug, Clone, Copy)]
struct Export {
    agent: usize,
    /// The moment of which it is: for Prometheus, a scrape is of when it was sent.
    at: Instant,
    /// The moment at which it was there.
    arrived: Instant,
}

/// Exports of one agent, without any of the other in between.
#[derive(Debug, Clone, Copy)]
struct Run {
    agent: usize,
    first: Instant,
    last: Instant,
}

struct Pair {
    cluster: Cluster,
    simulator: Simulator,
    watched: Watched,
    sink: Arc<Sink>,
    desk: Desk,
    endpoints: [Endpoint; 2],
    ports: [u16; 2],
    agents: [Option<Process>; 2],
    /// Files for clients of Kubernetes: each agent has a way of its own to the API server.
    kubeconfigs: [String; 2],
    scrapes: Arc<Mutex<Vec<Export>>>,
    scrapers: JoinSet<()>,
}

impl Pair {
    async fn start(state: [&str; 2]) -> Self {
        let cluster = Cluster::start().await;
        let settings = Settings { jobs_per_hour: 480.0, live_jobs: 30, policies: 2, ..world(317) };
        let simulator = simulate(settings).await;
        let sink = Sink::start(Options { keep: 20_000, ..Options::default() }).expect("a sink");
        let ports = [port(), port()];
        let kubeconfig = cluster.kubeconfig().display().to_string();
        let mut pair = Self {
            cluster,
            watched: Watched::new(SITE, HOUR),
            simulator,
            sink: Arc::new(sink),
            desk: Desk::new(),
            endpoints: ports.map(Endpoint::on),
            ports,
            agents: [None, None],
            kubeconfigs: [kubeconfig.clone(), kubeconfig],
            scrapes: Arc::default(),
            scrapers: JoinSet::new(),
        };
        for (agent, state) in state.into_iter().enumerate() {
            pair.desk.write(&format!("{agent}.yaml"), &pair.config(agent, state, ELECTION));
            pair.watch(agent);
        }
        pair
    }

    fn config(&self, agent: usize, state: &str, election: &str) -> String {
        let key = &self.simulator.settings().api_key;
        let mut config = Config::new()
            .server("scrapingInterval: 3600s, collectionInterval: 100ms")
            .site_at(SITE, self.simulator.addr(), &format!("apiKey: {key}, timeout: 1s"))
            .with(&format!("state: {{ {state} }}"))
            .with(election)
            .with(&format!(
                "opentelemetry: {{ enabled: true, endpoint: \"{}\", insecure: true, signals: [metrics], interval: 500ms, \
                 headers: {{ x-agent: \"{agent}\" }} }}",
                self.sink.grpc_endpoint()
            ));
        config.port = self.ports[agent];
        config.yaml()
    }

    /// Scrapes an agent all the time, and notes when it shows the site.
    fn watch(&mut self, agent: usize) {
        let url = format!("http://127.0.0.1:{}/metrics", self.ports[agent]);
        let (http, scrapes) = (http_client(), Arc::clone(&self.scrapes));
        self.scrapers.spawn(async move {
            loop {
                let at = Instant::now();
                let page = async { http.get(&url).send().await.ok()?.text().await.ok() }.await;
                if page.is_some_and(|page| page.contains("nbu_jobs_outcomes_total{")) {
                    let export = Export { agent, at, arrived: Instant::now() };
                    scrapes.lock().expect("no panic").push(export);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    fn run(&mut self, agent: usize) {
        let (file, kubeconfig) = (format!("{agent}.yaml"), &self.kubeconfigs[agent]);
        let started = self.desk.start_in(&["--config", &file], &[("KUBECONFIG", kubeconfig)]);
        self.agents[agent] = Some(started);
    }

    /// Starts both, the leader first.
    async fn run_both(&mut self, leader: usize) {
        self.run(leader);
        self.is(leader, true).await;
        self.run(1 - leader);
        self.is(1 - leader, false).await;
    }

    fn agent(&mut self, agent: usize) -> &mut Process {
        self.agents[agent].as_mut().expect("it runs")
    }

    /// Waits until an agent is the leader, or a standby, by its own word.
    async fn is(&mut self, agent: usize, leads: bool) {
        let wanted = Some(f64::from(u8::from(leads)));
        let process = self.agents[agent].as_mut().expect("it runs");
        let is_so = |page: &Page| page.value("nbu_agent_leader", &[]) == wanted;
        self.endpoints[agent].until(process, "its role", is_so).await;
    }

    /// Waits for a whole poll of the present instant by the leader; its page.
    async fn whole(&mut self, leader: usize) -> Page {
        let now = self.simulator.truth().server_time() as f64 / 1000.0;
        let process = self.agents[leader].as_mut().expect("it runs");
        let is_whole = |page: &Page| {
            let of_site = |name: &str| page.value(name, &[("site", SITE)]);
            of_site("nbu_jobs_watermark_timestamp_seconds") == Some(now)
                && of_site("nbu_jobs_fill_ratio") == Some(1.0)
                && of_site("nbu_agent_state_saved") == Some(1.0)
                && page.value("nbu_agent_collector_up", &[("site", SITE), ("collector", "jobs")])
                    == Some(1.0)
        };
        let page = self.endpoints[leader].until(process, "a whole page", is_whole).await;
        self.watched.polled(&self.simulator);
        page
    }

    /// The exports of both, in runs.
    fn runs(&self) -> Vec<Run> {
        let mut exports = self.scrapes.lock().expect("no panic").clone();
        for request in self.sink.requests() {
            if request.signal == Kind::Metrics {
                let agent =
                    request.header("x-agent").expect("it has one").parse().expect("a number");
                let (at, arrived) = (request.at, request.at);
                exports.push(Export { agent, at, arrived });
            }
        }
        exports.sort_by_key(|export| export.at);
        let mut runs: Vec<Run> = Vec::new();
        for Export { agent, at, arrived } in exports {
            match runs.last_mut() {
                Some(run) if run.agent == agent => run.last = run.last.max(at),
                _ => runs.push(Run { agent, first: arrived, last: at }),
            }
        }
        runs
    }

    /// The runs must be those of these agents; returns the longest time without any between two.
    fn assert_turns(&self, turns: &[usize]) -> Duration {
        let runs = self.runs();
        let agents: Vec<_> = runs.iter().map(|run| run.agent).collect();
        assert_eq!(agents, turns, "each exports in its turn alone");
        let gaps =
            runs.windows(2).map(|pair| pair[1].first.saturating_duration_since(pair[0].last));
        gaps.max().unwrap_or_default()
    }

    async fn lease(&self) -> Value {
        self.cluster.get(LEASE).await["spec"].clone()
    }

    /// The totals of the page must be those of the world.
    async fn assert_page(&mut self, leader: usize) -> BTreeMap<Series, f64> {
        let shown = self.whole(leader).await.of_site(SITE, is_total);
        let expected = self.watched.totals(&self.simulator.truth());
        assert!(expected.values().sum::<f64>() > 100.0);
        assert_same(&shown, &expected);
        expected
    }

    /// The totals of the page and of the receiver must be those of the world.
    async fn assert_totals(&mut self, leader: usize) {
        let expected = self.assert_page(leader).await;
        let sink = Arc::clone(&self.sink);
        eventually("the receiver has the totals", || async {
            let of_site = |labels: &[(String, String)]| labels.iter().any(|(_, it)| it == SITE);
            let mut received = received(&sink);
            received.retain(|(name, labels), _| is_total(name) && of_site(labels));
            (received == expected).then_some(())
        })
        .await;
    }
}

const SHARED: &str = "directory: kept, shared: true";

const ELECTION: &str = "election: { lease: nbu, namespace: default }";

#[tokio::test(flavor = "multi_thread")]
async fn killed_leaders_lose_and_double_nothing() {
    let mut pair = Pair::start([SHARED, SHARED]).await;
    pair.run_both(0).await;
    let mut turns = vec![0];
    for kill in 0..kills() {
        let leader = kill % 2;
        pair.whole(leader).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..2500))).await;
        pair.simulator.clock().advance(Duration::from_secs(fastrand::u64(5..90)));
        if fastrand::bool() {
            pair.whole(leader).await;
        }
        pair.agent(leader).signal(Signal::KILL);
        pair.agent(leader).end(PATIENCE).await;
        // What ends while nobody polls counts as well.
        pair.simulator.clock().advance(Duration::from_secs(fastrand::u64(5..90)));
        pair.is(1 - leader, true).await;
        // Not before: one that starts at once may see the last renewal first, and win.
        pair.run(leader);
        turns.push(1 - leader);
        pair.assert_totals(1 - leader).await;
    }
    let gap = pair.assert_turns(&turns);
    println!("{} kills: at most {:.1} s without an export", kills(), gap.as_secs_f64());
    assert!(gap < LONGEST_GAP, "{gap:?}");
    let spec = pair.lease().await;
    assert_eq!(spec["leaseTransitions"], json!(kills()));
    assert_eq!(spec["leaseDurationSeconds"], json!(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_that_ends_hands_over_at_once() {
    let mut pair = Pair::start([SHARED, SHARED]).await;
    pair.run_both(0).await;
    pair.whole(0).await;
    let standby = pair.endpoints[1].text().await.expect("a page");
    assert!(!standby.contains(SITE), "it shows itself alone:\n{standby}");
    assert_eq!(pair.endpoints[1].get("/health").await, "STANDBY");
    assert_eq!(pair.endpoints[1].get("/-/ready").await, "OK\n");
    assert!(pair.endpoints[1].get("/").await.contains("This agent is a standby"));
    let ended = pair.agent(0).end_by(Signal::TERM).await;
    assert!(ended.code == Some(0), "{}", ended.all());
    pair.is(1, true).await;
    pair.simulator.clock().advance(Duration::from_secs(60));
    pair.assert_totals(1).await;
    let gap = pair.assert_turns(&[0, 1]);
    println!("an end in order: {:.2} s without an export", gap.as_secs_f64());
    assert!(gap < SHORTEST_HANDOVER, "{gap:?}");
    // The last one ends as well: the Lease is free, and nobody is needed for the next to begin.
    pair.agent(1).end_by(Signal::TERM).await;
    assert_eq!(pair.lease().await["holderIdentity"], Value::Null);
    pair.run(0);
    pair.is(0, true).await;
    pair.assert_totals(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leader_cut_off_or_stopped_ends_before_another_begins() {
    let mut pair = Pair::start([SHARED, SHARED]).await;
    let authority = pair.cluster.url.trim_start_matches("https://").to_owned();
    let line = CutLine::to(authority.clone()).await;
    let text = std::fs::read_to_string(&pair.kubeconfigs[0]).expect("a file");
    pair.desk.write("kubeconfig-0", &text.replace(&authority, &line.authority));
    pair.kubeconfigs[0] = pair.desk.path("kubeconfig-0").display().to_string();
    pair.run_both(0).await;
    pair.whole(0).await;
    line.cut();
    pair.is(0, false).await;
    let stopped = Instant::now();
    pair.simulator.clock().advance(Duration::from_secs(60));
    pair.is(1, true).await;
    pair.assert_totals(1).await;
    let runs = pair.runs();
    let spare = runs[1].first.saturating_duration_since(runs[0].last);
    println!(
        "cut off: the other exports {:.1} s after the last export of the leader, {:.1} s after it stepped down",
        spare.as_secs_f64(),
        runs[1].first.saturating_duration_since(stopped).as_secs_f64()
    );
    assert!(spare > Duration::from_secs(1), "{spare:?}");
    line.mend();
    let is_seen = |page: &Page| page.value("nbu_agent_lease_transitions", &[]) == Some(1.0);
    let first = pair.agents[0].as_mut().expect("it runs");
    pair.endpoints[0].until(first, "it sees who leads", is_seen).await;
    pair.is(0, false).await;
    // A process that is stopped does not know how late it is when it goes on.
    pair.whole(1).await;
    pair.agent(1).signal(Signal::STOP);
    pair.simulator.clock().advance(Duration::from_secs(60));
    pair.is(0, true).await;
    pair.assert_totals(0).await;
    pair.agent(1).signal(Signal::CONT);
    pair.is(1, false).await;
    pair.assert_totals(0).await;
    pair.assert_turns(&[0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_directories_begin_anew_and_say_so() {
    let mut pair = Pair::start(["directory: kept-0", "directory: kept-1"]).await;
    for (turn, leader) in [0, 0, 1, 0].into_iter().enumerate() {
        pair.run_both(leader).await;
        if turn != 1 {
            // Nothing of before is its own. A second term without another in between goes on.
            pair.watched = Watched::new(SITE, HOUR);
        }
        pair.whole(leader).await;
        pair.simulator.clock().advance(Duration::from_secs(900));
        pair.assert_page(leader).await;
        if turn == 3 {
            pair.agent(leader).says("state was set aside, and totals begin at 0").await;
        }
        for agent in [1 - leader, leader] {
            pair.agent(agent).end_by(Signal::TERM).await;
        }
        // Nobody counts what ends now, or whoever goes on.
        pair.simulator.clock().advance(Duration::from_secs(60));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn election_is_switched_on_and_off_by_reload() {
    const OTHER: &str = "election: { lease: other, namespace: default, duration: 6s }";
    const OWN: &str = "directory: kept";
    let mut pair = Pair::start([OWN, OWN]).await;
    pair.desk.write("0.yaml", &pair.config(0, OWN, ""));
    pair.run(0);
    let page = pair.whole(0).await;
    assert_eq!(page.value("nbu_agent_leader", &[]), None);
    for election in [ELECTION, "", ELECTION, OTHER, ""] {
        pair.simulator.clock().advance(Duration::from_secs(90));
        pair.desk.write("0.yaml", &pair.config(0, OWN, election));
        let (status, body) = pair.endpoints[0].post_reload().await;
        assert_eq!(status, 200, "{body}\n{}", pair.agent(0).said());
        if !election.is_empty() {
            pair.is(0, true).await;
        }
        pair.assert_page(0).await;
    }
    // What the push remembers of the directory does not keep it from a person.
    pair.agent(0).end_by(Signal::TERM).await;
    let shown = pair.desk.run(&["state", "inspect", "--config", "0.yaml"]).await;
    assert!(shown.code == Some(0) && shown.stdout.contains(SITE), "{}", shown.all());
    let spec = pair.cluster.get(LEASE.replace("/nbu", "/other").as_str()).await["spec"].clone();
    assert_eq!(spec["holderIdentity"], Value::Null, "it was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_without_permission_says_what_it_needs() {
    let cluster = Cluster::start().await;
    let simulator = simulate(world(11)).await;
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a file");
    let config = Config::new().site("paris", &simulator).with("election: { lease: nbu }");
    let desk = Desk::with(&config.yaml());
    desk.write("kubeconfig", &text.replace(&cluster.token, NOBODY));
    let kubeconfig = desk.path("kubeconfig").display().to_string();
    let environment = [("KUBECONFIG", kubeconfig.as_str())];
    let mut doctor = desk.start_in(&["doctor", "--config", "config.yaml"], &environment);
    let ended = doctor.end(PATIENCE).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(ended.stdout.contains("FAIL  lease"), "{}", ended.all());
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    agent.says("the service account needs get, create and patch for this Lease").await;
    let failed = |page: &Page| {
        page.value("nbu_agent_lease_requests_total", &[("result", "failure")]) > Some(1.0)
    };
    let page = Endpoint::on(config.port).until(&mut agent, "failed requests", failed).await;
    assert_eq!(page.value("nbu_agent_leader", &[]), Some(0.0));
    assert!(!agent.said().contains(NOBODY), "a token is no text for a log");
    assert!(agent.end_by(Signal::TERM).await.code == Some(0));
    // Nor is there a way at all.
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("no service account of a pod, and no kubeconfig").await;
    assert!(agent.end_by(Signal::TERM).await.code == Some(0));
    let (status, _) = cluster.request(Method::GET, LEASE, None).await.expect("an answer");
    assert_eq!(status, 404, "nobody made a Lease");
}

#[tokio::test(flavor = "multi_thread")]
async fn role_of_the_chart_suffices_for_the_lease() {
    let cluster = Cluster::start().await;
    let mut values = Values::default();
    values.arguments.extend(["--set".to_owned(), "election.enabled=true".to_owned()]);
    let objects = values.objects();
    for kind in ["ServiceAccount", "Role", "RoleBinding"] {
        let object = objects.iter().find(|object| object["kind"] == kind).expect("an object");
        cluster.apply(object, false).await.expect("it is accepted");
    }
    let path = "/api/v1/namespaces/default/serviceaccounts/nbu-nbu-otel-agent/token";
    let wish =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let wish = Some(("application/json", wish.to_string()));
    let (status, answer) = cluster.request(Method::POST, path, wish).await.expect("an answer");
    assert!(status.is_success(), "{answer}");
    let token = answer["status"]["token"].as_str().expect("a token");

    let simulator = simulate(world(13)).await;
    let lease = "election: { lease: nbu-nbu-otel-agent, namespace: default }";
    let config = Config::new().site("paris", &simulator).with(lease);
    let desk = Desk::with(&config.yaml());
    let text = std::fs::read_to_string(cluster.kubeconfig()).expect("a file");
    desk.write("kubeconfig", &text.replace(&cluster.token, token));
    let kubeconfig = desk.path("kubeconfig").display().to_string();
    let environment = [("KUBECONFIG", kubeconfig.as_str())];
    let doctor = async |expected: &str| {
        let mut doctor = desk.start_in(&["doctor", "--config", "config.yaml"], &environment);
        let ended = doctor.end(PATIENCE).await;
        assert!(ended.code == Some(0) && ended.stdout.contains(expected), "{}", ended.all());
    };
    doctor("not there yet; the agent makes it").await;
    assert_eq!(cluster.try_get(LEASE_OF_CHART).await, None, "it changes nothing");
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    let leads = |page: &Page| page.value("nbu_agent_leader", &[]) == Some(1.0);
    let page = Endpoint::on(config.port).until(&mut agent, "it leads", leads).await;
    let failed = page.value("nbu_agent_lease_requests_total", &[("result", "failure")]);
    assert_eq!(failed, Some(0.0), "{}", agent.said());
    doctor("held by an agent, term 0").await;
    assert_eq!(agent.end_by(Signal::TERM).await.code, Some(0));
    let lease = cluster.get(LEASE_OF_CHART).await;
    assert_eq!(lease["spec"]["holderIdentity"], Value::Null, "it was given back");
}
