//! A real Kubernetes API on loopback ports: etcd, and a kube-apiserver with its own admission plugins. Nothing
//! schedules pods there: what would run in one is a process that the test starts.

mod chart;
mod election;
mod release;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::KeyPair;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::parts::{Program, part, run};
use crate::process::{Desk, port};
use crate::support::PATIENCE;
use crate::support::certificates::Authority;

/// Bearer token of a user who may do nothing.
pub const NOBODY: &str = "token-of-nobody";

/// Name under which objects are applied.
const MANAGER: &str = "e2e";

/// An API server with its store. Dropping it ends both.
pub struct Cluster {
    // The server ends before its store: fields are dropped in this order.
    server: Program,
    _store: Program,
    desk: Desk,
    /// Address of the API, without a path.
    pub url: String,
    /// Bearer token of an administrator.
    pub token: String,
    /// Certificate of the CA of the server, as PEM.
    pub ca: String,
    http: reqwest::Client,
}

impl Cluster {
    /// Starts one, empty but for what the server makes itself.
    pub async fn start() -> Self {
        let (desk, ca) = (Desk::new(), Authority::new());
        let issued = ca.issue("127.0.0.1");
        let accounts = KeyPair::generate().expect("a key");
        let token = "administrator".to_owned();
        for (file, text) in [
            ("server.pem", &issued.certificate),
            ("server-key.pem", &issued.key),
            ("accounts-key.pem", &accounts.serialize_pem()),
            ("accounts.pem", &accounts.public_key_pem()),
            (
                "tokens.csv",
                &format!("{token},admin,admin,\"system:masters\"\n{NOBODY},nobody,nobody\n"),
            ),
        ] {
            desk.write(file, text);
        }
        let (client, peer) = (local("http", port()), local("http", port()));
        let mut store = Program::start("etcd", |directory| {
            let mut command = Command::new(part("etcd"));
            let data = format!("--data-dir={}", directory.join("data").display());
            command.args([data.as_str(), "--unsafe-no-fsync", "--log-level=error"]);
            for (option, value) in [
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client.clone()),
                ("listen-peer-urls", peer.clone()),
                ("initial-advertise-peer-urls", peer.clone()),
                ("initial-cluster", format!("default={peer}")),
            ] {
                command.arg(format!("--{option}={value}"));
            }
            command
        });
        store.answers(&format!("{client}/readyz")).await;
        let port = port();
        let server = Program::start("kube-apiserver", |_| {
            let mut command = Command::new(part("kube-apiserver"));
            let path = |file: &str| desk.path(file).display().to_string();
            for (option, value) in [
                ("etcd-servers", client),
                ("bind-address", "127.0.0.1".to_owned()),
                ("secure-port", port.to_string()),
                ("tls-cert-file", path("server.pem")),
                ("tls-private-key-file", path("server-key.pem")),
                ("token-auth-file", path("tokens.csv")),
                ("authorization-mode", "RBAC".to_owned()),
                ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
                ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
                ("service-account-key-file", path("accounts.pem")),
                ("service-account-signing-key-file", path("accounts-key.pem")),
                // It waits for a controller that makes accounts, and there is none.
                ("disable-admission-plugins", "ServiceAccount".to_owned()),
            ] {
                command.arg(format!("--{option}={value}"));
            }
            command
        });
        let url = local("https", port);
        let ca = ca.pem();
        let root = reqwest::Certificate::from_pem(ca.as_bytes()).expect("a certificate");
        // A second installation fails and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build();
        let http = http.expect("a client");
        let mut cluster = Self { server, _store: store, desk, url, token, ca, http };
        cluster.write_kubeconfig();
        cluster.is_ready().await;
        cluster
    }

    async fn is_ready(&mut self) {
        let started = Instant::now();
        while !self
            .request(Method::GET, "/readyz", None)
            .await
            .is_ok_and(|answer| answer.0.is_success())
        {
            assert!(
                self.server.is_alive() && started.elapsed() < PATIENCE,
                "the API server does not start; it said\n{}",
                self.server.said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // The server makes it itself, but waits a minute where its first attempt fails.
        self.make_namespace("default", &json!({})).await;
    }

    /// Makes a namespace with these labels.
    pub async fn make_namespace(&self, name: &str, labels: &Value) {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": name, "labels": labels },
        });
        self.apply(&namespace, false).await.expect("a namespace");
    }

    /// Writes the file for clients of Kubernetes. JSON is YAML, too.
    fn write_kubeconfig(&self) {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "e2e",
            "contexts": [{ "name": "e2e", "context": { "cluster": "e2e", "user": "e2e" } }],
            "users": [{ "name": "e2e", "user": { "token": self.token } }],
            "clusters": [{ "name": "e2e", "cluster": {
                "server": self.url,
                "certificate-authority-data": BASE64_STANDARD.encode(&self.ca),
            } }],
        });
        self.desk.write("kubeconfig", &config.to_string());
    }

    /// Path of a file for clients of Kubernetes.
    pub fn kubeconfig(&self) -> PathBuf {
        self.desk.path("kubeconfig")
    }

    /// Makes the resources of the operator of Prometheus known to it.
    pub async fn install_operator_resources(&self) {
        let text = std::fs::read_to_string(part("operator-crds.yaml")).expect("the resources");
        for object in objects(&text) {
            self.apply(&object, false).await.expect("a resource");
        }
        let started = Instant::now();
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            while self.try_place("monitoring.coreos.com/v1", kind).await.is_none() {
                assert!(started.elapsed() < PATIENCE, "{kind} is not served");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Sends a request as the administrator, with a body of this type; status and body of the answer.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.token);
        let request = match body {
            Some((kind, text)) => request.header("content-type", kind).body(text),
            None => request,
        };
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Returns what is at a path, if anything is.
    pub async fn try_get(&self, path: &str) -> Option<Value> {
        let answer = self.request(Method::GET, path, None).await;
        let (status, body) = answer.expect("the API answers");
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{path}: {status} {body}");
        status.is_success().then_some(body)
    }

    /// Returns what must be at a path.
    pub async fn get(&self, path: &str) -> Value {
        self.try_get(path).await.unwrap_or_else(|| panic!("nothing at {path}"))
    }

    /// Applies an object at strict validation, into the namespace `default` unless it names another; what the
    /// server makes of it, or its refusal. A dry run goes through admission, and stores nothing.
    pub async fn apply(&self, object: &Value, is_dry: bool) -> Result<Value, String> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (version, kind) = (text("/apiVersion").unwrap_or(""), text("/kind").unwrap_or(""));
        let place = self.try_place(version, kind).await;
        let (prefix, plural, is_namespaced) =
            place.ok_or_else(|| format!("{version} {kind} is not served"))?;
        let namespace = text("/metadata/namespace").unwrap_or("default");
        let within = if is_namespaced { format!("/namespaces/{namespace}") } else { String::new() };
        let name = text("/metadata/name").ok_or("an object without a name")?;
        let dry = if is_dry { "&dryRun=All" } else { "" };
        let path = format!(
            "{prefix}{within}/{plural}/{name}?fieldManager={MANAGER}&force=true&fieldValidation=Strict{dry}"
        );
        let body = ("application/apply-patch+yaml", object.to_string());
        let answer = self.request(Method::PATCH, &path, Some(body)).await;
        let (status, answer) = answer.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(answer) } else { Err(format!("{kind} {name}: {answer}")) }
    }

    /// Returns where objects of a kind are, by the server's own word: the path of the version, the plural, and
    /// whether they are in namespaces.
    async fn try_place(&self, version: &str, kind: &str) -> Option<(String, String, bool)> {
        let prefix =
            if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
        let served = self.try_get(&prefix).await?;
        let resource = served["resources"].as_array()?.iter().find(|resource| {
            resource["kind"] == kind && !resource["name"].as_str().unwrap_or("/").contains('/')
        })?;
        let plural = resource["name"].as_str()?.to_owned();
        Some((prefix, plural, resource["namespaced"] == true))
    }

    /// Runs helm against it.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        let mut command = helm(arguments);
        run(command.arg("--kubeconfig").arg(self.kubeconfig()))
    }
}

fn local(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}

/// A helm that finds no settings of whoever runs the test.
fn helm(arguments: &[&str]) -> Command {
    let mut command = Command::new(part("helm"));
    command.args(arguments).env_clear().env("HOME", "/nonexistent");
    command
}

/// Returns the objects in a text of several documents.
fn objects(text: &str) -> Vec<Value> {
    let documents = serde_yaml::from_multiple::<Value>(text);
    let documents = documents.unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}
