//! Bad files: each is refused with its place, key and reason, changes nothing, and shows everywhere.

use crate::endpoint::{Endpoint, reloads};
use crate::process::{Desk, Signal, config};
use crate::support::{Page, simulate, world};

/// Damage that is done to a good file, and the error that it gives.
const CASES: [(&str, &str, &[&str]); 12] = [
    ("nbuservers:", "nbuservers: {", &["config.yaml:3:3", "not valid YAML"]),
    ("port:", "prot:", &["config.yaml:1:", "unknown key \"prot\"", "did you mean \"port\""]),
    ("apiKey:", "apiKeey:", &["config.yaml:3:", "apiKey"]),
    ("nbu-sim-key", "${NO_SUCH_VARIABLE}", &["config.yaml:3:", "NO_SUCH_VARIABLE"]),
    ("scheme: http", "scheme: ftp", &["config.yaml:3:", "scheme", "http"]),
    ("300s", "300", &["config.yaml:1:", "collectionInterval"]),
    ("300s", "-5m", &["collectionInterval"]),
    ("host: 127.0.0.1, port:", "host: 192.0.2.1, port:", &["cannot listen on 192.0.2.1"]),
    ("apiKey: \"nbu-sim-key\"", "apiKeyFile: missing.key", &["config.yaml:3:", "apiKeyFile"]),
    ("apiKey: \"nbu-sim-key\"", "apiKey: k, caFile: config.yaml", &["caFile", "certificate"]),
    ("nbuservers:", "server: {}\nnbuservers:", &["config.yaml:2:", "server"]),
    ("site: \"paris\"", "site: \"paris\", site: \"x\"", &["config.yaml:3:", "site"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn bad_file_is_rejected_with_its_position_and_changes_nothing() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::with(&base.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(base.port);
    let before = endpoint.complete(&mut agent, "paris").await;
    let in_force = |page: &Page| -> Vec<_> {
        page.series().keys().filter(|(name, _)| name == "nbu_agent_config_info").cloned().collect()
    };
    let asked = paris.request_count();
    for (number, (good, bad, expected)) in (1..).zip(CASES) {
        assert!(base.yaml().contains(good), "{good}");
        desk.write("config.yaml", &base.yaml().replacen(good, bad, 1));
        let (status, body) = endpoint.post_reload().await;
        assert_eq!(status, 400, "{bad}: {body}");
        for text in expected {
            assert!(body.contains(text), "{bad}: {text:?} is not in {body}");
        }
        assert!(!body.contains("nbu-sim-key"), "{body}");
        let page = endpoint.scrape().await.expect("it serves");
        assert_eq!(page.value("nbu_agent_config_last_reload_successful", &[]), Some(0.0));
        assert!((reloads(&page, "http", "rejected") - f64::from(number)).abs() < f64::EPSILON);
        assert_eq!(in_force(&page), in_force(&before), "what is in force is what was");
    }
    let landing = endpoint.get("/").await;
    assert!(landing.contains("The last reload failed"), "{landing}");
    let page = endpoint.scrape().await.expect("it serves");
    assert_eq!(page.of_site("paris", |_| true), before.of_site("paris", |_| true));
    assert_eq!(paris.request_count(), asked, "the server did not notice");
    desk.write("config.yaml", &base.yaml());
    assert_eq!(endpoint.post_reload().await.0, 200);
    assert!(!endpoint.get("/").await.contains("The last reload failed"));
    agent.end_by(Signal::TERM).await;
}
