//! What systemd hears of an agent with Type=notify-reload.

use std::os::unix::net::UnixDatagram;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::support::{PATIENCE, simulate, world};

/// The next message that is no sign of life.
fn hears(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    loop {
        let length = socket.recv(&mut buffer).expect("a message");
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message != "WATCHDOG=1\n" {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_of_the_start_of_each_reload_and_of_the_end() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::with(&base.yaml());
    let path = desk.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is set");
    let path = path.to_str().expect("a path").to_owned();
    let mut agent = desk.start_in(&["--config", "config.yaml"], &[("NOTIFY_SOCKET", &path)]);
    let ready = hears(&socket);
    assert!(ready.starts_with("READY=1\nSTATUS=1 site, configuration "), "{ready}");
    Endpoint::on(base.port).complete(&mut agent, "paris").await;

    desk.write("config.yaml", &base.yaml().replace("apiKey", "apiKeey"));
    agent.signal(Signal::HUP);
    let reloading = hears(&socket);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let ready = hears(&socket);
    assert!(ready.starts_with("READY=1\n") && ready.contains("rejected"), "{ready}");

    agent.signal(Signal::TERM);
    assert!(hears(&socket).starts_with("STOPPING=1"));
    assert_eq!(agent.end(PATIENCE).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_gets_its_signs_of_life() {
    let paris = simulate(world(1)).await;
    let base = config().site("paris", &paris);
    let desk = Desk::with(&base.yaml());
    let path = desk.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("it is set");
    let path = path.to_str().expect("a path").to_owned();
    let environment = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "400000")];
    let mut agent = desk.start_in(&["--config", "config.yaml"], &environment);
    let mut buffer = [0; 1024];
    let mut signs = 0;
    while signs < 3 {
        let length = socket.recv(&mut buffer).expect("a message");
        signs += usize::from(&buffer[..length] == b"WATCHDOG=1\n");
    }
    agent.end_by(Signal::TERM).await;
}
