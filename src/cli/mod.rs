//! The command line: what to do, and with which configuration.

mod check;
mod demo;
mod docs;
mod doctor;
mod healthcheck;
mod once;
mod run;
mod state;
mod state_report;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use tracing::Level;

use crate::log::Log;
use crate::process;

/// OpenTelemetry metrics agent for Veritas/Cohesity NetBackup.
///
/// Polls the REST API of one or many NetBackup primary servers and exports what it sees over OTLP
/// (pushed to a Collector) and on a Prometheus endpoint (pulled).
#[derive(Debug, Parser)]
#[command(name = "nbu-otel-agent", version)]
#[command(override_usage = "\
nbu-otel-agent [OPTIONS] --config <FILE>
       nbu-otel-agent [OPTIONS] <COMMAND>")]
#[command(after_help = "\
EXAMPLES:
  nbu-otel-agent demo                          two simulated servers, nothing to configure
  nbu-otel-agent check --config config.yaml    is the file right? what is in force?
  nbu-otel-agent doctor --config config.yaml   can each server be reached, and what may the key see?
  nbu-otel-agent --config config.yaml          run

SIGNALS: SIGTERM and SIGINT end the agent within 10 s, with a last OTLP export; a second one ends it
at once. SIGHUP reads the configuration again, as does a save of it; an invalid one changes nothing.
EXIT CODES: 0 ended as asked; 1 something failed and the log says what; 2 wrong usage.")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file (YAML); config.example.yaml documents every key.
    // Not `ConfigFile`: flattened, it would be required, and who names nothing is told of the demo.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Clone, Args)]
struct Verbosity {
    /// Say more in the log: each request, each collection.
    #[arg(short, long, global = true)]
    debug: bool,
    /// Say everything, bodies of responses included; secrets are redacted.
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
    /// The configuration file (YAML); config.example.yaml documents every key.
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    path: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Poll and export until told to stop; the same as naming no command.
    Run(ConfigFile),
    /// Validate the configuration: print what is in force, or every error with its line.
    Check(ConfigFile),
    /// Try everything that polling needs, for each server, and say what to mend.
    Doctor(ConfigFile),
    /// Poll every server once and print the exposition; fails where a server failed.
    Once(ConfigFile),
    /// Run against two simulated servers: no NetBackup, no configuration.
    Demo(demo::Options),
    /// Ask a running agent whether it lives; for HEALTHCHECK in a container.
    Healthcheck(healthcheck::Options),
    /// Look at the state directory, or rename or reset the state of a site.
    State(state::Options),
    /// Print the reference of all metrics (docs/metrics.md).
    Docs,
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
            let hint = "name a configuration with --config FILE, or try the demo";
            return usage(ErrorKind::MissingRequiredArgument, hint);
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
        Command::Doctor(config) => doctor::run(&config.path),
        Command::Once(config) => once::run(&config.path),
        Command::Demo(options) => demo::run(options, log.clone()),
        Command::Healthcheck(options) => healthcheck::run(options),
        Command::State(options) => state::run(options),
        Command::Docs => docs::run(),
    }
}

fn usage(kind: ErrorKind, hint: &str) -> ExitCode {
    use clap::CommandFactory as _;
    let _ = Cli::command().error(kind, hint).print();
    ExitCode::from(2)
}

/// Prints what a command is asked for, and gives its exit code. A reader that went away (`| head`)
/// is no error; a disk that is full is.
fn print(text: &str) -> ExitCode {
    use std::io::{ErrorKind, Write as _};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("standard output cannot be written: {error}\n"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints what a command has to complain about.
fn complain(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
