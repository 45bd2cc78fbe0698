//! `check`: what is in force, or everything that is wrong; never a secret.

use crate::process::Desk;

const KEY: &str = "Zx9PlantedKey7Qw";
const HEADER: &str = "Zx9PlantedHeader7Qw";

fn valid() -> String {
    format!(
        "server: {{ host: 127.0.0.1, port: 9440, scrapingInterval: 90m }}\n\
         nbuservers:\n  \
           - {{ site: paris, host: nbu.example.com, apiKey: {KEY}, proxyUrl: 'http://u:{KEY}@p:1' }}\n\
         opentelemetry: {{ enabled: true, endpoint: 'https://c:4317', headers: {{ t: {HEADER} }} }}\n"
    )
}

#[tokio::test]
async fn effective_configuration_is_valid_and_has_no_secrets() {
    let desk = Desk::with(&valid());
    let first = desk.run(&["check", "--config", "config.yaml"]).await;
    assert_eq!(first.code, Some(0), "{}", first.all());
    for line in
        ["scrapingInterval: 1h30m", "site: \"paris\"", "port: 1556", "apiKey: \"<redacted>\""]
    {
        assert!(first.stdout.contains(line), "no {line} in\n{}", first.stdout);
    }
    assert_eq!(first.stderr, "");
    for secret in [KEY, HEADER] {
        assert!(!first.stdout.contains(secret), "{}", first.stdout);
    }
    // What stands for a secret is a text like any other, but no proxy's address.
    desk.write("effective.yaml", &first.stdout);
    let second = desk.run(&["check", "--config", "effective.yaml"]).await;
    assert_eq!(second.code, Some(0), "{}", second.all());
    assert_eq!(second.stdout, first.stdout);
}

#[tokio::test]
async fn example_is_valid_with_variables_of_the_environment() {
    let example = include_str!("../../config.example.yaml");
    let desk = Desk::new();
    std::fs::create_dir(desk.path("etc")).expect("it is made");
    desk.write("etc/config.yaml", example);
    let example = "etc/config.yaml";
    // The working directory is anybody's.
    desk.write(".env", "NBU_API_KEY=foreign\n");
    let without = desk.run(&["check", "-c", example]).await;
    assert_eq!(without.code, Some(1), "{}", without.all());
    assert!(without.stderr.contains("NBU_API_KEY"), "{}", without.stderr);
    desk.write("etc/.env", &format!("NBU_API_KEY={KEY}\n"));
    let with = desk.run(&["check", "-c", example]).await;
    assert_eq!(with.code, Some(0), "{}", with.all());
    assert!(!with.all().contains(KEY), "{}", with.all());
}

#[tokio::test]
async fn every_error_is_told_with_its_place_and_without_values() {
    let desk = Desk::with(&format!(
        "server:\n  port: 70000\n  logFormat: {KEY}\ncolectors: {{}}\nnbuservers:\n  \
           - site: a\n    host: https://{KEY}\n    apiKeey: {KEY}\n  \
           - site: a\n    host: h\n    apiKey: {KEY}\n    timeout: {KEY}\n"
    ));
    let ended = desk.run(&["check", "--config", "config.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    assert_eq!(ended.stdout, "");
    for error in [
        "config.yaml:2:9: server.port: ",
        "config.yaml:3:14: server.logFormat: ",
        "config.yaml:4:1: ",
        "config.yaml:7:11: nbuservers[0].host: ",
        "config.yaml:8:5: nbuservers[0]: unknown key \"apiKeey\"",
        "config.yaml:9:11: nbuservers[1].site: ",
        "config.yaml:12:14: nbuservers[1].timeout: ",
    ] {
        let told = ended.stderr.lines().filter(|line| line.starts_with(error)).count();
        assert_eq!(told, 1, "{error} in\n{}", ended.stderr);
    }
    assert!(ended.stderr.lines().all(|line| line.starts_with("config.yaml:")), "{}", ended.stderr);
    assert!(!ended.stderr.contains(KEY), "{}", ended.stderr);
}

#[tokio::test]
async fn commands_report_missing_servers_yaml_and_file() {
    let desk = Desk::with("nbuservers: []\n");
    desk.write("broken.yaml", &format!("nbuservers: [{{apiKey: \"{KEY}\n"));
    for (file, place) in [
        ("config.yaml", "config.yaml:1:1: nbuservers: "),
        ("broken.yaml", "broken.yaml:"),
        ("missing.yaml", "missing.yaml: cannot read the file"),
    ] {
        for command in ["check", "doctor", "once", "run"] {
            let ended = desk.run(&[command, "--config", file]).await;
            assert_eq!(ended.code, Some(1), "{command} {file}: {}", ended.all());
            assert_eq!(ended.stdout, "", "{command} {file}");
            assert!(ended.stderr.contains(place), "{command} {file}: {}", ended.stderr);
            assert!(!ended.stderr.contains(KEY), "{}", ended.stderr);
        }
    }
}
