//! No secret leaves the agent but to whom it is for: one run with a marker in every secret of the configuration, over
//! all ways in which things fail, at the level `trace`; and then a search of everything that was written or shown.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use futures_util::future::join_all;
use nbu_otel_agent::config;
use nbu_sim::{Settings, Simulator, TlsMaterial};
use otlp_sink::{Behaviour, Options, Sink};
use prost::Message as _;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, port};
use crate::support::{PATIENCE, eventually, simulate, world};
use crate::support_bundle::unpacked;

/// Beginning and end of every marker. Either alone betrays that a part of one was shown.
const PARTS: [&str; 2] = ["hk4TzQ9wPv", "mX7pLr2sNd"];

/// Returns the marker of a secret.
fn marker(name: &str) -> String {
    format!("{}{name}{}", PARTS[0], PARTS[1])
}

/// The keys of the schema that are secrets or name a file with one, and the markers that the run plants there. A site
/// in the old form, `nbuserver`, has the keys of one of `nbuservers`.
const PLANTED: [(&str, &[&str]); 15] = [
    ("nbuservers[].apiKey", &["Good", "Refused", "Echo", "Tunnel", "Lost", "Mutual", "Plain"]),
    ("nbuservers[].apiKeyFile", &["File"]),
    ("nbuservers[].keyFile", &["client.key"]),
    ("nbuservers[].proxyUrl", &["Proxy", "Connect"]),
    ("opentelemetry.headers", &["Common", "Variable"]),
    ("opentelemetry.metrics.headers", &["Metrics"]),
    ("opentelemetry.metrics.tls.keyFile", &["metrics.key"]),
    ("opentelemetry.tls.keyFile", &["common.key"]),
    ("opentelemetry.traces.headers", &["Traces"]),
    ("opentelemetry.traces.tls.keyFile", &["traces.key"]),
    ("server.web.bearerTokenFile", &["Token"]),
    ("server.web.reloadTokenFile", &["Reload"]),
    ("server.web.tls.keyFile", &["endpoint.key"]),
    ("server.web.usersFile", &["users.key"]),
    ("server.webConfigFile", &["web-config.yaml"]),
];

/// Keys that name files which everybody may read.
const PUBLIC_FILES: [&str; 3] = ["caFile", "certFile", "clientCaFile"];

/// Adds the keys below `path` that the schema marks as secrets, or whose file is one.
fn collect_secrets(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let name = path.rsplit('.').next().unwrap_or_default();
    let is_file = name.ends_with("File") && !PUBLIC_FILES.contains(&name);
    if schema["writeOnly"] == true || is_file {
        found.insert(path.to_owned());
    }
    if schema["items"].is_object() {
        collect_secrets(&schema["items"], &format!("{path}[]"), found);
    }
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        collect_secrets(schema, &below, found);
    }
}

#[test]
fn markers_are_planted_in_every_secret_of_the_schema() {
    let schema: Value = serde_json::from_str(&config::json_schema()).expect("a schema");
    let mut found = BTreeSet::new();
    collect_secrets(&schema, "", &mut found);
    let found: BTreeSet<String> =
        found.iter().map(|key| key.replace("nbuserver.", "nbuservers[].")).collect();
    let planted: BTreeSet<String> = PLANTED.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(planted, found, "plant a marker in each secret, here and in the run below");
}

/// A server, receiver or proxy that answers each request with an error that repeats its head, credentials included.
struct Echo {
    address: SocketAddr,
    heard: Arc<Mutex<String>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::<Mutex<String>>::default();
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let mut head = [0; 8192];
                    let length = stream.read(&mut head).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&head[..length]).into_owned();
                    all.lock().expect("no panic").push_str(&head);
                    let status = if head.to_ascii_lowercase().contains("proxy-authorization") {
                        "407 Proxy Authentication Required"
                    } else {
                        "500 Internal Server Error"
                    };
                    let line = head.replace("\r\n", " | ");
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nx-echo: {line}\r\ncontent-length: \
                         {}\r\nconnection: close\r\n\r\n{head}",
                        head.len()
                    );
                    // A client that is gone needs no answer.
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, heard }
    }

    fn heard(&self, name: &str) -> bool {
        let (heard, marker) = (self.heard.lock().expect("no panic"), marker(name));
        let basic = STANDARD_NO_PAD.encode(format!("user:{marker}"));
        heard.contains(&marker) || heard.contains(&basic)
    }
}

/// Returns bytes as text, a character each, which the standard library searches fast in a debug build, too.
fn as_text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Returns every form in which a part of a secret may be found: as it is, and at each place of base64.
fn needles(private_keys: &[String]) -> Vec<String> {
    let mut needles = Vec::new();
    for part in PARTS {
        needles.push(part.to_owned());
        for shift in 0..3 {
            // Without the characters at both ends, which depend on what is around.
            let encoded = STANDARD_NO_PAD.encode([&"???"[..shift], part].concat());
            needles.push(encoded[(shift * 8).div_ceil(6)..encoded.len() - 1].to_owned());
        }
    }
    for pem in private_keys {
        let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with('-')).collect();
        needles.extend(body.iter().map(|line| (*line).to_owned()));
        let der = STANDARD_NO_PAD.decode(body.concat().trim_end_matches('=')).expect("a key");
        needles.push(as_text(&der[der.len() / 2..][..16]));
    }
    needles
}

/// Servers, receivers, files and configuration of a run.
struct Scene {
    desk: Desk,
    port: u16,
    echo: Echo,
    sink: Sink,
    good: Simulator,
    refusing: Simulator,
    https: Simulator,
    mutual: Simulator,
    needles: Vec<String>,
    tls: TlsMaterial,
}

impl Scene {
    async fn start() -> Self {
        let with_key = |name: &str| Settings { api_key: marker(name), ..world(1) };
        let tls = TlsMaterial::generate().expect("certificates");
        let secured = |name: &str, tls| Settings { tls: Some(tls), ..with_key(name) };
        let own_keys: Vec<TlsMaterial> =
            (0..3).map(|_| TlsMaterial::generate().expect("certificates")).collect();
        let private: Vec<String> = own_keys
            .iter()
            .map(|tls| &tls.client_key_pem)
            .chain([&tls.client_key_pem, &tls.key_pem])
            .cloned()
            .collect();
        let hash = bcrypt::hash(marker("Password"), 4).expect("a hash");
        let mut scene = Self {
            desk: Desk::new(),
            port: port(),
            echo: Echo::start().await,
            sink: Sink::start(Options { keep: 1_000, ..Options::default() }).expect("a sink"),
            good: simulate(with_key("Good")).await,
            refusing: simulate(world(2)).await,
            https: simulate(secured("File", tls.clone())).await,
            mutual: simulate(secured("Mutual", tls.clone().mutual())).await,
            needles: needles(&private),
            tls,
        };
        scene.needles.push(hash[hash.len() - 31..].to_owned());
        scene.desk.write("users.key", &format!("scraper:{hash}\n"));
        scene.desk.write("web-config.yaml", &format!("basic_auth_users: {{scraper: {hash}}}\n"));
        scene.desk.write("tokens.key", &marker("Token"));
        scene.desk.write("reload.key", &marker("Reload"));
        scene.desk.write("endpoint.key", &scene.tls.key_pem);
        scene.desk.write("endpoint.pem", &scene.tls.cert_pem);
        let names = ["common", "metrics", "traces"];
        for (name, tls) in names.iter().zip(&own_keys).chain([(&"client", &scene.tls)]) {
            scene.desk.write(&format!("{name}.key"), &tls.client_key_pem);
            scene.desk.write(&format!("{name}.pem"), &tls.client_cert_pem);
        }
        scene.desk.write("ca.pem", &scene.tls.ca_pem);
        scene.desk.write("api.key", &format!("{}\n", marker("File")));
        scene.desk.write(
            ".env",
            &format!(
                "GOOD_KEY={}\nOTEL_EXPORTER_OTLP_HEADERS=x-variable={}\nHTTPS_PROXY=http://user:{}@{}\n\
                 NO_PROXY=127.0.0.1\n",
                marker("Good"),
                marker("Variable"),
                marker("Environment"),
                scene.echo.address
            ),
        );
        scene.desk.write("config.yaml", &scene.config());
        scene
    }

    fn config(&self) -> String {
        let (port, echo) = (self.port, self.echo.address);
        let at =
            |simulator: &Simulator| format!("host: 127.0.0.1, port: {}", simulator.addr().port());
        let [good, refusing] = [&self.good, &self.refusing].map(at);
        let [https, mutual] = [&self.https, &self.mutual].map(at);
        let [refused, mutual_key, plain, tunnel, lost, echoed] =
            ["Refused", "Mutual", "Plain", "Tunnel", "Lost", "Echo"].map(marker);
        let [proxy, connect] = ["Proxy", "Connect"].map(marker);
        let [common, metrics, traces] = ["Common", "Metrics", "Traces"].map(marker);
        let (sink, receiver) = (self.sink.http_endpoint(), self.sink.grpc_endpoint());
        format!(
            "server: {{host: 127.0.0.1, port: {port}, lifecycle: true, logName: agent.log, logLevel: trace, \
             scrapingInterval: 24h, collectionInterval: 1s, cacheTTL: 1s}}\n\
             state: {{directory: kept}}\n\
             nbuservers:\n\
             - {{site: good, scheme: http, {good}, apiKey: \"${{GOOD_KEY}}\"}}\n\
             - {{site: refused, scheme: http, {refusing}, apiKey: {refused}}}\n\
             - {{site: untrusted, {https}, apiKeyFile: api.key}}\n\
             - {{site: mutual, {mutual}, apiKey: {mutual_key}, caFile: ca.pem, certFile: client.pem, keyFile: client.key}}\n\
             - {{site: proxied, scheme: http, host: nbu.example.com, apiKey: {plain}, apiVersion: '13.0', proxyUrl: 'http://user:{proxy}@{echo}'}}\n\
             - {{site: tunnelled, host: nbu.example.com, apiKey: {tunnel}, proxyUrl: 'http://user:{connect}@{echo}'}}\n\
             - {{site: environment, host: nbu2.example.com, apiKey: {lost}}}\n\
             - {{site: echoed, scheme: http, host: 127.0.0.1, port: {}, apiKey: {echoed}, apiVersion: '13.0'}}\n\
             opentelemetry:\n\
             \x20 enabled: true\n\
             \x20 protocol: http/protobuf\n\
             \x20 metricsEndpoint: {sink}/v1/metrics\n\
             \x20 tracesEndpoint: {receiver}\n\
             \x20 interval: 1s\n\
             \x20 temporality: delta\n\
             \x20 headers: {{x-common: {common}}}\n\
             \x20 tls: {{certFile: common.pem, keyFile: common.key}}\n\
             \x20 metrics: {{headers: {{authorization: Bearer {metrics}}}, tls: {{certFile: metrics.pem, keyFile: metrics.key}}}}\n\
             \x20 traces: {{protocol: grpc, headers: {{authorization: Bearer {traces}}}, tls: {{certFile: traces.pem, keyFile: traces.key}}}}\n",
            echo.port()
        )
    }

    /// Returns the part of a secret that is in `content`, with what is around it.
    fn leak(&self, content: &[u8]) -> Option<String> {
        let text = as_text(content);
        let at = self.needles.iter().find_map(|needle| text.find(needle))?;
        let (before, after) = text.split_at(at);
        let before: Vec<char> = before.chars().rev().take(300).collect();
        Some(before.into_iter().rev().chain(after.chars().take(200)).collect())
    }

    /// Asserts that no part of a secret is in something that was shown or written.
    fn assert_clean(&self, place: &str, content: impl AsRef<[u8]>) {
        if let Some(leak) = self.leak(content.as_ref()) {
            panic!("{place} has a part of a secret:\n{leak}");
        }
    }

    /// Asserts that the search finds what is there: secrets as they are, and in base64 whatever is before them.
    fn assert_leaks_are_found(&self) {
        let encoded =
            (0..3).map(|shift| STANDARD_NO_PAD.encode("xyz"[..shift].to_owned() + &marker("")));
        let shown = [self.config(), marker("")[6..].to_owned(), self.desk.read("client.key")];
        for text in shown.into_iter().chain(encoded) {
            assert!(self.leak(text.as_bytes()).is_some(), "{text}");
        }
        let key = self.tls.client_key_pem.as_bytes();
        let key = PrivateKeyDer::from_pem_slice(key).expect("a key");
        assert!(self.leak(key.secret_der()).is_some());
    }

    /// Returns configurations with a secret in a wrong place, or in a wrong form.
    fn mistakes(&self) -> Vec<String> {
        let (config, good) = (self.config(), "apiKey: \"${GOOD_KEY}\"");
        let secret = marker("Misplaced");
        let sites = [
            format!("apiKeey: {secret}"),
            format!("{secret}: x, apiKey: k"),
            format!("apiKey: {{{secret}: x}}"),
            format!("apiKey: [{secret}]"),
            format!("apiKey: \"{secret}\\a\""),
            format!("apiKey: \"{secret}\\n{secret}\""),
            format!("apiKey: k, apiKey: {secret}"),
            format!("apiKey: *{secret}"),
            format!("apiKey: \"{secret}"),
            format!("apiKey: \"\\{secret}\""),
            format!("apiKeyFile: {secret}"),
            format!("apiKeyFile: kept, domain: {secret}"),
            format!("apiKey: k, timeout: {secret}"),
            format!("apiKey: k, apiVersion: {secret}"),
            format!("apiKey: k, enabled: {secret}"),
            format!("apiKey: k, maxConcurrentRequests: {secret}"),
            format!("apiKey: k, uri: '{secret}?'"),
            format!("apiKey: k, proxyUrl: 'socks5://user:{secret}@h'"),
            format!("apiKey: k, proxyUrl: 'http://user:{secret}@h:99999'"),
            "apiKey: k, caFile: client.key".to_owned(),
            "apiKey: k, certFile: client.pem, keyFile: api.key".to_owned(),
            "apiKey: k, certFile: client.key, keyFile: client.key".to_owned(),
        ];
        let push = [
            ("headers: {x-common", format!("headers: {{{secret}: , x-common")),
            ("headers: {x-common", format!("headers: {{x: \"{secret}\\a\", x-common")),
            ("headers: {x-common", format!("headers: {{x: [{secret}], x-common")),
            ("tracesEndpoint: http://", format!("tracesEndpoint: http://user:{secret}@")),
            ("temporality: delta", format!("temporality: {secret}")),
            ("interval: 1s", format!("interval: {secret}")),
            ("logLevel: trace", format!("logLevel: {secret}")),
        ];
        let sites = sites.iter().map(|with| config.replace(good, with));
        sites.chain(push.iter().map(|(what, with)| config.replace(what, with))).collect()
    }

    /// Asserts that each secret came to whom it is for: what was not used could not leak.
    async fn assert_used(&self) {
        for name in ["Plain", "Proxy", "Connect", "Environment", "Echo"] {
            // A proxy that refuses a tunnel hears no key.
            let heard = || async { self.echo.heard(name).then_some(()) };
            eventually(&format!("the secret {name} is sent"), heard).await;
        }
        assert!(self.good.presented_keys().contains(&marker("Good")));
        assert!(self.refusing.presented_keys().contains(&marker("Refused")));
        assert!(self.mutual.presented_keys().contains(&marker("Mutual")));
        let pushed = |name: &str| {
            let requests = self.sink.requests();
            let headers = ["authorization", "x-common", "x-variable"];
            let of = |header| requests.iter().filter_map(move |request| request.header(header));
            headers.into_iter().flat_map(of).any(|value| value.contains(&marker(name)))
        };
        for name in ["Common", "Variable", "Metrics", "Traces"] {
            eventually(name, || async { pushed(name).then_some(()) }).await;
        }
    }

    /// Asserts that what the endpoint and the system show has no secret.
    async fn assert_shows_none(&self, agent: &Process, endpoint: &Endpoint) {
        for path in ["/metrics", "/", "/health", "/-/ready"] {
            self.assert_clean(path, endpoint.get(path).await);
        }
        let command = fs::read(format!("/proc/{}/cmdline", agent.id())).expect("a process");
        self.assert_clean("the command line", command);
        for request in self.sink.metrics() {
            self.assert_clean("pushed metrics", request.encode_to_vec());
        }
        for span in self.sink.spans() {
            self.assert_clean("pushed spans", span.encode_to_vec());
        }
    }

    /// Asserts that no file that the agent wrote has a secret: its log, its output, its state. Returns how many it
    /// searched.
    fn assert_wrote_none(&self) -> usize {
        const OURS: [&str; 4] = [".env", ".key", ".pem", ".yaml"];
        let mut searched = 0;
        for folder in ["", "kept"] {
            for entry in fs::read_dir(self.desk.path(folder)).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if path.is_file() && !OURS.iter().any(|ending| name.ends_with(ending)) {
                    self.assert_clean(&name, fs::read(&path).expect("a file"));
                    searched += 1;
                }
            }
        }
        searched
    }

    /// Asserts that a support bundle with all names has no secret.
    async fn assert_bundles_none(&self) {
        let command = ["support", "--config", "config.yaml", "--with-names"];
        let ended = self.desk.start(&command).end(2 * PATIENCE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        let files = unpacked(&self.desk.path("nbu-otel-agent-support.tar.gz"));
        assert!(files["log.txt"].contains(" TRACE "), "{}", files["missing.txt"]);
        for (file, text) in files {
            self.assert_clean(&file, text);
        }
    }

    /// Returns a configuration with one site whose `server` has this, too.
    fn config_with(&self, port: u16, server: &str) -> String {
        format!(
            "server: {{host: 127.0.0.1, port: {port}, logName: web.log, logLevel: trace, lifecycle: true, {server}}}\n\
             nbuservers:\n\
             - {{site: good, scheme: http, host: 127.0.0.1, port: {}, apiKey: \"${{GOOD_KEY}}\"}}\n",
            self.good.addr().port()
        )
    }

    /// Runs an agent that asks for credentials, which clients get right and wrong.
    async fn ask_with_credentials(&self) {
        let port = port();
        let web = "web: {tls: {certFile: endpoint.pem, keyFile: endpoint.key}, usersFile: users.key, \
                   bearerTokenFile: tokens.key, reloadTokenFile: reload.key}";
        self.desk.write("web.yaml", &self.config_with(port, web));
        let mut agent = self.desk.start(&["--config", "web.yaml"]);
        let listens = || async { self.desk.read("web.log").contains("listening").then_some(()) };
        eventually("an endpoint with TLS", listens).await;
        let ca = reqwest::Certificate::from_pem(self.tls.ca_pem.as_bytes()).expect("a CA");
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).build();
        let client = client.expect("a client");
        let get = || client.get(format!("https://127.0.0.1:{port}/metrics"));
        let reload = || client.post(format!("https://127.0.0.1:{port}/-/reload"));
        for (request, is_granted) in [
            (get(), false),
            (get().basic_auth("scraper", Some(marker("Wrong"))), false),
            (get().basic_auth(marker("User"), Some(marker("Wrong"))), false),
            (get().basic_auth("scraper", Some(marker("Password"))), true),
            (get().bearer_auth(marker("Wrong")), false),
            (get().bearer_auth(marker("Token")), true),
            (reload().bearer_auth(marker("Token")), false),
            (reload().bearer_auth(marker("Reload")), true),
        ] {
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status().is_success(), is_granted, "{}", answer.status());
            self.assert_clean("an answer", answer.bytes().await.expect("a body"));
        }
        agent.end_by(Signal::TERM).await;
        for (number, (server, code)) in [
            ("webConfigFile: web-config.yaml", 0),
            ("webConfigFile: users.key", 1),
            ("web: {usersFile: api.key}", 1),
            ("web: {usersFile: tokens.key}", 1),
            ("web: {reloadTokenFile: endpoint.key}", 1),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("web-{number}.yaml");
            self.desk.write(&name, &self.config_with(port, server));
            let ended = self.desk.run(&["check", "--trace", "--config", &name]).await;
            assert_eq!(ended.code, Some(code), "{server}: {}", ended.all());
        }
    }

    /// Answers pushes with errors that repeat the credentials, and waits until the agent has met each.
    async fn refuse_pushes(&self) {
        let body = ["Metrics", "Traces", "Common", "Variable"].map(marker).join(" ");
        let headers = || vec![("x-echo", marker("Common"))];
        let answer =
            |status| Behaviour::HttpAnswer { status, headers: headers(), body: body.clone() };
        let refusals = [answer(401), answer(400), answer(503), Behaviour::GrpcStatus(16)];
        for refusal in refusals {
            let before = self.sink.request_count();
            self.sink.set_behaviour(refusal);
            let met = || async { (self.sink.request_count() >= before + 2).then_some(()) };
            eventually("two pushes are refused", met).await;
        }
        let partial = Behaviour::PartialSuccess { rejected: 1, message: body };
        self.sink.set_behaviour(partial);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_or_shown_whatever_fails() {
    let scene = Scene::start().await;
    scene.assert_leaks_are_found();
    let mut agent = scene.desk.start(&["--config", "config.yaml"]);
    let endpoint = Endpoint::on(scene.port);
    endpoint.complete(&mut agent, "good").await;
    endpoint.complete(&mut agent, "mutual").await;
    scene.assert_used().await;
    scene.refuse_pushes().await;
    let mistakes = scene.mistakes();
    for mistake in &mistakes {
        scene.desk.write("config.yaml", mistake);
        let (status, answer) = endpoint.post_reload().await;
        assert_eq!(status, 400, "{answer}\n{mistake}");
        scene.assert_clean("the answer to a reload", answer);
    }
    let checks = mistakes.iter().enumerate().map(async |(number, mistake)| {
        let name = format!("mistake-{number}.yaml");
        scene.desk.write(&name, mistake);
        let ended = scene.desk.run(&["check", "--trace", "--config", &name]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.all());
    });
    join_all(checks).await;
    scene.desk.write("config.yaml", &scene.config());
    let secret = marker("File");
    for content in [format!("{secret}\n{secret}"), format!("{secret}\u{7}"), format!("{secret}é")]
    {
        scene.desk.write("api.key", &content);
        let (status, answer) = endpoint.post_reload().await;
        assert_eq!(status, 400, "{answer}");
        scene.assert_clean("the answer to a reload", answer);
    }
    scene.desk.write("api.key", &secret);
    let (status, answer) = endpoint.post_reload().await;
    assert_eq!(status, 200, "{answer}");
    scene.assert_clean("the answer to a reload", answer);
    scene.assert_shows_none(&agent, &endpoint).await;
    scene.assert_bundles_none().await;
    scene.sink.set_behaviour(Behaviour::Accept);
    agent.end_by(Signal::TERM).await;
    let commands = ["check", "doctor", "once"].map(|command| {
        let scene = &scene;
        // With the lines of all libraries.
        let environment = [("RUST_LOG", "trace")];
        let arguments = [command, "--config", "config.yaml"];
        async move { scene.desk.start_in(&arguments, &environment).end(2 * PATIENCE).await }
    });
    join_all(commands).await;
    scene.desk.run(&["state", "inspect", "--directory", "kept", "--json"]).await;
    scene.ask_with_credentials().await;
    assert!(scene.desk.read("agent.log").contains("TRACE"), "the log is at the level trace");
    assert!(scene.assert_wrote_none() > 30, "log, state, and the output of each command");
}
