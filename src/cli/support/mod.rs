//! `support`: a bundle of what somebody needs to know who is to find a fault, without secrets, and without names
//! unless they are asked for.

mod agent;
mod archive;
mod log_lines;
mod names;

use std::fmt::{Display, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::timeout;

use self::agent::{Agent, self_metrics};
use self::names::Names;
use super::doctor;
use super::run::block_on;
use crate::config::{self, Config, Diagnostic, ProcessEnvironment};
use crate::net::redact::Redactor;

/// The checks of `doctor` together take no longer.
const DOCTOR_TIMEOUT: Duration = Duration::from_secs(120);

/// The configuration, and the bundle to write.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run it as the user of the agent, on its machine or in its container. What cannot be had is listed in
missing.txt. Names are replaced by pseudonyms such as client-1, and lines of the log below INFO are
left out, unless you add --with-names. Read the bundle before you send it.

EXAMPLES:
  nbu-otel-agent support --config /etc/nbu-otel-agent/config.yaml
  nbu-otel-agent support --config config.yaml --output case-4711.tar.gz --with-names

EXIT CODES: 0 the bundle is written; 1 it is not; 2 wrong usage.")]
pub(super) struct Options {
    /// Configuration file of the agent.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Bundle to write; only you can read it.
    #[arg(short, long, value_name = "FILE", default_value = "nbu-otel-agent-support.tar.gz")]
    output: PathBuf,
    /// Keep the names of sites, servers, clients, policies and storage, and all lines of the log.
    #[arg(long)]
    with_names: bool,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(options: Options) -> ExitCode {
    let output = options.output.display().to_string();
    if options.output.exists() && !options.force {
        super::output::print_error(&format!(
            "{output} exists: name another file with --output, or add --force\n"
        ));
        return ExitCode::FAILURE;
    }
    block_on(async move {
        let bundle = Bundle::collect(&options).await;
        for line in &bundle.missing {
            super::output::print_error(&format!("missing: {line}\n"));
        }
        let bytes = archive::pack(&bundle.finish(options.with_names));
        let written = bytes.and_then(|it| archive::write(&options.output, &it, options.force));
        match written {
            Ok(()) => super::output::print(&format!("{output} is written\n")),
            Err(error) => {
                super::output::print_error(&format!("cannot write {output}: {error}\n"));
                ExitCode::FAILURE
            }
        }
    })
}

/// The files of a bundle, with all names, and the secrets and names to replace in them.
#[derive(Default)]
struct Bundle {
    files: Vec<(&'static str, String)>,
    /// Files that could not be had, each with the reason.
    missing: Vec<String>,
    names: Names,
    secrets: Redactor,
}

impl Bundle {
    async fn collect(options: &Options) -> Self {
        let mut bundle = Self::default();
        let path = &options.config;
        bundle.files.push(("versions.txt", versions()));
        let loaded = config::load(path, &ProcessEnvironment);
        let config = loaded.as_ref().map(|loaded| &loaded.config);
        match &loaded {
            Ok(loaded) => bundle.add_configured(&loaded.config, &loaded.warnings, options).await,
            Err(errors) => {
                bundle.files.push(("config-errors.txt", format!("{errors}\n")));
                for file in ["config.yaml", "doctor.txt", "log.txt"] {
                    bundle.lacks(file, "the configuration is invalid, see config-errors.txt");
                }
            }
        }
        bundle.add_running(path, config).await;
        bundle
    }

    /// Adds what is known by the configuration.
    async fn add_configured(
        &mut self,
        config: &Config,
        warnings: &[Diagnostic],
        options: &Options,
    ) {
        self.names.add_configuration(config);
        self.secrets = secrets(config);
        self.files.push(("config.yaml", config::effective(config)));
        if !warnings.is_empty() {
            self.files.push(("config-warnings.txt", lines(warnings)));
        }
        match timeout(DOCTOR_TIMEOUT, doctor::report(config)).await {
            Ok((text, _)) => self.files.push(("doctor.txt", text)),
            Err(_) => self.lacks(
                "doctor.txt",
                format!("the checks took more than {} s", DOCTOR_TIMEOUT.as_secs()),
            ),
        }
        match log_lines::last(&config.log) {
            Ok(log) if options.with_names => self.files.push(("log.txt", log)),
            Ok(log) => self.files.push(("log.txt", log_lines::without_details(&log))),
            Err(reason) => self.lacks("log.txt", reason),
        }
    }

    /// Adds what the running agent tells.
    async fn add_running(&mut self, path: &Path, config: Result<&Config, &config::Errors>) {
        let Some(agent) = Agent::of(path, config) else {
            for file in ["health.txt", "status.html", "metrics.txt"] {
                self.lacks(file, "the agent has no endpoint, or its address is not known");
            }
            return;
        };
        let page = agent.page().await;
        if let Ok(page) = &page {
            self.names.add_series(page);
        }
        let metrics = page.map(|page| self_metrics(&page));
        for (file, answer) in [
            ("health.txt", agent.health().await),
            ("status.html", agent.status().await),
            ("metrics.txt", metrics),
        ] {
            match answer {
                Ok(text) => self.files.push((file, text)),
                Err(reason) => self.lacks(file, reason),
            }
        }
    }

    fn lacks(&mut self, file: &str, reason: impl Display) {
        self.missing.push(format!("{file}: {reason}"));
    }

    /// Returns the files as they are to be sent.
    fn finish(mut self, with_names: bool) -> Vec<(&'static str, String)> {
        self.files.push(("missing.txt", lines(&self.missing)));
        for (_, text) in &mut self.files {
            *text = self.secrets.text(text);
        }
        if !with_names {
            for (_, text) in &self.files {
                self.names.add_hosts_in(text);
            }
            for (_, text) in &mut self.files {
                *text = self.names.hide(text);
            }
        }
        let names = (!with_names).then(|| self.names.summary());
        self.files.insert(0, ("README.txt", contents(&self.files, names.as_deref())));
        self.files
    }
}

/// Returns each on a line.
fn lines<T: Display>(all: &[T]) -> String {
    all.iter().fold(String::new(), |mut text, one| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{one}");
        text
    })
}

/// Returns the secrets of a configuration. They are nowhere in the files, and replaced nevertheless.
fn secrets(config: &Config) -> Redactor {
    let keys = config.servers.iter().map(|server| &server.api_key);
    let keys = keys.fold(Redactor::default(), Redactor::with_secret);
    let signals = config.otlp.iter().flat_map(|otlp| [&otlp.metrics_to, &otlp.traces_to]);
    let headers = signals.flat_map(|signal| signal.headers.iter().map(|(_, value)| value));
    headers.fold(keys, Redactor::with_header)
}

/// Returns the versions of this binary and of the system.
fn versions() -> String {
    let first = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let release = first("/etc/os-release");
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    format!(
        "nbu-otel-agent {}\ntarget {}\nrustc {}\ndemo {}\nsystem {}\nkernel {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("NBU_AGENT_TARGET"),
        env!("NBU_AGENT_RUSTC"),
        cfg!(feature = "demo"),
        system.unwrap_or("unknown").trim_matches('"'),
        first("/proc/sys/kernel/osrelease"),
    )
}

/// Returns what is in the bundle; `names` says how many of them were replaced.
fn contents(files: &[(&str, String)], names: Option<&str>) -> String {
    let mut text = format!(
        "Support bundle of nbu-otel-agent {}, {} UTC\n\n",
        env!("CARGO_PKG_VERSION"),
        jiff::Timestamp::now().strftime("%F %T"),
    );
    for (file, _) in files {
        let meaning = match *file {
            "versions.txt" => "the binary that wrote the bundle, and the system",
            "config.yaml" => {
                "the configuration of the file with its defaults; secrets are redacted"
            }
            "config-errors.txt" => "why the configuration is invalid",
            "config-warnings.txt" => "what is allowed in the configuration, and unwise",
            "doctor.txt" => "what doctor says of servers, permissions and the push",
            "health.txt" => "answers of the running agent about its health",
            "status.html" => "its status page",
            "metrics.txt" => "its metrics of itself and of its collectors",
            "log.txt" => "the last lines of its log",
            _ => "what could not be had, and why",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{file:<20} {meaning}");
    }
    text.push_str(match names {
        Some(_) => {
            "\nThese names were replaced, each by the same pseudonym in all files, such as client-1; sites are numbered as\n\
             the configuration has them. Lines of the log below INFO are left out. A name that neither the configuration\n\
             nor the running agent has, and text that people wrote, may still be there: read it before you send it.\n"
        }
        None => "\nNames were kept, because --with-names asked for it.\n",
    });
    text.push_str(names.unwrap_or_default());
    text
}
