//! `run`: where it listens.

use std::net::{SocketAddr, TcpListener, TcpStream};

use nbu_sim::Simulator;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::support::{simulate, world};

#[tokio::test(flavor = "multi_thread")]
async fn start_fails_and_names_an_address_in_use() {
    let paris = simulate(world(1)).await;
    let config = config().site("paris", &paris);
    let _taken = TcpListener::bind(("127.0.0.1", config.port)).expect("the port is free");
    let desk = Desk::with(&config.yaml());
    for arguments in [&["--config", "config.yaml"][..], &["run", "--config", "config.yaml"]] {
        let ended = desk.run(arguments).await;
        assert_eq!(ended.code, Some(1), "{}", ended.all());
        let said = format!("cannot listen on 127.0.0.1:{}: ", config.port);
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        assert!(ended.stderr.contains("change server.port"), "{}", ended.stderr);
    }
    assert_eq!(paris.request_count(), 0, "polled without an endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_works_with_and_without_brackets() {
    let local = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 0));
    if TcpListener::bind(local).is_err() {
        // A machine without IPv6 has nothing to test.
        return;
    }
    let paris = Simulator::start_on(local, world(1)).await.expect("a simulated server starts");
    for host in ["::1", "[::1]"] {
        let config = config();
        let yaml = format!(
            "server: {{ host: \"{host}\", port: {} }}\nnbuservers:\n  - {{ site: paris, scheme: \
             http, host: \"{host}\", port: {}, apiKey: {} }}\n",
            config.port,
            paris.addr().port(),
            paris.settings().api_key
        );
        let desk = Desk::with(&yaml);
        let mut agent = desk.start(&["--config", "config.yaml"]);
        Endpoint::at(&format!("[::1]:{}", config.port)).complete(&mut agent, "paris").await;
        agent.end_by(Signal::TERM).await;
        let doctor = desk.run(&["doctor", "--config", "config.yaml"]).await;
        assert_eq!(doctor.code, Some(0), "{}", doctor.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_during_start_ends_the_agent() {
    let paris = simulate(world(1)).await;
    let desk = Desk::with(&config().site("paris", &paris).yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_file_limit_is_raised_to_the_hard_limit() {
    let paris = simulate(world(1)).await;
    let config = config().site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start_after("ulimit -Sn 64; ulimit -Hn 700", &["--config", "config.yaml"]);
    let page = Endpoint::on(config.port).complete(&mut agent, "paris").await;
    assert_eq!(page.value("process_max_fds", &[]), Some(700.0));
    agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_descriptors_is_logged_and_survived() {
    let paris = simulate(world(1)).await;
    let config = config().site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let endpoint = Endpoint::on(config.port);
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let page = endpoint.complete(&mut agent, "paris").await;
    agent.end_by(Signal::TERM).await;
    // Some more than it needs, and fewer than connections would have places.
    let limit = page.value("process_open_fds", &[]).expect("a number") + 6.0;
    let limit = format!("ulimit -Sn {limit}; ulimit -Hn {limit}");
    let mut agent = desk.start_after(&limit, &["--config", "config.yaml"]);
    endpoint.complete(&mut agent, "paris").await;
    let idle: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(("127.0.0.1", config.port)).expect("the backlog has room"))
        .collect();
    agent.says("cannot accept connections: raise the limit of open files").await;
    assert_eq!(endpoint.get("/-/healthy").await, "OK\n");
    let times = agent.said().matches("cannot accept connections").count();
    assert_eq!(times, 1, "once a minute");
    drop(idle);
    agent.end_by(Signal::TERM).await;
}
