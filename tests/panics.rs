//! Panics in the log. The hook is the process's own, so this is a test of its own.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Lines that were logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_panic_is_logged_once_with_its_place() {
    let logged = Logged::default();
    let writer = logged.clone();
    tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
    nbu_otel_agent::process::log_panics();
    let first = line!() + 1;
    assert!(tokio::spawn(async { panic!("in a task") }).await.is_err());
    assert!(tokio::task::spawn_blocking(|| panic!("on a\nblocking thread")).await.is_err());
    let named = std::thread::Builder::new().name("plain".to_owned());
    assert!(named.spawn(|| panic!("{}", "on a thread")).unwrap().join().is_err());
    assert!(tokio::spawn(async { std::panic::panic_any(7) }).await.is_err());
    // Back to the usual hook, for the assertions.
    drop(std::panic::take_hook());
    let text = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(lines.len(), 4, "{text}");
    let messages = ["in a task", "on a blocking thread", "on a thread", "no message"];
    for ((line, message), at) in lines.iter().zip(messages).zip([0, 1, 3, 4]) {
        assert!(line.contains(&format!("panic: {message}; ")), "{line}");
        assert!(line.contains(&format!("tests/panics.rs:{}:", first + at)), "{line}");
    }
    assert!(lines[2].contains("thread=\"plain\""), "{}", lines[2]);
}
