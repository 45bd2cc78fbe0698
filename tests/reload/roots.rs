//! The system's CA certificates: absent, installed, replaced, while the agent runs.

use nbu_sim::{Settings, TlsMaterial};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::support::{Page, simulate, world};

fn is_up(page: &Page, up: f64) -> bool {
    page.value("nbu_up", &[("site", "paris")]) == Some(up)
}

/// Runs an agent whose system keeps its CAs at a path, which is first what `before` leaves there.
async fn bundle_is_seen(variable: &str, path: &str, before: impl Fn(&Desk)) {
    let tls = TlsMaterial::generate().expect("certificates");
    let paris = simulate(Settings { tls: Some(tls.clone()), ..world(1) }).await;
    let key = &paris.settings().api_key;
    let site = format!("apiKey: \"{key}\"");
    let config = config().server("collectionInterval: 1s, configCheckInterval: 1s").site_at(
        "paris",
        paris.addr(),
        &site,
    );
    let desk = Desk::with(&config.yaml().replace("scheme: http,", "scheme: https,"));
    before(&desk);
    let at = desk.path(path.split('/').next().expect("a first part"));
    let at = at.to_str().expect("a path");
    let mut agent = desk.start_in(&["--config", "config.yaml"], &[(variable, at)]);
    let endpoint = Endpoint::on(config.port);
    endpoint.until(&mut agent, "a server that is not trusted", |page| is_up(page, 0.0)).await;
    desk.write(path, &tls.ca_pem);
    endpoint.until(&mut agent, "its CA among the system's", |page| is_up(page, 1.0)).await;
    desk.write(path, &TlsMaterial::generate().expect("certificates").ca_pem);
    endpoint.until(&mut agent, "its CA gone", |page| is_up(page, 0.0)).await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn system_bundle_that_appears_and_changes_is_trusted_without_restart() {
    bundle_is_seen("SSL_CERT_FILE", "bundle.pem", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_added_to_the_system_directory_is_trusted_without_restart() {
    bundle_is_seen("SSL_CERT_DIR", "certs/ours.pem", |desk| {
        std::fs::create_dir(desk.path("certs")).expect("a directory");
        desk.write("certs/other.pem", &TlsMaterial::generate().expect("certificates").ca_pem);
    })
    .await;
}
