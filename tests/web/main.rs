//! The rules about those who ask the endpoint: TLS, certificates of clients, passwords, tokens, and the web configuration file of
//! exporters.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod credentials;
mod crowd;
mod exposure;
mod file;
mod health;

use std::path::PathBuf;
use std::time::Duration;

use nbu_otel_agent::reload::Trigger;
use nbu_sim::Simulator;
use support::certificates::{Authority, Issued};
use support::{Agent, Config, simulate, world};
use tempfile::TempDir;

/// A folder with the files that `server.web` names, and a server to poll.
struct Place {
    folder: TempDir,
    simulator: Simulator,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, simulator: simulate(world(1)).await }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        let owner = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
        std::fs::set_permissions(&path, owner).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes the endpoint's certificate and key; the settings that name them.
    fn identity(&self, issued: &Issued) -> String {
        let certificate = self.write("endpoint.pem", &issued.certificate);
        let key = self.write("endpoint-key.pem", &issued.key);
        format!("certFile: {certificate}, keyFile: {key}")
    }

    /// A configuration whose `server` has this, too.
    fn config(&self, server: &str) -> Config {
        let rest = "scrapingInterval: 24h, collectionInterval: 300s";
        Config::new().server(&format!("{rest}, {server}")).site("paris", &self.simulator)
    }

    async fn start(&self, server: &str) -> Agent {
        Agent::start(&self.config(server)).await
    }
}

/// The configuration of an agent that runs, with other rules.
fn at(agent: &Agent, mut config: Config) -> Config {
    config.port = agent.config().port;
    config
}

fn url(agent: &Agent, scheme: &str, path: &str) -> String {
    agent.url(path).replacen("http", scheme, 1)
}

/// A client that trusts this CA alone, and shows this certificate.
fn client(ca: &Authority, identity: Option<&Issued>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let builder =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).tls_certs_only([ca]);
    let builder = match identity {
        Some(issued) => {
            builder.identity(reqwest::Identity::from_pem(issued.both().as_bytes()).unwrap())
        }
        None => builder,
    };
    builder.build().unwrap()
}

/// The status of the answer; none where there was no answer.
async fn status(client: &reqwest::Client, url: &str) -> Option<u16> {
    Some(client.get(url).send().await.ok()?.status().as_u16())
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}
