//! TLS and the certificates of clients, in force from the next handshake on.

use super::{Agent, Authority, Issued, Place, Trigger, at, client, status, url};

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_refused_where_tls_is_in_force() {
    let (place, ca) = (Place::new().await, Authority::new());
    let tls = place.identity(&ca.issue("127.0.0.1"));
    let agent = place.start(&format!("web: {{ tls: {{ {tls} }} }}")).await;
    let scrape = client(&ca, None).get(url(&agent, "https", "/metrics")).send().await.unwrap();
    assert_eq!(scrape.status(), 200);
    assert!(scrape.text().await.unwrap().contains("nbu_agent_build_info"));
    let plain = agent.get("/metrics").await;
    assert_eq!(plain.status(), 400);
    assert_eq!(plain.headers()["connection"], "close");
    assert!(plain.text().await.unwrap().contains("https"), "it says what to do");
    assert_eq!(status(&client(&Authority::new(), None), &url(&agent, "https", "/")).await, None);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_decides_about_certificates_of_clients() {
    let (place, ca, other) = (Place::new().await, Authority::new(), Authority::new());
    let tls = place.identity(&ca.issue("127.0.0.1"));
    let client_ca = place.write("client-ca.pem", &ca.pem());
    let (right, wrong) =
        (ca.issue("prometheus.example.com"), other.issue("prometheus.example.com"));
    let verified = format!(", clientCaFile: {client_ca}");
    let mut agent = place.start(&format!("web: {{ tls: {{ {tls} }} }}")).await;
    // What is answered to a client without a certificate, with a right one, and with a wrong one.
    for (more, expected) in [
        ("", [true, true, true]),
        (", clientAuth: request", [true, true, true]),
        (", clientAuth: requireAny", [false, true, true]),
        (&format!(", clientAuth: verifyIfGiven{verified}"), [true, true, false]),
        (&verified.clone(), [false, true, false]),
        (&format!("{verified}, clientAllowedSans: [grafana.example.com]"), [false, false, false]),
        (
            &format!("{verified}, clientAllowedSans: [a, prometheus.example.com]"),
            [false, true, false],
        ),
    ] {
        let config = at(&agent, place.config(&format!("web: {{ tls: {{ {tls}{more} }} }}")));
        agent.reload(&config).await;
        let clients: [Option<&Issued>; 3] = [None, Some(&right), Some(&wrong)];
        for (identity, expected) in clients.into_iter().zip(expected) {
            let answered = status(&client(&ca, identity), &url(&agent, "https", "/metrics")).await;
            assert_eq!(answered == Some(200), expected, "{more}: {answered:?}");
        }
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_certificate_is_shown_at_the_next_handshake() {
    let (place, old, new) = (Place::new().await, Authority::new(), Authority::new());
    let tls = place.identity(&old.issue("127.0.0.1"));
    let config = place.config(&format!("web: {{ tls: {{ {tls} }} }}"));
    let mut agent = Agent::start(&config).await;
    let (kept, target) = (client(&old, None), url(&agent, "https", "/metrics"));
    assert_eq!(status(&kept, &target).await, Some(200));
    // A key without its certificate changes nothing.
    place.write("endpoint-key.pem", &new.issue("127.0.0.1").key);
    let refused = agent.try_reload(&config, Trigger::Watch).await.unwrap_err();
    assert!(refused.contains("web.tls.keyFile"), "{refused}");
    assert!(refused.contains("does not belong to the certificate"), "{refused}");
    assert_eq!(status(&client(&old, None), &target).await, Some(200));
    place.identity(&new.issue("127.0.0.1"));
    agent.reload(&config).await;
    // The connection that is there serves once more, and closes.
    let last = kept.get(&target).send().await.unwrap();
    assert_eq!(
        (last.status().as_u16(), &last.headers()["connection"]),
        (200, &"close".parse().unwrap())
    );
    drop(last);
    assert_eq!(status(&kept, &target).await, None, "it does not trust the new one");
    assert_eq!(status(&client(&new, None), &target).await, Some(200));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_is_rotated_though_the_configuration_is_wrong() {
    let (place, old, new) = (Place::new().await, Authority::new(), Authority::new());
    let tls = place.identity(&old.issue("127.0.0.1"));
    let config = place.config(&format!("web: {{ tls: {{ {tls} }} }}"));
    let mut agent = Agent::start(&config).await;
    let target = url(&agent, "https", "/metrics");
    place.identity(&new.issue("127.0.0.1"));
    let wrong = config.clone().with("colectors: {}");
    agent.try_reload(&wrong, Trigger::Watch).await.unwrap_err();
    assert_eq!(status(&client(&old, None), &target).await, None);
    assert_eq!(status(&client(&new, None), &target).await, Some(200));
    // Rules that differ wait for a configuration that is right.
    let open = at(&agent, place.config("lifecycle: true").with("colectors: {}"));
    agent.try_reload(&open, Trigger::Watch).await.unwrap_err();
    assert_eq!(status(&client(&new, None), &target).await, Some(200));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_whose_ca_is_gone_is_refused_on_its_connection() {
    let (place, ca, other) = (Place::new().await, Authority::new(), Authority::new());
    let tls = place.identity(&ca.issue("127.0.0.1"));
    let client_ca = place.write("client-ca.pem", &ca.pem());
    let config = place.config(&format!("web: {{ tls: {{ {tls}, clientCaFile: {client_ca} }} }}"));
    let mut agent = Agent::start(&config).await;
    let (kept, target) = (client(&ca, Some(&ca.issue("a"))), url(&agent, "https", "/metrics"));
    assert_eq!(status(&kept, &target).await, Some(200));
    place.write("client-ca.pem", &other.pem());
    agent.reload(&config).await;
    assert_eq!(status(&kept, &target).await, Some(403));
    assert_eq!(status(&kept, &target).await, None, "and no handshake comes about");
    assert_eq!(status(&client(&ca, Some(&other.issue("a"))), &target).await, Some(200));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_of_before_tls_is_refused() {
    let (place, ca) = (Place::new().await, Authority::new());
    let mut agent = place.start("lifecycle: true").await;
    let kept = client(&ca, None);
    assert_eq!(status(&kept, &agent.url("/metrics")).await, Some(200));
    let tls = place.identity(&ca.issue("127.0.0.1"));
    let config = at(&agent, place.config(&format!("web: {{ tls: {{ {tls} }} }}")));
    agent.reload(&config).await;
    assert_eq!(status(&kept, &agent.url("/metrics")).await, Some(400));
    assert_eq!(status(&kept, &url(&agent, "https", "/metrics")).await, Some(200));
    // And back.
    agent.reload(&at(&agent, place.config("lifecycle: true"))).await;
    assert_eq!(status(&kept, &url(&agent, "https", "/metrics")).await, Some(200), "once more");
    assert_eq!(status(&kept, &url(&agent, "https", "/metrics")).await, None);
    assert_eq!(status(&kept, &agent.url("/metrics")).await, Some(200));
    agent.stop().await;
}
