//! The OTLP push equals the exposition: same names, labels and values.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use nbu_otel_agent::catalog::catalog;
use nbu_otel_agent::metric::Scope;
use nbu_sim::{Settings, Simulator};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use otlp_sink::{Options, Sink};
use support::expected::assert_same;
use support::exposition::{Series, key};
use support::received::{labels, received};
use support::{Agent, Config, Page, eventually, simulate, world};

/// Series of sites: those of the agent itself move between a scrape and an export.
fn of_sites(series: &BTreeMap<Series, f64>) -> BTreeMap<Series, f64> {
    let belongs = |labels: &[(String, String)]| labels.iter().any(|(key, _)| key == "site");
    series.iter().filter(|((_, labels), _)| belongs(labels)).map(|(k, v)| (k.clone(), *v)).collect()
}

async fn push(protocol: &str) -> (Simulator, Simulator, Sink, Agent) {
    let paris = simulate(world(1)).await;
    let tokyo = simulate(Settings { release: nbu_sim::Release::R11_2, ..world(2) }).await;
    let sink = Sink::start(Options { keep: 1, ..Options::default() }).expect("a sink");
    let endpoint = if protocol == "grpc" { sink.grpc_endpoint() } else { sink.http_endpoint() };
    let config = Config::new().site("paris", &paris).site("tokyo", &tokyo).with(&format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{endpoint}\", protocol: {protocol}, \
         interval: 300ms, resourceAttributes: {{ deployment.environment.name: test }} }}"
    ));
    let agent = Agent::start(&config).await;
    (paris, tokyo, sink, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_metrics_equal_scraped_metrics() {
    for protocol in ["grpc", "http/protobuf"] {
        let (_paris, _tokyo, sink, agent) = push(protocol).await;
        agent.first_samples("paris").await;
        let page = agent.first_samples("tokyo").await;
        let expected = of_sites(page.series());
        let all = eventually("an export with everything", || async {
            let all = received(&sink);
            (of_sites(&all).len() >= expected.len()).then_some(all)
        })
        .await;
        assert_same(&of_sites(&all), &expected);
        let agents: Vec<_> =
            all.keys().filter(|(_, labels)| labels.iter().all(|(key, _)| key != "site")).collect();
        for name in ["nbu_agent_build_info", "process_cpu_seconds_total", "nbu_exporter_build_info"]
        {
            assert!(agents.iter().any(|(known, _)| known == name), "{name} over {protocol}");
        }
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resource_identifies_the_agent() {
    let (_paris, _tokyo, sink, agent) = push("grpc").await;
    let request = eventually("an export", || async { sink.metrics().pop() }).await;
    let resource = request.resource_metrics[0].resource.clone().expect("a resource");
    let attributes: BTreeMap<_, _> = labels(&resource.attributes).into_iter().collect();
    assert_eq!(attributes["service.name"], "nbu-otel-agent");
    assert_eq!(attributes["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(attributes["deployment.environment.name"], "test");
    assert_eq!(attributes["service.instance.id"].len(), 36);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_start_at_first_poll_of_their_site() {
    let (_paris, _tokyo, sink, agent) = push("grpc").await;
    agent.first_samples("paris").await;
    let starts = || async {
        let starts: BTreeMap<Series, u64> = sink
            .metrics()
            .into_iter()
            .flat_map(|request| request.resource_metrics)
            .flat_map(|resource| resource.scope_metrics)
            .flat_map(|scope| scope.metrics)
            .filter_map(|metric| match metric.data {
                Some(Data::Sum(sum)) => Some((metric.name, sum.data_points)),
                _ => None,
            })
            .flat_map(|(name, points)| {
                points.into_iter().map(move |point| {
                    let series = key(&name, &labels(&point.attributes));
                    (series, point.start_time_unix_nano)
                })
            })
            .collect();
        (!starts.is_empty()).then_some(starts)
    };
    let first = eventually("an export", starts).await;
    let before = sink.request_count();
    eventually("three more", || async { (sink.request_count() > before + 3).then_some(()) }).await;
    let later = eventually("an export", starts).await;
    for (series, start) in &first {
        assert_eq!(later.get(series), Some(start), "{series:?}");
        assert!(*start > 0);
    }
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_and_requests_are_traced_without_secrets() {
    let (_paris, _tokyo, sink, agent) = push("grpc").await;
    agent.first_samples("paris").await;
    agent.stop().await;
    let spans = sink.spans();
    let poll = spans.iter().find(|span| span.name == "poll jobs").expect("a span of a poll");
    let child = spans.iter().find(|span| span.parent_span_id == poll.span_id).expect("a request");
    let attributes = format!("{:?}", child.attributes);
    assert!(attributes.contains("nbu.resource"), "{attributes}");
    let everything = format!("{spans:?}");
    for secret in ["nbu-sim-key", "state eq", "endTime gt"] {
        assert!(!everything.contains(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_a_site_is_stable_between_polls() {
    let simulator = simulate(Settings { jobs_in_history: 20_000, ..world(1) }).await;
    let agent = Agent::start(&Config::new().site("paris", &simulator)).await;
    agent.first_samples("paris").await;
    let names: Vec<String> = catalog()
        .iter()
        .filter(|definition| definition.scope == Scope::Agent)
        .map(|definition| definition.prometheus_name())
        .collect();
    let of_sites = |page: &Page| -> Vec<String> {
        page.text()
            .lines()
            .filter(|line| !names.iter().any(|name| line.contains(name.as_str())))
            .map(String::from)
            .collect()
    };
    let first = agent.scrape().await;
    for _ in 0..5 {
        assert_eq!(of_sites(&agent.scrape().await), of_sites(&first));
    }
    let renders = agent.scrape().await.value("nbu_agent_renders_total", &[]);
    assert_eq!(renders, first.value("nbu_agent_renders_total", &[]), "no scrape renders");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cardinality_limit_is_counted_and_cuts_no_other_site() {
    let large = simulate(Settings { jobs_in_history: 3_000, policies: 50, ..world(1) }).await;
    let small = simulate(Settings { jobs_in_history: 10, ..world(2) }).await;
    let config = Config::new()
        .site("large", &large)
        .site("small", &small)
        .with("metrics: { cardinalityLimit: 60 }");
    let agent = Agent::start(&config).await;
    agent.first_samples("small").await;
    agent.first_samples("large").await;
    let dropped = [("metric", "nbu_jobs_count")];
    let page = agent
        .scrape_until("series are dropped", |page| {
            page.value("nbu_agent_cardinality_dropped_series", &dropped).is_some()
        })
        .await;
    let shown = |site: &str| page.of_site(site, |name| name == "nbu_jobs_count").len();
    let truth =
        support::expected::jobs(&small.truth(), "small", support::NOON - 86_400_000, support::NOON);
    let of_small = truth.keys().filter(|(name, _)| name == "nbu_jobs_count").count();
    assert_eq!(shown("small"), of_small);
    assert_eq!(shown("small") + shown("large"), 60);
    assert_eq!(page.value("nbu_agent_cardinality_limit", &[]), Some(60.0));
    assert!(!page.has_label("otel_metric_overflow", "true"));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_series_are_on_neither_page_nor_push() {
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let sink = Sink::start(Options { keep: 1, ..Options::default() }).expect("a sink");
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"{}\", interval: 300ms }}",
        sink.grpc_endpoint()
    );
    let config = Config::new().site("paris", &paris).site("tokyo", &tokyo).with(&push);
    let mut agent = Agent::start(&config).await;
    agent.first_samples("paris").await;
    agent.first_samples("tokyo").await;
    let whole = of_sites(Page::parse(&agent.fresh_text().await).series());
    let rules = "metrics: { drop: [ nbu_storage_*, nbu.status.count, \
                 { name: nbu_jobs_*, labels: { site: par*, action: BACKUP } } ] }";
    agent.reload(&config.clone().with(rules)).await;
    let has = |labels: &[(String, String)], key: &str, value: &str| {
        labels.iter().any(|(name, it)| name == key && it == value)
    };
    let is_dropped = |(name, labels): &Series| {
        name.starts_with("nbu_storage_")
            || name == "nbu_status_count"
            || (name.starts_with("nbu_jobs_")
                && has(labels, "site", "paris")
                && has(labels, "action", "BACKUP"))
    };
    let (dropped, left): (Vec<_>, Vec<_>) = whole.keys().cloned().partition(is_dropped);
    assert!(dropped.len() > 10 && left.len() > 10, "{dropped:?}");
    let keys = |all: &BTreeMap<Series, f64>| of_sites(all).into_keys().collect::<Vec<_>>();
    let page = Page::parse(&agent.fresh_text().await);
    assert_eq!(keys(page.series()), left);
    let counted = page.series().iter().filter(|((name, _), _)| name == "nbu_agent_dropped_series");
    let counted: f64 = counted.map(|(_, count)| count).sum();
    assert!((counted - dropped.len() as f64).abs() < 0.5, "{counted} of {}", dropped.len());
    eventually("a push of what is left", || async {
        (keys(&received(&sink)) == left).then_some(())
    })
    .await;
    // Neither site was disturbed, and the counters are what they were.
    agent.reload(&config).await;
    let again = Page::parse(&agent.fresh_text().await);
    assert_same(&of_sites(again.series()), &whole);
    assert!(again.series().keys().all(|(name, _)| name != "nbu_agent_dropped_series"));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cardinality_limit_counts_what_rules_leave() {
    let large = simulate(Settings { jobs_in_history: 3_000, policies: 50, ..world(1) }).await;
    let rules = "drop: [ { name: nbu_jobs_count, labels: { site: large } } ]";
    let config = Config::new()
        .site("large", &large)
        .with(&format!("metrics: {{ cardinalityLimit: 60, {rules} }}"));
    let agent = Agent::start(&config).await;
    agent.first_samples("large").await;
    let page = Page::parse(&agent.fresh_text().await);
    let of_jobs = [("metric", "nbu_jobs_count")];
    assert_eq!(page.value("nbu_agent_cardinality_dropped_series", &of_jobs), None);
    assert!(page.value("nbu_agent_dropped_series", &of_jobs) > Some(60.0));
    agent.stop().await;
}
