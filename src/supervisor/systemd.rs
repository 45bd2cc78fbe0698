//! systemd's notification protocol (sd_notify(3), Type=notify-reload): ready, reloading, stopping,
//! and the watchdog. Without systemd all of it does nothing.
//!
//! Nothing here blocks: what the socket does not take now is kept, in order, and tried again.

use std::collections::VecDeque;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use crate::config::Environment;

/// How soon it tries again where the socket was full.
const RETRY: Duration = Duration::from_millis(500);

/// As many messages are kept for a socket that is full; the oldest go first.
const MAX_UNSENT: usize = 16;

/// Tells systemd how this process is.
pub(super) struct Notifier {
    target: Option<Target>,
    watchdog: Option<Interval>,
    unsent: VecDeque<String>,
    /// Whether the log was told that systemd cannot be reached.
    warned: bool,
}

struct Target {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`. Needs a runtime.
    pub(super) fn new(environment: &dyn Environment) -> Self {
        let address = environment.get("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let target = address.and_then(|name| {
            Target::new(&name)
                .inspect_err(|error| {
                    tracing::warn!("systemd cannot be notified at NOTIFY_SOCKET {name}: {error}");
                })
                .ok()
        });
        let watchdog = target.as_ref().and_then(|_| watchdog(environment)).map(|limit| {
            let mut ticks = interval(limit / 2);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { target, watchdog, unsent: VecDeque::new(), warned: false }
    }

    /// A configuration is in force: after the start, and at the end of each reload, whatever its
    /// result. `status` is for people.
    pub(super) fn ready(&mut self, status: &str) {
        self.send(format!("READY=1\nSTATUS={}\n", line(status)));
    }

    /// A reload begins.
    pub(super) fn reloading(&mut self) {
        // systemd takes it for an answer to its signal only if it is later than the signal.
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(format!("RELOADING=1\nMONOTONIC_USEC={now}\n"));
    }

    /// The end began.
    pub(super) fn stopping(&mut self) {
        self.send("STOPPING=1\nSTATUS=ending\n".to_owned());
    }

    /// Waits until a sign of life is due, gives it, and returns. For a branch of the loop whose life
    /// it stands for: who does not come back to it is restarted. Where systemd watches no such sign,
    /// it waits forever. May be dropped at any time.
    pub(super) async fn watchdog(&mut self) {
        let backlog = !self.unsent.is_empty();
        let due = async {
            match &mut self.watchdog {
                Some(ticks) => drop(ticks.tick().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => self.send("WATCHDOG=1\n".to_owned()),
            () = sleep(RETRY), if backlog => self.flush(),
        }
    }

    fn send(&mut self, message: String) {
        if self.target.is_some() {
            if self.unsent.len() == MAX_UNSENT {
                self.unsent.pop_front();
            }
            self.unsent.push_back(message);
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(target) = &self.target else { return };
        while let Some(message) = self.unsent.front() {
            match target.socket.send_to_addr(message.as_bytes(), &target.address) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    if !self.warned {
                        self.warned = true;
                        tracing::warn!("systemd cannot be notified: {error}");
                    }
                }
            }
            self.unsent.pop_front();
        }
    }
}

impl Target {
    /// A path, or `@` and an abstract name.
    fn new(name: &str) -> io::Result<Self> {
        let address = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None if name.starts_with('/') => SocketAddr::from_pathname(name)?,
            None => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "neither path nor @name"));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }
}

/// Within which time systemd wants a sign of life, if of this process.
fn watchdog(environment: &dyn Environment) -> Option<Duration> {
    let number = |name| environment.get(name).map(|text| text.parse::<u64>());
    let ours = match number("WATCHDOG_PID") {
        None => true,
        Some(process) => process == Ok(u64::from(std::process::id())),
    };
    let limit = number("WATCHDOG_USEC")?.ok().filter(|micros| ours && *micros > 1)?;
    Some(Duration::from_micros(limit))
}

/// The protocol is one of lines.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tokio::time::{Instant, timeout};

    use super::*;

    /// What systemd hears.
    struct Systemd {
        socket: UnixDatagram,
        path: PathBuf,
        _place: tempfile::TempDir,
    }

    impl Systemd {
        fn start() -> Self {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self { socket, path, _place: place }
        }

        fn notifier(&self, more: &[(&str, &str)]) -> Notifier {
            let socket = self.path.display().to_string();
            notifier(&[&[("NOTIFY_SOCKET", socket.as_str())], more].concat())
        }

        fn hears(&self) -> Option<String> {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
        }
    }

    fn notifier(variables: &[(&str, &str)]) -> Notifier {
        let get = |name: &str| {
            variables.iter().find(|(is, _)| *is == name).map(|(_, value)| (*value).to_owned())
        };
        Notifier::new(&get)
    }

    fn monotonic_micros() -> i64 {
        let now = clock_gettime(ClockId::Monotonic);
        now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    }

    #[tokio::test]
    async fn the_life_of_the_agent_is_told_in_order() {
        let systemd = Systemd::start();
        let mut notifier = systemd.notifier(&[]);
        notifier.ready("2 sites,\nconfiguration 3fa4");
        let before = monotonic_micros();
        notifier.reloading();
        notifier.ready("1 site");
        notifier.stopping();
        assert_eq!(systemd.hears().unwrap(), "READY=1\nSTATUS=2 sites, configuration 3fa4\n");
        let reloading = systemd.hears().unwrap();
        let at = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!((before..=monotonic_micros()).contains(&at.parse().unwrap()), "{at}");
        assert_eq!(systemd.hears().unwrap(), "READY=1\nSTATUS=1 site\n");
        assert_eq!(systemd.hears().unwrap(), "STOPPING=1\nSTATUS=ending\n");
        assert_eq!(systemd.hears(), None);
    }

    #[tokio::test]
    async fn an_abstract_socket_is_reached() {
        let name = format!("nbu-otel-agent-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        notifier(&[("NOTIFY_SOCKET", &format!("@{name}"))]).ready("well");
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTATUS=well\n");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_of_life_is_given_at_half_of_the_limit() {
        let systemd = Systemd::start();
        let own = std::process::id().to_string();
        let mut notifier =
            systemd.notifier(&[("WATCHDOG_USEC", "60000000"), ("WATCHDOG_PID", &own)]);
        let start = Instant::now();
        for expected in [0, 30, 60] {
            notifier.watchdog().await;
            assert_eq!(start.elapsed().as_secs(), expected);
            assert_eq!(systemd.hears().as_deref(), Some("WATCHDOG=1\n"));
        }
        assert_eq!(systemd.hears(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_sign_of_life_is_given_where_none_is_asked_for() {
        let systemd = Systemd::start();
        let other = [("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")];
        for more in [&other[..], &[("WATCHDOG_USEC", "soon")], &[("WATCHDOG_USEC", "0")], &[]] {
            let mut notifier = systemd.notifier(more);
            let waited = timeout(Duration::from_secs(600), notifier.watchdog()).await;
            assert!(waited.is_err(), "{more:?}");
        }
        assert_eq!(systemd.hears(), None);
    }

    #[tokio::test]
    async fn without_systemd_nothing_happens() {
        let beyond = "/nowhere/notify";
        for variables in [&[][..], &[("NOTIFY_SOCKET", "vsock:2:1")], &[("NOTIFY_SOCKET", beyond)]]
        {
            let mut notifier = notifier(variables);
            notifier.reloading();
            notifier.ready("well");
            assert!(notifier.unsent.is_empty(), "{variables:?}");
        }
    }

    #[tokio::test]
    async fn a_full_socket_blocks_nobody_and_gets_the_rest_later() {
        let systemd = Systemd::start();
        let mut notifier = systemd.notifier(&[]);
        let mut said = 0;
        while notifier.unsent.is_empty() {
            notifier.ready(&said.to_string());
            said += 1;
            assert!(said < 100_000, "the socket takes everything");
        }
        for _ in 0..1_000 {
            notifier.ready("lost");
        }
        notifier.ready("well");
        assert_eq!(notifier.unsent.len(), MAX_UNSENT);
        let mut heard = Vec::new();
        while !notifier.unsent.is_empty() {
            heard.extend(std::iter::from_fn(|| systemd.hears()));
            timeout(Duration::from_secs(30), notifier.watchdog()).await.unwrap();
        }
        heard.extend(std::iter::from_fn(|| systemd.hears()));
        assert_eq!(heard.first().map(String::as_str), Some("READY=1\nSTATUS=0\n"));
        assert_eq!(heard.last().map(String::as_str), Some("READY=1\nSTATUS=well\n"));
    }
}
