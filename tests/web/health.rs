//! The listener for health checks alone.

use super::{Agent, Authority, Place, at, client, status, url};
use crate::support::{http_client, process::port};

#[tokio::test(flavor = "multi_thread")]
async fn health_has_a_listener_of_its_own() {
    let (place, ca) = (Place::new().await, Authority::new());
    let tls = place.identity(&ca.issue("127.0.0.1"));
    let client_ca = place.write("client-ca.pem", &ca.pem());
    let web = format!("web: {{ tls: {{ {tls}, clientCaFile: {client_ca} }} }}");
    let (first, second) = (port(), port());
    let config = |port| place.config(&format!("{web}, health: {{ port: {port} }}"));
    let mut agent = Agent::start(&config(first)).await;
    let ask = async |port: u16, path: &str| {
        status(&http_client(), &format!("http://127.0.0.1:{port}{path}")).await
    };
    for (path, expected) in [
        ("/-/healthy", 200),
        ("/-/ready", 200),
        ("/metrics", 404),
        ("/", 404),
        ("/health", 404),
        ("/-/reload", 404),
    ] {
        assert_eq!(ask(first, path).await, Some(expected), "{path}");
    }
    assert_eq!(status(&client(&ca, None), &url(&agent, "https", "/-/healthy")).await, None);
    // It moves, and ends, live.
    let moved = at(&agent, config(second));
    agent.reload(&moved).await;
    assert_eq!(ask(second, "/-/healthy").await, Some(200));
    let gone = at(&agent, place.config(&web));
    agent.reload(&gone).await;
    for port in [first, second] {
        crate::support::eventually("the end of the listener", || async {
            ask(port, "/-/healthy").await.is_none().then_some(())
        })
        .await;
    }
    agent.stop().await;
}
