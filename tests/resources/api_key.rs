//! The API key itself: when it expires, and that nothing shows the key or its tag.

use nbu_sim::{API_KEY, Fault, Settings, Simulator};
use otlp_sink::{Options, Sink};

use crate::support::endpoint::Endpoint;
use crate::support::process::{Desk, Signal, config};
use crate::support::{Agent, Config, Page, eventually, simulate};
use crate::{OFTEN, about, small};

/// As often, but for what is not read at each poll.
const ONCE: &str =
    "collectionInterval: 150ms, cacheTTL: 1h, staleAfter: 10m, scrapingInterval: 24h";

/// Another key of the right form.
const OTHER_KEY: &str = "another_key-that-has-a-tag-and-so-a-time-at-which-it-expires-000";

/// The tags of both, as they are and as a path has them.
const TAGS: [&str; 4] = ["nbu/sim+kew", "nbu%2Fsim%2Bkew", "another/key", "another%2Fkey"];

async fn with_key(key: &str) -> Simulator {
    simulate(Settings { api_key: key.to_owned(), ..small() }).await
}

fn expiry(page: &Page) -> Option<f64> {
    page.value("nbu_api_key_expiry_timestamp_seconds", &[("site", "paris")])
}

fn told(simulator: &Simulator) -> Option<f64> {
    simulator.api_key_expiry().map(|ms| ms as f64 / 1000.0)
}

fn questions(simulator: &Simulator) -> usize {
    simulator.requests().iter().filter(|it| it.path.starts_with("/security/api-keys")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_of_the_key_is_exported_without_a_permission() {
    let paris = with_key(API_KEY).await;
    paris.set_permissions(nbu_sim::Permissions::NONE);
    let agent = Agent::start(&Config::new().server(ONCE).site("paris", &paris)).await;
    let page = agent.scrape_until("the key expires", |page| expiry(page).is_some()).await;
    assert_eq!(expiry(&page), told(&paris));
    assert_eq!(about(&page, "nbu_agent_collector_permitted", "api_key"), Some(1.0));
    assert_eq!(questions(&paris), 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_without_a_tag_is_not_asked_about() {
    for key in ["nbu-sim-key", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJuYnUifQ.c2lnbmF0dXJl", &API_KEY[1..]]
    {
        let paris = with_key(key).await;
        let agent = Agent::start(&Config::new().server(OFTEN).site("paris", &paris)).await;
        let page = agent.first_samples("paris").await;
        let shown = page.series().keys().any(|(_, labels)| {
            labels.iter().any(|(label, value)| label == "collector" && value == "api_key")
        });
        assert!(!shown && expiry(&page).is_none(), "{}", page.text());
        assert_eq!(questions(&paris), 0);
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_key_is_asked_about_at_once() {
    let paris = with_key(API_KEY).await;
    let port = crate::support::process::port();
    let at = |key: &str| {
        let key = format!("apiKey: \"{key}\"");
        let mut config = Config::new();
        config.port = port;
        config.server(ONCE).site_at("paris", paris.addr(), &key)
    };
    let mut agent = Agent::start(&at(API_KEY)).await;
    agent.scrape_until("the key expires", |page| expiry(page).is_some()).await;

    let rotate = async |agent: &mut Agent, key: &str| {
        paris.set_api_key(key);
        agent.reload(&at(key)).await;
    };
    paris.set_api_key_expiry(1_900_000_000_000);
    rotate(&mut agent, OTHER_KEY).await;
    let new = |page: &Page| expiry(page) == Some(1_900_000_000.0);
    agent.scrape_until("the new key expires", new).await;

    // What is known of the old key is gone, though nothing is known of the new one.
    paris.faults().add(Fault::on("/security/api-keys").status(500));
    rotate(&mut agent, API_KEY).await;
    agent.scrape_until("no expiry", |page| expiry(page).is_none()).await;
    paris.faults().clear();
    agent.scrape_until("the old key expires", new).await;

    rotate(&mut agent, "a key without a tag").await;
    agent.scrape_until("no expiry of a token", |page| expiry(page).is_none()).await;
    rotate(&mut agent, API_KEY).await;
    agent.scrape_until("the key expires again", new).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_question_condemns_neither_key_nor_collectors() {
    for (status, up, permitted) in [
        (401, None, Some(0.0)),
        (403, None, Some(0.0)),
        (404, Some(1.0), Some(1.0)),
        (400, Some(1.0), Some(1.0)),
        (500, Some(0.0), None),
    ] {
        let paris = with_key(API_KEY).await;
        paris.faults().add(Fault::on("/security/api-keys").status(status));
        let agent = Agent::start(&Config::new().server(OFTEN).site("paris", &paris)).await;
        agent.first_samples("paris").await;
        let done = |page: &Page| {
            about(page, "nbu_agent_collector_up", "api_key") == up
                && about(page, "nbu_agent_collector_permitted", "api_key") == permitted
                && questions(&paris) > 0
        };
        let page = agent.scrape_until(&format!("{status} is told"), done).await;
        assert_eq!(expiry(&page), None, "{status}");
        assert_eq!(page.value("nbu_agent_api_key_refused", &[("site", "paris")]), Some(0.0));
        assert_eq!(page.value("nbu_up", &[("site", "paris")]), Some(1.0), "{status}");
        agent.stop().await;
    }
}

/// Asserts that a text has neither a key nor a tag.
fn assert_clean(what: &str, text: &str) {
    for secret in TAGS.iter().chain(&[API_KEY, OTHER_KEY]) {
        assert!(!text.contains(secret), "{secret} in {what}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_key_nor_tag_is_shown_anywhere() {
    let (paris, tokyo) = (with_key(API_KEY).await, with_key(OTHER_KEY).await);
    tokyo.faults().add(Fault::on("/security/api-keys").status(500));
    let sink = Sink::start(Options { keep: 200, ..Options::default() }).expect("a receiver");
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{}\", interval: 300ms }}",
        sink.grpc_endpoint()
    );
    let setup = config().server(OFTEN).site("paris", &paris).site("tokyo", &tokyo);
    let desk = Desk::with(&setup.clone().with(&push).with("state: { directory: state }").yaml());
    let mut agent = desk.start(&["run", "--config", "config.yaml", "--trace"]);
    let endpoint = Endpoint::on(setup.port);
    let failed = |page: &Page| {
        let labels = [("site", "tokyo"), ("collector", "api_key")];
        page.value("nbu_agent_collector_up", &labels) == Some(0.0)
    };
    let both = |page: &Page| expiry(page).is_some() && failed(page);
    endpoint.until(&mut agent, "one expiry and one failure", both).await;
    // The server repeats the tag in its answers, and these are in the log.
    agent.says("apiKeyDetails").await;
    tokyo.faults().clear();
    for fault in [Fault::html, Fault::cut_body, Fault::close_connection] {
        tokyo.faults().clear();
        tokyo.faults().add(fault(Fault::on("/security/api-keys")));
        let before = questions(&tokyo);
        eventually("another question", || async { (questions(&tokyo) > before).then_some(()) })
            .await;
    }
    let asked = |site: &str| {
        sink.spans().iter().any(|span| {
            let has = |value: &str| format!("{:?}", span.attributes).contains(value);
            has(site) && has("api_key") && span.name.starts_with("GET")
        })
    };
    eventually("spans of both", || async { (asked("paris") && asked("tokyo")).then_some(()) })
        .await;
    assert_clean("/metrics", &endpoint.text().await.expect("it serves"));
    let status = endpoint.get("/").await;
    assert!(status.contains("/security/api-keys/{apiKeyTag}"), "{status}");
    assert_clean("the status page", &status);
    let spans: Vec<u8> = sink.spans().iter().flat_map(prost::Message::encode_to_vec).collect();
    assert_clean("the spans", &String::from_utf8_lossy(&spans));
    let metrics: Vec<u8> = sink.metrics().iter().flat_map(prost::Message::encode_to_vec).collect();
    assert_clean("the pushed metrics", &String::from_utf8_lossy(&metrics));
    assert_clean("the log", &agent.end_by(Signal::TERM).await.all());
    let doctor = desk.run(&["doctor", "--config", "config.yaml"]).await;
    assert_clean("doctor", &doctor.all());
}
