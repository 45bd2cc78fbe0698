//! The binary; [`nbu_otel_agent::cli`] is the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    nbu_otel_agent::cli::main()
}
