//! Keys that Kubernetes and systemd hand over in files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nbu_sim::Settings;

use crate::endpoint::Endpoint;
use crate::process::{Desk, Signal, config};
use crate::started;
use crate::support::{eventually, simulate, world};

/// Polls often, and looks at files only when the system reports a change.
const OFTEN: &str = "scrapingInterval: 24h, collectionInterval: 200ms, configCheckInterval: 1h";

/// Replaces the files of a volume as the kubelet does: a new directory, and a link that is renamed over the old one.
fn publish(volume: &Path, moment: &str, key: &str) {
    fs::create_dir(volume.join(moment)).expect("a file");
    fs::write(volume.join(moment).join("paris"), key).expect("a file");
    fs::set_permissions(volume.join(moment).join("paris"), fs::Permissions::from_mode(0o440))
        .expect("a file");
    let before = fs::read_link(volume.join("..data")).ok();
    symlink(moment, volume.join("..data_tmp")).expect("a file");
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("a file");
    match before {
        Some(before) => fs::remove_dir_all(volume.join(before)).expect("a file"),
        None => symlink("..data/paris", volume.join("paris")).expect("a file"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_secret_is_in_force_as_soon_as_it_changes() {
    let paris = simulate(Settings { api_key: "the-first-key".to_owned(), ..world(1) }).await;
    let desk = Desk::new();
    let volume = desk.path("keys");
    fs::create_dir(&volume).expect("a file");
    publish(&volume, "..2026_01_01", "the-first-key\n");
    let base = config().server(OFTEN).site_at("paris", paris.addr(), "apiKeyFile: keys/paris");
    let (mut agent, endpoint) = started(&desk, &base).await;
    endpoint.complete(&mut agent, "paris").await;
    for (moment, key) in [("..2026_01_02", "the-second-key"), ("..2026_01_03", "the-third-key")] {
        paris.set_api_key(key);
        publish(&volume, moment, key);
        let presented = || async { paris.presented_keys().contains(&key.to_owned()).then_some(()) };
        eventually(&format!("{key} is used"), presented).await;
        endpoint.complete(&mut agent, "paris").await;
    }
    let said = agent.end_by(Signal::TERM).await.all();
    assert_eq!(said.matches("nbuservers[paris].apiKeyFile: content changed").count(), 2, "{said}");
    assert!(!said.contains("-key\n") && !said.contains("everybody can read"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_credential_is_read_where_its_variable_says() {
    let paris = simulate(Settings { api_key: "the-key-of-paris".to_owned(), ..world(1) }).await;
    let key = "apiKeyFile: \"${CREDENTIALS_DIRECTORY}/nbu-key\"";
    let setup = config().server(OFTEN).site_at("paris", paris.addr(), key);
    let desk = Desk::with(&setup.yaml());
    let directory = desk.path("credentials");
    fs::create_dir(&directory).expect("a file");
    desk.write("credentials/nbu-key", "the-key-of-paris");
    for (path, mode) in [("credentials/nbu-key", 0o400), ("credentials", 0o500)] {
        fs::set_permissions(desk.path(path), fs::Permissions::from_mode(mode)).expect("a file");
    }
    let variables = [("CREDENTIALS_DIRECTORY", directory.to_str().expect("a file"))];
    let mut agent = desk.start_in(&["--config", "config.yaml"], &variables);
    Endpoint::on(setup.port).complete(&mut agent, "paris").await;
    let said = agent.end_by(Signal::TERM).await.all();
    assert!(!said.contains("the-key-of-paris") && !said.contains("warning"), "{said}");
    let without = desk.run(&["check", "--config", "config.yaml"]).await;
    assert_eq!(without.code, Some(1), "{}", without.all());
    assert!(without.stderr.contains("CREDENTIALS_DIRECTORY"), "{}", without.all());
}
