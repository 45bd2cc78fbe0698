//! The Helm chart: what it renders is what the API server accepts and the agent reads, and values that are wrong
//! are refused by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Cluster, helm, objects};
use crate::parts::{repository, run, succeed};
use crate::process::Desk;
use crate::support::PATIENCE;
use crate::support::certificates::Authority;

/// The folder of the chart.
pub fn chart() -> String {
    repository("deploy/helm/nbu-otel-agent").display().to_string()
}

/// Values of the chart, as `helm` is told of them.
pub struct Values {
    name: String,
    pub arguments: Vec<String>,
}

impl Values {
    /// Returns those of the chart.
    pub fn default() -> Self {
        Self { name: "default values".to_owned(), arguments: Vec::new() }
    }

    fn of(file: &Path) -> Self {
        let file = file.display().to_string();
        Self { name: file.clone(), arguments: vec!["--values".to_owned(), file] }
    }

    fn everything() -> Self {
        Self::of(&repository("tests/e2e/kubernetes/everything.yaml"))
    }

    fn helm(&self, arguments: &[&str]) -> Command {
        let mut command = helm(arguments);
        command.args(&self.arguments);
        command
    }

    /// Returns the objects that these values give.
    pub fn objects(&self) -> Vec<Value> {
        objects(&succeed(&mut self.helm(&["template", "nbu", &chart()])))
    }
}

/// Writes the examples of docs/kubernetes.md, each a values file, into a folder.
fn examples(desk: &Desk) -> Vec<Values> {
    let text = fs::read_to_string(repository("docs/kubernetes.md")).expect("the page");
    let blocks = text.split("```yaml\n# values.yaml").skip(1);
    let mut found = Vec::new();
    for (number, block) in blocks.enumerate() {
        let yaml = block.split("```").next().expect("its end");
        let name = format!("example-{number}.yaml");
        desk.write(&name, &format!("#{yaml}"));
        found.push(Values::of(&desk.path(&name)));
    }
    assert!(found.len() >= 4, "{} examples", found.len());
    found
}

fn all_values(desk: &Desk) -> Vec<Values> {
    let mut all = vec![Values::default(), Values::everything()];
    all.extend(examples(desk));
    all
}

fn of_kind<'o>(objects: &'o [Value], kind: &str) -> Vec<&'o Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Returns the pod that a StatefulSet would make.
fn pod(set: &Value, namespace: &str) -> Value {
    let mut pod = set["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("pod-0");
    pod["metadata"]["namespace"] = json!(namespace);
    for claim in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let name = &claim["metadata"]["name"];
        let volume = json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
        pod["spec"]["volumes"].as_array_mut().expect("volumes").push(volume);
    }
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn api_server_accepts_all_objects_at_strict_validation() {
    let cluster = Cluster::start().await;
    cluster.install_operator_resources().await;
    let restricted = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    cluster.make_namespace("restricted", &restricted).await;
    let desk = Desk::new();
    for values in all_values(&desk) {
        let objects = values.objects();
        let mut applied = 0;
        for object in &objects {
            let accepted = cluster.apply(object, true).await;
            accepted.unwrap_or_else(|refusal| panic!("{}: {refusal}", values.name));
            applied += 1;
        }
        assert!(applied >= 4, "{}: {applied} objects", values.name);
        let [set] = of_kind(&objects, "StatefulSet")[..] else { panic!("one StatefulSet") };
        let pod = pod(set, "restricted");
        let accepted = cluster.apply(&pod, true).await;
        accepted.unwrap_or_else(|refusal| panic!("{}: {refusal}", values.name));
    }
    assert_eq!(cluster.try_get("/apis/apps/v1/namespaces/default/statefulsets/nbu").await, None);

    // It looks: what is misspelt is refused, and so is a pod that may do more.
    let objects = Values::default().objects();
    let set = of_kind(&objects, "StatefulSet")[0];
    let mut misspelt = set.clone();
    misspelt["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = json!("Always");
    let refusal = cluster.apply(&misspelt, true).await.expect_err("a field that is not known");
    assert!(refusal.contains("imagePullPolice"), "{refusal}");
    let mut pod = pod(set, "restricted");
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let refusal = cluster.apply(&pod, true).await.expect_err("a privilege");
    assert!(refusal.contains("allowPrivilegeEscalation"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rendered_configuration_is_valid_to_the_agent() {
    let desk = Desk::new();
    let ca = Authority::new();
    let issued = ca.issue("agent.example.com");
    for folder in ["nbu-keys", "nbu-ca", "nbu-web"] {
        fs::create_dir(desk.path(folder)).expect("a folder");
    }
    for (file, text) in [
        ("nbu-keys/primary", "a-key"),
        ("nbu-keys/paris", "a-key"),
        ("nbu-keys/tokyo", "a-key"),
        ("nbu-ca/paris.pem", &ca.pem()),
        ("nbu-ca/tokyo.pem", &ca.pem()),
        ("nbu-web/tls.crt", &issued.certificate),
        ("nbu-web/tls.key", &issued.key),
        ("nbu-web/token", "a-token"),
    ] {
        desk.write(file, text);
    }
    let here = desk.path("nbu-").display().to_string();
    for values in all_values(&desk) {
        let objects = values.objects();
        let maps = of_kind(&objects, "ConfigMap");
        let config = maps.iter().find_map(|map| map["data"]["config.yaml"].as_str());
        desk.write("config.yaml", &config.expect("a configuration").replace("/run/nbu-", &here));
        let environment = [
            ("TOKYO_KEY", "a-key"),
            ("OTLP_TOKEN", "a-token"),
            ("POD_NAME", "nbu-0"),
            ("NBU_STATE_DIRECTORY", "/var/lib/nbu-otel-agent"),
        ];
        let replicas = &of_kind(&objects, "StatefulSet")[0]["spec"]["replicas"];
        if config.expect("a configuration").contains("shards: 3") {
            assert_eq!(*replicas, json!(3), "{}: a pod for each shard", values.name);
        }
        if let [role] = of_kind(&objects, "Role")[..] {
            assert_eq!(*replicas, json!(2), "{}: a leader and a standby", values.name);
            let lease = role["rules"][1]["resourceNames"][0].as_str().expect("a name");
            let named = format!("lease: {lease}\n");
            assert!(config.expect("a configuration").contains(&named), "{}: {named}", values.name);
        }
        let mut check = desk.start_in(&["check", "--config", "config.yaml"], &environment);
        let ended = check.end(PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{}: {}", values.name, ended.all());
    }
}

/// Returns the paths of all keys that are not within what is passed on as it is.
fn keys(values: &Value, path: &str, found: &mut BTreeSet<String>) {
    const PASSED_ON: [&str; 3] = ["/resources", "/podSecurityContext", "/containerSecurityContext"];
    for (key, value) in values.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        if !PASSED_ON.contains(&path.as_str()) {
            keys(value, &path, found);
        }
        found.insert(path);
    }
}

#[test]
fn everything_has_all_values_and_all_objects() {
    let read = |path: PathBuf| -> Value {
        serde_yaml::from_str(&fs::read_to_string(path).expect("a file")).expect("YAML")
    };
    let (mut ours, mut all) = (BTreeSet::new(), BTreeSet::new());
    keys(&read(repository("deploy/helm/nbu-otel-agent/values.yaml")), "", &mut ours);
    keys(&read(repository("tests/e2e/kubernetes/everything.yaml")), "", &mut all);
    assert_eq!(ours.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(ours.len() > 60, "{ours:?}");

    let objects = Values::everything().objects();
    let kinds: BTreeSet<&str> = objects.iter().filter_map(|one| one["kind"].as_str()).collect();
    let expected = [
        "ConfigMap",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn helm_finds_nothing_to_say_of_the_chart() {
    let desk = Desk::new();
    for values in all_values(&desk) {
        let said = succeed(&mut values.helm(&["lint", "--strict", &chart()]));
        assert!(said.contains("0 chart(s) failed"), "{}: {said}", values.name);
        assert!(!said.contains("[WARNING]"), "{}: {said}", values.name);
    }
}

#[test]
fn package_renders_as_the_folder_does() {
    let desk = Desk::new();
    let folder = desk.path("").display().to_string();
    succeed(&mut helm(&["package", &chart(), "--destination", &folder]));
    let version = env!("CARGO_PKG_VERSION");
    let package = desk.path(&format!("nbu-otel-agent-{version}.tgz")).display().to_string();
    let values = Values::everything();
    let packaged = succeed(&mut values.helm(&["template", "nbu", &package]));
    assert_eq!(objects(&packaged), values.objects());
    let shown = succeed(&mut helm(&["show", "chart", &package]));
    assert!(shown.contains(&format!("appVersion: {version}\n")), "{shown}");
}

#[test]
fn dashboards_and_rules_are_those_of_the_repository() {
    let file = |path: &str| fs::read_to_string(repository(path)).expect("a file");
    let mut values = Values::default();
    for name in ["dashboards", "prometheusRule"] {
        values.arguments.extend(["--set".to_owned(), format!("{name}.enabled=true")]);
    }
    let objects = values.objects();
    let mut dashboards = 0;
    for map in of_kind(&objects, "ConfigMap") {
        if map["metadata"]["labels"]["grafana_dashboard"] != "1" {
            continue;
        }
        for (name, text) in map["data"].as_object().expect("data") {
            let ours = file(&format!("deploy/grafana/dashboards/{name}"));
            assert_eq!(text.as_str().map(str::trim), Some(ours.trim()), "{name}");
            dashboards += 1;
        }
    }
    let folder = repository("deploy/grafana/dashboards");
    assert_eq!(dashboards, fs::read_dir(folder).expect("a folder").count());

    let mut groups = Vec::new();
    for name in ["alerts", "recording"] {
        let text = file(&format!("deploy/prometheus/rules/{name}.yml"));
        let rules: Value = serde_yaml::from_str(&text).expect("YAML");
        groups.extend(rules["groups"].as_array().expect("groups").clone());
    }
    assert_eq!(of_kind(&objects, "PrometheusRule")[0]["spec"]["groups"], json!(groups));
}

#[test]
fn dashboards_ask_the_data_source_that_is_named() {
    let objects = Values::everything().objects();
    let label = |map: &&&Value| map["metadata"]["labels"]["grafana_dashboard"] == "true";
    let mut seen = 0;
    for map in of_kind(&objects, "ConfigMap").iter().filter(label) {
        for (name, text) in map["data"].as_object().expect("data") {
            let text = text.as_str().expect("text");
            serde_json::from_str::<Value>(text).expect("JSON");
            assert!(text.contains("\"uid\": \"mimir\""), "{name}");
            assert!(!text.contains("\"uid\": \"prometheus\""), "{name}");
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} dashboards");
}

#[test]
fn wrong_values_are_refused_by_their_key() {
    let site = "config.nbuservers[0].site=paris,config.nbuservers[0].host=nbu.example.com";
    for (set, expected) in [
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("replicas=-1", "at '/replicas'"),
        ("persistance.enabled=true", "'persistance'"),
        ("persistence.size=1GiB", "at '/persistence/size'"),
        ("image.digest=sha256:abc", "at '/image/digest'"),
        ("image.pullPolicy=Sometimes", "at '/image/pullPolicy'"),
        ("serviceMonitor.interval=often", "at '/serviceMonitor/interval'"),
        ("config.server.prot=9440", "'prot'"),
        ("config.server.port=70000", "at '/config/server/port'"),
        ("config.server.port=${PORT}", "at '/config/server/port'"),
        ("config.server.health=null", "'health'"),
        ("config.collectors.tape.enabled=perhaps", "at '/config/collectors/tape/enabled'"),
        ("config.nbuservers=null", "'nbuservers'"),
        (&format!("{site},config.nbuservers[0].hots=x"), "'hots'"),
        (&format!("{site},config.nbuservers[0].apiKey=not-shown"), "config.nbuservers[0].apiKey: "),
        ("election.enabled=true,config.sharding.shards=3", "election.enabled: not beside config."),
        (
            "election.enabled=true,config.election.namespace=x",
            "config.election.namespace: the pods",
        ),
        ("config.state.shared=true", "config.state.shared: the pods have no volume in common"),
        ("election.enabled=true,persistence.existingClaim=a", "config.state.shared: set it to"),
        ("config.election.lease=nbu", "config.election.lease: set election.enabled"),
        ("config.election.duration=soon", "at '/config/election/duration'"),
        ("apiKeys.values.a/b=not-shown", "at '/apiKeys/values'"),
    ] {
        let output = run(&mut helm(&["template", "nbu", &chart(), "--set", set]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(expected), "{set}: {said}");
        assert!(!said.contains("not-shown"), "{set}: {said}");
    }
}
