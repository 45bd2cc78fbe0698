//! Endpoints that everybody can read are told.

use super::{Agent, Authority, Place, hash};

#[tokio::test(flavor = "multi_thread")]
async fn open_endpoint_is_a_warning_and_a_metric() {
    let (place, ca) = (Place::new().await, Authority::new());
    let tls = format!("tls: {{ {} }}", place.identity(&ca.issue("127.0.0.1")));
    let users = format!("usersFile: {}", place.write("users", &format!("a:{}\n", hash("right"))));
    let open = "names of clients, policies and servers, in plain text";
    for (host, web, expected) in [
        ("127.0.0.1", String::new(), None),
        ("localhost", String::new(), None),
        ("'::1'", String::new(), None),
        ("0.0.0.0", String::new(), Some(open)),
        ("'::'", String::new(), Some(open)),
        ("agent.example.com", String::new(), Some(open)),
        ("0.0.0.0", users.clone(), Some("passwords and tokens are sent in plain text")),
        ("0.0.0.0", tls.clone(), None),
        ("0.0.0.0", format!("{tls}, {users}"), None),
    ] {
        let text = format!(
            "server: {{ host: {host}, web: {{ {web} }} }}\n\
             nbuservers: [{{ site: a, host: a, apiKey: $$k }}]\n"
        );
        let origin = std::path::Path::new("config.yaml");
        let loaded = nbu_otel_agent::config::from_text(&text, origin, &|_: &str| None).unwrap();
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        match expected {
            Some(expected) => {
                assert!(warnings.iter().any(|it| it.contains(expected)), "{text}: {warnings:?}");
            }
            None => assert_eq!(warnings, [""; 0], "{text}"),
        }
    }
    let exposed =
        async |agent: &Agent| agent.scrape().await.value("nbu_agent_endpoint_exposed", &[]);
    let agent = place.start("lifecycle: true").await;
    assert_eq!(exposed(&agent).await, Some(0.0));
    agent.stop().await;
    let config = place.config("lifecycle: true");
    let everywhere = config.clone().host("0.0.0.0");
    let agent = Agent::start(&everywhere).await;
    assert_eq!(exposed(&agent).await, Some(1.0));
    agent.stop().await;
}
