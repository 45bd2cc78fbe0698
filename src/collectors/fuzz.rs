//! Fuzz target of the collectors: each reads from a server that answers anything.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a fuzz target may panic")]

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::{Collected, Config, Part, Settings, TABLE};
use crate::metric::{Family, Value};
use crate::netbackup::{ApiVersion, Client, Config as ClientConfig, RetryPolicy};
use crate::slp::Links;

const DAY: Duration = Duration::from_secs(86_400);

/// Series that the input does not make: explicit zeros of closed sets.
const FIXED_SERIES: usize = 1_000;

/// A server on loopback that gives the answers of the input, one after the other, and then errors.
struct Server {
    runtime: Runtime,
    answers: Arc<Mutex<VecDeque<Vec<u8>>>>,
    client: Client,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

impl Server {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let answers = Arc::<Mutex<VecDeque<Vec<u8>>>>::default();
        let listener =
            runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("an address");
        let queue = Arc::clone(&answers);
        let answer = move || async move {
            let (status, body) = match queue.lock().expect("no panic").pop_front() {
                // One that begins with this control character is an error.
                Some(body) if body.first() == Some(&1) => {
                    (StatusCode::BAD_REQUEST, body[1..].to_vec())
                }
                Some(body) => (StatusCode::OK, body),
                None => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
            };
            (status, [(CONTENT_TYPE, "application/vnd.netbackup+json;version=13.0")], body)
        };
        let router = Router::new().fallback(answer);
        runtime.spawn(async move { axum::serve(listener, router).await });
        let config = ClientConfig {
            site: "site".to_owned(),
            base_url: format!("http://{address}/netbackup").parse().expect("an address"),
            api_key: SecretString::from("key"),
            api_version: Some(ApiVersion::new(13, 0)),
            allow_plain_text: false,
            insecure_skip_verify: false,
            fingerprints: Vec::new(),
            ca: None,
            roots: None,
            identity: None,
            proxy: None,
            timeout: Duration::from_secs(5),
            max_concurrent_requests: 4,
        };
        let once = RetryPolicy { max_attempts: 1, ..RetryPolicy::default() };
        let client = Client::builder(config).retry_policy(once).build().expect("a client");
        Self { runtime, answers, client }
    }
}

/// Runs the collector that the first byte chooses. The answers that it gets are separated by NULs. Its series are as many
/// as the answers have bytes at most, and none is there twice or no number.
pub(crate) fn collector(data: &[u8]) {
    let Some((choice, answers)) = data.split_first() else { return };
    let row = &TABLE[usize::from(*choice) % TABLE.len()];
    let server = &*SERVER;
    let (config, links) = (Config::default(), Links::default());
    let settings = Settings { collectors: &config, window: DAY, state: None, links: &links };
    let mut collector = (row.build)(&settings);
    *server.answers.lock().expect("no panic") =
        answers.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let session = server.client.with_deadline(Instant::now() + Duration::from_secs(5));
    // Not until the end of what it would read: of endless lists the answers end.
    for _ in 0..2 {
        let collected = server.runtime.block_on(collector.collect(&session));
        if let Ok(collected) = collected {
            assert_sound(collected, data.len());
        }
    }
}

fn assert_sound(collected: Collected, bytes: usize) {
    let mut series = 0;
    for (_, part) in collected.parts {
        match part {
            Part::Fresh(samples) => series += sound_series(&samples.finish().0),
            Part::Groups(groups) | Part::Totals(groups, _) => {
                series += groups.iter().map(|group| sound_series(group)).sum::<usize>();
            }
            Part::Failed(error) => assert!(!error.to_string().contains(char::is_control)),
            Part::Kept => {}
        }
    }
    assert!(series <= bytes + FIXED_SERIES, "{series} series of {bytes} bytes");
}

fn sound_series(families: &[Family]) -> usize {
    for family in families {
        let name = family.definition.name;
        for pair in family.points.windows(2) {
            assert_ne!(pair[0].attributes, pair[1].attributes, "{name}");
        }
        for point in &family.points {
            let number = match &point.value {
                Value::Number(number) => *number,
                Value::Distribution(distribution) => distribution.sum,
            };
            assert!(!number.is_nan(), "{name}");
        }
    }
    families.iter().map(|family| family.points.len()).sum()
}
