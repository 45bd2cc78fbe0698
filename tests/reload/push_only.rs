//! An agent without an endpoint: it only pushes.

use otlp_sink::{Options, Sink};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::support::{eventually, simulate, world};

#[tokio::test(flavor = "multi_thread")]
async fn agent_without_an_endpoint_pushes_and_is_healthy() {
    let paris = simulate(world(1)).await;
    let sink = Sink::start(Options::default()).expect("a receiver");
    let push = format!(
        "opentelemetry: {{ enabled: true, signals: [metrics], endpoint: \"{}\", insecure: true, interval: 100ms }}",
        sink.grpc_endpoint()
    );
    let base = config().site("paris", &paris).with(&push);
    let silent =
        base.clone().server("enabled: false, scrapingInterval: 24h, collectionInterval: 300s");
    let desk = Desk::with(&silent.yaml());
    let endpoint = Endpoint::on(base.port);
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("no endpoint").await;
    eventually("a push", || async { sink.metrics().pop() }).await;
    assert!(endpoint.text().await.is_none(), "nobody answers");
    let check = ["healthcheck", "--config", "config.yaml"];
    let ended = desk.run(&check).await;
    assert_eq!(
        (ended.code, ended.stdout.contains("it has no endpoint")),
        (Some(0), true),
        "{}",
        ended.all()
    );

    // It opens and closes at a reload.
    desk.write("config.yaml", &base.yaml());
    endpoint.until(&mut agent, "a page", |_| true).await;
    assert_eq!(desk.run(&check).await.stdout, "healthy\n");
    desk.write("config.yaml", &silent.yaml());
    eventually("nobody answers", || async { endpoint.text().await.is_none().then_some(()) }).await;
    // Health can have a listener all the same.
    let port = crate::process::port();
    let healthy = base.clone().server(&format!(
        "enabled: false, health: {{ port: {port} }}, scrapingInterval: 24h, collectionInterval: 300s"
    ));
    desk.write("config.yaml", &healthy.yaml());
    agent.says("listening for health checks").await;
    assert_eq!(desk.run(&check).await.stdout, "healthy\n");
    agent.end_by(Signal::TERM).await;

    let ended = desk.run(&check).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    desk.write("config.yaml", &silent.yaml());
    let ended = desk.run(&check).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(ended.stderr.contains("no agent of this user runs"), "{}", ended.all());
}
