//! Help, version, and messages about wrong usage.

use std::path::Path;
use std::process::Command;

use crate::process::Desk;

#[tokio::test]
async fn version_is_the_packages() {
    for option in ["--version", "-V"] {
        let ended = Desk::new().run(&[option]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert_eq!(ended.stdout, concat!("nbu-otel-agent ", env!("CARGO_PKG_VERSION"), "\n"));
        assert_eq!(ended.stderr, "");
    }
}

#[tokio::test]
async fn help_names_the_commands_the_signals_and_the_exit_codes() {
    let ended = Desk::new().run(&["--help"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    for word in [
        "demo",
        "check",
        "doctor",
        "once",
        "docs",
        "--config",
        "--debug",
        "--trace",
        "SIGTERM",
        "SIGINT",
        "SIGHUP",
        "EXIT CODES",
        "config.example.yaml",
    ] {
        assert!(ended.stdout.contains(word), "no {word} in\n{}", ended.stdout);
    }
    assert_eq!(ended.stderr, "");
    for command in ["run", "check", "doctor", "once", "demo", "support", "docs", "completions"] {
        let ended = Desk::new().run(&[command, "--help"]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert!(ended.stdout.contains(&format!("nbu-otel-agent {command}")), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn wrong_usage_is_2_and_a_hint_on_standard_error() {
    let cases: [(&[&str], &str); 10] = [
        (&[], "--config FILE, or try the demo"),
        (&["--debug"], "--config FILE, or try the demo"),
        (&["--bogus"], "--bogus"),
        (&["--config"], "--config"),
        (&["check"], "--config"),
        (&["-c", "a.yaml", "demo"], "--config FILE goes after the command"),
        (&["-c", "a.yaml", "check", "-c", "b.yaml"], "--config FILE goes after the command"),
        (&["chekc", "--config", "config.yaml"], "check"),
        (&["demo", "--port", "70000"], "70000"),
        (&["demo", "--interval", "0"], "--interval"),
    ];
    for (arguments, hint) in cases {
        let ended = Desk::new().run(arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.all());
        assert!(ended.stderr.contains(hint), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn docs_prints_the_reference_that_is_in_the_tree() {
    let ended = Desk::new().run(&["docs"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    assert!(
        ended.stdout == std::fs::read_to_string(page).expect("docs/metrics.md"),
        "docs/metrics.md is not what `docs` prints"
    );
    assert_eq!(ended.stderr, "");
}

/// Commands below the one with this help, in the order of the help.
fn commands(help: &str) -> Vec<&str> {
    let list = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names = list.lines().take_while(|line| !line.is_empty());
    // A line that was wrapped begins with more spaces.
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").collect()
}

#[tokio::test]
async fn man_page_has_every_command_and_option() {
    let page = Desk::new().run(&["docs", "man"]).await;
    assert_eq!(page.code, Some(0), "{}", page.all());
    let page = page.stdout.replace("\\-", "-");
    assert_eq!(page.matches(".TH ").count(), 1);
    assert_eq!(page.matches(".nf\n").count(), page.matches(".fi\n").count());
    let mut waiting = vec![vec![]];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let arguments: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let help = Desk::new().run(&arguments).await.stdout;
        let name = path.join(" ");
        let section = if path.is_empty() {
            "\n.SH SYNOPSIS\n".to_owned()
        } else {
            format!("\n.SH \"nbu-otel-agent {name}\"\n.SS SYNOPSIS\n")
        };
        let text = page.split(&section).nth(1).unwrap_or_else(|| panic!("no section of {name}"));
        let text = text.split("\n.SH \"").next().expect("a section");
        let options = help.split("\nOptions:\n").nth(1).expect("options");
        for option in options.lines().filter_map(|line| line.trim_start().split("--").nth(1)) {
            let option = option.split([' ', '=', '.']).next().expect("a name");
            assert!(text.contains(&format!("--{option}")), "no --{option} of {name}");
        }
        seen += 1;
        waiting.extend(commands(&help).into_iter().map(|command| {
            path.iter().cloned().chain([command.to_owned()]).collect::<Vec<String>>()
        }));
    }
    assert!(seen >= 12, "{seen} commands");
}

#[tokio::test]
async fn bash_completes_commands_and_options() {
    let ended = Desk::new().run(&["completions", "bash"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert_eq!(ended.stderr, "");
    let complete = |words: &[&str]| {
        let last = words.len() - 1;
        let script = format!(
            "{}\nCOMP_WORDS=({}) COMP_CWORD={last}\n\
            _nbu__otel__agent nbu-otel-agent '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            ended.stdout,
            words.join(" "),
            words[last],
            words[last - 1],
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(complete(&["nbu-otel-agent", "doct"]), "doctor\n");
    assert_eq!(complete(&["nbu-otel-agent", "doctor", "--ro"]), "--role\n");
    assert_eq!(complete(&["nbu-otel-agent", "docs", "sch"]), "schema\n");
}
