//! A site moves between two agents that share the sites: each completion counts once over all of its lives.

use nbu_otel_agent::sharding::owner;

use crate::scene::{HOUR, MINUTE, SITE, config, is_whole};
use crate::support::endpoint::Endpoint;
use crate::support::process::{self, Desk, Process, Signal};
use crate::support::totals::Watched;
use crate::support::{Page, eventually, simulate, world};

use nbu_sim::{Settings, Simulator};

/// Two agents, of which one polls the site.
struct Pair {
    simulator: Simulator,
    watched: Watched,
    desk: Desk,
    endpoints: [Endpoint; 2],
    ports: [u16; 2],
    agents: [Option<Process>; 2],
    state: [&'static str; 2],
}

impl Pair {
    async fn new(seed: u64, state: [&'static str; 2]) -> Self {
        let settings = Settings { jobs_per_hour: 480.0, live_jobs: 30, policies: 2, ..world(seed) };
        let ports = [process::port(), process::port()];
        Self {
            simulator: simulate(settings).await,
            watched: Watched::new(SITE, HOUR),
            desk: Desk::new(),
            endpoints: ports.map(Endpoint::on),
            ports,
            agents: [None, None],
            state,
        }
    }

    /// Gives the site to one of them, which may not run yet.
    async fn give_to(&mut self, agent: usize) {
        // With one shard it belongs to the first, and with so many to the last of them.
        let shards = [1, second_shard() + 1][agent];
        for (number, port) in self.ports.into_iter().enumerate() {
            // By their names: the second waits while there is one shard.
            let sharding = format!("sharding: {{ shards: {shards} }}");
            let mut config = config(&self.simulator, HOUR).with(&sharding).with(self.state[number]);
            config.port = port;
            self.desk.write(&format!("{number}.yaml"), &config.yaml());
            if let Some(agent) = &self.agents[number] {
                let (status, body) = self.endpoints[number].post_reload().await;
                assert_eq!(status, 200, "{body}\n{}", agent.said());
            }
        }
        self.start(agent);
    }

    fn start(&mut self, agent: usize) {
        let (file, shard) = (format!("{agent}.yaml"), [0, second_shard()][agent]);
        let name = format!("nbu-{shard}");
        let (desk, started) = (&self.desk, &mut self.agents[agent]);
        started.get_or_insert_with(|| desk.start_in(&["--config", &file], &[("POD_NAME", &name)]));
    }

    /// Ends one without a word.
    async fn kill(&mut self, agent: usize) {
        if let Some(mut agent) = self.agents[agent].take() {
            agent.signal(Signal::KILL);
            agent.end(process::PROMISED_END).await;
        }
    }

    /// Waits for a whole poll of the present instant.
    async fn whole(&mut self, agent: usize) -> Page {
        let now = self.simulator.truth().server_time();
        let process = self.agents[agent].as_mut().expect("it runs");
        let is_whole = |page: &Page| {
            let saved = page.value("nbu_agent_state_saved", &[("site", SITE)]);
            is_whole(page.text(), now) && saved == Some(1.0)
        };
        let page = self.endpoints[agent].until(process, "a whole page", is_whole).await;
        self.watched.polled(&self.simulator);
        page
    }

    /// Lets some time pass; returns what the totals of the agent say in the end.
    async fn live(&mut self, agent: usize) -> f64 {
        let mut counted = completed(&self.whole(agent).await);
        for _ in 0..3 {
            self.simulator.clock().advance(MINUTE + MINUTE / 2);
            counted = completed(&self.whole(agent).await);
        }
        counted
    }

    /// Waits until an agent shows nothing of the site.
    async fn is_gone(&self, agent: usize) {
        eventually("the site is gone", || async {
            let page = self.endpoints[agent].scrape().await?;
            page.of_site(SITE, |_| true).is_empty().then_some(())
        })
        .await;
    }

    fn truth(&self) -> f64 {
        self.watched.counted(&self.simulator.truth()) as f64
    }
}

/// The first shard that takes the site over from shard 0.
fn second_shard() -> u32 {
    (1..1000).find(|shard| owner(SITE, shard + 1) == *shard).expect("some shard takes it")
}

/// The completions that a page counts.
fn completed(page: &Page) -> f64 {
    page.of_site(SITE, |name| name == "nbu_jobs_outcomes_total").values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_state_moves_totals_along_with_the_site() {
    const SHARED: &str = "state: { directory: kept, shared: true }";
    let mut pair = Pair::new(211, [SHARED, SHARED]).await;
    let mut last = 0.0;
    for (life, agent) in [0, 1, 0, 1, 0].into_iter().enumerate() {
        pair.give_to(agent).await;
        // Half of the moves find an agent dead.
        if life % 2 == 1 {
            pair.kill(1 - agent).await;
        } else if life > 0 {
            pair.is_gone(1 - agent).await;
        }
        let counted = pair.live(agent).await;
        assert!(counted > last, "{counted} of life {life}");
        assert_eq!(counted, pair.truth(), "life {life}");
        last = counted;
    }
    assert!(last > 100.0, "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_state_counts_nothing_twice_when_site_returns() {
    let state = ["state: { directory: kept-0 }", "state: { directory: kept-1 }"];
    let mut pair = Pair::new(213, state).await;
    for (life, agent) in [0, 1, 0, 1, 0].into_iter().enumerate() {
        if life > 0 {
            // What ends while nobody polls is of neither.
            pair.simulator.clock().advance(MINUTE);
        }
        pair.give_to(agent).await;
        if life > 0 {
            pair.is_gone(1 - agent).await;
        }
        pair.watched = Watched::new(SITE, HOUR);
        let counted = pair.live(agent).await;
        assert!(counted > 10.0, "{counted}");
        assert_eq!(counted, pair.truth(), "life {life}");
        let said = pair.agents[agent].as_ref().expect("it runs").said();
        let begun = said.matches("no saved job ledger; totals start at 0").count();
        assert_eq!(begun, life / 2 + 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_directory_takes_each_shard_once() {
    let simulator = simulate(world(214)).await;
    let desk = Desk::new();
    let write = |name: &str, rest: &str| {
        let config = config(&simulator, HOUR).with(rest);
        desk.write(name, &config.yaml());
        config.port
    };
    write("first.yaml", "sharding: {shard: 0, shards: 2}\nstate: {directory: kept, shared: true}");
    let mut first = desk.start(&["--config", "first.yaml"]);
    first.says("listening").await;
    for rest in [
        // The same shard again, and an agent that wants the directory for itself.
        "sharding: {shard: 0, shards: 2}\nstate: {directory: kept, shared: true}",
        "state: {directory: kept}",
    ] {
        write("second.yaml", rest);
        let ended = desk.run(&["--config", "second.yaml"]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.all());
        assert!(ended.stderr.contains("another agent uses it"), "{}", ended.all());
    }
    let port = write(
        "second.yaml",
        "sharding: {shard: 1, shards: 2}\nstate: {directory: kept, shared: true}",
    );
    let mut second = desk.start(&["--config", "second.yaml"]);
    second.says("listening").await;
    // The mode cannot change while it runs, which is told and changes nothing.
    let mut alone = config(&simulator, HOUR).with("state: {directory: kept}");
    alone.port = port;
    desk.write("second.yaml", &alone.yaml());
    let (status, body) = Endpoint::on(port).post_reload().await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("state.shared takes effect at the next start"), "{body}");
    for mut agent in [first, second] {
        agent.end_by(Signal::TERM).await;
    }
}
