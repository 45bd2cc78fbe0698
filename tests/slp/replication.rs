//! Replication between two sites that the agent polls both: what did not arrive, and what waits for its import.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use nbu_sim::{Clock, Fault, Release, Rows, Settings, Simulator};

use crate::support::expected::{assert_same, differences};
use crate::support::exposition::{Series, key};
use crate::support::slp;
use crate::support::{Agent, Config, NOON, Page, at_once, simulate};
use crate::{OFTEN, ON, busy, read_again};

/// Time between two looks, less than any image takes from its backup to its last copy.
const PASS: Duration = Duration::from_secs(14 * 60);

/// A site that replicates, and the one that receives.
struct Pair {
    paris: Simulator,
    tokyo: Simulator,
    /// Backup ids of paris that were in its backlog when somebody looked.
    seen: BTreeSet<String>,
    /// Those that were replicated, with the time when somebody looked first.
    sent: BTreeMap<String, i64>,
}

impl Pair {
    async fn new(release: Release, seed: u64) -> Self {
        let clock = Clock::manual(NOON);
        let settings = |name: &str, seed, images| Settings {
            release,
            clock: clock.clone(),
            name: name.to_owned(),
            rows: Rows::default().with("slp-images", images),
            ..busy(seed)
        };
        let paris = simulate(settings("Paris.example.com", seed, 120)).await;
        let tokyo = simulate(settings("tokyo.example.com", seed + 1, 20)).await;
        paris.replicate_to(&tokyo);
        let mut pair = Self { paris, tokyo, seen: BTreeSet::new(), sent: BTreeMap::new() };
        pair.look();
        pair
    }

    fn look(&mut self) {
        let images = slp::incomplete(&self.paris.truth()).into_iter();
        self.seen.extend(images.map(|image| image.backup_id));
        let now = self.paris.truth().server_time();
        for image in self.paris.truth().slp_images().iter().filter(|image| is_sent(image)) {
            self.sent.entry(image.backup_id.clone()).or_insert(now);
        }
    }

    fn pass(&mut self) {
        self.paris.clock().advance(PASS);
        self.look();
    }

    fn config(&self) -> Config {
        let config = Config::new().server(OFTEN).with(ON);
        config.site("paris", &self.paris).site("tokyo", &self.tokyo)
    }

    /// Returns the series of what paris replicated and tokyo has not imported.
    fn expected(&self) -> BTreeMap<Series, f64> {
        let site = [("site", "tokyo"), ("origin", "paris")];
        let mut series = BTreeMap::new();
        for state in ["not_arrived", "import_pending", "import_failed"] {
            let labels = [site[0], site[1], ("state", state)];
            series.insert(key("nbu_air_pending_images", &labels), 0.0);
        }
        let arrived = self.tokyo.truth().slp_images();
        let arrived: BTreeMap<_, _> = arrived
            .iter()
            .filter(|image| image.origin.is_some())
            .map(|image| (&image.backup_id, image))
            .collect();
        let now = self.tokyo.truth().server_time();
        let (mut oldest, mut longest): (Option<f64>, Option<f64>) = (None, None);
        for image in self.paris.truth().slp_images() {
            if !is_sent(&image) || image.origin.is_some() || !self.seen.contains(&image.backup_id) {
                continue;
            }
            let state = match arrived.get(&image.backup_id).map(|there| there.copies[0].state) {
                None => "not_arrived",
                Some("COPYCOMPLETE") => continue,
                Some("IMPORT_FAILED") => "import_failed",
                Some(_) => "import_pending",
            };
            let labels = [site[0], site[1], ("state", state)];
            *series.entry(key("nbu_air_pending_images", &labels)).or_default() += 1.0;
            let age = (now - image.backup_ms) as f64 / 1000.0;
            oldest = Some(oldest.map_or(age, |oldest| oldest.max(age)));
            let wait = (now - self.sent[&image.backup_id]) as f64 / 1000.0;
            longest = Some(longest.map_or(wait, |longest| longest.max(wait)));
        }
        if let Some(wait) = longest {
            series.insert(self::wait(), wait);
        }
        if let Some(age) = oldest {
            series.insert(key("nbu_air_oldest_pending_age_seconds", &site), age);
        }
        series
    }

    async fn is_true(&self, agent: &Agent) {
        let mut expected = self.expected();
        let wait = expected.remove(&wait());
        let same = |page: &Page| differences(&shown(page), &expected).is_empty();
        let page = agent.scrape_until(&format!("{expected:#?}"), same).await;
        assert_same(&shown(&page), &expected);
        let found = page.series().get(&self::wait()).copied();
        assert_eq!(found.is_some(), wait.is_some());
        if let (Some(found), Some(wait)) = (found, wait) {
            // A run that was under way when time passed has seen the image with the clock of before.
            assert!((wait..=wait + PASS.as_secs_f64()).contains(&found), "{found} for {wait}");
        }
    }
}

fn wait() -> Series {
    key("nbu_air_longest_wait_seconds", &[("site", "tokyo"), ("origin", "paris")])
}

fn is_sent(image: &nbu_sim::SlpImageView) -> bool {
    let is_sent = |copy: &nbu_sim::SlpCopyView| {
        copy.kind == "REPLICATE_TO_REMOTE_MASTER" && copy.state == "COPYCOMPLETE"
    };
    image.copies.iter().any(is_sent)
}

/// The series of replication but that of the longest wait.
fn shown(page: &Page) -> BTreeMap<Series, f64> {
    let of_it = |name: &str| name.starts_with("nbu_air_") && name != "nbu_air_longest_wait_seconds";
    let mut all = page.of_site("tokyo", of_it);
    all.extend(page.of_site("paris", of_it));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_the_truth_in_each_release_over_time() {
    let pairs = (51..).step_by(10).zip(Release::ALL).map(|(seed, release)| async move {
        let mut states = BTreeSet::new();
        let mut pair = Pair::new(release, seed).await;
        let agent = Agent::start(&pair.config()).await;
        for _ in 0..11 {
            pair.is_true(&agent).await;
            let expected = pair.expected().into_iter().filter(|(_, value)| *value > 0.0);
            states.extend(expected.flat_map(|((_, labels), _)| labels).map(|(_, value)| value));
            pair.pass();
        }
        agent.stop().await;
        states
    });
    let states: BTreeSet<_> = at_once(pairs).await.into_iter().flatten().collect();
    for state in ["not_arrived", "import_pending", "import_failed"] {
        assert!(states.contains(state), "no world has {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_unknown_where_a_side_is() {
    let mut pair = Pair::new(Release::R11_0, 53).await;
    let mut agent = Agent::start(&pair.config()).await;
    pair.is_true(&agent).await;
    let (list, ping) = ("/catalog/slp-images", "/ping");
    for (side, path) in
        [(&pair.paris, list), (&pair.tokyo, list), (&pair.paris, ping), (&pair.tokyo, ping)]
    {
        side.faults().add(Fault::on(path).status(500));
        let gone = |page: &Page| shown(page).is_empty();
        agent.scrape_until("nothing is said", gone).await;
        side.faults().clear();
        pair.is_true(&agent).await;
    }
    pair.pass();
    pair.is_true(&agent).await;
    // A site that is not polled any more is no side.
    let alone = agent.config().server(OFTEN).with(ON).site("tokyo", &pair.tokyo);
    agent.reload(&alone).await;
    agent.scrape_until("nothing is said", |page| shown(page).is_empty()).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_remembers_what_was_replicated() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |pair: &Pair, folder: &Path| {
        pair.config().with(&format!("state: {{ directory: \"{}\" }}", folder.display()))
    };
    let mut pair = Pair::new(Release::R10_5, 55).await;
    let agent = Agent::start(&kept(&pair, folder.path())).await;
    for _ in 0..12 {
        pair.is_true(&agent).await;
        pair.pass();
    }
    pair.is_true(&agent).await;
    agent.stop().await;
    let agent = Agent::start(&kept(&pair, folder.path())).await;
    pair.is_true(&agent).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sites_of_one_server_are_no_pair() {
    let mut pair = Pair::new(Release::R11_0, 57).await;
    let config = pair.config().site("again", &pair.paris);
    let agent = Agent::start(&config).await;
    // Until the second one has told its name, the first one is a site as any.
    let apart = |page: &Page| {
        let is_up = |site: &&str| {
            let labels = [("site", *site), ("collector", "slp_images")];
            page.value("nbu_agent_collector_up", &labels) == Some(1.0)
        };
        ["paris", "tokyo", "again"].iter().all(is_up) && shown(page).is_empty()
    };
    agent.scrape_until("which of the two replicates is not known", apart).await;
    for _ in 0..3 {
        pair.pass();
        assert!(apart(&read_again(&agent).await));
    }
    agent.stop().await;
}
