//! Notifications of the agent to systemd.

use std::os::unix::net::UnixDatagram;

use nbu_sim::Simulator;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::time::{ClockId, clock_gettime};

use crate::endpoint::Endpoint;
use crate::process::{Desk, Process, Signal, config};
use crate::support::{Config, PATIENCE, simulate, world};

/// The socket that systemd would have, and an agent that was told of it.
struct Systemd {
    socket: UnixDatagram,
    agent: Process,
    base: Config,
    desk: Desk,
    _paris: Simulator,
}

impl Systemd {
    async fn start(more: &[(&str, &str)]) -> Self {
        let paris = simulate(world(1)).await;
        let base = config().site("paris", &paris);
        let desk = Desk::with(&base.yaml());
        let path = desk.path("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("it is set");
        let own = [("NOTIFY_SOCKET", path.to_str().expect("a path"))];
        let agent = desk.start_in(&["--config", "config.yaml"], &[&own, more].concat());
        Self { socket, agent, base, desk, _paris: paris }
    }

    /// The next message.
    fn hears(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_notified_of_start_reloads_and_stop() {
    let mut systemd = Systemd::start(&[]).await;
    let ready = systemd.hears();
    assert!(ready.starts_with("READY=1\nSTATUS=1 site, configuration "), "{ready}");
    Endpoint::on(systemd.base.port).complete(&mut systemd.agent, "paris").await;

    systemd.desk.write("config.yaml", &systemd.base.yaml().replace("apiKey", "apiKeey"));
    systemd.agent.signal(Signal::HUP);
    let reloading = systemd.hears();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let ready = systemd.hears();
    assert!(ready.starts_with("READY=1\n") && ready.contains("rejected"), "{ready}");

    systemd.agent.signal(Signal::TERM);
    assert!(systemd.hears().starts_with("STOPPING=1"));
    assert_eq!(systemd.agent.end(PATIENCE).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn watchdog_is_fed() {
    let mut systemd = Systemd::start(&[("WATCHDOG_USEC", "400000")]).await;
    let mut signs = 0;
    while signs < 3 {
        signs += usize::from(systemd.hears() == "WATCHDOG=1\n");
    }
    systemd.agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_that_hangs_does_not_starve_the_watchdog() {
    let mut systemd = Systemd::start(&[("WATCHDOG_USEC", "400000")]).await;
    Endpoint::on(systemd.base.port).complete(&mut systemd.agent, "paris").await;
    // To open a pipe that nobody reads hangs, as a file of a server that is gone does.
    let pipe = systemd.desk.path("log");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let hanging = systemd.base.clone().server(&format!("logName: {}", pipe.display()));
    systemd.desk.write("config.yaml", &hanging.yaml());
    systemd.agent.signal(Signal::HUP);
    while !systemd.hears().starts_with("RELOADING=1\n") {}
    for _ in 0..5 {
        assert_eq!(systemd.hears(), "WATCHDOG=1\n", "{}", systemd.agent.said());
    }
    systemd.agent.end_by(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_is_followed_by_a_later_reload_message() {
    let mut systemd = Systemd::start(&[]).await;
    assert!(systemd.hears().starts_with("READY=1\n"));
    for _ in 0..50 {
        // What `systemctl reload` waits for with Type=notify-reload.
        let sent = clock_gettime(ClockId::Monotonic);
        systemd.agent.signal(Signal::HUP);
        let later = |message: String| {
            let at = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=")?.trim().parse().ok();
            at.is_some_and(|at: i64| at >= sent.tv_sec * 1_000_000 + sent.tv_nsec / 1_000)
                .then_some(())
        };
        std::iter::repeat_with(|| systemd.hears()).find_map(later).expect("a message");
    }
    systemd.agent.end_by(Signal::TERM).await;
}
