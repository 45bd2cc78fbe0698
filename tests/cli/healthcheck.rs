//! `healthcheck` asks a running agent, by its configuration or by its address.

use crate::process::{Desk, Signal, config, port};
use crate::support::certificates::Authority;
use crate::support::{simulate, world};

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_passes_only_for_a_running_agent() {
    let paris = simulate(world(1)).await;
    let config = config().site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let missing = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
    assert_eq!(missing.code, Some(1), "{}", missing.all());
    assert!(missing.stderr.contains("does not respond"), "{}", missing.stderr);
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    let healthy = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
    assert_eq!((healthy.code, healthy.stdout.as_str()), (Some(0), "healthy\n"));
    let url = format!("http://127.0.0.1:{}", config.port);
    assert_eq!(desk.run(&["healthcheck", "--url", &url]).await.code, Some(0));
    // A bad file is no bad agent: nobody restarts a container for it.
    desk.write("config.yaml", &config.yaml().replace("apiKey", "apiKeey"));
    let healthy = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
    assert_eq!((healthy.code, healthy.stdout.as_str()), (Some(0), "healthy\n"));
    assert!(healthy.stderr.contains("no longer valid"), "{}", healthy.stderr);
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_tells_wrong_usage_from_an_unhealthy_agent() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["healthcheck"]).await.code, Some(2));
    let url = format!("http://127.0.0.1:{}", port());
    assert_eq!(desk.run(&["healthcheck", "--url", &url]).await.code, Some(1));
    let missing = desk.run(&["healthcheck", "--config", "missing.yaml"]).await;
    assert!(missing.stderr.contains("missing.yaml: cannot read"), "{}", missing.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_asks_the_address_in_force_whatever_the_file_says() {
    let paris = simulate(world(1)).await;
    let here = config().site("paris", &paris);
    let desk = Desk::with(&here.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    let mut there = here.clone();
    there.port = port();
    // Nobody answers there, so that asking it would tell.
    let _taken = std::net::TcpListener::bind(("127.0.0.1", there.port)).expect("it is free");
    for text in [there.yaml(), there.yaml().replace("apiKey", "apiKeey"), "server: [".to_owned()] {
        desk.write("config.yaml", &text);
        let healthy = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
        assert_eq!((healthy.code, healthy.stdout.as_str()), (Some(0), "healthy\n"), "{text}");
    }
    std::fs::remove_file(desk.path("config.yaml")).expect("it is removed");
    let healthy = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
    assert_eq!(healthy.code, Some(0), "{}", healthy.all());
    agent.end_by(Signal::TERM).await;
    let gone = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
    assert_eq!(gone.code, Some(1), "{}", gone.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_needs_no_credentials() {
    let (paris, ca) = (simulate(world(1)).await, Authority::new());
    let desk = Desk::new();
    let issued = ca.issue("agent.example.com");
    desk.write("endpoint.pem", &issued.certificate);
    desk.write("endpoint-key.pem", &issued.key);
    desk.write("ca.pem", &ca.pem());
    desk.write("users", &format!("prometheus:{}\n", bcrypt::hash("right", 4).expect("a hash")));
    let tls = "certFile: endpoint.pem, keyFile: endpoint-key.pem";
    let password = "healthy: it asks for credentials\n";
    let certificate = "healthy: it asks for a client certificate\n";
    let health = port();
    for (server, expected) in [
        (format!("web: {{ tls: {{ {tls} }} }}"), "healthy\n"),
        ("web: { usersFile: users }".to_owned(), password),
        (format!("web: {{ tls: {{ {tls} }}, usersFile: users }}"), password),
        (format!("web: {{ tls: {{ {tls} }}, usersFile: users, openHealth: true }}"), "healthy\n"),
        (format!("web: {{ tls: {{ {tls}, clientCaFile: ca.pem }} }}"), certificate),
        (
            format!("web: {{ tls: {{ {tls}, clientCaFile: ca.pem, minVersion: TLS13 }} }}"),
            certificate,
        ),
        (
            format!(
                "health: {{ port: {health} }}, web: {{ tls: {{ {tls}, clientCaFile: ca.pem }} }}"
            ),
            "healthy\n",
        ),
    ] {
        let yaml = config().server(&server).site("paris", &paris).yaml();
        desk.write("config.yaml", &yaml);
        let mut agent = desk.start(&["--config", "config.yaml"]);
        agent.says("listening").await;
        let healthy = desk.run(&["healthcheck", "--config", "config.yaml"]).await;
        assert_eq!((healthy.code, healthy.stdout.as_str()), (Some(0), expected), "{server}");
        assert_eq!(healthy.stderr, "", "{server}");
        agent.end_by(Signal::TERM).await;
    }
}
