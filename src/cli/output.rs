//! Output of commands: results on standard output, errors and warnings on standard error.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Prints a result, and returns the exit code: a reader that went away (`| head`) is no error, a disk
/// that is full is.
pub(super) fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            print_error(&format!("cannot write to standard output: {error}\n"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints an error or a warning.
pub(super) fn print_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
