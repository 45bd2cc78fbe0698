//! A release of the chart on a real API server: installed, upgraded under an agent that runs, and removed. The test
//! does what a kubelet would: it puts ConfigMaps and Secrets into folders, and starts what the pod says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use base64::Engine as _;
use nbu_sim::Simulator;
use serde_json::{Value, json};

use super::Cluster;
use super::chart::chart;
use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, port};
use crate::support::{http_client, simulate, world};

const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/backup/statefulsets/nbu-nbu-otel-agent";
const MAPS: &str = "/api/v1/namespaces/backup/configmaps";
const SECRETS: &str = "/api/v1/namespaces/backup/secrets";

/// Bytes of a release that helm may keep: half of what a Secret holds, so that the chart may grow.
const MOST_KEPT: usize = 512 * 1024;

/// Runs helm, which must succeed.
fn helm(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = tokio::task::block_in_place(|| cluster.helm(arguments));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Puts files into a folder as the kubelet does: into a new folder, to which `..data` is turned at once.
fn project(folder: &Path, files: &BTreeMap<String, String>) {
    let number = fs::read_dir(folder).map_or(0, Iterator::count);
    let version = format!("..version-{number}");
    fs::create_dir_all(folder.join(&version)).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(&version).join(name), text).expect("a file");
    }
    symlink(&version, folder.join("..data_tmp")).expect("a link");
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("it is turned");
    for name in files.keys().filter(|name| !folder.join(name).exists()) {
        symlink(format!("..data/{name}"), folder.join(name)).expect("a link");
    }
}

/// Puts the volumes of the pod with files in them where the test has their places.
async fn project_volumes(cluster: &Cluster, desk: &Desk, set: &Value) {
    for volume in set["spec"]["template"]["spec"]["volumes"].as_array().expect("volumes") {
        let name = volume["name"].as_str().expect("a name");
        let text = |pointer: &str| volume.pointer(pointer).and_then(Value::as_str);
        let (path, is_secret) = match (text("/configMap/name"), text("/secret/secretName")) {
            (Some(map), _) => (format!("{MAPS}/{map}"), false),
            (_, Some(secret)) => (format!("{SECRETS}/{secret}"), true),
            _ => continue,
        };
        let object = cluster.get(&path).await;
        let decoded = |value: &Value| {
            let text = value.as_str().expect("text");
            if !is_secret {
                return text.to_owned();
            }
            let bytes = base64::prelude::BASE64_STANDARD.decode(text).expect("base64");
            String::from_utf8(bytes).expect("text")
        };
        let data = object["data"].as_object().expect("data");
        let files = data.iter().map(|(name, value)| (name.clone(), decoded(value))).collect();
        project(&desk.path(name), &files);
    }
}

/// Returns values with these simulated servers as sites, whose keys are files.
fn values(ports: (u16, u16), desk: &Desk, sites: &[(&str, &Simulator)]) -> String {
    let key = |(name, simulator): &(&str, &Simulator)| {
        ((*name).to_owned(), json!(simulator.settings().api_key))
    };
    let site = |(name, simulator): &(&str, &Simulator)| {
        json!({
            "site": name,
            "scheme": "http",
            "host": "127.0.0.1",
            "port": simulator.addr().port(),
            "apiKeyFile": desk.path("keys").join(name),
        })
    };
    json!({
        "config": {
            "server": {
                "host": "127.0.0.1",
                "port": ports.0,
                "health": { "port": ports.1 },
                // So that only events tell of a change.
                "configCheckInterval": "1h",
            },
            "nbuservers": sites.iter().map(site).collect::<Vec<_>>(),
        },
        "apiKeys": { "values": sites.iter().map(key).collect::<serde_json::Map<_, _>>() },
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_release_changes_running_agent_without_restart() {
    let cluster = Cluster::start().await;
    let (paris, tokyo) = (simulate(world(1)).await, simulate(world(2)).await);
    let desk = Desk::new();
    let (metrics, health) = (port(), port());
    let (chart, file) = (chart(), desk.path("values.yaml").display().to_string());
    let write = |sites: &[(&str, &Simulator)]| {
        desk.write("values.yaml", &values((metrics, health), &desk, sites));
    };

    write(&[("paris", &paris)]);
    let release = ["nbu", &chart, "--namespace", "backup", "--values", &file];
    let install = [&["install", "--create-namespace"][..], &release].concat();
    let notes = helm(&cluster, &install);
    assert!(notes.contains("The agent polls: paris\n"), "{notes}");
    let set = cluster.get(STATEFUL_SET).await;
    assert_eq!(set["metadata"]["generation"], 1);
    project_volumes(&cluster, &desk, &set).await;

    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let here = |text: &Value| {
        let text = text.as_str().expect("text").to_owned();
        let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
        mounts.fold(text, |text, mount| {
            let at = desk.path(mount["name"].as_str().expect("a name"));
            text.replace(mount["mountPath"].as_str().expect("a path"), &at.display().to_string())
        })
    };
    let arguments: Vec<String> =
        container["args"].as_array().expect("arguments").iter().map(here).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let variables = container["env"].as_array().expect("variables").iter();
    let variables: Vec<(String, String)> =
        variables.map(|one| (here(&one["name"]), here(&one["value"]))).collect();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut agent = desk.start_in(&arguments, &variables);
    let endpoint = Endpoint::on(metrics);
    endpoint.complete(&mut agent, "paris").await;
    assert!(desk.path("state/instance-id").exists(), "state is where its volume is");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let request = &container[probe]["httpGet"];
        let named = |port: &&Value| port["name"] == request["port"];
        let ports = container["ports"].as_array().expect("ports");
        let port = &ports.iter().find(named).expect("its port")["containerPort"];
        let url = format!("http://127.0.0.1:{port}{}", request["path"].as_str().expect("a path"));
        let answer = http_client().get(&url).send().await.expect("it answers");
        assert_eq!(answer.status(), 200, "{probe}");
    }

    write(&[("paris", &paris), ("tokyo", &tokyo)]);
    let upgrade = [&["upgrade"][..], &release].concat();
    helm(&cluster, &upgrade);
    let set = cluster.get(STATEFUL_SET).await;
    assert_eq!(set["metadata"]["generation"], 1, "pods would restart");
    project_volumes(&cluster, &desk, &set).await;
    endpoint.complete(&mut agent, "tokyo").await;
    agent.end_by(Signal::TERM).await;

    // A change of the pods is one.
    let tagged = [&upgrade[..], &["--set", "image.tag=next"]].concat();
    helm(&cluster, &tagged);
    assert_eq!(cluster.get(STATEFUL_SET).await["metadata"]["generation"], 2);

    helm(&cluster, &["uninstall", "nbu", "--namespace", "backup"]);
    assert_eq!(cluster.try_get(STATEFUL_SET).await, None);
    for path in [MAPS, SECRETS] {
        assert_eq!(cluster.get(path).await["items"], json!([]), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn release_with_everything_follows_one_with_defaults_and_goes() {
    let cluster = Cluster::start().await;
    cluster.install_operator_resources().await;
    let chart = chart();
    let everything = crate::parts::repository("tests/e2e/kubernetes/everything.yaml");
    let everything = everything.display().to_string();
    let release = ["nbu", &chart, "--namespace", "backup"];
    let notes = helm(&cluster, &[&["install", "--create-namespace"][..], &release].concat());
    let create = "create secret generic nbu-keys --from-file=primary=FILE";
    assert!(notes.contains(create) && notes.contains("is an example"), "{notes}");
    let values = ["--values", &everything, "--set", "fullnameOverride=,nameOverride="];
    // The claims of a StatefulSet never change.
    let claims = ["--set", "persistence.existingClaim=,config.state.shared=false"];
    let same = ["--set", "persistence.storageClass=,persistence.size=1Gi"];
    let modes = ["--set", "persistence.accessModes={ReadWriteOnce}"];
    let upgrade = [&["upgrade"][..], &release, &values, &claims, &same, &modes].concat();
    let notes = helm(&cluster, &upgrade);
    assert!(notes.contains("The agent polls: paris, tokyo\n"), "{notes}");
    let monitors = "/apis/monitoring.coreos.com/v1/namespaces/backup/servicemonitors";
    let monitor = cluster.get(&format!("{monitors}/nbu-nbu-otel-agent")).await;
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!((&endpoint["scheme"], &endpoint["path"]), (&json!("https"), &json!("/nbu")));
    assert_eq!(endpoint["authorization"]["credentials"]["name"], "nbu-web");
    let kept = cluster.get(&format!("{SECRETS}/sh.helm.release.v1.nbu.v2")).await;
    let kept = kept["data"]["release"].as_str().expect("the release").len() * 3 / 4;
    println!("helm keeps {kept} bytes of the release");
    assert!(kept < MOST_KEPT, "{kept} bytes");
    helm(&cluster, &["uninstall", "nbu", "--namespace", "backup"]);
    assert_eq!(cluster.get(monitors).await["items"], json!([]));
    assert_eq!(cluster.get(MAPS).await["items"], json!([]));
}
