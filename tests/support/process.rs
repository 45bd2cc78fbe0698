//! Runs the binary: in a directory of its own, with an empty environment, its streams in files. Every
//! wait is bounded, and a process ends with the test that started it, however the test ends.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;
use tokio::net::TcpSocket;

pub use rustix::process::Signal;

use super::{Config, PATIENCE};

/// Time within which SIGTERM and SIGINT end the process.
pub const PROMISED_END: Duration = Duration::from_secs(10);

/// A working directory with configuration files, in which the binary is run. It lives as long as the
/// last process that was started in it.
pub struct Desk {
    directory: Arc<TempDir>,
    started: AtomicUsize,
}

impl Desk {
    /// An empty one.
    pub fn new() -> Self {
        let directory = Arc::new(tempfile::tempdir().expect("a directory"));
        Self { directory, started: AtomicUsize::new(0) }
    }

    /// Starts a process with this `config.yaml`.
    pub fn with(config: &str) -> Self {
        let desk = Self::new();
        desk.write("config.yaml", config);
        desk
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file that only its owner can read, as one with secrets should be.
    pub fn write(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(self.path(name)).expect("a file");
        file.write_all(text.as_bytes()).expect("it is written");
    }

    /// Returns the content of a file; none if it does not exist.
    pub fn read(&self, name: &str) -> String {
        read(&self.path(name))
    }

    /// Starts the binary.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_in(arguments, &[])
    }

    /// Starts the binary with these variables and no others.
    pub fn start_in(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(binary(arguments));
        command.args(arguments);
        self.spawn(command, environment)
    }

    /// Starts the binary in a shell that has run `prelude`, which may set limits or streams.
    pub fn start_after(&self, prelude: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{prelude}\nexec \"$0\" \"$@\"")).arg(binary(arguments));
        command.args(arguments);
        self.spawn(command, &[])
    }

    fn spawn(&self, mut command: Command, environment: &[(&str, &str)]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let stdout = self.path(&format!("{number}.stdout"));
        let stderr = self.path(&format!("{number}.stderr"));
        let child = command
            .current_dir(self.directory.path())
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file"))
            .stderr(File::create(&stderr).expect("a file"))
            .spawn()
            .expect("the binary starts");
        Process { child, stdout, stderr, _directory: Arc::clone(&self.directory) }
    }

    /// Runs the binary to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end(PATIENCE).await
    }
}

/// The binary of this build, or the one that `NBU_AGENT_BINARY` names (a release, say). That one may be
/// built without the demo.
fn binary(arguments: &[&str]) -> PathBuf {
    let named = std::env::var_os("NBU_AGENT_BINARY").map(PathBuf::from);
    let named = named.filter(|_| arguments.first() != Some(&"demo"));
    let binary = named.unwrap_or_else(|| env!("CARGO_BIN_EXE_nbu-otel-agent").into());
    // Processes run in directories of their own.
    std::path::absolute(binary).expect("a working directory")
}

fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A process that the test started.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    _directory: Arc<TempDir>,
}

impl Process {
    /// Returns the output so far, of both streams.
    pub fn said(&self) -> String {
        read(&self.stderr) + &read(&self.stdout)
    }

    /// Waits until it said `text`, on either stream.
    pub async fn says(&mut self, text: &str) {
        let started = Instant::now();
        while !self.said().contains(text) {
            let waits = self.is_alive() && started.elapsed() < PATIENCE;
            assert!(waits || self.said().contains(text), "no {text:?} in\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the signal is sent");
    }

    /// Returns whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_none()
    }

    /// Waits for its end.
    pub async fn end(&mut self, within: Duration) -> Ended {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("its state is known") {
                let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
                return Ended { code: status.code(), stdout, stderr };
            }
            assert!(started.elapsed() < within, "still runs after {within:?}:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends it a signal and waits for the end that this must bring.
    pub async fn end_by(&mut self, signal: Signal) -> Ended {
        self.signal(signal);
        let ended = self.end(PROMISED_END).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exit status of a process, and its output.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none where a signal killed it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("exit code {:?}\n{}{}", self.code, self.stderr, self.stdout)
    }
}

/// A free port below those that the system gives to outgoing connections, so that none of the many
/// connections of the tests takes it before the agent does. It is given once, also among processes
/// that test at the same time: the UDP port of the same number stands for it until the process ends.
pub fn port() -> u16 {
    const PORTS: std::ops::Range<u16> = 11_000..31_000;
    static TAKEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Neighbours begin far apart, as their ids do not.
    let offset = std::process::id() as usize * 7_919 % PORTS.len();
    for port in PORTS.cycle().skip(offset).take(PORTS.len()) {
        let Ok(stand_in) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.push(stand_in);
            return port;
        }
    }
    panic!("no port is free");
}

/// A configuration with a port of [`port`]'s.
pub fn config() -> Config {
    let mut config = Config::new();
    config.port = port();
    config
}

/// An address that refuses connections for as long as this lives.
pub struct Refusing(TcpSocket);

impl Refusing {
    /// Takes a port and does not listen on it.
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port is free");
        Self(socket)
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it has an address")
    }
}
