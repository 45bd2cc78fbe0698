//! The last lines of the log of an agent, where they can be had.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

use crate::log::{Config, Destination};

/// Bytes of a log that are read.
const MOST_BYTES: u64 = 1 << 20;

/// Lines of the journal that are read.
const JOURNAL_LINES: &str = "2000";

/// Name of the unit of the packages and of deploy/systemd.
const UNIT: &str = "nbu-otel-agent.service";

/// Returns the last lines of the log, or why there are none.
pub(super) fn last(config: &Config) -> Result<String, String> {
    match &config.destination {
        Destination::File(path) => {
            of_file(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        }
        Destination::Stdout => of_journal(),
    }
}

fn of_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(MOST_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first line is cut.
    let whole = if start > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    Ok(whole.to_owned())
}

fn of_journal() -> Result<String, String> {
    const ADVICE: &str = "the log goes to standard output: add what `journalctl`, `docker logs` or `kubectl logs` shows of it";
    let mut journal = Command::new("journalctl");
    journal.args([
        "--quiet",
        "--no-pager",
        "--output=cat",
        "--unit",
        UNIT,
        "--lines",
        JOURNAL_LINES,
    ]);
    match journal.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(_) => Err(format!("the journal shows this user no line of {UNIT}; {ADVICE}")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ADVICE.to_owned()),
        Err(error) => Err(format!("cannot run journalctl: {error}; {ADVICE}")),
    }
}

/// Returns the lines of the levels INFO, WARN and ERROR. The others have answers of servers in them, with names that
/// nobody else knows.
pub(super) fn without_details(log: &str) -> String {
    let lines = log.split_inclusive('\n');
    lines.filter(|line| matches!(level(line).as_deref(), Some("INFO" | "WARN" | "ERROR"))).collect()
}

fn level(line: &str) -> Option<String> {
    if line.starts_with('{') {
        let line: Json = serde_json::from_str(line).ok()?;
        return line["level"].as_str().map(ToOwned::to_owned);
    }
    line.split_whitespace().nth(1).map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_lower_levels_are_left_out_in_both_formats() {
        let text = "2026-03-01T12:00:00.1Z  INFO nbu_otel_agent::cli: started\n";
        let json = "{\"timestamp\":\"x\",\"level\":\"WARN\",\"message\":\"TRACE\"}\n";
        let left_out = "2026-03-01T12:00:00.1Z TRACE nbu_otel_agent: body=INFO\n\
                        {\"level\":\"DEBUG\"}\nrest INFOS of a line\n{\"level\": cut\n\n";
        assert_eq!(without_details(&format!("{text}{left_out}{json}")), format!("{text}{json}"));
    }

    #[test]
    fn end_of_a_long_file_begins_with_a_whole_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = format!("{}\n", "x".repeat(99));
        std::fs::write(file.path(), line.repeat(20_000) + "the last\n").unwrap();
        let last = of_file(file.path()).unwrap();
        assert!(last.lines().rev().skip(1).all(|line| line.len() == 99));
        assert!(last.ends_with("\nthe last\n") && last.len() < 1 << 20);
    }
}
