//! `check`: the configuration in force, or every error of it.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, ProcessEnvironment};

pub(super) fn run(path: &Path) -> ExitCode {
    match config::load(path, &ProcessEnvironment) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                super::output::print_error(&format!("warning: {warning}\n"));
            }
            super::output::print(&config::effective(&loaded.config))
        }
        Err(errors) => {
            super::output::print_error(&format!("{errors}\n"));
            ExitCode::FAILURE
        }
    }
}
