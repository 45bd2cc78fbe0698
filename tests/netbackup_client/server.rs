//! A scripted server, and a client for it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use nbu_otel_agent::netbackup::{Client, ClientBuilder, Config, RetryPolicy, Session};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// The key of all test clients.
pub(crate) const KEY: &str = "k3y-0f-the-tests-never-shown";

/// A request that the server received.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// The request target, unchanged.
    pub(crate) target: String,
    pub(crate) path: String,
    /// Decoded pairs.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) number: usize,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_ping(&self) -> bool {
        self.path.ends_with("/ping")
    }

    /// Returns true if the requested version is `version`.
    pub(crate) fn asks(&self, version: &str) -> bool {
        self.header("accept").is_some_and(|accept| accept.ends_with(&format!("version={version}")))
    }
}

/// A response of the server.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) delay: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", kind.to_owned())];
        Self { status, headers, body: body.into(), delay: Duration::ZERO }
    }

    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "application/vnd.netbackup+json;version=14.0", body)
    }

    /// A vendor's ErrorResponse.
    pub(crate) fn error(status: u16, message: &str) -> Self {
        let body = serde_json::json!({"errorCode": 7, "errorMessage": message, "details": {}});
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn ping(version: &str) -> Self {
        Self::plain_ping().with("x-netbackup-api-version", version)
    }

    /// A ping of a server that does not name its version.
    pub(crate) fn plain_ping() -> Self {
        Self::new(200, "text/vnd.netbackup+plain", " 1772359200123\n")
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Returns a page of jobs with these ids and this `meta`.
pub(crate) fn jobs(ids: impl IntoIterator<Item = i64>, meta: &str) -> Answer {
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| serde_json::json!({"type": "job", "id": id, "attributes": {"jobId": id}}))
        .collect();
    let rows = serde_json::Value::from(rows);
    Answer::json(format!(
        r#"{{"data":{rows},"meta":{meta},"links":{{"next":{{"href":"http://evil.invalid/"}}}}}}"#
    ))
}

/// A running server that records its requests.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers with `script`, HTTP on 127.0.0.1.
    pub(crate) async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script).await
    }

    /// Answers pings with version 14.0, everything else with `script`.
    pub(crate) async fn api(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(move |seen| if seen.is_ping() { Answer::ping("14.0") } else { script(seen) })
            .await
    }

    pub(crate) async fn start_at(
        at: &str,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::serve(listener, address, script)
    }

    pub(crate) fn serve<L>(
        listener: L,
        address: SocketAddr,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (Arc::clone(&seen), Arc::new(script));
        let router = Router::new().fallback(move |request: Request| {
            let (log, script) = (Arc::clone(&log), Arc::clone(&script));
            async move {
                let mut seen = observe(request).await;
                {
                    let mut log = log.lock().unwrap();
                    seen.number = log.len() + 1;
                    log.push(seen.clone());
                }
                let answer = script(&seen);
                tokio::time::sleep(answer.delay).await;
                respond(answer)
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the requests other than pings.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| !seen.is_ping()).collect()
    }

    pub(crate) fn pings(&self) -> usize {
        self.seen().iter().filter(|seen| seen.is_ping()).count()
    }

    pub(crate) fn config(&self) -> Config {
        config(&format!("http://{}/netbackup", self.address))
    }

    /// Returns a client with short waits.
    pub(crate) fn client(&self) -> Client {
        builder(self.config()).build().unwrap()
    }

    pub(crate) fn session(&self) -> Session {
        session(&self.client())
    }
}

pub(crate) fn config(base: &str) -> Config {
    Config {
        site: "paris".to_owned(),
        base_url: base.parse().unwrap(),
        api_key: SecretString::from(KEY),
        api_version: None,
        allow_plain_text: false,
        insecure_skip_verify: false,
        fingerprints: Vec::new(),
        ca: None,
        roots: None,
        identity: None,
        proxy: None,
        timeout: Duration::from_secs(5),
        max_concurrent_requests: 4,
    }
}

pub(crate) fn builder(config: Config) -> ClientBuilder {
    Client::builder(config).retry_policy(RetryPolicy {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(5),
        ..RetryPolicy::default()
    })
}

/// Returns a session with enough time.
pub(crate) fn session(client: &Client) -> Session {
    client.with_deadline(Instant::now() + Duration::from_secs(30))
}

async fn observe(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        path: parts.uri.path().to_owned(),
        query,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        number: 0,
    }
}

fn respond(answer: Answer) -> Response {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}
