//! `demo`: a newcomer's first minute.

use std::net::TcpListener;

use nbu_otel_agent::collectors::TABLE;

use crate::endpoint::Endpoint;
use crate::process::{Desk, PROMISED_END, Signal, port};

#[tokio::test(flavor = "multi_thread")]
async fn demo_serves_two_sites_and_reports_pushes() {
    let (desk, port) = (Desk::new(), port());
    let number = port.to_string();
    let mut demo = desk.start(&["demo", "--port", &number, "--jobs", "200", "--interval", "1"]);
    let endpoint = Endpoint::on(port);
    for site in ["paris", "tokyo"] {
        let page = endpoint.complete(&mut demo, site).await;
        let count: f64 = page.of_site(site, |name| name == "nbu_jobs_count").values().sum();
        assert!(count >= 200.0, "{site} has {count} jobs");
    }
    let everything = "nothing forgotten of what a dashboard shows";
    endpoint
        .until(&mut demo, everything, |page| {
            let forgotten = [("site", "paris"), ("client", "forgotten.example.com")];
            page.value("nbu_client_never_succeeded", &forgotten) == Some(1.0)
                && page.types().contains_key("nbu_policy_last_status")
                && TABLE.iter().all(|row| {
                    let collector = [("site", "paris"), ("collector", row.name)];
                    page.value("nbu_agent_collector_up", &collector) == Some(1.0)
                })
        })
        .await;
    demo.says("OTLP receiver: received").await;
    let ended = demo.end_by(Signal::INT).await;
    assert!(ended.stdout.contains(&format!("http://127.0.0.1:{port}/metrics")), "{}", ended.all());
    let arrived: Vec<usize> = ended
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("OTLP receiver: received ")?.strip_suffix(" points"))
        .map(|points| points.parse().expect("a number"))
        .collect();
    assert!(arrived.iter().any(|points| *points > 0), "{}", ended.all());
    assert!(!ended.all().contains("WARN") && !ended.all().contains("ERROR"), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_exits_and_names_a_port_in_use() {
    let (desk, port) = (Desk::new(), port());
    let _taken = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let ended = desk.run(&["demo", "--port", &port.to_string(), "--jobs", "20"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert!(ended.stderr.contains(&format!("127.0.0.1:{port}")), "{}", ended.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_ends_with_its_terminal_unless_nohup() {
    for (prelude, signal) in [("", Signal::HUP), ("trap '' HUP", Signal::TERM)] {
        let (desk, port) = (Desk::new(), port());
        let number = port.to_string();
        let mut demo = desk.start_after(prelude, &["demo", "--port", &number, "--jobs", "20"]);
        demo.says("press Ctrl-C to stop").await;
        demo.signal(Signal::HUP);
        if signal == Signal::TERM {
            // It ignores the one, and ends by the other.
            Endpoint::on(port).complete(&mut demo, "paris").await;
            demo.signal(signal);
        }
        let ended = demo.end(PROMISED_END).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        let name = if signal == Signal::HUP { "SIGHUP" } else { "SIGTERM" };
        assert!(ended.all().contains(&format!("signal=\"{name}\"")), "{}", ended.all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_goes_on_where_nobody_reads_its_output() {
    for prelude in ["exec >&- 2>&-", "mkfifo pipe; true <pipe & exec >pipe", "exec >/dev/full"] {
        let (desk, port) = (Desk::new(), port());
        let number = port.to_string();
        let mut demo = desk.start_after(prelude, &["demo", "--port", &number, "--jobs", "20"]);
        Endpoint::on(port).complete(&mut demo, "tokyo").await;
        let ended = demo.end_by(Signal::TERM).await;
        assert!(!ended.all().contains("panic"), "{}", ended.all());
    }
}
