//! The simulator's binary, as a container runs it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use nbu_sim::{Settings, Simulator};

async fn healthcheck(address: String) -> Output {
    let run = move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nbu-sim"));
        command.args(["healthcheck", "--address", &address]).output().expect("it starts")
    };
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_fails_only_if_nothing_serves() {
    let simulator = Simulator::start(Settings::default()).await.expect("it starts");
    let address = simulator.addr().to_string();
    let well = healthcheck(address.clone()).await;
    assert_eq!((well.status.code(), well.stdout.as_slice()), (Some(0), b"healthy\n".as_slice()));
    simulator.stop().await;
    let gone = healthcheck(address.clone()).await;
    let said = String::from_utf8_lossy(&gone.stderr);
    assert_eq!(gone.status.code(), Some(1), "{said}");
    assert!(said.contains(&address) && said.contains("does not respond"), "{said}");
}

#[tokio::test]
async fn options_of_situations_are_read_and_checked() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_nbu-sim")).args(args).output();
    let help = run(&["--help"]).unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for option in ["--stalled <", "--long-lived <", "--false-greens <SHARE>"] {
        assert!(help.contains(option), "{option}");
    }
    for share in ["1.5", "-0.1", "NaN", "many"] {
        let refused = run(&[&format!("--false-greens={share}")]).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{share}");
    }
}
