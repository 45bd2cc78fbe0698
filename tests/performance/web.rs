//! A flood of wrong passwords.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::process::{Desk, Signal, config};
use crate::report::{Report, spread};
use crate::support::{ended, simulate, world};

const WRONG: usize = 100_000;

/// Connections of the address that floods.
const CONNECTIONS: usize = 32;

/// Users whose right passwords are presented for the first time, from another address.
const NEWCOMERS: usize = 10;

/// Budgets: seconds for the flood, ms of a remembered password at the 99th percentile, ms of a new one.
const FLOOD: f64 = 60.0;
const REMEMBERED: f64 = 20.0;
const NEW: f64 = 1_000.0;

/// A connection from this address of the machine.
async fn connect(from: [u8; 4], port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Presents a password; the status, and the milliseconds until the end of the response.
async fn ask(stream: &mut TcpStream, user: &str, password: &str) -> (u16, f64) {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    let request = format!(
        "GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {pair}\r\n\r\n"
    );
    let began = Instant::now();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the connection ended");
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.unwrap().parse::<usize>().unwrap() {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return (status, began.elapsed().as_secs_f64() * 1e3);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures a release build: .ci/long web"]
async fn flood_of_wrong_passwords_delays_nobody_else() {
    let paris = simulate(world(71)).await;
    let config = config().server("web: { usersFile: users }").site("paris", &paris);
    let desk = Desk::with(&config.yaml());
    let hash = |password: &str| bcrypt::hash(password, 10).unwrap();
    let newcomers = (0..NEWCOMERS).map(|number| (format!("new-{number}"), format!("pw-{number}")));
    let newcomers: Vec<_> = newcomers.collect();
    let mut users = format!("prometheus:{}\n", hash("right"));
    for (name, password) in &newcomers {
        users.extend([name, ":", &hash(password), "\n"]);
    }
    desk.write("users", &users);
    let mut agent = desk.start(&["--config", "config.yaml"]);
    agent.says("listening").await;
    let port = config.port;
    let mut scraper = connect([127, 0, 0, 1], port).await;
    assert_eq!(ask(&mut scraper, "prometheus", "right").await.0, 200);
    let (sent, checked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut flood = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (sent, checked) = (Arc::clone(&sent), Arc::clone(&checked));
        flood.spawn(async move {
            let mut stream = connect([127, 0, 0, 2], port).await;
            loop {
                let number = sent.fetch_add(1, Relaxed);
                if number >= WRONG {
                    return;
                }
                match ask(&mut stream, "prometheus", &format!("wrong-{number}")).await.0 {
                    401 => checked.fetch_add(1, Relaxed),
                    429 => 0,
                    other => panic!("{other}"),
                };
            }
        });
    }
    let mut remembered = Vec::new();
    let mut new = Vec::new();
    let mut newcomers = newcomers.into_iter();
    while sent.load(Relaxed) < WRONG {
        let (status, took) = ask(&mut scraper, "prometheus", "right").await;
        assert_eq!(status, 200);
        remembered.push(took);
        if remembered.len() % 20 == 0
            && let Some((name, password)) = newcomers.next()
        {
            let mut other = connect([127, 0, 0, 3], port).await;
            let (status, took) = ask(&mut other, &name, &password).await;
            assert_eq!(status, 200);
            new.push(took);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    while ended(&mut flood).await.is_some() {}
    let took = began.elapsed().as_secs_f64();
    remembered.sort_by(f64::total_cmp);
    let mut report = Report::default();
    report.note("wrong passwords, and of them checked", WRONG, checked.load(Relaxed));
    report.hold("flood", took, FLOOD, "s", 1.0);
    let at_99 = remembered[remembered.len() * 99 / 100];
    report.hold("remembered password, p99", at_99, REMEMBERED, "ms", 3.0);
    report.hold("new password, longest", spread(new).1, NEW, "ms", 1.0);
    report.end();
    agent.end_by(Signal::TERM).await;
}
