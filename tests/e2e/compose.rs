//! docker-compose.yml on a real Docker engine: the profile `demo` comes up healthy, its series are in
//! Prometheus both ways, a changed configuration is taken, and `down` leaves nothing behind.
//!
//! No image can be pulled here. Images under the pinned names are made from the real programs; ours are
//! the Dockerfile's own final stages around binaries that were built before (`.ci/e2e`). There is no
//! Grafana: tests/stack.rs holds its files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::endpoint::{Endpoint, reloads};
use crate::parts::{Program, part, repository, succeed};
use crate::prometheus::{PULLED, PUSHED, Prometheus};
use crate::series::{Everything, of_sites};
use crate::support::exposition::Series;
use crate::support::sha256;

/// Timeout of every step of the stack: it scrapes every 15 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// Services of the stack; the last two belong to the demo.
const SERVICES: [&str; 5] = ["agent", "otel-collector", "prometheus", "nbu-paris", "nbu-tokyo"];

/// A Docker engine of our own, with its data in a directory of its own.
struct Engine {
    program: Program,
    directory: TempDir,
}

impl Engine {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let mut program = Program::start("dockerd", |_| {
            let mut command = Command::new(part("dockerd"));
            command
                .arg("--host")
                .arg(format!("unix://{}", path("docker.sock").display()))
                .arg("--data-root")
                .arg(path("data"))
                .arg("--exec-root")
                .arg(path("exec"))
                .arg("--pidfile")
                .arg(path("pid"));
            command
        });
        let socket = path("docker.sock");
        let mut info = client(&socket, "docker");
        info.arg("info");
        let started = Instant::now();
        while !info.output().is_ok_and(|output| output.status.success()) {
            assert!(
                program.is_alive() && started.elapsed() < PATIENCE,
                "the engine does not start:\n{}",
                program.said()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Self { program, directory }
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let mut command = client(&self.directory.path().join("docker.sock"), "docker");
        succeed(command.args(arguments).env("DOCKER_BUILDKIT", "1"))
    }

    /// docker compose, as a user in a checkout calls it.
    fn compose(&self, checkout: &Checkout, arguments: &[&str]) -> String {
        let mut command = client(&self.directory.path().join("docker.sock"), "docker-compose");
        command.current_dir(checkout.0.path()).args(["--progress", "quiet"]);
        succeed(command.args(checkout.profile()).args(arguments))
    }

    /// Brings the stack up and waits for its health; what its containers said where that fails.
    fn up(&self, checkout: &Checkout) {
        let up =
            ["up", "--detach", "--no-build", "--pull", "never", "--wait", "--wait-timeout", "120"];
        let arguments = [&up[..], checkout.services()].concat();
        let up = std::panic::AssertUnwindSafe(|| self.compose(checkout, &arguments));
        if std::panic::catch_unwind(up).is_err() {
            let health = self.docker(&["ps", "--all", "--format", "{{.Names}}: {{.Status}}"]);
            let said = self.compose(checkout, &["logs", "--tail", "30"]);
            panic!("the stack does not come up:\n{health}\n{said}");
        }
    }

    /// Makes an image from files, each given by its place in the image.
    fn image(&self, name: &str, files: &[(&str, PathBuf)], rest: &str) {
        let context = tempfile::tempdir().expect("a directory");
        for (place, file) in files {
            let to = context.path().join("root").join(place.trim_start_matches('/'));
            fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
            fs::copy(file, to).expect("a copy");
        }
        fs::create_dir(context.path().join("empty")).expect("a directory");
        let dockerfile = format!("FROM scratch\nCOPY root /\n{rest}\n");
        fs::write(context.path().join("Dockerfile"), dockerfile).expect("it is written");
        let context = context.path().to_str().expect("a path");
        self.docker(&["build", "--quiet", "--tag", name, context]);
    }

    /// All images of the stack but Grafana's.
    fn images(&self, services: &Value) {
        let name = |service: &str| -> String {
            services[service]["image"].as_str().expect("an image").to_owned()
        };
        self.image(
            &name("otel-collector"),
            &[("/otelcol-contrib", part("otelcol"))],
            "USER 10001\nENTRYPOINT [\"/otelcol-contrib\"]",
        );
        self.image(
            &name("prometheus"),
            &[("/bin/prometheus", part("prometheus")), ("/bin/promtool", part("promtool"))],
            "COPY --chown=65534 empty /prometheus\nUSER 65534\nENTRYPOINT [\"/bin/prometheus\"]",
        );
        self.image(
            "nbu-binaries:e2e",
            &[
                ("/out/bin/nbu-otel-agent", part("../static/nbu-otel-agent")),
                ("/out/bin/nbu-sim", part("../static/nbu-sim")),
                ("/out/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt".into()),
            ],
            "COPY empty /out/state",
        );
        let repository = repository("");
        let context = repository.to_str().expect("a path");
        for (target, service) in [("agent", "agent"), ("simulator", "nbu-paris")] {
            let image = name(service);
            let arguments = [
                "build",
                "--quiet",
                "--target",
                target,
                "--build-arg",
                "BINARIES=nbu-binaries:e2e",
                "--build-arg",
                "REVISION=e2e",
                "--tag",
                &image,
                context,
            ];
            self.docker(&arguments);
        }
    }

    async fn stop(mut self) {
        self.program.end().await;
    }
}

impl Drop for Engine {
    /// After a test that failed in the middle: no container outlives its engine.
    fn drop(&mut self) {
        let docker = |arguments: &[&str]| {
            let mut command = client(&self.directory.path().join("docker.sock"), "docker");
            command.args(arguments).output().map(|output| output.stdout).unwrap_or_default()
        };
        let listed = docker(&["ps", "--all", "--quiet"]);
        for container in String::from_utf8_lossy(&listed).split_whitespace() {
            docker(&["rm", "--force", "--volumes", container]);
        }
    }
}

/// A client of the engine at `socket`.
fn client(socket: &Path, name: &str) -> Command {
    let mut command = Command::new(part(name));
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command.env_remove("DOCKER_CONTEXT");
    command
}

/// Files of a fresh checkout that the stack needs and that the test can change.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut copy = Command::new("cp");
        copy.arg("-r").current_dir(repository(""));
        let files = ["docker-compose.yml", "otel-collector-config.yaml", "deploy"];
        let examples = ["config.example.yaml", ".env.example"];
        succeed(copy.args(files).args(examples).arg(directory.path()));
        // As git leaves it: readable for the users of the containers.
        succeed(Command::new("chmod").args(["-R", "a+rX"]).arg(directory.path()));
        Self(directory)
    }

    /// Takes the steps that the README gives for servers of one's own.
    fn with_examples() -> Self {
        let checkout = Self::new();
        let path = |name: &str| checkout.0.path().join(name);
        fs::create_dir(path("config")).expect("a directory");
        fs::copy(path("config.example.yaml"), path("config/config.yaml")).expect("a copy");
        fs::copy(path(".env.example"), path(".env")).expect("a copy");
        checkout
    }

    fn is_demo(&self) -> bool {
        !self.0.path().join(".env").exists()
    }

    fn profile(&self) -> &'static [&'static str] {
        if self.is_demo() { &["--profile", "demo"] } else { &[] }
    }

    fn services(&self) -> &'static [&'static str] {
        if self.is_demo() { &SERVICES } else { &SERVICES[..3] }
    }

    /// The directory that the agent's container has mounted, in the demo.
    fn configuration(&self) -> PathBuf {
        self.0.path().join("deploy/demo")
    }
}

fn names(series: &Everything) -> BTreeSet<&Series> {
    series.keys().collect()
}

async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: did not happen");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Every container runs, is healthy where it can tell, and is reached from this host alone.
fn assert_healthy(engine: &Engine, checkout: &Checkout) {
    let listed = engine.compose(checkout, &["ps", "--all", "--format", "json"]);
    let containers: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(containers.len(), checkout.services().len(), "{listed}");
    for container in &containers {
        let service = container["Service"].as_str().expect("a name");
        assert_eq!(container["State"], "running", "{container}");
        let expected = if service == "otel-collector" { "" } else { "healthy" };
        assert_eq!(container["Health"], expected, "{container}");
        for port in container["Publishers"].as_array().into_iter().flatten() {
            let public = port["PublishedPort"].as_u64().is_some_and(|port| port > 0);
            assert!(!public || port["URL"] == "127.0.0.1", "{service}: {port}");
        }
    }
}

fn assert_hardened(engine: &Engine) {
    let inspected = engine.docker(&["inspect", "nbu-otel-agent-agent-1"]);
    let container: Value = serde_json::from_str(&inspected).expect("JSON");
    let container = &container[0];
    assert_eq!(container["Config"]["User"], "65532:65532");
    assert_eq!(container["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(container["HostConfig"]["CapDrop"][0], "ALL");
    let label = &container["Config"]["Labels"]["org.opencontainers.image.title"];
    assert_eq!(label, "nbu-otel-agent");
    assert_eq!(container["Config"]["Labels"]["org.opencontainers.image.revision"], "e2e");
    let state = engine.directory.path().join("data/volumes/nbu-otel-agent_agent-state/_data");
    assert_eq!(fs::metadata(state).expect("the volume").uid(), 65532, "the agent can write there");
}

/// A save in the mounted directory is a reload in the container.
async fn assert_reloads(config: &Path) {
    let file = config.join("config.yaml");
    let text = fs::read_to_string(&file).expect("a file");
    let text = text.replace("collectionInterval: 10s", "collectionInterval: 5s");
    // As editors and configuration management do it.
    let new = config.join(".new");
    fs::write(&new, &text).expect("it is written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("permissions");
    fs::rename(new, file).expect("it is renamed");
    let hash = sha256(&text);
    let agent = Endpoint::on(9440);
    eventually("the change is in force", async || {
        let page = agent.scrape().await?;
        let in_force = page.value("nbu_agent_config_info", &[("sha256", &hash)]) == Some(1.0);
        (in_force && reloads(&page, "watch", "applied") >= 1.0).then_some(())
    })
    .await;
}

/// Prometheus has the agent's series twice: scraped from it, and from the Collector that it pushes to.
async fn assert_both_ways() {
    let agent = Endpoint::on(9440);
    let prometheus = "http://127.0.0.1:9090";
    for job in [PULLED, PUSHED] {
        eventually(&format!("the series of job {job} in Prometheus"), async || {
            let served = of_sites(&agent.scrape().await?);
            let ups = served.keys().filter(|(name, _)| name == "nbu_up").count();
            let stored = Prometheus::series_at(prometheus, job).await;
            let (stored, served) = (names(&stored), names(&served));
            // The Collector keeps a series that ended for five minutes (its metric_expiration).
            let same = if job == PULLED { stored == served } else { stored.is_superset(&served) };
            (ups == 2 && same).then_some(())
        })
        .await;
    }
}

fn assert_nothing_left(engine: &Engine) {
    assert_eq!(engine.docker(&["ps", "--all", "--quiet"]), "");
    assert_eq!(engine.docker(&["volume", "ls", "--quiet"]), "");
    let networks = engine.docker(&["network", "ls", "--format", "{{.Name}}"]);
    let mut networks: Vec<&str> = networks.lines().collect();
    networks.sort_unstable();
    assert_eq!(networks, ["bridge", "host", "none"]);
}

/// The push goes to the stack's own Collector, without a word of it in the configuration.
async fn assert_pushes() {
    let agent = Endpoint::on(9440);
    eventually("an export arrives", async || {
        let success = [("signal", "metrics"), ("result", "success")];
        let page = agent.scrape().await?;
        page.value("nbu_agent_otlp_exports_total", &success).filter(|count| *count >= 1.0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compose_stack_starts_exports_and_stops_without_a_trace() {
    let engine = Engine::start().await;
    let demo = Checkout::new();
    let resolved = engine.compose(&demo, &["config", "--format", "json"]);
    let resolved: Value = serde_json::from_str(&resolved).expect("JSON");
    engine.images(&resolved["services"]);
    println!("left out: grafana, of which there is no image here");

    engine.up(&demo);
    assert_healthy(&engine, &demo);
    assert_hardened(&engine);
    assert_both_ways().await;
    assert_reloads(&demo.configuration()).await;
    engine.compose(&demo, &["down", "--volumes"]);
    assert_nothing_left(&engine);

    let own = Checkout::with_examples();
    engine.up(&own);
    assert_healthy(&engine, &own);
    assert_pushes().await;
    engine.compose(&own, &["down", "--volumes"]);
    assert_nothing_left(&engine);
    engine.stop().await;
}
