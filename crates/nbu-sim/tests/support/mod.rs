//! Shared parts of the tests: a client, and walks over lists.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use nbu_sim::{Clock, Settings, Simulator};
use reqwest::{Client, Response};
use serde_json::Value;

/// 2026-09-21T14:13:20Z.
pub(crate) const START: i64 = 1_790_000_000_000;

/// A client that sends the key and the version of the simulator's release.
pub(crate) struct Api {
    pub(crate) sim: Simulator,
    pub(crate) http: Client,
}

/// A simulator with a manual clock, and a client for it.
pub(crate) async fn api(settings: Settings) -> Api {
    let settings = Settings { clock: Clock::manual(START), ..settings };
    let sim = Simulator::start(settings).await.expect("a free port");
    Api { sim, http: client().build().expect("a client") }
}

pub(crate) fn client() -> reqwest::ClientBuilder {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy()
}

impl Api {
    pub(crate) fn accept(&self) -> String {
        format!("application/vnd.netbackup+json;version={}", self.sim.release().api_version())
    }

    /// GET with parameters in the clear.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Response {
        let pairs: Vec<String> =
            query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let url = format!("{}{path}?{}", self.sim.base_url(), pairs.join("&"));
        let request = self.http.get(url).header("Accept", self.accept());
        request
            .header("Authorization", &self.sim.settings().api_key)
            .send()
            .await
            .expect("an answer")
    }

    /// The JSON of a GET that succeeds.
    pub(crate) async fn json(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let response = self.get(path, query).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert_eq!(status, 200, "{path} {query:?}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The status and errorCode of a GET that fails.
    pub(crate) async fn error(&self, path: &str, query: &[(&str, &str)]) -> (u16, i64) {
        let response = self.get(path, query).await;
        let status = response.status().as_u16();
        let body: Value =
            serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON");
        (status, body["errorCode"].as_i64().expect("an errorCode"))
    }

    /// All rows of a cursor list.
    pub(crate) async fn walk(&self, query: &[(&str, &str)]) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            if let Some(after) = &after {
                query.push(("page[after]", after));
            }
            let page = self.json("/admin/jobs", &query).await;
            rows.extend(page["data"].as_array().expect("data").iter().cloned());
            after = page["meta"]["pagination"]["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return rows;
            }
        }
    }

    pub(crate) async fn count(&self, filter: &str) -> Value {
        let body =
            serde_json::json!({"data": {"type": "jobCount", "attributes": {"filter": filter}}});
        let url = format!("{}/admin/jobs-count-requests", self.sim.base_url());
        let request = self.http.post(url).header("Accept", self.accept());
        let request = request.header("Content-Type", self.accept()).body(body.to_string());
        let response =
            request.header("Authorization", "nbu-sim-key").send().await.expect("an answer");
        serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
    }
}

pub(crate) fn encode(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// jobIds of rows.
pub(crate) fn ids(rows: &[Value]) -> Vec<i64> {
    rows.iter().map(|row| row["attributes"]["jobId"].as_i64().expect("a jobId")).collect()
}
