//! A site goes to another server and comes back, by reload and by restart: each completion counts once over all
//! of its lives.

use std::time::Duration;

use nbu_sim::{Settings, Simulator};

use crate::scene::{HOUR, SITE, config, is_whole};
use crate::support::endpoint::Endpoint;
use crate::support::process::{self, Desk, Process, Signal};
use crate::support::totals::Watched;
use crate::support::{Page, simulate, world};

fn busy(seed: u64) -> Settings {
    Settings { jobs_per_hour: 480.0, live_jobs: 30, policies: 2, ..world(seed) }
}

/// A server, and the results of polling it.
struct Server {
    simulator: Simulator,
    watched: Watched,
}

/// A site that moves between two servers.
struct Moving {
    servers: [Server; 2],
    desk: Desk,
    endpoint: Endpoint,
    port: u16,
    agent: Option<Process>,
    /// The servers that were polled.
    polled: usize,
}

impl Moving {
    async fn new(seed: u64) -> Self {
        let server = |seed| async move {
            Server { simulator: simulate(busy(seed)).await, watched: Watched::new(SITE, HOUR) }
        };
        let port = process::port();
        let servers = [server(seed).await, server(seed + 1).await];
        // A page tells by its time from which server it is.
        servers[1].simulator.clock().advance(Duration::from_secs(1));
        Self {
            servers,
            desk: Desk::new(),
            endpoint: Endpoint::on(port),
            port,
            agent: None,
            polled: 0,
        }
    }

    /// Polls a server for a while, and returns what its totals say in the end.
    async fn live(&mut self, server: usize, restart: bool) -> f64 {
        let mut config =
            config(&self.servers[server].simulator, HOUR).with("state: { directory: kept }");
        config.port = self.port;
        self.desk.write("config.yaml", &config.yaml());
        if let Some(agent) = self.agent.as_mut().filter(|_| !restart) {
            let (status, body) = self.endpoint.post_reload().await;
            assert_eq!(status, 200, "{body}\n{}", agent.said());
        } else {
            if let Some(mut agent) = self.agent.take() {
                agent.signal(Signal::KILL);
                agent.end(process::PROMISED_END).await;
            }
            self.agent = Some(self.desk.start(&["--config", "config.yaml"]));
        }
        self.polled = self.polled.max(server + 1);
        // What ends from here on counts: the first poll must not come later.
        self.whole(server).await;
        let mut counted = 0.0;
        for _ in 0..3 {
            for server in &self.servers {
                server.simulator.clock().advance(Duration::from_secs(90));
            }
            counted = completed(&self.whole(server).await);
        }
        counted
    }

    async fn whole(&mut self, server: usize) -> Page {
        let Server { simulator, watched } = &mut self.servers[server];
        let now = simulator.truth().server_time();
        let agent = self.agent.as_mut().expect("it runs");
        let page = self.endpoint.until(agent, "a whole page", |page| is_whole(page.text(), now));
        let page = page.await;
        watched.polled(simulator);
        page
    }

    fn truth(&self) -> usize {
        let polled = self.servers.iter().take(self.polled);
        polled.map(|server| server.watched.counted(&server.simulator.truth())).sum()
    }
}

/// The completions that a page counts.
fn completed(page: &Page) -> f64 {
    page.of_site(SITE, |name| name == "nbu_jobs_outcomes_total").values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn site_that_returns_to_a_server_counts_nothing_twice() {
    for restart in [false, true] {
        let mut moving = Moving::new(191).await;
        let mut sum = 0.0;
        for server in [0, 1, 0, 1, 0] {
            sum += moving.live(server, restart).await;
        }
        let truth = moving.truth();
        assert!(truth > 100, "{truth}");
        assert_eq!(sum, truth as f64, "by restart: {restart}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_site_continues_after_restarts_and_reloads() {
    let mut moving = Moving::new(193).await;
    let mut last = 0.0;
    for restart in [false, true, false, true] {
        let counted = moving.live(0, restart).await;
        assert!(counted > last);
        last = counted;
    }
    assert_eq!(last, moving.truth() as f64);
}
