//! `doctor --role`: the script has what the collectors that are on read, and creates a role with it.

use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use nbu_otel_agent::collectors::TABLE;
use serde_json::{Value, json};

use crate::process::{Desk, config};
use crate::support::Config;
use crate::support::resources::ALL_ON;

/// Returns the script for this configuration.
async fn script(desk: &Desk, yaml: &str) -> String {
    desk.write("config.yaml", yaml);
    let ended = desk.run(&["doctor", "--config", "config.yaml", "--role"]).await;
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{}", ended.all());
    assert!(!ended.stdout.contains("Zx9PlantedKey7Qw"), "{}", ended.stdout);
    ended.stdout
}

/// Adds a site that is at no server, with more settings.
fn with_site(config: Config, site: &str, more: &str) -> Config {
    config.site_at(site, ([127, 0, 0, 1], 1).into(), &format!("apiKey: Zx9PlantedKey7Qw, {more}"))
}

/// Returns the lines that grant something.
fn grants(script: &str) -> Vec<&str> {
    script.lines().filter_map(|line| line.strip_prefix("  grant ")).collect()
}

#[tokio::test]
async fn script_grants_what_collectors_that_are_on_read() {
    let desk = Desk::new();
    let off = "collectors: { diskPools: { enabled: false }, malware: { enabled: true } }";
    let few = script(&desk, &with_site(config(), "paris", "timeout: 1s").with(off).yaml()).await;
    let expected = [
        "'|MANAGE|JOBS|' '|OPERATIONS|VIEW|'",
        "'|MANAGE|MALWARE|' '|OPERATIONS|MANAGE|MALWARE|VIEW-SCAN-RESULT|'",
        "'|STORAGE|STORAGE-SERVERS|' '|OPERATIONS|VIEW|'",
        "'|STORAGE|STORAGE-UNITS|' '|OPERATIONS|VIEW|'",
    ];
    assert_eq!(grants(&few), expected);
    let all =
        script(&desk, &with_site(config(), "paris", "timeout: 1s").with(&ALL_ON).yaml()).await;
    for row in TABLE {
        for permission in row.permissions() {
            let grant = format!("'{}' '{}'", permission.namespace, permission.operation);
            assert_eq!(grants(&all).iter().filter(|it| **it == grant).count(), 1, "{grant}");
        }
    }
}

#[tokio::test]
async fn sites_of_older_releases_get_a_role_of_their_own() {
    let desk = Desk::new();
    let old = with_site(config(), "paris", "apiVersion: \"10.0\"");
    let both = with_site(old, "it's new", "timeout: 1s").with(&ALL_ON);
    let script = script(&desk, &both.yaml()).await;
    let [old, new] = ["'paris')", r"'it'\''s new')"].map(|site| {
        let line = script.lines().find(|line| line.starts_with(site)).expect("a branch");
        let grants = line.split("grants=").nth(1).expect("its grants");
        let (_, body) =
            script.split_once(&format!("{}() {{", grants.trim_end_matches(" ;;"))).unwrap();
        body.split_once("\n}").unwrap().0.to_owned()
    });
    assert!(
        !old.contains("|STORAGE|TAPE-MEDIA|") && new.contains("|STORAGE|TAPE-MEDIA|"),
        "{script}"
    );
    assert!(old.contains("|MANAGE|JOBS|") && new.contains("|MANAGE|JOBS|"), "{script}");
}

/// A request that was received: path, Authorization, body.
type Received = (String, String, Value);

/// Takes what the script sends, and answers as a server that makes roles.
async fn server() -> (std::net::SocketAddr, Arc<Mutex<Vec<Received>>>) {
    let received = Arc::<Mutex<Vec<Received>>>::default();
    let all = Arc::clone(&received);
    let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let body = serde_json::from_slice(&body).expect("JSON");
        let key = headers["authorization"].to_str().expect("text").to_owned();
        all.lock().expect("a lock").push((uri.path().to_owned(), key, body));
        json!({"data": {"links": {"self": {"id": "no"}}, "type": "accessControlRole", "id": "17"}})
            .to_string()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(answer)).await });
    (address, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn script_creates_the_role_and_its_access_definitions() {
    for tool in ["curl", "jq"] {
        if Command::new(tool).arg("--version").output().is_err() {
            #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
            {
                eprintln!("SKIPPED: there is no {tool}");
            }
            return;
        }
    }
    let (address, received) = server().await;
    let desk = Desk::new();
    let key = "apiKey: Zx9PlantedKey7Qw, uri: /netbackup";
    let yaml = config().site_at("it's", address, key).yaml();
    let script = script(&desk, &yaml).await;
    desk.write("role.sh", &script);
    desk.write("auth", "Authorization: the-admin\n");
    let run = |site: &'static str, auth: bool| {
        let mut command = Command::new("sh");
        command.arg(desk.path("role.sh")).arg(site);
        if auth {
            command.env("NBU_AUTH", desk.path("auth"));
        }
        tokio::task::spawn_blocking(move || command.output().expect("sh runs"))
    };
    assert!(!run("it's", false).await.unwrap().status.success(), "it needs somebody's key");
    let unknown = run("paris", true).await.unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("the sites: it's"));
    assert!(received.lock().unwrap().is_empty());
    let ended = run("it's", true).await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert!(String::from_utf8_lossy(&ended.stdout).contains("(17)"), "{ended:?}");
    let received = received.lock().unwrap();
    assert!(received.iter().all(|(_, key, _)| key == "the-admin"));
    let [(roles, _, role), definitions @ ..] = &received[..] else { panic!("nothing came") };
    assert_eq!(roles, "/netbackup/access-control/roles");
    assert_eq!(role["data"]["type"], "accessControlRole");
    assert_eq!(role["data"]["attributes"]["name"], "nbu-otel-agent");
    assert_eq!(definitions.len(), grants(&script).len());
    let (path, _, first) = &definitions[0];
    assert_eq!(
        path,
        "/netbackup/access-control/managed-objects/%7CMANAGE%7CJOBS%7C/access-definitions"
    );
    let expected = json!({"data": {
        "type": "accessDefinition",
        "attributes": {"propagation": "OBJECT_AND_CHILDREN"},
        "relationships": {
            "role": {"data": {"type": "accessControlRole", "id": "17"}},
            "operations": {"data": [{"type": "accessControlOperation", "id": "|OPERATIONS|VIEW|"}]},
            "managed_object": {"data": {"type": "managedObject", "id": "|MANAGE|JOBS|"}},
        },
    }});
    assert_eq!(first, &expected);
}
