//! A real Prometheus, run with the repository's own prometheus.yml; only targets and the interval are
//! replaced.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::parts::{Program, part, repository};
use crate::process::port;
use crate::series::{Everything, normalized};
use crate::support::http_client;

/// The job that scrapes the agent.
pub const PULLED: &str = "netbackup";

/// Job label of the agent at the Collector: its service.name.
pub const PUSHED: &str = "nbu-otel-agent";

/// A Prometheus that scrapes every second.
pub struct Prometheus {
    program: Program,
    base: String,
}

impl Prometheus {
    /// Starts one that scrapes an agent and a Collector's exporter, on these ports.
    pub async fn start(agent: u16, collector: u16) -> Self {
        Self::of_agents(&[agent], collector).await
    }

    /// The same for several agents. The rules are those of the repository.
    pub async fn of_agents(agents: &[u16], collector: u16) -> Self {
        Self::scraping(agents, collector, "1s").await
    }

    /// The same, with this interval of scrapes, which is their timeout, too.
    pub async fn scraping(agents: &[u16], collector: u16, interval: &str) -> Self {
        let file = repository("deploy/prometheus/prometheus.yml");
        let mut config = fs::read_to_string(file).expect("prometheus.yml");
        let agents: Vec<String> =
            agents.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let rules = repository("deploy/prometheus/rules/*.yml").display().to_string();
        for (target, ours) in [
            ("\"agent:9440\"", agents.join(", ")),
            ("rules/*.yml", rules),
            ("evaluation_interval: 15s", format!("evaluation_interval: {interval}")),
            ("otel-collector:8889", format!("127.0.0.1:{collector}")),
            ("scrape_interval: 15s", format!("scrape_interval: {interval}")),
            ("scrape_timeout: 10s", format!("scrape_timeout: {interval}")),
        ] {
            assert!(config.contains(target), "prometheus.yml has no {target}");
            config = config.replace(target, &ours);
        }
        Self::with(&config).await
    }

    /// Starts one with a configuration of its own.
    pub async fn with(config: &str) -> Self {
        let address = format!("127.0.0.1:{}", port());
        let mut program = Program::start("Prometheus", |directory| {
            let path = directory.join("prometheus.yml");
            fs::write(&path, config).expect("it is written");
            let mut command = Command::new(part("prometheus"));
            command
                .arg(format!("--config.file={}", path.display()))
                .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
                .arg(format!("--web.listen-address={address}"));
            command
        });
        let base = format!("http://{address}");
        program.answers(&format!("{base}/-/ready")).await;
        Self { program, base }
    }

    /// Returns a handle on a Prometheus that another part runs.
    pub async fn series_at(base: &str, job: &str) -> Everything {
        // What rules make of them has these labels, too.
        let scraped = "__name__!~\"ALERTS.*|.+:.+\"";
        let selector = format!("{{job=\"{job}\",site!=\"\",{scraped}}}");
        normalized(query(base, &selector).await)
    }

    /// The series of sites with this label `job`, as they are now.
    pub async fn series(&self, job: &str) -> Everything {
        Self::series_at(&self.base, job).await
    }

    /// Returns the number of series of an expression, or its error.
    pub async fn answer(&self, expression: &str) -> Result<usize, String> {
        let found = self.api("query", &[("query", expression)]).await;
        match found["status"].as_str() {
            Some("success") => Ok(found["data"]["result"].as_array().map_or(0, Vec::len)),
            _ => Err(found["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }

    /// Returns the value of an expression that has one series at most.
    pub async fn number(&self, expression: &str) -> Option<f64> {
        let answer = self.api("query", &[("query", expression)]).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let found = answer["data"]["result"].as_array().expect("a vector");
        assert!(found.len() < 2, "{expression}: {found:?}");
        found.first()?["value"][1].as_str()?.parse().ok()
    }

    /// A question to its API.
    pub async fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let mut url = url::Url::parse(&format!("{}/api/v1/{path}", self.base)).expect("a URL");
        url.query_pairs_mut().extend_pairs(parameters);
        let answer = http_client().get(url).send().await.expect("it answers");
        let text = answer.text().await.expect("a body");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Ends it.
    pub async fn stop(self) {
        self.program.stop().await;
    }
}

/// Returns the result of an instant query.
async fn query(base: &str, expression: &str) -> Vec<(crate::support::exposition::Series, f64)> {
    let mut url = url::Url::parse(&format!("{base}/api/v1/query")).expect("a URL");
    url.query_pairs_mut().append_pair("query", expression);
    let Ok(answer) = http_client().get(url).send().await else { return Vec::new() };
    let text = answer.text().await.unwrap_or_default();
    let Ok(answer) = serde_json::from_str::<Value>(&text) else { return Vec::new() };
    let results = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    results.iter().map(series).collect()
}

fn series(result: &Value) -> (crate::support::exposition::Series, f64) {
    let mut name = String::new();
    let mut labels = Vec::new();
    for (key, value) in result["metric"].as_object().expect("labels") {
        let value = value.as_str().expect("a text").to_owned();
        if key == "__name__" {
            name = value;
        } else {
            labels.push((key.clone(), value));
        }
    }
    let value = result["value"][1].as_str().expect("a value").parse().expect("a number");
    ((name, labels), value)
}
