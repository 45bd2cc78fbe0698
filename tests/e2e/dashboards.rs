//! Every expression of the dashboards and rules, asked of a real Prometheus that scraped the demo, and of
//! one that scraped an agent with every trouble that alerts are about, too.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use nbu_sim::{Batch, Fault, Settings, Simulator};
use serde_json::Value;

use crate::endpoint::{Endpoint, reloads};
use crate::parts::{part, repository, succeed};
use crate::process::{Desk, Process, Refusing, Signal, config, port};
use crate::prometheus::Prometheus;
use crate::support::simulate;

/// Time until the world has shown everything.
const PATIENCE: Duration = Duration::from_secs(180);

/// Metrics that are empty if nothing is wrong, and why. The other agent has them.
const NEEDS_TROUBLE: [(&str, &str); 3] = [
    ("nbu_agent_cardinality_dropped_series", "no metric loses series"),
    ("nbu_agent_collector_errors_total", "no collector fails"),
    ("nbu_failure_cluster", "failures have nothing in common"),
];

/// Metrics, and parts of expressions, that take days with backups, or nights: promtool has them, and the simulated
/// months.
const NEEDS_DAYS: [&str; 9] = [
    "nbu_workload_backup_interval_seconds",
    "nbu_policy_backup_interval_seconds",
    "nbu_disk_pool_night_growth_bytes",
    "nbu_disk_pool_nights_left",
    "nbu_disk_pool_tonight_fits",
    "nbu_disk_pool_free_daily_change_bytes",
    "nbu_disk_pool_days_left",
    "storage:nbu_disk_full:days",
    " offset 3d",
];

/// Beginning of the metrics that take two primary servers of which one replicates to the other: promtool has them, and
/// tests/slp.
const NEEDS_REPLICATION: &str = "nbu_air_";

/// Beginning of the metrics that take agents which share the sites: promtool has them, and tests/reload.
const NEEDS_SHARDS: &str = "nbu_agent_shard";

/// Beginnings of the metrics that take an election: promtool has them, and tests/e2e/kubernetes.
const NEEDS_ELECTION: [&str; 2] = ["nbu_agent_leader", "nbu_agent_lease_"];

/// Grafana's variables, as a dashboard that was just opened has them.
const VARIABLES: [(&str, &str); 11] = [
    ("$__rate_interval", "1m"),
    ("$__range", "10m"),
    ("$job", "netbackup"),
    ("$site", ".*"),
    ("$client", ".*"),
    ("$workload", ".*"),
    // Before $policy, whose name it begins with.
    ("$policy_type", ".*"),
    ("$policy", ".*"),
    ("$action", ".*"),
    ("$slp", ".*"),
    ("$__all", ".*"),
];

/// Returns an expression with the variables of a dashboard that was just opened.
pub fn substituted(expression: &str) -> String {
    let text = VARIABLES
        .iter()
        .fold(expression.to_owned(), |text, (variable, value)| text.replace(variable, value));
    assert!(!text.contains('$'), "a variable is left: {text}");
    text
}

/// An agent with a site that is busy now and then, one that refuses connections, one that refuses the key,
/// a push that nobody takes, too little room for series, and a configuration that was spoilt after the
/// start.
async fn troubled(busy: &Simulator, nowhere: &Refusing) -> (Process, u16, Desk) {
    let push = format!(
        "opentelemetry: {{ enabled: true, endpoint: \"http://{}\", interval: 1s }}",
        nowhere.address()
    );
    let config = config()
        .server("scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 1s")
        .site("busy", busy)
        .site_at("gone", nowhere.address(), "apiKey: k")
        .site_at("refused", busy.addr(), "apiKey: another")
        .with("metrics: { cardinalityLimit: 20 }")
        .with("state: { directory: state }")
        .with(&push);
    let desk = Desk::with(&config.yaml());
    let mut agent = desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(config.port);
    endpoint.complete(&mut agent, "busy").await;
    desk.write("config.yaml", "nbuservers: 7\n");
    agent.signal(Signal::HUP);
    endpoint
        .until(&mut agent, "a rejected reload", |page| {
            page.value("nbu_agent_config_last_reload_successful", &[]) == Some(0.0)
                && reloads(page, "start", "applied") > 0.0
        })
        .await;
    (agent, config.port, desk)
}

/// Expressions, and where each is from.
type Open = BTreeMap<String, Vec<String>>;

/// Asks until each that is not `spared` has had an answer, or patience is over; those without one.
async fn unanswered(
    prometheus: &Prometheus,
    mut open: Open,
    spared: impl Fn(&str) -> bool,
) -> Open {
    let (started, all) = (Instant::now(), open.len());
    while started.elapsed() < PATIENCE {
        for expression in open.keys().cloned().collect::<Vec<_>>() {
            let found = prometheus.answer(&expression).await;
            let found = found.unwrap_or_else(|error| panic!("{expression}: {error}"));
            if found > 0 {
                open.remove(&expression);
            }
        }
        if open.keys().all(|expression| spared(expression)) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("{} of {all} answered after {:.0?}", all - open.len(), started.elapsed());
    open
}

fn needs_trouble(expression: &str) -> bool {
    NEEDS_TROUBLE.iter().any(|(metric, _)| expression.contains(metric))
}

fn everything() -> Open {
    let mut all = Open::new();
    let elsewhere = |expression: &str| {
        let mut names =
            NEEDS_DAYS.iter().chain([&NEEDS_REPLICATION, &NEEDS_SHARDS]).chain(&NEEDS_ELECTION);
        names.any(|name| expression.contains(name))
    };
    let exercises = dashboards::exercises().into_iter();
    for exercise in exercises.filter(|exercise| !elsewhere(&exercise.expression)) {
        all.entry(substituted(&exercise.expression)).or_default().push(exercise.origin);
    }
    all
}

fn told(open: &Open) -> String {
    let lines =
        open.iter().map(|(expression, from)| format!("{expression}\n    {}", from.join(", ")));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn panels_and_alerts_have_data() {
    let nowhere = Refusing::new();
    let collector = nowhere.address().port();
    let (desk, port) = (Desk::new(), port());
    let number = port.to_string();
    let mut demo = desk.start(&["demo", "--port", &number, "--interval", "1"]);
    for site in ["paris", "tokyo"] {
        Endpoint::on(port).complete(&mut demo, site).await;
    }
    let of_demo = Prometheus::of_agents(&[port], collector).await;
    let busy = simulate(Settings::default()).await;
    busy.submit(&Batch::of(2_000).running_for(Duration::from_secs(2)).status(58));
    let (mut ill, ill_port, _ill_desk) = troubled(&busy, &nowhere).await;
    busy.faults().add(Fault::on("/storage/storage-units").status(503));
    let of_both = Prometheus::of_agents(&[port, ill_port], collector).await;

    let open = unanswered(&of_demo, everything(), needs_trouble).await;
    let empty: Open =
        open.clone().into_iter().filter(|(expression, _)| !needs_trouble(expression)).collect();
    assert!(empty.is_empty(), "empty in the demo:\n{}", told(&empty));
    println!("empty where nothing is wrong:\n{}", told(&open));
    for (metric, why) in NEEDS_TROUBLE {
        let still = open.keys().any(|expression| expression.contains(metric));
        assert!(still, "{metric} has a value in the demo: it is not true that {why}");
    }
    let open = unanswered(&of_both, open, |_| false).await;
    assert!(open.is_empty(), "empty with every trouble, too:\n{}", told(&open));
    rules_are_healthy(&of_both).await;
    of_demo.stop().await;
    of_both.stop().await;
    ill.end_by(Signal::TERM).await;
    demo.end_by(Signal::TERM).await;
}

/// Alerts that hold where every trouble is at once.
const HOLDING: [&str; 8] = [
    "NetBackupSiteUnreachable",
    "NetBackupApiKeyRefused",
    "NetBackupConfigReloadFailed",
    "NetBackupCardinalityOverflow",
    "NetBackupOtlpFailing",
    "NetBackupMalwareFound",
    "NetBackupClientNeverBackedUp",
    "NetBackupVersionsDiffer",
];

/// Waits until the alerts that hold are pending. All rules are evaluated without an error, and their words
/// are whole.
async fn rules_are_healthy(prometheus: &Prometheus) {
    let started = Instant::now();
    loop {
        let active = active_alerts(prometheus).await;
        // Those that compare counters need two that differ.
        let missing: Vec<_> =
            HOLDING.iter().filter(|name| !active.iter().any(|alert| alert == *name)).collect();
        if missing.is_empty() {
            println!("pending or firing: {}", active.join(", "));
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{missing:?} do not hold: {active:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Returns the names of the alerts that are pending or firing.
async fn active_alerts(prometheus: &Prometheus) -> Vec<String> {
    let answer = prometheus.api("rules", &[]).await;
    let groups = answer["data"]["groups"].as_array().expect("groups");
    let rules: Vec<&Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    let expected = dashboards::rules::alerts().len() + dashboards::rules::RECORDED.len();
    assert_eq!(rules.len(), expected);
    let mut active = Vec::new();
    for rule in rules {
        // Rules over days are evaluated every five minutes: their first turn may be later than this test.
        let is_due = rule["lastEvaluation"] != "0001-01-01T00:00:00Z";
        let expected = if is_due { "ok" } else { "unknown" };
        assert_eq!(rule["health"], expected, "{}: {}", rule["name"], rule["lastError"]);
        for alert in rule["alerts"].as_array().into_iter().flatten() {
            let words = alert["annotations"].to_string();
            assert!(!words.contains("error expanding") && !words.contains("<no value>"), "{words}");
            active.push(rule["name"].as_str().expect("a name").to_owned());
        }
    }
    active.dedup();
    active
}

#[test]
fn rules_pass_their_promtool_tests() {
    let files = |folder: &str| -> Vec<_> {
        let entries = std::fs::read_dir(repository(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let promtool = || Command::new(part("promtool"));
    let said = succeed(promtool().args(["check", "rules"]).args(files("deploy/prometheus/rules")));
    assert_eq!(said.matches("SUCCESS").count(), 2, "{said}");
    let tests = files("deploy/prometheus/tests");
    let said = succeed(promtool().args(["test", "rules"]).args(&tests));
    assert_eq!(said.matches("SUCCESS").count(), tests.len(), "{said}");
}
