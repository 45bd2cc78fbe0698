//! Questions to the running agent, at its own endpoint.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use reqwest::StatusCode;

use crate::cli::ask::{causes, client, local, wants_certificate};
use crate::config::{Config, Errors};
use crate::supervisor::{HealthCheck, health_check_in_force, own_health_check_in_force};

/// The endpoint of an agent that may be running.
pub(super) struct Agent {
    base: String,
    metrics_path: String,
    token: Option<String>,
}

impl Agent {
    /// Returns the agent with this configuration: where it says that it listens, else where the file says. `None` if it
    /// has no endpoint.
    pub(super) fn of(path: &Path, config: Result<&Config, &Errors>) -> Option<Self> {
        let http = config.map(|config| &config.http);
        // It tells the address of its listener for health, if it has one, and that serves nothing else. Who gets the token
        // is the agent itself, since its user is known, and nobody else listens at its address.
        let has_health = http.is_ok_and(|http| http.health.is_some());
        let own = if has_health { None } else { own_health_check_in_force(path) };
        let is_own = matches!(own, Some(HealthCheck::At(_)));
        let token = config.ok().filter(|_| is_own).and_then(token);
        let in_force = own.or_else(|| health_check_in_force(path).filter(|_| !has_health));
        let of_file = match http {
            Ok(http) => http.endpoint(),
            Err(errors) => errors.endpoint.clone(),
        };
        let probe = match in_force {
            Some(HealthCheck::At(probe)) => probe,
            Some(HealthCheck::PushOnly) => return None,
            None => of_file?,
        };
        let metrics_path = http.map_or("/metrics", |http| &http.metrics_path).to_owned();
        Some(Self { base: local(&probe), metrics_path, token })
    }

    /// Returns the exposition.
    pub(super) async fn page(&self) -> Result<String, String> {
        self.get(&self.metrics_path).await
    }

    /// Returns the status page.
    pub(super) async fn status(&self) -> Result<String, String> {
        self.get("/").await
    }

    /// Returns the answers about health, with their status; none where nobody answers.
    pub(super) async fn health(&self) -> Result<String, String> {
        let mut text = String::new();
        for path in ["/-/healthy", "/-/ready", "/health"] {
            let (status, body) = self.ask(path).await?;
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{path}: {status}: {}", body.trim());
        }
        Ok(text)
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        match self.ask(path).await? {
            (status, body) if status.is_success() => Ok(body),
            (StatusCode::UNAUTHORIZED, _) => Err(format!(
                "{} asks for credentials; with server.web.bearerTokenFile, and run as the user of the agent, this command has some",
                self.base
            )),
            (status, _) => Err(format!("{}{path}: {status}", self.base)),
        }
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, String), String> {
        let describe = |error: reqwest::Error| {
            if wants_certificate(&error) {
                format!("{} asks for a client certificate", self.base)
            } else {
                format!("{} does not respond: {}", self.base, causes(&error))
            }
        };
        let mut request = client().map_err(describe)?.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(describe)?;
        let status = answer.status();
        Ok((status, answer.text().await.map_err(describe)?))
    }
}

/// Returns a token of the endpoint, if the configuration names a file with some.
fn token(config: &Config) -> Option<String> {
    let path = config.entries.file("server.web.bearerTokenFile")?;
    let text = fs::read_to_string(path).ok()?;
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(ToOwned::to_owned)
}

/// Returns the lines of an exposition that are about the agent, its collectors and its sites.
pub(super) fn self_metrics(page: &str) -> String {
    const FAMILIES: [&str; 4] = ["nbu_agent_", "process_", "nbu_up", "nbu_api_version"];
    let name = |line: &str| match line.strip_prefix("# ") {
        Some(comment) => comment.split(' ').nth(1).unwrap_or_default().to_owned(),
        None => line.to_owned(),
    };
    let is_own = |line: &&str| FAMILIES.iter().any(|family| name(line).starts_with(family));
    page.split_inclusive('\n').filter(is_own).collect()
}
