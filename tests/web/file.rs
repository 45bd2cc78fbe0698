//! The web configuration file of exporters, as it is.

use super::{Agent, Authority, Place, Trigger, client, hash, status, url};

/// Settings that name a web configuration file of this text.
fn rules(place: &Place, text: &str) -> String {
    format!("webConfigFile: {}", place.write("web.yml", text))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_the_file_counts() {
    let (place, ca, clients) = (Place::new().await, Authority::new(), Authority::new());
    // Paths are relative to the file.
    let issued = ca.issue("127.0.0.1");
    place.write("endpoint.pem", &issued.certificate);
    place.write("endpoint-key.pem", &issued.key);
    place.write("clients.pem", &clients.pem());
    let text = format!(
        "tls_server_config:\n  \
           cert_file: endpoint.pem\n  key_file: endpoint-key.pem\n  \
           client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n  \
           client_allowed_sans: [prometheus.example.com]\n  \
           min_version: TLS12\n  max_version: TLS13\n  prefer_server_cipher_suites: true\n  \
           cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]\n  \
           curve_preferences: [CurveP256, X25519]\n\
         http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: sameorigin\n    \
           Strict-Transport-Security: max-age=60\n    X-XSS-Protection: \"\"\n\
         rate_limit: {{ interval: 1h, burst: 6 }}\n\
         basic_auth_users:\n  alice: {}\n  bob: {}\n",
        hash("of alice"),
        hash("of bob"),
    );
    let agent = place.start(&rules(&place, &text)).await;
    let target = url(&agent, "https", "/metrics");
    let right = clients.issue("prometheus.example.com");
    for identity in [None, Some(&clients.issue("other")), Some(&ca.issue("prometheus.example.com"))]
    {
        assert_eq!(status(&client(&ca, identity), &target).await, None);
    }
    let client = client(&ca, Some(&right));
    assert_eq!(status(&client, &target).await, Some(401));
    for (name, password, expected) in
        [("alice", "of alice", 200), ("bob", "of bob", 200), ("alice", "of bob", 401)]
    {
        let request = client.get(&target).basic_auth(name, Some(password));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{name}");
        assert_eq!(answer.headers()["x-frame-options"], "sameorigin");
        assert_eq!(answer.headers()["strict-transport-security"], "max-age=60");
        assert!(!answer.headers().contains_key("x-xss-protection"), "blank is none");
    }
    // Two more, and the burst is used up: whoever asks.
    for expected in [401, 401, 429, 429] {
        assert_eq!(status(&client, &target).await, Some(expected));
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inline_certificate_is_as_good_as_a_file() {
    let (place, ca) = (Place::new().await, Authority::new());
    let issued = ca.issue("127.0.0.1");
    let indented = |text: &str| text.trim().replace('\n', "\n    ");
    let text = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n  client_ca: |\n    {}\n  \
         client_auth_type: RequireAndVerifyClientCert\n",
        indented(&issued.certificate),
        indented(&issued.key),
        indented(&ca.pem())
    );
    let agent = place.start(&rules(&place, &text)).await;
    let target = url(&agent, "https", "/metrics");
    assert_eq!(status(&client(&ca, None), &target).await, None);
    assert_eq!(status(&client(&ca, Some(&ca.issue("a"))), &target).await, Some(200));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_file_is_as_good_as_none() {
    let place = Place::new().await;
    for text in ["", "# nothing\n", "{}", "tls_server_config:\nbasic_auth_users: {}\n"] {
        let agent = place.start(&rules(&place, text)).await;
        assert_eq!(agent.get("/metrics").await.status(), 200, "{text}");
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_file_changes_nothing_and_is_told_with_its_line() {
    let (place, ca) = (Place::new().await, Authority::new());
    let issued = ca.issue("127.0.0.1");
    place.write("endpoint.pem", &issued.certificate);
    place.write("endpoint-key.pem", &issued.key);
    let users = format!("basic_auth_users: {{ alice: '{}' }}\n", hash("secret"));
    let config = place.config(&rules(&place, &users));
    let mut agent = Agent::start(&config).await;
    let tls = "tls_server_config:\n  cert_file: endpoint.pem\n  key_file: endpoint-key.pem\n";
    for (text, expected) in [
        (
            "tls_config: {}\n".to_owned(),
            "web.yml:1:1: unknown key \"tls_config\"; expected one of tls_",
        ),
        (
            "tls_server_config:\n  cert_filse: a\n".to_owned(),
            "web.yml:2:3: tls_server_config: unknown key \"cert_filse\"; did you mean \"cert_file\"?",
        ),
        (
            "tls_server_config:\n  cert_file: endpoint.pem\n".to_owned(),
            "web.yml:2:3: tls_server_config.key_file: missing: TLS takes key_file or key",
        ),
        (
            "tls_server_config: { client_auth_type: NoClientCert }\n".to_owned(),
            "tls_server_config.cert_file: missing",
        ),
        (
            "tls_server_config:\n  cert_file: nowhere.pem\n  key_file: endpoint-key.pem\n"
                .to_owned(),
            "web.yml:2:14: tls_server_config.cert_file: cannot read the file",
        ),
        (
            format!("{tls}  client_auth_type: RequireCert\n"),
            "web.yml:4:21: tls_server_config.client_auth_type: expected one of",
        ),
        (
            format!("{tls}  client_ca_file: endpoint.pem\n"),
            "web.yml:4:19: tls_server_config.client_ca_file: client CAs, and a policy that asks",
        ),
        (
            format!("{tls}  min_version: TLS11\n"),
            "web.yml:4:16: tls_server_config.min_version: expected TLS12 or TLS13",
        ),
        (
            format!("{tls}  min_version: TLS13\n  max_version: TLS12\n"),
            "web.yml:5:16: tls_server_config.max_version: the newest version is older",
        ),
        (
            format!("{tls}  cipher_suites:\n  - TLS_RSA_WITH_AES_128_CBC_SHA\n"),
            "web.yml:5:5: tls_server_config.cipher_suites[0]: not supported; expected one of TLS_",
        ),
        (
            format!("{tls}  curve_preferences: [CurveP521]\n"),
            "tls_server_config.curve_preferences[0]: not supported; expected one of CurveP256",
        ),
        (
            "basic_auth_users:\n  alice: secret\n".to_owned(),
            "web.yml:2:10: basic_auth_users.alice: expected a bcrypt hash",
        ),
        (
            "http_server_config: { headers: { Server: me } }\n".to_owned(),
            "http_server_config.headers.Server: expected one of Content-Security-Policy",
        ),
        (
            "http_server_config: { headers: { X-Frame-Options: allow } }\n".to_owned(),
            "http_server_config.headers.X-Frame-Options: expected deny or sameorigin",
        ),
        (
            "rate_limit: { interval: 1s, burst: 0 }\n".to_owned(),
            "rate_limit.burst: expected at least 1",
        ),
        ("- a list\n".to_owned(), "web.yml:1:1: expected a mapping of keys, found a list"),
        ("a: [".to_owned(), "web.yml:1:"),
    ] {
        place.write("web.yml", &text);
        let refused = agent.try_reload(&config, Trigger::Watch).await.unwrap_err();
        assert!(refused.contains(expected), "{expected} is not in\n{refused}");
        assert!(!refused.contains("secret"), "{refused}");
        assert_eq!(agent.get("/metrics").await.status(), 401, "the rules of before count");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_below_the_file_is_a_change_of_it() {
    let (place, old, new) = (Place::new().await, Authority::new(), Authority::new());
    let tls = "tls_server_config:\n  cert_file: endpoint.pem\n  key_file: endpoint-key.pem\n";
    place.identity(&old.issue("127.0.0.1"));
    let config = place.config(&rules(&place, tls));
    let mut agent = Agent::start(&config).await;
    assert_eq!(agent.reload(&config).await.to_string(), "nothing changed");
    place.identity(&new.issue("127.0.0.1"));
    assert_eq!(agent.reload(&config).await.to_string(), "server.webConfigFile: content changed");
    let target = url(&agent, "https", "/metrics");
    assert_eq!(status(&client(&new, None), &target).await, Some(200));
    agent.stop().await;
}
