//! The command line: what to do, and with which configuration.

mod ask;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod docs;
mod doctor;
mod healthcheck;
mod manual;
mod once;
mod output;
mod role;
mod run;
mod state;
mod state_report;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tracing::Level;

use crate::log::Log;
use crate::process;

const EXAMPLES: &str = "\
EXAMPLES:
  nbu-otel-agent check --config config.yaml    validate the file, print the effective configuration
  nbu-otel-agent doctor --config config.yaml   test connections, API keys and permissions
  nbu-otel-agent doctor --config config.yaml --role > role.sh
                                               print a script that creates the role of the API key
  nbu-otel-agent --config config.yaml          run the agent
";

const DEMO_EXAMPLE: &str = if cfg!(feature = "demo") {
    "  nbu-otel-agent demo                          try it with two simulated servers\n"
} else {
    ""
};

const SIGNALS: &str = "
SIGNALS: SIGTERM and SIGINT shut the agent down within 10 s, with a last OTLP export; a second
signal exits at once. SIGHUP reloads the configuration, and so does saving the file. If the file
is invalid, the agent keeps the current configuration.
EXIT CODES: 0 success or requested shutdown; 1 failure (see the log); 2 wrong usage.";

/// OpenTelemetry metrics agent for Veritas/Cohesity NetBackup.
///
/// Polls the REST API of NetBackup primary servers and exports metrics: at a Prometheus endpoint, and
/// pushed over OTLP to a Collector.
#[derive(Debug, Parser)]
#[command(name = "nbu-otel-agent", version)]
#[command(override_usage = "\
nbu-otel-agent [OPTIONS] --config <FILE>
       nbu-otel-agent [OPTIONS] <COMMAND>")]
#[command(after_help = format!("{EXAMPLES}{DEMO_EXAMPLE}{SIGNALS}"))]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Configuration file (YAML); config.example.yaml documents every key.
    // Not `ConfigFile`: flattened, it would be required, and who names nothing is told of the demo.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Clone, Args)]
struct Verbosity {
    /// Log each request and each collection.
    #[arg(short, long, global = true)]
    debug: bool,
    /// Log everything, including response bodies; secrets are redacted.
    #[arg(long, global = true)]
    trace: bool,
}

impl Verbosity {
    fn level(&self) -> Option<Level> {
        if self.trace { Some(Level::TRACE) } else { self.debug.then_some(Level::DEBUG) }
    }
}

/// Which configuration.
#[derive(Debug, Clone, Args)]
struct ConfigFile {
    /// Configuration file (YAML); config.example.yaml documents every key.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    path: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll and export until stopped; the default command.
    Run(ConfigFile),
    /// Validate the configuration: print the effective configuration, or every error with its line.
    Check(ConfigFile),
    /// Test connection, TLS, API key and permissions of each server, and the OTLP push.
    Doctor {
        #[command(flatten)]
        config: ConfigFile,
        /// Print what the role of the API key must permit for the collectors that are on, as a shell script that creates
        /// the role. Asks no server.
        #[arg(long)]
        role: bool,
    },
    /// Poll every server once and print the metrics; exits with 1 if a server failed.
    Once(ConfigFile),
    /// Run with two simulated servers; needs no NetBackup and no configuration.
    #[cfg(feature = "demo")]
    Demo(demo::Options),
    /// Check that a running agent responds; for HEALTHCHECK in a container.
    Healthcheck(healthcheck::Options),
    /// Inspect the state directory, or rename or reset the state of a site.
    State(state::Options),
    /// Write a bundle for a support case: configuration, versions, doctor, state and log of the agent; no secrets.
    Support(support::Options),
    /// Print a reference: of all metrics, of the configuration, an example of it, its JSON Schema, the man page.
    Docs {
        #[arg(value_enum, default_value_t)]
        document: docs::Document,
    },
    /// Print the completions for a shell.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Does what the command line says. Ends the process's life with the code it returns.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = Log::start(cli.verbosity.level());
    process::log_panics();
    process::raise_file_limit();
    let command = match (cli.command, cli.config) {
        (Some(command), None) => command,
        (None, Some(path)) => Command::Run(ConfigFile { path }),
        (None, None) => {
            let demo =
                if cfg!(feature = "demo") { ", or try the demo: nbu-otel-agent demo" } else { "" };
            let hint = format!("pass a configuration with --config FILE{demo}");
            return usage(ErrorKind::MissingRequiredArgument, &hint);
        }
        (Some(_), Some(_)) => {
            return usage(ErrorKind::ArgumentConflict, "--config FILE goes after the command");
        }
    };
    // A panic was logged where it happened; its line is written before the process ends.
    let code = catch_unwind(AssertUnwindSafe(|| run(command, &log)));
    log.finish();
    code.unwrap_or(ExitCode::FAILURE)
}

fn run(command: Command, log: &Log) -> ExitCode {
    match command {
        Command::Run(config) => run::run(config.path, log.clone()),
        Command::Check(config) => check::run(&config.path),
        Command::Doctor { config, role } => doctor::run(&config.path, role),
        Command::Once(config) => once::run(&config.path),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(options, log.clone()),
        Command::Healthcheck(options) => healthcheck::run(options),
        Command::State(options) => state::run(options),
        Command::Support(options) => support::run(options),
        Command::Docs { document } => docs::run(document, Cli::command()),
        Command::Completions { shell } => {
            output::print(&manual::completions(Cli::command(), shell))
        }
    }
}

fn usage(kind: ErrorKind, hint: &str) -> ExitCode {
    let _ = Cli::command().error(kind, hint).print();
    ExitCode::from(2)
}
