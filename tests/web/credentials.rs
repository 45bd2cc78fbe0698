//! Passwords and tokens, in force from the next request on.

use super::{Agent, Place, Trigger, at, hash};
use crate::support::http_client;

/// A request with these credentials; the status.
async fn ask(agent: &Agent, path: &str, credentials: &Credentials) -> u16 {
    let request = http_client().get(agent.url(path));
    let request = match credentials {
        Credentials::None => request,
        Credentials::Basic(name, password) => request.basic_auth(name, Some(password)),
        Credentials::Bearer(token) => request.bearer_auth(token),
        Credentials::Field(text) => request.header("authorization", *text),
    };
    request.send().await.unwrap().status().as_u16()
}

enum Credentials {
    None,
    Basic(&'static str, &'static str),
    Bearer(&'static str),
    Field(&'static str),
}

use Credentials::{Basic, Bearer, Field};

#[tokio::test(flavor = "multi_thread")]
async fn right_password_or_token_is_needed_on_every_path() {
    let place = Place::new().await;
    let users = place.write(
        "users",
        &format!("# comment\nprometheus:{}\n\nother:{}\n", hash("right"), hash("its own")),
    );
    let tokens = place.write("tokens", "token-of-today\n token-of-tomorrow \n");
    let web = format!("web: {{ usersFile: {users}, bearerTokenFile: {tokens} }}");
    let agent = place.start(&web).await;
    for path in ["/", "/metrics", "/health", "/-/healthy", "/-/ready", "/-/reload", "/nothing"] {
        assert_eq!(ask(&agent, path, &Credentials::None).await, 401, "{path}");
    }
    for (credentials, expected) in [
        (Basic("prometheus", "right"), 200),
        (Basic("prometheus", "right"), 200),
        (Basic("other", "its own"), 200),
        (Bearer("token-of-today"), 200),
        (Bearer("token-of-tomorrow"), 200),
        (Field("bEARER token-of-today"), 200),
        (Basic("prometheus", "its own"), 401),
        (Basic("prometheus", ""), 401),
        (Basic("nobody", "right"), 401),
        (Basic("", ""), 401),
        (Bearer("token-of-yesterday"), 401),
        (Bearer(""), 401),
        (Field("Basic not base64"), 401),
        (Field("Basic cHJvbWV0aGV1cw=="), 401),
        (Field("Digest username=prometheus"), 401),
    ] {
        assert_eq!(ask(&agent, "/metrics", &credentials).await, expected);
    }
    let refused = http_client().get(agent.url("/metrics")).send().await.unwrap();
    let challenges: Vec<_> = refused.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(
        challenges,
        [r#"Basic realm="nbu-otel-agent", charset="UTF-8""#, r#"Bearer realm="nbu-otel-agent""#]
    );
    assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
    let request = http_client().get(agent.url("/metrics")).bearer_auth("token-of-today");
    let page = request.send().await.unwrap().text().await.unwrap();
    let page = crate::support::Page::parse(&page);
    let refused =
        page.value("nbu_agent_endpoint_refused_requests_total", &[("reason", "credentials")]);
    assert!(refused >= Some(7.0), "{refused:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_password_counts_from_the_next_request_on() {
    let place = Place::new().await;
    let users = place.write("users", &format!("prometheus:{}\n", hash("old")));
    let config = place.config(&format!("web: {{ usersFile: {users} }}"));
    let mut agent = Agent::start(&config).await;
    assert_eq!(ask(&agent, "/metrics", &Basic("prometheus", "old")).await, 200);
    place.write("users", &format!("prometheus:{}\n", hash("new")));
    let changes = agent.reload(&config).await.to_string();
    assert_eq!(changes, "server.web.usersFile: content changed");
    assert_eq!(ask(&agent, "/metrics", &Basic("prometheus", "old")).await, 401);
    assert_eq!(ask(&agent, "/metrics", &Basic("prometheus", "new")).await, 200);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_to_everyone_where_it_is_open() {
    let place = Place::new().await;
    let users = place.write("users", &format!("prometheus:{}\n", hash("right")));
    let agent = place.start(&format!("web: {{ usersFile: {users}, openHealth: true }}")).await;
    for (path, expected) in
        [("/-/healthy", 200), ("/-/ready", 200), ("/metrics", 401), ("/", 401), ("/health", 401)]
    {
        assert_eq!(ask(&agent, path, &Credentials::None).await, expected, "{path}");
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_takes_its_own_token_alone() {
    let place = Place::new().await;
    let users = place.write("users", &format!("prometheus:{}\n", hash("right")));
    let token = place.write("reload-token", "reload-me\n");
    let rules = format!("lifecycle: true, web: {{ usersFile: {users}, reloadTokenFile: {token} }}");
    let config = place.config(&rules);
    let mut agent = Agent::start(&config).await;
    // Without a supervisor that waits for requests, a reload that is let in gets no verdict: GET is
    // turned away behind the guard.
    for (credentials, expected) in
        [(Credentials::None, 401), (Basic("prometheus", "right"), 401), (Bearer("reload-me"), 405)]
    {
        assert_eq!(ask(&agent, "/-/reload", &credentials).await, expected);
    }
    assert_eq!(ask(&agent, "/metrics", &Bearer("reload-me")).await, 401);
    assert_eq!(ask(&agent, "/metrics", &Basic("prometheus", "right")).await, 200);
    // It needs no other credentials beside it.
    let rules = format!("lifecycle: true, web: {{ reloadTokenFile: {token} }}");
    let config = at(&agent, place.config(&rules));
    agent.reload(&config).await;
    assert_eq!(ask(&agent, "/metrics", &Credentials::None).await, 200);
    assert_eq!(ask(&agent, "/-/reload", &Credentials::None).await, 401);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn file_without_users_or_tokens_changes_nothing() {
    let place = Place::new().await;
    let users = place.write("users", &format!("prometheus:{}\n", hash("right")));
    let config = place.config(&format!("web: {{ usersFile: {users} }}"));
    let mut agent = Agent::start(&config).await;
    for (text, expected) in [
        ("", "the file has no user"),
        ("prometheus\n", "line 1: expected name:hash"),
        ("\nprometheus:secret\n", "line 2: expected a bcrypt hash"),
    ] {
        place.write("users", text);
        let refused = agent.try_reload(&config, Trigger::Watch).await.unwrap_err();
        assert!(refused.contains("server.web.usersFile"), "{refused}");
        assert!(refused.contains(expected), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
        assert_eq!(ask(&agent, "/metrics", &Credentials::None).await, 401);
        assert_eq!(ask(&agent, "/metrics", &Basic("prometheus", "right")).await, 200);
    }
    agent.stop().await;
}
