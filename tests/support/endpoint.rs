//! The HTTP endpoint of an agent that is another process.

use std::time::{Duration, Instant};

use super::process::Process;
use super::{PATIENCE, Page, http_client};

/// Address of an agent's endpoint.
pub struct Endpoint {
    base: String,
    http: reqwest::Client,
}

impl Endpoint {
    /// On this port of 127.0.0.1.
    pub fn on(port: u16) -> Self {
        Self::at(&format!("127.0.0.1:{port}"))
    }

    /// At this host and port.
    pub fn at(authority: &str) -> Self {
        Self { base: format!("http://{authority}"), http: http_client() }
    }

    /// The exposition; nothing where nobody answers.
    pub async fn scrape(&self) -> Option<Page> {
        let answer = self.http.get(format!("{}/metrics", self.base)).send().await.ok()?;
        Some(Page::parse(&answer.text().await.ok()?))
    }

    /// Returns the exposition as it comes; nothing where nobody answers.
    pub async fn text(&self) -> Option<String> {
        let answer = self.http.get(format!("{}/metrics", self.base)).send().await.ok()?;
        answer.text().await.ok()
    }

    /// Returns the answer at a path.
    pub async fn get(&self, path: &str) -> String {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await;
        answer.expect("the endpoint answers").text().await.expect("a body")
    }

    /// Asks for the configuration to be read; status and body of the answer.
    pub async fn post_reload(&self) -> (u16, String) {
        let answer = self.http.post(format!("{}/-/reload", self.base)).send().await;
        let answer = answer.expect("the endpoint answers");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    /// Scrapes until `done` says so; the last page.
    pub async fn until(
        &self,
        agent: &mut Process,
        what: &str,
        done: impl Fn(&Page) -> bool,
    ) -> Page {
        let started = Instant::now();
        loop {
            let alive = agent.is_alive();
            match self.scrape().await {
                Some(page) if done(&page) => return page,
                page => assert!(
                    alive && started.elapsed() < PATIENCE,
                    "{what}: not seen; the agent said\n{}\nand shows\n{}",
                    agent.said(),
                    page.as_ref().map_or("nothing", Page::text)
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Scrapes until every collector of `site` succeeded.
    pub async fn complete(&self, agent: &mut Process, site: &str) -> Page {
        self.until(agent, &format!("both collectors of {site} up"), |page| {
            ["jobs", "storage"].iter().all(|collector| {
                page.value("nbu_agent_collector_up", &[("site", site), ("collector", collector)])
                    == Some(1.0)
            })
        })
        .await
    }
}

/// Returns the number of loads of the configuration for this trigger with this result.
pub fn reloads(page: &Page, trigger: &str, result: &str) -> f64 {
    let labels = [("trigger", trigger), ("result", result)];
    page.value("nbu_agent_config_reloads_total", &labels).unwrap_or_default()
}

/// Returns the number of failed runs of the collectors of `site`, of this kind.
pub fn errors(page: &Page, site: &str, kind: &str) -> f64 {
    let of_kind = |(_, labels): &&(String, Vec<(String, String)>)| {
        labels.iter().any(|(key, value)| key == "kind" && value == kind)
    };
    let counts = page.of_site(site, |name| name == "nbu_agent_collector_errors_total");
    counts.iter().filter(|(series, _)| of_kind(series)).map(|(_, count)| count).sum()
}
